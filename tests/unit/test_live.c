/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_live.c - live processes: ourselves and children in awkward states
 */
#include "live_child.h"

static void assert_refused(pid_t pid, enum error_code code, const char *says)
{
	struct source *src = NULL;
	struct error err;

	assert_false(source_open_live(pid, &src, &err));
	assert_null(src);
	if (err.code != code || !strstr(err.text, says))
		fail_msg("%d '%s' (%s) is not %d '%s'", err.code, err.text, err.hint, code, says);
}

/* ---- memory -------------------------------------------------------------------------------- */

static const char marked[] = "the target's own memory";

static void test_own_memory(void **state)
{
	unsigned before = open_descriptors();
	struct source *src = open_live(getpid());
	uint64_t calls = source_get_stats(src).system_calls;
	char buf[sizeof(marked)];
	struct error err;

	(void)state;
	assert_true(source_read(src, (uintptr_t)marked, buf, sizeof(buf), &err));
	assert_memory_equal(buf, marked, sizeof(buf));
	assert_int_equal(source_get_stats(src).system_calls, calls + source_get_stats(src).pages);
	assert_false(source_read(src, 0, buf, 1, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_false(source_read(src, UINT64_C(1) << 63, buf, 1, &err));
	assert_false(source_read(src, 0xffffffffff600000, buf, 1, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_true(source_alive(src));
	assert_int_equal(source_pid(src), getpid());
	assert_false(source_is_recorded(src));
	assert_null(source_note(src, "looks"));
	source_close(src);
	assert_int_equal(open_descriptors(), before);
}

static void test_edges_of_mappings(void **state)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct source *src = open_live(getpid());
	uint64_t base = (uintptr_t)p, calls;
	struct error err;
	char buf[64];

	(void)state;
	memset(p, 'm', 4 * PAGE);
	munmap(p + PAGE, PAGE);
	munmap(p + 3 * PAGE, PAGE);
	assert_true(source_read(src, base + PAGE - 64, buf, 64, NULL));
	assert_false(source_read(src, base + PAGE - 32, buf, 64, &err));
	assert_int_equal(err.address, base + PAGE);
	assert_true(source_read(src, base + 2 * PAGE, buf, 64, NULL));
	source_forget(src);
	calls = source_get_stats(src).system_calls;
	source_prefetch(src, (uint64_t[]){base, base + PAGE, base + 2 * PAGE}, 3, 8);
	assert_int_equal(source_get_stats(src).system_calls, calls + 2);
	assert_true(source_read(src, base, buf, 64, NULL));
	assert_true(source_read(src, base + 2 * PAGE, buf, 64, NULL));
	assert_false(source_read(src, base + PAGE, buf, 64, NULL));
	assert_int_equal(source_get_stats(src).system_calls, calls + 2);
	munmap(p, 3 * PAGE);
	source_close(src);
}

/* ---- life ---------------------------------------------------------------------------------- */

static void test_ended(void **state)
{
	pid_t pid = start(NULL);
	struct source *src = open_live(pid);
	const struct strbuf *text;
	struct error err;
	char byte;

	(void)state;
	assert_true(source_alive(src));
	assert_true(source_read(src, (uintptr_t)marked, &byte, 1, NULL));
	stop(pid);
	assert_false(source_alive(src));
	assert_true(source_read(src, (uintptr_t)marked, &byte, 1, NULL)); /* this look has it */
	source_forget(src);
	assert_false(source_read(src, (uintptr_t)marked, &byte, 1, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_false(source_proc(src, "stat", &text, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_false(source_proc(src, "task/", &text, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_false(source_proc(src, "@exe", &text, &err));
	assert_int_equal(err.code, ERR_GONE);
	source_close(src);
	assert_refused(pid, ERR_NO_PROCESS, "no process with pid");
}

/* The pid is the same, the program is another: nothing of it may be taken for the old one. */
static void test_exec(void **state)
{
	int fds[2];
	struct source *src;
	struct error err;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		char *const args[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60", NULL};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(fds[0], &byte, 1) == 1)
			execv("/bin/sleep", args);
		_exit(1);
	}
	src = open_live(pid);
	assert_true(source_read(src, (uintptr_t)marked, &byte, 1, NULL));
	assert_int_equal(write(fds[1], "x", 1), 1);
	for (int i = 0; i < 200 && source_alive(src); i++)
		usleep(10000);
	assert_false(source_alive(src));
	source_forget(src);
	assert_false(source_read(src, (uintptr_t)marked, &byte, 1, &err));
	assert_int_equal(err.code, ERR_GONE);
	source_close(src);
	stop(pid);
	close(fds[0]);
	close(fds[1]);
}

static void test_zombie(void **state)
{
	struct source *src = NULL;
	struct error err;
	char says[128];
	pid_t pid = fork();
	siginfo_t info;

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_false(source_open_live(pid, &src, &err));
	assert_int_equal(err.code, ERR_NOT_PYTHON);
	snprintf(
		says, sizeof(says),
		"process %d is a zombie: it ended, and its parent, process %d (test_live), has not "
		"collected it",
		pid, getpid());
	assert_string_equal(err.text, says);
	waitpid(pid, NULL, 0);
}

static void test_kernel_thread(void **state)
{
	char comm[32] = "";
	int fd = open("/proc/2/comm", O_RDONLY);

	(void)state;
	if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0 || strcmp(comm, "kthreadd\n") != 0)
		skip();
	close(fd);
	assert_refused(2, ERR_NOT_PYTHON, "process 2 (kthreadd) is a thread of the kernel");
}

static void test_no_process(void **state)
{
	(void)state;
	assert_refused(0, ERR_NO_PROCESS, "no process with pid 0");
	assert_refused(-1, ERR_NO_PROCESS, "no process with pid -1");
	assert_refused(INT32_MAX, ERR_NO_PROCESS, "no process with pid 2147483647");
}

static void *wait_forever(void *tid)
{
	*(volatile int *)tid = (int)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static void test_thread(void **state)
{
	volatile int tid = 0;
	pthread_t thread;
	char says[64];

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wait_forever, (void *)(uintptr_t)&tid), 0);
	while (!tid)
		usleep(1000);
	snprintf(says, sizeof(says), "%d is not a process but a thread of process %d", tid,
		 getpid());
	assert_refused(tid, ERR_NO_PROCESS, says);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

/* Its first thread ended and shows as a zombie; the process lives. */
static void test_leader_ended(void **state)
{
	volatile int *tid =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct strbuf *text;
	struct source *src;
	char buf[8], says[64];
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_t thread;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, wait_forever, (void *)(uintptr_t)tid);
		syscall(SYS_exit, 0);
	}
	while (!*tid)
		usleep(1000);
	usleep(50000);
	src = open_live(pid);
	assert_true(source_alive(src));
	assert_true(source_read(src, (uintptr_t)marked, buf, sizeof(buf), NULL));
	assert_memory_equal(buf, marked, sizeof(buf));
	assert_true(source_proc(src, "task/", &text, NULL));
	snprintf(says, sizeof(says), "%d\n%d\n", pid, *tid);
	assert_string_equal(text->data, says);
	stop(pid);
	assert_false(source_alive(src));
	source_close(src);
	munmap((void *)(uintptr_t)tid, PAGE);
}

/* ---- texts --------------------------------------------------------------------------------- */

static void test_texts(void **state)
{
	struct source *src = open_live(getpid());
	const struct strbuf *text, *again;
	char exe[4096] = "";
	struct error err;
	uint64_t calls;

	(void)state;
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_true(source_proc(src, "@exe", &text, NULL));
	assert_string_equal(text->data, exe);
	assert_true(source_proc(src, "cmdline", &text, NULL));
	assert_true(text->len > 0 && text->data[text->len - 1] == 0);
	calls = source_get_stats(src).system_calls;
	assert_true(source_proc(src, "stat", &text, NULL));
	assert_int_equal(source_get_stats(src).system_calls, calls + 2); /* open, read */
	assert_int_equal(strtol(text->data, NULL, 10), getpid());
	assert_true(source_proc(src, "stat", &again, NULL));
	assert_ptr_equal(text, again);
	assert_int_equal(source_get_stats(src).system_calls, calls + 2);
	assert_true(source_proc(src, "task/", &text, NULL));
	assert_int_equal(strtol(text->data, NULL, 10), getpid());
	assert_true(source_proc(src, "@ns/user", &text, NULL));
	assert_memory_equal(text->data, "user:[", 6);
	assert_true(source_proc(src, "fd/", &text, NULL));
	assert_non_null(strstr(text->data, "0\n"));
	assert_false(source_proc(src, "nothing", &text, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_int_equal(err.sys, ENOENT);
	assert_false(source_proc(src, "task/1/stat", &text, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_false(source_proc(src, "@fd/9999", &text, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_false(source_proc(src, "nothing/", &text, &err));
	assert_false(
		source_proc(src, "fd", &text, &err)); /* a directory is asked for with a slash */
	source_close(src);
}

static void assert_no_host(struct source *src, const char *path, int sys)
{
	const struct strbuf *text;
	struct error err;

	assert_false(source_host(src, path, &text, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_int_equal(err.sys, sys);
	assert_non_null(strstr(err.text, path));
}

static void test_host(void **state)
{
	struct source *src = open_live(getpid());
	pid_t pid = start(NULL);
	const struct strbuf *text, *again;
	char path[64], link[64];
	uint64_t calls;

	(void)state;
	calls = source_get_stats(src).system_calls;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	assert_true(source_host(src, path, &text, NULL));
	assert_int_equal(strtol(text->data, NULL, 10), pid);
	assert_int_equal(source_get_stats(src).system_calls, calls + 2); /* open, read */
	assert_true(source_proc(src, "stat", &again, NULL));
	assert_int_equal(strtol(again->data, NULL, 10), getpid());
	snprintf(link, sizeof(link), "@/proc/%d/ns/net", (int)pid);
	assert_true(source_host(src, link, &text, NULL));
	assert_memory_equal(text->data, "net:[", 5);
	snprintf(link, sizeof(link), "/proc/%d/fd/", (int)pid);
	assert_true(source_host(src, link, &text, NULL));
	assert_non_null(strstr(text->data, "0\n"));
	assert_true(source_host(src, "/proc/", &text, NULL));
	assert_non_null(strstr(text->data, "self\n"));
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	assert_no_host(src, link, ELOOP); /* a link is only read */
	assert_no_host(src, "/proc/nothing", ENOENT);
	assert_no_host(src, "/sys/fs/cgroup/nothing/", ENOENT);
	assert_no_host(src, "/etc/passwd", 0);
	stop(pid);
	source_forget(src);
	assert_no_host(src, path, ENOENT); /* not GONE: it is not the target */
	source_close(src);
}

/* The kernel gives maps in pieces of a page. */
static void test_long_texts(void **state)
{
	char *p[3000];
	struct source *src;
	const struct strbuf *text;
	size_t lines = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mprotect(p[i], PAGE, i % 2 ? PROT_NONE : PROT_WRITE);
	}
	src = open_live(getpid());
	assert_true(source_proc(src, "maps", &text, NULL));
	for (const char *s = text->data; (s = strchr(s, '\n')); s++)
		lines++;
	assert_true(lines >= ARRAY_SIZE(p));
	assert_true(text->len > 100000);
	assert_int_equal(text->data[text->len - 1], '\n');
	assert_int_equal(strlen(text->data), text->len);
	assert_non_null(strstr(text->data, "[stack]"));
	source_close(src);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		munmap(p[i], 2 * PAGE);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void test_clocks(void **state)
{
	struct source *src = open_live(getpid());
	uint64_t before = clock_ns(CLOCK_MONOTONIC), now = source_clock(src);

	(void)state;
	assert_true(now >= before && now - before < 1000000000);
	before = clock_ns(CLOCK_REALTIME);
	now = source_wall_clock(src);
	assert_true(now >= before && now - before < 1000000000);
	source_close(src);
}

struct ahead {
	volatile pid_t pid; /* -1: no such namespaces here */
	volatile uint64_t clock;
};

/* Makes a namespace, which is for children only, and a child in it. */
static void make_time_namespace(struct ahead *there)
{
	static const char offset[] = "monotonic 86400 5\n";
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWTIME) || (fd = open("/proc/self/timens_offsets", O_WRONLY)) < 0 ||
	    write(fd, offset, sizeof(offset) - 1) != sizeof(offset) - 1) {
		there->pid = -1;
		_exit(1);
	}
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		there->clock = clock_ns(CLOCK_MONOTONIC);
		there->pid = getpid();
	}
	for (;;)
		pause();
}

/* A process whose monotonic clock is a day ahead of ours. */
static void test_time_namespace(void **state)
{
	struct ahead *there =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	bool possible;

	(void)state;
	if (pid == 0)
		make_time_namespace(there);
	while (!there->pid)
		usleep(1000);
	possible = there->pid > 0;
	if (possible) {
		struct source *src = open_live(there->pid);
		uint64_t now = source_clock(src);

		assert_true(now >= there->clock && now - there->clock < UINT64_C(5000000000));
		source_close(src);
	}
	stop(pid);
	munmap(there, PAGE);
	if (!possible)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_memory),   cmocka_unit_test(test_edges_of_mappings),
		cmocka_unit_test(test_ended),	     cmocka_unit_test(test_exec),
		cmocka_unit_test(test_zombie),	     cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_no_process),   cmocka_unit_test(test_thread),
		cmocka_unit_test(test_leader_ended), cmocka_unit_test(test_texts),
		cmocka_unit_test(test_host),	     cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_clocks),	     cmocka_unit_test(test_time_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
