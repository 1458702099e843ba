/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "stallscope/cleanup.h"

int report_error(const struct error *err)
{
	fprintf(stderr, "stallscope: %s\n", err->text);
	if (err->hint[0])
		fprintf(stderr, "  %s\n", err->hint);
	return error_exit_status(err->code);
}

/* A device or a pipe is written to directly; anything else by a file that is renamed. */
static bool is_special(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode);
}

bool output_open(const char *path, struct output *ret, struct error *err)
{
	struct output out = {0};
	size_t len;
	int fd;

	if (!path || !strcmp(path, "-")) {
		ret->file = stdout;
		ret->path = ret->temporary = NULL;
		return true;
	}
	out.path = mem_alloc(strlen(path) + 1);
	strcpy(out.path, path);
	if (is_special(path)) {
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	} else {
		len = strlen(path) + sizeof(".XXXXXX");
		out.temporary = mem_alloc(len);
		snprintf(out.temporary, len, "%s.XXXXXX", path);
		fd = mkostemp(out.temporary, O_CLOEXEC);
	}
	if (fd < 0) {
		error_sys(err, ERR_CANNOT_CREATE, errno, "cannot create %s", path);
		free(out.path);
		free(out.temporary);
		return false;
	}
	out.file = fdopen(fd, "w");
	*ret = out;
	return true;
}

static bool finish(struct output *out)
{
	bool ok = !fflush(out->file) && !ferror(out->file);

	if (out->file != stdout)
		ok = !fclose(out->file) && ok;
	out->file = NULL;
	return ok;
}

/* As if it had been opened by its name: what was there keeps its mode, a new one has the umask's.
 */
static mode_t mode_for(const char *path)
{
	struct stat st;
	mode_t mask;

	if (!lstat(path, &st) && S_ISREG(st.st_mode))
		return st.st_mode & 0777;
	mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

bool output_commit(struct output *out, struct error *err)
{
	const char *name = out->path ? out->path : "standard output";
	bool ok = finish(out);
	int sys = errno;

	if (ok && out->temporary) {
		ok = !chmod(out->temporary, mode_for(out->path)) &&
		     !rename(out->temporary, out->path);
		sys = errno;
	}
	if (!ok) {
		error_sys(err, ERR_CANNOT_WRITE, sys, "cannot write %s", name);
		if (out->temporary)
			unlink(out->temporary);
	}
	free(out->path);
	free(out->temporary);
	out->path = out->temporary = NULL;
	return ok;
}

void output_abandon(struct output *out)
{
	if (out->file && out->file != stdout)
		fclose(out->file);
	if (out->temporary)
		unlink(out->temporary);
	free(out->path);
	free(out->temporary);
	*out = (struct output){0};
}

/* ---- text ------------------------------------------------------------------------------------ */

#define WIDTH	    80u
#define WIDTH_LEAST 40u
#define WIDTH_MOST  100000u

static bool width_given(size_t *ret)
{
	const char *text = getenv("COLUMNS");
	char *end;
	unsigned long n;

	if (!text || *text < '0' || *text > '9')
		return false;
	n = strtoul(text, &end, 10);
	if (*end || n < WIDTH_LEAST)
		return false;
	*ret = n < WIDTH_MOST ? n : WIDTH_MOST;
	return true;
}

size_t output_width(int fd)
{
	struct winsize size;
	size_t width;

	if (width_given(&width))
		return width;
	if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) || size.ws_col < WIDTH_LEAST)
		return WIDTH;
	return size.ws_col;
}

size_t text_width(const struct options *o)
{
	return output_width(o->output && strcmp(o->output, "-") != 0 ? -1 : STDOUT_FILENO);
}

int write_text(const struct options *o, const struct strbuf *text)
{
	struct output out;
	struct error err;

	if (!output_open(o->output, &out, &err))
		return report_error(&err);
	fwrite(text->data, 1, text->len, out.file);
	return output_commit(&out, &err) ? 0 : report_error(&err);
}
