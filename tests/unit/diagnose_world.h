/* SPDX-License-Identifier: Apache-2.0 */
/* diagnose_world.h - a snapshot built by hand, for tests of the rules */
#ifndef STALLSCOPE_TESTS_DIAGNOSE_WORLD_H
#define STALLSCOPE_TESTS_DIAGNOSE_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "stallscope/diagnose.h"

#define MS     INT64_C(1000000)
#define NOW_NS (UINT64_C(1000) * 1000000000)

/* A process with one loop in one thread, whose stack is leaf <- own <- Handle._run. */
struct world {
	struct snapshot s;
	struct process process;
	struct snap_code codes[3];
	struct snap_frame frames[3];
	struct snap_thread thread;
	struct snap_loop loop;
	struct snap_look looks[8];
};

static inline void init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->codes[0] = (struct snap_code){.function = "readinto",
					 .qualname = "SocketIO.readinto",
					 .file = "/usr/lib/python3.11/socket.py"};
	w->codes[1] = (struct snap_code){.function = "get_price",
					 .qualname = "Api.get_price",
					 .file = "/srv/app/pricing.py",
					 .own = true,
					 .async = true};
	w->codes[2] = (struct snap_code){.function = "_run",
					 .qualname = "Handle._run",
					 .file = "/usr/lib/python3.11/asyncio/events.py"};
	for (uint32_t i = 0; i < 3; i++)
		w->frames[i] =
			(struct snap_frame){.code = i, .at = {.line = 10}, .task = SNAP_NONE};
	w->thread.stack = (struct snap_stack){0, 3, false};
	w->thread.os.have_stat = true;
	w->thread.os.stat.state = 'S';
	w->loop.current_task = w->loop.outer = SNAP_NONE;
	w->loop.run.loop = 0x1000;
	w->loop.have_info = w->loop.have_run = true;
	w->loop.info.class_name = "x";
	w->loop.phase = SNAP_CALLBACKS;
	w->loop.run.have_end_time = w->loop.run.have_batch = true;
	w->s.process = &w->process;
	w->s.process_state = 'S';
	w->s.codes = w->codes;
	w->s.frames = w->frames;
	w->s.threads = &w->thread;
	w->s.loops = &w->loop;
	w->s.looks = w->looks;
	w->s.n_codes = w->s.n_frames = 3;
	w->s.n_threads = w->s.n_loops = 1;
	w->s.clock_ns = NOW_NS;
}

static inline void held(struct world *w, int64_t ns)
{
	w->loop.have_held = true;
	w->loop.held_ns = ns;
	w->loop.run.end_time = (double)(NOW_NS - (uint64_t)ns) / 1e9;
}

/* The i-th look, at ms after the first, at a position in the batch; the thread was on CPU for
 * cpu_ms. */
static inline struct snap_look *look(struct world *w, int64_t ms, int64_t index, int64_t ntodo,
				     int64_t cpu_ms)
{
	struct snap_look *l = &w->looks[w->s.n_looks++];

	l->clock_ns = NOW_NS + (uint64_t)(ms * MS);
	l->loop = 0x1000;
	l->found = l->in_callbacks = l->have_sched = true;
	l->state = w->thread.os.stat.state;
	l->index = index;
	l->ntodo = ntodo;
	l->end_time = w->loop.run.end_time;
	l->handle = 0x2000 + (uint64_t)index;
	l->on_cpu_ns = (uint64_t)(cpu_ms * MS);
	if (w->s.n_looks == 1) {
		w->loop.run.index = index;
		w->loop.run.ntodo = ntodo;
	}
	return l;
}

static inline struct verdict judge(struct world *w)
{
	struct diagnose_options options = {100 * MS};
	struct diagnosis *d = diagnose(&w->s, &options);
	struct verdict v = *diagnosis_main(d);

	assert_int_equal(v.id, d->worst);
	diagnosis_destroy(d);
	return v;
}

static inline void in_call(struct world *w, int64_t number, uint64_t arg)
{
	w->thread.os.have_syscall = true;
	w->thread.os.syscall.number = number;
	w->thread.os.syscall.args[0] = arg;
}

#endif
