/* SPDX-License-Identifier: Apache-2.0 */
/* Holds of loops over successive snapshots: when each one began, was last seen and was over. */
#include <stdlib.h>
#include <string.h>

#include "stallscope/diagnose.h"

/* Two readings of when select returned differ by the rounding of a double and of two clocks. */
#define SAME_START_NS INT64_C(1000000)

static bool is_stall(const struct snap_loop *l, const struct verdict *v, int64_t threshold_ns)
{
	return verdict_unhealthy(v->id) && l->have_held && v->have_held &&
	       v->held_ns >= threshold_ns;
}

/* v->held_ns is of the last look, which came after the one that the loop was read in. */
static uint64_t start_of(const struct snapshot *s, const struct snap_loop *l)
{
	return s->clock_ns - (uint64_t)l->held_ns;
}

static struct stall *find(struct stalls *list, uint64_t loop)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i].loop == loop)
			return &list->v[i];
	return NULL;
}

/* Of a loop with a time() of its own the start is not known: there a hold that is met again lasts.
 */
static bool same_hold(const struct stall *stall, const struct snapshot *s,
		      const struct snap_loop *l)
{
	int64_t difference = (int64_t)(start_of(s, l) - stall->start_ns);

	return l->own_clock || (difference <= SAME_START_NS && difference >= -SAME_START_NS);
}

static void drop(struct stalls *list, struct stall *stall)
{
	free(stall->body);
	*stall = list->v[--list->n];
}

static void end(struct stalls *list, struct stall *stall, uint64_t at, struct stall_sink *sink)
{
	stall->over_ns = at;
	sink->end(sink, stall);
	drop(list, stall);
}

/* The majority of the looks, each with the weight of its confidence, in one pass (Boyer, Moore). */
static bool agrees(struct stall *stall, const struct snapshot *s, const struct verdict *v)
{
	unsigned weight = 1 + (unsigned)v->confidence;
	char fingerprint[FINGERPRINT_SIZE] = "";

	verdict_fingerprint(s, v, fingerprint);
	if (stall->votes && strcmp(fingerprint, stall->fingerprint) != 0) {
		if (weight <= stall->votes) {
			stall->votes -= weight;
			return false;
		}
		weight -= stall->votes;
		stall->votes = 0;
	}
	stall->votes += weight;
	memcpy(stall->fingerprint, fingerprint, sizeof(fingerprint));
	return true;
}

static void see(struct stalls *list, const struct snapshot *s, const struct verdict *v,
		uint32_t loop, struct stall_sink *sink)
{
	const struct snap_loop *l = &s->loops[loop];
	struct stall *stall = find(list, l->run.loop);
	bool is_new = !stall;

	if (is_new) {
		stall = array_push(&list->v, &list->n, &list->cap);
		stall->loop = l->run.loop;
		stall->start_ns = start_of(s, l);
		stall->number = ++list->count;
	}
	stall->index = loop;
	if (v->held_ns > stall->held_ns)
		stall->held_ns = v->held_ns;
	if (!agrees(stall, s, v))
		sink->seen(sink, stall, STALL_ODD);
	else
		sink->seen(sink, stall, is_new ? STALL_NEW : STALL_TOLD);
}

void stalls_update(struct stalls *list, const struct snapshot *s, const struct diagnosis *d,
		   int64_t threshold_ns, struct stall_sink *sink)
{
	for (size_t i = list->n; i-- > 0;) {
		struct stall *stall = &list->v[i];
		uint32_t loop = 0;

		while (loop < s->n_loops && s->loops[loop].run.loop != stall->loop)
			loop++;
		if (loop == s->n_loops ||
		    !is_stall(&s->loops[loop], &d->loops[loop], threshold_ns) ||
		    !same_hold(stall, s, &s->loops[loop]))
			end(list, stall, s->clock_ns, sink);
	}
	for (uint32_t i = 0; i < s->n_loops && i < d->n; i++)
		if (is_stall(&s->loops[i], &d->loops[i], threshold_ns))
			see(list, s, &d->loops[i], i, sink);
}

void stalls_finish(struct stalls *list, struct stall_sink *sink)
{
	while (list->n)
		end(list, &list->v[list->n - 1], 0, sink);
}

void stalls_deinit(struct stalls *list)
{
	while (list->n)
		drop(list, &list->v[list->n - 1]);
	free(list->v);
	*list = (struct stalls){0};
}
