/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* ---- decoding ------------------------------------------------------------------------------ */

static void test_round_trip(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		uint32_t back;

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		strbuf_reset(&sb);
		utf8_add(&sb, cp);
		assert_int_equal(utf8_decode(sb.data, sb.len, &back), sb.len);
		assert_int_equal(back, cp);
	}
	strbuf_deinit(&sb);
}

static void test_not_characters(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	utf8_add(&sb, 0xd800);
	utf8_add(&sb, 0xdfff);
	utf8_add(&sb, 0x110000);
	utf8_add(&sb, UTF8_BAD);
	assert_string_equal(sb.data, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	strbuf_deinit(&sb);
}

static void test_bad_bytes(void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff",
		"\xfe",
		"\xc3(",
		"\xe2\x82(",
		"\xf0\x9f\x98(",
		"\xc3",
		"\xe2\x82",
		"\xf0\x9f\x98",
		"\xf8\x88\x80\x80\x80",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = strlen(bad[i]);
		char *copy = exact_copy(bad[i], len);
		uint32_t cp = 0;

		assert_int_equal(utf8_decode(copy, len, &cp), 1);
		assert_int_equal(cp, UTF8_BAD);
		free(copy);
	}
}

/* ---- making safe --------------------------------------------------------------------------- */

static void check_safe(const char *raw, size_t len, size_t max, const char *expected, bool whole)
{
	struct strbuf sb = STRBUF_INIT;
	char *copy = exact_copy(raw, len);

	assert_int_equal(utf8_add_safe(&sb, copy, len, max), whole);
	assert_string_equal(sb.data, expected);
	free(copy);
	strbuf_deinit(&sb);
}

#define SAFE(raw, expected) check_safe(raw, sizeof(raw) - 1, 1000, expected, true)

static void test_escapes(void **state)
{
	(void)state;
	SAFE("", "");
	SAFE("plain text ~", "plain text ~");
	SAFE("h\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80", "h\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80");
	SAFE("a\tb\nc\rd", "a\\tb\\nc\\rd");
	SAFE("\x1b]52;c;QUJD\x07", "\\x1b]52;c;QUJD\\x07");
	SAFE("nul\0nul", "nul\\x00nul");
	SAFE("\x7f", "\\x7f");
	SAFE("\xc2\x9b"
	     "31m",
	     "\\x9b31m"); /* C1: CSI */
	SAFE("\xc2\xad", "\\xad");
	SAFE("\xe2\x80\xae"
	     "evil",
	     "\\u202eevil");			 /* bidi override */
	SAFE("\xe2\x81\xa6", "\\u2066");	 /* bidi isolate */
	SAFE("\xe2\x80\x8b", "\\u200b");	 /* zero-width space */
	SAFE("\xe2\x80\x8d", "\\u200d");	 /* zero-width joiner */
	SAFE("\xef\xbb\xbf", "\\ufeff");	 /* byte order mark */
	SAFE("\xe2\x80\xa8", "\\u2028");	 /* line separator */
	SAFE("\xee\x80\x80", "\\ue000");	 /* private use */
	SAFE("\xef\xbf\xbe", "\\ufffe");	 /* no character */
	SAFE("\xf3\xa0\x81\x81", "\\U000e0041"); /* tag */
	SAFE("\xf3\xb0\x80\x80", "\\U000f0000"); /* private use, plane 15 */
	SAFE("\xef\xbf\xbd", "\xef\xbf\xbd");	 /* the replacement character is one */
	SAFE("ok\xff\xfe", "ok\\xff\\xfe");
	SAFE("\xed\xb2\x80", "\\xed\\xb2\\x80"); /* a surrogate is no UTF-8 */
}

static void test_code_points(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	utf8_add_safe_cp(&sb, 'x');
	utf8_add_safe_cp(&sb, 0xdc80);
	utf8_add_safe_cp(&sb, 0xd800);
	utf8_add_safe_cp(&sb, 0x1b);
	utf8_add_safe_cp(&sb, 0x110000);
	assert_string_equal(sb.data, "x\\udc80\\ud800\\x1b\\U00110000");
	strbuf_deinit(&sb);
}

/* Whatever goes in: what comes out is valid, and nothing in it moves a cursor. */
static void check_output(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;

		i += utf8_decode(text + i, len - i, &cp);
		assert_int_not_equal(cp, UTF8_BAD);
		assert_false(cp < 0x20 || (cp >= 0x7f && cp < 0xa0));
		assert_false(cp >= 0x200b && cp <= 0x200f);
		assert_false(cp >= 0x2028 && cp <= 0x202e);
		assert_false(cp >= 0x2060 && cp <= 0x206f);
		assert_false(cp >= 0xd800 && cp <= 0xf8ff);
		assert_false(cp == 0xfeff || cp == 0x61c || cp >= 0xe0000);
	}
}

