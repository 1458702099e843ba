/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread is blocked on for good: the result of a concurrent.futures.Future, or the end of
 * another thread (concurrent/futures/_base.py, threading.py, 3.8 to 3.15). The frames above are
 * those of the condition variable.
 */
#include <string.h>

#include "stallscope/asyncio.h"

#define ABOVE_MAX 4u /* frames of threading.py above */

static bool is_in(struct python *py, const struct py_frame *frame, const char *file)
{
	return frame->code != UINT32_MAX && str_ends_with(py->codes[frame->code].file, file);
}

static bool is_called(struct python *py, const struct py_frame *frame, const char *name)
{
	return !strcmp(py->codes[frame->code].name, name);
}

static bool has_no_timeout(struct python *py, const struct py_frame *frame)
{
	uint64_t timeout = python_local(py, frame, "timeout");

	return timeout && !py->rd.failed && py_is_none(py, timeout);
}

static bool is_unfinished(struct python *py, uint64_t future)
{
	static const char *const names[] = {"_state"};
	uint64_t state;

	return py_attrs(py, future, names, 1, &state) && state &&
	       (py_str_equals(py, state, "PENDING") || py_str_equals(py, state, "RUNNING"));
}

static bool read_future(struct python *py, const struct py_frame *frame, struct aio_block *ret)
{
	uint64_t future = python_local(py, frame, "self");

	if (!future || py->rd.failed || !is_unfinished(py, future))
		return false;
	ret->future = future;
	ret->forever = has_no_timeout(py, frame);
	return true;
}

static bool read_join(struct python *py, const struct py_frame *frame, struct aio_block *ret)
{
	static const char *const names[] = {"_ident"};
	uint64_t thread = python_local(py, frame, "self"), ident;
	int64_t number;

	if (!thread || py->rd.failed || !py_attrs(py, thread, names, 1, &ident) || !ident ||
	    !py_int(py, ident, &number))
		return false;
	ret->ident = (uint64_t)number;
	ret->forever = has_no_timeout(py, frame);
	return true;
}

bool aio_block_read(struct python *py, const struct py_frame *frames, size_t n,
		    struct aio_block *ret)
{
	bool found = false;

	*ret = (struct aio_block){.future = 0};
	for (size_t i = 0; i < n && i < ABOVE_MAX && !found; i++) {
		const struct py_frame *frame = &frames[i];

		if (is_in(py, frame, "concurrent/futures/_base.py") &&
		    (is_called(py, frame, "result") || is_called(py, frame, "exception")))
			found = read_future(py, frame, ret);
		else if (is_in(py, frame, "/threading.py") && is_called(py, frame, "join"))
			found = read_join(py, frame, ret);
		else if (!is_in(py, frame, "/threading.py"))
			break;
	}
	return !rd_take(&py->rd) && found;
}

uint64_t aio_work_item(struct python *py, const struct py_frame *frame)
{
	static const char *const names[] = {"future"};
	uint64_t item, future = 0;

	if (!is_in(py, frame, "concurrent/futures/thread.py") || !is_called(py, frame, "run"))
		return 0;
	item = python_local(py, frame, "self");
	if (item && !py->rd.failed && !py_attrs(py, item, names, 1, &future))
		future = 0;
	return rd_take(&py->rd) ? 0 : future;
}

/* ---- a pool of connections ------------------------------------------------------------------ */

/* The Queue inside: the connections that are free, and how many it was made for. */
static bool read_free(struct python *py, uint64_t queue, int64_t *size, int64_t *n_free)
{
	static const char *const names[] = {"maxsize", "queue"};
	uint64_t v[ARRAY_SIZE(names)];

	if (!queue || !py_attrs(py, queue, names, ARRAY_SIZE(names), v) || !v[0] || !v[1] ||
	    !py_int(py, v[0], size) || !py_is_instance(py, v[1], "collections.deque"))
		return false;
	*n_free = (int64_t)py_size(py, v[1]);
	return !py->rd.failed;
}

/* sqlalchemy/pool/impl.py: QueuePool.checkedout() is maxsize - free + overflow. */
static bool read_pool(struct python *py, uint64_t pool, struct aio_pool *ret)
{
	static const char *const names[] = {"_pool", "_overflow", "_max_overflow"};
	uint64_t v[ARRAY_SIZE(names)];
	int64_t size, n_free, overflow, max_overflow;

	if (!pool || !py_attrs(py, pool, names, ARRAY_SIZE(names), v) || !v[1] || !v[2] ||
	    !read_free(py, v[0], &size, &n_free) || !py_int(py, v[1], &overflow) ||
	    !py_int(py, v[2], &max_overflow))
		return false;
	if (size < 0 || size > INT32_MAX || overflow < -size || overflow > INT32_MAX ||
	    max_overflow > INT32_MAX)
		return false;
	ret->address = pool;
	ret->checked_out = size - n_free + overflow;
	ret->limit = max_overflow < 0 ? -1 : size + max_overflow;
	return ret->checked_out >= 0;
}

bool aio_pool_read(struct python *py, const struct py_frame *frames, size_t n, struct aio_pool *ret)
{
	bool waits = false;

	for (size_t i = 0; i < n && i < 2 * ABOVE_MAX; i++) {
		const struct py_frame *frame = &frames[i];

		if (is_in(py, frame, "sqlalchemy/util/queue.py") && is_called(py, frame, "get"))
			waits = true;
		else if (waits && is_in(py, frame, "sqlalchemy/pool/impl.py") &&
			 is_called(py, frame, "_do_get"))
			return read_pool(py, python_local(py, frame, "self"), ret) &&
			       !rd_take(&py->rd);
		else if (!is_in(py, frame, "/threading.py"))
			break;
	}
	rd_take(&py->rd);
	return false;
}
