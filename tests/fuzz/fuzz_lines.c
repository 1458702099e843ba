/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_lines.c - any bytes as a line table of each kind, asked for any instruction
 *
 * The first bytes choose kind, first line and instruction. A position is a line that exists or
 * none, and columns that are known or not.
 */
#include <stdlib.h>
#include <string.h>

#include "cpython/ops.h"

#define HEAD 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct py_position pos)
{
	if (pos.line < 0 || pos.end_line < 0 || pos.col < -1 || pos.end_col < -1)
		abort();
	if (pos.end_line && (!pos.line || pos.end_line < pos.line))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t first, offset;
	enum py_line_format format;
	uint8_t *table;

	if (size < HEAD)
		return 0;
	format = (enum py_line_format)(data[0] % 3);
	memcpy(&first, data + 1, sizeof(first));
	memcpy(&offset, data + 5, sizeof(offset));
	size -= HEAD;
	table = mem_alloc(size); /* of this size, so that a byte read behind it is seen */
	memcpy(table, data + HEAD, size);
	check(line_table_find(format, table, size, first, offset));
	for (int32_t at = -1; at < 64; at++)
		check(line_table_find(format, table, size, first, at));
	free(table);
	return 0;
}
