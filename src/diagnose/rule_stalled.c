/* SPDX-License-Identifier: Apache-2.0 */
/* One callback holds the loop: at a prompt, in another loop, in the collector, waiting, computing.
 */
#include <stdio.h>
#include <string.h>

#include "rules.h"

/* It computes, or would if it could: where it gets too little of the CPU, STARVED came first. */
static bool on_cpu(const struct facts *f)
{
	return f->on_cpu >= 0 ? f->on_cpu + f->run_queue >= ON_CPU_RATIO : f->state == 'R';
}

/* Short holds, one after the other, while we looked for long: CHOPPY says more than the last. */
static bool one_of_many(const struct facts *f)
{
	static const int64_t long_ns = 1000000000;

	return f->episodes > 1 && f->all_window_s >= 1 && f->held_ns < long_ns;
}

/*
 * One callback held the loop for the threshold or longer. Held time belongs to the present
 * callback for certain when it is the first of its turn; else only when nothing moved since.
 */
static bool stalled(const struct facts *f)
{
	bool first = f->loop->run.have_batch && f->loop->run.index == 0;

	return f->held_now && !f->index_moved && (!f->turn_moved || first) && !one_of_many(f);
}

/*
 * That this callback holds the loop is certain when it is the first of its turn, or did so for the
 * threshold while we looked. Else those before it in the turn may have had most of the time.
 */
static enum confidence stall_confidence(const struct facts *f)
{
	bool first = !f->loop->run.have_batch || f->loop->run.index == 0;
	bool twice = f->looks > 1 && f->same_callback;

	if (twice && (first || f->window_s * 1e9 >= (double)f->threshold_ns))
		return CONFIDENCE_CERTAIN;
	if (f->looks == 1 && f->loop->run.have_batch && first)
		return CONFIDENCE_CERTAIN;
	if (twice)
		return CONFIDENCE_HIGH;
	return f->held_is_lower ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM;
}

void held_evidence(const struct facts *f, struct verdict *v)
{
	const struct aio_run *run = &f->loop->run;

	if (f->loop->own_clock)
		add_evidence(v, "looks",
			     "callback %lld of %lld for %.3f s so far: the loop's own "
			     "clock does not tell since when",
			     (long long)run->index + 1, (long long)run->ntodo, ns_to_s(f->held_ns));
	else if (run->have_batch)
		add_evidence(v, "_run_once locals",
			     "select returned %.3f s ago, callback %lld of %lld",
			     ns_to_s(f->held_ns), (long long)run->index + 1, (long long)run->ntodo);
	else if (f->held_is_lower)
		add_evidence(v, "uv_loop_t.time", "libuv last took the time %.3f s ago",
			     ns_to_s(f->held_ns));
}

static void stall_evidence(const struct facts *f, struct verdict *v)
{
	held_evidence(f, v);
	if (f->looks > 1 && f->turn_moved)
		add_evidence(v, "looks", "it ended while we looked, within %.0f ms",
			     f->window_s * 1e3);
	else if (f->looks > 1)
		add_evidence(v, "looks", "the same callback in %zu of %zu looks over %.0f ms",
			     f->found_looks, f->looks, f->window_s * 1e3);
	if (f->on_cpu >= 0)
		add_evidence(v, "schedstat", "on CPU %.0f %%, waiting for one %.0f %%%s",
			     f->on_cpu * 100, f->run_queue * 100,
			     f->slept ? ": not run meanwhile" : "");
}

/* "blocked.io.http", "cpu.json": a category says only once that it is of the CPU. */
static void set_kind(struct verdict *v, const char *prefix, const char *category)
{
	bool twice = !strncmp(category, "cpu.", 4);

	snprintf(v->kind, sizeof(v->kind), "%s.%.23s", prefix, twice ? category + 4 : category);
}

static bool of_cpu(const char *category)
{
	return category && !strncmp(category, "cpu.", 4);
}

/* ---- debugger, nested loop, garbage collector -------------------------------------------------
 */

bool stalled_debugger(const struct facts *f)
{
	return stalled(f) && f->culprit->category && !strcmp(f->culprit->category, "debugger");
}

void explain_debugger(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_STALLED, stall_confidence(f), "debugger");
	v->title = "stands at the prompt of a debugger";
	v->advice = "a breakpoint was left in: remove it, or continue at the prompt";
	stall_evidence(f, v);
	add_evidence(v, "frames", "%s", f->culprit->rule);
}

/* The innermost loop that runs inside a callback of this one; SNAP_NONE. */
static uint32_t inner_loop(const struct facts *f)
{
	uint32_t inner = SNAP_NONE;

	for (uint32_t i = 0; i < f->snap->n_loops; i++)
		if (f->snap->loops[i].outer == f->index)
			inner = i;
	return inner;
}

bool stalled_nested(const struct facts *f)
{
	return stalled(f) && inner_loop(f) != SNAP_NONE;
}

