/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_file.c - files as a live process sees them
 *
 * The target names them, and it may be hostile: a path can lead through links out of a container,
 * to a FIFO that never answers, or to a file that we may read and the target may not.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "live.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define MAX_MAPPED_FILE ((off_t)1 << 30)
#define MAX_SOURCE_FILE ((off_t)16 << 20)
#define FIND		(O_PATH | O_CLOEXEC)
#define SAFE_OPEN	(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define MTIME_SLACK	1 /* seconds */
#define NOBODY		65534u

/* ---- opening ------------------------------------------------------------------------------- */

/*
 * To open is to act already: the writer of a FIFO goes on, a watchdog begins to count. So a file is
 * found first, and opened once it is known to be a regular one. Takes found, O_PATH.
 */
static int open_found(struct live *l, int found)
{
	char name[32];
	int fd, sys;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", found);
	fd = LIVE_CALL(l, open(name, SAFE_OPEN));
	sys = errno;
	close(found);
	errno = sys;
	return fd;
}

/* openat2() alone can keep links from leading out; a kernel without it gives no such file. */
static int find_below(struct live *l, int dir, const char *path, uint64_t resolve)
{
	struct open_how how = {.flags = FIND, .resolve = resolve | RESOLVE_NO_MAGICLINKS};

	return (int)LIVE_CALL(l, syscall(SYS_openat2, dir, path, &how, sizeof(how)));
}

