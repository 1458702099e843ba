/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target.h - what Linux tells about a process: texts of /proc in, structs out
 *
 * The parsers take text, never a file, so they serve live processes and cores
 * alike and can be fuzzed. Text comes from the kernel but quotes the target
 * (comm, paths): it may hold anything. A parser returns false with CORRUPT when
 * the text is not what the kernel writes; fields it does not find in an optional
 * file stay at their "unknown" value, which each struct states.
 */
#ifndef STALLSCOPE_TARGET_H
#define STALLSCOPE_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/arena.h"
#include "stallscope/error.h"
#include "stallscope/source.h"

/* ---- /proc/PID/maps ------------------------------------------------------------------ */

enum { MAP_R = 1, MAP_W = 2, MAP_X = 4, MAP_SHARED_BIT = 8 };

struct mapping {
	struct source_file file; /* start, end, dev, inode, path ("" for anonymous memory) */
	uint64_t offset;	 /* of start in the file */
	uint8_t perms;		 /* MAP_R ... */
};

#define MAPS_MAX 131072u /* mappings taken from one process */

struct maps {
	struct mapping *v; /* sorted by start, disjoint, in an arena */
	size_t n;
	bool truncated; /* more than MAPS_MAX, or a text that ends within a line */
};

/* Paths are kept as the kernel writes them (octal \012 for newline), cut at " (deleted)". */
bool maps_parse(const char *text, size_t len, struct arena *arena, struct maps *ret,
		struct error *err);

/* The mapping that holds addr, or NULL. */
const struct mapping *maps_find(const struct maps *maps, uint64_t addr);

/* ---- /proc/PID/stat and task/TID/stat -------------------------------------------------- */

struct proc_stat {
	char comm[64]; /* raw bytes, NUL-terminated */
	char state;    /* R S D T t Z X I ... */
	int32_t ppid, pgrp, session;
	uint64_t flags; /* PF_*: kernel threads have PF_KTHREAD 0x00200000 */
	uint64_t minflt, majflt;
	uint64_t utime, stime; /* clock ticks */
	int64_t nice, num_threads;
	uint64_t starttime; /* clock ticks after boot */
	uint64_t startstack, start_code, end_code;
	int32_t processor;
};

bool proc_stat_parse(const char *text, size_t len, struct proc_stat *ret, struct error *err);

/* ---- /proc/PID/status ------------------------------------------------------------------ */

#define NSPID_MAX 8

struct proc_status {
	char state;
	int32_t tgid, pid, ppid, tracer; /* tracer 0: none */
	uint32_t uid[4], gid[4];	 /* real, effective, saved, file system */
	int32_t nspid[NSPID_MAX];	 /* outermost (ours) first, the last is the target's own */
	unsigned nspids;		 /* 0: the kernel does not say */
	uint32_t fd_slots;		 /* room for descriptors: no more are open; 0 unknown */
	uint64_t cap_eff, cap_prm;
	uint32_t threads;
	uint64_t voluntary, involuntary; /* context switches */
	uint64_t rss_kib;
};

bool proc_status_parse(const char *text, size_t len, struct proc_status *ret, struct error *err);

/* ---- /proc/PID/task/TID/syscall ---------------------------------------------------------- */

struct proc_syscall {
	bool running;	/* on a CPU or runnable: nothing known */
	bool resumed;	/* after a stop: number is what it sleeps in, the kernel shows another */
	int64_t number; /* -1: blocked, but not in a system call */
	uint64_t args[6];
	uint64_t sp, pc;
};

bool proc_syscall_parse(const char *text, size_t len, struct proc_syscall *ret, struct error *err);

/*
 * A call with a timeout that was stopped (by a debugger, Ctrl-Z, or us) goes on as
 * restart_syscall(), with its arguments. wchan, the function of the kernel that it sleeps in, tells
 * which one it was. False: it is none of these, or it cannot be told.
 */
bool proc_syscall_resume(struct proc_syscall *call, const char *wchan);
bool syscall_is_restart(int64_t number);

/* "recvfrom" for 45 on x86-64; NULL when unknown. */
const char *syscall_name(int64_t number);

/* True when a system call of any supported architecture has this name. */
bool syscall_known(const char *name);

/* ---- the rest ---------------------------------------------------------------------------- */

struct proc_schedstat {
	uint64_t on_cpu_ns, run_queue_ns, slices;
};

bool proc_schedstat_parse(const char *text, size_t len, struct proc_schedstat *ret,
			  struct error *err);

/* CLOCK_MONOTONIC offset of /proc/PID/timens_offsets in ns; 0 when the text has none. */
int64_t timens_monotonic_parse(const char *text, size_t len);

/* btime of /proc/stat is not needed: started = wall now - (monotonic now - starttime). */

struct proc_cgroup {
	const char *v2;	     /* path in the unified hierarchy, or NULL */
	const char *freezer; /* v1 path of the freezer controller, or NULL */
	const char *cpu;     /* v1 path of the cpu controller, or NULL */
};

bool proc_cgroup_parse(const char *text, size_t len, struct arena *arena, struct proc_cgroup *ret,
		       struct error *err);

