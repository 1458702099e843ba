/* SPDX-License-Identifier: Apache-2.0 */
/* test_tui.c - what keys, clicks, pulses and pictures do to the state of the live view */
#include "tui_world.h"

#include "stallscope/utf8.h"

static bool has_effect(const struct view_world *v, enum effect_kind kind)
{
	for (size_t i = 0; i < v->s.n_effects; i++)
		if (v->s.effects[i].kind == kind)
			return true;
	return false;
}

/* ---- keys ------------------------------------------------------------------------------------
 */

static bool is_tree_key(uint32_t code)
{
	return code == '+' || code == '-';
}

/* A key that means two things in one view would do the first one in the table. */
static void test_keys_are_unique(void **state)
{
	size_t n;
	const struct key_row *rows = key_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			for (size_t a = 0; a < 16; a++) {
				uint32_t x = rows[i].codes[a / 4], y = rows[k].codes[a % 4];

				if (x && x == y && !is_tree_key(x) && rows[i].views & rows[k].views)
					fail_msg("%s and %s are one key", rows[i].help,
						 rows[k].help);
			}
}

static void test_views(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	assert_int_equal(v.s.view, VIEW_STACK);
	type(&v, "4");
	assert_int_equal(v.s.view, VIEW_HISTORY);
	press(&v, INPUT_TAB);
	assert_int_equal(v.s.view, VIEW_THREADS);
	press(&v, INPUT_TAB);
	assert_int_equal(v.s.view, VIEW_STACK);
	press(&v, INPUT_BACK_TAB);
	assert_int_equal(v.s.view, VIEW_THREADS);
	type(&v, "?");
	assert_int_equal(v.s.view, VIEW_HELP);
	assert_false(has_effect(&v, EFFECT_QUIT));
	type(&v, "q");
	assert_int_equal(v.s.view, VIEW_THREADS);
	assert_false(has_effect(&v, EFFECT_QUIT));
	type(&v, "q");
	assert_true(has_effect(&v, EFFECT_QUIT));
	view_deinit(&v);
}

static void test_quit_all(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "2\n?Q");
	assert_true(has_effect(&v, EFFECT_QUIT));
	view_deinit(&v);
}

/* A loop that is held is shown by its stack, one that is well by its tasks, until a key chooses. */
static void test_first_view_follows_verdict(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_healthy, 80, 24);
	assert_int_equal(v.s.view, VIEW_GROUPS);
	make_blocked(&v.w);
	show_picture(&v);
	assert_int_equal(v.s.view, VIEW_STACK);
	type(&v, "5");
	make_healthy(&v.w);
	show_picture(&v);
	assert_int_equal(v.s.view, VIEW_THREADS);
	view_deinit(&v);
}

static void test_detail_and_back(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "2j\n");
	assert_int_equal(v.s.view, VIEW_DETAIL);
	assert_shows(&v, "await chain");
	press(&v, INPUT_ESC);
	assert_int_equal(v.s.view, VIEW_TASKS);
	type(&v, "3\n");
	assert_int_equal(v.s.view, VIEW_MEMBERS);
	type(&v, "\n");
	assert_int_equal(v.s.view, VIEW_DETAIL);
	type(&v, "qq");
	assert_int_equal(v.s.view, VIEW_GROUPS);
	view_deinit(&v);
}

static void test_search_and_filter(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "2/conn-4\n");
	assert_string_equal(v.s.search.data, "conn-4");
	assert_int_equal(v.s.list.v[v.s.places[VIEW_TASKS].cursor].index, 4);
	type(&v, "n"); /* around the end, to itself */
	assert_int_equal(v.s.list.v[v.s.places[VIEW_TASKS].cursor].index, 4);
	type(&v, "\\name=conn-[12]\n");
	assert_int_equal(v.s.list.n, 2);
	assert_int_equal(v.s.list.matched, 2);
	type(&v, "c");
	assert_int_equal(v.s.list.n, TASKS);
	type(&v, "\\metrics\n");
	assert_int_equal(v.s.list.n, 1);
	type(&v, "c\\name=[\n"); /* no expression: said, and no filter */
	assert_int_equal(v.s.list.n, TASKS);
	assert_true(v.s.message[0] != 0);
	view_deinit(&v);
}

