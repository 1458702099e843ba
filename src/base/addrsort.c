/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/addrsort.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"

#define SMALL_SORT 512u

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* One pass of a radix sort: stable, by eight bits. */
static void sort_by_byte(const uint64_t *from, uint64_t *to, size_t n, unsigned shift)
{
	size_t start[256] = {0}, sum = 0;

	for (size_t i = 0; i < n; i++)
		start[from[i] >> shift & 0xff]++;
	for (size_t i = 0; i < ARRAY_SIZE(start); i++) {
		size_t count = start[i];

		start[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[start[from[i] >> shift & 0xff]++] = from[i];
}

void addr_sort(uint64_t *v, size_t n)
{
	uint64_t differ = 0, *other, *from = v, *to;
	bool sorted = true;

	for (size_t i = 1; i < n; i++) {
		differ |= v[i] ^ v[0];
		sorted = sorted && v[i - 1] <= v[i];
	}
	if (sorted)
		return;
	if (n < SMALL_SORT) {
		qsort(v, n, sizeof(*v), by_value);
		return;
	}
	other = to = mem_realloc(NULL, n, sizeof(*v));
	for (unsigned shift = 0; shift < 64; shift += 8) {
		uint64_t *swap = from;

		if (!(differ >> shift & 0xff))
			continue;
		sort_by_byte(from, to, n, shift);
		from = to;
		to = swap;
	}
	if (from != v)
		memcpy(v, from, n * sizeof(*v));
	free(other);
}

size_t addr_unique(uint64_t *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!kept || v[kept - 1] != v[i])
			v[kept++] = v[i];
	return kept;
}
