/* SPDX-License-Identifier: Apache-2.0 */
/* test_recorded.c - a recording in the live view: what is kept of it, and which keys have a use */
#include <unistd.h>

#include "tui_world.h"

#define LOOP "\"loops\":[{\"id\":\"0x10\",\"verdict\":\"HEALTHY\",\"lag_s\":0.01}]"

static void add_stall(FILE *out, unsigned second, double held, const char *who, const char *print)
{
	fprintf(out,
		"{\"schema\":\"stallscope/"
		"1\",\"type\":\"stall\",\"time\":\"2026-11-26T10:%02u:%02u."
		"000Z\",\"pid\":42,\"loop\":\"0x10\",\"held_s\":%.3f,\"over\":true,\"verdict\":"
		"\"STALLED\",\"kind\":\"blocked.sleep\",\"fingerprint\":\"%s\",\"who\":{"
		"\"qualname\":"
		"\"%s\",\"file\":\"/srv/"
		"app.py\",\"line\":7},\"what\":{\"library\":\"time\",\"title\":"
		"\"time.sleep\"}}\n",
		second / 60 % 60, second % 60, held, print, who);
}

/* A file with what write() puts there. */
static struct recorded *recorded_of(void (*write)(FILE *out))
{
	char path[] = "/tmp/test_recorded.XXXXXX";
	FILE *out = fdopen(mkstemp(path), "w");
	struct recorded *r = NULL;
	struct error err;

	assert_non_null(out);
	write(out);
	fclose(out);
	if (!recorded_read(path, &r, &err))
		fail_msg("%s", err.text);
	unlink(path);
	return r;
}

static void show(struct view_world *v, struct recorded *r)
{
	char note[400];

	recorded_note(r, note, sizeof(note));
	view_init(v, NULL, 80, 24);
	event(v, (struct tui_event){.kind = EVENT_LIFE, .life = LIFE_RECORDED, .text = note});
	event(v, (struct tui_event){.kind = EVENT_RECORDED, .recorded = r});
}

/* ---- what is kept ---------------------------------------------------------------------------- */

#define MANY (STALLS_KEPT + 100u)

/* Long ones of one holder, and a single short one of another. */
static void write_many(FILE *out)
{
	for (unsigned i = 0; i < MANY; i++)
		add_stall(out, i, 1 + i / 1000.0, "often", "aa");
	add_stall(out, MANY, 0.2, "once", "bb");
}

