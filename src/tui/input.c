/* SPDX-License-Identifier: Apache-2.0 */
/* input.c - what keys, clicks and the prompt at the foot do */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/utf8.h"

#define INPUT_CHARS 200u

static struct place *here(struct tui_state *s)
{
	return &s->places[s->view];
}

static const struct row *current(const struct tui_state *s)
{
	size_t i = s->places[s->view].cursor;

	return i < s->list.n ? &s->list.v[i] : NULL;
}

/* ---- moving ------------------------------------------------------------------------------------
 */

/* Past the heads of parts, which are no lines of their own. */
static void move_by(struct tui_state *s, int lines)
{
	struct place *at = here(s);
	size_t i = at->cursor;
	int step = lines < 0 ? -1 : 1;

	if (s->view == VIEW_HELP) /* has no cursor to be seen: the page moves at once */
		i = lines > 0 && s->layout.body_rows ? at->top + s->layout.body_rows - 1 : at->top;
	for (int left = lines * step; left > 0; left--) {
		size_t next = i;

		do
			next += (size_t)step;
		while (next < s->list.n && s->list.v[next].head);
		if (next >= s->list.n) /* also below 0 */
			break;
		i = next;
	}
	at->cursor = i;
	at->moved = true;
	at->key = s->list.n ? list_key(s, &s->list.v[i]) : 0;
	s->follow = false;
	s->chosen = true;
}

static void move_to(struct tui_state *s, size_t i)
{
	struct place *at = here(s);

	at->cursor = i < s->list.n ? i : s->list.n ? s->list.n - 1 : 0;
	at->moved = i > 0;
	at->key = s->list.n ? list_key(s, &s->list.v[at->cursor]) : 0;
	s->follow = false;
	s->chosen = true;
}

void tui_scroll(struct tui_state *s, int lines)
{
	move_by(s, lines);
}

