/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_render.c - text and JSON of processes made by hand
 *
 * The texts are in tests/golden. After a change that is meant, write them anew and look at the
 * difference:
 *
 *	UPDATE_GOLDEN=1 srcdir=. build/tests/unit/test_render && git diff tests/golden
 */
#include <jansson.h>

#include "render_world.h"

#include "golden.h"
#include "stallscope/utf8.h"

typedef void make_fn(struct world *w);

static const struct {
	const char *name;
	make_fn *make;
} worlds[] = {
	{"blocked", make_blocked}, {"cpu", make_cpu},	      {"overloaded", make_overloaded},
	{"healthy", make_healthy}, {"no-loop", make_no_loop}, {"stopped", make_stopped},
	{"hostile", make_hostile}, {"aged", make_aged},
};

static struct strbuf text_of(const struct world *w, const struct render_options *options)
{
	struct strbuf text = STRBUF_INIT;

	render_text(&w->s, w->d, options, &text);
	return text;
}

/* ---- golden texts -------------------------------------------------------------------------- */

static void test_golden(void **state)
{
	static const struct render_options options = {.width = 80, .threshold_s = 0.1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
		struct strbuf text;
		struct world w;

		worlds[i].make(&w);
		text = text_of(&w, &options);
		assert_golden(worlds[i].name, &text);
		strbuf_deinit(&text);
		world_deinit(&w);
	}
}

static void test_golden_tasks(void **state)
{
	struct render_options options = {
		.width = 80, .threshold_s = 0.1, .tasks = RENDER_TASKS_ALL, .verbose = true};
	struct strbuf text;
	struct world w;

	(void)state;
	make_blocked(&w);
	text = text_of(&w, &options);
	assert_golden("blocked-all", &text);
	strbuf_deinit(&text);
	options.tasks = RENDER_TASKS_TREE;
	w.tasks[0].wait = SNAP_WAIT_TASK; /* 0 awaits 1, 2 and 3 await each other */
	w.tasks[0].waits_for = w.tasks[1].id;
	w.tasks[2].wait = w.tasks[3].wait = SNAP_WAIT_TASK;
	w.tasks[2].waits_for = w.tasks[3].id;
	w.tasks[3].waits_for = w.tasks[2].id;
	text = text_of(&w, &options);
	assert_golden("blocked-tree", &text);
	strbuf_deinit(&text);
	world_deinit(&w);
}

/* The first line is what scripts read (interface.md). */
static void test_first_lines(void **state)
{
	static const char *const lines[] = {
		"stallscope: pid 4242 STALLED blocked.io.http 4.83s\n",
		"stallscope: pid 4242 STALLED cpu.python 1.62s\n",
		"stallscope: pid 4242 OVERLOADED mixed lag=4.78s\n",
		"stallscope: pid 4242 HEALTHY lag=0.0000s\n",
		"stallscope: pid 4242 NO-LOOP\n",
		"stallscope: pid 4242 STOPPED\n",
	};
	struct render_options options = {.width = 80, .threshold_s = 0.1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct strbuf text;
		struct world w;

		worlds[i].make(&w);
		text = text_of(&w, &options);
		if (strncmp(text.data, lines[i], strlen(lines[i])) != 0)
			fail_msg("'%.70s' is not '%s'", text.data, lines[i]);
		strbuf_deinit(&text);
		world_deinit(&w);
	}
}

/* ---- lines --------------------------------------------------------------------------------- */

static void assert_line(const char *line, size_t len, const struct render_options *options)
{
	struct strbuf one = STRBUF_INIT;
	uint32_t cp;

	strbuf_add(&one, line, len);
	if (utf8_width(one.data) > options->width)
		fail_msg("'%s' has %zu columns, not %zu", one.data, utf8_width(one.data),
			 options->width);
	assert_true(!len || line[len - 1] != ' ');
	for (size_t i = 0; i < len;) {
		i += utf8_decode(line + i, len - i, &cp);
		assert_int_not_equal(cp, UTF8_BAD);
		assert_true(cp >= 0x20 && cp != 0x7f);
		if (options->ascii)
			assert_true(cp < 0x7f);
	}
	strbuf_deinit(&one);
}

static void assert_lines(const struct world *w, const struct render_options *options)
{
	struct strbuf text = text_of(w, options);
	const char *end;

	assert_true(text.len && text.data[text.len - 1] == '\n');
	for (const char *line = text.data; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_line(line, (size_t)(end - line), options);
	}
	strbuf_deinit(&text);
}