static void test_every_code_point_is_safe(void **state)
{
	struct strbuf sb = STRBUF_INIT, again = STRBUF_INIT;

	(void)state;
	for (uint32_t cp = 0; cp <= 0x110000; cp++) {
		strbuf_reset(&sb);
		strbuf_addch(&sb, 'a');
		utf8_add_safe_cp(&sb, cp);
		check_output(sb.data, sb.len);
		strbuf_reset(&again);
		utf8_add_safe(&again, sb.data, sb.len, 100); /* safe text stays what it is */
		assert_string_equal(again.data, sb.data);
	}
	strbuf_deinit(&sb);
	strbuf_deinit(&again);
}

static void test_random_bytes_are_safe(void **state)
{
	uint64_t x = 88172645463325252u;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char raw[24], *copy;
		struct strbuf sb = STRBUF_INIT;

		for (size_t i = 0; i < sizeof(raw); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			raw[i] = (char)(x >> 11);
		}
		copy = exact_copy(raw, sizeof(raw));
		utf8_add_safe(&sb, copy, sizeof(raw), (size_t)round % 30);
		check_output(sb.data, sb.len);
		free(copy);
		strbuf_deinit(&sb);
	}
}

static void test_marks(void **state)
{
	(void)state;
	SAFE("e\xcc\x81", "e\xcc\x81");
	SAFE("e\xcc\x81\xcc\x82", "e\xcc\x81\xcc\x82");
	SAFE("e\xcc\x81\xcc\x82\xcc\x83.", "e\xcc\x81\xcc\x82\\u0303."); /* a heap of marks */
	SAFE("\xcc\x81x", "\\u0301x");					 /* nothing to stand on */
}

static void test_cut(void **state)
{
	(void)state;
	check_safe("abcdef", 6, 6, "abcdef", true);
	check_safe("abcdef", 6, 5, "abcde" ELLIPSIS, false);
	check_safe("abcdef", 6, 0, ELLIPSIS, false);
	check_safe("", 0, 0, "", true);
	check_safe("\n\n\n", 3, 2, "\\n\\n" ELLIPSIS, false); /* counted before they are escaped */
	check_safe("\xc3\xa9\xc3\xa9", 4, 1, "\xc3\xa9" ELLIPSIS, false);
	check_safe("\xc3\xa9\xc3\xa9", 4, 2, "\xc3\xa9\xc3\xa9", true);
	check_safe("abc\xff", 4, 3, "abc" ELLIPSIS, false);
	check_safe("abc", 3, SIZE_MAX, "abc", true);
}

static void test_copy(void **state)
{
	const char *text = "a\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80.";
	static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

	(void)state;
	for (size_t room = 0; room < sizeof(whole) / sizeof(whole[0]); room++) {
		char *buf = malloc(room + 1); /* a byte behind it would be seen */

		utf8_copy(buf, room + 1, text);
		assert_int_equal(strlen(buf), whole[room]);
		assert_memory_equal(buf, text, whole[room]);
		free(buf);
	}
}

/* ---- columns ------------------------------------------------------------------------------- */

static void test_widths(void **state)
{
	(void)state;
	assert_int_equal(utf8_cp_width('a'), 1);
	assert_int_equal(utf8_cp_width(0xe9), 1);
	assert_int_equal(utf8_cp_width(0x301), 0);   /* combining acute */
	assert_int_equal(utf8_cp_width(0xfe0f), 0);  /* variation selector */
	assert_int_equal(utf8_cp_width(0x1100), 2);  /* Hangul initial */
	assert_int_equal(utf8_cp_width(0x1161), 0);  /* Hangul vowel */
	assert_int_equal(utf8_cp_width(0x4e2d), 2);  /* CJK */
	assert_int_equal(utf8_cp_width(0xac00), 2);  /* Hangul syllable */
	assert_int_equal(utf8_cp_width(0xff21), 2);  /* fullwidth A */
	assert_int_equal(utf8_cp_width(0xff71), 1);  /* halfwidth katakana */
	assert_int_equal(utf8_cp_width(0x1f600), 2); /* emoji */
	assert_int_equal(utf8_cp_width(0x20000), 2); /* CJK, plane 2 */
	assert_int_equal(utf8_cp_width(0x2026), 1);  /* ellipsis */
	assert_int_equal(utf8_cp_width(0x2500), 1);  /* box drawing */
	assert_int_equal(utf8_cp_width(0x94d), 0);   /* Devanagari virama */
	assert_int_equal(utf8_cp_width(0x905), 1);   /* Devanagari A */
	assert_int_equal(utf8_width(""), 0);
	assert_int_equal(utf8_width("a\xe4\xb8\xad"
				    "e\xcc\x81"),
			 4);
}

