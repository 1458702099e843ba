/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs of deadlock: a loop that is blocked in a wait that only it can end, itself or over other
 * threads. Each thread has at most one edge, to the thread that must act first.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define READY_MAX   16384u /* handles of one queue */
#define DEPTH_MAX   64u	   /* outer frames of a worker's stack that are searched */
#define WAITERS_MAX 1024u

struct edge {
	struct aio_block block;
	bool have;
	uint32_t to, loop; /* the thread, and its loop when that must run; SNAP_NONE */
	const char *proof;
};

struct search {
	struct addrmap queued;	/* Future -> loop that has its callback in the ready queue */
	struct addrmap workers; /* Future -> thread that has its job at work */
	bool queues_read, workers_read;
};

static uint32_t thread_of_ident(const struct builder *b, uint64_t ident)
{
	for (size_t i = 0; i < b->n_py_threads; i++)
		if (b->py_threads[i].ident == ident)
			return (uint32_t)i;
	return SNAP_NONE;
}

static bool frame_of(struct builder *b, const struct snap_frame *f, struct py_frame *ret)
{
	bool ok = python_frame(b->py, f->address, ret) && ret->code != UINT32_MAX;

	return !rd_take(&b->py->rd) && ok;
}

/* At most max frames of a thread, from the innermost. */
static size_t inner_frames(struct builder *b, uint32_t thread, struct py_frame *frames, size_t max)
{
	const struct snap_stack *stack = &b->s->threads[thread].stack;
	size_t n = 0;

	while (n < max && n < stack->n &&
	       frame_of(b, snap_frame_at(b->s, stack, (uint32_t)n), &frames[n]))
		n++;
	return n;
}

/* ---- who completes a future ------------------------------------------------------------------ */

static bool task_of_loop(struct builder *b, struct edge *e)
{
	uint32_t known = addrmap_get(&b->chained_map, e->block.future), index;
	const struct snap_task *task;

	if (known == ADDRMAP_NONE)
		return false;
	index = snap_task_find(b->s, b->chained[known]);
	task = index == SNAP_NONE ? NULL : &b->s->tasks[index];
	if (!task || task->loop == SNAP_NONE)
		return false;
	e->loop = task->loop;
	e->proof =
		arena_printf(&b->s->arena, "task %s of that loop will set the Future", task->name);
	return true;
}

static void note_queued(struct builder *b, uint32_t loop, struct addrmap *queued)
{
	uint64_t *handles = mem_alloc(READY_MAX * sizeof(*handles)), total, future;
	size_t n = aio_deque(b->py, b->s->loops[loop].info.ready_queue, handles, READY_MAX, &total);

	rd_take(&b->py->rd);
	aio_handles_prefetch(b->py, handles, n);
	for (size_t i = 0; i < n; i++) {
		future = aio_threadsafe_future(b->py, handles[i]);
		if (future)
			addrmap_put(queued, future, loop);
	}
	free(handles);
}

/* All queues are gone through once, when the first thread is found that waits. */
static bool queued_in_loop(struct builder *b, struct search *search, struct edge *e)
{
	if (!search->queues_read)
		for (uint32_t i = 0; i < b->s->n_loops; i++)
			if (b->s->loops[i].have_info && b->s->loops[i].info.ready_queue)
				note_queued(b, i, &search->queued);
	search->queues_read = true;
	e->loop = addrmap_get(&search->queued, e->block.future);
	if (e->loop == ADDRMAP_NONE)
		return false;
	e->proof = "the callback of run_coroutine_threadsafe that starts its coroutine is in the "
		   "ready queue of that loop";
	return true;
}

/* The outer frames of a worker thread have the item that it works on. */
static void note_worker(struct builder *b, uint32_t thread, struct addrmap *workers)
{
	const struct snap_stack *stack = &b->s->threads[thread].stack;
	struct py_frame frame;
	uint64_t future;

	for (uint32_t i = 0; i < stack->n && i < DEPTH_MAX; i++) {
		const struct snap_frame *f = snap_frame_at(b->s, stack, stack->n - 1 - i);

		if (strcmp(snap_code_of(b->s, f)->function, "run") != 0 || !frame_of(b, f, &frame))
			continue;
		future = aio_work_item(b->py, &frame);
		if (future && addrmap_get(workers, future) == ADDRMAP_NONE)
			addrmap_put(workers, future, thread);
	}
}

