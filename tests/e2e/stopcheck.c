/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopcheck PID TIMES [STACK [PAUSE_US]]: stops all threads of a process, or, with STACK, the
 * first one only, of which so many bytes of stack are taken along. Writes one line of JSON: how
 * often that worked, how long the process stood, and the errors with their numbers. A process that
 * runs another program by now is opened again.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stallscope/arena.h"
#include "stallscope/stop.h"

#define KINDS 8

static int32_t tids[STOP_MAX_THREADS];
static struct {
	char text[512];
	unsigned n;
} errors[KINDS];

static size_t list_threads(const char *pid, bool first_only)
{
	char path[64];
	struct dirent *d;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.20s/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir)) && n < (first_only ? 1 : STOP_MAX_THREADS))
		if (d->d_name[0] != '.')
			tids[n++] = (int32_t)strtol(d->d_name, NULL, 10);
	if (dir)
		closedir(dir);
	return n;
}

static void count_error(const struct error *err)
{
	size_t i = 0;

	while (i < KINDS - 1 && errors[i].n && strcmp(errors[i].text, err->text) != 0)
		i++;
	snprintf(errors[i].text, sizeof(errors[i].text), "%s", err->text);
	errors[i].n++;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void print(uint64_t *paused, size_t n, uint64_t sum)
{
	qsort(paused, n, sizeof(*paused), by_value);
	printf("{\"stopped\": %zu, \"paused_us\": %" PRIu64 ", \"longest_us\": %" PRIu64
	       ", \"p99_us\": %" PRIu64 ", \"median_us\": %" PRIu64 ", \"errors\": {",
	       n, sum / 1000, n ? paused[n - 1] / 1000 : 0, n ? paused[n * 99 / 100] / 1000 : 0,
	       n ? paused[n / 2] / 1000 : 0);
	for (size_t i = 0; i < KINDS && errors[i].n; i++)
		printf("%s\"%s\": %u", i ? ", " : "", errors[i].text, errors[i].n);
	puts("}}");
}

/* The same number again, where it is another program by now; NULL when there is none. */
static struct source *reopen(struct source *src)
{
	pid_t pid = source_pid(src);

	if (source_alive(src))
		return src;
	source_close(src);
	return source_open_live(pid, &src, NULL) ? src : NULL;
}

int main(int argc, char **argv)
{
	size_t times = argc > 2 ? strtoul(argv[2], NULL, 10) : 0, n = 0;
	struct stop_request want = {.tids = tids, .registers = true};
	long nap_us = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
	struct source *src;
	struct error err;
	uint64_t *paused, sum = 0;

	if (!times)
		return 2;
	want.stack = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
	if (!source_open_live((pid_t)strtol(argv[1], NULL, 10), &src, &err)) {
		printf("{\"stopped\": 0, \"paused_us\": 0, \"errors\": {\"%s\": 1}}\n", err.text);
		return 0;
	}
	paused = mem_zalloc(times, sizeof(*paused));
	for (size_t i = 0; i < times && src; i++) {
		uint64_t known = source_get_stats(src).paused_ns;
		struct stop *stop;

		want.n_tids = list_threads(argv[1], want.stack != 0);
		if (source_stop(src, &want, &stop, &err)) {
			sum += paused[n++] = stop->paused_ns;
			stop_destroy(stop);
		} else {
			sum += source_get_stats(src).paused_ns - known;
			count_error(&err);
			src = reopen(src);
		}
		if (nap_us)
			nanosleep(&(struct timespec){0, nap_us * 1000}, NULL);
	}
	print(paused, n, sum);
	free(paused);
	source_close(src);
	return 0;
}
