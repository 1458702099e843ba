/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cgroup_files.c - files of cgroups of both versions, as Linux 4.19 to 6.18 write them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/kernel.h"

/* ---- cpu.stat -------------------------------------------------------------------------------- */

static const char v1_stat[] = "nr_periods 1300\nnr_throttled 1299\nthrottled_time 98765432109\n"
			      "nr_bursts 0\nburst_time 0\n";
static const char v2_stat[] = "usage_usec 5124\nuser_usec 3000\nsystem_usec 2124\nnice_usec 0\n"
			      "core_sched.force_idle_usec 0\nnr_periods 13\nnr_throttled 12\n"
			      "throttled_usec 1004321\nnr_bursts 0\nburst_usec 0\n";

static void test_cpu_stat(void **state)
{
	static const char no_quota[] = "usage_usec 5124\nuser_usec 3000\nsystem_usec 2124\n";
	struct cgroup_cpu_stat st;

	(void)state;
	assert_true(cgroup_cpu_stat_parse(v1_stat, strlen(v1_stat), &st, NULL));
	assert_true(st.have);
	assert_int_equal(st.nr_periods, 1300);
	assert_int_equal(st.nr_throttled, 1299);
	assert_int_equal(st.throttled_us, 98765432);
	assert_true(cgroup_cpu_stat_parse(v2_stat, strlen(v2_stat), &st, NULL));
	assert_true(st.have);
	assert_int_equal(st.nr_periods, 13);
	assert_int_equal(st.nr_throttled, 12);
	assert_int_equal(st.throttled_us, 1004321);
	/* the root of v2, and a cgroup without the cpu controller */
	assert_true(cgroup_cpu_stat_parse(no_quota, strlen(no_quota), &st, NULL));
	assert_false(st.have);
	assert_true(cgroup_cpu_stat_parse("", 0, &st, NULL));
	assert_false(st.have);
}

static void assert_bad_stat(const char *text)
{
	struct cgroup_cpu_stat st = {.nr_periods = 77};
	struct error err;

	assert_false(cgroup_cpu_stat_parse(text, strlen(text), &st, &err));
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(st.nr_periods, 77);
}

static void test_bad_cpu_stat(void **state)
{
	(void)state;
	assert_bad_stat("nr_periods 1\n");
	assert_bad_stat("nr_periods 1\nnr_throttled 1\nthrottled_usec 5"); /* cut */
	assert_bad_stat("nr_periods 1\nnr_throttled -1\nthrottled_usec 5\n");
	assert_bad_stat("nr_periods 1\nnr_throttled 1 2\nthrottled_usec 5\n");
	assert_bad_stat("nr_periods 1\nnr_throttled 18446744073709551616\nthrottled_usec 5\n");
	assert_bad_stat("nr_periods 1\nnr_throttled 1\nthrottled 5\n");
}

