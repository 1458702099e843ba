/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.c - what goes where on a screen of a given size. The order of importance decides what
 * is left out of a small one: the lines of the head are never, the line of lateness goes first.
 */
#include "state.h"

#include <string.h>

#include "stallscope/utf8.h"

#define ROWS_FOR_SPARK 24u
#define PANEL_COLS     41u
#define COLS_FOR_PANEL 110u
#define ROWS_FOR_PANEL 30u

/* Lines of the head that a view shows below the verdict. */
static unsigned head_lines(const struct tui_state *s)
{
	unsigned most = s->rows >= 40 ? 9 : s->rows >= 30 ? 7 : HEAD_LINES;

	if (s->view == VIEW_TASKS || s->view == VIEW_THREADS || s->view == VIEW_HISTORY)
		most = s->rows >= 30 ? 3 : 1;
	if (tui_recorded(s))
		most = s->rows >= 30 ? 8 : HEAD_LINES;
	if ((s->evidence || s->advice) && s->view < VIEW_TABS)
		most = s->rows > 14 ? s->rows - 10 : 5;
	most += s->head.noted; /* what became of the process takes no line from the rest */
	return s->head.n < most ? s->head.n : most;
}

/* Of views that lie on top: those of the process keep its first two lines. */
static bool has_head(enum view view)
{
	return view < VIEW_TABS;
}

void layout_build(struct tui_state *s)
{
	struct screen_layout l = {.foot_y = s->rows ? s->rows - 1 : 0, .main_cols = s->cols};
	unsigned y = 1;

	if (s->view != VIEW_HELP && s->view != VIEW_PICKER)
		y = 2; /* the verdict */
	if (has_head(s->view)) {
		l.head_rows = head_lines(s);
		y += l.head_rows;
		l.spark = s->rows >= ROWS_FOR_SPARK && tui_loop(s) != SNAP_NONE;
		if (l.spark)
			l.spark_y = y++;
		l.tabs_y = y++;
		l.panel = (s->view == VIEW_STACK || s->view == VIEW_GROUPS) &&
			  s->cols >= COLS_FOR_PANEL && s->rows >= ROWS_FOR_PANEL &&
			  !tui_recorded(s);
	}
	if (l.panel)
		l.main_cols = s->cols - PANEL_COLS;
	if (view_has_columns(s))
		y++;
	l.body_y = y;
	l.body_rows = l.foot_y > y ? l.foot_y - y : 0;
	s->layout = l;
}

/* ---- the line at the foot ----------------------------------------------------------------------
 */

/* "?Help" is the first key that is shown and its word. */
void foot_keys(const struct tui_state *s, foot_fn *each, void *arg)
{
	size_t n;
	const struct key_row *rows = key_rows(&n);
	unsigned x = 0;

	for (size_t i = 0; i < n; i++) {
		size_t key = strcspn(rows[i].shown, " ");
		unsigned width = (unsigned)(key + strlen(rows[i].foot) + 1);

		if (!rows[i].foot[0] || !(rows[i].views >> s->view & 1) ||
		    !tui_has_action(s, rows[i].action))
			continue;
		if (x + width > s->cols || each(arg, x, width, &rows[i]))
			return;
		x += width + 1;
	}
}

void tab_names(const struct tui_state *s, tab_fn *each, void *arg)
{
	static const char *const names[VIEW_TABS] = {"[1]Stack", "[2]Tasks", "[3]Groups",
						     "[4]History", "[5]Threads"};
	unsigned x = 1;

	for (unsigned i = 0; i < VIEW_TABS; i++) {
		unsigned width = (unsigned)strlen(names[i]);

		if (x + width > s->cols || each(arg, x, width, (enum view)i, names[i]))
			return;
		x += width + 1;
	}
}
