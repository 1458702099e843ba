/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.c - a live process: its memory and its /proc
 *
 * A pidfd first, then an O_PATH descriptor of /proc/PID, then everything relative to that: none
 * of them can come to mean another process when the pid is reused. Memory is read through
 * /proc/PID/mem, opened once: it is bound to the address space (after an exec it gives 0 bytes),
 * survives the loss of privileges, and never hangs on a userfaultfd page. Nothing here stops the
 * target.
 */
#include "live.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define PF_KTHREAD    0x00200000u
#define FIRST_READ    65536u /* most texts of /proc in one system call */
#define NS_PER_SECOND INT64_C(1000000000)

/* ---- life ---------------------------------------------------------------------------------- */

static bool has_ended(struct live *l)
{
	struct pollfd p = {.fd = l->pidfd, .events = POLLIN};

	if (l->pidfd >= 0)
		return LIVE_CALL(l, poll(&p, 1, 0)) == 1;
	return LIVE_CALL(l, faccessat(l->procfd, "stat", F_OK, 0)) != 0;
}

/* Nothing is mapped so low: EIO as long as there is an address space, then 0 bytes. */
static bool has_memory(struct live *l)
{
	char byte;

	return LIVE_CALL(l, pread(l->mem, &byte, 1, SOURCE_PAGE)) != 0;
}

static bool live_alive(void *self)
{
	struct live *l = self;

	return !has_ended(l) && has_memory(l);
}

/* ---- memory and clocks --------------------------------------------------------------------- */

static ssize_t live_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct live *l = self;

	if (addr > INT64_MAX) {
		errno = EFAULT;
		return -1;
	}
	return LIVE_CALL(l, pread(l->mem, buf, len, (off_t)addr));
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

static uint64_t live_clock(void *self)
{
	return clock_ns(CLOCK_MONOTONIC) + (uint64_t)((struct live *)self)->monotonic_offset;
}

static uint64_t live_wall_clock(void *self)
{
	(void)self;
	return clock_ns(CLOCK_REALTIME);
}

static const struct strbuf *live_note(void *self, const char *name)
{
	(void)self;
	(void)name;
	return NULL;
}

static uint64_t live_calls(void *self)
{
	return ((struct live *)self)->calls;
}

/* ---- texts of /proc ------------------------------------------------------------------------ */

#define TEXT_OPEN (O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static bool proc_failed(struct live *l, const char *path, int sys, struct error *err)
{
	bool denied = sys == EACCES || sys == EPERM;
	int pid = (int)l->pid;
	char name[256];

	if (path[0] == '/') /* of the host, and its names may be the target's */
		return error_sys(err, denied ? ERR_PERMISSION : ERR_ABSENT, sys, "%s",
				 safe_for_message(name, sizeof(name), path));
	if ((sys == ESRCH || sys == ENOENT) && has_ended(l))
		return error_set(err, ERR_GONE, "process %d ended", pid);
	return error_sys(err, denied ? ERR_PERMISSION : ERR_ABSENT, sys, "/proc/%d/%s", pid, path);
}

/* Texts that the kernel makes in one piece: what fits into the buffer is all of it. */
static bool is_one_piece(const char *path)
{
	static const char *const names[] = {
		"stat",		  "status",	   "syscall",	 "schedstat",
		"wchan",	  "cgroup",	   "comm",	 "limits",
		"timens_offsets", "cpu.stat",	   "cpu.max",	 "cpu.pressure",
		"cgroup.events",  "freezer.state", "memory.max", "memory.current"};
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(slash ? slash + 1 : path, names[i]))
			return true;
	return false;
}

