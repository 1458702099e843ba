/* SPDX-License-Identifier: Apache-2.0 */
/* test_variables.c - what stands below a frame, and what --redact takes out of a snapshot */
#include <jansson.h>
#include <stdio.h>

#include "render_world.h"
#include "snapshot/builder.h"
#include "stallscope/utf8.h"

/* ---- the part of a line that runs ------------------------------------------------------------ */

static void assert_mark(const char *text, struct py_position at, const char *shown, uint32_t mark,
			uint32_t mark_end)
{
	struct strbuf line = STRBUF_INIT, out = STRBUF_INIT;
	uint32_t from, to;

	strbuf_addstr(&line, text);
	line_text(&line, &at, &out, &from, &to);
	assert_string_equal(out.data, shown);
	assert_int_equal(from, mark);
	assert_int_equal(to, mark_end);
	strbuf_deinit(&line);
	strbuf_deinit(&out);
}

static void marks(void **state)
{
	char wide[200];

	(void)state;
	assert_mark("\t  x = f(1)  ", (struct py_position){1, 1, 7, 11}, "x = f(1)", 4, 8);
	assert_mark("x = f(1)", (struct py_position){1, 1, -1, -1}, "x = f(1)", 0, 0);
	assert_mark("f(1)", (struct py_position){1, 1, 0, 4}, "f(1)", 0, 0); /* all of it */
	assert_mark("x = f(", (struct py_position){1, 3, 4, 1}, "x = f(", 4, 6);
	/* bytes and columns: é takes two and one, the ideograph three and two, a tab \t */
	assert_mark("\xc3\xa9\xe4\xb8\xad\t f()", (struct py_position){1, 1, 7, 10},
		    "\xc3\xa9\xe4\xb8\xad\\t f()", 6, 9);
	/* of another line, in the middle of a character, before the text: what does not fit */
	assert_mark("f()", (struct py_position){1, 1, 2, 30}, "f()", 0, 0);
	assert_mark("f()", (struct py_position){1, 1, 3, 2}, "f()", 0, 0);
	assert_mark("    f()", (struct py_position){1, 1, 2, 6}, "f()", 0, 0);
	assert_mark("\xc3\xa9 f", (struct py_position){1, 1, 1, 2}, "\\xc3\\xa9 f", 4, 8);
	assert_mark("", (struct py_position){1, 1, 0, 1}, "", 0, 0);
	memset(wide, 'x', sizeof(wide));
	wide[sizeof(wide) - 1] = 0;
	for (int32_t to = 1; to < 200; to++) {
		struct strbuf line = STRBUF_INIT, out = STRBUF_INIT;
		uint32_t mark, mark_end;

		strbuf_addstr(&line, wide);
		line_text(&line, &(struct py_position){1, 1, to - 1, to}, &out, &mark, &mark_end);
		assert_int_equal(mark_end, 0);
		assert_int_equal(utf8_width(out.data), 121);
		strbuf_deinit(&line);
		strbuf_deinit(&out);
	}
}

/* ---- text ------------------------------------------------------------------------------------ */

static char *text_of(const struct world *w, const struct render_options *options)
{
	struct strbuf text = STRBUF_INIT;

	render_text(&w->s, w->d, options, &text);
	return text.cap ? text.data : NULL;
}

static void assert_has(const char *text, const char *part, bool expected)
{
	if ((strstr(text, part) != NULL) != expected)
		fail_msg("'%s' is %sin\n%s", part, expected ? "not " : "", text);
}

static void give_variables(struct world *w)
{
	w->variables[0] = (struct snap_variable){"url", "'http://10.0.3.17/'"};
	w->variables[1] = (struct snap_variable){"n", "7"};
	w->detail.variables = w->variables;
	w->detail.n_variables = 2;
	w->detail.variables_left = 3;
	w->detail.have_variables = true;
}

static void text_has_them(void **state)
{
	struct render_options options = {.width = 80, .threshold_s = 0.1};
	struct world w;
	char *text;

	(void)state;
	make_blocked(&w);
	text = text_of(&w, &options);
	assert_has(text, "\n      r = requests.get(url)\n          ^^^^^^^^^^^^^^^^^\n", true);
	assert_has(text, " = 7", false);
	free(text);
	give_variables(&w);
	w.threads[0].stood = SNAP_RAN;
	w.s.variables_left = 12;
	text = text_of(&w, &options);
	assert_has(text,
		   "<- yours\n      url = 'http://10.0.3.17/'\n      n = 7\n      ... 3 more\n",
		   true);
	assert_has(text, "\nVariables: thread MainThread/4242 ran while they were read", true);
	assert_has(text, "\nVariables of 12 more frames are not shown", true);
	free(text);
	options.verbose = true;
	text = text_of(&w, &options);
	assert_has(text,
		   "<- yours\n      r = requests.get(url)\n          ^^^^^^^^^^^^^^^^^\n      url",
		   true);
	free(text);
	options.width = 12; /* the line is cut, and so is the mark */
	text = text_of(&w, &options);
	assert_has(text, "\n      r = r\xe2\x80\xa6\n          ^\n", true);
	free(text);
	world_deinit(&w);
}

