/* SPDX-License-Identifier: Apache-2.0 */
/* list_detail.c - one task: its await chain, what would wake it, and who has that */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct detail {
	struct tui_state *s;
	struct list *list;
	const struct snapshot *snap;
	const struct snap_task *t;
};

static const char *owner_word(enum snap_owner owner)
{
	switch (owner) {
	case SNAP_OWNER_NOBODY:
		return "nobody: UNOWNED, an exception in it is lost";
	case SNAP_OWNER_GROUP:
		return "a TaskGroup";
	case SNAP_OWNER_TASK:
		return "a task";
	case SNAP_OWNER_RUNNER:
		return "run_until_complete()";
	case SNAP_OWNER_THREAD:
		return "another thread, by run_coroutine_threadsafe()";
	case SNAP_OWNER_CALLBACK:
		return "a done callback";
	case SNAP_OWNER_UNKNOWN:
		break;
	}
	return "not known";
}

/* For how long it has waited; one that runs does not. */
static void add_age(const struct snap_task *t, struct strbuf *out)
{
	if (t->state == SNAP_TASK_RUNNING) {
		strbuf_addstr(out, "no: it runs");
	} else if (t->have_age) {
		strbuf_addstr(out, t->age_is_lower ? ">= " : "");
		format_age(out, t->age_ns);
	} else if (t->state == SNAP_TASK_READY) {
		strbuf_addstr(out, "no more: its turn comes");
	} else {
		strbuf_addstr(out, "not known from one look");
	}
}

static void head(struct detail *d)
{
	const struct snap_task *t = d->t;
	cleanup_strbuf struct strbuf age = STRBUF_INIT;

	add_age(t, &age);
	list_add_text(d->list, STYLE_OWN, "  name     %s  (0x%" PRIx64 ")", t->name, t->id);
	list_add_text(d->list, STYLE_PLAIN, "  runs     %s   state %s%s", t->coroutine,
		      task_state_word(t->state), t->torn ? "   changed while it was read" : "");
	list_add_text(d->list, STYLE_PLAIN, "  waits    %s   cancelling %" PRId64, age.data,
		      t->cancelling);
	if (!t->n_awaiters)
		list_add_text(d->list, STYLE_PLAIN, "  awaited  by %s", owner_word(t->owner));
	for (uint32_t i = 0; i < t->n_awaiters; i++) {
		uint32_t other = snap_task_find(d->snap, d->snap->awaiters[t->first_awaiter + i]);

		if (other == SNAP_NONE)
			continue;
		list_add_text(d->list, STYLE_PLAIN, "  awaited  by %s (Enter)",
			      d->snap->tasks[other].name);
		d->list->v[d->list->n - 1].index = other + 1;
	}
}

static void chain(struct detail *d)
{
	cleanup_strbuf struct strbuf waits = STRBUF_INIT;
	struct await_rows rows = AWAIT_ROWS_INIT;

	list_add_head(d->list, "await chain (outer to inner)");
	for (uint32_t i = d->t->stack.n; i-- > 0;)
		list_add(d->list, ROW_FRAME, d->t->stack.first + i);
	if (d->t->state == SNAP_TASK_RUNNING)
		return;
	text_waits(d->snap, &rows, d->t, &waits);
	list_add_text(d->list, STYLE_PLAIN, "  <%s>", waits.data);
	await_rows_deinit(&rows);
}

static void seconds(struct detail *d, const char *what, double s)
{
	char text[32];

	format_duration(text, sizeof(text), aio_ns(s));
	list_add_text(d->list, STYLE_PLAIN, "  %s %s", what, text);
}

static const char *waker_word(enum snap_waker waker)
{
	switch (waker) {
	case SNAP_WAKER_TIMER:
		return "a timer of the loop";
	case SNAP_WAKER_FD:
		return "data on a descriptor that the loop watches";
	case SNAP_WAKER_EXECUTOR:
		return "a job of an executor, or another thread";
	case SNAP_WAKER_TASK:
		return "the end of another task";
	case SNAP_WAKER_SYNC:
		return "whoever releases or fills what it waits on";
	case SNAP_WAKER_SUBPROCESS:
		return "a subprocess";
	case SNAP_WAKER_NOBODY:
		return "nothing: ORPHAN, nothing is left that could wake it";
	case SNAP_WAKER_UNKNOWN:
		break;
	}
	return "not known";
}

static void link_to(struct detail *d, uint32_t task, const char *what)
{
	const struct snap_task *t = &d->snap->tasks[task];
	const struct snap_frame *f = text_own_frame(d->snap, &t->stack);

	list_add_text(d->list, STYLE_PLAIN, "  %s %s  %s:%d (Enter)", what, t->name,
		      f ? short_path(snap_code_of(d->snap, f)->file) : "?", f ? f->at.line : 0);
	d->list->v[d->list->n - 1].index = task + 1;
}

static void resource(struct detail *d, const struct snap_resource *r)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "  resource %s at 0x%" PRIx64 ": %u wait",
		    r->type	? r->type
		    : r->stream ? "stream"
				: "(unknown)",
		    r->address, r->waiters);
	if (r->locked >= 0)
		strbuf_addstr(&line, r->locked ? ", locked" : ", not locked");
	if (r->value >= 0)
		strbuf_addf(&line, ", value %" PRId64, r->value);
	if (r->size >= 0)
		strbuf_addf(&line, ", %" PRId64 " %s", r->size, PLURAL(r->size, "item", "items"));
	if (r->maxsize > 0)
		strbuf_addf(&line, " of %" PRId64, r->maxsize);
	list_add_text(d->list, STYLE_PLAIN, "%s", line.data);
	if (r->lost)
		list_add_text(d->list, STYLE_WARN,
			      "           free, but none of its waiters was told: lost wake-up");
	for (uint32_t i = 0; i < r->n_holders; i++)
		link_to(d, r->holders[i], "held by ");
}

static void wakers(struct detail *d)
{
	const struct snap_task *t = d->t;

	list_add_head(d->list, "what would wake it");
	if (t->state == SNAP_TASK_RUNNING) {
		list_add_text(d->list, STYLE_PLAIN, "  nothing has to: it runs");
		return;
	}
	list_add_text(d->list, t->waker == SNAP_WAKER_NOBODY ? STYLE_WARN : STYLE_PLAIN,
		      "  waker    %s", waker_word(t->waker));
	if (t->have_left)
		seconds(d, "sleeps   for another", t->left_s);
	if (t->have_timeout)
		seconds(d, "timeout  ends the wait in", t->timeout_left_s);
	if (t->resource != SNAP_NONE && t->resource < d->snap->n_resources)
		resource(d, &d->snap->resources[t->resource]);
	if (t->wait == SNAP_WAIT_TASK) {
		uint32_t other = snap_task_find(d->snap, t->waits_for);

		if (other != SNAP_NONE)
			link_to(d, other, "task    ");
	}
	for (uint32_t i = 0; t->have_callbacks && i < t->n_callbacks && i < 8; i++)
		list_add_text(d->list, STYLE_DIM, "  tells    %s too",
			      d->snap->callbacks[t->first_callback + i]);
}

void list_detail(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	uint32_t task = snap_task_find(snap, s->subject);
	struct detail d = {s, &s->list, snap, NULL};

	if (task == SNAP_NONE) {
		list_add_text(&s->list, STYLE_WARN, "  this task has ended");
		return;
	}
	d.t = &snap->tasks[task];
	head(&d);
	chain(&d);
	wakers(&d);
}
