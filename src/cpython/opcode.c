/* SPDX-License-Identifier: Apache-2.0 */
#include "opcode.h"

#include <stdlib.h>

#include "stallscope/arena.h"

#define FIRST_MINOR 8
#define MINORS	    8
#define MAX_DEPTH   (1 << 20)

/* Over the code: one settles most, each loop that is entered late takes one more. */
#define MAX_PASSES 8

/* How the stack effect follows from the argument. */
enum form { CONST, LINEAR, BIT1, BIT4, BITS, UNPACK, SLICE };

/* How the argument says where it jumps. */
enum jump { NONE, REL_BYTES, ABS_BYTES, REL_UNITS, ABS_UNITS, BACK_UNITS };

struct op_info {
	uint8_t kind, caches, form;
	int8_t constant, factor;
	uint8_t jump;
	int8_t jumped;
	bool falls;
};

#define OP(minor, number, name, kind, caches, form, constant, factor, jump, jumped, falls) \
	[(minor)-FIRST_MINOR][number] = {OP_##kind, caches, form,   constant,              \
					 factor,    jump,   jumped, falls},
#define EXTENDED(minor, number)
#define AS(minor, number, base)
static const struct op_info infos[MINORS][256] = {
#include "opcodes.def"
};
#undef OP
#undef EXTENDED
#undef AS

#define OP(minor, number, name, kind, caches, form, constant, factor, jump, jumped, falls)
#define EXTENDED(minor, number) [(minor)-FIRST_MINOR] = (number),
#define AS(minor, number, base)
static const uint8_t extended_arg[MINORS] = {
#include "opcodes.def"
};
#undef EXTENDED
#undef AS

/* 0: the opcode itself is meant; 0 is the base of nothing. */
#define EXTENDED(minor, number)
#define AS(minor, number, base) [(minor)-FIRST_MINOR][number] = (base),
static const uint8_t base_of[MINORS][256] = {
#include "opcodes.def"
};
#undef OP
#undef EXTENDED
#undef AS

static int32_t count_bits(uint32_t bits)
{
	return __builtin_popcount(bits);
}

static int64_t effect(const struct op_info *info, uint32_t arg)
{
	switch (info->form) {
	case LINEAR:
		return info->constant + (int64_t)info->factor * arg;
	case BIT1:
		return info->constant + (arg & 1 ? info->factor : 0);
	case BIT4:
		return info->constant + (arg & 4 ? info->factor : 0);
	case BITS:
		return info->constant - count_bits(arg & 15);
	case UNPACK:
		return info->constant + (int64_t)(arg & 0xff) + (int64_t)(arg >> 8);
	case SLICE:
		return arg == 3 ? -2 : -1;
	default:
		return info->constant;
	}
}

static int32_t checked_depth(int64_t depth)
{
	return depth >= 0 && depth <= MAX_DEPTH ? (int32_t)depth : DEPTH_UNKNOWN;
}

static const struct op_info *info_of(int minor, uint8_t op)
{
	return &infos[minor - FIRST_MINOR][op];
}

int32_t bytecode_after(int minor, const struct instr *instr)
{
	if (instr->depth == DEPTH_UNKNOWN)
		return DEPTH_UNKNOWN;
	return checked_depth(instr->depth + effect(info_of(minor, instr->op), instr->arg));
}

