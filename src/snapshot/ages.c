/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For how long tasks have waited. Of a sleep that is known (tasks.c). Of others only a bound is
 * proven: while no callback of the loop runs, or one and the same, no task is taken up and none
 * begins to wait. That a task waits for a future at the same address as before proves nothing: a
 * worker that takes items from a queue gets the same memory for its next wait in most rounds.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

/* The full look's own entry in the series, and one after all of it was read. */
struct span {
	const struct snap_look *first, *next;
};

static bool find_span(const struct snapshot *s, uint64_t loop, struct span *ret)
{
	*ret = (struct span){NULL, NULL};
	for (size_t i = 0; i < s->n_looks && !ret->next; i++) {
		const struct snap_look *l = &s->looks[i];

		if (l->loop != loop || l->clock_ns < s->clock_ns)
			continue;
		if (ret->first)
			ret->next = l;
		else if (l->clock_ns == s->clock_ns)
			ret->first = l;
	}
	return ret->next && ret->first->found && ret->next->found;
}

static bool is_asleep(const struct snap_look *l)
{
	return !l->in_callbacks && l->end_time <= 0 && l->state == 'S' && l->syscall >= 0 &&
	       l->have_sched;
}

/*
 * The thread slept both times and was on no CPU in between: this is one and the same select. Its
 * CPU time was read after its state, so a run before the second sleep is in it.
 */
static bool one_select(const struct span *span)
{
	return is_asleep(span->first) && is_asleep(span->next) &&
	       span->first->on_cpu_ns == span->next->on_cpu_ns &&
	       span->first->syscall == span->next->syscall;
}

/* The handles of one turn are all there when it begins: no two have one address. */
static bool one_callback(const struct span *span)
{
	const struct snap_look *a = span->first, *b = span->next;

	return a->in_callbacks && b->in_callbacks && a->end_time > 0 &&
	       memcmp(&a->end_time, &b->end_time, sizeof(a->end_time)) == 0 && a->handle &&
	       a->handle == b->handle && a->index == b->index;
}

/* "Task-12" was the 12th that was made without a name, or -1. */
static int64_t number_of(const struct snap_task *task)
{
	const char *digits;
	size_t n;

	if (strncmp(task->name, "Task-", 5) != 0)
		return -1;
	digits = task->name + 5;
	n = strspn(digits, "0123456789");
	return n > 0 && n < 18 && !digits[n] ? strtoll(digits, NULL, 10) : -1;
}

/*
 * A task that starts eagerly inside the callback that holds the loop has not waited as long as
 * the loop was held. What has a lower number than one that was there before was there too.
 */
static int64_t newest_before(const struct snapshot *s, uint32_t loop, int64_t held_ns)
{
	const struct snap_loop *l = &s->loops[loop];
	int64_t newest = -1;

	for (size_t i = 0; i < s->n_tasks; i++) {
		const struct snap_task *t = &s->tasks[i];
		bool before = (l->have_callback && t->id == l->callback.task) ||
			      (t->have_age && !t->age_is_lower && t->age_ns >= held_ns);
		int64_t number = t->loop == loop && before ? number_of(t) : -1;

		if (number > newest)
			newest = number;
	}
	return newest;
}

/* A task that waits for a future, be it done or not, is taken up by a callback of its own. */
static bool is_waiting(const struct snapshot *s, const struct snap_task *t)
{
	const struct snap_loop *l = &s->loops[t->loop];

	return t->waits_for && t->state != SNAP_TASK_RUNNING && !t->torn && !t->have_age &&
	       !(l->have_callback && t->id == l->callback.task);
}

static void bound(struct snapshot *s, uint32_t loop, int64_t ns, int64_t newest)
{
	for (size_t i = 0; i < s->n_tasks; i++) {
		struct snap_task *t = &s->tasks[i];

		if (t->loop != loop || !is_waiting(s, t))
			continue;
		if (newest != INT64_MAX && (number_of(t) < 0 || number_of(t) > newest))
			continue;
		t->have_age = t->age_is_lower = true;
		t->age_ns = ns;
	}
}

/*
 * For how long the callback has run, -1 unknown. The first one of a turn began when select
 * returned; callbacks before another one may have begun waits of their own.
 */
static int64_t callback_ns(const struct snapshot *s, const struct snap_loop *l)
{
	int64_t ns = -1;

	if (l->have_held && !l->held_is_lower && l->run.have_index && l->run.index == 0)
		ns = l->held_ns;
	else if (s->clock_ns && l->run.start_confirmed)
		ns = (int64_t)s->clock_ns - aio_ns(l->run.start);
	return l->have_held && ns > l->held_ns ? -1 : ns;
}

static void bound_tasks(struct snapshot *s, uint32_t loop)
{
	const struct snap_loop *l = &s->loops[loop];
	struct span span;
	int64_t held_ns;

	if (l->own_clock || l->info.is_uvloop || !find_span(s, l->run.loop, &span))
		return;
	if (l->phase == SNAP_SELECT && l->have_select && one_select(&span))
		bound(s, loop, l->select_ns, INT64_MAX);
	held_ns = l->phase == SNAP_CALLBACKS && one_callback(&span) ? callback_ns(s, l) : -1;
	if (held_ns >= 0)
		bound(s, loop, held_ns,
		      l->starts_eagerly ? newest_before(s, loop, held_ns) : INT64_MAX);
}

bool stands_long(const struct snap_loop *l)
{
	static const int64_t longest_look_ns = 1000000000;

	if (l->phase == SNAP_SELECT)
		return l->have_select && l->select_ns >= longest_look_ns;
	return l->phase == SNAP_CALLBACKS && l->have_held && !l->held_is_lower &&
	       l->run.have_index && l->run.index == 0 && l->held_ns >= longest_look_ns;
}

static bool stood_still(const struct snapshot *s, uint32_t loop)
{
	const struct snap_loop *l = &s->loops[loop];
	struct span span;

	if (!stands_long(l) || !find_span(s, l->run.loop, &span))
		return false;
	return l->phase == SNAP_SELECT ? one_select(&span) && !l->turned : one_callback(&span);
}

/* Too many sleeps to be read twice: they hold when nothing was taken up while they were read. */
static void forget_unverified(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_tasks; i++) {
		struct snap_task *t = &s->tasks[i];

		if (t->have_age && t->age_unverified && !stood_still(s, t->loop))
			t->have_age = false;
	}
}

void snapshot_ages(struct snapshot *snap)
{
	for (size_t i = 0; i < snap->n_tasks; i++)
		if (snap->tasks[i].age_is_lower)
			snap->tasks[i].have_age = snap->tasks[i].age_is_lower = false;
	forget_unverified(snap);
	for (size_t i = 0; i < snap->n_loops; i++)
		bound_tasks(snap, (uint32_t)i);
}
