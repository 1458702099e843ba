/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.c - a look again, from a copy that was made while the target stood
 *
 * Walking takes far longer than a target may stand, copying does not: what the last look read is
 * what the next one will, so those pages are copied at once and walked when the target runs again.
 */
#include <stdlib.h>

#include "source_private.h"
#include "stallscope/addrsort.h"
#include "stallscope/arena.h"

#define RANGE_PAGES PAGES_EXTENT

bool source_stop(struct source *src, const struct stop_request *want, struct stop **ret,
		 struct error *err)
{
	struct backend *b = src->backend;
	uint64_t paused_ns = 0;
	bool ok;

	if (!b->ops->stop)
		return error_set(err, ERR_ABSENT,
				 "a recording stands still: there is no process "
				 "to be stopped");
	b->stats.stops++;
	ok = b->ops->stop(b->self, want, ret, &paused_ns, err);
	b->stats.paused_ns += paused_ns;
	return ok;
}

/* Numbers of the pages that this look used, sorted; freed by the caller. */
static uint64_t *used_pages(const struct source *src, size_t *n)
{
	uint64_t *used = mem_realloc(NULL, src->pages.n_slots + 1, sizeof(*used));

	*n = 0;
	pages_used(&src->pages, used, n);
	addr_sort(used, *n);
	return used;
}

/* What lies between two pages is copied along when it was read along: then there is no hole. */
static bool reaches(const struct source *src, uint64_t end, uint64_t page)
{
	for (; end < page; end++)
		if (!pages_has_data(&src->pages, end))
			return false;
	return true;
}

static struct stop_range *plan(const struct source *src, size_t *ret)
{
	size_t n, n_ranges = 0;
	uint64_t *used = used_pages(src, &n), begin = 0, end = 0;
	struct stop_range *ranges = mem_realloc(NULL, n + 1, sizeof(*ranges));

	for (size_t i = 0; i < n; i++) {
		if (!n_ranges || used[i] - begin >= RANGE_PAGES || !reaches(src, end, used[i])) {
			begin = used[i];
			ranges[n_ranges++].address = begin * SOURCE_PAGE;
		}
		end = used[i] + 1;
		ranges[n_ranges - 1].len = (uint32_t)((end - begin) * SOURCE_PAGE);
	}
	free(used);
	*ret = n_ranges;
	return ranges;
}

static void put_copies(struct source *src, const struct stop *stop)
{
	for (size_t i = 0; i < stop->n_copies; i++) {
		const struct stop_copy *c = &stop->copies[i];

		src->backend->stats.bytes_read += c->len;
		for (size_t at = 0; at + SOURCE_PAGE <= c->len; at += SOURCE_PAGE)
			pages_put(&src->pages, (c->address + at) / SOURCE_PAGE, c->data + at);
	}
	src->pages.n_picture = src->pages.n_slots;
}

bool source_freeze(struct source *src, const int32_t *tids, size_t n, struct source_picture *ret,
		   struct error *err)
{
	struct stop_request want = {.tids = tids, .n_tids = n};
	struct stop_range *ranges = plan(src, &want.n_ranges);
	struct stop *stop;
	bool ok;

	want.ranges = ranges;
	ok = source_stop(src, &want, &stop, err);
	free(ranges);
	if (!ok)
		return false;
	source_forget(src);
	put_copies(src, stop);
	*ret = (struct source_picture){stop->clock_ns, src->pages.n_picture, 0};
	for (size_t i = 0; i < stop->n_threads; i++)
		ret->threads += stop->threads[i].stopped;
	stop_destroy(stop);
	return true;
}

uint64_t source_late_pages(const struct source *src)
{
	return pages_late(&src->pages);
}
