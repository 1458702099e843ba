/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linecheck PID FILE: compares the lines and columns that the reader finds for instructions of
 * code objects in a live interpreter with what that interpreter says itself. A line of FILE is
 *
 *	ADDRESS OFFSET LINE [END_LINE COLUMN END_COLUMN]	("-": none)
 *
 * Prints "N instructions, M mismatches"; exit status 1 when there is one or nothing was compared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/python.h"

static int32_t field(const char *text, int32_t none)
{
	return text && strcmp(text, "-") != 0 ? (int32_t)strtol(text, NULL, 10) : none;
}

/* Compares one line of the file; false on a mismatch, which is printed. */
static bool check(struct python *py, char *text)
{
	char *save = NULL, *word[6] = {0};
	struct py_position p;
	uint64_t address;
	uint32_t code;
	int32_t offset;
	bool ok;

	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = strtok_r(i ? NULL : text, " \n", &save);
	if (!word[2])
		return false;
	address = strtoull(word[0], NULL, 16);
	offset = (int32_t)strtol(word[1], NULL, 10);
	code = python_code(py, address);
	if (code == UINT32_MAX) {
		rd_take(&py->rd);
		printf("0x%" PRIx64 ": not read as a code object\n", address);
		return false;
	}
	p = python_position(py, code, offset);
	ok = p.line == field(word[2], 0);
	if (word[5])
		ok = ok && (!p.line || p.end_line == field(word[3], 0)) &&
		     p.col == field(word[4], -1) && p.end_col == field(word[5], -1);
	if (!ok)
		printf("%s:%s +%d: line %d-%d columns %d-%d, expected %s-%s %s-%s\n",
		       py->codes[code].file, py->codes[code].name, offset, p.line, p.end_line,
		       p.col, p.end_col, word[2], word[3] ? word[3] : "", word[4] ? word[4] : "",
		       word[5] ? word[5] : "");
	return ok;
}

static int compare(struct python *py, FILE *file)
{
	unsigned long n = 0, wrong = 0;
	char text[256];

	while (fgets(text, sizeof(text), file)) {
		n++;
		if (!check(py, text))
			wrong++;
		if (wrong > 20)
			break;
	}
	printf("%lu instructions, %lu mismatches\n", n, wrong);
	return wrong || !n;
}

int main(int argc, char **argv)
{
	struct process *proc = NULL;
	struct source *src = NULL;
	struct python *py = NULL;
	struct error err;
	FILE *file;
	int status = 1;

	if (argc != 3)
		return 2;
	file = fopen(argv[2], "re");
	if (file && source_open_live(atoi(argv[1]), &src, &err) && process_read(src, &proc, &err) &&
	    python_open(src, proc, &py, &err))
		status = compare(py, file);
	else
		fprintf(stderr, "linecheck: %s\n", file ? err.text : argv[2]);
	if (file)
		fclose(file);
	python_close(py);
	process_destroy(proc);
	source_close(src);
	return status;
}
