/* SPDX-License-Identifier: Apache-2.0 */
/* culprits_private.h - what the parser of catalogues and the catalogue itself share */
#ifndef STALLSCOPE_CULPRITS_PRIVATE_H
#define STALLSCOPE_CULPRITS_PRIVATE_H

#include "stallscope/culprits.h"

#define CULPRITS_ROWS_MAX  10000u     /* of one file */
#define CULPRITS_BYTES_MAX (4u << 20) /* of one file */
#define CULPRITS_NONE	   ((uint32_t)-1)

/* Rows by kind and pattern: open addressing over their numbers, no deletion. */
struct culprit_index {
	uint32_t *slots;     /* number of the row + 1, 0 free */
	uint32_t size, used; /* of the slots; size is a power of two, or 0 before the first row */
};

void culprit_index_deinit(struct culprit_index *index);
uint32_t culprit_index_get(const struct culprit_index *index, const struct culprit_row *rows,
			   enum culprit_kind kind, const char *pattern); /* CULPRITS_NONE */
void culprit_index_put(struct culprit_index *index, const struct culprit_row *rows, uint32_t row);

/*
 * Parses len bytes of a catalogue in place: text is changed and must outlive the rows, text[len]
 * is 0. False with BAD_FILE, "name:line:column: what is wrong" and a hint. *rows is allocated,
 * freed by the caller.
 */
bool culprits_parse(const char *name, char *text, size_t len, enum culprit_origin origin,
		    struct culprit_row **rows, size_t *n, struct error *err);

/*
 * Reads a whole file of at most CULPRITS_BYTES_MAX bytes and ends it with a 0. *ret is allocated.
 * NO_FILE, PERMISSION or BAD_FILE.
 */
bool culprits_read(const char *path, char **ret, size_t *len, struct error *err);

/* "$XDG_CONFIG_HOME/stallscope/culprits.tsv" or its default into buf; false when there is none. */
bool culprits_config_path(char *buf, size_t size);

/* Forgets what was loaded. For tests: rows that were handed out are gone. */
void culprits_unload(void);

#endif
