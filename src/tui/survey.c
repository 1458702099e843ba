/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each round: which processes there are, a full look at each of them that is Python (of few tasks:
 * what is wanted is the verdict), and a light one a moment later. Rows are handed over after each
 * of both, so that the first are there soon. Targets stay open from round to round.
 */
#include "survey.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/utf8.h"
#include "thread.h"

#define SECOND	   INT64_C(1000000000)
#define ROUND_NS   (2 * SECOND)
#define GAP_NS	   (SECOND / 40) /* between both looks */
#define MAX_TASKS  2000u
#define KNOWN_MAX  65536u
#define SURVEY_MAX 2000u /* processes in the list */

/* What is kept of a process from round to round. */
struct known {
	int32_t pid;
	uint64_t started;
	bool python, seen, fresh;
	struct opened *target;
	struct source *light;
	struct snapshot *snap; /* of this round */
	uint64_t cpu_ticks;
	int64_t cpu_at_ns;
	struct survey_row row;
};

struct survey {
	struct tui_thread thread;
	int wake;
	int64_t threshold_ns;
	bool on, stop;
	struct survey_row *rows;
	size_t n_rows;
	bool have_rows;
	struct known **known; /* the thread's own */
	size_t n_known, known_cap;
};

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* ---- one process -------------------------------------------------------------------------------
 */

static void close_known(struct known *k)
{
	snapshot_destroy(k->snap);
	k->snap = NULL;
	source_close(k->light);
	k->light = NULL;
	opened_unref(k->target);
	k->target = NULL;
}

static void user_name(uint32_t uid, char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char text[1024];

	if (!getpwuid_r(uid, &pw, text, sizeof(text), &found) && found) {
		cleanup_strbuf struct strbuf safe = STRBUF_INIT;

		utf8_add_safe(&safe, pw.pw_name, strlen(pw.pw_name), size / 4 - 1);
		utf8_copy(buf, size, safe.data);
	} else {
		snprintf(buf, size, "%u", uid);
	}
}

static void name_row(struct known *k, const struct source_process *p)
{
	const char *text = p->command[0] ? p->command : p->comm, *slash;
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	size_t first = strcspn(text, " ");

	/* the folders of the interpreter would take the room of the script */
	slash = memrchr(text, '/', first);
	if (slash)
		text = slash + 1;
	utf8_add_safe(&safe, text, strlen(text), 100);
	utf8_copy(k->row.command, sizeof(k->row.command), safe.data);
	user_name(p->uid, k->row.user, sizeof(k->row.user));
}

static void used_cpu(struct known *k, const struct source_process *p)
{
	double seconds = (double)(now() - k->cpu_at_ns) / 1e9;

	k->row.cpu = -1;
	if (k->cpu_at_ns && seconds > 0.1 && p->cpu_ticks >= k->cpu_ticks)
		k->row.cpu = (double)(p->cpu_ticks - k->cpu_ticks) / (double)sysconf(_SC_CLK_TCK) /
			     seconds;
	k->cpu_ticks = p->cpu_ticks;
	k->cpu_at_ns = now();
}

static void fill_row(struct known *k, const struct diagnosis *d)
{
	const struct snapshot *s = k->snap;
	struct survey_row *r = &k->row;

	r->readable = true;
	r->problem[0] = r->hint[0] = 0;
	r->have_loop = d->worst_loop != SNAP_NONE;
	r->id = d->worst;
	r->late_ns = r->tasks = -1;
	snprintf(r->python, sizeof(r->python), "3.%d", s->minor);
	if (s->micro >= 0)
		snprintf(r->python, sizeof(r->python), "3.%d.%d", s->minor, s->micro);
	snprintf(r->loop, sizeof(r->loop), "-");
	if (r->have_loop) {
		const struct snap_loop *l = &s->loops[d->worst_loop];
		const struct verdict *v = &d->loops[d->worst_loop];

		snprintf(r->loop, sizeof(r->loop), l->info.is_uvloop ? "uvloop" : "asyncio");
		snprintf(r->kind, sizeof(r->kind), "%s", v->kind);
		r->late_ns = v->have_held && v->held_ns > v->lag_ns ? v->held_ns : v->lag_ns;
		r->tasks = (int64_t)l->tasks;
		if (s->n_tasks >= MAX_TASKS && l->growth.tasks_last > r->tasks)
			r->tasks = l->growth.tasks_last;
	}
}

static void failed(struct known *k, const struct error *err)
{
	struct survey_row *r = &k->row;

	r->readable = r->have_loop = false;
	r->late_ns = r->tasks = -1;
	snprintf(r->python, sizeof(r->python), "?");
	snprintf(r->loop, sizeof(r->loop), "?");
	utf8_copy(r->problem, sizeof(r->problem), err->text);
	utf8_copy(r->hint, sizeof(r->hint), err->hint);
	close_known(k);
}

static void judge(struct survey *s, struct known *k)
{
	struct diagnose_options options = {s->threshold_ns};
	struct diagnosis *d = diagnose(k->snap, &options);

	fill_row(k, d);
	diagnosis_destroy(d);
}

static bool look(struct survey *s, struct known *k, struct error *err)
{
	struct snapshot_options options = {.max_tasks = MAX_TASKS};
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", k->pid);
	if (!k->target) {
		if (!opened_open(pid, &k->target, err))
			return false;
		k->light = source_again(k->target->src);
	} else {
		source_forget(k->target->src);
		python_new_look(k->target->py, k->target->src);
	}
	snapshot_destroy(k->snap);
	k->snap = NULL;
	if (!snapshot_take(k->target->py, k->target->proc, &options, &k->snap, err))
		return false;
	judge(s, k);
	return true;
}

