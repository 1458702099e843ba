/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_pressure.c - any text as pressure, /proc/stat and limits */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "stallscope/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct file_limit limit;
	struct cpu_ticks ticks;
	struct pressure p;

	if (pressure_parse(text, size, &p, NULL) && (p.some_avg10 > 100 || p.full_avg10 > 100))
		abort();
	if (cpu_ticks_parse(text, size, &ticks, NULL) && ticks.steal > ticks.total)
		abort();
	file_limit_parse(text, size, &limit, NULL);
	return 0;
}
