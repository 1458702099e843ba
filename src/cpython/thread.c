/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

/* pthread_t points to the C library's descriptor of the thread; the kernel's id lies in it. */
enum { GLIBC_TID_X86_64 = 720, MUSL_TID = 48 };

/* struct PyRunningLoopHolder of Modules/_asynciomodule.c: the loop, then the pid. */
enum { HOLDER_LOOP = 0, HOLDER_PID = 8 };

static bool is_musl(const struct python *py)
{
	for (size_t i = 0; i < py->proc->maps.n; i++)
		if (strstr(py->proc->maps.v[i].file.path, "/ld-musl-"))
			return true;
	return false;
}

static int32_t native_tid(struct python *py, uint64_t tstate, uint64_t ident)
{
	int64_t tid;

	if (has(py, F_TS_NATIVE_ID)) {
		tid = (int64_t)get_u64(py, tstate, F_TS_NATIVE_ID);
	} else if (py->module.machine == EM_X86_64 || is_musl(py)) {
		tid = rd_i32(&py->rd, ident + (is_musl(py) ? MUSL_TID : GLIBC_TID_X86_64));
		if (rd_take(&py->rd))
			tid = 0;
	} else {
		tid = 0;
	}
	return tid > 0 && tid <= 1 << 22 ? (int32_t)tid : 0;
}

/* The loop that asyncio calls running in this thread. A forked child inherits a holder that is not
 * its own. */
static uint64_t running_loop(struct python *py, uint64_t tstate)
{
	static const char *const names[] = {"__asyncio_running_event_loop__"};
	uint64_t value = 0, dict, head;

	if (py->ops->running_loop == PY_RUNNING_FIELD) {
		value = get_u64(py, tstate, F_TS_RUNNING_LOOP);
		return value && !py_is_none(py, value) ? value : 0;
	}
	dict = get_u64(py, tstate, F_TS_DICT);
	if (!dict || !py_dict_lookup(py, dict, names, 1, &value) || !value)
		return 0;
	if (py->ops->running_loop == PY_RUNNING_DICT)
		return py_is_none(py, value) ? 0 : value;
	head = value + at(py, 0, F_OB_SIZE); /* the holder's fields begin behind the object head */
	if (rd_i32(&py->rd, head + HOLDER_PID) != py->proc->ns_pid)
		return 0;
	value = rd_u64(&py->rd, head + HOLDER_LOOP);
	return value && !py_is_none(py, value) ? value : 0;
}

/*
 * switch_number, an unsigned long, comes right after locked, an int, in struct _gil_runtime_state:
 * Include/internal/pycore_gil.h, 3.8 to 3.15.
 */
static uint64_t read_switches(struct python *py, uint64_t gil)
{
	return rd_u64(&py->rd, at(py, gil, F_GIL_LOCKED) + 8);
}

static void read_gil(struct python *py, struct py_interpreter *interp)
{
	uint64_t gil;

	gil = py->ops->gil_in_runtime ? at(py, py->runtime, F_RT_GIL)
				      : get_u64(py, interp->address, F_IS_GIL);
	if (!gil || py->free_threaded)
		return;
	interp->gil_locked = get_i32(py, gil, F_GIL_LOCKED) == 1;
	interp->gil_holder = get_u64(py, gil, F_GIL_LAST_HOLDER);
	interp->gil_switches = read_switches(py, gil);
	if (rd_take(&py->rd))
		interp->gil_locked = false;
}

/* A full collection of millions of objects holds everything for seconds, and no frame shows it. */
static void read_gc(struct python *py, struct py_interpreter *interp)
{
	bool own = has(py, F_IS_GC_COLLECTING);

	if (py->rd.failed || (!own && !has(py, F_RT_GC_COLLECTING)))
		return;
	interp->gc_collecting = (own ? get_i32(py, interp->address, F_IS_GC_COLLECTING)
				     : get_i32(py, py->runtime, F_RT_GC_COLLECTING)) == 1;
	if (rd_take(&py->rd))
		interp->gc_collecting = false;
}

bool python_interpreter_of(struct python *py, uint64_t tstate, struct py_interpreter *ret)
{
	struct py_interpreter interp = {.address = get_ptr(py, tstate, F_TS_INTERP)};

	if (rd_take(&py->rd) || !interp.address)
		return false;
	read_gil(py, &interp);
	read_gc(py, &interp);
	*ret = interp;
	return true;
}

static void read_thread(struct python *py, uint64_t tstate, const struct py_interpreter *interp,
			struct py_thread *t)
{
	t->tstate = tstate;
	t->ident = get_u64(py, tstate, F_TS_THREAD_ID);
	t->tid = native_tid(py, tstate, t->ident);
	t->holds_gil = interp->gil_locked && interp->gil_holder == tstate;
	if (has(py, F_TS_GIL_REQUESTED))
		t->waits_for_gil = get_i32(py, tstate, F_TS_GIL_REQUESTED) != 0;
	t->running_loop = running_loop(py, tstate);
	if (has(py, F_TS_RUNNING_TASK))
		t->running_task = get_u64(py, tstate, F_TS_RUNNING_TASK);
}

struct thread_list {
	struct py_thread *v;
	size_t n, cap;
	struct addrmap seen; /* interpreters and thread states: the lists must not be rings */
};

static bool interpreter_threads(struct python *py, const struct py_interpreter *interp,
				uint32_t index, struct thread_list *out)
{
	uint64_t tstate = get_u64(py, interp->address, F_IS_THREADS);

	while (tstate && !py->rd.failed && out->n < PY_MAX_THREADS) {
		struct py_thread t = {.interpreter = index};

		if (!addrmap_add(&out->seen, tstate)) {
			rd_corrupt(&py->rd, tstate, "a list of threads that comes back");
			break;
		}
		if (get_u64(py, tstate, F_TS_INTERP) != interp->address) {
			rd_corrupt(&py->rd, tstate, "thread state of another interpreter");
			break;
		}
		read_thread(py, tstate, interp, &t);
		if (py->rd.failed)
			break;
		*array_push(&out->v, &out->n, &out->cap) = t;
		tstate = get_u64(py, tstate, F_TS_NEXT);
	}
	return !py->rd.failed;
}

bool python_threads(struct python *py, struct py_interpreter **interps, size_t *n_interps,
		    struct py_thread **threads, size_t *n_threads, struct error *err)
{
	uint64_t address = get_ptr(py, py->runtime, F_RT_INTERP_HEAD);
	struct py_interpreter *list = NULL;
	struct thread_list all = {0};
	size_t n = 0, cap = 0;

	while (address && !py->rd.failed && n < PY_MAX_INTERPRETERS) {
		struct py_interpreter *interp = array_push(&list, &n, &cap);

		if (!addrmap_add(&all.seen, address)) {
			rd_corrupt(&py->rd, address, "a list of interpreters that comes back");
			break;
		}
		interp->address = address;
		interp->id = rd_i64(&py->rd, at(py, address, F_IS_ID));
		interp->modules = get_u64(py, address, F_IS_MODULES);
		read_gil(py, interp);
		read_gc(py, interp);
		if (!interpreter_threads(py, interp, (uint32_t)(n - 1), &all))
			break;
		address = get_u64(py, address, F_IS_NEXT);
	}
	addrmap_deinit(&all.seen);
	if (py->rd.failed) {
		free(list);
		free(all.v);
		return rd_error(&py->rd, err);
	}
	*interps = list;
	*n_interps = n;
	*threads = all.v;
	*n_threads = all.n;
	return true;
}
