/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_process.c - the process and its threads, against ourselves
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "stallscope/target.h"

#define MS UINT64_C(1000000)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

static struct source *open_live(pid_t pid)
{
	struct source *src;
	struct error err;

	if (!source_open_live(pid, &src, &err))
		fail_msg("%s", err.text);
	return src;
}

static struct process *read_live(struct source *src)
{
	struct process *proc;
	struct error err;

	if (!process_read(src, &proc, &err))
		fail_msg("%s", err.text);
	return proc;
}

static void test_own(void **state)
{
	struct source *src = open_live(getpid());
	struct process *proc = read_live(src);
	char exe[4096] = "";

	(void)state;
	assert_int_equal(proc->pid, getpid());
	assert_int_equal(proc->ns_pid, getpid());
	assert_int_equal(proc->ppid, getppid());
	assert_int_equal(proc->uid, geteuid());
	assert_int_equal(proc->gid, getegid());
	assert_int_equal(proc->argc, 1);
	assert_non_null(strstr(proc->command[0], "test_process"));
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(proc->executable, exe);
	assert_string_equal(proc->exe_path, exe);
	assert_string_equal(maps_find(&proc->maps, (uintptr_t)test_own)->file.path, exe);
	assert_true(maps_find(&proc->maps, (uintptr_t)&src)->perms & MAP_W);
	assert_non_null(proc->cgroup);
	process_destroy(proc);
	process_destroy(NULL);
	source_close(src);
}

/* Starts us again with a command line of our choosing; the child only waits to be killed. */
/* execv takes argv without const for history alone: it changes nothing. */
static pid_t start(const char *const argv[])
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe2(ready, 02000000 /* O_CLOEXEC */), 0);
	pid = fork();
	if (pid == 0) {
		execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 0); /* exec closed the other end */
	close(ready[0]);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The kernel's figures are ticks of 10 ms. */
static void test_started(void **state)
{
	const char *const argv[] = {"sleep", NULL};
	uint64_t before = now_ns();
	pid_t pid = start(argv);
	uint64_t after = now_ns();
	struct source *src = open_live(pid);
	struct process *proc = read_live(src);

	(void)state;
	assert_true(proc->started_ns >= before - 11 * MS);
	assert_true(proc->started_ns <= after + MS);
	process_destroy(proc);
	stop(pid);
	source_close(src);
}

static void test_command_line(void **state)
{
	const char *const argv[] = {"sleep",	    "",		"new\nline",
				    "\x1b[31mred",  "\xff\xfe", "naïve",
				    "\xe2\x80\xae", "",		NULL};
	pid_t pid = start(argv);
	struct source *src = open_live(pid);
	struct process *proc = read_live(src);

	(void)state;
	assert_int_equal(proc->argc, 8);
	assert_string_equal(proc->command[0], "sleep");
	assert_string_equal(proc->command[1], "");
	assert_string_equal(proc->command[2], "new\\nline");
	assert_string_equal(proc->command[3], "\\x1b[31mred");
	assert_string_equal(proc->command[4], "\\xff\\xfe");
	assert_string_equal(proc->command[5], "naïve");
	assert_string_equal(proc->command[6], "\\u202e");
	assert_string_equal(proc->command[7], "");
	process_destroy(proc);
	stop(pid);
	source_close(src);
}

static void test_long_command_line(void **state)
{
	static char many[300][8], huge[100000];
	const char *argv[302] = {"sleep"};
	struct source *src;
	struct process *proc;
	pid_t pid;

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	argv[1] = huge;
	for (size_t i = 2; i < 301; i++) {
		snprintf(many[i - 2], sizeof(many[0]), "a%zu", i);
		argv[i] = many[i - 2];
	}
	pid = start(argv);
	src = open_live(pid);
	proc = read_live(src);
	assert_int_equal(proc->argc, 256);
	assert_int_equal(strlen(proc->command[1]), 4096 + strlen("…"));
	assert_string_equal(proc->command[254], "a254");
	assert_string_equal(proc->command[255], "…");
	process_destroy(proc);
	stop(pid);
	source_close(src);
}

/* 255 arguments and one: nothing is left out, nothing to hint at. */
static void test_just_enough_arguments(void **state)
{
	const char *argv[257] = {"sleep"};
	struct source *src;
	struct process *proc;
	pid_t pid;

	(void)state;
	for (size_t i = 1; i < 256; i++)
		argv[i] = "last";
	pid = start(argv);
	src = open_live(pid);
	proc = read_live(src);
	assert_int_equal(proc->argc, 256);
	assert_string_equal(proc->command[255], "last");
	process_destroy(proc);
	stop(pid);
	source_close(src);
}

