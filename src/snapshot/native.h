/* SPDX-License-Identifier: Apache-2.0 */
/* native.h - stacks of C and of Python, put together */
#ifndef STALLSCOPE_SNAPSHOT_PRIVATE_NATIVE_H
#define STALLSCOPE_SNAPSHOT_PRIVATE_NATIVE_H

#include "stallscope/native.h"
#include "stallscope/snapshot.h"

/* What is known of one thread. */
struct native_parts {
	const struct native_stack *native;
	const struct py_evaluation *evaluations; /* innermost first; none: they are not known */
	size_t n_evaluations;
	bool moved;	    /* they are not of the snapshot's stack */
	uint64_t main_base; /* of the object that has the interpreter: begin and end */
	uint64_t main_end;
};

/* Appends the frames of the thread to the snapshot. */
void native_merge(struct snapshot *s, struct snap_thread *thread, const struct native_parts *parts);

/* A new frame of the snapshot's natives, for this thread: threads take turns, never mixed. */
struct snap_native_frame *native_add(struct snapshot *s, struct snap_thread *thread);

#endif
