/* SPDX-License-Identifier: Apache-2.0 */
/* look.h - one look at an open target, as `dump` takes it (dump.c), for the commands that need one
 */
#ifndef STALLSCOPE_CLI_LOOK_H
#define STALLSCOPE_CLI_LOOK_H

#include "cli.h"

struct look {
	struct target *target;
	const struct options *o;
	struct snapshot *snap;
	struct diagnosis *d;
	FILE *out; /* where it will be shown: how wide that is decides what is read; NULL nowhere */
	struct task_filter filter;
	struct strbuf host; /* where the target runs or ran; empty: unknown */
};

/* The first look; target and o must outlive *ret, which is closed in any case. */
bool look_open(struct target *target, const struct options *o, struct look *ret, struct error *err);

/* The same, to be shown as text in a file that may be a terminal of some width. */
bool look_open_to(FILE *out, struct target *target, const struct options *o, struct look *ret,
		  struct error *err);

/* Another one. What the one before has found is gone then. */
bool look_again(struct look *k, struct error *err);
void look_close(struct look *k);

/* ---- the steps of a look, for those who watch (watch*.c) ---------------------------------- */

/*
 * One full look and what it says, no light ones. The series of looks of the snapshot before, when
 * there is one, goes on in the new one.
 */
bool look_take(struct look *k, struct error *err);
void look_judge(struct look *k);	 /* anew, after a light look */
void look_fetch_sources(struct look *k); /* the lines of the culprits */
void look_find_host(struct look *k);

/*
 * What the process is made of, for JSON. known, in recordings: the digest of what was written last,
 * which is not written again; 0 at first.
 */
void look_read_modules(struct look *k, uint64_t *known);

/* Frames of C, as --native says: this may stop the threads of loops for a moment. */
void look_at_native(struct look *k);

/* As a sparse core; path NULL: nothing is done. */
bool look_save(const struct look *k, const char *path, struct error *err);

/* How the options want it to be shown, where there is no terminal. */
struct render_options look_rendering(const struct look *k);

#endif
