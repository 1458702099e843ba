/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live process. A pidfd first, then an O_PATH descriptor of /proc/PID, then everything relative
 * to that: none of them can come to mean another process when the pid is reused. Memory is read
 * through /proc/PID/mem, opened once: it is bound to the address space (after an exec it gives 0
 * bytes), survives the loss of privileges, and never hangs on a userfaultfd page.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "backend.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define PF_KTHREAD	0x00200000u
#define SOURCE_TEXT_MAX (16 << 20) /* bytes of a source file that is searched for a line */

struct live {
	pid_t pid;
	int pidfd;  /* -1: this kernel has none */
	int procfd; /* O_PATH of /proc/PID */
	int mem;
	int root;		  /* O_PATH of /proc/PID/root, -1 until asked */
	int64_t monotonic_offset; /* of the target's time namespace, ns */
	uint64_t probe;		  /* an address that was readable once: alive while it still is */
	int64_t started_wall;	  /* seconds, for "source is newer"; 0 unknown */
	char *file_path;	  /* the mapped file opened last */
	int file;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* ---- /proc -------------------------------------------------------------------------------------
 */

/* Reads until the end in one or two calls for ordinary files. */
static bool read_all(int fd, struct strbuf *text, int *sys)
{
	size_t step = 16384;

	while (text->len < SOURCE_MAX_TEXT) {
		ssize_t n = read(fd, strbuf_room(text, step), step);

		if (n < 0) {
			*sys = errno;
			return false;
		}
		strbuf_setlen(text, text->len + (size_t)n);
		if (n == 0)
			return true;
		step = 65536;
	}
	return true;
}

static bool proc_failed(const struct live *l, const char *path, int sys, struct error *err)
{
	if (sys == ESRCH || (sys == ENOENT && l->pidfd >= 0 && !strcmp(path, "stat")))
		return error_set(err, ERR_GONE, "process %d ended", l->pid);
	if (sys == EACCES || sys == EPERM)
		return error_sys(err, ERR_PERMISSION, sys, "/proc/%d/%s", l->pid, path);
	return error_sys(err, ERR_ABSENT, sys, "/proc/%d/%s", l->pid, path);
}

static bool read_link(const struct live *l, const char *path, struct strbuf *text,
		      struct error *err)
{
	char *room = strbuf_room(text, 4096);
	ssize_t n = readlinkat(l->procfd, path, room, 4096);

	if (n < 0)
		return proc_failed(l, path, errno, err);
	strbuf_setlen(text, (size_t)n);
	return true;
}

static bool list_directory(const struct live *l, const char *path, struct strbuf *text,
			   struct error *err)
{
	cleanup_fd int fd = openat(l->procfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;

	if (fd < 0)
		return proc_failed(l, path, errno, err);
	dir = fdopendir(fd);
	if (!dir)
		return proc_failed(l, path, errno, err);
	take_fd(&fd);
	while ((entry = readdir(dir)) && text->len < SOURCE_MAX_TEXT)
		if (entry->d_name[0] != '.')
			strbuf_addf(text, "%s\n", entry->d_name);
	return true;
}

static bool read_proc(const struct live *l, const char *path, struct strbuf *text,
		      struct error *err)
{
	size_t len = strlen(path);
	int sys = 0;
	int fd;

	if (path[0] == '@')
		return read_link(l, path + 1, text, err);
	if (len && path[len - 1] == '/')
		return list_directory(l, path, text, err);
	fd = openat(l->procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return proc_failed(l, path, errno, err);
	if (!read_all(fd, text, &sys)) {
		close(fd);
		return proc_failed(l, path, sys, err);
	}
	close(fd);
	return true;
}

static bool live_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	return read_proc(self, path, text, err);
}

/* ---- memory and life
 * ----------------------------------------------------------------------------- */

static ssize_t live_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct live *l = self;
	ssize_t n;

