/* SPDX-License-Identifier: Apache-2.0 */
/* How fast tasks are made, and how fast their number grows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define EVERY_NS UINT64_C(50000000) /* nothing can be said of shorter times */

static void derive(struct snap_growth *g)
{
	double seconds = (double)(g->last_ns - g->first_ns) / 1e9;

	g->have_created = g->have_growth = false;
	if (g->last_ns < g->first_ns + EVERY_NS)
		return;
	if (g->made_first >= 0 && g->made_last >= g->made_first) {
		g->have_created = true;
		g->created_per_s = (double)(g->made_last - g->made_first) / seconds;
	}
	if (g->tasks_first >= 0 && g->tasks_last >= 0) {
		g->have_growth = true;
		g->growth_per_s = (double)(g->tasks_last - g->tasks_first) / seconds;
	}
}

/* Sets and counters belong to an interpreter: with several loops in it they tell of none. */
static bool is_alone(const struct snapshot *s, const struct snap_loop *loop)
{
	uint32_t interpreter = s->threads[loop->thread].interpreter, n = 0;

	for (size_t i = 0; i < s->n_loops; i++)
		n += s->threads[s->loops[i].thread].interpreter == interpreter;
	return n == 1;
}

/* No task has a higher number than were made: else the counter is elsewhere in this build. */
static bool contradicts(const struct snapshot *s, int64_t made)
{
	for (size_t i = 0; i < s->n_tasks; i++)
		if (!strncmp(s->tasks[i].name, "Task-", 5) &&
		    strtoll(s->tasks[i].name + 5, NULL, 10) > made)
			return true;
	return false;
}

/* Without a loop the counter still tells that there was one. */
static void count_made(struct builder *b)
{
	struct aio_counters at = {0};
	int64_t tasks;

	if (b->s->n_loops || !b->n_interps || !b->n_py_threads)
		return;
	aio_counters_find(b->py, &b->modules[0], b->py_threads[0].tstate, &at);
	aio_counters_read(b->py, &at, &tasks, &b->s->tasks_made);
	rd_take(&b->py->rd);
}

void build_growth(struct builder *b)
{
	struct snapshot *s = b->s;

	s->tasks_made = -1;
	count_made(b);

	for (size_t i = 0; i < s->n_loops; i++) {
		struct snap_loop *loop = &s->loops[i];
		struct snap_growth *g = &loop->growth;
		const struct snap_thread *thread = &s->threads[loop->thread];

		if (thread->interpreter >= b->n_interps || !is_alone(s, loop))
			continue;
		aio_counters_find(b->py, &b->modules[thread->interpreter], thread->tstate, &g->at);
		aio_counters_read(b->py, &g->at, &g->tasks_first, &g->made_first);
		if (g->at.counter && contradicts(s, g->made_first)) {
			g->at.counter = 0;
			g->made_first = -1;
		}
		g->tasks_last = g->tasks_first;
		g->made_last = g->made_first;
		g->first_ns = g->last_ns = s->clock_ns;
	}
}

void growth_look(struct python *py, struct snap_loop *loop, uint64_t clock_ns)
{
	struct snap_growth *g = &loop->growth;

	if (!g->first_ns || clock_ns < g->last_ns + EVERY_NS)
		return;
	aio_counters_read(py, &g->at, &g->tasks_last, &g->made_last);
	g->last_ns = clock_ns;
	derive(g);
}

void growth_write(const struct snap_loop *loop, struct strbuf *out)
{
	const struct snap_growth *g = &loop->growth;

	if (g->first_ns)
		strbuf_addf(out,
			    "tasks %" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64
			    " %" PRId64 " %" PRId64 "\n",
			    loop->run.loop, g->first_ns, g->last_ns, g->tasks_first, g->tasks_last,
			    g->made_first, g->made_last);
}

/* -1 is unknown. */
static bool is_count(int64_t n)
{
	return n >= -1 && n <= AIO_NS_MAX;
}

static bool is_sane(const struct snap_growth *g)
{
	return g->first_ns <= g->last_ns && g->last_ns <= SOURCE_CLOCK_MAX &&
	       is_count(g->tasks_first) && is_count(g->tasks_last) && is_count(g->made_first) &&
	       is_count(g->made_last);
}

bool growth_parse(struct snapshot *s, const char *line)
{
	struct snap_growth g = {.first_ns = 0};
	uint64_t address;

	if (sscanf(line,
		   "tasks %" SCNx64 " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64 " %" SCNd64
		   " %" SCNd64,
		   &address, &g.first_ns, &g.last_ns, &g.tasks_first, &g.tasks_last, &g.made_first,
		   &g.made_last) != 7 ||
	    !is_sane(&g))
		return false;
	derive(&g);
	for (size_t i = 0; i < s->n_loops; i++)
		if (s->loops[i].run.loop == address)
			s->loops[i].growth = g;
	return true;
}
