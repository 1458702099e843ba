/* SPDX-License-Identifier: Apache-2.0 */
/* Held, healthy and flooded loops on a snapshot built by hand: what must match, and what must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose_world.h"

static void blocked_in_receive(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	held(&w, 4830 * MS);
	look(&w, 0, 0, 38, 0);
	look(&w, 20, 0, 38, 0);
	in_call(&w, 45, 6); /* recvfrom */
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_string_equal(v.kind, "blocked.io.socket");
	assert_int_equal(v.confidence, CONFIDENCE_CERTAIN);
	assert_int_equal(v.culprit.frame, 1);
	assert_int_equal(v.culprit.leaf, 0);
	assert_int_equal(v.culprit.slice.n, 2); /* Handle._run is not part of it */
	assert_string_equal(v.culprit.system_call, "recvfrom");
	assert_int_equal(v.same_callback, 1);
	assert_true(v.on_cpu >= 0 && v.on_cpu < 0.01);
}

static void burning_cpu(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.thread.os.stat.state = 'R';
	held(&w, 1620 * MS);
	look(&w, 0, 0, 1, 0);
	look(&w, 20, 0, 1, 19);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_string_equal(v.kind, "cpu.python");
	assert_true(v.on_cpu > 0.9);
}

static void one_look_is_enough_for_the_first_callback(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	held(&w, 500 * MS);
	look(&w, 0, 0, 3, 0);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_int_equal(v.confidence, CONFIDENCE_CERTAIN);
	assert_int_equal(v.same_callback, -1);
	w.looks[0].index = w.loop.run.index = 2; /* others ran in this turn before it */
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_int_equal(v.confidence, CONFIDENCE_MEDIUM);
}

/* A look that did not find the turn (its loop may have ended) proves nothing. */
static void looks_that_found_nothing(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	held(&w, 500 * MS);
	look(&w, 0, 2, 3, 0);
	look(&w, 20, 2, 3, 0);
	assert_int_equal(judge(&w).confidence, CONFIDENCE_HIGH);
	w.looks[1].found = w.looks[1].in_callbacks = false;
	w.looks[1].end_time = 0;
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_int_equal(v.confidence, CONFIDENCE_MEDIUM);
	assert_int_equal(v.same_callback, -1);
	assert_non_null(strstr(v.evidence[1].fact, "in 1 of 2 looks"));
}

static void below_the_threshold_is_healthy(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 99 * MS);
	look(&w, 0, 0, 1, 0);
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
	held(&w, 100 * MS);
	w.looks[0].end_time = w.loop.run.end_time;
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
}

static void flood_moves_through_its_batch(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.thread.os.stat.state = 'R';
	held(&w, 150 * MS);
	look(&w, 0, 10000, 20000, 0);
	look(&w, 20, 11333, 20000, 20);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_OVERLOADED);
	assert_true(v.turn_s > 0.29 && v.turn_s < 0.31); /* 15 us each, 20,000 of them */
	assert_true(v.callback_s > 14e-6 && v.callback_s < 16e-6);
}

/* A small batch that moves is not a flood, and never a stall. */
static void moving_small_batch_is_not_stalled(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 120 * MS);
	look(&w, 0, 3, 8, 0);
	look(&w, 20, 4, 8, 10);
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
}

/* Another turn began: what was held at the first look may have been several callbacks. */
static void next_turn_is_no_stall_unless_first_callback(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 300 * MS);
	look(&w, 0, 5, 9, 0);
	look(&w, 20, 0, 1, 0)->end_time += 0.31;
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
	w.looks[0].index = w.loop.run.index = 0;
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
}

static void waiting_in_select_is_healthy(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.loop.phase = SNAP_SELECT;
	w.loop.run.have_end_time = w.loop.run.have_batch = false;
	look(&w, 0, 0, 0, 0)->end_time = 0;
	in_call(&w, 232, 4);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_HEALTHY);
	assert_int_equal(v.culprit.frame, SNAP_NONE);
}

