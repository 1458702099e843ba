/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who awaits each task: a look at its done callbacks, which lead to the task that will wake, often
 * over a future of gather(), wait() or shield(). A task without any is unowned.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define VISITS_MAX 64u /* futures looked at for one task */
#define GETTERS	   4u  /* of an as_completed() queue */

struct walk {
	struct snap_task *task;
	unsigned visits;
};

/* The nearest owner stands for all: the enum is in this order. */
static void set_owner(struct snap_task *task, enum snap_owner owner)
{
	if (task->owner == SNAP_OWNER_UNKNOWN || task->owner == SNAP_OWNER_NOBODY ||
	    owner < task->owner)
		task->owner = owner;
}

static void add_awaiter(struct builder *b, struct snap_task *task, uint64_t awaiter)
{
	struct snapshot *s = b->s;

	if (!awaiter || py_task_kind(b->py, awaiter) == PY_TASK_NOT || b->py->rd.failed)
		return;
	for (uint32_t i = 0; i < task->n_awaiters; i++)
		if (s->awaiters[task->first_awaiter + i] == awaiter)
			return;
	if (task->n_awaiters == SNAP_MAX_AWAITERS) {
		task->awaiters_cut = true;
		return;
	}
	*array_push(&s->awaiters, &s->n_awaiters, &b->awaiters_cap) = awaiter;
	task->n_awaiters++;
}

/* There are more callbacks than are read: somebody is told, it is not known who. */
static void cut_off(struct snap_task *task)
{
	set_owner(task, SNAP_OWNER_CALLBACK);
	task->awaiters_cut = true;
}

/* By its address: tasks that are added in parts are put in order later. */
static void note_chained(struct builder *b, const struct snap_task *task, uint64_t future)
{
	addrmap_put(&b->chained_map, future, (uint32_t)b->n_chained);
	*array_push(&b->chained, &b->n_chained, &b->chained_cap) = task->id;
}

static void follow(struct builder *b, struct walk *w, uint64_t future);

/* as_completed() gives results through a queue: whoever reads it is told. */
static void follow_queue(struct builder *b, struct walk *w, uint64_t queue)
{
	static const char *const names[] = {"_getters"};
	uint64_t getters, futures[GETTERS], total;
	size_t n;

	set_owner(w->task, SNAP_OWNER_CALLBACK);
	if (!queue || !py_attrs(b->py, queue, names, 1, &getters) || !getters)
		return;
	n = aio_deque(b->py, getters, futures, GETTERS, &total);
	w->task->awaiters_cut |= total > n;
	for (size_t i = 0; i < n && !b->py->rd.failed; i++)
		follow(b, w, futures[i]);
}

static void follow_done(struct builder *b, struct walk *w, const struct aio_done *done)
{
	switch (done->kind) {
	case AIO_DONE_TASK:
		set_owner(w->task, SNAP_OWNER_TASK);
		add_awaiter(b, w->task, done->object);
		break;
	case AIO_DONE_GROUP:
		set_owner(w->task, SNAP_OWNER_GROUP);
		add_awaiter(b, w->task, done->object);
		break;
	case AIO_DONE_FUTURE:
		set_owner(w->task, SNAP_OWNER_CALLBACK);
		if (done->object) {
			addrmap_put(&b->woken_map, done->object, 0);
			follow(b, w, done->object);
		}
		break;
	case AIO_DONE_QUEUE:
		follow_queue(b, w, done->object);
		break;
	case AIO_DONE_RUNNER:
		set_owner(w->task, SNAP_OWNER_RUNNER);
		break;
	case AIO_DONE_CHAINED:
		set_owner(w->task, SNAP_OWNER_THREAD);
		if (done->object)
			note_chained(b, w->task, done->object);
		break;
	case AIO_DONE_OTHER:
		set_owner(w->task, SNAP_OWNER_CALLBACK);
		break;
	case AIO_DONE_EXECUTOR:
	case AIO_DONE_SHIELD:
	case AIO_DONE_NOBODY:
		break;
	}
}

static void follow(struct builder *b, struct walk *w, uint64_t future)
{
	struct aio_dones dones;

	if (w->visits++ >= VISITS_MAX) {
		w->task->awaiters_cut = true;
		return;
	}
	if (!aio_dones(b->py, future, &dones)) {
		set_owner(w->task, SNAP_OWNER_CALLBACK);
		return;
	}
	for (size_t i = 0; i < dones.n; i++)
		follow_done(b, w, &dones.v[i]);
	if (dones.truncated)
		cut_off(w->task);
}

/* From 3.14 on tasks keep books of who awaits them, also where no callback says it. */
static void read_books(struct builder *b, struct snap_task *task)
{
	uint64_t awaiters[SNAP_MAX_AWAITERS + 1]; /* one more: to see that there are more */
	size_t n;

	if (!aio_awaited_by(b->py, task->id, awaiters, ARRAY_SIZE(awaiters), &n))
		return;
	for (size_t i = 0; i < n; i++) {
		set_owner(task, SNAP_OWNER_TASK);
		add_awaiter(b, task, awaiters[i]);
	}
}

static void find_owner(struct builder *b, struct snap_task *task)
{
	struct walk w = {.task = task, .visits = 1};
	struct aio_dones dones;

	task->first_awaiter = (uint32_t)b->s->n_awaiters;
	if (!aio_dones(b->py, task->id, &dones))
		return;
	task->owner = SNAP_OWNER_NOBODY;
	read_books(b, task);
	for (size_t i = 0; i < dones.n; i++)
		follow_done(b, &w, &dones.v[i]);
	if (dones.truncated)
		cut_off(task);
	if (rd_take(&b->py->rd) && task->owner == SNAP_OWNER_NOBODY)
		task->owner = SNAP_OWNER_UNKNOWN;
}

void build_owners(struct builder *b, size_t first, size_t n)
{
	uint64_t *tasks = mem_alloc((n + 1) * sizeof(*tasks));

	for (size_t i = 0; i < n; i++)
		tasks[i] = b->s->tasks[first + i].id;
	aio_dones_prefetch(b->py, tasks, n);
	free(tasks);
	for (size_t i = 0; i < n; i++)
		find_owner(b, &b->s->tasks[first + i]);
}

/* The futures of gather() and its like are set by the tasks that lead to them. */
void build_awaited(struct builder *b)
{
	struct snapshot *s = b->s;

	for (size_t i = 0; i < s->n_tasks; i++)
		if (s->tasks[i].waker == SNAP_WAKER_UNKNOWN && s->tasks[i].waits_for &&
		    addrmap_get(&b->woken_map, s->tasks[i].waits_for) != ADDRMAP_NONE)
			s->tasks[i].waker = SNAP_WAKER_TASK;
}
