/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The light look. The frame of _run_once lies still while callbacks run: on the thread's data stack
 * (3.11+), at the same address in each turn as long as run_forever() is called from the same depth,
 * or in an object that the code keeps for its next call (3.8 to 3.10, co_zombieframe).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "stallscope/pulse.h"

#define WINDOW	   768u /* bytes: head and variables of _run_once, in all versions */
#define ABSENT	   UINT32_MAX
#define TRIES	   3 /* a turn that ends while it is read, or the gap between two */
#define CONFIRM_NS UINT64_C(1000000000) /* what did not move for so long may be left over */
#define LATE_NS	   UINT64_C(2000000)	/* of a timer; epoll counts whole ms, and rounds up */
#define STILL_NS   UINT64_C(20000000)	/* select for so long: does its thread wait for the GIL? */
#define ASK_NS	   UINT64_C(50000000)	/* from one such question to the next */
#define UV_LIVE_NS UINT64_C(2000000)	/* libuv's clock counts whole ms */

/* Where the variables are, in bytes from the start of the frame; ABSENT: there is no such. */
struct place {
	uint64_t frame, code;
	uint32_t len; /* bytes to be read */
	uint32_t code_at, self, timeout, end_time, index, handle;
};

struct beat {
	uint64_t loop, tstate;
	int32_t tid;
	bool own_clock;
	struct aio_loop info; /* uvloop: where its clock is, and its epoll */
	uint64_t uv_clock;    /* address of libuv's clock, 0: not uvloop */
	struct place at;
	uint8_t bytes[WINDOW];
	uint64_t same_ns; /* since when they are what they are, as far as looks tell */
	/* in select: the same since then, when to ask for the GIL, since when its thread waits for
	   it (0: it does not), and how often that had gone to another thread by then */
	uint64_t still_ns, ask_ns, starved_ns, gil_switches;
	uint64_t turn_object, turn; /* end_time of the turn that was read last: address, bits */
	/* select: of the timeout with this address, read once it has been seen twice */
	uint64_t timeout, timeout_seen_ns;
	bool have_timeout;
	double timeout_s;
	/* a loop with a clock of its own: the turn as its objects, and when it was first seen */
	uint64_t own_turn, own_since_ns;
	uint64_t uv_idle_ms; /* what the clock said when it was last seen in epoll; 0 never */
};

struct pulse {
	struct python *py;
	struct source *src; /* of the light looks */
	struct beat *v;
	size_t n;
	struct py_frame *frames; /* room for a stack */
	uint64_t walks;
};

/* ---- finding the place ----------------------------------------------------------------------- */

static uint32_t offset_of(struct python *py, const struct py_frame *frame, const char *name)
{
	uint64_t slot = python_local_slot(py, frame, name);

	if (!slot || slot < frame->address || slot - frame->address > WINDOW - 8)
		return ABSENT;
	return (uint32_t)(slot - frame->address);
}

static bool find_place(struct python *py, const struct py_frame *frame, struct place *ret)
{
	enum layout_field code = layout_has(&py->layout, F_IF_CODE) ? F_IF_CODE : F_FO_CODE;
	struct place at = {.frame = frame->address, .code = py->codes[frame->code].address};
	const uint32_t *const all[] = {&at.code_at,  &at.self,	&at.timeout,
				       &at.end_time, &at.index, &at.handle};

	at.code_at = py->layout.field[code].offset;
	at.self = offset_of(py, frame, "self");
	at.timeout = offset_of(py, frame, "timeout");
	at.end_time = offset_of(py, frame, "end_time");
	at.index = offset_of(py, frame, "i");
	at.handle = offset_of(py, frame, "handle");
	if (py->rd.failed || at.code_at > WINDOW - 8 || at.self == ABSENT || at.end_time == ABSENT)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (*all[i] != ABSENT && *all[i] + 8 > at.len)
			at.len = *all[i] + 8;
	*ret = at;
	return true;
}

static bool walk(struct pulse *p, struct beat *b)
{
	struct python *py = p->py;
	bool truncated, found = false;
	size_t n = 0;

	if (!python_stack(py, b->tstate, p->frames, PY_MAX_FRAMES, &n, &truncated, NULL))
		n = 0;
	rd_take(&py->rd);
	for (size_t i = 0; i < n && !found; i++)
		found = aio_is_run_once(py, &p->frames[i]) &&
			python_local(py, &p->frames[i], "self") == b->loop &&
			find_place(py, &p->frames[i], &b->at);
	rd_take(&py->rd);
	return found;
}

