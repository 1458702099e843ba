/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: watches one process, and keeps what it sees as JSON Lines. Beside the light looks, which
 * no stall escapes, a thread of its own looks as dump does, again and again, through files of its
 * own: snapshots, which are written in full when something changed and now and then, and in a few
 * numbers in between.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "watch.h"

#define WINDOW_NS   INT64_C(200000000)	 /* of a snapshot at most, and half of the interval */
#define FULL_NS	    INT64_C(10000000000) /* a full snapshot at least that often */
#define FAILED_MOST 20u			 /* looks in a row: then it is no use */
#define STATE_LOOPS 16u			 /* whose state is compared: others count as changed */
#define PULSES	    4u			 /* light looks in a hold that just is a stall */
#define PULSE_LEAST WATCH_MS
#define PULSE_MOST  (50 * WATCH_MS)

/* What is compared to tell that a snapshot has something new. */
struct state {
	size_t n;
	struct {
		uint64_t loop;
		enum verdict_id id;
		char kind[32], fingerprint[FINGERPRINT_SIZE];
	} loops[STATE_LOOPS];
};

struct recorder {
	struct watch *w;
	struct options o; /* of one look */
	struct target target;
	struct look look;
	struct strbuf line;
	struct state before;
	uint64_t full_ns;    /* when a full snapshot was written; 0 never */
	uint64_t modules_ns; /* when it was looked at what the process is made of ... */
	uint64_t modules;    /* ... and its digest */
	pthread_t thread;
	bool started;
	pthread_cond_t changed;
	bool is_to_end; /* under the lock of w */
	_Atomic uint64_t looks, missed;
	atomic_bool gave_up;
	struct error err; /* of a look; of the thread, until it gave up */
};

/* ---- lines ----------------------------------------------------------------------------------- */

static struct state state_of(const struct look *k)
{
	struct state state = {.n = k->snap->n_loops};

	for (size_t i = 0; i < state.n && i < STATE_LOOPS; i++) {
		const struct verdict *v = &k->d->loops[i];

		state.loops[i].loop = k->snap->loops[i].run.loop;
		state.loops[i].id = v->id;
		memcpy(state.loops[i].kind, v->kind, sizeof(v->kind));
		verdict_fingerprint(k->snap, v, state.loops[i].fingerprint);
	}
	return state;
}

static bool same_state(const struct state *a, const struct state *b)
{
	if (a->n != b->n || a->n > STATE_LOOPS)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->loops[i].loop != b->loops[i].loop || a->loops[i].id != b->loops[i].id ||
		    strcmp(a->loops[i].kind, b->loops[i].kind) != 0 ||
		    strcmp(a->loops[i].fingerprint, b->loops[i].fingerprint) != 0)
			return false;
	return true;
}

/* Through memory: a line is written by one call. */
static bool render_full(struct recorder *r)
{
	struct error *err = &r->err;
	struct render_options options = look_rendering(&r->look);
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	bool ok;

	if (!memory)
		return error_sys(err, ERR_INTERNAL, errno, "no memory for a snapshot");
	options.tasks = r->o.tasks_given && r->o.tasks == RENDER_TASKS_ALL ? RENDER_TASKS_ALL
									   : RENDER_TASKS_NONE;
	options.type = "snapshot";
	ok = render_json(r->look.snap, r->look.d, &options, memory);
	ok = !fclose(memory) && ok;
	if (ok)
		strbuf_add(&r->line, text, len);
	else
		error_set(err, ERR_INTERNAL, "no memory for a snapshot");
	free(text);
	return ok;
}

/* What is imported is looked at less often than stalls begin and end; files of stacks each time. */
static void read_modules(struct recorder *r)
{
	uint64_t now = r->look.snap->clock_ns;

	if (!r->modules || now - r->modules_ns >= FULL_NS) {
		look_read_modules(&r->look, &r->modules);
		r->modules_ns = now;
	} else {
		snapshot_files(r->look.snap, r->target.src);
	}
}

static bool write_snapshot(struct recorder *r)
{
	struct state state = state_of(&r->look);
	uint64_t now = r->look.snap->clock_ns;

	if (r->full_ns && same_state(&state, &r->before) && now - r->full_ns < FULL_NS) {
		render_light(r->look.snap, r->look.d, &r->line);
	} else {
		read_modules(r);
		if (!render_full(r))
			return false;
		r->full_ns = now;
	}
	r->before = state;
	watch_write(r->w, &r->line);
	return true;
}

/* ---- the thread of snapshots ----------------------------------------------------------------- */

/* Until the next look is due; what could not be taken in time is left out. False: it is the end. */
static bool wait_turn(struct recorder *r, uint64_t *due, uint64_t until)
{
	uint64_t now = watch_now(), interval = (uint64_t)r->o.interval_ns;
	struct timespec ts;
	bool goes_on;

	*due += interval;
	if (*due < now) {
		r->missed += (now - *due) / interval + 1;
		*due += ((now - *due) / interval + 1) * interval;
	}
	if (*due >= until)
		return false;
	ts = (struct timespec){(time_t)(*due / WATCH_SECOND), (long)(*due % WATCH_SECOND)};
	pthread_mutex_lock(&r->w->lock);
	while (!r->is_to_end && watch_now() < *due)
		pthread_cond_timedwait(&r->changed, &r->w->lock, &ts);
	goes_on = !r->is_to_end;
	pthread_mutex_unlock(&r->w->lock);
	return goes_on;
}

