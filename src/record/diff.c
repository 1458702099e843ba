/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two histories side by side. They are seldom of the same length, so holds are compared by their
 * part of the time that loops were looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "report_page.h"
#include "stallscope/cleanup.h"
#include "stallscope/render.h"

#define TIMES	    1.25  /* as much as before: a difference that is more than noise ... */
#define HELD_RATIO  0.005 /* ... and this part of the time, */
#define LAG_S	    0.01  /* that much lag, */
#define RATE	    0.1	  /* tasks a second, */
#define UNHEALTHY   0.05  /* part of the looks */
#define PLACE_TIMES 2.0
#define PLACE_TASKS 50
#define FILES_MOST  20u

struct diff_row *diff_add(struct differ *x, enum diff_class class, const char *what, double before,
			  double after)
{
	struct diff_row *row = array_push(&x->d->v, &x->d->n, &x->cap);

	*row = (struct diff_row){.class = class,
				 .what = what,
				 .before = "-",
				 .after = "-",
				 .before_value = before,
				 .after_value = after};
	return row;
}

/* 1 worse, -1 better, 0 no more than noise. */
static int sense_of(double before, double after, double times, double least)
{
	if (after > before * times && after - before >= least)
		return 1;
	return before > after * times && before - after >= least ? -1 : 0;
}

static const char *seconds(struct differ *x, double s)
{
	char text[48];

	report_seconds(s, text, sizeof(text));
	return arena_strdup(&x->d->arena, text);
}

/* ---- holders --------------------------------------------------------------------------------- */

/* Looked at for longer than it was held: one look at a stall is not. */
static bool has_length(const struct history *h)
{
	return history_observed(h) > history_held(h) * 1.001;
}

/* Part of the time; where one side has no length, seconds. */
static double held_part(const struct differ *x, const struct history *h,
			const struct holder *holder)
{
	if (!holder)
		return 0;
	return x->parts ? holder->held.sum / history_observed(h) : holder->held.sum;
}

static const char *held_text(struct differ *x, const struct history *h, const struct holder *holder)
{
	if (!holder || !holder->held.count)
		return "-";
	if (!x->parts)
		return arena_printf(&x->d->arena, "held %s", seconds(x, holder->held.sum));
	return arena_printf(&x->d->arena, "%.1f %% of the time, %llu x, p95 %s",
			    holder->held.sum / history_observed(h) * 100,
			    (unsigned long long)holder->held.count,
			    seconds(x, sketch_quantile(&holder->held, 0.95)));
}

static const struct holder *find(const struct history *h, const char *fingerprint)
{
	for (size_t i = 0; i < h->n_holders; i++)
		if (!strcmp(h->holders[i].fingerprint, fingerprint))
			return &h->holders[i];
	return NULL;
}

/* either: the one that is there, after where both are. */
static void holder(struct differ *x, const struct holder *before, const struct holder *after,
		   const struct holder *either)
{
	double was = held_part(x, x->a, before), is = held_part(x, x->b, after);
	struct arena *arena = &x->d->arena;
	struct diff_row *row;

	row = diff_add(x, DIFF_HOLDER,
		       arena_printf(arena, "%s %s, %s", either->function ? either->function : "?",
				    report_place(arena, either->file, either->line),
				    report_what(arena, either)),
		       was, is);
	row->before = held_text(x, x->a, before);
	row->after = held_text(x, x->b, after);
	row->fingerprint = either->fingerprint;
	row->sense = sense_of(was, is, TIMES, HELD_RATIO);
	row->weight = fabs(is - was);
}

static void holders(struct differ *x)
{
	for (size_t i = 0; i < x->b->n_holders; i++)
		holder(x, find(x->a, x->b->holders[i].fingerprint), &x->b->holders[i],
		       &x->b->holders[i]);
	for (size_t i = 0; i < x->a->n_holders; i++)
		if (!find(x->b, x->a->holders[i].fingerprint))
			holder(x, &x->a->holders[i], NULL, &x->a->holders[i]);
}

/* ---- loops ----------------------------------------------------------------------------------- */

static int severity(const char *word)
{
#define X(name, text, unhealthy, value) \
	if (!strcmp(word, text))        \
		return value;
	VERDICT_LIST(X)
#undef X
	return 0;
}

struct sums {
	uint64_t looks, unhealthy;
	int64_t first, last; /* tasks; -1 unknown */
	double observed_s;
	const char *verdict, *kind, *python, *command; /* of the worst loop */
};

static struct sums sum(const struct history *h)
{
	struct sums s = {.verdict = "NO-LOOP"};

