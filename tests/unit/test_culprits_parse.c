/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "diagnose/culprits_private.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "stallscope/strbuf.h"

#define HEADER "match_kind\tpattern\tcategory\ttitle\tadvice\tsource\n"
#define ROW    "py\ta.b:c\tio.http\tT\tA\n"

/* ---- texts ------------------------------------------------------------------------------------
 */

static bool parse(const char *text, size_t len, size_t *n, struct error *err)
{
	cleanup_free struct culprit_row *rows = NULL;
	cleanup_free char *copy = mem_alloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = 0;
	return culprits_parse("my.tsv", copy, len, CULPRIT_FILE, &rows, n, err);
}

static void good_texts(void **state)
{
	static const struct {
		const char *text;
		size_t rows;
	} cases[] = {
		{"", 0},
		{"\n\n  \t \n", 0},
		{HEADER, 0},
		{HEADER "# a comment\n\n" ROW, 1},
		{"# first\n" HEADER ROW, 1},
		{"\xef\xbb\xbf" HEADER ROW, 1},
		{"match_kind\tpattern\tcategory\ttitle\tadvice\tsource\r\n"
		 "py\ta.b:c\tio.http\tT\tA\tS\r\n\r\nsyscall\tread\tfile.read\tT\tA\t\r\n",
		 2},
		{"py\ta:b\tio.http\tT\tA\tS\npy\tc:d\tsleep\tT\tA", 2},
		{"py\ta:b\tio.http\tT\tA\nawait\ta:b\twait.http\tT\tA\n", 2},
		{"py\ta:<lambda>\tio.http\tpr\xc3\xa9t \xe2\x82\xac\tA\n", 1},
		{"py\ta:b\tio.http\te\xcc\x81\xcc\x81 e\xcc\x81\tA\n", 1},
		{"await\ta.b:C.d.<locals>.e\twait.http\tT\tA\n", 1},
		{"py\tfoo-bar.na\xc3\xafve:f\tio.http\tT\tA\n", 1},
		{"ccall\t_io!BufferedReader.read\tfile.read\tT\tA\n", 1},
		{"native\tlib?.so*!*_send\tio.dns\tT\tA\n", 1},
		{"syscall\tpoll\tio.socket\tT\tA\nsyscall\tppoll\tio.socket\tT\tA\n", 2},
		{"state\tinterp.gc.collecting\tcpu.gc\tT\tA\n", 1},
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = 99;

		if (!parse(cases[i].text, strlen(cases[i].text), &n, &err))
			fail_msg("case %zu: %s", i, err.text);
		assert_int_equal(n, cases[i].rows);
	}
}

static void columns_of_a_row(void **state)
{
	char text[] = HEADER "py\ta.b:c\tio.http\tThe title\tThe advice\tThe source\r\n"
			     "await\ta:b.c\twait.db\tT\tA";
	cleanup_free struct culprit_row *rows = NULL;
	struct error err;
	size_t n;

	(void)state;
	assert_true(culprits_parse("x", text, sizeof(text) - 1, CULPRIT_CONFIG, &rows, &n, &err));
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].kind, CULPRIT_PY);
	assert_int_equal(rows[0].origin, CULPRIT_CONFIG);
	assert_int_equal(rows[0].order, 0);
	assert_int_equal(rows[0].line, 2);
	assert_string_equal(rows[0].pattern, "a.b:c");
	assert_string_equal(rows[0].category, "io.http");
	assert_string_equal(rows[0].title, "The title");
	assert_string_equal(rows[0].advice, "The advice");
	assert_string_equal(rows[0].source, "The source");
	assert_int_equal(rows[1].kind, CULPRIT_AWAIT);
	assert_int_equal(rows[1].order, 1);
	assert_string_equal(rows[1].source, "");
}

