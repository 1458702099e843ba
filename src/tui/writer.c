/* SPDX-License-Identifier: Apache-2.0 */
#include "writer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/render.h"

struct writer {
	pthread_t thread;
	int wake;
	bool busy; /* a thread runs, or its answer was not fetched */
	atomic_bool done;
	struct picture *picture;
	double threshold_s;
	char path[96], text[300];
};

static bool write_json(struct writer *w, const char *temporary)
{
	const struct snapshot *s = &w->picture->snap;
	const struct base *base = w->picture->base;
	struct render_options options = {
		.width = 80,
		.tasks = RENDER_TASKS_ALL,
		.verbose = true,
		.threshold_s = w->threshold_s,
		.host = base && base->opened->host.len ? base->opened->host.data : NULL};
	FILE *file = fopen(temporary, "wxe"); /* never over what is there */
	bool ok;

	if (!file)
		return false;
	fchmod(fileno(file), 0600); /* names and arguments may be secrets */
	ok = render_json(s, w->picture->d, &options, file) && !fflush(file) && !ferror(file);
	ok = !fclose(file) && ok;
	ok = ok && !rename(temporary, w->path);
	if (!ok) {
		int sys = errno;

		unlink(temporary);
		errno = sys;
	}
	return ok;
}

static void *run(void *arg)
{
	struct writer *w = arg;
	char temporary[112];
	uint64_t one = 1;

	snprintf(temporary, sizeof(temporary), "%s.part", w->path);
	if (write_json(w, temporary))
		snprintf(w->text, sizeof(w->text), "written: %s", w->path);
	else
		snprintf(w->text, sizeof(w->text), "cannot write %s: %s", w->path, strerror(errno));
	atomic_store(&w->done, true);
	if (write(w->wake, &one, sizeof(one)) < 0)
		return NULL;
	return NULL;
}

struct writer *writer_create(int wake)
{
	struct writer *w = mem_zalloc(1, sizeof(*w));

	w->wake = wake;
	return w;
}

bool writer_begin(struct writer *w, struct picture *p, int64_t threshold_ns)
{
	time_t t = time(NULL);
	char when[32] = "";
	sigset_t all, before;
	struct tm tm;
	int code;

	if (w->busy)
		return false;
	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y%m%d-%H%M%S", &tm);
	snprintf(w->path, sizeof(w->path), "stallscope-%d-%s.json", (int)p->snap.process->pid,
		 when);
	w->threshold_s = (double)threshold_ns / 1e9;
	w->picture = picture_ref(p);
	atomic_store(&w->done, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&w->thread, NULL, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->busy = !code;
	if (code)
		picture_unref(w->picture);
	return !code;
}

bool writer_done(struct writer *w, char *text, size_t size)
{
	if (!w->busy || !atomic_load(&w->done))
		return false;
	pthread_join(w->thread, NULL);
	w->busy = false;
	picture_unref(w->picture);
	snprintf(text, size, "%s", w->text);
	return true;
}

void writer_destroy(struct writer *w)
{
	if (!w)
		return;
	if (w->busy) {
		pthread_join(w->thread, NULL);
		picture_unref(w->picture);
	}
	free(w);
}
