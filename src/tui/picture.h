/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picture.h - what a sampler hands over: whole pictures, and a pulse at each tick
 *
 * A picture is a snapshot and its diagnosis, never changed once handed over, and shared by
 * counting. Pictures of one full look share its tasks and stacks; the loops and the series of
 * looks, which light looks write, are each picture's own. A pulse is the few numbers that a light
 * look gives.
 */
#ifndef STALLSCOPE_TUI_PICTURE_H
#define STALLSCOPE_TUI_PICTURE_H

#include <stdatomic.h>

#include "stallscope/diagnose.h"

/* A target, open; kept as long as a picture of it. */
struct opened {
	atomic_uint refs;
	struct source *src;
	struct process *proc;
	struct python *py;
	struct strbuf host; /* where it runs or ran; empty: unknown */
};

/* Neither a pid nor a core: it has no pictures, but what was seen over time. */
bool argument_is_recording(const char *argument);

/* A full look. */
struct base {
	atomic_uint refs;
	struct opened *opened;
	struct snapshot *snap;
};

struct picture {
	atomic_uint refs;
	struct base *base; /* NULL: snap is somebody else's (tests) */
	struct snapshot snap;
	struct diagnosis *d;
	uint64_t number; /* of the full look, from 1 */
	bool brief;	 /* only some of the tasks were read, as all would have cost too much */
};

/* argument: a pid, or the path of a core. */
bool opened_open(const char *argument, struct opened **ret, struct error *err);
void opened_unref(struct opened *o);

/* The lines of source of threads' own frames; before the snapshot is part of a picture. */
void picture_sources(struct snapshot *snap, struct source *src);

/* Takes over snap, and a reference of o. */
struct base *base_new(struct opened *o, struct snapshot *snap);
void base_unref(struct base *b);

/*
 * What light looks may write: base's snapshot with loops and looks of its own. Let go by
 * picture_view_deinit().
 */
void picture_view_init(struct snapshot *view, const struct snapshot *of);
void picture_view_deinit(struct snapshot *view);

/* A picture of a view as it is now; takes over d. */
struct picture *picture_new(struct base *base, const struct snapshot *view, struct diagnosis *d);
struct picture *picture_ref(struct picture *p);
void picture_unref(struct picture *p);

/* The one look that a recording has, with the series that it brings along. */
bool picture_of_recording(struct opened *o, uint64_t max_tasks, int64_t threshold_ns,
			  struct picture **ret, struct error *err);

/* The verdict that the whole is named by, and that of one loop (SNAP_NONE: of the process). */
const struct verdict *picture_verdict(const struct picture *p, uint32_t loop);

#define PULSE_LOOPS 16u

/* One loop in a light look. */
struct pulse_loop {
	uint64_t loop;
	bool found;
	bool same;	 /* the callback that the picture shows still holds it */
	double end_time; /* when select returned, 0: the loop is in it, or that is not known */
	int64_t held_ns; /* -1 unknown, 0 in select */
	int64_t left;	 /* callbacks of this turn that are still to come, -1 unknown */
	char state;	 /* of the thread */
	double on_cpu;	 /* of the time since the look before, < 0 unknown */
};

struct pulse {
	uint64_t clock_ns, wall_ns; /* of the target */
	size_t n;
	struct pulse_loop loops[PULSE_LOOPS];
};

/* When the turn that a full look shows began: select returned, or libuv took its time. 0 unknown.
 */
double picture_turn(const struct snap_loop *l);

/* From the last look at each loop of a view. */
void pulse_make(const struct snapshot *view, struct pulse *ret);

#endif
