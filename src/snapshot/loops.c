/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/syscall.h>

#include "builder.h"

#define LONGEST_TIMEOUT_S 86400.0 /* asyncio clips timeouts there: no conclusion possible */

bool snap_in_epoll(const struct os_thread *os)
{
	if (!os->have_syscall || os->syscall.running)
		return false;
	switch (os->syscall.number) {
#ifdef SYS_epoll_wait
	case SYS_epoll_wait:
#endif
	case SYS_epoll_pwait:
	case SYS_epoll_pwait2:
		return true;
	default:
		return false;
	}
}

bool snap_in_select(const struct os_thread *os, const struct aio_loop *info)
{
	return snap_in_epoll(os) &&
	       (info->uv_epoll < 0 || os->syscall.args[0] == (uint64_t)info->uv_epoll);
}

/*
 * A time of the loop must lie in the life of the process: where time.monotonic() itself was
 * replaced the class does not show it.
 */
static bool is_elsewhere(const struct builder *b, int64_t ns)
{
	static const int64_t slack = 1000000000;

	return b->s->clock_ns &&
	       (ns + slack < (int64_t)b->proc->started_ns || ns > (int64_t)b->s->clock_ns + slack);
}

/* Without a clock in common no time of the loop says anything. */
static void judge_clock(struct builder *b, struct snap_loop *loop)
{
	struct aio_loop *info = &loop->info;
	int64_t now = (int64_t)b->s->clock_ns;

	loop->own_clock = info->own_clock || is_elsewhere(b, now - aio_ns(info->worst_late)) ||
			  (loop->have_run && loop->run.have_end_time &&
			   is_elsewhere(b, aio_ns(loop->run.end_time)));
	if (!loop->own_clock)
		return;
	build_problem(b, "the loop has a clock of its own: its times are unknown", "loop");
	info->timers_late = -1;
	info->worst_late = 0;
	info->worst_timer = 0;
	info->have_next = false;
}

static void read_held(struct builder *b, struct snap_loop *loop)
{
	int64_t now = (int64_t)b->s->clock_ns, end = aio_ns(loop->run.end_time);

	if (!now) {
		build_problem(b, "the core does not say when it was taken: times are unknown",
			      "core");
		return;
	}
	loop->have_held = true;
	loop->held_ns = now > end ? now - end : 0;
}

/*
 * timeout was computed as first_when - now, so first_when - timeout is when select began: the
 * timeout is read again, as the loop may have turned between its frame and its heap.
 */
static void read_select(struct builder *b, struct snap_loop *loop)
{
	const struct aio_run before = loop->run;
	double entered;
	int64_t ns;

	aio_run_refresh(b->py, &loop->run);
	loop->turned = !before.have_timeout || !loop->run.have_timeout ||
		       before.timeout_none != loop->run.timeout_none ||
		       memcmp(&before.timeout, &loop->run.timeout, sizeof(before.timeout)) != 0;
	if (!b->s->clock_ns || !loop->run.have_timeout || loop->run.timeout_none ||
	    loop->run.timeout <= 0 || loop->run.timeout >= LONGEST_TIMEOUT_S ||
	    loop->info.timers <= 0)
		return;
	entered = loop->info.first_when - loop->run.timeout;
	ns = (int64_t)b->s->clock_ns - aio_ns(entered);
	if (ns < 0 || ns > aio_ns(loop->run.timeout) + 1000000000)
		return;
	loop->have_select = true;
	loop->select_ns = ns;
}

/* uvloop has no frame: libuv's clock stands still while a callback runs, the syscall tells. */
static void judge_uvloop(struct builder *b, struct snap_loop *loop)
{
	const struct snap_thread *thread = &b->s->threads[loop->thread];
	int64_t now = (int64_t)b->s->clock_ns, since;

	if (!loop->info.is_uvloop)
		return;
	loop->phase = snap_in_select(&thread->os, &loop->info) ? SNAP_SELECT : SNAP_CALLBACKS;
	if (!loop->info.have_uv_time)
		return;
	since = now - aio_ns(loop->info.uv_time);
	if (since < 0)
		since = 0;
	if (loop->phase == SNAP_SELECT) {
		loop->have_select = true;
		loop->select_ns = since;
	} else {
		loop->have_held = loop->held_is_lower = true;
		loop->held_ns = since;
	}
}

static void read_worst_timer(struct builder *b, struct snap_loop *loop)
{
	struct aio_callback callback;

	if (loop->info.worst_timer && b->s->clock_ns &&
	    aio_callback_read(b->py, loop->info.worst_timer, &callback))
		loop->worst_timer = arena_strdup(&b->s->arena, callback.name);
}

void build_loops(struct builder *b)
{
	double now = (double)b->s->clock_ns / 1e9;

	for (size_t i = 0; i < b->s->n_loops; i++) {
		struct snap_loop *loop = &b->s->loops[i];

		loop->have_info = aio_loop_read(b->py, loop->run.loop, now, &loop->info);
		if (!loop->have_info) {
			build_problem(b, "a loop object could not be read", "loop");
			loop->info.class_name = "?";
		}
		loop->starts_eagerly = py_tasks_start_eagerly(b->py);
		judge_clock(b, loop);
		if (loop->have_run && loop->run.have_end_time && !loop->own_clock)
			read_held(b, loop);
		if (loop->have_run && loop->phase == SNAP_SELECT && !loop->own_clock)
			read_select(b, loop);
		if (loop->run.handle)
			loop->have_callback =
				aio_callback_read(b->py, loop->run.handle, &loop->callback);
		judge_uvloop(b, loop);
		read_worst_timer(b, loop);
		if (!b->s->clock_ns)
			loop->info.timers_late = -1;
	}
}
