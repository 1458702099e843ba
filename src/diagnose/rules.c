/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules in order: the first that matches gives the verdict. A rule is a row; `matches`
 * decides from facts alone, `explain` fills the verdict. Rules of the whole process come first
 * and see no loop. Those of the two ends, nothing known and nothing wrong, are here too.
 */
#include "rules.h"

#include <stdio.h>

void set_verdict(struct verdict *v, enum verdict_id id, enum confidence confidence,
		 const char *kind)
{
	v->id = id;
	v->confidence = confidence;
	if (kind != v->kind)
		snprintf(v->kind, sizeof(v->kind), "%s", kind);
}

/* ---- nothing known --------------------------------------------------------------------------- */

/* Nothing of the loop could be read: raw facts only. */
static bool loop_unreadable(const struct facts *f)
{
	return (!f->loop->have_info && !f->loop->have_run) || f->loop->phase == SNAP_UNKNOWN;
}

/* No clock, or another one, and no looks in its place: a callback runs, and for how long is open.
 */
static bool time_unknown(const struct facts *f)
{
	bool unknown = f->loop->own_clock ? !f->held_now && !f->turn_moved && !f->index_moved
					  : !f->snap->clock_ns;

	return unknown && f->loop->phase != SNAP_SELECT;
}

static void explain_time_unknown(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_UNSURE, CONFIDENCE_LOW, "");
	if (f->loop->own_clock) {
		v->title = "in a callback; the loop's own clock does not tell for how long";
		v->advice = "look for longer than the threshold (--for); see the stack below";
	} else {
		v->title = "in a callback; this core does not tell for how long";
		v->advice = "a file of stallscope --save has the time; see the stack below";
	}
	add_evidence(v, "_run_once locals", "callback %lld of %lld of this turn runs",
		     (long long)f->loop->run.index + 1, (long long)f->loop->run.ntodo);
}

static void explain_unsure(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_UNSURE, CONFIDENCE_LOW, "");
	v->title = "the loop could not be read";
	v->advice = "look again; if it stays, run stallscope doctor";
	add_evidence(v, "frames", "%s",
		     f->loop->have_run ? "the loop object did not read"
				       : "no _run_once frame in its thread");
}

/* ---- nothing wrong ----------------------------------------------------------------------------
 */

static bool healthy(const struct facts *f)
{
	return f->loop->have_run || f->loop->info.is_uvloop;
}

static void explain_healthy(const struct facts *f, struct verdict *v)
{
	const struct snap_loop *l = f->loop;

	set_verdict(v, VERDICT_HEALTHY, f->looks > 1 ? CONFIDENCE_HIGH : CONFIDENCE_MEDIUM, "");
	v->title = "the loop is healthy";
	v->advice = "the loop is not the problem now: see what the tasks wait on; for what comes "
		    "and goes: stallscope watch PID";
	if (f->episodes) {
		set_verdict(v, VERDICT_HEALTHY, CONFIDENCE_MEDIUM, "");
		v->title = "the loop turns, but was held once while we looked";
		v->advice = "look for longer to see whether that comes again: --for 3s";
		v->episodes = f->episodes;
	}
	add_gil_evidence(f, v);
	if (l->phase == SNAP_SELECT && !f->thread->waits_for_gil)
		add_evidence(v, l->have_run ? "_run_once locals" : "/proc/PID/task/TID/syscall",
			     "the loop waits in select");
	else if (f->have_held)
		add_evidence(v, "_run_once locals", "in callbacks for %.1f ms",
			     ns_to_s(f->held_ns) * 1e3);
	if (f->all_looks > 1 && !l->own_clock)
		add_evidence(v, "looks", "worst hold in %zu looks over %.0f ms: %.1f ms",
			     f->all_looks, f->all_window_s * 1e3, ns_to_s(f->worst_held_ns) * 1e3);
	add_ring_evidence(f, v);
}

static bool always(const struct facts *f)
{
	(void)f;
	return true;
}

/* ---- the tables -------------------------------------------------------------------------------
 */

static const struct rule process_rules[] = {
	{"frozen", process_frozen, explain_frozen},
	{"stopped", process_stopped, explain_stopped},
	{"traced", process_traced, explain_traced},
	{"no-loop", no_loop, explain_no_loop},
};

static const struct rule loop_rules[] = {
	{"unsure", loop_unreadable, explain_unsure},
	{"time-unknown", time_unknown, explain_time_unknown},
	{"starved.gil", starved_gil, explain_starved_gil},
	{"starved.cpu", starved_cpu, explain_starved_cpu},
	{"starved.mem", starved_mem, explain_starved_mem},
	{"deadlock", deadlock, explain_deadlock},
	{"stalled.debugger", stalled_debugger, explain_debugger},
	{"stalled.nested", stalled_nested, explain_nested},
	{"stalled.gc", stalled_gc, explain_gc},
	{"overloaded", overloaded, explain_overloaded},
	{"stalled.blocked", stalled_blocked, explain_blocked},
	{"stalled.cpu", stalled_cpu, explain_cpu},
	{"choppy", choppy, explain_choppy},
	{"busy", busy, explain_busy},
	{"waiting.deadlock", lock_ring, explain_lock_ring},
	{"waiting", waiting, explain_waiting},
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
