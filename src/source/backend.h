/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backend.h - what a kind of target must provide
 *
 * source.c keeps the cache of a look and answers from it; a backend is asked for what is not
 * there yet, never twice for the same thing in one look. Backends are reference counted:
 * source_again() shares one.
 */
#ifndef STALLSCOPE_SOURCE_BACKEND_H
#define STALLSCOPE_SOURCE_BACKEND_H

#include "stallscope/stop.h"

struct source_ops {
	/*
	 * Bytes read at addr, at most len. Fewer: what follows cannot be read, at least not at
	 * once. -1 with errno: not even the first. 0: there is no memory any more, the process is
	 * gone.
	 */
	ssize_t (*read)(void *self, uint64_t addr, void *buf, size_t len);
	/*
	 * Appends the text of a file, directory ("name/") or link ("@name") of /proc/PID, or of
	 * the host when the path is absolute. Questions of file_stat.c begin with '=', '+' or '%'.
	 */
	bool (*proc)(void *self, const char *path, struct strbuf *text, struct error *err);
	bool (*file_read)(void *self, const struct source_file *file, uint64_t offset, void *buf,
			  size_t len, struct error *err);
	int (*file_open)(void *self, const struct source_file *file, struct error *err);
	/* out is empty and *newer false when called. */
	bool (*line)(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		     struct error *err);
	uint64_t (*clock)(void *self);
	uint64_t (*wall_clock)(void *self);
	bool (*alive)(void *self);
	const struct strbuf *(*note)(void *self, const char *name);
	/*
	 * NULL: cannot be stopped. *paused_ns, 0 when called, is how long the threads stood, also
	 * when it failed.
	 */
	bool (*stop)(void *self, const struct stop_request *want, struct stop **ret,
		     uint64_t *paused_ns, struct error *err);
	bool (*registers)(void *self, int32_t tid, struct source_registers *ret); /* or NULL */
	bool (*socket)(void *self, int fd, struct source_socket *ret,
		       struct error *err); /* or NULL */
	void (*close)(void *self);
	/* System calls made so far; NULL: one for each question. */
	uint64_t (*calls)(void *self);
	bool recorded;
};

struct backend {
	const struct source_ops *ops;
	void *self;
	pid_t pid;
	unsigned references;
	struct source_stats stats;
};

/* A source over a backend of its own; takes over self. */
struct source *source_new(const struct source_ops *ops, void *self, pid_t pid);

struct backend *source_backend(const struct source *src);

/*
 * Why process pid cannot be read, when opening its memory failed with sys. procfd is /proc/PID,
 * -1 when that cannot be opened. PERMISSION with a hint, or what else is found to be the cause.
 */
bool permission_error(int procfd, pid_t pid, int sys, struct error *err);

/* Text of the target for a message: made safe and cut. Returns out. */
const char *safe_for_message(char *out, size_t size, const char *text);

/* ---- the cache of one look, for save.c --------------------------------------------------- */

/* The numbers stand in recordings. */
enum item_kind { ITEM_PROC = 1, ITEM_FILE = 2, ITEM_LINE = 3 };

/* What questions of file_stat.c begin with: no file of /proc does. */
enum { STAT_SOURCE = '=', STAT_CONTENT = '+', STAT_MAPPED = '%' };

/* A remembered answer that is not memory. */
struct item {
	enum item_kind kind;
	enum error_code code; /* ERR_OK, or the answer was this error with data as its text */
	bool newer;	      /* ITEM_LINE */
	struct strbuf data;   /* not to be freed: lies behind the item, as key does */
	char *key;
};

/* The note that tells a recording what source_unchanged() is to answer; text has its memory. */
void source_moved(const struct source *src, struct source_note *ret, struct strbuf *text);

/* Registers of a thread that was stopped in this look, or NULL. */
const struct source_registers *source_stopped(const struct source *src, int32_t tid);

/* What was asked in this look or to open the target, or NULL. */
const struct item *source_item(const struct source *src, enum item_kind kind, const char *key);

/* All of that, in the order in which it was asked; the array is freed by the caller. */
const struct item **source_items(const struct source *src, size_t *n);

/* All memory that was used, by quarters of pages (pages.h), sorted; freed by the caller. */
struct quarter;
struct quarter *source_quarters(const struct source *src, size_t *n);

/* Keys: "OFFSET+LENGTH path" in hexadecimal, "LINE path" in decimal. */
void source_file_key(struct strbuf *key, const struct source_file *file, uint64_t offset,
		     size_t len);
void source_line_key(struct strbuf *key, const char *path, uint32_t line);

#endif
