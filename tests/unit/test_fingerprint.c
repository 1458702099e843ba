/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fingerprint.c - the fingerprint of who is to blame
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose_world.h"

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
		cmocka_unit_test(fingerprint_is_stable),
		cmocka_unit_test(fingerprint_tells_apart),
		cmocka_unit_test(fingerprint_of_computing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