static bool look_again(struct survey *s, struct known *k, struct error *err)
{
	if (!k->snap)
		return true;
	if (!snapshot_look(k->target->py, k->light, k->snap, err))
		return false;
	judge(s, k);
	snapshot_destroy(k->snap);
	k->snap = NULL;
	return true;
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static struct known *find_known(struct survey *s, const struct source_process *p)
{
	struct known *k;

	for (size_t i = 0; i < s->n_known; i++)
		if (s->known[i]->pid == p->pid && s->known[i]->started == p->started)
			return s->known[i];
	k = mem_zalloc(1, sizeof(*k));
	k->pid = k->row.pid = p->pid;
	k->started = p->started;
	k->fresh = true;
	*array_push(&s->known, &s->n_known, &s->known_cap) = k;
	return k;
}

static void forget_ended(struct survey *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_known; i++) {
		struct known *k = s->known[i];

		if (k->seen) {
			s->known[kept++] = k;
			continue;
		}
		close_known(k);
		free(k);
	}
	s->n_known = kept;
}

static bool find_processes(struct survey *s)
{
	struct source_process *v;
	size_t n;

	if (!source_processes(&v, &n, NULL))
		return false;
	for (size_t i = 0; i < s->n_known; i++)
		s->known[i]->seen = false;
	for (size_t i = 0; i < n && s->n_known < KNOWN_MAX; i++) {
		struct known *k = find_known(s, &v[i]);

		k->seen = true;
		if (k->fresh)
			k->python = v[i].pid != getpid() && source_may_be_python(&v[i]);
		k->fresh = false;
		if (!k->python)
			continue;
		name_row(k, &v[i]);
		used_cpu(k, &v[i]);
	}
	free(v);
	forget_ended(s);
	return true;
}

static bool goes_on(struct survey *s)
{
	bool on;

	pthread_mutex_lock(&s->thread.lock);
	on = !s->stop && s->on;
	pthread_mutex_unlock(&s->thread.lock);
	return on;
}

static void each(struct survey *s,
		 bool (*what)(struct survey *s, struct known *k, struct error *err))
{
	size_t shown = 0;

	for (size_t i = 0; i < s->n_known && shown < SURVEY_MAX && goes_on(s); i++) {
		struct error err;

		if (!s->known[i]->python)
			continue;
		shown++;
		if (!what(s, s->known[i], &err))
			failed(s->known[i], &err);
	}
}

static void publish(struct survey *s)
{
	struct survey_row *rows = mem_alloc((s->n_known + 1) * sizeof(*rows)), *old;
	uint64_t one = 1;
	size_t n = 0;

	for (size_t i = 0; i < s->n_known && n < SURVEY_MAX; i++)
		if (s->known[i]->python)
			rows[n++] = s->known[i]->row;
	pthread_mutex_lock(&s->thread.lock);
	old = s->rows;
	s->rows = rows;
	s->n_rows = n;
	s->have_rows = true;
	pthread_mutex_unlock(&s->thread.lock);
	free(old);
	if (write(s->wake, &one, sizeof(one)) < 0)
		return;
}

bool survey_fetch(struct survey *s, struct survey_row **ret, size_t *n)
{
	bool have;

	pthread_mutex_lock(&s->thread.lock);
	have = s->have_rows;
	if (have) {
		*ret = s->rows;
		*n = s->n_rows;
		s->rows = NULL;
		s->have_rows = false;
	}
	pthread_mutex_unlock(&s->thread.lock);
	return have;
}

/* ---- the thread --------------------------------------------------------------------------------
 */

/* Until it is switched on; then at most so long. False: it is to end. */
static bool pause_for(struct survey *s, int64_t ns)
{
	int64_t until = now() + ns;
	struct timespec ts = {until / SECOND, until % SECOND};
	bool stop;

	pthread_mutex_lock(&s->thread.lock);
	while (!s->stop && !s->on)
		pthread_cond_wait(&s->thread.changed, &s->thread.lock);
	while (!s->stop && s->on && ns)
		if (pthread_cond_timedwait(&s->thread.changed, &s->thread.lock, &ts) == ETIMEDOUT)
			break;
	stop = s->stop;
	pthread_mutex_unlock(&s->thread.lock);
	return !stop;
}

static void *run(void *arg)
{
	struct survey *s = arg;

	while (pause_for(s, 0)) {
		int64_t begin = now();

		if (find_processes(s)) {
			each(s, look);
			publish(s);
			if (!pause_for(s, GAP_NS))
				break;
			each(s, look_again);
			publish(s);
		}
		if (now() - begin < ROUND_NS && !pause_for(s, ROUND_NS - (now() - begin)))
			break;
	}
	for (size_t i = 0; i < s->n_known; i++) {
		close_known(s->known[i]);
		free(s->known[i]);
	}
	free(s->known);
	thread_ends(&s->thread);
	return NULL;
}

struct survey *survey_start(int64_t threshold_ns, int wake)
{
	struct survey *s = mem_zalloc(1, sizeof(*s));

	s->threshold_ns = threshold_ns;
	s->wake = wake;
	thread_start(&s->thread, run, s); /* without one there are no rows */
	return s;
}

void survey_switch(struct survey *s, bool on)
{
	pthread_mutex_lock(&s->thread.lock);
	s->on = on;
	pthread_cond_broadcast(&s->thread.changed);
	pthread_mutex_unlock(&s->thread.lock);
}

void survey_stop(struct survey *s)
{
	pthread_mutex_lock(&s->thread.lock);
	s->stop = true;
	pthread_cond_broadcast(&s->thread.changed);
	pthread_mutex_unlock(&s->thread.lock);
	if (!thread_end(&s->thread, now() + SECOND / 2))
		return;
	free(s->rows);
	free(s);
}