static void tree_has_them(void **state)
{
	struct render_options options = {
		.width = 80, .threshold_s = 0.1, .tasks = RENDER_TASKS_TREE};
	struct world w;
	char *text;

	(void)state;
	make_blocked(&w);
	give_variables(&w);
	text = text_of(&w, &options);
	assert_has(text,
		   "pricing.py:88\n    url = 'http://10.0.3.17/'\n    n = 7\n    ... 3 more\n",
		   true);
	free(text);
	world_deinit(&w);
}

/* A file that is newer is said to be, however long the line is. */
static void newer_file(void **state)
{
	struct render_options options = {.width = 80, .threshold_s = 0.1};
	static char line[200];
	struct world w;
	char *text;

	(void)state;
	make_cpu(&w);
	memset(line, 'x', sizeof(line) - 1);
	w.detail.source = line;
	text = text_of(&w, &options);
	assert_has(text, "xxx\xe2\x80\xa6   [file changed since start]\n", true);
	free(text);
	world_deinit(&w);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_of(const struct world *w)
{
	const struct render_options options = {.threshold_s = 0.1, .tasks = RENDER_TASKS_ALL};
	FILE *file = tmpfile();
	json_t *root;

	assert_non_null(file);
	assert_true(render_json(&w->s, w->d, &options, file));
	rewind(file);
	root = json_loadf(file, 0, NULL);
	assert_non_null(root);
	fclose(file);
	return root;
}

static const json_t *frame_of(const json_t *root, size_t i)
{
	return json_array_get(
		json_object_get(json_array_get(json_object_get(root, "threads"), 0), "frames"), i);
}

static void json_has_them(void **state)
{
	struct world w;
	const json_t *locals, *task;
	json_t *root;

	(void)state;
	make_blocked(&w);
	root = json_of(&w);
	assert_true(json_is_null(json_object_get(frame_of(root, 2), "locals")));
	json_decref(root);
	give_variables(&w);
	w.threads[0].stood = SNAP_STOOD;
	root = json_of(&w);
	locals = json_object_get(frame_of(root, 2), "locals");
	assert_int_equal(json_object_size(locals), 3);
	assert_string_equal(json_string_value(json_object_get(locals, "n")), "7");
	assert_string_equal(json_string_value(json_object_get(locals, "...")), "3 more");
	assert_true(json_is_null(json_object_get(frame_of(root, 1), "locals")));
	assert_string_equal(json_string_value(json_object_get(frame_of(root, 2), "source")),
			    "r = requests.get(url)");
	assert_true(json_is_false(json_object_get(frame_of(root, 2), "source_newer")));
	assert_true(json_is_null(json_object_get(frame_of(root, 1), "source_newer")));
	assert_true(json_is_true(json_object_get(
		json_array_get(json_object_get(root, "threads"), 0), "locals_of_one_moment")));
	task = json_array_get(json_object_get(root, "tasks"), 7);
	task = json_array_get(json_object_get(task, "stack"), 2);
	assert_true(json_equal(locals, json_object_get(task, "locals")));
	json_decref(root);
	world_deinit(&w);
}

/* ---- redaction ------------------------------------------------------------------------------- */

static void add_modules(struct world *w)
{
	static struct snap_library libraries[] = {
		{.path = "/srv/own.so"}, {.path = "/usr/lib/libssl.so.3", .build_id = "abcd"}};
	static struct snap_file files[] = {
		{.path = "/srv/app/pricing.py",
		 .own = true,
		 .have_stat = true,
		 .stat = {.size = 5, .have_content = true, .content = 0xc0ffee00}}};
	static struct snap_import imports[] = {{"secretmod", NULL}};

	w->s.modules = (struct snap_modules){.have_libraries = true,
					     .have_files = true,
					     .have_imports = true,
					     .libraries = libraries,
					     .files = files,
					     .imports = imports,
					     .n_libraries = 2,
					     .n_files = 1,
					     .n_imports = 1,
					     .libraries_total = 2,
					     .files_total = 1,
					     .imports_total = 1};
	w->detail.have_file = true;
	w->detail.file = files[0].stat;
}

static const json_t *at(const json_t *object, const char *key)
{
	return json_is_array(object) ? json_array_get(object, (size_t)atoi(key))
				     : json_object_get(object, key);
}

static void json_has_modules(void **state)
{
	struct world w;
	const json_t *modules, *file;
	json_t *root;

	(void)state;
	make_blocked(&w);
	root = json_of(&w);
	assert_true(json_is_null(at(at(root, "process"), "modules"))); /* they were not asked */
	assert_true(json_is_null(at(at(at(at(root, "loops"), "0"), "who"), "file_bytes")));
	json_decref(root);
	add_modules(&w);
	root = json_of(&w);
	modules = at(at(root, "process"), "modules");
	assert_int_equal(json_integer_value(at(at(modules, "libraries"), "total")), 2);
	file = at(at(at(modules, "libraries"), "list"), "1");
	assert_string_equal(json_string_value(at(file, "build_id")), "abcd");
	assert_true(json_is_null(at(file, "modified")) && json_is_null(at(file, "bytes")));
	assert_true(json_is_false(at(file, "deleted")));
	file = at(at(at(modules, "files"), "list"), "0");
	assert_string_equal(json_string_value(at(file, "content")), "00000000c0ffee00");
	assert_int_equal(json_integer_value(at(file, "bytes")), 5);
	assert_true(json_is_true(at(file, "own")) && json_is_false(at(file, "newer")));
	assert_true(json_is_null(at(at(at(modules, "imports"), "list"), "secretmod")));
	file = at(at(at(root, "loops"), "0"), "who");
	assert_string_equal(json_string_value(at(file, "file_content")), "00000000c0ffee00");
	w.s.modules.have_libraries = w.s.modules.have_imports = false; /* as a recording goes on */
	json_decref(root);
	root = json_of(&w);
	modules = at(at(root, "process"), "modules");
	assert_true(json_is_null(at(modules, "libraries")) && json_is_null(at(modules, "imports")));
	assert_true(json_is_object(at(modules, "files")));
	json_decref(root);
	world_deinit(&w);
}

/* Everything that is taken out is there before, and nowhere after; the verdict is the same. */
static void redaction(void **state)
{
	static const char *const secrets[] = {
		"app.py",	"8080",	     "10.0.3.17",	"conn-1",   "handle-quote",
		"r = requests", "/s/sock",   "/s/other",	"holder-x", "tracer-x",
		"the-worker",	"10.9.9.9",  "/s/open",		"python3 ", "log-writer",
		"/srv/own.so",	"secretmod", "00000000c0ffee00"};
	struct render_options options = {
		.width = 100, .threshold_s = 0.1, .tasks = RENDER_TASKS_ALL, .verbose = true};
	struct verdict before;
	struct world w;
	json_t *root;
	char *text, *json;

	(void)state;
	make_blocked(&w);
	before = w.d->loops[0];
	w.threads[1].name = (char[]){"the-worker"};
	w.s.limits.tracer_command = "tracer-x";
	w.s.tracer = 5;
	w.loop.wait.local = "10.9.9.9:1";
	w.loop.wait.kind = SNAP_FD_TCP;
	w.loop.blocked.kind = SNAP_BLOCKED_FDS;
	w.loop.blocked.n_fds = w.loop.blocked.fds_total = 2;
	w.loop.blocked.fds[0] = (struct snap_wait_fd){.fd = 6, .path = "/s/sock"};
	w.loop.blocked.fds[1] = (struct snap_wait_fd){.fd = 7, .path = "/s/other"};
	w.loop.blocked.path = "/s/open";
	w.loop.blocked.command = "holder-x";
	add_modules(&w);
	snapshot_redact(&w.s);
	world_deinit(&w);
	world_judge(&w);
	text = text_of(&w, &options);
	root = json_of(&w);
	json = json_dumps(root, 0);
	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		assert_has(text, secrets[i], false);
		assert_has(json, secrets[i], false);
	}
	assert_has(text, "\npython3.12 (CPython 3.12.1, asyncio, thread MainThread/4242)\n", true);
	assert_has(text, "(left out), ESTABLISHED, nothing received", true);
	assert_has(text, "\ntask 0x7f0000010100  pending", true);
	assert_has(json, "{\"total\": 2, \"list\": [{\"path\": \"/usr/lib/libssl.so.3\"", true);
	assert_has(json, "\"imports\": null", true);
	assert_true(json_is_true(json_object_get(json_object_get(root, "tool"), "redacted")));
	assert_int_equal(before.id, w.d->loops[0].id);
	assert_string_equal(before.kind, w.d->loops[0].kind);
	json_decref(root);
	free(json);
	free(text);
	arena_deinit(&w.s.arena);
	world_deinit(&w);
}

