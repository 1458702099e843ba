/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.h - everything that may be asked of a target
 *
 * A source is a live process, a core (sparse or full) or a test's fake; what
 * lies above cannot tell them apart and asks for nothing in any other way. It
 * never writes to the target, and nothing but source_freeze() and stop.h stops it.
 *
 * Everything asked goes through a cache that lasts for one look: memory by
 * pages, texts of /proc by path, pieces of mapped files, lines of source files.
 * So one look is consistent with itself (the same question gets the same
 * answer), a question asked twice costs nothing, and source_save() can write
 * what the look was made of: the sparse core. source_forget() begins a new look.
 *
 * Not thread-safe: one thread per source.
 */
#ifndef STALLSCOPE_SOURCE_H
#define STALLSCOPE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stallscope/error.h"
#include "stallscope/strbuf.h"

struct source;

/* Bounds of what is taken from a target. */
#define SOURCE_PAGE	 4096u
#define SOURCE_MAX_READ	 (64u << 20)	  /* bytes of one source_read() */
#define SOURCE_MAX_TEXT	 (16u << 20)	  /* bytes of one file of /proc */
#define SOURCE_MAX_LINE	 4096u		  /* bytes of one line of a source file */
#define SOURCE_CLOCK_MAX (UINT64_MAX / 8) /* ns; no machine was up that long */
#define SOURCE_MAX_CACHE (512u << 20)	  /* bytes of memory in one look */

/* A mapped file, as a line of /proc/PID/maps names it. */
struct source_file {
	uint64_t start, end; /* the mapping */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	const char *path; /* without " (deleted)" */
	bool deleted;
};

/*
 * Opens the live process pid: pidfd first, then an O_PATH descriptor of /proc/PID,
 * then everything else relative to that, so that a reused pid is never mixed in.
 * On failure err says which right is missing and how to get it (PERMISSION), or
 * NO_PROCESS; zombies and kernel threads are NOT_PYTHON with the reason.
 */
bool source_open_live(pid_t pid, struct source **ret, struct error *err);

/* Opens an ELF core: a sparse one of ours, or a full one of the kernel or gcore. */
bool source_open_core(const char *path, struct source **ret, struct error *err);

/* What a user names: a process by its number, anything else is a core. */
bool source_names_process(const char *argument);
bool source_open(const char *argument, struct source **ret, struct error *err);

/*
 * Another source on the same target with an empty cache of its own: for small looks
 * in between that must not disturb what the big look remembers. Closed like any other.
 */
struct source *source_again(struct source *src);

/* NULL is allowed. */
void source_close(struct source *src);

/*
 * What was asked so far was asked to open the target (its maps, its symbols), before any look: it
 * stays for source_save(), and so does the memory of looks that are forgotten later, as long as
 * no newer look has it. Call once, before the first look, on a source that is to be saved.
 */
void source_pin(struct source *src);

bool source_is_pinned(const struct source *src);

/*
 * What a light look through another source of the same target read is to be saved too, like the
 * memory of looks that are forgotten: what was learned there once is not asked again.
 */
void source_keep(struct source *src, const struct source *other);

/* A look is over: the next question is asked anew. Memory is kept for reuse. */
void source_forget(struct source *src);

/* Exactly len bytes at addr, or false with FAULT (GONE: it ended) and the address that failed. */
bool source_read(struct source *src, uint64_t addr, void *buf, size_t len, struct error *err);

/*
 * Where len bytes of the target's memory at addr are in the cache, when they were found there a
 * moment ago; NULL says nothing, ask source_read(). Valid until the next call on src.
 */
const void *source_peek(struct source *src, uint64_t addr, size_t len);

/*
 * Brings [addr, addr + len) of many addresses into the cache with few system calls:
 * sorts addrs (in place), merges neighbours. Addresses that cannot be read are left
 * out; source_read() reports them.
 */
void source_prefetch(struct source *src, uint64_t *addrs, size_t n, size_t len);

/*
 * What this look already has of [addr, addr + len) is read again: it moves fast. What lies beside
 * it stays as it was, and belongs to what was read with it.
 */
void source_reread(struct source *src, uint64_t addr, size_t len);

/*
 * Forgets the memory of this look when that is more than bytes, so that a long walk needs no more
 * than that: what is asked again is read again. Not on a source that is to be saved, which must
 * have all of it.
 */
void source_trim(struct source *src, uint64_t bytes);

/*
 * Whether len bytes at addr (at most a page) still are what this look has of them. Nothing is
 * remembered but the answer: what was found to hold is what is saved, and a recording gives the
 * answer that was given last when it was made.
 */
bool source_unchanged(struct source *src, uint64_t addr, size_t len);

/* A look at a copy that was made while the target stood. */
struct source_picture {
	uint64_t clock_ns; /* source_clock() then */
	uint64_t pages;	   /* in the copy */
	uint32_t threads;  /* that stood */
};

/*
 * Stops the threads tids of a live target (stop.h has the bounds), copies all memory that this look
 * has read so far, lets go, and begins a new look with that copy: to be walked in the same way, it
 * is of one instant. What was not read before is read of the running target as ever, and
 * source_late_pages() counts it. The copy is not read again by source_reread(), and unchanged for
 * source_unchanged(). What was asked before the first source_forget() is no part of a look, and not
 * copied; what went with source_trim() is not either: pin the source. On failure nothing has
 * changed, and the look goes on; errors are those of source_stop(). A look that read more than
 * STOP_MAX_BYTES cannot be copied.
 */
bool source_freeze(struct source *src, const int32_t *tids, size_t n, struct source_picture *ret,
		   struct error *err);

/* Pages read since source_freeze() of the running target; 0 in a look without it. */
uint64_t source_late_pages(const struct source *src);

