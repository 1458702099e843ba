/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_native.c - two stacks become one, or do not; the note of a recording: written, read, forged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "snapshot/native.h"
#include "stallscope/arena.h"

#define EVAL "_PyEval_EvalFrameDefault"

/* A thread with four frames of Python, and seven functions of C on a stack of 0x100 bytes each. */
static struct world {
	struct snapshot s;
	struct snap_thread thread;
	struct snap_frame frames[4];
	struct native_frame c[7];
	struct native_stack native;
	struct py_evaluation evaluations[4];
	struct native_parts parts;
} w;

static int set_up(void **state)
{
	static const char *const names[] = {"poll", "recv_py", EVAL,	"call",
					    EVAL,   "main",    "_start"};

	(void)state;
	memset(&w, 0, sizeof(w));
	w.s.threads = &w.thread;
	w.s.n_threads = 1;
	w.s.frames = w.frames;
	w.s.n_frames = 4;
	w.thread.stack = (struct snap_stack){0, 4, false};
	w.thread.is_python = true;
	w.thread.os.tid = 7;
	for (size_t i = 0; i < ARRAY_SIZE(w.c); i++)
		w.c[i] = (struct native_frame){.pc = 0x1000 + i,
					       .sp = 0x7000 + 0x100 * i,
					       .function = names[i],
					       .object = "/lib/libx.so"};
	w.native = (struct native_stack){w.c, ARRAY_SIZE(w.c), ARRAY_SIZE(w.c), true, NULL};
	w.evaluations[0] = (struct py_evaluation){0x7280, 3};
	w.evaluations[1] = (struct py_evaluation){0x7400, 1};
	w.parts = (struct native_parts){.native = &w.native,
					.evaluations = w.evaluations,
					.n_evaluations = 2,
					.main_base = 0x1000,
					.main_end = 0x2000};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(w.s.natives);
	arena_deinit(&w.s.arena);
	return 0;
}

/* "poll recv_py 0 1 2 call 3 main _start": names of C, numbers of Python */
static const char *merged(void)
{
	static char text[512];
	size_t at = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < w.thread.native.n; i++) {
		const struct snap_native_frame *f = &w.s.natives[w.thread.native.first + i];

		if (f->frame != SNAP_NONE)
			at += (size_t)sprintf(text + at, "%s%u", i ? " " : "", f->frame);
		else
			at += (size_t)sprintf(text + at, "%s%s", i ? " " : "",
					      f->function ? f->function : "?");
	}
	return text;
}

static void check(enum snap_native_state state, const char *frames, uint32_t leaf)
{
	native_merge(&w.s, &w.thread, &w.parts);
	assert_string_equal(merged(), frames);
	assert_int_equal(w.thread.native.state, state);
	assert_int_equal(w.thread.native.leaf, leaf);
}

static void test_by_stack(void **state)
{
	(void)state;
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 call 3 main _start", 2);
	assert_true(w.thread.native.whole);
	assert_null(w.thread.native.why);
}

/* Names do not matter then: a stripped build, or a part of a split function. */
static void test_without_names(void **state)
{
	(void)state;
	w.c[2].function = w.c[4].function = NULL;
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 call 3 main _start", 2);
}

/* An evaluation that has just begun has no frame of Python yet. */
static void test_empty_evaluation(void **state)
{
	(void)state;
	w.evaluations[0] = (struct py_evaluation){0x7110, 0};
	w.evaluations[1] = (struct py_evaluation){0x7280, 4};
	check(SNAP_NATIVE_MERGED, "poll 0 1 2 3 call " EVAL " main _start", 1);
}

static void test_not_whole(void **state)
{
	(void)state;
	w.native.n = 4;
	w.native.whole = false;
	w.native.why = "it ended";
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 call 3", 2);
	assert_false(w.thread.native.whole);
	assert_string_equal(w.thread.native.why, "it ended");
	w.native.n = 1; /* not even as far as Python */
	check(SNAP_NATIVE_MERGED, "poll 0 1 2 3", 1);
}

/* What fits to no function: no order is made up. */
static void test_misfits(void **state)
{
	(void)state;
	w.evaluations[1].stack = 0x7210; /* below the one that it called */
	check(SNAP_NATIVE_LEAF, "poll recv_py", 2);
	assert_non_null(w.thread.native.why);
	w.evaluations[1].stack = 0x6000; /* of another stack */
	check(SNAP_NATIVE_LEAF, "poll recv_py", 2);
	w.parts.n_evaluations = 0; /* not known */
	check(SNAP_NATIVE_LEAF, "poll recv_py", 2);
}

