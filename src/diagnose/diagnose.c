/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "rules.h"

static const struct {
	const char *word;
	bool unhealthy;
	int severity;
} verdicts[] = {
#define X(name, word, unhealthy, severity) {word, unhealthy, severity},
	VERDICT_LIST(X)
#undef X
};

const char *verdict_word(enum verdict_id id)
{
	return verdicts[id].word;
}

bool verdict_unhealthy(enum verdict_id id)
{
	return verdicts[id].unhealthy;
}

const char *confidence_word(enum confidence c)
{
	static const char *const words[] = {"low", "medium", "high", "certain"};

	return words[c];
}

static const struct verdict blank = {
	.same_callback = -1,
	.on_cpu = -1,
	.run_queue = -1,
	.callback_s = -1,
	.site_task = SNAP_NONE,
	.other = SNAP_NONE,
	.culprit = {.frame = SNAP_NONE, .leaf = SNAP_NONE, .task = SNAP_NONE, .holder = SNAP_NONE},
	.title = "",
	.advice = "",
};

const char *flag_word(enum flag_id id)
{
	static const char *const words[] = {
#define X(name, word) word,
		FLAG_LIST(X)
#undef X
	};

	return words[id];
}

static void measure(const struct facts *f, struct verdict *v)
{
	const struct snap_loop *l = f->loop;

	v->have_held = f->have_held;
	v->held_ns = f->held_ns;
	v->held_bound = !f->have_held ? NULL : f->held_is_lower ? "lower" : "upper";
	v->lag_ns = aio_ns(l->info.worst_late);
	if (f->have_held && f->held_ns > v->lag_ns)
		v->lag_ns = f->held_ns;
	v->on_cpu = f->on_cpu;
	v->run_queue = f->run_queue;
	if (f->looks > 1 && l->have_run && l->run.have_batch)
		v->same_callback = f->same_callback ? 1 : f->turn_moved || f->index_moved ? 0 : -1;
}

/* Whether what the loop did at the full look is to blame for anything. */
static bool holds(const struct facts *f, enum verdict_id id)
{
	if (id == VERDICT_CHOPPY)
		return f->held_now;
	return id != VERDICT_HEALTHY && id != VERDICT_WAITING && id != VERDICT_BUSY;
}

static void judge_loop(const struct snapshot *snap, uint32_t i, int64_t threshold_ns,
		       struct verdict *v)
{
	struct facts f;

	facts_of_loop(snap, i, threshold_ns, &f);
	*v = blank;
	measure(&f, v);
	f.culprit = &v->culprit;
	if (f.loop->phase == SNAP_CALLBACKS || f.loop->phase == SNAP_PROCESSING)
		find_culprit(&f, v);
	rules_loop(&f, v);
	if (v->id == VERDICT_STALLED || v->id == VERDICT_DEADLOCK)
		native_evidence(&f, v);
	v->flags = flags_of_loop(&f);
	if (!holds(&f, v->id))
		v->culprit = blank.culprit;
}

static void find_worst(struct diagnosis *d)
{
	d->worst_loop = SNAP_NONE;
	for (size_t i = 0; i < d->n; i++) {
		if (d->worst_loop != SNAP_NONE &&
		    verdicts[d->loops[i].id].severity <= verdicts[d->worst].severity)
			continue;
		d->worst = d->loops[i].id;
		d->worst_loop = (uint32_t)i;
	}
}

static double window(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) / 1e9 : 0;
}

static void count_looks(const struct snapshot *snap, struct diagnosis *d)
{
	size_t loops = snap->n_loops ? snap->n_loops : 1;
	uint64_t last;

	d->n_looks = snap->n_looks ? snap->n_looks / loops : 1;
	if (snap->n_looks < 2)
		return;
	last = snap->looks[snap->n_looks - 1].clock_ns;
	d->window_s = window(snap->looks[0].clock_ns, last);
	d->since_s = window(snap->clock_ns, last);
}

