/* SPDX-License-Identifier: Apache-2.0 */
/* Python functions and what they captured: callbacks tell by it whom they will wake. */
#include <string.h>

#include "ops.h"

uint32_t python_function(struct python *py, uint64_t function)
{
	if (!function || py_type(py, function) != py->types.function || py->rd.failed)
		return UINT32_MAX;
	return python_code(py, get_ptr(py, function, F_FUNC_CODE));
}

/*
 * Names of captured variables are a tuple of their own up to 3.10; from 3.11 on they are the last
 * of the names of all variables (Objects/codeobject.c, get_localsplus_counts).
 */
static uint64_t free_names(struct python *py, uint64_t code, uint64_t n_cells, uint64_t *n)
{
	bool all = has(py, F_CO_LOCALSPLUSNAMES);
	uint64_t first = py_tuple_items(
		py, get_ptr(py, code, all ? F_CO_LOCALSPLUSNAMES : F_CO_FREEVARS), n);

	if (py->rd.failed || *n < n_cells)
		return 0;
	first += 8 * (*n - n_cells);
	*n = n_cells;
	return first;
}

uint64_t python_captured(struct python *py, uint64_t function, const char *name)
{
	static const uint64_t sane = 64;
	uint32_t code = python_function(py, function);
	uint64_t n_cells, n, cells, names, cell;

	if (code == UINT32_MAX || !get_u64(py, function, F_FUNC_CLOSURE))
		return 0;
	cells = py_tuple_items(py, get_u64(py, function, F_FUNC_CLOSURE), &n_cells);
	names = free_names(py, py->codes[code].address, n_cells, &n);
	for (uint64_t i = 0; names && i < n && i < sane && !py->rd.failed; i++) {
		if (!py_str_equals(py, rd_ptr(&py->rd, names + 8 * i), name))
			continue;
		cell = rd_ptr(&py->rd, cells + 8 * i);
		return py_type(py, cell) == py->types.cell ? get_u64(py, cell, F_CELL_REF) : 0;
	}
	return 0;
}
