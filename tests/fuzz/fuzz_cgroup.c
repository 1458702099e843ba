/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cgroup.c - any text as /proc/PID/cgroup, any path as one of a container */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An id is shown as it is: it must not hold control characters. */
static void check_id(const char *path, struct arena *arena)
{
	const char *id = cgroup_container_id(path, arena);

	if (!id)
		return;
	if (!*id)
		abort();
	for (; *id; id++)
		if ((unsigned char)*id < ' ' || *id == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	struct proc_cgroup cg;

	if (proc_cgroup_parse((const char *)data, size, &arena, &cg, NULL)) {
		const char *paths[] = {cg.v2, cg.freezer, cg.cpu};

		for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
			if (paths[i])
				check_id(paths[i], &arena);
	}
	check_id(arena_strndup(&arena, (const char *)data, size), &arena);
	arena_deinit(&arena);
	return 0;
}
