/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seen.h - what was seen of a process over time: how late its loops were, and each stall
 *
 * Pure and of bounded size: a ring of the last ten minutes for each loop, and a ring of stalls.
 * Nothing here knows a clock; times come in with pulses and pictures and are the target's.
 */
#ifndef STALLSCOPE_TUI_SEEN_H
#define STALLSCOPE_TUI_SEEN_H

#include "picture.h"

#define LANES	      PULSE_LOOPS
#define LANE_SLOTS    2400u
#define LANE_SLOT_NS  INT64_C(250000000)
#define STALLS_KEPT   500u
#define HOLDERS_SHOWN 20u

/* How late a loop was, the worst of each slot in us; LANE_UNKNOWN: not looked. */
#define LANE_UNKNOWN UINT32_MAX
struct lane {
	uint64_t loop;
	int64_t last_slot; /* number of the newest slot since the clock began */
	uint32_t us[LANE_SLOTS];
};

struct seen_stall {
	uint64_t key; /* to find it again */
	uint64_t loop;
	double end_time;  /* of the turn: when select returned */
	uint64_t wall_ns; /* when it began, 0 unknown */
	int64_t held_ns;  /* as long as it was seen: the look after that found it over */
	bool open;	  /* still going on */
	bool explained;	  /* a picture of it was taken: what follows is of it */
	enum verdict_id id;
	char kind[32], who[80], place[96], what[64];
	uint64_t fingerprint; /* of kind, who and library */
	char *stack;	      /* lines of text, NULL */
};

struct seen {
	struct lane *lanes[LANES];
	size_t n_lanes;
	struct seen_stall *v; /* a ring of STALLS_KEPT */
	size_t first, n;
	uint64_t total; /* seen so far, with those that fell out */
	int64_t threshold_ns;
	uint64_t since_wall_ns; /* of the first pulse */
};

void seen_init(struct seen *h, int64_t threshold_ns);
void seen_deinit(struct seen *h);

void seen_pulse(struct seen *h, const struct pulse *p);

/* Says of a stall that goes on, or just ended, what it is. */
void seen_picture(struct seen *h, const struct picture *p);

/* Nothing is looked at any more: what went on has ended as far as it was seen. */
void seen_end(struct seen *h);

/* A new one, empty; where there is no room the oldest is gone. */
struct seen_stall *seen_push(struct seen *h);

/* 0 is the newest. */
const struct seen_stall *seen_stall(const struct seen *h, size_t i);

/* The worst lateness in ns between two times of the clock; -1 where nothing was looked at. */
int64_t seen_worst(const struct seen *h, uint64_t loop, int64_t from_ns, int64_t to_ns);

/* Who held most. */
struct seen_holder {
	uint64_t fingerprint;
	const struct seen_stall *example; /* the worst */
	uint32_t count;
	int64_t sum_ns, p50_ns, p95_ns, max_ns;
	double share; /* of all time held */
};

/* At most max of them, most first; their number is the result. */
size_t seen_holders(const struct seen *h, struct seen_holder *out, size_t max);

#endif
