/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cfi.c - looks an entry up in an unwind table, and reads it before libunwind does
 *
 * The table is the target's. libunwind bounds its registers and its stack of operands, but it
 * follows jumps in expressions wherever they lead, and divides INT64_MIN by -1. So what an entry
 * consists of is walked here first: instructions that every compiler uses, expressions without
 * jumps, calls and divisions, all within the bytes that the entry has.
 */
#include <string.h>

#include "native_private.h"

#define ENTRY_MAX 65536u /* bytes; the largest of CPython, the evaluation loop's, has 4,000 */

/* Bytes of one entry, of which the reading is bounded. */
struct bytes {
	const uint8_t *p, *end;
	bool bad;
};

static uint64_t take(struct bytes *b, size_t n)
{
	uint64_t value = 0;

	if (b->bad || (size_t)(b->end - b->p) < n) {
		b->bad = true;
		return 0;
	}
	memcpy(&value, b->p, n < sizeof(value) ? n : sizeof(value));
	b->p += n;
	return value;
}

static uint64_t take_leb(struct bytes *b)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)take(b, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (shift > 70)
			b->bad = true;
	} while (byte & 0x80 && !b->bad);
	return value;
}

/* ---- expressions ------------------------------------------------------------------------- */

/*
 * Operands of the operations that are let through, by DWARF's numbers: so many bytes; L one LEB128,
 * M two of them; '-' none such.
 */
static char operands_of(uint8_t op)
{
	if ((op >= 0x30 && op <= 0x4f) || op == 0x96)
		return '0'; /* lit0 to lit31, nop */
	if (op >= 0x70 && op <= 0x8f)
		return 'L'; /* breg0 to breg31 */
	if (op >= 0x08 && op <= 0x0f)
		return "11224488"[op - 0x08]; /* const1u to const8s */
	switch (op) {
	case 0x03: /* addr */
		return '8';
	case 0x10: /* constu, consts, plus_uconst */
	case 0x11:
	case 0x23:
		return 'L';
	case 0x92: /* bregx */
		return 'M';
	case 0x15: /* pick, deref_size */
	case 0x94:
		return '1';
	case 0x06: /* deref, dup, drop, over, swap, rot, abs, and */
	case 0x12:
	case 0x13:
	case 0x14:
	case 0x16:
	case 0x17:
	case 0x19:
	case 0x1a:
		return '0';
	default:
		/* minus; mul to plus; shl to xor; eq to ne */
		return op == 0x1c || (op >= 0x1e && op <= 0x22) || (op >= 0x24 && op <= 0x27) ||
				       (op >= 0x29 && op <= 0x2e)
			       ? '0'
			       : '-';
	}
}

static void check_expression(struct bytes *b)
{
	uint64_t len = take_leb(b);
	struct bytes e = {b->p, b->p, b->bad};

	if (b->bad || len > (uint64_t)(b->end - b->p)) {
		b->bad = true;
		return;
	}
	e.end += len;
	b->p += len;
	while (e.p < e.end && !e.bad) {
		char kind = operands_of((uint8_t)take(&e, 1));

		if (kind == '-')
			e.bad = true;
		else if (kind == 'L' || kind == 'M')
			take_leb(&e);
		else
			take(&e, (size_t)(kind - '0'));
		if (kind == 'M')
			take_leb(&e);
	}
	b->bad = e.bad;
}

/* ---- instructions -------------------------------------------------------------------------- */

/* What follows an instruction: as above, E an expression, F a register and an expression. */
static const char follows[] = {
	[0x00] = '0', [0x02] = '1', [0x03] = '2', [0x04] = '4', [0x05] = 'M',
	[0x06] = 'L', [0x07] = 'L', [0x08] = 'L', [0x09] = 'M', [0x0a] = '0',
	[0x0b] = '0', [0x0c] = 'M', [0x0d] = 'L', [0x0e] = 'L', [0x0f] = 'E',
	[0x10] = 'F', [0x11] = 'M', [0x12] = 'M', [0x13] = 'L', [0x14] = 'M',
	[0x15] = 'M', [0x16] = 'F', [0x2d] = '0', [0x2e] = 'L', [0x2f] = 'M',
};

static void check_instruction(struct bytes *b)
{
	uint8_t op = (uint8_t)take(b, 1);
	char kind = op < sizeof(follows) ? follows[op] : 0;

	if (op >= 0x40) /* advance_loc, offset, restore: what is in the low bits */
		kind = (op & 0xc0) == 0x80 ? 'L' : '0';
	if (!kind)
		b->bad = true;
	else if (kind == 'M' || kind == 'L' || kind == 'F')
		take_leb(b);
	else if (kind != 'E')
		take(b, (size_t)(kind - '0'));
	if (kind == 'M')
		take_leb(b);
	if (kind == 'E' || kind == 'F')
		check_expression(b);
}