static int page(const struct tui_state *s)
{
	return s->layout.body_rows > 1 ? (int)s->layout.body_rows - 1 : 1;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static void open_task(struct tui_state *s, uint32_t task)
{
	s->subject = tui_picture(s)->snap.tasks[task].id;
	if (s->view == VIEW_DETAIL) /* from one task to another: back leads to the list */
		s->places[VIEW_DETAIL] = (struct place){0};
	tui_go(s, VIEW_DETAIL);
}

static void clear(struct tui_state *s)
{
	strbuf_reset(&s->filter);
	strbuf_reset(&s->search);
	s->filter_is_term = false;
}

static void show_target(struct tui_state *s, size_t target)
{
	s->shown = target;
	s->chosen = false;
	clear(s);
	memset(s->places, 0, VIEW_TABS * sizeof(s->places[0]));
	tui_go(s, VIEW_STACK);
}

static void watch_pid(struct tui_state *s, int32_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	tui_effect(s, EFFECT_OPEN, 0, text);
}

/* Those that are marked, else the one under the cursor. */
static void open_processes(struct tui_state *s, int32_t pid)
{
	size_t marked = 0;

	for (size_t i = 0; i < s->n_survey; i++)
		marked += s->survey[i].marked;
	/* what was watched before gives way */
	for (size_t i = 0; i < s->n_targets; i++)
		tui_effect(s, EFFECT_CLOSE, 1, s->targets[i]->argument);
	s->group = marked > 1;
	s->children = false;
	s->chosen = false;
	s->depth = 0;
	for (size_t i = 0; i < s->n_survey; i++)
		if (marked ? s->survey[i].marked : s->survey[i].pid == pid)
			watch_pid(s, s->survey[i].pid);
}

static void open_row(struct tui_state *s, const struct row *row)
{
	const struct watched *w = tui_target(s);

	switch (row->kind) {
	case ROW_TASK:
		open_task(s, row->index);
		break;
	case ROW_GROUP:
		s->subject = tui_picture(s)->snap.tasks[s->list.groups[row->index].example].id;
		tui_go(s, VIEW_MEMBERS);
		break;
	case ROW_THREAD:
		s->subject = (uint64_t)tui_picture(s)->snap.threads[row->index].os.tid;
		tui_go(s, VIEW_THREAD);
		break;
	case ROW_STALL:
		s->subject = seen_stall(&w->history, row->index)->key;
		tui_go(s, VIEW_STALL);
		break;
	case ROW_HOLDER:
		s->subject = s->list.holders[row->index].example->key;
		tui_go(s, VIEW_STALL);
		break;
	case ROW_PROCESS:
		open_processes(s, s->survey[row->index].pid);
		break;
	case ROW_WORKER:
		show_target(s, row->index);
		break;
	case ROW_FRAME:
		if (s->view == VIEW_STACK && tui_loop(s) != SNAP_NONE) {
			const struct verdict *v = picture_verdict(tui_picture(s), tui_loop(s));

			if (v->culprit.task != SNAP_NONE)
				open_task(s, v->culprit.task);
		}
		break;
	case ROW_NATIVE:
	case ROW_PLACE:
		break;
	case ROW_TEXT:
		if (s->view == VIEW_DETAIL && row->index)
			open_task(s, row->index - 1);
		break;
	}
}

/* ---- searching and filtering -------------------------------------------------------------------
 */

static bool row_matches(const struct tui_state *s, size_t i)
{
	struct grid g = {.ascii = s->ascii};
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	bool found;

	grid_resize(&g, 240, 1);
	draw_row(s, &g, 0, 240, &s->list.v[i]);
	grid_text(&g, &line);
	found = !s->list.v[i].head && strcasestr(line.data, s->search.data) != NULL;
	grid_deinit(&g);
	return found;
}

/* From the cursor on, around the end; first: the cursor's own line counts too. */
static void search_on(struct tui_state *s, int step, bool first)
{
	size_t n = s->list.n, i = here(s)->cursor;

	if (!s->search.len) {
		tui_say(s, "nothing is searched for: / begins");
		return;
	}
	if (!n)
		return;
	for (size_t k = first ? 0 : 1; k <= n; k++) {
		size_t at = (i + (step > 0 ? k : n - k % n)) % n;

		if (!row_matches(s, at))
			continue;
		move_to(s, at);
		return;
	}
	tui_say(s, "no line has: %s", s->search.data);
}

static bool set_filter(struct tui_state *s)
{
	struct error err;

	s->filter_is_term = strchr(s->filter.data, '=') != NULL;
	if (!s->filter_is_term || task_filter_check(s->filter.data, &err))
		return true;
	tui_say(s, "%s", err.text);
	strbuf_reset(&s->filter);
	s->filter_is_term = false;
	return true;
}

static void set_threshold(struct tui_state *s)
{
	char *end;
	double value = strtod(s->input.data, &end);
	double ns = !strcmp(end, "s") ? value * 1e9 : value * 1e6;

	if (end == s->input.data || (*end && strcmp(end, "s") != 0 && strcmp(end, "ms") != 0) ||
	    !(ns >= 1e6) || !(ns <= 3.6e12)) {
		tui_say(s, "a threshold is from 1ms to 3600s: 100ms, 2s");
		return;
	}
	s->threshold_ns = (int64_t)ns;
	for (size_t i = 0; i < s->n_targets; i++)
		s->targets[i]->history.threshold_ns = s->threshold_ns;
	tui_effect(s, EFFECT_THRESHOLD, s->threshold_ns, "");
}

static void begin_prompt(struct tui_state *s, enum prompt prompt)
{
	s->prompt = prompt;
	strbuf_reset(&s->input);
	if (prompt == PROMPT_FILTER)
		strbuf_addstr(&s->input, s->filter.data);
}

static bool end_prompt(struct tui_state *s)
{
	enum prompt prompt = s->prompt;

	s->prompt = PROMPT_NONE;
	switch (prompt) {
	case PROMPT_SEARCH:
		strbuf_reset(&s->search);
		strbuf_addstr(&s->search, s->input.data);
		if (s->search.len)
			search_on(s, 1, true);
		return false;
	case PROMPT_FILTER:
		strbuf_reset(&s->filter);
		strbuf_addstr(&s->filter, s->input.data);
		return set_filter(s);
	case PROMPT_THRESHOLD:
		set_threshold(s);
		break;
	case PROMPT_NONE:
		break;
	}
	return false;
}

static bool prompt_key(struct tui_state *s, uint32_t code)
{
	switch (code) {
	case INPUT_ENTER:
		return end_prompt(s);
	case INPUT_ESC:
		s->prompt = PROMPT_NONE;
		break;
	case INPUT_BACKSPACE:
		while (s->input.len &&
		       ((unsigned char)s->input.data[s->input.len - 1] & 0xc0) == 0x80)
			strbuf_setlen(&s->input, s->input.len - 1);
		if (s->input.len)
			strbuf_setlen(&s->input, s->input.len - 1);
		break;
	case 21: /* Ctrl-U */
		strbuf_reset(&s->input);
		break;
	default:
		if (code >= ' ' && code < INPUT_NONE && code != 0x7f && s->input.len < INPUT_CHARS)
			utf8_add_safe_cp(&s->input, code);
		break;
	}
	return false;
}

/* ---- what keys do ------------------------------------------------------------------------------
 */

static void pause_or_go(struct tui_state *s)
{
	s->paused = !s->paused;
	for (size_t i = 0; !s->paused && i < s->n_targets; i++) {
		struct watched *w = s->targets[i];

		picture_unref(w->shown);
		w->shown = picture_ref(w->latest);
	}
}

static void change_rate(struct tui_state *s, bool faster)
{
	static const int rates[] = {1, 2, 5, 10, 20, 50, 100};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(rates) && rates[i] < s->rate)
		i++;
	if (faster && i + 1 < ARRAY_SIZE(rates))
		i++;
	else if (!faster && i)
		i--;
	s->rate = rates[i];
	tui_effect(s, EFFECT_RATE, s->rate, "");
}

