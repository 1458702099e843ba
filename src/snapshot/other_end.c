/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that a blocked thread waits for: the child, who holds the lock on a file, who has the
 * other end of a pipe. The kernel names the first two; the third is searched for, relatives first,
 * with bounds: what was not looked at is counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <time.h>

#include "builder.h"
#include "stallscope/utf8.h"

#define COMMAND_CHARS 60
#define PROCESSES_MAX 4096u
#define LINKS_MAX     65536u
#define SEARCH_NS     50000000
#define TICKS_PER_S   100.0 /* USER_HZ, which /proc counts in */

/* ---- about a process --------------------------------------------------------------------------
 */

static bool host_text(struct builder *b, int32_t pid, const char *name, const struct strbuf **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/proc/%d/%s", name[0] == '@' ? "@" : "", pid,
		 name + (name[0] == '@'));
	return source_host(b->py->rd.src, path, ret, NULL);
}

static bool host_stat(struct builder *b, int32_t pid, struct proc_stat *ret)
{
	const struct strbuf *text;

	return host_text(b, pid, "stat", &text) &&
	       proc_stat_parse(text->data, text->len, ret, NULL);
}

/* The arguments with blanks between them; "[comm]" of a process that has none. */
static const char *command_of(struct builder *b, int32_t pid, const struct proc_stat *st)
{
	cleanup_strbuf struct strbuf raw = STRBUF_INIT, safe = STRBUF_INIT;
	const struct strbuf *text;
	size_t n;

	if (host_text(b, pid, "cmdline", &text) && text->len) {
		n = text->len < 1024 ? text->len : 1024;
		strbuf_add(&raw, text->data, n);
		while (raw.len && !raw.data[raw.len - 1])
			strbuf_setlen(&raw, raw.len - 1);
		for (size_t i = 0; i < raw.len; i++)
			if (!raw.data[i])
				raw.data[i] = ' ';
	}
	if (!raw.len)
		strbuf_addf(&raw, "[%s]", st->comm);
	utf8_add_safe(&safe, raw.data, raw.len, COMMAND_CHARS);
	return arena_strndup(&b->s->arena, safe.data, safe.len);
}

/* Both start times are in ticks after boot, so no clock but the target's is needed. */
static double age_of(struct builder *b, const struct proc_stat *st)
{
	const struct strbuf *text;
	struct proc_stat own;
	double age;

	if (!b->s->clock_ns || !source_proc(b->py->rd.src, "stat", &text, NULL) ||
	    !proc_stat_parse(text->data, text->len, &own, NULL))
		return -1;
	age = ((double)b->s->clock_ns - (double)b->proc->started_ns) / 1e9 -
	      ((double)st->starttime - (double)own.starttime) / TICKS_PER_S;
	return age > 0 ? (double)(int64_t)(age * TICKS_PER_S) / TICKS_PER_S : 0;
}

static void take_process(struct builder *b, struct snap_blocked *w, int32_t pid)
{
	struct proc_stat st;

	w->pid = pid;
	w->is_self = pid == (int32_t)b->proc->pid;
	if (!host_stat(b, pid, &st))
		return;
	w->state = st.state;
	w->command = command_of(b, pid, &st);
	w->age_s = age_of(b, &st);
}

/* ---- lists of processes -----------------------------------------------------------------------
 */

struct pids {
	int32_t *v;
	size_t n, cap;
	struct addrmap seen;
};

static void pids_add(struct pids *p, int64_t pid)
{
	if (pid > 0 && pid <= INT32_MAX && p->n < PROCESSES_MAX &&
	    addrmap_add(&p->seen, (uint64_t)pid))
		*array_push(&p->v, &p->n, &p->cap) = (int32_t)pid;
}

static void pids_deinit(struct pids *p)
{
	free(p->v);
	addrmap_deinit(&p->seen);
}

/* Numbers between blanks or newlines; what is none is passed over. */
static void pids_of_text(struct pids *p, const struct strbuf *text)
{
	const char *at = text->data;
	char *end;

	while (*at) {
		long pid = strtol(at, &end, 10);

		if (end > at && (!*end || strchr(" \n", *end)))
			pids_add(p, pid);
		at = end + strcspn(end, " \n");
		at += strspn(at, " \n");
	}
}

