/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "exact.h"
#include "stallscope/target.h"

static const char locks[] = "1: POSIX  ADVISORY  READ  5433 fd:00:1 0 EOF\n"
			    "2: FLOCK  ADVISORY  WRITE 77 00:13:11691 0 EOF\n"
			    "2: -> FLOCK  ADVISORY  WRITE 78 00:13:11691 0 EOF\n"
			    "2:  -> FLOCK  ADVISORY  READ 79 00:13:11691 0 EOF\n"
			    "3: OFDLCK ADVISORY  WRITE -1 fe:01:22 0 9\n"
			    "3: -> POSIX  ADVISORY  WRITE 79 fe:01:22 3 4\n"
			    "4: LEASE  ACTIVE    READ 80 fe:01:23 0 EOF\n";

static bool find(int32_t waiter, uint64_t inode, struct proc_lock *ret)
{
	return proc_locks_blocker(locks, sizeof(locks) - 1, waiter, inode, ret);
}

static void names_the_holder(void **state)
{
	struct proc_lock l;

	(void)state;
	assert_true(find(78, 11691, &l));
	assert_int_equal(l.pid, 77);
	assert_true(l.exclusive);
	assert_string_equal(l.kind, "FLOCK");
	assert_int_equal(l.dev_minor, 0x13);
	assert_true(find(79, 22, &l));
	assert_int_equal(l.pid, -1);
	assert_int_equal(l.dev_major, 0xfe);
	assert_true(find(79, 0, &l)); /* any file: the first, waiting for one that waits */
	assert_int_equal(l.pid, 77);
}

static void who_does_not_wait(void **state)
{
	struct proc_lock l;

	(void)state;
	assert_false(find(77, 11691, &l));
	assert_false(find(78, 22, &l));
	assert_false(find(80, 0, &l));
	assert_false(proc_locks_blocker("", 0, 1, 0, &l));
	/* without the line of the holder */
	assert_false(
		proc_locks_blocker("2: -> FLOCK  ADVISORY  WRITE 78 0:1:1 0 EOF\n", 44, 78, 0, &l));
}

static void look(const char *text, size_t len)
{
	struct proc_lock l;

	proc_locks_blocker(text, len, 79, 22, &l);
	proc_locks_blocker(text, len, 0, 0, &l);
}

static void cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(locks, sizeof(locks) - 1, look);
	exact_spoil_everywhere(locks, sizeof(locks) - 1, look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_the_holder),
		cmocka_unit_test(who_does_not_wait),
		cmocka_unit_test(cut_and_spoilt),
	};

	return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
