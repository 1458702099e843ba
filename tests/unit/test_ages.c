/* SPDX-License-Identifier: Apache-2.0 */
/* test_ages.c - for how long tasks have waited: what the looks prove, and what they do not */
#include "render_world.h"

enum { HELD_MS = 4830, SELECT_MS = 340 };

static const struct snap_task *task(const struct world *w, uint32_t i)
{
	return &w->s.tasks[i];
}

static void assert_bound(const struct world *w, uint32_t i, int64_t ms)
{
	assert_true(task(w, i)->have_age && task(w, i)->age_is_lower);
	assert_int_equal(task(w, i)->age_ns, ms * MS);
}

/* None but the sleep, whose age was read. */
static void assert_none(const struct world *w)
{
	for (uint32_t i = 0; i < w->s.n_tasks; i++)
		if (i != 6)
			assert_false(task(w, i)->have_age);
}

static void sleeps(struct world *w)
{
	w->tasks[6].have_age = true;
	w->tasks[6].age_ns = 9000 * MS;
}

/* In the first callback of its turn, and still in it after all was read. */
static void make_held(struct world *w)
{
	make_blocked(w);
	w->loop.run.have_index = true;
	sleeps(w);
}

static void make_select(struct world *w)
{
	make_healthy(w);
	for (int i = 0; i < 2; i++) {
		w->looks[i].in_callbacks = false;
		w->looks[i].end_time = 0;
		w->looks[i].syscall = 232;
	}
	sleeps(w);
}

static void test_held(void **state)
{
	struct world w;

	(void)state;
	make_held(&w);
	w.tasks[1].state = SNAP_TASK_READY; /* its future is done: it waits for its turn */
	w.tasks[2].state = SNAP_TASK_CANCELLING;
	w.tasks[3].waits_for = 0; /* new: it has not waited for anything */
	w.tasks[3].state = SNAP_TASK_READY;
	w.tasks[4].torn = true;
	snapshot_ages(&w.s);
	assert_bound(&w, 0, HELD_MS);
	assert_bound(&w, 1, HELD_MS);
	assert_bound(&w, 2, HELD_MS);
	assert_false(task(&w, 3)->have_age);
	assert_false(task(&w, 4)->have_age);
	assert_false(task(&w, 6)->age_is_lower); /* exact: stays */
	assert_int_equal(task(&w, 6)->age_ns, 9000 * MS);
	assert_false(task(&w, 7)->have_age); /* it runs */
	w.tasks[4].torn = false;
	snapshot_ages(&w.s); /* again */
	assert_bound(&w, 4, HELD_MS);
	world_deinit(&w);
}

/* Each of these is missing from the proof, or against it. */
static void test_held_unproven(void **state)
{
	(void)state;
	for (int what = 0; what < 12; what++) {
		struct world w;

		make_held(&w);
		switch (what) {
		case 0: /* callbacks before it may have begun waits */
			w.loop.run.index = w.looks[0].index = w.looks[1].index = 1;
			break;
		case 1: /* taken to be the first */
			w.loop.run.have_index = false;
			break;
		case 2: /* one look: it may have moved on while tasks were read */
			w.s.n_looks = 1;
			break;
		case 3: /* another turn, whose number lies where the one before lay */
			w.looks[1].end_time += 1e-6;
			break;
		case 4:
			w.looks[1].handle += 64;
			break;
		case 5:
			w.looks[1].index = 1;
			break;
		case 6:
			w.looks[1].in_callbacks = false;
			break;
		case 7:
			w.loop.own_clock = true;
			break;
		case 8: /* libuv looks at its clock before callbacks of the same turn */
			w.loop.info.is_uvloop = true;
			break;
		case 9:
			w.loop.held_is_lower = true;
			break;
		case 10: /* both looks are older than what was read */
			w.s.clock_ns += 1000 * MS;
			break;
		case 11:
			w.looks[1].found = false;
			break;
		}
		snapshot_ages(&w.s);
		assert_none(&w);
		world_deinit(&w);
	}
}

