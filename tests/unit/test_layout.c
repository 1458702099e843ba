/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "layout_blocks.h"
#include "stallscope/arena.h"
#include "stallscope/layout.h"

#define FIRST 8
#define LAST  15
#define COUNT (LAST - FIRST + 1)
#define NONE  LAYOUT_ABSENT
#define ALL(n)                         \
	{                              \
		n, n, n, n, n, n, n, n \
	}

/* Numbers that were read from these versions with gdb, not by this program. */
struct known {
	enum layout_field field;
	uint32_t offset[COUNT]; /* 3.8 to 3.15 */
};

/* clang-format off */
static const struct known known[] = {
	{F_RT_INTERP_HEAD, {32, 32, 32, 40, 40, 632, 808, 936}},
	{F_RT_GIL, {1152, 352, 352, 360, NONE, NONE, NONE, NONE}},
	{F_RT_GC_COLLECTING, {544, NONE, NONE, NONE, NONE, NONE, NONE, NONE}},
	{F_IS_NEXT, {0, 0, 0, 0, 0, 7264, 7272, 7264}},
	{F_IS_ID, {16, 24, 24, 48, 8, 7272, 7280, 7272}},
	{F_IS_THREADS, {8, 8, 8, 16, 72, 7344, 7344, 7336}},
	{F_IS_MODULES, {56, 856, 856, 888, 944, 7656, 7688, 7592}},
	{F_IS_SYSDICT, {72, 872, 872, 904, 352, 7640, 7672, 7576}},
	{F_IS_GIL, {NONE, NONE, NONE, NONE, 384, 16, 16, 16}},
	{F_IS_GC_COLLECTING, {NONE, 816, 816, 848, 312, 7600, 7600, 7512}},
	{F_IS_TASKS_HEAD, {NONE, NONE, NONE, NONE, NONE, NONE, 10880, 10856}},
	{F_GIL_LAST_HOLDER, ALL(8)},
	{F_GIL_LOCKED, ALL(16)},
	{F_TS_NEXT, ALL(8)},
	{F_TS_INTERP, ALL(16)},
	{F_TS_FRAME, {24, 24, 24, NONE, NONE, NONE, NONE, NONE}},
	{F_TS_CFRAME, {NONE, NONE, 48, 56, 56, NONE, NONE, NONE}},
	{F_TS_CURRENT_FRAME, {NONE, NONE, NONE, NONE, NONE, 72, 72, 72}},
	{F_TS_THREAD_ID, {176, 176, 176, 152, 136, 152, 152, 176}},
	{F_TS_NATIVE_ID, {NONE, NONE, NONE, 160, 144, 160, 160, 184}},
	{F_TS_DICT, {152, 152, 152, 128, 112, 128, 128, 152}},
	{F_TS_HOLDS_GIL, {NONE, NONE, NONE, NONE, NONE, NONE, 36, 36}},
	{F_TS_GIL_REQUESTED, {NONE, NONE, NONE, NONE, NONE, NONE, NONE, 40}},
	{F_TS_RUNNING_LOOP, {NONE, NONE, NONE, NONE, NONE, 304, 864, 1024}},
	{F_TS_RUNNING_TASK, {NONE, NONE, NONE, NONE, NONE, NONE, 872, 1032}},
	{F_TS_TASKS_HEAD, {NONE, NONE, NONE, NONE, NONE, NONE, 880, 1048}},
	{F_CFRAME_CURRENT, {NONE, NONE, NONE, 8, 0, NONE, NONE, NONE}},
	{F_FO_CODE, {32, 32, 32, NONE, NONE, NONE, NONE, NONE}},
	{F_FO_STACKTOP, {72, 72, NONE, NONE, NONE, NONE, NONE, NONE}},
	{F_FO_STACKDEPTH, {NONE, NONE, 80, NONE, NONE, NONE, NONE, NONE}},
	{F_FO_GEN, {96, 96, 88, NONE, NONE, NONE, NONE, NONE}},
	{F_FO_LASTI, {104, 104, 96, NONE, NONE, NONE, NONE, NONE}},
	{F_FO_LOCALS, {360, 360, 352, NONE, NONE, NONE, NONE, NONE}},
	{F_IF_CODE, {NONE, NONE, NONE, 32, 0, 0, 0, 0}},
	{F_IF_PREVIOUS, {NONE, NONE, NONE, 48, 8, 8, 8, 8}},
	{F_IF_INSTR, {NONE, NONE, NONE, 56, 56, 56, 56, 56}},
	{F_IF_STACKTOP, {NONE, NONE, NONE, 64, 64, 64, NONE, NONE}},
	{F_IF_STACKPOINTER, {NONE, NONE, NONE, NONE, NONE, NONE, 64, 64}},
	{F_IF_OWNER, {NONE, NONE, NONE, 69, 70, 70, 74, 74}},
	{F_IF_LOCALS, {NONE, NONE, NONE, 72, 72, 72, 80, 80}},
	{F_CO_FLAGS, {36, 36, 36, 48, 48, 48, 48, 48}},
	{F_CO_FIRSTLINENO, {40, 40, 40, 72, 68, 68, 68, 68}},
	{F_CO_CODE, {48, 48, 48, 184, 192, 200, 208, 208}},
	{F_CO_FILENAME, {104, 104, 104, 112, 112, 112, 112, 112}},
	{F_CO_QUALNAME, {NONE, NONE, NONE, 128, 128, 128, 128, 128}},
	{F_CO_LINETABLE, {120, 120, 120, 136, 136, 136, 136, 136}},
	{F_GI_IFRAME, {NONE, NONE, NONE, 80, 72, 72, 72, 72}},
	{F_GI_QUALNAME, {56, 56, 48, 40, 32, 32, 32, 32}},
	{F_GI_STATE, {NONE, NONE, NONE, 75, 67, 67, 67, 67}},
	{F_TASK_SIZE, {144, 184, 192, 176, 176, 144, 168, 168}},
	{F_TASK_STATE, {72, 80, 88, 88, 88, 96, 104, 104}},
	{F_TASK_MUST_CANCEL, {136, 176, 184, 160, 160, 100, 110, 110}},
	{F_TASK_FUT_WAITER, {104, 144, 152, 128, 128, 112, 120, 120}},
	{F_TASK_CORO, {112, 152, 160, 136, 136, 120, 128, 128}},
	{F_TASK_NAME, {120, 160, 168, 144, 144, 128, 136, 136}},
	{F_TASK_NODE, {NONE, NONE, NONE, NONE, NONE, NONE, 152, 152}},
	{F_MA_KEYS, ALL(32)},
	{F_DK_SIZE, {8, 8, 8, NONE, NONE, NONE, NONE, NONE}},
	{F_DK_KIND, {NONE, NONE, NONE, 10, 10, 10, 10, 10}},
	{F_DK_NENTRIES, {32, 32, 32, 24, 24, 24, 24, 24}},
	{F_DV_VALUES, {NONE, NONE, NONE, 0, 0, 8, 8, 8}},
	{F_TP_FLAGS, ALL(168)},
	{F_TP_MRO, ALL(344)},
	{F_HT_CACHED_KEYS, {872, 864, 872, 872, 880, 880, 880, 888}},
	{F_HT_MODULE, {NONE, 872, 880, 880, 888, 888, 888, 896}},
	{F_TUPLE_ITEMS, {24, 24, 24, 24, 24, 24, 32, 32}},
	{F_STR_ASCII_SIZE, {48, 48, 48, 48, 40, 40, 40, 40}},
	{F_STR_COMPACT_SIZE, {72, 72, 72, 72, 56, 56, 56, 56}},
	{F_FUNC_CODE, {16, 16, 48, 48, 48, 48, 48, 48}},
	{F_FUNC_QUALNAME, {104, 104, 40, 40, 40, 40, 40, 40}},
	{F_SQUEUE_POS, {40, 40, 40, 40, 40, NONE, NONE, NONE}},
	{F_SQUEUE_ITEMS, {NONE, NONE, NONE, NONE, NONE, 56, 56, 56}},
};
/* clang-format on */

