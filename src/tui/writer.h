/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - writes a picture as JSON, in a thread: of many tasks that takes a while */
#ifndef STALLSCOPE_TUI_WRITER_H
#define STALLSCOPE_TUI_WRITER_H

#include "picture.h"

struct writer;

/* wake: an eventfd that is written to when a file is done. */
struct writer *writer_create(int wake);
void writer_destroy(struct writer *w); /* waits for what is being written; NULL is allowed */

/* Begins to write stallscope-PID-TIME.json in the working directory; false: one is not done yet. */
bool writer_begin(struct writer *w, struct picture *p, int64_t threshold_ns);

/* Once for each file: what became of it, as a sentence. */
bool writer_done(struct writer *w, char *text, size_t size);

#endif
