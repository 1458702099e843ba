/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_utf8.c - any bytes made safe, cut and copied: what comes out is valid, harmless and short
 * enough. The first bytes choose the lengths.
 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/utf8.h"

#define HEAD 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each code point is one that stays what it is when it is made safe. */
static void check(const char *text, size_t len)
{
	struct strbuf safe = STRBUF_INIT;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		uint32_t cp;

		n = utf8_decode(text + i, len - i, &cp);
		if (cp == UTF8_BAD)
			abort();
		strbuf_reset(&safe);
		strbuf_addch(&safe, 'a'); /* for a mark to stand on */
		utf8_add_safe_cp(&safe, cp);
		if (safe.len != n + 1 || memcmp(safe.data + 1, text + i, n) != 0)
			abort();
	}
	strbuf_deinit(&safe);
}

static void check_cuts(const char *text, size_t columns)
{
	size_t all = utf8_width(text);

	for (unsigned kind = 0; kind < 4; kind++) {
		struct strbuf cut = STRBUF_INIT;
		size_t used = utf8_add_cut(&cut, text, columns, kind & 1, kind & 2);

		check(cut.data, cut.len);
		if (used != utf8_width(cut.data) || used > columns)
			abort();
		if (all <= columns && strcmp(cut.data, text) != 0)
			abort();
		strbuf_deinit(&cut);
	}
}

static void check_copy(const char *text, size_t size)
{
	char *buf = mem_alloc(size);

	utf8_copy(buf, size, text);
	if (strlen(buf) >= size || strncmp(buf, text, strlen(buf)) != 0)
		abort();
	if (strlen(text) < size && strcmp(buf, text) != 0)
		abort();
	check(buf, strlen(buf));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf safe = STRBUF_INIT, again = STRBUF_INIT;
	size_t max, len;
	char *copy;

	if (size < HEAD)
		return 0;
	max = data[0];
	len = size - HEAD;
	copy = mem_alloc(len);
	memcpy(copy, data + HEAD, len);
	utf8_add_safe(&safe, copy, len, max);
	check(safe.data, safe.len);
	if (safe.len > 10 * max + 3) /* \U000e0041 is the longest */
		abort();
	utf8_add_safe(&again, safe.data, safe.len, SIZE_MAX);
	if (strcmp(again.data, safe.data) != 0)
		abort();
	check_cuts(safe.data, data[1]);
	check_copy(safe.data, data[2] + (size_t)1);
	free(copy);
	strbuf_deinit(&safe);
	strbuf_deinit(&again);
	return 0;
}
