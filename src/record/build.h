/* SPDX-License-Identifier: Apache-2.0 */
/* build.h - how a history is made: find or make, and the file that is being read */
#ifndef STALLSCOPE_RECORD_BUILD_H
#define STALLSCOPE_RECORD_BUILD_H

#include <jansson.h>

#include "stallscope/history.h"

/* A loop in the file that is being read. */
struct loop_state {
	double first, last; /* in this file; NAN: not in it */
	bool open;	    /* a hold lasts that is no stall of the history yet */
	struct history_stall stall;
	double start; /* of the hold, on the monotonic clock */
};

struct history_index {
	struct addrmap texts, holders, stacks, groups, loops, holder_hosts, stalls, modules;
	const char **text;
	size_t n_text, text_cap, text_bytes;
	size_t files_cap, holders_cap, stalls_cap, stacks_cap, groups_cap, loops_cap, hosts_cap;
	size_t modules_cap;
	struct loop_state *states; /* of each loop */
	size_t states_cap;
	uint64_t snapshots; /* in full, so far */
};

/* Whose a line is: from the line itself, or from the hello of its process. */
struct origin {
	int64_t pid;
	const char *host, *command, *python, *container, *labels;
};

struct reading {
	struct history *h;
	struct history_file *file;
	struct origin *origins; /* of the hellos of this file */
	size_t n_origins, origins_cap;
};

/* Made safe, shared, cut; NULL for NULL. "" where there is no room left. */
const char *history_text(struct history *h, const char *text);

/* All of these give HISTORY_NONE, and count, where a bound is reached. */
uint32_t history_holder(struct history *h, const char *fingerprint);
uint32_t history_loop_of(struct history *h, const struct origin *o, const char *id);
uint32_t history_stack_of(struct history *h, const struct history_frame *frames, uint32_t n);
struct history_group *history_group_of(struct history *h, uint32_t loop, uint32_t stack,
				       const struct history_group *like);
struct history_module *history_module_of(struct history *h, enum history_module_kind kind,
					 const char *name); /* NULL: a bound is reached */
uint32_t history_host(struct history *h, const char *host);
void history_add_stall(struct history *h, const struct history_stall *stall);

/* One document; NULL, or why it was not taken (a literal). */
const char *history_take(struct reading *r, const json_t *document);

/* The file is over: what was open is closed. */
void history_end_file(struct reading *r);

/* What a document says of libraries, files and imports (modules.c). */
void history_take_modules(struct history *h, const json_t *document);
void history_take_holder_file(struct history *h, const json_t *document, const json_t *who);

/* "2026-11-23T14:03:16.231Z" as seconds since 1970; NAN for what is none. */
double history_time(const char *text);

/* Members of an object: NULL, NAN or -1 when they are not there or of another type. */
const char *member_text(const json_t *object, const char *key);
double member_number(const json_t *object, const char *key);
double member_seconds(const json_t *object, const char *key); /* NAN for what cannot be */
int64_t member_integer(const json_t *object, const char *key);

#endif
