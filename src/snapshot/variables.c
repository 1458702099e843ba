/* SPDX-License-Identifier: Apache-2.0 */
/*
 * variables.c - the variables of frames, for --locals
 *
 * Read when all else is: values are no part of a verdict, and must not make its picture older. A
 * frame that is another one by then has none. First it is found where the variables of all frames
 * are, so that what they refer to is fetched together; then they are read; in the end, where
 * threads ran meanwhile, it is checked that they still are what they were.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define FRAMES_EACH 128u /* of a stack: so many innermost ones, and as many outermost */
#define FRAMES_MAX  20000u
#define HEAD	    48u		       /* bytes that tell what an object is */
#define SPELLING    "././././././././" /* of a path, as nobody else has it (wait.c says why) */

/* Honest values need about 2 for each character shown. */
#define LOADS_PER_FRAME 10000u

struct found {
	uint32_t frame, thread; /* whose variables it has: of a task, that of its loop */
	size_t first, n, left;	/* in v; more that it has */
	uint64_t slots, n_slots;
};

struct reading {
	struct builder *b;
	const struct snapshot_options *options;
	size_t bytes; /* of text so far */
	struct found *frames;
	struct py_variable *v;
	size_t n_frames, frames_cap, n_v, v_cap;
	struct addrmap known; /* object -> index into values: frames share many */
	const char **values;
	size_t n_values, values_cap;
	struct py_variables scratch;
};

struct snap_detail *snap_detail_add(struct snapshot *s, uint32_t frame)
{
	struct snap_frame *f = &s->frames[frame];

	if (!f->detail) {
		array_push(&s->details, &s->n_details, &s->details_cap);
		f->detail = (uint32_t)s->n_details;
	}
	return &s->details[f->detail - 1];
}

/* ---- where they are ----------------------------------------------------------------------- */

static bool same_frame(struct reading *r, uint32_t index, struct py_frame *ret)
{
	const struct snap_frame *f = &r->b->s->frames[index];
	struct python *py = r->b->py;
	bool same = python_frame(py, f->address, ret) && ret->code != UINT32_MAX &&
		    py->codes[ret->code].address == r->b->s->codes[f->code].address &&
		    ret->instr == f->instr;

	return !rd_take(&py->rd) && same;
}

static void find_frame_variables(struct reading *r, uint32_t index, uint32_t thread)
{
	struct snapshot *s = r->b->s;
	struct py_frame frame;
	struct found *found;

	if (s->frames[index].detail || !s->frames[index].address)
		return;
	if (r->n_frames == FRAMES_MAX) {
		s->variables_left++;
		return;
	}
	rd_grant(&r->b->py->rd, LOADS_PER_FRAME);
	if (!same_frame(r, index, &frame) || !python_variables(r->b->py, &frame, &r->scratch)) {
		rd_take(&r->b->py->rd);
		return;
	}
	snap_detail_add(s, index);
	found = array_push(&r->frames, &r->n_frames, &r->frames_cap);
	*found = (struct found){index,
				thread,
				r->n_v,
				r->scratch.n,
				r->scratch.left,
				r->scratch.slots,
				r->scratch.n_slots};
	for (size_t i = 0; i < r->scratch.n; i++)
		*array_push(&r->v, &r->n_v, &r->v_cap) = r->scratch.v[i];
}

static void find_stack(struct reading *r, const struct snap_stack *stack, uint32_t thread)
{
	for (uint32_t i = 0; i < stack->n; i++)
		if (i < FRAMES_EACH || stack->n - i <= FRAMES_EACH)
			find_frame_variables(r, stack->first + i, thread);
}

/* Threads that run loops first: they must not be what is left when there are too many. */
static void find_all(struct reading *r)
{
	const struct snapshot *s = r->b->s;

	for (int loops = 1; loops >= 0; loops--)
		for (uint32_t i = 0; i < s->n_threads; i++)
			if (s->threads[i].is_python &&
			    (s->threads[i].loop != SNAP_NONE) == (loops == 1))
				find_stack(r, &s->threads[i].stack, i);
	for (size_t i = 0; i < s->n_tasks && r->options->variables == SNAP_VARIABLES_ALL; i++)
		if (s->tasks[i].loop != SNAP_NONE)
			find_stack(r, &s->tasks[i].stack, s->loops[s->tasks[i].loop].thread);
}

