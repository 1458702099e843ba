/* SPDX-License-Identifier: Apache-2.0 */
/* text_verdict.c - the part of the text that differs by verdict, from what to how certain */
#include <ctype.h>
#include <string.h>

#include "text.h"

#define INDENT "             "

static const char *duration(char buf[32], int64_t ns)
{
	format_duration(buf, 32, ns);
	return buf;
}

/* ---- pieces ------------------------------------------------------------------------------------
 */

static void culprit_lines(struct text *t, const struct verdict *v)
{
	const struct culprit *c = &v->culprit;

	TEXT_LINE(t, "%s", "");
	if (c->frame == SNAP_NONE) {
		TEXT_LINE(t, "  (no Python frame: the callback runs in C)");
		return;
	}
	strbuf_addf(&t->line, "  %s()  ", snap_code_of(t->s, &t->s->frames[c->frame])->qualname);
	text_place(t, &t->s->frames[c->frame], &t->line);
	text_end_line(t);
	text_source(t, &t->s->frames[c->frame], 6);
}

/* "1 task", "2 tasks": to be followed by what is said of them. */
static void add_count(struct strbuf *out, long long n, const char *one, const char *many)
{
	strbuf_addf(out, "%lld %s", n, PLURAL(n, one, many));
}

/* Of a sleep() the heap has a callback that says nothing to a reader. */
static bool is_sleep(const char *callback)
{
	return strstr(callback, "set_result_unless_cancelled") != NULL;
}

/* What the C code of asyncio calls itself, in the words of a reader. */
static const char *ready_name(const char *callback)
{
	if (is_sleep(callback))
		return "sleeps that have ended";
	if (!strcmp(callback, "TaskStepMethWrapper"))
		return "first steps of new tasks";
	if (!strcmp(callback, "TaskWakeupMethWrapper"))
		return "tasks that go on";
	return callback;
}

static void late_timers(struct text *t, const struct snap_loop *l)
{
	const struct aio_loop *info = &l->info;
	char worst[32];

	add_count(&t->line, (long long)info->timers_late, "timer late", "timers late");
	if (info->worst_late > 0) {
		strbuf_addf(&t->line, " (worst %s", duration(worst, aio_ns(info->worst_late)));
		if (l->worst_timer && !is_sleep(l->worst_timer))
			strbuf_addf(&t->line, ": %s", l->worst_timer);
		strbuf_addch(&t->line, ')');
	}
	strbuf_addstr(&t->line, ", ");
}

static void suffering(struct text *t, const struct snap_loop *l)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	if (l->info.ready >= 0)
		add_count(&t->line, (long long)l->info.ready, "callback ready, ",
			  "callbacks ready, ");
	if (l->info.timers_late >= 0)
		late_timers(t, l);
	add_count(&t->line, l->tasks, "task", "tasks");
	strbuf_addstr(&line, t->line.data);
	strbuf_reset(&t->line);
	text_wrap(t, "  suffering  ", line.data);
}

/* How many, where a flag is of tasks; 0: nothing to count. */
static uint32_t flag_count(const struct snap_loop *l, enum flag_id id)
{
	switch (id) {
	case FLAG_UNOWNED:
		return l->unowned;
	case FLAG_ORPHAN:
		return l->orphans;
	default:
		return 0;
	}
}

/* Most services have tasks that nobody awaits: worth a line when there are more and more. */
static bool is_usual(const struct text *t, const struct verdict *v, enum flag_id id)
{
	return id == FLAG_UNOWNED && !t->o->verbose && !(v->flags & 1u << FLAG_GROWING);
}

static void flag_lines(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	char line[160], count[16];
	bool first = true;

	for (unsigned i = 0; i < FLAG_COUNT && l; i++) {
		const char *word = flag_word((enum flag_id)i);
		uint32_t n = flag_count(l, (enum flag_id)i);

		if (!(v->flags >> i & 1) || is_usual(t, v, (enum flag_id)i))
			continue;
		count[0] = 0;
		if (n)
			snprintf(count, sizeof(count), "%u ", n);
		snprintf(line, sizeof(line), "%s: %s%s", word, count,
			 explanation_of(word, "")->brief);
		text_wrap(t, first ? "  flags      " : INDENT, line);
		first = false;
	}
}

