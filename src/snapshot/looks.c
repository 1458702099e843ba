/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The series of looks. One full look says how long the loop has been held; a few light ones
 * around it say whether it moves, and whether its thread burns CPU.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"

struct snap_look *snap_push_look(struct snapshot *s)
{
	/* The capacity is not kept: the series is short and grows seldom. */
	size_t cap = s->n_looks;

	if (s->n_looks >= SNAP_MAX_LOOKS)
		return NULL;
	return array_push(&s->looks, &s->n_looks, &cap);
}

static void take_os(const struct snapshot *s, struct snap_look *look, const struct os_thread *os)
{
	look->tid = os->tid;
	look->state = os->have_stat ? os->stat.state : 0;
	look->syscall = os->have_syscall && !os->syscall.running ? os->syscall.number : -2;
	look->waits_for_gil = waits_for_gil(s, os);
	look->majflt = os->have_stat ? os->stat.majflt : 0;
	look->have_sched = os->have_sched;
	if (os->have_sched) {
		look->on_cpu_ns = os->sched.on_cpu_ns;
		look->run_queue_ns = os->sched.run_queue_ns;
	}
}

static void take_interpreter(struct snap_look *look, const struct py_interpreter *interp)
{
	look->have_more = true;
	look->gc = interp->gc_collecting;
	look->gil_holder = interp->gil_locked ? interp->gil_holder : 0;
}

static void take_run(struct snap_look *look, const struct aio_run *run)
{
	look->found = true;
	look->in_callbacks = run->have_batch;
	look->index = run->index;
	look->ntodo = run->ntodo;
	look->handle = run->handle;
	look->end_time = run->have_end_time ? run->end_time : 0;
}

/*
 * uvloop: libuv's clock stands still as long as one turn runs, so it stands for the turn. The
 * outermost coroutine on the stack stands for the callback, what is left in the queue for the
 * batch.
 */
static void take_uvloop(struct snap_look *look, const struct aio_loop *info, bool in_callbacks,
			uint64_t coroutine)
{
	look->found = info->have_uv_time;
	look->in_callbacks = in_callbacks;
	look->end_time = in_callbacks ? info->uv_time : 0;
	look->handle = in_callbacks ? coroutine : 0;
	look->ntodo = in_callbacks && info->ready > 0 ? info->ready : 0;
}

/* One more frame, from the innermost on, of what struct snap_look has as stack. */
static uint64_t stack_with(uint64_t stack, uint64_t frame, uint64_t code, int32_t instr)
{
	static const uint64_t prime = UINT64_C(0x100000001b3);
	uint32_t at = stack ? (uint32_t)instr : 0; /* the innermost runs on */

	return (((stack ^ frame) * prime ^ code) * prime ^ at) * prime | 1;
}

/* Address of the frame, 0 none. */
static uint64_t outermost_coroutine(const struct snapshot *s, const struct snap_stack *stack)
{
	for (uint32_t i = stack->n; i-- > 0;)
		if (snap_code_of(s, snap_frame_at(s, stack, i))->async)
			return snap_frame_at(s, stack, i)->address;
	return 0;
}

void build_first_look(struct builder *b)
{
	struct snapshot *s = b->s;

	for (size_t i = 0; i < s->n_loops; i++) {
		const struct snap_loop *loop = &s->loops[i];
		const struct snap_thread *thread = &s->threads[loop->thread];
		struct snap_look *look = snap_push_look(s);

		if (!look)
			return;
		look->clock_ns = s->clock_ns;
		look->loop = loop->run.loop;
		take_os(s, look, &thread->os);
		look->waits_for_gil |= thread->waits_for_gil;
		if (thread->interpreter < b->n_interps)
			take_interpreter(look, &b->interps[thread->interpreter]);
		if (loop->have_run)
			take_run(look, &loop->run);
		else if (loop->info.is_uvloop)
			take_uvloop(look, &loop->info, loop->phase == SNAP_CALLBACKS,
				    outermost_coroutine(s, &thread->stack));
		if (loop->current_task != SNAP_NONE)
			look->task = s->tasks[loop->current_task].id;
		if (thread->stack.n) {
			const struct snap_frame *leaf = &s->frames[thread->stack.first];

			look->leaf_frame = leaf->address;
			look->leaf_code = s->codes[leaf->code].address;
			look->leaf_instr = leaf->instr;
		}
		for (uint32_t k = 0; k < thread->stack.n; k++) {
			const struct snap_frame *f = snap_frame_at(s, &thread->stack, k);

			look->stack = stack_with(look->stack, f->address, s->codes[f->code].address,
						 f->instr);
		}
	}
}

/* Frames of the thread as it stands, at most PY_MAX_FRAMES; freed by the caller. */
static struct py_frame *read_stack(struct python *py, uint64_t tstate, size_t *n,
				   struct snap_look *look)
{
	struct py_frame *frames = mem_alloc(PY_MAX_FRAMES * sizeof(*frames));
	bool truncated;