static void stopped_wins_over_held(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 9000 * MS);
	look(&w, 0, 0, 1, 0);
	w.s.process_state = 'T';
	assert_int_equal(judge(&w).id, VERDICT_STOPPED);
	w.s.process_state = 't';
	w.looks[0].state = 't';
	assert_int_equal(judge(&w).id, VERDICT_TRACED);
	look(&w, 20, 0, 1, 0); /* it runs again: a profiler's sample */
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
}

static void no_loop_without_loops(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	w.s.n_loops = 0;
	w.s.looks = NULL; /* as it is without loops; sanitizers see what is done with it */
	assert_int_equal(judge(&w).id, VERDICT_NO_LOOP);
}

static void unread_loop_is_unsure(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	w.loop.phase = SNAP_UNKNOWN;
	look(&w, 0, 0, 0, 0)->found = false;
	assert_int_equal(judge(&w).id, VERDICT_UNSURE);
}

/* Times of the target may be anything: what is made of them stays a number. */
static void forged_times(void **state)
{
	static const double times[] = {1e300, -1e300, 1e10, -1e10, 9.3e9, 0, 4e-320};
	struct world w;
	struct verdict v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		for (size_t j = 0; j < ARRAY_SIZE(times); j++) {
			init(&w);
			held(&w, 500 * MS);
			w.loop.info.worst_late = times[i];
			look(&w, 0, 7, INT64_MAX, 0)->end_time = times[j];
			look(&w, 20, INT64_MAX, INT64_MAX, 0)->end_time = times[i];
			look(&w, -2000000, 3, 9, 0)->end_time = times[j];
			v = judge(&w);
			assert_true(v.lag_ns >= 500 * MS && v.lag_ns <= AIO_NS_MAX);
		}
	assert_int_equal(aio_ns(1.5), 1500 * MS);
	assert_int_equal(aio_ns(-0.001), -MS);
	assert_int_equal(aio_ns(1e300), AIO_NS_MAX);
	assert_int_equal(aio_ns(-1e300), -AIO_NS_MAX);
	assert_int_equal(aio_ns((double)INFINITY), AIO_NS_MAX);
	assert_int_equal(aio_ns((double)NAN), 0);
}

/* A fact that quotes a name is cut between characters. */
static void long_names_are_cut_whole(void **state)
{
	struct snap_thread threads[2];
	struct verdict v;
	struct world w;
	char name[300];

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		size_t len;

		init(&w);
		held(&w, 500 * MS);
		memset(name, 'x', shift);
		for (size_t i = shift; i + 4 <= sizeof(name); i += 3)
			memcpy(name + i, "\xe4\xb8\xad", 4);
		threads[0] = threads[1] = w.thread;
		w.s.threads = threads;
		w.s.n_threads = 2;
		threads[1].name = name;
		threads[1].holds_gil = true;
		look(&w, 0, 0, 1, 0)->waits_for_gil = true;
		v = judge(&w);
		assert_int_equal(v.id, VERDICT_STARVED);
		assert_int_equal(v.n_evidence, 2);
		len = strlen(v.evidence[1].fact);
		assert_true(len > sizeof(v.evidence[1].fact) - 4);
		assert_string_equal(v.evidence[1].fact + len - 3, "\xe4\xb8\xad");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocked_in_receive),
		cmocka_unit_test(burning_cpu),
		cmocka_unit_test(looks_that_found_nothing),
		cmocka_unit_test(one_look_is_enough_for_the_first_callback),
		cmocka_unit_test(below_the_threshold_is_healthy),
		cmocka_unit_test(flood_moves_through_its_batch),
		cmocka_unit_test(moving_small_batch_is_not_stalled),
		cmocka_unit_test(next_turn_is_no_stall_unless_first_callback),
		cmocka_unit_test(waiting_in_select_is_healthy),
		cmocka_unit_test(stopped_wins_over_held),
		cmocka_unit_test(no_loop_without_loops),
		cmocka_unit_test(unread_loop_is_unsure),
		cmocka_unit_test(forged_times),
		cmocka_unit_test(long_names_are_cut_whole),
	};

	return cmocka_run_group_tests_name("diagnose", tests, NULL, NULL);
}
