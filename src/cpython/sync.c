/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sync.c - what a thread can be blocked in: sockets and locks
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
