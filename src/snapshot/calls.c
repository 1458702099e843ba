/* SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

#define CALLS_MAX 64u  /* threads; those that run loops come first */
#define HEAD	  128u /* bytes of a frame, with what tells where it stands */

static void take(struct builder *b, struct snap_thread *thread, const struct py_call *call)
{
	struct snap_call *c = &thread->call;

	c->text = arena_strdup(&b->s->arena, call->text);
	for (size_t i = 0; i < call->n_names; i++)
		c->names[i] = arena_strdup(&b->s->arena, call->names[i]);
	c->n_names = (uint32_t)call->n_names;
	c->self = call->self;
	c->callable = call->callable;
	c->implied = call->implied;
	thread->have_call = true;
}

/* A thread that has moved on since its stack was read has none. */
static void build_call(struct builder *b, struct snap_thread *thread)
{
	const struct snap_frame *leaf = snap_frame_at(b->s, &thread->stack, 0);
	struct py_frame frame;
	struct py_call call;

	if (!source_unchanged(b->py->rd.src, leaf->address, HEAD))
		return;
	if (!python_frame(b->py, leaf->address, &frame) || frame.code == UINT32_MAX) {
		rd_take(&b->py->rd);
		return;
	}
	if (b->py->codes[frame.code].address == b->s->codes[leaf->code].address &&
	    frame.instr == leaf->instr && python_call(b->py, &frame, &call))
		take(b, thread, &call);
}

void build_calls(struct builder *b)
{
	size_t left = CALLS_MAX;

	for (int loops = 1; loops >= 0; loops--) {
		for (size_t i = 0; i < b->n_py_threads && left; i++) {
			struct snap_thread *thread = &b->s->threads[i];

			if ((thread->loop != SNAP_NONE) != (loops == 1) || !thread->stack.n)
				continue;
			build_call(b, thread);
			left--;
		}
	}
}