	if (addr > INT64_MAX)
		return -1;
	n = pread(l->mem, buf, len, (off_t)addr);
	if (n > 0 && !l->probe)
		l->probe = addr;
	return n;
}

static bool live_alive(void *self)
{
	const struct live *l = self;
	struct pollfd p = {.fd = l->pidfd, .events = POLLIN};
	char byte;

	if (l->pidfd >= 0 && poll(&p, 1, 0) == 1)
		return false;
	return !l->probe || pread(l->mem, &byte, 1, (off_t)l->probe) != 0;
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

static void live_close(void *self)
{
	struct live *l = self;
	const int fds[] = {l->pidfd, l->procfd, l->mem, l->root, l->file};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(l->file_path);
	free(l);
}

/* ---- files as the target sees them
 * ------------------------------------------------------------------ */

static int open_in(int dir, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = resolve | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* The target's root: links inside it cannot lead out (safe even where the target made them). */
static int open_in_root(struct live *l, const char *path)
{
	if (l->root < 0)
		l->root = openat(l->procfd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return l->root < 0 ? -1 : open_in(l->root, path, RESOLVE_IN_ROOT);
}

static int open_in_cwd(struct live *l, const char *path)
{
	cleanup_fd int cwd = openat(l->procfd, "cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return cwd < 0 ? -1 : open_in(cwd, path, RESOLVE_BENEATH);
}

/* Keeps fd only when it is the very file that is mapped. */
static int accept(int fd, const struct source_file *file, bool trusted)
{
	struct stat st;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
	    (trusted || (st.st_ino == file->inode && major(st.st_dev) == file->dev_major &&
			 minor(st.st_dev) == file->dev_minor)))
		return fd;
	close(fd);
	return -1;
}

static int live_file_open(void *self, const struct source_file *file, struct error *err)
{
	struct live *l = self;
	char name[64];
	int fd;

	fd = accept(open_in_root(l, file->path), file, false);
	if (fd < 0) {
		snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, file->start,
			 file->end);
		fd = accept(openat(l->procfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), file, true);
	}
	if (fd < 0)
		fd = accept(openat(l->procfd, "exe", O_RDONLY | O_CLOEXEC), file, false);
	if (fd < 0) /* a chroot in our own mount namespace: maps shows our own paths */
		fd = accept(open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), file,
			    false);
	if (fd < 0)
		error_set(err, ERR_ABSENT, "%s: the mapped file cannot be opened", file->path);
	return fd;
}

static bool live_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
			   size_t len, struct error *err)
{
	struct live *l = self;
	ssize_t n;

	if (!l->file_path || strcmp(l->file_path, file->path) != 0) {
		int fd = live_file_open(l, file, err);

		if (fd < 0)
			return false;
		if (l->file >= 0)
			close(l->file);
		free(l->file_path);
		l->file = fd;
		l->file_path = mem_alloc(strlen(file->path) + 1);
		strcpy(l->file_path, file->path);
	}
	if (offset > INT64_MAX)
		return error_set(err, ERR_CORRUPT, "%s: offset out of bounds", file->path);
	n = pread(l->file, buf, len, (off_t)offset);
	if (n == (ssize_t)len)
		return true;
	return error_set(err, ERR_ABSENT, "%s: ends before 0x%" PRIx64, file->path, offset + len);
}

static bool pick_line(int fd, size_t size, uint32_t line, struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const char *p, *end;
	ssize_t n;

	n = pread(fd, strbuf_room(&text, size), size, 0);
	if (n <= 0)
		return false;
	strbuf_setlen(&text, (size_t)n);
	p = text.data;
	end = p + text.len;
	while (p && --line)
		p = memchr(p, '\n', (size_t)(end - p))
			    ? (const char *)memchr(p, '\n', (size_t)(end - p)) + 1
			    : NULL;
	if (!p || p >= end)
		return false;
	end = memchr(p, '\n', (size_t)(end - p)) ? memchr(p, '\n', (size_t)(end - p)) : end;
	n = end - p;
	strbuf_add(out, p, (size_t)n < SOURCE_MAX_LINE ? (size_t)n : SOURCE_MAX_LINE);
	return true;
}

static bool live_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		      struct error *err)
{
	struct live *l = self;
	cleanup_fd int fd = -1;
	struct stat st;

	*newer = false;
	if (path[0] == '<' || !line)
		return error_set(err, ERR_ABSENT, "%s is not a file", path);
	fd = path[0] == '/' ? open_in_root(l, path) : open_in_cwd(l, path);
	if (fd < 0)
		return error_sys(err, ERR_ABSENT, errno, "%s", path);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > SOURCE_TEXT_MAX)
		return error_set(err, ERR_ABSENT, "%s is not a source file", path);
	if (!pick_line(fd, (size_t)st.st_size, line, out))
		return error_set(err, ERR_ABSENT, "%s has no line %u", path, line);
	*newer = l->started_wall && st.st_mtime > l->started_wall + 1;
	return true;
}

/* ---- opening
 * ------------------------------------------------------------------------------------------- */

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
	.close = live_close,
};

/* State, parent, flags and start time behind the last ')' of stat; the rest is target.h's. */
struct brief_stat {
	char comm[64], state;
	int parent;
	unsigned long flags;
	unsigned long long started; /* ticks after boot */
};

static bool brief_stat(const struct live *l, struct brief_stat *ret)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const char *open, *close;

	memset(ret, 0, sizeof(*ret));
	if (!read_proc(l, "stat", &text, NULL))
		return false;
	open = strchr(text.data, '(');
	close = strrchr(text.data, ')');
	if (!open || !close || close < open)
		return false;
	snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(close - open - 1), open + 1);
	return sscanf(close + 1,
		      " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		      "%llu",
		      &ret->state, &ret->parent, &ret->flags, &ret->started) == 4;
}

