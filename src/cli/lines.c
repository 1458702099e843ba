/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "stallscope/cleanup.h"

static bool cannot_create(const char *path, int sys, struct error *err)
{
	error_sys(err, ERR_CANNOT_CREATE, sys, "cannot create %s", path);
	if (sys == EEXIST)
		error_hint(err,
			   "a recording is never written over another file: take another name");
	return false;
}

/* A new file; or a pipe or device that is there. A name that is a link leads nowhere. */
static int open_path(const char *path)
{
	struct stat st;

	if (!lstat(path, &st) && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
	return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
}

bool line_file_open(const char *path, struct line_file *ret, struct error *err)
{
	struct line_file f = {.fd = STDOUT_FILENO};
	struct stat st;

	if (strcmp(path, "-") != 0) {
		f.fd = open_path(path);
		if (f.fd < 0)
			return cannot_create(path, errno, err);
		f.path = mem_alloc(strlen(path) + 1);
		strcpy(f.path, path);
	}
	/* standard output may be a file that others write too: there nothing is taken back */
	f.regular = f.path && !fstat(f.fd, &st) && S_ISREG(st.st_mode);
	*ret = f;
	return true;
}

static bool failed(struct line_file *f, int sys, struct error *err)
{
	/* what was begun is taken back; when that fails too a reader says that a line is cut */
	if (f->regular && ftruncate(f->fd, f->size))
		f->regular = false;
	return error_sys(err, ERR_CANNOT_WRITE, sys, "cannot write %s",
			 f->path ? f->path : "standard output");
}

static bool wait_writable(int fd)
{
	struct pollfd p = {fd, POLLOUT, 0};

	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

/* One write(), as a rule; pipes and full disks take a part. */
bool line_file_write(struct line_file *f, const char *text, size_t len, struct error *err)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(f->fd, text + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN && wait_writable(f->fd))
			continue;
		else if (n == 0 || errno != EINTR)
			return failed(f, n ? errno : EIO, err);
	}
	f->size += (int64_t)len;
	return true;
}

bool line_file_close(struct line_file *f, struct error *err)
{
	bool ok = true;
	int sys = 0;

	if (f->regular && fsync(f->fd)) {
		sys = errno;
		ok = false;
	}
	if (f->path && close(f->fd)) {
		sys = errno;
		ok = false;
	}
	if (!ok)
		error_sys(err, ERR_CANNOT_WRITE, sys, "cannot write %s",
			  f->path ? f->path : "standard output");
	free(f->path);
	*f = (struct line_file){.fd = -1};
	return ok;
}