/* The kernel keeps children by the thread that made them. */
static void add_children(struct builder *b, struct pids *p)
{
	const struct strbuf *text;
	char path[64];

	for (size_t i = 0; i < b->s->n_threads && i < 256; i++) {
		snprintf(path, sizeof(path), "task/%d/children", b->s->threads[i].os.tid);
		if (source_proc(b->py->rd.src, path, &text, NULL))
			pids_of_text(p, text);
	}
}

/* ---- child ------------------------------------------------------------------------------------
 */

/* Arguments have pids as the target counts them: of its children, the one with that pid. */
static int32_t our_pid_of(struct builder *b, const struct pids *children, int32_t ns_pid)
{
	const struct strbuf *text;
	struct proc_status st;

	if (b->proc->ns_pid == (int32_t)b->proc->pid)
		return ns_pid;
	for (size_t i = 0; i < children->n; i++)
		if (host_text(b, children->v[i], "status", &text) &&
		    proc_status_parse(text->data, text->len, &st, NULL) && st.nspids &&
		    st.nspid[st.nspids - 1] == ns_pid)
			return children->v[i];
	return 0;
}

static int32_t pid_of_pidfd(struct builder *b, int32_t fd)
{
	const struct strbuf *text;
	struct proc_fdinfo info;
	char path[32];

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	if (!source_proc(b->py->rd.src, path, &text, NULL) ||
	    !proc_fdinfo_parse(text->data, text->len, &info, NULL))
		return 0;
	return info.pid > 0 ? info.pid : 0;
}

/* The one that is asked for by its pid, or the only one there is. */
static int32_t child_of_call(struct builder *b, const struct proc_syscall *call)
{
	struct pids children = {0};
	int32_t pid = 0;
	bool by_pid;

	add_children(b, &children);
	if (call->number == SYS_wait4) {
		pid = (int32_t)call->args[0];
		by_pid = pid > 0;
	} else {
		pid = (int32_t)call->args[1];
		by_pid = call->args[0] == P_PID;
		if (call->args[0] == 3) { /* P_PIDFD */
			pids_deinit(&children);
			return pid_of_pidfd(b, pid);
		}
	}
	if (by_pid)
		pid = our_pid_of(b, &children, pid);
	else
		pid = children.n == 1 ? children.v[0] : 0;
	pids_deinit(&children);
	return pid;
}

/* ---- the other end of a pipe ------------------------------------------------------------------
 */

struct search {
	const struct snap_wait_fd *ours;
	const char *link; /* text of the link of our end */
	bool for_lock;	  /* it is a file: the descriptor that has a lock on it */
	struct timespec began;
	size_t links;
};

static bool time_is_up(const struct search *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return s->links >= LINKS_MAX || (int64_t)(now.tv_sec - s->began.tv_sec) * 1000000000 +
							(now.tv_nsec - s->began.tv_nsec) >
						SEARCH_NS;
}

/* Open so that it can do what our end waits for. */
static bool is_other_end(struct builder *b, const struct search *s, int32_t pid, long fd)
{
	bool we_read = s->ours->end == SNAP_END_READ;
	const struct strbuf *text;
	struct proc_fdinfo info;
	char name[32];
	unsigned mode;

	snprintf(name, sizeof(name), "fdinfo/%ld", fd);
	if (!host_text(b, pid, name, &text) ||
	    !proc_fdinfo_parse(text->data, text->len, &info, NULL))
		return false;
	mode = info.flags & 3;
	if (info.inode && s->ours->inode && info.inode != s->ours->inode)
		return false;
	if (s->for_lock)
		return info.has_lock;
	return mode == 2 || mode == (we_read ? 1u : 0u);
}

/* *readable: its descriptors could be listed. */
static bool has_other_end(struct builder *b, struct search *s, int32_t pid, bool *readable)
{
	const struct strbuf *names, *link;
	char name[32], *end;

	*readable = host_text(b, pid, "fd/", &names);
	if (!*readable)
		return false;
	for (const char *p = names->data; *p && s->links < LINKS_MAX; p = end + (*end == '\n')) {
		long fd = strtol(p, &end, 10);

		if (end == p)
			break;
		s->links++;
		snprintf(name, sizeof(name), "@fd/%ld", fd);
		if (host_text(b, pid, name, &link) && !strcmp(link->data, s->link) &&
		    is_other_end(b, s, pid, fd))
			return true;
	}
	return false;
}

