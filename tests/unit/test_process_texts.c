/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_process_texts.c - the process and its threads, from texts of our choosing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/backend.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/target.h"

#define SECOND UINT64_C(1000000000)
#define ID     "0f3c9d2e4b5a69788796a5b4c3d2e1f00f3c9d2e4b5a69788796a5b4c3d2e1f0"

#define STAT(name, start)                                              \
	"40 (" name ") S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " start \
	" 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0\n"
#define STATUS "State:\tS (sleeping)\nTgid:\t40\nPid:\t40\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
#define MAPS   "1000-2000 r-xp 00000000 08:02 7 /bin/python3\n"

/* A /proc/PID: what is not in it does not exist, unless its text is "EACCES". */
struct text {
	const char *path, *text;
	size_t len; /* 0: as strlen() says */
};

static const struct text *texts;
static unsigned asked;

static bool fake_proc(void *self, const char *path, struct strbuf *out, struct error *err)
{
	(void)self;
	asked++;
	for (const struct text *t = texts; t->path; t++) {
		if (strcmp(t->path, path) != 0)
			continue;
		if (strcmp(t->text, "EACCES") == 0)
			return error_set(err, ERR_PERMISSION, "no right to %s", path);
		strbuf_add(out, t->text, t->len ? t->len : strlen(t->text));
		return true;
	}
	return error_set(err, ERR_ABSENT, "no %s", path);
}

static uint64_t fake_clock(void *self)
{
	(void)self;
	return 1000 * SECOND;
}

static void fake_close(void *self)
{
	(void)self;
}

static const struct source_ops live_ops = {
	.proc = fake_proc, .clock = fake_clock, .close = fake_close};
static const struct source_ops recorded_ops = {
	.proc = fake_proc, .clock = fake_clock, .close = fake_close, .recorded = true};

static struct source *open_texts(const struct text *all, const struct source_ops *ops)
{
	texts = all;
	asked = 0;
	return source_new(ops, NULL, 40);
}

static struct process *read_texts(const struct text *all, const struct source_ops *ops)
{
	struct source *src = open_texts(all, ops);
	struct process *proc;
	struct error err;

	if (!process_read(src, &proc, &err))
		fail_msg("%s", err.text);
	source_close(src);
	return proc;
}

static void test_least(void **state)
{
	static const struct text all[] = {{.path = "stat", .text = STAT("x", "5")},
					  {.path = "status", .text = STATUS},
					  {.path = "maps", .text = MAPS},
					  {.path = "@exe", .text = "EACCES"},
					  {.path = NULL}};
	struct process *proc = read_texts(all, &live_ops);

	(void)state;
	assert_int_equal(proc->pid, 40);
	assert_int_equal(proc->ns_pid, 40); /* this kernel does not say */
	assert_int_equal(proc->ppid, 7);
	assert_int_equal(proc->uid, 2);
	assert_int_equal(proc->gid, 6);
	assert_int_equal(proc->argc, 0);
	assert_null(proc->executable);
	assert_null(proc->exe_path);
	assert_null(proc->cgroup);
	assert_null(proc->container);
	assert_int_equal(proc->maps.n, 1);
	assert_int_equal(asked,
			 8); /* main thread twice, stat, status, maps, cmdline, exe, cgroup */
	process_destroy(proc);
}

static void test_container(void **state)
{
	static const struct text all[] = {
		{.path = "stat", .text = STAT("x", "5")},
		{.path = "status", .text = STATUS "NSpid:\t40\t17\t1\n"},
		{.path = "maps", .text = MAPS},
		{.path = "@exe", .text = "/bin/py\nthon\x1b[0m (deleted)"},
		{.path = "cgroup", .text = "6:freezer:/docker/" ID "\n4:cpu:/a\nb\n0::/\n"},
		{.path = NULL}};
	static struct text good[ARRAY_SIZE(all)];
	struct process *proc = read_texts(all, &live_ops);

	(void)state;
	assert_int_equal(proc->ns_pid, 1);
	assert_string_equal(proc->executable, "/bin/py\\nthon\\x1b[0m");
	assert_string_equal(proc->exe_path, "/bin/py\\012thon\x1b[0m");
	assert_null(proc->cgroup); /* malformed: as if unknown */
	process_destroy(proc);

	memcpy(good, all, sizeof(all));
	good[4].text = "6:freezer:/docker/" ID "\n4:cpu:/esc\x1b[0m\n0::/\n";
	proc = read_texts(good, &live_ops);
	assert_string_equal(proc->cgroup, "/esc\\x1b[0m");
	assert_string_equal(proc->container, ID);
	good[4].text = "0::/\n";
	process_destroy(proc);
	proc = read_texts(good, &live_ops);
	assert_string_equal(proc->cgroup, "/");
	assert_null(proc->container);
	process_destroy(proc);
}

