/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - the rows of a view, and where the cursor is among them */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/utf8.h"

/* ---- adding rows -------------------------------------------------------------------------------
 */

struct row *list_add(struct list *list, enum row_kind kind, uint32_t index)
{
	struct row *row = array_push(&list->v, &list->n, &list->cap);

	*row = (struct row){.kind = kind, .index = index};
	return row;
}

void list_add_text(struct list *list, enum style style, const char *fmt, ...)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct row *row;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	row = list_add(list, ROW_TEXT, 0);
	row->style = (uint8_t)style;
	row->text = arena_strdup(&list->arena, text.data);
}

void list_add_head(struct list *list, const char *text)
{
	list_add_text(list, STYLE_HEAD, "%s", text);
	list->v[list->n - 1].head = true;
}

const char *take_words(const char *text, size_t room, struct strbuf *line)
{
	do {
		size_t len = strcspn(text, " ");

		strbuf_addf(line, "%s%.*s", line->len ? " " : "", (int)len, text);
		text += len + strspn(text + len, " ");
	} while (*text && utf8_width(line->data) + strcspn(text, " ") + 1 <= room);
	return text;
}

void list_add_wrapped(struct list *list, enum style style, const char *indent, const char *text,
		      unsigned width)
{
	size_t taken = strlen(indent) + 1; /* the mark of the cursor stands before it */
	size_t room = width > taken + 10 ? width - taken : 10;

	while (*text) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;

		text = take_words(text, room, &line);
		list_add_text(list, style, "%s%s", indent, line.data);
	}
}

/* ---- views without a file of their own ---------------------------------------------------------
 */

static void list_threads(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;

	/* those of Python first: they are what can be told of */
	for (uint32_t i = 0; i < snap->n_threads; i++)
		if (snap->threads[i].is_python)
			list_add(&s->list, ROW_THREAD, i);
	for (uint32_t i = 0; i < snap->n_threads; i++)
		if (!snap->threads[i].is_python)
			list_add(&s->list, ROW_THREAD, i);
}

static void list_history(struct tui_state *s)
{
	const struct watched *w = tui_target(s);
	size_t n;

	for (uint32_t i = 0; i < w->history.n && i < 200; i++)
		list_add(&s->list, ROW_STALL, i);
	if (!w->history.n) {
		list_add_text(&s->list, STYLE_DIM, "  none so far");
		return;
	}
	list_add_head(&s->list, "ranking   share  count      p50      p95      max  held by");
	n = seen_holders(&w->history, s->list.holders, HOLDERS_SHOWN);
	for (uint32_t i = 0; i < n; i++)
		list_add(&s->list, ROW_HOLDER, i);
}

static void list_stall(struct tui_state *s)
{
	const struct watched *w = tui_target(s);
	const struct seen_stall *stall = NULL;
	const char *line;
	char held[32];

	for (size_t i = 0; i < w->history.n && !stall; i++)
		if (seen_stall(&w->history, i)->key == s->subject)
			stall = seen_stall(&w->history, i);
	if (!stall) {
		list_add_text(&s->list, STYLE_DIM, "  this stall is no longer kept");
		return;
	}
	format_duration(held, sizeof(held), stall->held_ns);
	list_add_text(&s->list, STYLE_PLAIN, "  %s %s   held %s%s", verdict_word(stall->id),
		      stall->kind, held, stall->open ? " so far" : "");
	list_add_text(&s->list, STYLE_OWN, "  held by  %s  %s", stall->who, stall->place);
	if (stall->what[0])
		list_add_text(&s->list, STYLE_PLAIN, "  in       %s", stall->what);
	list_add_head(&s->list,
		      stall->stack ? "stack (newest last)" : "no picture was taken of it");
	for (line = stall->stack; line && *line; line += strcspn(line, "\n") + 1)
		list_add_text(&s->list, STYLE_PLAIN, "  %.*s", (int)strcspn(line, "\n"), line);
}

static int trouble(const struct survey_row *row)
{
	if (!row->readable || !row->have_loop)
		return row->readable;
	return verdict_style(row->id) == STYLE_BAD    ? 4
	       : verdict_style(row->id) == STYLE_WARN ? 3
						      : 2;
}

static int by_column(const struct survey_row *a, const struct survey_row *b, unsigned column)
{
	switch (column) {
	case 1:
		return a->pid < b->pid ? -1 : a->pid > b->pid;
	case 2:
		return a->tasks > b->tasks ? -1 : a->tasks < b->tasks;
	case 3:
		return a->cpu > b->cpu ? -1 : a->cpu < b->cpu;
	default: /* trouble first, then what has a loop */
		if (trouble(a) != trouble(b))
			return trouble(a) > trouble(b) ? -1 : 1;
		return a->pid < b->pid ? -1 : a->pid > b->pid;
	}
}

