/* SPDX-License-Identifier: Apache-2.0 */
/* table.h - rows of cells, and a report made of tables: built once, written as text, md or html */
#ifndef STALLSCOPE_RECORD_TABLE_H
#define STALLSCOPE_RECORD_TABLE_H

#include "stallscope/arena.h"
#include "stallscope/report.h"

#define TABLE_COLUMNS 10u
#define TABLE_CELL    60u /* columns that a cell of text takes at most */

struct table {
	const char *title, *note; /* note: below it, NULL none */
	const char *heads[TABLE_COLUMNS];
	unsigned n_columns, right; /* right: a bit for each column that is a number */
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

/* heads: words with "|" between; ">" in front of one that is a number. */
struct table *page_table(struct page *p, const char *title, const char *heads);
void page_line(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void page_note(struct page *p, struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The next cell, row after row. */
void page_cell(struct page *p, struct table *t, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t table_rows(const struct table *t);

void page_text(const struct page *p, bool ascii, struct strbuf *out);
void page_markdown(const struct page *p, struct strbuf *out);
void page_html_tables(const struct page *p, struct strbuf *out);
void page_deinit(struct page *p);

/* & < > " ' as references. */
void html_add(struct strbuf *out, const char *text);

#endif
