/* SPDX-License-Identifier: Apache-2.0 */
/*
 * screen.h - a screen as a grid of cells
 *
 * Views write into a grid, and only the terminal's file knows how cells come on a screen. So a
 * screen can be compared as text, and no terminal is needed to make one. What is written is cut at
 * the edges; a character of two columns takes two cells or is left out, marks stay with the
 * character that they belong to: whatever a target calls its tasks, the columns stay in place.
 */
#ifndef STALLSCOPE_SCREEN_H
#define STALLSCOPE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/strbuf.h"

/* What a cell means; the terminal's file chooses colours. Nothing is said by colour alone. */
enum style {
	STYLE_PLAIN,
	STYLE_TITLE,
	STYLE_BAD, /* a verdict that needs hands now */
	STYLE_WARN,
	STYLE_GOOD,
	STYLE_LABEL,
	STYLE_OWN,  /* the user's own code */
	STYLE_DIM,  /* libraries, what is out of date */
	STYLE_HEAD, /* heads of columns, lines between parts */
	STYLE_KEY,
	STYLE_COUNT
};

struct cell {
	uint32_t cp;   /* 0: the right half of the cell before */
	uint32_t mark; /* a combining mark on it, 0 none */
	uint8_t style; /* enum style */
	bool selected;
};

#define GRID_MAX_COLS 500u
#define GRID_MAX_ROWS 300u

struct grid {
	unsigned cols, rows;
	bool ascii; /* nothing else comes into a cell: other characters as their numbers */
	struct cell *cells;
};

/* Sets the size, at most the bounds above, and makes all of it blank. */
void grid_resize(struct grid *g, unsigned cols, unsigned rows);
void grid_clear(struct grid *g);
void grid_deinit(struct grid *g);

/*
 * Writes valid UTF-8 into at most width columns from (x, y); what does not fit is cut, and ends
 * in the mark of a cut. The result is the columns used.
 */
unsigned grid_put(struct grid *g, unsigned x, unsigned y, enum style style, const char *text,
		  unsigned width);

/* The same, but the start is cut: of paths the end is what is looked for. */
unsigned grid_put_end(struct grid *g, unsigned x, unsigned y, enum style style, const char *text,
		      unsigned width);

/* One character again and again; a second one where only ASCII may be shown. */
void grid_fill(struct grid *g, unsigned x, unsigned y, unsigned width, enum style style,
	       uint32_t cp, char ascii);

/* Marks cells of a row, whatever is in them. */
void grid_select(struct grid *g, unsigned x, unsigned y, unsigned width);
void grid_restyle(struct grid *g, unsigned x, unsigned y, unsigned width, enum style style);

/* All rows as text, without blanks at their ends. */
void grid_text(const struct grid *g, struct strbuf *out);

static inline const struct cell *grid_at(const struct grid *g, unsigned x, unsigned y)
{
	return &g->cells[(size_t)y * g->cols + x];
}

#endif
