/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "builder.h"
#include "stallscope/utf8.h"

#define MANY_THREADS 64u	/* above, the dear facts are read of Python's threads only */
#define FRAMES_MAX   (1u << 18) /* of all threads without a loop; of those with one as many */

/* ---- Python threads ----------------------------------------------------------------------- */

static struct snap_loop *new_loop(struct builder *b, uint64_t address, uint32_t thread)
{
	struct snap_loop *loop;

	if (b->s->n_loops >= SNAP_MAX_LOOPS) {
		build_problem(b, "more loops than are shown", "loops");
		return NULL;
	}
	addrmap_put(&b->loop_map, address, (uint32_t)b->s->n_loops);
	loop = array_push(&b->s->loops, &b->s->n_loops, &b->loops_cap);
	loop->run.loop = address;
	loop->thread = thread;
	loop->phase = SNAP_UNKNOWN;
	loop->current_task = loop->outer = SNAP_NONE;
	return loop;
}

static enum snap_phase phase_of(const struct aio_run *run)
{
	if (run->have_end_time)
		return run->have_batch ? SNAP_CALLBACKS : SNAP_PROCESSING;
	return SNAP_SELECT;
}

/*
 * The _run_once frames of one stack, outermost first, so that the innermost loop of a nest is
 * the one that runs; each outer one is held by the next inner one. The same loop again
 * (nest_asyncio) is one loop, whose innermost frame is the one that turns. Where no loop runs
 * the frames were inherited by a fork.
 */
static void find_loops(struct builder *b, const struct py_thread *t, uint32_t thread, size_t n)
{
	uint32_t outer = SNAP_NONE;
	struct snap_loop *loop;
	struct aio_run run;

	for (size_t i = n; i-- > 0;) {
		if (!aio_is_run_once(b->py, &b->frames[i]) ||
		    !aio_run_read(b->py, &b->frames[i], &run))
			continue;
		if (i > 0)
			aio_run_confirm_start(b->py, &b->frames[i - 1], &run);
		if (!t->running_loop) {
			b->s->threads[thread].inherited_loop = true;
			break;
		}
		if (outer != SNAP_NONE && b->s->loops[outer].run.loop == run.loop) {
			loop = &b->s->loops[outer];
			loop->run = run;
			loop->phase = phase_of(&run);
			loop->nested = true;
			continue;
		}
		loop = new_loop(b, run.loop, thread);
		if (!loop)
			return;
		loop->run = run;
		loop->have_run = true;
		loop->phase = phase_of(&run);
		loop->outer = outer;
		b->s->threads[thread].loop = outer = (uint32_t)(b->s->n_loops - 1);
	}
	if (t->running_loop && outer == SNAP_NONE && new_loop(b, t->running_loop, thread))
		b->s->threads[thread].loop = (uint32_t)(b->s->n_loops - 1);
}

/* Deep stacks of other threads must not leave the loops' own without room. */
static size_t room_for(const struct builder *b, const struct py_thread *t)
{
	size_t used = t->running_loop ? b->loop_frames : b->s->n_frames - b->loop_frames;
	size_t room = used < FRAMES_MAX ? FRAMES_MAX - used : 0;

	return room < PY_MAX_FRAMES ? room : PY_MAX_FRAMES;
}

static void build_thread(struct builder *b, const struct py_thread *t)
{
	struct snap_thread *thread = array_push(&b->s->threads, &b->s->n_threads, &b->threads_cap);
	uint32_t index = (uint32_t)(b->s->n_threads - 1);
	bool truncated;
	size_t n;

	thread->is_python = true;
	thread->loop = SNAP_NONE;
	thread->tstate = t->tstate;
	thread->interpreter = t->interpreter;
	thread->interpreter_id = b->interps[t->interpreter].id;
	thread->holds_gil = t->holds_gil;
	thread->waits_for_gil = t->waits_for_gil;
	thread->os.ns_tid = t->tid;
	thread->stack_failed =
		!python_stack(b->py, t->tstate, b->frames, room_for(b, t), &n, &truncated, NULL);
	if (thread->stack_failed)
		build_problem(b, "the stack of a thread changed while it was read", "thread");
	thread->stack = build_stack(b, b->frames, n, truncated);
	b->loop_frames += t->running_loop ? n : 0;
	find_loops(b, t, index, n);
}

