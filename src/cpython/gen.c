/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generators, coroutines and async generators: one layout, seven ways to say
 * "suspended" and to find what is awaited. Verified values and sources are in
 * the comment of each reader.
 */
#include <string.h>

#include "ops.h"

#define OP_YIELD_FROM_38 72 /* opcode YIELD_FROM, 3.8 to 3.10 */

bool python_is_gen(struct python *py, uint64_t address)
{
	uint64_t type = py_type(py, address);

	return type && (type == py->types.coroutine || type == py->types.generator ||
			type == py->types.async_generator);
}

bool python_gen(struct python *py, uint64_t address, struct py_gen *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->qualname = get_u64(py, address, F_GI_QUALNAME);
	return !py->rd.failed && py->ops->gen(py, address, ret);
}

/* A coroutine with a small frame in it, and the frame object of 3.8 to 3.10 beside it. */
void python_gens_prefetch(struct python *py, uint64_t *objects, size_t n)
{
	static const size_t gen_bytes = 256, frame_bytes = 512;
	size_t frames = 0;

	source_prefetch(py->rd.src, objects, n, gen_bytes);
	if (!has(py, F_GI_FRAME))
		return;
	for (size_t i = 0; i < n; i++) {
		uint64_t frame =
			python_is_gen(py, objects[i]) ? get_u64(py, objects[i], F_GI_FRAME) : 0;

		if (!rd_take(&py->rd) && frame)
			objects[frames++] = frame;
	}
	source_prefetch(py->rd.src, objects, frames, frame_bytes);
}

/* 3.8-3.10: the frame is an object, gone when the generator is done. */
static bool read_frame_object(struct python *py, uint64_t address, struct py_gen *ret)
{
	uint64_t frame = get_u64(py, address, F_GI_FRAME);

	ret->state = PY_GEN_DONE;
	if (py->rd.failed || !frame)
		return false;
	ret->has_frame = python_frame(py, frame, &ret->frame);
	return ret->has_frame;
}

/* True when the instruction after the last one is YIELD_FROM: suspended in it. */
static bool in_yield_from(struct python *py, const struct py_frame *frame)
{
	return frame->instr >= 0 &&
	       rd_u8(&py->rd, py->codes[frame->code].bytecode + (uint64_t)frame->instr + 2) ==
		       OP_YIELD_FROM_38;
}

/* 3.8, 3.9: gi_running and f_lasti tell the state, f_stacktop points behind the delegate. */
bool gen_read_38(struct python *py, uint64_t address, struct py_gen *ret)
{
	uint64_t top;

	if (!read_frame_object(py, address, ret))
		return !py->rd.failed;
	if (get_u8(py, address, F_GI_RUNNING))
		ret->state = PY_GEN_RUNNING;
	else
		ret->state = ret->frame.instr < 0 ? PY_GEN_CREATED : PY_GEN_SUSPENDED;
	if (ret->state == PY_GEN_SUSPENDED && in_yield_from(py, &ret->frame)) {
		top = get_u64(py, ret->frame.address, F_FO_STACKTOP);
		ret->delegate = top ? rd_u64(&py->rd, top - 8) : 0;
	}
	return !py->rd.failed;
}

/* 3.10: f_state -2 created, -1 suspended, 0 executing; f_stackdepth counts. */
bool gen_read_310(struct python *py, uint64_t address, struct py_gen *ret)
{
	int8_t state;
	int32_t depth;

	if (!read_frame_object(py, address, ret))
		return !py->rd.failed;
	state = get_i8(py, ret->frame.address, F_FO_STATE);
	ret->state = state == -2   ? PY_GEN_CREATED
		     : state == -1 ? PY_GEN_SUSPENDED
		     : state == 0  ? PY_GEN_RUNNING
				   : PY_GEN_DONE;
	if (ret->state == PY_GEN_SUSPENDED && in_yield_from(py, &ret->frame)) {
		depth = get_i32(py, ret->frame.address, F_FO_STACKDEPTH);
		if (depth > 0 && depth < 65536)
			ret->delegate =
				rd_u64(&py->rd, get_ptr(py, ret->frame.address, F_FO_VALUESTACK) +
							8 * (uint64_t)(depth - 1));
	}
	return !py->rd.failed;
}

/* 3.11+: the frame is inside the generator and stays there. */
static bool read_inner_frame(struct python *py, uint64_t address, struct py_gen *ret)
{
	if (ret->state == PY_GEN_DONE)
		return false;
	ret->has_frame = python_frame(py, at(py, address, F_GI_IFRAME), &ret->frame) &&
			 ret->frame.code != UINT32_MAX;
	return ret->has_frame;
}

