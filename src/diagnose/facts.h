/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.h - what the rules look at: the facts of one loop over the series of looks
 *
 * The series has looks before the full one when a stall began while we looked and a new full
 * look was taken of it. "Since" facts begin at the full look, which the stack and the tasks
 * are of; "all" facts are of the whole series.
 */
#ifndef STALLSCOPE_DIAGNOSE_FACTS_H
#define STALLSCOPE_DIAGNOSE_FACTS_H

#include "stallscope/culprits.h"
#include "stallscope/diagnose.h"

struct facts {
	const struct snapshot *snap;
	uint32_t index;			  /* of the loop; SNAP_NONE for rules of the process */
	const struct snap_loop *loop;	  /* NULL for the rules of the whole process */
	const struct snap_thread *thread; /* NULL likewise */
	const struct culprit *culprit;	  /* found before the rules are asked; NULL likewise */
	int64_t threshold_ns;
	char state; /* of the thread, 0 unknown */

	/* since the full look, which counts */
	size_t looks, found_looks; /* of these, those that found the loop's turn */
	double window_s;
	bool have_held, held_is_lower;
	int64_t held_ns; /* at the full look; by a loop with a clock of its own, while we looked */
	bool held_now;	 /* ... for the threshold or longer */
	bool same_callback;	  /* every look saw the same turn, position and handle */
	bool index_moved;	  /* the same turn, another callback */
	bool turn_moved;	  /* another turn */
	double on_cpu, run_queue; /* ratio, < 0 unknown */
	bool slept;		  /* the thread has not run between the looks */
	size_t runnable_looks;	  /* state R */
	size_t gil_looks;	  /* that found the thread waiting for the GIL */
	bool one_gil_holder;	  /* ... held by the same thread in all of them */
	size_t gc_looks;	  /* that found the garbage collector at work */

	/* of the whole series */
	size_t all_looks;
	double all_window_s;
	int64_t worst_held_ns;
	unsigned episodes;   /* distinct holds of the threshold and longer */
	size_t select_looks; /* that found the loop waiting in select, its thread asleep */
	double all_on_cpu, all_run_queue;
	int64_t max_batch; /* largest ntodo seen */
	double callback_s; /* mean cost of a callback, < 0 unknown */
	double turn_s;	   /* how long a turn takes: observed or projected */
	double majflt_per_s;
};

void facts_of_loop(const struct snapshot *snap, uint32_t loop, int64_t threshold_ns,
		   struct facts *ret);

/* Late now or in a look: held for the threshold, or a timer overdue by it. */
bool facts_late(const struct facts *f);

/* Jobs wait for a thread of the default executor: it has all that it may have, and none is idle. */
bool facts_executor_full(const struct facts *f);

void add_evidence(struct verdict *v, const char *source, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Fills v->culprit. WHO: the slice of the stack, the own frame, the library that was called.
 * WHAT: the leaf, by the C function that it calls and by the system call (culprit.c).
 */
void find_culprit(const struct facts *f, struct verdict *v);

/* The `native` row of the catalogue for a function of C below the own frame, NULL (native.c). */
const struct culprit_row *find_native(const struct facts *f, struct culprit *c);
void native_evidence(const struct facts *f, struct verdict *v);

/* What a row of the catalogue says goes into the culprit; its library stays. */
void take_row(const struct culprit_row *row, struct culprit *c);

/* "waits for the database" for io.db; NULL where the system call says it better. */
const char *category_clause(const char *category);

/* The first frame of the stack whose function and file's end are these, from the leaf; else
 * SNAP_NONE. */
uint32_t find_frame(const struct snapshot *s, const struct snap_stack *stack, const char *file,
		    const char *function);

#endif