/* Reads a file to its end, at most SOURCE_MAX_TEXT of it; an errno on failure. */
static int read_all(struct live *l, int fd, bool one_piece, struct strbuf *text)
{
	size_t step = FIRST_READ;

	while (text->len < SOURCE_MAX_TEXT) {
		ssize_t n;

		if (step > SOURCE_MAX_TEXT - text->len)
			step = SOURCE_MAX_TEXT - text->len;
		n = LIVE_CALL(l, read(fd, strbuf_room(text, step), step));
		if (n < 0)
			return errno;
		strbuf_setlen(text, text->len + (size_t)n);
		if (n == 0 || (one_piece && (size_t)n < step))
			break;
		if (text->len >= step)
			step *= 2;
	}
	return 0;
}

static bool read_text(struct live *l, const char *path, struct strbuf *text, struct error *err)
{
	cleanup_fd int fd = LIVE_CALL(l, openat(l->procfd, path, TEXT_OPEN));
	int sys;

	if (fd < 0)
		return proc_failed(l, path, errno, err);
	sys = read_all(l, fd, is_one_piece(path), text);
	return sys ? proc_failed(l, path, sys, err) : true;
}

static bool read_link(struct live *l, const char *path, struct strbuf *text, struct error *err)
{
	const size_t room = 4096; /* PATH_MAX: the kernel has no longer ones */
	ssize_t n = LIVE_CALL(l, readlinkat(l->procfd, path, strbuf_room(text, room), room));

	if (n < 0)
		return proc_failed(l, path, errno, err);
	strbuf_setlen(text, text->len + (size_t)n);
	return true;
}

static void add_names(const char *entries, size_t len, struct strbuf *text)
{
	const struct dirent64 *d;

	for (size_t at = 0; at < len; at += d->d_reclen) {
		d = (const struct dirent64 *)(const void *)(entries + at);
		if (d->d_name[0] == '.')
			continue;
		strbuf_addstr(text, d->d_name);
		strbuf_addch(text, '\n');
	}
}

static bool list_names(struct live *l, const char *path, struct strbuf *text, struct error *err)
{
	cleanup_fd int fd = LIVE_CALL(l, openat(l->procfd, path, TEXT_OPEN | O_DIRECTORY));
	_Alignas(struct dirent64) char entries[16384];
	ssize_t n;

	if (fd < 0)
		return proc_failed(l, path, errno, err);
	while (text->len < SOURCE_MAX_TEXT &&
	       (n = LIVE_CALL(l, getdents64(fd, entries, sizeof(entries)))) != 0) {
		if (n < 0)
			return proc_failed(l, path, errno, err);
		add_names(entries, (size_t)n, text);
	}
	return true;
}

bool live_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	struct live *l = self;
	size_t len = strlen(path);

	if (path[0] == '@')
		return read_link(l, path + 1, text, err);
	if (live_is_stat(path))
		return live_stat(l, path, text, err);
	if (len && path[len - 1] == '/')
		return list_names(l, path, text, err);
	return read_text(l, path, text, err);
}

/* ---- what opening must know of stat: the parser proper is a layer higher ------------------- */

/* Field number n of proc(5), counted from the state (3) that rest begins with. */
static uint64_t stat_field(const char *rest, unsigned n)
{
	for (; n > 3 && rest; n--) {
		rest = strchr(rest, ' ');
		rest = rest ? rest + 1 : NULL;
	}
	return rest ? strtoull(rest, NULL, 10) : 0;
}

bool live_brief_stat(struct live *l, struct brief_stat *ret)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const char *open, *close;

	*ret = (struct brief_stat){0};
	if (!live_proc(l, "stat", &text, NULL))
		return false;
	open = strchr(text.data, '(');
	close = strrchr(text.data, ')');
	if (!open || !close || close < open || strlen(close) < 3)
		return false;
	snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(close - open - 1), open + 1);
	ret->state = close[2];
	ret->parent = (int)stat_field(close + 2, 4);
	ret->flags = stat_field(close + 2, 9);
	ret->started = stat_field(close + 2, 22);
	return true;
}

/* Nanoseconds of "monotonic  SECONDS  NANOSECONDS" in the text of timens_offsets. */
static int64_t parse_offset(const char *text)
{
	const char *p = strstr(text, "monotonic");
	char *end;
	long long seconds;

	if (!p)
		return 0;
	seconds = strtoll(p + strlen("monotonic"), &end, 10);
	return seconds * NS_PER_SECOND + strtoll(end, NULL, 10);
}

