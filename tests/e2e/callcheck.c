/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callcheck PID: for each line on standard input says what the second innermost frame of the
 * main thread of a live interpreter calls (the innermost one is the target's profile hook):
 *
 *	TEXT\tNAME\tNAME...	or "-" when it is not told
 *
 * "time N" as a line makes it ask N times and print the microseconds for each; "at ADDRESS OFFSET"
 * asks for an instruction of a code object, as if that frame stood at it: only the text tells then.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stallscope/python.h"

#define FRAMES 64

/* Is it the profile hook, and does it wait? */
static bool hook_waits(struct python *py, const struct py_frame *frame)
{
	struct py_call call;

	return !strcmp(py->codes[frame->code].name, "hook") && python_call(py, frame, &call) &&
	       !strcmp(call.text, "os.read");
}

static bool find_once(struct python *py, struct py_frame *frame)
{
	struct py_interpreter *interps = NULL;
	struct py_thread *threads = NULL;
	static struct py_frame frames[FRAMES];
	size_t n_interps, n_threads, n = 0;
	bool truncated, ok = false;
	struct error err;

	if (python_threads(py, &interps, &n_interps, &threads, &n_threads, &err)) {
		for (size_t i = 0; i < n_threads && !ok; i++) {
			if (threads[i].tid != py->proc->pid)
				continue;
			python_stack(py, threads[i].tstate, frames, FRAMES, &n, &truncated, &err);
			ok = n > 1 && hook_waits(py, &frames[0]);
			*frame = frames[1];
		}
	}
	free(interps);
	free(threads);
	return ok;
}

/* The line that asked was sent when the hook was about to wait. */
static bool find(struct python *py, struct source *src, struct py_frame *frame)
{
	for (int tries = 0; tries < 1000; tries++) {
		source_forget(src);
		python_new_look(py, src);
		if (find_once(py, frame))
			return true;
	}
	return false;
}

static void print(struct python *py, const struct py_frame *frame, bool found)
{
	struct py_call call;

	if (found && python_call(py, frame, &call)) {
		printf("%s", call.text);
		for (size_t i = 0; i < call.n_names; i++)
			printf("\t%s", call.names[i]);
	} else {
		printf("-");
	}
	printf("\n");
	fflush(stdout);
}

static void answer(struct python *py, struct source *src)
{
	struct py_frame frame;

	print(py, &frame, find(py, src, &frame));
}

static void answer_at(struct python *py, struct source *src, const char *place)
{
	static struct py_frame frame; /* found once */
	char *end;

	if (!frame.address && !find(py, src, &frame))
		return;
	frame.code = python_code(py, strtoull(place, &end, 16));
	rd_take(&py->rd);
	frame.instr = (int32_t)strtol(end, NULL, 10);
	print(py, &frame, true);
}

static void measure(struct python *py, struct source *src, unsigned times)
{
	struct timespec begin, end;
	struct py_frame frame;
	struct py_call call;
	double us = 0;

	for (unsigned i = 0; i < times; i++) {
		if (!find(py, src, &frame))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &begin);
		python_call(py, &frame, &call);
		clock_gettime(CLOCK_MONOTONIC, &end);
		us += (double)(end.tv_sec - begin.tv_sec) * 1e6 +
		      (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
	}
	printf("%.1f\n", us / times);
	fflush(stdout);
}

static void serve(struct python *py, struct source *src)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "time ", 5))
			measure(py, src, (unsigned)strtoul(line + 5, NULL, 10));
		else if (!strncmp(line, "at ", 3))
			answer_at(py, src, line + 3);
		else
			answer(py, src);
	}
}

int main(int argc, char **argv)
{
	struct process *proc = NULL;
	struct source *src = NULL;
	struct python *py = NULL;
	struct error err;
	int status = 1;

	if (argc != 2)
		return 2;
	if (source_open_live(atoi(argv[1]), &src, &err) && process_read(src, &proc, &err) &&
	    python_open(src, proc, &py, &err)) {
		serve(py, src);
		status = 0;
	} else {
		fprintf(stderr, "callcheck: %s\n", err.text);
	}
	python_close(py);
	process_destroy(proc);
	source_close(src);
	return status;
}
