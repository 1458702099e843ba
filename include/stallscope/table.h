/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - rows of cells, and a report made of tables: built once, written as text, md or html */
#ifndef STALLSCOPE_TABLE_H
#define STALLSCOPE_TABLE_H

#include "stallscope/arena.h"
#include "stallscope/report.h"

#define TABLE_COLUMNS 10u

struct table {
	const char *title, *note; /* note: below it, NULL none */
	const char *heads[TABLE_COLUMNS];
	unsigned n_columns;
	unsigned right, whole, place, below; /* a bit for each column: what page_table() was told */
	const char **cells;
	size_t n_cells, cap;
};

struct page {
	struct arena arena;
	const char *title;
	const char **lines; /* of the summary */
	size_t n_lines, lines_cap;
	struct table *tables;
	size_t n_tables, tables_cap;
};

/*
 * heads: words with "|" between. In front of one may be "+": below the row where that is too long;
 * then ">": a number, "=": a word, which is not cut either, or "/": a place, which is cut in its
 * middle.
 */
struct table *page_table(struct page *p, const char *title, const char *heads);
void page_line(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void page_note(struct page *p, struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The next cell, row after row. */
void page_cell(struct page *p, struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);

/*
 * In so many columns. A row that is longer has its texts cut, the longest first, or some of them
 * below it (where there is anything but "-"); never its numbers.
 */
void page_text(const struct page *p, size_t width, bool ascii, struct strbuf *out);
void table_text(const struct table *t, size_t width, bool ascii, struct strbuf *out);
void page_markdown(const struct page *p, struct strbuf *out);
void page_html_tables(const struct page *p, struct strbuf *out);
void page_deinit(struct page *p);

/* & < > " ' as references. */
void html_add(struct strbuf *out, const char *text);

#endif
