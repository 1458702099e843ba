/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_status.c - any text as /proc/PID/status */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proc_status st;

	if (proc_status_parse((const char *)data, size, &st, NULL) &&
	    (st.nspids > NSPID_MAX || st.state <= ' '))
		abort();
	return 0;
}
