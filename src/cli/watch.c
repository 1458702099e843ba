/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: waits for stalls. Light looks in even steps, one more exactly when a hold would reach the
 * threshold, and finer ones until it is over. What costs more happens only while something is held.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/log.h"
#include "stallscope/utf8.h"
#include "watch.h"

#define SLACK_NS     (WATCH_MS / 5)	/* looks that are due so soon are taken along */
#define LEAST_NS     (10 * WATCH_MS)	/* holds that are counted */
#define FINE_NS	     (WATCH_MS * 7 / 2) /* half of it is how well an end is known */
#define BUDGET_PARTS 50			/* of a CPU, in light looks: 2 % */
#define ENDS_NS	     (100 * WATCH_MS)	/* from asking who ended to the next time */

/* Blocked, and taken when we wait: a signal that comes in between is not missed. */
static sigset_t signals;
static volatile sig_atomic_t signalled, by_terminal; /* then the command has it too */

/* Sleeps for ns at most; NULL: until there is a signal. */
static void wait_for_signal(const struct timespec *ns)
{
	siginfo_t info;
	int number = ns ? sigtimedwait(&signals, &info, ns) : sigwaitinfo(&signals, &info);

	if (number <= 0 || number == SIGCHLD)
		return;
	signalled = number;
	by_terminal = info.si_code == SI_KERNEL;
}

uint64_t watch_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WATCH_SECOND + (uint64_t)ts.tv_nsec;
}

uint64_t watch_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * WATCH_SECOND + (uint64_t)ts.tv_nsec;
}

/* A line is one line, for grep(1); on a terminal it is broken between words. */
static void lay_out(struct watch *w)
{
	struct strbuf out = STRBUF_INIT;
	bool is_terminal = isatty(w->file.fd);

	strbuf_setlen(&w->line, w->line.len - 1); /* the newline */
	if (w->o.ascii)
		utf8_to_ascii(&w->line);
	utf8_add_wrapped(&out, w->line.data, is_terminal ? output_width(w->file.fd) : SIZE_MAX, 2);
	strbuf_addch(&out, '\n');
	strbuf_deinit(&w->line);
	w->line = out;
}

void watch_write(struct watch *w, struct strbuf *line)
{
	pthread_mutex_lock(&w->lock);
	if (!w->failed && !line_file_write(&w->file, line->data, line->len, &w->err))
		w->failed = true;
	pthread_mutex_unlock(&w->lock);
	strbuf_reset(line);
}

void watch_flush(struct watch *w)
{
	if (watch_is_text(w) && w->line.len)
		lay_out(w);
	if (w->file.fd >= 0)
		watch_write(w, &w->line);
}

/* ---- looks ----------------------------------------------------------------------------------- */

/* When many are held at once, fine looks at all of them would cost too much: coarser ones then. */
static void keep_budget(struct watch *w, uint64_t now)
{
	uint64_t cpu, used;

	if (now - w->budget_ns < WATCH_SECOND)
		return;
	cpu = watch_cpu();
	used = (cpu - w->budget_cpu_ns - w->full_cpu_ns) * BUDGET_PARTS;
	if (used > now - w->budget_ns && w->pace.fine < w->pace.interval)
		w->pace.fine *= 2;
	else if (used < (now - w->budget_ns) / 2 && w->pace.fine > w->fine_ns)
		w->pace.fine /= 2;
	w->budget_ns = now;
	w->budget_cpu_ns = cpu;
	w->full_cpu_ns = 0;
}

static void count_look(struct watch *w, uint64_t now)
{
	uint64_t late;

	if (now < w->regular_ns)
		return;
	late = (now - w->regular_ns) / w->pace.interval;
	w->bye.missed += late;
	w->bye.looks++;
	if (w->last_ns && (int64_t)(now - w->last_ns) > w->bye.longest_gap_ns)
		w->bye.longest_gap_ns = (int64_t)(now - w->last_ns);
	w->last_ns = now;
	w->regular_ns += (late + 1) * w->pace.interval;
	keep_budget(w, now);
}

static void look_at_due(struct watch *w, struct watched *t, uint64_t now)
{
	for (size_t i = 0; i < t->n && t->pulse; i++)
		if (t->loops[i].due_ns <= now + SLACK_NS)
			watched_look(w, t, i);
}

static uint64_t next_due(const struct watch *w)
{
	uint64_t due = w->regular_ns;

	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < w->v[i]->n; k++)
			if (w->v[i]->loops[k].due_ns < due)
				due = w->v[i]->loops[k].due_ns;
	if (w->exec && watch_exec_due(w->exec) < due)
		due = watch_exec_due(w->exec);
	return due;
}

/* ---- what happens beside --------------------------------------------------------------------- */

