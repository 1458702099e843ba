/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stop.c - starts the child that holds a target, watches over it, and tells what came of it
 *
 * Why a child: whatever goes wrong, its death lets the target go, and it can be made to die. A
 * tracer that stops for long, in a signal handler or waiting for a page, is the one way to freeze
 * a service that only was to be looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "live.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stop_child.h"

#define START_NS     1000000000u /* the child has not begun by then: it never will */
#define DIE_NS	     1000000000u /* nor has it died of SIGKILL */
#define LOOK_NS	     200000	 /* how often the watchdog looks */
#define LIVES_ABOVE  4096u	 /* processes that we descend from, at most */
#define STATUS_BYTES 4096u

/* ---- what /proc says of a thread ----------------------------------------------------------- */

/* The text behind a key of a status file ("\nState:"), in text of STATUS_BYTES; NULL. */
static const char *status_of(int dir, const char *path, const char *key, char *text)
{
	cleanup_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, STATUS_BYTES - 1);
	const char *at;

	if (n <= 0)
		return NULL;
	text[n] = 0;
	at = strstr(text, key);
	return at ? at + strlen(key) + strspn(at + strlen(key), " \t") : NULL;
}

static pid_t status_number(int dir, const char *path, const char *key)
{
	char text[STATUS_BYTES];
	const char *at = status_of(dir, path, key, text);

	return at ? (pid_t)strtol(at, NULL, 10) : 0;
}

/* ---- what may be stopped ------------------------------------------------------------------- */

/* Whoever waits for us, stopped by us, would be waited for in turn. */
static bool is_above_us(pid_t pid)
{
	pid_t p = getpid();

	for (unsigned i = 0; i < LIVES_ABOVE && p > 0; i++) {
		char path[32];

		if (p == pid)
			return true;
		snprintf(path, sizeof(path), "/proc/%d/status", (int)p);
		p = status_number(AT_FDCWD, path, "\nPPid:");
	}
	return status_number(AT_FDCWD, "/proc/self/status", "\nTracerPid:") == pid;
}

static bool is_too_much(const struct stop_request *want, struct error *err)
{
	uint64_t bytes = want->n_tids * (uint64_t)want->stack;

	if (!want->n_tids || want->n_tids > STOP_MAX_THREADS)
		return !error_set(err, ERR_ABSENT, "%zu threads: 1 to %u can be stopped at once",
				  want->n_tids, STOP_MAX_THREADS);
	for (size_t i = 0; i < want->n_ranges && bytes <= STOP_MAX_BYTES; i++) {
		bytes += want->ranges[i].len;
		if (want->ranges[i].address > (uint64_t)INT64_MAX - want->ranges[i].len)
			return !error_fault(err, want->ranges[i].address, EFAULT);
	}
	if (bytes > STOP_MAX_BYTES || want->stack > STOP_MAX_STACK)
		return !error_set(err, ERR_ABSENT,
				  "more than %llu MiB of memory, the most that is copied in a stop",
				  STOP_MAX_BYTES >> 20);
	return false;
}

static bool may_stop(const struct live *l, const struct stop_request *want, struct error *err)
{
	if (l->foreign_proc)
		return error_set(err, ERR_ABSENT,
				 "/proc is that of another pid namespace: its numbers mean other "
				 "threads here");
	if (is_above_us(l->pid))
		return error_set(err, ERR_PERMISSION,
				 "process %d is this one, or one that it descends from or is "
				 "traced by: stopping it would stop us",
				 (int)l->pid);
	return !is_too_much(want, err);
}

/* ---- the shared memory --------------------------------------------------------------------- */

/* Cuts len bytes off the front, aligned to eight. */
static void *carve(char **at, size_t len)
{
	void *piece = *at;

	*at += (len + 7) & ~(size_t)7;
	return piece;
}

static int by_tid(const void *a, const void *b)
{
	return ((const struct held *)a)->tid - ((const struct held *)b)->tid;
}

static void fill_threads(struct stop_shared *s, const struct stop_request *want, char **data)
{
	for (size_t i = 0; i < want->n_tids; i++)
		s->held[i].tid = want->tids[i];
	qsort(s->held, want->n_tids, sizeof(*s->held), by_tid);
	for (size_t i = 0; i < want->n_tids; i++) {
		snprintf(s->held[i].path, sizeof(s->held[i].path), "task/%d/stat", s->held[i].tid);
		s->stop.threads[i].tid = s->held[i].tid;
		s->stop.threads[i].stack = carve(data, want->stack);
	}
}

/* One mapping for all: what the child is to know, what it finds, and the bytes that it copies. */
static struct stop_shared *share(const struct live *l, const struct stop_request *want)
{
	size_t n = want->n_tids, ranges = want->n_ranges, size;
	struct stop_shared *s;
	char *at;

	size = sizeof(*s) + n * (sizeof(*s->held) + sizeof(*s->stop.threads) + want->stack + 8);
	size += ranges * (sizeof(*s->wanted) + sizeof(*s->stop.copies) + 8) + 64;
	for (size_t i = 0; i < ranges; i++)
		size += want->ranges[i].len;
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	s = carve(&at, sizeof(*s));
	s->held = carve(&at, n * sizeof(*s->held));
	s->wanted = carve(&at, ranges * sizeof(*s->wanted));
	s->stop.threads = carve(&at, n * sizeof(*s->stop.threads));
	s->stop.n_threads = n;
	s->stop.copies = carve(&at, ranges * sizeof(*s->stop.copies));
	s->stop.n_copies = ranges;
	s->parent = getpid();
	s->pidfd = l->pidfd;
	s->procfd = l->procfd;
	s->mem = l->mem;
	s->size = size;
	s->registers = want->registers || want->stack;
	s->stack = want->stack;
	fill_threads(s, want, &at);
	for (size_t i = 0; i < ranges; i++) {
		s->wanted[i] = want->ranges[i].len;
		s->stop.copies[i].address = want->ranges[i].address;
		s->stop.copies[i].data = carve(&at, want->ranges[i].len);
	}
	return s;
}

