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

/*
 * The loop's current task was read with the threads, or from a dict. When its coroutine does not
 * run, that has changed since.
 */
static bool is_current(struct builder *b, uint32_t index, const struct aio_link *links, size_t n)
{
	uint32_t loop = b->s->tasks[index].loop;

	if (loop == SNAP_NONE || b->s->loops[loop].current_task != index)
		return false;
	if (!b->s->settled || !n || links[0].kind != AIO_LINK_FRAME || links[0].running)
		return true;
	b->s->loops[loop].current_task = SNAP_NONE;
	return false;
}

static void fill_task(struct builder *b, const struct aio_task *raw, const struct aio_chain *chain,
		      const struct aio_link *links, uint32_t index)
{
	struct snap_task *task = &b->s->tasks[index];
	size_t n = chain->n;
	bool running = is_current(b, index, links, n);

	task->torn |= chain->torn;
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
	task->untimed = addrmap_get(&b->untimed_map, raw->address) != ADDRMAP_NONE;
	task->torn = addrmap_get(&b->torn_map, raw->address) != ADDRMAP_NONE;
	if (task->loop != SNAP_NONE && current[loop] == raw->address)
		b->s->loops[loop].current_task = index;
}

uint64_t *build_current(struct builder *b)
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

static void count_unreadable(struct builder *b)
{
	build_problem(b, "a task changed while it was read", "task");
	b->s->tasks_torn++;
}