/* Tasks that start eagerly begin to wait inside the callback that holds the loop. */
static void test_eager(void **state)
{
	static const char *const names[] = {"Task-3",  "Task-7", "Task-8",
					    "Task-3x", "conn",	 "Task-"};
	struct world w;

	(void)state;
	make_held(&w);
	w.loop.starts_eagerly = true;
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++)
		w.tasks[i].name = names[i];
	w.tasks[7].name = "Task-7"; /* the callback's: it was made before */
	snapshot_ages(&w.s);
	assert_bound(&w, 0, HELD_MS);
	assert_bound(&w, 1, HELD_MS);
	for (uint32_t i = 2; i < 6; i++)
		assert_false(task(&w, i)->have_age);
	w.tasks[6].name = "Task-8"; /* it has slept for longer */
	snapshot_ages(&w.s);
	assert_bound(&w, 2, HELD_MS);
	w.tasks[6].age_ns = HELD_MS * MS - 1;
	snapshot_ages(&w.s);
	assert_false(task(&w, 2)->have_age);
	w.loop.have_callback = false;
	snapshot_ages(&w.s);
	assert_none(&w);
	world_deinit(&w);
}

/* Debug mode knows when each callback began. */
static void test_debug_mode(void **state)
{
	struct world w;

	(void)state;
	make_held(&w);
	w.loop.run.index = w.looks[0].index = w.looks[1].index = 3;
	w.loop.run.have_start = true;
	w.loop.run.start = (double)NOW_NS / 1e9 - 0.5;
	snapshot_ages(&w.s);
	assert_none(&w); /* it may be of the callback before */
	w.loop.run.start_confirmed = true;
	snapshot_ages(&w.s);
	assert_bound(&w, 0, 500);
	w.loop.run.start -= 60; /* before the turn: forged */
	snapshot_ages(&w.s);
	assert_none(&w);
	world_deinit(&w);
}

static void test_select(void **state)
{
	struct world w;

	(void)state;
	make_select(&w);
	w.loop.starts_eagerly = true; /* nothing runs */
	snapshot_ages(&w.s);
	for (uint32_t i = 0; i < 6; i++)
		assert_bound(&w, i, SELECT_MS);
	assert_false(task(&w, 6)->age_is_lower);
	world_deinit(&w);
}

static void test_select_unproven(void **state)
{
	(void)state;
	for (int what = 0; what < 8; what++) {
		struct world w;

		make_select(&w);
		switch (what) {
		case 0: /* it ran in between */
			w.looks[1].on_cpu_ns += 1;
			break;
		case 1:
			w.looks[1].state = 'R';
			break;
		case 2: /* on its way out */
			w.looks[1].syscall = -2;
			break;
		case 3:
			w.looks[1].end_time = 1000;
			break;
		case 4:
			w.looks[0].have_sched = false;
			break;
		case 5: /* without a timer nobody knows since when */
			w.loop.have_select = false;
			break;
		case 6:
			w.loop.own_clock = true;
			break;
		case 7:
			w.loop.info.is_uvloop = true;
			break;
		}
		snapshot_ages(&w.s);
		assert_none(&w);
		world_deinit(&w);
	}
}

/* Too many sleeps to read each of them anew: they hold where the loop stood still. */
static void test_unverified(void **state)
{
	(void)state;
	for (int what = 0; what < 5; what++) {
		struct world w;

		if (what < 2)
			make_held(&w);
		else
			make_select(&w);
		w.tasks[6].age_unverified = true;
		w.loop.select_ns = what == 4 ? 999 * MS : 1000 * MS;
		w.looks[1].handle += what == 1;
		w.loop.turned = what == 3;
		snapshot_ages(&w.s);
		assert_int_equal(task(&w, 6)->have_age, what != 1);
		assert_int_equal(task(&w, 6)->age_is_lower, what > 2);
		world_deinit(&w);
	}
}

/* Of another loop nothing is said, and tasks without a loop that runs are left alone. */
static void test_other_loops(void **state)
{
	struct world w;

	(void)state;
	make_held(&w);
	w.tasks[0].loop = SNAP_NONE;
	w.tasks[1].loop = 1;
	snapshot_ages(&w.s);
	assert_false(task(&w, 0)->have_age);
	assert_false(task(&w, 1)->have_age);
	assert_bound(&w, 2, HELD_MS);
	w.looks[0].loop = w.looks[1].loop = 0x7f0000009000;
	snapshot_ages(&w.s);
	assert_none(&w);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_unproven),
		cmocka_unit_test(test_eager),
		cmocka_unit_test(test_debug_mode),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_unverified),
		cmocka_unit_test(test_select_unproven),
		cmocka_unit_test(test_other_loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
