/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - what a thread can be blocked in: sockets and locks, and where frames keep them
 *
 * Their structures are in no header and in no debug offsets, but short, and their fields have
 * stood at these places behind the head of an object from 3.8 to 3.15.
 */
#include <string.h>

#include "ops.h"

/* PySocketSockObject of Modules/socketmodule.h, behind its head. */
enum { SOCK_FD = 0, SOCK_TIMEOUT = 24 };

/*
 * lockobject and rlockobject of Modules/_threadmodule.c, behind their heads. Once the lock was a
 * pointer to a sem_t, whose first word waiters sleep on (Python/thread_pthread.h); now it is a
 * PyMutex, one byte: of plain locks since a 3.13.x, of RLocks since 3.14, so their size tells. An
 * RLock has its owner and count (level) next, in all of them.
 */
enum { LOCK_SELF = 0, RLOCK_OWNER = 8, RLOCK_COUNT = 16 };
enum { LOCK_MUTEX_SIZE = 8, RLOCK_MUTEX_SIZE = 24 };

/* struct wait_entry of Python/parking_lot.c: park_arg, addr, and the semaphore slept on. */
#define PARKED_ADDR_BEFORE 8

static uint64_t behind_head(const struct python *py, uint64_t object)
{
	return at(py, object, F_OB_TYPE) + 8;
}

bool py_socket(struct python *py, uint64_t object, int32_t *fd, int64_t *timeout_ns)
{
	int32_t number;
	int64_t timeout;

	if (!py_is_instance(py, object, "_socket.socket"))
		return false;
	number = rd_i32(&py->rd, behind_head(py, object) + SOCK_FD);
	timeout = rd_i64(&py->rd, behind_head(py, object) + SOCK_TIMEOUT);
	if (py->rd.failed)
		return false;
	*fd = number;
	*timeout_ns = timeout;
	return true;
}

static bool is_rlock(struct python *py, uint64_t object)
{
	return !strcmp(py_object_type_name(py, object), "_thread.RLock");
}

/* Is the lock in the object itself? */
static bool is_mutex(struct python *py, uint64_t object, bool recursive)
{
	uint64_t size = rd_u64(&py->rd, at(py, py_type(py, object), F_TP_BASICSIZE));
	uint64_t head = behind_head(py, 0);

	return size <= head + (recursive ? RLOCK_MUTEX_SIZE : LOCK_MUTEX_SIZE);
}

bool py_lock_read(struct python *py, uint64_t object, struct py_lock *ret)
{
	uint64_t body = behind_head(py, object), owner, count;
	struct py_lock lock = {.recursive = is_rlock(py, object)};
	bool mutex;

	if (py->rd.failed ||
	    (!lock.recursive && strcmp(py_object_type_name(py, object), "_thread.lock") != 0))
		return false;
	mutex = is_mutex(py, object, lock.recursive);
	if (!mutex)
		lock.futex = rd_ptr(&py->rd, body + LOCK_SELF);
	if (lock.recursive) {
		owner = rd_u64(&py->rd, body + RLOCK_OWNER);
		count = rd_u64(&py->rd, body + RLOCK_COUNT);
		/* a mutex counts the levels above the first */
		lock.owner = count || mutex ? owner : 0;
	}
	if (py->rd.failed)
		return false;
	*ret = lock;
	return true;
}

uint64_t py_lock_parked_on(struct python *py, uint64_t futex)
{
	struct py_lock lock;
	uint64_t object;

	if (futex < PARKED_ADDR_BEFORE)
		return 0;
	object = rd_ptr(&py->rd, futex - PARKED_ADDR_BEFORE) - behind_head(py, 0);
	if (py->rd.failed || object % 8 || !py_lock_read(py, object, &lock) || lock.futex)
		return 0;
	return object;
}

uint64_t py_method_self(struct python *py, uint64_t object)
{
	const char *type = py_object_type_name(py, object);

	/* what is left of one that was freed has no references */
	if (py->rd.failed ||
	    (has(py, F_OB_REFCNT) && rd_i32(&py->rd, at(py, object, F_OB_REFCNT)) == 0))
		return 0;
	if (!strcmp(type, "builtin_function_or_method"))
		return get_u64(py, object, F_CFUNC_SELF);
	if (!strcmp(type, "method"))
		return get_u64(py, object, F_METHOD_SELF);
	return 0;
}