/* Each object is on a page of its own as a rule: asked for at once they cost less. */
static void prefetch(struct reading *r)
{
	uint64_t *addrs = mem_alloc((2 * r->n_v + 1) * sizeof(*addrs));
	size_t n = 0;

	for (size_t i = 0; i < r->n_v; i++) {
		addrs[n++] = r->v[i].name;
		if (!r->options->types_only)
			addrs[n++] = r->v[i].value;
	}
	source_prefetch(r->b->py->rd.src, addrs, n, HEAD);
	free(addrs);
}

/* ---- what they are ------------------------------------------------------------------------ */

static const char *value_of(struct reading *r, uint64_t object)
{
	size_t columns = r->options->columns ? r->options->columns : PY_VALUE_COLUMNS;
	uint32_t index = addrmap_get(&r->known, object);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (index != ADDRMAP_NONE)
		return r->values[index];
	py_value(r->b->py, object, r->options->types_only, columns, &text);
	addrmap_put(&r->known, object, (uint32_t)r->n_values);
	r->bytes += text.len + 1;
	return *array_push(&r->values, &r->n_values, &r->values_cap) =
		       arena_strndup(&r->b->s->arena, text.data, text.len);
}

static void read_frame(struct reading *r, const struct found *found)
{
	struct snapshot *s = r->b->s;
	struct snap_detail *detail = snap_detail_add(s, found->frame);
	struct snap_variable *variables;

	if (r->bytes > SNAP_MAX_VALUES) {
		s->variables_left++;
		return;
	}
	variables = arena_alloc(&s->arena, (found->n + 1) * sizeof(*variables));
	for (size_t i = 0; i < found->n; i++) {
		variables[i].name = build_string(r->b, r->v[found->first + i].name, 100);
		variables[i].value = value_of(r, r->v[found->first + i].value);
	}
	r->bytes += 64 + found->n * sizeof(*variables);
	detail->variables = variables;
	detail->n_variables = (uint32_t)found->n;
	detail->variables_left = (uint32_t)found->left;
	detail->have_variables = true;
}

/* ---- whether they still are --------------------------------------------------------------- */

/*
 * In one system call since before the first value was read, with variables that are the same after
 * the last one: what they refer to was there all the time.
 */
static enum snap_stood stood(struct builder *b, const struct snap_thread *t)
{
	if (b->picture && !source_late_pages(b->py->rd.src))
		return SNAP_STOOD;
	if (!t->os.have_syscall)
		return SNAP_STOOD_UNKNOWN;
	return !t->os.syscall.running && is_same_call(b, &t->os, SPELLING) ? SNAP_STOOD : SNAP_RAN;
}

static void check_frame(struct reading *r, const struct found *found)
{
	struct snap_detail *detail = snap_detail_add(r->b->s, found->frame);
	struct py_variable *v = r->v + found->first;

	if (!detail->have_variables)
		return;
	python_variables_check(r->b->py, found->slots, found->n_slots, v, found->n);
	for (size_t i = 0; i < found->n; i++)
		if (v[i].changed)
			detail->variables[i].value = PY_VALUE_CHANGED;
}

/* Nothing of what the main thread does can have changed while it slept all the time. */
static void check_all(struct reading *r)
{
	struct snapshot *s = r->b->s;
	bool main_slept = r->b->picture || settle_main_slept(r->b);

	for (size_t i = 0; i < s->n_threads; i++)
		if (s->threads[i].is_python)
			s->threads[i].stood = stood(r->b, &s->threads[i]);
	for (size_t i = 0; i < r->n_frames; i++) {
		bool main = s->threads[r->frames[i].thread].os.tid == (int32_t)r->b->proc->pid;

		if (!main || !main_slept)
			check_frame(r, &r->frames[i]);
	}
}

void build_variables(struct builder *b, const struct snapshot_options *options)
{
	struct reading *r;

	if (options->variables == SNAP_VARIABLES_NONE)
		return;
	r = mem_zalloc(1, sizeof(*r));
	r->b = b;
	r->options = options;
	find_all(r);
	prefetch(r);
	for (size_t i = 0; i < r->n_frames; i++)
		read_frame(r, &r->frames[i]);
	check_all(r);
	addrmap_deinit(&r->known);
	free(r->values);
	free(r->frames);
	free(r->v);
	free(r);
}