/* All threads are gone through once, as the queues are. */
static bool run_by_worker(struct builder *b, struct search *search, struct edge *e)
{
	for (uint32_t i = 0; i < b->n_py_threads && !search->workers_read; i++)
		note_worker(b, i, &search->workers);
	search->workers_read = true;
	e->to = addrmap_get(&search->workers, e->block.future);
	e->proof = "the job that sets the Future runs in that thread";
	return e->to != ADDRMAP_NONE;
}

static void find_edge(struct builder *b, struct search *search, uint32_t thread, struct edge *e)
{
	struct py_frame frames[8];
	size_t n = inner_frames(b, thread, frames, ARRAY_SIZE(frames));

	e->to = e->loop = SNAP_NONE;
	if (!aio_block_read(b->py, frames, n, &e->block))
		return;
	e->have = true;
	if (!e->block.future) {
		e->to = thread_of_ident(b, e->block.ident);
		e->proof = "it waits for the end of that thread";
	} else if (task_of_loop(b, e) || queued_in_loop(b, search, e)) {
		e->to = b->s->loops[e->loop].thread;
		b->s->threads[thread].waits_for_loop = e->loop;
		b->s->threads[thread].waits_forever = e->block.forever;
	} else {
		run_by_worker(b, search, e);
	}
}

/* ---- cycles -------------------------------------------------------------------------------- */

/* The loop cannot go on while its thread is in one of its callbacks. */
static bool is_in_callback(const struct snap_loop *loop)
{
	return loop->phase == SNAP_CALLBACKS || loop->phase == SNAP_PROCESSING;
}

static bool is_stuck(const struct builder *b, const struct edge *e)
{
	return e->have && e->block.forever && e->to != SNAP_NONE &&
	       (e->loop == SNAP_NONE || is_in_callback(&b->s->loops[e->loop]));
}

/* Follows the edges from a loop's thread until they come back to it. */
static void find_cycle(struct builder *b, const struct edge *edges, struct snap_loop *loop)
{
	struct snap_deadlock *d = &loop->deadlock;
	uint32_t thread = loop->thread;

	if (!is_in_callback(loop))
		return;
	/* A timeout ends a wait for oneself; there is still nobody else to wait for. */
	if (edges[thread].have && edges[thread].to == thread) {
		d->kind = SNAP_DEADLOCK_OWN_FUTURE;
		d->forever = edges[thread].block.forever;
		d->future = edges[thread].block.future;
		d->threads[0] = thread;
		d->loops[0] = edges[thread].loop;
		d->proofs[0] = edges[thread].proof;
		d->n_threads = 1;
		return;
	}
	for (d->n_threads = 0; d->n_threads < ARRAY_SIZE(d->threads);) {
		const struct edge *e = &edges[thread];

		if (!is_stuck(b, e))
			break;
		d->threads[d->n_threads] = thread;
		d->proofs[d->n_threads] = e->proof;
		d->loops[d->n_threads++] = e->loop;
		thread = e->to;
		if (thread != loop->thread)
			continue;
		d->kind = SNAP_DEADLOCK_THREADS;
		d->forever = true;
		d->future = edges[loop->thread].block.future;
		return;
	}
	d->n_threads = 0;
}

/* ---- pools ----------------------------------------------------------------------------------- */

static uint64_t attr(struct builder *b, uint64_t object, const char *name)
{
	const char *const names[] = {name};
	uint64_t value = 0;

	if (!object || !py_attrs(b->py, object, names, 1, &value) || rd_take(&b->py->rd))
		return 0;
	return value;
}

static bool is_of_sqlalchemy(struct builder *b, uint64_t object, const char *class)
{
	const char *type = py_type_full_name(b->py, py_type(b->py, object));

	return !rd_take(&b->py->rd) && !strncmp(type, "sqlalchemy.", strlen("sqlalchemy.")) &&
	       str_ends_with(type, class);
}

/* What the pool has handed out to a Connection that is not closed; 0 none, or of another pool. */
static uint64_t checkout_of(struct builder *b, uint64_t connection, uint64_t pool)
{
	uint64_t out = attr(b, connection, "_dbapi_connection");
	bool is_out = out && !py_is_none(b->py, out);

	if (rd_take(&b->py->rd) || !is_out ||
	    attr(b, attr(b, connection, "engine"), "pool") != pool)
		return 0;
	return out;
}

/* A Session has a connection only while it is in a transaction that has begun to use one. */
static uint64_t checkout_of_session(struct builder *b, uint64_t session, uint64_t pool)
{
	uint64_t dict = attr(b, attr(b, session, "_transaction"), "_connections");
	uint64_t key, value, out = 0;
	struct py_iter it;
	bool is_dict = dict && py_dict_begin(b->py, dict, &it);

	while (is_dict && !out && py_iter_next(b->py, &it, &key, &value))
		if (is_of_sqlalchemy(b, key, ".Connection"))
			out = checkout_of(b, key, pool);
	return rd_take(&b->py->rd) ? 0 : out;
}

