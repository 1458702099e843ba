/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/history.h"

#define LEAST	1e-6  /* seconds */
#define GROWTH	1.02  /* of the width of buckets */
#define BUCKETS 1400u /* up to LEAST * GROWTH^1399: 12 days */

static uint32_t bucket_of(double value)
{
	double i;

	if (value < LEAST)
		return 0;
	i = 1 + log(value / LEAST) / log(GROWTH);
	return i < BUCKETS - 1 ? (uint32_t)i : BUCKETS - 1;
}

/* The value that is off by the same part of itself at both ends of the bucket. */
static double middle_of(uint32_t bucket)
{
	if (!bucket)
		return 0;
	return LEAST * pow(GROWTH, bucket - 1) * 2 * GROWTH / (1 + GROWTH);
}

static void to_buckets(struct sketch *s)
{
	if (s->buckets)
		return;
	s->buckets = mem_zalloc(BUCKETS, sizeof(*s->buckets));
	for (uint64_t i = 0; i < s->count && s->exact; i++)
		s->buckets[bucket_of(s->exact[i])]++;
	free(s->exact);
	s->exact = NULL;
}

/* Room grows by doubling: most sketches stay small, and there may be thousands. */
static double *exact_room(struct sketch *s)
{
	if (!(s->count & (s->count - 1)) || !s->exact)
		s->exact = mem_realloc(s->exact, s->count ? s->count * 2 : 1, sizeof(*s->exact));
	return &s->exact[s->count];
}

void sketch_add(struct sketch *s, double value)
{
	if (!(value >= 0) || !isfinite(value))
		return;
	if (s->count == SKETCH_EXACT)
		to_buckets(s);
	if (s->buckets)
		s->buckets[bucket_of(value)]++;
	else
		*exact_room(s) = value;
	s->count++;
	s->sum += value;
	if (value > s->max)
		s->max = value;
}

void sketch_merge(struct sketch *to, const struct sketch *from)
{
	if (!from->buckets) {
		for (uint64_t i = 0; i < from->count; i++)
			sketch_add(to, from->exact[i]);
		return;
	}
	to_buckets(to);
	for (uint32_t i = 0; i < BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->count += from->count;
	to->sum += from->sum;
	if (from->max > to->max)
		to->max = from->max;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The nearest rank: a value that was there. */
double sketch_quantile(const struct sketch *s, double q)
{
	uint64_t rank = (uint64_t)ceil(q * (double)s->count), seen = 0;

	if (!s->count)
		return 0;
	if (rank < 1)
		rank = 1;
	if (rank >= s->count)
		return s->max;
	if (!s->buckets) {
		qsort(s->exact, s->count, sizeof(*s->exact), by_value);
		return s->exact[rank - 1];
	}
	for (uint32_t i = 0; i < BUCKETS; i++) {
		seen += s->buckets[i];
		if (seen >= rank)
			return fmin(middle_of(i), s->max);
	}
	return s->max;
}

void sketch_deinit(struct sketch *s)
{
	free(s->exact);
	free(s->buckets);
	*s = (struct sketch){0};
}
