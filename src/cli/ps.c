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
#include "stallscope/table.h"
#include "stallscope/utf8.h"

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

/* The program without its folder: the room is for what tells one from another. */
static const char *short_command(const char *command)
{
	const char *slash = memrchr(command, '/', strcspn(command, " "));

	return slash ? slash + 1 : command;
}

/* Why it could not be looked at; which process that is stands before it. */
static const char *reason(const struct row *r)
{
	char whose[32];
	int n = snprintf(whose, sizeof(whose), "process %s ", r->pid);

	return r->err.text + (strncmp(r->err.text, whose, (size_t)n) ? 0 : n);
}

static void text_row(const struct row *r, struct page *p, struct table *t)
{
	const struct brief *b = &r->brief;
	char lag[48] = "-";

	page_cell(p, t, "%s", r->pid);
	page_cell(p, t, "%s", r->ok ? b->verdict : "?");
	if (r->ok)
		page_cell(p, t, "%s", b->kind[0] ? b->kind : "-");
	else
		page_cell(p, t, "%s", r->err.code == ERR_PERMISSION ? "no permission" : "-");
	if (r->ok && !isnan(b->lag_s))
		format_duration(lag, sizeof(lag), (int64_t)(b->lag_s * 1e9));
	page_cell(p, t, "%s", lag);
	if (r->ok && b->tasks >= 0)
		page_cell(p, t, "%lld", (long long)b->tasks);
	else
		page_cell(p, t, "-");
	if (!r->ok)
		page_cell(p, t, "%s", reason(r));
	else if (b->function)
		page_cell(p, t, "%s %s:%d", b->function, short_path(b->file), b->line);
	else
		page_cell(p, t, "-");
	page_cell(p, t, "%s", short_command(r->command.data));
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

/* Where rows go: JSON as they are found, a table when its widths are known. */
struct list {
	const struct options *o;
	struct page page;
	struct table *table;
	struct strbuf out;
};

static void put_row(struct list *l, const struct row *r)
{
	if (l->o->format == FORMAT_JSON)
		json_row(r, &l->out);
	else
		text_row(r, &l->page, l->table);
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

static void look_at(struct list *l, struct row *r, struct target *target)
{
	struct look k;

	r->ok = look_open(target, l->o, &k, &r->err);
	if (r->ok) {
		brief_of(k.snap, k.d, &r->brief);
		snprintf(r->python, sizeof(r->python), "3.%d", k.snap->minor);
	}
	if (r->ok || r->err.code != ERR_GONE)
		put_row(l, r);
	look_close(&k);
}

static void process(struct list *l, struct source *self, const char *pid)
{
	struct row r = {.command = STRBUF_INIT};
	struct target target;

	utf8_copy(r.pid, sizeof(r.pid), pid);
	if (read_command(self, pid, &r.command)) {
		if (target_open(r.pid, false, &target, &r.err)) {
			look_at(l, &r, &target);
			target_close(&target);
		} else if (worth_a_row(self, &r)) {
			put_row(l, &r);
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

static bool list_processes(struct list *l, struct error *err)
{
	cleanup_strbuf struct strbuf names = STRBUF_INIT;
	const struct strbuf *text;
	struct source *self;
	char **v;
	size_t n;

	if (!source_open_live(getpid(), &self, err))
		return false;
	if (!source_host(self, "/proc/", &text, err)) {
		source_close(self);
		return false;
	}
	strbuf_add(&names, text->data, text->len);
	v = pids(names.data, &n);
	for (size_t i = 0; i < n; i++)
		process(l, self, v[i]);
	free(v);
	source_close(self);
	return true;
}

int command_ps(const struct options *o)
{
	struct options one_look = *o;
	struct list l = {.o = &one_look, .out = STRBUF_INIT};
	struct error err;
	int status;

	one_look.for_ns = 0;
	l.table = page_table(&l.page, "", ">PID|=VERDICT|=KIND|>LAG|>TASKS|+/WHO|/COMMAND");
	if (culprits_load(o->culprits, &err) && list_processes(&l, &err)) {
		if (o->format != FORMAT_JSON)
			table_text(l.table, text_width(o), o->ascii, &l.out);
		status = write_text(o, &l.out);
	} else {
		status = report_error(&err);
	}
	strbuf_deinit(&l.out);
	page_deinit(&l.page);
	return status;
}
