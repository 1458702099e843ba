/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a report. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "report_page.h"
#include "stallscope/cleanup.h"
#include "stallscope/render.h"

void report_time(double time, char *buf, size_t size)
{
	time_t seconds = isnan(time) ? 0 : (time_t)time;
	struct tm tm;

	if (isnan(time) || !gmtime_r(&seconds, &tm) ||
	    !strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(buf, size, "unknown");
}

void report_seconds(double s, char *buf, size_t size)
{
	if (!(fabs(s) < 1e9))
		snprintf(buf, size, "unknown");
	else
		format_duration(buf, size, (int64_t)(s * 1e9));
}

static const char *duration(struct page *p, double s)
{
	char text[48];

	report_seconds(s, text, sizeof(text));
	return arena_strdup(&p->arena, text);
}

/* "svc.py:5", the end of a path. */
const char *report_place(struct arena *arena, const char *file, int64_t line)
{
	if (!file)
		return "";
	return line > 0 ? arena_printf(arena, "%s:%lld", short_path(file), (long long)line)
			: short_path(file);
}

static size_t rows_of(const struct report_options *o, size_t n)
{
	return o->verbose || n < REPORT_ROWS ? n : REPORT_ROWS;
}

static void note_cut(struct page *p, struct table *t, size_t n)
{
	if (table_rows(t) < n)
		page_note(p, t, "%zu more: --verbose", n - table_rows(t));
}

/* ---- summary --------------------------------------------------------------------------------- */

static void span(const struct history *h, double *first, double *last)
{
	*first = *last = NAN;
	for (size_t i = 0; i < h->n_loops; i++) {
		if (!(*first <= h->loops[i].first))
			*first = h->loops[i].first;
		if (!(*last >= h->loops[i].last))
			*last = h->loops[i].last;
	}
}

static size_t hosts(const struct history *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_loops; i++) {
		size_t j = 0;

		while (j < i && h->loops[j].host != h->loops[i].host)
			j++;
		n += j == i;
	}
	return n;
}

static void held_line(const struct history *h, struct page *p)
{
	double held = history_held(h), observed = history_observed(h);
	uint64_t count = 0;

	for (size_t i = 0; i < h->n_holders; i++)
		count += h->holders[i].held.count;
	if (!count)
		page_line(p, "No loop was seen to be held for the threshold.");
	else if (observed >= held)
		page_line(p, "Held for %s in %llu %s: %.1f %% of the time.", duration(p, held),
			  (unsigned long long)count, PLURAL(count, "stall", "stalls"),
			  held / observed * 100);
	else
		page_line(p, "Held for %s in %llu %s.", duration(p, held),
			  (unsigned long long)count, PLURAL(count, "stall", "stalls"));
}

static void summary(const struct history *h, struct page *p)
{
	char from[40], to[40];
	double first, last;

	span(h, &first, &last);
	report_time(first, from, sizeof(from));
	report_time(last, to, sizeof(to));
	page_line(p, "stallscope: report of %zu %s, %zu %s, %zu %s", h->n_files,
		  PLURAL(h->n_files, "file", "files"), hosts(h), PLURAL(hosts(h), "host", "hosts"),
		  h->n_loops, PLURAL(h->n_loops, "loop", "loops"));
	page_line(p, "From %s to %s UTC, looked at for %s.", from, to,
		  duration(p, history_observed(h)));
	held_line(h, p);
	for (size_t i = 0; i < h->n_files; i++) {
		const struct history_file *f = &h->files[i];

		if (f->read < f->lines)
			page_line(p, "%s: %llu of %llu %s read; line %llu: %s", f->path,
				  (unsigned long long)f->read, (unsigned long long)f->lines,
				  PLURAL(f->lines, "line", "lines"),
				  (unsigned long long)f->first_bad, f->why);
		else if (f->recording && !f->bye)
			page_line(p, "%s: was cut off, its last line is missing", f->path);
		if (f->missed)
			page_line(p, "%s: %llu %s could not be taken in time", f->path,
				  (unsigned long long)f->missed,
				  PLURAL(f->missed, "look", "looks"));
	}
	if (h->left_out)
		page_line(p, "%llu %s left out: there is more than is kept",
			  (unsigned long long)h->left_out,
			  PLURAL(h->left_out, "thing was", "things were"));
}

