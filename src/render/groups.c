/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/render.h"

/* FNV-1a over what makes two tasks equal to a reader: state, path and what they wait in. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * UINT64_C(0x100000001b3);
}

static uint64_t task_key(const struct snapshot *snap, const struct snap_task *t)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix(hash, (uint64_t)t->state);
	for (const char *p = t->what ? t->what : ""; *p; p++)
		hash = mix(hash, (unsigned char)*p);
	for (uint32_t i = 0; i < t->stack.n; i++) {
		const struct snap_frame *f = snap_frame_at(snap, &t->stack, i);

		hash = mix(mix(hash, f->code), (uint64_t)f->at.line);
	}
	return hash;
}

static int by_count(const void *a, const void *b)
{
	const struct task_group *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return x->example < y->example ? -1 : 1;
}

void group_tasks(const struct snapshot *snap, uint32_t loop, struct task_group **ret, size_t *n)
{
	struct addrmap seen = ADDRMAP_INIT;
	struct task_group *groups = NULL;
	size_t count = 0, cap = 0;

	for (size_t i = 0; i < snap->n_tasks; i++) {
		uint64_t key = task_key(snap, &snap->tasks[i]);
		uint32_t index;

		if (snap->tasks[i].loop != loop)
			continue;
		index = addrmap_get(&seen, key);
		if (index == ADDRMAP_NONE) {
			index = (uint32_t)count;
			addrmap_put(&seen, key, index);
			*array_push(&groups, &count, &cap) =
				(struct task_group){0, (uint32_t)i, loop};
		}
		groups[index].count++;
	}
	addrmap_deinit(&seen);
	if (count)
		qsort(groups, count, sizeof(*groups), by_count);
	*ret = groups;
	*n = count;
}
