/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/table.h"
#include "stallscope/utf8.h"

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

static char *take_marks(struct table *t, char *head)
{
	unsigned bit = 1u << t->n_columns;

	for (;; head++) {
		if (*head == '+')
			t->below |= bit;
		else if (*head == '>')
			t->right |= bit;
		else if (*head == '=')
			t->whole |= bit;
		else if (*head == '/')
			t->place |= bit;
		else
			return head;
	}
}

struct table *page_table(struct page *p, const char *title, const char *heads)
{
	struct table *t = array_push(&p->tables, &p->n_tables, &p->tables_cap);
	char *words = arena_strdup(&p->arena, heads), *save = NULL;

	t->title = title;
	for (char *w = strtok_r(words, "|", &save); w && t->n_columns < TABLE_COLUMNS;
	     w = strtok_r(NULL, "|", &save)) {
		t->heads[t->n_columns] = take_marks(t, w);
		t->n_columns++;
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

#define INDENT	     2u /* of a row, and between two cells */
#define INDENT_BELOW 6u
#define LEAST	     16u /* columns of a text that is cut; of one that might go below: */
#define LEAST_BESIDE 24u

/* How a table fits into a width: columns of each cell, and which are below the row. */
struct fit {
	size_t widths[TABLE_COLUMNS];
	unsigned below; /* a bit for each column */
};

static size_t width_of(const struct table *t, unsigned column)
{
	size_t width = utf8_width(t->heads[column]);

	for (size_t i = column; i < t->n_cells; i += t->n_columns) {
		size_t w = utf8_width(t->cells[i]);

		width = w > width ? w : width;
	}
	return width;
}

/* Columns of a line of these cells. */
static size_t line_width(const struct table *t, const struct fit *f, unsigned cells)
{
	size_t width = cells == f->below ? INDENT_BELOW - INDENT : 0;

	for (unsigned i = 0; i < t->n_columns; i++)
		if (cells >> i & 1)
			width += INDENT + f->widths[i];
	return width;
}

/* The longest text of a line that is longer than that, of several the last; n_columns: none is. */
static unsigned longest(const struct table *t, const struct fit *f, unsigned cells, size_t least)
{
	unsigned ret = t->n_columns;

	for (unsigned i = 0; i < t->n_columns; i++) {
		if (!(cells & ~t->right & ~t->whole & 1u << i) || f->widths[i] <= least)
			continue;
		if (ret == t->n_columns || f->widths[i] >= f->widths[ret])
			ret = i;
	}
	return ret;
}

/* Cuts texts of a line, the longest first, to no less than that. True when the line fits then. */
static bool shrink(const struct table *t, struct fit *f, unsigned cells, size_t width, size_t least)
{
	size_t all = line_width(t, f, cells), over = all > width ? all - width : 0;

	for (; over; over--) {
		unsigned i = longest(t, f, cells, least);

		if (i == t->n_columns)
			return false;
		f->widths[i]--;
	}
	return true;
}

static struct fit fit_of(const struct table *t, size_t width)
{
	unsigned all = (1u << t->n_columns) - 1, lines[2];
	struct fit natural = {.below = 0}, f;

	for (unsigned i = 0; i < t->n_columns; i++)
		natural.widths[i] = width_of(t, i);
	f = natural;
	if (shrink(t, &f, all, width, t->below ? LEAST_BESIDE : LEAST))
		return f;
	f = natural;
	f.below = t->below;
	lines[0] = all & ~f.below;
	lines[1] = f.below;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!shrink(t, &f, lines[i], width, LEAST))
			shrink(t, &f, lines[i], width, 1);
	return f;
}

static void text_cell(const struct table *t, unsigned i, const char *cell, size_t width, bool ascii,
		      bool is_last, struct strbuf *out)
{
	struct strbuf text = STRBUF_INIT, cut = STRBUF_INIT;
	size_t used;

	strbuf_addstr(&text, cell);
	if (ascii)
		utf8_to_ascii(&text);
	used = t->place >> i & 1 ? utf8_add_ends(&cut, text.data, width, ascii)
				 : utf8_add_cut(&cut, text.data, width, false, ascii);
	if (t->right >> i & 1)
		strbuf_pad(out, ' ', width > used ? width - used : 0);
	strbuf_addstr(out, cut.data);
	if (!(t->right >> i & 1) && !is_last)
		strbuf_pad(out, ' ', width > used ? width - used : 0);
	strbuf_deinit(&text);
	strbuf_deinit(&cut);
}

static void text_line(const struct table *t, const struct fit *f, unsigned which,
		      const char *const *cells, bool ascii, struct strbuf *out)
{
	strbuf_pad(out, ' ', which == f->below ? INDENT_BELOW - INDENT : 0);
	for (unsigned i = 0; i < t->n_columns; i++) {
		if (!(which >> i & 1))
			continue;
		strbuf_pad(out, ' ', INDENT);
		text_cell(t, i, cells[i], f->widths[i], ascii, !(which >> i >> 1), out);
	}
	while (out->len && out->data[out->len - 1] == ' ')
		strbuf_setlen(out, out->len - 1);
	strbuf_addch(out, '\n');
}

static bool says_more(const struct table *t, const struct fit *f, const char *const *cells)
{
	for (unsigned i = 0; i < t->n_columns; i++)
		if (f->below >> i & 1 && cells[i][0] && strcmp(cells[i], "-") != 0)
			return true;
	return false;
}

static void text_row(const struct table *t, const struct fit *f, const char *const *cells,
		     bool ascii, struct strbuf *out)
{
	text_line(t, f, ((1u << t->n_columns) - 1) & ~f->below, cells, ascii, out);
	if (says_more(t, f, cells))
		text_line(t, f, f->below, cells, ascii, out);
}

void table_text(const struct table *t, size_t width, bool ascii, struct strbuf *out)
{
	struct fit f = fit_of(t, width);

	text_row(t, &f, t->heads, ascii, out);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns)
		text_row(t, &f, &t->cells[i], ascii, out);
}

/* The first line is there for grep(1), and stays one. */
static void text_words(const struct page *p, size_t i, size_t width, bool ascii, struct strbuf *out)
{
	struct strbuf text = STRBUF_INIT;

	strbuf_addstr(&text, p->lines[i]);
	if (ascii)
		utf8_to_ascii(&text);
	utf8_add_wrapped(out, text.data, i ? width : SIZE_MAX, INDENT);
	strbuf_addch(out, '\n');
	strbuf_deinit(&text);
}

void page_text(const struct page *p, size_t width, bool ascii, struct strbuf *out)
{
	for (size_t i = 0; i < p->n_lines; i++)
		text_words(p, i, width, ascii, out);
	for (size_t i = 0; i < p->n_tables; i++) {
		const struct table *t = &p->tables[i];

		if (!t->n_cells)
			continue;
		strbuf_addf(out, "\n%s\n", t->title);
		table_text(t, width, ascii, out);
		if (t->note)
			strbuf_addf(out, "  (%s)\n", t->note);
	}
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
