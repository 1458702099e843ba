/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorded.h - a recording as a target of the live view: what was seen over time, and no picture
 *
 * Read once and never changed. All of its stalls are counted in what is said of it; those that can
 * be walked through are the longest.
 */
#ifndef STALLSCOPE_TUI_RECORDED_H
#define STALLSCOPE_TUI_RECORDED_H

#include "seen.h"
#include "stallscope/history.h"

struct recorded {
	struct history h;
	double first, last; /* looks; seconds since 1970, NAN unknown */
	uint64_t looks, unhealthy, stalls;
	uint32_t *rank; /* of holders, those with the most held time first */
	uint32_t worst; /* of h.stalls, HISTORY_NONE */
	uint32_t kept[STALLS_KEPT];
	size_t n_kept; /* of h.stalls, in the order of time */
};

bool recorded_read(const char *path, struct recorded **ret, struct error *err);
void recorded_destroy(struct recorded *r);

/* What is wrong with it, in a line; "" nothing. */
void recorded_note(const struct recorded *r, char *buf, size_t size);

/* Those that are kept; the key of each is its number in h.stalls and 1. */
void recorded_stalls(const struct recorded *r, struct seen *ret);

/* The holders with the most held time, over all stalls; each has a stall of `seen` as example. */
size_t recorded_holders(const struct recorded *r, const struct seen *seen, struct seen_holder *out,
			size_t max);

/* "14:03:16" here, with the date in front where it is wanted; "?" unknown. */
void recorded_time(double time, bool date, char *buf, size_t size);

#endif