static int64_t own_offset(void)
{
	cleanup_fd int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return 0;
	text[n] = 0;
	return parse_offset(text);
}

/* Our clock is in our time namespace; the target may live in another. */
static int64_t monotonic_offset(struct live *l)
{
	cleanup_strbuf struct strbuf theirs = STRBUF_INIT, text = STRBUF_INIT;
	char ours[64];
	ssize_t n = readlink("/proc/self/ns/time", ours, sizeof(ours));

	if (n <= 0 || !read_link(l, "ns/time", &theirs, NULL))
		return 0;
	if ((size_t)n == theirs.len && !memcmp(ours, theirs.data, theirs.len))
		return 0;
	if (!read_text(l, "timens_offsets", &text, NULL))
		return 0;
	return parse_offset(text.data) - own_offset();
}

/* ---- opening ------------------------------------------------------------------------------- */

static void live_close(void *self)
{
	struct live *l = self;
	const int fds[] = {l->pidfd, l->procfd, l->mem};

	live_file_close(l);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(l);
}

static const struct source_ops live_ops = {
	.read = live_read,
	.proc = live_proc,
	.file_read = live_file_read,
	.file_open = live_file_open,
	.line = live_line,
	.clock = live_clock,
	.wall_clock = live_wall_clock,
	.alive = live_alive,
	.note = live_note,
	.stop = live_stop,
	.socket = live_socket,
	.close = live_close,
	.calls = live_calls,
};

static struct live *new_live(pid_t pid)
{
	struct live *l = mem_zalloc(1, sizeof(*l));

	l->pid = pid;
	l->pidfd = l->procfd = l->mem = l->root = -1;
	for (size_t i = 0; i < ARRAY_SIZE(l->files); i++)
		l->files[i].fd = -1;
	return l;
}

static bool no_process(pid_t pid, struct error *err)
{
	return error_set(err, ERR_NO_PROCESS, "no process with pid %d", (int)pid);
}

/* /proc/TID is there for every thread, though it is not listed. */
static bool is_thread(pid_t tid, struct error *err)
{
	char text[4096], path[48], *p;
	cleanup_fd int fd = -1;
	ssize_t n;
	long process;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = 0;
	p = strstr(text, "\nTgid:");
	process = p ? strtol(p + strlen("\nTgid:"), NULL, 10) : tid;
	if (process == tid)
		return false;
	error_set(err, ERR_NO_PROCESS, "%d is not a process but a thread of process %ld", (int)tid,
		  process);
	error_hint(err, "give %ld instead", process);
	return true;
}

/* False when /proc shows another pid namespace than ours: then pids mean what /proc says. */
static bool proc_is_ours(struct error *err, bool *mounted)
{
	char name[32];
	ssize_t n = readlink("/proc/self", name, sizeof(name) - 1);

	*mounted = n > 0;
	if (n <= 0) {
		error_set(err, ERR_ABSENT, "/proc is not mounted");
		error_hint(err, "stallscope reads /proc/PID: mount -t proc proc /proc");
		return false;
	}
	name[n] = 0;
	return strtol(name, NULL, 10) == getpid();
}

static bool open_pidfd(struct live *l, struct error *err)
{
	bool mounted;

	l->foreign_proc = !proc_is_ours(err, &mounted);
	if (l->foreign_proc)
		return mounted;
	l->pidfd = (int)LIVE_CALL(l, syscall(SYS_pidfd_open, l->pid, 0));
	if (l->pidfd >= 0 || errno == ENOSYS || errno == EPERM)
		return true; /* EPERM: a seccomp filter that does not know the call */
	if (errno == ESRCH)
		return no_process(l->pid, err);
	if (errno != EINVAL && errno != ENOENT)
		return error_sys(err, ERR_ABSENT, errno, "process %d", (int)l->pid);
	return is_thread(l->pid, err) ? false : no_process(l->pid, err);
}

