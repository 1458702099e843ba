/* SPDX-License-Identifier: Apache-2.0 */
#include "seen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/render.h"
#include "stallscope/utf8.h"

#define STACK_LINES 40u

void seen_init(struct seen *h, int64_t threshold_ns)
{
	*h = (struct seen){.threshold_ns = threshold_ns};
	h->v = mem_zalloc(STALLS_KEPT, sizeof(*h->v));
}

void seen_deinit(struct seen *h)
{
	for (size_t i = 0; i < h->n_lanes; i++)
		free(h->lanes[i]);
	for (size_t i = 0; h->v && i < STALLS_KEPT; i++)
		free(h->v[i].stack);
	free(h->v);
	*h = (struct seen){0};
}

/* ---- lanes -------------------------------------------------------------------------------------
 */

static struct lane *find_lane(const struct seen *h, uint64_t loop)
{
	for (size_t i = 0; i < h->n_lanes; i++)
		if (h->lanes[i]->loop == loop)
			return h->lanes[i];
	return NULL;
}

/* A loop that is new takes the lane that was not written for the longest time. */
static struct lane *lane_of(struct seen *h, uint64_t loop, int64_t slot)
{
	struct lane *lane = find_lane(h, loop);

	if (lane)
		return lane;
	if (h->n_lanes < LANES) {
		lane = h->lanes[h->n_lanes++] = mem_alloc(sizeof(*lane));
	} else {
		lane = h->lanes[0];
		for (size_t i = 1; i < h->n_lanes; i++)
			if (h->lanes[i]->last_slot < lane->last_slot)
				lane = h->lanes[i];
	}
	lane->loop = loop;
	lane->last_slot = slot;
	memset(lane->us, 0xff, sizeof(lane->us));
	return lane;
}

static void forward(struct lane *lane, int64_t slot)
{
	int64_t from = lane->last_slot + 1;

	if (slot <= lane->last_slot)
		return;
	if (slot - from >= (int64_t)LANE_SLOTS)
		from = slot - (int64_t)LANE_SLOTS + 1;
	for (int64_t i = from; i <= slot; i++)
		lane->us[i % LANE_SLOTS] = LANE_UNKNOWN;
	lane->last_slot = slot;
}

static void lane_add(struct seen *h, uint64_t loop, uint64_t clock_ns, int64_t late_ns)
{
	int64_t slot = (int64_t)(clock_ns / (uint64_t)LANE_SLOT_NS), us = late_ns / 1000;
	struct lane *lane = lane_of(h, loop, slot);
	uint32_t *at;

	forward(lane, slot);
	if (slot < 0 || slot <= lane->last_slot - (int64_t)LANE_SLOTS)
		return;
	at = &lane->us[slot % LANE_SLOTS];
	if (us > UINT32_MAX - 1)
		us = UINT32_MAX - 1;
	if (*at == LANE_UNKNOWN || *at < us)
		*at = (uint32_t)us;
}

int64_t seen_worst(const struct seen *h, uint64_t loop, int64_t from_ns, int64_t to_ns)
{
	const struct lane *lane = find_lane(h, loop);
	int64_t worst = -1, from = from_ns / LANE_SLOT_NS, to = to_ns / LANE_SLOT_NS;

	if (!lane || from_ns < 0)
		return -1;
	if (from <= lane->last_slot - (int64_t)LANE_SLOTS)
		from = lane->last_slot - (int64_t)LANE_SLOTS + 1;
	for (int64_t i = from < 0 ? 0 : from; i <= to && i <= lane->last_slot; i++) {
		uint32_t us = lane->us[i % LANE_SLOTS];

		if (us != LANE_UNKNOWN && (int64_t)us * 1000 > worst)
			worst = (int64_t)us * 1000;
	}
	return worst;
}

/* ---- stalls ------------------------------------------------------------------------------------
 */

static struct seen_stall *nth(const struct seen *h, size_t i)
{
	return &h->v[(h->first + h->n - 1 - i) % STALLS_KEPT];
}

const struct seen_stall *seen_stall(const struct seen *h, size_t i)
{
	return i < h->n ? nth(h, i) : NULL;
}

static struct seen_stall *open_stall(const struct seen *h, uint64_t loop)
{
	for (size_t i = 0; i < h->n && i < 2 * LANES; i++)
		if (nth(h, i)->open && nth(h, i)->loop == loop)
			return nth(h, i);
	return NULL;
}

