/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_stat.c - any text as /proc/PID/stat, schedstat and timens_offsets */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct proc_schedstat sched;
	struct proc_stat st;

	if (proc_stat_parse(text, size, &st, NULL) &&
	    (!memchr(st.comm, '\0', sizeof(st.comm)) || st.state <= ' '))
		abort();
	proc_schedstat_parse(text, size, &sched, NULL);
	timens_monotonic_parse(text, size);
	return 0;
}
