/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STALLSCOPE_CLI_HISTORY_H
#define STALLSCOPE_CLI_HISTORY_H

#include "cli.h"
#include "stallscope/history.h"

/* Adds what an argument names: a process or a core is looked at, anything else is read. */
bool history_load(struct history *h, const char *argument, const struct options *o,
		  struct error *err);

#endif
