/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "stallscope/utf8.h"

static bool same_callback(const struct snap_look *a, const struct snap_look *b)
{
	return a->end_time == b->end_time && a->index == b->index && a->handle == b->handle;
}

static int64_t held_at(const struct snap_look *l)
{
	return l->end_time > 0 ? (int64_t)l->clock_ns - aio_ns(l->end_time) : 0;
}

/*
 * How long a turn takes and what one callback costs, from the position in the batch: a turn
 * that is at 700 of 2000 after 0.35 s will take 1 s. Looks in the middle of a turn only.
 */
static void measure_batch(struct facts *f, const struct snap_look *l)
{
	static const int64_t enough = 20;
	double held = (double)held_at(l) / 1e9;

	if (!l->in_callbacks)
		return;
	if (l->ntodo > f->max_batch)
		f->max_batch = l->ntodo;
	if (held > f->turn_s)
		f->turn_s = held;
	if (l->index < enough)
		return;
	f->callback_s = held / (double)l->index;
	if (f->callback_s * (double)l->ntodo > f->turn_s)
		f->turn_s = f->callback_s * (double)l->ntodo;
}

static void compare(struct facts *f, const struct snap_look *before, const struct snap_look *now)
{
	if (!before->found || !now->found)
		return;
	if (before->end_time != now->end_time)
		f->turn_moved = true;
	else if (before->end_time > 0 && !same_callback(before, now))
		f->index_moved = true;
}

static void ratios(struct facts *f, const struct snap_look *first, const struct snap_look *last)
{
	static const double too_short_ns = 2e6;
	double window = (double)(last->clock_ns - first->clock_ns);

	if (!first->have_sched || !last->have_sched || window < too_short_ns ||
	    last->on_cpu_ns < first->on_cpu_ns || last->run_queue_ns < first->run_queue_ns)
		return;
	f->on_cpu = (double)(last->on_cpu_ns - first->on_cpu_ns) / window;
	f->run_queue = (double)(last->run_queue_ns - first->run_queue_ns) / window;
	if (f->on_cpu > 1)
		f->on_cpu = 1;
	if (f->run_queue > 1)
		f->run_queue = 1;
}

static void walk_looks(struct facts *f)
{
	const struct snap_look *first = NULL, *last = NULL;

	for (size_t i = 0; i < f->snap->n_looks; i++) {
		const struct snap_look *l = &f->snap->looks[i];

		if (l->loop != f->loop->run.loop)
			continue;
		f->looks++;
		f->gil_looks += l->waits_for_gil;
		if (held_at(l) > f->worst_held_ns)
			f->worst_held_ns = held_at(l);
		if (l->found && l->end_time <= 0 && l->state != 'R')
			f->waited = true;
		measure_batch(f, l);
		if (last)
			compare(f, last, l);
		else
			first = l;
		last = l;
	}
	if (f->looks < 2)
		return;
	f->window_s = (double)(last->clock_ns - first->clock_ns) / 1e9;
	f->same_turn = !f->turn_moved;
	f->same_callback = !f->turn_moved && !f->index_moved;
	ratios(f, first, last);
}

void facts_of_loop(const struct snapshot *snap, uint32_t loop, int64_t threshold_ns,
		   struct facts *ret)
{
	struct facts f = {.snap = snap,
			  .loop = &snap->loops[loop],
			  .thread = &snap->threads[snap->loops[loop].thread],
			  .threshold_ns = threshold_ns,
			  .on_cpu = -1,
			  .run_queue = -1,
			  .callback_s = -1};

	walk_looks(&f);
	f.state = f.thread->os.have_stat ? f.thread->os.stat.state : 0;
	f.held_now = f.loop->have_held && f.loop->held_ns >= threshold_ns;
	*ret = f;
}

void add_evidence(struct verdict *v, const char *source, const char *fmt, ...)
{
	cleanup_strbuf struct strbuf fact = STRBUF_INIT;
	struct evidence *e;
	va_list ap;

	if (v->n_evidence == EVIDENCE_MAX)
		return;
	e = &v->evidence[v->n_evidence++];
	e->source = source;
	va_start(ap, fmt);
	strbuf_vaddf(&fact, fmt, ap);
	va_end(ap);
	utf8_copy(e->fact, sizeof(e->fact), fact.data);
}
