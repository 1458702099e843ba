/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether tasks may have changed while they were read. Most loops wait, or are held, while they are
 * looked at: then nothing moved, and one reading is enough.
 */
#include <stdio.h>
#include <string.h>

#include "builder.h"

#define SINCE "./././././" /* spellings of a path, as PROCESS_BEFORE is one */
#define AFTER "././././"
#define LAST  "./././././././"

/* How often the main thread was given a CPU so far. */
static bool main_slices(struct builder *b, const char *spelling, uint64_t *ret)
{
	const struct strbuf *text;
	struct proc_schedstat sched;
	char path[64];

	snprintf(path, sizeof(path), "task/%d/%sschedstat", (int)b->proc->pid, spelling);
	if (!source_proc(b->py->rd.src, path, &text, NULL) ||
	    !proc_schedstat_parse(text->data, text->len, &sched, NULL))
		return false;
	*ret = sched.slices;
	return true;
}

/*
 * Before anything of its memory is read, and in this order: a thread that is off the CPU after it
 * was counted, and has the same count in the end, has not run in between. Its state does not tell:
 * a thread is in S, on its CPU, while it looks whether it has to sleep at all. The kernel gives the
 * system call only of a thread that it has found off the CPU (task_current_syscall()).
 */
void settle_begin(struct builder *b)
{
	const struct strbuf *text;
	struct proc_syscall call;
	char path[64];

	b->main_slept = false;
	if (!main_slices(b, PROCESS_BEFORE, &b->main_slices))
		return;
	snprintf(path, sizeof(path), "task/%d/" PROCESS_BEFORE "syscall", (int)b->proc->pid);
	b->main_slept = source_proc(b->py->rd.src, path, &text, NULL) &&
			proc_syscall_parse(text->data, text->len, &call, NULL) && !call.running;
}

bool settle_is_fresh(struct builder *b)
{
	uint64_t slices;

	return b->main_slept && main_slices(b, SINCE, &slices) && slices == b->main_slices;
}

bool settle_main_slept(struct builder *b)
{
	uint64_t slices;

	return b->main_slept && main_slices(b, LAST, &slices) && slices == b->main_slices;
}

/* Loops run in the main thread as a rule; of others it is not known beforehand. */
static bool all_slept(struct builder *b)
{
	uint64_t slices;

	for (size_t i = 0; i < b->s->n_loops; i++)
		if (b->s->threads[b->s->loops[i].thread].os.tid != (int32_t)b->proc->pid)
			return false;
	return b->s->n_loops && b->main_slept && main_slices(b, AFTER, &slices) &&
	       slices == b->main_slices;
}

static void remember(struct builder *b, const struct aio_mark *marks, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct build_mark *m = array_push(&b->marks, &b->n_marks, &b->marks_cap);

		m->at = marks[i];
		m->known = marks[i].len <= sizeof(m->was) &&
			   source_read(b->py->rd.src, marks[i].addr, m->was, marks[i].len, NULL);
	}
}

void settle_remember(struct builder *b)
{
	struct aio_mark marks[AIO_MARKS];

	for (size_t i = 0; i < b->n_interps; i++)
		remember(b, marks,
			 aio_tasks_marks(b->py, &b->interps[i], (uint32_t)i, &b->modules[i],
					 b->py_threads, b->n_py_threads, marks));
	for (size_t i = 0; i < b->s->n_loops; i++)
		remember(b, marks, aio_loop_marks(b->py, &b->s->loops[i].info, marks));
}

static bool marks_hold(const struct builder *b)
{
	char is[sizeof(b->marks->was)];

	for (size_t i = 0; i < b->n_marks; i++) {
		const struct build_mark *m = &b->marks[i];

		if (!m->known || !source_now(b->py->rd.src, m->at.addr, is, m->at.len) ||
		    memcmp(is, m->was, m->at.len) != 0)
			return false;
	}
	return true;
}

/*
 * A turn that cannot be told from another one by its variables: in select until something comes,
 * or for a look at what has come already. One that waits for a timer has a time of its own.
 */
static bool any_turn(const struct aio_run *run)
{
	return !run->have_end_time &&
	       (!run->have_timeout || run->timeout_none || run->timeout <= 0);
}

/* The same callback as when the loop was read: end_time is another in each turn, i in each
 * callback.
 */
static bool same_run(struct python *py, const struct snap_loop *loop)
{
	const struct aio_run *was = &loop->run;
	struct aio_loop info;
	struct py_frame frame;
	struct aio_run is;

	if (!loop->have_run)
		return loop->info.is_uvloop && aio_loop_read(py, was->loop, 0, &info) &&
		       info.have_uv_time && info.uv_time == loop->info.uv_time;
	if (!python_frame(py, was->frame, &frame) || !aio_is_run_once(py, &frame) ||
	    !aio_run_read(py, &frame, &is))
		return !rd_take(&py->rd) && false;
	return !any_turn(&is) && is.loop == was->loop && is.have_end_time == was->have_end_time &&
	       is.end_time == was->end_time && is.have_timeout == was->have_timeout &&
	       is.timeout == was->timeout && is.have_batch == was->have_batch &&
	       is.index == was->index && is.ntodo == was->ntodo && is.handle == was->handle;
}

/* Through another source: what this look has of the loop's frame stays. */
bool settle_runs_hold(struct builder *b)
{
	struct source *main = b->py->rd.src, *now = source_again(main);
	bool hold = true;

	python_new_look(b->py, now);
	for (size_t i = 0; hold && i < b->s->n_loops; i++)
		hold = same_run(b->py, &b->s->loops[i]);
	rd_take(&b->py->rd);
	source_keep(main, now);
	python_new_look(b->py, main);
	source_close(now);
	return hold;
}

/* libuv's clock counts milliseconds, in which it may have turned, and has one time for a turn. */
static bool any_uvloop(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_loops; i++)
		if (s->loops[i].info.is_uvloop)
			return true;
	return false;
}

bool settle_moved(struct builder *b)
{
	if (source_is_recorded(b->py->rd.src) || b->picture || all_slept(b))
		return false;
	return any_uvloop(b->s) || !marks_hold(b) || !settle_runs_hold(b);
}