static void test_maps_anew(void **state)
{
	struct source *src = open_live(getpid());
	struct process *proc = read_live(src);
	const struct mapping *before, *old = proc->maps.v;
	void *fresh;

	(void)state;
	before = maps_find(&proc->maps, (uintptr_t)test_own);
	fresh = mmap(NULL, 1 << 22, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(process_reread_maps(src, proc, NULL)); /* the same look: nothing changed */
	assert_ptr_equal(proc->maps.v, old);
	source_forget(src);
	assert_true(process_reread_maps(src, proc, NULL));
	assert_true(maps_find(&proc->maps, (uintptr_t)fresh)->perms & MAP_SHARED_BIT);
	assert_int_equal(before->file.start,
			 maps_find(&proc->maps, (uintptr_t)test_own)->file.start);
	munmap(fresh, 1 << 22);
	process_destroy(proc);
	source_close(src);
}

/* ---- threads ---- */

struct worker {
	pthread_t thread;
	int32_t tid;
	int fd[2];
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	char c;

	__atomic_store_n(&w->tid, (int32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (read(w->fd[0], &c, 1) < 0 && errno == EINTR)
		;
	return NULL;
}

/* A thread that is surely blocked in read(). */
static void start_worker(struct worker *w)
{
	*w = (struct worker){.tid = 0};
	assert_int_equal(pipe(w->fd), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, worker_main, w), 0);
	pthread_setname_np(w->thread, "a) R 1 (b");
	while (__atomic_load_n(&w->tid, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	usleep(50000);
}

static void stop_worker(struct worker *w)
{
	close(w->fd[1]);
	pthread_join(w->thread, NULL);
	close(w->fd[0]);
}

static void check_worker(const struct os_thread *th, const struct worker *w)
{
	assert_int_equal(th->tid, w->tid);
	assert_int_equal(th->ns_tid, w->tid);
	assert_true(th->have_stat && th->have_status);
	assert_string_equal(th->stat.comm, "a) R 1 (b");
	assert_int_equal(th->stat.state, 'S');
	assert_int_equal(th->status.state, 'S');
	assert_int_equal(th->status.pid, w->tid);
	assert_int_equal(th->status.tgid, getpid());
	assert_true(th->status.voluntary > 0);
	if (th->have_sched)
		assert_true(th->sched.on_cpu_ns > 0 && th->sched.slices > 0);
	if (!th->have_syscall)
		return; /* a kernel without them */
	assert_false(th->syscall.running);
	assert_string_equal(syscall_name(th->syscall.number), "read");
	assert_int_equal(th->syscall.args[0], w->fd[0]);
	assert_int_equal(th->syscall.args[2], 1);
}

static void test_threads(void **state)
{
	struct source *src = open_live(getpid());
	struct os_thread *threads;
	struct worker w;
	size_t n, found = 0;

	(void)state;
	start_worker(&w);
	assert_true(os_threads_read(src, OS_STAT | OS_STATUS | OS_SYSCALL | OS_SCHED | OS_WCHAN,
				    &threads, &n, NULL));
	for (size_t i = 0; i < n; i++) {
		if (threads[i].tid == w.tid) {
			check_worker(&threads[i], &w);
			found++;
		} else if (threads[i].tid == getpid()) {
			assert_int_equal(threads[i].stat.state, 'R');
			assert_string_equal(threads[i].wchan, "");
			found++;
		}
	}
	assert_int_equal(found, 2);
	free(threads);
	stop_worker(&w);
	source_close(src);
}

static void test_asked_facts_only(void **state)
{
	struct source *src = open_live(getpid());
	struct os_thread th;

	(void)state;
	assert_true(os_thread_read(src, getpid(), OS_STAT, &th, NULL));
	assert_true(th.have_stat);
	assert_false(th.have_status || th.have_syscall || th.have_sched);
	assert_true(os_thread_read(src, getpid(), OS_SCHED, &th, NULL));
	assert_false(th.have_stat);
	source_close(src);
}

static void test_ended_thread(void **state)
{
	struct source *src = open_live(getpid());
	struct os_thread th = {.tid = 77};
	struct error err = {0};
	struct worker w;

	(void)state;
	start_worker(&w);
	stop_worker(&w);
	assert_false(os_thread_read(src, w.tid, OS_STAT, &th, &err));
	assert_true(err.code == ERR_ABSENT || err.code == ERR_GONE);
	assert_int_equal(th.tid, 77);
	assert_false(os_thread_read(src, -1, OS_STATUS, &th, &err));
	source_close(src);
}

static void test_ended_process(void **state)
{
	const char *const argv[] = {"sleep", NULL};
	pid_t pid = start(argv);
	struct source *src = open_live(pid);
	struct process *proc = (void *)1;
	struct os_thread *threads = (void *)1;
	struct error err = {0};
	size_t n = 77;

	(void)state;
	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT); /* a zombie has no maps */
	assert_false(process_read(src, &proc, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_ptr_equal(proc, (void *)1);
	waitpid(pid, NULL, 0);
	source_forget(src);
	assert_false(process_read(src, &proc, &err));
	assert_false(os_threads_read(src, OS_STAT, &threads, &n, &err));
	assert_ptr_equal(threads, (void *)1);
	assert_int_equal(n, 77);
	source_close(src);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_started),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_long_command_line),
		cmocka_unit_test(test_just_enough_arguments),
		cmocka_unit_test(test_maps_anew),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_asked_facts_only),
		cmocka_unit_test(test_ended_thread),
		cmocka_unit_test(test_ended_process),
	};

	if (argc > 0 && strcmp(argv[0], "sleep") == 0) {
		sleep(60);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