	if (!python_stack(py, tstate, frames, PY_MAX_FRAMES, n, &truncated, NULL))
		*n = 0;
	if (*n) {
		look->leaf_frame = frames[0].address;
		look->leaf_code = py->codes[frames[0].code].address;
		look->leaf_instr = frames[0].instr;
	}
	for (size_t i = 0; i < *n; i++)
		look->stack = stack_with(look->stack, frames[i].address,
					 py->codes[frames[i].code].address, frames[i].instr);
	return frames;
}

/* The locals of this loop's frame, wherever the stack has it now. */
static void find_run(struct python *py, uint64_t tstate, uint64_t loop, struct snap_look *look)
{
	size_t n = 0;
	struct py_frame *frames = read_stack(py, tstate, &n, look);
	struct aio_run run;

	for (size_t i = 0; i < n; i++) {
		if (!aio_is_run_once(py, &frames[i]) || !aio_run_read(py, &frames[i], &run) ||
		    run.loop != loop)
			continue;
		take_run(look, &run);
		break;
	}
	free(frames);
}

static uint64_t find_coroutine(struct python *py, uint64_t tstate, struct snap_look *look)
{
	static const uint32_t async = PY_CO_COROUTINE | PY_CO_ASYNC_GENERATOR;
	size_t n = 0;
	struct py_frame *frames = read_stack(py, tstate, &n, look);
	uint64_t found = 0;

	while (n-- > 0 && !found)
		if (py->codes[frames[n].code].flags & async)
			found = frames[n].address;
	free(frames);
	return found;
}

static void look_at_uvloop(struct python *py, const struct snap_loop *loop, uint64_t tstate,
			   const struct os_thread *os, struct snap_look *look)
{
	uint64_t coroutine = find_coroutine(py, tstate, look);
	struct aio_loop info;

	rd_take(&py->rd);
	if (aio_loop_read(py, loop->run.loop, 0, &info))
		take_uvloop(look, &info, !snap_in_select(os, &info), coroutine);
}

static void look_at_loop(struct python *py, struct source *light, struct snapshot *snap,
			 struct snap_loop *loop)
{
	const struct snap_thread *thread = &snap->threads[loop->thread];
	struct snap_look *look = snap_push_look(snap);
	struct py_interpreter interp;
	struct os_thread os = {0};

	if (!look)
		return;
	look->loop = loop->run.loop;
	look->syscall = -2;
	look->clock_ns = source_clock(light);
	if (loop->have_run)
		find_run(py, thread->tstate, loop->run.loop, look);
	rd_take(&py->rd);
	if (python_interpreter_of(py, thread->tstate, &interp))
		take_interpreter(look, &interp);
	if (os_thread_read(light, thread->os.tid, OS_STAT | OS_SYSCALL | OS_SCHED, &os, NULL))
		take_os(snap, look, &os);
	if (loop->info.is_uvloop)
		look_at_uvloop(py, loop, thread->tstate, &os, look);
	rd_take(&py->rd);
	growth_look(py, loop, look->clock_ns);
}

bool snapshot_look(struct python *py, struct source *light, struct snapshot *snap,
		   struct error *err)
{
	struct source *full = py->rd.src;

	source_forget(light);
	if (!source_alive(light))
		return error_set(err, ERR_GONE, "process %d ended while it was looked at",
				 source_pid(light));
	python_new_look(py, light);
	for (size_t i = 0; i < snap->n_loops; i++)
		look_at_loop(py, light, snap, &snap->loops[i]);
	kernel_refresh(light, snap);
	source_keep(full, light);
	python_new_look(py, full);
	return true;
}

bool snapshot_stands(const struct snapshot *snap, uint64_t loop)
{
	const struct snap_look *full = NULL, *last = NULL;

	for (size_t i = 0; i < snap->n_looks; i++) {
		if (snap->looks[i].loop != loop)
			continue;
		last = &snap->looks[i];
		if (last->clock_ns == snap->clock_ns)
			full = last;
	}
	return full && full->stack && full->stack == last->stack && full->found && last->found &&
	       full->in_callbacks && last->in_callbacks && full->end_time == last->end_time &&
	       full->index == last->index && full->handle == last->handle;
}

void snapshot_keep_looks(struct snapshot *snap, const struct snapshot *before)
{
	size_t own = snap->n_looks, kept = before->n_looks;

	if (kept > SNAP_MAX_LOOKS - own)
		kept = SNAP_MAX_LOOKS - own;
	snap->looks = mem_realloc(snap->looks, own + kept + 1, sizeof(*snap->looks));
	memmove(snap->looks + kept, snap->looks, own * sizeof(*snap->looks));
	memcpy(snap->looks, before->looks + before->n_looks - kept, kept * sizeof(*snap->looks));
	snap->n_looks = own + kept;
	snap->kernel_first = before->kernel_first;
}
