/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.h - an opened core: core.c is its memory, core_file.c the files that were mapped,
 * core_notes.c what its notes say, core_proc.c the /proc that a core without one would have had
 */
#ifndef STALLSCOPE_SOURCE_CORE_H
#define STALLSCOPE_SOURCE_CORE_H

#include "backend.h"
#include "stallscope/addrmap.h"
#include "stallscope/arena.h"

/* Bounds of what is taken from a core file. */
#define CORE_MAX_SEGMENTS 1000000u
#define CORE_MAX_MAPPINGS 1000000u
#define CORE_MAX_NOTES	  (256u << 20) /* bytes */
#define CORE_MAX_THREADS  100000u
#define CORE_REGS_MAX	  STOP_REGISTERS

struct core_segment {
	uint64_t address, memory, offset, file; /* file: bytes of it in the core, <= memory */
	uint32_t flags;
};

/* A file that was mapped, as NT_FILE names it. */
struct core_file {
	const char *name; /* with " (deleted)", if it was */
	const char *path; /* without */
	bool deleted;
	bool asked; /* fd is what it will be */
	int fd;	    /* of the same file on this machine, or -1 */
};

struct core_mapping {
	uint64_t start, end, offset;
	size_t file; /* index */
};

struct core_thread {
	int32_t tid;
	int64_t number; /* of the system call it is in; -1 none, -2 unknown */
	uint64_t args[6], sp, pc;
	uint64_t utime, stime; /* microseconds */
	uint32_t n_registers;
	uint64_t registers[CORE_REGS_MAX];
};

struct core_answer {
	enum item_kind kind;
	enum error_code code;
	bool newer;
	const char *key;
	struct strbuf data; /* lies in the arena */
};

/* A piece of a file, for questions that are not quite those of the look. */
struct core_extent {
	const char *name; /* path, with " (deleted)" */
	uint64_t offset;
	struct strbuf data;
};

struct core {
	pid_t pid;
	int fd;
	uint64_t size;
	int64_t modified;	    /* seconds */
	char *path;		    /* made safe, for messages */
	bool sparse;		    /* one of ours */
	uint16_t machine;	    /* e_machine */
	uint64_t clock_ns, wall_ns; /* 0: unknown */
	char *notes;		    /* all note segments */
	size_t notes_len;
	struct arena arena;
	struct core_segment *segments; /* sorted by address, disjoint */
	size_t n_segments, segments_cap;
	struct core_mapping *mappings; /* sorted by address, disjoint */
	size_t n_mappings, mappings_cap;
	struct core_file *files;
	size_t n_files, files_cap;
	struct addrmap file_index; /* hash of name -> file */
	struct core_thread *threads;
	size_t n_threads, threads_cap;
	struct core_answer *answers;
	size_t n_answers, answers_cap;
	struct addrmap answer_index; /* hash of kind and key -> answer */
	struct core_extent *extents;
	size_t n_extents, extents_cap;
	struct core_answer *user_notes;
	size_t n_user_notes, user_notes_cap;
	char command[81], name[17];
	uint32_t uid, gid;
	int32_t ppid;
	struct strbuf auxv; /* lies in the arena */
};

/* Reads the notes into the struct. False: they are not what a core has. */
bool core_read_notes(struct core *core, struct error *err);

/* The answer that was recorded, or NULL. */
const struct core_answer *core_find_answer(const struct core *core, enum item_kind kind,
					   const char *key);

/* pread() of any offset, repeated when a signal came between. */
ssize_t core_pread(int fd, void *buf, size_t len, uint64_t offset);

/* The bytes at addr that are in the core itself, at most len. */
size_t core_own_bytes(const struct core *core, uint64_t addr, void *buf, size_t len);

/* The mapping of a file that holds addr, or NULL. */
const struct core_mapping *core_find_mapping(const struct core *core, uint64_t addr);

/* The index of the mapped file, or n_files. */
size_t core_find_file(const struct core *core, const struct source_file *file);

/* A descriptor of the file as it was mapped, which stays the core's; -1 when there is none. */
int core_file_fd(struct core *core, size_t file);

/* A text of /proc made from the notes; false when there is none. */
bool core_make_proc(const struct core *core, const char *path, struct strbuf *text);

#endif
