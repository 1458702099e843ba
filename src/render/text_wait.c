/* SPDX-License-Identifier: Apache-2.0 */
/* text_wait.c - the lines that say what exactly a blocked thread waits for */
#include <string.h>

#include "text.h"

#define PREFIX_PEER  "  peer       "
#define PREFIX_WAIT  "  waits on   "
#define PREFIX_LOCK  "  lock       "
#define PREFIX_CHILD "  child      "
#define PREFIX_SLEEP "  sleep      "
#define PREFIX_JOIN  "  joins      "

static void add_duration(struct strbuf *out, double seconds)
{
	char text[32];

	format_duration(text, sizeof(text), aio_ns(seconds));
	strbuf_addstr(out, text);
}

/* Held for longer than the call may take: it asks again and again, that bounds no whole. */
static bool repeats(const struct snap_loop *l)
{
	return l->blocked.have_timeout_s && l->have_held &&
	       aio_ns(l->blocked.timeout_s) < l->held_ns;
}

static void add_timeout(struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;

	if (w->timeout == SNAP_TIMEOUT_NONE) {
		strbuf_addstr(out, ", no timeout is set");
	} else if (repeats(l)) {
		strbuf_addstr(out, ", waits ");
		add_duration(out, w->timeout_s);
		strbuf_addstr(out, " at a time");
	} else if (w->have_timeout_s) {
		strbuf_addstr(out, ", timeout ");
		add_duration(out, w->timeout_s);
	} else if (w->have_left_s) {
		strbuf_addstr(out, ", gives up in ");
		add_duration(out, w->left_s);
	}
}

static void add_process(struct strbuf *out, const struct snap_blocked *w)
{
	strbuf_addf(out, "pid %d", w->pid);
	if (w->is_self)
		strbuf_addstr(out, " (this process itself)");
	else if (w->command)
		strbuf_addf(out, " (%s)", w->command);
}