/* Children, parent, the same process group and session; then all others. */
static size_t list_processes(struct builder *b, struct pids *p)
{
	struct pids all = {0};
	const struct strbuf *text;
	struct proc_stat own = {0}, st;
	size_t near;

	add_children(b, p);
	pids_add(p, b->proc->ppid);
	if (source_host(b->py->rd.src, "/proc/", &text, NULL))
		pids_of_text(&all, text);
	if (!host_stat(b, (int32_t)b->proc->pid, &own))
		own.pgrp = own.session = -1;
	for (size_t i = 0; i < all.n && i < 512; i++)
		if (host_stat(b, all.v[i], &st) &&
		    (st.pgrp == own.pgrp || st.session == own.session))
			pids_add(p, all.v[i]);
	near = p->n;
	for (size_t i = 0; i < all.n; i++)
		pids_add(p, all.v[i]);
	pids_deinit(&all);
	return near;
}

static void search_processes(struct builder *b, struct snap_blocked *w, struct search *s)
{
	struct pids list = {0};
	size_t near = list_processes(b, &list);
	bool readable, self = false;

	w->searched = true;
	w->processes = (uint32_t)list.n;
	for (size_t i = 0; i < list.n && !time_is_up(s) && (i < near || !w->pid); i++) {
		bool found = has_other_end(b, s, list.v[i], &readable);

		w->looked_at += readable;
		if (!found)
			continue;
		if (list.v[i] == (int32_t)b->proc->pid)
			self = true;
		else if (!w->pid)
			take_process(b, w, list.v[i]);
		else
			w->others++;
	}
	if (!w->pid && self)
		take_process(b, w, (int32_t)b->proc->pid);
	pids_deinit(&list);
}

static void search_for(struct builder *b, struct snap_loop *loop, bool for_lock)
{
	struct search s = {.ours = &loop->wait, .for_lock = for_lock};
	const struct strbuf *link;
	char path[32];

	snprintf(path, sizeof(path), "@fd/%d", loop->wait.fd);
	if (!source_proc(b->py->rd.src, path, &link, NULL))
		return;
	s.link = link->data;
	clock_gettime(CLOCK_MONOTONIC, &s.began);
	search_processes(b, &loop->blocked, &s);
}

/* ---- lock on a file ---------------------------------------------------------------------------
 */

static void find_file_lock(struct builder *b, struct snap_loop *loop)
{
	struct snap_blocked *w = &loop->blocked;
	const struct strbuf *text;
	struct proc_lock lock;

	if (!source_host(b->py->rd.src, "/proc/locks", &text, NULL) ||
	    !proc_locks_blocker(text->data, text->len, (int32_t)b->proc->pid, loop->wait.inode,
				&lock))
		return;
	w->lock_kind = arena_strdup(&b->s->arena, lock.kind);
	if (lock.pid > 0)
		take_process(b, w, lock.pid);
	else /* of an open file description: its descriptors show it */
		search_for(b, loop, true);
}

void find_other_end(struct builder *b, struct snap_loop *loop)
{
	const struct proc_syscall *call = &b->s->threads[loop->thread].os.syscall;
	struct snap_blocked *w = &loop->blocked;
	int32_t pid = 0;

	if (w->kind == SNAP_BLOCKED_CHILD)
		pid = child_of_call(b, call);
	else if (w->kind == SNAP_BLOCKED_FILE_LOCK)
		find_file_lock(b, loop);
	else if (loop->wait.fd >= 0 && loop->wait.kind == SNAP_FD_PIDFD)
		pid = pid_of_pidfd(b, loop->wait.fd);
	else if ((loop->wait.kind == SNAP_FD_PIPE || loop->wait.kind == SNAP_FD_FIFO) &&
		 (loop->wait.end == SNAP_END_READ || loop->wait.end == SNAP_END_WRITE))
		search_for(b, loop, false);
	if (pid > 0)
		take_process(b, w, pid);
}
