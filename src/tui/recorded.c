/* SPDX-License-Identifier: Apache-2.0 */
#include "recorded.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stallscope/cleanup.h"
#include "stallscope/render.h"
#include "stallscope/utf8.h"

#define TIME_MOST 1.8e10 /* seconds since 1970 whose ns are 64 bits; what is later was made up */

void recorded_destroy(struct recorded *r)
{
	if (!r)
		return;
	history_deinit(&r->h);
	free(r->rank);
	free(r);
}

void recorded_time(double time, bool date, char *buf, size_t size)
{
	time_t seconds = time >= 0 && time < TIME_MOST ? (time_t)time : -1;
	struct tm tm;

	if (seconds < 0 || !localtime_r(&seconds, &tm))
		snprintf(buf, size, "?");
	else if (date)
		strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm);
	else
		strftime(buf, size, "%H:%M:%S", &tm);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static void sum_up(struct recorded *r)
{
	r->first = r->last = NAN;
	for (size_t i = 0; i < r->h.n_loops; i++) {
		const struct history_loop *l = &r->h.loops[i];

		r->first = fmin(l->first, isnan(r->first) ? l->first : r->first);
		r->last = fmax(l->last, isnan(r->last) ? l->last : r->last);
		r->looks += l->looks;
		r->unhealthy += l->unhealthy;
		r->stalls += l->stalls;
	}
}

static int by_length(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (h->stalls[x].held_s < h->stalls[y].held_s)
		return 1;
	if (h->stalls[x].held_s > h->stalls[y].held_s)
		return -1;
	return x < y ? -1 : x > y; /* the order of the file */
}

static double began(const struct history *h, uint32_t stall)
{
	return isnan(h->stalls[stall].time) ? -1 : h->stalls[stall].time;
}

static int by_time(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	if (began(h, x) < began(h, y))
		return -1;
	if (began(h, x) > began(h, y))
		return 1;
	return x < y ? -1 : x > y;
}

static void keep(struct recorded *r, bool *kept, uint32_t stall)
{
	if (stall == HISTORY_NONE || kept[stall] || r->n_kept == STALLS_KEPT)
		return;
	kept[stall] = true;
	r->kept[r->n_kept++] = stall;
}

/* The longest, and of each holder that is ranked the worst, which its line leads to. */
static void choose(struct recorded *r)
{
	const struct history *h = &r->h;
	cleanup_free bool *kept = mem_zalloc(h->n_stalls + 1, sizeof(*kept));
	cleanup_free uint32_t *order = mem_alloc((h->n_stalls + 1) * sizeof(*order));

	for (uint32_t i = 0; i < h->n_stalls; i++)
		order[i] = i;
	/* qsort_r() does not write to what it hands on */
	qsort_r(order, h->n_stalls, sizeof(*order), by_length, (void *)(uintptr_t)h);
	r->worst = h->n_stalls ? order[0] : HISTORY_NONE;
	for (size_t i = 0; i < h->n_holders && i < HOLDERS_SHOWN; i++)
		keep(r, kept, h->holders[r->rank[i]].worst);
	for (size_t i = 0; i < h->n_stalls && r->n_kept < STALLS_KEPT; i++)
		keep(r, kept, order[i]);
	qsort_r(r->kept, r->n_kept, sizeof(*r->kept), by_time, (void *)(uintptr_t)h);
}

bool recorded_read(const char *path, struct recorded **ret, struct error *err)
{
	struct recorded *r = mem_zalloc(1, sizeof(*r));

	history_init(&r->h);
	if (!history_read(&r->h, path, err)) {
		recorded_destroy(r);
		return false;
	}
	r->rank = history_rank(&r->h);
	sum_up(r);
	choose(r);
	*ret = r;
	return true;
}

/* ---- what is wrong -----------------------------------------------------------------------------
 */

