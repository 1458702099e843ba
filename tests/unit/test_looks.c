/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_looks.c - the series of looks as a note of a recording: written, read, forged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stallscope/snapshot.h"

static const struct snap_look first = {.clock_ns = UINT64_C(81231231231231),
				       .loop = 0x7f1234567890,
				       .tid = 4242,
				       .found = true,
				       .in_callbacks = true,
				       .state = 'S',
				       .index = 7,
				       .ntodo = INT64_MAX,
				       .handle = UINT64_MAX,
				       .end_time = 81231.123456789,
				       .leaf_frame = 1,
				       .leaf_code = 2,
				       .leaf_instr = -1,
				       .on_cpu_ns = 3,
				       .run_queue_ns = UINT64_MAX,
				       .have_sched = true,
				       .waits_for_gil = true,
				       .syscall = -2,
				       .task = 4};

static void test_round_trip(void **state)
{
	struct snap_look looks[3] = {first, {0}, first}, *again;
	struct snapshot s = {.looks = looks, .n_looks = 3}, back = {0};
	struct strbuf text = STRBUF_INIT;

	(void)state;
	looks[2].end_time = 4e-320; /* what decimal digits would lose */
	looks[2].state = 0;
	snapshot_looks_write(&s, &text);
	for (int round = 0; round < 2; round++) { /* the second takes the place of the first */
		assert_true(snapshot_looks_read(&back, &text));
		assert_int_equal(back.n_looks, 3);
		again = back.looks;
		for (size_t i = 0; i < 3; i++) {
			struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;
			struct snapshot a = {.looks = &looks[i], .n_looks = 1};
			struct snapshot b = {.looks = &again[i], .n_looks = 1};

			snapshot_looks_write(&a, &one);
			snapshot_looks_write(&b, &two);
			assert_string_equal(one.data, two.data);
			assert_true(again[i].end_time == looks[i].end_time);
			strbuf_deinit(&one);
			strbuf_deinit(&two);
		}
	}
	assert_int_equal(again[0].ntodo, INT64_MAX);
	assert_int_equal(again[0].syscall, -2);
	assert_int_equal(again[0].state, 'S');
	free(back.looks);
	strbuf_deinit(&text);
}

static void test_nothing(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snapshot s = {0};

	(void)state;
	snapshot_looks_write(&s, &text);
	assert_int_equal(text.len, 0);
	assert_true(snapshot_looks_read(&s, &text));
	assert_int_equal(s.n_looks, 0);
}

/* Refused, and never more looks than there were good lines in front. */
static void assert_refused(const char *bad)
{
	struct snap_look good = first;
	struct snapshot s = {.looks = &good, .n_looks = 1}, back = {0};
	struct strbuf text = STRBUF_INIT;

	snapshot_looks_write(&s, &text);
	strbuf_addstr(&text, bad);
	if (snapshot_looks_read(&back, &text))
		fail_msg("taken: %s", bad);
	assert_int_equal(back.n_looks, 1);
	free(back.looks);
	strbuf_deinit(&text);
}

static void test_forged(void **state)
{
	(void)state;
	assert_refused("\n");
	assert_refused("x\n");
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2\n"); /* one is missing */
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6"); /* not ended */
	assert_refused("1 2 3 1 1 83 0 1 5 nan 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 1 5 inf 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 1 5 -1e999 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 -1 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 -1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("18446744073709551615 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
}

static void test_too_many(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snapshot s = {0};

	(void)state;
	for (unsigned i = 0; i <= SNAP_MAX_LOOKS; i++)
		strbuf_addstr(&text, "1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_false(snapshot_looks_read(&s, &text));
	assert_int_equal(s.n_looks, SNAP_MAX_LOOKS);
	free(s.looks);
	strbuf_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