/* Each names the place as line:column, and has a hint. */
static void bad_texts(void **state)
{
	static const struct {
		const char *text, *place, *what;
	} cases[] = {
		{"pie\ta:b\tio.http\tT\tA\n", ":1:1:", "unknown match_kind 'pie'"},
		{HEADER "PY\ta:b\tio.http\tT\tA\n", ":2:1:", "unknown match_kind"},
		{ROW HEADER, ":2:1:", "unknown match_kind 'match_kind'"},
		{ROW "\n# c\npy\ta:b\tio.htp\tT\tA\n", ":4:8:", "unknown category 'io.htp'"},
		{"py\ta.b\tio.http\tT\tA\n", ":1:4:", "'a.b' does not name a Python function"},
		{"py\ta:B.c\tio.http\tT\tA\n", ":1:4:", "(module:function)"},
		{"py\ta:b:c\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\t:b\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta:\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta..b:c\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta.b.:c\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta b:c\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta/b.py:c\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta:<lambda\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"py\ta!b\tio.http\tT\tA\n", ":1:4:", "module:function"},
		{"await\ta!b\tio.http\tT\tA\n", ":1:7:", "module:qualname"},
		{"await\ta:b..c\tio.http\tT\tA\n", ":1:7:", "module:qualname"},
		{"ccall\ta:b\tio.http\tT\tA\n", ":1:7:", "module!qualname"},
		{"ccall\ta!b!c\tio.http\tT\tA\n", ":1:7:", "module!qualname"},
		{"native\tlibpq.so\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"native\t/usr/lib/libpq.so!f\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"native\ta!b!c\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"native\t!f\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"native\ta!\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"native\t*!*\tio.http\tT\tA\n", ":1:8:", "object-glob!symbol"},
		{"syscall\trecvform\tio.http\tT\tA\n", ":1:9:", "does not name a system call"},
		{"state\tinterp.gc\tcpu.gc\tT\tA\n", ":1:7:", "does not name a state"},
		{"py\ta:b\tio.http\tT\n", ":1:17:", "4 columns, at least 5"},
		{"py a:b io.http T A\n", ":1:19:", "1 column, at least 5"},
		{"py\ta:b\tio.http\tT\tA\tS\tmore\n", ":1:22:", "more than 6 columns"},
		{"py\ta:b\tio.http\t\tA\n", ":1:16:", "column title is empty"},
		{"py\t\tio.http\tT\tA\n", ":1:4:", "column pattern is empty"},
		{"py\ta:b\tio.http\tT\t\tS\n", ":1:18:", "column advice is empty"},
		{"\tx\tio.http\tT\tA\n", ":1:1:", "column match_kind is empty"},
		{ROW ROW, ":2:4:", "py a.b:c was in line 1 already"},
		{ROW "py\ta:b\tio.http\tT\x1b[31m\tA\n", ":2:17:", "U+001B"},
		{"py\ta:b\tio.http\tT\tA\x07\n", ":1:19:", "U+0007"},
		{"py\ta:b\tio.http\tT\rT\tA\n", ":1:17:", "U+000D"},
		{"py\ta:b\tio.http\t\xe2\x82\xac\xe2\x80\xae\tA\n", ":1:17:", "U+202E"},
		{"py\ta:b\tio.http\t\xc3\xa9\xff\tA\n", ":1:17:", "byte 0xff is not UTF-8"},
		/* one more mark than a character can carry */
		{"py\ta:b\tio.http\te\xcc\x81\xcc\x81\xcc\x81\tA\n", ":1:19:", "U+0301"},
		{"# caf\xe9\n" ROW, ":1:6:", "byte 0xe9 is not UTF-8"},
	};
	struct error err;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		err = (struct error){0};
		if (parse(cases[i].text, strlen(cases[i].text), &n, &err))
			fail_msg("case %zu is taken: %s", i, cases[i].text);
		assert_int_equal(err.code, ERR_BAD_FILE);
		if (strncmp(err.text, "my.tsv", 6) != 0 ||
		    strncmp(err.text + 6, cases[i].place, strlen(cases[i].place)) != 0 ||
		    !strstr(err.text, cases[i].what) || !err.hint[0])
			fail_msg("case %zu: '%s' (%s), not at %s %s", i, err.text, err.hint,
				 cases[i].place, cases[i].what);
		assert_false(parse(cases[i].text, strlen(cases[i].text), &n, NULL));
	}
}

static void a_nul_byte(void **state)
{
	static const char text[] = "py\ta:b\tio.http\tT\0T\tA\n";
	struct error err;
	size_t n;

	(void)state;
	assert_false(parse(text, sizeof(text) - 1, &n, &err));
	assert_non_null(strstr(err.text, ":1:17:"));
	assert_non_null(strstr(err.text, "U+0000"));
}

static void near_words_are_named(void **state)
{
	struct error err;
	size_t n;

	(void)state;
	assert_false(parse("py\ta:b\tio.htp\tT\tA\n", 18, &n, &err));
	assert_non_null(strstr(err.hint, "did you mean io.http?"));
	assert_false(parse("py\ta:B.c\tio.http\tT\tA\n", 21, &n, &err));
	assert_non_null(strstr(err.hint, "requests.sessions:request"));
	assert_non_null(strstr(err.hint, "without its class"));
}

static void fields_are_bounded(void **state)
{
	static const struct {
		const char *before, *after;
		size_t max;
	} cases[] = {
		{"py\t", ":b\tio.http\tT\tA\n", 198},
		{"py\ta:b\tio.http\t", "\tA\n", 120},
		{"py\ta:b\tio.http\tT\t", "\n", 200},
		{"py\ta:b\tio.http\tT\tA\t", "\n", 1000},
	};
	struct error err;
	size_t n;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;
		bool over = i & 1;

		strbuf_addstr(&text, cases[i / 2].before);
		strbuf_pad(&text, 'x', cases[i / 2].max + over);
		strbuf_addstr(&text, cases[i / 2].after);
		assert_int_equal(parse(text.data, text.len, &n, &err), !over);
		if (over)
			assert_non_null(strstr(err.text, "are allowed"));
	}
}

