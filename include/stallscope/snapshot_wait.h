/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_wait.h - part of a snapshot: what exactly a blocked loop thread waits for
 *
 * From its system call and the arguments of that: descriptors and what they are, timeouts, the
 * process or thread that could end the wait. All of it is of one look, and nothing of it is known
 * of a thread that has moved on since its stack was read.
 */
#ifndef STALLSCOPE_SNAPSHOT_WAIT_H
#define STALLSCOPE_SNAPSHOT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

enum snap_fd_kind {
	SNAP_FD_UNKNOWN,
	SNAP_FD_TCP,
	SNAP_FD_UDP,
	SNAP_FD_UNIX,
	SNAP_FD_SOCKET, /* of another family, or not in the tables */
	SNAP_FD_PIPE,
	SNAP_FD_FIFO,
	SNAP_FD_FILE,
	SNAP_FD_TTY,
	SNAP_FD_DEVICE,
	SNAP_FD_PIDFD,
	SNAP_FD_EVENTFD,
	SNAP_FD_TIMERFD,
	SNAP_FD_SIGNALFD,
	SNAP_FD_INOTIFY,
	SNAP_FD_EPOLL,
	SNAP_FD_MEMFD,
	SNAP_FD_ANON, /* another of the kernel's own */
};

enum snap_end { SNAP_END_UNKNOWN, SNAP_END_READ, SNAP_END_WRITE, SNAP_END_BOTH };

/* What a descriptor that a thread waits on is. */
struct snap_wait_fd {
	int32_t fd; /* -1: the call has none, or it is not known */
	enum snap_fd_kind kind;
	enum snap_end end;	 /* as it was opened; of a pipe: which end */
	uint64_t inode;		 /* of a socket or pipe, 0 unknown */
	const char *peer;	 /* of a TCP or UDP connection, NULL otherwise */
	const char *local;	 /* our own end of it; of one that listens, the address */
	bool is_dns;		 /* UDP, or TCP, to port 53 */
	const char *tcp_state;	 /* NULL unknown */
	uint32_t unread, unsent; /* bytes, of a TCP or UDP socket */
	uint32_t retransmits;	 /* of what is not acknowledged */
	const char *path;	 /* of anything else: file, "pipe:[7]", "socket:[9]"; or NULL */
	bool deleted;		 /* the file at path has no name any more */
	bool redacted;		 /* peer, local or path was taken out */
};

/* Bounds of what is kept of one blocked thread. */
#define SNAP_WAIT_FDS 16u

enum snap_timeout { SNAP_TIMEOUT_UNKNOWN, SNAP_TIMEOUT_NONE, SNAP_TIMEOUT_SET };

/* What it waits for, other than descriptors. */
enum snap_blocked_kind {
	SNAP_BLOCKED_OTHER,
	SNAP_BLOCKED_SLEEP,
	SNAP_BLOCKED_CHILD,	/* pid */
	SNAP_BLOCKED_OPEN,	/* path */
	SNAP_BLOCKED_FILE_LOCK, /* pid: who has it */
	SNAP_BLOCKED_FUTEX,	/* address; lock when it is one of threading's */
	SNAP_BLOCKED_FDS,
};

enum snap_holder { SNAP_HOLDER_NONE, SNAP_HOLDER_THREAD, SNAP_HOLDER_TASK };

/* What a loop's thread is blocked in, from its system call. All of it is of one look. */
struct snap_blocked {
	enum snap_blocked_kind kind;
	struct snap_wait_fd fds[SNAP_WAIT_FDS];
	uint32_t n_fds;	    /* described here */
	uint32_t fds_total; /* the call has; more than n_fds: cut, or not readable */

	enum snap_timeout timeout;
	bool have_timeout_s, have_left_s;
	double timeout_s; /* of the call or socket; how long a sleep is */
	double left_s;	  /* until it ends, of one that is given as a point in time */

	const char *path; /* SNAP_BLOCKED_OPEN: as the program wrote it */
	bool fifo;	  /* which is a FIFO without another end */

	/* Processes: the child that is waited for, who has a lock or the other end of a pipe. */
	int32_t pid;	       /* 0 unknown, or none */
	bool is_self;	       /* pid is the process itself */
	uint32_t others;       /* relatives beside it that have the other end too */
	const char *command;   /* of pid, cut; NULL unknown */
	char state;	       /* of pid; 0 unknown */
	double age_s;	       /* of pid, -1 unknown */
	const char *lock_kind; /* "FLOCK", "POSIX", "OFDLCK": of the lock in the way; or NULL */
	bool searched;	       /* processes were searched for the other end of a pipe: */
	uint32_t looked_at;    /* that many of them could be looked at ... */
	uint32_t processes;    /* ... of so many */

	uint64_t futex; /* address slept on */
	uint64_t lock;	/* the threading lock it belongs to, 0 unknown */
	enum snap_holder holder;
	bool holder_certain;	/* the object names it; else a frame has the lock */
	bool holder_by_local;	/* only a local variable: it may just use the lock */
	bool waits_for_end;	/* it is not a lock: the thread is joined */
	uint32_t holder_thread; /* index */
	uint32_t holder_task;	/* index */
	uint32_t holder_frame;	/* that has the lock, SNAP_NONE when it is not known by that */
};

#endif
