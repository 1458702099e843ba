/* SPDX-License-Identifier: Apache-2.0 */
#include "value_text.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"

/* ---- numbers ------------------------------------------------------------------------------ */

/* Divides digits of 30 bits by 10^9 in place, and gives what is left over. */
static uint32_t divide(uint32_t *digits, size_t n)
{
	uint64_t rest = 0;

	for (size_t i = n; i-- > 0;) {
		rest = rest << 30 | digits[i];
		digits[i] = (uint32_t)(rest / 1000000000);
		rest %= 1000000000;
	}
	return (uint32_t)rest;
}

void value_add_int(struct strbuf *out, const uint32_t *digits, size_t n, bool negative)
{
	uint32_t left[INT_DIGITS_MAX], parts[INT_DIGITS_MAX + 2];
	size_t n_parts = 0;

	for (size_t i = 0; i < n; i++)
		left[i] = digits[i];
	while (n && !left[n - 1])
		n--;
	while (n) {
		parts[n_parts++] = divide(left, n);
		while (n && !left[n - 1])
			n--;
	}
	if (!n_parts)
		parts[n_parts++] = 0;
	strbuf_addf(out, "%s%u", negative ? "-" : "", parts[n_parts - 1]);
	while (--n_parts)
		strbuf_addf(out, "%09u", parts[n_parts - 1]);
}

void value_add_long_int(struct strbuf *out, const uint32_t top[3], uint64_t digits, bool negative)
{
	uint64_t high = (uint64_t)top[2] << 30 | top[1];
	unsigned bits = 0;

	while (bits < 30 && top[2] >> bits)
		bits++;
	/* 60 bits, of which those above the highest one are filled from the third digit */
	high = high << (30 - bits) | top[0] >> bits;
	strbuf_addf(out, "int of %llu bits %s0x%015llx" ELLIPSIS,
		    (unsigned long long)(30 * (digits - 1) + bits), negative ? "-" : "",
		    (unsigned long long)high);
}

/*
 * The fewest digits that are read as the same number again: 17 always are, and of what takes no
 * more than 15 those are the same but for zeros at the end. Subnormal numbers have fewer.
 */
static int shortest(char *buf, size_t size, double value)
{
	int digits = fabs(value) >= DBL_MIN || value == 0 ? 15 : 1, shown;

	do
		snprintf(buf, size, "%.*e", digits - 1, value);
	while (strtod(buf, NULL) != value && ++digits <= 17);
	shown = digits;
	while (shown > 1 && strchr(buf, 'e')[shown - digits - 1] == '0')
		shown--;
	if (shown < digits)
		snprintf(buf, size, "%.*e", shown - 1, value);
	return shown;
}

void value_add_float(struct strbuf *out, double value)
{
	char text[40];
	int digits, exponent;

	if (isnan(value) || isinf(value)) {
		strbuf_addstr(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
		return;
	}
	digits = shortest(text, sizeof(text), value);
	exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
	if (exponent < -4 || exponent >= 16)
		strbuf_addstr(out, text);
	else
		strbuf_addf(out, "%.*f", digits - 1 - exponent > 1 ? digits - 1 - exponent : 1,
			    value);
}

/* ---- strings ------------------------------------------------------------------------------ */

/* A character between quotes. utf8.h escapes what would move a cursor, but no backslash. */
static void add_quoted(struct strbuf *out, uint32_t cp, char quote)
{
	if (cp == (unsigned char)quote || cp == '\\')
		strbuf_addch(out, '\\');
	utf8_add_safe_cp(out, cp);
}

/* As repr() chooses: double ones where that saves a backslash. */
static char quote_for(bool single, bool dbl)
{
	return single && !dbl ? '"' : '\'';
}

void value_add_str(struct strbuf *out, const uint32_t *text, size_t n, bool cut)
{
	bool single = false, dbl = false;
	char quote;

	for (size_t i = 0; i < n; i++) {
		single |= text[i] == '\'';
		dbl |= text[i] == '"';
	}
	quote = quote_for(single, dbl);
	strbuf_addch(out, quote);
	for (size_t i = 0; i < n; i++)
		add_quoted(out, text[i], quote);
	strbuf_addstr(out, cut ? ELLIPSIS : "");
	strbuf_addch(out, quote);
}

void value_add_bytes(struct strbuf *out, const uint8_t *bytes, size_t n, bool cut)
{
	char quote = quote_for(memchr(bytes, '\'', n), memchr(bytes, '"', n));

	strbuf_addch(out, 'b');
	strbuf_addch(out, quote);
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x7f)
			add_quoted(out, bytes[i], quote);
		else
			strbuf_addf(out, "\\x%02x", bytes[i]);
	}
	strbuf_addstr(out, cut ? ELLIPSIS : "");
	strbuf_addch(out, quote);
}
