/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exact.h"
#include "stallscope/target.h"

static const char epoll[] = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t1057\n"
			    "tfd:        5 events:       19 data:                5  pos:0 ino:7 "
			    "sdev:8\n"
			    "tfd:       12 events:        5 data:                c  pos:0 ino:8 "
			    "sdev:8\n";
static const char pidfd[] = "pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t99\nPid:\t4242\n"
			    "NSpid:\t4242\n";
static const char locked[] = "pos:\t0\nflags:\t0100001\nmnt_id:\t9\nino:\t22\n"
			     "lock:\t1: OFDLCK ADVISORY  WRITE -1 fe:01:22 0 EOF\n";
static const char old[] = "pos:\t0\nflags:\t0100001\nmnt_id:\t9\n";

static void reads_an_epoll(void **state)
{
	struct proc_fdinfo info;

	(void)state;
	assert_true(proc_fdinfo_parse(epoll, sizeof(epoll) - 1, &info, NULL));
	assert_int_equal(info.flags, 02000002);
	assert_int_equal(info.inode, 1057);
	assert_int_equal(info.n_targets, 2);
	assert_int_equal(info.targets[0], 5);
	assert_int_equal(info.targets[1], 12);
	assert_int_equal(info.pid, 0);
}

static void reads_others(void **state)
{
	struct proc_fdinfo info;

	(void)state;
	assert_true(proc_fdinfo_parse(pidfd, sizeof(pidfd) - 1, &info, NULL));
	assert_int_equal(info.pid, 4242);
	assert_true(proc_fdinfo_parse(old, sizeof(old) - 1, &info, NULL));
	assert_int_equal(info.flags & 3, 1);
	assert_false(info.has_lock);
	assert_int_equal(info.inode, 0);
	assert_int_equal(info.n_targets, 0);
	assert_true(proc_fdinfo_parse(locked, sizeof(locked) - 1, &info, NULL));
	assert_true(info.has_lock);
	assert_int_equal(info.inode, 22);
	assert_false(proc_fdinfo_parse("pos:\t0\n", 7, &info, NULL));
	assert_false(proc_fdinfo_parse("flags:\t777777777777\n", 20, &info, NULL));
}

static void keeps_a_bounded_number(void **state)
{
	struct proc_fdinfo info;
	char text[4096] = "flags:\t02\n";

	(void)state;
	for (int i = 0; i < 100; i++)
		sprintf(text + strlen(text), "tfd: %d events: 19\n", i);
	assert_true(proc_fdinfo_parse(text, strlen(text), &info, NULL));
	assert_int_equal(info.n_targets, 100);
	assert_int_equal(info.targets[FDINFO_TARGETS - 1], FDINFO_TARGETS - 1);
}

static void look(const char *text, size_t len)
{
	struct proc_fdinfo info;

	proc_fdinfo_parse(text, len, &info, NULL);
}

static void cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(epoll, sizeof(epoll) - 1, look);
	exact_spoil_everywhere(epoll, sizeof(epoll) - 1, look);
	exact_spoil_everywhere(pidfd, sizeof(pidfd) - 1, look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_epoll),
		cmocka_unit_test(reads_others),
		cmocka_unit_test(keeps_a_bounded_number),
		cmocka_unit_test(cut_and_spoilt),
	};

	return cmocka_run_group_tests_name("fdinfo", tests, NULL, NULL);
}
