/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.h - what is made of recordings: the report, the difference, other formats
 *
 * Pure: a history in, text out. Everything names its bounds where they cut something off.
 */
#ifndef STALLSCOPE_REPORT_H
#define STALLSCOPE_REPORT_H

#include <stdio.h>

#include "stallscope/history.h"
#include "stallscope/strbuf.h"

struct report_options {
	size_t width;	     /* columns of text */
	bool ascii, verbose; /* verbose: all rows */
};

/* Rows of one table where not all are asked for. */
#define REPORT_ROWS 20u

void report_text(const struct history *h, const struct report_options *o, struct strbuf *out);
void report_markdown(const struct history *h, const struct report_options *o, struct strbuf *out);
void report_json(const struct history *h, const struct report_options *o, struct strbuf *out);

/* One page that needs nothing from elsewhere: no script, no network. */
void report_html(const struct history *h, const struct report_options *o, struct strbuf *out);

/* ---- what changed (diff.c) ------------------------------------------------------------------- */

/* X(name, word): in the order in which changes of one sense are told. */
#define DIFF_LIST(X)                                                        \
	X(HOLDER, "holder")   /* who holds loops, by fingerprint */         \
	X(VERDICT, "verdict") /* of a look; of many: how often unhealthy */ \
	X(LAG, "lag")                                                       \
	X(GROWTH, "growth") /* of the number of tasks */                    \
	X(PLACE, "place")   /* tasks by await place */                      \
	X(PYTHON, "python")                                                 \
	X(COMMAND, "command")                                               \
	X(FILE, "file") /* of source: changed, or not seen before */        \
	X(LIBRARY, "library")                                               \
	X(MODULE, "module") /* in sys.modules */

enum diff_class {
#define X(name, word) DIFF_##name,
	DIFF_LIST(X)
#undef X
};

/* X(name, word): what became of a file, library or module. */
#define DIFF_FATE_LIST(X)                                                        \
	X(NONE, "")                                                              \
	X(CHANGED, "changed")                                                    \
	X(STALE, "stale") /* on disk it is another one than the one that runs */ \
	X(NEW, "new")                                                            \
	X(GONE, "gone")

enum diff_fate {
#define X(name, word) DIFF_##name,
	DIFF_FATE_LIST(X)
#undef X
};

struct diff_row {
	enum diff_class class;
	int sense;     /* 1 worse, -1 better, 0 neither */
	double weight; /* more is told first, within one class and sense */
	const char *what, *before, *after;
	double before_value, after_value; /* NAN none */
	const char *fingerprint;	  /* of a holder, NULL; of what is told below one, its */
	const char *path;		  /* all of it, of FILE and LIBRARY, else NULL */
	enum diff_fate fate;		  /* of FILE, LIBRARY, MODULE */
	bool below;			  /* it belongs to the holder above */
};

struct diff {
	struct arena arena;
	struct diff_row *v; /* the worst first */
	size_t n;
	bool worse;
	bool compared[HISTORY_IMPORT + 1]; /* by kind: both sides have lists of them */
};

/* What is more than noise is said to be worse; stallscope(1) has the bounds. */
void diff_make(const struct history *before, const struct history *after, struct diff *ret);
void diff_deinit(struct diff *d);
void diff_text(const struct diff *d, const struct report_options *o, struct strbuf *out);
void diff_markdown(const struct diff *d, const struct report_options *o, struct strbuf *out);
void diff_json(const struct diff *d, struct strbuf *out);

/* ---- other formats (convert*.c) -------------------------------------------------------------- */

/* X(name, word, what it is) */
#define CONVERT_LIST(X)                                                   \
	X(COLLAPSED, "collapsed", "stacks and weights, for flame graphs") \
	X(SPEEDSCOPE, "speedscope", "a profile for speedscope")           \
	X(CHROME, "chrome", "a trace of events, for Perfetto and Chrome") \
	X(PROM, "prom", "metrics as Prometheus text")                     \
	X(OTLP_JSON, "otlp-json", "a log record for each stall, OTLP")    \
	X(HTML, "html", "the report as a page")

enum convert_format {
#define X(name, word, what) CONVERT_##name,
	CONVERT_LIST(X) CONVERT_COUNT
#undef X
};

/* Written piece by piece. False when writing failed. */
bool convert(const struct history *h, enum convert_format format, FILE *out);

#endif
