/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "stallscope/addrsort.h"

/* ---- where the current task of a loop is -------------------------------------------------- */

static uint64_t running_task(struct builder *b, const struct snap_loop *loop)
{
	const struct snap_thread *thread = &b->s->threads[loop->thread];

	for (size_t i = 0; i < b->n_py_threads; i++)
		if (b->py_threads[i].tstate == thread->tstate && b->py_threads[i].running_task &&
		    b->py_threads[i].running_loop == loop->run.loop)
			return b->py_threads[i].running_task;
	if (thread->interpreter >= b->n_interps)
		return 0;
	return aio_current_task(b->py, &b->modules[thread->interpreter], loop->run.loop);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

/* Before 3.11 only generators know their qualified name, not their code. */
static void name_codes(struct builder *b, const struct aio_link *links, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t index;
		struct snap_code *code;

		if (links[i].kind != AIO_LINK_FRAME || !links[i].qualname)
			continue;
		index = addrmap_get(&b->code_map, links[i].frame.code);
		if (index == ADDRMAP_NONE)
			continue;
		code = &b->s->codes[index];
		if (code->qualname == code->function)
			code->qualname = build_string(b, links[i].qualname, 200);
	}
}

static struct snap_stack chain_stack(struct builder *b, const struct aio_link *links, size_t n,
				     bool truncated)
{
	struct snap_stack stack = {(uint32_t)b->s->n_frames, 0, truncated};

	/* innermost first, as everywhere */
	for (size_t i = n; i-- > 0 && stack.n < PY_MAX_FRAMES;) {
		if (links[i].kind == AIO_LINK_FRAME)
			build_stack(b, &links[i].frame, 1, false);
		else if (links[i].kind == AIO_LINK_CYTHON)
			build_cython_frame(b, &links[i]);
		stack.n = (uint32_t)b->s->n_frames - stack.first;
	}
	if (!layout_has(&b->py->layout, F_CO_QUALNAME))
		name_codes(b, links, n);
	return stack;
}

/*
 * The running task's coroutines are on the thread's stack, with the synchronous frames above
 * them: its stack is the thread's, down to the outermost coroutine.
 */
static bool running_stack(struct builder *b, struct snap_task *task, const struct aio_link *links,
			  size_t n)
{
	const struct snap_thread *thread = &b->s->threads[b->s->loops[task->loop].thread];
	struct snap_stack stack = thread->stack;

	for (uint32_t i = 0; n && links[0].kind == AIO_LINK_FRAME && i < stack.n; i++) {
		if (b->s->frames[stack.first + i].address != links[0].frame.address)
			continue;
		task->stack = (struct snap_stack){stack.first, i + 1, stack.truncated};
		return true;
	}
	return false;
}

/* Marks the coroutine frames of the running task in the stack of its thread. */
static void mark_frames(struct builder *b, const struct snap_stack *stack, uint32_t task)
{
	for (uint32_t i = 0; i < stack->n; i++) {
		struct snap_frame *f = &b->s->frames[stack->first + i];

		if (b->s->codes[f->code].async)
			f->task = task;
	}
}

/* ---- one task ----------------------------------------------------------------------------------
 */

static enum snap_task_state state_of(struct builder *b, const struct aio_task *raw, bool running)
{
	if (running)
		return SNAP_TASK_RUNNING;
	if (raw->must_cancel || raw->cancels > 0)
		return SNAP_TASK_CANCELLING;
	if (!raw->waiter || aio_future_state(b->py, raw->waiter) != AIO_PENDING)
		return SNAP_TASK_READY;
	return SNAP_TASK_PENDING;
}

static const char *task_name(struct builder *b, const struct aio_task *raw)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	if (!aio_task_name(b->py, raw, &name))
		return "?";
	return arena_strndup(&b->s->arena, name.data, name.len);
}

