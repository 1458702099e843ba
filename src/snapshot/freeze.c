/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.c - a snapshot of one instant, for those who ask for it
 *
 * A look at the running process comes first: it finds what there is to read, and fills the caches
 * of names and code. Then the Python threads are stopped for as long as copying the same memory
 * takes, and the copy is walked when they run again. Where the walk comes to memory that the look
 * before had no need of, it is copied at the next stop.
 *
 * The threads of Python only: without them nothing changes its objects. A stop does not make them
 * consistent, as it may come in the middle of a change, so a picture that is torn is taken again.
 */
#include <stdlib.h>
#include <time.h>

#include "builder.h"

#define ROUNDS	       3
#define PAUSE_MOST_NS  40000000u /* in all: no stop begins behind it */
#define SETTLE_NS      20000000u
#define SETTLE_STEP_NS 1000000

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

/* Each once: a thread inside a subinterpreter has a state in each. Freed by the caller. */
static int32_t *python_tids(const struct snapshot *s, size_t *ret)
{
	int32_t *tids = mem_alloc((s->n_threads + 1) * sizeof(*tids));
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < s->n_threads; i++)
		if (s->threads[i].is_python && s->threads[i].os.tid)
			tids[n++] = s->threads[i].os.tid;
	qsort(tids, n, sizeof(*tids), by_value);
	for (size_t i = 0; i < n; i++)
		if (!kept || tids[i] != tids[kept - 1])
			tids[kept++] = tids[i];
	*ret = kept;
	return tids;
}

static void nap(void)
{
	nanosleep(&(struct timespec){0, SETTLE_STEP_NS}, NULL);
}

static bool sleeps_again(struct source *light, const struct snap_thread *thread)
{
	struct os_thread os;

	return thread->os.stat.state != 'S' ||
	       !os_thread_read(light, thread->os.tid, OS_STAT, &os, NULL) || os.stat.state == 'S';
}

/*
 * A thread that slept was woken by the stop, and goes back to its system call: what it does there
 * is asked when it has.
 */
static void settle(struct source *src, const struct snapshot *before)
{
	struct source *light = source_again(src);
	uint64_t begin = source_clock(src);
	bool all = false;

	while (!all && source_clock(src) - begin < SETTLE_NS) {
		nap();
		all = true;
		source_forget(light);
		for (size_t i = 0; i < before->n_loops && all; i++)
			all = sleeps_again(light, &before->threads[before->loops[i].thread]);
	}
	source_close(light);
}

static bool stop(struct source *src, const struct snapshot *before, struct source_picture *picture,
		 struct error *err)
{
	size_t n;
	int32_t *tids = python_tids(before, &n);
	bool ok = source_freeze(src, tids, n, picture, err);

	free(tids);
	if (ok)
		settle(src, before);
	return ok;
}

static bool is_whole(const struct snapshot *s, const struct snap_freeze *f)
{
	return f->stopped && !f->late_pages && s->consistency != SNAP_TORN;
}

/* The snapshot in *s becomes one of a copy; false when no better one is to be had. */
static bool retake(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snap_freeze *f,
		   struct snapshot **s, struct error *err)
{
	struct source *src = py->rd.src;
	struct source_picture picture;
	struct snapshot *next;

	if (!stop(src, *s, &picture, err))
		return false;
	python_new_look(py, src);
	if (!build_snapshot(py, proc, options, &picture, &next, err))
		return false;
	next->retries += (*s)->retries + (f->stopped && (*s)->consistency == SNAP_TORN);
	snapshot_destroy(*s);
	*s = next;
	f->stopped = true;
	f->pages = picture.pages;
	f->threads = picture.threads;
	f->late_pages = next->freeze.late_pages;
	return true;
}

/*
 * A stop can always come in the middle of a change. Looks at the running process have more tries,
 * and what they find torn they read again.
 */
static void look_without(struct python *py, const struct process *proc,
			 const struct snapshot_options *options, struct snap_freeze *f,
			 struct snapshot **s, struct error *err)
{
	struct snapshot *next;

	source_forget(py->rd.src);
	python_new_look(py, py->rd.src);
	if (!build_settled(py, proc, options, &next, err))
		return;
	next->retries += (*s)->retries + 1;
	snapshot_destroy(*s);
	*s = next;
	f->stopped = false;
	f->late_pages = 0;
	error_set(err, ERR_NOT_STOPPED, "each stop came in the middle of a change");
}

static void freeze(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snapshot **s)
{
	struct source *src = py->rd.src;
	struct snap_freeze f = {.asked = true};
	uint64_t begin = source_clock(src) - (*s)->read_ns;
	struct error err = {.code = ERR_OK};

	while (f.rounds < ROUNDS && !is_whole(*s, &f)) {
		if (source_get_stats(src).paused_ns >= PAUSE_MOST_NS) {
			if (err.code == ERR_OK)
				error_set(&err, ERR_NOT_STOPPED, "it stood for %u ms already",
					  PAUSE_MOST_NS / 1000000);
			break;
		}
		if (f.rounds)
			nap();
		f.rounds++;
		err.code = ERR_OK;
		if (!retake(py, proc, options, &f, s, &err) && err.code != ERR_NOT_STOPPED)
			break;
	}
	if (f.stopped && (*s)->consistency == SNAP_TORN)
		look_without(py, proc, options, &f, s, &err);
	if (err.code != ERR_OK)
		f.why = arena_strdup(&(*s)->arena, err.text);
	(*s)->freeze = f;
	(*s)->read_ns = source_clock(src) - begin;
	(*s)->stats = source_get_stats(src);
}

bool snapshot_take(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snapshot **ret, struct error *err)
{
	struct snapshot *s;

	if (options->freeze) { /* all that a look reads stays known, and what opening it read not */
		source_pin(py->rd.src);
		source_forget(py->rd.src);
		python_new_look(py, py->rd.src);
	}
	if (!build_settled(py, proc, options, &s, err))
		return false;
	if (options->freeze)
		freeze(py, proc, options, &s);
	*ret = s;
	return true;
}
