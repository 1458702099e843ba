/* SPDX-License-Identifier: Apache-2.0 */
/* A value over time in bounded memory: the looks themselves, then the largest of each stretch. */
#include <stdlib.h>
#include <string.h>

#include "stallscope/history.h"

#define NARROWEST 1e-3 /* seconds: times are known to a millisecond */
#define APART	  10.0 /* looks further apart than this many usual distances: nobody looked between */

static bool together(const struct curve *c, double a, double b)
{
	return c->width > 0 && floor(a / c->width) == floor(b / c->width);
}

static void raise_to(struct curve_point *p, double time, double value)
{
	if (value > p->value)
		*p = (struct curve_point){time, value};
}

/* At least half of the room is free after that. */
static void thin_out(struct curve *c, size_t most)
{
	double span = c->v[c->n - 1].time - c->v[0].time;
	size_t n = 1;

	c->width = fmax(fmax(c->width * 2, span / (double)(most / 2 - 1)), NARROWEST);
	for (size_t i = 1; i < c->n; i++) {
		if (together(c, c->v[n - 1].time, c->v[i].time))
			raise_to(&c->v[n - 1], c->v[i].time, c->v[i].value);
		else
			c->v[n++] = c->v[i];
	}
	c->n = n;
}

/* The first point after that time; at the end, as a rule. */
static size_t place_of(const struct curve *c, double time)
{
	size_t low = 0, high = c->n;

	if (!c->n || c->v[c->n - 1].time <= time)
		return c->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (c->v[middle].time <= time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void curve_add(struct curve *c, double time, double value, size_t most)
{
	size_t at;

	if (!isfinite(time) || !(value >= 0) || !isfinite(value))
		return;
	if (c->n >= most)
		thin_out(c, most);
	at = place_of(c, time);
	if (at > 0 && together(c, c->v[at - 1].time, time)) {
		raise_to(&c->v[at - 1], time, value);
		return;
	}
	if (at < c->n && together(c, c->v[at].time, time)) {
		raise_to(&c->v[at], time, value);
		return;
	}
	array_push(&c->v, &c->n, &c->cap);
	memmove(&c->v[at + 1], &c->v[at], (c->n - 1 - at) * sizeof(*c->v));
	c->v[at] = (struct curve_point){time, value};
}

double curve_gap(const struct history_loop *l)
{
	double usual = l->looks > 1 ? l->observed_s / (double)(l->looks - 1) : 0;

	return fmax(usual * APART, l->curve.width * 2);
}

void curve_deinit(struct curve *c)
{
	free(c->v);
	*c = (struct curve){0};
}
