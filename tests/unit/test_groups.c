/* SPDX-License-Identifier: Apache-2.0 */
/* test_groups.c - tasks folded by equal await path, their lines, and the filter of tasks */
#include <time.h>

#include "render_world.h"

enum { MANY = 100000 };

static struct strbuf text_of(const struct world *w, const struct task_filter *filter, bool verbose)
{
	const struct render_options options = {
		.width = 80, .threshold_s = 0.1, .verbose = verbose, .filter = filter};
	struct strbuf text = STRBUF_INIT;

	render_text(&w->s, w->d, &options, &text);
	return text;
}

/* ---- groups -------------------------------------------------------------------------------- */

static void test_fold(void **state)
{
	struct task_group *groups;
	struct world w;
	size_t n;

	(void)state;
	make_blocked(&w);
	group_tasks(&w.s, 0, NULL, &groups, &n);
	assert_int_equal(n, 3);
	assert_int_equal(groups[0].count, 6);
	assert_int_equal(groups[0].example, 0);
	assert_int_equal(groups[1].count, 1);
	assert_true(groups[1].example < groups[2].example);
	free(groups);
	group_tasks(&w.s, SNAP_NONE, NULL, &groups, &n); /* of no loop */
	assert_int_equal(n, 0);
	free(groups);
	world_deinit(&w);
}

/* Each of these makes another row; the name, the loop's address and the future make none. */
static void test_what_divides(void **state)
{
	static const size_t rows[] = {4, 4, 4, 4, 4, 3, 3};

	(void)state;
	for (size_t what = 0; what < ARRAY_SIZE(rows); what++) {
		struct task_group *groups;
		struct snap_frame frames[2];
		struct world w;
		size_t n;

		make_blocked(&w);
		frames[0] = w.frames[THREAD_FRAMES + 2];
		frames[1] = w.frames[THREAD_FRAMES + 3];
		w.tasks[0].state = what == 0 ? SNAP_TASK_READY : w.tasks[0].state;
		w.tasks[0].what = what == 1 ? "Queue.get" : what == 2 ? NULL : w.tasks[0].what;
		w.tasks[0].stack.n = what == 3 ? 1 : w.tasks[0].stack.n;
		if (what == 4) { /* another line of the same code */
			frames[0] = w.frames[THREAD_FRAMES];
			frames[1] = w.frames[THREAD_FRAMES + 1];
			frames[1].at.line++;
			memcpy(&w.frames[0], frames, sizeof(frames));
			w.tasks[0].stack.first = 0;
			w.tasks[7].stack = (struct snap_stack){2, 1, false};
		}
		w.tasks[0].waits_for += what == 5;
		w.tasks[0].name = what == 6 ? "another" : w.tasks[0].name;
		group_tasks(&w.s, 0, NULL, &groups, &n);
		assert_int_equal(n, rows[what]);
		free(groups);
		world_deinit(&w);
	}
}

static void set_age(struct world *w, uint32_t i, int64_t ms, bool lower)
{
	w->tasks[i].have_age = true;
	w->tasks[i].age_ns = ms * MS;
	w->tasks[i].age_is_lower = lower;
}

/* Exact when each is; a lower bound as soon as one is, or is not known at all. */
static void test_oldest(void **state)
{
	struct task_group *groups;
	struct world w;
	size_t n;

	(void)state;
	make_blocked(&w);
	for (uint32_t i = 0; i < 6; i++)
		set_age(&w, i, 100 * i, false);
	group_tasks(&w.s, 0, NULL, &groups, &n);
	assert_true(groups[0].have_oldest && !groups[0].oldest_is_lower);
	assert_int_equal(groups[0].oldest_ns, 500 * MS);
	assert_true(!groups[1].have_oldest && groups[1].oldest_is_lower);
	free(groups);
	w.tasks[2].have_age = false;
	group_tasks(&w.s, 0, NULL, &groups, &n);
	assert_true(groups[0].have_oldest && groups[0].oldest_is_lower);
	assert_int_equal(groups[0].oldest_ns, 500 * MS);
	free(groups);
	set_age(&w, 2, 900, true);
	set_age(&w, 7, 1, true); /* of two rows with one task the older one is first */
	group_tasks(&w.s, 0, NULL, &groups, &n);
	assert_true(groups[0].oldest_is_lower);
	assert_int_equal(groups[0].oldest_ns, 900 * MS);
	assert_int_equal(groups[1].example, 7);
	free(groups);
	world_deinit(&w);
}

