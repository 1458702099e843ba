/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culprits.h - the catalogue of blocking calls
 *
 * data/culprits.tsv, compiled in: six columns (match kind, pattern, category, title,
 * advice, source). Rows of kind `py` name a Python function as module:function and are
 * looked up here by frame; the module is made from the file's path, so that a move from
 * re.py to re/__init__.py or to <frozen os> makes no difference.
 */
#ifndef STALLSCOPE_DIAGNOSE_CULPRITS_H
#define STALLSCOPE_DIAGNOSE_CULPRITS_H

#include "stallscope/error.h"
#include "stallscope/snapshot.h"

struct culprit_row {
	const char *kind, *pattern, *category, *title, *advice;
};

/* All rows, parsed at the first call; they live as long as the program. */
const struct culprit_row *culprits_rows(size_t *n);

/*
 * Parses a catalogue in place (text is changed and must outlive the rows). False with BAD_FILE
 * and the number of the line that is wrong. *rows is allocated, freed by the caller.
 */
bool culprits_parse(char *text, struct culprit_row **rows, size_t *n, struct error *err);

/* "http.client" for ".../lib/python3.11/http/client.py", "os" for "<frozen os>". */
void culprits_module(const char *file, char *module, size_t size);

/* The `py` row for a function of a file, or NULL. */
const struct culprit_row *culprits_find(const char *file, const char *function);

#endif