static void test_longest_are_kept(void **state)
{
	struct seen_holder holders[4];
	const struct seen *seen;
	struct view_world v;
	bool once = false;

	(void)state;
	show(&v, recorded_of(write_many));
	seen = &v.s.targets[0]->history;
	assert_int_equal(seen->n, STALLS_KEPT);
	for (size_t i = 0; i < seen->n; i++) {
		const struct seen_stall *s = seen_stall(seen, i);

		once = once || !strcmp(s->who, "once");
		/* 601 in all: of the long ones the shortest 101 are left out */
		assert_true(!strcmp(s->who, "once") || s->held_ns >= 1101 * MS - 1);
		assert_true(!i || s->wall_ns <= seen_stall(seen, i - 1)->wall_ns);
	}
	assert_true(once); /* the ranking leads to it */
	assert_shows(&v, "500 of 601 stalls: the longest; the ranking is of all");
	assert_int_equal(recorded_holders(v.s.targets[0]->recorded, seen, holders, 4), 2);
	assert_int_equal(holders[0].count, MANY);
	assert_string_equal(holders[1].example->who, "once");
	view_deinit(&v);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void write_two(FILE *out)
{
	add_stall(out, 1, 0.5, "first", "aa");
	add_stall(out, 2, 0.25, "second", "bb");
}

static void test_nothing_is_looked_at(void **state)
{
	static const enum action none[] = {ACTION_PAUSE,     ACTION_FASTER, ACTION_SLOWER,
					   ACTION_THRESHOLD, ACTION_WRITE,  ACTION_EVIDENCE,
					   ACTION_TREE};
	struct view_world v;

	(void)state;
	show(&v, recorded_of(write_two));
	assert_true(tui_is_over(&v.s));
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_false(tui_has_action(&v.s, none[i]));
	v.s.n_effects = 0;
	type(&v, " pZ+-Tnewtf");
	assert_int_equal(v.s.n_effects, 0);
	assert_int_equal(v.s.prompt, PROMPT_NONE);
	assert_false(v.s.paused || v.s.native || v.s.evidence || v.s.tree || v.s.follow);
	type(&v, "r"); /* only draws anew */
	assert_int_equal(v.s.n_effects, 1);
	assert_int_equal(v.s.effects[0].kind, EFFECT_REDRAW);
	view_deinit(&v);
}

static void test_head_is_of_the_cursor(void **state)
{
	struct view_world v;

	(void)state;
	show(&v, recorded_of(write_two));
	assert_int_equal(v.s.view, VIEW_HISTORY);
	assert_shows(&v, "held by  second()");
	type(&v, "j");
	assert_shows(&v, "held by  first()");
	type(&v, "j\n"); /* the holder that is ranked first */
	assert_int_equal(v.s.view, VIEW_STALL);
	assert_shows(&v, "held at least 500 ms");
	assert_shows(&v, "no stack of it is in the recording");
	type(&v, "q3");
	assert_shows(&v, "held by  first()"); /* where no stall is chosen: the longest */
	assert_shows(&v, "no full look is in it");
	view_deinit(&v);
}

/* Any key at any size: nothing has a picture to take from. */
static void test_any_keys(void **state)
{
	static const unsigned sizes[][2] = {{80, 24}, {1, 1}, {200, 60}, {60, 15}, {20, 3}};
	struct view_world v;
	uint32_t seed = 7;

	(void)state;
	show(&v, recorded_of(write_two));
	for (unsigned i = 0; i < 20000; i++) {
		struct strbuf screen;

		seed = seed * 1664525 + 1013904223;
		press(&v, seed >> 8 & 1 ? 1 + (seed >> 9) % 126
					: INPUT_NONE + (seed >> 9) % (INPUT_F10 - INPUT_NONE + 1));
		if (i % 97 == 0) {
			resize(&v, sizes[i % 5][0], sizes[i % 5][1]);
			screen = screen_of(&v);
			strbuf_deinit(&screen);
		}
		v.s.n_effects = 0;
	}
	view_deinit(&v);
}

/* ---- files that are not whole ---------------------------------------------------------------- */

static void write_without_stalls(FILE *out)
{
	fputs("{\"schema\":\"stallscope/1\",\"type\":\"hello\",\"pid\":42}\n", out);
	fputs("{\"schema\":\"stallscope/1\",\"type\":\"snapshot\",\"pid\":42," LOOP "}\n", out);
	fputs("{\"schema\":\"stallscope/1\",\"type\":\"snap", out);
}

static void test_without_stalls(void **state)
{
	struct recorded *r = recorded_of(write_without_stalls);
	struct view_world v;

	(void)state;
	assert_int_equal(r->worst, HISTORY_NONE);
	show(&v, r);
	assert_shows(&v, "OK no stall was recorded in 1 look");
	assert_shows(&v, "2 of 3 lines read; line 3: it ends within");
	type(&v, "\n4\n"); /* opens nothing */
	assert_int_equal(v.s.view, VIEW_HISTORY);
	view_deinit(&v);
}

static void test_kinds_of_files(void **state)
{
	static const struct {
		const char *begins;
		bool text;
	} files[] = {{"{\"schema\"", true}, {"\n{", true},
		     {"anything", true},    {"", true},
		     {"\177ELF", false},    {"\x28\xb5\x2f\xfd", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[] = "/tmp/test_recorded.XXXXXX";
		FILE *out = fdopen(mkstemp(path), "w");

		assert_non_null(out);
		fputs(files[i].begins, out);
		fclose(out);
		assert_int_equal(argument_is_recording(path), files[i].text);
		unlink(path);
	}
	assert_false(argument_is_recording("4242"));
	assert_false(argument_is_recording("/nonexistent/file"));
	assert_false(argument_is_recording("/tmp"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_longest_are_kept),
					   cmocka_unit_test(test_nothing_is_looked_at),
					   cmocka_unit_test(test_head_is_of_the_cursor),
					   cmocka_unit_test(test_any_keys),
					   cmocka_unit_test(test_without_stalls),
					   cmocka_unit_test(test_kinds_of_files)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