void recorded_note(const struct recorded *r, char *buf, size_t size)
{
	const struct history_file *f = &r->h.files[0];
	cleanup_strbuf struct strbuf out = STRBUF_INIT;

	if (f->read < f->lines)
		strbuf_addf(&out, "%" PRIu64 " of %" PRIu64 " %s read; line %" PRIu64 ": %s. ",
			    f->read, f->lines, PLURAL(f->lines, "line", "lines"), f->first_bad,
			    f->why);
	else if (f->recording && !f->bye)
		strbuf_addstr(&out, "it was cut off: its last line is missing. ");
	if (f->missed)
		strbuf_addf(&out, "%" PRIu64 " %s could not be taken in time. ", f->missed,
			    PLURAL(f->missed, "look", "looks"));
	if (r->h.left_out)
		strbuf_addf(&out, "%" PRIu64 " %s left out: there is more than is kept. ",
			    r->h.left_out, PLURAL(r->h.left_out, "thing was", "things were"));
	snprintf(buf, size, "%.*s", (int)(out.len ? out.len - 2 : 0), out.data ? out.data : "");
}

/* ---- as what was seen --------------------------------------------------------------------------
 */

static enum verdict_id verdict_of(const char *word)
{
#define X(name, text, unhealthy, severity) \
	if (!strcmp(word, text))           \
		return VERDICT_##name;
	VERDICT_LIST(X)
#undef X
	return VERDICT_UNSURE;
}

static void explain(const struct holder *x, struct seen_stall *s)
{
	s->explained = true;
	s->id = verdict_of(x->verdict ? x->verdict : "");
	utf8_copy(s->kind, sizeof(s->kind), x->kind ? x->kind : "");
	utf8_copy(s->who, sizeof(s->who), x->function ? x->function : "");
	utf8_copy(s->what, sizeof(s->what), x->title ? x->title : x->library ? x->library : "");
	s->fingerprint = strtoull(x->fingerprint, NULL, 16);
	if (x->file && x->line > 0) {
		char place[160];

		snprintf(place, sizeof(place), "%.130s:%" PRId64, short_path(x->file), x->line);
		utf8_copy(s->place, sizeof(s->place), place);
	} else if (x->file) {
		utf8_copy(s->place, sizeof(s->place), short_path(x->file));
	}
}

void recorded_stalls(const struct recorded *r, struct seen *ret)
{
	for (size_t i = 0; i < r->n_kept; i++) {
		const struct history_stall *from = &r->h.stalls[r->kept[i]];
		double time = began(&r->h, r->kept[i]);
		struct seen_stall *s = seen_push(ret);

		s->key = (uint64_t)r->kept[i] + 1;
		s->loop = from->loop;
		s->wall_ns = time > 0 && time < TIME_MOST ? (uint64_t)(time * 1e9) : 0;
		s->held_ns = (int64_t)(from->held_s * 1e9);
		s->open = !from->over;
		explain(&r->h.holders[from->holder], s);
	}
}

static const struct seen_stall *find(const struct seen *seen, uint32_t stall)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen_stall(seen, i)->key == (uint64_t)stall + 1)
			return seen_stall(seen, i);
	return NULL;
}

static int64_t ns(double s)
{
	return (int64_t)(s * 1e9);
}

size_t recorded_holders(const struct recorded *r, const struct seen *seen, struct seen_holder *out,
			size_t max)
{
	double all = history_held(&r->h);
	size_t n = 0;

	for (size_t i = 0; i < r->h.n_holders && n < max; i++) {
		const struct holder *x = &r->h.holders[r->rank[i]];
		const struct seen_stall *example = find(seen, x->worst);

		if (!example)
			continue;
		out[n++] = (struct seen_holder){
			.fingerprint = example->fingerprint,
			.example = example,
			.count = x->held.count < UINT32_MAX ? (uint32_t)x->held.count : UINT32_MAX,
			.sum_ns = ns(fmin(x->held.sum, 9e9)),
			.p50_ns = ns(sketch_quantile(&x->held, 0.5)),
			.p95_ns = ns(sketch_quantile(&x->held, 0.95)),
			.max_ns = ns(x->held.max),
			.share = all > 0 ? x->held.sum / all : 0};
	}
	return n;
}
