/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "facts.h"
#include "stallscope/culprits.h"

static const struct call_kind kinds[] = {
	{"clock_nanosleep", "sleep", "sleeps", "await asyncio.sleep() instead"},
	{"nanosleep", "sleep", "sleeps", "await asyncio.sleep() instead"},
	{"pselect6", "sleep", "sleeps, or waits in select()",
	 "await asyncio.sleep(), or an async client"},
	{"select", "sleep", "sleeps, or waits in select()",
	 "await asyncio.sleep(), or an async client"},
	{"recvfrom", "io.socket", "waits to receive from a socket",
	 "use an async client with a timeout; quick fix: await asyncio.to_thread(...)"},
	{"recvmsg", "io.socket", "waits to receive from a socket",
	 "use an async client with a timeout; quick fix: await asyncio.to_thread(...)"},
	{"sendto", "io.socket", "waits to send to a socket whose peer does not read",
	 "use an async client and await drain(); set a timeout"},
	{"sendmsg", "io.socket", "waits to send to a socket whose peer does not read",
	 "use an async client and await drain(); set a timeout"},
	{"connect", "io.socket", "waits for a TCP connection that is not answered",
	 "connect asynchronously, with a timeout"},
	{"accept", "io.socket", "waits to accept a connection", "use asyncio.start_server()"},
	{"accept4", "io.socket", "waits to accept a connection", "use asyncio.start_server()"},
	{"poll", "io.socket", "waits in poll() on descriptors",
	 "use an async client; quick fix: await asyncio.to_thread(...)"},
	{"ppoll", "io.socket", "waits in ppoll() on descriptors",
	 "use an async client; quick fix: await asyncio.to_thread(...)"},
	{"epoll_wait", "loop.nested", "waits in an epoll that is not this loop's",
	 "a synchronous client with an event loop of its own: use its async variant"},
	{"epoll_pwait", "loop.nested", "waits in an epoll that is not this loop's",
	 "a synchronous client with an event loop of its own: use its async variant"},
	{"wait4", "proc.wait", "waits for a child process",
	 "await asyncio.create_subprocess_exec(...)"},
	{"waitid", "proc.wait", "waits for a child process",
	 "await asyncio.create_subprocess_exec(...)"},
	{"read", "file.read", "waits in read()", "await asyncio.to_thread(...)"},
	{"pread64", "file.read", "waits in read()", "await asyncio.to_thread(...)"},
	{"readv", "file.read", "waits in read()", "await asyncio.to_thread(...)"},
	{"write", "file.write", "waits in write(): whoever reads the other end does not",
	 "await asyncio.to_thread(...), or find the reader"},
	{"openat", "file.read", "waits in open()", "await asyncio.to_thread(...)"},
	{"flock", "file.lock", "waits for a file lock", "await asyncio.to_thread(...)"},
	{"fcntl", "file.lock", "waits for a file lock", "await asyncio.to_thread(...)"},
	{"fsync", "file.write", "waits for the disk", "await asyncio.to_thread(...)"},
	{"futex", "lock.thread", "waits for a lock, a queue or a future of another thread",
	 "use the asyncio primitive, or wait in a thread: await asyncio.to_thread(...)"},
};

const struct call_kind *call_kind(const char *system_call)
{
	for (size_t i = 0; system_call && i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].call, system_call))
			return &kinds[i];
	return NULL;
}

/* The frame of asyncio that calls a callback: Handle._run, or the loop itself. */
static bool is_caller(const struct snap_code *c)
{
	return (!strcmp(c->function, "_run") && str_ends_with(c->file, "asyncio/events.py")) ||
	       (!strcmp(c->function, "_run_once") &&
		str_ends_with(c->file, "asyncio/base_events.py"));
}

/* From the leaf to the callback: what runs inside this turn of the loop. */
static struct snap_stack slice_of(const struct facts *f)
{
	const struct snapshot *s = f->snap;
	struct snap_stack slice = f->thread->stack;

	for (uint32_t i = 0; i < slice.n; i++) {
		if (is_caller(&s->codes[s->frames[slice.first + i].code])) {
			slice.n = i;
			return slice;
		}
	}
	/* uvloop: no frames of the loop; the running task's coroutine is the border. */
	if (f->loop->current_task != SNAP_NONE &&
	    s->tasks[f->loop->current_task].stack.first == slice.first)
		slice.n = s->tasks[f->loop->current_task].stack.n;
	return slice;
}

/* What a frame is caught in tells more than who called it: these win over everything outside. */
static bool wins(const struct culprit_row *row)
{
	static const char *const inner[] = {"pool.wait", "sleep.retry", "debugger"};

	for (size_t i = 0; i < ARRAY_SIZE(inner); i++)
		if (!strcmp(row->category, inner[i]))
			return true;
	return false;
}

/*
 * WHO was called: the outermost frame of the slice that the catalogue knows, nearest to the
 * user's code, so that requests wins over urllib3, http.client and socket.
 */
static void find_library(const struct facts *f, struct culprit *c)
{
	const struct culprit_row *found = NULL, *row;
	const char *file = NULL;

	for (uint32_t i = c->slice.n; i-- > 0;) {
		const struct snap_code *code =
			&f->snap->codes[f->snap->frames[c->slice.first + i].code];

		row = culprits_find_frame(code->file, code->function);
		if (!row || (found && (!wins(row) || wins(found))))
			continue;
		found = row;
		file = code->file;
	}
	if (!found)
		return;
	culprits_module(file, c->library, sizeof(c->library));
	/* a distribution's package is known by its first name; the standard library's by all */
	if (strstr(file, "-packages/"))
		c->library[strcspn(c->library, ".")] = 0;
	c->title = found->title;
	c->rule = found->pattern;
	c->category = found->category;
	c->advice = found->advice;
}

void find_culprit(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	struct culprit *c = &v->culprit;
	const struct os_thread *os = &f->thread->os;

	c->slice = slice_of(f);
	c->task = f->loop->current_task;
	for (uint32_t i = 0; i < c->slice.n && c->frame == SNAP_NONE; i++)
		if (s->codes[s->frames[c->slice.first + i].code].own)
			c->frame = c->slice.first + i;
	if (c->slice.n) {
		c->leaf = c->slice.first;
		/* nothing of the user's own: the outermost frame is where it begins */
		if (c->frame == SNAP_NONE)
			c->frame = c->slice.first + c->slice.n - 1;
	}
	find_library(f, c);
	if (!os->have_syscall || os->syscall.running || os->syscall.number < 0)
		return;
	c->system_call = syscall_name(os->syscall.number);
}
