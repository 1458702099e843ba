/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_maps.c - any text as /proc/PID/maps: what is taken is sorted and disjoint */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct maps *maps)
{
	uint64_t covered = 0;

	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];

		if (m->file.start < covered || m->file.end <= m->file.start || !m->file.path)
			abort();
		if (maps_find(maps, m->file.start) != m || maps_find(maps, m->file.end - 1) != m)
			abort();
		covered = m->file.end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	if (maps_parse((const char *)data, size, &arena, &maps, NULL))
		check(&maps);
	arena_deinit(&arena);
	return 0;
}
