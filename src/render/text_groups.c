/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups before rows: tasks with one await path are one line. The columns: how many, how long the
 * oldest of them has waited, in what, in which coroutine, and where in the user's own code.
 */
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define GROUPS_SHOWN 10u
#define NOTE	     "         "

/* Widths of the columns in 80 columns; what a wider line has more is shared. */
struct columns {
	size_t waits, coroutine, where;
};

static struct columns columns_of(const struct text *t)
{
	size_t more = t->o->width > 80 ? t->o->width - 80 : 0;

	if (more > 90)
		more = 90;
	return (struct columns){22 + more / 3, 16 + more / 3, 18 + more - 2 * (more / 3)};
}

static void oldest(const struct task_group *g, struct strbuf *out)
{
	if (!g->have_oldest) {
		strbuf_addch(out, '-');
		return;
	}
	strbuf_addstr(out, g->oldest_is_lower ? ">= " : "");
	format_age(out, g->oldest_ns);
}

static void column(struct text *t, const char *text, size_t width)
{
	size_t used = utf8_add_cut(&t->line, text, width, false, t->o->ascii);

	strbuf_pad(&t->line, ' ', width + 2 - used);
}

static void group_line(struct text *t, const struct task_group *g)
{
	const struct snap_task *task = &t->s->tasks[g->example];
	const struct snap_frame *f = text_own_frame(t->s, &task->stack);
	cleanup_strbuf struct strbuf waits = STRBUF_INIT, where = STRBUF_INIT, age = STRBUF_INIT;
	struct columns c = columns_of(t);

	/* that they do not simply wait is why they are a row of their own */
	if (task->what && task->state != SNAP_TASK_PENDING)
		strbuf_addf(&waits, "(%s) ", task_state_word(task->state));
	text_waits(t->s, &t->rows, task, &waits);
	if (f)
		text_place(t, f, &where);
	oldest(g, &age);
	strbuf_addf(&t->line, "%7u  ", g->count);
	column(t, age.data, 9);
	column(t, waits.data, c.waits);
	column(t, task->coroutine, c.coroutine);
	/* the end, with the line, is what is looked for */
	utf8_add_cut(&t->line, where.data, c.where, true, t->o->ascii);
	text_end_line(t);
	if (g->orphans)
		TEXT_LINE(t, NOTE "%u of them ORPHAN: nothing is left that could wake them",
			  g->orphans);
}

static void head_line(struct text *t)
{
	struct columns c = columns_of(t);

	strbuf_addstr(&t->line, "      N  ");
	column(t, "oldest", 9);
	column(t, "waits on", c.waits);
	column(t, "coroutine", c.coroutine);
	strbuf_addstr(&t->line, "where");
	text_end_line(t);
}

/* That a "-" is no zero. */
static void unknown_line(struct text *t, const struct task_group *groups, size_t shown)
{
	for (size_t i = 0; i < shown; i++) {
		if (groups[i].have_oldest || !t->s->tasks[groups[i].example].waits_for)
			continue;
		TEXT_LINE(t, NOTE "-  for how long cannot be told from one look");
		return;
	}
}

/* What the shown lines leave out, and what is to be said of all. */
static void foot_lines(struct text *t, const struct task_group *groups, size_t shown, size_t n)
{
	uint32_t others = 0, orphans = 0, unowned = 0;

	for (size_t i = 0; i < n; i++) {
		unowned += groups[i].unowned;
		if (i < shown)
			continue;
		others += groups[i].count;
		orphans += groups[i].orphans;
	}
	if (others)
		TEXT_LINE(t, "%7u  in %zu other %s (-v shows them)", others, n - shown,
			  PLURAL(n - shown, "place", "places"));
	unknown_line(t, groups, shown);
	if (orphans)
		TEXT_LINE(t, NOTE "%u of them ORPHAN: nothing is left that could wake them",
			  orphans);
	if (unowned)
		TEXT_LINE(t, NOTE "%u in all UNOWNED: nobody awaits them; usual in servers",
			  unowned);
}

void text_filtered(struct text *t, uint32_t loop)
{
	const struct task_filter *filter = t->o->filter;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	size_t of = 0, shown = 0;

	if (!filter)
		return;
	for (size_t i = 0; i < t->s->n_tasks; i++) {
		of += t->s->tasks[i].loop == loop;
		shown += t->s->tasks[i].loop == loop && filter->matches[i];
	}
	strbuf_addf(&line, "%zu of %zu %s", shown, of, PLURAL(of, "task matches", "tasks match"));
	for (size_t i = 0; i < filter->n_terms; i++) {
		strbuf_addstr(&line, i ? " and " : " ");
		utf8_add_safe(&line, filter->terms[i], strlen(filter->terms[i]), 200);
	}
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "", line.data);
}

void text_groups(struct text *t, uint32_t loop)
{
	struct task_group *groups;
	size_t n, shown;

	group_tasks(t->s, loop, t->o->filter, &groups, &n);
	if (n) {
		TEXT_LINE(t, "%s", "");
		head_line(t);
	}
	shown = t->o->verbose || n <= GROUPS_SHOWN ? n : GROUPS_SHOWN - 1;
	for (size_t i = 0; i < shown; i++)
		group_line(t, &groups[i]);
	foot_lines(t, groups, shown, n);
	free(groups);
}
