/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ps: all Python processes of the machine, one look at each. Those that cannot be read are listed
 * with the reason, as far as their name says that they are Python.
 */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "look.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/utf8.h"

#define COMMAND_COLUMNS 60u /* on a terminal: a pipe gets all that was read */
#define WHO_COLUMNS	36u

struct row {
	char pid[16];
	struct strbuf command;
	bool ok;
	struct brief brief;
	struct error err;
	char python[16];
};

static bool from_proc(struct source *self, const char *pid, const char *name,
		      const struct strbuf **ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	return source_host(self, path, ret, NULL);
}

/* argv with blanks between, made safe; false when there is none: threads of the kernel, zombies. */
static bool read_command(struct source *self, const char *pid, struct strbuf *out)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const struct strbuf *text;

	if (!from_proc(self, pid, "cmdline", &text) || !text->len)
		return false;
	strbuf_add(&line, text->data, text->len);
	for (size_t i = 0; i < line.len; i++)
		if (!line.data[i])
			line.data[i] = ' ';
	while (line.len && line.data[line.len - 1] == ' ')
		strbuf_setlen(&line, line.len - 1);
	utf8_add_safe(out, line.data, line.len, 200);
	return true;
}

/* By its name, where nothing else can be seen of it. */
static bool sounds_like_python(struct source *self, const char *pid, const char *command)
{
	const struct strbuf *comm;
	size_t first = strcspn(command, " ");
	const char *word = memmem(command, first, "python", strlen("python"));

	return word || (from_proc(self, pid, "comm", &comm) && strstr(comm->data, "python"));
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void text_head(struct strbuf *out)
{
	strbuf_addf(out, "%7s  %-10s  %-16s  %8s  %7s  %-*s  %s\n", "PID", "VERDICT", "KIND", "LAG",
		    "TASKS", (int)WHO_COLUMNS, "WHO", "COMMAND");
}

static void add_who(const struct brief *b, bool ascii, struct strbuf *out)
{
	cleanup_strbuf struct strbuf who = STRBUF_INIT;
	size_t used;

	if (b->function)
		strbuf_addf(&who, "%s %s:%d", b->function, short_path(b->file), b->line);
	else
		strbuf_addch(&who, '-');
	used = utf8_add_cut(out, who.data, WHO_COLUMNS, false, ascii);
	strbuf_pad(out, ' ', WHO_COLUMNS - used + 2);
}

static void add_command(const struct options *o, const struct row *r, struct strbuf *out)
{
	size_t columns = !o->output && isatty(STDOUT_FILENO) ? COMMAND_COLUMNS : SIZE_MAX;

	utf8_add_cut(out, r->command.data, columns, false, o->ascii);
	strbuf_addch(out, '\n');
}

static void text_row(const struct options *o, const struct row *r, struct strbuf *out)
{
	char lag[48] = "-", tasks[24] = "-";

	if (!r->ok) {
		strbuf_addf(out, "%7s  ?           %s: ", r->pid, r->err.text);
		add_command(o, r, out);
		return;
	}
	if (!isnan(r->brief.lag_s))
		format_duration(lag, sizeof(lag), (int64_t)(r->brief.lag_s * 1e9));
	if (r->brief.tasks >= 0)
		snprintf(tasks, sizeof(tasks), "%lld", (long long)r->brief.tasks);
	strbuf_addf(out, "%7s  %-10s  %-16s  %8s  %7s  ", r->pid, r->brief.verdict,
		    r->brief.kind[0] ? r->brief.kind : "-", lag, tasks);
	add_who(&r->brief, o->ascii, out);
	add_command(o, r, out);
}

static json_t *text_or_null(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *number_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static json_t *who(const struct brief *b)
{
	if (!b->function)
		return json_null();
	return json_pack("{ss ss si}", "qualname", b->function, "file", b->file, "line",
			 (int)b->line);
}

static void json_row(const struct row *r, struct strbuf *out)
{
	const struct brief *b = &r->brief;
	json_t *object =
		json_pack("{ss ss sI ss so so so so so so so so so}", "schema", "stallscope/1",
			  "type", "process", "pid", (json_int_t)strtoll(r->pid, NULL, 10),
			  "command", r->command.data, "python", text_or_null(r->python), "verdict",
			  text_or_null(r->ok ? b->verdict : NULL), "kind",
			  text_or_null(r->ok ? b->kind : NULL), "lag_s",
			  number_or_null(r->ok ? b->lag_s : NAN), "held_s",
			  number_or_null(r->ok ? b->held_s : NAN), "loops",
			  r->ok ? json_integer((json_int_t)b->loops) : json_null(), "tasks",
			  r->ok && b->tasks >= 0 ? json_integer(b->tasks) : json_null(), "who",
			  r->ok ? who(b) : json_null(), "error",
			  r->ok ? json_null() : json_string(r->err.text));
	char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));

	strbuf_addf(out, "%s\n", text ? text : "{}");
	free(text);
	json_decref(object);
}

