/* SPDX-License-Identifier: Apache-2.0 */
/* lines.h - documents out of a stream of bytes, one at a time, in bounded memory */
#ifndef STALLSCOPE_RECORD_LINES_H
#define STALLSCOPE_RECORD_LINES_H

#include <stdint.h>

#include "stallscope/strbuf.h"

enum lines_key { LINES_KEY_NONE, LINES_KEY_OPEN, LINES_KEY_DONE };

/*
 * A document is a line; or, where the first line opens an object and ends (as jq prints it), all up
 * to the brace that closes it. Of a document that is longer than `most`, the rest is passed over.
 * The array "tasks" of the outer object is always passed over: it may be a thousand times longer
 * than all others, and what is wanted of it is in the groups.
 */
struct lines {
	struct strbuf text;
	size_t most;
	unsigned depth, skip_depth; /* skip_depth: where the array that is passed over began */
	enum lines_key key;
	char name[8]; /* of the member of the outer object, cut */
	unsigned name_len;
	bool in_string, escaped, expect_key, skipping;
	bool too_long, pretty, begun;
};

enum lines_event { LINES_MORE, LINES_DOCUMENT };

void lines_init(struct lines *l, size_t most);
void lines_deinit(struct lines *l);

/* Takes a byte; LINES_DOCUMENT when text is a whole document. lines_next() goes on after that. */
enum lines_event lines_take(struct lines *l, char c);
void lines_next(struct lines *l);

/* True between two lines of a file that has a document on each. */
static inline bool lines_between(const struct lines *l)
{
	return l->begun && !l->pretty && !l->text.len && !l->depth && !l->in_string && !l->too_long;
}

#endif
