/* SPDX-License-Identifier: Apache-2.0 */
/* diff: what got worse from one look or recording to another. */
#include "cli.h"
#include "history.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/report.h"

static void render(const struct diff *d, const struct options *o, struct strbuf *out)
{
	struct report_options options = {
		.width = text_width(o), .ascii = o->ascii, .verbose = o->verbose > 0};

	if (o->format == FORMAT_JSON)
		diff_json(d, out);
	else if (o->format == FORMAT_MARKDOWN)
		diff_markdown(d, &options, out);
	else
		diff_text(d, &options, out);
}

int command_diff(const struct options *o)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct history before, after;
	struct error err;
	struct diff d;
	int status;

	history_init(&before);
	history_init(&after);
	if (culprits_load(o->culprits, &err) && history_load(&before, o->targets[0], o, &err) &&
	    history_load(&after, o->targets[1], o, &err)) {
		diff_make(&before, &after, &d);
		render(&d, o, &text);
		status = write_text(o, &text);
		status = status ? status : d.worse;
		diff_deinit(&d);
	} else {
		status = report_error(&err);
	}
	history_deinit(&before);
	history_deinit(&after);
	return status;
}