static void other_loop(struct tui_state *s, int step)
{
	struct watched *w = tui_target(s);
	const struct picture *p = tui_picture(s);
	size_t n = p ? p->snap.n_loops : 0;

	if (n > 1) {
		size_t i = (tui_loop(s) + n + (size_t)step) % n;

		w->loop = p->snap.loops[i].run.loop;
	} else if (s->n_targets > 1) {
		show_target(s, (s->shown + s->n_targets + (size_t)step) % s->n_targets);
	} else {
		tui_say(s, "there is no other loop");
	}
}

static void fold(struct tui_state *s, bool folded)
{
	const struct row *row = current(s);

	if (row && row->kind == ROW_TASK)
		addrmap_put(&s->folded, tui_picture(s)->snap.tasks[row->index].id, folded);
}

static void copy(struct tui_state *s)
{
	const struct row *row = current(s);
	const struct picture *p = tui_picture(s);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const struct snap_frame *f = NULL;

	if (!row)
		return;
	if (row->kind == ROW_FRAME)
		f = &p->snap.frames[row->index];
	else if (row->kind == ROW_TASK)
		f = text_own_frame(&p->snap, &p->snap.tasks[row->index].stack);
	else if (row->kind == ROW_GROUP)
		f = text_own_frame(&p->snap,
				   &p->snap.tasks[s->list.groups[row->index].example].stack);
	if (f) {
		strbuf_addf(&text, "%s:%d", snap_code_of(&p->snap, f)->file, f->at.line);
	} else {
		struct grid g = {.ascii = s->ascii};

		grid_resize(&g, 240, 1);
		draw_row(s, &g, 0, 240, row);
		grid_text(&g, &text);
		strbuf_setlen(&text, text.len ? text.len - 1 : 0);
		grid_deinit(&g);
	}
	tui_effect(s, EFFECT_COPY, 0, text.data);
	tui_say(s, "copied: %s", text.data);
}

static void mark(struct tui_state *s)
{
	const struct row *row = current(s);

	if (row && row->kind == ROW_PROCESS)
		s->survey[row->index].marked = !s->survey[row->index].marked;
	move_by(s, 1);
}

