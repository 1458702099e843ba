/* SPDX-License-Identifier: Apache-2.0 */
/* What is queued in each loop, by name: tells one fan-out from a mix. */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

struct tally {
	struct {
		const char *name;
		uint32_t count;
	} v[SNAP_MAX_READY]; /* each handle may have another name */
	uint32_t n;
};

static void tally_add(struct tally *t, const char *name)
{
	for (uint32_t i = 0; i < t->n; i++) {
		if (!strcmp(t->v[i].name, name)) {
			t->v[i].count++;
			return;
		}
	}
	t->v[t->n].name = name;
	t->v[t->n++].count = 1;
}

/* asyncio.sleep(0) only gives way: its innermost frame is a bare yield (asyncio/tasks.py). */
static bool gave_way(const struct snapshot *s, const struct snap_task *task)
{
	const struct snap_code *code;

	if (!task->stack.n)
		return false;
	code = snap_code_of(s, snap_frame_at(s, &task->stack, 0));
	return !strcmp(code->function, "__sleep0") && str_ends_with(code->file, "asyncio/tasks.py");
}

static void count_task(const struct builder *b, uint32_t index, struct snap_ready *ready,
		       struct tally *tally)
{
	const struct snap_task *task = &b->s->tasks[index];

	tally_add(tally, task->coroutine);
	ready->sleep0 += gave_way(b->s, task);
	ready->under_retry += task->under_retry;
}

static void count_handle(struct builder *b, uint64_t handle, struct snap_ready *ready,
			 struct tally *tally)
{
	struct aio_callback callback;
	uint32_t task;

	if (!aio_callback_read(b->py, handle, &callback))
		return;
	if (!callback.task && !callback.name[0])
		return; /* the handle was used again while we read */
	ready->sampled++;
	task = callback.task ? snap_task_find(b->s, callback.task) : SNAP_NONE;
	if (task != ADDRMAP_NONE)
		count_task(b, task, ready, tally);
	else
		tally_add(tally, arena_strdup(&b->s->arena, callback.name));
	ready->threadsafe_callbacks += aio_threadsafe_future(b->py, handle) != 0;
}

static void take_top(struct snap_ready *ready, struct tally *tally)
{
	for (ready->n_top = 0; ready->n_top < ARRAY_SIZE(ready->top); ready->n_top++) {
		uint32_t best = 0;

		for (uint32_t i = 1; i < tally->n; i++)
			if (tally->v[i].count > tally->v[best].count)
				best = i;
		if (!tally->n || !tally->v[best].count)
			break;
		ready->top[ready->n_top].name = tally->v[best].name;
		ready->top[ready->n_top].count = tally->v[best].count;
		tally->v[best].count = 0;
	}
}

static void sample(struct builder *b, struct snap_loop *loop)
{
	uint64_t handles[SNAP_MAX_READY], total;
	struct tally tally = {.n = 0};
	size_t n = aio_deque(b->py, loop->info.ready_queue, handles, SNAP_MAX_READY, &total);

	if (rd_take(&b->py->rd) && !n)
		return;
	aio_handles_prefetch(b->py, handles, n);
	for (size_t i = 0; i < n; i++)
		count_handle(b, handles[i], &loop->ready, &tally);
	/* handles that cannot be read (uvloop's) are unknown, not an empty queue */
	loop->ready.have = !n || loop->ready.sampled;
	take_top(&loop->ready, &tally);
}

void build_ready(struct builder *b)
{
	for (size_t i = 0; i < b->s->n_loops; i++)
		if (b->s->loops[i].have_info && b->s->loops[i].info.ready_queue)
			sample(b, &b->s->loops[i]);
}
