/* SPDX-License-Identifier: Apache-2.0 */
/* rules.h - the ordered tables of rules */
#ifndef STALLSCOPE_DIAGNOSE_RULES_H
#define STALLSCOPE_DIAGNOSE_RULES_H

#include "facts.h"

struct rule {
	const char *name;
	bool (*matches)(const struct facts *f);
	void (*explain)(const struct facts *f, struct verdict *v);
};

/* False when no rule of the whole process matches: its loops are to be judged. */
bool rules_process(const struct facts *f, struct verdict *v);

/* Always gives a verdict, at the least UNSURE. */
void rules_loop(const struct facts *f, struct verdict *v);

#endif
