/* SPDX-License-Identifier: Apache-2.0 */
/* What is queued in a loop: deques and the handles in them. */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)

/* A block of a deque: {leftlink, data[64], rightlink} (Modules/_collectionsmodule.c). */
enum { BLOCK_ITEMS = 64, BLOCK_DATA = 8, BLOCK_RIGHT = BLOCK_DATA + 8 * BLOCK_ITEMS };
#define BLOCKS_MAX 65536u /* 4 million items */

size_t aio_deque(struct python *py, uint64_t deque, uint64_t *out, size_t max, uint64_t *total)
{
	uint64_t block, index, step, at = 0, base = 0;
	size_t n = 0;

	*total = 0;
	if (!py_is_instance(py, deque, "collections.deque"))
		return 0;
	*total = py_size(py, deque);
	if (!*total)
		return 0;
	block = rd_ptr(&py->rd, AT(deque, DEQUE_LEFTBLOCK));
	index = rd_u64(&py->rd, AT(deque, DEQUE_LEFTINDEX));
	step = *total > max && max ? (*total + max - 1) / max : 1;
	for (unsigned blocks = 0; n < max && at < *total && !py->rd.failed; at += step) {
		/* base: number of the first item that the block has room for, less the gap */
		while (index + at - base >= BLOCK_ITEMS && !py->rd.failed) {
			if (++blocks > BLOCKS_MAX)
				return n;
			block = rd_ptr(&py->rd, block + BLOCK_RIGHT);
			base += BLOCK_ITEMS;
		}
		out[n] = rd_ptr(&py->rd, block + BLOCK_DATA + 8 * (index + at - base));
		n += !py->rd.failed;
	}
	return n;
}

void aio_handles_prefetch(struct python *py, const uint64_t *handles, size_t n)
{
	uint64_t *addrs = mem_alloc((n + 1) * sizeof(*addrs));
	uint32_t slot = n ? py_slot_offset(py, py_type(py, handles[0]), "_callback") : 0;
	size_t callbacks = 0;

	memcpy(addrs, handles, n * sizeof(*addrs));
	source_prefetch(py->rd.src, addrs, n, 128);
	for (size_t i = 0; slot && i < n; i++) {
		addrs[callbacks] = rd_u64(&py->rd, handles[i] + slot);
		callbacks += !rd_take(&py->rd);
	}
	source_prefetch(py->rd.src, addrs, callbacks, 64);
	rd_take(&py->rd);
	free(addrs);
}

/* asyncio/tasks.py: run_coroutine_threadsafe.<locals>.callback has the Future as `future`. */
uint64_t aio_threadsafe_future(struct python *py, uint64_t handle)
{
	uint32_t slot = py_slot_offset(py, py_type(py, handle), "_callback");
	uint64_t callback = slot ? rd_u64(&py->rd, handle + slot) : 0, future = 0;
	uint32_t code = callback && !py->rd.failed ? python_function(py, callback) : UINT32_MAX;

	if (code != UINT32_MAX && !strcmp(py->codes[code].name, "callback") &&
	    str_ends_with(py->codes[code].file, "asyncio/tasks.py"))
		future = python_captured(py, callback, "future");
	return rd_take(&py->rd) ? 0 : future;
}

/* ---- handles -------------------------------------------------------------------------------- */

static uint64_t slot_value(struct python *py, uint64_t handle, const char *name)
{
	uint32_t slot = py_slot_offset(py, py_type(py, handle), name);

	return slot ? rd_u64(&py->rd, handle + slot) : 0;
}

size_t aio_handle_objects(struct python *py, uint64_t handle, uint64_t *out, size_t max)
{
	uint64_t callback = slot_value(py, handle, "_callback");
	uint64_t args = slot_value(py, handle, "_args"), self = 0, n_args = 0, first = 0;
	const char *type = callback ? py_object_type_name(py, callback) : "";
	size_t n = 0;

	if (!strcmp(type, "method"))
		self = rd_u64(&py->rd, AT(callback, METHOD_SELF));
	else if (!strcmp(type, "builtin_function_or_method") || !strcmp(type, "builtin_method"))
		self = rd_u64(&py->rd, AT(callback, CFUNC_SELF));
	if (self && n < max)
		out[n++] = self;
	if (args && !py_is_none(py, args))
		first = py_tuple_items(py, args, &n_args);
	for (uint64_t i = 0; i < n_args && n < max; i++)
		out[n++] = rd_u64(&py->rd, first + 8 * i);
	return rd_take(&py->rd) ? 0 : n;
}

size_t aio_timer_handles(struct python *py, const struct aio_loop *loop, uint64_t *out, size_t max)
{
	uint64_t n_all = 0, items;
	size_t n = 0;

	if (!loop->scheduled)
		return 0;
	items = py_list_items(py, loop->scheduled, &n_all);
	while (n < n_all && n < max && !py->rd.failed) {
		out[n] = rd_ptr(&py->rd, items + 8 * n);
		n++;
	}
	return rd_take(&py->rd) ? 0 : n;
}

/* SelectorKey(fileobj, fd, events, data), data = (reader, writer) (asyncio/selector_events.py). */
size_t aio_fd_handles(struct python *py, const struct aio_loop *loop, uint64_t *out, size_t max)
{
	uint64_t fd, key, data, handle;
	struct py_iter it;
	size_t n = 0;

	if (!loop->fd_keys || !py_dict_begin(py, loop->fd_keys, &it))
		return !rd_take(&py->rd) && false;
	while (n + 2 <= max && py_iter_next(py, &it, &fd, &key)) {
		data = py_tuple_item(py, key, 3);
		for (size_t i = 0; data && i < 2; i++) {
			handle = py_tuple_item(py, data, i);
			if (handle && !py_is_none(py, handle))
				out[n++] = handle;
		}
	}
	return rd_take(&py->rd) ? 0 : n;
}
