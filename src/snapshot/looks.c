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

/* uvloop: libuv's clock stands still as long as one callback runs, so it stands for the turn. */
static void take_uvloop(struct snap_look *look, const struct aio_loop *info, bool in_callbacks)
{
	look->found = info->have_uv_time;
	look->in_callbacks = in_callbacks;
	look->end_time = in_callbacks ? info->uv_time : 0;
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
			take_uvloop(look, &loop->info, loop->phase == SNAP_CALLBACKS);
		if (loop->current_task != SNAP_NONE)
			look->task = s->tasks[loop->current_task].id;
		if (thread->stack.n) {
			const struct snap_frame *leaf = &s->frames[thread->stack.first];

			look->leaf_frame = leaf->address;
			look->leaf_code = s->codes[leaf->code].address;
			look->leaf_instr = leaf->instr;
		}
	}
}

/* The locals of this loop's frame, wherever the stack has it now. */
static bool find_run(struct python *py, uint64_t tstate, uint64_t loop, struct snap_look *look)
{
	struct py_frame *frames = mem_alloc(PY_MAX_FRAMES * sizeof(*frames));
	bool truncated, found = false;
	struct aio_run run;
	size_t n = 0;

	if (python_stack(py, tstate, frames, PY_MAX_FRAMES, &n, &truncated, NULL) && n) {
		look->leaf_frame = frames[0].address;
		look->leaf_code = py->codes[frames[0].code].address;
		look->leaf_instr = frames[0].instr;
		for (size_t i = 0; i < n && !found; i++)
			found = aio_is_run_once(py, &frames[i]) &&
				aio_run_read(py, &frames[i], &run) && run.loop == loop;
	}
	if (found)
		take_run(look, &run);
	free(frames);
	return found;
}

static void look_at_loop(struct python *py, struct source *light, struct snapshot *snap,
			 struct snap_loop *loop)
{
	const struct snap_thread *thread = &snap->threads[loop->thread];
	struct snap_look *look = snap_push_look(snap);
	struct py_interpreter interp;
	struct os_thread os = {0};
	struct aio_loop info;

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
	if (loop->info.is_uvloop && aio_loop_read(py, loop->run.loop, 0, &info))
		take_uvloop(look, &info, !snap_in_epoll(&os));
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
