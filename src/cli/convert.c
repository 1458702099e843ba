/* SPDX-License-Identifier: Apache-2.0 */
/* convert: a recording, a look, a core or a process in a format of other tools. */
#include "cli.h"
#include "history.h"
#include "stallscope/culprits.h"

int command_convert(const struct options *o)
{
	struct output out;
	struct history h;
	struct error err;
	int status = 0;

	history_init(&h);
	if (!culprits_load(o->culprits, &err))
		status = report_error(&err);
	for (size_t i = 0; i < o->n_targets && !status; i++)
		if (!history_load(&h, o->targets[i], o, &err))
			status = report_error(&err);
	if (!status && !output_open(o->output, &out, &err))
		status = report_error(&err);
	if (!status) {
		convert(&h, o->convert, out.file);
		status = output_commit(&out, &err) ? 0 : report_error(&err);
	}
	history_deinit(&h);
	return status;
}
