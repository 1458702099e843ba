/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the user's own that have rows of the catalogue. Nothing of the target is read here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "culprits_private.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/strbuf.h"
#include "stallscope/utf8.h"

static bool cannot_read(const char *path, int sys, struct error *err)
{
	enum error_code code = sys == EACCES || sys == EPERM	 ? ERR_PERMISSION
			       : sys == ENOENT || sys == ENOTDIR ? ERR_NO_FILE
								 : ERR_BAD_FILE;
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, path, strlen(path), 200);
	error_sys(err, code, sys, "cannot read the catalogue %s", safe.data);
	return error_hint(err, "stallscope-culprits(5) tells what such a file has in it");
}

/* A pipe will do too, so its size is known at its end only. */
static bool read_all(int fd, const char *path, struct strbuf *text, struct error *err)
{
	while (text->len <= CULPRITS_BYTES_MAX) {
		char *room = strbuf_room(text, 65536);
		ssize_t got = read(fd, room, 65536);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cannot_read(path, errno, err);
		if (!got)
			return true;
		strbuf_setlen(text, text->len + (size_t)got);
	}
	cannot_read(path, EFBIG, err);
	return error_hint(err, "at most %u MiB are read", CULPRITS_BYTES_MAX >> 20);
}

bool culprits_read(const char *path, char **ret, size_t *len, struct error *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (fd < 0)
		return cannot_read(path, errno, err);
	if (!read_all(fd, path, &text, err))
		return false;
	*ret = mem_alloc(text.len + 1);
	memcpy(*ret, text.data, text.len + 1);
	*len = text.len;
	return true;
}

/* A relative XDG_CONFIG_HOME is to be ignored: XDG Base Directory Specification 0.8. */
bool culprits_config_path(char *buf, size_t size)
{
	static const char file[] = "stallscope/culprits.tsv";
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int len = -1;

	if (config && *config == '/')
		len = snprintf(buf, size, "%s/%s", config, file);
	else if (home && *home == '/')
		len = snprintf(buf, size, "%s/.config/%s", home, file);
	return len > 0 && (size_t)len < size;
}