static void test_prompt(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "/qQ5");
	assert_int_equal(v.s.prompt, PROMPT_SEARCH);
	assert_string_equal(v.s.input.data, "qQ5");
	assert_false(has_effect(&v, EFFECT_QUIT));
	press(&v, 0xe9);
	press(&v, INPUT_BACKSPACE);
	press(&v, INPUT_BACKSPACE);
	assert_string_equal(v.s.input.data, "qQ");
	press(&v, 0x202e); /* what is typed may be pasted */
	assert_string_equal(v.s.input.data, "qQ\\u202e");
	press(&v, INPUT_ESC);
	assert_int_equal(v.s.prompt, PROMPT_NONE);
	view_deinit(&v);
}

static void test_threshold(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "T2s\n");
	assert_int_equal(v.s.threshold_ns, 2000 * MS);
	assert_int_equal(v.s.targets[0]->history.threshold_ns, 2000 * MS);
	assert_true(has_effect(&v, EFFECT_THRESHOLD));
	type(&v, "T50\n");
	assert_int_equal(v.s.threshold_ns, 50 * MS);
	type(&v, "Tnonsense\n");
	assert_int_equal(v.s.threshold_ns, 50 * MS);
	view_deinit(&v);
}

static void test_rate(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "++++++++");
	assert_int_equal(v.s.rate, 100);
	type(&v, "----------");
	assert_int_equal(v.s.rate, 1);
	view_deinit(&v);
}

static void test_copy(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	type(&v, "y");
	assert_int_equal(v.s.n_effects, 1);
	assert_int_equal(v.s.effects[0].kind, EFFECT_COPY);
	assert_string_equal(v.s.effects[0].text, "/srv/app/pricing.py:88");
	view_deinit(&v);
}

static void test_clicks(void **state)
{
	struct view_world v;
	unsigned y;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	event(&v, (struct tui_event){.kind = EVENT_CLICK, .x = 12, .y = v.s.layout.tabs_y});
	assert_int_equal(v.s.view, VIEW_TASKS);
	y = v.s.layout.body_y + 2;
	event(&v, (struct tui_event){.kind = EVENT_CLICK, .x = 5, .y = y});
	assert_int_equal(v.s.places[VIEW_TASKS].cursor, 2);
	event(&v, (struct tui_event){.kind = EVENT_CLICK, .x = 5, .y = y, .twice = true});
	assert_int_equal(v.s.view, VIEW_DETAIL);
	event(&v, (struct tui_event){.kind = EVENT_CLICK, .x = 1, .y = v.s.layout.foot_y});
	assert_int_equal(v.s.view, VIEW_HELP); /* the first key at the foot */
	event(&v, (struct tui_event){.kind = EVENT_WHEEL, .lines = 3});
	assert_true(v.s.places[VIEW_HELP].top > 0);
	view_deinit(&v);
}

static void test_folding(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	v.w.tasks[1].wait = SNAP_WAIT_TASK; /* conn-1 awaits tick */
	v.w.tasks[1].waits_for = v.w.tasks[6].id;
	world_judge(&v.w);
	show_picture(&v);
	type(&v, "2t");
	assert_int_equal(v.s.list.n, TASKS);
	assert_int_equal(v.s.list.v[0].index, 1); /* the largest branch comes first */
	assert_int_equal(v.s.list.v[1].depth, 1);
	type(&v, "g-");
	assert_int_equal(v.s.list.n, TASKS - 1);
	assert_shows(&v, "[+] conn-1");
	type(&v, "+");
	assert_int_equal(v.s.list.n, TASKS);
	assert_int_equal(v.s.rate, 10);
	view_deinit(&v);
}

