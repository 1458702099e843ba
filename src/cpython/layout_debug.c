/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout_debug.c - the layout as the target itself tells it
 *
 * _Py_DebugOffsets is the first thing in _PyRuntime since 3.13, _AsyncioDebug a
 * section of the file that holds _asyncio since 3.14. Both are arrays of 64-bit
 * numbers: for each structure its size, then offsets of fields in it. Where a
 * number stands differs by minor version.
 *
 * All of it may be forged. A number is taken when it keeps the field inside its
 * structure, the structure inside what any real build has, and the field aligned
 * as its type is. One that does not spoils the whole block.
 */
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/layout.h"

#define COOKIE	      "xdebugpy"
#define FIRST_MINOR   13
#define MINORS	      3
#define ASYNCIO_MINOR 14
#define MAX_BIG	      (1u << 20) /* _PyRuntimeState of 3.15 has 346 KiB */
#define MAX_STRUCT    (64u << 10)
#define RELEASE_RC    0xc /* release level in PY_VERSION_HEX; from then on nothing moves */

enum group {
	G_RUNTIME,
	G_INTERP,
	G_GIL, /* in the GIL, but told as position in the interpreter */
	G_GC,  /* in the interpreter, but told as position in its part gc */
	G_THREAD,
	G_FRAME,
	G_CODE,
	G_OBJECT,
	G_TYPE,
	G_HEAP_TYPE,
	G_TUPLE,
	G_LIST,
	G_SET,
	G_DICT,
	G_FLOAT,
	G_LONG,
	G_BYTES,
	G_UNICODE,
	G_GEN,
	GROUP_COUNT
};

/* A structure: what it may have at most, and where the block tells its size (0: nowhere). */
struct debug_group {
	uint32_t max;
	uint16_t size_at[MINORS];
};

struct debug_field {
	uint16_t field;
	uint16_t group;
	uint16_t at[MINORS];
};

/* The block as read. */
struct debug_block {
	const uint64_t *words;
	int column; /* of the tables: minor version - FIRST_MINOR */
};

/* sizeof(_Py_DebugOffsets) */
static const uint16_t block_size[MINORS] = {584, 760, 888};
#define MAX_BLOCK 888u

/* Where the interpreter's own GIL and its part gc begin. */
static const uint16_t gil_at[MINORS] = {120, 128, 128};
static const uint16_t gc_at[MINORS] = {80, 88, 88};

/* clang-format off */
static const struct debug_group groups[GROUP_COUNT] = {
	[G_RUNTIME] = {MAX_BIG, {24, 24, 24}},
	[G_INTERP] = {MAX_BIG, {48, 48, 48}},
	[G_GIL] = {MAX_BIG, {48, 48, 48}},
	[G_GC] = {MAX_STRUCT, {568, 648, 752}},
	[G_THREAD] = {MAX_STRUCT, {152, 176, 176}},
	[G_FRAME] = {MAX_STRUCT, {224, 248, 312}},
	[G_CODE] = {MAX_STRUCT, {272, 312, 376}},
	[G_OBJECT] = {MAX_STRUCT, {352, 400, 464}},
	[G_TYPE] = {MAX_STRUCT, {368, 416, 480}},
	[G_HEAP_TYPE] = {MAX_STRUCT, {0, 0, 528}},
	[G_TUPLE] = {MAX_STRUCT, {400, 448, 544}},
	[G_LIST] = {MAX_STRUCT, {424, 472, 568}},
	[G_SET] = {MAX_STRUCT, {0, 496, 592}},
	[G_DICT] = {MAX_STRUCT, {448, 528, 624}},
	[G_FLOAT] = {MAX_STRUCT, {472, 552, 648}},
	[G_LONG] = {MAX_STRUCT, {488, 568, 664}},
	[G_BYTES] = {MAX_STRUCT, {512, 592, 688}},
	[G_UNICODE] = {MAX_STRUCT, {536, 616, 712}},
	[G_GEN] = {MAX_STRUCT, {0, 664, 792}},
};

