/* SPDX-License-Identifier: Apache-2.0 */
/* list_tasks.c - tasks: one a line, as a tree, or one line for those of one await path */
#include "state.h"

#include <stdlib.h>
#include <string.h>

/* ---- order -------------------------------------------------------------------------------------
 */

enum { BY_AGE, BY_NAME, BY_STATE, BY_COROUTINE, BY_WAIT };

struct order {
	const struct snapshot *snap;
	unsigned column;
	bool inverted;
};

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int compare_age(const struct snap_task *a, const struct snap_task *b)
{
	int64_t x = a->have_age ? a->age_ns : -1, y = b->have_age ? b->age_ns : -1;

	return x > y ? -1 : x < y;
}

/* What needs a look first: what runs, then what is oldest. */
static int compare_default(const struct snap_task *a, const struct snap_task *b)
{
	bool x = a->state == SNAP_TASK_RUNNING, y = b->state == SNAP_TASK_RUNNING;

	return x != y ? (x ? -1 : 1) : compare_age(a, b);
}

static int compare_tasks(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	uint32_t i = ((const struct row *)a)->index, k = ((const struct row *)b)->index;
	const struct snap_task *x = &o->snap->tasks[i], *y = &o->snap->tasks[k];
	int order = 0;

	switch (o->column) {
	case BY_AGE:
		order = compare_default(x, y);
		break;
	case BY_NAME:
		order = compare_text(x->name, y->name);
		break;
	case BY_STATE:
		order = x->state < y->state ? -1 : x->state > y->state;
		break;
	case BY_COROUTINE:
		order = compare_text(x->coroutine, y->coroutine);
		break;
	case BY_WAIT:
		order = compare_text(x->what, y->what);
		break;
	}
	if (o->inverted)
		order = -order;
	return order ? order : i < k ? -1 : i > k;
}

static void sort_rows(struct tui_state *s, enum view view)
{
	struct order order = {&tui_picture(s)->snap, s->sort[view], s->inverted[view]};

	if (s->list.n)
		qsort_r(s->list.v, s->list.n, sizeof(*s->list.v), compare_tasks, &order);
}

/* ---- filter ------------------------------------------------------------------------------------
 */

/* NULL: all are shown. */
static const struct task_filter *make_filter(struct tui_state *s, struct task_filter *filter,
					     const char **term)
{
	const struct snapshot *snap = &tui_picture(s)->snap;

	*term = s->filter.data;
	if (!s->filter_is_term || !s->filter.len || !task_filter_init(filter, snap, term, 1, NULL))
		return NULL;
	s->list.of = snap->n_tasks;
	s->list.matched = filter->shown;
	return filter;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static void flat(struct tui_state *s, uint32_t loop, const struct task_filter *filter)
{
	const struct snapshot *snap = &tui_picture(s)->snap;

	for (uint32_t i = 0; i < snap->n_tasks; i++)
		if ((loop == SNAP_NONE || snap->tasks[i].loop == loop) &&
		    task_filter_matches(filter, snap, i))
			list_add(&s->list, ROW_TASK, i);
	sort_rows(s, VIEW_TASKS);
}

/* A root and all below it. */
struct branch {
	size_t first, n;
};

static int by_size(const void *a, const void *b)
{
	const struct branch *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return x->first < y->first ? -1 : 1;
}

/* The largest branch first: among many tasks that stand alone it would not be seen. */
static struct task_tree_row *by_branches(struct task_tree_row *rows, size_t n)
{
	struct task_tree_row *sorted = mem_alloc((n + 1) * sizeof(*sorted));
	struct branch *v = NULL;
	size_t count = 0, cap = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		if (!i || !rows[i].depth)
			*array_push(&v, &count, &cap) = (struct branch){i, 0};
		v[count - 1].n++;
	}
	if (count)
		qsort(v, count, sizeof(*v), by_size);
	for (size_t i = 0; i < count; i++) {
		memcpy(sorted + at, rows + v[i].first, v[i].n * sizeof(*rows));
		at += v[i].n;
	}
	free(v);
	free(rows);
	return sorted;
}

static void tree(struct tui_state *s, uint32_t loop, const struct task_filter *filter)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	struct task_tree_row *rows;
	uint32_t hidden_below = UINT32_MAX; /* depth of the folded row that hides what follows */
	size_t n;

	task_tree(snap, loop, filter, &rows, &n);
	rows = by_branches(rows, n);
	for (size_t i = 0; i < n; i++) {
		bool parent = i + 1 < n && rows[i + 1].depth > rows[i].depth;
		bool folded = addrmap_get(&s->folded, snap->tasks[rows[i].task].id) == 1;
		struct row *row;

		if (rows[i].depth > hidden_below)
			continue;
		hidden_below = folded && parent ? rows[i].depth : UINT32_MAX;
		row = list_add(&s->list, ROW_TASK, rows[i].task);
		row->depth = rows[i].depth;
		row->again = rows[i].again;
		row->fold = !parent ? 0 : folded ? '+' : '-';
	}
	free(rows);
}

void list_tasks(struct tui_state *s)
{
	struct task_filter made = {.matches = NULL};
	const char *term;
	const struct task_filter *filter = make_filter(s, &made, &term);

	if (s->tree)
		tree(s, tui_loop(s), filter);
	else
		flat(s, tui_loop(s), filter);
	if (filter)
		task_filter_deinit(&made);
	if (!s->list.n)
		list_add_text(&s->list, STYLE_DIM, filter ? "  no task matches" : "  no tasks");
}

static int by_oldest(const void *a, const void *b)
{
	const struct task_group *x = a, *y = b;
	int64_t p = x->have_oldest ? x->oldest_ns : -1, q = y->have_oldest ? y->oldest_ns : -1;

	return p > q ? -1 : p < q;
}

void list_groups(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	struct task_filter made = {.matches = NULL};
	const char *term;
	const struct task_filter *filter = make_filter(s, &made, &term);
	uint32_t loop = tui_loop(s);
	size_t n;

	if (loop == SNAP_NONE) {
		list_add_text(&s->list, STYLE_DIM, "  no loop: no tasks");
		return;
	}
	group_tasks(snap, loop, filter, &s->list.groups, &s->list.n_groups);
	n = s->list.n_groups;
	if (n && s->sort[VIEW_GROUPS] == 1)
		qsort(s->list.groups, n, sizeof(*s->list.groups), by_oldest);
	for (uint32_t i = 0; i < n; i++)
		list_add(&s->list, ROW_GROUP, s->inverted[VIEW_GROUPS] ? (uint32_t)n - 1 - i : i);
	if (filter)
		task_filter_deinit(&made);
	if (!s->list.n)
		list_add_text(&s->list, STYLE_DIM, filter ? "  no task matches" : "  no tasks");
}

void list_members(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	uint32_t example = snap_task_find(snap, s->subject);

	if (example == SNAP_NONE) {
		list_add_text(&s->list, STYLE_DIM,
			      "  the task that stood for this group has ended: Esc, and again");
		return;
	}
	for (uint32_t i = 0; i < snap->n_tasks; i++)
		if (snap->tasks[i].loop == snap->tasks[example].loop &&
		    tasks_same_path(snap, &snap->tasks[i], &snap->tasks[example]))
			list_add(&s->list, ROW_TASK, i);
	sort_rows(s, VIEW_MEMBERS);
}