static bool check_instructions(struct bytes *b)
{
	while (b->p < b->end && !b->bad)
		check_instruction(b);
	return !b->bad;
}

/* ---- entries ------------------------------------------------------------------------------- */

struct common {
	bool augmented; /* with a length of what it is augmented by */
	uint8_t encoding;
};

/* Reads a piece of the table behind its length into buf; the length, 0: none that is read. */
static uint32_t read_record(struct native_memory *m, uint64_t addr, uint8_t *buf)
{
	uint32_t len;

	if (!native_read(m, addr, &len, sizeof(len)) || len < 8 || len > ENTRY_MAX ||
	    !native_read(m, addr + sizeof(len), buf, len))
		return 0;
	return len;
}

static size_t encoded_size(uint8_t encoding)
{
	static const uint8_t aligned = 0x50; /* then there is a gap before it */

	if ((encoding & 0x70) == aligned)
		return 0;
	switch (encoding & 0x0f) {
	case 0x00:
	case 0x04:
	case 0x0c:
		return 8;
	case 0x03:
	case 0x0b:
		return 4;
	default:
		return 0; /* none that compilers write */
	}
}

/* A personality, which is of no use here; false: where it ends is not known. */
static bool take_personality(struct bytes *b)
{
	static const uint8_t omitted = 0xff;
	uint8_t encoding = (uint8_t)take(b, 1);
	size_t size = encoded_size(encoding);

	take(b, size);
	return size || encoding == omitted;
}

/*
 * The letters behind the z. libunwind looks at three of them, and for the instructions behind what
 * these have read, not by the length: both must be the same place.
 */
static void take_augmentation(struct bytes *b, const char *letters, struct common *ret)
{
	static const size_t looked_at = 3;
	const char *first = letters;
	uint64_t len = take_leb(b);
	struct bytes data = {b->p, b->p, b->bad};

	if (b->bad || len > (uint64_t)(b->end - b->p)) {
		b->bad = true;
		return;
	}
	data.end += len;
	b->p += len;
	for (; *letters && !data.bad; letters++) {
		if (*letters == 'S' || (*letters == 'B' && !letters[1]))
			continue;
		if ((size_t)(letters - first) >= looked_at)
			data.bad = true;
		else if (*letters == 'R')
			ret->encoding = (uint8_t)take(&data, 1);
		else if (*letters == 'L')
			take(&data, 1);
		else if (*letters != 'P' || !take_personality(&data))
			data.bad = true;
	}
	b->bad = data.bad || data.p != data.end;
}

static bool check_common(const uint8_t *record, size_t len, struct common *ret)
{
	struct bytes b = {record, record + len, false};
	const char *letters;
	uint64_t id, version;

	*ret = (struct common){0};
	id = take(&b, 4);
	version = take(&b, 1);
	if (id || (version != 1 && version != 3))
		return false;
	letters = (const char *)b.p;
	while (take(&b, 1) && !b.bad)
		;
	if (b.bad || (letters[0] && letters[0] != 'z'))
		return false;
	take_leb(&b); /* units of code and of data */
	take_leb(&b);
	if (version == 1) /* the register of the return address */
		take(&b, 1);
	else
		take_leb(&b);
	ret->augmented = letters[0] == 'z';
	if (ret->augmented)
		take_augmentation(&b, letters + 1, ret);
	return check_instructions(&b);
}

static bool check_entry(struct native_memory *m, uint64_t fde)
{
	static _Thread_local uint8_t record[ENTRY_MAX];
	struct common common;
	struct bytes b;
	uint32_t len, back;
	uint64_t skip;

	if (!native_read(m, fde + 4, &back, sizeof(back)) || !back)
		return false;
	len = read_record(m, fde + 4 - back, record);
	if (!len || !check_common(record, len, &common) || !encoded_size(common.encoding))
		return false;
	len = read_record(m, fde, record);
	b = (struct bytes){record, record + len, !len};
	take(&b, 4 + 2 * encoded_size(common.encoding));
	if (common.augmented) {
		skip = take_leb(&b);
		take(&b, skip < len ? skip : (size_t)len + 1);
	}
	return !b.bad && check_instructions(&b);
}

/* ---- the sorted table ---------------------------------------------------------------------- */

uint64_t native_entry(struct native_memory *m, const struct native_module *module, uint64_t pc)
{
	uint64_t first = module->table + 12, low = 0, high = module->n_entries;
	int32_t pair[2];

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;

		if (!native_read(m, first + 8 * mid, pair, sizeof(pair)))
			return 0;
		if (module->table + (uint64_t)(int64_t)pair[0] <= pc)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low || !native_read(m, first + 8 * (low - 1), pair, sizeof(pair)) ||
	    !check_entry(m, module->table + (uint64_t)(int64_t)pair[1]))
		return 0;
	return first + 8 * (low - 1);
}
