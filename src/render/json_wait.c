/* SPDX-License-Identifier: Apache-2.0 */
/* json_wait.c - the members of "what" that say what exactly a blocked thread waits for */
#include <jansson.h>

#include "json_wait.h"

static const char *kind_word(enum snap_fd_kind kind)
{
	static const char *const words[] = {
		[SNAP_FD_UNKNOWN] = NULL,      [SNAP_FD_TCP] = "tcp",
		[SNAP_FD_UDP] = "udp",	       [SNAP_FD_UNIX] = "unix",
		[SNAP_FD_SOCKET] = "socket",   [SNAP_FD_PIPE] = "pipe",
		[SNAP_FD_FIFO] = "fifo",       [SNAP_FD_FILE] = "file",
		[SNAP_FD_TTY] = "tty",	       [SNAP_FD_DEVICE] = "device",
		[SNAP_FD_PIDFD] = "pidfd",     [SNAP_FD_EVENTFD] = "eventfd",
		[SNAP_FD_TIMERFD] = "timerfd", [SNAP_FD_SIGNALFD] = "signalfd",
		[SNAP_FD_INOTIFY] = "inotify", [SNAP_FD_EPOLL] = "epoll",
		[SNAP_FD_MEMFD] = "memfd",     [SNAP_FD_ANON] = "anonymous",
	};

	return words[kind];
}

static json_t *seconds(bool have, double value)
{
	return have ? json_real(value) : json_null();
}

/* Queues exist of TCP and UDP sockets. */
static json_t *queue(const struct snap_wait_fd *fd, uint32_t bytes)
{
	bool inet = fd->kind == SNAP_FD_TCP || fd->kind == SNAP_FD_UDP;

	return inet ? json_integer(bytes) : json_null();
}

static json_t *descriptor(const struct snap_wait_fd *fd)
{
	static const char *const ends[] = {NULL, "read", "write", "both"};

	return json_pack("{si ss? ss? ss? ss? ss? ss? sb so so so}", "fd", fd->fd, "kind",
			 kind_word(fd->kind), "peer", fd->peer, "local", fd->local, "tcp_state",
			 fd->tcp_state, "path", fd->path, "end", ends[fd->end], "deleted",
			 fd->deleted, "unread_bytes", queue(fd, fd->unread), "unsent_bytes",
			 queue(fd, fd->unsent), "retransmits", queue(fd, fd->retransmits));
}

/* null: the call is not one whose descriptors are known, or there is none. */
static json_t *descriptors(const struct snap_blocked *w)
{
	json_t *array;

	if (w->kind == SNAP_BLOCKED_OTHER)
		return json_null();
	array = json_array();
	for (uint32_t i = 0; i < w->n_fds; i++)
		json_array_append_new(array, descriptor(&w->fds[i]));
	return array;
}

static json_t *search(const struct snap_blocked *w)
{
	if (!w->searched)
		return json_null();
	return json_pack("{sI sI}", "looked_at", (json_int_t)w->looked_at, "processes",
			 (json_int_t)w->processes);
}

static void add_process(json_t *what, const struct snap_blocked *w)
{
	char state[2] = {w->state, 0};

	json_object_set_new(what, "holder_pid", w->pid ? json_integer(w->pid) : json_null());
	json_object_set_new(what, "holder_command",
			    w->command ? json_string(w->command) : json_null());
	json_object_set_new(what, "holder_state", w->state ? json_string(state) : json_null());
	json_object_set_new(what, "holder_age_s", seconds(w->pid && w->age_s >= 0, w->age_s));
	json_object_set_new(what, "holder_search", search(w));
}

static json_t *holder_task(const struct snapshot *s, const struct snap_blocked *w)
{
	return w->holder == SNAP_HOLDER_TASK
		       ? json_sprintf("0x%llx", (unsigned long long)s->tasks[w->holder_task].id)
		       : json_null();
}

static json_t *holder_frame(const struct snapshot *s, const struct snap_blocked *w)
{
	const struct snap_frame *f;

	if (w->holder == SNAP_HOLDER_NONE || w->holder_frame == SNAP_NONE)
		return json_null();
	f = &s->frames[w->holder_frame];
	return json_pack("{ss ss ss so}", "function", snap_code_of(s, f)->function, "qualname",
			 snap_code_of(s, f)->qualname, "file", snap_code_of(s, f)->file, "line",
			 f->at.line ? json_integer(f->at.line) : json_null());
}

static void add_holder(json_t *what, const struct snapshot *s, const struct snap_blocked *w)
{
	bool thread = w->holder == SNAP_HOLDER_THREAD;

	json_object_set_new(what, "holder_thread",
			    thread ? json_integer(s->threads[w->holder_thread].os.tid)
				   : json_null());
	json_object_set_new(what, "holder_task", holder_task(s, w));
	json_object_set_new(what, "holder_frame", holder_frame(s, w));
	json_object_set_new(what, "holder_certain",
			    w->holder == SNAP_HOLDER_NONE ? json_null()
							  : json_boolean(w->holder_certain));
}

static const char *waits_for(const struct snap_loop *l)
{
	static const char *const words[] = {
		[SNAP_BLOCKED_OTHER] = NULL,
		[SNAP_BLOCKED_SLEEP] = "sleep",
		[SNAP_BLOCKED_CHILD] = "child",
		[SNAP_BLOCKED_OPEN] = "open",
		[SNAP_BLOCKED_FILE_LOCK] = "file lock",
		[SNAP_BLOCKED_FUTEX] = "futex",
		[SNAP_BLOCKED_FDS] = "descriptors",
	};

	if (l->blocked.waits_for_end)
		return "thread";
	return l->blocked.lock ? "lock" : words[l->blocked.kind];
}

void json_add_wait(json_t *what, const struct snapshot *s, const struct snap_loop *l)
{
	static const char *const timeouts[] = {NULL, "none", "set"};
	const struct snap_blocked *w = &l->blocked;
	const struct snap_wait_fd *fd = &l->wait;
	json_t *members = json_pack(
		"{ss? so ss? ss? ss? so so so ss? so so so so}", "waits_for", waits_for(l), "fd",
		fd->fd >= 0 ? json_integer(fd->fd) : json_null(), "peer", fd->peer, "path",
		fd->path ? fd->path : w->path, "tcp_state", fd->tcp_state, "unread_bytes",
		queue(fd, fd->unread), "unsent_bytes", queue(fd, fd->unsent), "retransmits",
		queue(fd, fd->retransmits), "timeout", timeouts[w->timeout], "timeout_s",
		seconds(w->have_timeout_s, w->timeout_s), "timeout_left_s",
		seconds(w->have_left_s, w->left_s), "descriptors", descriptors(w),
		"descriptors_total",
		w->kind == SNAP_BLOCKED_OTHER ? json_null() : json_integer(w->fds_total));

	json_object_update(what, members);
	json_decref(members);
	add_process(what, w);
	add_holder(what, s, w);
}
