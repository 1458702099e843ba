/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heartbeat FILE THREADS INTERVAL_US [MODE]: a process to be stopped. One of its threads writes the
 * time and the longest pause that it noticed to FILE (struct beat); the others sleep in epoll_wait,
 * pause and nanosleep. SIGRTMIN is counted. INTERVAL_US 0: the thread spins.
 *
 * MODE: leader (the first thread ends), vfork (one thread waits for a vforked child, in state D),
 * exec (runs itself anew all the time), traced (by a child of its own), exit (ends after 20 ms).
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GAPS 65536 /* of each length in 10 us, the last: longer */

struct beat {
	uint64_t last_ns, longest_ns, beats, signals, execs, pid;
	uint32_t gaps[GAPS];
};

static struct beat *beat;
static long interval_us;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static _Noreturn void *run_heart(void *arg)
{
	uint64_t last = now();

	(void)arg;
	for (;;) {
		const struct timespec nap = {0, interval_us * 1000};
		uint64_t t, gap;

		if (interval_us)
			nanosleep(&nap, NULL);
		t = now();
		gap = t - last;
		if (gap > beat->longest_ns)
			__atomic_store_n(&beat->longest_ns, gap, __ATOMIC_RELAXED);
		beat->gaps[gap / 10000 < GAPS ? gap / 10000 : GAPS - 1]++;
		__atomic_store_n(&beat->last_ns, t, __ATOMIC_RELEASE);
		beat->beats++;
		last = t;
	}
}

static _Noreturn void *run_sleeper(void *kind)
{
	int fd = epoll_create1(0);
	struct epoll_event event;

	for (;;) {
		switch ((intptr_t)kind % 3) {
		case 0:
			epoll_wait(fd, &event, 1, -1);
			break;
		case 1:
			pause();
			break;
		default:
			nanosleep(&(struct timespec){1000, 0}, NULL);
		}
	}
}

static _Noreturn void *run_vfork(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t child = vfork(); /* NOLINT: this is what is wanted */

		if (child == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		waitpid(child, NULL, 0);
	}
}

static _Noreturn void *run_tracer(void *arg)
{
	pid_t parent = getpid(), child = fork();

	(void)arg;
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, parent, NULL, NULL))
			_exit(1);
		for (;;)
			pause();
	}
	for (;;)
		pause();
}

static void count(int signal)
{
	(void)signal;
	__atomic_fetch_add(&beat->signals, 1, __ATOMIC_RELAXED);
}

static void start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg))
		exit(1);
}

static void share(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*beat)))
		exit(1);
	beat = mmap(NULL, sizeof(*beat), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (beat == MAP_FAILED)
		exit(1);
	close(fd);
	beat->pid = (uint64_t)getpid();
}

int main(int argc, char **argv)
{
	const char *mode = argc > 4 ? argv[4] : "";
	struct sigaction counting = {.sa_handler = count, .sa_flags = SA_RESTART};
	long threads;

	if (argc < 4)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	share(argv[1]);
	threads = strtol(argv[2], NULL, 10);
	interval_us = strtol(argv[3], NULL, 10);
	sigaction(SIGRTMIN, &counting, NULL);
	start(run_heart, NULL);
	for (intptr_t i = 2; i < threads; i++)
		start(run_sleeper, (void *)i); /* NOLINT */
	if (!strcmp(mode, "vfork"))
		start(run_vfork, NULL);
	if (!strcmp(mode, "traced"))
		start(run_tracer, NULL);
	if (!strcmp(mode, "leader"))
		pthread_exit(NULL);
	if (!strcmp(mode, "exit")) {
		nanosleep(&(struct timespec){0, 20000000}, NULL);
		_exit(7); /* no leak checker: that one traces */
	}
	if (!strcmp(mode, "exec")) {
		nanosleep(&(struct timespec){0, 3000000}, NULL);
		beat->execs++;
		execv("/proc/self/exe", argv);
	}
	run_sleeper(NULL);
}
