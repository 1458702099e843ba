/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stallscope/arena.h"
#include "stallscope/culprits.h"
#include "stallscope/diagnose.h"
#include "stallscope/render.h"
#include "stallscope/utf8.h"

static const struct {
	const char *word, *kind;
} kinds[] = {
	{"STALLED", "debugger"},      {"STALLED", "nested"},	    {"STALLED", "gc"},
	{"STALLED", "blocked"},	      {"STALLED", "cpu"},	    {"STARVED", "gil"},
	{"STARVED", "cpu.throttled"}, {"STARVED", "cpu.host"},	    {"STARVED", "cpu.steal"},
	{"STARVED", "mem"},	      {"OVERLOADED", "fanout"},	    {"OVERLOADED", "retry"},
	{"OVERLOADED", "timers"},     {"OVERLOADED", "spin"},	    {"OVERLOADED", "mixed"},
	{"WAITING", "wait"},	      {"WAITING", "wait.deadlock"}, {"DEADLOCK", "future"},
	{"DEADLOCK", "threads"},      {"DEADLOCK", "pool"},	    {"NO-LOOP", "sync-server"},
	{"NO-LOOP", "starting"},      {"NO-LOOP", "finished"},	    {"NO-LOOP", "other-loop"},
};

static const char *const flags[] = {
#define X(name, word) word,
	FLAG_LIST(X)
#undef X
};

static void every_verdict_kind_and_flag(void **state)
{
	const struct explanation *e;
	size_t n;

	(void)state;
	for (int id = 0; id <= VERDICT_UNSURE; id++) {
		const char *word = verdict_word((enum verdict_id)id);

		e = explanation_of(word, "");
		if (!e || e->what != EXPLAIN_VERDICT || strcmp(e->word, word) != 0 || *e->kind)
			fail_msg("%s is not explained", word);
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		e = explanation_of(kinds[i].word, kinds[i].kind);
		if (!e || e->what != EXPLAIN_KIND || strcmp(e->kind, kinds[i].kind) != 0)
			fail_msg("%s %s is not explained", kinds[i].word, kinds[i].kind);
	}
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		e = explanation_of(flags[i], "");
		if (!e || e->what != EXPLAIN_FLAG)
			fail_msg("%s is not explained", flags[i]);
	}
	/* and nothing that no rule gives */
	explanations(&n);
	assert_int_equal(n, VERDICT_UNSURE + 1 + ARRAY_SIZE(kinds) + ARRAY_SIZE(flags));
}

static void texts_are_complete(void **state)
{
	size_t n;
	const struct explanation *all = explanations(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const char *const texts[] = {all[i].meaning, all[i].known, all[i].advice};

		if (!*all[i].brief || utf8_width(all[i].brief) > 60)
			fail_msg("%s %s: no brief line", all[i].word, all[i].kind);
		for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
			if (strlen(texts[k]) < 15 || !str_ends_with(texts[k], ".") ||
			    strstr(texts[k], "  "))
				fail_msg("%s %s: '%s'", all[i].word, all[i].kind, texts[k]);
		for (size_t k = 0; k < i; k++)
			assert_false(!strcmp(all[i].word, all[k].word) &&
				     !strcmp(all[i].kind, all[k].kind));
		assert_non_null(all[i].rows);
	}
}

static void kinds_are_found_by_their_beginning(void **state)
{
	(void)state;
	assert_string_equal(explanation_of("STALLED", "blocked.io.http")->kind, "blocked");
	assert_string_equal(explanation_of("STALLED", "blocked.unknown")->kind, "blocked");
	assert_string_equal(explanation_of("STALLED", "cpu.python")->kind, "cpu");
	assert_string_equal(explanation_of("STARVED", "cpu.host")->kind, "cpu.host");
	assert_string_equal(explanation_of("WAITING", "wait.pool.db")->kind, "wait");
	assert_string_equal(explanation_of("STALLED", "blockedness")->kind, "");
	assert_string_equal(explanation_of("HEALTHY", "")->kind, "");
	assert_null(explanation_of("stalled", ""));
	assert_null(explanation_of("", ""));
}

