/* SPDX-License-Identifier: Apache-2.0 */
/* Stalls over time, a lane for each loop. */
#include <stdlib.h>

#include "report_page.h"
#include "stallscope/cleanup.h"
#include "svg.h"

#define LANES	    30u /* the loops with the most held time */
#define LANE_HEIGHT 26.0
#define NAME_WIDTH  200.0
#define STALLS_MOST 4000u /* the longest ones */

struct lanes {
	const struct history *h;
	uint32_t loops[LANES];
	unsigned n;
	double first, last;
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
	return l;
}

static void lane(const struct lanes *l, unsigned i, struct strbuf *out)
{
	struct arena arena = ARENA_INIT;
	double y = i * LANE_HEIGHT;

	strbuf_addf(out, "<text x=\"0\" y=\"%.1f\">", y + 17);
	html_add(out, report_whose(&arena, &l->h->loops[l->loops[i]]));
	strbuf_addf(out,
		    "</text><rect class=\"lane\" x=\"%.0f\" y=\"%.1f\" width=\"%.0f\" "
		    "height=\"%.0f\"/>\n",
		    NAME_WIDTH, y + 2, SVG_WIDTH - NAME_WIDTH, LANE_HEIGHT - 4);
	arena_deinit(&arena);
}

static void bar(const struct lanes *l, const struct history_stall *s, struct strbuf *out)
{
	unsigned i = lane_of(l, s->loop);
	const struct holder *x = &l->h->holders[s->holder];
	double scale = (SVG_WIDTH - NAME_WIDTH) / (l->last > l->first ? l->last - l->first : 1);
	double from = NAME_WIDTH + (s->time - l->first) * scale, width = s->held_s * scale;
	char when[40], held[40];

	if (i == l->n || !(from >= NAME_WIDTH))
		return;
	report_time(s->time, when, sizeof(when));
	report_seconds(s->held_s, held, sizeof(held));
	width = fmin(fmax(width, 1), fmax(SVG_WIDTH - from, 1));
	strbuf_addf(out,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.0f\" "
		    "fill=\"hsl(%u,75%%,48%%)\"><title>",
		    from, i * LANE_HEIGHT + 3, width, LANE_HEIGHT - 6, svg_hue(x->fingerprint));
	html_add(out, when);
	strbuf_addf(out, ", %s, ", held);
	html_add(out, x->function ? x->function : "?");
	strbuf_addstr(out, "</title></rect>\n");
}

void svg_timeline(const struct history *h, struct strbuf *out)
{
	cleanup_free uint32_t *order = NULL;
	struct lanes l = choose(h);
	char from[40], to[40];

	if (!l.n || !h->n_stalls)
		return;
	order = report_longest(h);
	report_time(l.first, from, sizeof(from));
	report_time(l.last, to, sizeof(to));
	strbuf_addf(out,
		    "<h2>Stalls over time</h2>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
		    SVG_WIDTH, l.n * LANE_HEIGHT + 20);
	for (unsigned i = 0; i < l.n; i++)
		lane(&l, i, out);
	for (size_t i = 0; i < h->n_stalls && i < STALLS_MOST; i++)
		bar(&l, &h->stalls[order[i]], out);
	strbuf_addf(out,
		    "<text x=\"%.0f\" y=\"%.0f\">%s</text><text x=\"%.0f\" y=\"%.0f\" "
		    "text-anchor=\"end\">%s UTC</text>\n</svg>\n",
		    NAME_WIDTH, l.n * LANE_HEIGHT + 15, from, SVG_WIDTH, l.n * LANE_HEIGHT + 15,
		    to);
	if (h->n_loops > l.n)
		strbuf_addf(out, "<p class=\"note\">The %u loops with the most held time.</p>\n",
			    l.n);
	if (h->n_stalls > STALLS_MOST)
		strbuf_addf(out, "<p class=\"note\">The %u longest of %zu stalls.</p>\n",
			    STALLS_MOST, h->n_stalls);
}
