/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules, in order: the first that matches gives the verdict. A rule is a row; `matches`
 * decides from facts alone, `explain` fills the verdict. Rules of the whole process come first
 * and see no loop.
 */
#include <stdio.h>
#include <string.h>

#include "rules.h"

#define MANY_CALLBACKS 50   /* a batch that is called a flood */
#define HUGE_BATCH     1000 /* one that is, whatever its callbacks cost */
#define ON_CPU_RATIO   0.5

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

static void set(struct verdict *v, enum verdict_id id, enum confidence confidence, const char *kind)
{
	v->id = id;
	v->confidence = confidence;
	snprintf(v->kind, sizeof(v->kind), "%s", kind);
}

/* ---- the whole process ------------------------------------------------------------------------
 */

static bool process_stopped(const struct facts *f)
{
	return f->snap->process_state == 'T';
}

static void explain_stopped(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_STOPPED, CONFIDENCE_CERTAIN, "");
	v->title = "stopped by a signal";
	v->advice = "somebody sent SIGSTOP or SIGTSTP: continue it with kill -CONT";
	add_evidence(v, "/proc/PID/stat", "state T (stopped by a signal)");
	(void)f;
}

static bool process_traced(const struct facts *f)
{
	return f->snap->process_state == 't';
}

static void explain_traced(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_TRACED, CONFIDENCE_CERTAIN, "");
	v->title = "held by a debugger or tracer";
	v->advice = "let the tracer go on, or detach it";
	add_evidence(v, "/proc/PID/status", "state t, traced by process %d", f->snap->tracer);
}

static bool no_loop(const struct facts *f)
{
	return f->snap->n_loops == 0;
}

static void explain_no_loop(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_NO_LOOP, CONFIDENCE_CERTAIN, "");
	v->title = "no asyncio event loop runs in any thread";
	v->advice =
		"a child process may be the one with the loop, or the program has not started it";
	add_evidence(v, "sys.modules", "asyncio is %simported",
		     f->snap->asyncio_loaded ? "" : "not ");
	add_evidence(v, "thread states", "%zu threads, none runs a loop", f->snap->n_threads);
}

static const struct rule process_rules[] = {
	{"stopped", process_stopped, explain_stopped},
	{"traced", process_traced, explain_traced},
	{"no-loop", no_loop, explain_no_loop},
};

/* ---- one loop
 * ------------------------------------------------------------------------------------ */

/* Nothing of the loop could be read: raw facts only. */
static bool loop_unreadable(const struct facts *f)
{
	return (!f->loop->have_info && !f->loop->have_run) || f->loop->phase == SNAP_UNKNOWN;
}

/* A core without a clock: a callback runs, and nothing says for how long. */
static bool time_unknown(const struct facts *f)
{
	return !f->snap->clock_ns && f->loop->phase != SNAP_SELECT;
}

static void explain_time_unknown(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_UNSURE, CONFIDENCE_LOW, "");
	v->title = "in a callback; this core does not tell for how long";
	v->advice = "a file of stallscope --save has the time; see the stack below";
	add_evidence(v, "_run_once locals", "callback %lld of %lld of this turn runs",
		     (long long)f->loop->run.index + 1, (long long)f->loop->run.ntodo);
}

static void explain_unsure(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_UNSURE, CONFIDENCE_LOW, "");
	v->title = "the loop could not be read";
	v->advice = "look again; if it stays, run stallscope doctor";
	add_evidence(v, "frames", "%s",
		     f->loop->have_run ? "the loop object did not read"
				       : "no _run_once frame in its thread");
}

static bool late(const struct facts *f)
{
	double worst = f->loop->info.worst_late * 1e9;

	return f->held_now || f->worst_held_ns >= f->threshold_ns ||
	       worst >= (double)f->threshold_ns;
}

/* The loop's thread sleeps on the GIL in most looks: another thread has it. */
static bool starved_gil(const struct facts *f)
{
	return late(f) && f->gil_looks * 2 >= f->looks && f->gil_looks > 0;
}

static uint32_t gil_holder(const struct snapshot *s)
{
	for (uint32_t i = 0; i < s->n_threads; i++)
		if (s->threads[i].holds_gil)
			return i;
	return SNAP_NONE;
}

static void explain_starved_gil(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;

	set(v, VERDICT_STARVED, CONFIDENCE_HIGH, "gil");
	v->title = "waits for the GIL, which another thread holds";
	v->advice = "move that work into a process, or make its calls shorter: no callback of the "
		    "loop is to blame";
	v->culprit.holder = gil_holder(s);
	add_evidence(v, "/proc/PID/task/TID/syscall", "futex inside _PyRuntime in %zu of %zu looks",
		     f->gil_looks, f->looks);
	if (v->culprit.holder != SNAP_NONE)
		add_evidence(v, "GIL state", "held by thread %d (%s)",
			     s->threads[v->culprit.holder].os.tid,
			     s->threads[v->culprit.holder].name
				     ? s->threads[v->culprit.holder].name
				     : s->threads[v->culprit.holder].os_name);
}

