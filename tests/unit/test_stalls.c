/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_stalls.c - holds over successive snapshots, and the fingerprint of who is to blame
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose_world.h"

#define THRESHOLD (100 * MS)

struct counter {
	struct stall_sink sink;
	unsigned begun, seen, odd, ended;
	struct stall last;
};

static void on_seen(struct stall_sink *sink, struct stall *stall, enum stall_seen how)
{
	struct counter *c = (struct counter *)sink;

	c->begun += how == STALL_NEW;
	c->odd += how == STALL_ODD;
	c->seen++;
	c->last = *stall;
	if (how == STALL_NEW)
		stall->body = strdup("body");
	assert_string_equal(stall->body, "body");
}

static void on_end(struct stall_sink *sink, const struct stall *stall)
{
	struct counter *c = (struct counter *)sink;

	c->ended++;
	c->last = *stall;
}

#define COUNTER                                           \
	{                                                 \
		.sink = {.seen = on_seen, .end = on_end } \
	}

/* A look at clock, at a loop that has been held for held_ns; 0: it is not held. */
static void update(struct stalls *list, struct counter *c, uint64_t clock, int64_t held_ns)
{
	struct world w;
	struct verdict v = {.id = held_ns >= THRESHOLD ? VERDICT_STALLED : VERDICT_HEALTHY,
			    .have_held = held_ns > 0,
			    .held_ns = held_ns};
	struct diagnosis d = {.loops = &v, .n = 1};

	init(&w);
	w.s.clock_ns = clock;
	w.loop.have_held = held_ns > 0;
	w.loop.held_ns = held_ns;
	stalls_update(list, &w.s, &d, THRESHOLD, &c->sink);
}

static void one_stall(void **state)
{
	struct stalls list = {0};
	struct counter c = COUNTER;

	(void)state;
	update(&list, &c, NOW_NS, 50 * MS);
	assert_int_equal(c.begun, 0);
	update(&list, &c, NOW_NS + 100 * MS, 150 * MS);
	assert_int_equal(c.begun, 1);
	update(&list, &c, NOW_NS + 200 * MS, 250 * MS + 900000); /* a rounding */
	assert_int_equal(c.begun, 1);
	assert_int_equal(c.seen, 2);
	assert_int_equal(c.ended, 0);
	update(&list, &c, NOW_NS + 300 * MS, 0);
	assert_int_equal(c.ended, 1);
	assert_int_equal(c.last.start_ns, NOW_NS - 50 * MS);
	assert_int_equal(c.last.held_ns, 250 * MS + 900000);
	assert_int_equal(c.last.over_ns, NOW_NS + 300 * MS);
	assert_int_equal(list.n, 0);
	stalls_deinit(&list);
}

/* The next hold is met before the end of the one before was seen. */
static void two_in_a_row(void **state)
{
	struct stalls list = {0};
	struct counter c = COUNTER;

	(void)state;
	update(&list, &c, NOW_NS, 150 * MS);
	update(&list, &c, NOW_NS + 400 * MS, 120 * MS);
	assert_int_equal(c.begun, 2);
	assert_int_equal(c.ended, 1);
	assert_int_equal(c.last.number, 2);
	stalls_finish(&list, &c.sink);
	assert_int_equal(c.ended, 2);
	assert_int_equal(c.last.over_ns, 0); /* nobody saw it end */
	assert_int_equal(list.count, 2);
	stalls_deinit(&list);
}

/* A loop with a time() of its own is held as long as we looked: each look sees another start. */
static void own_clock(void **state)
{
	struct stalls list = {0};
	struct counter c = COUNTER;
	struct verdict v = {.id = VERDICT_STALLED, .have_held = true, .held_ns = 150 * MS};
	struct diagnosis d = {.loops = &v, .n = 1};
	struct world w;

	(void)state;
	init(&w);
	w.loop.own_clock = w.loop.have_held = true;
	w.loop.held_ns = 150 * MS;
	for (int i = 0; i < 3; i++, w.s.clock_ns += 1000 * (uint64_t)MS)
		stalls_update(&list, &w.s, &d, THRESHOLD, &c.sink);
	assert_int_equal(c.begun, 1);
	assert_int_equal(c.seen, 3);
	v.held_ns = 120 * MS; /* what was seen before is not taken back */
	stalls_update(&list, &w.s, &d, THRESHOLD, &c.sink);
	assert_int_equal(c.last.held_ns, 150 * MS);
	stalls_finish(&list, &c.sink);
	stalls_deinit(&list);
}

