/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks that wait for an asyncio.Lock which the next of them has, the last for that of the first;
 * or one that waits for its own. The loop turns, and they never go on. A Lock does not know who has
 * it, so this is said when each of them is seen to be inside of the `async with` of its Lock, all
 * at one moment, and no timeout around any of them is known.
 */
#include "rules.h"

#define RING_MAX    8u
#define AWAITERS_UP 64u /* tasks above one whose timeouts are looked at */

struct ring {
	uint32_t resources[RING_MAX]; /* each is held by the task at its place ... */
	uint32_t tasks[RING_MAX];     /* ... which waits for the next one */
	uint32_t n;
};

static uint32_t holder_of(const struct snap_resource *r, bool certain)
{
	if (certain)
		return r->holder;
	return r->n_holders == 1 ? r->holders[0] : SNAP_NONE;
}

/* From a lock to what its holder waits for, until that is the first one again. */
static bool follow(const struct facts *f, uint32_t first, bool certain, struct ring *ret)
{
	const struct snapshot *s = f->snap;
	uint32_t at = first;

	for (ret->n = 0; ret->n < RING_MAX;) {
		uint32_t task = holder_of(&s->resources[at], certain);

		if (task == SNAP_NONE || s->tasks[task].state != SNAP_TASK_PENDING ||
		    s->tasks[task].torn || s->tasks[task].loop != f->index)
			return false;
		ret->resources[ret->n] = at;
		ret->tasks[ret->n++] = task;
		at = s->tasks[task].resource;
		if (at == first)
			return true;
		if (at >= s->n_resources)
			return false;
	}
	return false;
}

/* Of the task, or of one that awaits it: wait_for() up to 3.11 is a task of its own. */
static bool has_timeout(const struct snapshot *s, uint32_t task)
{
	uint32_t above[AWAITERS_UP] = {task};
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		const struct snap_task *t = &s->tasks[above[i]];

		if (t->have_timeout || t->awaiters_cut)
			return true;
		for (uint32_t k = 0; k < t->n_awaiters; k++) {
			uint32_t other = snap_task_find(s, s->awaiters[t->first_awaiter + k]);

			if (other == SNAP_NONE || n == AWAITERS_UP)
				return true; /* not known */
			above[n++] = other;
		}
	}
	return false;
}

static bool may_be_given_up(const struct snapshot *s, const struct ring *ring)
{
	for (uint32_t i = 0; i < ring->n; i++)
		if (has_timeout(s, ring->tasks[i]))
			return true;
	return false;
}

static bool find_ring(const struct facts *f, bool certain, struct ring *ret)
{
	for (uint32_t i = 0; i < f->snap->n_resources; i++) {
		const struct snap_resource *r = &f->snap->resources[i];

		if (r->n_holders && r->loop == f->index && follow(f, i, certain, ret) &&
		    !may_be_given_up(f->snap, ret))
			return true;
	}
	return false;
}

bool lock_ring(const struct facts *f)
{
	struct ring ring;

	return !facts_late(f) && f->loop->slept_through && find_ring(f, true, &ring);
}

void explain_lock_ring(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	struct ring ring;

	if (!find_ring(f, true, &ring))
		return;
	set_verdict(v, VERDICT_WAITING, CONFIDENCE_HIGH, "wait.deadlock");
	v->title = ring.n == 1 ? "a task waits for an asyncio.Lock that it has itself"
			       : "tasks wait for an asyncio.Lock of each other";
	v->advice = ring.n == 1 ? "cancel it, or restart. An asyncio.Lock is not re-entrant: take "
				  "it once, and call what needs it inside"
				: "cancel one of them, or restart. Take locks in one order "
				  "everywhere, or both under asyncio.timeout()";
	v->site_task = ring.tasks[0];
	v->site_count = ring.n;
	v->site_of = f->loop->tasks;
	for (uint32_t i = 0; i < ring.n; i++) {
		uint32_t next = (i + 1) % ring.n;

		add_evidence(v, "value stacks", "%s is inside of async with of the Lock at 0x%llx",
			     s->tasks[ring.tasks[next]].name,
			     (unsigned long long)s->resources[ring.resources[next]].address);
	}
	add_evidence(v, "looks", "the loop slept while that was read, and no timeout was found");
}

void add_ring_evidence(const struct facts *f, struct verdict *v)
{
	struct ring ring;

	if (!find_ring(f, false, &ring))
		return;
	if (ring.n == 1)
		add_evidence(v, "value stacks",
			     "task %s waits for a lock that it likely has itself",
			     f->snap->tasks[ring.tasks[0]].name);
	else
		add_evidence(v, "value stacks",
			     "%u tasks wait for locks that each other likely has: --tasks tree",
			     ring.n);
}
