/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "stallscope/asyncio.h"
#include "stallscope/utf8.h"

/* nest_asyncio puts its own in the place of asyncio's, with the same names but no counters. */
static bool is_nest(const struct py_code *code)
{
	return str_ends_with(code->file, "/nest_asyncio.py");
}

bool aio_is_run_once(const struct python *py, const struct py_frame *frame)
{
	const struct py_code *code;

	if (frame->code == UINT32_MAX)
		return false;
	code = &py->codes[frame->code];
	return !strcmp(code->name, "_run_once") &&
	       (str_ends_with(code->file, "asyncio/base_events.py") || is_nest(code));
}

#define OBJECT 32u /* bytes of an int or a float that are read */
#define NUMBER 24u /* ... and that a float has */
#define TRIES  16  /* a callback is hardly shorter than one of them */

static bool slot_unchanged(struct python *py, const struct py_frame *frame, const char *name)
{
	uint64_t slot = python_local_slot(py, frame, name);

	return slot && source_unchanged(py->rd.src, slot, 8);
}

/*
 * A number of the loop's. It is an object, and one that the loop has let go of may be another's
 * by the time that it is read, and the loop's again after that, as free floats are used again: it
 * holds when the variable still is that object afterwards, and the object still that number. What
 * does not hold is not kept, so a recording has the variable and the object of one moment.
 */
static bool holds(struct python *py, const struct py_frame *frame, const char *name, uint64_t value)
{
	static const size_t count = 8; /* ob_refcnt, which changes with each use */

	return slot_unchanged(py, frame, name) &&
	       source_unchanged(py->rd.src, value + count, NUMBER - count) &&
	       slot_unchanged(py, frame, name);
}

static bool local_number(struct python *py, const struct py_frame *frame, const char *name,
			 double *ret)
{
	for (int attempt = 0; attempt < TRIES && !py->rd.failed; attempt++) {
		uint64_t value = python_local(py, frame, name);

		if (!value)
			return false;
		source_reread(py->rd.src, value, OBJECT);
		if (!py_number(py, value, ret))
			*ret = NAN;
		rd_take(&py->rd); /* gone, and something else by now */
		if (holds(py, frame, name, value))
			return isfinite(*ret);
		source_reread(py->rd.src, python_local_slot(py, frame, name), 8);
	}
	return false;
}

static void read_timeout(struct python *py, const struct py_frame *frame, struct aio_run *run)
{
	uint64_t value = python_local(py, frame, "timeout");

	if (!value || py->rd.failed)
		return;
	run->timeout_none = py_is_none(py, value);
	run->have_timeout = run->timeout_none || local_number(py, frame, "timeout", &run->timeout);
}

/* i moves with each callback, and may do so faster than it can be read: then it stays 0. */
static void read_batch(struct python *py, const struct py_frame *frame, struct aio_run *run)
{
	static const double sane = 1e12;
	double number = -1, index = 0;

	run->handle = python_local(py, frame, "handle");
	if (run->handle && !py->rd.failed && py_is_none(py, run->handle))
		run->handle = 0;
	if (is_nest(&py->codes[frame->code])) {
		run->have_batch = run->handle != 0;
		run->ntodo = run->have_batch;
		return;
	}
	run->have_batch =
		local_number(py, frame, "ntodo", &number) && number >= 0 && number <= sane;
	if (!run->have_batch) {
		run->handle = 0;
		return;
	}
	run->ntodo = (int64_t)number;
	/* `for i in range(ntodo)`: unbound until the first callback is taken. */
	run->have_index = local_number(py, frame, "i", &index) && index >= 0 && index < number;
	if (run->have_index)
		run->index = (int64_t)index;
}

/*
 * The frames of what the loop calls lie right behind its variables (3.11+), and were read before:
 * only its own are read again.
 */
static void reread_variables(struct python *py, const struct py_frame *frame)
{
	static const char *const names[] = {"self", "timeout", "end_time", "ntodo",
					    "i",    "handle",  "t0"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t slot = python_local_slot(py, frame, names[i]);

		if (slot)
			source_reread(py->rd.src, slot, 8);
	}
}

/* All of it is of one turn: end_time is another object in the next one. */
bool aio_run_read(struct python *py, const struct py_frame *frame, struct aio_run *ret)
{
	for (int attempt = 0; attempt < TRIES; attempt++) {
		struct aio_run run = {.frame = frame->address, .where = *frame};

		run.loop = python_local(py, frame, "self");
		read_timeout(py, frame, &run);
		run.have_end_time = local_number(py, frame, "end_time", &run.end_time);
		if (run.have_end_time) {
			run.have_start = local_number(py, frame, "t0", &run.start);
			read_batch(py, frame, &run);
		}
		if (rd_take(&py->rd) || !run.loop)
			return false;
		/* unbound it is in select; bound and not to be read it is neither */
		if (slot_unchanged(py, frame, "end_time") &&
		    run.have_end_time == (python_local(py, frame, "end_time") != 0)) {
			*ret = run;
			return true;
		}
		reread_variables(py, frame);
	}
	return false;
}

