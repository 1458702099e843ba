/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_history.c - quantiles and their error; documents out of bytes; what a history finds again
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "record/build.h"
#include "record/lines.h"

/* ---- quantiles ------------------------------------------------------------------------------- */

static void few_are_exact(void **state)
{
	struct sketch s = {0};

	(void)state;
	assert_true(sketch_quantile(&s, 0.5) == 0);
	for (unsigned i = 100; i >= 1; i--)
		sketch_add(&s, i / 100.0);
	sketch_add(&s, NAN); /* no value */
	sketch_add(&s, -1);
	assert_int_equal(s.count, 100);
	assert_true(sketch_quantile(&s, 0.5) == 0.5);
	assert_true(sketch_quantile(&s, 0.95) == 0.95);
	assert_true(sketch_quantile(&s, 0) == 0.01);
	assert_true(sketch_quantile(&s, 1) == 1);
	sketch_deinit(&s);
}

static double square(unsigned i, unsigned n) /* from 0.1 ms to 100 s, most of them small */
{
	return 1e-4 * pow(1e6, (double)i / n);
}

static void many_are_within_the_error(void **state)
{
	static const double at[] = {0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999};
	enum { N = 20000 };
	struct sketch s = {0};

	(void)state;
	for (unsigned i = 0; i < N; i++)
		sketch_add(&s, square(i * 7919 % N, N));
	assert_int_equal(s.count, N);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		double true_value = square((unsigned)ceil(at[i] * N) - 1, N);

		assert_true(fabs(sketch_quantile(&s, at[i]) / true_value - 1) <= SKETCH_ERROR);
	}
	assert_true(sketch_quantile(&s, 1) == s.max);
	sketch_deinit(&s);
}

static void merged_is_all(void **state)
{
	struct sketch a = {0}, b = {0}, all = {0};

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		sketch_add(&a, i);
		sketch_add(&b, 1000 + i * 10);
		sketch_add(&all, i);
		sketch_add(&all, 1000 + i * 10);
	}
	sketch_merge(&a, &b); /* more than are kept exactly */
	assert_int_equal(a.count, all.count);
	assert_true(a.sum == all.sum && a.max == all.max);
	assert_true(sketch_quantile(&a, 0.7) == sketch_quantile(&all, 0.7));
	sketch_merge(&b, &a); /* one that has buckets, into one that has not */
	assert_int_equal(b.count, 900);
	sketch_deinit(&a);
	sketch_deinit(&b);
	sketch_deinit(&all);
}

static void edges(void **state)
{
	struct sketch s = {0};

	(void)state;
	for (unsigned i = 0; i < 600; i++)
		sketch_add(&s, 0);
	assert_true(sketch_quantile(&s, 0.5) == 0);
	for (unsigned i = 0; i < 6000; i++)
		sketch_add(&s, 1e300);
	assert_true(isfinite(sketch_quantile(&s, 0.5)));
	sketch_deinit(&s);
}

/* ---- curves ---------------------------------------------------------------------------------- */

static void curve_of_few_is_exact(void **state)
{
	struct curve c = {0};

	(void)state;
	curve_add(&c, NAN, 1, 8); /* not known when */
	curve_add(&c, 1, NAN, 8);
	curve_add(&c, 1, -1, 8);
	curve_add(&c, INFINITY, 1, 8);
	assert_int_equal(c.n, 0);
	for (unsigned i = 0; i < 8; i++) /* another file, of the time in between */
		curve_add(&c, i < 4 ? i * 2 : (i - 4) * 2 + 1, i, 8);
	assert_int_equal(c.n, 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(c.v[i].time == i);
		assert_true(c.v[i].value == (i % 2 ? 4 + i / 2 : i / 2));
	}
	curve_deinit(&c);
}

static void curve_of_a_day_keeps_the_largest(void **state)
{
	enum { LOOKS = 864000, MOST = 4096, PEAK = 400000 };
	struct curve c = {0};
	double top = 0, covered = 0;

	(void)state;
	for (unsigned i = 0; i < LOOKS; i++)
		curve_add(&c, 1.79e9 + i / 10.0, i == PEAK ? 5 : i % 100 / 1e3, MOST);
	assert_in_range(c.n, MOST / 4, MOST);
	for (size_t i = 0; i < c.n; i++) {
		if (i)
			covered = fmax(covered, c.v[i].time - c.v[i - 1].time);
		assert_true(!i || c.v[i].time > c.v[i - 1].time);
		if (c.v[i].value == 5)
			top = c.v[i].time;
		else if (i && i < c.n - 1) /* these have all values that there are */
			assert_true(c.v[i].value == 0.099);
	}
	assert_true(top == 1.79e9 + PEAK / 10.0);
	assert_true(covered <= 2 * c.width);
	curve_deinit(&c);
}

static void curve_out_of_order_stays_small(void **state)
{
	struct curve c = {0};
	double most = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		double value = (double)(i * 31 % 997);

		curve_add(&c, (double)(i * 7919 % 20000), value, 64);
		most = fmax(most, value);
	}
	assert_true(c.n <= 64);
	for (size_t i = 0; i < c.n; i++) {
		assert_true(!i || c.v[i].time >= c.v[i - 1].time);
		most = c.v[i].value == most ? -1 : most;
	}
	assert_true(most == -1);
	curve_deinit(&c);
	for (unsigned i = 0; i < 100; i++) /* all at once */
		curve_add(&c, 5, i, 4);
	assert_true(c.n < 4);
	assert_true(c.v[c.n - 1].value == 99 || c.v[0].value == 99);
	curve_deinit(&c);
}

/* ---- documents out of bytes --------------------------------------------------------------------
 */

