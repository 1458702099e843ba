/* SPDX-License-Identifier: Apache-2.0 */
/* Stalls and lag over time, a lane for each loop. */
#include <stdlib.h>

#include "report_page.h"
#include "stallscope/cleanup.h"
#include "svg.h"

#define LANES	    30u /* the loops with the most held time */
#define LANE_HEIGHT 26.0
#define NAME_WIDTH  200.0
#define WIDTH	    (SVG_WIDTH - NAME_WIDTH)
#define CURVE_HIGH  34.0 /* below the stalls of each lane, where there are curves */
#define COLUMNS	    980u /* of a curve, each with the largest lag in it */
#define LAG_LEAST   1e-3 /* the bottom of the scale; a loop that is not held is later than 0, too */
#define STALLS_MOST 4000u /* the longest ones */

struct lanes {
	const struct history *h;
	uint32_t loops[LANES];
	unsigned n;
	double first, last;
	double pitch; /* from lane to lane */
	double top;   /* of the scale of lag, a power of ten; 0 no curves */
};

static unsigned lane_of(const struct lanes *l, uint32_t loop)
{
	unsigned i = 0;

	while (i < l->n && l->loops[i] != loop)
		i++;
	return i;
}

static int by_held(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	const struct history_loop *x = &h->loops[*(const uint32_t *)a];
	const struct history_loop *y = &h->loops[*(const uint32_t *)b];

	if (x->held_s != y->held_s)
		return x->held_s < y->held_s ? 1 : -1;
	return x < y ? -1 : 1;
}

/* One point is no curve. */
static bool has_curve(const struct history_loop *loop)
{
	return loop->curve.n > 1;
}

static double top_of(const struct lanes *l)
{
	double most = 0;

	for (unsigned i = 0; i < l->n; i++) {
		const struct history_loop *loop = &l->h->loops[l->loops[i]];

		if (has_curve(loop))
			most = fmax(most, fmax(loop->lag.max, LAG_LEAST * 10));
	}
	return most > 0 ? pow(10, ceil(log10(most) - 1e-9)) : 0;
}

static struct lanes choose(const struct history *h)
{
	cleanup_free uint32_t *order = mem_alloc((h->n_loops + 1) * sizeof(*order));
	struct lanes l = {.h = h, .first = NAN, .last = NAN};

	for (size_t i = 0; i < h->n_loops; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, h->n_loops, sizeof(*order), by_held, (void *)(uintptr_t)h);
	for (size_t i = 0; i < h->n_loops; i++) {
		const struct history_loop *loop = &h->loops[order[i]];

		if (isnan(loop->first))
			continue;
		l.first = fmin(loop->first, isnan(l.first) ? loop->first : l.first);
		l.last = fmax(loop->last, isnan(l.last) ? loop->last : l.last);
		if (l.n < LANES)
			l.loops[l.n++] = order[i];
	}
	/* the last one may have lasted beyond the last look */
	for (size_t i = 0; i < h->n_stalls; i++)
		l.last = fmax(l.last, h->stalls[i].time + h->stalls[i].held_s);
	l.top = top_of(&l);
	l.pitch = LANE_HEIGHT + (l.top > 0 ? CURVE_HIGH : 0);
	return l;
}

static double x_of(const struct lanes *l, double time)
{
	return NAME_WIDTH +
	       (time - l->first) / (l->last > l->first ? l->last - l->first : 1) * WIDTH;
}

static void lane(const struct lanes *l, unsigned i, struct strbuf *out)
{
	struct arena arena = ARENA_INIT;
	double y = i * l->pitch;

	strbuf_addf(out, "<text x=\"0\" y=\"%.1f\">", y + 17);
	html_add(out, report_whose(&arena, &l->h->loops[l->loops[i]]));
	strbuf_addf(out,
		    "</text><rect class=\"lane\" x=\"%.0f\" y=\"%.1f\" width=\"%.0f\" "
		    "height=\"%.0f\"/>\n",
		    NAME_WIDTH, y + 2, WIDTH, LANE_HEIGHT - 4);
	arena_deinit(&arena);
}

static void bar(const struct lanes *l, const struct history_stall *s, struct strbuf *out)
{
	unsigned i = lane_of(l, s->loop);
	const struct holder *x = &l->h->holders[s->holder];
	double from = x_of(l, s->time), width = x_of(l, s->time + s->held_s) - from;
	char when[40], held[40];

	if (i == l->n || !(from >= NAME_WIDTH))
		return;
	from = fmin(from, SVG_WIDTH - 1);
	report_time(s->time, when, sizeof(when));
	report_seconds(s->held_s, held, sizeof(held));
	width = fmin(fmax(width, 1), SVG_WIDTH - from);
	strbuf_addf(out,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" "
		    "fill=\"hsl(%u,75%%,48%%)\"><title>",
		    from, i * l->pitch + 3, width, LANE_HEIGHT - 6, svg_hue(x->fingerprint));
	html_add(out, when);
	strbuf_addf(out, ", %s, ", held);
	html_add(out, x->function ? x->function : "?");
	strbuf_addstr(out, "</title></rect>\n");
}

