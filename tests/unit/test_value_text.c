/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <float.h>

#include <cmocka.h>

#include "cpython/value_text.h"
#include "stallscope/arena.h"

static void assert_becomes(struct strbuf *out, const char *expected)
{
	assert_string_equal(out->data, expected);
	strbuf_deinit(out);
	strbuf_init(out);
}

static void ints(void **state)
{
	struct strbuf out = STRBUF_INIT;
	uint32_t digits[INT_DIGITS_MAX] = {0};

	(void)state;
	value_add_int(&out, digits, 0, false);
	assert_becomes(&out, "0");
	value_add_int(&out, digits, 3, true); /* nobody makes such a one */
	assert_becomes(&out, "-0");
	digits[0] = 1000000000;
	value_add_int(&out, digits, 1, true);
	assert_becomes(&out, "-1000000000");
	digits[0] = 0;
	digits[2] = 1; /* 2^60 */
	value_add_int(&out, digits, 3, false);
	assert_becomes(&out, "1152921504606846976");
	for (size_t i = 0; i < INT_DIGITS_MAX; i++)
		digits[i] = 0x3fffffff;
	value_add_int(&out, digits, INT_DIGITS_MAX, false);
	assert_becomes(&out,
		       "2037035976334486086268445688409378161051468393665936250636140449354381"
		       "299763336706183397375");
}

static void long_ints(void **state)
{
	static const uint32_t one[3] = {0, 0, 1}, all[3] = {0x3fffffff, 0x3fffffff, 0x3fffffff};
	struct strbuf out = STRBUF_INIT;

	(void)state;
	value_add_long_int(&out, one, 12, true); /* 2^330 */
	assert_becomes(&out, "int of 331 bits -0x800000000000000\xe2\x80\xa6");
	value_add_long_int(&out, all, 11, false);
	assert_becomes(&out, "int of 330 bits 0xfffffffffffffff\xe2\x80\xa6");
}

/* As repr() of CPython 3.11 has them. */
static void floats(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0.0, "0.0"},
		     {-0.0, "-0.0"},
		     {1, "1.0"},
		     {0.1, "0.1"},
		     {1.0 / 3, "0.3333333333333333"},
		     {100, "100.0"},
		     {1e15, "1000000000000000.0"},
		     {1e16, "1e+16"},
		     {123456789012345680, "1.2345678901234568e+17"},
		     {0.0001, "0.0001"},
		     {0.00001, "1e-05"},
		     {5e-324, "5e-324"},
		     {DBL_MAX, "1.7976931348623157e+308"},
		     {9007199254740992, "9007199254740992.0"},
		     {2.5e-7, "2.5e-07"},
		     {INFINITY, "inf"},
		     {-INFINITY, "-inf"},
		     {NAN, "nan"}};
	struct strbuf out = STRBUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		value_add_float(&out, cases[i].value);
		assert_becomes(&out, cases[i].text);
	}
}

static void strings(void **state)
{
	static const uint32_t evil[] = {'a', '\'', '\\', '\n', 0x1b, 0x202e, 0xd800, 0x110000};
	static const uint32_t both[] = {'\'', '"'}, mark[] = {0x301, 0x301, 0x301, 0x301};
	struct strbuf out = STRBUF_INIT;

	(void)state;
	value_add_str(&out, evil, 0, false);
	assert_becomes(&out, "''");
	value_add_str(&out, evil, ARRAY_SIZE(evil), false);
	assert_becomes(&out, "\"a'\\\\\\n\\x1b\\u202e\\ud800\\U00110000\"");
	value_add_str(&out, both, ARRAY_SIZE(both), true);
	assert_becomes(&out, "'\\'\"\xe2\x80\xa6'");
	value_add_str(&out, mark, ARRAY_SIZE(mark), false);
	assert_becomes(&out, "'\xcc\x81\xcc\x81\\u0301\xcc\x81'");
}

static void byte_strings(void **state)
{
	static const uint8_t bytes[] = {'a', '\'', 0, 0x7f, 0xff, '\\', '\t'};
	struct strbuf out = STRBUF_INIT;

	(void)state;
	value_add_bytes(&out, bytes, 0, false);
	assert_becomes(&out, "b''");
	value_add_bytes(&out, bytes, ARRAY_SIZE(bytes), true);
	assert_becomes(&out, "b\"a'\\x00\\x7f\\xff\\\\\\t\xe2\x80\xa6\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ints),	   cmocka_unit_test(long_ints),	   cmocka_unit_test(floats),
		cmocka_unit_test(strings), cmocka_unit_test(byte_strings),
	};

	return cmocka_run_group_tests_name("value_text", tests, NULL, NULL);
}
