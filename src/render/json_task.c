/* SPDX-License-Identifier: Apache-2.0 */
/* tasks[]: what each task waits on, who awaits it, and where it is */
#include <string.h>

#include "json.h"
#include "text.h"

json_t *json_frame(const struct snapshot *s, const struct snap_frame *f)
{
	const struct snap_code *c = snap_code_of(s, f);

	return json_pack("{ss ss ss so sb}", "function", c->function, "qualname", c->qualname,
			 "file", c->file, "line", count(f->at.line > 0 ? f->at.line : -1), "own",
			 c->own);
}

json_t *json_locals(const struct snapshot *s, const struct snap_frame *f)
{
	const struct snap_detail *d = snap_detail_of(s, f);
	json_t *object;

	if (!d || !d->have_variables)
		return json_null();
	object = json_object();
	for (uint32_t i = 0; i < d->n_variables; i++)
		json_object_set_new(object, d->variables[i].name,
				    json_string(d->variables[i].value));
	if (d->variables_left)
		json_object_set_new(object, "...", json_sprintf("%u more", d->variables_left));
	return object;
}

static json_t *stack_of(const struct snapshot *s, const struct snap_task *t)
{
	json_t *stack = json_array();

	for (uint32_t i = 0; i < t->stack.n; i++) {
		const struct snap_frame *f = snap_frame_at(s, &t->stack, i);
		json_t *frame = json_frame(s, f);

		json_object_set_new(frame, "locals", json_locals(s, f));
		json_array_append_new(stack, frame);
	}
	return stack;
}

static json_t *callbacks(const struct snapshot *s, const struct snap_task *t)
{
	json_t *array;

	if (!t->have_callbacks)
		return json_null();
	array = json_array();
	for (uint32_t i = 0; i < t->n_callbacks; i++)
		json_array_append_new(array, json_string(s->callbacks[t->first_callback + i]));
	return array;
}

/* The row of the catalogue that a wait falls under; its library is the top of its module. */
static void add_row(json_t *waits, const struct culprit_row *row)
{
	int length = row ? (int)strcspn(row->pattern, ".:") : 0;

	json_object_set_new(waits, "library",
			    row ? json_sprintf("%.*s", length, row->pattern) : json_null());
	json_object_set_new(waits, "title", string(row ? row->title : NULL));
	json_object_set_new(waits, "rule",
			    row ? json_sprintf("await %s", row->pattern) : json_null());
}

static json_t *waits_on(const struct snapshot *s, struct await_rows *rows,
			const struct snap_task *t)
{
	static const char *const words[] = {NULL, "task", "future", "other", "executor"};
	static const char *const wakers[] = {NULL,   "timer", "fd",	    "executor",
					     "task", "sync",  "subprocess", "nobody"};
	json_t *waits;

	if (t->wait == SNAP_WAIT_NOTHING && !t->what)
		return json_null();
	waits = json_pack("{so so so so so so so so}", "kind", string(words[t->wait]), "id",
			  hex(t->waits_for), "what", string(t->what), "resource",
			  t->resource >= s->n_resources ? json_null()
							: hex(s->resources[t->resource].address),
			  "left_s", number(t->have_left, t->left_s), "timeout_left_s",
			  number(t->have_timeout, t->timeout_left_s), "callbacks", callbacks(s, t),
			  "waker", string(wakers[t->waker]));
	add_row(waits, await_row(rows, s, t));
	return waits;
}

static json_t *awaited_by(const struct snapshot *s, const struct snap_task *t)
{
	json_t *array;

	if (t->owner == SNAP_OWNER_UNKNOWN)
		return json_null();
	array = json_array();
	for (uint32_t i = 0; i < t->n_awaiters; i++)
		json_array_append_new(array, hex(s->awaiters[t->first_awaiter + i]));
	return array;
}

static json_t *awaited_by_cut(const struct snap_task *t)
{
	return t->owner == SNAP_OWNER_UNKNOWN ? json_null() : json_boolean(t->awaiters_cut);
}

json_t *json_task(const struct snapshot *s, struct await_rows *rows, const struct snap_task *t)
{
	static const char *const owners[] = {NULL,     "nobody", "group",   "task",
					     "runner", "thread", "callback"};

	return json_pack(
		"{so ss so ss ss sI sf so sb so so so so so sb}", "id", hex(t->id), "name", t->name,
		"loop", t->loop == SNAP_NONE ? json_null() : hex(s->loops[t->loop].run.loop),
		"state", task_state_word(t->state), "coroutine", t->coroutine, "cancelling",
		(json_int_t)t->cancelling, "seen_s", 0.0, /* a dump is one full look */
		"age_s", number(t->have_age, (double)t->age_ns / 1e9), "age_is_lower_bound",
		!t->have_age || t->age_is_lower, "stack", stack_of(s, t), "waits_on",
		waits_on(s, rows, t), "awaited_by", awaited_by(s, t), "awaited_by_cut",
		awaited_by_cut(t), "owner", string(owners[t->owner]), "torn", t->torn);
}