struct fixture {
	struct source *src;
	struct reader rd;
	uint64_t *words; /* a page of our own memory, what follows it cannot be read */
	struct layout layout;
	struct error err;
};

static int open_fixture(void **state)
{
	struct fixture *f = mem_zalloc(1, sizeof(*f));
	char *pages = mmap(NULL, 2 * SOURCE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*state = f;
	if (pages == MAP_FAILED || munmap(pages + SOURCE_PAGE, SOURCE_PAGE))
		return -1;
	f->words = (uint64_t *)pages;
	if (!source_open_live(getpid(), &f->src, &f->err))
		return -1;
	f->rd = READER(f->src);
	return 0;
}

static int close_fixture(void **state)
{
	struct fixture *f = *state;

	source_close(f->src);
	munmap(f->words, SOURCE_PAGE);
	free(f);
	return 0;
}

static struct layout table(int minor, bool free_threaded, uint16_t machine)
{
	struct layout layout;
	struct error err;

	if (!layout_from_table(minor, free_threaded, machine, &layout, &err))
		fail_msg("3.%d: %s", minor, err.text);
	return layout;
}

static void test_known_numbers(void **state)
{
	(void)state;
	for (int minor = FIRST; minor <= LAST; minor++) {
		struct layout layout = table(minor, false, EM_X86_64);

		assert_int_equal(layout.minor, minor);
		for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
			uint32_t want = known[i].offset[minor - FIRST];
			uint32_t have = layout.field[known[i].field].offset;

			if (have != want)
				fail_msg("3.%d %s: %d instead of %d", minor,
					 layout_field_name(known[i].field), (int)have, (int)want);
		}
	}
}