static const struct debug_field fields[] = {
	{F_RT_INTERP_HEAD, G_RUNTIME, {40, 40, 40}},
	{F_IS_NEXT, G_INTERP, {64, 64, 64}},
	{F_IS_ID, G_INTERP, {56, 56, 56}},
	{F_IS_THREADS, G_INTERP, {72, 72, 72}},
	{F_IS_MODULES, G_INTERP, {88, 96, 96}},
	{F_IS_SYSDICT, G_INTERP, {96, 104, 104}},
	{F_IS_GIL, G_INTERP, {112, 120, 120}},
	{F_IS_GC_COLLECTING, G_GC, {576, 656, 760}},
	{F_GIL_LAST_HOLDER, G_GIL, {144, 152, 152}},
	{F_GIL_LOCKED, G_GIL, {136, 144, 144}},
	{F_TS_NEXT, G_THREAD, {168, 192, 192}},
	{F_TS_INTERP, G_THREAD, {176, 200, 200}},
	{F_TS_CURRENT_FRAME, G_THREAD, {184, 208, 208}},
	{F_TS_THREAD_ID, G_THREAD, {192, 216, 240}},
	{F_TS_NATIVE_ID, G_THREAD, {200, 224, 248}},
	{F_TS_HOLDS_GIL, G_THREAD, {0, 0, 272}},
	{F_TS_GIL_REQUESTED, G_THREAD, {0, 0, 280}},
	{F_TS_EVAL_BREAKER, G_THREAD, {0, 712, 840}},
	{F_IF_PREVIOUS, G_FRAME, {232, 256, 320}},
	{F_IF_CODE, G_FRAME, {240, 264, 328}},
	{F_IF_INSTR, G_FRAME, {248, 272, 336}},
	{F_IF_LOCALS, G_FRAME, {256, 280, 344}},
	{F_IF_OWNER, G_FRAME, {264, 288, 352}},
	{F_IF_STACKPOINTER, G_FRAME, {0, 296, 360}},
	{F_IF_TLBC_INDEX, G_FRAME, {0, 304, 368}},
	{F_CO_ARGCOUNT, G_CODE, {320, 360, 424}},
	{F_CO_FIRSTLINENO, G_CODE, {312, 352, 416}},
	{F_CO_LOCALSPLUSNAMES, G_CODE, {328, 368, 432}},
	{F_CO_LOCALSPLUSKINDS, G_CODE, {336, 376, 440}},
	{F_CO_FILENAME, G_CODE, {280, 320, 384}},
	{F_CO_NAME, G_CODE, {288, 328, 392}},
	{F_CO_QUALNAME, G_CODE, {296, 336, 400}},
	{F_CO_LINETABLE, G_CODE, {304, 344, 408}},
	{F_CO_CODE, G_CODE, {344, 384, 448}},
	{F_CO_TLBC, G_CODE, {0, 392, 456}},
	{F_OB_TYPE, G_OBJECT, {360, 408, 472}},
	{F_TP_NAME, G_TYPE, {376, 424, 488}},
	{F_TP_FLAGS, G_TYPE, {392, 440, 504}},
	{F_TP_BASICSIZE, G_TYPE, {0, 0, 512}},
	{F_TP_DICTOFFSET, G_TYPE, {0, 0, 520}},
	{F_HT_CACHED_KEYS, G_HEAP_TYPE, {0, 0, 536}},
	{F_OB_SIZE, G_TUPLE, {416, 464, 560}},
	{F_TUPLE_ITEMS, G_TUPLE, {408, 456, 552}},
	{F_LIST_ITEMS, G_LIST, {432, 480, 576}},
	{F_SET_USED, G_SET, {0, 504, 600}},
	{F_SET_TABLE, G_SET, {0, 512, 608}},
	{F_SET_MASK, G_SET, {0, 520, 616}},
	{F_MA_KEYS, G_DICT, {456, 536, 632}},
	{F_MA_VALUES, G_DICT, {464, 544, 640}},
	{F_FLOAT_VALUE, G_FLOAT, {480, 560, 656}},
	{F_LONG_TAG, G_LONG, {496, 576, 672}},
	{F_LONG_DIGITS, G_LONG, {504, 584, 680}},
	{F_BYTES_DATA, G_BYTES, {528, 608, 704}},
	{F_STR_STATE, G_UNICODE, {544, 624, 720}},
	{F_STR_LENGTH, G_UNICODE, {552, 632, 728}},
	{F_STR_ASCII_SIZE, G_UNICODE, {560, 640, 736}},
	{F_STR_COMPACT_SIZE, G_UNICODE, {0, 0, 744}},
	{F_GI_NAME, G_GEN, {0, 672, 800}},
	{F_GI_IFRAME, G_GEN, {0, 680, 808}},
	{F_GI_STATE, G_GEN, {0, 688, 816}},
};
/* clang-format on */

