/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "stallscope/arena.h"
#include "stallscope/culprits.h"
#include "stallscope/utf8.h"

/* ---- what is compiled in ----------------------------------------------------------------------
 */

static void every_row_of_the_catalogue(void **state)
{
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	(void)state;
	assert_true(n >= 315);
	for (size_t i = 0; i < n; i++) {
		const struct culprit_row *row = &rows[i];

		assert_int_equal(row->order, i);
		assert_int_equal(row->origin, CULPRIT_BUILT_IN);
		assert_non_null(culprits_category(row->category));
		if (utf8_width(row->advice) > 120 || utf8_width(row->title) > 90)
			fail_msg("line %u: too long to print", row->line);
		if (strncmp(row->source, "run", 3) != 0 && strncmp(row->source, "not run", 7) != 0)
			fail_msg("line %u: was it run or not?", row->line);
		assert_ptr_equal(culprits_find(row->kind, row->pattern), row);
	}
}

/* Advice is printed alone. */
static void advice_stands_alone(void **state)
{
	static const char *const dangling[] = {"as above",	"see above",	  "likewise",
					       "ditto",		"as Thread.join", "see frames",
					       "see the frames"};
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(dangling); k++)
			if (strstr(rows[i].advice, dangling[k]))
				fail_msg("line %u: advice '%s'", rows[i].line, rows[i].advice);
		/* a word alone ("asyncssh", "drain()") leaves open what to do with it */
		if (!strchr(rows[i].advice, ' '))
			fail_msg("line %u: advice '%s'", rows[i].line, rows[i].advice);
	}
}

static void every_category_is_in_use(void **state)
{
	size_t n, n_rows;
	const struct culprit_category *all = culprits_categories(&n);
	const struct culprit_row *rows = culprits_rows(&n_rows);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		size_t used = 0;

		assert_true(*all[i].meaning && strlen(all[i].name) < 24);
		assert_true(!i || strcmp(all[i - 1].name, all[i].name) < 0);
		for (size_t k = 0; k < n_rows; k++)
			used += !strcmp(rows[k].category, all[i].name);
		if (!used)
			fail_msg("no row has the category %s", all[i].name);
	}
	assert_null(culprits_category("io"));
	assert_null(culprits_category(""));
}

/* ---- modules ----------------------------------------------------------------------------------
 */

static void check_modules(const char *const cases[][2], size_t n)
{
	char module[256];

	for (size_t i = 0; i < n; i++) {
		culprits_module(cases[i][0], module, sizeof(module));
		if (strcmp(module, cases[i][1]) != 0)
			fail_msg("%s: module '%s', not '%s'", cases[i][0], module, cases[i][1]);
	}
}

/* Paths as co_filename has them in 3.8 to 3.15 of Debian, Fedora, pyenv and wheels. */
static void modules_of_the_standard_library(void **state)
{
	static const char *const cases[][2] = {
		{"/usr/lib/python3.11/http/client.py", "http.client"},
		{"/usr/lib/python3.13/re/__init__.py", "re"},
		{"/root/.pyenv/versions/3.8.18/lib/python3.8/re.py", "re"},
		{"/root/.pyenv/versions/3.15.0t/lib/python3.15t/json/__init__.py", "json"},
		{"/usr/lib64/python3.9/socket.py", "socket"},
		{"/usr/lib64/python3.14t/threading.py", "threading"},
		{"lib/python3.12/queue.py", "queue"},
		{"/usr/lib/python311.zip/json/encoder.py", "json.encoder"},
		{"/usr/lib/python3.13/pathlib/_abc.py", "pathlib"},
		{"/usr/lib/python3.13/pathlib/_local.py", "pathlib"},
		{"/usr/lib/python3.15/pathlib/__init__.py", "pathlib"},
		{"/usr/lib/python3.12/pathlib.py", "pathlib"},
		{"/usr/lib/python3.13/zipfile/__init__.py", "zipfile"},
		{"/usr/lib/python3.13/zipfile/_path/__init__.py", "zipfile._path"},
		{"/usr/lib/python3.11/concurrent/futures/_base.py", "concurrent.futures._base"},
		{"/usr/lib/python3.11/json/encoder.pyc", "json.encoder"},
		{"/srv/lib/python3.8/x/lib/python3.11/ssl.py", "ssl"},
		{"<frozen os>", "os"},
		{"<frozen importlib._bootstrap>", "importlib._bootstrap"},
		{"<frozen importlib._bootstrap_external>", "importlib._bootstrap_external"},
		{"<frozen zipimport>", "zipimport"},
	};

	(void)state;
	check_modules(cases, ARRAY_SIZE(cases));
}