static void test_sizes_and_bits(void **state)
{
	struct layout old = table(12, false, EM_X86_64), new = table(13, false, EM_X86_64);

	(void)state;
	assert_int_equal(old.field[F_TASK_MUST_CANCEL].size, 4);
	assert_int_equal(old.field[F_TASK_MUST_CANCEL].bit, LAYOUT_NO_BIT);
	assert_int_equal(new.field[F_TASK_MUST_CANCEL].size, 1);
	assert_int_equal(new.field[F_TASK_MUST_CANCEL].bit, 2);
	assert_int_equal(new.field[F_TS_NEXT].size, 8);
	assert_int_equal(new.field[F_IF_OWNER].size, 1);
	assert_int_equal(new.field[F_GIL_LOCKED].size, 4);
	assert_int_equal(new.field[F_IF_LOCALS].size, 0);
	assert_int_equal(new.field[F_TS_NEXT].provider, LAYOUT_TABLE);
	assert_int_equal(new.field[F_TS_FRAME].provider, LAYOUT_NONE);
}

static void test_free_threaded(void **state)
{
	/* clang-format off */
	static const struct {
		enum layout_field field;
		uint32_t offset[3]; /* 3.13 to 3.15 */
	} want[] = {
		{F_OB_REFCNT, {NONE, NONE, NONE}},
		{F_OB_TYPE, {24, 24, 24}},
		{F_OB_SIZE, {32, 32, 32}},
		{F_IS_NEXT, {7264, 7272, 7264}},
		{F_IS_MODULES, {7664, 7712, 7592}},
		{F_IS_TASKS_HEAD, {NONE, 17632, 17568}},
		{F_GIL_LOCKED, {24, 24, 24}},
		{F_TS_CURRENT_FRAME, {72, 72, 72}},
		{F_TS_TASKS_HEAD, {NONE, 880, 1048}},
		{F_IF_PREVIOUS, {8, 8, 8}},
		{F_IF_OWNER, {70, 78, 78}},
		{F_IF_TLBC_INDEX, {NONE, 72, 72}},
		{F_IF_LOCALS, {72, 80, 80}},
		{F_CO_FILENAME, {128, 128, 128}},
		{F_CO_CODE, {216, 232, 232}},
		{F_CO_TLBC, {NONE, 224, 224}},
		{F_GI_IFRAME, {88, 88, 88}},
		{F_MA_KEYS, {48, 48, 48}},
		{F_DK_NENTRIES, {24, 24, 24}},
		{F_DV_VALUES, {8, 8, 8}},
		{F_STR_STATE, {48, 48, 48}},
		{F_STR_ASCII_SIZE, {56, 56, 56}},
		{F_TASK_CORO, {136, 144, 144}},
	};
	/* clang-format on */

	(void)state;
	for (int minor = 13; minor <= LAST; minor++) {
		struct layout layout = table(minor, true, EM_X86_64);

		assert_true(layout.free_threaded);
		for (size_t i = 0; i < ARRAY_SIZE(want); i++)
			if (layout.field[want[i].field].offset != want[i].offset[minor - 13])
				fail_msg("3.%dt %s: %u", minor, layout_field_name(want[i].field),
					 layout.field[want[i].field].offset);
	}
}

