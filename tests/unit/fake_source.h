/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_source.h - targets made by tests
 *
 * A fake holds pages and answers that the test put in, and counts what it is asked. A flaky
 * source is another one seen through a bad connection.
 */
#ifndef STALLSCOPE_TESTS_FAKE_SOURCE_H
#define STALLSCOPE_TESTS_FAKE_SOURCE_H

#include "source/backend.h"

struct fake_segment {
	uint64_t address;
	char *data;
	size_t len;
};

struct fake_answer {
	enum item_kind kind;
	char *key;
	struct strbuf data;
	enum error_code code; /* not ERR_OK: the answer is this error */
	bool newer;
};

#define FAKE_LOG 4096

struct fake {
	pid_t pid;
	struct source_ops ops; /* may be changed by the test */
	struct fake_segment segments[64];
	size_t n_segments;
	struct fake_answer *answers;
	size_t n_answers, answers_cap;
	uint64_t clock, wall_clock;
	bool gone, alive;
	/* what was asked */
	size_t reads, questions;
	struct {
		uint64_t address;
		size_t len;
	} read_log[FAKE_LOG];
	int *closed; /* NULL, or counts the closing */
};

struct fake *fake_new(pid_t pid);

/* Memory at address; both are multiples of SOURCE_PAGE. Returns our copy, which may be changed. */
char *fake_segment(struct fake *f, uint64_t address, const void *data, size_t len);

/* Pages that hold their own addresses, word by word. */
char *fake_counting_segment(struct fake *f, uint64_t address, size_t pages);

void fake_proc(struct fake *f, const char *path, const char *text, size_t len);
void fake_failure(struct fake *f, enum item_kind kind, const char *key, enum error_code code);
void fake_file(struct fake *f, const struct source_file *file, uint64_t offset, const void *data,
	       size_t len);
void fake_line(struct fake *f, const char *path, uint32_t line, const char *text, bool newer);

/* A source over the fake, which is freed with its last source. */
struct source *fake_open(struct fake *f);

/* Ordinal numbers count from 1, over all system calls of that kind; 0: never. */
struct flaky {
	unsigned fail_read;	/* this read faults */
	unsigned fail_reads;	/* and so many after it */
	unsigned truncate_read; /* this read gives half, by whole pages (a single page: nothing) */
	unsigned tear_read;	/* of this read the second half is from another time: inverted */
	unsigned gone_at;	/* from this read on the process is gone */
	unsigned fail_proc;	/* this text is missing */
	unsigned truncate_proc; /* this text ends in its middle */
	/* what happened */
	unsigned reads, procs;
};

/* A source over inner's target; plan stays the test's. inner can be closed at once. */
struct source *flaky_open(struct source *inner, struct flaky *plan);

#endif