static void modules_that_are_installed(void **state)
{
	static const char *const cases[][2] = {
		{"/usr/lib/python3/dist-packages/requests/api.py", "requests.api"},
		{"/usr/local/lib/python3.11/dist-packages/redis/client.py", "redis.client"},
		{"/srv/venv/lib/python3.12/site-packages/urllib3/util/retry.py",
		 "urllib3.util.retry"},
		{"/srv/venv/lib64/python3.12/site-packages/yaml/__init__.py", "yaml"},
		{"venv/lib/python3.12/site-packages/bcrypt/__init__.py", "bcrypt"},
		{"site-packages/peewee.py", "peewee"},
		{"/usr/lib/python3/dist-packages/lxml/etree.pyx", "lxml.etree"},
		{"/x/site-packages/a/site-packages/requests/api.py", "requests.api"},
		{"/v/site-packages/httplib2-0.20-py3.9.egg/httplib2/__init__.py", "httplib2"},
		{"/root/.pex/installed_wheels/ab/requests-2.31.0-py3-none-any.whl/requests/api.py",
		 "requests.api"},
		{"/srv/app.pyz/requests/sessions.py", "requests.sessions"},
		{"/srv/app.zip/redis/client.py", "redis.client"},
		{"/v/site-packages/debugpy/_vendored/pydevd/pydevd.py", "pydevd"},
		{"/root/.vscode/extensions/x/bundled/libs/debugpy/_vendored/pydevd/pydevd.py",
		 "pydevd"},
		{"/opt/pycharm/plugins/python/helpers/pydev/pydevd.py", "pydevd"},
		{"/v/site-packages/numpy/_core/fromnumeric.py", "numpy.core.fromnumeric"},
		{"/v/site-packages/pymongo/synchronous/topology.py", "pymongo.topology"},
		{"/v/site-packages/urllib3/_request_methods.py", "urllib3.request"},
		{"/v/site-packages/numpy/_core_of_mine.py", "numpy._core_of_mine"},
	};

	(void)state;
	check_modules(cases, ARRAY_SIZE(cases));
}

static void modules_of_nobody(void **state)
{
	static const char *const cases[][2] = {
		{"/srv/app/pricing.py", ""},
		{"/srv/app/requests/sessions.py", ""},
		{"/srv/python3.11/requests.py", ""},
		{"/srv/lib/python3.11x/requests.py", ""},
		{"uvloop/loop.pyx", ""},
		{"<string>", ""},
		{"<stdin>", ""},
		{"", ""},
		{"/", ""},
		{"/site-packages/", ""},
	};
	char module[64];

	(void)state;
	check_modules(cases, ARRAY_SIZE(cases));
	culprits_module("/usr/lib/python3.11/http/client.py", module, 5); /* cut, not overrun */
	assert_string_equal(module, "http");
	culprits_module("/v/site-packages/numpy/_core/fromnumeric.py", module, 12);
	assert_true(strlen(module) < 12);
	culprits_module("<frozen importlib._bootstrap>", module, 3);
	assert_string_equal(module, "im");
}

/* ---- look-up ----------------------------------------------------------------------------------
 */

