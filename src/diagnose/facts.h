/* SPDX-License-Identifier: Apache-2.0 */
/* facts.h - what the rules look at: the facts of one loop over the series of looks */
#ifndef STALLSCOPE_DIAGNOSE_FACTS_H
#define STALLSCOPE_DIAGNOSE_FACTS_H

#include "stallscope/diagnose.h"

struct facts {
	const struct snapshot *snap;
	const struct snap_loop *loop;	  /* NULL for the rules of the whole process */
	const struct snap_thread *thread; /* NULL likewise */
	int64_t threshold_ns;

	size_t looks; /* of this loop */
	double window_s;
	int64_t worst_held_ns;	  /* over the looks */
	bool held_now;		  /* held >= threshold at the full look */
	bool same_turn;		  /* every look saw the same end_time */
	bool same_callback;	  /* ... and the same index and handle */
	bool index_moved;	  /* the same turn, another callback */
	bool turn_moved;	  /* another turn */
	bool waited;		  /* a look found it waiting in select */
	double on_cpu, run_queue; /* ratio, < 0 unknown */
	int64_t max_batch;	  /* largest ntodo seen */
	double callback_s;	  /* mean cost of a callback, < 0 unknown */
	double turn_s;		  /* how long a turn takes: observed or projected */
	size_t gil_looks;	  /* looks that found the thread waiting for the GIL */
	char state;		  /* of the thread, 0 unknown */
};

void facts_of_loop(const struct snapshot *snap, uint32_t loop, int64_t threshold_ns,
		   struct facts *ret);

void add_evidence(struct verdict *v, const char *source, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Fills v->culprit: the slice of the stack, the own frame, the leaf, the system call. */
void find_culprit(const struct facts *f, struct verdict *v);

/* The kind, title and advice of a blocking call, by the system call alone. */
struct call_kind {
	const char *call, *kind, *title, *advice;
};
const struct call_kind *call_kind(const char *system_call);

#endif
