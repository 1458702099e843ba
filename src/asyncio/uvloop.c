/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uvloop keeps its state in C: a Cython object whose fields follow uvloop/loop.pxd, and
 * libuv's uv_loop_t. Offsets differ little between releases, so each is recognised by what
 * lies there instead of by version: a deque, a set, a uv_loop_t whose data points back.
 */
#include <string.h>

#include "stallscope/asyncio.h"

enum {
	LOOP_UV = 24, /* uv_loop_t *uvloop, every release */
	UV_DATA = 0,  /* uv_loop_t.data: the Loop object itself */
	UV_TIMER_HEAP_MIN = 520,
	UV_TIMER_HEAP_N = 528,	/* u32 */
	UV_BACKEND_FD = 64,	/* i32, the epoll */
	UV_NFDS = 116,		/* u32 */
	UV_TIME = 544,		/* ms of CLOCK_MONOTONIC, libuv 1.44 to 1.53 */
	UV_TIMER_NODE = 104,	/* of the heap node in uv_timer_t */
	UV_TIMER_TIMEOUT = 128, /* ms */
};

static uint64_t first_of_type(struct python *py, uint64_t object, const uint32_t *offsets, size_t n,
			      const char *type)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t value = rd_u64(&py->rd, object + offsets[i]);
		bool found = value && !py->rd.failed && value < READER_USER_END &&
			     !strcmp(py_object_type_name(py, value), type);

		if (!rd_take(&py->rd) && found)
			return value;
	}
	return 0;
}

static void read_timers(struct python *py, uint64_t uv, double now, struct aio_loop *ret)
{
	uint64_t node = rd_u64(&py->rd, uv + UV_TIMER_HEAP_MIN);
	double when;

	ret->timers = rd_u32(&py->rd, uv + UV_TIMER_HEAP_N);
	if (!node || py->rd.failed)
		return;
	when = (double)rd_u64(&py->rd, node - UV_TIMER_NODE + UV_TIMER_TIMEOUT) / 1e3;
	if (py->rd.failed)
		return;
	ret->have_next = true;
	ret->next_when = ret->first_when = when;
	if (when < now)
		ret->worst_late = now - when;
}

bool aio_uvloop_read(struct python *py, uint64_t loop, double now, struct aio_loop *ret)
{
	static const uint32_t ready_at[] = {96, 104};
	uint64_t ready =
		first_of_type(py, loop, ready_at, ARRAY_SIZE(ready_at), "collections.deque");
	uint64_t uv = rd_ptr(&py->rd, loop + LOOP_UV);

	ret->is_uvloop = true;
	if (ready)
		ret->ready = (int64_t)py_size(py, ready);
	ret->ready_queue = ready;
	if (!py->rd.failed && rd_u64(&py->rd, uv + UV_DATA) == loop) {
		ret->uv_time = (double)rd_u64(&py->rd, uv + UV_TIME) / 1e3;
		ret->have_uv_time = !py->rd.failed;
		ret->fds = rd_u32(&py->rd, uv + UV_NFDS);
		ret->uv_epoll = rd_i32(&py->rd, uv + UV_BACKEND_FD);
		read_timers(py, uv, now, ret);
	}
	return !rd_take(&py->rd);
}

uint64_t aio_uvloop_clock(struct python *py, uint64_t loop)
{
	uint64_t uv = rd_ptr(&py->rd, loop + LOOP_UV);
	bool ours = !py->rd.failed && rd_u64(&py->rd, uv + UV_DATA) == loop;

	return !rd_take(&py->rd) && ours ? uv + UV_TIME : 0;
}