/* Runnable, but others run: state R does not mean "on CPU". */
static bool starved_cpu(const struct facts *f)
{
	static const double queued = 0.3;

	return late(f) && f->looks > 1 && f->state == 'R' && f->on_cpu >= 0 &&
	       f->on_cpu < ON_CPU_RATIO && f->run_queue > queued;
}

static void explain_starved_cpu(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_STARVED, CONFIDENCE_HIGH, "cpu.host");
	v->title = "wants to run and gets no CPU";
	v->advice = "give it CPU: raise the limit or quota, or move the other load away";
	add_evidence(v, "schedstat", "on CPU %.0f %%, waiting for a CPU %.0f %% of %.0f ms",
		     f->on_cpu * 100, f->run_queue * 100, f->window_s * 1e3);
}

static bool inside_flood(const struct facts *f)
{
	if (f->index_moved || f->turn_moved)
		return f->max_batch >= MANY_CALLBACKS && f->turn_s * 1e9 >= (double)f->threshold_ns;
	return false;
}

/*
 * One look, in the middle of a large batch, on CPU: many short callbacks so far is the likelier
 * reading, and the mean cost of one is below the threshold.
 */
static bool flood_at_one_look(const struct facts *f)
{
	return f->looks == 1 && f->max_batch >= MANY_CALLBACKS && f->callback_s >= 0 &&
	       f->state == 'R' && f->turn_s * 1e9 >= (double)f->threshold_ns &&
	       f->callback_s * 1e9 < (double)f->threshold_ns;
}

/* Thousands of callbacks in every turn and never a wait in select: saturated, if not yet late. */
static bool saturated(const struct facts *f)
{
	static const double busy = 0.9;

	return f->looks > 1 && (f->turn_moved || f->index_moved) && !f->waited &&
	       f->max_batch >= HUGE_BATCH && f->on_cpu >= 0 && f->on_cpu + f->run_queue >= busy;
}

/* One look at a turn of many thousands that has begun: whatever they cost, they are too many. */
static bool enormous(const struct facts *f)
{
	return f->looks == 1 && f->max_batch >= 5 * HUGE_BATCH && !f->held_now;
}

static bool overloaded(const struct facts *f)
{
	return inside_flood(f) || flood_at_one_look(f) || saturated(f) || enormous(f);
}

static void explain_overloaded(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_OVERLOADED, f->looks > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM, "mixed");
	v->callback_s = f->callback_s;
	v->turn_s = f->turn_s;
	if (f->turn_s > seconds(v->lag_ns))
		v->lag_ns = aio_ns(f->turn_s);
	v->title = "too many ready callbacks";
	v->advice =
		"bound the concurrency: asyncio.Semaphore, a fixed pool of workers on a bounded "
		"Queue, or TaskGroup in batches";
	add_evidence(v, "_run_once locals", "largest batch %lld callbacks, one turn %.3f s",
		     (long long)f->max_batch, f->turn_s);
	if (f->looks > 1)
		add_evidence(v, "looks", "the callback changed between %zu looks in %.0f ms",
			     f->looks, f->window_s * 1e3);
}

static bool on_cpu(const struct facts *f)
{
	return f->on_cpu >= 0 ? f->on_cpu >= ON_CPU_RATIO : f->state == 'R';
}

/*
 * One callback held the loop for the threshold or longer. Held time belongs to the present
 * callback for certain when it is the first of its turn; else only when nothing moved since.
 */
static bool stalled(const struct facts *f)
{
	bool first = f->loop->run.have_batch && f->loop->run.index == 0;

	return f->held_now && !f->index_moved && (!f->turn_moved || first);
}

static bool stalled_blocked(const struct facts *f)
{
	return stalled(f) && !on_cpu(f);
}

static bool stalled_cpu(const struct facts *f)
{
	return stalled(f) && on_cpu(f);
}

/* Which callback is held is certain when it is the first of its turn or was seen twice. */
static enum confidence stall_confidence(const struct facts *f)
{
	if (f->looks > 1 && f->same_callback)
		return CONFIDENCE_CERTAIN;
	if (f->looks == 1 && f->loop->run.have_batch && f->loop->run.index == 0)
		return CONFIDENCE_CERTAIN;
	return f->loop->held_is_lower ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM;
}

