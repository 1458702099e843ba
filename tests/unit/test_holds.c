/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_holds.c - holds out of light looks: when they began, were over, and when to look next
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "stallscope/holds.h"

#define MS UINT64_C(1000000)

static const struct hold_pace pace = {10 * MS, 10 * MS, 100 * MS, 2 * MS};

static bool look(struct hold *h, enum pulse_state state, uint64_t at_ms, uint64_t since_ms,
		 struct hold *over)
{
	struct pulse_reading r = {.state = state,
				  .clock_ns = at_ms * MS,
				  .turn = since_ms,
				  .since_ns = since_ms * MS};

	return hold_look(h, &r, over);
}

static void test_a_turn_that_is_seen_once(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	assert_false(look(&h, PULSE_SELECT, 1000, 0, &over));
	assert_false(h.on);
	assert_false(look(&h, PULSE_HELD, 1010, 1003, &over));
	assert_true(h.on);
	assert_true(look(&h, PULSE_SELECT, 1020, 0, &over));
	assert_false(h.on);
	assert_int_equal(over.since_ns, 1003 * MS);
	assert_int_equal(hold_least_ns(&over), 7 * MS);
	assert_int_equal(hold_most_ns(&over), 17 * MS);
	assert_int_equal(hold_likely_ns(&over), 12 * MS);
}

/* The next turn tells when the one before it was over, better than the look that saw it. */
static void test_the_next_turn_ends_it(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	look(&h, PULSE_HELD, 1010, 1000, &over);
	assert_false(look(&h, PULSE_HELD, 1050, 1000, &over));
	assert_true(look(&h, PULSE_HELD, 1090, 1051, &over));
	assert_int_equal(hold_least_ns(&over), 50 * MS);
	assert_int_equal(hold_most_ns(&over), 51 * MS);
	assert_true(h.on);
	assert_int_equal(h.since_ns, 1051 * MS);
}

/* A turn that says that it began before the other was seen last: the numbers are forged. */
static void test_a_turn_out_of_order(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	look(&h, PULSE_HELD, 1010, 1000, &over);
	assert_true(look(&h, PULSE_HELD, 1020, 900, &over));
	assert_int_equal(hold_most_ns(&over), 20 * MS);
}

static void test_a_loop_that_is_lost(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	look(&h, PULSE_HELD, 1010, 1000, &over);
	assert_true(look(&h, PULSE_LOST, 1020, 0, &over));
	assert_true(over.is_lost);
	assert_false(h.on);
}

/* Of a wait that does not end only the first reading says since when. */
static void test_a_wait_that_is_late(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	assert_false(look(&h, PULSE_LATE, 1010, 1000, &over));
	assert_false(look(&h, PULSE_LATE, 1200, 1001, &over));
	assert_true(h.is_late);
	assert_int_equal(hold_least_ns(&h), 200 * MS);
	assert_true(look(&h, PULSE_HELD, 1210, 1205, &over));
	assert_true(over.is_late);
	assert_int_equal(hold_most_ns(&over), 205 * MS);
}

static void test_when_to_look(void **state)
{
	struct hold h = {0}, over;

	(void)state;
	assert_int_equal(hold_next(&h, &pace, 1020 * MS), 1020 * MS);
	look(&h, PULSE_HELD, 1010, 1003, &over);
	/* it may be one of 10 ms then, which the even look would see later */
	assert_int_equal(hold_next(&h, &pace, 1020 * MS), 1013 * MS);
	look(&h, PULSE_HELD, 1013, 1003, &over);
	assert_int_equal(hold_next(&h, &pace, 1020 * MS), 1020 * MS);
	look(&h, PULSE_HELD, 1100, 1003, &over);
	assert_int_equal(hold_next(&h, &pace, 1110 * MS), 1103 * MS);
	look(&h, PULSE_HELD, 1103, 1003, &over);
	assert_int_equal(hold_next(&h, &pace, 1110 * MS), 1105 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_turn_that_is_seen_once),
		cmocka_unit_test(test_the_next_turn_ends_it),
		cmocka_unit_test(test_a_turn_out_of_order),
		cmocka_unit_test(test_a_loop_that_is_lost),
		cmocka_unit_test(test_a_wait_that_is_late),
		cmocka_unit_test(test_when_to_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