/* One look that met the thread between two calls does not name the stall; most of them do. */
static void most_looks_decide(void **state)
{
	static const char *const kinds[] = {"blocked.sleep", "cpu.sleep", "blocked.sleep",
					    "cpu.sleep",     "cpu.sleep", "cpu.sleep"};
	static const unsigned odd[] = {0, 1, 1, 2, 2, 2};
	struct stalls list = {0};
	struct counter c = COUNTER;
	struct verdict v = {.id = VERDICT_STALLED, .have_held = true, .held_ns = 150 * MS};
	struct diagnosis d = {.loops = &v, .n = 1};
	struct world w;

	(void)state;
	init(&w);
	w.loop.have_held = true;
	w.loop.held_ns = 150 * MS;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char expected[FINGERPRINT_SIZE];

		strcpy(v.kind, kinds[i]);
		stalls_update(&list, &w.s, &d, THRESHOLD, &c.sink);
		assert_int_equal(c.odd, odd[i]);
		strcpy(v.kind, i < 4 ? "blocked.sleep" : "cpu.sleep");
		assert_true(verdict_fingerprint(&w.s, &v, expected));
		assert_string_equal(c.last.fingerprint, expected);
	}
	assert_int_equal(c.begun, 1);
	stalls_finish(&list, &c.sink);
	stalls_deinit(&list);
}

/* The loop of a stall is gone: that is an end as well. */
static void loop_gone(void **state)
{
	struct stalls list = {0};
	struct counter c = COUNTER;
	struct snapshot s = {.clock_ns = NOW_NS + 100 * MS};
	struct diagnosis d = {0};

	(void)state;
	update(&list, &c, NOW_NS, 150 * MS);
	stalls_update(&list, &s, &d, THRESHOLD, &c.sink);
	assert_int_equal(c.ended, 1);
	assert_int_equal(c.last.over_ns, NOW_NS + 100 * MS);
	stalls_deinit(&list);
}

/* ---- fingerprints ---------------------------------------------------------------------------- */

static struct verdict blamed(const char *kind, const char *library, const char *rule)
{
	struct verdict v = {.id = VERDICT_STALLED,
			    .culprit = {.frame = 1, .leaf = 0, .rule = rule}};

	strcpy(v.kind, kind);
	strcpy(v.culprit.library, library);
	return v;
}

static const char *print_of(const struct world *w, struct verdict v)
{
	static char text[4][FINGERPRINT_SIZE];
	static unsigned next;
	char *ret = text[next++ % 4];

	assert_true(verdict_fingerprint(&w->s, &v, ret));
	return ret;
}

/* It is written down in files of many hosts: another hash would be another name for each mistake.
 */
static void fingerprint_is_stable(void **state)
{
	struct verdict v = blamed("blocked.io.http", "requests", "requests.api:get");
	struct world w;

	(void)state;
	init(&w);
	assert_string_equal(print_of(&w, v), "b907db183533522d");
	w.codes[1].file = "/opt/other/pricing.py";
	w.frames[1].at.line = 77;
	assert_string_equal(print_of(&w, v), "b907db183533522d");
}

static void fingerprint_tells_apart(void **state)
{
	const char *first;
	struct world w;

	(void)state;
	init(&w);
	first = print_of(&w, blamed("blocked.io.http", "requests", "r"));
	assert_string_not_equal(first, print_of(&w, blamed("blocked.io.db", "requests", "r")));
	assert_string_not_equal(first, print_of(&w, blamed("blocked.io.http", "urllib", "r")));
	w.codes[1].qualname = "Api.get_prices";
	assert_string_not_equal(first, print_of(&w, blamed("blocked.io.http", "requests", "r")));
}

static void fingerprint_of_computing(void **state)
{
	char text[FINGERPRINT_SIZE];
	struct verdict nobody = {.culprit = {.frame = SNAP_NONE, .leaf = SNAP_NONE}};
	struct world w;

	(void)state;
	init(&w);
	assert_string_equal(print_of(&w, blamed("cpu.python", "time", NULL)),
			    print_of(&w, blamed("cpu.python", "", NULL)));
	assert_string_not_equal(print_of(&w, blamed("cpu.json", "json", "json:dumps")),
				print_of(&w, blamed("cpu.json", "", NULL)));
	assert_false(verdict_fingerprint(&w.s, &nobody, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_stall),
		cmocka_unit_test(two_in_a_row),
		cmocka_unit_test(own_clock),
		cmocka_unit_test(most_looks_decide),
		cmocka_unit_test(loop_gone),
		cmocka_unit_test(fingerprint_is_stable),
		cmocka_unit_test(fingerprint_tells_apart),
		cmocka_unit_test(fingerprint_of_computing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
