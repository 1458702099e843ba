/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose/culprits.h"

static void every_row_of_the_catalogue(void **state)
{
	static const char *const kinds[] = {"py", "ccall", "native", "syscall", "await", "state"};
	size_t n, k;
	const struct culprit_row *rows = culprits_rows(&n);

	(void)state;
	assert_true(n >= 315);
	for (size_t i = 0; i < n; i++) {
		for (k = 0; k < ARRAY_SIZE(kinds) && strcmp(kinds[k], rows[i].kind) != 0; k++)
			;
		if (k == ARRAY_SIZE(kinds))
			fail_msg("row %zu: kind %s", i, rows[i].kind);
		if (!*rows[i].title || !*rows[i].advice || strlen(rows[i].category) > 20 ||
		    strstr(rows[i].advice, "as above"))
			fail_msg("row %zu: %s", i, rows[i].pattern);
		if (!strcmp(rows[i].kind, "py") && !strchr(rows[i].pattern, ':'))
			fail_msg("row %zu: %s has no function", i, rows[i].pattern);
	}
}

static void modules_are_normalised(void **state)
{
	static const char *const cases[][2] = {
		{"/usr/lib/python3.11/http/client.py", "http.client"},
		{"/usr/lib/python3.13/re/__init__.py", "re"},
		{"/root/.pyenv/versions/3.8.18/lib/python3.8/re.py", "re"},
		{"/usr/lib/python3/dist-packages/requests/api.py", "requests.api"},
		{"/srv/venv/lib/python3.12/site-packages/urllib3/util/retry.py",
		 "urllib3.util.retry"},
		{"<frozen os>", "os"},
		{"<frozen importlib._bootstrap>", "importlib._bootstrap"},
		{"/srv/app/pricing.py", ""},
		{"<string>", ""},
		{"", ""},
	};
	char module[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		culprits_module(cases[i][0], module, sizeof(module));
		assert_string_equal(module, cases[i][1]);
	}
	culprits_module("/usr/lib/python3.11/http/client.py", module, 5); /* cut, not overrun */
	assert_true(strlen(module) < 5);
}

static void functions_are_found(void **state)
{
	const struct culprit_row *row;

	(void)state;
	row = culprits_find("/usr/lib/python3/dist-packages/requests/sessions.py", "request");
	assert_non_null(row);
	assert_string_equal(row->category, "io.http");
	assert_non_null(culprits_find("/usr/lib/python3.9/json/__init__.py", "dumps"));
	assert_null(culprits_find("/srv/app/requests/sessions.py", "request"));
	assert_null(culprits_find("/usr/lib/python3/dist-packages/requests/sessions.py", "close"));
}

static void wrong_lines_are_named(void **state)
{
	char good[] = "match_kind\tpattern\tcategory\ttitle\tadvice\tsource\n# a comment\n\n"
		      "py\ta:b\tio.http\tT\tA\tS\npy\tc:d\tsleep\tT\tA";
	char few[] = "py\ta:b\tio.http\tT\tA\tS\npy\tc:d\n";
	char empty[] = "py\t\tio.http\tT\tA\tS\n";
	struct culprit_row *rows;
	struct error err;
	size_t n;

	(void)state;
	assert_true(culprits_parse(good, &rows, &n, &err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[1].pattern, "c:d");
	assert_string_equal(rows[1].advice, "A");
	free(rows);
	assert_false(culprits_parse(few, &rows, &n, &err));
	assert_int_equal(err.code, ERR_BAD_FILE);
	assert_non_null(strstr(err.text, "line 2"));
	assert_false(culprits_parse(empty, &rows, &n, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_of_the_catalogue),
		cmocka_unit_test(modules_are_normalised),
		cmocka_unit_test(functions_are_found),
		cmocka_unit_test(wrong_lines_are_named),
	};

	return cmocka_run_group_tests_name("culprits", tests, NULL, NULL);
}