/*
 * A look that fails is one that was missed: a process that changes fast may be readable again the
 * next time. What became of one that is not alive the other thread finds out.
 */
static bool look_failed(struct recorder *r, unsigned in_a_row)
{
	bool is_alive = source_alive(r->target.src);

	r->missed++;
	r->gave_up = is_alive && in_a_row == FAILED_MOST;
	return is_alive && !r->gave_up;
}

/* False: that was the last one. */
static bool took(struct recorder *r)
{
	if (!write_snapshot(r)) {
		r->gave_up = true;
		return false;
	}
	return ++r->looks != r->o.count;
}

static void *take_snapshots(void *arg)
{
	struct recorder *r = arg;
	const struct options *o = &r->w->o;
	uint64_t due = watch_now(), until = o->for_given ? due + (uint64_t)o->for_ns : UINT64_MAX;
	bool ok = look_open(&r->target, &r->o, &r->look, &r->err);
	unsigned failed = !ok;

	while (ok ? took(r) : look_failed(r, failed)) {
		if (!wait_turn(r, &due, until))
			break;
		ok = look_again(&r->look, &r->err);
		failed = ok ? 0 : failed + 1;
	}
	look_close(&r->look);
	return NULL;
}

/* ---- the other thread ------------------------------------------------------------------------ */

uint64_t recorder_looks(const struct recorder *r)
{
	return r->looks;
}

static bool start(struct recorder *r, struct error *err)
{
	pthread_condattr_t attr;
	sigset_t all, before;
	int sys;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	sys = pthread_create(&r->thread, NULL, take_snapshots, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	r->started = !sys;
	return !sys || error_sys(err, ERR_INTERNAL, sys, "no thread for snapshots");
}

void recorder_end(struct recorder *r)
{
	if (!r->started)
		return;
	pthread_mutex_lock(&r->w->lock);
	r->is_to_end = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->w->lock);
	pthread_join(r->thread, NULL);
	r->started = false;
}

void recorder_serve(struct watch *w, uint64_t now)
{
	struct recorder *r = w->recorder;
	struct watched *t = w->v[0];

	if (r->gave_up) {
		w->status = report_error(&r->err);
		watched_remove(w, 0, r->err.text);
	} else if (now >= t->attach_ns && !source_alive(t->target.src)) {
		watched_remove(w, 0, "it ended, or became another program");
	}
}

/* As often as a hold of the threshold is met by some of them, also when all is not well. */
static uint64_t pulse_interval(const struct options *o)
{
	uint64_t ns = (uint64_t)o->threshold_ns / PULSES;

	return ns < PULSE_LEAST ? PULSE_LEAST : ns > PULSE_MOST ? PULSE_MOST : ns;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* What can be recorded is known before there is a file. The exit status. */
static int prepare(struct watch *w)
{
	struct watched *t = watch_add_named(w, w->o.targets[0], &w->err);

	if (!t)
		return report_error(&w->err);
	watched_attach(w, t, watch_now());
	if (w->status)
		return w->status;
	if (!t->is_greeted) {
		error_set(&w->err, ERR_NO_PROCESS, "no process with pid %d", (int)t->pid);
		return report_error(&w->err);
	}
	if (!target_open(w->o.targets[0], false, &w->recorder->target, &w->err) ||
	    !line_file_open(w->o.output, &w->file, &w->err))
		return report_error(&w->err);
	return 0;
}

static int record(struct watch *w)
{
	struct recorder *r = w->recorder;
	struct event_clock clock = w->v[0]->clock;
	int64_t ahead_ns = w->v[0]->ahead_ns;

	watch_flush(w); /* hello */
	if (!start(r, &w->err))
		return report_error(&w->err);
	watch_run(w);
	recorder_end(r);
	while (w->n)
		watched_remove(w, 0, NULL);
	w->bye.looks = r->looks;
	w->bye.missed = r->missed;
	render_bye(&clock, watch_now() + (uint64_t)ahead_ns, &w->bye, &w->line);
	watch_flush(w);
	return watch_end_output(w);
}

int command_record(const struct options *o)
{
	struct recorder r = {.o = *o, .line = STRBUF_INIT};
	struct watch w = {.o = *o,
			  .recorder = &r,
			  .file = {.fd = -1},
			  .line = STRBUF_INIT,
			  .refused = ADDRMAP_INIT,
			  .refused_now = ADDRMAP_INIT,
			  .lock = PTHREAD_MUTEX_INITIALIZER};
	int status;

	r.w = &w;
	r.o.for_ns = o->interval_ns / 2 < WINDOW_NS ? o->interval_ns / 2 : WINDOW_NS;
	w.o.format = FORMAT_JSON;
	w.o.native = SNAP_NATIVE_NEVER; /* who looks often stops no thread */
	if (!w.o.max_tasks)
		w.o.max_tasks = WATCH_TASKS;
	watch_pace(&w, pulse_interval(o), (uint64_t)o->threshold_ns);
	if (!culprits_load(o->culprits, &w.err))
		return report_error(&w.err);
	watch_heed_second();
	status = prepare(&w);
	if (!status)
		status = record(&w);
	target_close(&r.target);
	watch_close(&w);
	strbuf_deinit(&r.line);
	return status;
}