static int open_directory(struct live *l, const char *name)
{
	return LIVE_CALL(l, openat(l->procfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static int root_of(struct live *l)
{
	if (l->root < 0)
		l->root = open_directory(l, "root");
	return l->root;
}

/* ---- mapped files -------------------------------------------------------------------------- */

/* Opens what was found (and takes it) only when it is the very file that is mapped. */
static int accept_file(struct live *l, int found, const struct source_file *file, bool trusted)
{
	struct stat st;

	if (found < 0)
		return -1;
	if (!LIVE_CALL(l, fstat(found, &st)) && S_ISREG(st.st_mode) &&
	    st.st_size <= MAX_MAPPED_FILE &&
	    (trusted || (st.st_ino == file->inode && major(st.st_dev) == file->dev_major &&
			 minor(st.st_dev) == file->dev_minor)))
		return open_found(l, found);
	close(found);
	return -1;
}

/* Not even a deleted file escapes this, but it takes more rights than reading memory does. */
static int open_map_file(struct live *l, const struct source_file *file)
{
	char name[64];
	int fd;

	if (l->no_map_files)
		return -1;
	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, file->start, file->end);
	fd = LIVE_CALL(l, openat(l->procfd, name, FIND));
	l->no_map_files = fd < 0 && (errno == EPERM || errno == EACCES);
	return accept_file(l, fd, file, true);
}

/* The path as maps has it, with \012 for newline, made what it is on disk; NULL if it is that. */
static char *without_escapes(const char *path)
{
	char *plain, *out;

	if (!strstr(path, "\\012"))
		return NULL;
	plain = out = mem_alloc(strlen(path) + 1);
	while (*path) {
		bool newline = !strncmp(path, "\\012", 4);

		*out++ = newline ? '\n' : *path;
		path += newline ? 4 : 1;
	}
	*out = 0;
	return plain;
}

/* In the target's root; else our own: maps of a chroot in our mount namespace show our paths. */
static int open_by_path(struct live *l, const struct source_file *file, const char *path)
{
	int fd = -1;

	if (path[0] != '/')
		return -1;
	if (root_of(l) >= 0)
		fd = find_below(l, l->root, path, RESOLVE_IN_ROOT);
	fd = accept_file(l, fd, file, false);
	return fd >= 0 ? fd : accept_file(l, LIVE_CALL(l, open(path, FIND)), file, false);
}

int live_file_open(void *self, const struct source_file *file, struct error *err)
{
	struct live *l = self;
	cleanup_free char *plain = without_escapes(file->path);
	char name[256];
	int fd = open_map_file(l, file);

	if (fd < 0 && !file->deleted)
		fd = open_by_path(l, file, file->path);
	if (fd < 0 && !file->deleted && plain)
		fd = open_by_path(l, file, plain);
	if (fd < 0)
		fd = accept_file(l, LIVE_CALL(l, openat(l->procfd, "exe", FIND)), file, false);
	if (fd < 0)
		error_set(err, ERR_ABSENT, "%s%s: the file that is mapped cannot be opened",
			  safe_for_message(name, sizeof(name), file->path),
			  file->deleted ? " (deleted)" : "");
	return fd;
}

static bool is_file(const struct live_file *f, const struct source_file *file)
{
	return f->fd >= 0 && f->inode == file->inode && f->dev_major == file->dev_major &&
	       f->dev_minor == file->dev_minor && !strcmp(f->path, file->path);
}

/* One of the files used last, opened when it is none of them; -1 on failure. */
static int use_file(struct live *l, const struct source_file *file, struct error *err)
{
	struct live_file *f;
	int fd;

	for (size_t i = 0; i < LIVE_FILES; i++)
		if (is_file(&l->files[i], file))
			return l->files[i].fd;
	fd = live_file_open(l, file, err);
	if (fd < 0)
		return -1;
	f = &l->files[l->next_file++ % LIVE_FILES];
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	*f = (struct live_file){mem_alloc(strlen(file->path) + 1), file->inode, file->dev_major,
				file->dev_minor, fd};
	strcpy(f->path, file->path);
	return fd;
}

bool live_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
		    size_t len, struct error *err)
{
	struct live *l = self;
	int fd = use_file(l, file, err);
	char name[256];
	ssize_t n;

	if (fd < 0)
		return false;
	n = offset > INT64_MAX ? 0 : LIVE_CALL(l, pread(fd, buf, len, (off_t)offset));
	if (n == (ssize_t)len)
		return true;
	return error_set(err, ERR_ABSENT, "%s ends before byte 0x%" PRIx64,
			 safe_for_message(name, sizeof(name), file->path), offset + len);
}

void live_file_close(struct live *l)
{
	for (size_t i = 0; i < LIVE_FILES; i++) {
		if (l->files[i].fd >= 0)
			close(l->files[i].fd);
		free(l->files[i].path);
	}
	if (l->root >= 0)
		close(l->root);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

static bool has_timeout(int fd, int option)
{
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	return !getsockopt(fd, SOL_SOCKET, option, &tv, &len) && (tv.tv_sec || tv.tv_usec);
}

/* The kernel's own have no type in their mode. */
static bool is_anonymous(mode_t mode)
{
	return (mode & S_IFMT) == 0;
}

/*
 * The copy shares what the target's descriptor is of, but not the descriptor: nothing that is asked
 * here changes it, and closing the copy closes nothing of the target's.
 */
bool live_socket(void *self, int fd, struct source_socket *ret, struct error *err)
{
	struct live *l = self;
	cleanup_fd int copy = -1;
	struct stat st;

	if (l->pidfd >= 0)
		copy = (int)LIVE_CALL(l, syscall(SYS_pidfd_getfd, l->pidfd, fd, 0));
	if (copy < 0 || fstat(copy, &st))
		return error_sys(err, ERR_ABSENT, errno, "descriptor %d", fd);
	*ret = (struct source_socket){.mode = st.st_mode,
				      .is_anonymous = is_anonymous(st.st_mode),
				      .is_socket = S_ISSOCK(st.st_mode)};
	if (ret->is_socket) {
		ret->receive_timeout = has_timeout(copy, SO_RCVTIMEO);
		ret->send_timeout = has_timeout(copy, SO_SNDTIMEO);
	}
	return true;
}

/* ---- lines of source files ----------------------------------------------------------------- */

static void learn_owner(struct live *l)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const char *uid, *gid;

	if (l->owner_known)
		return;
	l->owner_known = true;
	l->uid = l->gid = NOBODY; /* until known better: what all may read */
	if (!live_proc(l, "status", &text, NULL))
		return;
	uid = strstr(text.data, "\nUid:");
	gid = strstr(text.data, "\nGid:");
	if (uid && gid && sscanf(uid, "\nUid: %*u %u", &l->uid) == 1)
		sscanf(gid, "\nGid: %*u %u", &l->gid);
}

static bool owner_may_read(const struct live *l, const struct stat *st)
{
	if (l->uid == 0 || st->st_mode & S_IROTH)
		return true;
	return (st->st_uid == l->uid && st->st_mode & S_IRUSR) ||
	       (st->st_gid == l->gid && st->st_mode & S_IRGRP);
}

/*
 * The target says which file its code is from, so root must not read what the target may not: the
 * path is walked with its rights (of this thread only), and the file's mode must allow it too.
 */
static int find_source(struct live *l, const char *path, bool to_read)
{
	bool absolute = path[0] == '/', lend = geteuid() == 0 && l->uid != 0;
	int dir = absolute ? root_of(l) : open_directory(l, "cwd"), fd, sys;
	struct stat st;

	if (dir < 0)
		return -1;
	if (lend) {
		setfsgid(l->gid);
		setfsuid(l->uid);
	}
	fd = find_below(l, dir, path, absolute ? RESOLVE_IN_ROOT : RESOLVE_BENEATH);
	if (to_read && fd >= 0 && !LIVE_CALL(l, fstat(fd, &st)) && S_ISREG(st.st_mode))
		fd = open_found(l, fd); /* others cannot be read through O_PATH */
	sys = errno;
	if (lend) {
		setfsuid(geteuid());
		setfsgid(getegid());
	}
	if (!absolute)
		close(dir);
	errno = sys;
	return fd;
}

/* When the target began, in seconds since 1970; -1 when unknown. */
static int64_t started_wall(struct live *l)
{
	struct timespec boot, now;
	struct brief_stat st;
	long ticks = sysconf(_SC_CLK_TCK);

	if (l->started_wall)
		return l->started_wall;
	l->started_wall = -1;
	if (ticks <= 0 || !live_brief_stat(l, &st) || clock_gettime(CLOCK_BOOTTIME, &boot) ||
	    clock_gettime(CLOCK_REALTIME, &now))
		return -1;
	l->started_wall = now.tv_sec - (boot.tv_sec - (int64_t)(st.started / (uint64_t)ticks));
	return l->started_wall;
}

struct line_search {
	uint32_t left; /* newlines before the line begins */
	bool found, ended;
	struct strbuf *out;
};

static void search_chunk(struct line_search *s, const char *p, const char *end)
{
	const char *newline;

	for (; s->left && p < end; s->left--) {
		newline = memchr(p, '\n', (size_t)(end - p));
		if (!newline)
			return;
		p = newline + 1;
	}
	if (s->left || p == end)
		return;
	newline = memchr(p, '\n', (size_t)(end - p));
	s->found = true;
	s->ended = newline != NULL;
	strbuf_add(s->out, p, (size_t)((newline ? newline : end) - p));
}

/* pread(), never mmap(): the file may be cut while we look. */
static bool find_line(struct live *l, int fd, uint32_t line, struct strbuf *out)
{
	struct line_search s = {.left = line - 1, .out = out};
	char chunk[32768];
	ssize_t n;

	for (off_t at = 0; at < MAX_SOURCE_FILE && !s.ended && out->len <= SOURCE_MAX_LINE;
	     at += n) {
		n = LIVE_CALL(l, pread(fd, chunk, sizeof(chunk), at));
		if (n <= 0)
			break;
		search_chunk(&s, chunk, chunk + n);
	}
	if (out->len && out->data[out->len - 1] == '\r')
		strbuf_setlen(out, out->len - 1);
	if (out->len > SOURCE_MAX_LINE)
		strbuf_setlen(out, SOURCE_MAX_LINE);
	return s.found;
}

bool live_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
	       struct error *err)
{
	struct live *l = self;
	cleanup_fd int fd = -1;
	char name[256];
	struct stat st;