static void test_moved(void **state)
{
	(void)state;
	w.parts.moved = true;
	check(SNAP_NATIVE_LEAF, "poll recv_py", 2);
	assert_true(w.thread.native.moved);
}

/* 3.8, 3.9: one evaluation for each frame of Python, of which only the number is known. */
static void test_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++)
		w.evaluations[i] = (struct py_evaluation){0, 1};
	w.parts.n_evaluations = 4;
	w.c[3].function = EVAL ".cold";
	w.c[5].function = EVAL;
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 3 _start", 2);
	w.c[5].function = EVAL "Other";
	check(SNAP_NATIVE_LEAF, "poll recv_py", 2); /* three of four */
	w.native.n = 4;
	w.native.whole = false;
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 3", 2); /* the rest lies above */
	w.c[0].function = NULL;				      /* may be one, split off */
	check(SNAP_NATIVE_LEAF, "? recv_py", 2);
	w.c[0].pc = 0x5000; /* of another object: it is none */
	check(SNAP_NATIVE_MERGED, "? recv_py 0 1 2 3", 2);
}

/* Of functions that were inlined into the one that evaluates. */
static void test_inlined(void **state)
{
	(void)state;
	w.c[1].inlined = true;
	w.c[1].sp = w.c[2].sp;
	check(SNAP_NATIVE_MERGED, "poll recv_py 0 1 2 call 3 main _start", 2);
}

/* ---- the note ------------------------------------------------------------------------------ */

static void test_round_trip(void **state)
{
	struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;

	(void)state;
	w.c[0].file = "poll.c";
	w.c[0].line = 29;
	w.c[1].function = NULL;
	w.s.native = (struct snap_natives){.asked = true, .mode = SNAP_NATIVE_ALWAYS, .why = "so"};
	w.s.stats.paused_ns = 123;
	native_merge(&w.s, &w.thread, &w.parts);
	snapshot_native_write(&w.s, &one);
	w.s.stats.paused_ns = 0;
	assert_true(snapshot_native_read(&w.s, &one));
	assert_int_equal(w.s.native.threads, 1);
	snapshot_native_write(&w.s, &two);
	assert_string_equal(one.data, two.data);
	assert_string_equal(merged(), "poll ? 0 1 2 call 3 main _start");
	strbuf_deinit(&one);
	strbuf_deinit(&two);
}

static bool read_text(const char *text)
{
	struct strbuf note = STRBUF_INIT;
	bool ok;

	strbuf_addstr(&note, text);
	ok = snapshot_native_read(&w.s, &note);
	strbuf_deinit(&note);
	return ok;
}

#define THREAD "thread 7 2 0 1 0 \n"

static void test_forged(void **state)
{
	static const char *const bad[] = {
		"python 0\n",		       /* of no thread */
		"thread 8 2 0 1 0 \n",	       /* of one that is not there */
		"thread 7 3 0 1 0 \n",	       /* in no state */
		THREAD "python 1\npython 0\n", /* out of order */
		THREAD "python 0\n",	       /* not all of them */
		THREAD "python 0\npython 1\npython 2\npython 3\npython 4\n",
		"thread 7 1 0 1 0 \npython 0\n",		/* frames of Python in a leaf */
		"thread 7 1 5 1 0 \nnative 1 2 3 0\ta\tb\tc\n", /* fewer than it says */
		"thread 7 1 0 1 0 \nnative 1 2 3 0\ta\tb\n",	/* cut */
		"thread 7 1 0 1 0 \nthread 7 1 0 1 0 \n",	/* twice */
		"asked 9 0 0 \n",
		"nonsense\n",
	};

	(void)state;
	w.thread.loop = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(read_text(bad[i]));
		assert_int_equal(w.thread.native.state, SNAP_NATIVE_NONE);
		assert_int_equal(w.s.n_natives, 0);
	}
	assert_true(read_text("thread 7 1 1 1 0 \nnative 1 2 3 0\t\x1b[m\tb\t\n"));
	assert_string_equal(w.s.natives[0].function, "\\x1b[m");
	assert_null(w.s.natives[0].file);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_by_stack),  TEST(test_without_names), TEST(test_empty_evaluation),
		TEST(test_not_whole), TEST(test_misfits),	TEST(test_moved),
		TEST(test_by_name),   TEST(test_inlined),	TEST(test_round_trip),
		TEST(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