	for (size_t i = 0; i < h->n_loops; i++) {
		const struct history_loop *l = &h->loops[i];

		s.looks += l->looks;
		s.unhealthy += l->unhealthy;
		s.observed_s = fmax(s.observed_s, l->observed_s);
		s.first += l->tasks_first > 0 ? l->tasks_first : 0;
		s.last += l->tasks_last > 0 ? l->tasks_last : 0;
		if (!l->verdict || (i && severity(l->verdict) < severity(s.verdict)))
			continue;
		s.verdict = l->verdict;
		s.kind = l->kind;
		s.python = l->python;
		s.command = l->command;
	}
	return s;
}

static const char *verdict_text(struct differ *x, const struct sums *s)
{
	if (s->looks > 1)
		return arena_printf(&x->d->arena, "%.1f %% of %llu looks",
				    (double)s->unhealthy / (double)s->looks * 100,
				    (unsigned long long)s->looks);
	return arena_printf(&x->d->arena, "%s%s%s", s->verdict, s->kind ? " " : "",
			    s->kind ? s->kind : "");
}

/* Of many looks the last one is chance: how often it was unhealthy is not. */
static void verdicts(struct differ *x, const struct sums *a, const struct sums *b)
{
	bool many = a->looks > 1 && b->looks > 1;
	double was = many ? (double)a->unhealthy / (double)a->looks : severity(a->verdict);
	double is = many ? (double)b->unhealthy / (double)b->looks : severity(b->verdict);
	struct diff_row *row = diff_add(x, DIFF_VERDICT, many ? "unhealthy" : "verdict", NAN, NAN);

	row->before = verdict_text(x, a);
	row->after = verdict_text(x, b);
	row->sense = sense_of(was, is, 1, many ? UNHEALTHY : 1);
	row->weight = fabs(is - was);
	if (!many)
		return;
	row->before_value = was;
	row->after_value = is;
}

static void lag(struct differ *x)
{
	static const struct {
		const char *name;
		double q;
	} at[] = {{"lag p50", 0.5}, {"lag p90", 0.9}, {"lag p99", 0.99}, {"lag max", 1}};
	struct sketch a = history_lag(x->a), b = history_lag(x->b);

	for (size_t i = 0; i < ARRAY_SIZE(at) && a.count && b.count; i++) {
		double was = sketch_quantile(&a, at[i].q), is = sketch_quantile(&b, at[i].q);
		struct diff_row *row = diff_add(x, DIFF_LAG, at[i].name, was, is);

		row->before = seconds(x, was);
		row->after = seconds(x, is);
		row->weight = fabs(is - was);
		/* the longest of all is one event: it is told, and decides nothing */
		row->sense = at[i].q < 1 ? sense_of(was, is, TIMES, LAG_S) : 0;
	}
	sketch_deinit(&a);
	sketch_deinit(&b);
}

static void growth(struct differ *x, const struct sums *a, const struct sums *b)
{
	double was = a->observed_s > 0 ? (double)(a->last - a->first) / a->observed_s : NAN;
	double is = b->observed_s > 0 ? (double)(b->last - b->first) / b->observed_s : NAN;
	struct diff_row *row = diff_add(x, DIFF_GROWTH, "tasks", (double)a->last, (double)b->last);

	row->before = arena_printf(&x->d->arena, "%lld", (long long)a->last);
	row->after = arena_printf(&x->d->arena, "%lld", (long long)b->last);
	if (isnan(was) || isnan(is))
		return;
	row = diff_add(x, DIFF_GROWTH, "tasks more each second", was, is);
	row->before = arena_printf(&x->d->arena, "%+.2f", was);
	row->after = arena_printf(&x->d->arena, "%+.2f", is);
	row->sense = sense_of(fmax(was, 0), fmax(is, 0), TIMES, RATE);
	row->weight = fabs(is - was);
}

/* ---- places ---------------------------------------------------------------------------------- */

struct place {
	const char *title, *function, *file;
	int64_t line, before, after;
};

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Without the line, which a release moves. */
static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int order = strcmp(x->title, y->title);

	return order ? order : strcmp(x->function, y->function);
}

static void gather(const struct history *h, bool after, struct place **v, size_t *n, size_t *cap)
{
	for (size_t i = 0; i < h->n_groups; i++) {
		const struct history_group *g = &h->groups[i];
		int64_t now = history_group_now(h, g);

		*array_push(v, n, cap) = (struct place){.title = g->title ? g->title : "?",
							.function = g->function ? g->function : "?",
							.file = g->file,
							.line = g->line,
							.before = after ? 0 : now,
							.after = after ? now : 0};
	}
}

