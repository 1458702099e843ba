/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)

/* ---- coroutines compiled by Cython --------------------------------------------------------------
 */

/* __pyx_CoroutineObject: yieldfrom and names by release; qualname follows name. */
static const struct {
	const char *prefix; /* of the type's name */
	uint32_t yieldfrom, name;
} cython_layouts[] = {
	{"_cython_3_0", 64, 72},
	{"_cython_", 64, 80}, /* 3.1 and later */
	{"", 72, 80},	      /* 0.29: the bare name "coroutine" */
};

static bool cython_link(struct python *py, uint64_t object, const char *type, struct aio_link *link,
			uint64_t *next)
{
	for (size_t i = 0; i < ARRAY_SIZE(cython_layouts); i++) {
		uint64_t name, qualname;

		if (strncmp(type, cython_layouts[i].prefix, strlen(cython_layouts[i].prefix)) != 0)
			continue;
		name = rd_u64(&py->rd, object + cython_layouts[i].name);
		qualname = rd_u64(&py->rd, object + cython_layouts[i].name + 8);
		if (py->rd.failed || !name || !qualname ||
		    strcmp(py_object_type_name(py, qualname), "str") != 0)
			break;
		link->kind = AIO_LINK_CYTHON;
		link->qualname = qualname;
		*next = rd_u64(&py->rd, object + cython_layouts[i].yieldfrom);
		return !py->rd.failed;
	}
	rd_take(&py->rd);
	return false;
}

/* ---- links
 * ----------------------------------------------------------------------------------------- */

/* Objects that only stand between a coroutine and what it awaits: looked through. */
static bool look_through(struct python *py, uint64_t object, const char *type, uint64_t *next)
{
	if (str_ends_with(type, "coroutine_wrapper") || str_ends_with(type, "CoroutineAwait"))
		*next = rd_u64(&py->rd, AT(object, CWRAP_CORO));
	else if (!strcmp(type, "async_generator_asend"))
		*next = rd_u64(&py->rd, AT(object, ASEND_GEN));
	else if (!strcmp(type, "async_generator_athrow"))
		*next = rd_u64(&py->rd, AT(object, ATHROW_GEN));
	else
		return false;
	return !py->rd.failed;
}

static void gen_link(struct python *py, uint64_t object, struct aio_link *link, uint64_t *next)
{
	struct py_gen gen;

	*next = 0;
	if (!python_gen(py, object, &gen)) {
		link->kind = AIO_LINK_OPAQUE;
		return;
	}
	link->kind = gen.has_frame ? AIO_LINK_FRAME : AIO_LINK_OPAQUE;
	link->frame = gen.frame;
	link->qualname = gen.qualname;
	link->running = gen.state == PY_GEN_RUNNING;
	*next = gen.delegate;
}

bool aio_link_read(struct python *py, uint64_t object, struct aio_link *link, uint64_t *next)
{
	const char *type = py_object_type_name(py, object);

	memset(link, 0, sizeof(*link));
	link->address = object;
	*next = 0;
	if (py->rd.failed)
		return false;
	if (python_is_gen(py, object)) {
		gen_link(py, object, link, next);
	} else if (str_ends_with(type, "FutureIter")) {
		link->kind = AIO_LINK_FUTURE;
		link->address = rd_u64(&py->rd, AT(object, FUTUREITER_FUTURE));
	} else if (look_through(py, object, type, next)) {
		return false;
	} else if ((str_ends_with(type, "coroutine") || str_ends_with(type, "generator")) &&
		   cython_link(py, object, type, link, next)) {
		return true;
	} else {
		link->kind = AIO_LINK_OPAQUE;
	}
	return !py->rd.failed;
}

/* ---- what it waits in
 * ---------------------------------------------------------------------------------- */

#define TIMER_TRIES 4
#define NUMBER	    32u /* bytes of a float or an int that are read */
#define VARIABLES   64u /* of sleep(), at least */

static void read_when(struct python *py, uint64_t handle, bool again, struct aio_timer *ret)
{
	uint32_t slot = py_slot_offset(py, py_type(py, handle), "_when");
	uint64_t when;

	if (!slot)
		return;
	if (again)
		source_reread(py->rd.src, handle + slot, 8);
	when = rd_u64(&py->rd, handle + slot);
	if (again && when)
		source_reread(py->rd.src, when, NUMBER);
	ret->have_when = when && py_number(py, when, &ret->when) && isfinite(ret->when);
}

static void read_delay(struct python *py, uint64_t delay, bool again, struct aio_timer *ret)
{
	if (again)
		source_reread(py->rd.src, delay, NUMBER);
	ret->have_delay = py_number(py, delay, &ret->delay) && isfinite(ret->delay);
}

static bool still_there(struct python *py, const struct py_frame *frame, const char *name)
{
	uint64_t slot = python_local_slot(py, frame, name);

	return slot && source_unchanged(py->rd.src, slot, 8);
}

/*
 * asyncio.sleep(): `h` is the timer, `delay` how long it was made for. Both are short-lived: the
 * next sleep of a task has its own in the same memory. They are of one sleep when the variables
 * still are these objects after they were read.
 */
static void read_timer(struct python *py, const struct py_frame *frame, bool again,
		       struct aio_timer *ret)
{
	uint64_t handle = python_local(py, frame, "h"), delay;

	*ret = (struct aio_timer){.have_when = false};
	if (py->rd.failed || !handle || py_is_none(py, handle))
		return;
	read_when(py, handle, again, ret);
	if (py->rd.failed)
		return;
	/* recordings of old have only the timer */
	delay = python_local(py, frame, "delay");
	ret->future = python_local(py, frame, "future");
	if (delay && !py->rd.failed)
		read_delay(py, delay, again, ret);
	if (rd_take(&py->rd))
		ret->have_delay = false;
	ret->verified = again && still_there(py, frame, "h") && still_there(py, frame, "delay") &&
			still_there(py, frame, "future");
}

static const struct aio_link *innermost_frame(const struct aio_link *links, size_t n)
{
	while (n-- > 0)
		if (links[n].kind == AIO_LINK_FRAME)
			return &links[n];
	return NULL;
}

bool aio_timer_read(struct python *py, const struct py_frame *frame, bool again,
		    struct aio_timer *ret)
{
	struct aio_timer timer;

	for (int attempt = 0; attempt < TIMER_TRIES; attempt++) {
		read_timer(py, frame, again, &timer);
		if (rd_take(&py->rd) || !timer.have_when)
			return false;
		*ret = timer;
		if (!again || timer.verified)
			return true;
		source_reread(py->rd.src, frame->locals, VARIABLES);
	}
	return false;
}

bool aio_wait_frame(const struct aio_link *links, size_t n, struct py_frame *ret)
{
	const struct aio_link *link = innermost_frame(links, n);

	if (link)
		*ret = link->frame;
	return link != NULL;
}

uint32_t aio_wait_code(const struct aio_link *links, size_t n)
{
	const struct aio_link *link = innermost_frame(links, n);

	return link ? link->frame.code : UINT32_MAX;
}

bool aio_wait_name(struct python *py, const struct aio_link *links, size_t n, struct strbuf *out)
{
	const struct aio_link *link = innermost_frame(links, n);
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	if (!link || !strstr(py->codes[link->frame.code].file, "/asyncio/"))
		return false;
	if (!py_str(py, link->qualname, &name, 100))
		return !rd_take(&py->rd) && false;
	strbuf_addf(out, "%s%s", strchr(name.data, '.') ? "" : "asyncio.", name.data);
	return true;
}