static void test_age_words(void **state)
{
	static const struct {
		int64_t ms;
		bool lower;
		const char *text;
	} rows[] = {
		{0, false, "      6  0 ms       StreamR"},
		{999, false, "      6  999 ms     StreamR"},
		{1000, true, "      6  >= 1.0 s   StreamR"},
		{4890, true, "      6  >= 4.8 s   StreamR"}, /* a bound is not rounded up */
		{58999, false, "      6  58 s       StreamR"},
		{119999, true, "      6  >= 119 s   StreamR"},
		{120000, true, "      6  >= 2 m     StreamR"},
		{14 * 60000, false, "      6  14 m       StreamR"},
		{7199999, true, "      6  >= 119 m   StreamR"},
		{7200000, true, "      6  >= 2 h     StreamR"},
		{86400000 * 3ll, true, "      6  >= 3 d     StreamR"},
		{86400000 * 10000ll, true, "      6  >= 10000… StreamR"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf text;
		struct world w;

		make_blocked(&w);
		for (uint32_t k = 0; k < 6; k++) {
			w.tasks[k].what = "StreamReader.readline";
			set_age(&w, k, rows[i].ms, rows[i].lower);
		}
		text = text_of(&w, NULL, false);
		if (!strstr(text.data, rows[i].text) && i + 1 < ARRAY_SIZE(rows))
			fail_msg("no '%s' in\n%s", rows[i].text, text.data);
		strbuf_deinit(&text);
		world_deinit(&w);
	}
}

/* Those that nothing can wake are told beside their row, or below, and never lost. */
static void test_marks(void **state)
{
	struct strbuf text;
	struct world w;

	(void)state;
	make_blocked(&w);
	w.tasks[1].waker = w.tasks[2].waker = SNAP_WAKER_NOBODY;
	w.tasks[3].owner = SNAP_OWNER_NOBODY;
	text = text_of(&w, NULL, false);
	assert_non_null(strstr(text.data, "app/server.py:41\n         2 of them ORPHAN: "));
	assert_non_null(strstr(text.data, "\n         1 in all UNOWNED: "));
	assert_non_null(strstr(text.data, "\n         -  for how long cannot be told"));
	strbuf_deinit(&text);
	for (uint32_t i = 0; i < TASKS; i++)
		set_age(&w, i, 1, true);
	text = text_of(&w, NULL, false);
	assert_null(strstr(text.data, "cannot be told"));
	strbuf_deinit(&text);
	world_deinit(&w);
}

/* ---- many ---------------------------------------------------------------------------------- */

/* n tasks on so many paths of two frames each. */
static void make_many(struct world *w, struct snap_task *tasks, struct snap_frame *frames,
		      uint32_t n, uint32_t paths)
{
	make_blocked(w);
	for (uint32_t i = 0; i < n; i++) {
		tasks[i] = w->tasks[0];
		tasks[i].stack = (struct snap_stack){2 * i, 2, false};
		frames[2 * i] = w->frames[THREAD_FRAMES];
		frames[2 * i + 1] = w->frames[THREAD_FRAMES + 1];
		frames[2 * i].at.line = (int)(i % paths);
	}
	w->loop.current_task = SNAP_NONE;
	w->s.tasks = tasks;
	w->s.frames = frames;
	w->s.n_frames = 2 * n;
	w->s.n_tasks = w->s.tasks_found = w->loop.tasks = n;
}

static double milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void test_many(void **state)
{
	static const uint32_t paths[] = {3, 10, 11, 5000, MANY};
	struct snap_task *tasks = calloc(MANY, sizeof(*tasks));
	struct snap_frame *frames = calloc(2 * MANY, sizeof(*frames));

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct task_group *groups;
		uint32_t sum = 0;
		struct world w;
		double begin;
		size_t n;

		make_many(&w, tasks, frames, MANY, paths[i]);
		begin = milliseconds();
		group_tasks(&w.s, 0, NULL, &groups, &n);
		print_message("%d tasks on %u paths: %.1f ms\n", MANY, paths[i],
			      milliseconds() - begin);
		assert_int_equal(n, paths[i]);
		for (size_t k = 0; k < n; k++)
			sum += groups[k].count;
		assert_int_equal(sum, MANY);
		free(groups);
		world_deinit(&w);
	}
	free(tasks);
	free(frames);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* However many tasks and paths: a table of ten lines, which counts all of them. */
static void test_ten_lines(void **state)
{
	struct snap_task *tasks = calloc(MANY, sizeof(*tasks));
	struct snap_frame *frames = calloc(2 * MANY, sizeof(*frames));
	struct strbuf text;
	struct world w;

	(void)state;
	make_many(&w, tasks, frames, MANY, 3);
	for (uint32_t i = 0; i < MANY; i++)
		tasks[i].have_age = tasks[i].age_is_lower = true;
	text = text_of(&w, NULL, false);
	assert_non_null(strstr(text.data, "\n  33334  >= 0 ms    StreamReader.readline"));
	assert_int_equal(count_lines(strstr(text.data, "      N  oldest")), 1 + 3);
	strbuf_deinit(&text);
	world_deinit(&w);
	make_many(&w, tasks, frames, MANY, 5000);
	text = text_of(&w, NULL, false);
	assert_non_null(strstr(text.data, "\n  99820  in 4991 other places (-v shows them)\n"));
	assert_int_equal(count_lines(strstr(text.data, "      N  oldest")), 1 + 10 + 1);
	strbuf_deinit(&text);
	world_deinit(&w);
	free(tasks);
	free(frames);
}

/* ---- filter -------------------------------------------------------------------------------- */

static size_t shown(const struct world *w, const char *const *terms, size_t n)
{
	struct task_filter filter;
	size_t count = 0;

	assert_true(task_filter_init(&filter, &w->s, terms, n, NULL));
	for (uint32_t i = 0; i < w->s.n_tasks; i++)
		count += task_filter_matches(&filter, &w->s, i);
	assert_false(task_filter_matches(&filter, &w->s, (uint32_t)w->s.n_tasks));
	assert_int_equal(count, filter.shown);
	task_filter_deinit(&filter);
	return count;
}

static void test_filter_keys(void **state)
{
	static const struct {
		const char *term;
		size_t shown;
	} rows[] = {
		{"name=conn-[0-3]$", 4},
		{"name=CONN", 0},
		{"name=", TASKS},
		{"coroutine=^tick$", 1},
		{"coroutine=^(tick|Api\\.)", 2},
		{"state=pending", 7},
		{"state=running,ready", 1},
		{"state=cancelling", 0},
		{"place=app/server\\.py:41$", 6},
		{"place=readline", 6}, /* a function of any frame */
		{"place=^StreamReader\\.readline$", 6},
		{"place=python3.12/asyncio/", 7},
		{"place=metrics.py:1[0-9]", 1},
		{"place=server.py:4$", 0},
		{"waits=sleep", 1},
		{"waits=^StreamReader", 6},
		{"waits=running", 1}, /* as the table says it */
		{"name=a=b", 0},
	};
	struct world w;

	(void)state;
	make_blocked(&w);
	assert_true(task_filter_matches(NULL, &w.s, 3));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (shown(&w, &rows[i].term, 1) != rows[i].shown)
			fail_msg("%s: %zu", rows[i].term, shown(&w, &rows[i].term, 1));
	assert_int_equal(shown(&w, (const char *[]){"state=pending", "name=-[3-9]"}, 2), 4);
	world_deinit(&w);
}

static void test_filter_errors(void **state)
{
	static const struct {
		const char *term, *says;
	} rows[] = {
		{"", "KEY is name, coroutine, state, place or waits"},
		{"name", "KEY=PATTERN"},
		{"=x", "KEY=PATTERN"},
		{"nam=x", "KEY=PATTERN"},
		{"names=x", "KEY=PATTERN"},
		{"Name=x", "KEY=PATTERN"},
		{"name=(", "regular expression"},
		{"place=[z", "regular expression"},
		{"state=", "running, ready, pending or cancelling"},
		{"state=pend", "running, ready, pending or cancelling"},
		{"state=pending,", "running, ready, pending or cancelling"},
		{"state=pending ready", "running, ready, pending or cancelling"},
	};
	struct task_filter filter;
	struct error err;
	struct world w;

	(void)state;
	make_blocked(&w);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_false(task_filter_check(rows[i].term, &err));
		assert_int_equal(err.code, ERR_USAGE);
		if (!strstr(err.text, rows[i].says))
			fail_msg("'%s': %s", rows[i].term, err.text);
		assert_false(task_filter_init(&filter, &w.s, &rows[i].term, 1, &err));
	}
	assert_true(task_filter_check("waits=Lock|Queue", &err));
	world_deinit(&w);
}

