/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: looks at one process again and again, and keeps what they say as JSON Lines. A snapshot
 * is written in full when something changed and now and then, and in a few numbers in between.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "look.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/log.h"

#define WINDOW_NS   INT64_C(200000000)	 /* of one look at most, and half of the interval */
#define FULL_NS	    INT64_C(10000000000) /* a full snapshot at least that often */
#define SECOND_NS   INT64_C(1000000000)
#define FAILED_MOST 20u /* looks in a row: then it is no use */
#define STATE_LOOPS 16u /* whose state is compared: others count as changed */

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
	struct stall_sink sink; /* first: the sink is the recorder */
	struct options o;	/* of one look */
	struct look look;
	struct target target;
	struct line_file file;
	struct strbuf line;
	struct stalls stalls;
	struct state before;
	uint64_t full_ns;    /* when a full snapshot was written */
	uint64_t modules_ns; /* when it was looked at what the process is made of ... */
	uint64_t modules;    /* ... and its digest */
	struct event_clock clock;
	struct bye bye;
	bool failed; /* of writing: err says why */
	struct error err;
};

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
	signalled = number;
}

static void catch_signals(void)
{
	/* a second one ends us at once, if the reader of our output does not read */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void flush(struct recorder *r)
{
	if (!r->failed && !line_file_write(&r->file, r->line.data, r->line.len, &r->err))
		r->failed = true;
	strbuf_reset(&r->line);
}

static void on_seen(struct stall_sink *sink, struct stall *stall, enum stall_seen how)
{
	struct recorder *r = (struct recorder *)sink;
	struct render_options options = look_rendering(&r->look);
	cleanup_strbuf struct strbuf body = STRBUF_INIT;

	if (how == STALL_ODD)
		return;
	render_stall_body(r->look.snap, r->look.d, &options, stall, &body);
	free(stall->body);
	stall->body = mem_alloc(body.len + 1);
	memcpy(stall->body, body.data, body.len + 1);
	if (how == STALL_NEW) {
		render_stall_begin(&r->clock, stall, &r->line);
		flush(r);
	}
}

static void on_end(struct stall_sink *sink, const struct stall *stall)
{
	struct recorder *r = (struct recorder *)sink;

	if (stall->over_ns) {
		render_stall_end(&r->clock, stall, &r->line);
		flush(r);
	}
	render_stall(&r->clock, stall, &r->line);
	flush(r);
	r->bye.stalls++;
}

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
	struct render_options options = look_rendering(&r->look);
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	bool ok;

	if (!memory)
		return error_sys(&r->err, ERR_INTERNAL, errno, "no memory for a snapshot");
	options.tasks = r->o.tasks_given && r->o.tasks == RENDER_TASKS_ALL ? RENDER_TASKS_ALL
									   : RENDER_TASKS_NONE;
	options.type = "snapshot";
	ok = render_json(r->look.snap, r->look.d, &options, memory);
	ok = !fclose(memory) && ok;
	if (ok)
		strbuf_add(&r->line, text, len);
	else
		error_set(&r->err, ERR_INTERNAL, "no memory for a snapshot");
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

static void write_snapshot(struct recorder *r)
{
	struct state state = state_of(&r->look);
	uint64_t now = r->look.snap->clock_ns;

	if (r->bye.looks && same_state(&state, &r->before) && now - r->full_ns < FULL_NS) {
		render_light(r->look.snap, r->look.d, &r->line);
	} else {
		read_modules(r);
		r->failed = !render_full(r) || r->failed;
		r->full_ns = now;
	}
	r->before = state;
	flush(r);
}

/* ---- looks ----------------------------------------------------------------------------------- */

static void take_down(struct recorder *r, int64_t threshold_ns)
{
	const struct snapshot *s = r->look.snap;

	r->clock.wall_minus_clock_ns = (int64_t)(s->wall_ns - s->clock_ns);
	if (!r->bye.looks) {
		struct render_options options = look_rendering(&r->look);

		r->clock.pid = s->process->pid;
		render_hello(s, &options, (double)r->o.interval_ns / 1e9, &r->line);
		flush(r);
	}
	write_snapshot(r);
	stalls_update(&r->stalls, s, r->look.d, threshold_ns, &r->sink);
	r->bye.looks++;
}

/* Until the next look is due; what could not be taken in time is counted and left out. */
static void wait_turn(struct recorder *r, int64_t *due, int64_t until)
{
	int64_t now = now_ns(), interval = r->o.interval_ns;

	*due += interval;
	if (*due < now) {
		r->bye.missed += (uint64_t)((now - *due) / interval) + 1;
		*due += ((now - *due) / interval + 1) * interval;
	}
	while (!signalled && (now = now_ns()) < *due && now < until) {
		int64_t ns = *due < until ? *due - now : until - now;
		struct timespec ts = {ns / SECOND_NS, ns % SECOND_NS};

		clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	}
}

/* The clock of the target, which may be in another time namespace than we are. */
static uint64_t target_now(const struct recorder *r)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)((int64_t)ts.tv_sec * SECOND_NS + ts.tv_nsec -
			  r->clock.wall_minus_clock_ns);
}

