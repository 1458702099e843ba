/* SPDX-License-Identifier: Apache-2.0 */
/* The `await` rows of the catalogue: what a task waits for, by the libraries in its chain. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/culprits.h"
#include "stallscope/diagnose.h"

static const struct culprit_row *row_of_frame(const struct snapshot *s,
					      const struct snap_frame *frame)
{
	const struct snap_code *code = snap_code_of(s, frame);
	char module[256], name[512];

	culprits_module(code->file, module, sizeof(module));
	if (!module[0])
		return NULL;
	snprintf(name, sizeof(name), "%s:%s", module, code->qualname);
	return culprits_find(CULPRIT_AWAIT, name);
}

static bool of_asyncio(const struct culprit_row *row)
{
	return !strncmp(row->pattern, "asyncio.", 8);
}

/* Of one library and one category: the inner one is more exact. */
static bool is_closer(const struct culprit_row *outer, const struct culprit_row *row)
{
	size_t length = strcspn(outer->pattern, ".:") + 1;

	return !of_asyncio(row) && !strcmp(outer->category, row->category) &&
	       !strncmp(outer->pattern, row->pattern, length);
}

/*
 * Outermost first. A library's row wins over asyncio's inside of it; of asyncio's own the
 * outermost too (Queue.join waits in Event.wait). wait_for and its like only stand around.
 */
static const struct culprit_row *row_of_stack(const struct snapshot *s,
					      const struct snap_stack *stack)
{
	const struct culprit_row *found = NULL;

	for (uint32_t i = stack->n; i-- > 0;) {
		const struct culprit_row *row = row_of_frame(s, snap_frame_at(s, stack, i));

		if (!row)
			continue;
		if (!found || !strcmp(found->category, "wait.tasks") ||
		    !strncmp(row->category, "wait.pool.", 10) ||
		    (of_asyncio(found) && !of_asyncio(row)) || is_closer(found, row))
			found = row;
	}
	return found;
}

static uint64_t key_of(const struct snapshot *s, const struct snap_stack *stack)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < stack->n; i++)
		hash = (hash ^ snap_frame_at(s, stack, i)->code) * UINT64_C(0x100000001b3);
	return hash;
}

const struct culprit_row *await_row(struct await_rows *rows, const struct snapshot *s,
				    const struct snap_task *t)
{
	uint64_t key;
	uint32_t index;

	if (t->state == SNAP_TASK_RUNNING)
		return NULL;
	key = key_of(s, &t->stack);
	index = addrmap_get(&rows->seen, key);
	if (index == ADDRMAP_NONE) {
		index = (uint32_t)rows->n;
		addrmap_put(&rows->seen, key, index);
		*array_push(&rows->v, &rows->n, &rows->cap) = row_of_stack(s, &t->stack);
	}
	return rows->v[index];
}

void await_rows_deinit(struct await_rows *rows)
{
	addrmap_deinit(&rows->seen);
	free(rows->v);
}