/* Whatever the width and the options: no line is wider, and none has more than text in it. */
static void test_widths(void **state)
{
	static const size_t widths[] = {40, 41, 60, 79, 80, 81, 120, 200, 1000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
		struct world w;

		worlds[i].make(&w);
		for (size_t j = 0; j < ARRAY_SIZE(widths); j++)
			for (unsigned kind = 0; kind < 16; kind++) {
				struct render_options options = {
					.width = widths[j],
					.threshold_s = 0.1,
					.ascii = kind & 1,
					.verbose = kind & 2,
					.tasks = (enum render_tasks)(kind >> 2)};

				assert_lines(&w, &options);
			}
		world_deinit(&w);
	}
}

/* Colour is around the first line only, and only when asked for. */
static void test_color(void **state)
{
	struct render_options options = {.width = 80, .threshold_s = 0.1, .color = true};
	struct strbuf text;
	struct world w;

	(void)state;
	make_blocked(&w);
	text = text_of(&w, &options);
	assert_memory_equal(text.data, "\x1b[1;7;33mstallscope: pid 4242 STALLED", 37);
	assert_null(strchr(strchr(text.data, '\n'), '\x1b'));
	strbuf_deinit(&text);
	options.color = false;
	text = text_of(&w, &options);
	assert_null(strchr(text.data, '\x1b'));
	strbuf_deinit(&text);
	world_deinit(&w);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *json_of(const struct world *w, const struct render_options *options)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_error_t error;
	json_t *root;

	assert_true(render_json(&w->s, w->d, options, out));
	assert_int_equal(fclose(out), 0);
	assert_true(len && text[len - 1] == '\n');
	assert_ptr_equal(strchr(text, '\n'), text + len - 1); /* JSON Lines */
	root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		fail_msg("%s at %d: %.80s", error.text, error.position, text + error.position);
	free(text);
	return root;
}

/* Each of the words is a key of the object, whatever its value. */
static void assert_keys(const json_t *object, const char *words)
{
	char copy[1024], *save = NULL;

	assert_true(json_is_object(object));
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *key = strtok_r(copy, " ", &save); key; key = strtok_r(NULL, " ", &save))
		if (!json_object_get(object, key))
			fail_msg("no key '%s'", key);
}

static const json_t *get(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (!value)
		fail_msg("no key '%s'", key);
	return value;
}

static void assert_text(const json_t *object, const char *key, const char *expected)
{
	if (!json_is_string(get(object, key)))
		fail_msg("'%s' is no string", key);
	assert_string_equal(json_string_value(get(object, key)), expected);
}

static void assert_number(const json_t *object, const char *key, double expected)
{
	double value = json_number_value(get(object, key));

	assert_true(json_is_number(get(object, key)));
	if (value < expected - 1e-6 || value > expected + 1e-6)
		fail_msg("'%s' is %f, not %f", key, value, expected);
}

static void assert_null_key(const json_t *object, const char *key)
{
	if (!json_is_null(get(object, key)))
		fail_msg("'%s' is not null", key);
}

static void check_process(const json_t *root)
{
	assert_keys(root, "schema time monotonic_s host labels tool process verdict loops tasks "
			  "threads problems filter");
	assert_text(root, "schema", "stallscope/1");
	assert_keys(get(root, "tool"), "version looks window_s read_s bytes_read system_calls "
				       "paused_us freeze retries consistency redacted");
	assert_keys(get(root, "process"), "pid ns_pid command started uid executable container "
					  "cgroup threads children python modules");
	assert_keys(get(get(root, "process"), "python"), "version free_threaded debug layout");
}

static void check_loop(const json_t *loop)
{
	const json_t *part;
	size_t i;

	assert_keys(loop,
		    "id thread implementation class phase verdict kind confidence held_s "
		    "held_bound same_callback lag_s threshold_s select batch ready timers "
		    "timers_late timers_worst_late_s timers_next_s fds executor tasks "
		    "current_task who what advice evidence flags groups resources ready_sample "
		    "timers_worst_callback timers_cancelled deadlock");
	assert_keys(get(loop, "select"), "entered_s_ago timeout_s");
	assert_keys(get(loop, "tasks"), "total read torn pending running unowned created_per_s "
					"orphans under_retry growth_per_s");
	if (!json_is_null(get(loop, "batch")))
		assert_keys(get(loop, "batch"), "index of callback callback_task");
	if (!json_is_null(get(loop, "executor")))
		assert_keys(get(loop, "executor"), "max threads idle queued");
	if (!json_is_null(get(loop, "who")))
		assert_keys(get(loop, "who"), "function qualname file line source task column "
					      "end_line end_column source_newer file_modified "
					      "file_bytes file_content");
	if (!json_is_null(get(loop, "what")))
		assert_keys(get(loop, "what"),
			    "library title rule leaf system_call on_cpu_ratio fd peer path "
			    "tcp_state timeout_s holder_thread");
	json_array_foreach(get(loop, "evidence"), i, part) assert_keys(part, "fact source");
	json_array_foreach(get(loop, "groups"), i, part)
		assert_keys(part, "count where via waits_on title oldest_s oldest_is_lower_bound "
				  "unowned orphans coroutine state");
}

