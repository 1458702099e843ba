/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ops.h"

uint64_t frame_top_object(struct python *py, uint64_t tstate)
{
	return get_u64(py, tstate, F_TS_FRAME);
}

/* 3.11, 3.12: through the C frame of the evaluation loop. */
uint64_t frame_top_cframe(struct python *py, uint64_t tstate)
{
	uint64_t cframe = get_ptr(py, tstate, F_TS_CFRAME);

	source_reread(py->rd.src, cframe, 16); /* on the C stack, written at each call */
	return get_u64(py, cframe, F_CFRAME_CURRENT);
}

uint64_t frame_top_current(struct python *py, uint64_t tstate)
{
	return get_u64(py, tstate, F_TS_CURRENT_FRAME);
}

/* 3.8-3.10: frames are objects, linked by f_back. */
bool frame_read_object(struct python *py, uint64_t address, struct py_frame *ret)
{
	int32_t lasti = get_i32(py, address, F_FO_LASTI);

	ret->address = address;
	ret->back = get_u64(py, address, F_FO_BACK);
	ret->locals = at(py, address, F_FO_LOCALS);
	ret->code = python_code(py, get_ptr(py, address, F_FO_CODE));
	ret->instr = lasti < 0 || lasti >= (int32_t)PY_MAX_CODE ? -1 : lasti * py->ops->instr_scale;
	return !py->rd.failed;
}

/* The bytecode that instr_ptr points into: free-threaded builds have a copy per thread. */
uint64_t frame_bytecode(struct python *py, uint64_t frame, const struct py_code *code)
{
	uint64_t array;
	int32_t index;

	if (!py->free_threaded || !has(py, F_CO_TLBC) || !has(py, F_IF_TLBC_INDEX))
		return code->bytecode;
	index = get_i32(py, frame, F_IF_TLBC_INDEX);
	array = get_u64(py, code->address, F_CO_TLBC);
	if (!array || index <= 0 || index > 65535)
		return code->bytecode;
	return rd_u64(&py->rd, array + 8 + 8 * (uint64_t)index); /* {size, entries[]} */
}

/* 3.11+: frames on the thread's data stack or inside a generator, linked by previous. */
bool frame_read_interpreter(struct python *py, uint64_t address, struct py_frame *ret)
{
	uint64_t code, instr, offset;
	uint8_t owner = get_u8(py, address, F_IF_OWNER);

	ret->address = address;
	ret->back = get_u64(py, address, F_IF_PREVIOUS);
	ret->locals = at(py, address, F_IF_LOCALS);
	ret->code = UINT32_MAX;
	ret->instr = -1;
	if (py->rd.failed || owner >= py->ops->shim_owner)
		return !py->rd.failed;
	code = get_u64(py, address, F_IF_CODE) & py->ops->ref_mask;
	if (!code)
		return !py->rd.failed;
	ret->code = python_code(py, code);
	if (py->rd.failed)
		return false;
	instr = get_u64(py, address, F_IF_INSTR);
	offset = instr - frame_bytecode(py, address, &py->codes[ret->code]);
	ret->instr = offset < PY_MAX_CODE ? (int32_t)offset : -1;
	return !py->rd.failed;
}

bool python_frame(struct python *py, uint64_t address, struct py_frame *ret)
{
	return address && py->ops->frame(py, address, ret);
}

bool frame_is_gen_object(struct python *py, uint64_t address)
{
	return get_u64(py, address, F_FO_GEN) != 0;
}

bool frame_is_gen_interpreter(struct python *py, uint64_t address)
{
	static const uint8_t owned_by_generator = 1;

	return get_u8(py, address, F_IF_OWNER) == owned_by_generator;
}

/* One walk; *last is the frame it ended at. */
static void walk(struct python *py, uint64_t tstate, struct py_frame *frames, size_t max, size_t *n,
		 bool *truncated, uint64_t *last)
{
	uint64_t address = py->ops->top_frame(py, tstate);
	unsigned steps = 0;

	*n = 0;
	*truncated = false;
	*last = 0;
	/* Steps are bounded, not results: a torn read can give a ring of frames without code. */
	while (address && !py->rd.failed) {
		struct py_frame frame;

		if (*n == max || ++steps > 2 * PY_MAX_FRAMES) {
			*truncated = true;
			break;
		}
		*last = address;
		if (!python_frame(py, address, &frame))
			break;
		if (frame.code != UINT32_MAX)
			frames[(*n)++] = frame;
		address = frame.back;
	}
}

