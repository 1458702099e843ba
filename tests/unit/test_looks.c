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
				       .task = 4,
				       .have_more = true,
				       .gc = true,
				       .majflt = UINT64_MAX - 1,
				       .gil_holder = 0x7f0000000010};

static void test_round_trip(void **state)
{
	struct snap_look looks[3] = {first, {0}, first}, *again;
	struct snapshot s = {.looks = looks, .n_looks = 3}, back = {0};
	struct strbuf text = STRBUF_INIT;

	(void)state;
	looks[2].end_time = 4e-320; /* what decimal digits would lose */
	looks[2].state = 0;
	looks[2].have_more = false; /* of a recording of old */
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
	assert_true(again[0].have_more && again[0].gc);
	assert_int_equal(again[0].majflt, UINT64_MAX - 1);
	assert_int_equal(again[0].gil_holder, 0x7f0000000010);
	assert_false(again[2].have_more || again[2].gc || again[2].majflt || again[2].gil_holder);
	free(back.looks);
	strbuf_deinit(&text);
}

/* A light look proves a full one only with its turn, callback and stack. */
static void test_stands(void **state)
{
	struct snap_look looks[3] = {first, first, first};
	struct snapshot s = {.looks = looks, .n_looks = 3, .clock_ns = first.clock_ns};

	(void)state;
	looks[0].stack = looks[1].stack = looks[2].stack = 5;
	looks[1].loop = 99; /* another one */
	looks[2].clock_ns++;
	looks[2].leaf_instr = 40;
	assert_true(snapshot_stands(&s, first.loop));
	assert_false(snapshot_stands(&s, 0x77));
	looks[2].stack = 6;
	assert_false(snapshot_stands(&s, first.loop));
	looks[0].stack = looks[2].stack = 0; /* of a recording: not known */
	assert_false(snapshot_stands(&s, first.loop));
	looks[0].stack = looks[2].stack = 5;
	looks[2].handle--;
	assert_false(snapshot_stands(&s, first.loop));
	looks[2].handle++;
	looks[2].end_time += 1e-9;
	assert_false(snapshot_stands(&s, first.loop));
	looks[2].end_time = first.end_time;
	s.clock_ns = 1; /* the full look is not among them */
	assert_false(snapshot_stands(&s, first.loop));
}

#define OLD "1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n"

/* Two old lines must not be taken for one of now. */
static void test_old(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snapshot s = {.kernel_last = {.clock_ns = 7}};

	(void)state;
	strbuf_addstr(&text, OLD OLD);
	assert_true(snapshot_looks_read(&s, &text));
	assert_int_equal(s.n_looks, 2);
	assert_int_equal(s.looks[1].task, 6);
	assert_false(s.looks[0].have_more);
	assert_int_equal(s.kernel_last.clock_ns, 7); /* stays as the recording itself has it */
	free(s.looks);
	strbuf_deinit(&text);
}

static const struct snap_kernel counted = {.clock_ns = 1,
					   .have_cpu_stat = true,
					   .nr_periods = 2,
					   .nr_throttled = 3,
					   .throttled_us = 4,
					   .have_steal = true,
					   .steal_ticks = 5,
					   .total_ticks = UINT64_MAX,
					   .have_pressure = true,
					   .cpu_some_avg10 = 12.34,
					   .memory_full_avg10 = 100,
					   .cpu_some_us = 6,
					   .memory_full_us = 7,
					   .have_majflt = true,
					   .majflt = 8};

