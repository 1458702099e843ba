/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a descriptor is: the other end of a connection as the target's own network namespace shows
 * it, a file, an end of a pipe.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "builder.h"
#include "stallscope/utf8.h"

#define PATH_CHARS 200
#define DNS_PORT   53

static const char *safe_text(struct builder *b, const char *text, size_t len)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, text, len, PATH_CHARS);
	return arena_strndup(&b->s->arena, safe.data, safe.len);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

typedef bool net_find(const char *text, size_t len, uint64_t inode, struct net_peer *ret);

static bool find_in(struct builder *b, const char *const tables[2], net_find *find, uint64_t inode,
		    struct net_peer *peer)
{
	const struct strbuf *text;

	for (size_t i = 0; i < 2; i++)
		if (source_proc(b->py->rd.src, tables[i], &text, NULL) &&
		    find(text->data, text->len, inode, peer))
			return true;
	return false;
}

static void take_peer(struct builder *b, const struct net_peer *peer, struct snap_wait_fd *wait)
{
	wait->local = arena_strdup(&b->s->arena, peer->local);
	if (peer->port) {
		wait->peer = arena_strdup(&b->s->arena, peer->address);
		wait->is_dns = peer->port == DNS_PORT;
	}
	wait->unread = peer->unread;
	wait->unsent = peer->unsent;
	wait->retransmits = peer->retransmits;
}

static bool describe_inet(struct builder *b, struct snap_wait_fd *wait)
{
	static const char *const tcp[] = {"net/tcp", "net/tcp6"}, *const udp[] = {"net/udp",
										  "net/udp6"};
	struct net_peer peer;

	if (find_in(b, tcp, net_tcp_find, wait->inode, &peer)) {
		wait->kind = SNAP_FD_TCP;
		wait->tcp_state = peer.state;
	} else if (find_in(b, udp, net_udp_find, wait->inode, &peer)) {
		wait->kind = SNAP_FD_UDP;
	} else {
		return false;
	}
	take_peer(b, &peer, wait);
	return true;
}

/* The end that was bound has the name; of a client's the kernel tells neither here. */
static bool describe_unix(struct builder *b, struct snap_wait_fd *wait)
{
	const struct strbuf *text;
	struct net_unix local;

	if (!source_proc(b->py->rd.src, "net/unix", &text, NULL) ||
	    !net_unix_find(text->data, text->len, wait->inode, &local))
		return false;
	wait->kind = SNAP_FD_UNIX;
	wait->path = local.path[0] ? safe_text(b, local.path, strlen(local.path)) : NULL;
	return true;
}

/* ---- everything else --------------------------------------------------------------------------
 */

static const struct {
	const char *start;
	enum snap_fd_kind kind;
} names[] = {
	{"pipe:[", SNAP_FD_PIPE},
	{"anon_inode:[eventfd]", SNAP_FD_EVENTFD},
	{"anon_inode:[timerfd]", SNAP_FD_TIMERFD},
	{"anon_inode:[signalfd]", SNAP_FD_SIGNALFD},
	{"anon_inode:inotify", SNAP_FD_INOTIFY},
	{"anon_inode:[eventpoll]", SNAP_FD_EPOLL},
	{"anon_inode:[pidfd]", SNAP_FD_PIDFD},
	{"pidfd:", SNAP_FD_PIDFD}, /* since Linux 6.9 */
	{"anon_inode:", SNAP_FD_ANON},
	{"/memfd:", SNAP_FD_MEMFD},
	{"/dev/tty", SNAP_FD_TTY},
	{"/dev/pts/", SNAP_FD_TTY},
	{"/dev/ptmx", SNAP_FD_TTY},
	{"/dev/console", SNAP_FD_TTY},
	{"/dev/shm/", SNAP_FD_FILE},
	{"/dev/", SNAP_FD_DEVICE},
	{"/", SNAP_FD_FILE},
};

static enum snap_fd_kind kind_of(const char *link)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(link, names[i].start, strlen(names[i].start)))
			return names[i].kind;
	return SNAP_FD_UNKNOWN;
}

static void take_path(struct builder *b, const char *link, size_t len, struct snap_wait_fd *wait)
{
	static const char gone[] = " (deleted)";

	wait->deleted = wait->kind != SNAP_FD_MEMFD && link[0] == '/' && str_ends_with(link, gone);
	if (wait->deleted)
		len -= strlen(gone);
	wait->path = safe_text(b, link, len);
}

static void read_end(struct builder *b, struct snap_wait_fd *wait)
{
	static const enum snap_end ends[] = {
		[O_RDONLY] = SNAP_END_READ, [O_WRONLY] = SNAP_END_WRITE, [O_RDWR] = SNAP_END_BOTH};
	const struct strbuf *text;
	struct proc_fdinfo info;
	char path[32];
	unsigned mode;

	snprintf(path, sizeof(path), "fdinfo/%d", wait->fd);
	if (!source_proc(b->py->rd.src, path, &text, NULL) ||
	    !proc_fdinfo_parse(text->data, text->len, &info, NULL))
		return;
	mode = info.flags & O_ACCMODE;
	wait->end = mode < ARRAY_SIZE(ends) ? ends[mode] : SNAP_END_UNKNOWN;
	if (!wait->inode)
		wait->inode = info.inode;
}

/* A FIFO has a path as a file has one: the kernel function that its thread sleeps in tells. */
static bool sleeps_in_pipe(const struct os_thread *os)
{
	static const char *const functions[] = {
		"pipe_read",	   "pipe_write",     "pipe_wait",      "anon_pipe_read",
		"anon_pipe_write", "fifo_pipe_read", "fifo_pipe_write"};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!strcmp(os->wchan, functions[i]))
			return true;
	return false;
}

void describe_descriptor(struct builder *b, const struct os_thread *os, struct snap_wait_fd *wait)
{
	const struct strbuf *link;
	char path[32];

	snprintf(path, sizeof(path), "@fd/%d", wait->fd);
	if (!source_proc(b->py->rd.src, path, &link, NULL))
		return;
	if (sscanf(link->data, "socket:[%" SCNu64 "]", &wait->inode) == 1) {
		wait->kind = SNAP_FD_SOCKET;
		if (!describe_inet(b, wait) && !describe_unix(b, wait))
			wait->path = safe_text(b, link->data, link->len);
		return;
	}
	wait->kind = kind_of(link->data);
	if (wait->kind == SNAP_FD_PIPE &&
	    sscanf(link->data, "pipe:[%" SCNu64 "]", &wait->inode) != 1)
		wait->inode = 0;
	if (wait->kind == SNAP_FD_FILE && sleeps_in_pipe(os))
		wait->kind = SNAP_FD_FIFO;
	take_path(b, link->data, link->len, wait);
	read_end(b, wait);
}
