/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_fdinfo.c - any text as /proc/PID/fdinfo/N */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_fdinfo info;

	if (proc_fdinfo_parse((const char *)data, size, &info, NULL))
		for (unsigned i = 0; i < info.n_targets && i < FDINFO_TARGETS; i++)
			if (info.targets[i] < 0)
				abort();
	return 0;
}
