/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_mountinfo.c - any text as mountinfo, its last line as the path of a cgroup as well */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the mounts are, what is found lies below one of them. */
static void check_dir(const struct cgroup_dir *dir)
{
	size_t len = strlen(dir->path);

	if (dir->top > len || (len > dir->top && dir->path[dir->top] != '/') ||
	    strstr(dir->path + dir->top, "/../"))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = ARENA_INIT;
	const uint8_t *newline = memrchr(data, '\n', size);
	size_t lines = newline ? (size_t)(newline - data) + 1 : 0;
	struct cgroup_mounts mounts;
	struct cgroup_dir dir;
	const char *path = arena_strndup(&arena, (const char *)data + lines, size - lines);

	if (cgroup_mounts_parse((const char *)data, lines, &arena, &mounts, NULL))
		for (unsigned h = 0; h < CGROUP_HIERARCHIES; h++)
			if (cgroup_find(&mounts, (enum cgroup_hierarchy)h, path, &arena, &dir))
				check_dir(&dir);
	arena_deinit(&arena);
	return 0;
}