/* Why some cannot be read: one reason is enough, it is the same for all as a rule. */
static void add_reason(struct tui_state *s, const struct survey_row *row)
{
	size_t from = s->list.n;

	list_add_head(&s->list, "");
	list_add_wrapped(&s->list, STYLE_WARN, " ", row->problem, s->cols);
	list_add_wrapped(&s->list, STYLE_WARN, " ", row->hint, s->cols);
	list_add_head(&s->list, "");
	for (size_t i = from; i < s->list.n; i++)
		s->list.v[i].head = true;
}

/* Rows from first on: they are few, and nearly in order. */
static void sort_processes(struct tui_state *s, size_t first)
{
	for (size_t i = first + 1; i < s->list.n; i++)
		for (size_t k = i; k > first; k--) {
			struct row *a = &s->list.v[k - 1], *b = &s->list.v[k];
			int order = by_column(&s->survey[a->index], &s->survey[b->index],
					      s->sort[VIEW_PICKER]);
			struct row swap = *a;

			if ((s->inverted[VIEW_PICKER] ? -order : order) <= 0)
				break;
			*a = *b;
			*b = swap;
		}
}

/* Where nothing can be read the reason comes first: it is what there is to read. */
static void list_picker(struct tui_state *s)
{
	const struct survey_row *reason = NULL;
	bool none_readable = true;
	size_t first;

	for (size_t i = 0; i < s->n_survey; i++) {
		none_readable = none_readable && !s->survey[i].readable;
		reason = s->survey[i].hint[0] ? &s->survey[i] : reason;
	}
	if (reason && none_readable)
		add_reason(s, reason);
	first = s->list.n;
	for (uint32_t i = 0; i < s->n_survey; i++)
		list_add(&s->list, ROW_PROCESS, i);
	sort_processes(s, first);
	if (!s->n_survey)
		list_add_text(&s->list, STYLE_DIM,
			      s->surveyed ? "  no Python process found" : "  looking ...");
	if (reason && !none_readable)
		add_reason(s, reason);
}

/* Who holds the loops of most of them: one line of code may be behind all of it. */
static void add_common_holder(struct tui_state *s)
{
	const struct seen_stall *best = NULL;
	size_t most = 1;

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct seen_stall *last = seen_stall(&s->targets[i]->history, 0);
		size_t n = 0;

		for (size_t k = 0; last && last->explained && k < s->n_targets; k++) {
			const struct seen *h = &s->targets[k]->history;
			size_t at = 0;

			while (at < h->n && seen_stall(h, at)->fingerprint != last->fingerprint)
				at++;
			n += at < h->n;
		}
		if (n > most) {
			most = n;
			best = last;
		}
	}
	if (!best)
		return;
	list_add_head(&s->list, "");
	list_add_text(&s->list, STYLE_OWN, "  the same holder was seen in %zu of %zu: %s  %s  %s",
		      most, s->n_targets, best->who, best->place, best->what);
}

static void list_workers(struct tui_state *s)
{
	for (uint32_t i = 0; i < s->n_targets; i++)
		list_add(&s->list, ROW_WORKER, i);
	add_common_holder(s);
}

/* ---- which rows --------------------------------------------------------------------------------
 */

static bool has_text(const char *line, const char *word)
{
	return strcasestr(line, word) != NULL;
}

/* Words that are no --filter term are looked for in the lines as they are shown. */
static void filter_rows(struct tui_state *s)
{
	struct grid g = {.ascii = s->ascii};
	size_t kept = 0;

	bool is_term = s->filter_is_term && !tui_recorded(s);

	if (!s->filter.len || is_term || s->view == VIEW_HELP)
		return;
	for (size_t i = 0; i < s->list.n; i++) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;

		grid_resize(&g, 240, 1);
		draw_row(s, &g, 0, 240, &s->list.v[i]);
		grid_text(&g, &line);
		s->list.of += !s->list.v[i].head;
		if (!s->list.v[i].head && !has_text(line.data, s->filter.data))
			continue;
		s->list.matched += !s->list.v[i].head;
		s->list.v[kept++] = s->list.v[i];
	}
	s->list.n = kept;
	grid_deinit(&g);
}

void list_build(struct tui_state *s)
{
	static void (*const builds[VIEW_COUNT])(struct tui_state * s) = {
		[VIEW_STACK] = list_stack,     [VIEW_TASKS] = list_tasks,
		[VIEW_GROUPS] = list_groups,   [VIEW_HISTORY] = list_history,
		[VIEW_THREADS] = list_threads, [VIEW_DETAIL] = list_detail,
		[VIEW_MEMBERS] = list_members, [VIEW_STALL] = list_stall,
		[VIEW_THREAD] = list_thread,   [VIEW_HELP] = list_help,
		[VIEW_PICKER] = list_picker,   [VIEW_WORKERS] = list_workers};
	bool of_picture = s->view < VIEW_HELP && s->view != VIEW_HISTORY && s->view != VIEW_STALL;

	s->list.n = s->list.matched = s->list.of = 0;
	arena_deinit(&s->list.arena);
	s->list.arena = (struct arena)ARENA_INIT;
	free(s->list.groups);
	s->list.groups = NULL;
	s->list.n_groups = 0;
	if (s->view < VIEW_HELP && !tui_target(s))
		return;
	if (s->view < VIEW_HELP && tui_recorded(s))
		list_recorded(s);
	else if (!of_picture || tui_picture(s))
		builds[s->view](s);
	filter_rows(s);
}