static void every_category_has_a_kind(void **state)
{
	static const struct {
		const char *category, *word, *kind;
	} cases[] = {
		{"io.db", "STALLED", "blocked.io.db"},
		{"sleep", "STALLED", "blocked.sleep"},
		{"cpu.json", "STALLED", "cpu.json"},
		{"cpu.gc", "STALLED", "gc"},
		{"debugger", "STALLED", "debugger"},
		{"loop.nested", "STALLED", "nested"},
		{"wait.pool.db", "WAITING", "wait.pool.db"},
		{"pool.wait", "STALLED", "blocked.pool.wait"},
	};
	size_t n;
	const struct culprit_category *all = culprits_categories(&n);
	char kind[64];

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct explanation *e = explanation_of_category(all[i].name);

		assert_non_null(e);
		assert_true(explanation_covers(e, all[i].name));
		render_kind_of(e, all[i].name, kind, sizeof(kind));
		assert_true(strlen(kind) < sizeof(((struct verdict *)0)->kind));
		assert_ptr_equal(explanation_of(e->word, kind), e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct explanation *e = explanation_of_category(cases[i].category);

		render_kind_of(e, cases[i].category, kind, sizeof(kind));
		assert_string_equal(e->word, cases[i].word);
		assert_string_equal(kind, cases[i].kind);
	}
}

static void what_falls_under_a_word(void **state)
{
	const struct explanation *stalled = explanation_of("STALLED", ""),
				 *blocked = explanation_of("STALLED", "blocked"),
				 *full = explanation_of("EXEC-FULL", "");

	(void)state;
	assert_true(explanation_covers(stalled, "io.db"));
	assert_true(explanation_covers(stalled, "cpu.json"));
	assert_false(explanation_covers(stalled, "wait.db"));
	assert_true(explanation_covers(blocked, "io.db"));
	assert_false(explanation_covers(blocked, "cpu.json"));
	assert_false(explanation_covers(blocked, "debugger"));
	assert_true(explanation_covers(full, "wait.executor"));
	assert_true(explanation_covers(full, "wait.dns"));
	assert_false(explanation_covers(full, "wait"));
	assert_false(explanation_covers(explanation_of("HEALTHY", ""), "io.db"));
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void assert_narrow(const struct strbuf *text)
{
	char *save = NULL;

	for (char *l = strtok_r(text->data, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (utf8_width(l) > 80 || str_ends_with(l, " "))
			fail_msg("'%s' has %zu columns", l, utf8_width(l));
}

static void every_text_is_narrow(void **state)
{
	const struct render_options options = {.width = 80, .verbose = true};
	size_t n, n_rows;
	const struct explanation *all = explanations(&n);
	const struct culprit_row *rows = culprits_rows(&n_rows);
	const struct culprit_row **list = mem_zalloc(n_rows, sizeof(*list));

	(void)state;
	for (size_t i = 0; i < n_rows; i++)
		list[i] = &rows[i];
	for (size_t i = 0; i <= n; i++) {
		struct topic topic = {.name = i < n ? "x" : NULL,
				      .entry = i < n ? &all[i] : NULL,
				      .rows = list,
				      .n_rows = n_rows};
		struct strbuf text = STRBUF_INIT;

		render_topic_text(&topic, &options, &text);
		assert_true(text.len > 200);
		assert_narrow(&text);
		strbuf_deinit(&text);
	}
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verdict_kind_and_flag),
		cmocka_unit_test(texts_are_complete),
		cmocka_unit_test(kinds_are_found_by_their_beginning),
		cmocka_unit_test(every_category_has_a_kind),
		cmocka_unit_test(what_falls_under_a_word),
		cmocka_unit_test(every_text_is_narrow),
	};

	return cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
