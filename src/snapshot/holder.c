/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds the threading lock that a loop's thread waits for. An RLock, an import lock and a
 * thread that is joined say so themselves. A plain Lock does not: but a thread (or a suspended
 * coroutine) inside `with lock:` has the lock's __exit__ on its frame's value stack (3.14+: the
 * lock), and one that called lock.acquire() often has the lock in a local variable, which is
 * weaker.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "builder.h"

#define LEAF_FRAMES	 6u	/* of the waiting thread, in which the lock is looked for */
#define THREADS_SEEN	 256u	/* whose frames are searched */
#define FRAMES_EACH	 256u	/* innermost ones of a thread */
#define TASK_FRAMES	 20000u /* of suspended coroutines */
#define SLOTS_ALTOGETHER (1u << 18)

enum evidence { EVIDENCE_NONE, EVIDENCE_LOCAL, EVIDENCE_WITH };

struct hunt {
	struct builder *b;
	struct snap_loop *loop;
	uint64_t lock;
	struct py_lock info;
	struct py_slot slots[PY_MAX_SLOTS];
	size_t looked_at; /* slots */
};

/* ---- the lock that is waited for --------------------------------------------------------------
 */

static size_t slots_of(struct hunt *h, uint32_t frame_index, bool *exact)
{
	struct python *py = h->b->py;
	struct py_frame frame;
	size_t n = 0;

	*exact = false;
	if (h->looked_at < SLOTS_ALTOGETHER &&
	    python_frame(py, h->b->s->frames[frame_index].address, &frame))
		n = python_frame_slots(py, &frame, h->slots, ARRAY_SIZE(h->slots), exact);
	rd_take(&py->rd);
	h->looked_at += n + 1;
	return n;
}

static bool is_lock_of(struct hunt *h, uint64_t object, uint64_t futex)
{
	bool is = py_lock_read(h->b->py, object, &h->info);

	return !rd_take(&h->b->py->rd) && is && h->info.futex == futex;
}

/* Waiters of one lock sleep on one word of it, up to 3.13: it proves which lock it is. */
static bool find_in_frame(struct hunt *h, uint32_t frame_index, uint64_t futex)
{
	bool exact;
	size_t n = slots_of(h, frame_index, &exact);

	for (size_t i = n; i-- > 0;) {
		uint64_t object = h->slots[i].object, self = py_method_self(h->b->py, object);

		rd_take(&h->b->py->rd);
		if (is_lock_of(h, object, futex)) {
			h->lock = object;
			return true;
		}
		if (self && is_lock_of(h, self, futex)) {
			h->lock = self;
			return true;
		}
	}
	return false;
}

static bool find_lock(struct hunt *h)
{
	const struct snap_stack *stack = &h->b->s->threads[h->loop->thread].stack;
	uint64_t futex = h->loop->blocked.futex;
	struct python *py = h->b->py;

	h->lock = py_lock_parked_on(py, futex);
	if (!rd_take(&py->rd) && h->lock) {
		bool is = py_lock_read(py, h->lock, &h->info);

		return !rd_take(&py->rd) && is;
	}
	for (uint32_t i = 0; i < stack->n && i < LEAF_FRAMES; i++)
		if (find_in_frame(h, stack->first + i, futex))
			return true;
	return false;
}

/* ---- evidence ---------------------------------------------------------------------------------
 */

/* A Condition hands on to its lock. */
static bool stands_for(struct hunt *h, uint64_t object)
{
	static const char *const names[] = {"_lock"};
	struct python *py = h->b->py;
	uint64_t value = 0;
	bool same;

	if (object == h->lock)
		return true;
	same = !strcmp(py_object_type_name(py, object), "Condition") && !py->rd.failed &&
	       py_attrs(py, object, names, 1, &value) && value == h->lock;
	return !rd_take(&py->rd) && same;
}

static enum evidence slot_evidence(struct hunt *h, const struct py_slot *slot, bool exact)
{
	bool in_place = exact && !h->info.futex; /* 3.14+ leave the lock itself on the stack */
	uint64_t self;

	if (!slot->on_stack)
		return slot->object == h->lock ? EVIDENCE_LOCAL : EVIDENCE_NONE;
	self = py_method_self(h->b->py, slot->object);
	rd_take(&h->b->py->rd);
	if ((self && stands_for(h, self)) || (in_place && stands_for(h, slot->object)))
		return EVIDENCE_WITH;
	return EVIDENCE_NONE;
}