/*
 * t0 is set a little after the handle was taken. Read after its frame was seen to run that very
 * handle it is of this callback, and not of the one before.
 */
void aio_run_confirm_start(struct python *py, const struct py_frame *inner, struct aio_run *run)
{
	bool runs = run->have_start && run->handle && inner->code != UINT32_MAX &&
		    !strcmp(py->codes[inner->code].name, "_run") &&
		    str_ends_with(py->codes[inner->code].file, "asyncio/events.py") &&
		    python_local(py, inner, "self") == run->handle;

	run->start_confirmed = runs && local_number(py, &run->where, "t0", &run->start);
	if (rd_take(&py->rd))
		run->start_confirmed = false;
}

void aio_run_refresh(struct python *py, struct aio_run *run)
{
	run->have_timeout = run->timeout_none = false;
	read_timeout(py, &run->where, run);
	if (rd_take(&py->rd))
		run->have_timeout = false;
}

/* ---- handles ----------------------------------------------------------------------------------
 */

static void copy_str(struct python *py, uint64_t object, struct strbuf *out)
{
	if (!object || !py_str(py, object, out, 100))
		strbuf_addstr(out, "?");
}

/* A C function: its name from the method table; a bound one may belong to a task. */
static void describe_c_function(struct python *py, uint64_t function, struct strbuf *out,
				uint64_t *task)
{
	uint64_t self = rd_u64(&py->rd, function + py->layout.field[F_CFUNC_SELF].offset);
	uint64_t def = rd_ptr(&py->rd, function + py->layout.field[F_CFUNC_ML].offset);
	uint64_t name = rd_ptr(&py->rd, def); /* PyMethodDef.ml_name */
	char text[64] = "";

	for (size_t i = 0; i + 1 < sizeof(text) && !py->rd.failed; i++) {
		text[i] = (char)rd_u8(&py->rd, name + i);
		if (!text[i])
			break;
	}
	utf8_add_safe(out, text, strnlen(text, sizeof(text)), sizeof(text));
	if (self && !py->rd.failed && py_task_kind(py, self) == PY_TASK_C)
		*task = self;
}

static void describe_method(struct python *py, uint64_t method, struct strbuf *out, uint64_t *task)
{
	uint64_t function = rd_ptr(&py->rd, method + py->layout.field[F_METHOD_FUNC].offset);
	uint64_t self = rd_ptr(&py->rd, method + py->layout.field[F_METHOD_SELF].offset);

	if (py->rd.failed)
		return;
	if (!strcmp(py_object_type_name(py, function), "function"))
		copy_str(py, rd_u64(&py->rd, function + py->layout.field[F_FUNC_QUALNAME].offset),
			 out);
	else
		strbuf_addf(out, "method of %s", py_object_type_name(py, self));
	if (!py->rd.failed && py_task_kind(py, self) == PY_TASK_PYTHON)
		*task = self;
}

/* What cannot be called lies where a handle was that has been used again. */
static bool is_data(const char *type)
{
	static const char *const types[] = {"tuple", "list", "dict",  "set",  "str",
					    "bytes", "int",  "float", "bool", "NoneType"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

static void describe(struct python *py, uint64_t callback, struct strbuf *out, uint64_t *task,
		     int depth)
{
	const char *type = py_object_type_name(py, callback);

	if (py->rd.failed || depth > 4)
		return;
	if (str_ends_with(type, "TaskStepMethWrapper")) {
		strbuf_addstr(out, "TaskStepMethWrapper");
		*task = rd_u64(&py->rd, callback + py->layout.field[F_STEP_TASK].offset);
	} else if (str_ends_with(type, "TaskWakeupMethWrapper")) {
		strbuf_addstr(out, "TaskWakeupMethWrapper");
		*task = rd_u64(&py->rd, callback + py->layout.field[F_WAKEUP_TASK].offset);
	} else if (!strcmp(type, "function")) {
		copy_str(py, rd_u64(&py->rd, callback + py->layout.field[F_FUNC_QUALNAME].offset),
			 out);
	} else if (!strcmp(type, "method")) {
		describe_method(py, callback, out, task);
	} else if (!strcmp(type, "builtin_function_or_method") || !strcmp(type, "builtin_method")) {
		describe_c_function(py, callback, out, task);
	} else if (!strcmp(type, "functools.partial")) {
		strbuf_addstr(out, "partial ");
		describe(py, rd_u64(&py->rd, callback + py->layout.field[F_PARTIAL_FN].offset), out,
			 task, depth + 1);
	} else if (!is_data(type)) {
		strbuf_addstr(out, type);
	}
}

bool aio_callback_read(struct python *py, uint64_t handle, struct aio_callback *ret)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	uint32_t slot = py_slot_offset(py, py_type(py, handle), "_callback");
	uint64_t callback = slot ? rd_u64(&py->rd, handle + slot) : 0;

	memset(ret, 0, sizeof(*ret));
	if (callback && !py->rd.failed)
		describe(py, callback, &text, &ret->task, 0);
	utf8_copy(ret->name, sizeof(ret->name), text.data);
	return !rd_take(&py->rd) && callback;
}