/* What a text made elsewhere quotes is taken out too; one that quotes nothing stays. */
static void redacted_reasons(void **state)
{
	static const char queued[] = "the callback is in the ready queue of that loop";
	struct snap_deadlock *d;
	struct world w;

	(void)state;
	make_blocked(&w);
	d = &w.s.loops[0].deadlock;
	*d = (struct snap_deadlock){.kind = SNAP_DEADLOCK_THREADS, .n_threads = 3};
	d->proofs[0] = "task secret of that loop will set the Future";
	d->proofs[1] = queued;
	w.s.freeze.why = "process 1 is traced by process 2 (secret): only one can";
	snapshot_redact(&w.s);
	assert_has(d->proofs[0], "secret", false);
	assert_string_equal(d->proofs[1], queued);
	assert_null(d->proofs[2]);
	assert_has(w.s.freeze.why, "secret", false);
	arena_deinit(&w.s.arena);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(marks),	 cmocka_unit_test(text_has_them),
		cmocka_unit_test(tree_has_them), cmocka_unit_test(newer_file),
		cmocka_unit_test(json_has_them), cmocka_unit_test(json_has_modules),
		cmocka_unit_test(redaction),	 cmocka_unit_test(redacted_reasons),
	};

	return cmocka_run_group_tests_name("variables", tests, NULL, NULL);
}
