/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --exec: a command for each event, which it reads on its standard input. Some run at once, the
 * rest waits in a queue with an end; one that does not come to an end is killed, with what it
 * started. Nothing here waits: the event lies in memory, as a file, before the command starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "watch.h"

struct event {
	char *text;
	size_t len;
	const char *type;
};

struct run {
	pid_t pid; /* of its guard; 0: free */
	uint64_t until_ns;
};

struct watch_exec {
	const char *command;
	struct event queue[WATCH_EXEC_QUEUE];
	size_t first, n;
	struct run runs[WATCH_EXEC_RUNS];
	uint64_t left_out, killed, failed;
};

struct watch_exec *watch_exec_create(const char *command)
{
	struct watch_exec *x = mem_zalloc(1, sizeof(*x));

	x->command = command;
	return x;
}

void watch_exec_event(struct watch_exec *x, const char *type, const char *event, size_t len)
{
	struct event *e;

	if (x->n == WATCH_EXEC_QUEUE) {
		if (!x->left_out++)
			log_warn("--exec cannot keep up: events are left out");
		return;
	}
	e = &x->queue[(x->first + x->n++) % WATCH_EXEC_QUEUE];
	*e = (struct event){mem_alloc(len + 1), len, type};
	memcpy(e->text, event, len);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* A file in memory with the event in it, to be read from its start; -1 with errno. */
static int event_file(const struct event *e)
{
	cleanup_fd int fd = memfd_create("stallscope-event", MFD_CLOEXEC);
	size_t done = 0;

	if (fd < 0)
		return -1;
	while (done < e->len) {
		ssize_t n = write(fd, e->text + done, e->len - done);

		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return lseek(fd, 0, SEEK_SET) ? -1 : take_fd(&fd);
}

/* In the child: nothing of ours is left but standard output and error. */
static void become(const char *command, const char *type, int input)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	setpgid(0, 0);
	if (dup2(input, STDIN_FILENO) < 0)
		_exit(127);
	setenv("STALLSCOPE_EVENT", type, 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static volatile sig_atomic_t guarded; /* of a guard: the group of its command */

static void on_end(int number)
{
	(void)number;
	if (guarded)
		kill(-guarded, SIGKILL);
	_exit(128 + SIGKILL);
}

/*
 * A process between us and the command: it kills the command with all that it has started, when it
 * is told to (SIGTERM) and when we are no more, however we ended.
 */
static void guard(const char *command, const char *type, int input, pid_t parent)
{
	struct sigaction action = {.sa_handler = on_end};
	sigset_t end;
	int status;
	pid_t pid;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	sigaction(SIGTERM, &action, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	pid = fork();
	if (pid == 0)
		become(command, type, input);
	if (pid > 0)
		setpgid(pid, pid); /* whoever of the two is first */
	guarded = pid > 0 ? pid : 0;
	sigprocmask(SIG_UNBLOCK, &end, NULL);
	if (getppid() != parent)
		on_end(SIGTERM);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(127);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void start(struct watch_exec *x, struct run *run, const struct event *e, uint64_t now)
{
	cleanup_fd int input = event_file(e);
	pid_t self = getpid(), pid = input < 0 ? -1 : fork();

	if (pid == 0)
		guard(x->command, e->type, input, self);
	if (pid < 0) {
		log_warn("--exec: %s", strerror(errno));
		x->failed++;
		return;
	}
	*run = (struct run){pid, now + WATCH_EXEC_NS};
}

/* ---- serving --------------------------------------------------------------------------------- */

static void reap(struct watch_exec *x, struct run *run, uint64_t now)
{
	int status;

	if (!run->pid)
		return;
	if (now >= run->until_ns) {
		kill(run->pid, SIGTERM);
		x->killed++;
		run->until_ns = now + WATCH_SECOND;
	}
	if (waitpid(run->pid, &status, WNOHANG) == 0)
		return;
	run->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) && !x->failed++)
		log_warn("--exec: the command exited with %d", WEXITSTATUS(status));
}

void watch_exec_serve(struct watch_exec *x, uint64_t now)
{
	for (size_t i = 0; i < WATCH_EXEC_RUNS; i++) {
		struct run *run = &x->runs[i];

		reap(x, run, now);
		if (run->pid || !x->n)
			continue;
		start(x, run, &x->queue[x->first], now);
		free(x->queue[x->first].text);
		x->first = (x->first + 1) % WATCH_EXEC_QUEUE;
		x->n--;
	}
}

uint64_t watch_exec_due(const struct watch_exec *x)
{
	uint64_t due = UINT64_MAX;

	for (size_t i = 0; i < WATCH_EXEC_RUNS; i++)
		if (x->runs[i].pid && x->runs[i].until_ns < due)
			due = x->runs[i].until_ns;
	return due;
}

static bool is_busy(const struct watch_exec *x)
{
	return x->n || watch_exec_due(x) != UINT64_MAX;
}

void watch_exec_destroy(struct watch_exec *x, uint64_t patience_ns)
{
	const struct timespec step = {0, 10 * (long)WATCH_MS};
	uint64_t now = watch_now(), until = now + patience_ns;

	for (; is_busy(x) && now < until; now = watch_now()) {
		watch_exec_serve(x, now);
		if (is_busy(x))
			nanosleep(&step, NULL);
	}
	for (size_t i = 0; i < WATCH_EXEC_RUNS; i++) {
		if (!x->runs[i].pid)
			continue;
		kill(x->runs[i].pid, SIGTERM);
		waitpid(x->runs[i].pid, NULL, 0);
		x->killed++;
	}
	x->left_out += x->n;
	while (x->n--)
		free(x->queue[x->first++ % WATCH_EXEC_QUEUE].text);
	if (x->left_out || x->killed || x->failed)
		log_warn("--exec: %llu %s left out, %llu %s killed, %llu failed",
			 (unsigned long long)x->left_out, PLURAL(x->left_out, "event", "events"),
			 (unsigned long long)x->killed, PLURAL(x->killed, "command", "commands"),
			 (unsigned long long)x->failed);
	free(x);
}