static void stall_evidence(const struct facts *f, struct verdict *v)
{
	const struct aio_run *run = &f->loop->run;

	if (run->have_batch)
		add_evidence(v, "_run_once locals",
			     "select returned %.3f s ago, callback %lld of %lld",
			     seconds(f->loop->held_ns), (long long)run->index + 1,
			     (long long)run->ntodo);
	else if (f->loop->held_is_lower)
		add_evidence(v, "uv_loop_t.time", "libuv last took the time %.3f s ago",
			     seconds(f->loop->held_ns));
	if (f->looks > 1)
		add_evidence(v, "looks", "the same callback in %zu of %zu looks over %.0f ms",
			     f->same_callback ? f->looks : (size_t)1, f->looks, f->window_s * 1e3);
	if (f->on_cpu >= 0)
		add_evidence(v, "schedstat", "on CPU %.0f %%, waiting for a CPU %.0f %%",
			     f->on_cpu * 100, f->run_queue * 100);
}

static void explain_blocked(const struct facts *f, struct verdict *v)
{
	const struct call_kind *kind;
	char text[32];

	set(v, VERDICT_STALLED, stall_confidence(f), "blocked.unknown");
	v->title = "waits";
	v->advice = "use the async variant of this call; quick fix: await asyncio.to_thread(...)";
	kind = call_kind(v->culprit.system_call);
	if (v->culprit.category && strncmp(v->culprit.category, "cpu.", 4) != 0) {
		snprintf(text, sizeof(text), "blocked.%.20s", v->culprit.category);
		set(v, v->id, v->confidence, text);
		v->title = kind ? kind->title : "waits";
		v->advice = v->culprit.advice;
	} else if (kind) {
		snprintf(text, sizeof(text), "blocked.%s", kind->kind);
		set(v, v->id, v->confidence, text);
		v->title = kind->title;
		v->advice = kind->advice;
	}
	stall_evidence(f, v);
	if (v->culprit.system_call)
		add_evidence(v, "/proc/PID/task/TID/syscall", "thread state %c in %s",
			     f->state ? f->state : '?', v->culprit.system_call);
}

static void explain_cpu(const struct facts *f, struct verdict *v)
{
	set(v, VERDICT_STALLED, stall_confidence(f), "cpu.python");
	v->title = "burns CPU";
	v->advice = "make it shorter, yield with await asyncio.sleep(0), or run it in a "
		    "ProcessPoolExecutor; a thread helps only if the call releases the GIL";
	if (v->culprit.category && !strncmp(v->culprit.category, "cpu.", 4)) {
		set(v, v->id, v->confidence, v->culprit.category);
		v->advice = v->culprit.advice;
	}
	stall_evidence(f, v);
	if (f->on_cpu < 0)
		add_evidence(v, "/proc/PID/task/TID/stat", "thread state R in the one look taken");
}

/* It was held at the full look and moved on since: the stall is over, the picture is of it. */
static bool healthy(const struct facts *f)
{
	return f->loop->have_run || f->loop->info.is_uvloop;
}

static void explain_healthy(const struct facts *f, struct verdict *v)
{
	const struct snap_loop *l = f->loop;

	set(v, VERDICT_HEALTHY, f->looks > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM, "");
	v->title = "the loop is healthy";
	v->advice = "the loop is not the problem: see what the tasks wait on";
	if (l->phase == SNAP_SELECT)
		add_evidence(v, l->have_run ? "_run_once locals" : "/proc/PID/task/TID/syscall",
			     "the loop waits in select");
	else
		add_evidence(v, "_run_once locals", "in callbacks for %.1f ms, below the threshold",
			     seconds(l->held_ns) * 1e3);
	if (f->looks > 1)
		add_evidence(v, "looks", "worst hold in %zu looks over %.0f ms: %.1f ms", f->looks,
			     f->window_s * 1e3, seconds(f->worst_held_ns) * 1e3);
}

static bool always(const struct facts *f)
{
	(void)f;
	return true;
}

static const struct rule loop_rules[] = {
	{"unsure", loop_unreadable, explain_unsure},
	{"time-unknown", time_unknown, explain_time_unknown},
	{"starved.gil", starved_gil, explain_starved_gil},
	{"starved.cpu", starved_cpu, explain_starved_cpu},
	{"overloaded", overloaded, explain_overloaded},
	{"stalled.blocked", stalled_blocked, explain_blocked},
	{"stalled.cpu", stalled_cpu, explain_cpu},
	{"healthy", healthy, explain_healthy},
	{"otherwise", always, explain_unsure},
};

static bool apply(const struct rule *rules, size_t n, const struct facts *f, struct verdict *v)
{
	for (size_t i = 0; i < n; i++) {
		if (!rules[i].matches(f))
			continue;
		rules[i].explain(f, v);
		return true;
	}
	return false;
}

bool rules_process(const struct facts *f, struct verdict *v)
{
	return apply(process_rules, ARRAY_SIZE(process_rules), f, v);
}

void rules_loop(const struct facts *f, struct verdict *v)
{
	apply(loop_rules, ARRAY_SIZE(loop_rules), f, v);
}
