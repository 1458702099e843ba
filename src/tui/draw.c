/* SPDX-License-Identifier: Apache-2.0 */
/* draw.c - a state as a grid: head, tabs, the rows that are in sight, the foot */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "stallscope/utf8.h"

#define LINE	  0x2500u /* box drawings light horizontal */
#define SIDE	  0x2502u
#define LABEL_END 10u

static void line(struct grid *g, unsigned y)
{
	grid_fill(g, 0, y, g->cols, STYLE_HEAD, LINE, '-');
}

static void title(const struct tui_state *s, struct grid *g)
{
	unsigned right = (unsigned)utf8_width(s->head.title_right);

	grid_fill(g, 0, 0, g->cols, STYLE_TITLE, ' ', ' ');
	if (s->view == VIEW_HELP || s->view == VIEW_PICKER || s->view == VIEW_WORKERS)
		return;
	if (right + 20 > g->cols)
		right = g->cols > 20 ? g->cols - 20 : 0;
	grid_put(g, 0, 0, STYLE_TITLE, s->head.title_left, g->cols - right - 1);
	grid_put(g, g->cols - right, 0, STYLE_TITLE, s->head.title_right, right);
}

static void verdict(const struct tui_state *s, struct grid *g)
{
	unsigned right = (unsigned)strlen(s->head.confidence);

	if (g->rows < 2)
		return;
	grid_fill(g, 0, 1, g->cols, s->head.verdict_style, ' ', ' ');
	grid_put(g, 0, 1, s->head.verdict_style, s->head.verdict,
		 g->cols > right + 1 ? g->cols - right - 1 : 0);
	if (g->cols > right)
		grid_put(g, g->cols - right, 1, s->head.verdict_style, s->head.confidence, right);
}

static const char *short_label(const char *label)
{
	if (!strcmp(label, "suffering"))
		return "suffers";
	if (!strcmp(label, "certainty"))
		return "evidence";
	return label;
}

static void head(const struct tui_state *s, struct grid *g)
{
	verdict(s, g);
	for (unsigned i = 0; i < s->layout.head_rows && 2 + i < g->rows; i++) {
		const struct head_line *h = &s->head.v[i];

		grid_put(g, 1, 2 + i, STYLE_LABEL, short_label(h->label), LABEL_END - 1);
		grid_put(g, LABEL_END, 2 + i, h->style, h->text, g->cols - LABEL_END);
	}
}

/* ---- how late the loop was ---------------------------------------------------------------------
 */

static void level(struct grid *g, unsigned x, unsigned y, int64_t late, int64_t threshold)
{
	static const struct {
		double below; /* of the threshold */
		uint32_t cp;
		char ascii;
		enum style style;
	} levels[] = {{0.1, 0x2581, '_', STYLE_DIM},
		      {0.5, 0x2582, '.', STYLE_DIM},
		      {1, 0x2583, ':', STYLE_PLAIN},
		      {5, 0x2586, '+', STYLE_WARN},
		      {1e30, 0x2588, '#', STYLE_BAD}};

	for (size_t i = 0; late >= 0 && i < ARRAY_SIZE(levels); i++) {
		if ((double)late >= levels[i].below * (double)threshold)
			continue;
		grid_fill(g, x, y, 1, levels[i].style == STYLE_BAD ? STYLE_WARN : levels[i].style,
			  levels[i].cp, levels[i].ascii);
		return;
	}
}

static void lateness(const struct tui_state *s, struct grid *g, unsigned y)
{
	const struct watched *w = tui_target(s);
	const struct picture *p = tui_picture(s);
	uint32_t loop = tui_loop(s);
	unsigned cells = g->cols > LABEL_END + 1 ? g->cols - LABEL_END - 1 : 0;
	unsigned seconds = g->cols >= 110 ? 120 : 60;
	int64_t now, step;
	char label[16];

	if (!p || loop >= p->snap.n_loops || !cells)
		return;
	snprintf(label, sizeof(label), "lag %us", seconds);
	grid_put(g, 1, y, STYLE_LABEL, label, LABEL_END - 1);
	now = (int64_t)(w->have_pulse ? w->pulse.clock_ns : p->snap.clock_ns);
	step = (int64_t)seconds * 1000000000 / cells;
	for (unsigned i = 0; i < cells; i++) {
		int64_t to = now - step * (int64_t)(cells - 1 - i);

		level(g, LABEL_END + i, y,
		      seen_worst(&w->history, p->snap.loops[loop].run.loop, to - step, to),
		      s->threshold_ns);
	}
	grid_put(g, g->cols - 1, y, STYLE_HEAD, "|", 1);
}