static enum evidence frame_evidence(struct hunt *h, uint32_t frame_index)
{
	enum evidence best = EVIDENCE_NONE, e;
	bool exact;
	size_t n = slots_of(h, frame_index, &exact);

	for (size_t i = 0; i < n; i++) {
		e = slot_evidence(h, &h->slots[i], exact);
		if (e > best)
			best = e;
	}
	return best;
}

/* The best of some frames; *frame is the innermost that has it. */
static enum evidence stack_evidence(struct hunt *h, const struct snap_stack *stack, uint32_t from,
				    uint32_t *frame)
{
	enum evidence best = EVIDENCE_NONE, e;

	for (uint32_t i = from; i < stack->n && i < from + FRAMES_EACH; i++) {
		e = frame_evidence(h, stack->first + i);
		if (e > best) {
			best = e;
			*frame = stack->first + i;
		}
	}
	return best;
}

/* ---- threads ----------------------------------------------------------------------------------
 */

static bool waits_too(struct hunt *h, const struct snap_thread *thread)
{
	struct os_thread os = thread->os;
	bool same;

	if (!os.have_syscall &&
	    !os_thread_read(h->b->py->rd.src, thread->os.tid, OS_SYSCALL, &os, NULL))
		return false;
	if (!os.have_syscall || os.syscall.running || os.syscall.number != SYS_futex)
		return false;
	if (h->info.futex)
		return os.syscall.args[0] == h->info.futex;
	same = py_lock_parked_on(h->b->py, os.syscall.args[0]) == h->lock;
	return !rd_take(&h->b->py->rd) && same;
}

/*
 * It is in wait() of a Condition, which gives the lock up until it is notified; the `with` around
 * it still has __exit__ on its stack.
 */
static bool has_let_go(struct hunt *h, const struct snap_stack *stack)
{
	const struct snapshot *s = h->b->s;
	struct py_frame frame;
	uint64_t self = 0;

	for (uint32_t i = 0; i < stack->n && i < LEAF_FRAMES; i++) {
		const struct snap_frame *f = snap_frame_at(s, stack, i);
		const struct snap_code *c = snap_code_of(s, f);

		if (!str_ends_with(c->file, "/threading.py"))
			return false;
		if (strcmp(c->function, "wait") != 0)
			continue;
		if (python_frame(h->b->py, f->address, &frame))
			self = python_local(h->b->py, &frame, "self");
		if (!rd_take(&h->b->py->rd) && self && stands_for(h, self))
			return true;
	}
	return false;
}

/*
 * Where the waiting thread's own evidence begins: behind its call to acquire(), and the frame that
 * made it, which (up to 3.10) has __exit__ on its stack before __enter__ is called.
 */
static uint32_t behind_the_wait(const struct snapshot *s, const struct snap_stack *stack)
{
	uint32_t i = 0;

	while (i < stack->n &&
	       str_ends_with(snap_code_of(s, snap_frame_at(s, stack, i))->file, "/threading.py"))
		i++;
	return i + 1;
}

static void take_thread(struct hunt *h, uint32_t thread, uint32_t frame, bool certain)
{
	struct snap_blocked *w = &h->loop->blocked;

	w->holder = SNAP_HOLDER_THREAD;
	w->holder_thread = thread;
	w->holder_frame = frame;
	w->holder_certain = certain;
}

static bool take_owner(struct hunt *h, uint64_t ident)
{
	uint32_t frame = SNAP_NONE;

	for (uint32_t i = 0; ident && i < h->b->n_py_threads; i++) {
		if (h->b->py_threads[i].ident != ident)
			continue;
		if (h->lock)
			stack_evidence(h, &h->b->s->threads[i].stack, 0, &frame);
		take_thread(h, i, frame, true);
		return true;
	}
	return false;
}

/* The one thread with the best evidence; two with the same are none. */
static enum evidence search_threads(struct hunt *h)
{
	enum evidence best = EVIDENCE_NONE, e;
	uint32_t found = SNAP_NONE, where = SNAP_NONE, frame;
	unsigned same = 0;