static bool lost(struct recorder *r)
{
	r->bye.reason = "lost";
	render_lost(&r->clock, target_now(r), r->err.text, &r->line);
	flush(r);
	return false;
}

/*
 * A look that fails is one that was missed: a process that changes fast may be readable again the
 * next time. One that is gone, or has become another program, will not.
 */
static bool look_failed(struct recorder *r, unsigned *in_a_row)
{
	r->bye.missed++;
	return ++*in_a_row < FAILED_MOST && source_alive(r->target.src);
}

/* False when the recording ends for another reason than that it was to end. */
static bool run(struct recorder *r, const struct options *o)
{
	int64_t due = now_ns(), until = o->for_given ? due + o->for_ns : INT64_MAX;
	unsigned failed = 0;

	for (;;) {
		if (!failed)
			take_down(r, o->threshold_ns);
		if (r->failed)
			return false;
		if (o->count && r->bye.looks == o->count) {
			r->bye.reason = "count";
			return true;
		}
		wait_turn(r, &due, until);
		r->bye.reason = signalled ? "interrupted" : "time";
		if (signalled || now_ns() >= until)
			return true;
		if (look_again(&r->look, &r->err))
			failed = 0;
		else if (!look_failed(r, &failed))
			return lost(r);
	}
}

/* A target that ended is an end like others; what could not be read any more is not. */
static int end(struct recorder *r, bool whole)
{
	struct error err = r->err;
	bool target_lost = !whole && !r->failed;

	stalls_finish(&r->stalls, &r->sink);
	render_bye(&r->clock, target_now(r), &r->bye, &r->line);
	flush(r);
	if (!line_file_close(&r->file, &r->err))
		r->failed = true;
	if (r->failed)
		return report_error(&r->err);
	if (target_lost) {
		if (err.code != ERR_GONE && err.code != ERR_NO_PROCESS)
			return report_error(&err);
		log_warn("%s: the recording ends", err.text);
	}
	return signalled ? 128 + signalled : 0;
}

int command_record(const struct options *o)
{
	struct recorder r = {.sink = {on_seen, on_end}, .o = *o, .line = STRBUF_INIT};
	int status;

	r.o.for_ns = o->interval_ns / 2 < WINDOW_NS ? o->interval_ns / 2 : WINDOW_NS;
	if (!culprits_load(o->culprits, &r.err) ||
	    !target_open(o->targets[0], false, &r.target, &r.err))
		return report_error(&r.err);
	catch_signals();
	if (look_open(&r.target, &r.o, &r.look, &r.err) &&
	    line_file_open(o->output, &r.file, &r.err))
		status = end(&r, run(&r, o));
	else
		status = report_error(&r.err);
	look_close(&r.look);
	target_close(&r.target);
	stalls_deinit(&r.stalls);
	strbuf_deinit(&r.line);
	return status;
}
