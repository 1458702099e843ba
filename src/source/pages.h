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

#include "backend.h"
#include "stallscope/addrmap.h"

#define QUARTER (SOURCE_PAGE / 4)

struct page_slot {
	uint64_t page;		/* number: address / SOURCE_PAGE */
	uint8_t valid, touched; /* bit i: quarter i */
};

struct pages {
	struct backend *backend;
	struct addrmap index; /* page number -> slot */
	struct page_slot *slots;
	size_t slots_cap;
	uint32_t n_slots; /* in use */
	char **blocks;
	size_t n_blocks, blocks_cap;
	uint32_t last; /* slot found last */
	bool have_last;
};

void pages_deinit(struct pages *pages);

/* Empties the cache; memory is kept. */
void pages_forget(struct pages *pages);

/* True when the page is known: readable or not. */
bool pages_has(const struct pages *pages, uint64_t page);

/* True when it is known and readable. */
bool pages_has_data(const struct pages *pages, uint64_t page);

/* Copies len bytes at offset of a page, reading it when needed; false when that is not possible. */
bool pages_copy(struct pages *pages, uint64_t page, size_t offset, void *buf, size_t len);

/* Reads a page again if it is known. */
void pages_reread(struct pages *pages, uint64_t page);

/* n pages from first on in one system call. n <= PAGES_EXTENT. */
#define PAGES_EXTENT 256u
void pages_read_extent(struct pages *pages, uint64_t first, uint32_t n);

/* A quarter of a page that was looked at. */
struct quarter {
	uint64_t address;
	const void *data; /* QUARTER bytes */
};

/* Appends the quarters looked at, but those of pages that newer (may be NULL) has. */
void pages_list(const struct pages *pages, const struct pages *newer, struct quarter *out,
		size_t *n);

#endif
