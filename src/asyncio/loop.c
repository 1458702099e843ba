/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define TIMERS_MAX 1000000u

/* Fields used from the layout, as addresses. */
#define AT(object, f) ((object) + py->layout.field[F_##f].offset)

/* The batch of reads that turns a list of pointers into cached objects. */
static void prefetch_pointers(struct python *py, uint64_t first, uint64_t n, size_t len)
{
	uint64_t *addrs;

	if (n < 32)
		return;
	addrs = mem_alloc(n * sizeof(*addrs));
	for (uint64_t i = 0; i < n; i++)
		addrs[i] = rd_u64(&py->rd, first + 8 * i);
	if (!py->rd.failed)
		source_prefetch(py->rd.src, addrs, n, len);
	free(addrs);
}

#define TIMER_CHECKS 64u /* the heap has the worst first: few are needed, unless it is forged */

struct timer_slots {
	uint32_t when, cancelled;
	unsigned int checks; /* still allowed */
};

static struct timer_slots timer_slots(struct python *py, uint64_t handle)
{
	uint64_t type = py_type(py, handle);

	return (struct timer_slots){py_slot_offset(py, type, "_when"),
				    py_slot_offset(py, type, "_cancelled"), TIMER_CHECKS};
}

#define NUMBER 24u /* bytes of a float */

/*
 * A loop that runs takes timers out while they are read, and their memory soon holds other numbers:
 * a timeout in the place of a time is hours late. So the worst is compared with what is there now.
 */
static bool timer_stays(struct python *py, uint64_t item, uint64_t handle, uint32_t slot)
{
	struct source *src = py->rd.src;
	uint64_t when = rd_u64(&py->rd, handle + slot);

	/* the number is this timer's when the timer has it before and after */
	return !py->rd.failed && source_unchanged(src, handle + slot, 8) &&
	       source_unchanged(src, when, NUMBER) && source_unchanged(src, handle + slot, 8) &&
	       source_unchanged(src, item, 8);
}

/*
 * The time of the first timer as it is now: from it follows since when the loop sleeps, so one that
 * was read before the loop turned would make that too long. 0 when it moves too fast.
 */
static double first_time(struct python *py, uint64_t item, const struct timer_slots *slots)
{
	for (int attempt = 0; attempt < 4 && !py->rd.failed; attempt++) {
		uint64_t handle = rd_ptr(&py->rd, item);
		uint64_t when = rd_u64(&py->rd, handle + slots->when);
		double at;

		if (when && py_number(py, when, &at) && isfinite(at) &&
		    timer_stays(py, item, handle, slots->when))
			return at;
		source_reread(py->rd.src, item, 8);
		handle = rd_u64(&py->rd, item);
		source_reread(py->rd.src, handle + slots->when, 8);
		source_reread(py->rd.src, rd_u64(&py->rd, handle + slots->when), NUMBER);
	}
	return 0;
}

struct timer {
	uint64_t handle;
	bool cancelled;
	double at;
};

static bool read_timer(struct python *py, uint64_t item, const struct timer_slots *slots,
		       struct timer *ret)
{
	uint64_t cancelled, when;

	ret->handle = rd_ptr(&py->rd, item);
	cancelled = slots->cancelled ? rd_u64(&py->rd, ret->handle + slots->cancelled) : 0;
	ret->cancelled = cancelled && py_bool(py, cancelled);
	when = rd_u64(&py->rd, ret->handle + slots->when);
	return when && !py->rd.failed && py_number(py, when, &ret->at) && isfinite(ret->at);
}

/* A timer that ran while the heap was read left its place to another, or none. */
static bool read_timer_again(struct python *py, uint64_t item, struct timer_slots *slots,
			     struct timer *ret)
{
	static const size_t handle_size = 128;

	if (!py->rd.failed || !slots->checks)
		return false;
	slots->checks--;
	rd_take(&py->rd);
	source_reread(py->rd.src, item, 8);
	source_reread(py->rd.src, rd_u64(&py->rd, item), handle_size);
	return read_timer(py, item, slots, ret) || (rd_take(&py->rd) && false);
}

static void count_timer(struct python *py, uint64_t item, struct timer_slots *slots, double now,
			bool first, struct aio_loop *loop)
{
	struct timer t;
	bool worst;
	double at;

	if (!read_timer(py, item, slots, &t) && !read_timer_again(py, item, slots, &t))
		return;
	if (first)
		loop->first_when = first_time(py, item, slots);
	if (t.cancelled) /* there may be hundreds at the top */
		return;
	at = t.at;
	worst = now - at > loop->worst_late && slots->checks;
	if (worst && (slots->checks--, !timer_stays(py, item, t.handle, slots->when)))
		return;
	if (!loop->have_next || at < loop->next_when)
		loop->next_when = at;
	loop->have_next = true;
	if (at < now) {
		loop->timers_late++;
		if (worst) { /* none that could not be checked */
			loop->worst_late = now - at;
			loop->worst_timer = t.handle;
		}
	}
}

static void forget_timers(struct aio_loop *loop)
{
	loop->timers_late = 0;
	loop->have_next = false;
	loop->worst_late = 0;
	loop->worst_timer = 0;
}

