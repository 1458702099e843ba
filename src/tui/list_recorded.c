/* SPDX-License-Identifier: Apache-2.0 */
/* list_recorded.c - what a recording has for each view: its stalls, who holds most, await places */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const char *text)
{
	return text ? text : "?";
}

/* ---- stalls ------------------------------------------------------------------------------------
 */

static void history(struct tui_state *s)
{
	const struct watched *w = tui_target(s);
	size_t n;

	if (!w->history.n) {
		list_add_text(&s->list, STYLE_DIM, "  no stall was recorded");
		return;
	}
	if (w->history.n < w->recorded->stalls) {
		list_add_text(&s->list, STYLE_HEAD,
			      "%zu of %" PRIu64 " stalls: the longest; the ranking is of all",
			      w->history.n, w->recorded->stalls);
		s->list.v[s->list.n - 1].head = true;
	}
	for (uint32_t i = 0; i < w->history.n; i++)
		list_add(&s->list, ROW_STALL, i);
	list_add_head(&s->list, "ranking   share  count      p50      p95      max  held by");
	n = recorded_holders(w->recorded, &w->history, s->list.holders, HOLDERS_SHOWN);
	for (uint32_t i = 0; i < n; i++)
		list_add(&s->list, ROW_HOLDER, i);
}

static void held(struct tui_state *s, const struct history_stall *stall, const struct holder *x)
{
	char least[32], most[32];

	format_duration(least, sizeof(least), (int64_t)(stall->held_s * 1e9));
	if (stall->held_at_most_s >= stall->held_s)
		format_duration(most, sizeof(most), (int64_t)(stall->held_at_most_s * 1e9));
	else
		snprintf(most, sizeof(most), "not known");
	list_add_text(&s->list, STYLE_PLAIN, "  %s %s   held at least %s, at most %s%s",
		      text_of(x->verdict), x->kind ? x->kind : "", least, most,
		      stall->over ? "" : "; its end was not seen");
}

static void place_of(struct strbuf *out, const char *file, int64_t line)
{
	strbuf_addstr(out, text_of(file));
	if (line > 0)
		strbuf_addf(out, ":%" PRId64, line);
}

static void stack(struct tui_state *s, const struct history_stack *stack)
{
	list_add_head(&s->list, "stack (newest last)");
	for (uint32_t i = stack->n; i-- > 0;) {
		const struct history_frame *f = &stack->frames[i];
		cleanup_strbuf struct strbuf place = STRBUF_INIT;

		if (f->file)
			place_of(&place, s->paths ? f->file : short_path(f->file), f->line);
		list_add_text(&s->list, f->own ? STYLE_OWN : STYLE_PLAIN, "  %-28s  %s",
			      text_of(f->function), place.len ? place.data : "");
	}
}

static void stall(struct tui_state *s)
{
	const struct history *h = &tui_recorded(s)->h;
	const struct history_stall *stall = &h->stalls[tui_recorded_stall(s)];
	const struct holder *x = &h->holders[stall->holder];
	const struct history_loop *l = &h->loops[stall->loop];
	cleanup_strbuf struct strbuf place = STRBUF_INIT;
	char when[32];

	held(s, stall, x);
	recorded_time(stall->time, true, when, sizeof(when));
	list_add_text(&s->list, STYLE_PLAIN, "  when     %s   pid %" PRId64 " on %s, loop %s", when,
		      l->pid, text_of(l->host), text_of(l->id));
	place_of(&place, x->file, x->line);
	list_add_text(&s->list, STYLE_OWN, "  held by  %s  %s", text_of(x->function), place.data);
	if (x->source)
		list_add_text(&s->list, STYLE_OWN, "           %s", x->source);
	if (x->title || x->library)
		list_add_text(&s->list, STYLE_PLAIN, "  in       %s",
			      x->title ? x->title : x->library);
	if (x->advice)
		list_add_wrapped(&s->list, STYLE_PLAIN, "  do this  ", x->advice, s->cols);
	if (stall->stack == HISTORY_NONE)
		list_add_head(&s->list, "no stack of it is in the recording");
	else
		stack(s, &h->stacks[stall->stack]);
}

