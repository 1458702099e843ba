/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --save: a sparse core of each stall. It is taken by a look of its own, since a core is of one
 * look, through a source that remembers for it. The newest ones are kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "watch.h"

struct saved {
	char *path;
	uint64_t bytes;
};

struct watch_save {
	const char *dir;
	struct saved v[WATCH_SAVE_FILES]; /* oldest first */
	size_t n;
	uint64_t bytes;
	bool has_failed; /* and was said to have */
};

static bool refuse(const char *dir, int sys, struct error *err)
{
	return error_sys(err, ERR_CANNOT_CREATE, sys, "cannot save cores in %s", dir);
}

bool watch_save_open(const char *dir, struct watch_save **ret, struct error *err)
{
	cleanup_fd int fd = -1;
	struct watch_save *save;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return refuse(dir, errno, err);
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS))
		return refuse(dir, errno, err);
	save = mem_zalloc(1, sizeof(*save));
	save->dir = dir;
	*ret = save;
	return true;
}

static void drop_oldest(struct watch_save *save)
{
	unlink(save->v[0].path);
	free(save->v[0].path);
	save->bytes -= save->v[0].bytes;
	memmove(&save->v[0], &save->v[1], --save->n * sizeof(save->v[0]));
}

/* stall-20261126T140316.231-4242.core: sorted by time, and whose it is. */
static char *name_for(const struct watch_save *save, const struct look *k)
{
	uint64_t wall = k->snap->wall_ns;
	time_t seconds = (time_t)(wall / WATCH_SECOND);
	char stamp[32] = "";
	struct tm tm;
	char *path;

	if (gmtime_r(&seconds, &tm))
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	if (asprintf(&path, "%s/stall-%s.%03u-%d.core", save->dir, stamp,
		     (unsigned)(wall / WATCH_MS % 1000), (int)k->snap->process->pid) < 0)
		return NULL;
	return path;
}

static bool is_it(const struct look *k, uint64_t loop, uint64_t turn)
{
	for (size_t i = 0; i < k->snap->n_loops; i++)
		if (k->snap->loops[i].run.loop == loop)
			return !turn || watch_same_turn(&k->snap->loops[i], turn);
	return false;
}

static char *keep(struct watch_save *save, const struct look *k, struct error *err)
{
	char *path = name_for(save, k);
	struct stat st;

	if (!path || !look_save(k, path, err)) {
		free(path);
		return NULL;
	}
	while (save->n == WATCH_SAVE_FILES)
		drop_oldest(save);
	if (stat(path, &st))
		st.st_size = 0;
	save->v[save->n++] = (struct saved){strdup(path), (uint64_t)st.st_size};
	save->bytes += (uint64_t)st.st_size;
	while (save->bytes > WATCH_SAVE_BYTES && save->n > 1)
		drop_oldest(save);
	return path;
}

char *watch_save_stall(struct watch_save *save, const struct watch *w, const struct watched *t,
		       uint64_t loop, uint64_t turn)
{
	struct target target;
	struct look k = {.target = &target, .o = &w->o, .host = STRBUF_INIT};
	struct error err = {.code = ERR_OK};
	char *path = NULL;
	char argument[16];

	snprintf(argument, sizeof(argument), "%d", (int)t->pid);
	if (!target_open(argument, false, &target, &err))
		return NULL;
	source_pin(target.src);
	look_find_host(&k);
	if (look_take(&k, &err) && is_it(&k, loop, turn))
		path = keep(save, &k, &err);
	if (!path && err.code != ERR_OK && !save->has_failed) {
		save->has_failed = true;
		log_warn("a stall was not saved: %s", err.text);
	}
	look_close(&k);
	target_close(&target);
	return path;
}

void watch_save_close(struct watch_save *save)
{
	for (size_t i = 0; i < save->n; i++)
		free(save->v[i].path);
	free(save);
}