/*
 * A generator's frame is never the outermost of a thread: it was left while we came from the
 * thread state to it, and its link back is gone.
 */
static bool ends_in_gen(struct python *py, uint64_t last)
{
	bool gen = last && !py->rd.failed && py->ops->frame_is_gen(py, last);

	return gen && !py->rd.failed;
}

bool python_stack(struct python *py, uint64_t tstate, struct py_frame *frames, size_t max,
		  size_t *n, bool *truncated, struct error *err)
{
	static const int tries = 12; /* short ones: only what moved is read again */
	static const size_t head = 256;
	uint64_t last;
	size_t ours;

	for (int attempt = 0;; attempt++) {
		/* the thread state was read some time ago, with all the others */
		source_reread(py->rd.src, tstate, head);
		walk(py, tstate, frames, max, n, truncated, &last);
		if ((!py->rd.failed && !ends_in_gen(py, last)) || attempt == tries)
			break;
		rd_take(&py->rd);
		ours = *n < 8 ? *n : 8;
		for (size_t i = 0; i < ours; i++)
			source_reread(py->rd.src, frames[i].address, head);
		if (last)
			source_reread(py->rd.src, last, head);
	}
	return py->rd.failed ? rd_error(&py->rd, err) : true;
}

/* ---- local variables ------------------------------------------------------------------------ */

/* The index of a name in a tuple of names, or SIZE_MAX; *count is the length of the tuple. */
static size_t name_index(struct python *py, uint64_t tuple, const char *name, size_t *count)
{
	static const uint64_t sane = 4096;
	uint64_t n, items = py_tuple_items(py, tuple, &n);

	*count = (size_t)n;
	for (uint64_t i = 0; i < n && i < sane && !py->rd.failed; i++)
		if (py_str_equals(py, rd_ptr(&py->rd, items + 8 * i), name))
			return (size_t)i;
	return SIZE_MAX;
}

/* 3.8-3.10 keep variables, cells and free variables in three tuples, in this order. */
static size_t local_index(struct python *py, uint64_t code, const char *name)
{
	static const enum layout_field parts[] = {F_CO_VARNAMES, F_CO_CELLVARS, F_CO_FREEVARS};
	size_t before = 0, count, i;

	if (has(py, F_CO_LOCALSPLUSNAMES))
		return name_index(py, get_ptr(py, code, F_CO_LOCALSPLUSNAMES), name, &count);
	for (size_t part = 0; part < ARRAY_SIZE(parts) && !py->rd.failed; part++) {
		i = name_index(py, get_ptr(py, code, parts[part]), name, &count);
		if (i != SIZE_MAX)
			return before + i;
		before += count;
	}
	return SIZE_MAX;
}

/*
 * Where a variable of a code object is, remembered: the same few names are asked of every task.
 * What is remembered is 1 + index, 0 for a name that it does not have.
 */
static size_t remembered_index(struct python *py, uint32_t code, const char *name)
{
	uint64_t key = 14695981039346656037ull ^ code; /* FNV-1a */
	uint32_t known;
	size_t index;

	for (const char *c = name; *c; c++)
		key = (key ^ (uint8_t)*c) * 1099511628211ull;
	known = addrmap_get(&py->local_index, key);
	if (known != ADDRMAP_NONE)
		return (size_t)known - 1;
	index = local_index(py, py->codes[code].address, name);
	if (!py->rd.failed)
		addrmap_put(&py->local_index, key, (uint32_t)(index + 1));
	return index;
}

uint64_t python_local_slot(struct python *py, const struct py_frame *frame, const char *name)
{
	size_t index;

	if (frame->code == UINT32_MAX || py->rd.failed)
		return 0;
	index = remembered_index(py, frame->code, name);
	return index == SIZE_MAX ? 0 : frame->locals + 8 * index;
}

uint64_t python_reference(const struct python *py, uint64_t slot)
{
	return slot & py->ops->ref_mask;
}

uint64_t python_local(struct python *py, const struct py_frame *frame, const char *name)
{
	uint64_t slot = python_local_slot(py, frame, name), value;

	if (!slot)
		return 0;
	value = rd_u64(&py->rd, slot) & py->ops->ref_mask;
	if (value && !py->rd.failed && py_type(py, value) == py->types.cell && py->types.cell)
		value = get_u64(py, value, F_CELL_REF);
	return value;
}
