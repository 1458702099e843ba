/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primitives that tasks wait on. A Lock does not know who has it; the coroutine in its `async with`
 * does: __aexit__ lies on the value stack of its frame until the block is left.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define DEEP	 2u /* values on the stack of an awaiting frame that has an `async with` */
#define SPELLING "./././././././././" /* of a path, as nobody else has it (wait.c says why) */

uint32_t build_resource(struct builder *b, uint64_t address, uint32_t loop, bool stream)
{
	uint32_t index = addrmap_get(&b->resource_map, address);
	struct snap_resource *r;

	if (index == ADDRMAP_NONE) {
		index = (uint32_t)b->s->n_resources;
		addrmap_put(&b->resource_map, address, index);
		r = array_push(&b->s->resources, &b->s->n_resources, &b->resources_cap);
		*r = (struct snap_resource){.address = address, .loop = loop, .stream = stream};
		r->locked = r->value = r->size = r->maxsize = -1;
		r->holder = SNAP_NONE;
	}
	b->s->resources[index].waiters++;
	return index;
}

static bool read_resource(struct builder *b, struct snap_resource *r, bool *held)
{
	struct aio_resource raw;

	*held = false;
	if (!aio_resource_read(b->py, r->address, &raw))
		return false;
	r->type = build_type(b, r->address);
	r->locked = raw.locked;
	r->value = raw.value;
	r->size = raw.size;
	r->maxsize = raw.maxsize;
	r->lost = raw.lost;
	*held = (raw.is_lock && raw.locked > 0) || (raw.is_semaphore && !raw.value);
	return true;
}

/* ---- who has it ---------------------------------------------------------------------------- */

struct search {
	struct addrmap wanted; /* address -> index into resources */
	struct addrmap depths; /* code and instruction -> values on the stack there */
	uint32_t task;	       /* of the last __aexit__ of what that task itself waits for, ... */
	unsigned entered;      /* ... and how many of them it has */
};

/* How deep the stack is at an instruction is the same for every frame that stands there. */
static bool is_deep(struct builder *b, struct search *search, const struct snap_frame *f)
{
	uint64_t place = (uint64_t)f->code << 32 | (uint32_t)f->instr;
	uint32_t depth = addrmap_get(&search->depths, place);
	struct py_frame frame;
	size_t n, locals;

	if (depth != ADDRMAP_NONE || !f->address)
		return depth >= DEEP && f->address;
	depth = 0;
	if (python_frame(b->py, f->address, &frame)) {
		n = python_slots(b->py, &frame, &locals);
		depth = n > locals ? (uint32_t)(n - locals) : 0;
	}
	if (!rd_take(&b->py->rd))
		addrmap_put(&search->depths, place, depth);
	return depth >= DEEP;
}

/* The primitive, or its bound __aexit__ (up to 3.13). */
static uint32_t wanted_in(struct builder *b, struct search *search, uint64_t value)
{
	struct python *py = b->py;
	uint32_t index = value ? addrmap_get(&search->wanted, value) : ADDRMAP_NONE;

	if (!value || index != ADDRMAP_NONE || !py->types.method)
		return index;
	if (py_type(py, value) == py->types.method && !py->rd.failed)
		index = addrmap_get(
			&search->wanted,
			rd_u64(&py->rd, value + py->layout.field[F_METHOD_SELF].offset));
	return rd_take(&py->rd) ? ADDRMAP_NONE : index;
}

static bool is_aexit(struct python *py, uint64_t function)
{
	uint32_t code = python_function(py, function);

	return code != UINT32_MAX && !py->rd.failed && !strcmp(py->codes[code].name, "__aexit__");
}

/*
 * True when slot i is what `async with` left of a Lock: its bound __aexit__, or from 3.14 on the
 * function and behind it the Lock (LOAD_SPECIAL). Anything else, as an argument of a call that is
 * being made, says that the task knows the Lock, not that it has it.
 */
static bool is_inside(struct builder *b, const struct py_frame *frame, size_t i, size_t first,
		      uint64_t lock)
{
	struct python *py = b->py;
	uint64_t value = python_slot(py, frame, i), function = 0;
	bool is_lock = !strcmp(py_type_full_name(py, py_type(py, lock)), "asyncio.locks.Lock");

	if (value != lock)
		function = rd_u64(&py->rd, value + py->layout.field[F_METHOD_FUNC].offset);
	else if (i > first)
		function = python_slot(py, frame, i - 1);
	is_lock = is_lock && function && is_aexit(py, function);
	return !rd_take(&py->rd) && is_lock;
}

static void add_holder(struct snap_resource *r, uint32_t task, bool inside)
{
	for (uint32_t i = 0; i < r->n_holders; i++)
		if (r->holders[i] == task) {
			r->holder = inside && r->n_holders == 1 ? task : r->holder;
			return;
		}
	if (r->n_holders < ARRAY_SIZE(r->holders))
		r->holders[r->n_holders++] = task;
	r->holder = inside && r->n_holders == 1 ? task : SNAP_NONE; /* a Lock has one */
}

/*
 * Who waits for it is about to enter its own block, and has an __aexit__ for that; with two of them
 * it is in a block already, and waits for itself.
 */
static bool only_enters(struct search *search, uint32_t task, bool inside)
{
	if (search->task != task)
		search->entered = 0;
	search->task = task;
	search->entered += inside;
	return search->entered < 2;
}

