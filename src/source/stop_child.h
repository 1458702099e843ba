/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_child.h - between stop.c, which starts the child, and stop_child.c, which runs in it
 *
 * Both share one piece of memory, mapped at the same address: the child has all it needs from
 * there, and leaves what it copied.
 */
#ifndef STALLSCOPE_SOURCE_STOP_CHILD_H
#define STALLSCOPE_SOURCE_STOP_CHILD_H

#include <sys/types.h>
#include <time.h>

#include "stallscope/stop.h"

/* From the first PTRACE_SEIZE on, in ns. STOP_MAX_NS has room for the way out behind them. */
#define STOP_STAND_NS	 11000000u /* all threads must stand by then */
#define STOP_COPY_NS	 14000000u /* nothing more is copied */
#define STOP_KILL_NS	 16000000u /* the child is killed by its own timer */
#define STOP_WATCHDOG_NS 50000000u /* by its parent, should it be suspended or have no timer */

enum stop_outcome {
	STOP_DIED, /* it has not come to its end: killed */
	STOP_DONE,
	STOP_REFUSED,  /* PTRACE_SEIZE failed with sys for tid */
	STOP_STRANGER, /* tid is no thread of the process, or not any more */
	STOP_NOBODY,   /* no thread is left */
	STOP_LATE,     /* tid did not stop in time */
	STOP_NO_TIMER, /* without it nothing is stopped */
};

enum held_state { HELD_NOT, HELD_SEIZED, HELD_STOPPED, HELD_GONE };

struct held {
	int32_t tid;
	enum held_state state;
	int signal;    /* to be passed on, 0 none */
	char path[24]; /* "task/TID/stat", below /proc/PID */
};

struct stop_shared {
	/* for the child */
	pid_t parent;
	int pidfd, procfd, mem; /* pidfd -1: this kernel has none */
	size_t size;		/* of all of this memory */
	bool registers;
	uint32_t stack;
	struct held *held; /* beside stop.threads, sorted by tid */
	uint32_t *wanted;  /* bytes of each of stop.copies */
	/* from the child; times are of CLOCK_MONOTONIC in ns, 0 not yet */
	enum stop_outcome outcome;
	int32_t tid;
	int sys;
	uint64_t seized, interrupted, ended;
	size_t running; /* threads that are seized and do not stand yet */
	bool early;	/* a signal stopped a thread before it was interrupted */
	uint64_t calls; /* of the system, that touched the target */
	struct stop stop;
};

/* Runs in the child and does not return. */
_Noreturn void stop_child(struct stop_shared *s);

static inline uint64_t stop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
