/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_syscall.c - any text as /proc/PID/task/TID/syscall, and any number's name */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_syscall call;
	const char *name;

	if (!proc_syscall_parse((const char *)data, size, &call, NULL))
		return 0;
	name = syscall_name(call.number);
	if (name && (!*name || call.number < 0 || call.running))
		abort();
	return 0;
}
