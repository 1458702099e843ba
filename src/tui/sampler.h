/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sampler.h - looks at one target, in a thread of its own
 *
 * The screen never waits for it: what it has found is fetched when it is there. Full looks have a
 * budget of CPU time, light ones come at the rate that was asked for. No signal is handled in its
 * thread.
 */
#ifndef STALLSCOPE_TUI_SAMPLER_H
#define STALLSCOPE_TUI_SAMPLER_H

#include "picture.h"
#include "state.h"

struct sampler;

struct sampler_options {
	int rate; /* light looks per second */
	int64_t threshold_ns;
	uint64_t max_tasks; /* 0: all */
};

#define PULSES_KEPT 16u

/* What came since it was fetched last. */
struct sampler_news {
	struct picture *picture;   /* the newest, or NULL; a reference is handed over */
	struct recorded *recorded; /* of a recording, or NULL; is handed over */
	struct pulse pulses[PULSES_KEPT];
	size_t n_pulses; /* of those that did not fit the oldest are gone */
	bool have_life;
	enum life life;
	char message[400];
};

/* wake: an eventfd that is written to when there is news. */
struct sampler *sampler_start(const char *argument, const struct sampler_options *options,
			      int wake);

/* Asks the thread to end, and does not wait. */
void sampler_ask_to_stop(struct sampler *s);

/*
 * Ends the thread, and waits for that until a time of CLOCK_MONOTONIC; one that does not come to
 * an end is left behind, and so is its memory.
 */
void sampler_stop(struct sampler *s, int64_t until_ns);

void sampler_fetch(struct sampler *s, struct sampler_news *ret);

/* native: functions of C are wanted, for which a held thread is stopped where it cannot notice. */
void sampler_set(struct sampler *s, int rate, int64_t threshold_ns, bool native);
void sampler_refresh(struct sampler *s); /* a full look now */

#endif
