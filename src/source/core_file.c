/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_file.c - the files that were mapped when a core was made, on the machine that reads it. A
 * path proves nothing: the file may have been replaced since, or be that of another machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"
#include "stallscope/cleanup.h"
#include "stallscope/log.h"

#define HEADER_BYTES 4096u /* of a file, compared with what the core has of them */
#define HEADER_LEAST 64u

ssize_t core_pread(int fd, void *buf, size_t len, uint64_t offset)
{
	if (offset > INT64_MAX)
		return -1;
	return TEMP_FAILURE_RETRY(pread(fd, buf, len, (off_t)offset));
}

const struct core_mapping *core_find_mapping(const struct core *core, uint64_t addr)
{
	size_t low = 0, high = core->n_mappings;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct core_mapping *m = &core->mappings[mid];

		if (addr < m->start)
			high = mid;
		else if (addr >= m->end)
			low = mid + 1;
		else
			return m;
	}
	return NULL;
}

enum sameness { SAME, DIFFERENT, UNKNOWN };

/* The first page holds the ELF header and mostly the build-id; kernel and gdb keep it in cores. */
static enum sameness compare_headers(const struct core *core, size_t file, int fd)
{
	char ours[HEADER_BYTES], theirs[HEADER_BYTES];

	for (size_t i = 0; i < core->n_mappings; i++) {
		const struct core_mapping *m = &core->mappings[i];
		size_t len = m->end - m->start < sizeof(ours) ? m->end - m->start : sizeof(ours);

		if (m->file != file || m->offset)
			continue;
		len = core_own_bytes(core, m->start, ours, len);
		if (len < HEADER_LEAST)
			continue;
		memset(theirs, 0, sizeof(theirs));
		if (core_pread(fd, theirs, len, 0) < (ssize_t)HEADER_LEAST)
			return DIFFERENT;
		return memcmp(ours, theirs, len) ? DIFFERENT : SAME;
	}
	return UNKNOWN;
}

/* Without its header: it is long enough for what was mapped of it, and older than the core. */
static bool size_fits(const struct core *core, size_t file, const struct stat *st)
{
	uint64_t size = ((uint64_t)st->st_size + SOURCE_PAGE - 1) / SOURCE_PAGE * SOURCE_PAGE;

	for (size_t i = 0; i < core->n_mappings; i++) {
		const struct core_mapping *m = &core->mappings[i];

		if (m->file == file && (m->offset > size || m->end - m->start > size - m->offset))
			return false;
	}
	return st->st_mtime <= core->modified;
}

/*
 * Whoever made the core says which file that is, and to open can be to act: the writer of a FIFO
 * goes on, a watchdog begins to count. So it is found first, and opened when it is a regular one.
 */
static int open_regular(const char *path, struct stat *st)
{
	cleanup_fd int found = path[0] == '/' ? open(path, O_PATH | O_CLOEXEC) : -1;
	char name[32];

	if (found < 0 || fstat(found, st) || !S_ISREG(st->st_mode))
		return -1;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", found);
	return open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

int core_file_fd(struct core *core, size_t i)
{
	struct core_file *file = &core->files[i];
	enum sameness same;
	struct stat st;
	int fd;

	if (file->asked)
		return file->fd;
	file->asked = true;
	fd = open_regular(file->path, &st);
	if (fd < 0)
		return -1;
	same = compare_headers(core, i, fd);
	if (same == SAME ||
	    (same == UNKNOWN && !core->sparse && !file->deleted && size_fits(core, i, &st))) {
		file->fd = fd;
	} else {
		char name[256];

		log_info("%s is not the file that was mapped when %s was made",
			 safe_for_message(name, sizeof(name), file->path), core->path);
		close(fd);
	}
	return file->fd;
}

size_t core_find_file(const struct core *core, const struct source_file *file)
{
	const struct core_mapping *m = core_find_mapping(core, file->start);
	size_t i = m ? m->file : 0;

	if (m && !strcmp(core->files[i].path, file->path))
		return i;
	for (i = 0; i < core->n_files; i++)
		if (core->files[i].deleted == file->deleted &&
		    !strcmp(core->files[i].path, file->path))
			break;
	return i;
}

bool source_is_text(const char *path)
{
	/* a pipe without a writer would be waited for */
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned char first[4]; /* as long as the magic numbers are */
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st))
		return false;
	if (!S_ISREG(st.st_mode))
		return S_ISFIFO(st.st_mode);
	n = core_pread(fd, first, sizeof(first), 0);
	for (ssize_t i = 0; i < n; i++)
		if ((first[i] < ' ' && !memchr("\t\n\r", first[i], 3)) || first[i] >= 0x7f)
			return false;
	return n >= 0;
}
