/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor: goes through what dump needs, in order, and says of each step whether it works here,
 * and if not why. With --dump-layout it writes the layout of an interpreter from its DWARF.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"

#define CAP_SYS_PTRACE_BIT 19

static void line(const char *what, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const char *what, const char *fmt, ...)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
	va_list ap;

	strbuf_addf(&text, "  %-12s ", what);
	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	utf8_add_wrapped(&out, text.data, output_width(STDOUT_FILENO), 15);
	puts(out.data);
}

static int fail(const char *what, const struct error *err)
{
	line(what, "FAILS: %s", err->text);
	if (err->hint[0])
		line("", "%s", err->hint);
	return error_exit_status(err->code);
}

/* ---- this machine and our rights ----------------------------------------------------------------
 */

/* Our own status, through a source on ourselves: the same code that reads targets. */
static bool own_status(struct proc_status *status)
{
	const struct strbuf *text;
	struct source *src;
	bool ok;

	if (!source_open_live(getpid(), &src, NULL))
		return false;
	ok = source_proc(src, "status", &text, NULL) &&
	     proc_status_parse(text->data, text->len, status, NULL);
	source_close(src);
	return ok;
}

static void yama(void)
{
	static const char *const meanings[] = {
		"any process of the same user", "only descendants, unless CAP_SYS_PTRACE",
		"only with CAP_SYS_PTRACE", "nobody, until the next boot"};
	cleanup_file FILE *f = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = -1;

	if (!f || fscanf(f, "%d", &scope) != 1 || scope < 0 || scope > 3)
		line("yama", "not built in: does not restrict");
	else
		line("yama", "ptrace_scope %d: may read %s", scope, meanings[scope]);
}

static void machine(void)
{
	struct proc_status status;
	struct utsname name;

	printf("stallscope %s\n", PACKAGE_VERSION);
	if (!uname(&name))
		line("kernel", "%s %s, %s", name.sysname, name.release, name.machine);
	if (own_status(&status))
		line("rights", "uid %u, CAP_SYS_PTRACE %s", status.uid[1],
		     status.cap_eff >> CAP_SYS_PTRACE_BIT & 1
			     ? "held: processes of all users can be read"
			     : "not held: only processes of this user can be read");
	yama();
	line("reads", "CPython 3.8 to 3.15");
}

/* ---- one target
 * ------------------------------------------------------------------------------------ */

static void describe_process(const struct process *p)
{
	line("process", "ok: pid %d, uid %u, %s", p->pid, p->uid,
	     p->executable ? p->executable : "(executable unreadable)");
	if (p->ns_pid != p->pid)
		line("namespace", "pid %d inside its pid namespace", p->ns_pid);
	if (p->container)
		line("container", "%s", p->container);
	line("maps", "ok: %zu mappings", p->maps.n);
}

static void describe_layout(const struct layout *layout)
{
	unsigned by[4] = {0}, absent = 0;

	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (!layout_has(layout, (enum layout_field)i))
			absent++;
		else
			by[layout->field[i].provider & 3]++;
	}
	line("layout",
	     "ok: %u fields from the table, %u from DWARF, %u from debug offsets, %u not in this "
	     "version; %u %s from the table",
	     by[LAYOUT_TABLE], by[LAYOUT_DWARF], by[LAYOUT_DEBUG], absent, layout->changed,
	     PLURAL(layout->changed, "differs", "differ"));
}

static void list_fields(const struct layout *layout)
{
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const struct layout_entry *e = &layout->field[i];

		if (e->offset == LAYOUT_ABSENT)
			continue;
		line("", "%-22s %6u  %s", layout_field_name((enum layout_field)i), e->offset,
		     layout_provider_name((enum layout_provider)e->provider));
	}
}

static void describe_python(const struct python *py, bool verbose)
{
	line("python", "ok: CPython 3.%d.%d%s, _PyRuntime at 0x%llx in %s", py->minor, py->micro,
	     py->free_threaded ? " free-threaded" : "", (unsigned long long)py->runtime,
	     py->module.first->file.path);
	describe_layout(&py->layout);
	if (verbose)
		list_fields(&py->layout);
}

