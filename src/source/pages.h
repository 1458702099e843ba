/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - the memory of one look, by pages
 *
 * Pages are read whole, once, into one run of slots that stays faulted in from look to look. Which
 * quarters of a page somebody looked at is kept too: those are what a sparse core needs. A core
 * gives back such quarters only, so a page may be valid in parts.
 */
#ifndef STALLSCOPE_SOURCE_PAGES_H
#define STALLSCOPE_SOURCE_PAGES_H

#include "backend.h"
#include "stallscope/addrmap.h"

#define QUARTER	     (SOURCE_PAGE / 4)
#define PAGES_EXTENT 256u /* pages at most of one system call */
#define PAGES_HITS   64u  /* pages found last, by the low bits of their number */
#define NO_PAGE	     UINT64_MAX

struct page_slot {
	uint64_t page;		/* number: address / SOURCE_PAGE; NO_PAGE: counts for nothing */
	uint8_t valid, touched; /* bit i: quarter i */
};

struct pages {
	struct backend *backend;
	struct page_hit {
		uint64_t page; /* or NO_PAGE */
		uint32_t slot;
	} hits[PAGES_HITS];
	struct addrmap index; /* page number -> slot, or why there is none */
	struct page_slot *slots;
	size_t slots_cap;
	uint32_t n_slots;    /* in use */
	uint32_t n_pages;    /* of them those that count */
	uint32_t n_picture;  /* the first of them, copied while the target stood */
	uint32_t n_reserved; /* there is address space for, 0 before the first one */
	char *data;	     /* of the slots, one after the other */
};

enum page_state {
	PAGE_READ,
	PAGE_FAULT, /* this page cannot be read */
	PAGE_GONE,  /* there is no memory any more */
	PAGE_FULL,  /* the look holds SOURCE_MAX_CACHE already, or what there was memory for */
};

void pages_init(struct pages *pages, struct backend *backend);
void pages_deinit(struct pages *pages);

/* Empties the cache; memory is kept. */
void pages_forget(struct pages *pages);

/*
 * Adds what was looked at in a newer look to an older one, page by page; the newer counts, or,
 * only_new, what was looked at in the older one stays what it is.
 */
void pages_absorb(struct pages *older, const struct pages *newer, bool only_new);

/* Takes one page over from other pages that have it, as a whole. */
void pages_take(struct pages *pages, const struct pages *other, uint64_t page);

/* Puts len bytes within one page in place of what is there, if that can be read at all. */
void pages_patch(struct pages *pages, uint64_t addr, const void *data, size_t len);

/*
 * Puts QUARTER bytes at addr where that quarter was not looked at so far, as if it had been read
 * and looked at. A page that is not known yet has nothing but that then.
 */
void pages_put_quarter(struct pages *pages, uint64_t addr, const void *data);

/* True when the page is known: readable or not. */
bool pages_has(const struct pages *pages, uint64_t page);

/* True when it is known and at least in part readable. */
bool pages_has_data(const struct pages *pages, uint64_t page);

/* Adds a page that was copied while the target stood; false when the look is full. */
bool pages_put(struct pages *pages, uint64_t page, const void *data);

/* True of pages that were copied while the target stood: they are not read again. */
bool pages_in_picture(const struct pages *pages, uint64_t page);

/* How many pages were looked at that are not in the picture; 0 when there is none. */
uint32_t pages_late(const struct pages *pages);

/* Appends the numbers of the pages that were looked at. */
void pages_used(const struct pages *pages, uint64_t *out, size_t *n);

/* Copies len > 0 bytes from offset of a page, which is read when it is not there yet. */
enum page_state pages_copy(struct pages *pages, uint64_t page, size_t offset, void *buf,
			   size_t len);

/* The quarters that [offset, offset + len) of a page lies in. */
static inline uint8_t pages_quarters(size_t offset, size_t len)
{
	return (uint8_t)((2u << ((offset + len - 1) / QUARTER)) - (1u << (offset / QUARTER)));
}

/*
 * Where len bytes at offset of a page found of late are; NULL when it is not among these, or is not
 * valid there.
 */
static inline const char *pages_hit(struct pages *pages, uint64_t page, size_t offset, size_t len)
{
	const struct page_hit *hit = &pages->hits[page % PAGES_HITS];
	uint8_t wanted = pages_quarters(offset, len);
	struct page_slot *slot;

	if (page != hit->page)
		return NULL;
	slot = &pages->slots[hit->slot];
	if (wanted & ~slot->valid)
		return NULL;
	slot->touched |= wanted;
	return pages->data + (size_t)hit->slot * SOURCE_PAGE + offset;
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