/* _AsyncioDebug, the same in 3.14 and 3.15; the size of a structure stands before its fields. */
struct asyncio_field {
	uint16_t field;
	uint16_t size_at, at;
	uint32_t max;
};

#define ASYNCIO_BLOCK 104u

static const struct asyncio_field asyncio_fields[] = {
	{F_TASK_NAME, 0, 8, MAX_STRUCT},
	{F_TASK_AWAITED_BY, 0, 16, MAX_STRUCT},
	{F_TASK_AWAITED_BY_SET, 0, 32, MAX_STRUCT},
	{F_TASK_CORO, 0, 40, MAX_STRUCT},
	{F_TASK_NODE, 0, 48, MAX_STRUCT},
	{F_IS_TASKS_HEAD, 56, 64, MAX_BIG},
	{F_TS_RUNNING_LOOP, 72, 80, MAX_STRUCT},
	{F_TS_RUNNING_TASK, 72, 88, MAX_STRUCT},
	{F_TS_TASKS_HEAD, 72, 96, MAX_STRUCT},
};

static uint64_t word(const struct debug_block *b, const uint16_t at[MINORS])
{
	return b->words[at[b->column] / sizeof(uint64_t)];
}

/* Takes one offset over, when it is possible in a structure of that size. */
static bool take_offset(struct layout *layout, unsigned field, uint64_t offset, uint64_t size)
{
	struct layout_entry *e = &layout->field[field];
	uint64_t width = e->size ? e->size : 1;

	if (e->offset == LAYOUT_ABSENT)
		return true; /* a build of this kind does not have it, whatever stands there */
	if (offset >= size || size - offset < width || offset % width)
		return false;
	if (e->offset != offset)
		layout->changed++;
	e->offset = (uint32_t)offset;
	e->provider = LAYOUT_DEBUG;
	return true;
}

static bool take_field(struct layout *layout, const struct debug_block *b,
		       const struct debug_field *f)
{
	uint64_t size = word(b, groups[f->group].size_at);
	uint64_t interp = word(b, groups[G_INTERP].size_at);
	uint64_t offset = word(b, f->at), base;

	switch (f->group) {
	case G_GIL:
		base = word(b, gil_at);
		if (base >= size || offset < base)
			return false;
		return take_offset(layout, f->field, offset - base, size - base);
	case G_GC:
		base = word(b, gc_at);
		if (offset >= size || base >= interp)
			return false;
		return take_offset(layout, f->field, base + offset, interp);
	default:
		return take_offset(layout, f->field, offset, size);
	}
}

static bool sizes_possible(const struct debug_block *b)
{
	for (size_t i = 0; i < GROUP_COUNT; i++) {
		uint64_t size = word(b, groups[i].size_at);

		if (groups[i].size_at[b->column] && (!size || size > groups[i].max))
			return false;
	}
	return true;
}

