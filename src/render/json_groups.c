/* SPDX-License-Identifier: Apache-2.0 */
/* json_groups.c - loops[].groups: tasks folded by equal await path; and the filter of tasks */
#include <stdlib.h>

#include "json.h"
#include "text.h"

/* The innermost frame of the user's own, which is where to look. */
static json_t *where(const struct snapshot *s, const struct snap_task *t)
{
	const struct snap_frame *f = text_own_frame(s, &t->stack);
	json_t *frame;

	if (!f)
		return json_null();
	frame = json_frame(s, f);
	json_object_del(frame, "own");
	return frame;
}

static json_t *group(const struct snapshot *s, struct await_rows *rows, const struct task_group *g)
{
	const struct snap_task *t = &s->tasks[g->example];
	cleanup_strbuf struct strbuf title = STRBUF_INIT;
	json_t *via = json_array(), *object;

	text_waits(s, rows, t, &title);
	for (uint32_t i = t->stack.n; i-- > 0;)
		json_array_append_new(
			via,
			json_string(snap_code_of(s, snap_frame_at(s, &t->stack, i))->qualname));
	object = json_pack("{sI so so so ss so sb sI sI}", "count", (json_int_t)g->count, "where",
			   where(s, t), "via", via, "waits_on",
			   t->what ? json_string(t->what) : json_null(), "title", title.data,
			   "oldest_s",
			   g->have_oldest ? json_real((double)g->oldest_ns / 1e9) : json_null(),
			   "oldest_is_lower_bound", g->oldest_is_lower, "unowned",
			   (json_int_t)g->unowned, "orphans", (json_int_t)g->orphans);
	json_object_set_new(object, "coroutine", json_string(t->coroutine));
	json_object_set_new(object, "state", json_string(task_state_word(t->state)));
	return object;
}

json_t *json_groups(const struct snapshot *s, struct await_rows *rows, uint32_t loop,
		    const struct task_filter *filter)
{
	json_t *array = json_array();
	struct task_group *list;
	size_t n;

	group_tasks(s, loop, filter, &list, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, group(s, rows, &list[i]));
	free(list);
	return array;
}

json_t *json_filter(const struct snapshot *s, const struct task_filter *filter)
{
	json_t *terms;

	if (!filter)
		return json_null();
	terms = json_array();
	for (size_t i = 0; i < filter->n_terms; i++)
		json_array_append_new(terms, json_string(filter->terms[i]));
	return json_pack("{sI sI so}", "shown", (json_int_t)filter->shown, "of",
			 (json_int_t)s->n_tasks, "terms", terms);
}