struct seen_stall *seen_push(struct seen *h)
{
	struct seen_stall *s;

	if (h->n == STALLS_KEPT) {
		h->first = (h->first + 1) % STALLS_KEPT;
		h->n--;
	}
	h->n++;
	h->total++;
	s = nth(h, 0);
	free(s->stack);
	*s = (struct seen_stall){0};
	return s;
}

static bool same_turn(const struct seen_stall *s, double end_time)
{
	double d = s->end_time - end_time;

	return d < 1e-6 && d > -1e-6;
}

static void follow(struct seen *h, const struct pulse *p, const struct pulse_loop *l)
{
	struct seen_stall *s = open_stall(h, l->loop);

	if (s && (!l->found || l->end_time <= 0 || !same_turn(s, l->end_time))) {
		s->open = false;
		s = NULL;
	}
	if (l->held_ns < h->threshold_ns)
		return;
	if (!s) {
		s = seen_push(h);
		s->loop = l->loop;
		s->end_time = l->end_time;
		s->wall_ns = p->wall_ns - (uint64_t)l->held_ns;
		s->key = s->wall_ns;
		s->id = VERDICT_STALLED;
		s->open = true;
	}
	s->held_ns = l->held_ns;
}

void seen_pulse(struct seen *h, const struct pulse *p)
{
	if (!h->since_wall_ns)
		h->since_wall_ns = p->wall_ns;
	for (size_t i = 0; i < p->n; i++) {
		const struct pulse_loop *l = &p->loops[i];

		if (l->held_ns >= 0)
			lane_add(h, l->loop, p->clock_ns, l->held_ns);
		follow(h, p, l);
	}
}

void seen_end(struct seen *h)
{
	for (size_t i = 0; i < h->n; i++)
		nth(h, i)->open = false;
}

/* That of all commands; a computing callback's call is the one that the look happens to meet. */
static uint64_t fingerprint(const struct seen_stall *stall, const struct culprit *c)
{
	bool by_chance = !c->rule && !strncmp(stall->kind, "cpu.", 4);
	char text[FINGERPRINT_SIZE];

	fingerprint_of(stall->kind[0] ? stall->kind : verdict_word(stall->id), stall->who,
		       by_chance ? "" : c->library, text);
	return strtoull(text, NULL, 16);
}

static char *stack_text(const struct snapshot *s, const struct snap_stack *stack)
{
	cleanup_strbuf struct strbuf out = STRBUF_INIT;
	char *text;

	for (uint32_t i = stack->n; i-- > 0;) {
		const struct snap_frame *f = snap_frame_at(s, stack, i);
		const struct snap_code *c = snap_code_of(s, f);
		size_t used;

		if (i >= STACK_LINES && i != stack->n - 1)
			continue;
		used = utf8_add_cut(&out, c->qualname, 60, false, false);
		strbuf_pad(&out, ' ', used < 28 ? 30 - used : 2);
		strbuf_addf(&out, "%s:%d\n", short_path(c->file), f->at.line);
	}
	text = mem_alloc(out.len + 1);
	memcpy(text, out.data, out.len + 1);
	return text;
}

/* CHOPPY has no kind: what this hold was, as STALLED would have it. */
static void kind_of_hold(const struct culprit *c, char *kind, size_t size)
{
	const struct explanation *e = c->category ? explanation_of_category(c->category) : NULL;

	if (e)
		render_kind_of(e, c->category, kind, size);
	else if (c->frame != SNAP_NONE && !c->system_call)
		snprintf(kind, size, "cpu.python");
}