/* ---- pause, and what goes on meanwhile ---------------------------------------------------------
 */

static void pulse_at(struct view_world *v, int64_t ms, int64_t held_ms)
{
	struct pulse p = {.clock_ns = NOW_NS + (uint64_t)(ms * MS),
			  .wall_ns = UINT64_C(1795442596231) * 1000000 + (uint64_t)(ms * MS),
			  .n = 1};

	p.loops[0] = (struct pulse_loop){.loop = v->w.loop.run.loop,
					 .found = true,
					 .held_ns = held_ms * MS,
					 .left = -1,
					 .on_cpu = -1};
	if (held_ms)
		p.loops[0].end_time = (double)(p.clock_ns - (uint64_t)(held_ms * MS)) / 1e9;
	event(v, (struct tui_event){
			 .kind = EVENT_PULSE, .now_ns = OUR_NS + (uint64_t)(ms * MS), .pulse = &p});
}

static void test_pause(void **state)
{
	struct view_world v;
	uint64_t seen;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	seen = v.s.targets[0]->history.total;
	type(&v, " ");
	make_healthy(&v.w);
	show_picture(&v);
	assert_shows(&v, "STALLED");
	assert_shows(&v, "PAUSED");
	pulse_at(&v, 1000, 300);
	assert_int_equal(v.s.targets[0]->history.total, seen + 1);
	type(&v, " ");
	assert_shows(&v, "HEALTHY");
	view_deinit(&v);
}

static void test_gone(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	assert_true(seen_stall(&v.s.targets[0]->history, 0)->open);
	event(&v, (struct tui_event){
			  .kind = EVENT_LIFE, .life = LIFE_GONE, .text = "the process has ended"});
	assert_shows(&v, "GONE");
	assert_shows(&v, "the process has ended");
	assert_shows(&v, "Api.get_price()"); /* the last picture stays */
	assert_false(seen_stall(&v.s.targets[0]->history, 0)->open);
	view_deinit(&v);
}

/* ---- history -----------------------------------------------------------------------------------
 */

static void test_stall_is_followed(void **state)
{
	struct view_world v;
	const struct seen *h;

	(void)state;
	view_init(&v, make_healthy, 80, 24);
	h = &v.s.targets[0]->history;
	assert_int_equal(h->n, 0);
	pulse_at(&v, 100, 50);
	assert_int_equal(h->n, 0);
	pulse_at(&v, 200, 150);
	pulse_at(&v, 300, 250);
	assert_int_equal(h->n, 1);
	assert_true(seen_stall(h, 0)->open);
	assert_int_equal(seen_stall(h, 0)->held_ns, 250 * MS);
	pulse_at(&v, 400, 0);
	assert_false(seen_stall(h, 0)->open);
	pulse_at(&v, 700, 200); /* two that follow each other without a rest between looks */
	pulse_at(&v, 900, 120);
	assert_int_equal(h->n, 3);
	assert_int_equal(
		seen_worst(h, v.w.loop.run.loop, (int64_t)NOW_NS, (int64_t)NOW_NS + 1000 * MS),
		250 * MS);
	assert_int_equal(seen_worst(h, 1, (int64_t)NOW_NS, (int64_t)NOW_NS + 1000 * MS), -1);
	view_deinit(&v);
}

static void test_picture_explains(void **state)
{
	struct view_world v;
	const struct seen_stall *stall;
	struct seen_holder holders[4];

	(void)state;
	view_init(&v, make_blocked, 80, 24);
	stall = seen_stall(&v.s.targets[0]->history, 0);
	assert_non_null(stall);
	assert_true(stall->explained);
	assert_string_equal(stall->who, "Api.get_price");
	assert_non_null(strstr(stall->place, "pricing.py:88"));
	assert_non_null(strstr(stall->stack, "SocketIO.readinto"));
	assert_int_equal(seen_holders(&v.s.targets[0]->history, holders, 4), 1);
	assert_int_equal(holders[0].count, 1);
	assert_true(holders[0].share > 0.99);
	view_deinit(&v);
}

