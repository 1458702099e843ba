/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what a kind of target must provide
 *
 * source.c keeps the cache and answers from it; a backend is asked for what is
 * not there yet. Backends are reference counted: source_again() shares one.
 */
#ifndef STALLSCOPE_SOURCE_BACKEND_H
#define STALLSCOPE_SOURCE_BACKEND_H

#include "stallscope/source.h"

struct source_ops {
	/* Bytes read at addr, up to len; less at the end of what is readable, -1 with errno. */
	ssize_t (*read)(void *self, uint64_t addr, void *buf, size_t len);
	/* Text of a file, directory ("name/") or link ("@name") of /proc/PID. */
	bool (*proc)(void *self, const char *path, struct strbuf *text, struct error *err);
	bool (*file_read)(void *self, const struct source_file *file, uint64_t offset, void *buf,
			  size_t len, struct error *err);
	int (*file_open)(void *self, const struct source_file *file, struct error *err);
	bool (*line)(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		     struct error *err);
	uint64_t (*clock)(void *self);
	uint64_t (*wall_clock)(void *self);
	bool (*alive)(void *self);
	const struct strbuf *(*note)(void *self, const char *name);
	void (*close)(void *self);
	bool recorded;
};

struct backend {
	const struct source_ops *ops;
	void *self;
	pid_t pid;
	unsigned references;
	struct source_stats stats;
};

/* A source over a backend; takes over self. For backends and tests. */
struct source *source_new(const struct source_ops *ops, void *self, pid_t pid);

/* Why pid cannot be read, when opening its memory failed with sys: PERMISSION with a hint. */
bool permission_error(pid_t pid, int sys, struct error *err);

/* ---- the cache of one look, for save.c --------------------------------------------------- */

enum item_kind { ITEM_PROC = 1, ITEM_FILE = 2, ITEM_LINE = 3 };

/* A remembered answer that is not memory. */
struct item {
	enum item_kind kind;
	char *key;
	struct strbuf data;
	bool failed; /* the answer was an error of this code */
	enum error_code code;
	bool newer;    /* ITEM_LINE */
	uint32_t next; /* item of the same hash */
};

/* All answers of the look; the array is freed by the caller. */
const struct item **source_items(const struct source *src, size_t *n);

/* All memory that the look used, by quarters of pages (pages.h), sorted; freed by the caller. */
struct quarter;
struct quarter *source_quarters(const struct source *src, size_t *n);

/* Key of a piece of a mapped file: path, offset and length. */
void source_file_key(struct strbuf *key, const struct source_file *file, uint64_t offset,
		     size_t len);
void source_line_key(struct strbuf *key, const char *path, uint32_t line);

#endif
