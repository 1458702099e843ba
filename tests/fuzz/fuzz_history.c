/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_history.c - recordings of anybody: read, added up, and written in every format */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "stallscope/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(const struct history *h)
{
	struct report_options options = {.width = 80, .verbose = true};
	struct strbuf out = STRBUF_INIT;
	FILE *nowhere = fopen("/dev/null", "w");
	struct diff d;

	report_text(h, &options, &out);
	report_json(h, &options, &out);
	report_markdown(h, &options, &out);
	report_html(h, &options, &out);
	diff_make(h, h, &d);
	if (d.worse)
		abort(); /* nothing is worse than itself */
	diff_text(&d, &options, &out);
	diff_json(&d, &out);
	diff_deinit(&d);
	for (int i = 0; nowhere && i < CONVERT_COUNT; i++)
		convert(h, (enum convert_format)i, nowhere);
	if (nowhere)
		fclose(nowhere);
	strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct history h;

	history_init(&h);
	history_read_text(&h, "fuzz", (const char *)data, size, NULL);
	write_all(&h);
	history_deinit(&h);
	return 0;
}