struct diagnosis *diagnose(const struct snapshot *snap, const struct diagnose_options *options)
{
	struct diagnosis *d = mem_zalloc(1, sizeof(*d));
	struct facts whole = {.snap = snap, .threshold_ns = options->threshold_ns};

	d->n = snap->n_loops;
	d->loops = mem_zalloc(d->n + 1, sizeof(*d->loops));
	d->process = blank;
	count_looks(snap, d);
	if (rules_process(&whole, &d->process)) {
		for (size_t i = 0; i < d->n; i++)
			d->loops[i] = d->process;
		d->worst = d->process.id;
		d->worst_loop = SNAP_NONE;
		return d;
	}
	for (size_t i = 0; i < d->n; i++)
		judge_loop(snap, (uint32_t)i, options->threshold_ns, &d->loops[i]);
	find_worst(d);
	return d;
}

void diagnosis_destroy(struct diagnosis *d)
{
	if (!d)
		return;
	free(d->loops);
	free(d);
}

/* ---- when to end ----------------------------------------------------------------------------- */

#define MS INT64_C(1000000)

/*
 * How long the looks at a held loop must last for schedstat to tell waiting from computing from
 * getting no CPU: a few ticks; where others want the same CPU, or a quota is dealt out in periods
 * of 100 ms, some of those; a collection of garbage may be a short part of what runs.
 */
static int64_t enough_ns(const struct snapshot *snap, uint32_t loop, const struct verdict *v)
{
	if (snap->threads[snap->loops[loop].thread].os.stat.state == 'R' &&
	    snap->limits.cpu_quota_cores > 0)
		return 250 * MS;
	if (v->run_queue > 0.1)
		return 110 * MS;
	/* held for little more than the threshold, by others of its turn too: does this one last?
	 */
	if (v->id == VERDICT_STALLED && v->confidence < CONFIDENCE_CERTAIN && v->on_cpu > 0.1 &&
	    v->held_ns < 300 * MS)
		return 110 * MS;
	return !strcmp(v->kind, "gc") ? 60 * MS : 15 * MS;
}

/* Of a held loop whose thread is runnable one look does not say whether it runs. */
static bool is_runnable(const struct snapshot *snap, const struct diagnosis *d)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->loops[i].id == VERDICT_STALLED &&
		    snap->threads[snap->loops[i].thread].os.stat.state == 'R')
			return true;
	return false;
}

/* Who gives a second or more wants to know whether short holds come again. */
static bool may_be_choppy(const struct verdict *v, int64_t since_ns, int64_t for_ns)
{
	static const int64_t long_ns = 1000 * MS;

	return for_ns >= long_ns && v->held_ns + since_ns < long_ns;
}

int64_t diagnosis_wants(const struct snapshot *snap, const struct diagnosis *d, int64_t for_ns)
{
	int64_t all_ns = aio_ns(d->window_s), since_ns = aio_ns(d->since_s), enough;
	const struct verdict *v = d->worst_loop == SNAP_NONE ? NULL : &d->loops[d->worst_loop];

	if (d->worst == VERDICT_TRACED && snap->n_loops && for_ns)
		return since_ns < 25 * MS ? 25 * MS - since_ns : 0;
	if (!v)
		return 0;
	enough = enough_ns(snap, d->worst_loop, v);
	if (!for_ns)
		return is_runnable(snap, d) && since_ns < enough ? enough - since_ns : 0;
	if (all_ns >= for_ns)
		return 0;
	switch (v->id) {
	case VERDICT_STALLED:
		if (may_be_choppy(v, since_ns, for_ns))
			break;
		return since_ns < enough ? enough - since_ns : 0;
	case VERDICT_DEADLOCK:
	case VERDICT_OVERLOADED:
		return since_ns < enough ? enough - since_ns : 0;
	case VERDICT_STARVED:
		return since_ns < 200 * MS ? 200 * MS - since_ns : 0;
	default:
		break;
	}
	return for_ns - all_ns;
}
