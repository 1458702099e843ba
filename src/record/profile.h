/* SPDX-License-Identifier: Apache-2.0 */
/* profile.h - weighted stacks of a history: what flame graphs and profiles are made of */
#ifndef STALLSCOPE_RECORD_PROFILE_H
#define STALLSCOPE_RECORD_PROFILE_H

#include "stallscope/history.h"

struct profile_row {
	uint32_t loop, stack, holder; /* stack: HISTORY_NONE unknown; holder: then */
	double weight;
};

/* Of stalls by held seconds; where there are none, of tasks by their await path. */
struct profile {
	struct profile_row *v; /* rows of one loop together; each stack once */
	size_t n;
	bool of_tasks; /* weights are tasks, not seconds */
};

/* Freed by profile_deinit(). */
void profile_make(const struct history *h, struct profile *ret);
void profile_deinit(struct profile *p);

/* The frames of a row, innermost first; of a stall without a stack its function. */
struct history_stack profile_stack(const struct history *h, const struct profile_row *row,
				   struct history_frame *room);

#endif