static void explain(struct seen_stall *stall, const struct snapshot *s, const struct snap_loop *l,
		    const struct verdict *v)
{
	const struct culprit *c = &v->culprit;
	const struct snap_stack *stack = c->slice.n ? &c->slice : &s->threads[l->thread].stack;
	char place[160];

	stall->explained = true;
	stall->id = v->id;
	snprintf(stall->kind, sizeof(stall->kind), "%s", v->kind);
	if (!v->kind[0])
		kind_of_hold(c, stall->kind, sizeof(stall->kind));
	if (c->frame != SNAP_NONE) {
		const struct snap_frame *f = &s->frames[c->frame];
		const struct snap_code *code = snap_code_of(s, f);

		utf8_copy(stall->who, sizeof(stall->who), code->qualname);
		snprintf(place, sizeof(place), "%.140s:%d", short_path(code->file), f->at.line);
		utf8_copy(stall->place, sizeof(stall->place), place);
	} else if (l->ready.n_top) {
		utf8_copy(stall->who, sizeof(stall->who), l->ready.top[0].name);
	}
	utf8_copy(stall->what, sizeof(stall->what),
		  l->wait.peer && c->library[0] ? l->wait.peer
		  : c->library[0]		? c->library
		  : c->system_call		? c->system_call
						: "");
	stall->fingerprint = fingerprint(stall, c);
	free(stall->stack);
	stall->stack = stack_text(s, stack);
}

/* The newest picture of a stall is of its longest: but the first one that has a culprit stays. */
static void explain_loop(struct seen *h, const struct snapshot *s, const struct snap_loop *l,
			 const struct verdict *v)
{
	double turn = picture_turn(l);

	if (!l->have_held || turn <= 0)
		return;
	for (size_t i = 0; i < h->n && i < 2 * LANES; i++) {
		struct seen_stall *stall = nth(h, i);

		if (stall->loop != l->run.loop || !same_turn(stall, turn))
			continue;
		if (!stall->explained || v->culprit.frame != SNAP_NONE)
			explain(stall, s, l, v);
		return;
	}
}

void seen_picture(struct seen *h, const struct picture *p)
{
	for (size_t i = 0; i < p->snap.n_loops && i < p->d->n; i++) {
		const struct snap_loop *l = &p->snap.loops[i];
		const struct verdict *v = &p->d->loops[i];

		lane_add(h, l->run.loop, p->snap.clock_ns, v->lag_ns);
		explain_loop(h, &p->snap, l, v);
	}
}

/* ---- ranking -----------------------------------------------------------------------------------
 */

static int by_print(const void *a, const void *b)
{
	const struct seen_stall *x = *(const struct seen_stall *const *)a;
	const struct seen_stall *y = *(const struct seen_stall *const *)b;

	if (x->fingerprint != y->fingerprint)
		return x->fingerprint < y->fingerprint ? -1 : 1;
	return x->held_ns < y->held_ns ? -1 : x->held_ns > y->held_ns;
}

static int by_sum(const void *a, const void *b)
{
	const struct seen_holder *x = a, *y = b;

	return x->sum_ns < y->sum_ns ? 1 : x->sum_ns > y->sum_ns ? -1 : 0;
}

/* stalls[0..n) are of one holder, shortest first. */
static void make_holder(const struct seen_stall **stalls, size_t n, struct seen_holder *ret)
{
	*ret = (struct seen_holder){.fingerprint = stalls[0]->fingerprint,
				    .example = stalls[n - 1],
				    .count = (uint32_t)n};
	for (size_t i = 0; i < n; i++)
		ret->sum_ns += stalls[i]->held_ns;
	ret->p50_ns = stalls[(n - 1) / 2]->held_ns;
	ret->p95_ns = stalls[(n - 1) * 95 / 100]->held_ns;
	ret->max_ns = stalls[n - 1]->held_ns;
}

size_t seen_holders(const struct seen *h, struct seen_holder *out, size_t max)
{
	const struct seen_stall **sorted = mem_alloc((h->n + 1) * sizeof(*sorted));
	struct seen_holder *all = mem_alloc((h->n + 1) * sizeof(*all));
	size_t n = 0, begin = 0;
	double sum = 0;

	for (size_t i = 0; i < h->n; i++) {
		sorted[i] = nth(h, i);
		sum += (double)sorted[i]->held_ns;
	}
	if (h->n)
		qsort(sorted, h->n, sizeof(*sorted), by_print);
	for (size_t i = 1; i <= h->n; i++) {
		if (i < h->n && sorted[i]->fingerprint == sorted[begin]->fingerprint)
			continue;
		make_holder(sorted + begin, i - begin, &all[n++]);
		begin = i;
	}
	if (n)
		qsort(all, n, sizeof(*all), by_sum);
	n = n < max ? n : max;
	for (size_t i = 0; i < n; i++) {
		out[i] = all[i];
		out[i].share = sum > 0 ? (double)all[i].sum_ns / sum : 0;
	}
	free(sorted);
	free(all);
	return n;
}
