/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop_child.c - the process that holds the threads of a target
 *
 * Between PTRACE_SEIZE and exit nothing here allocates, takes a lock or does any I/O but reading
 * the target's memory, and nothing waits without a deadline. No thread is ever seized for longer
 * than one stop: the next signal would freeze it until we die. There is no PTRACE_ATTACH, which
 * leaves the target stopped when the tracer is killed, and no SIGSTOP, which its parent sees.
 */
#include "stop_child.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stallscope/arena.h"

#define PIECE	    (1u << 20) /* bytes of one read: the time is looked at between them */
#define BATCH	    64u	       /* ranges of one read */
#define OWN_STACK   (32u << 10)
#define HIGHER_NICE (-10) /* the target waits for us: we should not wait for a CPU */

/* ---- letting go ---------------------------------------------------------------------------- */

static _Noreturn void leave(struct stop_shared *s, enum stop_outcome outcome, int32_t tid, int sys)
{
	s->tid = tid;
	s->sys = sys;
	for (size_t i = 0; i < s->stop.n_threads; i++) {
		struct held *h = &s->held[i];

		if (h->state == HELD_STOPPED)
			ptrace(PTRACE_DETACH, h->tid, NULL, (void *)(intptr_t)h->signal);
	}
	__atomic_store_n(&s->ended, stop_now(), __ATOMIC_RELEASE);
	__atomic_store_n(&s->outcome, outcome, __ATOMIC_RELEASE);
	_exit(0); /* which lets go of all that are seized and do not stand */
}

/* ---- before anything is seized ------------------------------------------------------------- */

static void close_between(unsigned first, unsigned last)
{
#ifdef SYS_close_range
	if (!syscall(SYS_close_range, first, last, 0))
		return;
#endif
	for (unsigned fd = first; fd <= last && fd < 4096; fd++)
		close((int)fd);
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* A pipe that nobody reads must not hold us, nor we hold a file of the parent open. */
static void keep_only(int a, int b, int c)
{
	int keep[] = {a, b, c};
	unsigned next = 0;

	qsort(keep, ARRAY_SIZE(keep), sizeof(*keep), by_number);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < 0)
			continue;
		if (keep[i] > (int)next)
			close_between(next, (unsigned)keep[i] - 1);
		next = (unsigned)keep[i] + 1;
	}
	close_between(next, ~0u);
}

/* Ctrl-Z and a terminal that is read by others must not stop us while the target stands. */
static void set_signals(sigset_t *child_stopped)
{
	const int ignored[] = {SIGTSTP, SIGTTIN, SIGTTOU, SIGPIPE};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(child_stopped);
	sigaddset(child_stopped, SIGCHLD);
	sigprocmask(SIG_SETMASK, child_stopped, NULL);
}

/* Faults in what is written later: pages of the shared memory, and of a stack shared by fork. */
static void fault_in(struct stop_shared *s)
{
	volatile char stack[OWN_STACK];
	volatile char *shared = (volatile char *)s;

	mlock(s, s->size); /* where it may; without it works as well */
	for (size_t i = 0; i < s->size; i += SOURCE_PAGE)
		shared[i] = shared[i];
	for (size_t i = 0; i < sizeof(stack); i += SOURCE_PAGE / 2)
		stack[i] = 0;
	errno = 0;
}

/* A timer of SIGKILL works on a process that somebody suspended, too. */
static bool set_timer(timer_t timer, time_t seconds, long ns)
{
	const struct itimerspec when = {.it_value = {seconds, ns}};

	return !timer_settime(timer, 0, &when, NULL);
}

/*
 * Out of reach of the terminal's signals by a process group of its own, not by a session: where
 * sessions are scheduled as groups (autogroup, sched(7)) a new one makes nice of no use, and one
 * stop in a hundred takes ten times as long on a busy machine.
 */
static timer_t become_child(struct stop_shared *s, sigset_t *child_stopped)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &event, &timer) || !set_timer(timer, 1, 0))
		leave(s, STOP_NO_TIMER, 0, errno);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != s->parent)
		_exit(1);
	set_signals(child_stopped);
	setpgid(0, 0);
	prctl(PR_SET_DUMPABLE, 0); /* nor shall the target hold us */
	keep_only(s->pidfd, s->procfd, s->mem);
	if (nice(HIGHER_NICE) == -1)
		errno = 0; /* not permitted: then without */
	fault_in(s);
	return timer;
}

/* ---- stopping ------------------------------------------------------------------------------ */

