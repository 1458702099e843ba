/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many await chains at once, breadth first: one batch of reads brings the next link of all of
 * them, where link after link would be a system call each.
 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

/* Where a chain has come to. */
struct tip {
	uint64_t object;
	uint32_t owner; /* index of the chain */
};

/* Links in the order in which they were found: level by level. */
struct found {
	struct {
		uint32_t owner;
		struct aio_link link;
	} * v;
	size_t n, cap;
};

static void prefetch(struct python *py, const struct tip *tips, size_t n, uint64_t *scratch)
{
	for (size_t i = 0; i < n; i++)
		scratch[i] = tips[i].object;
	python_gens_prefetch(py, scratch, n);
}

/* True when the chain goes on; *tip is its next object then. */
static bool step(struct python *py, struct tip *tip, struct aio_chain *chain, struct found *found)
{
	struct aio_link link;
	uint64_t next;

	if (chain->n == AIO_MAX_LINKS) {
		chain->truncated = true;
		return false;
	}
	if (aio_link_read(py, tip->object, &link, &next)) {
		array_push(&found->v, &found->n, &found->cap);
		found->v[found->n - 1].owner = tip->owner;
		found->v[found->n - 1].link = link;
		chain->n++;
	}
	chain->torn |= rd_take(&py->rd);
	tip->object = next;
	return next && !chain->torn;
}

/* A counting sort by owner: it keeps the order of levels. */
static void by_owner(const struct found *found, size_t n, struct aio_chains *ret)
{
	size_t sum = 0;

	ret->links = mem_alloc((found->n + 1) * sizeof(*ret->links));
	for (size_t i = 0; i < n; i++) {
		ret->v[i].first = sum;
		sum += ret->v[i].n;
		ret->v[i].n = 0;
	}
	for (size_t i = 0; i < found->n; i++) {
		struct aio_chain *chain = &ret->v[found->v[i].owner];

		ret->links[chain->first + chain->n++] = found->v[i].link;
	}
}

void aio_chains_read(struct python *py, const uint64_t *coros, size_t n, struct aio_chains *ret)
{
	struct tip *tips = mem_alloc((n + 1) * sizeof(*tips));
	uint64_t *scratch = mem_alloc((n + 1) * sizeof(*scratch));
	struct found found = {.n = 0};
	size_t left = 0;

	ret->v = mem_zalloc(n + 1, sizeof(*ret->v));
	for (size_t i = 0; i < n; i++)
		if (coros[i])
			tips[left++] = (struct tip){coros[i], (uint32_t)i};
	/* what only leads to the next object is no link: steps are bounded too */
	for (size_t round = 0; left && round < 2 * AIO_MAX_LINKS; round++) {
		size_t kept = 0;

		prefetch(py, tips, left, scratch);
		for (size_t i = 0; i < left; i++)
			if (step(py, &tips[i], &ret->v[tips[i].owner], &found))
				tips[kept++] = tips[i];
		left = kept;
	}
	for (size_t i = 0; i < left; i++)
		ret->v[tips[i].owner].truncated = true;
	by_owner(&found, n, ret);
	free(found.v);
	free(scratch);
	free(tips);
}

void aio_chains_free(struct aio_chains *chains)
{
	free(chains->links);
	free(chains->v);
}