static void sort_next(struct tui_state *s)
{
	unsigned n = view_sorts(s->view);

	if (!n)
		return;
	s->sort[s->view] = (s->sort[s->view] + 1) % n;
	here(s)->key = 0;
	here(s)->cursor = 0;
	tui_say(s, "sorted by %s", view_sort_name(s->view, s->sort[s->view]));
}

static void choose(struct tui_state *s, enum view view)
{
	s->chosen = true;
	tui_go(s, view);
}

static void next_tab(struct tui_state *s, unsigned step)
{
	if (s->view < VIEW_TABS)
		choose(s, (enum view)((s->view + step) % VIEW_TABS));
}

static bool leave(struct tui_state *s)
{
	if (!tui_back(s))
		tui_effect(s, EFFECT_QUIT, 0, "");
	return true;
}

/* Registers and stacks of C can only be had of a thread that stands: said, as it is the one stop.
 */
static void switch_native(struct tui_state *s)
{
	s->native = !s->native;
	tui_effect(s, EFFECT_NATIVE, s->native, "");
	tui_effect(s, EFFECT_REFRESH, 0, "");
	tui_say(s, s->native
			   ? "functions of C: each look stops a held thread that cannot notice it, "
			     "for 0.1 ms"
			   : "functions of C off: nothing is stopped");
}

/* Keys that move, search, and open. */
static bool move_action(struct tui_state *s, enum action action)
{
	const struct row *row = current(s);

	switch (action) {
	case ACTION_UP:
		move_by(s, -1);
		break;
	case ACTION_DOWN:
		move_by(s, 1);
		break;
	case ACTION_PAGE_UP:
		move_by(s, -page(s));
		break;
	case ACTION_PAGE_DOWN:
		move_by(s, page(s));
		break;
	case ACTION_FIRST:
		move_to(s, 0);
		break;
	case ACTION_LAST:
		move_to(s, SIZE_MAX);
		break;
	case ACTION_SEARCH:
		begin_prompt(s, PROMPT_SEARCH);
		break;
	case ACTION_NEXT_MATCH:
		if (s->search.len || tui_is_over(s))
			search_on(s, 1, false);
		else
			switch_native(s);
		break;
	case ACTION_PREVIOUS_MATCH:
		search_on(s, -1, false);
		break;
	case ACTION_OPEN:
		if (row)
			open_row(s, row);
		return true;
	default:
		return false;
	}
	return true;
}

/* Keys that choose what is seen. */
static bool view_action(struct tui_state *s, enum action action)
{
	switch (action) {
	case ACTION_STACK:
	case ACTION_TASKS:
	case ACTION_GROUPS:
	case ACTION_HISTORY:
	case ACTION_THREADS:
		choose(s, (enum view)(action - ACTION_STACK));
		break;
	case ACTION_NEXT_VIEW:
		next_tab(s, 1);
		break;
	case ACTION_PREVIOUS_VIEW:
		next_tab(s, VIEW_TABS - 1);
		break;
	case ACTION_HELP:
		tui_go(s, VIEW_HELP);
		break;
	case ACTION_PICKER:
		clear(s); /* it was for the rows of a process */
		tui_go(s, VIEW_PICKER);
		break;
	case ACTION_PREVIOUS_LOOP:
		other_loop(s, -1);
		break;
	case ACTION_NEXT_LOOP:
		other_loop(s, 1);
		break;
	case ACTION_BACK:
		tui_back(s);
		break;
	case ACTION_QUIT:
		return leave(s);
	case ACTION_QUIT_ALL:
		tui_effect(s, EFFECT_QUIT, 0, "");
		break;
	default:
		return false;
	}
	return true;
}

