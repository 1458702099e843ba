/* SPDX-License-Identifier: Apache-2.0 */
/* golden.h - texts below tests/golden: compared, or written anew with UPDATE_GOLDEN=1 */
#ifndef TESTS_UNIT_GOLDEN_H
#define TESTS_UNIT_GOLDEN_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/strbuf.h"

static inline struct strbuf golden_read(const char *path)
{
	struct strbuf text = STRBUF_INIT;
	FILE *file = fopen(path, "r");
	size_t n;

	if (!file)
		fail_msg("%s: %s (UPDATE_GOLDEN=1 makes it)", path, strerror(errno));
	while ((n = fread(strbuf_room(&text, 4096), 1, 4096, file)) > 0)
		strbuf_setlen(&text, text.len + n);
	fclose(file);
	return text;
}

static inline void golden_write(const char *path, const struct strbuf *text)
{
	FILE *file = fopen(path, "w");

	if (!file || fwrite(text->data, 1, text->len, file) != text->len || fclose(file))
		fail_msg("%s: %s", path, strerror(errno));
}

/* Both from the line that differs on. */
static inline void golden_tell(const char *path, const char *expected, const char *got)
{
	size_t same = 0, line = 0;

	for (size_t i = 0; expected[i] && expected[i] == got[i]; i++)
		if (expected[i] == '\n')
			same = i + 1;
	for (size_t i = 0; i < same; i++)
		line += expected[i] == '\n';
	fail_msg("%s:%zu: expected\n%.300s\n---- but got\n%.300s", path, line + 1, expected + same,
		 got + same);
}

/* name: below tests/golden, without ".txt". */
static inline void assert_golden(const char *name, const struct strbuf *text)
{
	const char *srcdir = getenv("srcdir");
	struct strbuf expected;
	char path[512];

	snprintf(path, sizeof(path), "%s/tests/golden/%s.txt", srcdir ? srcdir : ".", name);
	if (getenv("UPDATE_GOLDEN")) {
		golden_write(path, text);
		return;
	}
	expected = golden_read(path);
	if (strcmp(expected.data, text->data) != 0)
		golden_tell(path, expected.data, text->data);
	strbuf_deinit(&expected);
}

#endif
