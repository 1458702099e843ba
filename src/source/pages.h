/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - the memory of one look, by pages
 *
 * Pages are read whole, once, into blocks that stay faulted in from look to look. Which quarters
 * of a page somebody looked at is kept too: those are what a sparse core needs. A core gives back
 * such quarters only, so a page may be valid in parts.
 */
#ifndef STALLSCOPE_SOURCE_PAGES_H
#define STALLSCOPE_SOURCE_PAGES_H

#include <string.h>

#include "backend.h"
#include "stallscope/addrmap.h"

#define QUARTER	     (SOURCE_PAGE / 4)
#define PAGES_EXTENT 256u /* pages of one block, and at most of one system call */
#define NO_PAGE	     UINT64_MAX

struct page_slot {
	uint64_t page;		/* number: address / SOURCE_PAGE; NO_PAGE: counts for nothing */
	uint8_t valid, touched; /* bit i: quarter i */
};

struct pages {
	struct backend *backend;
	uint64_t last_page; /* the page found last, or NO_PAGE */
	struct page_slot *last_slot;
	const char *last_data;
	struct addrmap index; /* page number -> slot, or why there is none */
	struct page_slot *slots;
	size_t slots_cap;
	uint32_t n_slots; /* in use */
	uint32_t n_pages; /* of them those that count */
	char **blocks;
	size_t n_blocks, blocks_cap;
};

enum page_state {
	PAGE_READ,
	PAGE_FAULT, /* this page cannot be read */
	PAGE_GONE,  /* there is no memory any more */
	PAGE_FULL,  /* the look holds SOURCE_MAX_CACHE already */
};

void pages_init(struct pages *pages, struct backend *backend);
void pages_deinit(struct pages *pages);

/* Empties the cache; memory is kept. */
void pages_forget(struct pages *pages);

/*
 * Adds what was looked at in a newer look to an older one, page by page; the newer counts, or,
 * only_new, the pages that the older one already has stay what they are.
 */
void pages_absorb(struct pages *older, const struct pages *newer, bool only_new);

/* True when the page is known: readable or not. */
bool pages_has(const struct pages *pages, uint64_t page);

/* True when it is known and at least in part readable. */
bool pages_has_data(const struct pages *pages, uint64_t page);

/* Copies len > 0 bytes from offset of a page, which is read when it is not there yet. */
enum page_state pages_copy(struct pages *pages, uint64_t page, size_t offset, void *buf,
			   size_t len);

/* The quarters that [offset, offset + len) of a page lies in. */
static inline uint8_t pages_quarters(size_t offset, size_t len)
{
	return (uint8_t)((2u << ((offset + len - 1) / QUARTER)) - (1u << (offset / QUARTER)));
}

/* The same for the page found last; false when it is not that or not valid there. */
static inline bool pages_copy_last(struct pages *pages, uint64_t page, size_t offset, void *buf,
				   size_t len)
{
	uint8_t wanted = pages_quarters(offset, len);

	if (page != pages->last_page || (wanted & ~pages->last_slot->valid))
		return false;
	pages->last_slot->touched |= wanted;
	memcpy(buf, pages->last_data + offset, len);
	return true;
}

/* Reads len bytes within one page again if that is known to be readable. */
void pages_reread(struct pages *pages, uint64_t addr, size_t len);

/* Pages to be read together: [begin, end), of which some are not asked for. */
struct extent {
	uint64_t begin, end; /* end 0: empty */
	uint64_t wanted[PAGES_EXTENT / 64];
};

/*
 * Adds a page behind those of the extent; reads the extent first when the page lies too far off
 * or makes it too long.
 */
void pages_want(struct pages *pages, struct extent *x, uint64_t page);

/* Reads the extent, and empties it. */
void pages_read_extent(struct pages *pages, struct extent *x);

/* A quarter of a page that was looked at. */
struct quarter {
	uint64_t address;
	const void *data; /* QUARTER bytes */
};

/* Appends the quarters looked at, but those that newer (may be NULL) has as well. */
void pages_list(const struct pages *pages, const struct pages *newer, struct quarter *out,
		size_t *n);

#endif
