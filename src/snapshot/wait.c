/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a blocked thread waits for, from the arguments of its system call: the descriptors, the
 * path, the child, the futex; and whether there is a timeout. Pointers among the arguments are
 * read from the target's memory, which the call left as it was when it began.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "builder.h"
#include "stallscope/utf8.h"

#define POLL_MAX   4096u /* descriptors of a poll that are looked at */
#define SELECT_MAX 4096u /* bits of a set of select() */
#define PATH_BYTES 1024u
#define FD_MAX	   (1u << 30)
#define NO_ARG	   0xff

enum shape { FD_FIRST, FD_POLL, FD_SELECT, FD_EPOLL, PATH_OPEN, CHILD, FUTEX, SLEEP };

/* How the call is told for how long to wait. */
enum limit { LIMIT_BY_FD, LIMIT_NEVER, LIMIT_MS, LIMIT_SPEC, LIMIT_VAL, LIMIT_FUTEX, LIMIT_CLOCK };

struct call_shape {
	int64_t call;
	enum shape shape;
	enum limit limit;
	uint8_t arg; /* of the limit; of PATH_OPEN: of the path */
};

static const struct call_shape shapes[] = {
	{SYS_read, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_readv, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_pread64, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_preadv, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_write, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_writev, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_pwrite64, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_pwritev, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_recvfrom, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_recvmsg, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_recvmmsg, FD_FIRST, LIMIT_SPEC, 4},
	{SYS_sendto, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_sendmsg, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_sendmmsg, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_sendfile, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_connect, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_accept, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_accept4, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_flock, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_fcntl, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_ioctl, FD_FIRST, LIMIT_BY_FD, NO_ARG},
	{SYS_fsync, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_fdatasync, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_ftruncate, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_getdents64, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_close, FD_FIRST, LIMIT_NEVER, NO_ARG},
	{SYS_ppoll, FD_POLL, LIMIT_SPEC, 2},
	{SYS_pselect6, FD_SELECT, LIMIT_SPEC, 4},
	{SYS_epoll_pwait, FD_EPOLL, LIMIT_MS, 3},
	{SYS_epoll_pwait2, FD_EPOLL, LIMIT_SPEC, 3},
	{SYS_openat, PATH_OPEN, LIMIT_NEVER, 1},
	{SYS_wait4, CHILD, LIMIT_NEVER, NO_ARG},
	{SYS_waitid, CHILD, LIMIT_NEVER, NO_ARG},
	{SYS_futex, FUTEX, LIMIT_FUTEX, 3},
	{SYS_nanosleep, SLEEP, LIMIT_SPEC, 0},
	{SYS_clock_nanosleep, SLEEP, LIMIT_CLOCK, 2},
#ifdef __x86_64__
	{SYS_poll, FD_POLL, LIMIT_MS, 2},
	{SYS_select, FD_SELECT, LIMIT_VAL, 4},
	{SYS_epoll_wait, FD_EPOLL, LIMIT_MS, 3},
	{SYS_open, PATH_OPEN, LIMIT_NEVER, 0},
#endif
};

static const struct call_shape *shape_of(int64_t call)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		if (shapes[i].call == call)
			return &shapes[i];
	return NULL;
}

/* ---- timeouts ---------------------------------------------------------------------------------
 */

static void never(struct snap_blocked *w)
{
	w->timeout = SNAP_TIMEOUT_NONE;
}

static void set_timeout(struct snap_blocked *w, double seconds)
{
	w->timeout = SNAP_TIMEOUT_SET;
	w->have_timeout_s = true;
	w->timeout_s = seconds;
}

static void set_left(struct snap_blocked *w, double seconds)
{
	w->timeout = SNAP_TIMEOUT_SET;
	w->have_left_s = true;
	w->left_s = seconds > 0 ? seconds : 0;
}

/* struct timespec, or struct timeval with unit 1e6; false when it cannot be one. */
static bool read_time(struct builder *b, uint64_t address, int64_t unit, double *ret)
{
	struct reader *rd = &b->py->rd;
	int64_t whole, part;

	source_reread(rd->src, address, 16); /* on the stack of a thread that was read before */
	whole = rd_i64(rd, address);
	part = rd_i64(rd, address + 8);
	if (rd_take(rd) || whole < 0 || part < 0 || part >= unit || whole > AIO_NS_MAX / 1000000000)
		return false;
	*ret = (double)whole + (double)part / (double)unit;
	return true;
}