static void add_more(struct strbuf *out, const struct snap_loop *l)
{
	if (l->blocked.fds_total > 1)
		strbuf_addf(out, "; one of %u descriptors", l->blocked.fds_total);
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static const char *tcp_says(const struct snap_wait_fd *fd)
{
	if (fd->tcp_state && !strcmp(fd->tcp_state, "SYN_SENT"))
		return "the connection is not answered";
	if (fd->unsent)
		return "does not take what was sent";
	return fd->unread ? "has sent data that is not read" : "nothing received";
}

static void add_peer(struct strbuf *out, const struct snap_wait_fd *fd)
{
	const char *kind = fd->kind == SNAP_FD_UDP ? "UDP" : fd->tcp_state;

	strbuf_addf(out, "%s%s%s%s, %s", fd->peer ? fd->peer : "(left out)",
		    fd->is_dns ? " (a DNS server)" : "", kind ? ", " : "", kind ? kind : "",
		    tcp_says(fd));
	if (fd->retransmits)
		strbuf_addf(out, ", sent again %u %s", fd->retransmits,
			    PLURAL(fd->retransmits, "time", "times"));
}

/* Which end we have, and who has the other. */
static void add_pipe(struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;
	bool reads = l->wait.end == SNAP_END_READ;

	if (l->wait.kind == SNAP_FD_FIFO)
		strbuf_addf(out, "FIFO %s", l->wait.path ? l->wait.path : "");
	else
		strbuf_addstr(out, "pipe");
	if (l->wait.end == SNAP_END_UNKNOWN || l->wait.end == SNAP_END_BOTH)
		return;
	strbuf_addf(out, ", %s end; ", reads ? "read" : "write");
	if (w->is_self)
		strbuf_addf(out, "only this process itself has its %s end",
			    reads ? "write" : "read");
	else if (w->pid)
		strbuf_addstr(out, reads ? "written by " : "read by ");
	else
		strbuf_addf(out, "its %s was not found in %u of %u %s", reads ? "writer" : "reader",
			    w->looked_at, w->processes,
			    PLURAL(w->processes, "process", "processes"));
	if (w->pid && !w->is_self)
		add_process(out, w);
	if (w->others)
		strbuf_addf(out, " and %u %s", w->others, PLURAL(w->others, "other", "others"));
}

static const char *kind_word(enum snap_fd_kind kind)
{
	switch (kind) {
	case SNAP_FD_UNIX:
		return "unix socket";
	case SNAP_FD_UDP:
		return "UDP socket";
	case SNAP_FD_TTY:
		return "terminal";
	case SNAP_FD_MEMFD:
		return "memory file";
	default:
		return "";
	}
}

static void add_other(struct strbuf *out, const struct snap_wait_fd *fd)
{
	const char *word = kind_word(fd->kind);

	strbuf_addstr(out, word);
	if (fd->path)
		strbuf_addf(out, "%s%s", *word ? " " : "", fd->path);
	else if (fd->kind == SNAP_FD_UDP && fd->local)
		strbuf_addf(out, " at %s, nothing received", fd->local);
	else if (fd->kind == SNAP_FD_UNIX && !fd->redacted)
		strbuf_addstr(out, ", unnamed");
	if (fd->deleted)
		strbuf_addstr(out, " (deleted)");
}

/* "" when there is nothing to say. */
static const char *add_descriptor(struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_wait_fd *fd = &l->wait;

	if (fd->peer || (fd->redacted && (fd->kind == SNAP_FD_TCP || fd->kind == SNAP_FD_UDP))) {
		add_peer(out, fd);
		return PREFIX_PEER;
	}
	if (fd->kind == SNAP_FD_TCP && fd->local)
		strbuf_addf(out, "%s %s",
			    fd->tcp_state && !strcmp(fd->tcp_state, "LISTEN") ? "a client of"
									      : "TCP socket",
			    fd->local);
	else if (fd->kind == SNAP_FD_PIPE || fd->kind == SNAP_FD_FIFO)
		add_pipe(out, l);
	else
		add_other(out, fd);
	return PREFIX_WAIT;
}

/* ---- everything else --------------------------------------------------------------------------
 */

static void add_child(struct strbuf *out, const struct snap_blocked *w)
{
	add_process(out, w);
	if (w->state)
		strbuf_addf(out, ", state %c", w->state);
	if (w->age_s >= 0) {
		strbuf_addstr(out, ", began ");
		add_duration(out, w->age_s);
		strbuf_addstr(out, " ago");
	}
}

static const char *add_file_lock(struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;

	if (l->wait.path)
		strbuf_addf(out, "on %s, ", l->wait.path);
	if (w->pid) {
		strbuf_addstr(out, "held by ");
		add_process(out, w);
		strbuf_addf(out, " [/proc/%s]", w->searched ? "PID/fdinfo" : "locks");
	} else if (w->lock_kind) {
		strbuf_addf(out, "%s, of an open file, not of a process [/proc/locks]",
			    w->lock_kind);
	} else {
		strbuf_addstr(out, "its holder is not known");
	}
	return PREFIX_LOCK;
}

static void add_thread(const struct text *t, struct strbuf *out, uint32_t index)
{
	const struct snap_thread *thread = &t->s->threads[index];

	strbuf_addf(out, "thread %s/%d", snap_thread_name(thread), thread->os.tid);
}

static void add_place(const struct text *t, struct strbuf *out, const struct snap_blocked *w)
{
	const char *how = w->holder_certain    ? ""
			  : w->holder_by_local ? "in a local variable: "
					       : "taken at: ";

	if (w->holder_frame == SNAP_NONE)
		return;
	strbuf_addf(out, " (%s", how);
	text_place(t, &t->s->frames[w->holder_frame], out);
	strbuf_addch(out, ')');
}

static const char *add_lock(const struct text *t, struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;

	if (w->waits_for_end) {
		add_thread(t, out, w->holder_thread);
		return PREFIX_JOIN;
	}
	strbuf_addf(out, "%sheld by ",
		    w->holder_certain	 ? ""
		    : w->holder_by_local ? "perhaps "
					 : "likely ");
	if (w->holder == SNAP_HOLDER_TASK)
		strbuf_addf(out, "task %s, which awaits inside its with",
			    t->s->tasks[w->holder_task].name);
	else if (w->holder_thread == l->thread)
		strbuf_addstr(out, "this thread itself");
	else
		add_thread(t, out, w->holder_thread);
	add_place(t, out, w);
	return PREFIX_LOCK;
}

/* Of what threading waits in by itself, a lock of its own, nobody is the holder. */
static bool is_plain_lock(const struct text *t, const struct snap_loop *l)
{
	const struct snap_stack *stack = &t->s->threads[l->thread].stack;
	const struct snap_code *leaf;

	if (!l->blocked.lock || !stack->n)
		return false;
	leaf = snap_code_of(t->s, snap_frame_at(t->s, stack, 0));
	return !str_ends_with(leaf->file, "/threading.py") || strcmp(leaf->function, "wait") != 0;
}

static const char *add_futex(const struct text *t, struct strbuf *out, const struct snap_loop *l)
{
	if (l->blocked.holder != SNAP_HOLDER_NONE)
		return add_lock(t, out, l);
	if (is_plain_lock(t, l))
		strbuf_addstr(out, "its holder is not known: the threads' frames do not show it");
	return PREFIX_LOCK;
}

static const char *add_sleep(struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;

	if (w->have_timeout_s)
		add_duration(out, w->timeout_s);
	if (repeats(l))
		strbuf_addstr(out, " at a time");
	if (w->have_left_s) {
		strbuf_addstr(out, w->have_timeout_s ? ", " : "");
		add_duration(out, w->left_s);
		strbuf_addstr(out, " left");
	}
	return PREFIX_SLEEP;
}

static const char *compose(const struct text *t, struct strbuf *out, const struct snap_loop *l)
{
	const struct snap_blocked *w = &l->blocked;

	switch (w->kind) {
	case SNAP_BLOCKED_SLEEP:
		return add_sleep(out, l);
	case SNAP_BLOCKED_CHILD:
		if (w->pid)
			add_child(out, w);
		return PREFIX_CHILD;
	case SNAP_BLOCKED_OPEN:
		if (w->path)
			strbuf_addf(out, "open of %s%s", w->path,
				    w->fifo ? ", a FIFO that nobody has opened at its other end"
					    : "");
		return PREFIX_WAIT;
	case SNAP_BLOCKED_FILE_LOCK:
		return l->wait.fd >= 0 ? add_file_lock(out, l) : "";
	case SNAP_BLOCKED_FUTEX:
		return add_futex(t, out, l);
	default:
		break;
	}
	if (l->wait.kind == SNAP_FD_PIDFD && w->pid) {
		add_child(out, w);
		return PREFIX_CHILD;
	}
	return add_descriptor(out, l);
}

void text_wait(struct text *t, const struct snap_loop *l)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const char *prefix = compose(t, &line, l);

	if (!line.len)
		return;
	if (l->blocked.kind != SNAP_BLOCKED_SLEEP)
		add_timeout(&line, l);
	add_more(&line, l);
	text_wrap(t, prefix, line.data);
}
