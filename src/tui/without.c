/* SPDX-License-Identifier: Apache-2.0 */
/* without.c - in place of the terminal where it was left out (configure --without-tui) */
#include "stallscope/tui.h"

bool tui_is_built(void)
{
	return false;
}

bool tui_run(const struct tui_options *options, int *status, struct error *err)
{
	(void)options;
	(void)status;
	error_set(err, ERR_USAGE, "this stallscope was built without the live view");
	return error_hint(err, "try: stallscope dump PID");
}
