/* SPDX-License-Identifier: Apache-2.0 */
/* What each task waits on, what that is called, and when it ends by itself. */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

/* "asyncio.sleep" and its like, remembered by the code that has the name; NULL elsewhere. */
static const char *wait_name(struct builder *b, const struct aio_link *links,
			     const struct aio_wait *wait)
{
	cleanup_strbuf struct strbuf what = STRBUF_INIT;
	const char *name = NULL;
	uint32_t code, known;

	if (!wait->in_asyncio || wait->name)
		return wait->name;
	code = links[wait->link].frame.code;
	known = addrmap_get(&b->what_map, code);
	if (known != ADDRMAP_NONE)
		return b->strings[known];
	if (aio_wait_name(b->py, links, wait, &what))
		name = arena_strndup(&b->s->arena, what.data, what.len);
	addrmap_put(&b->what_map, code, (uint32_t)b->n_strings);
	return *array_push(&b->strings, &b->n_strings, &b->strings_cap) = name;
}

/* uvloop's own coroutines: "Loop.sock_recv". */
static const char *uvloop_name(struct builder *b, const struct aio_link *links, size_t n,
			       const struct snap_task *task)
{
	const char *name;

	if (n < 2 || links[n - 2].kind != AIO_LINK_CYTHON || task->loop == SNAP_NONE ||
	    !b->s->loops[task->loop].info.is_uvloop)
		return NULL;
	name = build_string(b, links[n - 2].qualname, 200);
	return strncmp(name, "Loop.", 5) ? NULL : name;
}

/* gather() and shield() are no coroutines: they are known by the future that they gave. */
static const char *future_name(struct builder *b, uint64_t future, const struct aio_dones *dones)
{
	const char *type = build_type(b, future);

	if (!strcmp(type, "_GatheringFuture"))
		return "asyncio.gather";
	return aio_dones_have(dones, AIO_DONE_SHIELD) ? "asyncio.shield" : type;
}

/* Whom else the future tells that the task waits for. */
static void describe_callbacks(struct builder *b, const struct aio_dones *dones,
			       struct snap_task *task)
{
	task->have_callbacks = true;
	task->first_callback = (uint32_t)b->s->n_callbacks;
	for (size_t i = 0; i < dones->n; i++) {
		cleanup_strbuf struct strbuf name = STRBUF_INIT;

		if (dones->v[i].kind != AIO_DONE_OTHER ||
		    !aio_callback_name(b->py, dones->v[i].callback, &name))
			continue;
		*array_push(&b->s->callbacks, &b->s->n_callbacks, &b->callbacks_cap) =
			arena_strndup(&b->s->arena, name.data, name.len);
		task->n_callbacks++;
	}
}

static void describe_future(struct builder *b, uint64_t waiter, struct snap_task *task,
			    struct aio_dones *dones)
{
	task->waits_for = waiter;
	task->wait = SNAP_WAIT_FUTURE;
	if (py_task_kind(b->py, waiter) != PY_TASK_NOT)
		task->wait = SNAP_WAIT_TASK;
	else if (!aio_dones_awaited(b->py, waiter, dones))
		dones->n = 0;
	else
		describe_callbacks(b, dones, task);
	if (aio_dones_have(dones, AIO_DONE_EXECUTOR))
		task->wait = SNAP_WAIT_EXECUTOR;
}

/* ---- times ------------------------------------------------------------------------------------
 */

/* Since when it sleeps; what a forged target says is held against the life of the process. */
static void describe_age(const struct builder *b, const struct aio_timer *timer,
			 struct snap_task *task)
{
	static const int64_t slack = 1000000000; /* it may have begun while we read */
	int64_t now = (int64_t)b->s->clock_ns, age = now - aio_ns(timer->when - timer->delay);

	if (task->loop == SNAP_NONE || task->state == SNAP_TASK_RUNNING || !timer->have_delay ||
	    !timer->future || timer->future != task->waits_for || timer->delay < 0 ||
	    age < -slack || age > now - (int64_t)b->proc->started_ns + slack)
		return;
	task->have_age = true;
	task->age_unverified = !timer->verified;
	task->age_ns = age > 0 ? age : 0;
}

static void take_timer(struct builder *b, const struct aio_timer *timer, struct snap_task *task)
{
	double left = timer->when - (double)b->s->clock_ns / 1e9;

	task->have_left = left >= 0;
	task->left_s = left >= 0 ? left : 0;
	task->have_age = false;
	describe_age(b, timer, task);
}