static void test_kernel(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snap_look look = first;
	struct snapshot s = {.looks = &look, .n_looks = 1, .kernel_first = counted}, back = {0};

	(void)state;
	s.kernel_last = (struct snap_kernel){.clock_ns = 9, .have_majflt = true};
	snapshot_looks_write(&s, &text);
	assert_true(snapshot_looks_read(&back, &text));
	assert_int_equal(back.n_looks, 1);
	assert_int_equal(back.kernel_first.clock_ns, 1);
	assert_true(back.kernel_first.have_cpu_stat && back.kernel_first.have_steal);
	assert_int_equal(back.kernel_first.nr_periods, 2);
	assert_int_equal(back.kernel_first.nr_throttled, 3);
	assert_int_equal(back.kernel_first.throttled_us, 4);
	assert_int_equal(back.kernel_first.steal_ticks, 5);
	assert_int_equal(back.kernel_first.total_ticks, UINT64_MAX);
	assert_true(back.kernel_first.have_pressure);
	assert_true(back.kernel_first.cpu_some_avg10 == 12.34);
	assert_true(back.kernel_first.memory_full_avg10 == 100);
	assert_int_equal(back.kernel_first.cpu_some_us, 6);
	assert_int_equal(back.kernel_first.memory_full_us, 7);
	assert_int_equal(back.kernel_first.majflt, 8);
	assert_int_equal(back.kernel_last.clock_ns, 9);
	assert_false(back.kernel_last.have_cpu_stat || back.kernel_last.have_steal ||
		     back.kernel_last.have_pressure);
	assert_true(back.kernel_last.have_majflt);
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

/* A line that begins with a word: the tasks of a loop, or of a kind that comes later. */
static void test_other_lines(void **state)
{
	struct snap_loop loop = {.run = {.loop = 0x7f00},
				 .growth = {.first_ns = 1000000000,
					    .last_ns = 3000000000,
					    .tasks_first = 10,
					    .tasks_last = 110,
					    .made_first = 20,
					    .made_last = 420}};
	struct snap_loop again = {.run = {.loop = 0x7f00}}, other = {.run = {.loop = 0x7f01}};
	struct snapshot s = {.loops = &loop, .n_loops = 1}, back = {.loops = &again, .n_loops = 1};
	struct strbuf text = STRBUF_INIT;

	(void)state;
	snapshot_looks_write(&s, &text);
	strbuf_addstr(&text, "weather fine and warm\n");
	assert_true(snapshot_looks_read(&back, &text));
	assert_int_equal(back.n_looks, 0);
	assert_true(again.growth.have_created && again.growth.have_growth);
	assert_true(again.growth.created_per_s > 199.9 && again.growth.created_per_s < 200.1);
	assert_true(again.growth.growth_per_s > 49.9 && again.growth.growth_per_s < 50.1);
	back.loops = &other;
	assert_true(snapshot_looks_read(&back, &text));
	assert_false(other.growth.have_created || other.growth.have_growth);
	strbuf_deinit(&text);
}

/* Refused, and never more looks than there were good lines in front. */
static void assert_refused(const char *bad)
{
	struct snap_look good = first;
	struct snapshot s = {.looks = &good, .n_looks = 1}, back = {0};
	struct strbuf text = STRBUF_INIT;

	snapshot_looks_write(&s, &text);
	strbuf_addstr(&text, bad);
	back.looks = mem_zalloc(1, sizeof(*back.looks)); /* its own, which stays */
	back.looks[0].tid = 77;
	back.n_looks = 1;
	if (snapshot_looks_read(&back, &text))
		fail_msg("taken: %s", bad);
	assert_int_equal(back.n_looks, 1);
	assert_int_equal(back.looks[0].tid, 77);
	free(back.looks);
	strbuf_deinit(&text);
}

static void test_forged(void **state)
{
	(void)state;
	assert_refused("\n");
	assert_refused("7x\n");
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2\n"); /* one is missing */
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6"); /* not ended */
	assert_refused("1 2 3 1 1 83 0 1 5 nan 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 1 5 inf 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 1 5 -1e999 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 -1 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 -1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6 1\n");
	assert_refused("1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6 1 2\n");
	assert_refused("kernel\n");
	assert_refused("kernel 1 1 2 3 4 1 5 6 1 0x1p+1 0x1p+1 6 7 1\n");
	assert_refused("kernel 0 1 2 3 4 1 5 6 1 0x1p+1 0x1p+1 6 7 1 8\n");
	assert_refused("kernel 1 1 2 3 4 1 5 6 1 nan 0x1p+1 6 7 1 8\n");
	assert_refused("kernel 1 1 2 3 4 1 5 6 1 0x1p+1 -0x1p+1 6 7 1 8\n");
	assert_refused("kernel 1 1 2 3 4 1 5 6 1 0x1p+1 0x1p+9 6 7 1 8\n");
	assert_refused("kernel 18446744073709551615 1 2 3 4 1 5 6 1 0x1p+1 0x1p+1 6 7 1 8\n");
	assert_refused("tasks 7f00 1 2 3 4 5\n");
	assert_refused("tasks 7f00 2 1 3 4 5 6\n");
	assert_refused("tasks 7f00 1 2 -9223372036854775808 4 5 6\n");
	assert_refused("tasks 7f00 1 18446744073709551615 3 4 5 6\n");
	assert_refused("tasks 7f00 1 2 3 9223372036854775807 5 6\n");
	assert_refused("18446744073709551615 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
}

static void test_long_line(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snapshot s = {0};

	(void)state;
	strbuf_addstr(&text, "1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6");
	strbuf_pad(&text, ' ', 5000);
	strbuf_addch(&text, '\n');
	assert_false(snapshot_looks_read(&s, &text));
	assert_int_equal(s.n_looks, 0);
	strbuf_deinit(&text);
}

static void test_too_many(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct snapshot s = {0};

	(void)state;
	for (unsigned i = 0; i <= SNAP_MAX_LOOKS; i++)
		strbuf_addstr(&text, "1 2 3 1 1 83 0 1 5 0x1p+1 1 2 3 4 5 1 0 -2 6\n");
	assert_false(snapshot_looks_read(&s, &text));
	assert_int_equal(s.n_looks, 0);
	strbuf_deinit(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_stands),
		cmocka_unit_test(test_old),	   cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_nothing),	   cmocka_unit_test(test_other_lines),
		cmocka_unit_test(test_forged),	   cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
