/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stop.c - threads of real processes stopped and copied, and what is refused
 */
#include <poll.h>
#include <sys/ptrace.h>

#include "live_child.h"
#include "stallscope/stop.h"

#define PATTERN 0x5ca1ab1e0ddba115u

static volatile uint64_t counter;

static char state_of(pid_t pid)
{
	char path[64], text[512];
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	return strrchr(text, ')')[2];
}

static struct stop *stopped(struct source *src, const struct stop_request *want)
{
	struct stop *st;
	struct error err;

	/* a busy machine may not let a thread come to its stop in time, or us to copy */
	for (int i = 0; i < 50; i++) {
		if (!source_stop(src, want, &st, &err)) {
			assert_int_equal(err.code, ERR_NOT_STOPPED);
			continue;
		}
		if (st->complete)
			return st;
		snprintf(err.text, sizeof(err.text), "not complete");
		stop_destroy(st);
	}
	fail_msg("%s", err.text);
	return NULL;
}

/* It comes to that state, if only by and by, and stays in it. */
static void assert_state(pid_t pid, char wanted)
{
	for (int i = 0; i < 5000 && state_of(pid) != wanted; i++)
		poll(NULL, 0, 1);
	poll(NULL, 0, 20);
	assert_int_equal(state_of(pid), wanted);
}

static void assert_refused(struct source *src, const struct stop_request *want,
			   enum error_code code, const char *text)
{
	struct stop *st = (void *)1;
	struct error err;

	assert_false(source_stop(src, want, &st, &err));
	assert_ptr_equal(st, (void *)1);
	if (err.code != code || !strstr(err.text, text))
		fail_msg("%d: %s", err.code, err.text);
}

static void assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

/* ---- what is copied ------------------------------------------------------------------------ */

static void wait_with_pattern(void)
{
	volatile uint64_t mark[64];
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(mark); i++)
		mark[i] = PATTERN;
	sigemptyset(&none);
	sigsuspend(&none);
}

static void body_pattern(void)
{
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_with_pattern();
		_exit(0);
	}
}

static bool has_pattern(const struct stop_thread *t)
{
	static const uint64_t pattern = PATTERN;

	return memmem(t->stack, t->stack_len, &pattern, sizeof(pattern)) != NULL;
}

/* The child of the child, which is no child of ours. */
static pid_t only_child(pid_t pid)
{
	char path[64];
	long child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld", &child), 1);
	fclose(f);
	return (pid_t)child;
}

static void test_registers_and_stack(void **state)
{
	pid_t parent = start(body_pattern), pid = only_child(parent);
	struct source *src = open_live(pid);
	unsigned before = open_descriptors();
	struct stop_request want = {.tids = &pid, .n_tids = 1, .stack = 16384};
	struct stop *st;
	bool found = false;

	(void)state;
	/* it may not have come to its pattern when we do */
	for (int i = 0; i < 100 && !found; i++) {
		st = stopped(src, &want);
		assert_int_equal(st->n_threads, 1);
		assert_true(st->threads[0].stopped && st->complete);
		assert_int_equal(st->threads[0].tid, pid);
		assert_true(st->threads[0].n_registers >= 27);
		assert_true(st->threads[0].pc > 4096 && st->threads[0].sp > 4096);
		found = has_pattern(&st->threads[0]);
		assert_in_range(st->paused_ns, 1, STOP_MAX_NS);
		stop_destroy(st);
		poll(NULL, 0, 1);
	}
	assert_true(found);
	assert_true(source_get_stats(src).stops >= 1);
	assert_true(source_get_stats(src).paused_ns > 0);
	assert_int_equal(open_descriptors(), before);
	assert_state(pid, 'S');
	source_close(src);
	stop_destroy(NULL);
	kill(pid, SIGKILL);
	stop(parent);
	assert_no_children();
}

/* Of a program that counts, two places have the same number only in a picture of one instant. */
static uint64_t *twins;

static void body_count(void)
{
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		uint64_t next = ++counter;

		__atomic_store_n(&twins[0], next, __ATOMIC_SEQ_CST);
		__atomic_store_n(&twins[64 * PAGE / 8], next, __ATOMIC_SEQ_CST);
	}
}