static void fill_task(struct builder *b, const struct aio_task *raw, const struct aio_chain *chain,
		      const struct aio_link *links, uint32_t index)
{
	struct snap_task *task = &b->s->tasks[index];
	bool running = task->loop != SNAP_NONE && b->s->loops[task->loop].current_task == index;
	size_t n = chain->n;

	task->torn = chain->torn;
	task->state = state_of(b, raw, running);
	task->cancelling = raw->cancels;
	task->name = task_name(b, raw);
	task->coroutine = n && links[0].qualname ? build_string(b, links[0].qualname, 200) : "?";
	if (running && running_stack(b, task, links, n))
		mark_frames(b, &task->stack, index);
	else
		task->stack = chain_stack(b, links, n, chain->truncated);
	build_task_wait(b, raw, links, n, task);
}

static void add_task(struct builder *b, const struct aio_task *raw, const uint64_t *current)
{
	uint32_t loop = addrmap_get(&b->loop_map, raw->loop), index = (uint32_t)b->s->n_tasks;
	struct snap_task *task;

	task = array_push(&b->s->tasks, &b->s->n_tasks, &b->tasks_cap);
	task->id = raw->address;
	task->resource = SNAP_NONE;
	task->loop = loop == ADDRMAP_NONE ? SNAP_NONE : loop;
	if (task->loop != SNAP_NONE && current[loop] == raw->address)
		b->s->loops[loop].current_task = index;
}

/* By loop, the address of the task that runs; freed by the caller. */
static uint64_t *find_current(struct builder *b)
{
	uint64_t *current = mem_zalloc(b->s->n_loops + 1, sizeof(*current));

	for (size_t i = 0; i < b->s->n_loops; i++) {
		current[i] = running_task(b, &b->s->loops[i]);
		b->s->loops[i].current_task = SNAP_NONE;
		rd_take(&b->py->rd);
	}
	return current;
}

/* ---- many tasks at once --------------------------------------------------------------------- */

/*
 * Memory kept from one batch to the next. Where objects lie beside each other the next batch needs
 * other pages, and to use the same buffer again costs least (BUILD_KEEP); where they are scattered
 * over the heap it needs many of the same.
 */
#define KEEP_SCATTERED (UINT64_C(192) << 20)
#define SCATTERED      8192u /* bytes read for one task, and more */

/* An honest task needs 40, and 30 for each link of its chain. */
#define LOADS_PER_TASK 300u

struct batch {
	struct aio_task *v;
	size_t n, cap;
	uint64_t *addrs; /* scratch, 2 * BUILD_BATCH */
};

/* Whether the object is a task is checked by its type; one that fails changed while we read. */
static void read_raw(struct builder *b, uint64_t address, struct batch *out)
{
	struct aio_task raw;

	if (!aio_task_read(b->py, address, &raw)) {
		build_problem(b, "a task changed while it was read", "task");
		b->s->tasks_torn++;
		rd_take(&b->py->rd);
		return;
	}
	if (raw.state != AIO_PENDING) {
		b->s->tasks_found--; /* done: only its result is still waited for */
		return;
	}
	*array_push(&out->v, &out->n, &out->cap) = raw;
}

static void prefetch_names(struct builder *b, struct batch *batch)
{
	static const size_t name_bytes = 128;
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++) {
		if (batch->v[i].name)
			batch->addrs[n++] = batch->v[i].name;
		if (batch->v[i].waiter)
			batch->addrs[n++] = batch->v[i].waiter;
	}
	source_prefetch(b->py->rd.src, batch->addrs, n, name_bytes);
}

static void read_chains(struct builder *b, const struct batch *batch, struct aio_chains *chains)
{
	for (size_t i = 0; i < batch->n; i++)
		batch->addrs[i] = batch->v[i].coro;
	aio_chains_read(b->py, batch->addrs, batch->n, chains);
}

/* Level by level: tasks, then their names and futures, then their coroutines. */
static void read_batch(struct builder *b, const uint64_t *tasks, size_t n, const uint64_t *current,
		       struct batch *batch)
{
	static const size_t task_bytes = 192;
	size_t first = b->s->n_tasks;
	struct aio_chains chains;