static void test_aarch64(void **state)
{
	(void)state;
	for (int minor = FIRST; minor <= LAST; minor++) {
		struct layout x86 = table(minor, false, EM_X86_64);
		struct layout arm = table(minor, false, EM_AARCH64);

		for (unsigned f = 0; f < FIELD_COUNT; f++)
			if (f != F_IS_TASKS_HEAD)
				assert_int_equal(arm.field[f].offset, x86.field[f].offset);
	}
	assert_int_equal(table(14, false, EM_AARCH64).field[F_IS_TASKS_HEAD].offset, 10896);
	assert_int_equal(table(15, true, EM_AARCH64).field[F_IS_TASKS_HEAD].offset, 17632);
}

static void test_unsupported(void **state)
{
	struct layout layout = {.minor = 77};
	struct error err = {0};

	(void)state;
	assert_false(layout_from_table(FIRST - 1, false, EM_X86_64, &layout, &err));
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_false(layout_from_table(LAST + 1, false, EM_X86_64, &layout, &err));
	assert_false(layout_from_table(-1, false, EM_X86_64, &layout, NULL));
	assert_false(layout_from_table(256 + FIRST, false, EM_X86_64, &layout, NULL));
	assert_false(layout_from_table(12, true, EM_X86_64, &layout, &err));
	assert_false(layout_from_table(12, false, EM_386, &layout, &err));
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(layout.minor, 77);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(layout_field_name(F_TS_NEXT), "TS_NEXT");
	assert_string_equal(layout_field_name(F_SQUEUE_ITEMS), "SQUEUE_ITEMS");
	assert_string_equal(layout_field_name(FIELD_COUNT), "?");
	assert_string_equal(layout_provider_name(LAYOUT_TABLE), "table");
	assert_string_equal(layout_provider_name(LAYOUT_DWARF), "dwarf");
	assert_string_equal(layout_provider_name(LAYOUT_DEBUG), "debug-offsets");
	assert_string_equal(layout_provider_name((enum layout_provider)9), "?");
}

static void test_dump(void **state)
{
	struct layout layout = table(13, false, EM_X86_64);
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	layout_dump(&layout, out);
	fclose(out);
	assert_non_null(strstr(text, "/* CPython 3.13 */\nF(13, RT_INTERP_HEAD, 632, 8)\n"));
	assert_non_null(strstr(text, "\nBIT(13, TASK_MUST_CANCEL, 100, 2)\n"));
	assert_null(strstr(text, "TS_FRAME"));
	free(text);
}

/* A block at the very end of what can be read. */
static uint64_t place(struct fixture *f, const uint64_t *block, size_t size)
{
	uint64_t *at = f->words + (SOURCE_PAGE - size) / sizeof(uint64_t);

	source_forget(f->src);
	memcpy(at, block, size);
	return (uint64_t)(uintptr_t)at;
}

static void expect_equal_to_table(struct fixture *f, int minor, bool free_threaded,
				  const uint64_t *block, size_t size, unsigned taken)
{
	struct layout layout = table(minor, free_threaded, EM_X86_64), copy = layout;
	unsigned n = 0;

	if (!layout_from_debug_offsets(&f->rd, place(f, block, size), &layout, &f->err))
		fail_msg("3.%d: %s", minor, f->err.text);
	assert_int_equal(layout.changed, 0);
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		assert_int_equal(layout.field[i].offset, copy.field[i].offset);
		n += layout.field[i].provider == LAYOUT_DEBUG;
	}
	assert_int_equal(n, taken);
}

static void test_real_debug_offsets(void **state)
{
	struct fixture *f = *state;

	expect_equal_to_table(f, 13, false, block_13, sizeof(block_13), 44);
	expect_equal_to_table(f, 14, false, block_14, sizeof(block_14), 52);
	expect_equal_to_table(f, 15, false, block_15, sizeof(block_15), 58);
	expect_equal_to_table(f, 13, true, block_13_free, sizeof(block_13_free), 44);
	expect_equal_to_table(f, 14, true, block_14_free, sizeof(block_14_free), 54);
	expect_equal_to_table(f, 15, true, block_15_free, sizeof(block_15_free), 60);
}