static struct stop_shared *shared_of(struct stop *stop)
{
	return (struct stop_shared *)(void *)((char *)stop - offsetof(struct stop_shared, stop));
}

void stop_destroy(struct stop *stop)
{
	struct stop_shared *s;

	if (!stop)
		return;
	s = shared_of(stop);
	munmap(s, s->size);
}

/* ---- the watchdog -------------------------------------------------------------------------- */

/*
 * Until the child has ended. Never blocks in waitpid(): a child that cannot even die (its memory is
 * on a disk that does not answer) is left behind.
 */
static void watch(struct stop_shared *s, pid_t child)
{
	const struct timespec look = {0, LOOK_NS};
	uint64_t since = stop_now(), limit = START_NS;
	bool begun = false, killed = false;

	while (waitpid(child, NULL, WNOHANG) == 0) {
		uint64_t seized = __atomic_load_n(&s->seized, __ATOMIC_ACQUIRE);

		if (seized && !begun && !killed) {
			begun = true;
			since = seized;
			limit = STOP_WATCHDOG_NS;
		}
		if (stop_now() - since > limit) {
			if (killed)
				return;
			kill(child, SIGKILL);
			killed = true;
			since = stop_now();
			limit = DIE_NS;
		}
		nanosleep(&look, NULL);
	}
}

/* ---- what came of it ----------------------------------------------------------------------- */

static bool refused(const struct live *l, const struct stop_shared *s, struct error *err)
{
	char path[32], name[128];
	pid_t tracer;

	snprintf(path, sizeof(path), "task/%d/status", (int)s->tid);
	tracer = status_number(l->procfd, path, "\nTracerPid:");
	if (tracer) {
		live_name_of(tracer, name, sizeof(name));
		return error_set(err, ERR_PERMISSION,
				 "process %d is traced by process %d (%s): only one can",
				 (int)l->pid, (int)tracer, name);
	}
	permission_error(l->procfd, l->pid, s->sys, err);
	return error_add(err, "tracing thread %d", (int)s->tid);
}

static bool late(const struct live *l, const struct stop_shared *s, struct error *err)
{
	char path[32], text[STATUS_BYTES];
	const char *state;

	snprintf(path, sizeof(path), "task/%d/status", (int)s->tid);
	state = status_of(l->procfd, path, "\nState:", text);
	if (state && *state == 'D')
		return error_set(err, ERR_NOT_STOPPED,
				 "thread %d is in a sleep that nothing interrupts (state D: a "
				 "disk, vfork, a frozen cgroup) and did not stop",
				 (int)s->tid);
	return error_set(err, ERR_NOT_STOPPED, "thread %d did not stop within %u ms", (int)s->tid,
			 STOP_STAND_NS / 1000000);
}

static bool judge(const struct live *l, const struct stop_shared *s, struct error *err)
{
	switch (s->outcome) {
	case STOP_DONE:
		return true;
	case STOP_REFUSED:
		return refused(l, s, err);
	case STOP_STRANGER:
	case STOP_NOBODY:
		return error_set(err, ERR_GONE,
				 "process %d ended, or its threads did, before they were stopped",
				 (int)l->pid);
	case STOP_LATE:
		return late(l, s, err);
	case STOP_NO_TIMER:
		return error_sys(err, ERR_NOT_STOPPED, s->sys, "no timer to bound a stop with");
	case STOP_DIED:
		break;
	}
	if (!s->seized)
		return error_set(err, ERR_NOT_STOPPED,
				 "the process that was to stop %d died, or never ran", (int)l->pid);
	return error_set(err, ERR_NOT_STOPPED,
			 "the process that stopped %d took too long or was "
			 "killed: what it copied is not used",
			 (int)l->pid);
}

/* Of a child that was killed: until we saw it gone, which is later than it was. */
static uint64_t length(const struct stop_shared *s)
{
	if (!s->interrupted)
		return 0; /* seized only: everything ran on */
	return (s->ended ? s->ended : stop_now()) - (s->early ? s->seized : s->interrupted);
}

bool live_stop(void *self, const struct stop_request *want, struct stop **ret, uint64_t *paused_ns,
	       struct error *err)
{
	struct live *l = self;
	struct stop_shared *s;
	pid_t child;
	bool ok;

	if (!may_stop(l, want, err))
		return false;
	s = share(l, want);
	if (!s)
		return error_sys(err, ERR_NOT_STOPPED, errno, "memory for what is copied");
	child = fork();
	if (child == 0)
		stop_child(s);
	ok = child > 0 || error_sys(err, ERR_NOT_STOPPED, errno, "fork");
	if (ok) {
		watch(s, child);
		*paused_ns = s->stop.paused_ns = length(s);
		s->stop.clock_ns += (uint64_t)l->monotonic_offset;
		l->calls += s->calls;
		ok = judge(l, s, err);
	}
	if (ok)
		*ret = &s->stop;
	else
		stop_destroy(&s->stop);
	return ok;
}
