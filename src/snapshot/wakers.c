/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What will end a wait. That nothing will is said only with proof: each reference to the future
 * is accounted for by the task that waits for it, so nobody else can set its result.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define HANDLES_MAX 4096u /* timers, and descriptors, of one loop that are looked at */

/* Variables of the awaiting coroutines that are the future. */
static uint32_t count_locals(struct python *py, const struct py_frame *frame, uint64_t future)
{
	size_t n_locals, n = python_slots(py, frame, &n_locals);
	uint32_t count = 0;

	for (size_t i = 0; i < n_locals && i < n && !py->rd.failed; i++)
		count += python_slot(py, frame, i) == future;
	return count;
}

static bool is_deadline(const char *type)
{
	return strcasestr(type, "timeout") || strstr(type, "CancelScope");
}

/* A timeout block around the await will cancel the task: it is on the stack (resources.c). */
static bool has_deadline(struct python *py, const struct py_frame *frame)
{
	size_t n_locals, n = python_slots(py, frame, &n_locals);

	for (size_t i = n_locals; i < n && !py->rd.failed; i++) {
		uint64_t value = python_slot(py, frame, i);
		const char *type = value ? py_object_type_name(py, value) : "";

		if (!strcmp(type, "method"))
			type = py_object_type_name(
				py,
				rd_u64(&py->rd, value + py->layout.field[F_METHOD_SELF].offset));
		if (is_deadline(type))
			return true;
	}
	return false;
}

/*
 * The waiting task and its FutureIter have one reference each, its variables may have more. Not
 * for builds that count references in two places.
 */
static bool nobody_else(struct python *py, uint64_t future, const struct aio_link *links, size_t n)
{
	uint32_t refs, own = 2;

	if (py->free_threaded || !layout_has(&py->layout, F_OB_REFCNT))
		return false;
	refs = rd_u32(&py->rd, future + py->layout.field[F_OB_REFCNT].offset);
	if (n < 2 || links[n - 1].kind != AIO_LINK_FUTURE || links[n - 1].address != future ||
	    refs < own || refs > own + 4 * n)
		return false;
	for (size_t i = 0; i + 1 < n; i++) {
		if (links[i].kind != AIO_LINK_FRAME)
			return false;
		own += count_locals(py, &links[i].frame, future);
	}
	if (py->rd.failed || refs != own)
		return false;
	for (size_t i = 0; i + 1 < n; i++)
		if (has_deadline(py, &links[i].frame))
			return false;
	return !py->rd.failed;
}

/* A plain future, of which the innermost frame says nothing. */
static enum snap_waker waker_of_future(struct builder *b, const struct aio_task *raw,
				       const struct aio_link *links, size_t n)
{
	const char *type = build_type(b, raw->waiter);

	if (str_ends_with(type, "_GatheringFuture"))
		return SNAP_WAKER_TASK;
	if (strcmp(type, "_asyncio.Future") != 0 || raw->must_cancel || raw->cancels)
		return SNAP_WAKER_UNKNOWN;
	if (nobody_else(b->py, raw->waiter, links, n) && !rd_take(&b->py->rd))
		return SNAP_WAKER_NOBODY;
	rd_take(&b->py->rd);
	return SNAP_WAKER_UNKNOWN;
}

void build_waker(struct builder *b, const struct aio_task *raw, enum aio_wait_kind kind,
		 const struct aio_link *links, size_t n, struct snap_task *task)
{
	static const enum snap_waker by_kind[] = {
		[AIO_WAIT_SYNC] = SNAP_WAKER_SYNC,	 [AIO_WAIT_STREAM] = SNAP_WAKER_FD,
		[AIO_WAIT_TIMER] = SNAP_WAKER_TIMER,	 [AIO_WAIT_TASKS] = SNAP_WAKER_TASK,
		[AIO_WAIT_SOCKET] = SNAP_WAKER_FD,	 [AIO_WAIT_PROCESS] = SNAP_WAKER_SUBPROCESS,
		[AIO_WAIT_UNKNOWN] = SNAP_WAKER_UNKNOWN,
	};

	if (!raw->waiter || task->state != SNAP_TASK_PENDING)
		return;
	if (task->wait == SNAP_WAIT_TASK)
		task->waker = SNAP_WAKER_TASK;
	else if (task->wait == SNAP_WAIT_EXECUTOR)
		task->waker = SNAP_WAKER_EXECUTOR;
	else if (kind != AIO_WAIT_UNKNOWN)
		task->waker = by_kind[kind];
	else
		task->waker = waker_of_future(b, raw, links, n);
}

/* ---- timers and descriptors that will set a plain future
 * ----------------------------------------- */

typedef size_t get_handles(struct python *py, const struct aio_loop *loop, uint64_t *out,
			   size_t max);

static void mark(struct builder *b, get_handles *get, enum snap_waker waker, struct addrmap *asked)
{
	uint64_t *handles = mem_alloc(HANDLES_MAX * sizeof(*handles)), objects[8];

	for (size_t l = 0; l < b->s->n_loops; l++) {
		size_t n = get(b->py, &b->s->loops[l].info, handles, HANDLES_MAX);

		aio_handles_prefetch(b->py, handles, n);
		for (size_t i = 0; i < n; i++) {
			size_t k =
				aio_handle_objects(b->py, handles[i], objects, ARRAY_SIZE(objects));

			while (k-- > 0)
				if (addrmap_get(asked, objects[k]) != ADDRMAP_NONE)
					addrmap_put(asked, objects[k], waker);
		}
	}
	free(handles);
}

static bool is_asked(const struct snap_task *task)
{
	return task->waker == SNAP_WAKER_UNKNOWN && task->wait == SNAP_WAIT_FUTURE &&
	       task->state == SNAP_TASK_PENDING;
}

void build_wakers(struct builder *b)
{
	struct addrmap asked = ADDRMAP_INIT;
	struct snapshot *s = b->s;

	for (size_t i = 0; i < s->n_tasks; i++)
		if (is_asked(&s->tasks[i]))
			addrmap_put(&asked, s->tasks[i].waits_for, SNAP_WAKER_UNKNOWN);
	if (asked.used) {
		mark(b, aio_timer_handles, SNAP_WAKER_TIMER, &asked);
		mark(b, aio_fd_handles, SNAP_WAKER_FD, &asked);
	}
	for (size_t i = 0; asked.used && i < s->n_tasks; i++)
		if (is_asked(&s->tasks[i]))
			s->tasks[i].waker =
				(enum snap_waker)addrmap_get(&asked, s->tasks[i].waits_for);
	addrmap_deinit(&asked);
}
