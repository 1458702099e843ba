/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_layout.c - forged debug offsets
 *
 * The first byte chooses version and kind, the rest overwrites a block whose head fits.
 * Whatever it says, an offset that is taken must be small enough to be added to an
 * address, and a refused block must leave the layout as it was.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stallscope/layout.h"

#define MAX_OFFSET (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const struct layout *before, const struct layout *after)
{
	if (!ok && memcmp(before, after, sizeof(*before)))
		abort();
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		const struct layout_entry *e = &after->field[f];

		if (e->provider == LAYOUT_DEBUG && e->offset > MAX_OFFSET)
			abort();
		if ((e->offset == LAYOUT_ABSENT) != (before->field[f].offset == LAYOUT_ABSENT))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct source *src;
	static uint64_t words[256];
	struct layout layout, before;
	struct reader rd;
	unsigned kind = size > 0 ? data[0] : 0;
	int minor = 12 + (int)(kind & 3);
	uint64_t at = (uint64_t)(uintptr_t)words;

	if (!src && !source_open_live(getpid(), &src, NULL))
		abort();
	source_forget(src);
	rd = READER(src);
	if (!layout_from_table(minor, (kind & 4) && minor > 12, EM_X86_64, &layout, NULL))
		abort();
	memset(words, 0, sizeof(words));
	memcpy(words, "xdebugpy", sizeof(words[0]));
	words[1] = 0x30000f0u | (uint64_t)minor << 16;
	words[2] = layout.free_threaded;
	if (size > 1)
		memcpy(words + (kind & 8 ? 0 : 3), data + 1, size - 1 < 1024 ? size - 1 : 1024);
	before = layout;
	check(layout_from_debug_offsets(&rd, at, &layout, NULL), &before, &layout);
	before = layout;
	check(layout_from_asyncio_debug(&rd, at + 24, size, &layout, NULL), &before, &layout);
	return 0;
}