static void functions_are_found(void **state)
{
	const struct culprit_row *row;

	(void)state;
	row = culprits_find_frame("/usr/lib/python3/dist-packages/requests/sessions.py", "request");
	assert_non_null(row);
	assert_string_equal(row->category, "io.http");
	assert_non_null(culprits_find_frame("/usr/lib/python3.9/json/__init__.py", "dumps"));
	assert_non_null(culprits_find_frame("/usr/lib64/python3.13/pathlib/_abc.py", "read_text"));
	assert_null(culprits_find_frame("/srv/app/requests/sessions.py", "request"));
	assert_null(culprits_find_frame("/usr/lib/python3/dist-packages/requests/sessions.py",
					"close"));
	assert_null(culprits_find_frame("", ""));
}

static void rows_are_found_by_kind_and_pattern(void **state)
{
	(void)state;
	assert_non_null(culprits_find(CULPRIT_SYSCALL, "recvfrom"));
	assert_non_null(culprits_find(CULPRIT_CCALL, "time!sleep"));
	assert_non_null(culprits_find(CULPRIT_AWAIT, "asyncio.locks:Lock.acquire"));
	assert_non_null(culprits_find(CULPRIT_STATE, "interp.gc.collecting"));
	assert_null(culprits_find(CULPRIT_PY, "recvfrom"));
	assert_null(culprits_find(CULPRIT_SYSCALL, "getpid"));
	assert_null(culprits_find(CULPRIT_SYSCALL, ""));
}

static void symbols_are_found(void **state)
{
	static const struct {
		const char *object, *symbol, *category; /* NULL: in no row */
	} cases[] = {
		{"/usr/lib/x86_64-linux-gnu/libpq.so.5.15", "PQgetResult", "io.db"},
		{"/v/psycopg2_binary.libs/libpq-e8a033dd.so.5.16", "PQgetResult", "io.db"},
		{"libpq.so.5", "PQgetResult", "io.db"},
		{"libpq.so.5", "PQgetResul", NULL},
		{"libpq.so.5", "PQgetResult2", NULL},
		{"/usr/lib/x86_64-linux-gnu/libc.so.6", "__res_context_send", "io.dns"},
		{"/usr/lib/libpq.so/x", "PQgetResult", NULL},
		{"tokenizers.abi3.so", "anything", "cpu.ml"},
		{"/v/librdkafka-0123abcd.so.1", "rd_kafka_poll", "io.broker"},
		{"librdkafka.so.1", "", "io.broker"},
		{"", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct culprit_row *row = culprits_native(cases[i].object, cases[i].symbol);

		if (!row != !cases[i].category ||
		    (row && strcmp(row->category, cases[i].category) != 0))
			fail_msg("%s!%s: %s", cases[i].object, cases[i].symbol,
				 row ? row->pattern : "no row");
	}
}

static void globs(void **state)
{
	static const struct {
		const char *glob, *text;
		bool matches;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"**", "abc", true},
		{"a*c", "abbbc", true},
		{"a*c", "abbb", false},
		{"?", "", false},
		{"?b", "ab", true},
		{"*.so*", "x.so.1", true},
		{"*a*b", "xaxaxb", true},
		{"*ab*cd", "abxabcd", true},
		{"a", "ab", false},
	};
	static char text[20001], glob[2001];
	clock_t begin = clock();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (culprits_glob(cases[i].glob, cases[i].text) != cases[i].matches)
			fail_msg("'%s' and '%s'", cases[i].glob, cases[i].text);
	/* a*a*a*...b over aaaa...: never ends where each star is tried again */
	memset(text, 'a', sizeof(text) - 1);
	for (size_t i = 0; i + 2 < sizeof(glob); i += 2)
		memcpy(glob + i, "a*", 2);
	glob[sizeof(glob) - 2] = 'b';
	assert_false(culprits_glob(glob, text));
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_catalogue),
		cmocka_unit_test(advice_stands_alone),
		cmocka_unit_test(every_category_is_in_use),
		cmocka_unit_test(modules_of_the_standard_library),
		cmocka_unit_test(modules_that_are_installed),
		cmocka_unit_test(modules_of_nobody),
		cmocka_unit_test(functions_are_found),
		cmocka_unit_test(rows_are_found_by_kind_and_pattern),
		cmocka_unit_test(symbols_are_found),
		cmocka_unit_test(globs),
	};

	return cmocka_run_group_tests_name("culprits", tests, NULL, NULL);
}