static void test_real_asyncio_debug(void **state)
{
	struct fixture *f = *state;
	struct layout layout = table(14, false, EM_X86_64);
	uint64_t at = place(f, asyncio_14, sizeof(asyncio_14));

	assert_true(layout_from_asyncio_debug(&f->rd, at, sizeof(asyncio_14), &layout, &f->err));
	assert_int_equal(layout.changed, 0);
	assert_int_equal(layout.field[F_TASK_SIZE].provider, LAYOUT_DEBUG);
	assert_int_equal(layout.field[F_TS_TASKS_HEAD].provider, LAYOUT_DEBUG);
	assert_int_equal(layout.field[F_TASK_FUT_WAITER].provider, LAYOUT_TABLE);

	layout = table(15, false, EM_X86_64);
	at = place(f, asyncio_15, sizeof(asyncio_15));
	assert_true(layout_from_asyncio_debug(&f->rd, at, sizeof(asyncio_15), &layout, &f->err));
	assert_int_equal(layout.changed, 0);
}

static void test_moved_fields(void **state)
{
	struct fixture *f = *state;
	struct layout layout = table(14, false, EM_X86_64);
	uint64_t block[ARRAY_SIZE(block_14)], tasks[ARRAY_SIZE(asyncio_14)];

	memcpy(block, block_14, sizeof(block));
	block[64 / 8] += 16;  /* interpreter next */
	block[152 / 8] += 24; /* holder of the GIL */
	block[656 / 8] += 8;  /* gc.collecting */
	assert_true(layout_from_debug_offsets(&f->rd, place(f, block, sizeof(block)), &layout,
					      &f->err));
	assert_int_equal(layout.changed, 3);
	assert_int_equal(layout.field[F_IS_NEXT].offset, 7272 + 16);
	assert_int_equal(layout.field[F_GIL_LAST_HOLDER].offset, 8 + 24);
	assert_int_equal(layout.field[F_IS_GC_COLLECTING].offset, 7600 + 8);

	memcpy(tasks, asyncio_14, sizeof(tasks));
	tasks[0] += 8;
	tasks[5] -= 8;
	assert_true(layout_from_asyncio_debug(&f->rd, place(f, tasks, sizeof(tasks)), sizeof(tasks),
					      &layout, &f->err));
	assert_int_equal(layout.changed, 5);
	assert_int_equal(layout.field[F_TASK_SIZE].offset, 176);
	assert_int_equal(layout.field[F_TASK_CORO].offset, 120);
}

struct forgery {
	uint16_t at;
	uint64_t value;
	enum error_code code;
};

static void test_forged_debug_offsets(void **state)
{
	static const struct forgery forged[] = {
		{0, 0, ERR_ABSENT},		/* no cookie */
		{8, 0x30d00f0, ERR_CORRUPT},	/* another minor version */
		{8, 0x40e00f0, ERR_CORRUPT},	/* another major version */
		{8, 0xff030e00f0, ERR_CORRUPT}, /* more than a version */
		{8, 0x30e00b2, ERR_ABSENT},	/* a beta */
		{16, 1, ERR_CORRUPT},		/* free-threaded */
		{16, 2, ERR_CORRUPT},
		{24, 0, ERR_CORRUPT}, /* structures without size */
		{496, 0, ERR_CORRUPT},
		{24, (1 << 20) + 1, ERR_CORRUPT}, /* huge ones */
		{48, (1 << 20) + 1, ERR_CORRUPT},
		{176, (64 << 10) + 1, ERR_CORRUPT},
		{176, UINT64_MAX, ERR_CORRUPT},
		{64, 225864, ERR_CORRUPT}, /* fields outside */
		{64, 225864 - 4, ERR_CORRUPT},
		{72, UINT64_MAX, ERR_CORRUPT},
		{72, UINT64_MAX - 7, ERR_CORRUPT},
		{208, 1u << 31, ERR_CORRUPT},
		{280, 1ull << 32, ERR_CORRUPT}, /* an aggregate */
		{72, 7345, ERR_CORRUPT},	/* misaligned */
		{352, 70, ERR_CORRUPT},
		{152, 7784 - 8, ERR_CORRUPT},	     /* in front of the GIL */
		{128, 225864, ERR_CORRUPT},	     /* the GIL outside */
		{88, UINT64_MAX - 100, ERR_CORRUPT}, /* gc outside, sum in range again */
		{656, 225864, ERR_CORRUPT},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		struct layout layout = table(14, false, EM_X86_64), copy = layout;
		uint64_t block[ARRAY_SIZE(block_14)];

		memcpy(block, block_14, sizeof(block));
		block[forged[i].at / 8] = forged[i].value;
		if (layout_from_debug_offsets(&f->rd, place(f, block, sizeof(block)), &layout,
					      &f->err))
			fail_msg("forgery %zu was taken", i);
		assert_int_equal(f->err.code, forged[i].code);
		assert_memory_equal(&layout, &copy, sizeof(copy));
	}
}

