/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/target.h"

/* All that follows the name; 39 fields are needed, the rest may be missing. */
#define FIELDS                                                                                   \
	"S 15526 15525 14406 0 -1 4194304 100 200 3 4 5 6 7 8 20 -5 12 0 200052 3133440 382 "    \
	"18446744073709551615 93906049576960 93906049596841 140726903305136 0 0 0 0 16781312 2 " \
	"0 0 0 17 3"
#define TAIL " 0 0 0 0 0 93906049612848 93906049614464 93907000422400 0 0 0 0 0\n"

static bool parse(const char *text, struct proc_stat *ret, struct error *err)
{
	char *copy = exact_copy(text, strlen(text));
	bool ok = proc_stat_parse(copy, strlen(text), ret, err);

	free(copy);
	return ok;
}

static void test_ordinary(void **state)
{
	struct proc_stat st;

	(void)state;
	assert_true(parse("15645 (python3) " FIELDS TAIL, &st, NULL));
	assert_string_equal(st.comm, "python3");
	assert_int_equal(st.state, 'S');
	assert_int_equal(st.ppid, 15526);
	assert_int_equal(st.pgrp, 15525);
	assert_int_equal(st.session, 14406);
	assert_int_equal(st.flags, 4194304);
	assert_int_equal(st.minflt, 100);
	assert_int_equal(st.majflt, 3);
	assert_int_equal(st.utime, 5);
	assert_int_equal(st.stime, 6);
	assert_int_equal(st.nice, -5);
	assert_int_equal(st.num_threads, 12);
	assert_int_equal(st.starttime, 200052);
	assert_int_equal(st.start_code, 93906049576960);
	assert_int_equal(st.end_code, 93906049596841);
	assert_int_equal(st.startstack, 140726903305136);
	assert_int_equal(st.processor, 3);
}

static void test_names(void **state)
{
	static const char *const names[] = {
		"",	  " ",	  ")",	     "(",	 ") (", ") S 1 1",
		")))(((", "a\nb", "\x1b[2J", "\xff\xfe", "\n",	"x) R 1 1 1 (y",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct proc_stat st;
		char text[1024];

		snprintf(text, sizeof(text), "1 (%s) " FIELDS TAIL, names[i]);
		assert_true(parse(text, &st, NULL));
		assert_string_equal(st.comm, names[i]);
		assert_int_equal(st.ppid, 15526);
		assert_int_equal(st.processor, 3);
	}
}

/* Names of kernel workers may be longer than a thread's 15 characters. */
static void test_long_name(void **state)
{
	char name[200], text[1024];
	struct proc_stat st;

	(void)state;
	for (size_t len = 62; len <= 65; len++) {
		memset(name, 'k', len);
		name[len] = '\0';
		snprintf(text, sizeof(text), "1 (%s) " FIELDS TAIL, name);
		assert_true(parse(text, &st, NULL));
		assert_int_equal(strlen(st.comm), len > 63 ? 63 : len);
	}
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"",
		"1",
		"1 python3 " FIELDS TAIL,
		"1 (python3 " FIELDS TAIL,
		"1 python3) " FIELDS TAIL,
		"1 (python3)",
		"1 (python3) ",
		"1 (python3) \n",
		"1 (python3) S",
		"1 (python3) S x",
		"1 (python3) S 1 2 3\n",
		"1 (python3) " FIELDS,
		"1 (python3) SS" FIELDS TAIL,
		"1 (python3) S 99999999999999999999 1 1 0 -1 0 0 0 0 0\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct proc_stat st = {.ppid = 77};
		struct error err = {0};

		assert_false(parse(rows[i], &st, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_int_equal(st.ppid, 77);
	}
	assert_true(parse("1 (python3) " FIELDS "\n", &(struct proc_stat){0}, NULL));
}

/* Cut in the last number, it must not be taken for a smaller one. */
static void must_fail(const char *text, size_t len)
{
	struct proc_stat st;

	assert_false(proc_stat_parse(text, len, &st, NULL));
}

static void parse_any(const char *text, size_t len)
{
	struct proc_stat st;
	struct proc_schedstat sched;

	proc_stat_parse(text, len, &st, NULL);
	proc_schedstat_parse(text, len, &sched, NULL);
	timens_monotonic_parse(text, len);
}

static void test_cut_and_spoilt(void **state)
{
	static const char needed[] = "15645 (py) thon) " FIELDS;
	static const char all[] = "15645 (py) thon) " FIELDS TAIL;

	(void)state;
	exact_cut_everywhere(needed, sizeof(needed) - 1, must_fail);
	exact_cut_everywhere(all, sizeof(all) - 1, parse_any);
	exact_spoil_everywhere(all, sizeof(all) - 1, parse_any);
}

static void test_schedstat(void **state)
{
	static const char good[] = "107090 18446744073709551615 1\n";
	static const char *const bad[] = {"",	   "\n",      "1 2\n",
					  "1 2 3", "a b c\n", "1 2 18446744073709551616\n"};
	struct proc_schedstat sched;

	(void)state;
	assert_true(proc_schedstat_parse(good, sizeof(good) - 1, &sched, NULL));
	assert_int_equal(sched.on_cpu_ns, 107090);
	assert_true(sched.run_queue_ns == UINT64_MAX);
	assert_int_equal(sched.slices, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {0};

		assert_false(proc_schedstat_parse(bad[i], strlen(bad[i]), &sched, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
	}
	exact_cut_everywhere(good, sizeof(good) - 1, parse_any);
}

static int64_t timens(const char *text)
{
	char *copy = exact_copy(text, strlen(text));
	int64_t ret = timens_monotonic_parse(copy, strlen(text));

	free(copy);
	return ret;
}

static void test_timens(void **state)
{
	static const char text[] = "monotonic           86400         5\n"
				   "boottime              123         0\n";

	(void)state;
	assert_int_equal(timens(text), INT64_C(86400000000005));
	assert_int_equal(timens("boottime 9 9\nmonotonic -5 100\n"), -INT64_C(4999999900));
	assert_int_equal(timens(""), 0);
	assert_int_equal(timens("boottime 9 9\n"), 0);
	assert_int_equal(timens("monotonic 864"), 0);
	assert_int_equal(timens("monotonic 864 12"), 0); /* cut */
	assert_int_equal(timens("monotonic 5\n"), 0);
	assert_int_equal(timens("monotonic 5 1000000000\n"), 0);
	assert_int_equal(timens("monotonic 5 -1\n"), 0);
	assert_int_equal(timens("monotonic 9223372036854775807 0\n"), 0);
	assert_int_equal(timens("monotonic 9223372036 854775807\n"), INT64_MAX);
	assert_int_equal(timens("monotonic 9223372036 854775808\n"), 0);
	exact_cut_everywhere(text, sizeof(text) - 1, parse_any);
	exact_spoil_everywhere(text, sizeof(text) - 1, parse_any);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),       cmocka_unit_test(test_names),
		cmocka_unit_test(test_long_name),      cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_cut_and_spoilt), cmocka_unit_test(test_schedstat),
		cmocka_unit_test(test_timens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
