/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_opcode.c - bytecode and exception tables at random
 *
 * The first byte chooses the version, the second how many of the others are exception table.
 */
#include <stdlib.h>
#include <string.h>

#include "cpython/opcode.h"
#include "stallscope/arena.h"

#define HEAD 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int minor, const struct bytecode *bytecode, size_t len)
{
	for (size_t i = 0; i < bytecode->n; i++) {
		const struct instr *instr = &bytecode->v[i];

		if (instr->at < 0 || (size_t)instr->at + 2 > len || instr->depth < DEPTH_UNKNOWN)
			abort();
		if (instr->jump < -1 || instr->jump >= (int64_t)bytecode->n)
			abort();
		if (bytecode_find(bytecode, instr->at) != (int64_t)i)
			abort();
		if (bytecode_after(minor, instr) < DEPTH_UNKNOWN)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytecode bytecode;
	uint8_t *code, *handlers;
	size_t n;
	int minor;

	if (size < HEAD)
		return 0;
	minor = 7 + data[0] % 10;
	n = data[1] < size - HEAD ? data[1] : size - HEAD;
	handlers = mem_alloc(n ? n : 1);
	code = mem_alloc(size - HEAD - n ? size - HEAD - n : 1);
	memcpy(handlers, data + HEAD, n);
	memcpy(code, data + HEAD + n, size - HEAD - n);
	bytecode_read(minor, code, size - HEAD - n, handlers, n, &bytecode);
	check(minor, &bytecode, size - HEAD - n);
	bytecode_free(&bytecode);
	free(handlers);
	free(code);
	return 0;
}
