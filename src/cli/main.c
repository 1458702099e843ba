/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"
#include "stallscope/log.h"

/* No library asks a server unless the user wants it. */
static void set_debuginfod(const struct options *o)
{
	if (!o->debuginfod)
		unsetenv("DEBUGINFOD_URLS");
	else if (!o->quiet && isatty(STDERR_FILENO))
		setenv("DEBUGINFOD_PROGRESS", "1", 0);
}

int main(int argc, char **argv)
{
	struct options options;
	int status;

	static char name[] = "stallscope"; /* getopt_long() begins its messages with it */

	if (argc > 0)
		argv[0] = name;
	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing, told as such */
	if (!options_parse(argc, argv, &options, &status))
		return status;
	log_set_level(options.quiet	    ? LOG_QUIET
		      : options.verbose > 1 ? LOG_DEBUG
		      : options.verbose	    ? LOG_INFO
					    : LOG_WARN);
	set_debuginfod(&options);
	switch (options.command) {
	case COMMAND_DOCTOR:
		return command_doctor(&options);
	case COMMAND_EXPLAIN:
		return command_explain(&options);
	case COMMAND_WATCH:
		return command_watch(&options);
	case COMMAND_VIEW:
		return command_live(&options);
	case COMMAND_RECORD:
		return command_record(&options);
	case COMMAND_REPORT:
		return command_report(&options);
	case COMMAND_DIFF:
		return command_diff(&options);
	case COMMAND_CONVERT:
		return command_convert(&options);
	case COMMAND_CHECK:
		return command_check(&options);
	case COMMAND_PS:
		return command_ps(&options);
	case COMMAND_DUMP:
	case COMMAND_COUNT:
		break;
	}
	return options.live ? command_live(&options) : command_dump(&options);
}