static void rows_are_bounded(void **state)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct error err;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < CULPRITS_ROWS_MAX; i++)
		strbuf_addf(&text, "py\tm%u:f\tio.http\tT\tA\n", i);
	assert_true(parse(text.data, text.len, &n, &err));
	assert_int_equal(n, CULPRITS_ROWS_MAX);
	strbuf_addstr(&text, ROW);
	assert_false(parse(text.data, text.len, &n, &err));
	assert_non_null(strstr(err.text, "my.tsv:10001:1: more than 10000 rows"));
}

/* The name of the file is the user's, but goes to a terminal. */
static void names_are_made_safe(void **state)
{
	char text[] = "x";
	struct culprit_row *rows;
	struct error err;
	size_t n;

	(void)state;
	assert_false(culprits_parse("a\x1b[2J", text, 1, CULPRIT_FILE, &rows, &n, &err));
	assert_null(strchr(err.text, '\x1b'));
}

/* ---- files ------------------------------------------------------------------------------------
 */

struct files {
	char folder[64], own[128], config[128];
};

static void write_file(const char *path, const char *text)
{
	cleanup_file FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static int make_files(void **state)
{
	static struct files f;
	char path[256];

	strcpy(f.folder, "/tmp/stallscope-culprits-XXXXXX");
	if (!mkdtemp(f.folder))
		return -1;
	snprintf(f.own, sizeof(f.own), "%s/own.tsv", f.folder);
	snprintf(path, sizeof(path), "%s/stallscope", f.folder);
	if (mkdir(path, 0700))
		return -1;
	snprintf(f.config, sizeof(f.config), "%s/stallscope/culprits.tsv", f.folder);
	setenv("XDG_CONFIG_HOME", f.folder, 1);
	log_set_level(LOG_QUIET);
	*state = &f;
	return 0;
}

static int remove_files(void **state)
{
	struct files *f = *state;
	char path[256];

	unlink(f->own);
	unlink(f->config);
	snprintf(path, sizeof(path), "%s/stallscope", f->folder);
	rmdir(path);
	culprits_unload();
	return rmdir(f->folder);
}

static void rows_of_the_user_come_first(void **state)
{
	const struct files *f = *state;
	const struct culprit_row *rows, *row;
	size_t before, n;
	struct error err;

	assert_true(culprits_load(NULL, &err));
	culprits_rows(&before);
	write_file(f->own, "py\tmine:f\tio.http\tfrom the option\tA\n"
			   "py\trequests.api:request\tio.rpc\tmine\tA\n");
	write_file(f->config, "py\tmine:f\tio.db\tfrom the folder\tA\n"
			      "py\tmine:g\tio.db\tfrom the folder\tA\n");
	assert_true(culprits_load(f->own, &err));
	rows = culprits_rows(&n);
	assert_int_equal(n, before + 2);
	assert_string_equal(rows[0].title, "from the option");
	assert_int_equal(rows[0].origin, CULPRIT_FILE);
	assert_string_equal(rows[2].pattern, "mine:g");
	assert_int_equal(rows[2].origin, CULPRIT_CONFIG);
	assert_int_equal(rows[3].origin, CULPRIT_BUILT_IN);
	row = culprits_find(CULPRIT_PY, "requests.api:request");
	assert_string_equal(row->title, "mine");
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rows[i].order, i);
}

/* What is compiled in is not checked at each start: here it is, as a file of the user's would be.
 */