static void test_ranges_are_of_one_instant(void **state)
{
	struct stop_range ranges[3];
	struct stop_request want = {.n_tids = 1, .ranges = ranges, .n_ranges = 3};
	struct source *src;
	pid_t parent, pid;

	(void)state;
	twins = mmap(NULL, 65 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	parent = start(body_count);
	pid = only_child(parent);
	src = open_live(pid);
	want.tids = &pid;
	ranges[0] = (struct stop_range){(uint64_t)(uintptr_t)twins, (uint32_t)PAGE};
	ranges[1] = (struct stop_range){0x10, 4096}; /* nothing is there */
	ranges[2] = (struct stop_range){(uint64_t)(uintptr_t)twins + 64 * PAGE, (uint32_t)PAGE};
	for (int i = 0; i < 20; i++) {
		struct stop *st = stopped(src, &want);
		uint64_t a, b;

		assert_int_equal(st->n_copies, 3);
		assert_int_equal(st->copies[0].len, PAGE);
		assert_int_equal(st->copies[1].len, 0);
		assert_int_equal(st->copies[2].len, PAGE);
		assert_int_equal(st->threads[0].n_registers, 0);
		memcpy(&a, st->copies[0].data, 8);
		memcpy(&b, st->copies[2].data, 8);
		assert_true(a == b || a == b + 1);
		stop_destroy(st);
	}
	source_close(src);
	kill(pid, SIGKILL);
	stop(parent);
	munmap(twins, 65 * PAGE);
}

/* A thread may have any stack pointer: of one that leads nowhere there are only registers. */
static void test_no_stack_to_keep(void **state)
{
	static const uint8_t used[STOP_QUARTERS];
	struct stop_thread thread = {.stopped = true, .n_registers = 27, .sp = UINT64_MAX};
	pid_t pid = start(NULL);
	struct source *src = open_live(pid);

	(void)state;
	source_keep_stopped(src, &thread, used);
	assert_int_equal(source_get_stats(src).pages, 0);
	source_close(src);
	stop(pid);
}

/* ---- who is stopped ------------------------------------------------------------------------ */

static void test_ended_threads_do_not_count(void **state)
{
	pid_t pid = start(NULL), other = start(NULL);
	int32_t tids[2];
	struct stop_request want = {.tids = tids, .n_tids = 2};
	struct source *src = open_live(pid);
	struct stop *st;

	(void)state;
	tids[0] = pid;
	tids[1] = other;
	assert_refused(src, &want, ERR_GONE, "ended");
	assert_int_equal(source_get_stats(src).paused_ns, 0);
	assert_int_not_equal(state_of(other), 't');
	stop(other); /* now a number of nobody */
	st = stopped(src, &want);
	assert_int_equal(st->threads[0].stopped + st->threads[1].stopped, 1);
	stop_destroy(st);
	tids[0] = other;
	want.n_tids = 1;
	assert_refused(src, &want, ERR_GONE, "ended");
	stop(pid);
	tids[0] = pid;
	assert_refused(src, &want, ERR_GONE, "ended");
	source_close(src);
	assert_no_children();
}

static void test_stopped_stays_stopped(void **state)
{
	pid_t pid = start(NULL);
	struct stop_request want = {.tids = &pid, .n_tids = 1};
	struct source *src = open_live(pid);

	(void)state;
	kill(pid, SIGSTOP);
	assert_state(pid, 'T');
	stop_destroy(stopped(src, &want));
	assert_state(pid, 'T');
	kill(pid, SIGCONT);
	assert_state(pid, 'S');
	source_close(src);
	stop(pid);
}

static void test_another_tracer_is_named(void **state)
{
	pid_t pid = start(NULL);
	struct stop_request want = {.tids = &pid, .n_tids = 1};
	struct source *src = open_live(pid);
	char text[64];

	(void)state;
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	snprintf(text, sizeof(text), "is traced by process %d (test_stop", (int)getpid());
	assert_refused(src, &want, ERR_PERMISSION, text);
	source_close(src);
	stop(pid);
}

static void test_not_ourselves(void **state)
{
	pid_t pid = getpid();
	struct stop_request want = {.tids = &pid, .n_tids = 1};
	struct source *src = open_live(pid);

	(void)state;
	assert_refused(src, &want, ERR_PERMISSION, "would stop us");
	source_close(src);
	pid = getppid();
	if (pid <= 1)
		return;
	src = open_live(pid);
	assert_refused(src, &want, ERR_PERMISSION, "would stop us");
	source_close(src);
}

static void test_bounds(void **state)
{
	static int32_t tids[STOP_MAX_THREADS + 1];
	pid_t pid = start(NULL);
	struct source *src = open_live(pid);
	const struct stop_range half = {0x10000, STOP_MAX_BYTES / 2}, far = {UINT64_MAX - 10, 100};
	const struct stop_range three[] = {half, half, half};
	struct stop_request want = {.tids = tids};

	(void)state;
	tids[0] = pid;
	assert_refused(src, &want, ERR_ABSENT, "0 threads");
	want.n_tids = ARRAY_SIZE(tids);
	assert_refused(src, &want, ERR_ABSENT, "1025 threads");
	want.n_tids = 1;
	want.stack = STOP_MAX_STACK + 1;
	assert_refused(src, &want, ERR_ABSENT, "24 MiB");
	want.stack = 0;
	want.ranges = three;
	want.n_ranges = 3;
	assert_refused(src, &want, ERR_ABSENT, "24 MiB");
	want.ranges = &far;
	want.n_ranges = 1;
	assert_refused(src, &want, ERR_FAULT, "");
	assert_int_equal(source_get_stats(src).paused_ns, 0);
	source_close(src);
	stop(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers_and_stack),
		cmocka_unit_test(test_ranges_are_of_one_instant),
		cmocka_unit_test(test_no_stack_to_keep),
		cmocka_unit_test(test_ended_threads_do_not_count),
		cmocka_unit_test(test_stopped_stays_stopped),
		cmocka_unit_test(test_another_tracer_is_named),
		cmocka_unit_test(test_not_ourselves),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