static void relative(struct builder *b, struct snap_blocked *w, uint64_t address, int64_t unit)
{
	double seconds;

	if (!address)
		never(w);
	else if (read_time(b, address, unit, &seconds))
		set_timeout(w, seconds);
	else
		w->timeout = SNAP_TIMEOUT_SET;
}

/* A point in time: only what is left of it is known. */
static void absolute(struct builder *b, struct snap_blocked *w, uint64_t address, bool realtime)
{
	uint64_t now = realtime ? b->s->wall_ns : b->s->clock_ns;
	double seconds;

	w->timeout = SNAP_TIMEOUT_SET;
	if (now && read_time(b, address, 1000000000, &seconds))
		set_left(w, seconds - (double)now / 1e9);
}

static void futex_limit(struct builder *b, struct snap_blocked *w, const uint64_t *args)
{
	bool realtime = args[1] & FUTEX_CLOCK_REALTIME;

	switch ((int)args[1] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		relative(b, w, args[3], 1000000000);
		break;
	case FUTEX_WAIT_BITSET:
		if (args[3])
			absolute(b, w, args[3], realtime);
		else
			never(w);
		break;
	}
}

static void sleep_limit(struct builder *b, struct snap_blocked *w, const uint64_t *args)
{
	if (!(args[1] & TIMER_ABSTIME))
		relative(b, w, args[2], 1000000000);
	else if (args[0] == CLOCK_MONOTONIC || args[0] == CLOCK_REALTIME)
		absolute(b, w, args[2], args[0] == CLOCK_REALTIME);
	else
		w->timeout = SNAP_TIMEOUT_SET;
}

