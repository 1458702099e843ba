/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"

#define BAD_PAGE  (ADDRMAP_NONE - 1) /* in the index: known to be unreadable */
#define MAX_PAGES (SOURCE_MAX_CACHE / SOURCE_PAGE)
#define ALL	  0xf

void pages_deinit(struct pages *pages)
{
	for (size_t i = 0; i < pages->n_blocks; i++)
		free(pages->blocks[i]);
	free(pages->blocks);
	free(pages->slots);
	addrmap_deinit(&pages->index);
}

void pages_forget(struct pages *pages)
{
	addrmap_clear(&pages->index);
	pages->n_slots = 0;
	pages->have_last = false;
}

bool pages_has(const struct pages *pages, uint64_t page)
{
	return addrmap_get(&pages->index, page) != ADDRMAP_NONE;
}

bool pages_has_data(const struct pages *pages, uint64_t page)
{
	uint32_t slot = addrmap_get(&pages->index, page);

	return slot != ADDRMAP_NONE && slot != BAD_PAGE;
}

static char *slot_data(const struct pages *pages, uint32_t slot)
{
	return pages->blocks[slot / PAGES_EXTENT] + (size_t)(slot % PAGES_EXTENT) * SOURCE_PAGE;
}

/* n slots that lie in one block, n <= PAGES_EXTENT; the rest of a block may stay unused. */
static bool take_slots(struct pages *pages, uint32_t n, uint32_t *first)
{
	uint32_t left = PAGES_EXTENT - pages->n_slots % PAGES_EXTENT;
	uint32_t start = n > left ? pages->n_slots + left : pages->n_slots;

	if (start + n > MAX_PAGES)
		return false;
	while (start + n > pages->n_blocks * PAGES_EXTENT)
		*array_push(&pages->blocks, &pages->n_blocks, &pages->blocks_cap) =
			mem_alloc((size_t)PAGES_EXTENT * SOURCE_PAGE);
	if (pages->slots_cap < start + n) {
		pages->slots_cap = pages->n_blocks * PAGES_EXTENT;
		pages->slots = mem_realloc(pages->slots, pages->slots_cap, sizeof(*pages->slots));
	}
	memset(&pages->slots[pages->n_slots], 0,
	       (start + n - pages->n_slots) * sizeof(*pages->slots));
	*first = start;
	pages->n_slots = start + n;
	return true;
}

static ssize_t fetch(struct pages *pages, uint64_t addr, void *buf, size_t len)
{
	struct backend *b = pages->backend;
	ssize_t n = b->ops->read(b->self, addr, buf, len);

	b->stats.system_calls++;
	if (n > 0)
		b->stats.bytes_read += (uint64_t)n;
	return n;
}

/* A live page is there whole or not at all; a recorded one may be there in parts. */
static uint8_t fetch_page(struct pages *pages, uint64_t page, char *data)
{
	uint8_t valid = 0;

	if (fetch(pages, page * SOURCE_PAGE, data, SOURCE_PAGE) == SOURCE_PAGE)
		return ALL;
	for (unsigned i = 0; i < 4 && pages->backend->ops->recorded; i++)
		if (fetch(pages, page * SOURCE_PAGE + i * QUARTER, data + i * QUARTER, QUARTER) ==
		    QUARTER)
			valid |= (uint8_t)(1u << i);
	return valid;
}

static void remember(struct pages *pages, uint64_t page, uint32_t slot, uint8_t valid)
{
	pages->slots[slot].page = page;
	pages->slots[slot].valid = valid;
	addrmap_put(&pages->index, page, slot);
}

/* The slot of a page, read when it is not there yet; BAD_PAGE when it cannot be read. */
static uint32_t find_slot(struct pages *pages, uint64_t page)
{
	uint32_t slot = addrmap_get(&pages->index, page);
	uint8_t valid;

	if (slot != ADDRMAP_NONE)
		return slot;
	if (!take_slots(pages, 1, &slot))
		return BAD_PAGE;
	valid = fetch_page(pages, page, slot_data(pages, slot));
	if (!valid) {
		pages->n_slots--;
		pages->backend->stats.faults++;
		addrmap_put(&pages->index, page, BAD_PAGE);
		return BAD_PAGE;
	}
	remember(pages, page, slot, valid);
	return slot;
}

static uint8_t quarters(size_t offset, size_t len)
{
	unsigned first = (unsigned)(offset / QUARTER),
		 last = (unsigned)((offset + len - 1) / QUARTER);

	return (uint8_t)((2u << last) - (1u << first));
}

bool pages_copy(struct pages *pages, uint64_t page, size_t offset, void *buf, size_t len)
{
	uint8_t wanted = quarters(offset, len);
	uint32_t slot = pages->last;

	if (!pages->have_last || pages->slots[slot].page != page) {
		slot = find_slot(pages, page);
		if (slot == BAD_PAGE)
			return false;
		pages->last = slot;
		pages->have_last = true;
	}
	if (wanted & ~pages->slots[slot].valid)
		return false;
	pages->slots[slot].touched |= wanted;
	memcpy(buf, slot_data(pages, slot) + offset, len);
	return true;
}

void pages_reread(struct pages *pages, uint64_t page)
{
	uint32_t slot = addrmap_get(&pages->index, page);

	if (slot == ADDRMAP_NONE || slot == BAD_PAGE)
		return;
	pages->slots[slot].valid = fetch_page(pages, page, slot_data(pages, slot));
}

void pages_read_extent(struct pages *pages, uint64_t first, uint32_t n)
{
	uint32_t slot, got;
	ssize_t bytes;

	if (!take_slots(pages, n, &slot))
		return;
	bytes = fetch(pages, first * SOURCE_PAGE, slot_data(pages, slot), (size_t)n * SOURCE_PAGE);
	got = bytes > 0 ? (uint32_t)((size_t)bytes / SOURCE_PAGE) : 0;
	pages->n_slots = slot + got;
	for (uint32_t i = 0; i < got; i++)
		if (!pages_has(pages, first + i)) /* an older copy of this look counts */
			remember(pages, first + i, slot + i, ALL);
}

void pages_list(const struct pages *pages, const struct pages *newer, struct quarter *out,
		size_t *n)
{
	for (uint32_t i = 0; i < pages->n_slots; i++) {
		const struct page_slot *slot = &pages->slots[i];

		if (addrmap_get(&pages->index, slot->page) != i ||
		    (newer && pages_has_data(newer, slot->page)))
			continue;
		for (unsigned q = 0; q < 4; q++)
			if (slot->touched & slot->valid & 1u << q)
				out[(*n)++] =
					(struct quarter){slot->page * SOURCE_PAGE + q * QUARTER,
							 slot_data(pages, i) + q * QUARTER};
	}
}