/* All documents of a text, with "/" behind each; "!" of one that is too long. */
static void documents(const char *text, size_t most, struct strbuf *out)
{
	struct lines l;

	lines_init(&l, most);
	for (const char *p = text;; p++) {
		bool last = !*p;

		if (!last && lines_take(&l, *p) != LINES_DOCUMENT)
			continue;
		strbuf_addf(out, "%s/", l.too_long ? "!" : l.text.data);
		if (last)
			break;
		lines_next(&l);
	}
	lines_deinit(&l);
}

static void splits(void **state)
{
	static const struct {
		const char *text, *documents;
	} rows[] = {
		{"", "/"},
		{"{}\n{\"a\":1}\n", "{}/{\"a\":1}//"},
		{"{\"a\":\n{}\n", "{\"a\":/{}//"}, /* a line that is cut hides none */
		{"{\"a\":\"b\n{}\n", "{\"a\":\"b/{}//"},
		{"{\n\"a\": 1\n}\n{\n}\n", "{\"a\": 1}/{}//"},
		{"{\"tasks\":[1,[2],{\"a\":\"]\"}],\"b\":[3]}", "{\"tasks\":[],\"b\":[3]}/"},
		{"{\"a\":{\"tasks\":[1]},\"tasks\":[{\"tasks\":[2]}]}",
		 "{\"a\":{\"tasks\":[1]},\"tasks\":[]}/"},
		{"{\"a\":\"tasks\",\"b\":[1]}", "{\"a\":\"tasks\",\"b\":[1]}/"},
		{"{\"tas\\u006bs\":[1]}", "{\"tas\\u006bs\":[1]}/"},
		{"{\"tasks\":{\"x\":[1]}}", "{\"tasks\":{\"x\":[1]}}/"},
		{"{\"b\":[{\"tasks\":[1]}]}", "{\"b\":[{\"tasks\":[1]}]}/"},
		{"]]]]{}\n{}", "]]]]{}/{}/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf out = STRBUF_INIT;

		documents(rows[i].text, 1000, &out);
		assert_string_equal(out.data, rows[i].documents);
		strbuf_deinit(&out);
	}
}

static void too_long(void **state)
{
	struct strbuf out = STRBUF_INIT;

	(void)state;
	documents("{\"tasks\":[1,2,3,4,5,6,7,8,9]}\n[0123456789012345]\n{}\n", 16, &out);
	assert_string_equal(out.data, "{\"tasks\":[]}/!/{}//");
	strbuf_deinit(&out);
}

/* ---- found again ------------------------------------------------------------------------------
 */

static void texts_are_shared_and_safe(void **state)
{
	struct history h;
	const char *a;

	(void)state;
	history_init(&h);
	a = history_text(&h, "a\x1b[31m");
	assert_string_equal(a, "a\\x1b[31m");
	assert_ptr_equal(a, history_text(&h, "a\x1b[31m"));
	assert_ptr_not_equal(a, history_text(&h, "b"));
	assert_null(history_text(&h, NULL));
	history_deinit(&h);
}

static void bounds_are_kept(void **state)
{
	struct history h;
	struct origin o = {.command = "", .labels = ""};
	char name[32];

	(void)state;
	history_init(&h);
	for (unsigned i = 0; i < HISTORY_MAX_LOOPS + 5; i++) {
		o.pid = i;
		history_loop_of(&h, &o, "0x1");
	}
	assert_int_equal(h.n_loops, HISTORY_MAX_LOOPS);
	assert_int_equal(h.left_out, 5);
	o.pid = 7;
	assert_int_equal(history_loop_of(&h, &o, "0x1"), 7);
	for (unsigned i = 0; i < HISTORY_MAX_HOLDERS + 5; i++) {
		snprintf(name, sizeof(name), "%u", i);
		history_holder(&h, name);
	}
	assert_int_equal(h.n_holders, HISTORY_MAX_HOLDERS);
	assert_int_equal(h.left_out, 10);
	history_deinit(&h);
}

/* A recording that ends while a loop is held: the stall is there, as long as it was seen. */
static void open_stall(void **state)
{
	static const char text[] =
		"{\"schema\":\"stallscope/1\",\"type\":\"hello\",\"pid\":1}\n"
		"{\"schema\":\"stallscope/1\",\"type\":\"stall_begin\",\"pid\":1,\"loop\":\"0x1\","
		"\"time\":\"2026-01-01T00:00:00.000Z\",\"monotonic_s\":10,\"held_s\":0.5,"
		"\"fingerprint\":\"aa\",\"verdict\":\"STALLED\"}\n"
		"{\"schema\":\"stallscope/1\",\"type\":\"snapshot\",\"pid\":1,\"monotonic_s\":12,"
		"\"loops\":[{\"id\":\"0x1\",\"verdict\":\"STALLED\",\"held_s\":2}]}\n";
	struct history h;

	(void)state;
	history_init(&h);
	assert_true(history_read_text(&h, "x", text, strlen(text), NULL));
	assert_int_equal(h.n_stalls, 1);
	assert_true(h.stalls[0].held_s == 2);
	assert_false(h.stalls[0].over);
	assert_true(h.stalls[0].time == 1767225600.0);
	history_deinit(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_are_exact),
		cmocka_unit_test(many_are_within_the_error),
		cmocka_unit_test(merged_is_all),
		cmocka_unit_test(curve_of_few_is_exact),
		cmocka_unit_test(curve_of_a_day_keeps_the_largest),
		cmocka_unit_test(curve_out_of_order_stays_small),
		cmocka_unit_test(edges),
		cmocka_unit_test(splits),
		cmocka_unit_test(too_long),
		cmocka_unit_test(texts_are_shared_and_safe),
		cmocka_unit_test(bounds_are_kept),
		cmocka_unit_test(open_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