static void check_lists(const json_t *root)
{
	const json_t *part, *inner;
	size_t i, j;

	json_array_foreach(get(root, "loops"), i, part) check_loop(part);
	json_array_foreach(get(root, "tasks"), i, part)
	{
		assert_keys(part, "id name loop state coroutine cancelling seen_s age_s "
				  "age_is_lower_bound stack waits_on "
				  "awaited_by awaited_by_cut owner torn");
		if (!json_is_null(get(part, "waits_on")))
			assert_keys(get(part, "waits_on"),
				    "kind id what resource left_s timeout_left_s callbacks waker "
				    "library title rule");
		json_array_foreach(get(part, "stack"), j, inner)
			assert_keys(inner, "function qualname file line own locals");
	}
	json_array_foreach(get(root, "threads"), i, part)
	{
		assert_keys(part, "id name os_name state on_cpu_ratio run_queue_ratio system_call "
				  "system_call_args wchan has_gil waits_for_gil interpreter loop "
				  "waits_for_loop frames locals_of_one_moment");
		json_array_foreach(get(part, "frames"), j, inner) assert_keys(
			inner,
			"kind function qualname file line column end_line end_column own async "
			"task locals source source_newer");
	}
	json_array_foreach(get(root, "problems"), i, part) assert_keys(part, "what where count");
}

/* The keys of interface.md are there in every state, null when unknown and never left out. */
static void test_json_keys(void **state)
{
	const struct render_options options = {.threshold_s = 0.1, .tasks = RENDER_TASKS_ALL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worlds); i++) {
		struct world w;
		json_t *root;

		worlds[i].make(&w);
		root = json_of(&w, &options);
		check_process(root);
		check_lists(root);
		assert_text(root, "verdict", verdict_word(w.d->worst));
		assert_int_equal(json_array_size(get(root, "loops")), w.s.n_loops);
		assert_int_equal(json_array_size(get(root, "tasks")), w.s.n_tasks);
		assert_int_equal(json_array_size(get(root, "threads")), 2);
		json_decref(root);
		world_deinit(&w);
	}
}

static void test_json_of_a_stall(void **state)
{
	const struct render_label labels[] = {{"site", "r\xc3\xa9gion"}, {"n", ""}};
	const struct render_options options = {.threshold_s = 0.1,
					       .tasks = RENDER_TASKS_ALL,
					       .host = "web-3",
					       .labels = labels,
					       .n_labels = 2};
	const json_t *loop, *part;
	struct world w;
	json_t *root;

	(void)state;
	make_blocked(&w);
	root = json_of(&w, &options);
	assert_text(root, "time", "2026-11-23T14:03:16.231Z");
	assert_number(root, "monotonic_s", 1000);
	assert_text(root, "host", "web-3");
	assert_text(get(root, "labels"), "site", "r\xc3\xa9gion");
	assert_text(get(root, "labels"), "n", "");
	assert_text(get(root, "process"), "started", "2026-11-23T14:01:46.230Z");
	assert_text(get(get(root, "process"), "python"), "version", "3.12.1");
	assert_null_key(get(root, "process"), "children"); /* unknown is not [] */
	loop = json_array_get(get(root, "loops"), 0);
	assert_text(loop, "id", "0x7f0000001000");
	assert_text(loop, "verdict", "STALLED");
	assert_text(loop, "phase", "callbacks");
	assert_text(loop, "confidence", "certain");
	assert_number(loop, "held_s", 4.83);
	assert_text(loop, "held_bound", "upper");
	assert_true(json_is_true(get(loop, "same_callback")));
	assert_null_key(get(loop, "select"), "entered_s_ago");
	assert_null_key(loop, "executor");
	assert_null_key(loop, "timers_next_s");
	assert_text(get(loop, "batch"), "callback_task", "0x7f0000010700");
	part = get(loop, "who");
	assert_text(part, "qualname", "Api.get_price");
	assert_number(part, "line", 88);
	assert_text(part, "source", "r = requests.get(url)");
	assert_text(part, "task", "handle-quote-118");
	part = get(loop, "what");
	assert_text(part, "system_call", "recvfrom");
	assert_text(part, "library", "requests");
	assert_number(part, "fd", 6);
	assert_number(part, "on_cpu_ratio", 0);
	assert_text(part, "peer", "10.0.3.17:443");
	assert_null_key(part, "path");
	part = json_array_get(get(loop, "groups"), 0);
	assert_number(part, "count", 6);
	assert_text(part, "waits_on", "StreamReader.readline");
	assert_text(get(part, "where"), "qualname", "Connection.serve");
	json_decref(root);
	world_deinit(&w);
}

