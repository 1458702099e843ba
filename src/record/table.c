/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/utf8.h"
#include "table.h"

#define WHOLE 14u /* bytes: a cell that is as short is not wrapped within a word */

static const char *vformat(struct page *p, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

static const char *vformat(struct page *p, const char *fmt, va_list ap)
{
	struct strbuf text = STRBUF_INIT;
	const char *copy;

	strbuf_vaddf(&text, fmt, ap);
	copy = arena_strndup(&p->arena, text.data, text.len);
	strbuf_deinit(&text);
	return copy;
}

struct table *page_table(struct page *p, const char *title, const char *heads)
{
	struct table *t = array_push(&p->tables, &p->n_tables, &p->tables_cap);
	char *words = arena_strdup(&p->arena, heads), *save = NULL;

	t->title = title;
	for (char *w = strtok_r(words, "|", &save); w && t->n_columns < TABLE_COLUMNS;
	     w = strtok_r(NULL, "|", &save)) {
		if (*w == '>')
			t->right |= 1u << t->n_columns;
		t->heads[t->n_columns++] = w + (*w == '>');
	}
	return t;
}

void page_line(struct page *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	*array_push(&p->lines, &p->n_lines, &p->lines_cap) = vformat(p, fmt, ap);
	va_end(ap);
}

void page_note(struct page *p, struct table *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->note = vformat(p, fmt, ap);
	va_end(ap);
}

void page_cell(struct page *p, struct table *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	*array_push(&t->cells, &t->n_cells, &t->cap) = vformat(p, fmt, ap);
	va_end(ap);
}

size_t table_rows(const struct table *t)
{
	return t->n_cells / t->n_columns;
}

void page_deinit(struct page *p)
{
	for (size_t i = 0; i < p->n_tables; i++)
		free(p->tables[i].cells);
	free(p->tables);
	free(p->lines);
	arena_deinit(&p->arena);
}

/* ---- text ------------------------------------------------------------------------------------ */

static size_t width_of(const struct table *t, unsigned column)
{
	size_t width = utf8_width(t->heads[column]);

	for (size_t i = column; i < t->n_cells; i += t->n_columns) {
		size_t w = utf8_width(t->cells[i]);

		width = w > width ? w : width;
	}
	return width < TABLE_CELL ? width : TABLE_CELL;
}

static void text_row(const struct table *t, const char *const *cells, const size_t *widths,
		     bool ascii, struct strbuf *out)
{
	for (unsigned i = 0; i < t->n_columns; i++) {
		struct strbuf cell = STRBUF_INIT;
		size_t used = utf8_add_cut(&cell, cells[i], widths[i], false, ascii);
		size_t room = widths[i] > used ? widths[i] - used : 0;

		strbuf_pad(out, ' ', 2);
		if (t->right >> i & 1)
			strbuf_pad(out, ' ', room);
		strbuf_addstr(out, cell.data);
		if (!(t->right >> i & 1) && i + 1 < t->n_columns)
			strbuf_pad(out, ' ', room);
		strbuf_deinit(&cell);
	}
	strbuf_addch(out, '\n');
}

static void text_table(const struct table *t, bool ascii, struct strbuf *out)
{
	size_t widths[TABLE_COLUMNS];

	strbuf_addf(out, "\n%s\n", t->title);
	for (unsigned i = 0; i < t->n_columns; i++)
		widths[i] = width_of(t, i);
	text_row(t, t->heads, widths, ascii, out);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		text_row(t, &t->cells[i], widths, ascii, out);
	if (t->note)
		strbuf_addf(out, "  (%s)\n", t->note);
}

void page_text(const struct page *p, bool ascii, struct strbuf *out)
{
	for (size_t i = 0; i < p->n_lines; i++)
		strbuf_addf(out, "%s\n", p->lines[i]);
	for (size_t i = 0; i < p->n_tables; i++)
		if (p->tables[i].n_cells)
			text_table(&p->tables[i], ascii, out);
}

/* ---- Markdown -------------------------------------------------------------------------------- */

/* What would be read as markup is not. */
static void markdown_add(struct strbuf *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("\\`*_[]<>|#~&", *text))
			strbuf_addch(out, '\\');
		strbuf_addch(out, *text);
	}
}

static void markdown_row(const struct table *t, const char *const *cells, struct strbuf *out)
{
	for (unsigned i = 0; i < t->n_columns; i++) {
		strbuf_addstr(out, i ? " | " : "| ");
		markdown_add(out, cells[i]);
	}
	strbuf_addstr(out, " |\n");
}

static void markdown_table(const struct table *t, struct strbuf *out)
{
	strbuf_addf(out, "\n## %s\n\n", t->title);
	markdown_row(t, t->heads, out);
	for (unsigned i = 0; i < t->n_columns; i++)
		strbuf_addstr(out, t->right >> i & 1 ? "|---:" : "|---");
	strbuf_addstr(out, "|\n");
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		markdown_row(t, &t->cells[i], out);
	if (!t->note)
		return;
	strbuf_addch(out, '\n');
	markdown_add(out, t->note);
	strbuf_addch(out, '\n');
}

void page_markdown(const struct page *p, struct strbuf *out)
{
	strbuf_addf(out, "# %s\n", p->title);
	for (size_t i = 0; i < p->n_lines; i++) {
		strbuf_addstr(out, "\n");
		markdown_add(out, p->lines[i]);
		strbuf_addstr(out, "\n");
	}
	for (size_t i = 0; i < p->n_tables; i++)
		if (p->tables[i].n_cells)
			markdown_table(&p->tables[i], out);
}

/* ---- HTML ------------------------------------------------------------------------------------ */

void html_add(struct strbuf *out, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			strbuf_addstr(out, "&amp;");
			break;
		case '<':
			strbuf_addstr(out, "&lt;");
			break;
		case '>':
			strbuf_addstr(out, "&gt;");
			break;
		case '"':
			strbuf_addstr(out, "&quot;");
			break;
		case '\'':
			strbuf_addstr(out, "&#39;");
			break;
		default:
			strbuf_addch(out, *text);
		}
	}
}

static void html_row(const struct table *t, const char *const *cells, const char *tag,
		     struct strbuf *out)
{
	strbuf_addstr(out, "<tr>");
	for (unsigned i = 0; i < t->n_columns; i++) {
		const char *class = strlen(cells[i]) <= WHOLE ? " class=\"s\"" : "";

		strbuf_addf(out, "<%s%s>", tag, t->right >> i & 1 ? " class=\"n\"" : class);
		html_add(out, cells[i]);
		strbuf_addf(out, "</%s>", tag);
	}
	strbuf_addstr(out, "</tr>\n");
}

void page_html_tables(const struct page *p, struct strbuf *out)
{
	for (size_t i = 0; i < p->n_tables; i++) {
		const struct table *t = &p->tables[i];

		if (!t->n_cells)
			continue;
		strbuf_addf(out, "<h2>%s</h2>\n<table>\n<thead>", t->title);
		html_row(t, t->heads, "th", out);
		strbuf_addstr(out, "</thead>\n<tbody>\n");
		for (size_t j = 0; j + t->n_columns <= t->n_cells; j += t->n_columns)
			html_row(t, &t->cells[j], "td", out);
		strbuf_addstr(out, "</tbody>\n</table>\n");
		if (!t->note)
			continue;
		strbuf_addstr(out, "<p class=\"note\">");
		html_add(out, t->note);
		strbuf_addstr(out, "</p>\n");
	}
}