/*
 * What is at addr now, without remembering it; of a core or a picture as ever. False: it cannot be
 * read.
 */
bool source_now(struct source *src, uint64_t addr, void *buf, size_t len);

/*
 * What another source of the same target has of [addr, addr + len), which it has read already, is
 * from now on what this look has of it too. Of a page that this look does not have yet all is
 * taken.
 */
void source_adopt(struct source *src, struct source *other, uint64_t addr, size_t len);

/*
 * The text of /proc/PID/path ("maps", "task/17/stat", "net/tcp"), or of a directory
 * the names in it, one a line (path ends in '/'), or of a symbolic link its target
 * (path begins with '@': "@exe", "@fd/6", "@ns/user"). *ret is owned by the source and
 * valid until source_forget() or source_close(). ABSENT when it does not exist, GONE when
 * the process ended.
 */
bool source_proc(struct source *src, const char *path, const struct strbuf **ret,
		 struct error *err);

/*
 * The same of the host, by absolute path below /proc/ or /sys/fs/cgroup/ ("@/proc/1/ns/net",
 * "/sys/fs/cgroup/"): what surrounds the target, and the processes at its other ends. ABSENT for
 * every other path, for one with "..", and for one that goes through a link of /proc that leads
 * to files of a process ("/proc/1/root/etc"): names in it may come from the target.
 */
bool source_host(struct source *src, const char *path, const struct strbuf **ret,
		 struct error *err);

/* Exactly len bytes at offset of a mapped file, as the target sees it. */
bool source_file_read(struct source *src, const struct source_file *file, uint64_t offset,
		      void *buf, size_t len, struct error *err);

/* A descriptor of a mapped file for libdw (the caller closes it); -1 when there is none. */
int source_file_open(struct source *src, const struct source_file *file, struct error *err);

/*
 * Line number `line` (from 1) of the text file at path in the target's root (or its
 * working directory), without the newline, as raw bytes. Only regular files, never
 * following a link out of the target's root. *newer is set when the file was changed
 * after the process began: the line may not be what runs.
 */
bool source_line(struct source *src, const char *path, uint32_t line, struct strbuf *out,
		 bool *newer, struct error *err);

/* What a name leads to now, which need not be what the process has of it. */
struct source_stat {
	int64_t modified_ns; /* since 1970 */
	uint64_t size;
	int newer; /* it was changed after the process began; -1: when that was is unknown */
	bool have_content; /* content is known */
	uint64_t content;  /* FNV-1a of its bytes */
};

/*
 * Of the regular file at path in the target's root (or its working directory), found with no other
 * rights than the target's. With content it is read, when it is no longer than SOURCE_MAX_CONTENT.
 * ABSENT where there is none, and in a core that was not asked when it was made.
 */
bool source_stat(struct source *src, const char *path, bool content, struct source_stat *ret,
		 struct error *err);

/* Of a mapped file, when its name still leads to it; newer is not asked. */
bool source_mapped_stat(struct source *src, const struct source_file *file, struct source_stat *ret,
			struct error *err);

#define SOURCE_MAX_CONTENT (1u << 20)

/*
 * CLOCK_MONOTONIC now in ns, in the target's time namespace; of a core: when it was taken, 0
 * when it does not tell.
 */
uint64_t source_clock(const struct source *src);

/* CLOCK_REALTIME in ns that belongs to source_clock(). */
uint64_t source_wall_clock(const struct source *src);

/* False when a live target ended or was replaced by another program; true for a core. */
bool source_alive(const struct source *src);

/*
 * Whether a file can only be text: it begins with characters of one, or is empty, or is a pipe,
 * which no core can be read from. Cores, and what they are packed in, begin otherwise.
 */
bool source_is_text(const char *path);

/* True when there is nothing to wait for: a core stays as it is. */
bool source_is_recorded(const struct source *src);

pid_t source_pid(const struct source *src); /* in our pid namespace; of a core: as recorded */

/*
 * Small texts that travel with a look: the layers above put what they measured over time
 * (the series of looks) so that a recorded target gives the same verdict.
 * source_note() gives NULL when there is none (always NULL for a live target).
 */
const struct strbuf *source_note(const struct source *src, const char *name);

struct source_note {
	const char *name;
	const char *text;
	size_t len;
};

/*
 * Writes what the look so far was made of as a sparse ELF core, with n notes added, to a
 * temporary file beside path that is then renamed. The file is readable by its owner only.
 * Takes the times of the look from clock_ns and wall_ns.
 */
bool source_save(struct source *src, const char *path, uint64_t clock_ns, uint64_t wall_ns,
		 const struct source_note *notes, size_t n, struct error *err);

/* A process of this machine, as far as /proc tells everybody. */
struct source_process {
	int32_t pid, ppid;
	uint32_t uid;
	uint64_t started;   /* clock ticks after boot */
	uint64_t cpu_ticks; /* used so far */
	char comm[64];	    /* raw bytes */
	char command[200];  /* arguments, raw bytes, blanks between them */
};

/* All of them but kernel threads; freed by the caller. False when /proc cannot be read. */
bool source_processes(struct source_process **ret, size_t *n, struct error *err);

/*
 * Whether a process is likely to have a CPython in it: by its executable, its command or a library
 * that is mapped. Costs a few system calls.
 */
bool source_may_be_python(const struct source_process *p);

struct source_stats {
	uint64_t system_calls; /* made for this target since it was opened */
	uint64_t bytes_read;
	uint64_t pages;	    /* in the cache now */
	uint64_t trimmed;   /* were in it in this look, and went with source_trim() */
	uint64_t faults;    /* reads that failed */
	uint64_t stops;	    /* that were tried, stop.h */
	uint64_t paused_ns; /* of all of them, also of those that failed */
};

struct source_stats source_get_stats(const struct source *src);

#endif
