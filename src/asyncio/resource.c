/* SPDX-License-Identifier: Apache-2.0 */
/* Primitives of asyncio that tasks wait on: which one, and how it stands. */
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)
#define WAITERS_MAX   512u /* of one deque */

/* Files of asyncio, and functions in them ("" any), by what is waited for in them. */
static const struct {
	const char *file, *function;
	enum aio_wait_kind kind;
} places[] = {
	{"asyncio/locks.py", "", AIO_WAIT_SYNC},
	{"asyncio/queues.py", "", AIO_WAIT_SYNC},
	{"asyncio/streams.py", "", AIO_WAIT_STREAM},
	{"asyncio/tasks.py", "sleep", AIO_WAIT_TIMER},
	{"asyncio/tasks.py", "_wait", AIO_WAIT_TASKS},
	{"asyncio/tasks.py", "wait_for", AIO_WAIT_TASKS},
	{"asyncio/tasks.py", "_cancel_and_wait", AIO_WAIT_TASKS},
	{"asyncio/taskgroups.py", "", AIO_WAIT_TASKS},
	{"asyncio/selector_events.py", "", AIO_WAIT_SOCKET},
	{"asyncio/base_subprocess.py", "", AIO_WAIT_PROCESS},
};

static enum aio_wait_kind place_of(const struct py_code *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if ((!places[i].function[0] || !strcmp(code->name, places[i].function)) &&
		    str_ends_with(code->file, places[i].file))
			return places[i].kind;
	return AIO_WAIT_UNKNOWN;
}

static enum aio_wait_kind remembered_place(struct python *py, uint32_t code)
{
	struct py_code *c = &py->codes[code];

	if (!c->place)
		c->place = (uint8_t)(1 + place_of(c));
	return (enum aio_wait_kind)(c->place - 1);
}

/*
 * A Queue waits for its own Event in join(), a Barrier for its Condition: the outer one is what
 * the program knows. A Condition that takes its Lock again does wait for the Lock.
 */
static bool is_part(struct python *py, const struct aio_link *inner)
{
	return strcmp(py->codes[inner->frame.code].name, "acquire") != 0;
}

enum aio_wait_kind aio_wait_on(struct python *py, const struct aio_link *links, size_t n,
			       uint64_t *resource)
{
	enum aio_wait_kind kind = AIO_WAIT_UNKNOWN;
	bool part = true;

	*resource = 0;
	while (n && links[n - 1].kind != AIO_LINK_FRAME)
		n--;
	for (; n && part && links[n - 1].kind == AIO_LINK_FRAME; n--) {
		const struct aio_link *link = &links[n - 1];
		enum aio_wait_kind place = remembered_place(py, link->frame.code);
		uint64_t self;

		if (kind == AIO_WAIT_UNKNOWN)
			kind = place;
		if (place != kind || (kind != AIO_WAIT_SYNC && kind != AIO_WAIT_STREAM))
			break;
		self = python_local(py, &link->frame, "self");
		if (!self || py->rd.failed)
			break;
		*resource = self;
		part = is_part(py, link);
	}
	rd_take(&py->rd);
	return kind;
}

/* ---- how it stands ------------------------------------------------------------------------- */

static void count_waiters(struct python *py, uint64_t deque, struct aio_resource *ret)
{
	uint64_t futures[WAITERS_MAX], total;
	size_t n;

	if (!deque || py_is_none(py, deque))
		return;
	n = aio_deque(py, deque, futures, WAITERS_MAX, &total);
	if (py->rd.failed)
		return;
	ret->waiting += (int64_t)total;
	for (size_t i = 0; i < n; i++)
		ret->woken += aio_future_state(py, futures[i]) != AIO_PENDING;
}

/* The items of a queue: a deque, or the list of a heap or stack. */
static int64_t queue_size(struct python *py, uint64_t queue)
{
	if (!py_is_instance(py, queue, "collections.deque") && !py_is_instance(py, queue, "list"))
		return -1;
	return (int64_t)py_size(py, queue);
}

bool aio_resource_read(struct python *py, uint64_t address, struct aio_resource *ret)
{
	static const char *const names[] = {"_locked",	"_value",   "_queue",  "_maxsize",
					    "_waiters", "_getters", "_putters"};
	enum { LOCKED, VALUE, QUEUE, MAXSIZE, WAITERS, GETTERS, PUTTERS, N };
	uint64_t v[N];

	*ret = (struct aio_resource){.address = address, .locked = -1, .value = -1};
	ret->size = ret->maxsize = -1;
	ret->type = py_object_type_name(py, address);
	if (py->rd.failed || !py_attrs(py, address, names, N, v))
		return !rd_take(&py->rd) && false;
	ret->is_lock = v[LOCKED] && !v[VALUE];
	if (v[LOCKED])
		ret->locked = py_bool(py, v[LOCKED]);
	if (v[VALUE])
		py_int(py, v[VALUE], &ret->value);
	if (v[QUEUE])
		ret->size = queue_size(py, v[QUEUE]);
	if (v[MAXSIZE])
		py_int(py, v[MAXSIZE], &ret->maxsize);
	ret->is_semaphore = v[VALUE] && py_is_instance(py, address, "Semaphore");
	for (size_t i = WAITERS; i <= PUTTERS; i++)
		count_waiters(py, v[i], ret);
	/* whoever releases one sets the future of the next waiter in the same call */
	if (ret->waiting > 0 && ret->waiting <= WAITERS_MAX && !ret->woken)
		ret->lost = (ret->is_lock && !ret->locked) || (ret->is_semaphore && ret->value > 0);
	if (py->rd.failed)
		ret->lost = false;
	return !rd_take(&py->rd);
}
