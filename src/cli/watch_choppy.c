/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds that come again and again are one event more: who held how often, in a stretch of ten
 * seconds. Holds below the threshold are not looked at as stalls are; when they alone make a loop
 * choppy, a few of them are, to know who they are.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/cleanup.h"
#include "watch.h"

#define WINDOW_NS   (10 * WATCH_SECOND)
#define LEAST_NS    (2 * WATCH_SECOND) /* a stretch that was cut short */
#define STALLS	    2u		       /* in it, or ... */
#define SHORT_HOLDS 5u		       /* ... so many short holds, and ... */
#define SHORT_PARTS 10		       /* ... a tenth of the time in them */
#define SAMPLES	    3u		       /* short holds that are looked at in full */

/* ---- who ------------------------------------------------------------------------------------- */

void choppy_key(const struct snapshot *s, const struct verdict *v, char key[FINGERPRINT_SIZE])
{
	if (!verdict_fingerprint(s, v, key))
		snprintf(key, FINGERPRINT_SIZE, "%.16s", v->kind);
}

static struct choppy_holder *holder_for(struct watched_choppy *c, const char *key)
{
	struct choppy_holder *least = NULL;

	for (size_t i = 0; i < c->n_holders; i++) {
		if (!strcmp(c->holders[i].key, key))
			return &c->holders[i];
		if (!least || c->holders[i].held_ns < least->held_ns)
			least = &c->holders[i];
	}
	if (c->n_holders < ARRAY_SIZE(c->holders))
		return &c->holders[c->n_holders++];
	/* of very many the one who held least makes room */
	free(least->body);
	*least = (struct choppy_holder){.body = NULL};
	return least;
}

static void add_holder(struct watched_choppy *c, const char *key, const char *body, int64_t held_ns)
{
	struct choppy_holder *h = holder_for(c, key);

	memcpy(h->key, key, FINGERPRINT_SIZE);
	h->count++;
	h->held_ns += held_ns;
	c->looked_at++;
	if (held_ns <= h->longest_ns)
		return;
	h->longest_ns = held_ns;
	free(h->body);
	h->body = mem_alloc(strlen(body) + 1);
	strcpy(h->body, body);
}

/* ---- short holds ----------------------------------------------------------------------------- */

static bool short_enough(const struct watched_choppy *c, uint64_t span)
{
	return c->short_holds >= SHORT_HOLDS && (uint64_t)c->short_ns >= span / SHORT_PARTS;
}

bool choppy_wants(const struct watched_loop *l, const struct pulse_reading *r)
{
	const struct watched_choppy *c = &l->choppy;

	return c->since_ns && !c->sample && !l->captures && c->samples < SAMPLES &&
	       c->stalls < STALLS && short_enough(c, r->clock_ns - c->since_ns);
}

void choppy_sample(struct watched_loop *l, const struct snapshot *s, const struct verdict *v,
		   const char *body)
{
	struct watched_choppy *c = &l->choppy;

	c->samples++;
	choppy_key(s, v, c->sampled);
	c->sample = mem_alloc(strlen(body) + 1);
	strcpy(c->sample, body);
}

/* ---- a stretch ------------------------------------------------------------------------------- */

static void drop(struct watched_choppy *c)
{
	for (size_t i = 0; i < c->n_holders; i++)
		free(c->holders[i].body);
	*c = (struct watched_choppy){.since_ns = 0};
}

void choppy_add(struct watched_loop *l, const struct hold *h, bool is_stall)
{
	struct watched_choppy *c = &l->choppy;
	int64_t held_ns = hold_likely_ns(h);

	if (!c->since_ns)
		c->since_ns = h->since_ns;
	c->last_ns = h->over_ns;
	c->held_ns += held_ns;
	if (held_ns > c->longest_ns)
		c->longest_ns = held_ns;
	if (is_stall) {
		c->stalls++;
	} else {
		c->short_holds++;
		c->short_ns += held_ns;
	}
	if (is_stall && l->is_open && l->key[0])
		add_holder(c, l->key, l->stall.body, held_ns);
	else if (!is_stall && c->sample)
		add_holder(c, c->sampled, c->sample, held_ns);
}

static int by_held(const void *a, const void *b)
{
	const struct choppy_holder *one = a, *other = b;

	return (one->held_ns < other->held_ns) - (one->held_ns > other->held_ns);
}

static void tell(struct watch *w, struct watched *t, struct watched_loop *l, uint64_t until_ns)
{
	struct watched_choppy *c = &l->choppy;
	struct render_options options = look_rendering(&t->look);
	struct choppy event = {.loop = l->stall.loop,
			       .tid = l->tid,
			       .since_ns = c->since_ns,
			       .until_ns = until_ns > c->last_ns ? until_ns : c->last_ns,
			       .stalls = c->stalls,
			       .short_holds = c->short_holds,
			       .looked_at = c->looked_at,
			       .held_ns = c->held_ns,
			       .longest_ns = c->longest_ns,
			       .holders = c->holders,
			       .n_holders = c->n_holders};

	qsort(c->holders, c->n_holders, sizeof(*c->holders), by_held);
	w->bye.choppy++;
	render_choppy(&t->clock, &event, t->look.snap, &options, &w->line);
	if (w->exec)
		watch_exec_event(w->exec, "choppy", w->line.data, w->line.len);
	if (watch_is_text(w)) {
		strbuf_reset(&w->line);
		render_choppy_text(&t->clock, &event, &w->line);
	}
	watch_flush(w);
}

void choppy_serve(struct watch *w, struct watched *t, struct watched_loop *l, uint64_t clock_ns,
		  bool is_last)
{
	struct watched_choppy *c = &l->choppy;
	uint64_t until = c->since_ns + WINDOW_NS;

	if (!c->since_ns || (clock_ns < until && !is_last))
		return;
	if (clock_ns < until)
		until = clock_ns;
	if (w->bye.counts_short && until >= c->since_ns + LEAST_NS &&
	    (c->stalls >= STALLS || short_enough(c, until - c->since_ns)))
		tell(w, t, l, until);
	drop(c);
}
