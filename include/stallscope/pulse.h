/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulse.h - is the loop held, and since when: in two or three reads
 *
 * A full look (snapshot.h) finds where a loop keeps the variables of its present turn. From then
 * on one read of that place tells whether callbacks run, and one of the number in it since when:
 * cheap enough for hundreds of looks in a second. Nothing is allocated and no text of /proc is
 * read (but the system call of a thread that has stood still for a while, some times a second).
 *
 * The place is checked in each look. When it is not the loop's any more the stack of its thread is
 * walked for the new one; only when there is none the reading says PULSE_LOST, and a full look has
 * to find out what became of the loop.
 */
#ifndef STALLSCOPE_PULSE_H
#define STALLSCOPE_PULSE_H

#include "stallscope/snapshot.h"

enum pulse_state {
	PULSE_SELECT, /* it waits for events, or is between two turns */
	PULSE_HELD,   /* select has returned: callbacks run */
	PULSE_LATE,   /* select should have returned, or has and its thread waits for the GIL */
	PULSE_LOST,   /* it does not run any more where it ran, or cannot be read */
};

/* Times: ns of CLOCK_MONOTONIC in the target's time namespace, as in a snapshot. */
struct pulse_reading {
	uint64_t loop; /* address */
	int32_t tid;   /* ours */
	enum pulse_state state;
	uint64_t clock_ns; /* of this look */
	uint64_t turn;	   /* HELD: the same number as long as it is the same turn */
	uint64_t since_ns; /* HELD: when the turn began; LATE: when select should have returned,
			      or when its thread was first seen to wait for the GIL */
	bool is_lower;	   /* it was held, or is late, since that time or an earlier one */
	uint64_t handle;   /* HELD: address of the Handle that runs, 0 unknown */
};

struct pulse;

/*
 * The loops that snap found running in py, which outlives the pulse. The looks go through a source
 * of their own, so a look that py is in the middle of is not disturbed.
 */
struct pulse *pulse_create(struct python *py, const struct snapshot *snap);
void pulse_destroy(struct pulse *p); /* NULL is allowed */

size_t pulse_loops(const struct pulse *p);

/* One light look at loop number i. */
void pulse_look(struct pulse *p, size_t i, struct pulse_reading *ret);

/*
 * When the select that the last reading of loop i saw began, from the timer that it waits for:
 * false when that is not known. Some twenty reads.
 */
bool pulse_select_since(struct pulse *p, size_t i, uint64_t *ns);

/* Walks of a stack so far, because a loop was not where it had been or did not move for long. */
uint64_t pulse_walks(const struct pulse *p);

#endif