/* ---- tables ---------------------------------------------------------------------------------- */

const char *report_what(struct arena *arena, const struct holder *x)
{
	const char *kind = x->kind ? x->kind : x->verdict;

	if (x->title)
		return arena_printf(arena, "%s: %s", kind, x->title);
	return x->library ? arena_printf(arena, "%s: %s", kind, x->library) : kind;
}

static void holders(const struct history *h, const struct report_options *o, struct page *p)
{
	struct table *t = page_table(p, "Holders, those with the most held time first",
				     ">share|>held|>count|>p50|>p95|>max|+/who|+in what|"
				     "+=fingerprint|>hosts");
	cleanup_free uint32_t *rank = history_rank(h);
	double all = history_held(h);

	for (size_t i = 0; i < rows_of(o, h->n_holders); i++) {
		const struct holder *x = &h->holders[rank[i]];

		page_cell(p, t, "%.0f %%", all > 0 ? x->held.sum / all * 100 : 0);
		page_cell(p, t, "%s", duration(p, x->held.sum));
		page_cell(p, t, "%llu", (unsigned long long)x->held.count);
		page_cell(p, t, "%s", duration(p, sketch_quantile(&x->held, 0.5)));
		page_cell(p, t, "%s", duration(p, sketch_quantile(&x->held, 0.95)));
		page_cell(p, t, "%s", duration(p, x->held.max));
		page_cell(p, t, "%s %s", x->function ? x->function : "?",
			  report_place(&p->arena, x->file, x->line));
		page_cell(p, t, "%s", report_what(&p->arena, x));
		page_cell(p, t, "%s", x->fingerprint);
		page_cell(p, t, "%u", x->n_hosts);
	}
	note_cut(p, t, h->n_holders);
}

static int by_length(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	const struct history_stall *x = &h->stalls[*(const uint32_t *)a];
	const struct history_stall *y = &h->stalls[*(const uint32_t *)b];

	if (x->held_s != y->held_s)
		return x->held_s < y->held_s ? 1 : -1;
	return x < y ? -1 : 1;
}

uint32_t *report_longest(const struct history *h)
{
	uint32_t *order = mem_alloc((h->n_stalls + 1) * sizeof(*order));

	for (size_t i = 0; i < h->n_stalls; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, h->n_stalls, sizeof(*order), by_length, (void *)(uintptr_t)h);
	return order;
}

const char *report_whose(struct arena *arena, const struct history_loop *l)
{
	return arena_printf(arena, "%s%spid %lld", l->host ? l->host : "", l->host ? " " : "",
			    (long long)l->pid);
}

static void stalls(const struct history *h, const struct report_options *o, struct page *p)
{
	struct table *t = page_table(p, "Stalls, the longest first",
				     "began (UTC)|>held|>at most|/whose|+who|+in what");
	cleanup_free uint32_t *order = report_longest(h);
	char when[40];

	for (size_t i = 0; i < rows_of(o, h->n_stalls); i++) {
		const struct history_stall *s = &h->stalls[order[i]];
		const struct holder *x = &h->holders[s->holder];

		report_time(s->time, when, sizeof(when));
		page_cell(p, t, "%s", when);
		page_cell(p, t, "%s", duration(p, s->held_s));
		page_cell(p, t, "%s",
			  isnan(s->held_at_most_s) ? "?" : duration(p, s->held_at_most_s));
		page_cell(p, t, "%s", report_whose(&p->arena, &h->loops[s->loop]));
		page_cell(p, t, "%s", x->function ? x->function : "?");
		page_cell(p, t, "%s", report_what(&p->arena, x));
	}
	note_cut(p, t, h->n_stalls);
}

static void lag_row(struct page *p, struct table *t, const char *whose, const struct sketch *s)
{
	static const double at[] = {0.5, 0.9, 0.99, 0.999};

	page_cell(p, t, "%s", whose);
	page_cell(p, t, "%llu", (unsigned long long)s->count);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		page_cell(p, t, "%s", duration(p, sketch_quantile(s, at[i])));
	page_cell(p, t, "%s", duration(p, s->max));
}