static bool take_block(struct layout *layout, const struct debug_block *b)
{
	if (!sizes_possible(b))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].at[b->column] && !take_field(layout, b, &fields[i]))
			return false;
	return true;
}

bool layout_debug_head(struct reader *rd, uint64_t runtime, uint32_t *version, bool *free_threaded)
{
	uint64_t head[3];

	rd_bytes(rd, runtime, head, sizeof(head));
	if (rd_take(rd) || memcmp(head, COOKIE, sizeof(head[0])))
		return false;
	*version = (uint32_t)head[1];
	*free_threaded = head[2] != 0;
	return true;
}

/* Do the first words of the block belong to the layout that it is to correct? */
static bool head_fits(const uint64_t *words, const struct layout *layout, struct error *err)
{
	if (words[1] >> 16 != (0x300u | (unsigned)layout->minor))
		return error_set(err, ERR_CORRUPT,
				 "the debug offsets are of version 0x%llx, not of 3.%d",
				 (unsigned long long)words[1], layout->minor);
	if ((words[1] >> 4 & 0xf) < RELEASE_RC)
		return error_set(err, ERR_ABSENT, "the debug offsets are of a pre-release");
	if (words[2] != layout->free_threaded)
		return error_set(err, ERR_CORRUPT,
				 "the debug offsets are of another kind of build");
	return true;
}

bool layout_from_debug_offsets(struct reader *rd, uint64_t runtime, struct layout *layout,
			       struct error *err)
{
	uint64_t words[MAX_BLOCK / sizeof(uint64_t)] = {0};
	struct debug_block block = {words, layout->minor - FIRST_MINOR};
	struct layout copy = *layout;

	rd_bytes(rd, runtime, words, 3 * sizeof(words[0]));
	if (rd->failed)
		return rd_error(rd, err);
	if (memcmp(words, COOKIE, sizeof(words[0])))
		return error_set(err, ERR_ABSENT, "the runtime has no debug offsets");
	if (block.column < 0 || block.column >= MINORS)
		return error_set(err, ERR_ABSENT, "no debug offsets are known for 3.%d",
				 layout->minor);
	if (!head_fits(words, layout, err))
		return false;
	rd_bytes(rd, runtime, words, block_size[block.column]);
	if (rd->failed)
		return rd_error(rd, err);
	if (!take_block(&copy, &block))
		return error_set(err, ERR_CORRUPT, "the debug offsets are impossible");
	*layout = copy;
	return true;
}

static bool take_asyncio(struct layout *layout, const uint64_t *words)
{
	uint64_t task_size = words[0];

	for (size_t i = 0; i < ARRAY_SIZE(asyncio_fields); i++) {
		const struct asyncio_field *f = &asyncio_fields[i];
		uint64_t size = words[f->size_at / sizeof(uint64_t)];

		if (size > f->max ||
		    !take_offset(layout, f->field, words[f->at / sizeof(uint64_t)], size))
			return false;
	}
	return take_offset(layout, F_TASK_SIZE, task_size, task_size + 1);
}

bool layout_from_asyncio_debug(struct reader *rd, uint64_t addr, uint64_t size,
			       struct layout *layout, struct error *err)
{
	uint64_t words[ASYNCIO_BLOCK / sizeof(uint64_t)];
	struct layout copy = *layout;

	if (layout->minor < ASYNCIO_MINOR || layout->minor >= FIRST_MINOR + MINORS)
		return error_set(err, ERR_ABSENT, "no asyncio offsets are known for 3.%d",
				 layout->minor);
	if (size < sizeof(words))
		return error_set(err, ERR_CORRUPT, "the asyncio offsets are too short");
	rd_bytes(rd, addr, words, sizeof(words));
	if (rd->failed)
		return rd_error(rd, err);
	if (!take_asyncio(&copy, words))
		return error_set(err, ERR_CORRUPT, "the asyncio offsets are impossible");
	*layout = copy;
	return true;
}
