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

static int64_t held_at(const struct facts *f, const struct snap_look *l)
{
	bool known = l->end_time > 0 && !f->loop->own_clock;

	return known ? (int64_t)l->clock_ns - aio_ns(l->end_time) : 0;
}

/*
 * How long a turn takes and what one callback costs, from the position in the batch: a turn
 * that is at 700 of 2000 after 0.35 s will take 1 s. Looks in the middle of a turn only.
 */
static void measure_batch(struct facts *f, const struct snap_look *l)
{
	static const int64_t enough = 20;
	double held = (double)held_at(f, l) / 1e9;

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

static double clipped(double ratio, double most)
{
	return ratio > most ? most : ratio;
}

/* Shares of the time between two looks that the thread ran, and waited for a CPU. */
static bool ratios(const struct snap_look *first, const struct snap_look *last, double *on_cpu,
		   double *run_queue)
{
	static const double too_short_ns = 2e6;
	double window = (double)(last->clock_ns - first->clock_ns);

	*on_cpu = *run_queue = -1;
	if (!first->have_sched || !last->have_sched || window < too_short_ns ||
	    last->on_cpu_ns < first->on_cpu_ns || last->run_queue_ns < first->run_queue_ns)
		return false;
	*on_cpu = clipped((double)(last->on_cpu_ns - first->on_cpu_ns) / window, 1);
	*run_queue =
		clipped((double)(last->run_queue_ns - first->run_queue_ns) / window, 1 - *on_cpu);
	return true;
}

/* ---- the whole series ---------------------------------------------------------------------- */

static void count_episode(struct facts *f, const struct snap_look *l, double *last_end)
{
	if (held_at(f, l) > f->worst_held_ns)
		f->worst_held_ns = held_at(f, l);
	if (held_at(f, l) < f->threshold_ns || l->end_time == *last_end)
		return;
	*last_end = l->end_time;
	f->episodes++;
}

static void walk_all(struct facts *f)
{
	const struct snap_look *first = NULL, *last = NULL;
	double last_end = 0;

	for (size_t i = 0; i < f->snap->n_looks; i++) {
		const struct snap_look *l = &f->snap->looks[i];

		if (l->loop != f->loop->run.loop)
			continue;
		f->all_looks++;
		/* select is over where the thread waits for the GIL to return from it */
		f->select_looks +=
			l->found && l->end_time <= 0 && l->state != 'R' && !l->waits_for_gil;
		count_episode(f, l, &last_end);
		measure_batch(f, l);
		first = first ? first : l;
		last = l;
	}
	if (!first || f->all_looks < 2 || last->clock_ns <= first->clock_ns)
		return;
	f->all_window_s = (double)(last->clock_ns - first->clock_ns) / 1e9;
	ratios(first, last, &f->all_on_cpu, &f->all_run_queue);
	if (last->majflt >= first->majflt)
		f->majflt_per_s = (double)(last->majflt - first->majflt) / f->all_window_s;
}

/* ---- since the full look -------------------------------------------------------------------- */

static void count_look(struct facts *f, const struct snap_look *l, uint64_t *holder)
{
	f->looks++;
	f->found_looks += l->found;
	f->runnable_looks += l->state == 'R';
	f->gc_looks += l->gc;
	if (!l->waits_for_gil)
		return;
	if (f->gil_looks++ && *holder != l->gil_holder)
		f->one_gil_holder = false;
	*holder = l->gil_holder;
}

static void walk_since(struct facts *f)
{
	const struct snap_look *first = NULL, *last = NULL;
	uint64_t holder = 0;

	f->one_gil_holder = true;
	for (size_t i = 0; i < f->snap->n_looks; i++) {
		const struct snap_look *l = &f->snap->looks[i];

		if (l->loop != f->loop->run.loop || l->clock_ns < f->snap->clock_ns)
			continue;
		count_look(f, l, &holder);
		if (last)
			compare(f, last, l);
		first = first ? first : l;
		last = l;
	}
	f->one_gil_holder = f->one_gil_holder && holder;
	if (!first || f->looks < 2)
		return;
	f->window_s = (double)(last->clock_ns - first->clock_ns) / 1e9;
	f->same_callback = !f->turn_moved && !f->index_moved && f->found_looks == f->looks;
	if (!ratios(first, last, &f->on_cpu, &f->run_queue))
		return;
	/*
	 * The kernel adds the time in a run queue when the thread leaves it: runnable throughout,
	 * what it did not run it has waited.
	 */
	if (f->runnable_looks == f->looks && f->run_queue < 1 - f->on_cpu)
		f->run_queue = 1 - f->on_cpu;
	f->slept = !f->runnable_looks && last->on_cpu_ns == first->on_cpu_ns;
}

/* Without a clock in common: as long as each look found the same callback, it is held. */
static void find_held(struct facts *f)
{
	const struct snap_loop *l = f->loop;

	f->have_held = l->have_held;
	f->held_is_lower = l->held_is_lower;
	f->held_ns = l->held_ns;
	if (l->own_clock && l->run.have_batch && f->looks > 1 && f->same_callback) {
		f->have_held = f->held_is_lower = true;
		f->held_ns = aio_ns(f->window_s);
	}
	f->held_now = f->have_held && f->held_ns >= f->threshold_ns;
}

void facts_of_loop(const struct snapshot *snap, uint32_t loop, int64_t threshold_ns,
		   struct facts *ret)
{
	struct facts f = {.snap = snap,
			  .index = loop,
			  .loop = &snap->loops[loop],
			  .thread = &snap->threads[snap->loops[loop].thread],
			  .threshold_ns = threshold_ns,
			  .on_cpu = -1,
			  .run_queue = -1,
			  .all_on_cpu = -1,
			  .all_run_queue = -1,
			  .callback_s = -1};

	walk_all(&f);
	walk_since(&f);
	f.state = f.thread->os.have_stat ? f.thread->os.stat.state : 0;
	find_held(&f);
	*ret = f;
}

bool facts_late(const struct facts *f)
{
	return f->held_now || f->worst_held_ns >= f->threshold_ns ||
	       aio_ns(f->loop->info.worst_late) >= f->threshold_ns;
}

bool facts_executor_full(const struct facts *f)
{
	const struct aio_loop *info = &f->loop->info;

	return info->have_executor && info->executor_queued > 0 && !info->executor_idle &&
	       info->executor_threads >= info->executor_max;
}

uint32_t find_frame(const struct snapshot *s, const struct snap_stack *stack, const char *file,
		    const char *function)
{
	for (uint32_t i = 0; i < stack->n; i++) {
		const struct snap_code *c = snap_code_of(s, snap_frame_at(s, stack, i));

		if (!strcmp(c->function, function) && str_ends_with(c->file, file))
			return stack->first + i;
	}
	return SNAP_NONE;
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