	for (uint32_t i = 0; i < h->b->n_py_threads && i < THREADS_SEEN; i++) {
		const struct snap_thread *thread = &h->b->s->threads[i];
		bool own = i == h->loop->thread;

		if (!own && (waits_too(h, thread) || has_let_go(h, &thread->stack)))
			continue;
		frame = SNAP_NONE;
		e = stack_evidence(h, &thread->stack,
				   own ? behind_the_wait(h->b->s, &thread->stack) : 0, &frame);
		if (e == EVIDENCE_NONE || e < best || (own && e == EVIDENCE_LOCAL))
			continue;
		same = e == best ? same + 1 : 1;
		best = e;
		found = i;
		where = frame;
	}
	if (same != 1)
		return EVIDENCE_NONE;
	take_thread(h, found, where, false);
	h->loop->blocked.holder_by_local = best == EVIDENCE_LOCAL;
	return best;
}

/* A coroutine that awaits inside `with lock:` keeps the lock, and its loop cannot run it again. */
static bool search_tasks(struct hunt *h)
{
	const struct snapshot *s = h->b->s;
	uint32_t seen = 0, frame;

	for (uint32_t i = 0; i < s->n_tasks && seen < TASK_FRAMES; i++) {
		const struct snap_task *task = &s->tasks[i];

		seen += task->stack.n;
		if (task->state == SNAP_TASK_RUNNING || task->torn ||
		    stack_evidence(h, &task->stack, 0, &frame) != EVIDENCE_WITH)
			continue;
		h->loop->blocked.holder = SNAP_HOLDER_TASK;
		h->loop->blocked.holder_task = i;
		h->loop->blocked.holder_frame = frame;
		h->loop->blocked.holder_by_local = false;
		return true;
	}
	return false;
}

/* ---- what says itself whom it waits for -------------------------------------------------------
 */

static bool named(struct hunt *h, uint32_t frame_index, const char *attr)
{
	struct python *py = h->b->py;
	uint64_t value = 0, self;
	struct py_frame frame;
	int64_t ident;
	bool found;

	if (!python_frame(py, h->b->s->frames[frame_index].address, &frame))
		return !rd_take(&py->rd) && false;
	self = python_local(py, &frame, "self");
	found = self && !py->rd.failed && py_attrs(py, self, &attr, 1, &value) && value &&
		py_int(py, value, &ident);
	return !rd_take(&py->rd) && found && take_owner(h, (uint64_t)ident);
}

/* Thread.join(), and the lock of a module that is being imported. */
static bool find_named(struct hunt *h)
{
	const struct snapshot *s = h->b->s;
	const struct snap_stack *stack = &s->threads[h->loop->thread].stack;

	for (uint32_t i = 0; i < stack->n && i < LEAF_FRAMES; i++) {
		const struct snap_code *c = snap_code_of(s, snap_frame_at(s, stack, i));

		if (!strcmp(c->function, "join") && str_ends_with(c->file, "/threading.py") &&
		    named(h, stack->first + i, "_ident")) {
			h->loop->blocked.waits_for_end = true;
			return true;
		}
		if (!strcmp(c->function, "acquire") &&
		    str_ends_with(c->file, "importlib._bootstrap>") &&
		    named(h, stack->first + i, "owner"))
			return true;
	}
	return false;
}

static void find_holder(struct hunt *h)
{
	if (find_named(h))
		return;
	if (!find_lock(h))
		return;
	h->loop->blocked.lock = h->lock;
	if (h->info.recursive) {
		take_owner(h, h->info.owner);
		return;
	}
	if (search_threads(h) != EVIDENCE_WITH)
		search_tasks(h);
}

void build_holders(struct builder *b)
{
	for (size_t i = 0; i < b->s->n_loops; i++) {
		struct snap_loop *loop = &b->s->loops[i];
		const struct snap_thread *thread = &b->s->threads[loop->thread];
		struct hunt *h;

		if (loop->blocked.kind != SNAP_BLOCKED_FUTEX || !thread->is_python)
			continue;
		h = mem_zalloc(1, sizeof(*h));
		h->b = b;
		h->loop = loop;
		find_holder(h);
		free(h);
	}
	for (size_t i = 0; i < b->s->n_loops; i++)
		if (b->s->loops[i].blocked.kind == SNAP_BLOCKED_FUTEX)
			forget_if_moved(b, &b->s->loops[i], "././");
}
