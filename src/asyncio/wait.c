/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a task waits in: asyncio's own functions among the innermost frames of its chain, what they
 * are called by those who call them, whose primitive it is, and when the wait ends by itself.
 */
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)
#define TIMER_TRIES   4
#define NUMBER	      32u /* bytes of a float or an int that are read */
#define VARIABLES     64u /* of sleep(), at least */

/*
 * Files of asyncio, and functions in them (NULL any), by what is waited for in them. Where the
 * function is not what a program calls, the name of that; where it is NULL, the qualified name of
 * the nearest caller in asyncio that has no underscore before its own.
 */
static const struct place {
	const char *file, *function;
	enum aio_wait_kind kind;
	const char *name;
} places[] = {
	{"asyncio/locks.py", NULL, AIO_WAIT_SYNC, NULL},
	{"asyncio/queues.py", NULL, AIO_WAIT_SYNC, NULL},
	{"asyncio/streams.py", NULL, AIO_WAIT_STREAM, NULL},
	{"asyncio/tasks.py", "sleep", AIO_WAIT_TIMER, NULL},
	{"asyncio/tasks.py", "_wait", AIO_WAIT_TASKS, "asyncio.wait"},
	{"asyncio/tasks.py", "wait_for", AIO_WAIT_TASKS, NULL},
	{"asyncio/tasks.py", "_cancel_and_wait", AIO_WAIT_TASKS, "asyncio.wait_for"},
	{"asyncio/tasks.py", "_wait_for_one", AIO_WAIT_TASKS, "asyncio.as_completed"},
	{"asyncio/taskgroups.py", NULL, AIO_WAIT_TASKS, "TaskGroup"},
	{"asyncio/selector_events.py", NULL, AIO_WAIT_SOCKET, NULL},
	{"asyncio/base_subprocess.py", NULL, AIO_WAIT_PROCESS, NULL},
	{"/asyncio/", NULL, AIO_WAIT_UNKNOWN, NULL}, /* the rest of it */
};

static const struct place future_await = {"asyncio/futures.py", "__await__", AIO_WAIT_UNKNOWN,
					  NULL};

enum { NOT_ASYNCIO = ARRAY_SIZE(places), FUTURE_AWAIT }; /* in py_code.place, 1 more */

static bool is_at(const struct py_code *code, const struct place *place)
{
	if (place->function && strcmp(code->name, place->function) != 0)
		return false;
	return place->file[0] == '/' ? strstr(code->file, place->file) != NULL
				     : str_ends_with(code->file, place->file);
}

/* redis, SQLAlchemy and others have folders named asyncio, too. */
static unsigned find_place(const struct py_code *code)
{
	if (strstr(code->file, "-packages/"))
		return NOT_ASYNCIO;
	if (is_at(code, &future_await))
		return FUTURE_AWAIT;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (is_at(code, &places[i]))
			return i;
	return NOT_ASYNCIO;
}

static unsigned place_index(struct python *py, const struct aio_link *link)
{
	struct py_code *code = &py->codes[link->frame.code];

	if (!code->place)
		code->place = (uint8_t)(1 + find_place(code));
	return code->place - 1u;
}

/* NULL: not a frame of asyncio. */
static const struct place *place_of(struct python *py, const struct aio_link *link)
{
	unsigned i = link->kind == AIO_LINK_FRAME ? place_index(py, link) : NOT_ASYNCIO;

	return i < ARRAY_SIZE(places) ? &places[i] : NULL;
}

static const char *code_name(struct python *py, const struct aio_link *link)
{
	return py->codes[link->frame.code].name;
}

/* ---- which frame it is ------------------------------------------------------------------------
 */

/* The innermost link that runs code: 1 + its index, 0 none. A future in Python awaits itself. */
static size_t innermost(struct python *py, const struct aio_link *links, size_t n)
{
	while (n && (links[n - 1].kind == AIO_LINK_FUTURE || links[n - 1].kind == AIO_LINK_OPAQUE))
		n--;
	while (n && links[n - 1].kind == AIO_LINK_FRAME &&
	       place_index(py, &links[n - 1]) == FUTURE_AWAIT)
		n--;
	return n;
}

/*
 * A Queue waits for its own Event in join(), a Barrier for its Condition: the outer one is what
 * the program knows. A Condition that takes its Lock again does wait for the Lock.
 */
static bool is_part(struct python *py, const struct aio_link *inner)
{
	return strcmp(code_name(py, inner), "acquire") != 0;
}

/* Outwards over the methods of primitives and streams; 1 + the index of the outermost. */
static size_t find_resource(struct python *py, const struct aio_link *links, size_t n,
			    struct aio_wait *ret)
{
	size_t outermost = n;
	bool part = true;

	for (; n && part; n--) {
		const struct aio_link *link = &links[n - 1];
		const struct place *place = place_of(py, link);
		uint64_t self;

		if (!place || place->kind != ret->kind)
			break;
		self = python_local(py, &link->frame, "self");
		if (!self || py->rd.failed)
			break;
		ret->resource = self;
		outermost = n;
		if (strncmp(code_name(py, link), "__", 2) != 0) /* not of `async with` */
			ret->link = n - 1;
		part = is_part(py, link);
	}
	rd_take(&py->rd);
	return outermost;
}

/* as_completed() has a queue of its own, which nobody else knows. */
static void look_around(struct python *py, const struct aio_link *links, size_t outermost,
			struct aio_wait *ret)
{
	const struct place *place = outermost > 1 ? place_of(py, &links[outermost - 2]) : NULL;

