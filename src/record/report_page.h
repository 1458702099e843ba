/* SPDX-License-Identifier: Apache-2.0 */
/* report_page.h - the tables of a report, and how its values are written */
#ifndef STALLSCOPE_RECORD_REPORT_PAGE_H
#define STALLSCOPE_RECORD_REPORT_PAGE_H

#include "stallscope/table.h"

/* Freed by page_deinit(). */
void report_page(const struct history *h, const struct report_options *o, struct page *ret);

/* "2026-11-23 14:03:16"; "unknown" for NAN. */
void report_time(double time, char *buf, size_t size);
void report_seconds(double s, char *buf, size_t size);

const char *report_place(struct arena *arena, const char *file, int64_t line);
const char *report_what(struct arena *arena, const struct holder *x);
const char *report_whose(struct arena *arena, const struct history_loop *l);

/* Indices of stalls, the longest first; of groups, the largest first. Freed by the caller. */
uint32_t *report_longest(const struct history *h);
uint32_t *report_groups(const struct history *h);

#endif