/* Threads that ended and were not collected, as a leader whose process goes on without it. */
static bool is_dead(struct stop_shared *s, const struct held *h)
{
	char text[512];
	const char *close_paren;
	int fd = openat(s->procfd, h->path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 3);

	if (fd >= 0)
		close(fd);
	if (n < 2)
		return true;
	memset(text + n, 0, 3);
	close_paren = strrchr(text, ')');
	return close_paren && (close_paren[2] == 'Z' || close_paren[2] == 'X');
}

/*
 * ptrace takes a number, which may be another's by now. Once it is seized it cannot be: then /proc
 * says whether it is a thread of our process, and nothing was stopped yet.
 */
static void seize(struct stop_shared *s, struct held *h)
{
	s->calls += 2;
	if (ptrace(PTRACE_SEIZE, h->tid, NULL, NULL)) {
		int sys = errno;

		if (sys != ESRCH && !is_dead(s, h))
			leave(s, STOP_REFUSED, h->tid, sys);
		h->state = HELD_GONE;
		return;
	}
	h->state = HELD_SEIZED;
	if (faccessat(s->procfd, h->path, F_OK, 0))
		leave(s, STOP_STRANGER, h->tid, errno);
}

static bool has_ended(struct stop_shared *s)
{
	struct pollfd p = {.fd = s->pidfd, .events = POLLIN};

	return s->pidfd >= 0 && poll(&p, 1, 0) == 1;
}

/* The file of the memory is bound to it: nothing is left when another program runs by now. */
static bool is_same(struct stop_shared *s)
{
	char byte;

	s->calls++;
	return pread(s->mem, &byte, 1, SOURCE_PAGE) != 0;
}

static void seize_all(struct stop_shared *s)
{
	for (size_t i = 0; i < s->stop.n_threads; i++) {
		seize(s, &s->held[i]);
		s->running += s->held[i].state == HELD_SEIZED;
	}
	if (!s->running)
		leave(s, STOP_NOBODY, 0, 0);
	if (has_ended(s) || !is_same(s))
		leave(s, STOP_STRANGER, 0, 0);
}

static struct held *find(struct stop_shared *s, pid_t tid)
{
	size_t begin = 0, end = s->stop.n_threads;

	while (begin < end) {
		size_t middle = (begin + end) / 2;

		if (s->held[middle].tid == tid)
			return &s->held[middle];
		if (s->held[middle].tid < tid)
			begin = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

/*
 * One report of waitpid(). A stop that is not PTRACE_EVENT_STOP is that of a signal on its way: it
 * must be passed on, or it is lost. A thread that calls execve() comes back with the number of the
 * leader, whether we hold that one or not.
 */
static void note(struct stop_shared *s, pid_t tid, int status)
{
	struct held *h = find(s, tid);
	bool event = status >> 16 != 0;
	int signal = WIFSTOPPED(status) && !event ? WSTOPSIG(status) : 0;

	if (!h) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
		return;
	}
	s->running -= h->state == HELD_SEIZED;
	h->state = WIFSTOPPED(status) ? HELD_STOPPED : HELD_GONE;
	h->signal = signal;
	s->early |= signal != 0;
}

static int32_t first_running(const struct stop_shared *s)
{
	for (size_t i = 0; i < s->stop.n_threads; i++)
		if (s->held[i].state == HELD_SEIZED)
			return s->held[i].tid;
	return 0;
}

static void wait_for_all(struct stop_shared *s, const sigset_t *child_stopped)
{
	uint64_t deadline = s->seized + STOP_STAND_NS, now;
	int status;

	while (s->running) {
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG);

		s->calls++;
		if (tid > 0) {
			note(s, tid, status);
			continue;
		}
		if (tid < 0) /* no tracee is left */
			leave(s, STOP_NOBODY, 0, 0);
		now = stop_now();
		if (now >= deadline)
			leave(s, STOP_LATE, first_running(s), 0);
		sigtimedwait(child_stopped, NULL, &(struct timespec){0, (long)(deadline - now)});
	}
}

static void stop_all(struct stop_shared *s, timer_t timer, const sigset_t *child_stopped)
{
	__atomic_store_n(&s->seized, stop_now(), __ATOMIC_RELEASE);
	if (!set_timer(timer, 0, STOP_KILL_NS))
		leave(s, STOP_NO_TIMER, 0, errno);
	seize_all(s);
	__atomic_store_n(&s->interrupted, stop_now(), __ATOMIC_RELEASE);
	for (size_t i = 0; i < s->stop.n_threads; i++)
		if (s->held[i].state == HELD_SEIZED) /* one that ends tells it by waitpid() */
			ptrace(PTRACE_INTERRUPT, s->held[i].tid, NULL, NULL);
	s->calls += s->running;
	wait_for_all(s, child_stopped);
	s->stop.clock_ns = stop_now();
}

