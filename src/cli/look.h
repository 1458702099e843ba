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

/* How the options want it to be shown, where there is no terminal. */
struct render_options look_rendering(const struct look *k);

#endif