/* ---- the cursor --------------------------------------------------------------------------------
 */

uint64_t list_key(const struct tui_state *s, const struct row *row)
{
	const struct picture *p = tui_picture(s);
	const struct snapshot *snap = p ? &p->snap : NULL;
	const struct watched *w = tui_target(s);

	switch (row->kind) {
	case ROW_FRAME:
		return snap->frames[row->index].address ^ (uint64_t)snap->frames[row->index].code;
	case ROW_TASK:
		return snap->tasks[row->index].id;
	case ROW_GROUP: {
		const struct snap_task *t = &snap->tasks[s->list.groups[row->index].example];
		const struct snap_frame *f = text_own_frame(snap, &t->stack);

		return f ? snap_code_of(snap, f)->address + (uint64_t)f->at.line : t->id;
	}
	case ROW_THREAD:
		return (uint64_t)snap->threads[row->index].os.tid;
	case ROW_STALL:
		return seen_stall(&w->history, row->index)->key;
	case ROW_HOLDER:
		return s->list.holders[row->index].fingerprint;
	case ROW_PLACE:
		return row->index + 1;
	case ROW_PROCESS:
		return (uint64_t)s->survey[row->index].pid;
	case ROW_NATIVE:
		return snap->natives[row->index].address;
	case ROW_WORKER:
	case ROW_TEXT:
		break;
	}
	return 0;
}

static bool can_be_on(const struct list *list, size_t i)
{
	return i < list->n && !list->v[i].head;
}

/* Frames of the user's own first: that is the line to change. */
static size_t first_place(const struct tui_state *s)
{
	const struct picture *p = tui_picture(s);
	const struct verdict *v = p ? picture_verdict(p, tui_loop(s)) : NULL;

	const struct snap_frame *own = NULL;

	if (s->view != VIEW_STACK || !v)
		return 0;
	if (v->culprit.holder != SNAP_NONE)
		own = text_own_frame(&p->snap, &p->snap.threads[v->culprit.holder].stack);
	else if (v->culprit.frame != SNAP_NONE)
		own = &p->snap.frames[v->culprit.frame];
	for (size_t i = 0; own && i < s->list.n; i++)
		if (s->list.v[i].kind == ROW_FRAME && &p->snap.frames[s->list.v[i].index] == own)
			return i;
	return 0;
}

static size_t find_running(const struct tui_state *s)
{
	const struct picture *p = tui_picture(s);

	for (size_t i = 0; i < s->list.n; i++)
		if (s->list.v[i].kind == ROW_TASK &&
		    p->snap.tasks[s->list.v[i].index].state == SNAP_TASK_RUNNING)
			return i;
	return s->list.n;
}

static void find_again(struct tui_state *s, struct place *at)
{
	size_t running = s->follow && tui_picture(s) ? find_running(s) : s->list.n;

	if (running < s->list.n) {
		at->cursor = running;
		return;
	}
	/* the newest stall, or the process in most trouble, whichever that is */
	if ((s->view == VIEW_HISTORY || s->view == VIEW_PICKER) && !at->moved) {
		at->cursor = 0;
		return;
	}
	if (!at->key) {
		if (!at->cursor)
			at->cursor = first_place(s);
		return;
	}
	if (at->cursor < s->list.n && list_key(s, &s->list.v[at->cursor]) == at->key)
		return;
	for (size_t i = 0; i < s->list.n; i++)
		if (list_key(s, &s->list.v[i]) == at->key) {
			at->cursor = i;
			return;
		}
}

static bool only_heads(const struct list *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!list->v[i].head)
			return false;
	return true;
}

void list_place(struct tui_state *s)
{
	struct place *at = &s->places[s->view];
	size_t rows = s->layout.body_rows;

	find_again(s, at);
	if (at->cursor >= s->list.n)
		at->cursor = s->list.n ? s->list.n - 1 : 0;
	while (at->cursor + 1 < s->list.n && !can_be_on(&s->list, at->cursor))
		at->cursor++;
	while (at->cursor && !can_be_on(&s->list, at->cursor))
		at->cursor--;
	if (at->top > at->cursor)
		at->top = at->cursor;
	if (at->cursor < rows && only_heads(&s->list, at->cursor))
		at->top = 0; /* what stands above the first line is seen with it */
	if (rows && at->cursor >= at->top + rows)
		at->top = at->cursor - rows + 1;
	if (at->top + rows > s->list.n)
		at->top = s->list.n > rows ? s->list.n - rows : 0;
	at->key = s->list.n ? list_key(s, &s->list.v[at->cursor]) : 0;
}