/* _scheduled is a heap of TimerHandles: all are counted, slot 0 is the earliest. */
static void read_heap(struct python *py, uint64_t list, double now, struct aio_loop *loop)
{
	uint64_t n, items = py_list_items(py, list, &n);
	struct timer_slots slots = {0};

	forget_timers(loop);
	if (py->rd.failed)
		return;
	loop->timers = (int64_t)n;
	if (!n || n > TIMERS_MAX)
		return;
	slots = timer_slots(py, rd_ptr(&py->rd, items));
	if (!slots.when || py->rd.failed)
		return;
	prefetch_pointers(py, items, n, 64);
	for (uint64_t i = 0; i < n && !py->rd.failed; i++)
		count_timer(py, items + 8 * i, &slots, now, i == 0, loop);
}

/* The heap is another array when it grew, and another handle is on its top all the time. */
static void read_timers(struct python *py, uint64_t list, double now, struct aio_loop *loop)
{
	static const size_t handle_size = 128;
	static const unsigned tries = 8;
	uint64_t items, n;

	for (unsigned i = 0; i < tries; i++) {
		if (i)
			rd_take(&py->rd);
		read_heap(py, list, now, loop);
		if (!py->rd.failed || i + 1 == tries)
			return;
		rd_take(&py->rd);
		source_reread(py->rd.src, list, AT(0, LIST_ITEMS) + 8);
		items = py_list_items(py, list, &n);
		source_reread(py->rd.src, items, 8);
		source_reread(py->rd.src, rd_u64(&py->rd, items), handle_size);
	}
}

/* SimpleQueue: a list and a position up to 3.12, a ring buffer that counts from 3.13 on. */
static int64_t queue_length(struct python *py, uint64_t queue)
{
	uint64_t list;

	if (!strstr(py_object_type_name(py, queue), "SimpleQueue"))
		return -1;
	if (layout_has(&py->layout, F_SQUEUE_ITEMS))
		return rd_i64(&py->rd, AT(queue, SQUEUE_ITEMS));
	list = rd_ptr(&py->rd, AT(queue, SQUEUE_LIST));
	return (int64_t)py_size(py, list) - rd_i64(&py->rd, AT(queue, SQUEUE_POS));
}

/* concurrent.futures.ThreadPoolExecutor */
static void read_executor(struct python *py, uint64_t executor, struct aio_loop *loop)
{
	static const char *const names[] = {"_max_workers", "_threads", "_work_queue",
					    "_idle_semaphore"};
	static const char *const value_name[] = {"_value"};
	uint64_t v[ARRAY_SIZE(names)], value;

	if (!executor || py_is_none(py, executor) ||
	    !py_attrs(py, executor, names, ARRAY_SIZE(names), v) || !v[0])
		return;
	loop->have_executor = py_int(py, v[0], &loop->executor_max);
	if (v[1])
		loop->executor_threads = (int64_t)rd_u64(&py->rd, AT(v[1], SET_USED));
	if (v[2])
		loop->executor_queued = queue_length(py, v[2]);
	if (v[3] && py_attrs(py, v[3], value_name, 1, &value) && value)
		py_int(py, value, &loop->executor_idle);
}

static void read_selector(struct python *py, uint64_t selector, struct aio_loop *loop)
{
	static const char *const names[] = {"_fd_to_key"};
	uint64_t dict;

	if (selector && py_attrs(py, selector, names, 1, &dict) && dict)
		loop->fds = (int64_t)py_dict_len(py, loop->fd_keys = dict);
}

static void forget_loop(struct aio_loop *loop)
{
	loop->ready = loop->timers = loop->timers_late = loop->fds = -1;
	loop->timers_cancelled = -1;
	loop->uv_epoll = -1;
	loop->executor_max = loop->executor_threads = -1;
	loop->executor_idle = loop->executor_queued = -1;
}

/* Tests, and simulations, let time pass as they like: BaseEventLoop.time() is time.monotonic(). */
static bool has_own_clock(struct python *py, uint64_t loop)
{
	static const char *const names[] = {"time"};
	const char *class = py_defining_class(py, loop, names[0]);
	uint64_t value;

	if (rd_take(&py->rd))
		return false;
	if (class && strcmp(class, "BaseEventLoop") != 0)
		return true;
	return py_attrs(py, loop, names, 1, &value) && !rd_take(&py->rd) && value;
}

bool aio_loop_read(struct python *py, uint64_t address, double now, struct aio_loop *ret)
{
	static const char *const names[] = {
		"_ready", "_scheduled", "_selector", "_default_executor", "_debug", "_stopping"};
	static const char *const more[] = {"_timer_cancelled_count"};
	uint64_t v[ARRAY_SIZE(names)], cancelled;

	memset(ret, 0, sizeof(*ret));
	forget_loop(ret);
	ret->address = address;
	ret->class_name = py_type_full_name(py, py_type(py, address));
	if (py->rd.failed || !py_attrs(py, address, names, ARRAY_SIZE(names), v))
		return !rd_take(&py->rd);
	if (strstr(ret->class_name, "uvloop"))
		return aio_uvloop_read(py, address, now, ret);
	if (v[0]) {
		ret->ready = (int64_t)py_size(py, v[0]);
		ret->ready_queue = v[0];
	}
	if (v[1]) {
		ret->scheduled = v[1];
		read_timers(py, v[1], now, ret);
	}
	read_selector(py, v[2], ret);
	read_executor(py, v[3], ret);
	ret->debug = py_bool(py, v[4]);
	ret->stopping = py_bool(py, v[5]);
	if (rd_take(&py->rd))
		return false;
	/* the rest does not depend on it: recordings of old do not have it */
	if (py_attrs(py, address, more, 1, &cancelled) && cancelled)
		py_int(py, cancelled, &ret->timers_cancelled);
	rd_take(&py->rd);
	ret->own_clock = has_own_clock(py, address);
	rd_take(&py->rd);
	return true;
}