static void certainty(struct text *t, const struct verdict *v)
{
	char line[256];

	for (size_t i = 0; i < v->n_evidence; i++) {
		snprintf(line, sizeof(line), "%s%s%s [%s]", i ? "" : confidence_word(v->confidence),
			 i ? "" : ": ", v->evidence[i].fact, v->evidence[i].source);
		text_wrap(t, i ? INDENT : "  certainty  ", line);
	}
}

/* A private module of the standard library is no name that a reader would look for. */
static bool is_private(const char *module)
{
	return module[0] == '_' || strstr(module, "._") != NULL;
}

static void library_line(struct text *t, const struct culprit *c)
{
	bool titled = c->title && is_private(c->library);
	char line[256];

	if (!c->library[0])
		return;
	snprintf(line, sizeof(line), "%s%s%s%s%s", titled ? "" : c->library,
		 c->title && !titled ? ": " : "", c->title ? c->title : "",
		 c->leaf_title ? "; in it: " : "", c->leaf_title ? c->leaf_title : "");
	text_wrap(t, "  library    ", line);
}

/* ---- verdicts on a loop ------------------------------------------------------------------------
 */

static void what_it_does(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	static const double contended = 0.1;
	char line[256];

	if (v->culprit.system_call && l->wait.fd >= 0)
		snprintf(line, sizeof(line), "It %s (%s, fd %d).", v->title, v->culprit.system_call,
			 l->wait.fd);
	else if (v->culprit.system_call)
		snprintf(line, sizeof(line), "It %s (%s).", v->title, v->culprit.system_call);
	else if (v->on_cpu >= 0 && v->run_queue >= contended)
		snprintf(line, sizeof(line), "It %s (%.0f %% on CPU, %.0f %% waiting for one).",
			 v->title, v->on_cpu * 100, v->run_queue * 100);
	else if (v->on_cpu >= 0)
		snprintf(line, sizeof(line), "It %s (%.0f %% on CPU).", v->title, v->on_cpu * 100);
	else
		snprintf(line, sizeof(line), "It %s.", v->title);
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "", line);
	library_line(t, &v->culprit);
	/* what an inner loop sleeps on is its own pipe: it says nothing of the wait */
	if (strcmp(v->kind, "nested") != 0)
		text_wait(t, l);
}

/* "at least 1.20 s" */
static const char *held_for(char buf[48], const struct verdict *v)
{
	bool lower = v->held_bound && !strcmp(v->held_bound, "lower");
	char held[32];

	snprintf(buf, 48, "%s%s", lower ? "at least " : "", duration(held, v->held_ns));
	return buf;
}

static void stalled_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	bool alone = v->confidence == CONFIDENCE_CERTAIN || l->run.index <= 0;
	char held[48];

	TEXT_LINE(t, "The event loop has not run for %s. %s:", held_for(held, v),
		  alone ? "One callback holds it" : "Now this callback holds it");
	culprit_lines(t, v);
	what_it_does(t, l, v);
	if (l->run.have_batch && l->run.index > 0)
		TEXT_LINE(t,
			  "  turn       callback %lld of %lld: those before it may have had part "
			  "of %s",
			  (long long)l->run.index + 1, (long long)l->run.ntodo, held);
	suffering(t, l);
}

static void deadlock_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	char held[48], line[256];

	snprintf(line, sizeof(line), "The event loop has not run for %s, and it waits in vain: %s.",
		 held_for(held, v), v->title);
	text_wrap(t, "", line);
	culprit_lines(t, v);
	TEXT_LINE(t, "%s", "");
	library_line(t, &v->culprit);
	text_wait(t, l);
	suffering(t, l);
}

static void overloaded_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	const struct snap_ready *ready = &l->ready;
	char line[256], turn[32], cost[32], each[64] = "";

	if (v->callback_s >= 1e-3)
		snprintf(each, sizeof(each), ", about %s each on average",
			 duration(cost, aio_ns(v->callback_s)));
	else if (v->callback_s >= 0)
		snprintf(each, sizeof(each), ", about %.0f us each on average",
			 v->callback_s * 1e6);
	if (v->batch > 0)
		snprintf(line, sizeof(line),
			 "The loop turns, but one turn takes %s: %lld %s ready at once%s.",
			 duration(turn, aio_ns(v->turn_s)), (long long)v->batch,
			 PLURAL(v->batch, "callback was", "callbacks were"), each);
	else
		snprintf(line, sizeof(line), "The loop turns, but one turn takes %s%s.",
			 duration(turn, aio_ns(v->turn_s)), each);
	text_wrap(t, "", line);
	TEXT_LINE(t, "%s", "");
	snprintf(line, sizeof(line), "%s", v->title);
	text_wrap(t, "  cause      ", line);
	for (uint32_t i = 0; i < ready->n_top && ready->sampled; i++)
		TEXT_LINE(t, "  %3.0f %% are  %s", 100.0 * ready->top[i].count / ready->sampled,
			  ready_name(ready->top[i].name));
	suffering(t, l);
}