/* ---- copying ------------------------------------------------------------------------------- */

static bool time_is_up(const struct stop_shared *s)
{
	return stop_now() - s->seized > STOP_COPY_NS;
}

/* Bytes of [address, address + len) that could be read. */
static uint32_t copy(struct stop_shared *s, uint64_t address, char *to, uint32_t len)
{
	uint32_t done = 0;

	while (done < len && !time_is_up(s)) {
		size_t part = len - done < PIECE ? len - done : PIECE;
		ssize_t n = pread(s->mem, to + done, part, (off_t)(address + done));

		s->calls++;
		if (n > 0)
			done += (uint32_t)n;
		if (n != (ssize_t)part)
			break;
	}
	return done;
}

static void set_pointers(struct stop_thread *t)
{
	const struct user_regs_struct *regs = (const void *)t->registers;

#if defined(__x86_64__)
	t->pc = regs->rip;
	t->sp = regs->rsp;
#elif defined(__aarch64__)
	t->pc = regs->pc;
	t->sp = regs->sp;
#else
#error "registers of this machine are not known"
#endif
}

static void take_registers(struct stop_shared *s, struct stop_thread *t)
{
	struct iovec iov = {t->registers, sizeof(t->registers)};

	s->calls++;
	if (ptrace(PTRACE_GETREGSET, t->tid, (void *)(intptr_t)NT_PRSTATUS, &iov) ||
	    iov.iov_len != sizeof(struct user_regs_struct))
		return; /* shorter: a 32-bit program */
	t->n_registers = (uint32_t)(iov.iov_len / sizeof(*t->registers));
	set_pointers(t);
}

static void take_thread(struct stop_shared *s, size_t i)
{
	struct stop_thread *t = &s->stop.threads[i];

	t->stopped = s->held[i].state == HELD_STOPPED;
	if (!t->stopped || !s->registers)
		return;
	take_registers(s, t);
	if (s->stack && t->n_registers && t->sp <= (uint64_t)INT64_MAX - s->stack)
		t->stack_len = copy(s, t->sp, t->stack, s->stack);
}

static int32_t first_stopped(const struct stop_shared *s)
{
	for (size_t i = 0; i < s->stop.n_threads; i++)
		if (s->held[i].state == HELD_STOPPED)
			return s->held[i].tid;
	return 0;
}

/*
 * Copies from range i on, at most PIECE of them together, and gives where to go on. One system call
 * for many ranges, without a copy in between, is twice as fast as a read of the memory file for
 * each. It takes a number for the process and reads whatever program that runs: is_same() tells
 * later whether it was ours throughout. The range that it stops at is left to the file. A page that
 * never comes (userfaultfd) holds it until the timer kills us.
 */
static size_t copy_batch(struct stop_shared *s, pid_t tid, size_t i)
{
	struct iovec to[BATCH], from[BATCH];
	size_t n = 0, bytes = 0;
	ssize_t got;

	for (; n < BATCH && i + n < s->stop.n_copies; n++) {
		const struct stop_copy *c = &s->stop.copies[i + n];

		if (n && bytes + s->wanted[i + n] > PIECE)
			break;
		to[n] = (struct iovec){c->data, s->wanted[i + n]};
		from[n] = (struct iovec){(void *)(uintptr_t)c->address, s->wanted[i + n]};
		bytes += s->wanted[i + n];
	}
	s->calls++;
	got = process_vm_readv(tid, to, n, from, n, 0);
	for (size_t k = 0; k < n; k++, i++) {
		if (got < (ssize_t)s->wanted[i]) {
			struct stop_copy *c = &s->stop.copies[i];

			c->len = copy(s, c->address, c->data, s->wanted[i]);
			return i + 1;
		}
		s->stop.copies[i].len = s->wanted[i];
		got -= (ssize_t)s->wanted[i];
	}
	return i;
}

static void copy_all(struct stop_shared *s)
{
	int32_t tid = first_stopped(s);

	for (size_t i = 0; i < s->stop.n_threads; i++)
		take_thread(s, i);
	for (size_t i = 0; i < s->stop.n_copies && !time_is_up(s);)
		i = copy_batch(s, tid, i);
	s->stop.complete = !time_is_up(s);
	if (!is_same(s))
		leave(s, STOP_STRANGER, 0, 0);
}

void stop_child(struct stop_shared *s)
{
	sigset_t child_stopped;
	timer_t timer = become_child(s, &child_stopped);

	stop_all(s, timer, &child_stopped);
	copy_all(s);
	leave(s, STOP_DONE, 0, 0);
}
