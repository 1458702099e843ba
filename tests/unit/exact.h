/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exact.h - texts in memory of exactly their size, so that AddressSanitizer sees
 * a parser that reads one byte too far
 */
#ifndef STALLSCOPE_TESTS_EXACT_H
#define STALLSCOPE_TESTS_EXACT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline char *exact_copy(const char *text, size_t len)
{
	char *copy = calloc(1, len);

	if (len > 0)
		memcpy(copy, text, len);
	return copy;
}

/* Calls parse with text cut behind each of its bytes. */
static inline void exact_cut_everywhere(const char *text, size_t len,
					void (*parse)(const char *text, size_t len))
{
	for (size_t cut = 0; cut <= len; cut++) {
		char *copy = exact_copy(text, cut);

		parse(copy, cut);
		free(copy);
	}
}

/* Calls parse with each byte of text replaced by each of some that mean something. */
static inline void exact_spoil_everywhere(const char *text, size_t len,
					  void (*parse)(const char *text, size_t len))
{
	static const char bytes[] = "\0\n :-/()0f9 x\x7f\xff";

	for (size_t at = 0; at < len; at++) {
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			char *copy = exact_copy(text, len);

			copy[at] = bytes[i];
			parse(copy, len);
			free(copy);
		}
	}
}

#endif
