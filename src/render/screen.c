/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/screen.h"

#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/utf8.h"

static struct cell *at(struct grid *g, unsigned x, unsigned y)
{
	return &g->cells[(size_t)y * g->cols + x];
}

void grid_clear(struct grid *g)
{
	for (size_t i = 0; i < (size_t)g->cols * g->rows; i++)
		g->cells[i] = (struct cell){.cp = ' '};
}

void grid_resize(struct grid *g, unsigned cols, unsigned rows)
{
	cols = cols > GRID_MAX_COLS ? GRID_MAX_COLS : cols;
	rows = rows > GRID_MAX_ROWS ? GRID_MAX_ROWS : rows;
	if (cols != g->cols || rows != g->rows) {
		g->cols = cols;
		g->rows = rows;
		g->cells = mem_realloc(g->cells, (size_t)cols * rows + 1, sizeof(*g->cells));
	}
	grid_clear(g);
}

void grid_deinit(struct grid *g)
{
	free(g->cells);
	g->cells = NULL;
	g->cols = g->rows = 0;
}

/* Other characters as their numbers, as the one-shot text has them. */
static void add_ascii(struct strbuf *out, const char *text)
{
	size_t len = strlen(text), i = 0;
	uint32_t cp;

	while (i < len) {
		i += utf8_decode(text + i, len - i, &cp);
		if (cp < 0x80)
			strbuf_addch(out, (char)cp);
		else if (cp == 0x2026)
			strbuf_addch(out, '~');
		else
			strbuf_addf(out, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
	}
}

/* A combining mark goes to the character before it. */
static void put_mark(struct grid *g, unsigned x, unsigned y, uint32_t cp)
{
	if (x > 1 && !at(g, x - 1, y)->cp)
		x--;
	at(g, x - 1, y)->mark = cp;
}

/* One character at x; the columns that it took. Half a wide character is never left. */
static unsigned put_cp(struct grid *g, unsigned x, unsigned y, enum style style, uint32_t cp)
{
	struct cell *c = at(g, x, y);
	unsigned width;

	if (cp == UTF8_BAD || cp < ' ' || cp == 0x7f) /* does not come from the reading layers */
		cp = '?';
	width = utf8_cp_width(cp);
	if (!c->cp && x) /* the right half of another one */
		*(c - 1) = (struct cell){.cp = ' ', .style = (c - 1)->style};
	if (x + width < g->cols && !(c + width)->cp)
		*(c + width) = (struct cell){.cp = ' ', .style = (c + width)->style};
	*c = (struct cell){.cp = cp, .style = (uint8_t)style};
	if (width == 2)
		*(c + 1) = (struct cell){.cp = 0, .style = (uint8_t)style};
	return width;
}

static unsigned put(struct grid *g, unsigned x, unsigned y, enum style style, const char *text,
		    unsigned width, bool from_left)
{
	cleanup_strbuf struct strbuf ascii = STRBUF_INIT, cut = STRBUF_INIT;
	unsigned begin = x;
	uint32_t cp;

	if (y >= g->rows || x >= g->cols)
		return 0;
	if (width > g->cols - x)
		width = g->cols - x;
	if (g->ascii) {
		add_ascii(&ascii, text);
		text = ascii.data;
	}
	utf8_add_cut(&cut, text, width, from_left, g->ascii);
	for (size_t i = 0; i < cut.len;) {
		i += utf8_decode(cut.data + i, cut.len - i, &cp);
		if (cp != UTF8_BAD && !utf8_cp_width(cp)) {
			if (x > begin)
				put_mark(g, x, y, cp);
			continue;
		}
		if (x + (cp == UTF8_BAD ? 1 : utf8_cp_width(cp)) > begin + width)
			break;
		x += put_cp(g, x, y, style, cp);
	}
	return x - begin;
}

unsigned grid_put(struct grid *g, unsigned x, unsigned y, enum style style, const char *text,
		  unsigned width)
{
	return put(g, x, y, style, text, width, false);
}

unsigned grid_put_end(struct grid *g, unsigned x, unsigned y, enum style style, const char *text,
		      unsigned width)
{
	return put(g, x, y, style, text, width, true);
}

void grid_fill(struct grid *g, unsigned x, unsigned y, unsigned width, enum style style,
	       uint32_t cp, char ascii)
{
	if (y >= g->rows)
		return;
	for (unsigned i = 0; i < width && x + i < g->cols; i++)
		put_cp(g, x + i, y, style, g->ascii ? (uint32_t)ascii : cp);
}

void grid_select(struct grid *g, unsigned x, unsigned y, unsigned width)
{
	for (unsigned i = x; y < g->rows && i < x + width && i < g->cols; i++)
		at(g, i, y)->selected = true;
}

void grid_restyle(struct grid *g, unsigned x, unsigned y, unsigned width, enum style style)
{
	for (unsigned i = x; y < g->rows && i < x + width && i < g->cols; i++)
		at(g, i, y)->style = (uint8_t)style;
}

void grid_text(const struct grid *g, struct strbuf *out)
{
	for (unsigned y = 0; y < g->rows; y++) {
		size_t begin = out->len;

		for (unsigned x = 0; x < g->cols; x++) {
			const struct cell *c = grid_at(g, x, y);

			if (!c->cp)
				continue;
			utf8_add(out, c->cp);
			if (c->mark)
				utf8_add(out, c->mark);
		}
		while (out->len > begin && out->data[out->len - 1] == ' ')
			strbuf_setlen(out, out->len - 1);
		strbuf_addch(out, '\n');
	}
}