static void place(struct differ *x, const struct place *p)
{
	struct arena *arena = &x->d->arena;
	struct diff_row *row;

	if (p->before == p->after)
		return;
	row = diff_add(x, DIFF_PLACE,
		       arena_printf(arena, "%s in %s %s", p->title, p->function,
				    report_place(arena, p->file, p->line)),
		       (double)p->before, (double)p->after);
	row->before = arena_printf(arena, "%lld tasks", (long long)p->before);
	row->after = arena_printf(arena, "%lld tasks", (long long)p->after);
	row->sense = sense_of((double)p->before, (double)p->after, PLACE_TIMES, PLACE_TASKS);
	row->weight = fabs((double)(p->after - p->before));
}

static void places(struct differ *x)
{
	struct place *v = NULL;
	size_t n = 0, cap = 0, j;

	gather(x->a, false, &v, &n, &cap);
	gather(x->b, true, &v, &n, &cap);
	if (n)
		qsort(v, n, sizeof(*v), by_place);
	for (size_t i = 0; i < n; i = j) {
		struct place all = v[i];

		for (j = i + 1; j < n && !by_place(&all, &v[j]); j++) {
			all.before += v[j].before;
			all.after += v[j].after;
			if (v[j].after)
				all.line = v[j].line;
		}
		place(x, &all);
	}
	free(v);
}

/* ---- what runs ------------------------------------------------------------------------------- */

static void words(struct differ *x, enum diff_class class, const char *what, const char *before,
		  const char *after)
{
	struct diff_row *row;

	if (same_text(before, after))
		return;
	row = diff_add(x, class, what, NAN, NAN);
	row->before = before ? before : "?";
	row->after = after ? after : "?";
}

static bool has_file(const struct history *h, const char *file)
{
	for (size_t i = 0; i < h->n_stacks; i++)
		for (uint32_t j = 0; j < h->stacks[i].n; j++)
			if (same_text(h->stacks[i].frames[j].file, file))
				return true;
	return false;
}

static bool was_newer(const struct history *h, const char *file)
{
	for (size_t i = 0; i < h->n_holders; i++)
		if (h->holders[i].newer && same_text(h->holders[i].file, file))
			return true;
	return false;
}

/* Files of holders that were edited while the process ran: what runs is not what is there. */
static void newer_files(struct differ *x)
{
	for (size_t i = 0; i < x->b->n_holders; i++) {
		const struct holder *after = &x->b->holders[i];

		if (after->newer && after->file && !was_newer(x->a, after->file) &&
		    !diff_has_file(x, after->file))
			words(x, DIFF_FILE, "changed since the process began", "-",
			      short_path(after->file));
	}
}

/* Files of the user's own that stand in stacks for the first time. */
static void new_files(struct differ *x)
{
	const char *last = NULL;
	unsigned told = 0;

	for (size_t i = 0; i < x->b->n_stacks && told < FILES_MOST; i++) {
		const struct history_stack *s = &x->b->stacks[i];

		for (uint32_t j = 0; j < s->n && told < FILES_MOST; j++) {
			const char *file = s->frames[j].file;

			if (!s->frames[j].own || !file || file == last || has_file(x->a, file) ||
			    diff_has_file(x, file))
				continue;
			last = file;
			told++;
			words(x, DIFF_FILE, "not seen before", "-", short_path(file));
		}
	}
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Worse first, then better, then what is neither; holders before their effects. */
static int by_rank(const void *a, const void *b)
{
	static const int order[] = {1, 2, 0}; /* of sense -1, 0, 1 */
	const struct diff_row *x = a, *y = b;

	if (x->sense != y->sense)
		return order[x->sense + 1] - order[y->sense + 1];
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return strcmp(x->what, y->what);
}

void diff_make(const struct history *before, const struct history *after, struct diff *ret)
{
	struct differ x = {before, after, ret, 0, has_length(before) && has_length(after)};
	struct sums a = sum(before), b = sum(after);

	*ret = (struct diff){.worse = false};
	holders(&x);
	verdicts(&x, &a, &b);
	lag(&x);
	growth(&x, &a, &b);
	places(&x);
	words(&x, DIFF_PYTHON, "Python", a.python, b.python);
	words(&x, DIFF_COMMAND, "command", a.command, b.command);
	diff_modules(&x);
	newer_files(&x);
	new_files(&x);
	qsort(ret->v, ret->n, sizeof(*ret->v), by_rank);
	ret->worse = ret->n && ret->v[0].sense > 0;
	diff_place_below(&x);
}

void diff_deinit(struct diff *d)
{
	free(d->v);
	arena_deinit(&d->arena);
}