static void cut_stat(const char *text, size_t len)
{
	struct cgroup_cpu_stat st;

	if (cgroup_cpu_stat_parse(text, len, &st, NULL) && st.have && len)
		assert_true(st.throttled_us > 0 || memchr(text, '0', len));
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static double cpu_max(const char *text)
{
	double cores = -1;

	return cgroup_cpu_max_parse(text, strlen(text), &cores, NULL) ? cores : -1;
}

static double cfs(const char *quota, const char *period)
{
	double cores = -1;

	return cgroup_cfs_parse(quota, strlen(quota), period, strlen(period), &cores, NULL) ? cores
											    : -1;
}

static void test_cpu_max(void **state)
{
	static const char *const bad[] = {
		"",
		"max",
		"max 100000",
		"50000\n",
		"50000 \n",
		"0 1\n",
		"1 0\n",
		"50000 100000x\n",
		"-1 100000\n",
		"max 100000\n\n",
		"1 2\n3 4\n",
		"maxi 100000\n",
		"50000  100000\n",
		"99999999999999999999 1\n",
		"9007199254740993 1\n",
		"1 10000001\n",
	};

	(void)state;
	assert_true(cpu_max("max 100000\n") == 0);
	assert_true(cpu_max("50000 100000\n") == 0.5);
	assert_true(cpu_max("10000 100000\n") == 0.1);
	assert_true(cpu_max("1000 1000000\n") == 0.001);
	assert_true(cpu_max("6400000 100000\n") == 64);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (cpu_max(bad[i]) != -1)
			fail_msg("taken: %s", bad[i]);
}

static void test_cfs(void **state)
{
	(void)state;
	assert_true(cfs("-1\n", "100000\n") == 0);
	assert_true(cfs("10000\n", "100000\n") == 0.1);
	assert_true(cfs("250000\n", "100000\n") == 2.5);
	assert_true(cfs("0\n", "100000\n") == -1);
	assert_true(cfs("10000\n", "0\n") == -1);
	assert_true(cfs("10000", "100000\n") == -1);
	assert_true(cfs("10000\n", "100000") == -1);
	assert_true(cfs("x\n", "100000\n") == -1);
	assert_true(cfs("10000\n", "-100000\n") == -1);
	assert_true(cfs("", "") == -1);
}

static void cut_max(const char *text, size_t len)
{
	double cores = 0.25;
	bool ok = cgroup_cpu_max_parse(text, len, &cores, NULL);

	if (!ok)
		assert_true(cores == 0.25);
	assert_true(cores >= 0);
}

/* ---- frozen ---------------------------------------------------------------------------------- */

static void test_events(void **state)
{
	bool have = true, frozen = true;

	(void)state;
	assert_true(cgroup_events_parse("populated 1\nfrozen 0\n", 21, &have, &frozen, NULL));
	assert_true(have && !frozen);
	assert_true(cgroup_events_parse("populated 1\nfrozen 1\n", 21, &have, &frozen, NULL));
	assert_true(have && frozen);
	assert_true(cgroup_events_parse("populated 0\n", 12, &have, &frozen, NULL));
	assert_true(!have && !frozen); /* 4.19 */
	assert_false(cgroup_events_parse("populated 1\nfrozen 2\n", 21, &have, &frozen, NULL));
	assert_false(cgroup_events_parse("frozen 1\n", 9, &have, &frozen, NULL));
	assert_false(cgroup_events_parse("", 0, &have, &frozen, NULL));
	assert_true(cgroup_events_parse("populated 1\nfrozen 1", 20, &have, &frozen, NULL));
	assert_false(have); /* cut: not told */
}

static bool freezer(const char *text, bool *frozen)
{
	return cgroup_freezer_parse(text, strlen(text), frozen, NULL);
}

static void test_freezer(void **state)
{
	bool frozen = true;

	(void)state;
	assert_true(freezer("THAWED\n", &frozen));
	assert_false(frozen);
	assert_true(freezer("FROZEN\n", &frozen));
	assert_true(frozen);
	frozen = false;
	assert_true(freezer("FREEZING\n", &frozen));
	assert_true(frozen);
	assert_false(freezer("FROZEN", &frozen));
	assert_false(freezer("FROZENED\n", &frozen));
	assert_false(freezer("FROZEN\nTHAWED\n", &frozen));
	assert_false(freezer("\n", &frozen));
	assert_false(freezer("", &frozen));
}

static void cut_frozen(const char *text, size_t len)
{
	bool have, frozen;

	cgroup_events_parse(text, len, &have, &frozen, NULL);
	cgroup_freezer_parse(text, len, &frozen, NULL);
}

static void test_cut_and_spoilt(void **state)
{
	static const char max[] = "50000 100000\n", events[] = "populated 1\nfrozen 1\n";

	(void)state;
	exact_cut_everywhere(v1_stat, sizeof(v1_stat) - 1, cut_stat);
	exact_cut_everywhere(v2_stat, sizeof(v2_stat) - 1, cut_stat);
	exact_spoil_everywhere(v2_stat, sizeof(v2_stat) - 1, cut_stat);
	exact_cut_everywhere(max, sizeof(max) - 1, cut_max);
	exact_spoil_everywhere(max, sizeof(max) - 1, cut_max);
	exact_cut_everywhere(events, sizeof(events) - 1, cut_frozen);
	exact_spoil_everywhere(events, sizeof(events) - 1, cut_frozen);
	exact_spoil_everywhere("FREEZING\n", 9, cut_frozen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu_stat),       cmocka_unit_test(test_bad_cpu_stat),
		cmocka_unit_test(test_cpu_max),	       cmocka_unit_test(test_cfs),
		cmocka_unit_test(test_events),	       cmocka_unit_test(test_freezer),
		cmocka_unit_test(test_cut_and_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