	batch->n = 0;
	rd_grant(&b->py->rd, (uint64_t)n * LOADS_PER_TASK);
	memcpy(batch->addrs, tasks, n * sizeof(*tasks));
	source_prefetch(b->py->rd.src, batch->addrs, n, task_bytes);
	for (size_t i = 0; i < n; i++)
		read_raw(b, tasks[i], batch);
	prefetch_names(b, batch);
	read_chains(b, batch, &chains);
	for (size_t i = 0; i < batch->n; i++) {
		add_task(b, &batch->v[i], current);
		fill_task(b, &batch->v[i], &chains.v[i], chains.links + chains.v[i].first,
			  (uint32_t)(first + i));
	}
	aio_chains_free(&chains);
	build_owners(b, first, batch->n);
}

static void trim(struct source *src, uint64_t read_before, size_t n)
{
	bool scattered = source_get_stats(src).bytes_read - read_before > n * SCATTERED;

	source_trim(src, scattered ? KEEP_SCATTERED : BUILD_KEEP);
}

static void read_batches(struct builder *b, const struct aio_task_list *list)
{
	struct batch batch = {.addrs = mem_alloc(2 * BUILD_BATCH * sizeof(*batch.addrs))};
	uint64_t *current = find_current(b);
	struct source *src = b->py->rd.src;

	for (size_t i = 0; i < list->n; i += BUILD_BATCH) {
		size_t n = list->n - i < BUILD_BATCH ? list->n - i : BUILD_BATCH;
		uint64_t before = source_get_stats(src).bytes_read;

		read_batch(b, list->v + i, n, current, &batch);
		trim(src, before, n);
	}
	free(batch.v);
	free(batch.addrs);
	free(current);
}

/* ---- all tasks ----------------------------------------------------------------------------- */

uint32_t snap_task_find(const struct snapshot *s, uint64_t id)
{
	size_t low = 0, high = s->n_tasks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->tasks[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n_tasks && s->tasks[low].id == id ? (uint32_t)low : SNAP_NONE;
}

static void collect_tasks(struct builder *b, size_t max, struct aio_task_list *list)
{
	for (size_t i = 0; i < b->n_interps; i++)
		if (!aio_tasks(b->py, &b->interps[i], (uint32_t)i, &b->modules[i], b->py_threads,
			       b->n_py_threads, max, list, NULL))
			build_problem(b, "the list of tasks changed while it was read", "tasks");
	if (list->truncated)
		build_problem(b, "more tasks than the limit: the rest is not shown", "tasks");
	addr_sort(list->v, list->n);
	list->n = addr_unique(list->v, list->n);
}

static bool under_retry(const struct snapshot *s, const struct snap_task *task)
{
	for (uint32_t i = 0; i < task->stack.n; i++)
		if (snap_code_of(s, snap_frame_at(s, &task->stack, i))->retry)
			return true;
	return false;
}

static void count_task(struct snapshot *s, struct snap_task *task)
{
	struct snap_loop *loop = &s->loops[task->loop];

	task->under_retry = under_retry(s, task);
	loop->tasks++;
	loop->tasks_torn += task->torn;
	loop->unowned += task->owner == SNAP_OWNER_NOBODY;
	loop->owners_unknown += task->owner == SNAP_OWNER_UNKNOWN;
	loop->orphans += task->waker == SNAP_WAKER_NOBODY;
	loop->under_retry += task->under_retry;
}

static void count_by_loop(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_tasks; i++) {
		if (s->tasks[i].torn)
			s->tasks_torn++;
		if (s->tasks[i].loop == SNAP_NONE)
			continue;
		count_task(s, &s->tasks[i]);
	}
}

void build_tasks(struct builder *b, size_t max)
{
	struct aio_task_list list = {0};

	collect_tasks(b, max, &list);
	b->s->tasks_found = list.n;
	read_batches(b, &list);
	build_verify_sleeps(b);
	build_awaited(b);
	build_wakers(b);
	build_resources(b);
	count_by_loop(b->s);
	free(list.v);
}