	safe_for_message(name, sizeof(name), path);
	if (!path[0] || path[0] == '<' || !line)
		return error_set(err, ERR_ABSENT, "%s is not a file", name);
	learn_owner(l);
	fd = find_source(l, path, true);
	if (fd < 0)
		return error_sys(err, ERR_ABSENT, errno, "%s", name);
	if (LIVE_CALL(l, fstat(fd, &st)) || !S_ISREG(st.st_mode) || st.st_size > MAX_SOURCE_FILE)
		return error_set(err, ERR_ABSENT, "%s is not a source file", name);
	if (!owner_may_read(l, &st))
		return error_set(err, ERR_ABSENT, "%s may not be read by process %d itself", name,
				 (int)l->pid);
	if (!find_line(l, fd, line, out))
		return error_set(err, ERR_ABSENT, "%s has no line %" PRIu32, name, line);
	*newer = started_wall(l) > 0 && st.st_mtime > started_wall(l) + MTIME_SLACK;
	return true;
}

/* ---- what a name leads to ------------------------------------------------------------------ */

bool live_is_stat(const char *question)
{
	return question[0] == STAT_SOURCE || question[0] == STAT_CONTENT ||
	       question[0] == STAT_MAPPED;
}

/* FNV-1a of a file that is not longer than it was a moment ago. */
static bool sum_content(struct live *l, int fd, off_t size, uint64_t *ret)
{
	unsigned char chunk[32768];
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	off_t at = 0;
	ssize_t n;

	for (; at < size; at += n) {
		n = LIVE_CALL(l, pread(fd, chunk, sizeof(chunk), at));
		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ chunk[i]) * UINT64_C(0x100000001b3);
	}
	*ret = hash;
	return at == size;
}

