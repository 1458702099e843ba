/* SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <signal.h>

#include "cli.h"
#include "stallscope/log.h"

int main(int argc, char **argv)
{
	struct options options;
	int status;

	setlocale(LC_CTYPE, "");
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing, told as such */
	if (!options_parse(argc, argv, &options, &status))
		return status;
	log_set_level(options.quiet	    ? LOG_QUIET
		      : options.verbose > 1 ? LOG_DEBUG
		      : options.verbose	    ? LOG_INFO
					    : LOG_WARN);
	switch (options.command) {
	case COMMAND_DOCTOR:
		return command_doctor(&options);
	case COMMAND_EXPLAIN:
		return command_explain(&options);
	case COMMAND_DUMP:
	case COMMAND_COUNT:
		break;
	}
	return command_dump(&options);
}
