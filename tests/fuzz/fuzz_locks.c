/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_locks.c - any text as /proc/locks */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_lock lock;

	for (int32_t pid = -1; pid < 10; pid++)
		if (proc_locks_blocker((const char *)data, size, pid, pid > 5 ? 1 : 0, &lock) &&
		    !memchr(lock.kind, 0, sizeof(lock.kind)))
			abort();
	return 0;
}
