/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - what the files that make text share */
#ifndef STALLSCOPE_RENDER_TEXT_H
#define STALLSCOPE_RENDER_TEXT_H

#include "stallscope/render.h"
#include "stallscope/utf8.h"

struct text {
	const struct snapshot *s;
	const struct diagnosis *d;
	const struct render_options *o;
	struct strbuf *out;
	struct strbuf line; /* being made: cut to the width when it ends */
	struct await_rows rows;
	struct report *report; /* lines go there, and not into out; NULL: they do not */
};

void text_end_line(struct text *t);

#define TEXT_LINE(t, ...) (strbuf_addf(&(t)->line, __VA_ARGS__), text_end_line(t))

/* Text wrapped at words, the first line behind prefix, the others indented by its width. */
void text_wrap(struct text *t, const char *prefix, const char *text);

/* "app/pricing.py:88" */
void text_place(const struct text *t, const struct snap_frame *f, struct strbuf *out);

/* Below the line of a frame: its source, if it is there, and its variables (text_frame.c). */
void text_source(struct text *t, const struct snap_frame *f, size_t indent);
void text_variables(struct text *t, const struct snap_frame *f, size_t indent);

/*
 * From the first sentence to the evidence: what is the case, who, in what, who suffers, and how
 * certain that is (text_verdict.c). loop is NULL for a verdict on the process.
 */
void text_verdict(struct text *t, const struct snap_loop *loop, const struct verdict *v);

/* What exactly the loop's thread waits for, if there is anything to say (text_wait.c). */
void text_wait(struct text *t, const struct snap_loop *l);

/* How many of the tasks of a loop are shown, where there is a filter (text_groups.c). */
void text_filtered(struct text *t, uint32_t loop);

/* The tasks of a loop, those with one await path as one line (text_groups.c). */
void text_groups(struct text *t, uint32_t loop);

/* The tasks of a loop as a tree of who awaits whom (tree.c). */
void text_tree(struct text *t, uint32_t loop);

/*
 * Functions of C (text_native.c): those that led from the next outer frame of Python to this one,
 * with -v; those below the innermost one; and why there are none, where there might be.
 */
void text_native_above(struct text *t, uint32_t frame);
void text_native(struct text *t, const struct snap_thread *thread);
void text_native_missing(struct text *t);

#endif
