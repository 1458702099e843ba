/* SPDX-License-Identifier: Apache-2.0 */
/* Primitives of asyncio that tasks wait on: which one, and how it stands. */
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)
#define WAITERS_MAX   512u /* of one deque */

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
