/* SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "stallscope/arena.h"

#define GAP_PAGES 4u /* read along rather than ask twice: a call costs as much */
#define MAX_PAGES (SOURCE_MAX_CACHE / SOURCE_PAGE)
#define ALL	  0xf

/* In the index instead of a slot: why there is none. From NO_SLOT on nothing is a slot. */
#define FAULT_SLOT (ADDRMAP_NONE - 1)
#define GONE_SLOT  (ADDRMAP_NONE - 2)
#define FULL_SLOT  (ADDRMAP_NONE - 3)
#define NO_SLOT	   FULL_SLOT

static void forget_hits(struct pages *pages)
{
	for (unsigned i = 0; i < PAGES_HITS; i++)
		pages->hits[i].page = NO_PAGE;
}

void pages_init(struct pages *pages, struct backend *backend)
{
	*pages = (struct pages){.backend = backend};
	forget_hits(pages);
}

void pages_deinit(struct pages *pages)
{
	if (pages->data)
		munmap(pages->data, (size_t)pages->n_reserved * SOURCE_PAGE);
	free(pages->slots);
	addrmap_deinit(&pages->index);
}

void pages_forget(struct pages *pages)
{
	addrmap_clear(&pages->index);
	forget_hits(pages);
	pages->n_slots = pages->n_pages = pages->n_picture = 0;
}

bool pages_has(const struct pages *pages, uint64_t page)
{
	return addrmap_get(&pages->index, page) != ADDRMAP_NONE;
}

bool pages_has_data(const struct pages *pages, uint64_t page)
{
	return addrmap_get(&pages->index, page) < NO_SLOT;
}

/* ---- slots --------------------------------------------------------------------------------- */

static char *slot_data(const struct pages *pages, uint32_t slot)
{
	return pages->data + (size_t)slot * SOURCE_PAGE;
}