/* ---- await places ------------------------------------------------------------------------------
 */

struct order {
	const struct history *h;
	bool by_age, inverted;
};

static int compare(const struct order *o, uint32_t a, uint32_t b)
{
	const struct history_group *x = &o->h->groups[a], *y = &o->h->groups[b];
	int64_t p = history_group_now(o->h, x), q = history_group_now(o->h, y);

	if (o->by_age && !(isnan(x->oldest_s) && isnan(y->oldest_s)) && x->oldest_s != y->oldest_s)
		return isnan(y->oldest_s) || x->oldest_s > y->oldest_s ? -1 : 1;
	if (p != q)
		return p > q ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int by_order(const void *a, const void *b, void *data)
{
	const struct order *o = data;
	const struct row *x = a, *y = b;
	int before = compare(o, x->index, y->index);

	return o->inverted ? -before : before;
}

static void groups_of(struct tui_state *s, uint32_t loop)
{
	const struct history *h = &tui_recorded(s)->h;
	const struct history_loop *l = &h->loops[loop];
	struct order order = {h, s->sort[VIEW_GROUPS] == 1, s->inverted[VIEW_GROUPS]};
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	size_t first;

	if (h->n_loops > 1)
		strbuf_addf(&line, "loop %s of pid %" PRId64 ": ", text_of(l->id), l->pid);
	strbuf_addstr(&line, "the last full look");
	if (l->tasks_first >= 0)
		strbuf_addf(&line,
			    "; %" PRId64 " %s at first, %" PRId64 " at most, %" PRId64 " at last",
			    l->tasks_first, PLURAL(l->tasks_first, "task", "tasks"), l->tasks_most,
			    l->tasks_last);
	list_add_head(&s->list, line.data);
	first = s->list.n;
	for (uint32_t i = 0; i < h->n_groups; i++)
		if (h->groups[i].loop == loop && history_group_now(h, &h->groups[i]) > 0)
			list_add(&s->list, ROW_PLACE, i);
	if (s->list.n > first)
		qsort_r(s->list.v + first, s->list.n - first, sizeof(*s->list.v), by_order, &order);
	else
		list_add_text(&s->list, STYLE_DIM, "  no tasks");
}

#define LOOPS_SHOWN 64u /* each one is a pass over all groups */

static void groups(struct tui_state *s)
{
	const struct history *h = &tui_recorded(s)->h;
	unsigned shown = 0;

	for (uint32_t i = 0; i < h->n_loops && shown < LOOPS_SHOWN; i++)
		if (h->loops[i].full) {
			groups_of(s, i);
			shown++;
		}
	if (shown == LOOPS_SHOWN)
		list_add_text(&s->list, STYLE_DIM, "  ... more loops: stallscope report has all");
	if (!shown)
		list_add_text(&s->list, STYLE_DIM,
			      "  no full look is in it: stallscope record takes them");
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static void has_none(struct tui_state *s, const char *what)
{
	list_add_text(&s->list, STYLE_DIM, "  a recording has no %s: see dump --save", what);
}

void list_recorded(struct tui_state *s)
{
	switch (s->view) {
	case VIEW_HISTORY:
		history(s);
		break;
	case VIEW_GROUPS:
		groups(s);
		break;
	case VIEW_STALL:
		if (tui_recorded_stall(s) != HISTORY_NONE)
			stall(s);
		break;
	case VIEW_STACK:
		has_none(s, "stack but those of its stalls (4, Enter)");
		break;
	case VIEW_THREADS:
		has_none(s, "threads");
		break;
	default:
		has_none(s, "single tasks");
		break;
	}
}