static void put_row(const struct options *o, const struct row *r, struct strbuf *out)
{
	if (o->format == FORMAT_JSON)
		json_row(r, out);
	else
		text_row(o, r, out);
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Of a process that is Python's, or says so and cannot be looked at. */
static bool worth_a_row(struct source *self, const struct row *r)
{
	if (r->err.code == ERR_NOT_PYTHON || r->err.code == ERR_NO_PROCESS ||
	    r->err.code == ERR_GONE)
		return false;
	return sounds_like_python(self, r->pid, r->command.data);
}

static void look_at(const struct options *o, struct row *r, struct target *target,
		    struct strbuf *out)
{
	struct look k;

	r->ok = look_open(target, o, &k, &r->err);
	if (r->ok) {
		brief_of(k.snap, k.d, &r->brief);
		snprintf(r->python, sizeof(r->python), "3.%d", k.snap->minor);
	}
	if (r->ok || r->err.code != ERR_GONE)
		put_row(o, r, out);
	look_close(&k);
}

static void process(const struct options *o, struct source *self, const char *pid,
		    struct strbuf *out)
{
	struct row r = {.command = STRBUF_INIT};
	struct target target;

	utf8_copy(r.pid, sizeof(r.pid), pid);
	if (read_command(self, pid, &r.command)) {
		if (target_open(r.pid, false, &target, &r.err)) {
			look_at(o, &r, &target, out);
			target_close(&target);
		} else if (worth_a_row(self, &r)) {
			put_row(o, &r, out);
		}
	}
	strbuf_deinit(&r.command);
}

static int by_pid(const void *a, const void *b)
{
	long x = strtol(*(char *const *)a, NULL, 10), y = strtol(*(char *const *)b, NULL, 10);

	return x < y ? -1 : x > y;
}

/* The names in /proc that are pids, in order; the array is freed by the caller. */
static char **pids(char *names, size_t *n)
{
	char **list = NULL, *save = NULL;
	size_t cap = 0;

	*n = 0;
	for (char *w = strtok_r(names, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
		if (source_names_process(w))
			*array_push(&list, n, &cap) = w;
	if (*n)
		qsort(list, *n, sizeof(*list), by_pid);
	return list;
}

int command_ps(const struct options *o)
{
	cleanup_strbuf struct strbuf out = STRBUF_INIT, names = STRBUF_INIT;
	struct options one_look = *o;
	const struct strbuf *text;
	struct source *self;
	struct error err;
	char **list;
	size_t n;

	one_look.for_ns = 0;
	if (!culprits_load(o->culprits, &err) || !source_open_live(getpid(), &self, &err))
		return report_error(&err);
	if (!source_host(self, "/proc/", &text, &err)) {
		source_close(self);
		return report_error(&err);
	}
	strbuf_add(&names, text->data, text->len);
	list = pids(names.data, &n);
	if (o->format != FORMAT_JSON)
		text_head(&out);
	for (size_t i = 0; i < n; i++)
		process(&one_look, self, list[i], &out);
	free(list);
	source_close(self);
	return write_text(o, &out);
}