int64_t bytecode_find(const struct bytecode *bytecode, int32_t offset)
{
	size_t low = 0, high = bytecode->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (bytecode->v[middle].at < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < bytecode->n && bytecode->v[low].at == offset ? (int64_t)low : -1;
}

/* ---- instructions ---------------------------------------------------------------------------- */

/* The byte offset that an instruction jumps to, -1 when it does not. */
static int64_t target(const struct op_info *info, const struct instr *instr)
{
	int64_t next = instr->at + 2 + 2 * (int64_t)info->caches, arg = instr->arg;

	switch (info->jump) {
	case REL_BYTES:
		return next + arg;
	case ABS_BYTES:
		return arg;
	case REL_UNITS:
		return next + 2 * arg;
	case ABS_UNITS:
		return 2 * arg;
	case BACK_UNITS:
		return next - 2 * arg;
	default:
		return -1;
	}
}

/* Jumps come to the prefixes of an instruction, not to the opcode behind them. */
static int64_t find_target(const struct bytecode *bytecode, const uint8_t *code, int64_t offset,
			   uint8_t extended)
{
	for (int prefixes = 0; prefixes < 4 && offset >= 0 && offset <= INT32_MAX; prefixes++) {
		int64_t found = bytecode_find(bytecode, (int32_t)offset);

		if (found >= 0)
			return found;
		if (!bytecode->n || offset > bytecode->v[bytecode->n - 1].at ||
		    code[offset] != extended)
			break;
		offset += 2;
	}
	return -1;
}

static void find_targets(int minor, struct bytecode *bytecode, const uint8_t *code)
{
	for (size_t i = 0; i < bytecode->n; i++) {
		struct instr *instr = &bytecode->v[i];
		int64_t to = target(info_of(minor, instr->op), instr);

		if (to >= 0 && !(to & 1))
			instr->jump = (int32_t)find_target(bytecode, code, to,
							   extended_arg[minor - FIRST_MINOR]);
	}
}

static void split(int minor, const uint8_t *code, size_t len, struct bytecode *ret)
{
	const uint8_t *base = base_of[minor - FIRST_MINOR];
	uint8_t extended = extended_arg[minor - FIRST_MINOR], prefixes = 0;
	uint32_t arg = 0;

	for (size_t at = 0; at + 2 <= len; at += 2) {
		uint8_t op = base[code[at]] ? base[code[at]] : code[at];
		const struct op_info *info = info_of(minor, op);

		arg = arg << 8 | code[at + 1];
		if (op == extended) {
			if (++prefixes > 3)
				return;
			continue;
		}
		if (info->kind == OP_UNKNOWN)
			return;
		ret->v[ret->n++] = (struct instr){.at = (int32_t)at,
						  .jump = -1,
						  .arg = arg,
						  .depth = DEPTH_UNKNOWN,
						  .op = op,
						  .kind = info->kind};
		at += 2 * (size_t)info->caches;
		arg = prefixes = 0;
	}
}

/* ---- depth of the stack ---------------------------------------------------------------------- */

/* A number of the exception table: 6 bits a byte, bit 6 says that more follow. */
static bool handler_number(const uint8_t *table, size_t len, size_t *i, uint32_t *ret)
{
	uint32_t value = 0;

	for (int bytes = 0; *i < len && bytes < 4; bytes++) {
		uint8_t byte = table[(*i)++];

		value = value << 6 | (byte & 63);
		if (!(byte & 64)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* Where exceptions go (3.11+, Objects/exception_handling_notes.txt): start, size, target, depth. */
static void enter_handlers(struct bytecode *bytecode, const uint8_t *table, size_t len)
{
	uint32_t entry[4];
	int64_t found;

	for (size_t i = 0; i < len;) {
		for (size_t k = 0; k < ARRAY_SIZE(entry); k++)
			if (!handler_number(table, len, &i, &entry[k]))
				return;
		found = bytecode_find(bytecode, (int32_t)(entry[2] * 2));
		if (found >= 0 && bytecode->v[found].depth == DEPTH_UNKNOWN)
			bytecode->v[found].depth =
				checked_depth((int64_t)(entry[3] >> 1) + (entry[3] & 1) + 1);
	}
}

/* True when this told something new. */
static bool arrive(struct bytecode *bytecode, size_t at, int64_t depth, uint8_t loose)
{
	struct instr *instr = &bytecode->v[at];
	bool more = instr->depth == DEPTH_UNKNOWN || loose > instr->loose;

	if (depth < 0 || depth > MAX_DEPTH || (instr->depth >= 0 && instr->depth != depth)) {
		bytecode->disagree = true;
		return false;
	}
	instr->depth = (int32_t)depth;
	if (loose > instr->loose)
		instr->loose = loose;
	return more;
}

/*
 * 3.8 calls a finally block from where the stack is lower than where exceptions enter it, and
 * counts the latter: the block is loose, its depth is that of the exception.
 */
static void loosen(struct instr *block, uint8_t loose)
{
	if (loose > block->loose)
		block->loose = loose;
}

static void leave(int minor, struct bytecode *bytecode, size_t i, bool *more)
{
	static const uint8_t deepest = 8;
	const struct instr *instr = &bytecode->v[i];
	const struct op_info *info = info_of(minor, instr->op);
	int64_t fallen = (int64_t)instr->depth + effect(info, instr->arg);
	uint8_t loose = instr->loose, looser = loose < deepest ? (uint8_t)(loose + 1) : deepest;

	if (instr->jump >= 0 && instr->kind == OP_FINALLY)
		loosen(&bytecode->v[instr->jump], looser);
	else if (instr->jump >= 0 &&
		 arrive(bytecode, (size_t)instr->jump, (int64_t)instr->depth + info->jumped, loose))
		*more |= instr->jump <= (int64_t)i;
	if (instr->jump < 0 && instr->kind == OP_FINALLY)
		loose = looser;
	if (instr->kind == OP_END_FINALLY && loose)
		loose--;
	if (info->falls && i + 1 < bytecode->n)
		arrive(bytecode, i + 1, fallen, loose);
}

/* Follows the code once from its beginning; true when there is reason to do it again. */
static bool pass(int minor, struct bytecode *bytecode)
{
	bool more = false;

	for (size_t i = 0; i < bytecode->n && !bytecode->disagree; i++)
		if (bytecode->v[i].depth != DEPTH_UNKNOWN)
			leave(minor, bytecode, i, &more);
	return more && !bytecode->disagree;
}

void bytecode_read(int minor, const uint8_t *code, size_t len, const uint8_t *handlers,
		   size_t handlers_len, struct bytecode *ret)
{
	*ret = (struct bytecode){0};
	if ((unsigned)(minor - FIRST_MINOR) >= MINORS || len < 2 || len > INT32_MAX)
		return;
	ret->v = mem_alloc(len / 2 * sizeof(*ret->v));
	split(minor, code, len, ret);
	if (!ret->n)
		return;
	find_targets(minor, ret, code);
	ret->v[0].depth = 0;
	enter_handlers(ret, handlers, handlers_len);
	for (int i = 0; i < MAX_PASSES && pass(minor, ret); i++)
		;
}

void bytecode_free(struct bytecode *bytecode)
{
	free(bytecode->v);
	*bytecode = (struct bytecode){0};
}
