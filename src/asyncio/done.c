/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is told when a future is done. asyncio links futures by callbacks: what a callback captured
 * is whom it wakes (asyncio/tasks.py, futures.py, taskgroups.py, 3.8 to 3.15).
 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)

/* Functions of asyncio that are added as callbacks: the variable that says whom they wake. */
static const struct {
	const char *name, *file;
	enum aio_done_kind kind;
	const char *captured;
} known[] = {
	{"_done_callback", "asyncio/tasks.py", AIO_DONE_FUTURE, "outer"},	/* gather */
	{"_on_completion", "asyncio/tasks.py", AIO_DONE_FUTURE, "waiter"},	/* wait */
	{"_inner_done_callback", "asyncio/tasks.py", AIO_DONE_FUTURE, "outer"}, /* shield */
	{"_call_check_cancel", "asyncio/futures.py", AIO_DONE_EXECUTOR, "source"},
	{"_call_set_state", "asyncio/futures.py", AIO_DONE_CHAINED, "destination"},
	{"_run_until_complete_cb", "asyncio/base_events.py", AIO_DONE_RUNNER, NULL},
	/* the other direction, or for the books only: nobody is woken */
	{"_outer_done_callback", "asyncio/tasks.py", AIO_DONE_SHIELD, NULL},
	{"_clear_awaited_by_callback", "asyncio/tasks.py", AIO_DONE_NOBODY, NULL},
	{"_log_on_exception", "asyncio/tasks.py", AIO_DONE_NOBODY, NULL},
	{"_discard_awaited_by", "asyncio/tasks.py", AIO_DONE_NOBODY, NULL},
};

/* A plain function. as_completed() up to 3.12 has one named like wait()'s, with a queue instead. */
static void read_function(struct python *py, uint64_t function, struct aio_done *ret)
{
	uint32_t index = python_function(py, function);
	const struct py_code *code;

	if (index == UINT32_MAX)
		return;
	code = &py->codes[index];
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(code->name, known[i].name) != 0 ||
		    !str_ends_with(code->file, known[i].file))
			continue;
		ret->kind = known[i].kind;
		if (known[i].captured)
			ret->object = python_captured(py, function, known[i].captured);
		if (ret->kind == AIO_DONE_FUTURE && !ret->object) {
			ret->kind = AIO_DONE_QUEUE;
			ret->object = python_captured(py, function, "done");
		}
		return;
	}
}

static uint64_t attribute(struct python *py, uint64_t object, const char *name)
{
	const char *const names[] = {name};
	uint64_t value;

	return py_attrs(py, object, names, 1, &value) ? value : 0;
}

/* A bound method: of a TaskGroup, of as_completed()'s iterator (3.13+), of a task in Python. */
static void read_method(struct python *py, uint64_t method, struct aio_done *ret)
{
	uint64_t self = rd_ptr(&py->rd, AT(method, METHOD_SELF));
	uint32_t index = python_function(py, rd_u64(&py->rd, AT(method, METHOD_FUNC)));
	const char *name = index == UINT32_MAX ? "" : py->codes[index].name;

	if (py->rd.failed)
		return;
	if (!strcmp(name, "_on_task_done")) {
		ret->kind = AIO_DONE_GROUP;
		ret->object = attribute(py, self, "_parent_task");
	} else if (!strcmp(name, "_handle_completion")) {
		ret->kind = AIO_DONE_QUEUE;
		ret->object = attribute(py, self, "_done");
	} else if (py_task_kind(py, self) != PY_TASK_NOT) {
		ret->kind = AIO_DONE_TASK;
		ret->object = self;
	}
}

/* 3.10+: a built-in method of the task. set.discard only forgets the task. */
static void read_builtin(struct python *py, uint64_t function, struct aio_done *ret)
{
	uint64_t self = rd_u64(&py->rd, AT(function, CFUNC_SELF));

	if (!self || py->rd.failed)
		return;
	if (py_task_kind(py, self) != PY_TASK_NOT) {
		ret->kind = AIO_DONE_TASK;
		ret->object = self;
	} else if (!strcmp(py_object_type_name(py, self), "set")) {
		ret->kind = AIO_DONE_NOBODY;
	}
}

/* wait_for() up to 3.11: functools.partial(_release_waiter, waiter). */
static void read_partial(struct python *py, uint64_t partial, struct aio_done *ret)
{
	uint32_t index = python_function(py, rd_u64(&py->rd, AT(partial, PARTIAL_FN)));
	const char *name = index == UINT32_MAX ? "" : py->codes[index].name;

	if (!strcmp(name, "_release_waiter")) {
		ret->kind = AIO_DONE_FUTURE;
		ret->object = py_tuple_item(py, rd_u64(&py->rd, AT(partial, PARTIAL_ARGS)), 0);
	} else if (!strcmp(name, "_discard_awaited_by")) {
		ret->kind = AIO_DONE_NOBODY;
	}
}

