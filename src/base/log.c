/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "stallscope/strbuf.h"

static enum log_level current = LOG_WARN;

void log_set_level(enum log_level level)
{
	current = level;
}

/* One write for a line, so that lines of several processes do not mix. */
void log_msg(enum log_level level, const char *fmt, ...)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	va_list ap;

	if (level > current)
		return;
	strbuf_addstr(&line, "stallscope: ");
	va_start(ap, fmt);
	strbuf_vaddf(&line, fmt, ap);
	va_end(ap);
	strbuf_addch(&line, '\n');
	fwrite(line.data, 1, line.len, stderr);
}