static void describe(struct live *l, int fd, const struct stat *st, bool content, bool source,
		     struct strbuf *text)
{
	int64_t started = source ? started_wall(l) : -1;
	uint64_t sum;

	strbuf_addf(text, "%lld %ld %lld %d", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		    (long long)st->st_size,
		    started > 0 ? st->st_mtim.tv_sec > started + MTIME_SLACK : -1);
	if (content && st->st_size <= SOURCE_MAX_CONTENT && owner_may_read(l, st) &&
	    sum_content(l, fd, st->st_size, &sum))
		strbuf_addf(text, " %" PRIx64, sum);
}

static bool stat_source(struct live *l, const char *path, bool content, struct strbuf *text,
			struct error *err)
{
	cleanup_fd int fd = -1;
	char name[256];
	struct stat st;

	safe_for_message(name, sizeof(name), path);
	if (!path[0] || path[0] == '<')
		return error_set(err, ERR_ABSENT, "%s is not a file", name);
	learn_owner(l);
	fd = find_source(l, path, content);
	if (fd < 0 && content) { /* it may be seen, but not read */
		content = false;
		fd = find_source(l, path, false);
	}
	if (fd < 0)
		return error_sys(err, ERR_ABSENT, errno, "%s", name);
	if (LIVE_CALL(l, fstat(fd, &st)) || !S_ISREG(st.st_mode))
		return error_set(err, ERR_ABSENT, "%s is not a file", name);
	describe(l, fd, &st, content, true, text);
	return true;
}

/* The number of the device may be another in maps than stat() gives: btrfs, overlayfs. */
static bool is_mapped(struct live *l, int fd, const struct source_file *file, bool by_device,
		      struct stat *st)
{
	return fd >= 0 && !LIVE_CALL(l, fstat(fd, st)) && S_ISREG(st->st_mode) &&
	       st->st_ino == file->inode &&
	       (!by_device ||
		(major(st->st_dev) == file->dev_major && minor(st->st_dev) == file->dev_minor));
}

/* In the target's root; of a chroot in our mount namespace maps show our paths. */
static bool stat_mapped(struct live *l, const char *question, struct strbuf *text,
			struct error *err)
{
	cleanup_free char *plain = NULL;
	cleanup_fd int inside = -1, here = -1;
	struct source_file file = {.path = ""};
	struct stat st;
	int used = 0;

	if (sscanf(question, "%" SCNu64 " %u %u %n", &file.inode, &file.dev_major, &file.dev_minor,
		   &used) != 3 ||
	    !used || question[used] != '/')
		return error_set(err, ERR_ABSENT, "not a file that is mapped");
	plain = without_escapes(question + used);
	file.path = plain ? plain : question + used;
	if (root_of(l) >= 0)
		inside = find_below(l, l->root, file.path, RESOLVE_IN_ROOT);
	if (!is_mapped(l, inside, &file, false, &st)) {
		here = LIVE_CALL(l, open(file.path, FIND));
		if (!is_mapped(l, here, &file, true, &st))
			return error_set(err, ERR_ABSENT, "its name leads to another file");
	}
	describe(l, -1, &st, false, false, text);
	return true;
}

bool live_stat(struct live *l, const char *question, struct strbuf *text, struct error *err)
{
	if (question[0] == STAT_MAPPED)
		return stat_mapped(l, question + 1, text, err);
	return stat_source(l, question + 1, question[0] == STAT_CONTENT, text, err);
}