static bool open_process(struct live *l, struct error *err)
{
	char path[32];
	int sys;

	if (l->pid <= 0)
		return no_process(l->pid, err);
	if (!open_pidfd(l, err))
		return false;
	snprintf(path, sizeof(path), "/proc/%d", (int)l->pid);
	l->procfd = LIVE_CALL(l, open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (l->procfd >= 0)
		return true;
	sys = errno;
	if (sys == ENOENT && (l->pidfd < 0 || has_ended(l)))
		return no_process(l->pid, err);
	return permission_error(-1, l->pid, sys, err);
}

/* Opens l->mem; false with errno. ESRCH: there is no memory behind it. */
static bool try_mem(struct live *l, const char *path)
{
	l->mem = LIVE_CALL(l, openat(l->procfd, path, O_RDONLY | O_CLOEXEC));
	if (l->mem < 0)
		return false;
	if (has_memory(l))
		return true;
	close(l->mem);
	l->mem = -1;
	errno = ESRCH;
	return false;
}

/* A process whose first thread ended: its memory is reached through a thread that lives. */
static bool open_mem(struct live *l)
{
	cleanup_strbuf struct strbuf tasks = STRBUF_INIT;
	char *save = NULL, path[64];

	if (try_mem(l, "mem"))
		return true;
	if (errno != ESRCH || !list_names(l, "task/", &tasks, NULL))
		return false;
	for (char *tid = strtok_r(tasks.data, "\n", &save); tid;
	     tid = strtok_r(NULL, "\n", &save)) {
		snprintf(path, sizeof(path), "task/%.20s/mem", tid);
		if (try_mem(l, path))
			return true;
		if (errno != ESRCH && errno != ENOENT)
			return false;
	}
	errno = ESRCH;
	return false;
}

void live_name_of(pid_t pid, char *out, size_t size)
{
	char path[32], raw[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, raw, sizeof(raw) - 1);
	raw[n > 0 ? n - (raw[n - 1] == '\n') : 0] = 0;
	safe_for_message(out, size, raw[0] ? raw : "?");
}

static bool is_zombie(const struct live *l, const struct brief_stat *st, struct error *err)
{
	char parent[128];

	live_name_of(st->parent, parent, sizeof(parent));
	return error_set(
		err, ERR_NOT_PYTHON,
		"process %d is a zombie: it ended, and its parent, process %d (%s), has not "
		"collected it",
		(int)l->pid, st->parent, parent);
}

/* Why there is no memory to be read. */
static bool refuse(struct live *l, int sys, struct error *err)
{
	int pid = (int)l->pid;
	struct brief_stat st;
	char name[256];
	bool known = live_brief_stat(l, &st);

	if (known && st.flags & PF_KTHREAD)
		return error_set(err, ERR_NOT_PYTHON, "process %d (%s) is a thread of the kernel",
				 pid, safe_for_message(name, sizeof(name), st.comm));
	if (known && (st.state == 'Z' || st.state == 'X'))
		return is_zombie(l, &st, err);
	if (sys == ESRCH || (sys == ENOENT && has_ended(l)))
		return error_set(err, ERR_NO_PROCESS, "process %d ended", pid);
	return permission_error(l->procfd, l->pid, sys, err);
}

static bool open_all(struct live *l, struct error *err)
{
	if (!open_process(l, err))
		return false;
	if (!open_mem(l))
		return refuse(l, errno, err);
	if (has_ended(l)) /* and /proc/PID may be that of its successor */
		return error_set(err, ERR_NO_PROCESS, "process %d ended", (int)l->pid);
	l->monotonic_offset = monotonic_offset(l);
	return true;
}

bool source_open_live(pid_t pid, struct source **ret, struct error *err)
{
	struct live *l = new_live(pid);

	if (!open_all(l, err)) {
		live_close(l);
		return false;
	}
	*ret = source_new(&live_ops, l, pid);
	return true;
}