void explain_nested(const struct facts *f, struct verdict *v)
{
	uint32_t inner = inner_loop(f);

	set_verdict(v, VERDICT_STALLED, stall_confidence(f), "nested");
	v->title = "runs another event loop inside a callback";
	v->advice = "await the coroutine instead of running a loop for it; a library that must "
		    "run one belongs into a thread: await asyncio.to_thread(...)";
	stall_evidence(f, v);
	add_evidence(v, "frames", "a second _run_once, of loop 0x%llx, on the same stack",
		     (unsigned long long)f->snap->loops[inner].run.loop);
}

bool stalled_gc(const struct facts *f)
{
	static const double nearly_all = 0.8;

	return stalled(f) && on_cpu(f) && (double)f->gc_looks >= nearly_all * (double)f->looks;
}

void explain_gc(const struct facts *f, struct verdict *v)
{
	const struct culprit_row *row = culprits_find(CULPRIT_STATE, "interp.gc.collecting");

	set_verdict(v, VERDICT_STALLED, f->looks > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM, "gc");
	v->title = "collects garbage: that line is only where it began";
	v->advice = row ? row->advice : "";
	if (row)
		take_row(row, &v->culprit);
	stall_evidence(f, v);
	add_evidence(v, "interpreter state", "gc.collecting in %zu of %zu %s", f->gc_looks,
		     f->looks, PLURAL(f->looks, "look", "looks"));
}

/* ---- blocked -----------------------------------------------------------------------------------
 */

bool stalled_blocked(const struct facts *f)
{
	return stalled(f) && !on_cpu(f);
}

/* Calls whose own clause says more than the category of the library around them. */
static bool call_says_more(const char *call)
{
	static const char *const calls[] = {"connect", "accept", "accept4", "sendto", "sendmsg"};

	for (size_t i = 0; call && i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i], call))
			return true;
	return false;
}

/* The category of the call: of the library, else of what it waits on, else of the call itself. */
static const char *category_of(const struct facts *f, const struct culprit_row *call)
{
	const struct culprit *c = f->culprit;
	const struct snap_loop *l = f->loop;

	if (c->category && !of_cpu(c->category))
		return c->category;
	if (l->wait.is_dns)
		return "io.dns";
	/* select() with descriptors is no sleep */
	if (call && !strcmp(call->category, "sleep") && l->blocked.kind == SNAP_BLOCKED_FDS)
		return "io.socket";
	return call ? call->category : "unknown";
}

/* Libraries with threads of their own: this one waits for those, which compute. */
static bool waits_for_own_threads(const struct facts *f)
{
	return of_cpu(f->culprit->category) && f->culprit->system_call &&
	       !strcmp(f->culprit->system_call, "futex");
}

static void name_blocked(const struct facts *f, struct verdict *v)
{
	const struct culprit *c = f->culprit;
	const struct culprit_row *call =
		c->system_call ? culprits_find(CULPRIT_SYSCALL, c->system_call) : NULL;
	const char *category = category_of(f, call);
	const char *clause = category_clause(category);

	set_kind(v, "blocked", category);
	if (call && (call_says_more(c->system_call) || !clause))
		v->title = call->title;
	else if (clause)
		v->title = clause;
	if (category == c->category && c->advice)
		v->advice = c->advice;
	else if (call)
		v->advice = call->advice;
}

void explain_blocked(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_STALLED, stall_confidence(f), "");
	v->title = "waits";
	v->advice = "use the async variant of this call; quick fix: await asyncio.to_thread(...)";
	if (waits_for_own_threads(f)) {
		set_kind(v, "cpu", f->culprit->category);
		v->title = "waits for threads of that library, which compute";
		v->advice = f->culprit->advice;
	} else {
		name_blocked(f, v);
	}
	stall_evidence(f, v);
	if (f->culprit->system_call)
		add_evidence(v, "/proc/PID/task/TID/syscall", "thread state %c in %s",
			     f->state ? f->state : '?', f->culprit->system_call);
	if (!strncmp(f->culprit->leaf_name, "ccall ", 6))
		add_evidence(v, "bytecode", "the call is %s", f->culprit->leaf_name + 6);
}

/* ---- computing ---------------------------------------------------------------------------------
 */

bool stalled_cpu(const struct facts *f)
{
	return stalled(f) && on_cpu(f);
}

/* A client library that burns CPU is not waiting for its server: it is Python code. */
static bool computes(const struct culprit *c)
{
	return c->category &&
	       (strncmp(c->category, "io.", 3) != 0 || strcmp(c->rule_kind, "py") != 0);
}

void explain_cpu(const struct facts *f, struct verdict *v)
{
	const struct culprit *c = f->culprit;

	set_verdict(v, VERDICT_STALLED, stall_confidence(f), "cpu.python");
	v->title = "burns CPU";
	v->advice = "make it shorter, yield with await asyncio.sleep(0), or run it in a "
		    "ProcessPoolExecutor; a thread helps only if the call releases the GIL";
	if (computes(c)) {
		set_kind(v, "cpu", c->category);
		v->advice = c->advice;
	}
	stall_evidence(f, v);
	if (f->on_cpu < 0)
		add_evidence(v, "/proc/PID/task/TID/stat", "thread state R in the one look taken");
	if (!strncmp(c->leaf_name, "ccall ", 6))
		add_evidence(v, "bytecode", "the call is %s", c->leaf_name + 6);
}
