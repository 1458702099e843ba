/* SPDX-License-Identifier: Apache-2.0 */
/* value_text.h - numbers and strings as the interpreter's repr() has them; pure */
#ifndef STALLSCOPE_CPYTHON_VALUE_TEXT_H
#define STALLSCOPE_CPYTHON_VALUE_TEXT_H

#include <stdint.h>

#include "stallscope/strbuf.h"

/* Digits of 30 bits that are written in decimal; longer numbers are cut. */
#define INT_DIGITS_MAX 10u

/* n <= INT_DIGITS_MAX digits of 30 bits, the lowest first. */
void value_add_int(struct strbuf *out, const uint32_t *digits, size_t n, bool negative);

/* Of a longer number: how many bits it has, and the highest of them. top: its three highest digits,
 * the lowest of them first.
 */
void value_add_long_int(struct strbuf *out, const uint32_t top[3], uint64_t digits, bool negative);

/* The shortest decimal that is this number again. */
void value_add_float(struct strbuf *out, double value);

/* Between quotes; what cannot be shown is escaped. cut: it goes on. */
void value_add_str(struct strbuf *out, const uint32_t *text, size_t n, bool cut);
void value_add_bytes(struct strbuf *out, const uint8_t *bytes, size_t n, bool cut);

#endif