/* Address space for all that a look may hold; memory only comes with use. */
static bool reserve(struct pages *pages)
{
	for (uint32_t n = MAX_PAGES; n >= PAGES_EXTENT; n /= 2) {
		void *data = mmap(NULL, (size_t)n * SOURCE_PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (data == MAP_FAILED)
			continue; /* a limit of address space, or no overcommit */
		pages->data = data;
		pages->n_reserved = n;
		return true;
	}
	return false;
}

/* Up to *n slots that follow each other, the next to be used; *n becomes how many. */
static bool next_slots(struct pages *pages, uint32_t *slot, uint32_t *n)
{
	if (!pages->data && !reserve(pages))
		return false;
	if (pages->n_slots >= pages->n_reserved)
		return false;
	if (*n > pages->n_reserved - pages->n_slots)
		*n = pages->n_reserved - pages->n_slots;
	if (pages->slots_cap < pages->n_slots + *n) {
		pages->slots_cap = 2 * ((size_t)pages->n_slots + *n + PAGES_EXTENT);
		pages->slots = mem_realloc(pages->slots, pages->slots_cap, sizeof(*pages->slots));
	}
	*slot = pages->n_slots;
	return true;
}

/* The next slot holds this page. What is known of it already stays true in this look. */
static void keep_page(struct pages *pages, uint64_t page, uint8_t valid)
{
	uint32_t slot = pages->n_slots++;
	bool known = pages_has(pages, page);

	pages->slots[slot] = (struct page_slot){known ? NO_PAGE : page, valid, 0};
	if (known)
		return;
	pages->n_pages++;
	addrmap_put(&pages->index, page, slot);
}

/* only_new: quarters that somebody looked at already stay what they are. */
static void absorb_page(struct pages *older, const struct page_slot *from, const char *data,
			bool only_new)
{
	uint32_t slot = addrmap_get(&older->index, from->page), one = 1;
	struct page_slot *to;

	if (slot == ADDRMAP_NONE) {
		if (!next_slots(older, &slot, &one))
			return;
		keep_page(older, from->page, 0);
	}
	if (slot >= NO_SLOT)
		return;
	to = &older->slots[slot];
	for (unsigned q = 0; q < 4; q++) {
		if (only_new && (to->touched & to->valid) >> q & 1)
			continue;
		memcpy(slot_data(older, slot) + q * QUARTER, data + q * QUARTER, QUARTER);
		to->valid = (uint8_t)((to->valid & ~(1u << q)) | (from->valid & 1u << q));
	}
	to->touched |= from->touched;
}

void pages_absorb(struct pages *older, const struct pages *newer, bool only_new)
{
	for (uint32_t i = 0; i < newer->n_slots; i++) {
		const struct page_slot *slot = &newer->slots[i];

		if (slot->page != NO_PAGE && slot->touched)
			absorb_page(older, slot, slot_data(newer, i), only_new);
	}
}

/* ---- a picture of one instant -------------------------------------------------------------- */

bool pages_put(struct pages *pages, uint64_t page, const void *data)
{
	uint32_t slot, one = 1;

	if (!next_slots(pages, &slot, &one))
		return false;
	memcpy(slot_data(pages, slot), data, SOURCE_PAGE);
	keep_page(pages, page, ALL);
	return true;
}

bool pages_in_picture(const struct pages *pages, uint64_t page)
{
	return addrmap_get(&pages->index, page) < pages->n_picture;
}

uint32_t pages_late(const struct pages *pages)
{
	uint32_t n = 0;

	for (uint32_t i = pages->n_picture; pages->n_picture && i < pages->n_slots; i++)
		n += pages->slots[i].page != NO_PAGE && pages->slots[i].touched;
	return n;
}

void pages_used(const struct pages *pages, uint64_t *out, size_t *n)
{
	for (uint32_t i = 0; i < pages->n_slots; i++)
		if (pages->slots[i].page != NO_PAGE && pages->slots[i].touched)
			out[(*n)++] = pages->slots[i].page;
}

/* ---- of another look ------------------------------------------------------------------------ */

void pages_take(struct pages *pages, const struct pages *other, uint64_t page)
{
	uint32_t slot = addrmap_get(&other->index, page);

	if (slot < NO_SLOT)
		absorb_page(pages, &other->slots[slot], slot_data(other, slot), false);
}

void pages_patch(struct pages *pages, uint64_t addr, const void *data, size_t len)
{
	uint32_t slot = addrmap_get(&pages->index, addr / SOURCE_PAGE);
	uint8_t quarters = pages_quarters(addr % SOURCE_PAGE, len);

	if (slot < NO_SLOT && !(quarters & ~pages->slots[slot].valid))
		memcpy(slot_data(pages, slot) + addr % SOURCE_PAGE, data, len);
}

void pages_put_quarter(struct pages *pages, uint64_t addr, const void *data)
{
	uint64_t page = addr / SOURCE_PAGE;
	size_t offset = addr % SOURCE_PAGE;
	uint8_t quarter = pages_quarters(offset, QUARTER);
	uint32_t slot = addrmap_get(&pages->index, page), one = 1;

	if (slot == ADDRMAP_NONE) {
		if (!next_slots(pages, &slot, &one))
			return;
		keep_page(pages, page, 0);
	}
	if (slot >= NO_SLOT || pages->slots[slot].touched & quarter)
		return;
	memcpy(slot_data(pages, slot) + offset, data, QUARTER);
	pages->slots[slot].valid |= quarter;
	pages->slots[slot].touched |= quarter;
}

/* ---- reading ------------------------------------------------------------------------------- */

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
static uint8_t fetch_page(struct pages *pages, uint64_t page, char *data, bool *gone)
{
	ssize_t n = fetch(pages, page * SOURCE_PAGE, data, SOURCE_PAGE);
	uint8_t valid = 0;

	*gone = n == 0;
	if (n == SOURCE_PAGE)
		return ALL;
	for (unsigned i = 0; i < 4 && pages->backend->ops->recorded; i++) {
		size_t at = i * (size_t)QUARTER;

		if (fetch(pages, page * SOURCE_PAGE + at, data + at, QUARTER) == QUARTER)
			valid |= (uint8_t)(1u << i);
	}
	return valid;
}

/* The slot of a page that is not in the index yet, or why there is none. */
static uint32_t new_page(struct pages *pages, uint64_t page)
{
	uint32_t slot, one = 1;
	uint8_t valid;
	bool gone;

	if (!next_slots(pages, &slot, &one))
		return FULL_SLOT;
	valid = fetch_page(pages, page, slot_data(pages, slot), &gone);
	if (valid) {
		keep_page(pages, page, valid);
		return slot;
	}
	slot = gone ? GONE_SLOT : FAULT_SLOT;
	addrmap_put(&pages->index, page, slot);
	return slot;
}

static enum page_state failed(struct pages *pages, uint32_t slot)
{
	pages->backend->stats.faults++;
	return slot == GONE_SLOT ? PAGE_GONE : slot == FULL_SLOT ? PAGE_FULL : PAGE_FAULT;
}

enum page_state pages_copy(struct pages *pages, uint64_t page, size_t offset, void *buf, size_t len)
{
	uint32_t slot = addrmap_get(&pages->index, page);
	const char *data;

	if (slot == ADDRMAP_NONE)
		slot = new_page(pages, page);
	if (slot >= NO_SLOT)
		return failed(pages, slot);
	pages->hits[page % PAGES_HITS] = (struct page_hit){page, slot};
	data = pages_hit(pages, page, offset, len);
	if (!data)
		return failed(pages, FAULT_SLOT);
	memcpy(buf, data, len);
	return PAGE_READ;
}

void pages_reread(struct pages *pages, uint64_t addr, size_t len)
{
	uint32_t slot = addrmap_get(&pages->index, addr / SOURCE_PAGE);
	bool gone;

	if (slot >= NO_SLOT || slot < pages->n_picture || pages->backend->ops->recorded)
		return;
	if (fetch(pages, addr, slot_data(pages, slot) + addr % SOURCE_PAGE, len) != (ssize_t)len)
		pages->slots[slot].valid =
			fetch_page(pages, addr / SOURCE_PAGE, slot_data(pages, slot), &gone);
}

/* ---- many at once -------------------------------------------------------------------------- */

static bool is_wanted(const struct extent *x, uint64_t page)
{
	uint64_t i = page - x->begin;

	return x->wanted[i / 64] >> (i % 64) & 1;
}

/* One system call, unless there is a hole: then one more for each. */
void pages_read_extent(struct pages *pages, struct extent *x)
{
	uint64_t page = x->begin, end = x->end;

	while (page < end) {
		uint32_t slot, n = (uint32_t)(end - page), got;
		ssize_t bytes;

		if (!next_slots(pages, &slot, &n))
			break;
		bytes = fetch(pages, page * SOURCE_PAGE, slot_data(pages, slot),
			      (size_t)n * SOURCE_PAGE);
		if (bytes == 0)
			break; /* gone: reading will tell */
		got = bytes > 0 ? (uint32_t)((size_t)bytes / SOURCE_PAGE) : 0;
		for (uint32_t i = 0; i < got; i++)
			keep_page(pages, page++, ALL);
		if (got == n)
			continue;
		/* of a recording it may be there in parts: that is found out when it is needed */
		if (!pages->backend->ops->recorded && !pages_has(pages, page))
			addrmap_put(&pages->index, page, FAULT_SLOT);
		do
			page++;
		while (page < end && !is_wanted(x, page));
	}
	*x = (struct extent){0};
}

void pages_want(struct pages *pages, struct extent *x, uint64_t page)
{
	uint64_t i;

	if (x->end && (page > x->end + GAP_PAGES || page >= x->begin + PAGES_EXTENT))
		pages_read_extent(pages, x);
	if (!x->end)
		x->begin = page;
	x->end = page + 1;
	i = page - x->begin;
	x->wanted[i / 64] |= UINT64_C(1) << (i % 64);
}

/* ---- for recordings ------------------------------------------------------------------------ */

static uint8_t used_quarters(const struct pages *pages, uint64_t page)
{
	uint32_t slot = pages ? addrmap_get(&pages->index, page) : ADDRMAP_NONE;

	return slot < NO_SLOT ? pages->slots[slot].touched & pages->slots[slot].valid : 0;
}

void pages_list(const struct pages *pages, const struct pages *newer, struct quarter *out,
		size_t *n)
{
	for (uint32_t i = 0; i < pages->n_slots; i++) {
		uint64_t page = pages->slots[i].page;
		uint8_t used;

		if (page == NO_PAGE)
			continue;
		used = used_quarters(pages, page) & (uint8_t)~used_quarters(newer, page);
		for (unsigned q = 0; q < 4; q++)
			if (used >> q & 1)
				out[(*n)++] = (struct quarter){page * SOURCE_PAGE + q * QUARTER,
							       slot_data(pages, i) + q * QUARTER};
	}
}
