/* SPDX-License-Identifier: Apache-2.0 */
/* report: recordings of many files and hosts, added up. */
#include <stdio.h>

#include "cli.h"
#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "stallscope/report.h"

/* Files that cannot be read are told, and the others reported. */
static int read_all(const struct options *o, struct history *h)
{
	struct error err;
	int status = 0;

	for (size_t i = 0; i < o->n_targets; i++) {
		if (history_read(h, o->targets[i], &err))
			continue;
		status = report_error(&err);
	}
	return status;
}

int command_report(const struct options *o)
{
	struct report_options options = {
		.width = text_width(o), .ascii = o->ascii, .verbose = o->verbose > 0};
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct history h;
	int status, wrote;

	history_init(&h);
	status = read_all(o, &h);
	if (status && !h.n_loops) {
		history_deinit(&h);
		return status;
	}
	if (o->format == FORMAT_JSON)
		report_json(&h, &options, &text);
	else if (o->format == FORMAT_MARKDOWN)
		report_markdown(&h, &options, &text);
	else if (o->format == FORMAT_HTML)
		report_html(&h, &options, &text);
	else
		report_text(&h, &options, &text);
	history_deinit(&h);
	wrote = write_text(o, &text);
	return wrote ? wrote : status;
}
