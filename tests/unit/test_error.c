/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "stallscope/error.h"

static void test_set(void **state)
{
	struct error err;

	(void)state;
	memset(&err, 0x5a, sizeof(err));
	assert_false(error_set(&err, ERR_CORRUPT, "line %d of %s", 7, "maps"));
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_int_equal(err.sys, 0);
	assert_int_equal(err.address, 0);
	assert_string_equal(err.text, "line 7 of maps");
	assert_string_equal(err.hint, "");
}

static void test_null_is_allowed(void **state)
{
	(void)state;
	assert_false(error_set(NULL, ERR_FAULT, "%s", "x"));
	assert_false(error_sys(NULL, ERR_FAULT, EACCES, "%s", "x"));
	assert_false(error_fault(NULL, 1, EFAULT));
	assert_false(error_add(NULL, "%s", "x"));
	assert_false(error_hint(NULL, "%s", "x"));
}

static void test_sys(void **state)
{
	struct error err;

	(void)state;
	assert_false(error_sys(&err, ERR_PERMISSION, EACCES, "/proc/%d/mem", 17));
	assert_int_equal(err.sys, EACCES);
	assert_string_equal(err.text, "/proc/17/mem: Permission denied");
}

static void test_fault(void **state)
{
	static const struct {
		uint64_t address;
		const char *text;
	} rows[] = {
		{0, "cannot read the target's memory at 0x0"},
		{0xf, "cannot read the target's memory at 0xf"},
		{0x10, "cannot read the target's memory at 0x10"},
		{0x7f1234567890, "cannot read the target's memory at 0x7f1234567890"},
		{UINT64_C(1) << 63, "cannot read the target's memory at 0x8000000000000000"},
		{UINT64_MAX, "cannot read the target's memory at 0xffffffffffffffff"},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&err, 0x5a, sizeof(err));
		assert_false(error_fault(&err, rows[i].address, EFAULT));
		assert_int_equal(err.code, ERR_FAULT);
		assert_int_equal(err.sys, EFAULT);
		assert_int_equal(err.address, rows[i].address);
		assert_string_equal(err.text, rows[i].text);
		assert_string_equal(err.hint, "");
	}
}

static void test_add(void **state)
{
	struct error err;

	(void)state;
	error_fault(&err, 0x1000, EFAULT);
	error_hint(&err, "look %s", "there");
	assert_false(error_add(&err, "task %d", 3));
	assert_false(error_add(&err, "reading tasks"));
	assert_string_equal(err.text,
			    "reading tasks: task 3: cannot read the target's memory at 0x1000");
	assert_string_equal(err.hint, "look there");
	assert_int_equal(err.address, 0x1000);
	assert_int_equal(err.code, ERR_FAULT);
}

static void test_long_texts_are_cut(void **state)
{
	char text[2000];
	struct error err;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	error_set(&err, ERR_FAULT, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_sys(&err, ERR_FAULT, EIO, "%s", text);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_hint(&err, "%s", text);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
	for (int i = 0; i < 5; i++)
		error_add(&err, "%s", text);
	assert_true(strlen(err.text) < sizeof(err.text));
	error_set(&err, ERR_FAULT, "%s", text);
	error_add(&err, "context");
	assert_memory_equal(err.text, "context: xxx", 12);
}

static void test_statuses(void **state)
{
	(void)state;
	assert_int_equal(error_exit_status(ERR_OK), 0);
	assert_int_equal(error_exit_status(ERR_USAGE), 2);
	assert_int_equal(error_exit_status(ERR_GONE), 66);
	assert_int_equal(error_exit_status(ERR_FAULT), 75);
	assert_int_equal(error_exit_status(ERR_PERMISSION), 77);
	assert_int_equal(error_exit_status((enum error_code)1000), 70);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),	 cmocka_unit_test(test_null_is_allowed),
		cmocka_unit_test(test_sys),	 cmocka_unit_test(test_fault),
		cmocka_unit_test(test_add),	 cmocka_unit_test(test_long_texts_are_cut),
		cmocka_unit_test(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
