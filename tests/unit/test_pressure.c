/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pressure.c - pressure, /proc/stat, limits
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/kernel.h"

static const char both[] = "some avg10=12.34 avg60=0.56 avg300=4.98 total=55411784\n"
			   "full avg10=3.05 avg60=0.00 avg300=0.00 total=17\n";
static const char ticks_text[] = "cpu  42555 10 17477 165276 2892 1 2 300 4000 5000\n"
				 "cpu0 1 2 3 4 5 6 7 8 9 10\nintr 1 2 3\n";
static const char limits_text[] =
	"Limit                     Soft Limit           Hard Limit           Units     \n"
	"Max cpu time              unlimited            unlimited            seconds   \n"
	"Max open files            64                   1048576              files     \n"
	"Max locked memory         67108864             67108864             bytes     \n";

static void test_pressure(void **state)
{
	static const char old_cpu[] =
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"; /* < 5.13 */
	struct pressure p;

	(void)state;
	assert_true(pressure_parse(both, strlen(both), &p, NULL));
	assert_true(p.have_some && p.have_full);
	assert_true(p.some_avg10 > 12.339 && p.some_avg10 < 12.341);
	assert_true(p.full_avg10 > 3.049 && p.full_avg10 < 3.051);
	assert_int_equal(p.some_us, 55411784);
	assert_int_equal(p.full_us, 17);
	assert_true(pressure_parse(old_cpu, strlen(old_cpu), &p, NULL));
	assert_true(p.have_some && !p.have_full);
	assert_true(p.some_avg10 == 0);
}

static void assert_bad_pressure(const char *text)
{
	struct pressure p = {.some_us = 77};

	if (pressure_parse(text, strlen(text), &p, NULL))
		fail_msg("taken: %s", text);
	assert_int_equal(p.some_us, 77);
}

static void test_bad_pressure(void **state)
{
	(void)state;
	assert_bad_pressure("");
	assert_bad_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0"); /* cut */
	assert_bad_pressure("some avg10=100.01 avg60=0.00 avg300=0.00 total=0\n");
	assert_bad_pressure("some avg10=0.5 avg60=0.00 avg300=0.00 total=0\n");
	assert_bad_pressure("some avg10=-1.00 avg60=0.00 avg300=0.00 total=0\n");
	assert_bad_pressure("some avg10=0.00 avg60=0.00 total=0\n");
	assert_bad_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=0 \n");
	assert_bad_pressure("some avg10=nan avg60=0.00 avg300=0.00 total=0\n");
}

static void test_ticks(void **state)
{
	struct cpu_ticks t;

	(void)state;
	assert_true(cpu_ticks_parse(ticks_text, strlen(ticks_text), &t, NULL));
	assert_int_equal(t.steal, 300);
	assert_int_equal(t.total, 42555 + 10 + 17477 + 165276 + 2892 + 1 + 2 + 300);
	assert_false(cpu_ticks_parse("cpu0 1 2 3 4 5 6 7 8 9 10\n", 26, &t, NULL));
	assert_false(cpu_ticks_parse("cpu  1 2 3 4 5 6 7\n", 19, &t, NULL));
	assert_false(cpu_ticks_parse("cpu  1 2 3 4 5 6 7 8", 20, &t, NULL));
	assert_false(cpu_ticks_parse("", 0, &t, NULL));
	assert_int_equal(t.steal, 300);
}

static void test_limits(void **state)
{
	static const char unlimited[] =
		"Max open files            unlimited            unlimited            files     \n";
	struct file_limit l;

	(void)state;
	assert_true(file_limit_parse(limits_text, strlen(limits_text), &l, NULL));
	assert_int_equal(l.soft, 64);
	assert_int_equal(l.hard, 1048576);
	assert_false(file_limit_parse(limits_text, 80, &l, NULL));
	assert_false(file_limit_parse("Max open files 64\n", 18, &l, NULL));
	assert_false(file_limit_parse("Max open files 64 x files\n", 26, &l, NULL));
	assert_false(file_limit_parse("", 0, &l, NULL));
	assert_int_equal(l.soft, 64);
	assert_true(file_limit_parse(unlimited, strlen(unlimited), &l, NULL));
	assert_int_equal(l.soft, UINT64_MAX);
}

static void look(const char *text, size_t len)
{
	struct file_limit l;
	struct cpu_ticks t;
	struct pressure p;

	if (pressure_parse(text, len, &p, NULL))
		assert_true(p.some_avg10 >= 0 && p.some_avg10 <= 100 && p.full_avg10 <= 100);
	if (cpu_ticks_parse(text, len, &t, NULL))
		assert_true(t.steal <= t.total);
	file_limit_parse(text, len, &l, NULL);
}

static void test_cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(both, sizeof(both) - 1, look);
	exact_spoil_everywhere(both, sizeof(both) - 1, look);
	exact_spoil_everywhere(ticks_text, sizeof(ticks_text) - 1, look);
	exact_cut_everywhere(ticks_text, sizeof(ticks_text) - 1, look);
	exact_spoil_everywhere(limits_text, sizeof(limits_text) - 1, look);
	exact_cut_everywhere(limits_text, sizeof(limits_text) - 1, look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pressure),       cmocka_unit_test(test_bad_pressure),
		cmocka_unit_test(test_ticks),	       cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cut_and_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