static void read_limit(struct builder *b, struct snap_blocked *w, const struct call_shape *shape,
		       const uint64_t *args)
{
	int32_t ms;

	switch (shape->limit) {
	case LIMIT_BY_FD:
		break;
	case LIMIT_NEVER:
		never(w);
		break;
	case LIMIT_MS:
		ms = (int32_t)args[shape->arg];
		if (ms < 0)
			never(w);
		else
			set_timeout(w, ms / 1e3);
		break;
	case LIMIT_SPEC:
		relative(b, w, args[shape->arg], 1000000000);
		break;
	case LIMIT_VAL:
		relative(b, w, args[shape->arg], 1000000);
		break;
	case LIMIT_FUTEX:
		futex_limit(b, w, args);
		break;
	case LIMIT_CLOCK:
		sleep_limit(b, w, args);
		break;
	}
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static void add_fd(struct snap_blocked *w, int64_t fd)
{
	if (fd < 0 || fd >= FD_MAX)
		return;
	for (uint32_t i = 0; i < w->n_fds; i++)
		if (w->fds[i].fd == fd)
			return;
	w->fds_total++;
	if (w->n_fds < SNAP_WAIT_FDS)
		w->fds[w->n_fds++] = (struct snap_wait_fd){.fd = (int32_t)fd};
}

/* struct pollfd {int fd; short events, revents;}; a negative fd is passed over. */
static void add_poll(struct builder *b, struct snap_blocked *w, const uint64_t *args)
{
	struct reader *rd = &b->py->rd;

	source_reread(rd->src, args[0], 8 * (args[1] < POLL_MAX ? args[1] : POLL_MAX));
	for (uint64_t i = 0; i < args[1] && i < POLL_MAX && !rd->failed; i++) {
		int32_t fd = rd_i32(rd, args[0] + 8 * i);

		add_fd(w, rd->failed ? -1 : fd);
	}
	if (rd_take(rd) || args[1] > POLL_MAX)
		w->fds_total = args[1] < FD_MAX ? (uint32_t)args[1] : FD_MAX;
}

static void add_set(struct builder *b, struct snap_blocked *w, uint64_t set, uint64_t n)
{
	struct reader *rd = &b->py->rd;

	if (set)
		source_reread(rd->src, set, n / 8 + 8);
	for (uint64_t i = 0; set && i < n; i += 64) {
		uint64_t bits = rd_u64(rd, set + i / 8);

		if (rd_take(rd))
			return;
		for (uint64_t bit = 0; bit < 64 && i + bit < n; bit++)
			if (bits >> bit & 1)
				add_fd(w, (int64_t)(i + bit));
	}
}

static void add_select(struct builder *b, struct snap_blocked *w, const uint64_t *args)
{
	uint64_t n = args[0] < SELECT_MAX ? args[0] : SELECT_MAX;

	for (size_t set = 1; set <= 3; set++)
		add_set(b, w, args[set], n);
}

/* What an epoll watches; the epoll itself when that is not known. */
static void add_epoll(struct builder *b, struct snap_blocked *w, uint64_t fd)
{
	const struct strbuf *text;
	struct proc_fdinfo info;
	char path[32];

	snprintf(path, sizeof(path), "fdinfo/%d", (int32_t)fd);
	if (fd >= FD_MAX || !source_proc(b->py->rd.src, path, &text, NULL) ||
	    !proc_fdinfo_parse(text->data, text->len, &info, NULL) || !info.n_targets) {
		add_fd(w, (int64_t)fd);
		return;
	}
	for (unsigned i = 0; i < info.n_targets && i < FDINFO_TARGETS; i++)
		add_fd(w, info.targets[i]);
	if (info.n_targets > FDINFO_TARGETS)
		w->fds_total = info.n_targets;
}

/* What tells most: connections, then pipes and files, then the kernel's own things. */
static unsigned interest(const struct snap_wait_fd *fd)
{
	switch (fd->kind) {
	case SNAP_FD_TCP:
	case SNAP_FD_UDP:
		return fd->peer ? 5 : 4;
	case SNAP_FD_UNIX:
	case SNAP_FD_SOCKET:
	case SNAP_FD_PIPE:
	case SNAP_FD_FIFO:
	case SNAP_FD_PIDFD:
		return 4;
	case SNAP_FD_FILE:
	case SNAP_FD_TTY:
	case SNAP_FD_DEVICE:
		return 3;
	case SNAP_FD_UNKNOWN:
		return 1;
	default:
		return 2;
	}
}

static void describe_all(struct builder *b, struct snap_loop *loop, const struct os_thread *os)
{
	struct snap_blocked *w = &loop->blocked;
	uint32_t best = 0;

	for (uint32_t i = 0; i < w->n_fds; i++) {
		describe_descriptor(b, os, &w->fds[i]);
		if (interest(&w->fds[i]) > interest(&w->fds[best]))
			best = i;
	}
	if (w->n_fds)
		loop->wait = w->fds[best];
}

/* ---- timeouts that belong to a descriptor -----------------------------------------------------
 */

#define LEAF_SLOTS    64u /* read anew: they change with each call */
#define SOCKET_FRAMES 8u  /* from the leaf outwards: socket, ssl, http.client... */

/* The Python socket of this descriptor among what the innermost frames have. */
static bool find_socket(struct builder *b, const struct snap_stack *stack, int32_t fd,
			int64_t *timeout)
{
	struct py_slot slots[PY_MAX_SLOTS];
	struct py_frame frame;
	int32_t number;
	bool exact;

	for (uint32_t i = 0; i < stack->n && i < SOCKET_FRAMES; i++) {
		size_t n = 0;

		if (python_frame(b->py, b->s->frames[stack->first + i].address, &frame))
			n = python_frame_slots(b->py, &frame, slots, ARRAY_SIZE(slots), &exact);
		rd_take(&b->py->rd);
		for (size_t k = 0; k < n; k++) {
			bool is = py_socket(b->py, slots[k].object, &number, timeout);

			if (!rd_take(&b->py->rd) && is && number == fd)
				return true;
		}
	}
	return false;
}

/*
 * The timeout of a Python socket is the one that was asked for; a poll for it may be a later one of
 * several, with what was left.
 */
static void socket_limit(struct builder *b, struct snap_loop *loop)
{
	const struct snap_stack *stack = &b->s->threads[loop->thread].stack;
	struct snap_blocked *w = &loop->blocked;
	int64_t timeout;

	if (!find_socket(b, stack, loop->wait.fd, &timeout))
		return;
	if (timeout > 0)
		set_timeout(w, (double)timeout / 1e9);
	else if (timeout < 0 && w->timeout == SNAP_TIMEOUT_UNKNOWN)
		never(w);
}

static void fd_limit(struct builder *b, struct snap_loop *loop)
{
	struct snap_blocked *w = &loop->blocked;

	switch (loop->wait.kind) {
	case SNAP_FD_TCP:
	case SNAP_FD_UDP:
	case SNAP_FD_UNIX:
	case SNAP_FD_SOCKET:
		if (w->n_fds == 1)
			socket_limit(b, loop);
		break;
	case SNAP_FD_PIPE:
	case SNAP_FD_FIFO:
	case SNAP_FD_FILE:
	case SNAP_FD_EVENTFD:
		if (w->timeout == SNAP_TIMEOUT_UNKNOWN)
			never(w); /* there is no such thing */
		break;
	default:
		break;
	}
}

/* ---- sleeps -----------------------------------------------------------------------------------
 */

/*
 * time.sleep() of 3.11 and later sleeps until a point in time. How long that is stands behind the
 * function on the value stack of the frame that called it.
 */
static void sleep_argument(struct builder *b, struct snap_loop *loop)
{
	const struct snap_stack *stack = &b->s->threads[loop->thread].stack;
	struct snap_blocked *w = &loop->blocked;
	struct py_slot slots[PY_MAX_SLOTS];
	struct py_frame frame;
	double seconds;
	bool exact;
	size_t n;

	if (!w->have_left_s || !stack->n ||
	    !python_frame(b->py, b->s->frames[stack->first].address, &frame)) {
		rd_take(&b->py->rd);
		return;
	}
	source_reread(b->py->rd.src, frame.locals, 8 * LEAF_SLOTS);
	n = python_frame_slots(b->py, &frame, slots, ARRAY_SIZE(slots), &exact);
	for (size_t i = 1; i < n; i++) {
		if (!slots[i].on_stack || !slots[i - 1].on_stack ||
		    strcmp(py_object_type_name(b->py, slots[i - 1].object),
			   "builtin_function_or_method") != 0 ||
		    !py_number(b->py, slots[i].object, &seconds))
			continue;
		if (seconds >= w->left_s && seconds < 1e9) {
			set_timeout(w, seconds);
			break;
		}
	}
	rd_take(&b->py->rd);
}

/* ---- the call ---------------------------------------------------------------------------------
 */

static void read_path(struct builder *b, struct snap_blocked *w, uint64_t address)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	struct reader *rd = &b->py->rd;
	char raw[PATH_BYTES];
	size_t len = 0;

	source_reread(rd->src, address, sizeof(raw));
	for (; len < sizeof(raw); len++) {
		raw[len] = (char)rd_u8(rd, address + len);
		if (rd->failed || !raw[len])
			break;
	}
	if (rd_take(rd) || !len)
		return;
	utf8_add_safe(&safe, raw, len, 200);
	w->path = arena_strndup(&b->s->arena, safe.data, safe.len);
}