/* The innermost frame of the loop, as its thread stands now. */
static bool locate(struct pulse *p, struct beat *b)
{
	struct source *main = p->py->rd.src;
	bool found = false;

	p->walks++;
	for (int attempt = 0; attempt < TRIES && !found; attempt++) {
		source_forget(p->src);
		python_new_look(p->py, p->src);
		found = walk(p, b);
	}
	python_new_look(p->py, main);
	return found;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

static uint64_t slot(const struct pulse *p, const struct beat *b, uint32_t at)
{
	uint64_t value;

	if (at == ABSENT)
		return 0;
	memcpy(&value, b->bytes + at, sizeof(value));
	return python_reference(p->py, value);
}

/*
 * A float that the variable at offset `at` is, before and after it was asked for that: so it is
 * that turn's. Free floats are used again: the same object may have been another's in between.
 */
static bool read_float(struct pulse *p, const struct beat *b, uint32_t at, double *ret)
{
	uint32_t type_at = p->py->layout.field[F_OB_TYPE].offset;
	uint32_t value_at = p->py->layout.field[F_FLOAT_VALUE].offset;
	uint64_t object = slot(p, b, at), type, again;
	uint8_t bytes[64], after[64];

	if (!object || type_at > value_at || value_at > sizeof(bytes) - 8 ||
	    !source_now(p->src, object, bytes, value_at + 8) ||
	    !source_now(p->src, b->at.frame + at, &again, sizeof(again)) ||
	    python_reference(p->py, again) != object ||
	    !source_now(p->src, object + type_at, after, value_at + 8 - type_at) ||
	    memcmp(after, bytes + type_at, value_at + 8 - type_at) != 0)
		return false;
	memcpy(&type, bytes + type_at, sizeof(type));
	memcpy(ret, bytes + value_at, sizeof(*ret));
	return type == p->py->types.float_ && isfinite(*ret);
}

/* One read of all variables. False: that is not the frame of this loop's turn. */
static bool read_frame(struct pulse *p, struct beat *b, uint64_t now)
{
	uint8_t bytes[WINDOW];
	uint64_t self;

	if (!b->at.frame || !source_now(p->src, b->at.frame, bytes, b->at.len))
		return false;
	if (memcmp(bytes, b->bytes, b->at.len) != 0) {
		memcpy(b->bytes, bytes, b->at.len);
		b->same_ns = b->still_ns = now;
	}
	self = slot(p, b, b->at.self);
	/* 3.8 to 3.10: a frame that waits for its next call has no variables */
	return slot(p, b, b->at.code_at) == b->at.code && (self == b->loop || !self);
}

/* Of a loop with a clock of its own each callback counts for itself, as long as we saw it. */
static void read_own_turn(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	uint64_t turn = slot(p, b, b->at.end_time) * 31 + slot(p, b, b->at.index) * 17 + r->handle;

	if (turn != b->own_turn) {
		b->own_turn = turn;
		b->own_since_ns = r->clock_ns;
	}
	r->turn = turn;
	r->since_ns = b->own_since_ns;
	r->is_lower = true;
}

/*
 * Whether it is the turn of the last look: its end_time is at the same address and says the same.
 * No later float says so. Had the frame named another one there, the old number would be gone.
 */
static bool is_same_turn(struct pulse *p, const struct beat *b)
{
	uint64_t object = slot(p, b, b->at.end_time), turn;

	return object == b->turn_object &&
	       source_now(p->src, object + p->py->layout.field[F_FLOAT_VALUE].offset, &turn,
			  sizeof(turn)) &&
	       turn == b->turn;
}

/* False: it ended while it was read. */
static bool read_turn(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	double end_time;

	r->state = PULSE_HELD;
	r->handle = slot(p, b, b->at.handle);
	if (r->handle == p->py->types.none)
		r->handle = 0;
	b->timeout = 0;
	if (b->own_clock) {
		read_own_turn(p, b, r);
		return true;
	}
	if (!is_same_turn(p, b)) {
		if (!read_float(p, b, b->at.end_time, &end_time))
			return false;
		b->turn_object = slot(p, b, b->at.end_time);
		memcpy(&b->turn, &end_time, sizeof(b->turn));
		r->clock_ns = source_clock(p->src);
	}
	memcpy(&end_time, &b->turn, sizeof(end_time));
	r->turn = b->turn;
	r->since_ns = (uint64_t)aio_ns(end_time > 0 ? end_time : 0);
	if (r->since_ns > r->clock_ns) /* a float rounds */
		r->since_ns = r->clock_ns;
	return true;
}

/*
 * The same object may be the timeout of select after select: the number in it, which is the time
 * to the next timer, tells them apart. None and 0 tell nothing.
 */
static void read_select(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	uint64_t timeout = slot(p, b, b->at.timeout);
	uint64_t due;
	double seconds;

	r->state = PULSE_SELECT;
	if (b->own_clock || timeout != b->timeout || !timeout) {
		b->timeout = timeout;
		b->timeout_seen_ns = r->clock_ns;
		b->have_timeout = false;
		return;
	}
	due = b->timeout_seen_ns + (b->have_timeout ? (uint64_t)aio_ns(b->timeout_s) : 0) + LATE_NS;
	if (r->clock_ns < due)
		return;
	if (!read_float(p, b, b->at.timeout, &seconds) || seconds < 0) {
		b->timeout_seen_ns = r->clock_ns + CONFIRM_NS; /* no number: not asked each time */
		b->have_timeout = false;
	} else if (!b->have_timeout || memcmp(&seconds, &b->timeout_s, sizeof(seconds)) != 0) {
		b->timeout_seen_ns = r->clock_ns;
		b->timeout_s = seconds;
		b->have_timeout = true;
	} else {
		r->state = PULSE_LATE;
		r->since_ns = due - LATE_NS;
		r->is_lower = true; /* it began before we first saw it */
	}
}

static bool read_interpreter(struct pulse *p, const struct beat *b, struct py_interpreter *ret)
{
	struct source *main = p->py->rd.src;
	bool ok;

	source_forget(p->src);
	python_new_look(p->py, p->src);
	ok = python_interpreter_of(p->py, b->tstate, ret);
	python_new_look(p->py, main);
	return ok && ret->gil_holder != b->tstate;
}

static bool waits_for_the_gil(struct pulse *p, const struct beat *b)
{
	struct os_thread os = {0};

	return os_thread_read(p->src, b->tid, OS_SYSCALL, &os, NULL) &&
	       waits_in_runtime(p->py->runtime, p->py->runtime_size, &os);
}

/*
 * A select that has returned shows only when its thread has got the GIL. As long as that has not
 * gone from one thread to another since it was seen to wait for it, it has not got it.
 */
static bool is_starved(struct pulse *p, struct beat *b, uint64_t now)
{
	uint64_t since = b->starved_ns;
	struct py_interpreter interp;

	b->starved_ns = 0;
	if (now - b->still_ns < STILL_NS || (!since && now < b->ask_ns))
		return false;
	b->ask_ns = now + ASK_NS;
	if (!read_interpreter(p, b, &interp))
		return false;
	if (since && interp.gil_switches == b->gil_switches) {
		b->starved_ns = since;
		return now - since >= LATE_NS;
	}
	if (interp.gil_locked && waits_for_the_gil(p, b)) {
		b->starved_ns = now;
		b->gil_switches = interp.gil_switches;
	}
	return false;
}

static void look_at_select(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	read_select(p, b, r);
	if (r->state == PULSE_SELECT && is_starved(p, b, r->clock_ns)) {
		r->state = PULSE_LATE;
		r->since_ns = b->starved_ns;
		r->is_lower = true;
	}
}

static void look_at_asyncio(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	for (int attempt = 0; attempt < TRIES; attempt++) {
		bool is_there = read_frame(p, b, r->clock_ns);

		if (!is_there || r->clock_ns - b->same_ns > CONFIRM_NS) {
			if (!locate(p, b))
				break;
			b->same_ns = r->clock_ns;
			if (!is_there)
				continue;
		}
		if (!slot(p, b, b->at.end_time)) {
			look_at_select(p, b, r);
			return;
		}
		if (read_turn(p, b, r))
			return;
	}
	r->state = PULSE_LOST;
}

/* ---- uvloop ---------------------------------------------------------------------------------- */

static bool in_epoll(struct pulse *p, const struct beat *b)
{
	struct os_thread os = {0};

	source_forget(p->src);
	return os_thread_read(p->src, b->tid, OS_SYSCALL, &os, NULL) &&
	       snap_in_select(&os, &b->info);
}

/*
 * libuv looks at the clock when epoll returns, and not again before the callbacks are done. A clock
 * that stands still is that of a turn, or of a wait: the system call tells, and what was in epoll
 * some ms after that time stays there until the clock moves.
 */
static void look_at_uvloop(struct pulse *p, struct beat *b, struct pulse_reading *r)
{
	uint64_t ms, since;

	if (!source_now(p->src, b->uv_clock, &ms, sizeof(ms)) || ms > SOURCE_CLOCK_MAX / 1000000) {
		r->state = PULSE_LOST;
		return;
	}
	since = ms * 1000000;
	r->clock_ns = source_clock(p->src);
	r->state = PULSE_SELECT;
	if (ms == b->uv_idle_ms || r->clock_ns < since + UV_LIVE_NS)
		return;
	if (in_epoll(p, b)) {
		b->uv_idle_ms = ms;
		return;
	}
	r->state = PULSE_HELD;
	r->turn = ms;
	r->since_ns = since;
	r->is_lower = true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

void pulse_look(struct pulse *p, size_t i, struct pulse_reading *ret)
{
	struct beat *b = &p->v[i];

	*ret = (struct pulse_reading){.loop = b->loop, .tid = b->tid};
	ret->clock_ns = source_clock(p->src);
	if (b->uv_clock)
		look_at_uvloop(p, b, ret);
	else
		look_at_asyncio(p, b, ret);
}

bool pulse_select_since(struct pulse *p, size_t i, uint64_t *ns)
{
	struct beat *b = &p->v[i];
	struct source *main = p->py->rd.src;
	struct aio_loop info = {0};
	double seconds = 0;
	bool known = false;

	if (b->uv_clock || b->own_clock || b->at.timeout == ABSENT)
		return false;
	source_forget(p->src);
	python_new_look(p->py, p->src);
	if (aio_loop_read(p->py, b->loop, 0, &info) && info.timers > 0 &&
	    read_frame(p, b, b->same_ns) && !slot(p, b, b->at.end_time))
		known = read_float(p, b, b->at.timeout, &seconds) && seconds > 0 && seconds < 86400;
	rd_take(&p->py->rd);
	python_new_look(p->py, main);
	if (known)
		*ns = (uint64_t)aio_ns(info.first_when > seconds ? info.first_when - seconds : 0);
	return known;
}

static void begin(struct pulse *p, struct beat *b, const struct snapshot *s,
		  const struct snap_loop *loop)
{
	b->loop = loop->run.loop;
	b->tid = s->threads[loop->thread].os.tid;
	b->tstate = s->threads[loop->thread].tstate;
	b->own_clock = loop->own_clock;
	b->info = loop->info;
	if (loop->info.is_uvloop)
		b->uv_clock = aio_uvloop_clock(p->py, b->loop);
	else if (loop->have_run && !find_place(p->py, &loop->run.where, &b->at))
		b->at.frame = 0;
	rd_take(&p->py->rd);
}

struct pulse *pulse_create(struct python *py, const struct snapshot *snap)
{
	struct pulse *p = mem_zalloc(1, sizeof(*p));

	p->py = py;
	p->src = source_again(py->rd.src);
	p->n = snap->n_loops;
	p->v = mem_zalloc(p->n + 1, sizeof(*p->v));
	p->frames = mem_alloc(PY_MAX_FRAMES * sizeof(*p->frames));
	for (size_t i = 0; i < p->n; i++)
		begin(p, &p->v[i], snap, &snap->loops[i]);
	return p;
}

void pulse_destroy(struct pulse *p)
{
	if (!p)
		return;
	source_close(p->src);
	free(p->frames);
	free(p->v);
	free(p);
}

size_t pulse_loops(const struct pulse *p)
{
	return p->n;
}

uint64_t pulse_walks(const struct pulse *p)
{
	return p->walks;
}
