/* SPDX-License-Identifier: Apache-2.0 */
/* source_private.h - the cache of one look: source.c fills it and answers from it */
#ifndef STALLSCOPE_SOURCE_PRIVATE_H
#define STALLSCOPE_SOURCE_PRIVATE_H

#include "pages.h"

struct source {
	struct backend *backend;
	struct pages pages;
	struct addrmap item_index; /* hash of kind and key -> item */
	struct item **items;
	size_t n_items, items_cap;
	struct strbuf scratch; /* answers grow here, then are copied to their size */
	uint64_t trimmed;      /* pages of this look that are not in the cache any more */
	uint64_t *moved;       /* addresses of which source_unchanged() said no last */
	size_t n_moved, moved_cap;
	struct source_registers *stopped; /* of threads that were stopped, for source_save() */
	size_t n_stopped, stopped_cap;
	struct source *opened; /* what opening the target asked: source_pin() */
	bool opened_is_old;    /* it answers no more, but is still saved */
};

#endif