/* ---- lag ---------------------------------------------------------------------------------------
 */

static double y_of(const struct lanes *l, double lag)
{
	double part = log10(fmax(lag, LAG_LEAST) / LAG_LEAST) / log10(l->top / LAG_LEAST);

	return (CURVE_HIGH - 4) * (1 - fmin(part, 1));
}

/* A line for each power of ten, the first and the last with its name. */
static void grid(const struct lanes *l, double y, struct strbuf *out)
{
	char label[48];

	for (double at = LAG_LEAST; at < l->top * 1.5; at *= 10)
		strbuf_addf(out, "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/>", NAME_WIDTH,
			    y + y_of(l, at), SVG_WIDTH);
	for (unsigned i = 0; i < 2; i++) {
		double at = i ? l->top : LAG_LEAST;

		report_seconds(at, label, sizeof(label));
		strbuf_addf(out, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
			    NAME_WIDTH - 5, y + y_of(l, at) + 4, label);
	}
}

/* The largest lag of each column; -1 none. */
static void to_columns(const struct lanes *l, const struct curve *c, double *column)
{
	for (unsigned i = 0; i < COLUMNS; i++)
		column[i] = -1;
	for (size_t i = 0; i < c->n; i++) {
		double x = x_of(l, c->v[i].time) - NAME_WIDTH;
		unsigned at = x > 0 ? (unsigned)fmin(x, COLUMNS - 1) : 0;

		column[at] = fmax(column[at], c->v[i].value);
	}
}

static void curve(const struct lanes *l, unsigned i, struct strbuf *out)
{
	const struct history_loop *loop = &l->h->loops[l->loops[i]];
	double column[COLUMNS], y = i * l->pitch + LANE_HEIGHT;
	double gap = curve_gap(loop) / (l->last > l->first ? l->last - l->first : 1) * COLUMNS;
	struct arena arena = ARENA_INIT;
	unsigned last = 0;
	char most[48];

	to_columns(l, &loop->curve, column);
	grid(l, y, out);
	strbuf_addstr(out, "<path class=\"lag\" d=\"");
	for (unsigned x = 0, any = 0; x < COLUMNS; x++) {
		bool begins = !any || x - last > fmax(gap, 2);

		if (column[x] < 0)
			continue;
		/* also one that stands alone is seen */
		strbuf_addf(out, begins ? "M%.0f %.1fh1" : "L%.0f %.1f", NAME_WIDTH + x,
			    y + y_of(l, column[x]));
		last = x;
		any = 1;
	}
	report_seconds(loop->lag.max, most, sizeof(most));
	strbuf_addstr(out, "\"><title>lag of ");
	html_add(out, report_whose(&arena, loop));
	strbuf_addf(out, ", at most %s</title></path>\n", most);
	arena_deinit(&arena);
}

static void notes(const struct lanes *l, struct strbuf *out)
{
	if (l->top > 0)
		strbuf_addstr(out, "<p class=\"note\">Below the stalls of a loop its lag, the "
				   "largest of each column; the scale is logarithmic.</p>\n");
	if (l->h->n_loops > l->n)
		strbuf_addf(out, "<p class=\"note\">The %u loops with the most held time.</p>\n",
			    l->n);
	if (l->h->n_stalls > STALLS_MOST)
		strbuf_addf(out, "<p class=\"note\">The %u longest of %zu stalls.</p>\n",
			    STALLS_MOST, l->h->n_stalls);
}

void svg_timeline(const struct history *h, struct strbuf *out)
{
	cleanup_free uint32_t *order = NULL;
	struct lanes l = choose(h);
	char from[40], to[40];

	if (!l.n || (!h->n_stalls && !(l.top > 0)))
		return;
	order = report_longest(h);
	report_time(l.first, from, sizeof(from));
	report_time(l.last, to, sizeof(to));
	strbuf_addf(out, "<h2>%s over time</h2>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
		    l.top > 0 ? "Stalls and lag" : "Stalls", SVG_WIDTH, l.n * l.pitch + 20);
	for (unsigned i = 0; i < l.n; i++) {
		lane(&l, i, out);
		if (has_curve(&h->loops[l.loops[i]]))
			curve(&l, i, out);
	}
	for (size_t i = 0; i < h->n_stalls && i < STALLS_MOST; i++)
		bar(&l, &h->stalls[order[i]], out);
	strbuf_addf(out,
		    "<text x=\"%.0f\" y=\"%.0f\">%s</text><text x=\"%.0f\" y=\"%.0f\" "
		    "text-anchor=\"end\">%s UTC</text>\n</svg>\n",
		    NAME_WIDTH, l.n * l.pitch + 15, from, SVG_WIDTH, l.n * l.pitch + 15, to);
	notes(&l, out);
}