static void check_cut(const char *text, size_t columns, bool from_left, bool ascii,
		      const char *expected)
{
	struct strbuf sb = STRBUF_INIT;
	size_t used;

	strbuf_addstr(&sb, ">");
	used = utf8_add_cut(&sb, text, columns, from_left, ascii);
	assert_string_equal(sb.data + 1, expected);
	assert_int_equal(used, utf8_width(expected));
	assert_true(used <= columns);
	strbuf_deinit(&sb);
}

static void test_columns(void **state)
{
	(void)state;
	check_cut("abcdef", 6, false, false, "abcdef");
	check_cut("abcdef", 5, false, false, "abcd" ELLIPSIS);
	check_cut("abcdef", 5, false, true, "abcd~");
	check_cut("abcdef", 5, true, false, ELLIPSIS "cdef");
	check_cut("abcdef", 1, false, true, "~");
	check_cut("abcdef", 1, true, true, "~");
	check_cut("abcdef", 0, true, true, "");
	check_cut("", 0, false, false, "");
	check_cut("\xe4\xb8\xad\xe4\xb8\xad", 4, false, true, "\xe4\xb8\xad\xe4\xb8\xad");
	check_cut("\xe4\xb8\xad\xe4\xb8\xad", 3, false, true, "\xe4\xb8\xad~");
	check_cut("\xe4\xb8\xad\xe4\xb8\xad", 2, false, true, "~"); /* half a character: none */
	check_cut("\xe4\xb8\xad\xe4\xb8\xad", 2, true, true, "~");
	check_cut("ae\xcc\x81zz", 3, false, true, "ae\xcc\x81~"); /* a mark goes with its letter */
	check_cut("zze\xcc\x81zz", 3, true, true, "~zz");
	check_cut("/usr/lib/python3/asyncio/base_events.py", 20, true, false,
		  ELLIPSIS "ncio/base_events.py");
}

static void check_ends(const char *text, size_t columns, const char *expected)
{
	struct strbuf sb = STRBUF_INIT;

	assert_int_equal(utf8_add_ends(&sb, text, columns, true), utf8_width(expected));
	assert_string_equal(sb.data, expected);
	strbuf_deinit(&sb);
}

static void test_ends(void **state)
{
	(void)state;
	check_ends("get app/pricing.py:88", 21, "get app/pricing.py:88");
	check_ends("get app/pricing.py:88", 16, "get a~cing.py:88");
	check_ends("abcdef", 3, "~ef");
	check_ends("abcdef", 0, "");
	check_ends("\xe4\xb8\xad\xe4\xb8\xad\xe4\xb8\xad", 4, "~\xe4\xb8\xad");
	check_ends("", 4, "");
}

static void check_wrapped(const char *text, size_t columns, const char *expected)
{
	struct strbuf sb = STRBUF_INIT;

	utf8_add_wrapped(&sb, text, columns, 2);
	assert_string_equal(sb.data, expected);
	strbuf_deinit(&sb);
}

static void test_wrapped(void **state)
{
	(void)state;
	check_wrapped("", 10, "");
	check_wrapped("one two three", SIZE_MAX, "one two three");
	check_wrapped("one two three", 13, "one two three");
	check_wrapped("one two three", 8, "one two\n  three");
	check_wrapped("one  two  three", 9, "one  two\n  three"); /* blanks stay, but at the end */
	check_wrapped("  a /a/long/path b", 6, "  a\n  /a/long/path\n  b");
	check_wrapped("\xe4\xb8\xad \xe4\xb8\xad", 4, "\xe4\xb8\xad\n  \xe4\xb8\xad");
}

static void test_to_ascii(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	(void)state;
	utf8_to_ascii(&sb);
	assert_string_equal(sb.data, "");
	strbuf_addstr(&sb, "a\xc3\xa9" ELLIPSIS "\xf0\x9f\x98\x80");
	utf8_to_ascii(&sb);
	assert_string_equal(sb.data, "a\\u00e9~\\U0001f600");
	strbuf_deinit(&sb);
}

/* For all widths of a text with everything in it. */
static void test_all_columns(void **state)
{
	const char *text = "a\xe4\xb8\xad"
			   "e\xcc\x81\xf0\x9f\x98\x80-\xc3\xa9\xe4\xb8\xad.";

	(void)state;
	for (size_t columns = 0; columns <= utf8_width(text) + 2; columns++)
		for (int kind = 0; kind < 4; kind++) {
			struct strbuf sb = STRBUF_INIT;
			size_t used = utf8_add_cut(&sb, text, columns, kind & 1, kind & 2);

			assert_int_equal(used, utf8_width(sb.data));
			assert_true(used <= columns);
			assert_true(used + 2 >= columns || used == utf8_width(text));
			check_output(sb.data, sb.len);
			strbuf_deinit(&sb);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_not_characters),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_code_points),
		cmocka_unit_test(test_every_code_point_is_safe),
		cmocka_unit_test(test_random_bytes_are_safe),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_wrapped),
		cmocka_unit_test(test_to_ascii),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_all_columns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