/* ---- tabs and panel ----------------------------------------------------------------------------
 */

struct tabs {
	const struct tui_state *s;
	struct grid *g;
	unsigned y, end;
};

static bool draw_tab(void *arg, unsigned x, unsigned width, enum view view, const char *text)
{
	struct tabs *t = arg;

	grid_put(t->g, x, t->y, view == t->s->view ? STYLE_KEY : STYLE_HEAD, text, width);
	if (view == t->s->view)
		grid_select(t->g, x, t->y, width);
	t->end = x + width;
	return false;
}

static void list_state(const struct tui_state *s, struct strbuf *out)
{
	bool applies = !s->filter_is_term || s->view == VIEW_TASKS || s->view == VIEW_GROUPS;

	if (s->filter.len && applies && s->view != VIEW_HELP)
		strbuf_addf(out, " filter %s: %zu of %zu ", s->filter.data, s->list.matched,
			    s->list.of);
	if (s->list.n > s->layout.body_rows && s->layout.body_rows)
		strbuf_addf(out, " %zu/%zu ", s->places[s->view].cursor + 1, s->list.n);
}

static void right_note(const struct tui_state *s, struct grid *g, unsigned y, unsigned from)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	unsigned width;

	list_state(s, &text);
	width = (unsigned)utf8_width(text.data);
	if (width && from + 2 < g->cols) {
		if (width > g->cols - from - 2)
			width = g->cols - from - 2;
		grid_put(g, g->cols - width - 1, y, STYLE_HEAD, text.data, width);
	}
}

static void tabs(const struct tui_state *s, struct grid *g)
{
	struct tabs t = {s, g, s->layout.tabs_y, 0};

	line(g, t.y);
	tab_names(s, draw_tab, &t);
	right_note(s, g, t.y, t.end);
}

static void panel_line(struct grid *g, unsigned x, unsigned *y, unsigned end, const char *label,
		       const char *text)
{
	if (*y >= end)
		return;
	grid_put(g, x, *y, STYLE_LABEL, label, 10);
	grid_put(g, x + 10, *y, STYLE_PLAIN, text, g->cols - x - 10);
	(*y)++;
}

/* Wrapped at words. */
static void panel_text(struct grid *g, unsigned x, unsigned *y, unsigned end, const char *label,
		       const char *text)
{
	size_t room = g->cols > x + 10 ? g->cols - x - 10 : 1;

	while (*text) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;

		text = take_words(text, room, &line);
		panel_line(g, x, y, end, label, line.data);
		label = "";
	}
}

static void panel_thread(const struct tui_state *s, struct grid *g, unsigned x, unsigned *y,
			 unsigned end, uint32_t loop)
{
	const struct picture *p = tui_picture(s);
	const struct snap_loop *l = &p->snap.loops[loop];
	const struct snap_thread *t = &p->snap.threads[l->thread];
	const struct verdict *v = picture_verdict(p, loop);
	char text[200];

	snprintf(text, sizeof(text), "%d %.60s  %c", t->os.tid, text_thread_name(t),
		 t->os.have_stat ? t->os.stat.state : '?');
	panel_line(g, x, y, end, "thread", text);
	if (v->on_cpu >= 0) {
		snprintf(text, sizeof(text), "%.0f %%, waits for one %.0f %%", v->on_cpu * 100,
			 v->run_queue * 100);
		panel_line(g, x, y, end, "on CPU", text);
	}
	panel_line(g, x, y, end, "GIL",
		   t->holds_gil	      ? "held by this thread"
		   : t->waits_for_gil ? "waited for"
				      : "not held");
	if (t->have_call && t->call.n_names)
		panel_line(g, x, y, end, "call", t->call.names[0]);
}

