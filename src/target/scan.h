/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.h - reading words of a /proc text without reading behind its end
 *
 * The texts are not NUL-terminated and may be cut anywhere, and they are parsed
 * in every look: so no sscanf and no strtoul.
 */
#ifndef STALLSCOPE_TARGET_SCAN_H
#define STALLSCOPE_TARGET_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* What is left of a text. */
struct scan {
	const char *p, *end;
};

static inline struct scan scan_init(const char *text, size_t len)
{
	return (struct scan){text, text + len};
}

static inline size_t scan_left(const struct scan *s)
{
	return (size_t)(s->end - s->p);
}

static inline bool scan_at_end(const struct scan *s)
{
	return s->p == s->end;
}

/* Takes one character if it is c. */
static inline bool scan_char(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static inline bool scan_text(struct scan *s, const char *text, size_t len)
{
	if (scan_left(s) < len || memcmp(s->p, text, len) != 0)
		return false;
	s->p += len;
	return true;
}

static inline void scan_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

/* 0-15, or 16 for what is no lower case hexadecimal digit: the kernel writes no others. */
static inline unsigned scan_hex_digit(char c)
{
	unsigned digit = (unsigned)(unsigned char)c - '0';
	unsigned letter = (unsigned)(unsigned char)c - 'a';

	if (digit < 10)
		return digit;
	return letter < 6 ? letter + 10 : 16;
}

/* 1 to 16 hexadecimal digits. */
static inline bool scan_hex(struct scan *s, uint64_t *ret)
{
	const char *start = s->p;
	uint64_t value = 0;
	unsigned digit;

	while (s->p < s->end && (digit = scan_hex_digit(*s->p)) < 16) {
		if (s->p - start == 16)
			return false;
		value = value << 4 | digit;
		s->p++;
	}
	*ret = value;
	return s->p > start;
}

/* Decimal digits whose value fits. */
static inline bool scan_u64(struct scan *s, uint64_t *ret)
{
	const char *start = s->p;
	uint64_t value = 0;
	unsigned digit;

	while (s->p < s->end && (digit = (unsigned)(unsigned char)*s->p - '0') < 10) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return false;
		s->p++;
	}
	*ret = value;
	return s->p > start;
}

static inline bool scan_i64(struct scan *s, int64_t *ret)
{
	bool negative = scan_char(s, '-');
	uint64_t value;

	if (!scan_u64(s, &value) || value > INT64_MAX)
		return false;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* A signed 32-bit number with blanks in front. */
static inline bool scan_i32(struct scan *s, int32_t *ret)
{
	int64_t value;

	scan_blanks(s);
	if (!scan_i64(s, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*ret = (int32_t)value;
	return true;
}

/*
 * Takes the next line without its newline; false at the end of the text. *whole (NULL
 * allowed) is false for a last line without newline: the text may have been cut in it.
 */
static inline bool scan_line(struct scan *s, struct scan *line, bool *whole)
{
	const char *newline;

	if (s->p == s->end)
		return false;
	newline = memchr(s->p, '\n', scan_left(s));
	line->p = s->p;
	line->end = newline ? newline : s->end;
	s->p = newline ? newline + 1 : s->end;
	if (whole)
		*whole = newline != NULL;
	return true;
}

#endif