/* The connection of this pool that an object has: each has one address, whoever has it. */
static uint64_t checkout_in(struct builder *b, uint64_t object, uint64_t pool)
{
	uint64_t record;

	if (is_of_sqlalchemy(b, object, ".Connection"))
		return checkout_of(b, object, pool);
	if (is_of_sqlalchemy(b, object, ".Session"))
		return checkout_of_session(b, object, pool);
	if (!is_of_sqlalchemy(b, object, "._ConnectionFairy") || attr(b, object, "_pool") != pool)
		return 0;
	record = attr(b, object, "_connection_record"); /* None: it was given back */
	return record && !py_is_none(b->py, record) && !rd_take(&b->py->rd) ? object : 0;
}

/* In a variable, or where a with statement left its __exit__. */
static void note_checkouts(struct builder *b, const struct snap_frame *f, uint64_t pool,
			   struct addrmap *seen)
{
	struct py_frame frame;
	size_t n_locals = 0,
	       n = frame_of(b, f, &frame) ? python_slots(b->py, &frame, &n_locals) : 0;

	for (size_t i = 0; i < n && !b->py->rd.failed; i++) {
		uint64_t value = python_slot(b->py, &frame, i), out;
		uint64_t self = value ? py_method_self(b->py, value) : 0;

		rd_take(&b->py->rd);
		out = value ? checkout_in(b, self ? self : value, pool) : 0;
		if (out)
			addrmap_put(seen, out, 0);
	}
	rd_take(&b->py->rd);
}

/* Connections of the pool that suspended tasks of the loop have: two may share one. */
static uint32_t count_checkouts(struct builder *b, uint32_t loop, uint64_t pool)
{
	struct addrmap seen = ADDRMAP_INIT;
	uint32_t left = SNAP_MAX_HOLDERS, n;

	for (size_t i = 0; i < b->s->n_tasks && left; i++) {
		const struct snap_task *task = &b->s->tasks[i];

		if (task->loop != loop || task->state == SNAP_TASK_RUNNING)
			continue;
		left--;
		for (uint32_t f = 0; f < task->stack.n; f++) {
			const struct snap_frame *frame = snap_frame_at(b->s, &task->stack, f);

			if (snap_code_of(b->s, frame)->own)
				note_checkouts(b, frame, pool, &seen);
		}
	}
	n = (uint32_t)seen.used;
	addrmap_deinit(&seen);
	return n;
}

static void find_pool(struct builder *b, uint32_t index)
{
	struct snap_loop *loop = &b->s->loops[index];
	struct snap_deadlock *d = &loop->deadlock;
	struct py_frame frames[8];
	struct aio_pool pool;
	size_t n = inner_frames(b, loop->thread, frames, ARRAY_SIZE(frames));

	if (d->kind || !is_in_callback(loop) || !aio_pool_read(b->py, frames, n, &pool))
		return;
	d->kind = SNAP_POOL_WAIT;
	d->pool = pool.address;
	d->checked_out = pool.checked_out;
	d->pool_limit = pool.limit;
	d->pool_holders = count_checkouts(b, index, pool.address);
	/* its own timeout, 30 s unless said otherwise, ends it with an error */
	if (pool.checked_out > 0 && d->pool_holders >= pool.checked_out)
		d->kind = SNAP_DEADLOCK_POOL;
}

void build_deadlocks(struct builder *b)
{
	struct edge *edges = mem_zalloc(b->n_py_threads + 1, sizeof(*edges));
	struct search search = {.queued = ADDRMAP_INIT, .workers = ADDRMAP_INIT};

	for (size_t i = 0; i < b->s->n_threads; i++)
		b->s->threads[i].waits_for_loop = SNAP_NONE;
	for (uint32_t i = 0; i < b->n_py_threads && i < WAITERS_MAX && b->s->n_loops; i++)
		find_edge(b, &search, i, &edges[i]);
	for (uint32_t i = 0; i < b->s->n_loops; i++) {
		if (b->s->loops[i].thread < b->n_py_threads)
			find_cycle(b, edges, &b->s->loops[i]);
		find_pool(b, i);
	}
	addrmap_deinit(&search.queued);
	addrmap_deinit(&search.workers);
	free(edges);
}