static void test_forged_asyncio_debug(void **state)
{
	static const struct forgery forged[] = {
		{0, 0, ERR_CORRUPT},	       {0, 1 << 20, ERR_CORRUPT},
		{8, 168, ERR_CORRUPT},	       {40, 164, ERR_CORRUPT},
		{40, 129, ERR_CORRUPT},	       {56, (1 << 20) + 8, ERR_CORRUPT},
		{64, 225864, ERR_CORRUPT},     {72, UINT64_MAX, ERR_CORRUPT},
		{96, UINT64_MAX, ERR_CORRUPT},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		struct layout layout = table(14, false, EM_X86_64), copy = layout;
		uint64_t block[ARRAY_SIZE(asyncio_14)];

		memcpy(block, asyncio_14, sizeof(block));
		block[forged[i].at / 8] = forged[i].value;
		if (layout_from_asyncio_debug(&f->rd, place(f, block, sizeof(block)), sizeof(block),
					      &layout, &f->err))
			fail_msg("forgery %zu was taken", i);
		assert_int_equal(f->err.code, forged[i].code);
		assert_memory_equal(&layout, &copy, sizeof(copy));
	}
}

static void test_cut_blocks(void **state)
{
	struct fixture *f = *state;
	struct layout layout = table(14, false, EM_X86_64), copy = layout;

	for (size_t size = 0; size < sizeof(block_14); size += 8) {
		uint64_t at = place(f, block_14, size);

		assert_false(layout_from_debug_offsets(&f->rd, at, &layout, &f->err));
		assert_int_equal(f->err.code, ERR_FAULT);
		assert_false(f->rd.failed);
	}
	for (size_t size = 0; size < sizeof(asyncio_14); size += 8) {
		uint64_t at = place(f, asyncio_14, size);

		assert_false(layout_from_asyncio_debug(&f->rd, at, size, &layout, &f->err));
		assert_int_equal(f->err.code, ERR_CORRUPT);
		assert_false(layout_from_asyncio_debug(&f->rd, at, 104, &layout, &f->err));
		assert_int_equal(f->err.code, ERR_FAULT);
	}
	assert_memory_equal(&layout, &copy, sizeof(copy));
}

static void test_blocks_of_other_versions(void **state)
{
	struct fixture *f = *state;
	struct layout layout = table(12, false, EM_X86_64);
	uint64_t block[ARRAY_SIZE(block_14)], at;

	memcpy(block, block_14, sizeof(block));
	block[1] = 0x30c00f0;
	at = place(f, block, sizeof(block));
	assert_false(layout_from_debug_offsets(&f->rd, at, &layout, &f->err));
	assert_int_equal(f->err.code, ERR_ABSENT);
	assert_false(layout_from_asyncio_debug(&f->rd, at, 104, &layout, &f->err));
	assert_int_equal(f->err.code, ERR_ABSENT);
}

static void test_head(void **state)
{
	struct fixture *f = *state;
	uint32_t version = 7;
	bool free_threaded = true;

	assert_true(layout_debug_head(&f->rd, place(f, block_15, sizeof(block_15)), &version,
				      &free_threaded));
	assert_int_equal(version, 0x30f00f0);
	assert_false(free_threaded);
	assert_true(layout_debug_head(&f->rd, place(f, block_13_free, sizeof(block_13_free)),
				      &version, &free_threaded));
	assert_true(free_threaded);

	version = 7;
	assert_false(layout_debug_head(&f->rd, place(f, asyncio_14, sizeof(asyncio_14)), &version,
				       &free_threaded));
	assert_false(layout_debug_head(&f->rd, place(f, block_15, 16), &version, &free_threaded));
	assert_false(layout_debug_head(&f->rd, 0, &version, &free_threaded));
	assert_false(f->rd.failed);
	assert_int_equal(version, 7);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_numbers),
		cmocka_unit_test(test_sizes_and_bits),
		cmocka_unit_test(test_free_threaded),
		cmocka_unit_test(test_aarch64),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_real_debug_offsets),
		cmocka_unit_test(test_real_asyncio_debug),
		cmocka_unit_test(test_moved_fields),
		cmocka_unit_test(test_forged_debug_offsets),
		cmocka_unit_test(test_forged_asyncio_debug),
		cmocka_unit_test(test_cut_blocks),
		cmocka_unit_test(test_blocks_of_other_versions),
		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
