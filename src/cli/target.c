/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "cli.h"

bool target_open(const char *argument, bool without_python, struct target *ret, struct error *err)
{
	struct target t = {0};

	if (!source_open(argument, &t.src, err))
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