static void the_built_in_one(void **state)
{
	cleanup_free struct culprit_row *rows = NULL;
	cleanup_free char *text = NULL;
	const char *srcdir = getenv("srcdir");
	size_t len, n, built_in;
	struct error err;
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s/data/culprits.tsv", srcdir ? srcdir : ".");
	assert_true(culprits_read(path, &text, &len, &err));
	if (!culprits_parse(path, text, len, CULPRIT_FILE, &rows, &n, &err))
		fail_msg("%s", err.text);
	assert_true(culprits_load(NULL, &err));
	culprits_rows(&built_in);
	assert_int_equal(n, built_in);
}

static void broken_files(void **state)
{
	const struct files *f = *state;
	size_t before, n;
	struct error err;

	assert_true(culprits_load(NULL, &err));
	culprits_rows(&before);
	write_file(f->own, "py\tmine:f\tio.http\tT\tA\npy\tmine\tio.http\tT\tA\n");
	assert_false(culprits_load(f->own, &err));
	assert_int_equal(err.code, ERR_BAD_FILE);
	assert_non_null(strstr(err.text, "own.tsv:2:4:"));
	/* what is in the folder is left out as a whole */
	assert_int_equal(rename(f->own, f->config), 0);
	assert_true(culprits_load(NULL, &err));
	culprits_rows(&n);
	assert_int_equal(n, before);
	assert_null(culprits_find(CULPRIT_PY, "mine:f"));
}

static void files_that_cannot_be_read(void **state)
{
	const struct files *f = *state;
	char path[256];
	struct error err;

	assert_false(culprits_load("/nonexistent/culprits.tsv", &err));
	assert_int_equal(err.code, ERR_NO_FILE);
	assert_int_equal(error_exit_status(err.code), 66);
	assert_false(culprits_load(f->folder, &err));
	assert_int_equal(err.code, ERR_BAD_FILE);
	snprintf(path, sizeof(path), "%s/own.tsv/x", f->folder);
	assert_false(culprits_load(path, &err));
	assert_false(culprits_load("/dev/zero", &err)); /* ends, too large */
	assert_non_null(strstr(err.text, "File too large"));
	assert_non_null(strstr(err.hint, "4 MiB"));
	assert_true(culprits_load("/dev/null", &err));
}

static void size_of_a_file_is_bounded(void **state)
{
	const struct files *f = *state;
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct error err;

	strbuf_addstr(&text, ROW "#");
	strbuf_pad(&text, 'x', CULPRITS_BYTES_MAX - text.len);
	write_file(f->own, text.data);
	assert_true(culprits_load(f->own, &err));
	assert_non_null(culprits_find(CULPRIT_PY, "a.b:c"));
	strbuf_addch(&text, 'x');
	write_file(f->own, text.data);
	assert_false(culprits_load(f->own, &err));
}

static void where_the_config_is(void **state)
{
	char buf[64], *folder = getenv("XDG_CONFIG_HOME");

	(void)state;
	folder = strdup(folder);
	setenv("XDG_CONFIG_HOME", "/x", 1);
	setenv("HOME", "/h", 1);
	assert_true(culprits_config_path(buf, sizeof(buf)));
	assert_string_equal(buf, "/x/stallscope/culprits.tsv");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_true(culprits_config_path(buf, sizeof(buf)));
	assert_string_equal(buf, "/h/.config/stallscope/culprits.tsv");
	unsetenv("XDG_CONFIG_HOME");
	assert_true(culprits_config_path(buf, sizeof(buf)));
	assert_false(culprits_config_path(buf, 10));
	setenv("HOME", "", 1);
	assert_false(culprits_config_path(buf, sizeof(buf)));
	unsetenv("HOME");
	assert_false(culprits_config_path(buf, sizeof(buf)));
	setenv("XDG_CONFIG_HOME", folder, 1);
	free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_texts),
		cmocka_unit_test(columns_of_a_row),
		cmocka_unit_test(bad_texts),
		cmocka_unit_test(a_nul_byte),
		cmocka_unit_test(near_words_are_named),
		cmocka_unit_test(fields_are_bounded),
		cmocka_unit_test(rows_are_bounded),
		cmocka_unit_test(names_are_made_safe),
		cmocka_unit_test_setup_teardown(rows_of_the_user_come_first, make_files,
						remove_files),
		cmocka_unit_test(the_built_in_one),
		cmocka_unit_test_setup_teardown(broken_files, make_files, remove_files),
		cmocka_unit_test_setup_teardown(files_that_cannot_be_read, make_files,
						remove_files),
		cmocka_unit_test_setup_teardown(size_of_a_file_is_bounded, make_files,
						remove_files),
		cmocka_unit_test_setup_teardown(where_the_config_is, make_files, remove_files),
	};

	return cmocka_run_group_tests_name("culprits_parse", tests, NULL, NULL);
}
