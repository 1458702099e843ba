/* SPDX-License-Identifier: Apache-2.0 */
/* core.h - an opened core: its segments, and what its notes say */
#ifndef STALLSCOPE_SOURCE_CORE_H
#define STALLSCOPE_SOURCE_CORE_H

#include "backend.h"
#include "stallscope/arena.h"

/* Bounds of what is taken from a core file. */
#define CORE_MAX_SEGMENTS 1000000u
#define CORE_MAX_NOTES	  (256u << 20) /* bytes */
#define CORE_MAX_THREADS  100000u

struct core_segment {
	uint64_t address, memory, offset, file; /* file: bytes present, <= memory */
	uint32_t flags;
};

struct core_mapping {
	uint64_t start, end, offset;
	const char *path;
	int fd; /* -1 not opened, -2 not usable */
};

struct core_thread {
	int tid;
	char state;
};

struct core_answer {
	enum item_kind kind;
	const char *key;
	struct strbuf data; /* points into the notes: not freed */
	enum error_code code;
	bool newer;
};

struct core {
	int fd;
	uint64_t size;
	char *path;
	bool sparse; /* one of ours */
	pid_t pid;
	uint64_t clock_ns, wall_ns; /* 0: unknown */
	char *notes;		    /* all note segments */
	size_t notes_len;
	struct arena arena;
	struct core_segment *segments; /* sorted by address */
	size_t n_segments, segments_cap;
	struct core_mapping *mappings;
	size_t n_mappings, mappings_cap;
	struct core_thread *threads;
	size_t n_threads, threads_cap;
	struct core_answer *answers;
	size_t n_answers, answers_cap;
	struct core_answer *user_notes;
	size_t n_user_notes, user_notes_cap;
	char command[81], name[17], state;
	unsigned uid, gid, ppid;
	uint64_t phdr; /* AT_PHDR: lies in the executable; 0 unknown */
};

/* Reads the notes into the struct. False: they are not what a core has. */
bool core_read_notes(struct core *core, struct error *err);

/* Texts of /proc for a core that has none, made from its notes; false when there is none. */
bool core_make_proc(struct core *core, const char *path, struct strbuf *text);

#endif
