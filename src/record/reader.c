/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "lines.h"
#include "stallscope/cleanup.h"

#define CHUNK	    (256u << 10)
#define GIVE_UP	    1000u /* lines of which none can be read: this is another kind of file */
#define GIVE_UP_BIG (4u * HISTORY_MAX_LINE) /* bytes, for one that has no lines */

static void bad(struct history_file *f, const char *why)
{
	if (f->first_bad)
		return;
	f->first_bad = f->lines;
	f->why = why;
}

static bool is_blank(const char *text, size_t len)
{
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t' || text[len - 1] == '\r'))
		len--;
	return !len;
}

/* A document, or the elements of a list of them. */
static const char *take(struct reading *r, const json_t *document)
{
	const char *wrong = NULL, *one;
	size_t i;
	const json_t *element;

	if (!json_is_array(document))
		return history_take(r, document);
	json_array_foreach(document, i, element)
	{
		one = history_take(r, element);
		wrong = wrong ? wrong : one;
	}
	return i ? wrong : "it is an empty list";
}

static void document(struct reading *r, const char *text, size_t len, bool last)
{
	struct history_file *f = r->file;
	const char *wrong = "it is no JSON";
	json_t *json;

	if (is_blank(text, len))
		return;
	f->lines++;
	json = json_loadb(text, len, 0, NULL);
	if (json)
		wrong = take(r, json);
	json_decref(json);
	if (!wrong)
		f->read++;
	else if (last && !json && (*text == '{' || *text == '['))
		f->cut = true;
	if (wrong)
		bad(f, f->cut ? "it ends within" : wrong);
}

static void end_document(struct reading *r, const struct lines *l, bool last)
{
	if (!l->too_long) {
		document(r, l->text.data, l->text.len, last);
		return;
	}
	r->file->lines++;
	bad(r->file, "it is too long");
}

static struct history_file *begin(struct history *h, const char *path)
{
	const char *name = history_text(h, path);

	*array_push(&h->files, &h->n_files, &h->index->files_cap) =
		(struct history_file){.path = name};
	return &h->files[h->n_files - 1];
}

static bool finish(struct reading *r, bool given_up, struct error *err)
{
	struct history_file *f = r->file;

	history_end_file(r);
	if (f->read)
		return true;
	if (!f->lines && !given_up)
		return error_set(err, ERR_BAD_FILE, "%s is empty", f->path);
	error_set(err, ERR_BAD_FILE, "%s is no recording that can be read: line %llu: %s", f->path,
		  (unsigned long long)(f->first_bad ? f->first_bad : 1),
		  f->why ? f->why : "it is no JSON");
	return error_hint(err,
			  "a recording is what `stallscope record` or `stallscope dump -f json` "
			  "writes");
}

static bool hopeless(const struct history_file *f, uint64_t bytes)
{
	return !f->read && (f->lines >= GIVE_UP || bytes >= GIVE_UP_BIG);
}

/* Lines that are here as a whole need no scanner: nearly all of a long recording. */
static size_t whole_lines(struct reading *r, const struct lines *l, const char *bytes, size_t n)
{
	size_t done = 0;
	const char *end;

	while (lines_between(l) && (end = memchr(bytes + done, '\n', n - done))) {
		document(r, bytes + done, (size_t)(end - bytes) - done, false);
		done = (size_t)(end - bytes) + 1;
	}
	return done;
}

static void feed(struct reading *r, struct lines *l, const char *bytes, size_t n)
{
	for (size_t i = whole_lines(r, l, bytes, n); i < n; i++) {
		if (lines_take(l, bytes[i]) != LINES_DOCUMENT)
			continue;
		end_document(r, l, false);
		lines_next(l);
		i += whole_lines(r, l, bytes + i + 1, n - i - 1);
	}
}

static int open_file(const char *path, struct error *err)
{
	int fd =
		strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) : dup(STDIN_FILENO);
	struct stat st;

	if (fd < 0)
		error_sys(err, errno == EACCES ? ERR_PERMISSION : ERR_NO_FILE, errno,
			  "cannot open %s", path);
	else if (!fstat(fd, &st) && S_ISDIR(st.st_mode)) {
		close(fd);
		error_set(err, ERR_BAD_FILE, "%s is a folder", path);
		return -1;
	}
	return fd;
}

/* enough: lines that are wanted, of those that can be read. */
static bool read_file(struct history *h, const char *path, int fd, uint64_t enough,
		      struct error *err)
{
	cleanup_free char *chunk = mem_alloc(CHUNK);
	struct reading r = {.h = h};
	uint64_t bytes = 0;
	bool given_up = false;
	struct lines l;
	ssize_t n = 0;

	r.file = begin(h, path);
	lines_init(&l, HISTORY_MAX_LINE);
	while (!given_up && r.file->read < enough) {
		n = read(fd, chunk, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		feed(&r, &l, chunk, (size_t)n);
		bytes += (uint64_t)n;
		given_up = hopeless(r.file, bytes);
	}
	if (!given_up)
		end_document(&r, &l, true);
	lines_deinit(&l);
	if (n < 0) {
		history_end_file(&r);
		return error_sys(err, ERR_BAD_FILE, errno, "cannot read %s", path);
	}
	return finish(&r, given_up, err);
}

bool history_read(struct history *h, const char *path, struct error *err)
{
	cleanup_fd int fd = open_file(path, err);

	return fd >= 0 && read_file(h, path, fd, UINT64_MAX, err);
}

bool history_probe(const char *path, struct error *err)
{
	cleanup_fd int fd = open_file(path, err);
	struct history h;
	struct stat st;
	bool ok;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return true;
	history_init(&h);
	ok = read_file(&h, path, fd, 1, err);
	history_deinit(&h);
	return ok;
}

bool history_read_text(struct history *h, const char *name, const char *text, size_t len,
		       struct error *err)
{
	struct reading r = {.h = h, .file = begin(h, name)};
	struct lines l;

	lines_init(&l, HISTORY_MAX_LINE);
	feed(&r, &l, text, len);
	end_document(&r, &l, true);
	lines_deinit(&l);
	return finish(&r, false, err);
}