static int look(const struct target *t)
{
	struct snapshot_options options = {0};
	struct snapshot *snap;
	struct error err;

	if (!snapshot_take(t->py, t->proc, &options, &snap, &err))
		return fail("look", &err);
	line("look", "ok: %zu %s, %zu %s, %zu %s in %.1f ms, %llu system calls", snap->n_threads,
	     PLURAL(snap->n_threads, "thread", "threads"), snap->n_loops,
	     PLURAL(snap->n_loops, "loop", "loops"), snap->n_tasks,
	     PLURAL(snap->n_tasks, "task", "tasks"), (double)snap->read_ns / 1e6,
	     (unsigned long long)snap->stats.system_calls);
	if (snap->tracer)
		line("tracer", "process %d traces it: reading works, native frames will not",
		     snap->tracer);
	for (size_t i = 0; i < snap->n_problems; i++)
		line("problem", "%s (%s), %u %s", snap->problems[i].what, snap->problems[i].where,
		     snap->problems[i].count, PLURAL(snap->problems[i].count, "time", "times"));
	snapshot_destroy(snap);
	return 0;
}

/* ---- the layout from DWARF
 * ---------------------------------------------------------------------------- */

/* The interpreter's own file, and the extension modules that have structures we read. */
static bool has_structures(const struct python *py, const struct mapping *m)
{
	static const char *const names[] = {"/_asyncio.", "/_queue.", "/_collections.",
					    "/_functools."};

	if (m->offset != 0)
		return false;
	if (m == py->module.first)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strstr(m->file.path, names[i]))
			return true;
	return false;
}

static size_t ask_dwarf(const struct target *t, struct layout *layout)
{
	size_t found = 0;

	for (size_t i = 0; i < t->proc->maps.n; i++) {
		const struct mapping *m = &t->proc->maps.v[i];
		cleanup_fd int fd = -1;

		if (!has_structures(t->py, m))
			continue;
		fd = source_file_open(t->src, &m->file, NULL);
		if (fd >= 0)
			found += layout_from_dwarf(fd, layout);
	}
	return found;
}

static int dump_layout(const struct target *t, const char *path)
{
	struct layout layout = t->py->layout;
	struct output out;
	struct error err;
	size_t found;

	for (size_t i = 0; i < FIELD_COUNT; i++)
		layout.field[i].offset = LAYOUT_ABSENT;
	found = ask_dwarf(t, &layout);
	if (!found) {
		error_set(&err, ERR_ABSENT, "the interpreter has no debug information");
		error_hint(&err, "install it (Debian: python3.%d-dbg) or use a build with -g",
			   layout.minor);
		return fail("dwarf", &err);
	}
	if (!output_open(path, &out, &err))
		return report_error(&err);
	layout_dump(&layout, out.file);
	if (!output_commit(&out, &err))
		return report_error(&err);
	line("dwarf", "ok: %zu fields written to %s", found, path);
	return 0;
}

static int examine(const struct options *o, const char *argument)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;
	struct target t, with_python;
	struct error err;
	int status;

	utf8_add_safe(&name, argument, strlen(argument), 4096);
	printf("\n%s\n", name.data);
	if (!target_open(argument, true, &t, &err))
		return fail("process", &err);
	describe_process(t.proc);
	target_close(&t);
	if (!target_open(argument, false, &with_python, &err))
		return fail("python", &err);
	describe_python(with_python.py, o->verbose > 0);
	status = o->dump_layout ? dump_layout(&with_python, o->dump_layout) : look(&with_python);
	target_close(&with_python);
	return status;
}

int command_doctor(const struct options *o)
{
	int status = 0;

	machine();
	for (size_t i = 0; i < o->n_targets; i++) {
		int one = examine(o, o->targets[i]);

		if (one > status)
			status = one;
	}
	return fflush(stdout) ? 74 : status;
}