static void read_callback(struct python *py, uint64_t callback, struct aio_done *ret)
{
	const char *type = py_object_type_name(py, callback);

	*ret = (struct aio_done){AIO_DONE_OTHER, 0, callback};
	if (!strcmp(type, "builtin_function_or_method"))
		read_builtin(py, callback, ret);
	else if (!strcmp(type, "function"))
		read_function(py, callback, ret);
	else if (!strcmp(type, "method"))
		read_method(py, callback, ret);
	else if (!strcmp(type, "functools.partial"))
		read_partial(py, callback, ret);
	else if (str_ends_with(type, "TaskWakeupMethWrapper")) {
		ret->kind = AIO_DONE_TASK;
		ret->object = rd_u64(&py->rd, AT(callback, WAKEUP_TASK));
	}
}

/* The list has tuples (callback, context). */
static void read_list(struct python *py, uint64_t list, struct aio_dones *ret)
{
	uint64_t n, items = py_list_items(py, list, &n);

	for (uint64_t i = 0; i < n && !py->rd.failed; i++) {
		if (ret->n == AIO_DONES) {
			ret->truncated = true;
			break;
		}
		read_callback(py, py_tuple_item(py, rd_ptr(&py->rd, items + 8 * i), 0),
			      &ret->v[ret->n++]);
	}
}

bool aio_dones(struct python *py, uint64_t future, struct aio_dones *ret)
{
	enum py_task_kind kind = py_future_kind(py, future);
	uint64_t first = 0, list = 0;

	ret->n = 0;
	ret->truncated = false;
	if (kind == PY_TASK_C) {
		first = rd_u64(&py->rd, AT(future, TASK_CALLBACK0));
		list = rd_u64(&py->rd, AT(future, TASK_CALLBACKS));
	} else if (kind == PY_TASK_PYTHON) {
		list = attribute(py, future, "_callbacks");
	}
	if (first && !py->rd.failed)
		read_callback(py, first, &ret->v[ret->n++]);
	if (list && !py->rd.failed && !py_is_none(py, list))
		read_list(py, list, ret);
	return !rd_take(&py->rd) && kind != PY_TASK_NOT;
}

void aio_dones_prefetch(struct python *py, const uint64_t *futures, size_t n)
{
	uint64_t *addrs = mem_alloc((n + 1) * sizeof(*addrs));
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		if (py_future_kind(py, futures[i]) == PY_TASK_C)
			addrs[found] = rd_u64(&py->rd, AT(futures[i], TASK_CALLBACK0));
		else
			addrs[found] = 0;
		found += !rd_take(&py->rd) && addrs[found];
	}
	if (found >= 32)
		source_prefetch(py->rd.src, addrs, found, 64);
	free(addrs);
}

bool aio_dones_awaited(struct python *py, uint64_t future, struct aio_dones *ret)
{
	ret->n = 0;
	ret->truncated = false;
	/* a task is told by the first callback unless there were others before it */
	if (py_future_kind(py, future) == PY_TASK_C && !rd_u64(&py->rd, AT(future, TASK_CALLBACKS)))
		return !rd_take(&py->rd);
	return aio_dones(py, future, ret);
}

bool aio_dones_have(const struct aio_dones *dones, enum aio_done_kind kind)
{
	for (size_t i = 0; i < dones->n; i++)
		if (dones->v[i].kind == kind)
			return true;
	return false;
}

bool aio_callback_name(struct python *py, uint64_t callback, struct strbuf *out)
{
	uint64_t type = py_type(py, callback), function = callback;

	if (type && type == py->types.method)
		function = rd_u64(&py->rd, AT(callback, METHOD_FUNC));
	if (function && !py->rd.failed && py_type(py, function) == py->types.function)
		return (py_str(py, rd_u64(&py->rd, AT(function, FUNC_QUALNAME)), out, 100) &&
			!py->rd.failed) ||
		       (rd_take(&py->rd) && false);
	if (!type || rd_take(&py->rd))
		return false;
	strbuf_addstr(out, py_type_name(py, type));
	return true;
}

bool aio_awaited_by(struct python *py, uint64_t task, uint64_t *out, size_t max, size_t *n)
{
	uint64_t field, none;
	struct py_iter it;

	*n = 0;
	if (!layout_has(&py->layout, F_TASK_AWAITED_BY) || py_task_kind(py, task) != PY_TASK_C)
		return !rd_take(&py->rd) && false;
	field = rd_u64(&py->rd, AT(task, TASK_AWAITED_BY));
	if (!field || py->rd.failed)
		return !rd_take(&py->rd) && false;
	if (!rd_u8(&py->rd, AT(task, TASK_AWAITED_BY_SET))) {
		out[(*n)++] = field;
	} else if (py_set_begin(py, field, &it)) {
		while (*n < max && py_iter_next(py, &it, &field, &none))
			out[(*n)++] = field;
	}
	return !rd_take(&py->rd);
}
