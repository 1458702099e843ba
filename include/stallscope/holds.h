/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holds.h - from light looks at a loop to holds with a beginning and an end
 *
 * A hold is a turn of the loop that takes its time, or a wait that does not end. That it is over is
 * seen by the first look that finds another turn: it ended after the last look that saw it, and
 * before the next turn began. Pure: no clock, no target.
 */
#ifndef STALLSCOPE_HOLDS_H
#define STALLSCOPE_HOLDS_H

#include "stallscope/pulse.h"

struct hold {
	bool on;
	bool is_late;  /* a wait (PULSE_LATE), not a turn */
	bool is_lower; /* it began at since_ns or earlier */
	uint64_t turn, since_ns;
	uint64_t seen_ns; /* the last look that saw it */
	uint64_t over_ns; /* over at that time at the latest; 0: not over */
	bool is_lost;	  /* over, because the loop could not be seen any more */
};

/*
 * What a look says of the hold so far. True when it is over: *over is the whole of it, and h may
 * have another one already.
 */
bool hold_look(struct hold *h, const struct pulse_reading *r, struct hold *over);

/* How often to look. All in ns. */
struct hold_pace {
	uint64_t interval;  /* as a rule */
	uint64_t least;	    /* a hold of so much is to be seen, when looks can tell */
	uint64_t threshold; /* and one of that for certain, as soon as it is so long */
	uint64_t fine;	    /* from then on, to meet its end */
};

/* When the next look is due. regular: the next one of the even looks. */
uint64_t hold_next(const struct hold *h, const struct hold_pace *pace, uint64_t regular);

/* For how long it was held at the last look that saw it, at most until it was over, and likely. */
int64_t hold_least_ns(const struct hold *h);
int64_t hold_most_ns(const struct hold *h);
int64_t hold_likely_ns(const struct hold *h);

#endif
