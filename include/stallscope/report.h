/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what is made of recordings: the report, the difference, other formats
 *
 * Pure: a history in, text out. Everything names its bounds where they cut something off.
 */
#ifndef STALLSCOPE_REPORT_H
#define STALLSCOPE_REPORT_H

#include "stallscope/history.h"
#include "stallscope/strbuf.h"

struct report_options {
	bool ascii, verbose; /* verbose: all rows */
};

/* Rows of one table where not all are asked for. */
#define REPORT_ROWS 20u

void report_text(const struct history *h, const struct report_options *o, struct strbuf *out);
void report_markdown(const struct history *h, const struct report_options *o, struct strbuf *out);
void report_json(const struct history *h, const struct report_options *o, struct strbuf *out);

/* One page that needs nothing from elsewhere: no script, no network. */
void report_html(const struct history *h, const struct report_options *o, struct strbuf *out);

#endif
