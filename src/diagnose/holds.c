/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/holds.h"

static bool same(const struct hold *h, const struct pulse_reading *r)
{
	if (r->state == PULSE_HELD)
		return h->on && !h->is_late && h->turn == r->turn;
	return r->state == PULSE_LATE && h->on && h->is_late;
}

static void begin(struct hold *h, const struct pulse_reading *r)
{
	bool on = r->state == PULSE_HELD || r->state == PULSE_LATE;

	*h = (struct hold){.on = on};
	if (!on)
		return;
	h->is_late = r->state == PULSE_LATE;
	h->is_lower = r->is_lower;
	h->turn = r->turn;
	h->since_ns = r->since_ns;
	h->seen_ns = r->clock_ns;
}

/* A turn that began after the hold was last seen did so when the hold was over. */
static uint64_t over_at(const struct hold *h, const struct pulse_reading *r)
{
	bool after = r->state == PULSE_HELD && !r->is_lower && r->since_ns >= h->seen_ns;

	return after && r->since_ns < r->clock_ns ? r->since_ns : r->clock_ns;
}

bool hold_look(struct hold *h, const struct pulse_reading *r, struct hold *over)
{
	bool was_on = h->on;

	if (same(h, r)) {
		h->seen_ns = r->clock_ns;
		return false;
	}
	if (was_on) {
		*over = *h;
		over->over_ns = over_at(h, r);
		over->is_lost = r->state == PULSE_LOST;
	}
	begin(h, r);
	return was_on;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t hold_next(const struct hold *h, const struct hold_pace *pace, uint64_t regular)
{
	uint64_t held;

	if (!h->on)
		return regular;
	held = h->seen_ns - h->since_ns;
	if (held >= pace->threshold)
		return sooner(regular, h->seen_ns + pace->fine);
	if (held < pace->least)
		regular = sooner(regular, h->since_ns + pace->least);
	return sooner(regular, h->since_ns + pace->threshold);
}

int64_t hold_least_ns(const struct hold *h)
{
	return (int64_t)(h->seen_ns - h->since_ns);
}

int64_t hold_most_ns(const struct hold *h)
{
	uint64_t end = h->over_ns > h->seen_ns ? h->over_ns : h->seen_ns;

	return (int64_t)(end - h->since_ns);
}

int64_t hold_likely_ns(const struct hold *h)
{
	return hold_least_ns(h) + (hold_most_ns(h) - hold_least_ns(h)) / 2;
}
