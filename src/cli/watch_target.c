/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that are watched: opened when they are Python's, searched for loops until they have
 * some, opened anew when they became another program, and told to be gone when they ended.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "stallscope/utf8.h"
#include "watch.h"

#define STEP_FIRST_NS (20 * WATCH_MS)	  /* a program that starts has its loop soon */
#define STEP_LAST_NS  WATCH_SECOND	  /* or never */
#define REFRESH_NS    (5 * WATCH_SECOND)  /* loops may begin in other threads */
#define STARTING_NS   (10 * WATCH_SECOND) /* of what was found: it may become Python yet */
#define WATCHED_MAX   4096u

struct watched *watch_add(struct watch *w, pid_t pid, bool is_given, struct error *err)
{
	struct watched *t;
	int fd;

	for (size_t i = 0; i < w->n; i++)
		if (w->v[i]->pid == pid)
			return NULL;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0 && (errno == ESRCH || errno == EINVAL)) {
		error_set(err, ERR_NO_PROCESS, "no process with pid %d", (int)pid);
		return NULL;
	}
	if (w->n == WATCHED_MAX) {
		if (fd >= 0)
			close(fd);
		error_set(err, ERR_USAGE, "more than %u processes", WATCHED_MAX);
		return NULL;
	}
	t = mem_zalloc(1, sizeof(*t));
	t->pid = pid;
	t->pidfd = fd;
	t->is_given = is_given;
	t->step_ns = STEP_FIRST_NS;
	t->clock.pid = pid;
	*array_push(&w->v, &w->n, &w->cap) = t;
	return t;
}

struct watched *watch_add_named(struct watch *w, const char *argument, struct error *err)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	long pid = strtol(argument, NULL, 10);

	utf8_add_safe(&safe, argument, strlen(argument), 100);
	if (!source_names_process(argument)) {
		error_set(err, ERR_USAGE, "%s takes processes, and '%s' is no pid",
			  w->recorder ? "record" : "watch", safe.data);
		error_hint(err, "what is in a file is for stallscope report, or dump");
	} else if (pid <= 0 || pid > INT32_MAX) {
		error_set(err, ERR_NO_PROCESS, "no process with pid %s", safe.data);
	} else {
		return watch_add(w, (pid_t)pid, true, err);
	}
	return NULL;
}

static uint64_t its_now(const struct watched *t)
{
	return watch_now() + (uint64_t)t->ahead_ns;
}

static void say_lost(struct watch *w, struct watched *t, const char *reason)
{
	if (!t->is_greeted)
		return;
	t->is_greeted = false;
	if (w->recorder)
		recorder_end(w->recorder);
	if (!watch_is_text(w)) {
		render_lost(&t->clock, its_now(t), reason, &w->line);
		watch_flush(w);
	}
	if (w->recorder && !w->status) /* whose end that is */
		log_warn("process %d: %s", (int)t->pid, reason);
	else
		log_info("process %d: %s", (int)t->pid, reason);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void close_target(struct watch *w, struct watched *t, uint64_t over_ns)
{
	watched_finish(w, t, over_ns);
	pulse_destroy(t->pulse);
	t->pulse = NULL;
	free(t->loops);
	t->loops = NULL;
	t->n = 0;
	if (!t->is_open)
		return;
	source_close(t->light);
	look_close(&t->look);
	target_close(&t->target);
	t->is_open = false;
}

static bool open_target(struct watch *w, struct watched *t, struct error *err)
{
	char argument[16];

	snprintf(argument, sizeof(argument), "%d", (int)t->pid);
	if (!target_open(argument, false, &t->target, err))
		return false;
	t->look = (struct look){.target = &t->target, .o = &w->o, .host = STRBUF_INIT};
	look_find_host(&t->look);
	t->light = source_again(t->target.src);
	t->ahead_ns = (int64_t)(source_clock(t->target.src) - watch_now());
	t->clock.wall_minus_clock_ns =
		(int64_t)(source_wall_clock(t->target.src) - source_clock(t->target.src));
	t->is_open = true;
	return true;
}

static void greet(struct watch *w, struct watched *t)
{
	struct render_options options = look_rendering(&t->look);

	if (t->is_greeted)
		return;
	t->is_greeted = true;
	w->greeted++;
	if (watch_is_text(w)) {
		log_info("watching process %d", (int)t->pid);
		return;
	}
	render_hello(t->look.snap, &options, (double)w->o.interval_ns / 1e9, &w->line);
	watch_flush(w);
}

/* ---- finding loops --------------------------------------------------------------------------- */

/* Loops that are where they were keep what is known of them. */
static bool same_loops(const struct watched *t)
{
	const struct snapshot *s = t->look.snap;

	if (!t->pulse || t->n != s->n_loops)
		return false;
	for (size_t i = 0; i < t->n; i++)
		if (t->loops[i].stall.loop != s->loops[i].run.loop)
			return false;
	return true;
}

static void take_loops(struct watch *w, struct watched *t)
{
	const struct snapshot *s = t->look.snap;

	watched_finish(w, t, its_now(t));
	pulse_destroy(t->pulse);
	free(t->loops);
	t->n = s->n_loops;
	t->loops = mem_zalloc(t->n + 1, sizeof(*t->loops));
	t->pulse = t->n ? pulse_create(t->target.py, s) : NULL;
	for (size_t i = 0; i < t->n; i++)
		t->loops[i].stall.loop = s->loops[i].run.loop;
}

static bool find_loops(struct watch *w, struct watched *t, struct error *err)
{
	uint64_t cpu = watch_cpu(), max = w->o.max_tasks;
	bool ok;

	diagnosis_destroy(t->look.d);
	snapshot_destroy(t->look.snap);
	t->look.d = NULL;
	t->look.snap = NULL;
	source_forget(t->target.src);
	python_new_look(t->target.py, t->target.src);
	w->o.max_tasks = 1; /* loops are looked for, not their tasks */
	ok = look_take(&t->look, err);
	w->o.max_tasks = max;
	if (ok && w->o.redact)
		snapshot_redact(t->look.snap);
	if (ok) /* the clock of the wall may have been set */
		t->clock.wall_minus_clock_ns =
			(int64_t)(t->look.snap->wall_ns - t->look.snap->clock_ns);
	w->full_cpu_ns += watch_cpu() - cpu;
	return ok;
}

static bool holds_last(const struct watched *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->loops[i].captures)
			return true;
	return false;
}