/* The value stack slot on top, when stacktop counts from the locals (3.11 to 3.13). */
static uint64_t stack_top_counted(struct python *py, const struct py_frame *frame)
{
	int32_t top = get_i32(py, frame->address, F_IF_STACKTOP);

	return top > 0 && top < 65536 ? rd_u64(&py->rd, frame->locals + 8 * (uint64_t)(top - 1))
				      : 0;
}

/*
 * 3.11, 3.12: suspended in an await when the next code unit is RESUME (or a variant of it) with
 * an argument of 2 or 3 in its low bits: after YIELD_FROM or AWAIT (Python/bytecodes.c).
 */
static bool resumes_await(struct python *py, const struct py_frame *frame, uint8_t op,
			  uint8_t variant)
{
	uint16_t unit =
		rd_u16(&py->rd, py->codes[frame->code].bytecode + (uint64_t)frame->instr + 2);
	uint8_t opcode = (uint8_t)unit, arg = (uint8_t)(unit >> 8);

	return (opcode == op || opcode == variant) && (arg & 3) >= 2;
}

/* 3.11, 3.12: gi_frame_state -2 created, -1 suspended, 0 executing, else done. */
static bool read_311(struct python *py, uint64_t address, struct py_gen *ret, uint8_t op,
		     uint8_t variant)
{
	int8_t state = get_i8(py, address, F_GI_STATE);

	ret->state = state == -2   ? PY_GEN_CREATED
		     : state == -1 ? PY_GEN_SUSPENDED
		     : state == 0  ? PY_GEN_RUNNING
				   : PY_GEN_DONE;
	if (!read_inner_frame(py, address, ret))
		return !py->rd.failed;
	if (ret->state == PY_GEN_SUSPENDED && ret->frame.instr >= 0 &&
	    resumes_await(py, &ret->frame, op, variant))
		ret->delegate = stack_top_counted(py, &ret->frame);
	return !py->rd.failed;
}

bool gen_read_311(struct python *py, uint64_t address, struct py_gen *ret)
{
	return read_311(py, address, ret, 151, 150); /* RESUME, RESUME_QUICK */
}

bool gen_read_312(struct python *py, uint64_t address, struct py_gen *ret)
{
	return read_311(py, address, ret, 151, 240); /* RESUME, INSTRUMENTED_RESUME */
}

/* 3.13, 3.14: -3 created, -2 suspended, -1 suspended in an await, 0 executing, else done. */
static bool read_313(struct python *py, uint64_t address, struct py_gen *ret, bool *awaits)
{
	int8_t state = get_i8(py, address, F_GI_STATE);

	ret->state = state == -3		  ? PY_GEN_CREATED
		     : state == -2 || state == -1 ? PY_GEN_SUSPENDED
		     : state == 0		  ? PY_GEN_RUNNING
						  : PY_GEN_DONE;
	*awaits = state == -1;
	return read_inner_frame(py, address, ret);
}

bool gen_read_313(struct python *py, uint64_t address, struct py_gen *ret)
{
	bool awaits;

	if (read_313(py, address, ret, &awaits) && awaits)
		ret->delegate = stack_top_counted(py, &ret->frame);
	return !py->rd.failed;
}

/* 3.14+: a stack pointer instead of a count; slots are tagged references. */
static uint64_t below_stackpointer(struct python *py, const struct py_frame *frame, unsigned bytes)
{
	uint64_t sp = get_ptr(py, frame->address, F_IF_STACKPOINTER);

	return rd_u64(&py->rd, sp - bytes) & py->ops->ref_mask;
}

bool gen_read_314(struct python *py, uint64_t address, struct py_gen *ret)
{
	bool awaits;

	if (read_313(py, address, ret, &awaits) && awaits)
		ret->delegate = below_stackpointer(py, &ret->frame, 8);
	return !py->rd.failed;
}

/*
 * 3.15: 0 created, 1 suspended, 2 and 3 suspended in an await, 4 executing, 5 cleared. On top of
 * the stack lies the iterator's index or NULL, the awaited object below it.
 */
bool gen_read_315(struct python *py, uint64_t address, struct py_gen *ret)
{
	int8_t state = get_i8(py, address, F_GI_STATE);

	ret->state = state == 0			? PY_GEN_CREATED
		     : state >= 1 && state <= 3 ? PY_GEN_SUSPENDED
		     : state == 4		? PY_GEN_RUNNING
						: PY_GEN_DONE;
	if (read_inner_frame(py, address, ret) && (state == 2 || state == 3))
		ret->delegate = below_stackpointer(py, &ret->frame, 16);
	return !py->rd.failed;
}