/* ---- the objects of a frame ------------------------------------------------------------------ */

/* Where its value stack begins and how many slots of it may be in use. */
struct frame_shape {
	uint64_t stack;
	uint64_t locals, depth; /* slots */
	bool exact;
};

/* 3.8-3.10: the frame says where its stack begins, not (while it runs) where it ends. */
static void shape_object(struct python *py, const struct py_frame *frame, struct frame_shape *ret)
{
	ret->stack = get_ptr(py, frame->address, F_FO_VALUESTACK);
	ret->locals = (ret->stack - frame->locals) / 8;
}

/* 3.11-3.13 have stacktop only while another frame or nobody runs; 3.14+ a pointer, in calls too.
 */
static void shape_interpreter(struct python *py, const struct py_frame *frame, uint64_t code,
			      struct frame_shape *ret)
{
	uint64_t top = 0;

	py_tuple_items(py, get_ptr(py, code, F_CO_LOCALSPLUSNAMES), &ret->locals);
	ret->stack = frame->locals + 8 * ret->locals;
	if (has(py, F_IF_STACKPOINTER))
		top = get_u64(py, frame->address, F_IF_STACKPOINTER);
	else if (get_i32(py, frame->address, F_IF_STACKTOP) > 0)
		top = frame->locals + 8 * (uint64_t)get_i32(py, frame->address, F_IF_STACKTOP);
	if (top >= ret->stack && (top - ret->stack) / 8 <= ret->depth) {
		ret->depth = (top - ret->stack) / 8;
		ret->exact = true;
	}
}

static bool shape_of(struct python *py, const struct py_frame *frame, struct frame_shape *ret)
{
	uint64_t code = py->codes[frame->code].address;
	int32_t depth = get_i32(py, code, F_CO_STACKSIZE);

	*ret = (struct frame_shape){.depth = depth < 0 ? 0 : (uint64_t)depth};
	if (has(py, F_CO_LOCALSPLUSNAMES))
		shape_interpreter(py, frame, code, ret);
	else
		shape_object(py, frame, ret);
	return !py->rd.failed;
}

/* Below 3.14 no bit of a reference is a tag; since then both low ones set are a number. */
static uint64_t slot_object(struct python *py, uint64_t address)
{
	uint64_t bits = rd_u64(&py->rd, address);

	if (~py->ops->ref_mask & 3 & bits && (bits & 3) == 3)
		return 0;
	return bits & py->ops->ref_mask;
}

static uint64_t look_through_cell(struct python *py, uint64_t object)
{
	if (object && py->types.cell && py_type(py, object) == py->types.cell)
		return get_u64(py, object, F_CELL_REF);
	return object;
}

/* What was left on a stack need not be an object any more: its type must be a type. */
static bool is_object(struct python *py, uint64_t object)
{
	static const unsigned type_subclass = 31; /* Include/object.h */
	uint64_t type;

	if (object < SOURCE_PAGE || object % 8)
		return false;
	type = py_type(py, object);
	if (py->rd.failed || type % 8)
		return false;
	return type_has_flag(py, py_type(py, type), type_subclass) && !py->rd.failed;
}

static size_t add_slots(struct python *py, uint64_t address, uint64_t count, bool on_stack,
			struct py_slot *slots, size_t max)
{
	size_t n = 0;

	for (uint64_t i = 0; i < count && i < PY_MAX_SLOTS && n < max; i++) {
		uint64_t object = slot_object(py, address + 8 * i);

		if (!py->rd.failed && !on_stack)
			object = look_through_cell(py, object);
		if (!py->rd.failed && is_object(py, object))
			slots[n++] = (struct py_slot){object, on_stack};
		rd_take(&py->rd);
	}
	return n;
}

size_t python_frame_slots(struct python *py, const struct py_frame *frame, struct py_slot *slots,
			  size_t max, bool *exact)
{
	struct frame_shape shape;
	size_t n;

	*exact = false;
	if (frame->code == UINT32_MAX || py->rd.failed || !shape_of(py, frame, &shape))
		return 0;
	*exact = shape.exact;
	n = add_slots(py, frame->locals, shape.locals, false, slots, max);
	return n + add_slots(py, shape.stack, shape.depth, true, slots + n, max - n);
}
