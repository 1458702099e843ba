/* SPDX-License-Identifier: Apache-2.0 */
/* diff.h - a difference while it is made */
#ifndef STALLSCOPE_RECORD_DIFF_H
#define STALLSCOPE_RECORD_DIFF_H

#include "stallscope/report.h"

struct differ {
	const struct history *a, *b;
	struct diff *d;
	size_t cap;
	bool parts; /* holds are compared by their part of the time */
};

struct diff_row *diff_add(struct differ *x, enum diff_class class, const char *what, double before,
			  double after);

/* Rows of files, libraries and modules; those of a holder are moved below it when all is sorted. */
void diff_modules(struct differ *x);
void diff_place_below(struct differ *x);

/* A row tells of this file. */
bool diff_has_file(const struct differ *x, const char *file);

#endif
