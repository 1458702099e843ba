/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpython/ops.h"

/* A copy of exactly the table's size, so that ASan sees any read behind it. */
static struct py_position find(enum py_line_format format, const uint8_t *table, size_t len,
			       int32_t first, int32_t offset)
{
	uint8_t *copy = calloc(1, len ? len : 1);
	struct py_position pos;

	memcpy(copy, table, len);
	pos = line_table_find(format, copy, len, first, offset);
	free(copy);
	return pos;
}

static int line(enum py_line_format format, const uint8_t *table, size_t len, int32_t offset)
{
	return find(format, table, len, 10, offset).line;
}

/* def f():\n  a = 1\n  b = 2\n: +0 line 1, +4 line 2 (Objects/lnotab_notes.txt) */
static void lnotab_walks(void **state)
{
	static const uint8_t t[] = {0, 1, 4, 1, 4, 0xff};

	(void)state;
	assert_int_equal(line(PY_LINES_LNOTAB, t, sizeof(t), 0), 11);
	assert_int_equal(line(PY_LINES_LNOTAB, t, sizeof(t), 3), 11);
	assert_int_equal(line(PY_LINES_LNOTAB, t, sizeof(t), 4), 12);
	assert_int_equal(line(PY_LINES_LNOTAB, t, sizeof(t), 8), 11);
	assert_int_equal(line(PY_LINES_LNOTAB, t, sizeof(t), 1000), 11);
	assert_int_equal(line(PY_LINES_LNOTAB, t, 5, 8), 12); /* odd length: half a pair */
}

static void linetable_has_gaps(void **state)
{
	static const uint8_t t[] = {4, 1, 2, 0x80, 4, 1};

	(void)state;
	assert_int_equal(line(PY_LINES_LINETABLE, t, sizeof(t), 0), 11);
	assert_int_equal(line(PY_LINES_LINETABLE, t, sizeof(t), 4), 0);
	assert_int_equal(line(PY_LINES_LINETABLE, t, sizeof(t), 6), 12);
	assert_int_equal(line(PY_LINES_LINETABLE, t, sizeof(t), 10), 0);
}

static void location_forms(void **state)
{
	static const uint8_t t[] = {
		0x80 | 3 << 3 | 0,  0x25,	   /* short: 1 unit, column 26, end 31 */
		0x80 | 11 << 3 | 1, 4,	  9,	   /* line +1, 2 units, columns 4..9 */
		0x80 | 13 << 3 | 0, 0x03,	   /* no columns, line -1 */
		0x80 | 14 << 3 | 0, 4,	  2, 6, 8, /* long: line +2, end +2, columns 5..7 */
		0x80 | 15 << 3 | 0,		   /* no location */
	};
	struct py_position p;

	(void)state;
	p = find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 0);
	assert_int_equal(p.line, 10);
	assert_int_equal(p.col, 26);
	assert_int_equal(p.end_col, 31);
	p = find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 4);
	assert_int_equal(p.line, 11);
	assert_int_equal(p.col, 4);
	p = find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 6);
	assert_int_equal(p.line, 10);
	assert_int_equal(p.col, -1);
	p = find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 8);
	assert_int_equal(p.line, 12);
	assert_int_equal(p.end_line, 14);
	assert_int_equal(p.col, 5);
	assert_int_equal(p.end_col, 7);
	assert_int_equal(find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 10).line, 0);
	assert_int_equal(find(PY_LINES_LOCATIONS, t, sizeof(t), 10, 12).line, 0);
}

static void not_started_is_first_line(void **state)
{
	(void)state;
	assert_int_equal(find(PY_LINES_LOCATIONS, (const uint8_t *)"", 0, 7, -1).line, 7);
}

/* Every truncation and a few thousand random tables: no read outside, no crash. */
static void garbage_is_harmless(void **state)
{
	uint8_t t[64];

	(void)state;
	srand(1);
	for (int round = 0; round < 3000; round++) {
		size_t len = (size_t)rand() % sizeof(t);

		for (size_t i = 0; i < len; i++)
			t[i] = (uint8_t)rand();
		for (int f = PY_LINES_LNOTAB; f <= PY_LINES_LOCATIONS; f++)
			find((enum py_line_format)f, t, len, rand(), rand() % 300);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lnotab_walks),	       cmocka_unit_test(linetable_has_gaps),
		cmocka_unit_test(location_forms),      cmocka_unit_test(not_started_is_first_line),
		cmocka_unit_test(garbage_is_harmless),
	};

	return cmocka_run_group_tests_name("line_table", tests, NULL, NULL);
}