/* Sleeps until `due`, until there is a signal, or until it is time to see who ended. */
static void wait_until(uint64_t due)
{
	uint64_t now = watch_now(), ns = due > now ? due - now : 0;
	struct timespec ts = {0, (long)(ns < ENDS_NS ? ns : ENDS_NS)};

	wait_for_signal(&ts);
}

/*
 * A poll() of all at each look would cost as much as the look: the ends are asked for in between
 * only when a loop could not be read any more.
 */
static void remove_ended(struct watch *w, uint64_t now)
{
	struct pollfd fd = {.events = POLLIN};

	if (now < w->ends_ns)
		return;
	w->ends_ns = now + ENDS_NS;
	for (size_t i = w->n; i-- > 0;) {
		fd.fd = w->v[i]->pidfd;
		if (poll(&fd, 1, 0) == 1)
			watched_remove(w, i, "it ended");
	}
}

/* The list of processes is read again: the more there are, the less often. */
static void rescan(struct watch *w, uint64_t now)
{
	static const uint64_t parts = 200, least = 200 * WATCH_MS;
	uint64_t took;

	if (now < w->rescan_ns || (!w->o.all && !w->o.children))
		return;
	watch_rescan(w);
	took = watch_now() - now;
	w->full_cpu_ns += took;
	w->rescan_ns = now + (took * parts > least ? took * parts : least);
}

static void serve(struct watch *w, uint64_t now)
{
	if (w->recorder && w->n)
		recorder_serve(w, now);
	rescan(w, now);
	for (size_t i = w->n; i-- > 0;)
		if (!watched_attach(w, w->v[i], now))
			watched_remove(w, i, NULL);
	if (w->exec)
		watch_exec_serve(w->exec, now);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void pass_signal(struct watch *w)
{
	if (!by_terminal)
		kill(w->command, signalled);
	w->is_hurried = true;
	signalled = 0;
}

/* Nothing is to be watched any more, but the command that we started goes on. */
static void wait_for_command(struct watch *w)
{
	while (w->command && !watch_command_ended(w)) {
		wait_for_signal(NULL);
		if (signalled)
			pass_signal(w);
	}
}

/* Why it is over; NULL: it is not. */
static const char *ending(struct watch *w, uint64_t now, uint64_t until)
{
	bool command = watch_command_ended(w);

	if (w->command && signalled && !command) {
		pass_signal(w); /* the end of the command is ours */
		return NULL;
	}
	if (signalled)
		return "interrupted";
	if (w->o.count && (w->recorder ? recorder_looks(w->recorder) : w->told) >= w->o.count)
		return "count";
	if (now >= until)
		return "time";
	if (command || (!w->n && !w->o.all && (!w->command || command)))
		return "lost";
	return NULL;
}

void watch_run(struct watch *w)
{
	uint64_t begin = watch_now(), now = begin;
	/* there is time for one round */
	uint64_t until = w->o.for_given ? begin + (uint64_t)w->o.for_ns + 1 : UINT64_MAX;

	w->regular_ns = w->budget_ns = begin;
	w->budget_cpu_ns = watch_cpu();
	while (!w->failed && !(w->bye.reason = ending(w, now, until))) {
		count_look(w, now);
		for (size_t i = 0; i < w->n; i++)
			look_at_due(w, w->v[i], now);
		serve(w, now);
		wait_until(next_due(w) < until ? next_due(w) : until);
		now = watch_now();
		remove_ended(w, now);
	}
	if (!w->bye.reason)
		w->bye.reason = "lost";
}

static int64_t wall_minus_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)WATCH_SECOND + ts.tv_nsec - (int64_t)watch_now();
}

static void summarise(struct watch *w, double seconds, const struct event_clock *clock)
{
	char longest[32], gap[32];

	if (!watch_is_text(w)) {
		render_bye(clock, watch_now(), &w->bye, &w->line);
		watch_flush(w);
		return;
	}
	format_duration(longest, sizeof(longest), (int64_t)w->longest_held_ns);
	format_duration(gap, sizeof(gap), w->bye.longest_gap_ns);
	if (w->o.quiet || !w->greeted)
		return;
	strbuf_addf(&w->line, "%" PRIu64 " %s in %.0f s", w->bye.stalls,
		    PLURAL(w->bye.stalls, "stall", "stalls"), seconds);
	if (w->bye.stalls)
		strbuf_addf(&w->line, ", the longest %s", longest);
	if (w->bye.short_holds)
		strbuf_addf(&w->line, "; %" PRIu64 " shorter %s of 10 ms and more",
			    w->bye.short_holds, PLURAL(w->bye.short_holds, "hold", "holds"));
	if (w->bye.choppy)
		strbuf_addf(&w->line, "; CHOPPY %" PRIu64 " %s", w->bye.choppy,
			    PLURAL(w->bye.choppy, "time", "times"));
	if (w->bye.maybe)
		strbuf_addf(&w->line, "; %" PRIu64 " may have been %s, too late to tell",
			    w->bye.maybe, PLURAL(w->bye.maybe, "a stall", "stalls"));
	strbuf_addf(&w->line, "; %" PRIu64 " %s, %" PRIu64 " missed, at most %s apart\n",
		    w->bye.looks, PLURAL(w->bye.looks, "look", "looks"), w->bye.missed, gap);
	watch_flush(w);
}