/* Whether the object is a task is checked by its type; one that fails changed while we read. */
static void read_raw(struct builder *b, uint64_t address, struct batch *out)
{
	struct aio_task raw;

	if (!aio_task_read(b->py, address, &raw)) {
		count_unreadable(b);
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

/* Memory of tasks that moved is not to be had again: it is of the moment at which they settled. */
static void trim(struct builder *b, uint64_t read_before, size_t n)
{
	struct source *src = b->py->rd.src;
	bool scattered = source_get_stats(src).bytes_read - read_before > n * SCATTERED;

	if (b->s->settled)
		return;
	source_trim(src, scattered ? KEEP_SCATTERED : BUILD_KEEP);
}

void build_some_tasks(struct builder *b, const uint64_t *tasks, size_t total,
		      const uint64_t *current)
{
	struct batch batch = {.addrs = mem_alloc(2 * BUILD_BATCH * sizeof(*batch.addrs))};

	for (size_t i = 0; i < total; i += BUILD_BATCH) {
		size_t n = total - i < BUILD_BATCH ? total - i : BUILD_BATCH;
		uint64_t before = source_get_stats(b->py->rd.src).bytes_read;

		read_batch(b, tasks + i, n, current, &batch);
		trim(b, before, n);
	}
	free(batch.v);
	free(batch.addrs);
}

/* ---- in order ------------------------------------------------------------------------------- */

struct place {
	uint64_t id;
	uint32_t was;
};

static int by_id(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void renumber(uint32_t *task, const uint32_t *now)
{
	if (*task != SNAP_NONE)
		*task = now[*task];
}

static void renumber_all(struct builder *b, const uint32_t *now)
{
	struct snapshot *s = b->s;

	for (size_t i = 0; i < s->n_loops; i++)
		renumber(&s->loops[i].current_task, now);
	for (size_t i = 0; i < s->n_frames; i++)
		renumber(&s->frames[i].task, now);
	for (size_t i = 0; i < b->n_sleeps; i++)
		renumber(&b->sleeps[i].task, now);
}

void build_order_tasks(struct builder *b)
{
	struct snapshot *s = b->s;
	struct place *places = mem_alloc((s->n_tasks + 1) * sizeof(*places));
	struct snap_task *tasks = mem_alloc((s->n_tasks + 1) * sizeof(*tasks));
	uint32_t *now = mem_alloc((s->n_tasks + 1) * sizeof(*now));

	for (uint32_t i = 0; i < s->n_tasks; i++)
		places[i] = (struct place){s->tasks[i].id, i};
	qsort(places, s->n_tasks, sizeof(*places), by_id);
	for (uint32_t i = 0; i < s->n_tasks; i++) {
		tasks[i] = s->tasks[places[i].was];
		now[places[i].was] = i;
	}
	renumber_all(b, now);
	free(s->tasks);
	s->tasks = tasks;
	b->tasks_cap = s->n_tasks;
	free(places);
	free(now);
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

bool collect_tasks(struct builder *b, size_t max, struct aio_task_list *list)
{
	bool whole = true;

	for (size_t i = 0; i < b->n_interps; i++)
		whole &= aio_tasks(b->py, &b->interps[i], (uint32_t)i, &b->modules[i],
				   b->py_threads, b->n_py_threads, max, list, NULL);
	return whole;
}

static void report_list(struct builder *b, const struct aio_task_list *list, bool whole)
{
	if (!whole)
		build_problem(b, "the list of tasks changed while it was read", "tasks");
	if (list->truncated)
		build_problem(b, "more tasks than the limit: the rest is not shown", "tasks");
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

static void read_tasks(struct builder *b, struct aio_task_list *list)
{
	uint64_t *current;

	addr_sort(list->v, list->n);
	list->n = addr_unique(list->v, list->n);
	b->s->tasks_found = list->n + b->unreadable;
	for (size_t i = 0; i < b->unreadable; i++)
		count_unreadable(b);
	current = build_current(b);
	build_some_tasks(b, list->v, list->n, current);
	free(current);
}

/* What read_tasks() added is taken back, as the tasks are read once more. */
static void forget_tasks(struct builder *b, size_t frames, size_t problems)
{
	struct snapshot *s = b->s;

	s->n_frames = frames;
	s->n_problems = problems;
	b->n_sleeps = b->n_chained = 0;
	s->n_tasks = s->n_resources = s->n_awaiters = s->n_callbacks = s->tasks_torn = 0;
	for (size_t i = 0; i < s->n_frames; i++)
		s->frames[i].task = SNAP_NONE;
	if (!layout_has(&b->py->layout, F_CO_QUALNAME)) /* names were the tasks' */
		for (size_t i = 0; i < s->n_codes; i++)
			s->codes[i].qualname = s->codes[i].function;
	addrmap_clear(&b->place_map);
	addrmap_clear(&b->string_map);
	addrmap_clear(&b->what_map);
	addrmap_clear(&b->no_timeout_map);
	addrmap_clear(&b->resource_map);
	addrmap_clear(&b->woken_map);
	addrmap_clear(&b->chained_map);
}

/* Whether a loop has surely slept so far is asked once, at the end: /proc answers once in a look.
 */
static bool may_sleep(const struct builder *b)
{
	if (b->main_slept)
		return true;
	for (size_t i = 0; i < b->s->n_loops; i++)
		if (b->s->threads[b->s->loops[i].thread].os.stat.state == 'R')
			return false;
	return true;
}

/*
 * Most loops wait while they are looked at: their tasks are read once, and that is that. Of one
 * that runs it is asked before that whether it has gone on.
 */
static void read_settled(struct builder *b, size_t max, struct aio_task_list *list)
{
	size_t frames = b->s->n_frames, problems = b->s->n_problems;
	bool whole, moved;

	if (settle_recorded(b, max, list)) {
		report_list(b, list, !b->s->list_torn);
		read_tasks(b, list);
		return;
	}
	settle_remember(b);
	whole = collect_tasks(b, max, list);
	moved = !may_sleep(b) && settle_moved(b);
	if (!moved) {
		read_tasks(b, list);
		moved = settle_moved(b);
	}
	if (moved) {
		forget_tasks(b, frames, problems);
		if (!settle_tasks(b, max, list))
			read_tasks(b, list);
		whole = !b->s->list_torn;
	}
	report_list(b, list, whole);
}

void build_tasks(struct builder *b, size_t max)
{
	struct aio_task_list list = {0};

	read_settled(b, max, &list);
	build_verify_sleeps(b);
	build_awaited(b);
	build_wakers(b);
	build_resources(b);
	count_by_loop(b->s);
	free(list.v);
}
