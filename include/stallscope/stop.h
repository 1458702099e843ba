/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.h - threads of a live target, held for a moment and copied
 *
 * The only part of the program that stops anything. It is used where a look asks for it: for
 * registers and stacks, or for memory that must be of one instant.
 *
 * A child process of ours does it with ptrace(2): PTRACE_SEIZE of all threads, PTRACE_INTERRUPT of
 * all, a wait with a deadline, the copies, PTRACE_DETACH, exit. Signals that come meanwhile are
 * passed on. Whatever happens to the child or to us, its exit lets the threads go; and it exits
 * within STOP_MAX_NS: its own timer kills it, a watchdog of ours kills it, and it dies with us.
 * Only where the machine gives it no CPU to die with does that take longer, and paused_ns tells it.
 *
 * A stop does not go unnoticed: some system calls end early with EINTR (epoll_wait, io_uring_enter,
 * semop, a socket with SO_RCVTIMEO and others, see signal(7)). CPython repeats them, and so does
 * libuv; an extension in C may not. And it makes nothing consistent: it may come in the middle of a
 * change. What was copied is checked as if nothing had stood.
 */
#ifndef STALLSCOPE_STOP_H
#define STALLSCOPE_STOP_H

#include "stallscope/source.h"

#define STOP_MAX_NS	 20000000u   /* from the first PTRACE_INTERRUPT to the last PTRACE_DETACH */
#define STOP_MAX_THREADS 1024u	     /* that is about 8 ms for stopping them */
#define STOP_MAX_STACK	 (64u << 10) /* bytes of one stack */
#define STOP_MAX_BYTES	 (24ull << 20) /* of all stacks and ranges; that is 6 to 12 ms */
#define STOP_REGISTERS	 34u	       /* words: 27 on x86-64, 34 on aarch64 */

struct stop_range {
	uint64_t address;
	uint32_t len; /* bytes */
};

/* What to copy. The arrays are the caller's and are not kept. */
struct stop_request {
	const int32_t *tids; /* in our pid namespace; 1 to STOP_MAX_THREADS, each once */
	size_t n_tids;
	bool registers; /* of each of these threads */
	uint32_t stack; /* and so many bytes from its stack pointer up; 0 to STOP_MAX_STACK */
	const struct stop_range *ranges; /* memory, copied in this order */
	size_t n_ranges;
};

struct stop_thread {
	int32_t tid;
	bool stopped;	      /* false: it had ended, and nothing below is known */
	uint32_t n_registers; /* words; 0: not asked for, or those of a 32-bit program */
	uint64_t registers[STOP_REGISTERS]; /* as NT_PRSTATUS of a core has them in pr_reg */
	uint64_t pc, sp;
	uint32_t stack_len; /* up to the end of the mapping at most */
	char *stack;	    /* the bytes at sp */
};

struct stop_copy {
	uint64_t address;
	uint32_t len; /* fewer than asked for: what follows could not be read, or time was up */
	char *data;
};

/* What was copied, while all of the threads stood. */
struct stop {
	uint64_t clock_ns; /* source_clock() when the last one stood */
	uint64_t paused_ns;
	struct stop_thread *threads; /* sorted by tid */
	size_t n_threads;
	struct stop_copy *copies; /* one for each range */
	size_t n_copies;
	bool complete; /* false: the time was up before all ranges were copied */
};

/*
 * Stops these threads of a live target and copies. *ret is the caller's, for stop_destroy(). Takes
 * a millisecond or two, at the very most about a second (on a machine that does not schedule us),
 * of which the target stands STOP_MAX_NS at most, as far as there is a CPU for us. What it cost is
 * counted in source_stats: stops, paused_ns, also of a stop that failed.
 *
 * False, and the target goes on as before:
 *   PERMISSION   not allowed, with the missing right as the hint; or another tracer has it, which
 *                is named; or it is we ourselves or a process that we descend from
 *   NOT_STOPPED  a thread did not stop in time: it is named, with its state
 *   GONE         no thread is left, or the pid is another process by now
 *   ABSENT       a recording; or more than the bounds above allow
 */
bool source_stop(struct source *src, const struct stop_request *want, struct stop **ret,
		 struct error *err);

/*
 * Another source on the same target in which what was copied is as it was then: ranges and stacks.
 * The rest is read of the running target. Closed like any other.
 */
struct source *source_of_stop(struct source *src, const struct stop *stop);

/* Registers of a thread, of which source_stop() or a full core tells. */
struct source_registers {
	int32_t tid;
	uint32_t n; /* words; 0 unknown */
	uint64_t v[STOP_REGISTERS];
};

/* Those of a thread of a full core; ABSENT: it does not have them, or it is no full core. */
bool source_core_registers(struct source *src, int32_t tid, struct source_registers *ret,
			   struct error *err);

/*
 * For source_save(): the registers of a thread that was stopped, and the quarters of pages of its
 * stack of which bits are set in used (those that lie whole in what was copied). Memory that this
 * look has read already stays what it is.
 */
void source_keep_stopped(struct source *src, const struct stop_thread *thread, const uint8_t *used);

/* The number of the quarter that holds an address of a copied stack. */
static inline size_t stop_quarter(const struct stop_thread *thread, uint64_t addr)
{
	return (size_t)(addr / 1024 - thread->sp / 1024);
}

#define STOP_QUARTERS (STOP_MAX_STACK / 1024 + 2) /* of one stack; used has so many bytes */

/* Whether calls on this socket end by themselves (SO_RCVTIMEO, SO_SNDTIMEO), and what fd is. */
struct source_socket {
	bool is_socket;
	bool receive_timeout, send_timeout;
	uint32_t mode;	   /* st_mode */
	bool is_anonymous; /* of the kernel's own: eventfd, timerfd and others */
};

/*
 * Looks at a descriptor of a live process through a copy of it, which is closed at once. False:
 * this kernel has no pidfd_getfd(2), or it is not allowed; or there is no such descriptor.
 */
bool source_socket(struct source *src, int fd, struct source_socket *ret, struct error *err);

/* NULL is allowed. */
void stop_destroy(struct stop *stop);

#endif
