/* SPDX-License-Identifier: Apache-2.0 */
/* meant.h - what a misspelled word likely was to be, of names considered one after the other */
#ifndef STALLSCOPE_CLI_MEANT_H
#define STALLSCOPE_CLI_MEANT_H

#include <string.h>

#include "stallscope/strbuf.h"

struct meant {
	const char *word, *name; /* NULL: none is near */
	size_t distance;
};

static inline void meant_consider(struct meant *m, const char *name)
{
	size_t distance = str_distance(m->word, name);

	if (distance > (strlen(name) < 4 ? 1 : 2) || (m->name && distance >= m->distance))
		return;
	m->name = name;
	m->distance = distance;
}

#endif