/* Keys that switch something. */
static bool switch_action(struct tui_state *s, enum action action)
{
	switch (action) {
	case ACTION_TREE:
		s->tree = !s->tree;
		break;
	case ACTION_FOLD:
		fold(s, true);
		break;
	case ACTION_UNFOLD:
		fold(s, false);
		break;
	case ACTION_UNFOLD_ALL:
		addrmap_clear(&s->folded);
		break;
	case ACTION_FOLLOW:
		s->follow = !s->follow;
		tui_say(s,
			s->follow ? "the cursor follows the running task" : "no longer followed");
		break;
	case ACTION_EVIDENCE:
		s->evidence = !s->evidence;
		break;
	case ACTION_ADVICE:
		s->advice = !s->advice;
		break;
	case ACTION_PATHS:
		s->paths = !s->paths;
		break;
	case ACTION_FILTER:
		begin_prompt(s, PROMPT_FILTER);
		break;
	case ACTION_CLEAR:
		clear(s);
		break;
	case ACTION_SORT:
		sort_next(s);
		break;
	case ACTION_INVERT:
		s->inverted[s->view] = !s->inverted[s->view];
		break;
	case ACTION_MARK:
		mark(s);
		break;
	default:
		return false;
	}
	return true;
}

/* Keys that have to do with the looking, and with the world. */
static void live_action(struct tui_state *s, enum action action)
{
	switch (action) {
	case ACTION_PAUSE:
		pause_or_go(s);
		break;
	case ACTION_REFRESH:
		if (!tui_is_over(s))
			tui_effect(s, EFFECT_REFRESH, 0, "");
		tui_effect(s, EFFECT_REDRAW, 0, "");
		break;
	case ACTION_FASTER:
		change_rate(s, true);
		break;
	case ACTION_SLOWER:
		change_rate(s, false);
		break;
	case ACTION_THRESHOLD:
		begin_prompt(s, PROMPT_THRESHOLD);
		break;
	case ACTION_COPY:
		copy(s);
		break;
	case ACTION_WRITE:
		if (tui_picture(s))
			tui_effect(s, EFFECT_WRITE, 0, "");
		break;
	default:
		break;
	}
}

static bool act(struct tui_state *s, enum action action)
{
	if (action == ACTION_NONE)
		return false;
	if (!move_action(s, action) && !view_action(s, action) && !switch_action(s, action))
		live_action(s, action);
	return true;
}

bool tui_key(struct tui_state *s, uint32_t code)
{
	enum action action;

	if (s->prompt != PROMPT_NONE)
		return prompt_key(s, code);
	s->message[0] = 0;
	action = key_action(code, s->view, s->tree);
	/* of two meanings of + and - that of the tree counts while tasks are a tree */
	if (s->tree && s->view == VIEW_TASKS && (code == '+' || code == '-'))
		action = code == '+' ? ACTION_UNFOLD : ACTION_FOLD;
	return tui_has_action(s, action) && act(s, action);
}

/* ---- clicks ------------------------------------------------------------------------------------
 */

struct click {
	unsigned x;
	enum action action;
	enum view view;
};

static bool on_foot(void *arg, unsigned x, unsigned width, const struct key_row *row)
{
	struct click *c = arg;

	if (c->x < x || c->x >= x + width)
		return false;
	c->action = row->action;
	return true;
}

static bool on_tab(void *arg, unsigned x, unsigned width, enum view view, const char *text)
{
	struct click *c = arg;

	(void)text;
	if (c->x < x || c->x >= x + width)
		return false;
	c->view = view;
	return true;
}

bool tui_click(struct tui_state *s, unsigned x, unsigned y, bool twice)
{
	struct click c = {x, ACTION_NONE, VIEW_COUNT};
	size_t row;

	if (y == s->layout.foot_y) {
		foot_keys(s, on_foot, &c);
		return act(s, c.action);
	}
	if (s->view < VIEW_TABS && y == s->layout.tabs_y) {
		tab_names(s, on_tab, &c);
		if (c.view < VIEW_TABS)
			choose(s, c.view);
		return true;
	}
	if (y < s->layout.body_y || y >= s->layout.body_y + s->layout.body_rows)
		return false;
	row = here(s)->top + (y - s->layout.body_y);
	if (row >= s->list.n || s->list.v[row].head)
		return false;
	move_to(s, row);
	if (twice)
		open_row(s, &s->list.v[row]);
	return twice;
}