static bool open_output(struct watch *w)
{
	/* the output of a program that we started is its own */
	if (!w->o.output && w->command) {
		w->file = (struct line_file){.fd = STDERR_FILENO};
		return true;
	}
	return line_file_open(w->o.output ? w->o.output : "-", &w->file, &w->err);
}

static bool prepare(struct watch *w, int *status)
{
	struct error err;

	if (w->o.save && !watch_save_open(w->o.save, &w->save, &w->err)) {
		*status = report_error(&w->err);
		return false;
	}
	if (w->o.exec)
		w->exec = watch_exec_create(w->o.exec);
	if (w->o.argv && !watch_command_start(w, w->o.argv, status))
		return false;
	if (!open_output(w)) {
		*status = report_error(&w->err);
		return false;
	}
	for (size_t i = 0; i < w->o.n_targets; i++) {
		err = (struct error){.code = ERR_OK};
		if (!watch_add_named(w, w->o.targets[i], &err) && err.code != ERR_OK)
			w->status = report_error(&err);
	}
	if (w->command)
		watch_add(w, w->command, true, NULL);
	*status = w->status;
	return w->n || w->o.all;
}

static void on_signal(int number)
{
	signalled = number; /* one that comes right before we wait is seen at the next look */
}

void watch_heed_second(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&signals);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

static void block_signals(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};

	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGCHLD, SIG_DFL); /* ignored, children could not be waited for */
}

/* The end of all that was begun, in an order that loses no event. */
void watch_close(struct watch *w)
{
	while (w->n)
		watched_remove(w, w->n - 1, NULL);
	if (w->exec)
		watch_exec_destroy(w->exec,
				   signalled || w->is_hurried ? WATCH_SECOND : WATCH_EXEC_NS);
	if (w->save)
		watch_save_close(w->save);
	addrmap_deinit(&w->refused);
	addrmap_deinit(&w->refused_now);
	free(w->v);
	strbuf_deinit(&w->line);
}

static int status_of(const struct watch *w)
{
	bool stalled = w->o.exit_code && w->bye.stalls;

	if (w->has_ended)
		return w->command_status ? w->command_status : stalled;
	if (signalled)
		return 128 + signalled;
	return stalled ? 1 : w->status;
}

int watch_end_output(struct watch *w)
{
	if (!line_file_close(&w->file, &w->err))
		w->failed = true;
	return w->failed ? report_error(&w->err) : status_of(w);
}

/*
 * A part of the interval, so that the even look is one of the fine ones, and a little more, so that
 * it does not come right after one of them.
 */
static uint64_t fine_for(uint64_t interval)
{
	static const uint64_t late = WATCH_MS / 20;

	return interval / ((interval + FINE_NS - 1) / FINE_NS) + late;
}

void watch_pace(struct watch *w, uint64_t interval, uint64_t least)
{
	w->fine_ns = fine_for(interval);
	w->pace = (struct hold_pace){interval, least, (uint64_t)w->o.threshold_ns, w->fine_ns};
}

int command_watch(const struct options *o)
{
	struct watch w = {.o = *o,
			  .line = STRBUF_INIT,
			  .refused = ADDRMAP_INIT,
			  .refused_now = ADDRMAP_INIT,
			  .lock = PTHREAD_MUTEX_INITIALIZER,
			  .bye = {.counts_short = true}};
	struct event_clock clock = {.wall_minus_clock_ns = wall_minus_clock()};
	uint64_t begin = watch_now();
	int status = 0;

	if (!w.o.max_tasks)
		w.o.max_tasks = WATCH_TASKS;
	watch_pace(&w, (uint64_t)o->interval_ns, LEAST_NS);
	if (!culprits_load(o->culprits, &w.err))
		return report_error(&w.err);
	block_signals();
	if (prepare(&w, &status)) {
		clock.pid = w.n == 1 && !o->all && !o->children ? w.v[0]->pid : 0;
		watch_run(&w);
		while (w.n)
			watched_remove(&w, w.n - 1, NULL);
		summarise(&w, (double)(watch_now() - begin) / 1e9, &clock);
		wait_for_command(&w);
		status = watch_end_output(&w);
	}
	watch_close(&w);
	return status;
}