/* "monotonic SECONDS NS" of a timens_offsets, in ns. */
static int64_t offset_in(const char *text)
{
	long long seconds = 0, ns = 0;
	const char *p = strstr(text, "monotonic");

	if (!p || sscanf(p, "monotonic %lld %lld", &seconds, &ns) != 2)
		return 0;
	return seconds * 1000000000 + ns;
}

static int64_t own_offset(void)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	cleanup_fd int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
	int sys;

	return fd >= 0 && read_all(fd, &text, &sys) ? offset_in(text.data) : 0;
}

/* What to add to our clock: both namespaces are offset against the machine's. */
static int64_t monotonic_offset(const struct live *l)
{
	cleanup_strbuf struct strbuf theirs = STRBUF_INIT, text = STRBUF_INIT;
	char self[64];
	ssize_t n;

	if (!read_link(l, "ns/time", &theirs, NULL))
		return 0;
	n = readlink("/proc/self/ns/time", self, sizeof(self));
	if (n <= 0 || ((size_t)n == theirs.len && !memcmp(self, theirs.data, theirs.len)))
		return 0;
	if (!read_proc(l, "timens_offsets", &text, NULL))
		return 0;
	return offset_in(text.data) - own_offset();
}

/* A process whose first thread ended: its memory is reached through a thread that lives. */
static int open_mem(const struct live *l)
{
	cleanup_strbuf struct strbuf tasks = STRBUF_INIT;
	int fd = openat(l->procfd, "mem", O_RDONLY | O_CLOEXEC);
	char *save = NULL, path[64];
	int sys = errno;

	if (fd >= 0 || sys != ESRCH || !list_directory(l, "task/", &tasks, NULL))
		return fd;
	for (char *tid = strtok_r(tasks.data, "\n", &save); tid && fd < 0;
	     tid = strtok_r(NULL, "\n", &save)) {
		snprintf(path, sizeof(path), "task/%.20s/mem", tid);
		fd = openat(l->procfd, path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		errno = sys;
	return fd;
}

static bool refuse(const struct live *l, int sys, struct error *err)
{
	struct brief_stat st;

	if (brief_stat(l, &st) && (st.state == 'Z' || st.state == 'X')) {
		error_set(err, ERR_NOT_PYTHON, "process %d is a zombie: it has ended", l->pid);
		return error_hint(err, "its parent, process %d, has not collected it", st.parent);
	}
	if (st.state && st.flags & PF_KTHREAD)
		return error_set(err, ERR_NOT_PYTHON, "process %d is a thread of the kernel",
				 l->pid);
	if (sys == ESRCH || sys == ENOENT)
		return error_set(err, ERR_NO_PROCESS, "process %d ended", l->pid);
	return permission_error(l->pid, sys, err);
}

static struct live *new_live(pid_t pid)
{
	struct live *l = mem_zalloc(1, sizeof(*l));

	l->pid = pid;
	l->pidfd = l->procfd = l->mem = l->root = l->file = -1;
	return l;
}

static bool open_all(struct live *l, struct error *err)
{
	char path[32];
	int sys;

	l->pidfd = (int)syscall(SYS_pidfd_open, l->pid, 0);
	sys = errno;
	if (l->pidfd < 0 && sys != ENOSYS && sys != EPERM)
		return error_set(err, ERR_NO_PROCESS, "no process with pid %d", l->pid);
	snprintf(path, sizeof(path), "/proc/%d", l->pid);
	l->procfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->procfd < 0)
		return permission_error(l->pid, errno, err);
	l->mem = open_mem(l);
	if (l->mem < 0)
		return refuse(l, errno, err);
	return true;
}

static void read_start(struct live *l)
{
	static const uint64_t second = 1000000000;
	struct brief_stat st;
	long ticks = sysconf(_SC_CLK_TCK);
	uint64_t age;

	if (ticks <= 0 || !brief_stat(l, &st))
		return;
	age = clock_ns(CLOCK_BOOTTIME) - st.started * second / (uint64_t)ticks;
	l->started_wall = (int64_t)((clock_ns(CLOCK_REALTIME) - age) / second);
}

bool source_open_live(pid_t pid, struct source **ret, struct error *err)
{
	struct live *l = new_live(pid);
	char byte;

	if (!open_all(l, err)) {
		live_close(l);
		return false;
	}
	/* Kernel threads and zombies open, but have no memory. */
	if (pread(l->mem, &byte, 1, 4096) == 0) {
		refuse(l, ESRCH, err);
		live_close(l);
		return false;
	}
	l->monotonic_offset = monotonic_offset(l);
	read_start(l);
	*ret = source_new(&live_ops, l, pid);
	return true;
}