/* The cursor stays on the newest until it is moved, and then on what it is on. */
static void test_newest_stays_on_top(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_healthy, 80, 24);
	type(&v, "4");
	pulse_at(&v, 1000, 200);
	pulse_at(&v, 2000, 300);
	assert_int_equal(v.s.places[VIEW_HISTORY].cursor, 0);
	type(&v, "j");
	assert_int_equal(v.s.places[VIEW_HISTORY].cursor, 1);
	pulse_at(&v, 3000, 300);
	assert_int_equal(v.s.places[VIEW_HISTORY].cursor, 2);
	type(&v, "g");
	pulse_at(&v, 4000, 300);
	assert_int_equal(v.s.places[VIEW_HISTORY].cursor, 0);
	view_deinit(&v);
}

static void test_history_is_bounded(void **state)
{
	struct view_world v;
	const struct seen *h;

	(void)state;
	view_init(&v, make_healthy, 80, 24);
	h = &v.s.targets[0]->history;
	for (int64_t i = 1; i < 3 * (int64_t)STALLS_KEPT; i++)
		pulse_at(&v, 400 * i, 150);
	assert_int_equal(h->n, STALLS_KEPT);
	assert_int_equal(h->total, 3 * STALLS_KEPT - 1);
	assert_int_equal(h->n_lanes, 1);
	view_deinit(&v);
}

/* ---- workers -----------------------------------------------------------------------------------
 */

static void test_children(void **state)
{
	static int32_t first[] = {5001, 5002}, second[] = {5002, 5003};
	struct tui_settings settings = {.rate = 10, .threshold_ns = 100 * MS, .children = true};
	struct view_world v;

	(void)state;
	memset(&v, 0, sizeof(v));
	tui_init(&v.s, &settings);
	event(&v, (struct tui_event){.kind = EVENT_WATCH, .text = "4242"});
	assert_int_equal(v.s.view, VIEW_WORKERS);
	make_healthy(&v.w);
	v.w.s.have_children = true;
	v.w.s.children = first;
	v.w.s.n_children = 2;
	show_picture(&v);
	assert_int_equal(v.s.n_targets, 3);
	assert_int_equal(v.s.n_effects, 2);
	assert_string_equal(v.s.effects[1].text, "5002");

	event(&v, (struct tui_event){.kind = EVENT_LIFE, .target = 1, .life = LIFE_GONE});
	assert_int_equal(v.s.n_targets,
			 3); /* the last picture stays until another takes its place */
	world_judge(&v.w);
	v.w.s.children = second;
	show_picture(&v);
	assert_int_equal(v.s.n_targets, 3);
	assert_string_equal(v.s.targets[1]->argument, "5002");
	assert_string_equal(v.s.targets[2]->argument, "5003");
	assert_true(has_effect(&v, EFFECT_CLOSE));
	view_deinit(&v);
}

static void test_group(void **state)
{
	struct view_world v;

	(void)state;
	view_init(&v, make_blocked, 120, 24);
	event(&v, (struct tui_event){.kind = EVENT_WATCH, .text = "4243"});
	assert_int_equal(v.s.view, VIEW_WORKERS);
	assert_shows(&v, "1 of 2 in trouble");
	type(&v, "\n");
	assert_int_equal(v.s.view, VIEW_STACK);
	type(&v, "]");
	assert_int_equal(v.s.shown, 1);
	type(&v, "q");
	assert_int_equal(v.s.view, VIEW_WORKERS);
	event(&v, (struct tui_event){.kind = EVENT_UNWATCH, .target = 1});
	assert_int_equal(v.s.n_targets, 1);
	assert_int_equal(v.s.shown, 0);
	view_deinit(&v);
}

/* ---- whatever comes ----------------------------------------------------------------------------
 */

