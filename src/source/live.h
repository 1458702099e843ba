/* SPDX-License-Identifier: Apache-2.0 */
/* live.h - a live process, opened: live.c is memory and /proc, live_file.c files of its root */
#ifndef STALLSCOPE_SOURCE_LIVE_H
#define STALLSCOPE_SOURCE_LIVE_H

#include <errno.h>

#include "backend.h"

#define LIVE_FILES 4 /* mapped files kept open */

struct live_file {
	char *path;
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	int fd;
};

struct live {
	pid_t pid;
	uint64_t calls; /* made for this target */
	int pidfd;	/* -1: this kernel has none */
	int procfd;	/* O_PATH of /proc/PID */
	int mem;
	bool foreign_proc;	  /* /proc is of another pid namespace */
	int64_t monotonic_offset; /* of the target's time namespace against ours, ns */

	/* live_file.c's */
	int root; /* O_PATH of /proc/PID/root; -1 until asked */
	bool no_map_files;
	struct live_file files[LIVE_FILES];
	unsigned next_file;
	bool owner_known;
	unsigned uid, gid;    /* effective; of the target */
	int64_t started_wall; /* seconds; 0 until asked, -1 unknown */
};

/* Counts a system call that touches the target, and repeats it when a signal came between. */
#define LIVE_CALL(l, call)                               \
	({                                               \
		__typeof__(call) result_;                \
                                                         \
		(l)->calls++;                            \
		do                                       \
			result_ = (call);                \
		while (result_ == -1 && errno == EINTR); \
		result_;                                 \
	})

/* What stat says behind the name: state, parent, flags, start (ticks after boot). */
struct brief_stat {
	char comm[64];
	char state;
	int parent;
	uint64_t flags, started;
};

/* The name of a process for a message, "?" when it is not known. */
void live_name_of(pid_t pid, char *out, size_t size);

bool live_brief_stat(struct live *l, struct brief_stat *ret);
bool live_proc(void *self, const char *path, struct strbuf *text, struct error *err);

bool live_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
		    size_t len, struct error *err);
int live_file_open(void *self, const struct source_file *file, struct error *err);
bool live_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
	       struct error *err);
/* The questions of file_stat.c. */
bool live_is_stat(const char *question);
bool live_stat(struct live *l, const char *question, struct strbuf *text, struct error *err);
bool live_stop(void *self, const struct stop_request *want, struct stop **ret, uint64_t *paused_ns,
	       struct error *err);
bool live_socket(void *self, int fd, struct source_socket *ret, struct error *err);
void live_file_close(struct live *l);

#endif
