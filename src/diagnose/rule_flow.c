/* SPDX-License-Identifier: Apache-2.0 */
/* The loop turns: too many callbacks, holds that come and go, or hardly a moment to spare. */
#include <string.h>

#include "rules.h"

#define BUSY_RATIO  0.9
#define LATE_TIMERS 1000
#define HALF(n, of) ((n)*2 > (of))

/* ---- overloaded --------------------------------------------------------------------------------
 */

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
	return f->looks > 1 && (f->turn_moved || f->index_moved) && !f->select_looks &&
	       f->max_batch >= HUGE_BATCH && f->on_cpu >= 0 &&
	       f->on_cpu + f->run_queue >= BUSY_RATIO;
}

/* One look at a turn of many thousands that has begun: whatever they cost, they are too many. */
static bool enormous(const struct facts *f)
{
	return f->looks == 1 && f->max_batch >= 5 * HUGE_BATCH && !f->held_now;
}

bool overloaded(const struct facts *f)
{
	return inside_flood(f) || flood_at_one_look(f) || saturated(f) || enormous(f);
}

/* At the end of a turn the queue is empty: then the tasks tell. */
static bool mostly_retries(const struct snap_loop *l)
{
	static const uint32_t few = 16;

	return l->ready.sampled < few && HALF(l->under_retry, l->tasks);
}

/* ready: what was sampled of the queue. */
static void name_overload(const struct facts *f, const struct snap_ready *ready, struct verdict *v)
{
	uint32_t n = ready->sampled;

	if (HALF(ready->sleep0, n)) {
		set_verdict(v, v->id, v->confidence, "spin");
		v->title = "tasks that yield with sleep(0) and come back at once";
		v->advice = "wait for what they poll: an Event, a Queue, a Future; or sleep for a "
			    "time that is not 0";
		add_evidence(v, "_ready", "%u of %u sampled are in asyncio.sleep(0)", ready->sleep0,
			     n);
	} else if (HALF(ready->under_retry, n) || mostly_retries(f->loop)) {
		set_verdict(v, v->id, v->confidence, "retry");
		v->title = "retries: more of them start than end";
		v->advice = "fewer retries with longer, random pauses, and a circuit breaker: what "
			    "they call is down or too slow";
		add_evidence(v, "frames", "%u of %u %s inside a retry", f->loop->under_retry,
			     f->loop->tasks, PLURAL(f->loop->tasks, "task is", "tasks are"));
	} else if (f->loop->info.timers_late > LATE_TIMERS) {
		set_verdict(v, v->id, v->confidence, "timers");
		v->title = "more timers are due than the loop can serve";
		v->advice = "one timer for many things: sweep a list of deadlines instead of a "
			    "timer or sleep for each";
		add_evidence(v, "_scheduled", "%lld timers are overdue",
			     (long long)f->loop->info.timers_late);
	} else if (n && HALF(ready->top[0].count, n)) {
		set_verdict(v, v->id, v->confidence, "fanout");
		v->title = "too many tasks of one kind at once";
	}
	if (n && ready->top[0].count)
		add_evidence(v, "_ready", "%u of %u sampled %s %s", ready->top[0].count, n,
			     PLURAL(ready->top[0].count, "is", "are"), ready->top[0].name);
}

void explain_overloaded(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_OVERLOADED, f->looks > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM,
		    "mixed");
	v->callback_s = f->callback_s;
	v->turn_s = f->turn_s;
	v->batch = f->max_batch;
	if (f->turn_s > ns_to_s(v->lag_ns))
		v->lag_ns = aio_ns(f->turn_s);
	v->title = "too many ready callbacks";
	v->advice =
		"bound the concurrency: asyncio.Semaphore, a fixed pool of workers on a bounded "
		"Queue, or TaskGroup in batches";
	add_evidence(v, "_run_once locals", "largest batch %lld %s, one turn %.3f s",
		     (long long)f->max_batch, PLURAL(f->max_batch, "callback", "callbacks"),
		     f->turn_s);
	if (f->looks > 1)
		add_evidence(v, "looks", "the callback changed between %zu looks in %.0f ms",
			     f->looks, f->window_s * 1e3);
	name_overload(f, &f->loop->ready, v);
}

/* ---- choppy ------------------------------------------------------------------------------------
 */

bool choppy(const struct facts *f)
{
	return f->episodes > 1 && f->all_window_s >= 1;
}

void explain_choppy(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_CHOPPY, f->all_window_s >= 2 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM,
		    "");
	v->title = "is held again and again, for short times";
	v->advice = "shorten what holds it, or move it off the loop; look again to see whether it "
		    "is always the same line";
	if (f->held_now && f->culprit->advice)
		v->advice = f->culprit->advice;
	if (f->worst_held_ns > v->lag_ns)
		v->lag_ns = f->worst_held_ns;
	v->episodes = f->episodes;
	add_evidence(v, "looks", "%u holds in %.1f s, the longest of at least %.3f s", f->episodes,
		     f->all_window_s, ns_to_s(f->worst_held_ns));
}

/* ---- busy --------------------------------------------------------------------------------------
 */

/* Hardly ever in select: its thread runs, or wants to, or is in some short call, all the time. */
bool busy(const struct facts *f)
{
	static const size_t enough = 5;
	static const double window_s = 0.1;
	double on_cpu = f->all_on_cpu < 0 ? 0 : f->all_on_cpu + f->all_run_queue;

	if (f->all_looks < enough || f->all_window_s < window_s || !f->turn_moved)
		return false;
	return on_cpu >= BUSY_RATIO ||
	       (double)f->select_looks <= (1 - BUSY_RATIO) * (double)f->all_looks;
}

void explain_busy(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_BUSY, CONFIDENCE_HIGH, "");
	if (facts_late(f)) {
		v->title = "is hardly ever idle, and late";
		v->advice = "add workers or take work out of the loop; stallscope dump --for 3s "
			    "tells whether its turns are held again and again";
	} else {
		v->title = "is near saturation, and not late yet";
		v->advice = "add workers or take work out of the loop before it is late: the next "
			    "burst will make it so";
	}
	add_evidence(v, "looks", "in select in %zu of %zu looks over %.0f ms", f->select_looks,
		     f->all_looks, f->all_window_s * 1e3);
	if (f->all_on_cpu >= 0)
		add_evidence(v, "schedstat", "on CPU %.0f %%, waiting for a CPU %.0f %%",
			     f->all_on_cpu * 100, f->all_run_queue * 100);
	add_gil_evidence(f, v);
	add_evidence(v, "looks", "worst hold %.1f ms", ns_to_s(f->worst_held_ns) * 1e3);
}
