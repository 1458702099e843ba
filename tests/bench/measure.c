/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure LIMIT FD ROOT COMMAND [ARG...] - wall time and peak memory of one run of a command
 *
 * Writes "WALL_NS PEAK_KIB WAIT_STATUS LATE" to the descriptor FD. A command that still runs after
 * LIMIT seconds is killed, and LATE is 1. It runs in the root ROOT; chroot(8) would be one more
 * program to start, in the time of the command. This is a program of its own, and small, because
 * the kernel counts what a process was before exec() as its peak too: a child of Python is never
 * smaller than Python.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Only root may ask for another root, and nobody has to for "/". */
static bool enter(const char *root)
{
	if (!strcmp(root, "/"))
		return true;
	if (chroot(root) || chdir("/")) {
		perror(root);
		return false;
	}
	return true;
}

/* The command, with no signal blocked; 0 when it cannot be started. */
static pid_t spawn(char **command)
{
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid = 0;
	int error;

	sigemptyset(&none);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	error = posix_spawnp(&pid, command[0], NULL, &attributes, command, environ);
	posix_spawnattr_destroy(&attributes);
	if (error) {
		fprintf(stderr, "%s: %s\n", command[0], strerror(error));
		return 0;
	}
	return pid;
}

/* False when the time was over before the child; SIGCHLD is blocked, so none is missed. */
static bool ends_within(time_t seconds)
{
	struct timespec limit = {.tv_sec = seconds};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (sigtimedwait(&child, NULL, &limit) < 0) {
		if (errno != EINTR)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status, report;
	sigset_t child;
	int64_t begin;
	bool late;
	pid_t pid;

	if (argc < 5) {
		fprintf(stderr, "usage: measure LIMIT FD ROOT COMMAND [ARG...]\n");
		return 2;
	}
	report = atoi(argv[2]);
	fcntl(report, F_SETFD, FD_CLOEXEC);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (!enter(argv[3]))
		return 1;
	begin = now_ns();
	pid = spawn(argv + 4);
	if (!pid)
		return 1;
	late = !ends_within(atoi(argv[1]));
	if (late)
		kill(pid, SIGKILL);
	if (wait4(pid, &status, 0, &usage) != pid)
		return 1;
	dprintf(report, "%lld %ld %d %d\n", (long long)(now_ns() - begin), usage.ru_maxrss, status,
		late);
	return 0;
}
