/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

bool target_is_process(const char *argument)
{
	for (const char *p = argument; *p; p++)
		if (!isdigit((unsigned char)*p))
			return false;
	return *argument != 0;
}

static bool open_source(const char *argument, struct source **ret, struct error *err)
{
	long pid;

	if (!target_is_process(argument))
		return source_open_core(argument, ret, err);
	errno = 0;
	pid = strtol(argument, NULL, 10);
	if (errno || pid <= 0 || pid > INT32_MAX)
		return error_set(err, ERR_NO_PROCESS, "no process with pid %s", argument);
	return source_open_live((pid_t)pid, ret, err);
}

bool target_open(const char *argument, bool without_python, struct target *ret, struct error *err)
{
	struct target t = {0};

	if (!open_source(argument, &t.src, err))
		return false;
	if (!process_read(t.src, &t.proc, err) ||
	    (!without_python && !python_open(t.src, t.proc, &t.py, err))) {
		target_close(&t);
		return false;
	}
	*ret = t;
	return true;
}

void target_close(struct target *t)
{
	python_close(t->py);
	process_destroy(t->proc);
	source_close(t->src);
	*t = (struct target){0};
}