	if (!place || place->kind != AIO_WAIT_TASKS || !place->name)
		return;
	ret->kind = place->kind;
	ret->name = place->name;
	ret->link = outermost - 2;
	ret->resource = 0;
}

void aio_wait_read(struct python *py, const struct aio_link *links, size_t n, struct aio_wait *ret)
{
	const struct place *place;

	*ret = (struct aio_wait){.kind = AIO_WAIT_UNKNOWN};
	n = innermost(py, links, n);
	place = n ? place_of(py, &links[n - 1]) : NULL;
	if (!place)
		return;
	ret->in_asyncio = true;
	ret->kind = place->kind;
	ret->name = place->name;
	ret->link = n - 1;
	if (place->kind == AIO_WAIT_SYNC || place->kind == AIO_WAIT_STREAM) {
		look_around(py, links, find_resource(py, links, n, ret), ret);
		return;
	}
	while (!ret->name && code_name(py, &links[ret->link])[0] == '_' && ret->link &&
	       place_of(py, &links[ret->link - 1]))
		ret->link--;
}

bool aio_wait_name(struct python *py, const struct aio_link *links, const struct aio_wait *wait,
		   struct strbuf *out)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	if (!wait->in_asyncio)
		return false;
	if (wait->name) {
		strbuf_addstr(out, wait->name);
		return true;
	}
	if (!py_str(py, links[wait->link].qualname, &name, 100))
		return !rd_take(&py->rd) && false;
	strbuf_addf(out, "%s%s", strchr(name.data, '.') ? "" : "asyncio.", name.data);
	return true;
}

/* ---- when it ends by itself -------------------------------------------------------------------
 */

/* The loop time of a TimerHandle that a variable has. */
static bool timer_when(struct python *py, const struct py_frame *frame, const char *variable,
		       double *when)
{
	uint64_t handle = python_local(py, frame, variable), value = 0;
	uint32_t slot;

	if (handle && !py->rd.failed && !py_is_none(py, handle)) {
		slot = py_slot_offset(py, py_type(py, handle), "_when");
		value = slot ? rd_u64(&py->rd, handle + slot) : 0;
	}
	return value && py_number(py, value, when) && !rd_take(&py->rd);
}

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

/* asyncio.timeouts and async_timeout have a Timeout, anyio a CancelScope; up to 3.13 its __exit__
 * lies on the stack. */
static uint64_t timeout_at(struct python *py, const struct py_frame *frame, size_t slot)
{
	uint64_t value = python_slot(py, frame, slot);
	const char *type;

	if (value && py_type(py, value) == py->types.method)
		value = rd_u64(&py->rd, AT(value, METHOD_SELF));
	if (!value || py->rd.failed)
		return 0;
	type = py_object_type_name(py, value);
	return !strcmp(type, "Timeout") || !strcmp(type, "CancelScope") ? value : 0;
}

static bool timeout_when(struct python *py, uint64_t timeout, double *when)
{
	static const char *const names[] = {"_when", "_deadline"};
	uint64_t v[ARRAY_SIZE(names)];
	uint32_t slot;

	if (!py_attrs(py, timeout, names, ARRAY_SIZE(names), v)) {
		rd_take(&py->rd);
		return false;
	}
	if (!v[0] && !v[1]) { /* async_timeout has slots */
		slot = py_slot_offset(py, py_type(py, timeout), "_deadline");
		v[0] = slot ? rd_u64(&py->rd, timeout + slot) : 0;
	}
	v[0] = v[0] ? v[0] : v[1];
	return v[0] && !py->rd.failed && py_number(py, v[0], when) && isfinite(*when);
}

/* The block of a frame that ends first. */
static bool frame_timeout(struct python *py, const struct py_frame *frame, bool *any, double *when)
{
	size_t locals = 0, n = python_slots(py, frame, &locals);
	bool found = false;

	for (size_t i = locals; i < n && !py->rd.failed; i++) {
		uint64_t timeout = timeout_at(py, frame, i);
		double at;

		*any |= timeout != 0;
		if (!timeout || !timeout_when(py, timeout, &at) || (found && at >= *when))
			continue;
		*when = at;
		found = true;
	}
	return found;
}

/*
 * What lies on the stack at an instruction is of the same kinds in every frame that stands there:
 * where the first one has no timeout, others are not looked at.
 */
static bool link_timeout(struct python *py, const struct aio_link *link, struct addrmap *without,
			 double *when)
{
	uint64_t at = (uint64_t)link->frame.code << 32 | (uint32_t)link->frame.instr;
	const struct place *place;
	bool any = false, found;

	if (addrmap_get(without, at) != ADDRMAP_NONE)
		return false;
	place = place_of(py, link);
	if (place && place->kind == AIO_WAIT_TASKS &&
	    timer_when(py, &link->frame, "timeout_handle", when))
		return true;
	rd_take(&py->rd);
	found = frame_timeout(py, &link->frame, &any, when);
	if (rd_take(&py->rd))
		return false;
	if (!any && !(place && place->kind == AIO_WAIT_TASKS))
		addrmap_put(without, at, 0);
	return found;
}

bool aio_wait_timeout(struct python *py, const struct aio_link *links, size_t n,
		      struct addrmap *without, double *when)
{
	bool found = false;
	double at;

	for (size_t i = 0; i < n; i++) {
		if (links[i].kind != AIO_LINK_FRAME || links[i].running ||
		    !link_timeout(py, &links[i], without, &at) || (found && at >= *when))
			continue;
		*when = at;
		found = true;
	}
	return found;
}