/* The table has the tasks that match, and how many they are of. */
static void test_filtered_text(void **state)
{
	const char *const terms[] = {"name=conn-[12]", "state=pending"};
	struct task_filter filter;
	struct strbuf text;
	struct world w;

	(void)state;
	make_blocked(&w);
	assert_true(task_filter_init(&filter, &w.s, terms, 2, NULL));
	text = text_of(&w, &filter, false);
	assert_non_null(
		strstr(text.data, "\n2 of 8 tasks match name=conn-[12] and state=pending\n"));
	assert_non_null(strstr(text.data, "\n      2  -          StreamReader.readline"));
	assert_null(strstr(text.data, "asyncio.sleep"));
	assert_non_null(
		strstr(text.data, "timers late (worst 4.78 s), 8 tasks")); /* the verdict's */
	strbuf_deinit(&text);
	task_filter_deinit(&filter);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),	      cmocka_unit_test(test_what_divides),
		cmocka_unit_test(test_oldest),	      cmocka_unit_test(test_age_words),
		cmocka_unit_test(test_marks),	      cmocka_unit_test(test_many),
		cmocka_unit_test(test_ten_lines),     cmocka_unit_test(test_filter_keys),
		cmocka_unit_test(test_filter_errors), cmocka_unit_test(test_filtered_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
