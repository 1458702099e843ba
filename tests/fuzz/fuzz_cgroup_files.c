/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_cgroup_files.c - any text as each of the files of a cgroup */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_cores(bool ok, double cores)
{
	if (ok && (!isfinite(cores) || cores < 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct cgroup_cpu_stat st;
	size_t half = size / 2;
	double cores = 0;
	bool have, frozen;

	cgroup_cpu_stat_parse(text, size, &st, NULL);
	check_cores(cgroup_cpu_max_parse(text, size, &cores, NULL), cores);
	check_cores(cgroup_cfs_parse(text, half, text + half, size - half, &cores, NULL), cores);
	cgroup_events_parse(text, size, &have, &frozen, NULL);
	cgroup_freezer_parse(text, size, &frozen, NULL);
	return 0;
}