bool build_threads(struct builder *b, struct error *err)
{
	if (!python_threads(b->py, &b->interps, &b->n_interps, &b->py_threads, &b->n_py_threads,
			    err))
		return false;
	b->s->threads_cut =
		b->n_interps >= PY_MAX_INTERPRETERS || b->n_py_threads >= PY_MAX_THREADS;
	if (b->s->threads_cut)
		build_problem(b,
			      "no more threads of Python are read: loops of others are not known",
			      "threads");
	for (size_t i = 0; i < b->n_py_threads; i++)
		build_thread(b, &b->py_threads[i]);
	b->s->clock_ns = source_clock(b->py->rd.src);
	b->s->wall_ns = source_wall_clock(b->py->rd.src);
	if (b->picture) {
		b->s->wall_ns -= b->s->clock_ns - b->picture->clock_ns;
		b->s->clock_ns = b->picture->clock_ns;
	}
	return true;
}

/* ---- the kernel's view ------------------------------------------------------------------------
 */

bool waits_in_runtime(uint64_t runtime, uint64_t size, const struct os_thread *os)
{
	return os->have_syscall && !os->syscall.running && os->syscall.number == SYS_futex &&
	       os->syscall.args[0] - runtime < size;
}

bool waits_for_gil(const struct snapshot *s, const struct os_thread *os)
{
	return waits_in_runtime(s->runtime, s->runtime_size, os);
}

static const char *safe_comm(struct builder *b, const char *comm)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	utf8_add_safe(&text, comm, strlen(comm), 64);
	return arena_strndup(&b->s->arena, text.data, text.len);
}

/* A native thread inside a subinterpreter has a thread state in each: both are this thread. */
static bool join_python(struct builder *b, const struct os_thread *os, const char *name)
{
	int32_t tid = os->ns_tid ? os->ns_tid : os->tid;
	bool found = false;

	for (size_t i = 0; i < b->n_py_threads; i++) {
		struct snap_thread *thread = &b->s->threads[i];
		int32_t theirs = b->py_threads[i].tid;

		if (theirs != tid)
			continue;
		thread->os = *os;
		thread->os_name = name;
		thread->waits_for_gil |= waits_for_gil(b->s, os);
		found = true;
	}
	return found;
}

static void join(struct builder *b, const struct os_thread *os)
{
	const char *name = os->have_stat ? safe_comm(b, os->stat.comm) : "?";
	struct snap_thread *thread;

	if (os->tid == (int32_t)b->proc->pid && os->have_stat)
		b->s->process_state = os->stat.state;
	if (join_python(b, os, name))
		return;
	thread = array_push(&b->s->threads, &b->s->n_threads, &b->threads_cap);
	thread->loop = thread->waits_for_loop = SNAP_NONE;
	thread->interpreter = SNAP_NONE;
	thread->os = *os;
	thread->os_name = name;
}

/* Of many threads the dear facts were left out: those of the loops' own are worth them. */
static void ask_loop_threads(struct builder *b, unsigned facts)
{
	for (size_t i = 0; i < b->s->n_loops; i++) {
		struct snap_thread *thread = &b->s->threads[b->s->loops[i].thread];
		struct os_thread os;

		if (!thread->os.tid || thread->os.have_syscall ||
		    !os_thread_read(b->py->rd.src, thread->os.tid, facts, &os, NULL))
			continue;
		os.ns_tid = thread->os.ns_tid;
		thread->os = os;
		thread->waits_for_gil |= waits_for_gil(b->s, &os);
	}
}

static void name_threads(struct builder *b)
{
	for (size_t i = 0; i < b->n_py_threads; i++) {
		if (!b->s->threads[i].os_name)
			b->s->threads[i].os_name = "?";
	}
}

static void read_tracer(struct builder *b)
{
	const struct strbuf *text;
	struct proc_status status;

	if (source_proc(b->py->rd.src, "status", &text, NULL) &&
	    proc_status_parse(text->data, text->len, &status, NULL)) {
		b->s->tracer = status.tracer;
		if (!b->s->process_state)
			b->s->process_state = status.state;
	}
}

bool build_os_threads(struct builder *b, struct error *err)
{
	unsigned facts = OS_STAT | OS_SYSCALL | OS_SCHED | OS_WCHAN;
	struct os_thread *os = NULL;
	size_t n = 0;

	if (b->n_py_threads > MANY_THREADS)
		facts = OS_STAT | OS_SCHED;
	if (b->proc->ns_pid != b->proc->pid)
		facts |= OS_STATUS; /* NSpid: the target's own thread ids */
	if (!os_threads_read(b->py->rd.src, facts, &os, &n, err))
		return false;
	if (n >= THREADS_MAX)
		build_problem(b, "no more threads of the kernel are read", "threads");
	for (size_t i = 0; i < n; i++)
		join(b, &os[i]);
	free(os);
	ask_loop_threads(b, facts | OS_SYSCALL | OS_WCHAN);
	name_threads(b);
	read_tracer(b);
	return true;
}