static void describe_timer(struct builder *b, const struct py_frame *frame, struct snap_task *task)
{
	struct aio_timer timer;

	if (!aio_timer_read(b->py, frame, false, &timer))
		return;
	take_timer(b, &timer, task);
	if (b->n_sleeps < SNAP_MAX_VERIFIED)
		*array_push(&b->sleeps, &b->n_sleeps, &b->sleeps_cap) =
			(struct sleep){(uint32_t)(task - b->s->tasks), *frame};
}

/*
 * What was read of a sleep is of one sleep when the loop slept long before and all the while; where
 * it did not, some are read anew, with care. Of the others snapshot_ages() asks the looks.
 */
void build_verify_sleeps(struct builder *b)
{
	bool *moved, *slept;

	if (b->s->settled) { /* with the task that it belongs to, each was read twice */
		for (size_t i = 0; i < b->s->n_tasks; i++)
			b->s->tasks[i].age_unverified &= b->s->tasks[i].torn;
		return;
	}
	moved = mem_zalloc(b->s->n_loops + 1, sizeof(*moved));
	slept = mem_zalloc(b->s->n_loops + 1, sizeof(*slept));

	for (size_t i = 0; i < b->s->n_loops && b->n_sleeps; i++) {
		const struct snap_loop *loop = &b->s->loops[i];

		moved[i] = !is_same_call(b, &b->s->threads[loop->thread].os, "./././") ||
			   !stands_long(loop);
		slept[i] = !moved[i] && loop->phase == SNAP_SELECT && !loop->turned;
	}
	for (size_t i = 0; i < b->s->n_tasks; i++)
		if (b->s->tasks[i].age_unverified)
			b->s->tasks[i].age_unverified = !slept[b->s->tasks[i].loop];
	for (size_t i = 0; i < b->n_sleeps; i++) {
		struct snap_task *task = &b->s->tasks[b->sleeps[i].task];
		struct aio_timer timer;

		if (task->loop != SNAP_NONE && moved[task->loop] &&
		    aio_timer_read(b->py, &b->sleeps[i].frame, true, &timer))
			take_timer(b, &timer, task);
	}
	free(moved);
	free(slept);
}

/* Times of a loop that has a clock of its own say nothing. */
static void describe_times(struct builder *b, const struct aio_link *links, size_t n,
			   const struct aio_wait *wait, struct snap_task *task)
{
	double now = (double)b->s->clock_ns / 1e9, when;

	task->under_timeout = aio_wait_timeout(b->py, links, n, &b->no_timeout_map, &when);
	if (!b->s->clock_ns || task->untimed ||
	    (task->loop != SNAP_NONE && b->s->loops[task->loop].own_clock))
		return;
	if (wait->kind == AIO_WAIT_TIMER)
		describe_timer(b, &links[wait->link].frame, task);
	if (task->under_timeout && when >= now) {
		task->have_timeout = true;
		task->timeout_left_s = when - now;
	}
}

/* ---- what it waits in -------------------------------------------------------------------------
 */

static const char *describe_what(struct builder *b, const struct aio_link *links, size_t n,
				 const struct aio_wait *wait, const struct aio_dones *dones,
				 const struct snap_task *task)
{
	const char *what = wait_name(b, links, wait);
	bool around = what && !strcmp(what, "asyncio.wait_for");
	const char *name;

	if (!task->waits_for || (what && !around))
		return what;
	name = uvloop_name(b, links, n, task);
	if (!name)
		name = future_name(b, task->waits_for, dones);
	/* what stands inside of wait_for() is the wait, where it has a name */
	return around && strncmp(name, "asyncio.", 8) != 0 ? what : name;
}

void build_task_wait(struct builder *b, const struct aio_task *raw, const struct aio_link *links,
		     size_t n, struct snap_task *task)
{
	struct aio_dones dones = {.n = 0};
	struct aio_wait wait;

	if (raw->waiter)
		describe_future(b, raw->waiter, task, &dones);
	else if (n && links[n - 1].kind == AIO_LINK_OPAQUE && task->state != SNAP_TASK_READY)
		task->wait = SNAP_WAIT_OTHER;
	aio_wait_read(b->py, links, n, &wait);
	task->what = describe_what(b, links, n, &wait, &dones, task);
	describe_times(b, links, n, &wait, task);
	if (wait.resource && raw->waiter && task->state != SNAP_TASK_RUNNING)
		task->resource =
			build_resource(b, wait.resource, task->loop, wait.kind == AIO_WAIT_STREAM);
	build_waker(b, raw, wait.kind, links, n, task);
	rd_take(&b->py->rd);
}