static void choppy_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	bool caught = v->culprit.frame != SNAP_NONE;
	char worst[32], line[200];

	snprintf(line, sizeof(line),
		 "The event loop %s: %u %s while we looked, the worst of at least %s.%s", v->title,
		 v->episodes, PLURAL(v->episodes, "hold", "holds"), duration(worst, v->lag_ns),
		 caught ? " The last one that was caught:" : "");
	text_wrap(t, "", line);
	if (caught) {
		culprit_lines(t, v);
		TEXT_LINE(t, "%s", "");
		library_line(t, &v->culprit);
	}
	suffering(t, l);
}

static void busy_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	char lag[32];

	TEXT_LINE(t, "The event loop %s (lag %s).", v->title, duration(lag, v->lag_ns));
	suffering(t, l);
}

/* Who has the lock, or how full the queue is, that the tasks of the site wait for. */
static void resource_line(struct text *t, const struct snap_resource *r)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "%s at 0x%llx: ", r->type, (unsigned long long)r->address);
	add_count(&line, r->waiters, "waits", "wait");
	if (r->maxsize > 0)
		strbuf_addf(&line, ", %lld of %lld %s", (long long)r->size, (long long)r->maxsize,
			    PLURAL(r->maxsize, "item", "items"));
	if (r->value >= 0 && strstr(r->type, "Semaphore"))
		strbuf_addf(&line, ", %lld free", (long long)r->value);
	if (r->lost)
		strbuf_addstr(&line, ", free, and none of them was told");
	else if (r->locked > 0 && !r->n_holders && !strcmp(r->type, "Lock"))
		strbuf_addstr(&line, ", locked, and no task is seen to hold it");
	for (uint32_t i = 0; i < r->n_holders; i++)
		strbuf_addf(&line, "%s %s", i ? "," : ", likely held by task",
			    t->s->tasks[r->holders[i]].name);
	text_wrap(t, "  resource   ", line.data);
}

/* One of many that wait for the same thing; not an event that each has for itself. */
static bool is_shared(const struct snap_resource *r, const struct verdict *v)
{
	return r->type && 2 * (uint64_t)r->waiters >= v->site_count;
}

/* Tasks that wait for a lock of each other, one after the other. */
static void ring_text(struct text *t, const struct verdict *v)
{
	uint32_t at = v->site_task;
	char lag[32], line[300];

	snprintf(line, sizeof(line),
		 "The event loop is healthy (lag %s), but %u of its %u %s for each other, and "
		 "cannot go on.",
		 duration(lag, v->lag_ns), v->site_count, v->site_of,
		 PLURAL(v->site_of, "task waits", "tasks wait"));
	if (v->site_count == 1)
		snprintf(line, sizeof(line),
			 "The event loop is healthy (lag %s), but one of its tasks waits for "
			 "itself, and cannot go on.",
			 lag);
	text_wrap(t, "", line);
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "  where      ", v->title);
	for (uint32_t i = 0; i < v->site_count && at != SNAP_NONE; i++) {
		const struct snap_task *task = &t->s->tasks[at];
		const struct snap_frame *f = text_own_frame(t->s, &task->stack);
		cleanup_strbuf struct strbuf words = STRBUF_INIT;

		at = t->s->resources[task->resource].holder;
		strbuf_addf(&words, "%s", task->name);
		if (f) {
			strbuf_addf(&words, ", %s ", snap_code_of(t->s, f)->qualname);
			text_place(t, f, &words);
			strbuf_addch(&words, ',');
		}
		strbuf_addf(&words, " waits for %s", t->s->tasks[at].name);
		text_wrap(t, i ? "             " : "  tasks      ", words.data);
	}
}

