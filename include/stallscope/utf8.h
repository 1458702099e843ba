/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8.h - text of the target made safe, and cut to columns
 *
 * Whatever comes from the target (task names, paths, comm, source lines) may
 * carry terminal escapes, bidi controls, broken UTF-8 or newlines that forge a
 * line of a report. utf8_add_safe() is the one gate: what leaves it is valid
 * UTF-8 without control, format and private-use characters; those appear as
 * visible escapes (\n \x1b \u202e \U000e0041), lone surrogates as \udcXX.
 */
#ifndef STALLSCOPE_UTF8_H
#define STALLSCOPE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/strbuf.h"

#define UTF8_BAD UINT32_MAX

/*
 * Decodes one code point from text[0..len), len > 0, into *cp and returns its
 * length in bytes. A byte that begins no valid sequence gives UTF8_BAD, length 1.
 * Surrogates, overlong forms and values above 10FFFF are invalid.
 */
size_t utf8_decode(const char *text, size_t len, uint32_t *cp);

/* Appends cp as UTF-8; surrogates and values above 10FFFF as U+FFFD. */
void utf8_add(struct strbuf *sb, uint32_t cp);

/* Appends one code point of the target's text, escaped where it is not safe to show. */
void utf8_add_safe_cp(struct strbuf *sb, uint32_t cp);

/*
 * Appends len bytes of the target's text made safe; bad bytes as \xNN. At most max_chars
 * code points are taken, then "…" is appended. Returns false when it was cut.
 */
bool utf8_add_safe(struct strbuf *sb, const char *text, size_t len, size_t max_chars);

/* Copies valid UTF-8 into a buffer of size bytes > 0; what does not fit is cut between characters.
 */
void utf8_copy(char *buf, size_t size, const char *text);

/* Columns of a terminal that a code point takes: 0 (combining), 1 or 2. Own table, no locale. */
unsigned utf8_cp_width(uint32_t cp);

/* Columns of valid UTF-8 text. */
size_t utf8_width(const char *text);

/*
 * Appends text cut to at most columns columns; when cut, the last column is `…` (or `~` when
 * ascii). With from_left the start is cut instead of the end: paths. Returns columns used.
 */
size_t utf8_add_cut(struct strbuf *sb, const char *text, size_t columns, bool from_left,
		    bool ascii);

/* The same with the middle cut out, and more of the end kept: of a place both ends tell. */
size_t utf8_add_ends(struct strbuf *sb, const char *text, size_t columns, bool ascii);

/*
 * Appends one line of text as several, broken at blanks, of at most columns columns; all but the
 * first are indented. A word that is longer, as a path, stays whole.
 */
void utf8_add_wrapped(struct strbuf *sb, const char *text, size_t columns, size_t indent);

/* Valid UTF-8 for a terminal that shows ASCII alone: \u4e2d for a character, ~ for the mark of a
 * cut.
 */
void utf8_to_ascii(struct strbuf *text);

#endif
