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
	.culprit = {.frame = SNAP_NONE, .leaf = SNAP_NONE, .task = SNAP_NONE, .holder = SNAP_NONE},
	.title = "",
	.advice = "",
};

static void measure(const struct facts *f, struct verdict *v)
{
	const struct snap_loop *l = f->loop;

	v->have_held = l->have_held;
	v->held_ns = l->held_ns;
	v->held_bound = !l->have_held ? NULL : l->held_is_lower ? "lower" : "upper";
	v->lag_ns = aio_ns(l->info.worst_late);
	if (l->have_held && l->held_ns > v->lag_ns)
		v->lag_ns = l->held_ns;
	v->on_cpu = f->on_cpu;
	v->run_queue = f->run_queue;
	if (f->looks > 1 && l->have_run && l->run.have_batch)
		v->same_callback = f->same_callback;
}

static void judge_loop(const struct snapshot *snap, uint32_t i, int64_t threshold_ns,
		       struct verdict *v)
{
	struct facts f;

	facts_of_loop(snap, i, threshold_ns, &f);
	*v = blank;
	measure(&f, v);
	if (f.loop->phase == SNAP_CALLBACKS || f.loop->phase == SNAP_PROCESSING)
		find_culprit(&f, v);
	rules_loop(&f, v);
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

static void count_looks(const struct snapshot *snap, struct diagnosis *d)
{
	size_t loops = snap->n_loops ? snap->n_loops : 1;

	d->n_looks = snap->n_looks ? snap->n_looks / loops : 1;
	if (snap->n_looks > 1)
		d->window_s = (double)(snap->looks[snap->n_looks - 1].clock_ns -
				       snap->looks[0].clock_ns) /
			      1e9;
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

/* Neither on CPU nor asleep: a short window cannot tell a busy callback from a starved one. */
static bool contended(const struct verdict *v)
{
	return v->run_queue > 0.1;
}

bool diagnosis_certain(const struct snapshot *snap, const struct diagnosis *d)
{
	static const double enough_s = 0.015; /* for schedstat to tell blocked from busy */
	static const double longer_s = 0.1;   /* ... when others want the same CPU */

	switch (d->worst) {
	case VERDICT_STOPPED:
	case VERDICT_TRACED:
	case VERDICT_NO_LOOP:
		return true;
	case VERDICT_STALLED:
	case VERDICT_OVERLOADED:
		return snap->n_looks > snap->n_loops &&
		       d->window_s >= (contended(&d->loops[d->worst_loop]) ? longer_s : enough_s);
	default:
		return false;
	}
}
