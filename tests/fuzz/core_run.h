/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_run.h - bytes as a core, through the whole program: opened, read, judged, printed
 *
 * What comes out is checked: JSON must be JSON, and text must be lines of at most the width
 * without anything in them that moves a cursor.
 */
#ifndef STALLSCOPE_TESTS_CORE_RUN_H
#define STALLSCOPE_TESTS_CORE_RUN_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stallscope/arena.h"
#include "stallscope/log.h"
#include "stallscope/render.h"
#include "stallscope/utf8.h"

#define RUN_WIDTH 80

static inline void check_line(const char *line, size_t len)
{
	size_t columns = 0;
	uint32_t cp;

	for (size_t i = 0; i < len;) {
		struct strbuf safe = STRBUF_INIT;
		size_t n = utf8_decode(line + i, len - i, &cp);

		if (cp == UTF8_BAD)
			abort();
		strbuf_addch(&safe, 'a'); /* for a mark to stand on */
		utf8_add_safe_cp(&safe, cp);
		if (safe.len != n + 1)
			abort();
		strbuf_deinit(&safe);
		columns += utf8_cp_width(cp);
		i += n;
	}
	if (columns > RUN_WIDTH)
		abort();
}

static inline void check_text(const struct strbuf *text)
{
	const char *line = text->data, *end;

	if (!text->len || text->data[text->len - 1] != '\n')
		abort();
	if (strncmp(line, "stallscope: pid ", 16) != 0 || memchr(line, 0, text->len))
		abort();
	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		check_line(line, (size_t)(end - line));
	}
}

static inline void check_json(const struct snapshot *snap, const struct diagnosis *d,
			      const struct render_options *options)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	json_error_t error;
	json_t *root;

	if (!out || !render_json(snap, d, options, out) || fclose(out))
		abort();
	root = json_loadb(text, len, 0, &error);
	if (!json_is_object(root)) {
		fprintf(stderr, "%s near %.60s\n", error.text, text + error.position);
		abort();
	}
	json_decref(root);
	free(text);
}

static inline void render_all(const struct snapshot *snap, struct diagnosis *d, unsigned choice)
{
	struct render_options options = {.width = RUN_WIDTH,
					 .ascii = choice & 1,
					 .verbose = choice & 2,
					 .tasks = (enum render_tasks)(choice >> 2 & 3),
					 .threshold_s = 0.1};
	struct strbuf text = STRBUF_INIT;

	render_text(snap, d, &options, &text);
	check_text(&text);
	strbuf_deinit(&text);
	options.tasks = RENDER_TASKS_ALL;
	check_json(snap, d, &options);
}

static inline void look_into(struct source *src, struct process *proc, struct python *py,
			     unsigned choice)
{
	bool held[SNAP_MAX_LOOPS] = {false};
	struct snapshot_native_options native = {SNAP_NATIVE_ALWAYS, false, held};
	struct snapshot_options how = {.variables = (enum snap_variables)((choice >> 4) % 3),
				       .types_only = choice & 64};
	struct diagnose_options options = {100000000};
	struct snapshot *snap;
	struct diagnosis *d;
	const struct strbuf *looks;

	if (!snapshot_take(py, proc, &how, &snap, NULL))
		return;
	looks = source_note(src, "looks");
	if (looks)
		snapshot_looks_read(snap, looks);
	snapshot_native(py, snap, &native);
	if (choice & 64)
		snapshot_redact(snap);
	else if (choice & 2)
		snapshot_sources(snap, src);
	d = diagnose(snap, &options);
	diagnosis_wants(snap, d, INT64_C(2000000000));
	snapshot_ages(snap);
	render_all(snap, d, choice);
	diagnosis_destroy(d);
	snapshot_destroy(snap);
}

/* A file in memory with these bytes, always the same one. */
static inline const char *core_file(const uint8_t *data, size_t size)
{
	static char path[32];
	static int fd = -1;

	if (fd < 0) {
		log_set_level(LOG_QUIET);
		fd = memfd_create("core", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	return path;
}

/* choice: how it is printed. */
static inline void run_core(struct source *src, unsigned choice)
{
	struct process *proc = NULL;
	struct python *py = NULL;

	if (process_read(src, &proc, NULL) && python_open(src, proc, &py, NULL)) {
		source_pin(src);
		look_into(src, proc, py, choice);
	}
	python_close(py);
	process_destroy(proc);
}

#endif