static void test_command_lines(void **state)
{
	static const struct {
		const char *text;
		size_t len, argc;
		const char *last;
	} rows[] = {
		{"python3\0-c\0", 11, 2, "-c"},
		{"python3\0-c", 10, 2, "-c"},
		{"python3\0-c\0\0", 12, 3, ""},				   /* an empty argument */
		{"gunicorn: master\0\0\0\0\0", 21, 1, "gunicorn: master"}, /* renamed itself */
		{"a\0\0b\0\0\0\0", 8, 3, "b"},
		{"\0", 1, 1, ""},
		{"\0\0\0\0", 4, 0, NULL},
		{"x", 1, 1, "x"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct text all[] = {{"stat", STAT("x", "5"), 0},
					   {"status", STATUS, 0},
					   {"maps", MAPS, 0},
					   {"cmdline", rows[i].text, rows[i].len},
					   {NULL, NULL, 0}};
		struct process *proc = read_texts(all, &live_ops);

		assert_int_equal(proc->argc, rows[i].argc);
		if (proc->argc)
			assert_string_equal(proc->command[proc->argc - 1], rows[i].last);
		process_destroy(proc);
	}
}

/* A recording was taken at 1000 s of the target's monotonic clock. */
static void test_recorded_start(void **state)
{
	static const struct {
		const char *stat, *timens;
		uint64_t start;
	} rows[] = {
		{STAT("x", "90000"), NULL, 900 * SECOND},
		{STAT("x", "90000"), "monotonic 50 0\nboottime 0 0\n", 950 * SECOND},
		{STAT("x", "90000"), "monotonic -50 0\nboottime 0 0\n", 850 * SECOND},
		{STAT("x", "0"), NULL, 0},
		{STAT("x", "100001"), NULL, 1000 * SECOND},   /* not in the future */
		{STAT("x", "18446744073709551615"), NULL, 0}, /* absurd */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct text all[] = {
			{"stat", rows[i].stat, 0},
			{"status", STATUS, 0},
			{"maps", MAPS, 0},
			{rows[i].timens ? "timens_offsets" : "none", rows[i].timens, 0},
			{NULL, NULL, 0}};
		struct process *proc = read_texts(all, &recorded_ops);

		assert_int_equal(proc->started_ns, rows[i].start);
		process_destroy(proc);
	}
}

static void test_failures(void **state)
{
	static const struct {
		const char *stat, *status, *maps;
		enum error_code code;
	} rows[] = {
		{"EACCES", STATUS, MAPS, ERR_PERMISSION},
		{STAT("x", "5"), "EACCES", MAPS, ERR_PERMISSION},
		{STAT("x", "5"), STATUS, "EACCES", ERR_PERMISSION},
		{"40 (x", STATUS, MAPS, ERR_CORRUPT},
		{STAT("x", "5"), "Pid:\t1\n", MAPS, ERR_CORRUPT},
		{STAT("x", "5"), STATUS, "x\n", ERR_CORRUPT},
		{STAT("x", "5"), STATUS, "", ERR_GONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct text all[] = {{"stat", rows[i].stat, 0},
					   {"status", rows[i].status, 0},
					   {"maps", rows[i].maps, 0},
					   {NULL, NULL, 0}};
		struct source *src = open_texts(all, &live_ops);
		struct process *proc = (void *)1;
		struct error err = {0};

		assert_false(process_read(src, &proc, &err));
		assert_int_equal(err.code, rows[i].code);
		assert_ptr_equal(proc, (void *)1);
		assert_false(process_read(src, &proc, NULL));
		source_close(src);
	}
}

/* A thread that ended between listing and reading is left out, what has no text is unknown. */
static void test_threads(void **state)
{
	static const struct text all[] = {
		{.path = "task/", .text = "40\n41\nx\n-3\n0\n42 \n43\n99999999999\n44"},
		{.path = "task/40/stat", .text = STAT("main", "5")},
		{.path = "task/40/status", .text = STATUS "NSpid:\t40\t1\n"},
		{.path = "task/40/syscall", .text = "EACCES"},
		{.path = "task/40/wchan", .text = "0"},
		{.path = "task/43/stat", .text = STAT("w", "5")},
		{.path = "task/43/status", .text = STATUS},
		{.path = "task/43/syscall", .text = "-1 0x1 0x2\n"},
		{.path = "task/43/schedstat", .text = "7 8 9\n"},
		{.path = "task/43/wchan", .text = "futex_wait\x1b[0m"},
		{.path = "task/44/stat", .text = STAT("z", "5")},
		{.path = NULL}};
	const unsigned facts = OS_STAT | OS_STATUS | OS_SYSCALL | OS_SCHED | OS_WCHAN;
	struct source *src = open_texts(all, &live_ops);
	struct os_thread *th;
	size_t n;

	(void)state;
	assert_true(os_threads_read(src, facts, &th, &n, NULL));
	assert_int_equal(n, 2);
	assert_int_equal(th[0].tid, 40);
	assert_int_equal(th[0].ns_tid, 1);
	assert_string_equal(th[0].stat.comm, "main");
	assert_true(th[0].have_stat && th[0].have_status);
	assert_false(th[0].have_syscall || th[0].have_sched);
	assert_string_equal(th[0].wchan, "");
	assert_int_equal(th[1].tid, 43);
	assert_int_equal(th[1].ns_tid, 43);
	assert_true(th[1].have_syscall && th[1].have_sched);
	assert_int_equal(th[1].syscall.pc, 2);
	assert_int_equal(th[1].sched.run_queue_ns, 8);
	assert_string_equal(th[1].wchan, "futex_wait");
	free(th);
	assert_true(os_threads_read(src, OS_STAT, &th, &n, NULL));
	assert_int_equal(n, 3);
	assert_int_equal(th[2].ns_tid, 0);
	free(th);
	source_close(src);
}

static void test_no_threads(void **state)
{
	static const struct text none[] = {{.path = NULL}};
	static const struct text ended[] = {{.path = "task/", .text = "40\n"}, {.path = NULL}};
	static const struct text empty[] = {{.path = "task/", .text = ""}, {.path = NULL}};
	static const struct {
		const struct text *texts;
		enum error_code code;
	} rows[] = {{none, ERR_ABSENT}, {ended, ERR_ABSENT}, {empty, ERR_GONE}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct source *src = open_texts(rows[i].texts, &live_ops);
		struct os_thread *th = (void *)1;
		struct error err = {0};
		size_t n = 77;

		assert_false(os_threads_read(src, OS_STAT, &th, &n, &err));
		assert_int_equal(err.code, rows[i].code);
		assert_ptr_equal(th, (void *)1);
		assert_int_equal(n, 77);
		source_close(src);
	}
}

static void test_too_many_threads(void **state)
{
	cleanup_strbuf struct strbuf list = STRBUF_INIT;
	struct text all[] = {{.path = "task/"}, {.path = NULL}};
	struct os_thread *th;
	struct source *src;
	size_t n;

	(void)state;
	for (unsigned i = 1; i <= THREADS_MAX + 5; i++)
		strbuf_addf(&list, "%u\n", i);
	all[0].text = list.data;
	src = open_texts(all, &live_ops);
	assert_true(os_threads_read(src, 0, &th, &n, NULL));
	assert_int_equal(n, THREADS_MAX);
	assert_int_equal(th[n - 1].tid, THREADS_MAX);
	free(th);
	source_close(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least),	      cmocka_unit_test(test_container),
		cmocka_unit_test(test_command_lines), cmocka_unit_test(test_recorded_start),
		cmocka_unit_test(test_failures),      cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_threads),    cmocka_unit_test(test_too_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