static void assert_grid_is_sound(struct view_world *v)
{
	tui_draw(&v->s, &v->g);
	for (unsigned y = 0; y < v->g.rows; y++)
		for (unsigned x = 0; x < v->g.cols; x++) {
			const struct cell *c = grid_at(&v->g, x, y);

			if (!c->cp) { /* the right half of a wide one */
				assert_true(x > 0);
				assert_int_equal(utf8_cp_width(grid_at(&v->g, x - 1, y)->cp), 2);
				continue;
			}
			assert_true(c->cp >= ' ' && c->cp != 0x7f && c->cp < 0x110000);
			assert_true(!v->s.ascii || c->cp < 0x7f);
			assert_true(utf8_cp_width(c->cp) > 0);
			assert_true(!c->mark || utf8_cp_width(c->mark) == 0);
			if (utf8_cp_width(c->cp) == 2) {
				assert_true(x + 1 < v->g.cols);
				assert_int_equal(grid_at(&v->g, x + 1, y)->cp, 0);
			}
		}
}

static void assert_place_is_sound(const struct tui_state *s)
{
	const struct place *at = &s->places[s->view];

	assert_true(!s->list.n || at->cursor < s->list.n);
	assert_true(at->top <= at->cursor);
	if (s->layout.body_rows)
		assert_true(at->cursor < at->top + s->layout.body_rows || !s->list.n);
}

static uint32_t any_key(uint64_t *seed)
{
	size_t n;
	const struct key_row *rows = key_rows(&n);

	*seed = *seed * 6364136223846793005U + 1442695040888963407U;
	return rows[(*seed >> 33) % n].codes[(*seed >> 20) % 2];
}

static void test_any_keys_at_any_size(void **state)
{
	static make_fn *const makes[] = {make_blocked, make_hostile, make_no_loop, make_aged, NULL};
	uint64_t seed = 1;

	(void)state;
	for (size_t m = 0; m < ARRAY_SIZE(makes); m++)
		for (unsigned i = 0; i < 40; i++) {
			struct view_world v;

			view_init(&v, makes[m], 1 + (i * 37) % 130, 1 + (i * 13) % 50);
			v.s.ascii = i % 3 == 0;
			for (unsigned k = 0; k < 60; k++) {
				uint32_t code = any_key(&seed);

				if (code)
					press(&v, code);
				assert_place_is_sound(&v.s);
				assert_grid_is_sound(&v);
			}
			view_deinit(&v);
		}
}

static void test_first_lines_say_it(void **state)
{
	static const char *const words[] = {
		"STALLED 4.83 s", "Api.get_price()", "app/pricing.py:88",
		"requests",	  "10.0.3.17:443",   "58 timers late",
		"do this"};
	static const unsigned sizes[][2] = {{80, 24}, {80, 10}, {120, 40}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct view_world v;
		struct strbuf screen;
		char *end;

		view_init(&v, make_blocked, sizes[i][0], sizes[i][1]);
		screen = screen_of(&v);
		end = screen.data;
		for (int line = 0; line < 7; line++)
			end = strchr(end, '\n') + 1;
		*end = 0;
		for (size_t k = 0; k < ARRAY_SIZE(words); k++)
			if (!strstr(screen.data, words[k]))
				fail_msg("%s is not in lines 1 to 7:\n%s", words[k], screen.data);
		strbuf_deinit(&screen);
		view_deinit(&v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_are_unique),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_quit_all),
		cmocka_unit_test(test_first_view_follows_verdict),
		cmocka_unit_test(test_detail_and_back),
		cmocka_unit_test(test_search_and_filter),
		cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_threshold),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_clicks),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_stall_is_followed),
		cmocka_unit_test(test_picture_explains),
		cmocka_unit_test(test_newest_stays_on_top),
		cmocka_unit_test(test_history_is_bounded),
		cmocka_unit_test(test_children),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_any_keys_at_any_size),
		cmocka_unit_test(test_first_lines_say_it),
	};

	if (!culprits_load(NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
