/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_culprits.c - any text as a catalogue: rows that are taken are safe to print and whole, an
 * error names its place and is safe to print, too. And any text as the file of a function.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose/culprits_private.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, text, strlen(text), SIZE_MAX);
	if (strcmp(safe.data, text) != 0)
		abort();
}

static void check_row(const struct culprit_row *row)
{
	if (!*row->pattern || !*row->title || !*row->advice || !culprits_category(row->category))
		abort();
	check_text(row->pattern);
	check_text(row->title);
	check_text(row->advice);
	check_text(row->source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = mem_alloc(size + 1), *file = mem_alloc(size + 1);
	cleanup_free struct culprit_row *rows = NULL;
	struct error err = {0};
	char module[64];
	size_t n = 0;

	memcpy(text, data, size);
	text[size] = 0;
	memcpy(file, text, size + 1);
	culprits_module(file, module, sizeof(module));
	culprits_native(file, file);
	if (culprits_parse("x", text, size, CULPRIT_FILE, &rows, &n, &err)) {
		for (size_t i = 0; i < n; i++)
			check_row(&rows[i]);
		return 0;
	}
	if (err.code != ERR_BAD_FILE || strncmp(err.text, "x:", 2) != 0 || !err.hint[0])
		abort();
	check_text(err.text);
	check_text(err.hint);
	return 0;
}
