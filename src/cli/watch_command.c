/* SPDX-License-Identifier: Apache-2.0 */
/* -- COMMAND: a program that is started to be watched, and whose exit status becomes ours. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "watch.h"

/* It ends with us: who kills the watch of a test run wants the test run to be over. */
static void become(char *const argv[], int report, pid_t parent)
{
	sigset_t none;
	int sys;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		execvp(argv[0], argv);
	sys = errno;
	if (write(report, &sys, sizeof(sys)) < 0)
		_exit(127);
	_exit(127);
}

static bool not_started(struct watch *w, int sys, int *ret)
{
	fprintf(stderr, "stallscope: the command cannot be run: %s\n", strerror(sys));
	w->command = 0;
	*ret = sys == ENOENT ? 127 : 126; /* as the shell has it */
	return false;
}

bool watch_command_start(struct watch *w, char *const argv[], int *ret)
{
	pid_t self = getpid();
	int report[2], sys = 0;
	ssize_t n;

	if (pipe2(report, O_CLOEXEC))
		return not_started(w, errno, ret);
	w->command = fork();
	if (w->command == 0)
		become(argv, report[1], self);
	close(report[1]);
	if (w->command < 0) {
		close(report[0]);
		return not_started(w, errno, ret);
	}
	n = read(report[0], &sys, sizeof(sys)); /* nothing when it was executed */
	close(report[0]);
	if (n == (ssize_t)sizeof(sys)) {
		waitpid(w->command, NULL, 0);
		return not_started(w, sys, ret);
	}
	return true;
}

bool watch_command_ended(struct watch *w)
{
	int status;

	if (!w->command || w->has_ended)
		return w->has_ended;
	if (waitpid(w->command, &status, WNOHANG) != w->command)
		return false;
	w->has_ended = true;
	w->command_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return true;
}