/* The address that a unix socket is to be connected to: the socket itself has none. */
static void read_address(struct builder *b, struct snap_loop *loop, const uint64_t *args)
{
	struct reader *rd = &b->py->rd;
	struct sockaddr_un address = {0};
	size_t len = args[2] < sizeof(address) ? args[2] : sizeof(address);
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	if (loop->wait.kind != SNAP_FD_UNIX || loop->wait.path ||
	    len <= offsetof(struct sockaddr_un, sun_path))
		return;
	source_reread(rd->src, args[1], len);
	rd_bytes(rd, args[1], &address, len);
	len -= offsetof(struct sockaddr_un, sun_path);
	if (rd_take(rd) || address.sun_family != AF_UNIX)
		return;
	if (address.sun_path[0])
		len = strnlen(address.sun_path, len);
	else
		address.sun_path[0] = '@'; /* abstract, as the kernel writes it */
	utf8_add_safe(&safe, address.sun_path, len, 200);
	loop->wait.path = arena_strndup(&b->s->arena, safe.data, safe.len);
	loop->blocked.fds[0].path = loop->wait.path;
}

static bool waits_for_file_lock(const struct call_shape *shape, const uint64_t *args)
{
	return shape->call == SYS_flock ||
	       (shape->call == SYS_fcntl && (args[1] == F_SETLKW || args[1] == F_OFD_SETLKW));
}

