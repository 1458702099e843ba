/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live: the view on a terminal. Named by `view`, or by no command at all; then an answer that goes
 * elsewhere than to a terminal is that of dump, or over recordings that of report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "stallscope/culprits.h"
#include "stallscope/history.h"
#include "stallscope/log.h"
#include "stallscope/tui.h"

static bool no_color(const struct options *o)
{
	const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE");

	if (o->color != COLOR_AUTO)
		return o->color == COLOR_NEVER;
	return no && *no && !(force && *force && strcmp(force, "0") != 0);
}

static bool is_recording(const char *argument)
{
	return !source_names_process(argument) && source_is_text(argument);
}

static bool are_recordings(const struct options *o)
{
	for (size_t i = 0; i < o->n_targets; i++)
		if (!is_recording(o->targets[i]))
			return false;
	return o->n_targets > 0;
}

static int no_terminal(const struct options *o, const char *why)
{
	fprintf(stderr,
		"stallscope: %s, and the live view needs a terminal\n"
		"  try: stallscope %s\n",
		why, are_recordings(o) ? "report FILE" : "dump PID");
	return 2;
}

static int refuse(const struct options *o)
{
	const char *name = getenv("TERM");

	if (!isatty(STDOUT_FILENO))
		return no_terminal(o, "standard output is no terminal");
	if (!name || !*name)
		return no_terminal(o, "TERM is not set");
	if (!strcmp(name, "dumb"))
		return no_terminal(o, "TERM is dumb");
	return 0;
}

/* Messages would go across the screen; what matters is said on it. */
static int run(const struct options *o)
{
	struct tui_options options = {.targets = o->targets,
				      .n_targets = o->n_targets,
				      .children = o->children,
				      .rate = (int)(INT64_C(1000000000) / o->interval_ns),
				      .threshold_ns = o->threshold_ns,
				      .max_tasks = o->max_tasks,
				      .ascii = o->ascii,
				      .no_mouse = o->no_mouse,
				      .no_color = no_color(o),
				      .theme = (enum tui_theme)o->theme};
	struct error err;
	int status = 0;

	log_set_level(LOG_QUIET);
	if (!tui_run(&options, &status, &err))
		return report_error(&err);
	return status;
}

/* Fails before the screen is taken: the message, and the status, stay. */
static bool check(const char *argument, struct error *err)
{
	struct target target;

	if (is_recording(argument))
		return history_probe(argument, err);
	if (!target_open(argument, true, &target, err))
		return false;
	target_close(&target);
	return true;
}

static int check_first(const struct options *o)
{
	struct error err;

	if (o->n_targets != 1 || check(o->targets[0], &err))
		return 0;
	return report_error(&err);
}

int command_live(const struct options *o)
{
	struct error err;
	int status;

	if (o->live && o->n_targets && (o->dump_only || !isatty(STDOUT_FILENO) || !tui_is_built()))
		return are_recordings(o) && !o->look_only ? command_report(o) : command_dump(o);
	status = refuse(o);
	if (!status && !culprits_load(o->culprits, &err))
		status = report_error(&err);
	if (!status)
		status = check_first(o);
	return status ? status : run(o);
}
