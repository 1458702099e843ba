/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "stallscope/strbuf.h"

static void test_empty(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	assert_string_equal(sb.data, "");
	strbuf_add(&sb, NULL, 0);
	strbuf_addstr(&sb, "");
	strbuf_pad(&sb, 'x', 0);
	strbuf_setlen(&sb, 0);
	strbuf_reset(&sb);
	assert_string_equal(sb.data, "");
	assert_int_equal(sb.cap, 0);
	strbuf_deinit(&sb);
	strbuf_deinit(&sb);
	assert_string_equal(strbuf_empty, "");
}

static void test_grows(void **state)
{
	struct strbuf sb;

	(void)state;
	strbuf_init(&sb);
	for (int i = 0; i < 10000; i++) {
		strbuf_addch(&sb, (char)('a' + i % 26));
		assert_int_equal(sb.data[sb.len], 0);
	}
	assert_int_equal(sb.len, 10000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(sb.data[i], 'a' + i % 26);
	strbuf_reset(&sb);
	assert_string_equal(sb.data, "");
	assert_true(sb.cap > 10000);
	strbuf_deinit(&sb);
	assert_int_equal(sb.cap, 0);
}

static void test_nul_bytes(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	strbuf_add(&sb, "a\0b", 3);
	strbuf_addch(&sb, 0);
	strbuf_addstr(&sb, "c");
	assert_int_equal(sb.len, 5);
	assert_memory_equal(sb.data, "a\0b\0c\0", 6);
	strbuf_deinit(&sb);
}

/* Every length, so that each meets every state of the room that is left. */
static void test_printf(void **state)
{
	(void)state;
	for (int len = 0; len < 300; len++) {
		struct strbuf sb = STRBUF_INIT;

		strbuf_addf(&sb, "%*s", len, "");
		assert_int_equal(sb.len, len);
		strbuf_addf(&sb, "<%0*d>", len + 1, 7);
		assert_int_equal(sb.len, 2 * len + 3);
		assert_int_equal(sb.data[sb.len], 0);
		assert_int_equal(strlen(sb.data), sb.len);
		assert_int_equal(sb.data[sb.len - 1], '>');
		strbuf_deinit(&sb);
	}
}

static void test_room(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	char *room;

	(void)state;
	strbuf_addstr(&sb, "head ");
	room = strbuf_room(&sb, 100000);
	memset(room, 'x', 100000);
	strbuf_setlen(&sb, sb.len + 100000);
	assert_int_equal(sb.len, 100005);
	assert_memory_equal(sb.data, "head xxx", 8);
	strbuf_setlen(&sb, 4);
	assert_string_equal(sb.data, "head");
	strbuf_pad(&sb, '-', 3);
	assert_string_equal(sb.data, "head---");
	strbuf_deinit(&sb);
}

static void test_cleanup(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		cleanup_strbuf struct strbuf sb = STRBUF_INIT;

		strbuf_addf(&sb, "%d", i); /* the leak checker sees it if it is not released */
		assert_int_equal(sb.len, 1);
	}
}

static void test_ends_with(void **state)
{
	(void)state;
	assert_true(str_ends_with("asyncio/events.py", "events.py"));
	assert_true(str_ends_with("x", ""));
	assert_true(str_ends_with("", ""));
	assert_false(str_ends_with("py", "events.py"));
	assert_false(str_ends_with("events.pyc", "events.py"));
}

static void distances(void **state)
{
	static const struct {
		const char *a, *b;
		size_t distance;
	} rows[] = {
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"io.db", "io.db", 0},
		{"IO.db", "io.DB", 0},
		{"io.htp", "io.http", 1},
		{"kitten", "sitting", 3},
		{"ab", "ba", 1},
		{"dmup", "dump", 1},
		{"wacht", "watch", 2},
	};
	char text[100];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(str_distance(rows[i].a, rows[i].b), rows[i].distance);
	memset(text, 'x', 99);
	text[99] = 0;
	assert_int_equal(str_distance(text, "x"), 99);
	text[STR_DISTANCE_MAX] = 0;
	assert_int_equal(str_distance(text, text + 1), 1);
}

static void test_plural(void **state)
{
	(void)state;
	assert_string_equal(PLURAL(0u, "task", "tasks"), "tasks");
	assert_string_equal(PLURAL(1u, "task", "tasks"), "task");
	assert_string_equal(PLURAL(INT64_C(2), "task", "tasks"), "tasks");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),	  cmocka_unit_test(test_grows),
		cmocka_unit_test(test_nul_bytes), cmocka_unit_test(test_printf),
		cmocka_unit_test(test_room),	  cmocka_unit_test(test_cleanup),
		cmocka_unit_test(test_ends_with), cmocka_unit_test(distances),
		cmocka_unit_test(test_plural),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