/* Docker, containerd, podman, kubernetes: the 64-digit (or systemd scope) id in a path; else NULL.
 */
const char *cgroup_container_id(const char *path, struct arena *arena);

/* ---- /proc/PID/net/tcp, tcp6, udp, udp6, unix ---------------------------------------------- */

struct net_peer {
	char address[64]; /* "10.0.3.17:443", "[::1]:8080"; port 0: not connected */
	char local[64];	  /* our own end */
	uint16_t port;	  /* of address */
	const char
		*state;	 /* "ESTABLISHED", a literal; NULL unknown; of UDP "ESTABLISHED", "CLOSE" */
	uint32_t unread; /* bytes received and not taken */
	uint32_t unsent; /* bytes not acknowledged */
	uint32_t retransmits;
};

/* The connection whose socket has this inode; false when it is not in the table. */
bool net_tcp_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret);

/* The tables of UDP have the same lines. */
bool net_udp_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret);

struct net_unix {
	char path[128]; /* raw bytes, "@..." abstract, "" unnamed */
	const char
		*state; /* "CONNECTED", "LISTEN", "CONNECTING", "UNCONNECTED", a literal; or NULL */
};

bool net_unix_find(const char *text, size_t len, uint64_t inode, struct net_unix *ret);

/* ---- /proc/PID/fdinfo/N --------------------------------------------------------------------- */

#define FDINFO_TARGETS 64u

struct proc_fdinfo {
	bool have_flags;
	uint32_t flags; /* O_* of open() */
	uint64_t inode; /* 0: not said (before Linux 5.14) */
	bool has_lock;	/* a lock on the file was taken through it */
	int32_t pid;	/* of a pidfd; 0 for others, -1 when that process is gone */
	int32_t targets[FDINFO_TARGETS]; /* descriptors that an epoll watches */
	unsigned n_targets;		 /* all of them: may be more than are kept */
};

bool proc_fdinfo_parse(const char *text, size_t len, struct proc_fdinfo *ret, struct error *err);

/* ---- /proc/locks ----------------------------------------------------------------------------- */

struct proc_lock {
	char kind[8];	/* "FLOCK", "POSIX", "OFDLCK" */
	bool exclusive; /* WRITE */
	int32_t pid;	/* of the holder; -1: an open file description has it, not a process */
	uint32_t dev_major, dev_minor;
	uint64_t inode;
};

/*
 * The lock that stands in the way of process waiter on the file with this inode (0: any file):
 * the kernel lists who waits for a lock below it.
 */
bool proc_locks_blocker(const char *text, size_t len, int32_t waiter, uint64_t inode,
			struct proc_lock *ret);

/* ---- the process --------------------------------------------------------------------------- */

/* Facts that hold for the whole life of the process, and its modules. */
struct process {
	struct arena arena;
	pid_t pid;	   /* ours */
	int32_t ns_pid;	   /* the target's own idea of its pid */
	uint32_t uid, gid; /* effective */
	int32_t ppid;
	char **command; /* argv, made safe; argc entries */
	size_t argc;
	const char *executable; /* made safe, NULL when unreadable */
	uint64_t started_ns;	/* CLOCK_MONOTONIC of the target's time namespace */
	const char *cgroup;	/* made safe, NULL when unknown */
	const char *container;	/* id or NULL */
	struct maps maps;
	const char *exe_path; /* raw, as maps name it; NULL when unreadable */
};

/*
 * Another spelling of a path is another question to the cache of a look. By this one the schedstat
 * and the syscall of the main thread are asked before any memory is read.
 */
#define PROCESS_BEFORE "././././././"

/* Reads stat, status, cmdline, exe, cgroup, maps. *ret is freed by process_destroy(). */
bool process_read(struct source *src, struct process **ret, struct error *err);
void process_destroy(struct process *proc);

/*
 * Reads maps anew (a library was loaded). The mappings known so far stay valid until
 * process_destroy(); nothing is allocated when the text has not changed.
 */
bool process_reread_maps(struct source *src, struct process *proc, struct error *err);

/* One thread, as the kernel sees it now. Each part may be missing: have_* tells. */
struct os_thread {
	int32_t tid;	/* ours */
	int32_t ns_tid; /* the target's; 0 without OS_STATUS */
	struct proc_stat stat;
	struct proc_status status;
	struct proc_syscall syscall;
	struct proc_schedstat sched;
	char wchan[64]; /* "" when unknown */
	bool have_stat, have_status, have_syscall, have_sched;
};

#define THREADS_MAX 16384u

/*
 * All threads, those cheap facts only that `facts` asks for. *ret is allocated with
 * mem_alloc and freed by the caller. Threads that end meanwhile are left out.
 */
enum { OS_STAT = 1, OS_STATUS = 2, OS_SYSCALL = 4, OS_SCHED = 8, OS_WCHAN = 16 };
bool os_threads_read(struct source *src, unsigned facts, struct os_thread **ret, size_t *n,
		     struct error *err);
bool os_thread_read(struct source *src, int32_t tid, unsigned facts, struct os_thread *ret,
		    struct error *err);

#endif