static void lag(const struct history *h, const struct report_options *o, struct page *p)
{
	struct table *t = page_table(p, "Lag of the loops, over all looks",
				     "/whose|>looks|>p50|>p90|>p99|>p99.9|>max");
	struct sketch all = history_lag(h);

	if (all.count && h->n_loops > 1)
		lag_row(p, t, "all", &all);
	for (size_t i = 0; i < rows_of(o, h->n_loops); i++)
		if (h->loops[i].lag.count)
			lag_row(p, t, report_whose(&p->arena, &h->loops[i]), &h->loops[i].lag);
	if (all.count > SKETCH_EXACT)
		page_note(p, t, "quantiles are within %.0f %% of the value", SKETCH_ERROR * 100);
	sketch_deinit(&all);
}

static void number(struct page *p, struct table *t, int64_t n) /* negative: unknown */
{
	if (n < 0)
		page_cell(p, t, "?");
	else
		page_cell(p, t, "%lld", (long long)n);
}

static void loops(const struct history *h, const struct report_options *o, struct page *p)
{
	struct table *t = page_table(p, "Loops",
				     "/whose|+verdict|>looks|>unhealthy|>stalls|>held|"
				     ">tasks at first|>now|>most|+/command");

	for (size_t i = 0; i < rows_of(o, h->n_loops); i++) {
		const struct history_loop *l = &h->loops[i];

		page_cell(p, t, "%s", report_whose(&p->arena, l));
		page_cell(p, t, "%s%s%s", l->verdict ? l->verdict : "?", l->kind ? " " : "",
			  l->kind ? l->kind : "");
		page_cell(p, t, "%llu", (unsigned long long)l->looks);
		page_cell(p, t, "%llu", (unsigned long long)l->unhealthy);
		page_cell(p, t, "%llu", (unsigned long long)l->stalls);
		page_cell(p, t, "%s", duration(p, l->held_s));
		number(p, t, l->tasks_first);
		number(p, t, l->tasks_last);
		number(p, t, l->tasks_most);
		page_cell(p, t, "%s", l->command);
	}
	note_cut(p, t, h->n_loops);
}

static int by_tasks(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	const struct history_group *x = &h->groups[*(const uint32_t *)a];
	const struct history_group *y = &h->groups[*(const uint32_t *)b];
	int64_t n = history_group_now(h, x), m = history_group_now(h, y);

	if (n != m)
		return n < m ? 1 : -1;
	if (x->most != y->most)
		return x->most < y->most ? 1 : -1;
	return x < y ? -1 : 1;
}

uint32_t *report_groups(const struct history *h)
{
	uint32_t *order = mem_alloc((h->n_groups + 1) * sizeof(*order));

	for (size_t i = 0; i < h->n_groups; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, h->n_groups, sizeof(*order), by_tasks, (void *)(uintptr_t)h);
	return order;
}

static void groups(const struct history *h, const struct report_options *o, struct page *p)
{
	struct table *t = page_table(p, "Tasks by await place, at the last full snapshot",
				     ">tasks|>at first|>most|>oldest|waits on|+who|+/where|"
				     "+/whose");
	cleanup_free uint32_t *order = report_groups(h);

	for (size_t i = 0; i < rows_of(o, h->n_groups); i++) {
		const struct history_group *g = &h->groups[order[i]];

		page_cell(p, t, "%lld", (long long)history_group_now(h, g));
		page_cell(p, t, "%lld", (long long)g->first);
		page_cell(p, t, "%lld", (long long)g->most);
		page_cell(p, t, "%s", isnan(g->oldest_s) ? "-" : duration(p, g->oldest_s));
		page_cell(p, t, "%s", g->title ? g->title : "?");
		page_cell(p, t, "%s", g->function ? g->function : "?");
		page_cell(p, t, "%s", report_place(&p->arena, g->file, g->line));
		page_cell(p, t, "%s", report_whose(&p->arena, &h->loops[g->loop]));
	}
	note_cut(p, t, h->n_groups);
}

void report_page(const struct history *h, const struct report_options *o, struct page *p)
{
	*p = (struct page){.title = "stallscope report"};
	summary(h, p);
	holders(h, o, p);
	stalls(h, o, p);
	lag(h, o, p);
	loops(h, o, p);
	groups(h, o, p);
}

void report_text(const struct history *h, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	report_page(h, o, &p);
	page_text(&p, o->width, o->ascii, out);
	page_deinit(&p);
}

void report_markdown(const struct history *h, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	report_page(h, o, &p);
	page_markdown(&p, out);
	page_deinit(&p);
}