static enum snap_blocked_kind decode(struct builder *b, struct snap_blocked *w,
				     const struct call_shape *shape, const uint64_t *args)
{
	switch (shape->shape) {
	case FD_FIRST:
		add_fd(w, args[0] < FD_MAX ? (int64_t)args[0] : -1);
		return waits_for_file_lock(shape, args) ? SNAP_BLOCKED_FILE_LOCK : SNAP_BLOCKED_FDS;
	case FD_POLL:
		add_poll(b, w, args);
		break;
	case FD_SELECT:
		add_select(b, w, args);
		break;
	case FD_EPOLL:
		add_epoll(b, w, args[0]);
		return SNAP_BLOCKED_FDS;
	case PATH_OPEN:
		read_path(b, w, args[shape->arg]);
		return SNAP_BLOCKED_OPEN;
	case CHILD:
		return SNAP_BLOCKED_CHILD;
	case FUTEX:
		w->futex = args[0];
		return SNAP_BLOCKED_FUTEX;
	case SLEEP:
		return SNAP_BLOCKED_SLEEP;
	}
	/* nothing to wait for but the time: a sleep, as up to 3.10 */
	return w->fds_total || w->timeout != SNAP_TIMEOUT_SET ? SNAP_BLOCKED_FDS
							      : SNAP_BLOCKED_SLEEP;
}

static void read_wait(struct builder *b, struct snap_loop *loop, const struct os_thread *os)
{
	const struct call_shape *shape = shape_of(os->syscall.number);
	struct snap_blocked *w = &loop->blocked;

	if (!shape)
		return;
	read_limit(b, w, shape, os->syscall.args);
	w->kind = decode(b, w, shape, os->syscall.args);
	describe_all(b, loop, os);
	if (shape->call == SYS_connect)
		read_address(b, loop, os->syscall.args);
	if (loop->wait.fd >= 0)
		fd_limit(b, loop);
	w->fifo = w->kind == SNAP_BLOCKED_OPEN && !strcmp(os->wchan, "wait_for_partner");
	if (w->kind == SNAP_BLOCKED_SLEEP)
		sleep_argument(b, loop);
}

static void forget(struct snap_loop *loop)
{
	loop->wait = (struct snap_wait_fd){.fd = -1};
	loop->blocked = (struct snap_blocked){.age_s = -1, .holder_frame = SNAP_NONE};
}

/*
 * Another spelling of a path is another question to the cache, and another answer in a recording:
 * so a file is read again within a look, and a replay sees the same. ABSENT there: an older one.
 */
static bool read_again(struct builder *b, int32_t tid, const char *name, const char *spelling,
		       const struct strbuf **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "task/%d/%s%s", tid, spelling, name);
	return source_proc(b->py->rd.src, path, ret, NULL);
}

/*
 * The same call, and no other in between, as the thread has not been on a CPU since. (What it waits
 * for was read after its system call and its slices were.)
 */
bool is_same_call(struct builder *b, const struct os_thread *os, const char *spelling)
{
	const struct strbuf *text;
	struct proc_schedstat sched;
	struct proc_syscall call;

	if (!read_again(b, os->tid, "syscall", spelling, &text))
		return source_is_recorded(b->py->rd.src);
	if (!proc_syscall_parse(text->data, text->len, &call, NULL) || call.running ||
	    !(os->syscall.resumed ? syscall_is_restart(call.number)
				  : call.number == os->syscall.number) ||
	    call.sp != os->syscall.sp ||
	    memcmp(call.args, os->syscall.args, sizeof(call.args)) != 0)
		return false;
	return !os->have_sched || !read_again(b, os->tid, "schedstat", spelling, &text) ||
	       !proc_schedstat_parse(text->data, text->len, &sched, NULL) ||
	       sched.slices == os->sched.slices;
}

void forget_if_moved(struct builder *b, struct snap_loop *loop, const char *spelling)
{
	if (loop->blocked.kind == SNAP_BLOCKED_OTHER ||
	    is_same_call(b, &b->s->threads[loop->thread].os, spelling))
		return;
	forget(loop);
}

void build_waits(struct builder *b)
{
	for (size_t i = 0; i < b->s->n_loops; i++) {
		struct snap_loop *loop = &b->s->loops[i];
		const struct snap_thread *thread = &b->s->threads[loop->thread];
		const struct os_thread *os = &thread->os;

		forget(loop);
		if (loop->phase == SNAP_SELECT || thread->waits_for_gil || !os->have_syscall ||
		    os->syscall.running)
			continue;
		read_wait(b, loop, os);
		find_other_end(b, loop);
	}
	for (size_t i = 0; i < b->s->n_loops; i++)
		forget_if_moved(b, &b->s->loops[i], "./");
}