static void search_frame(struct builder *b, struct search *search, uint32_t task,
			 const struct snap_frame *f)
{
	struct py_frame frame;
	size_t n, locals;

	if (!python_frame(b->py, f->address, &frame) || frame.instr != f->instr) {
		rd_take(&b->py->rd); /* it has moved on since */
		return;
	}
	n = python_slots(b->py, &frame, &locals);
	for (size_t i = locals; i < n && !b->py->rd.failed; i++) {
		uint32_t index = wanted_in(b, search, python_slot(b->py, &frame, i));
		bool inside;

		if (index == ADDRMAP_NONE)
			continue;
		inside = is_inside(b, &frame, i, locals, b->s->resources[index].address);
		if (b->s->tasks[task].resource != index || !only_enters(search, task, inside))
			add_holder(&b->s->resources[index], task, inside);
	}
	rd_take(&b->py->rd);
}

/* Deep frames, in batches: the memory of the tasks was read and let go of before. */
struct deep {
	uint32_t task;
	const struct snap_frame *frame;
};

static void search_batch(struct builder *b, struct search *search, const struct deep *deep,
			 size_t n)
{
	static const size_t frame_bytes = 512;
	uint64_t *addrs = mem_alloc((n + 1) * sizeof(*addrs));

	for (size_t i = 0; i < n; i++)
		addrs[i] = deep[i].frame->address;
	source_prefetch(b->py->rd.src, addrs, n, frame_bytes);
	free(addrs);
	for (size_t i = 0; i < n; i++)
		search_frame(b, search, deep[i].task, deep[i].frame);
	source_trim(b->py->rd.src, BUILD_KEEP);
}

static void search_holders(struct builder *b, struct search *search)
{
	struct deep *deep = mem_alloc(BUILD_BATCH * sizeof(*deep));
	struct snapshot *s = b->s;
	size_t n = 0;

	for (size_t i = 0; i < s->n_tasks; i++) {
		const struct snap_task *task = &s->tasks[i];

		if (task->state == SNAP_TASK_RUNNING)
			continue;
		for (uint32_t f = 0; f < task->stack.n; f++) {
			const struct snap_frame *frame = snap_frame_at(s, &task->stack, f);

			if (!is_deep(b, search, frame))
				continue;
			deep[n++] = (struct deep){(uint32_t)i, frame};
			if (n == BUILD_BATCH) {
				search_batch(b, search, deep, n);
				n = 0;
			}
		}
	}
	search_batch(b, search, deep, n);
	free(deep);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* Those of many first; a stream has one reader, and nothing to tell. */
static size_t read_some(struct builder *b, struct search *search, bool many, size_t left)
{
	for (size_t i = 0; i < b->s->n_resources && left; i++) {
		struct snap_resource *r = &b->s->resources[i];
		bool held;

		if (r->stream || (r->waiters > 1) != many)
			continue;
		left--;
		if (read_resource(b, r, &held) && held)
			addrmap_put(&search->wanted, r->address, (uint32_t)i);
	}
	return left;
}

/* What tasks wait for and have is of one moment when nothing of their loop ran meanwhile. */
static void ask_whether_slept(struct builder *b)
{
	bool *asked = mem_zalloc(b->s->n_loops + 1, sizeof(*asked));

	for (size_t i = 0; i < b->s->n_resources; i++) {
		const struct snap_resource *r = &b->s->resources[i];
		struct snap_loop *loop;

		if (r->holder == SNAP_NONE || r->loop == SNAP_NONE || asked[r->loop])
			continue;
		loop = &b->s->loops[r->loop];
		asked[r->loop] = true;
		loop->slept_through = loop->phase == SNAP_SELECT && !loop->turned &&
				      is_same_call(b, &b->s->threads[loop->thread].os, SPELLING);
	}
	free(asked);
}

#define AWAITERS_DEEP 4u

/* A timeout around its wait, or around that of a task that awaits it, cancels it. */
static bool has_deadline(const struct snapshot *s, const struct snap_task *task, unsigned depth)
{
	if (task->under_timeout || task->awaiters_cut || task->n_awaiters > AWAITERS_DEEP)
		return true; /* or it is not known */
	for (uint32_t i = 0; depth && i < task->n_awaiters; i++) {
		uint32_t awaiter = snap_task_find(s, s->awaiters[task->first_awaiter + i]);

		if (awaiter != SNAP_NONE && has_deadline(s, &s->tasks[awaiter], depth - 1))
			return true;
	}
	return false;
}

void build_resources(struct builder *b)
{
	struct search search = {.wanted = ADDRMAP_INIT, .depths = ADDRMAP_INIT, .task = SNAP_NONE};
	struct snapshot *s = b->s;

	read_some(b, &search, false, read_some(b, &search, true, SNAP_MAX_RESOURCES));
	if (search.wanted.used) {
		search_holders(b, &search);
		ask_whether_slept(b);
	}
	for (size_t i = 0; i < s->n_tasks; i++)
		if (s->tasks[i].resource != SNAP_NONE && s->resources[s->tasks[i].resource].lost)
			s->tasks[i].waker = SNAP_WAKER_NOBODY;
	for (size_t i = 0; i < s->n_tasks; i++)
		if (s->tasks[i].waker == SNAP_WAKER_NOBODY &&
		    has_deadline(s, &s->tasks[i], AWAITERS_DEEP))
			s->tasks[i].waker = SNAP_WAKER_UNKNOWN;
	addrmap_deinit(&search.wanted);
	addrmap_deinit(&search.depths);
}