static void panel_loop(const struct tui_state *s, struct grid *g, unsigned x, unsigned *y,
		       unsigned end, uint32_t loop)
{
	const struct snap_loop *l = &tui_picture(s)->snap.loops[loop];
	const struct aio_loop *info = &l->info;
	char text[200];

	if (l->run.have_batch) {
		snprintf(text, sizeof(text), "callback %lld of %lld", (long long)l->run.index + 1,
			 (long long)l->run.ntodo);
		panel_line(g, x, y, end, "turn", text);
	}
	if (info->ready >= 0) {
		snprintf(text, sizeof(text), "%lld", (long long)info->ready);
		panel_line(g, x, y, end, "ready", text);
	}
	if (info->timers >= 0) {
		snprintf(text, sizeof(text), "%lld (%lld late)", (long long)info->timers,
			 (long long)(info->timers_late < 0 ? 0 : info->timers_late));
		panel_line(g, x, y, end, "timers", text);
	}
	if (info->have_executor) {
		snprintf(text, sizeof(text), "%lld/%lld, queue %lld",
			 (long long)info->executor_threads, (long long)info->executor_max,
			 (long long)info->executor_queued);
		panel_line(g, x, y, end, "executor", text);
	}
}

static void panel(const struct tui_state *s, struct grid *g)
{
	unsigned x = s->layout.main_cols, y = s->layout.tabs_y + 1, end = s->layout.foot_y;
	uint32_t loop = tui_loop(s);
	const struct verdict *v;

	grid_put(g, x + 1, s->layout.tabs_y, STYLE_HEAD, "[Evidence]", 10);
	for (unsigned i = y; i < end; i++)
		grid_fill(g, x, i, 1, STYLE_HEAD, SIDE, '|');
	if (!tui_picture(s) || loop == SNAP_NONE)
		return;
	panel_thread(s, g, x + 2, &y, end, loop);
	panel_loop(s, g, x + 2, &y, end, loop);
	v = picture_verdict(tui_picture(s), loop);
	for (size_t i = 0; i < v->n_evidence; i++)
		panel_text(g, x + 2, &y, end, i ? "" : "because", v->evidence[i].fact);
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

struct foot {
	struct grid *g;
	unsigned y;
};

static bool draw_key(void *arg, unsigned x, unsigned width, const struct key_row *row)
{
	struct foot *f = arg;
	unsigned key = (unsigned)strcspn(row->shown, " ");
	char text[32];

	(void)width;
	snprintf(text, sizeof(text), "%.*s", (int)key, row->shown);
	grid_put(f->g, x, f->y, STYLE_KEY, text, key);
	grid_put(f->g, x + key + (row->action != ACTION_HELP), f->y, STYLE_PLAIN, row->foot,
		 (unsigned)strlen(row->foot));
	return false;
}

static void prompt(const struct tui_state *s, struct grid *g, unsigned y)
{
	static const char *const names[] = {"", "search: ", "filter (words, or KEY=PATTERN): ",
					    "a stall is at least (100ms, 2s): "};
	unsigned x = grid_put(g, 0, y, STYLE_KEY, names[s->prompt], g->cols);

	x += grid_put_end(g, x, y, STYLE_PLAIN, s->input.data, g->cols > x ? g->cols - x - 1 : 0);
	grid_select(g, x, y, 1);
}

static void foot(const struct tui_state *s, struct grid *g)
{
	struct foot f = {g, s->layout.foot_y};

	grid_fill(g, 0, f.y, g->cols, STYLE_PLAIN, ' ', ' '); /* over what has no room */
	if (s->prompt != PROMPT_NONE)
		prompt(s, g, f.y);
	else if (s->message[0])
		grid_put(g, 0, f.y, STYLE_KEY, s->message, g->cols);
	else
		foot_keys(s, draw_key, &f);
}

static void body(const struct tui_state *s, struct grid *g)
{
	const struct place *at = &s->places[s->view];
	unsigned width = s->layout.main_cols;

	if (view_has_columns(s) && s->layout.body_y)
		draw_columns(s, g, s->layout.body_y - 1, width);
	for (unsigned i = 0; i < s->layout.body_rows && at->top + i < s->list.n; i++) {
		const struct row *row = &s->list.v[at->top + i];
		unsigned y = s->layout.body_y + i;

		draw_row(s, g, y, width, row);
		if (at->top + i != at->cursor || row->head || s->view == VIEW_HELP)
			continue;
		if (grid_at(g, 0, y)->cp == ' ')
			grid_put(g, 0, y, STYLE_KEY, ">", 1);
		grid_select(g, 0, y, width);
	}
}

/* The first line of views that are of no one process. */
static void other_title(const struct tui_state *s, struct grid *g)
{
	char text[200];
	size_t loops = 0, bad = 0;

	if (s->view == VIEW_HELP) {
		grid_put(g, 0, 0, STYLE_TITLE, "stallscope help", g->cols);
		if (g->cols > 20)
			grid_put(g, g->cols - 12, 0, STYLE_TITLE, "q, Esc back", 12);
	} else if (s->view == VIEW_PICKER) {
		for (size_t i = 0; i < s->n_survey; i++) {
			loops += s->survey[i].have_loop;
			bad += s->survey[i].have_loop &&
			       verdict_style(s->survey[i].id) == STYLE_BAD;
		}
		snprintf(text, sizeof(text),
			 "stallscope  pick a process   %zu Python %s, %zu with a loop, %zu "
			 "in "
			 "trouble",
			 s->n_survey, PLURAL(s->n_survey, "process", "processes"), loops, bad);
		grid_put(g, 0, 0, STYLE_TITLE, text, g->cols);
	}
}

static void workers_title(const struct tui_state *s, struct grid *g)
{
	const struct watched *worst = NULL;
	size_t bad = 0;
	char text[200];

	for (size_t i = 0; i < s->n_targets; i++) {
		const struct watched *w = s->targets[i];

		if (!w->shown || w->life == LIFE_GONE ||
		    verdict_style(w->shown->d->worst) != STYLE_BAD)
			continue;
		bad++;
		worst = worst ? worst : w;
	}
	if (tui_is_over(s))
		snprintf(text, sizeof(text), "stallscope  group of %zu %s   recorded", s->n_targets,
			 PLURAL(s->n_targets, "file", "files"));
	else
		snprintf(text, sizeof(text), "stallscope  group of %zu %s   %d Hz  %s",
			 s->n_targets, PLURAL(s->n_targets, "process", "processes"), s->rate,
			 s->paused ? "PAUSED" : "live");
	grid_put(g, 0, 0, STYLE_TITLE, text, g->cols);
	if (!worst) {
		grid_put(g, 0, 1, STYLE_PLAIN,
			 tui_is_over(s) ? "none goes on" : "none is in trouble", g->cols);
		return;
	}
	snprintf(text, sizeof(text), "%zu of %zu in trouble; worst: %s %s %s", bad, s->n_targets,
		 worst->argument, verdict_sign(worst->shown->d->worst),
		 verdict_word(worst->shown->d->worst));
	grid_fill(g, 0, 1, g->cols, STYLE_BAD, ' ', ' ');
	grid_put(g, 0, 1, STYLE_BAD, text, g->cols);
}

void tui_draw(const struct tui_state *s, struct grid *g)
{
	g->ascii = s->ascii;
	grid_resize(g, s->cols, s->rows);
	if (!g->cols || !g->rows)
		return;
	title(s, g);
	if (s->view == VIEW_WORKERS)
		workers_title(s, g);
	else if (s->view == VIEW_HELP || s->view == VIEW_PICKER)
		other_title(s, g);
	else
		head(s, g);
	if (s->layout.spark)
		lateness(s, g, s->layout.spark_y);
	if (s->view < VIEW_TABS && s->layout.tabs_y < s->layout.foot_y)
		tabs(s, g);
	body(s, g);
	if (s->layout.panel)
		panel(s, g);
	if (s->view == VIEW_PICKER || s->view == VIEW_WORKERS)
		right_note(s, g, 0, 30);
	foot(s, g);
}
