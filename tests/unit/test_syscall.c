/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/target.h"

static const char in_call[] = "281 0x3 0x7f1a99225000 0x20000 0xffffffffffffffff 0x0 0x8 "
			      "0x7ffef5ecd528 0x7f1a993a12ad\n";

static bool parse(const char *text, struct proc_syscall *ret, struct error *err)
{
	char *copy = exact_copy(text, strlen(text));
	bool ok = proc_syscall_parse(copy, strlen(text), ret, err);

	free(copy);
	return ok;
}

static void test_ordinary(void **state)
{
	struct proc_syscall call;

	(void)state;
	assert_true(parse(in_call, &call, NULL));
	assert_false(call.running);
	assert_int_equal(call.number, 281);
	assert_int_equal(call.args[0], 3);
	assert_int_equal(call.args[1], 0x7f1a99225000);
	assert_true(call.args[3] == UINT64_MAX);
	assert_int_equal(call.args[5], 8);
	assert_int_equal(call.sp, 0x7ffef5ecd528);
	assert_int_equal(call.pc, 0x7f1a993a12ad);

	assert_true(parse("running\n", &call, NULL));
	assert_true(call.running);
	assert_int_equal(call.number, -1);

	assert_true(parse("-1 0x7ffef5ecd528 0x7f1a993a12ad\n", &call, NULL));
	assert_false(call.running);
	assert_int_equal(call.number, -1);
	assert_int_equal(call.args[0], 0);
	assert_int_equal(call.sp, 0x7ffef5ecd528);
	assert_int_equal(call.pc, 0x7f1a993a12ad);
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"",
		"\n",
		"running",
		"runningx\n",
		"-1\n",
		"-1 0x1\n",
		"-1 0x1 0x2",
		"-1 0x1 0x2 0x3\n",
		"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7\n",
		"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8",
		"0 1 2 3 4 5 6 7 8\n",
		"0 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x11111111111111111\n",
		"9223372036854775808 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n",
		"x 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proc_syscall call = {.number = 77};
		struct error err = {0};

		assert_false(parse(rows[i], &call, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_int_equal(call.number, 77);
	}
}

static void parse_cut(const char *text, size_t len)
{
	struct proc_syscall call;

	assert_int_equal(proc_syscall_parse(text, len, &call, NULL), len == sizeof(in_call) - 1);
}

static void parse_any(const char *text, size_t len)
{
	struct proc_syscall call;

	if (proc_syscall_parse(text, len, &call, NULL))
		syscall_name(call.number);
}

static void test_cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(in_call, sizeof(in_call) - 1, parse_cut);
	exact_spoil_everywhere(in_call, sizeof(in_call) - 1, parse_any);
}

static void test_names(void **state)
{
	(void)state;
#define CHECK(name) assert_string_equal(syscall_name(SYS_##name), #name)
	CHECK(read);
	CHECK(recvfrom);
	CHECK(futex);
	CHECK(nanosleep);
	CHECK(clock_nanosleep);
	CHECK(epoll_pwait);
	CHECK(connect);
	CHECK(wait4);
	CHECK(ppoll);
	CHECK(pselect6);
	CHECK(flock);
	CHECK(fsync);
	CHECK(getrandom);
	CHECK(io_uring_enter);
	CHECK(clone3);
	CHECK(epoll_pwait2);
	CHECK(futex_waitv);
#ifdef SYS_epoll_wait
	CHECK(epoll_wait);
	CHECK(poll);
	CHECK(select);
	CHECK(open);
#endif
	assert_string_equal(syscall_name(462), "mseal");
	assert_null(syscall_name(-1));
	assert_null(syscall_name(INT64_MIN));
	assert_null(syscall_name(INT64_MAX));
	assert_null(syscall_name(423)); /* no architecture has it */
	assert_null(syscall_name(100000));
}

static void names_of_every_architecture(void **state)
{
	(void)state;
	assert_true(syscall_known("recvfrom"));
	assert_true(syscall_known("poll")); /* x86-64 alone */
	assert_true(syscall_known("file_setattr"));
	for (int64_t i = 0; i < 600; i++)
		assert_true(!syscall_name(i) || syscall_known(syscall_name(i)));
	assert_false(syscall_known("recvform"));
	assert_false(syscall_known("POLL"));
	assert_false(syscall_known(""));
}

/* What a stop made of a call with a timeout. */
static void test_resumed(void **state)
{
	struct proc_syscall call = {.number = SYS_restart_syscall, .args = {5}};

	(void)state;
	assert_true(syscall_is_restart(call.number));
	assert_false(proc_syscall_resume(&call, "")); /* no right to see it */
	assert_false(proc_syscall_resume(&call, "do_epoll_wait"));
	assert_int_equal(call.number, SYS_restart_syscall);
	assert_true(proc_syscall_resume(&call, "futex_do_wait"));
	assert_int_equal(call.number, SYS_futex);
	assert_true(call.resumed && call.args[0] == 5);
	assert_false(proc_syscall_resume(&call, "futex_do_wait")); /* it is a call as any other */
	call = (struct proc_syscall){.number = SYS_restart_syscall, .args = {1}};
	assert_true(proc_syscall_resume(&call, "hrtimer_nanosleep"));
	assert_int_equal(call.number, SYS_clock_nanosleep);
	call = (struct proc_syscall){.number = SYS_restart_syscall, .args = {0x7ffc00000000}};
	assert_true(proc_syscall_resume(&call, "do_nanosleep"));
	assert_int_equal(call.number, SYS_nanosleep);
#ifdef SYS_poll
	call = (struct proc_syscall){.number = SYS_restart_syscall};
	assert_true(proc_syscall_resume(&call, "poll_schedule_timeout.constprop.0"));
	assert_int_equal(call.number, SYS_poll);
#endif
	call = (struct proc_syscall){.running = true, .number = SYS_restart_syscall};
	assert_false(proc_syscall_resume(&call, "futex_do_wait"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_cut_and_spoilt),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_resumed),
		cmocka_unit_test(names_of_every_architecture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