static void waiting_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	const struct snap_task *task = &t->s->tasks[v->site_task];
	char lag[32], line[300];

	if (!strcmp(v->kind, "wait.deadlock")) {
		ring_text(t, v);
		return;
	}

	snprintf(line, sizeof(line),
		 "The event loop is healthy (lag %s), its tasks are not served: %u of %u %s in "
		 "one place.",
		 duration(lag, v->lag_ns), v->site_count, v->site_of,
		 PLURAL(v->site_count, "waits", "wait"));
	text_wrap(t, "", line);
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "  where      ", v->title);
	if (task->resource != SNAP_NONE && is_shared(&t->s->resources[task->resource], v))
		resource_line(t, &t->s->resources[task->resource]);
	if (l->info.have_executor && l->info.executor_queued > 0)
		TEXT_LINE(t, "  executor   %lld of %lld %s, %lld %s queued",
			  (long long)l->info.executor_threads, (long long)l->info.executor_max,
			  PLURAL(l->info.executor_max, "thread", "threads"),
			  (long long)l->info.executor_queued,
			  PLURAL(l->info.executor_queued, "job", "jobs"));
}

/* What was not looked at may have been otherwise. */
static void add_covered(struct text *t)
{
	char window[32];

	if (t->d->n_looks < 2 || t->d->window_s <= 0)
		strbuf_addstr(&t->line, " at this one look");
	else
		strbuf_addf(&t->line, " in the %s looked at",
			    duration(window, aio_ns(t->d->window_s)));
}

static void healthy_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	char lag[32], next[32];
	double left;

	strbuf_addf(&t->line, "The event loop %s (lag %s)",
		    v->episodes ? "turns, but was held once while we looked" : "is healthy",
		    duration(lag, v->lag_ns));
	if (!v->episodes)
		add_covered(t);
	TEXT_LINE(t, ". %u %s.", l->tasks, PLURAL(l->tasks, "task", "tasks"));
	if (l->phase != SNAP_SELECT || t->s->threads[l->thread].waits_for_gil)
		return;
	strbuf_addstr(&t->line, "  loop       waits in select");
	if (l->have_select)
		strbuf_addf(&t->line, ", for %s so far", duration(next, l->select_ns));
	left = l->info.next_when - (double)t->s->clock_ns / 1e9;
	if (l->info.have_next && left > 0)
		strbuf_addf(&t->line, ", next timer in %s", duration(next, aio_ns(left)));
	text_end_line(t);
}

static void starved_text(struct text *t, const struct snap_loop *l, const struct verdict *v)
{
	char late[32], line[200];

	duration(late, v->lag_ns);
	if (v->lag_ns >= aio_ns(t->o->threshold_s))
		snprintf(line, sizeof(line), "The event loop is late by %s: its thread %s.", late,
			 v->title);
	else
		snprintf(line, sizeof(line),
			 "The event loop is kept from running: its thread %s. It is not late yet "
			 "(lag %s).",
			 v->title, late);
	text_wrap(t, "", line);
	suffering(t, l);
}

/* "stopped by a signal" is said of the process; the other titles are clauses of their own. */
static void plain_text(struct text *t, const struct verdict *v)
{
	bool of_process =
		v->id == VERDICT_STOPPED || v->id == VERDICT_TRACED || v->id == VERDICT_FROZEN;
	char line[200];

	if (!v->title[0])
		return;
	if (of_process)
		snprintf(line, sizeof(line), "The process is %s.", v->title);
	else
		snprintf(line, sizeof(line), "%c%s.", toupper((unsigned char)v->title[0]),
			 v->title + 1);
	text_wrap(t, "", line);
}

void text_verdict(struct text *t, const struct snap_loop *loop, const struct verdict *v)
{
	static void (*const texts[])(struct text * t, const struct snap_loop *l,
				     const struct verdict *v) = {
		[VERDICT_STALLED] = stalled_text,
		[VERDICT_DEADLOCK] = deadlock_text,
		[VERDICT_OVERLOADED] = overloaded_text,
		[VERDICT_CHOPPY] = choppy_text,
		[VERDICT_BUSY] = busy_text,
		[VERDICT_WAITING] = waiting_text,
		[VERDICT_HEALTHY] = healthy_text,
		[VERDICT_STARVED] = starved_text,
	};

	TEXT_LINE(t, "%s", "");
	if (loop && (size_t)v->id < ARRAY_SIZE(texts) && texts[v->id])
		texts[v->id](t, loop, v);
	else
		plain_text(t, v);
	flag_lines(t, loop, v);
	certainty(t, v);
}