static void try_again(struct watched *t, uint64_t now)
{
	t->attach_ns = now + t->step_ns;
	t->step_ns = 2 * t->step_ns < STEP_LAST_NS ? 2 * t->step_ns : STEP_LAST_NS;
}

/* To wait for a loop in silence would look as if all were well with one. */
static void say_awaited(const struct watch *w, struct watched *t, const char *what)
{
	if (!t->is_given || t->is_awaited || t->pid == w->command || t->step_ns < STEP_LAST_NS)
		return;
	t->is_awaited = true;
	log_warn("process %d %s: %s", (int)t->pid, what,
		 w->o.children ? "only its children are watched, now and later"
			       : "waiting until it does");
}

/* Why it cannot be watched is told once; one that is not Python's yet may become so. */
static bool give_up(struct watch *w, struct watched *t, const struct error *err)
{
	/* a program that starts, or a parent of workers */
	bool may_come = t->pid == w->command || t->is_greeted ||
			(err->code == ERR_NOT_PYTHON && t->is_given && w->o.children) ||
			(!t->is_given && watch_now() - t->found_ns < STARTING_NS);

	if (err->code == ERR_NO_PROCESS || err->code == ERR_GONE) {
		if (t->pidfd >= 0)
			return false; /* which tells of its end */
		say_lost(w, t, "it ended");
		return true;
	}
	if (t->is_replaced && err->code == ERR_NOT_PYTHON)
		say_lost(w, t, "it became a program that is not Python's");
	if (may_come || t->is_replaced) {
		if (err->code == ERR_NOT_PYTHON)
			say_awaited(w, t, "does not run Python");
		return false;
	}
	if (t->is_given) {
		w->status = report_error(err);
	} else {
		log_info("process %d is not watched: %s", (int)t->pid, err->text);
		addrmap_put(&w->refused, t->key, 1);
	}
	return true;
}

bool watched_attach(struct watch *w, struct watched *t, uint64_t now)
{
	struct error err;

	if (now < t->attach_ns)
		return true;
	if (t->is_open && !source_alive(t->target.src)) {
		close_target(w, t, its_now(t));
		t->is_replaced = true;
		t->step_ns = STEP_FIRST_NS;
	}
	if (holds_last(t)) { /* the light looks go on as long as they see it */
		t->attach_ns = now + REFRESH_NS;
		return true;
	}
	try_again(t, now);
	if ((!t->is_open && !open_target(w, t, &err)) || !find_loops(w, t, &err))
		return !give_up(w, t, &err);
	if (t->is_replaced)
		say_lost(w, t, "it became another program");
	t->is_replaced = false;
	greet(w, t);
	if (!same_loops(t))
		take_loops(w, t);
	if (t->n) {
		t->step_ns = STEP_FIRST_NS;
		t->attach_ns = now + REFRESH_NS;
	} else {
		say_awaited(w, t, "runs no event loop");
	}
	return true;
}

void watched_lost_loops(struct watched *t, uint64_t now)
{
	/* the pulse stays until then: others of its loops may run */
	if (t->attach_ns > now + t->step_ns)
		try_again(t, now);
}

/* ---- the end of one -------------------------------------------------------------------------- */

void watched_remove(struct watch *w, size_t i, const char *reason)
{
	struct watched *t = w->v[i];

	close_target(w, t, reason ? its_now(t) : 0);
	if (reason)
		say_lost(w, t, reason);
	if (t->pidfd >= 0)
		close(t->pidfd);
	free(t);
	w->v[i] = w->v[--w->n];
}

/* ---- new ones -------------------------------------------------------------------------------- */

/* What was found not to be Python's is not asked again as long as it is that program. */
static uint64_t key_of(const struct source_process *p)
{
	uint64_t key = (uint64_t)(uint32_t)p->pid << 40 ^ p->started;

	for (const char *c = p->comm; *c; c++)
		key = (key ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return key;
}

static bool is_child(const struct watch *w, const struct source_process *p)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->v[i]->pid == p->ppid)
			return true;
	return false;
}

static bool is_wanted(struct watch *w, const struct source_process *p)
{
	bool wanted = w->o.all || (w->o.children && is_child(w, p));
	uint64_t key = key_of(p);

	if (!wanted || p->pid == getpid())
		return false;
	if (addrmap_get(&w->refused, key) == ADDRMAP_NONE && source_may_be_python(p))
		return true;
	addrmap_put(&w->refused_now, key, 1);
	return false;
}

static void add_found(struct watch *w, const struct source_process *p)
{
	struct watched *t = watch_add(w, p->pid, false, NULL);

	if (!t)
		return;
	t->key = key_of(p);
	t->found_ns = watch_now();
}

void watch_rescan(struct watch *w)
{
	struct source_process *v;
	size_t n;

	if (!source_processes(&v, &n, NULL))
		return;
	for (size_t i = 0; i < n; i++)
		if (is_wanted(w, &v[i]))
			add_found(w, &v[i]);
	addrmap_deinit(&w->refused);
	w->refused = w->refused_now;
	w->refused_now = (struct addrmap)ADDRMAP_INIT;
	free(v);
}
