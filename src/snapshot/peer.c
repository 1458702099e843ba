/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a blocked thread waits for, from the descriptor in its system call: the other end of a
 * TCP connection as the target's own network namespace shows it, a file, a pipe.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "builder.h"
#include "stallscope/utf8.h"

/* System calls whose first argument is the descriptor that they wait on. */
static bool descriptor_first(int64_t call)
{
	static const int calls[] = {
		SYS_read,     SYS_write,   SYS_readv,  SYS_writev,  SYS_pread64,  SYS_pwrite64,
		SYS_recvfrom, SYS_recvmsg, SYS_sendto, SYS_sendmsg, SYS_connect,  SYS_accept,
		SYS_accept4,  SYS_flock,   SYS_fcntl,  SYS_fsync,   SYS_fdatasync};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i] == call)
			return true;
	return false;
}

static bool is_poll(int64_t call)
{
#ifdef SYS_poll
	if (call == SYS_poll)
		return true;
#endif
	return call == SYS_ppoll;
}

/* The descriptor, or -1. Of a poll the first one: synchronous clients poll one socket. */
static int32_t descriptor(struct builder *b, const struct proc_syscall *call)
{
	int32_t fd = -1;

	if (descriptor_first(call->number) && call->args[0] < 1 << 30)
		return (int32_t)call->args[0];
	if (is_poll(call->number) && call->args[1] == 1) {
		fd = rd_i32(&b->py->rd, call->args[0]);
		if (rd_take(&b->py->rd))
			fd = -1;
	}
	return fd;
}

static bool find_tcp(struct builder *b, uint64_t inode, struct net_peer *peer)
{
	static const char *const tables[] = {"net/tcp", "net/tcp6"};
	const struct strbuf *text;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (source_proc(b->py->rd.src, tables[i], &text, NULL) &&
		    net_tcp_find(text->data, text->len, inode, peer))
			return true;
	return false;
}

static void describe_descriptor(struct builder *b, struct snap_wait_fd *wait)
{
	const struct strbuf *link;
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	struct net_peer peer;
	uint64_t inode;
	char path[32];

	snprintf(path, sizeof(path), "@fd/%d", wait->fd);
	if (!source_proc(b->py->rd.src, path, &link, NULL))
		return;
	if (sscanf(link->data, "socket:[%" SCNu64 "]", &inode) == 1 && find_tcp(b, inode, &peer)) {
		wait->peer = arena_strdup(&b->s->arena, peer.address);
		wait->tcp_state = peer.state;
		wait->unread = peer.unread;
		wait->unsent = peer.unsent;
		return;
	}
	utf8_add_safe(&safe, link->data, link->len, 200);
	wait->path = arena_strndup(&b->s->arena, safe.data, safe.len);
}

void build_peers(struct builder *b)
{
	for (size_t i = 0; i < b->s->n_loops; i++) {
		struct snap_loop *loop = &b->s->loops[i];
		const struct os_thread *os = &b->s->threads[loop->thread].os;

		loop->wait.fd = -1;
		if (loop->phase == SNAP_SELECT || !os->have_syscall || os->syscall.running)
			continue;
		loop->wait.fd = descriptor(b, &os->syscall);
		if (loop->wait.fd >= 0)
			describe_descriptor(b, &loop->wait);
	}
}
