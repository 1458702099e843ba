/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/render.h"

#define SAME_HASH_MAX 16u /* groups with one hash: only a target that means it has so many */

/* FNV-1a over what makes two tasks equal to a reader: state, path and what they wait in. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t task_key(const struct snapshot *snap, const struct snap_task *t)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix(hash, (uint64_t)t->state);
	for (const char *p = t->what ? t->what : ""; *p; p++)
		hash = mix(hash, (unsigned char)*p);
	for (uint32_t i = 0; i < t->stack.n; i++) {
		const struct snap_frame *f = snap_frame_at(snap, &t->stack, i);

		hash = mix(mix(hash, f->code), (uint64_t)f->at.line);
	}
	return hash;
}

bool tasks_same_path(const struct snapshot *snap, const struct snap_task *a,
		     const struct snap_task *b)
{
	if (a->state != b->state || a->stack.n != b->stack.n || !a->what != !b->what ||
	    (a->what != b->what && strcmp(a->what, b->what) != 0))
		return false;
	for (uint32_t i = 0; i < a->stack.n; i++) {
		const struct snap_frame *x = snap_frame_at(snap, &a->stack, i);
		const struct snap_frame *y = snap_frame_at(snap, &b->stack, i);

		if (x->code != y->code || x->at.line != y->at.line)
			return false;
	}
	return true;
}

/* Groups while they are made. Those with one hash are in a chain. */
struct grouping {
	const struct snapshot *snap;
	struct addrmap seen; /* hash -> first of the chain */
	struct task_group *v;
	uint32_t *next;
	size_t n, cap, next_cap;
};

static struct task_group *add_group(struct grouping *g, uint32_t task)
{
	size_t n = g->n;

	*array_push(&g->next, &n, &g->next_cap) = ADDRMAP_NONE;
	*array_push(&g->v, &g->n, &g->cap) =
		(struct task_group){.example = task, .loop = g->snap->tasks[task].loop};
	return &g->v[g->n - 1];
}

static struct task_group *group_of(struct grouping *g, uint32_t task)
{
	const struct snap_task *t = &g->snap->tasks[task];
	uint64_t key = task_key(g->snap, t);
	uint32_t i = addrmap_get(&g->seen, key), steps = 0;

	if (i == ADDRMAP_NONE) {
		addrmap_put(&g->seen, key, (uint32_t)g->n);
		return add_group(g, task);
	}
	for (;; i = g->next[i]) {
		if (tasks_same_path(g->snap, t, &g->snap->tasks[g->v[i].example]))
			return &g->v[i];
		if (++steps == SAME_HASH_MAX)
			return &g->v[i]; /* never split without end */
		if (g->next[i] == ADDRMAP_NONE)
			break;
	}
	g->next[i] = (uint32_t)g->n;
	return add_group(g, task);
}

/* The oldest is exact when the age of each task is. */
static void count_in(struct task_group *g, const struct snap_task *t)
{
	g->count++;
	g->unowned += t->owner == SNAP_OWNER_NOBODY;
	g->orphans += t->waker == SNAP_WAKER_NOBODY;
	g->oldest_is_lower |= !t->have_age || t->age_is_lower;
	if (t->have_age && (!g->have_oldest || t->age_ns > g->oldest_ns)) {
		g->have_oldest = true;
		g->oldest_ns = t->age_ns;
	}
}

static int by_count(const void *a, const void *b)
{
	const struct task_group *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	if (x->have_oldest != y->have_oldest)
		return x->have_oldest ? -1 : 1;
	if (x->oldest_ns != y->oldest_ns)
		return x->oldest_ns < y->oldest_ns ? 1 : -1;
	return x->example < y->example ? -1 : 1;
}

void group_tasks(const struct snapshot *snap, uint32_t loop, const struct task_filter *filter,
		 struct task_group **ret, size_t *n)
{
	struct grouping g = {.snap = snap, .seen = ADDRMAP_INIT};

	for (size_t i = 0; i < snap->n_tasks; i++)
		if (snap->tasks[i].loop == loop && task_filter_matches(filter, snap, (uint32_t)i))
			count_in(group_of(&g, (uint32_t)i), &snap->tasks[i]);
	addrmap_deinit(&g.seen);
	free(g.next);
	if (g.n)
		qsort(g.v, g.n, sizeof(*g.v), by_count);
	*ret = g.v;
	*n = g.n;
}