static void test_json_of_what_is_unknown(void **state)
{
	const struct render_options options = {.threshold_s = 0.1, .tasks = RENDER_TASKS_NONE};
	const json_t *loop, *thread;
	struct world w;
	json_t *root;

	(void)state;
	make_healthy(&w);
	w.s.clock_ns = w.s.wall_ns = 0;
	w.s.micro = -1;
	w.process.executable = NULL;
	w.loop.have_info = w.loop.have_select = false;
	w.loop.info.ready = w.loop.info.timers = w.loop.info.timers_late = w.loop.info.fds = -1;
	w.loop.info.next_when = w.loop.info.worst_late = 0.0 / (double)w.s.clock_ns; /* nan */
	root = json_of(&w, &options);
	assert_null_key(root, "time");
	assert_null_key(root, "monotonic_s");
	assert_null_key(root, "host");
	assert_null_key(get(root, "process"), "executable");
	assert_null_key(get(root, "process"), "container");
	assert_text(get(get(root, "process"), "python"), "version", "3.12");
	assert_int_equal(json_array_size(get(root, "tasks")), 0);
	loop = json_array_get(get(root, "loops"), 0);
	assert_null_key(loop, "held_s");
	assert_null_key(loop, "held_bound");
	assert_null_key(loop, "same_callback");
	assert_null_key(loop, "batch");
	assert_null_key(loop, "ready");
	assert_null_key(loop, "timers");
	assert_null_key(loop, "timers_late");
	assert_null_key(loop, "timers_worst_late_s");
	assert_null_key(loop, "timers_next_s");
	assert_null_key(loop, "fds");
	assert_null_key(loop, "who");
	assert_null_key(loop, "what");
	assert_null_key(loop, "current_task");
	assert_number(get(loop, "select"), "timeout_s", 0.6);
	thread = json_array_get(get(root, "threads"), 1);
	assert_null_key(thread, "name");
	assert_null_key(thread, "has_gil");
	assert_null_key(thread, "loop");
	assert_null_key(thread, "on_cpu_ratio");
	json_decref(root);
	world_deinit(&w);
}

/* That the disk is full is told. */
static void test_json_that_cannot_be_written(void **state)
{
	const struct render_options options = {.threshold_s = 0.1, .tasks = RENDER_TASKS_ALL};
	FILE *out = fopen("/dev/full", "w");
	struct world w;

	(void)state;
	if (!out)
		skip();
	setvbuf(out, NULL, _IONBF, 0);
	make_blocked(&w);
	assert_false(render_json(&w.s, w.d, &options, out));
	fclose(out);
	world_deinit(&w);
}

/* ---- pieces -------------------------------------------------------------------------------- */

static void test_durations(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} rows[] = {
		{0, "0.0 ms"},		{400000, "0.4 ms"},	  {9940000, "9.9 ms"},
		{10 * MS, "10 ms"},	{340 * MS, "340 ms"},	  {999 * MS, "999 ms"},
		{1000 * MS, "1.00 s"},	{4830 * MS, "4.83 s"},	  {99990 * MS, "99.99 s"},
		{100000 * MS, "100 s"}, {7200000 * MS, "7200 s"}, {INT64_MAX, "9223372037 s"},
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		format_duration(buf, sizeof(buf), rows[i].ns);
		assert_string_equal(buf, rows[i].text);
	}
}

static void test_short_paths(void **state)
{
	(void)state;
	assert_string_equal(short_path("/srv/app/pricing.py"), "app/pricing.py");
	assert_string_equal(short_path("/a/b/c/d.py"), "c/d.py");
	assert_string_equal(short_path("/d.py"), "d.py");
	assert_string_equal(short_path("d.py"), "d.py");
	assert_string_equal(short_path("c/d.py"), "c/d.py");
	assert_string_equal(short_path(""), "");
	assert_string_equal(short_path("/"), "");
	assert_string_equal(short_path("<string>"), "<string>");
	assert_string_equal(short_path("/usr/lib/python3.12/asyncio/tasks.py"), "asyncio/tasks.py");
	assert_string_equal(short_path("/v/lib/python3.12/site-packages/requests/api.py"),
			    "requests/api.py");
	assert_string_equal(short_path("/usr/lib/python3/dist-packages/six.py"), "six.py");
	assert_string_equal(short_path("/usr/lib/python3.12"), "lib/python3.12");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_golden_tasks),
		cmocka_unit_test(test_first_lines),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_json_keys),
		cmocka_unit_test(test_json_of_a_stall),
		cmocka_unit_test(test_json_of_what_is_unknown),
		cmocka_unit_test(test_json_that_cannot_be_written),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_short_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
