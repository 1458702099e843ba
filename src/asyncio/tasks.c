/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)
#define HAS(f)	      layout_has(&py->layout, F_##f)

/* ---- modules ----------------------------------------------------------------------------------
 */

bool aio_modules_read(struct python *py, const struct py_interpreter *interp,
		      struct aio_modules *ret)
{
	static const char *const modules[] = {"asyncio.tasks", "threading"};
	static const char *const globals[] = {"_all_tasks", "_scheduled_tasks", "_eager_tasks",
					      "_current_tasks"};
	static const char *const active[] = {"_active"};
	uint64_t mod[ARRAY_SIZE(modules)], g[ARRAY_SIZE(globals)];

	memset(ret, 0, sizeof(*ret));
	if (!interp->modules ||
	    !py_dict_lookup(py, interp->modules, modules, ARRAY_SIZE(modules), mod))
		return !rd_take(&py->rd);
	if (mod[1] &&
	    !py_dict_lookup(py, rd_ptr(&py->rd, AT(mod[1], MODULE_DICT)), active, 1, &ret->threads))
		rd_take(&py->rd);
	if (!mod[0])
		return true;
	ret->loaded = true;
	if (!py_dict_lookup(py, rd_ptr(&py->rd, AT(mod[0], MODULE_DICT)), globals,
			    ARRAY_SIZE(globals), g))
		return !rd_take(&py->rd);
	ret->all_tasks = g[0] ? g[0] : g[1];
	ret->eager_tasks = g[2];
	ret->current_tasks = g[3];
	ret->counter = aio_counter(py, interp);
	return true;
}

uint64_t aio_current_task(struct python *py, const struct aio_modules *mods, uint64_t loop)
{
	struct py_iter it;
	uint64_t key, task;

	if (!mods->current_tasks || !py_dict_begin(py, mods->current_tasks, &it)) {
		rd_take(&py->rd);
		return 0;
	}
	while (py_iter_next(py, &it, &key, &task))
		if (key == loop)
			return task;
	rd_take(&py->rd);
	return 0;
}

bool aio_thread_name(struct python *py, const struct aio_modules *mods, uint64_t ident,
		     struct strbuf *out)
{
	static const char *const names[] = {"_name"};
	uint64_t key, thread, name;
	struct py_iter it;
	bool found = false;
	int64_t id;

	if (!mods->threads || !py_dict_begin(py, mods->threads, &it))
		return !rd_take(&py->rd) && false;
	while (!found && py_iter_next(py, &it, &key, &thread))
		if (py_int(py, key, &id) && (uint64_t)id == ident)
			found = py_attrs(py, thread, names, 1, &name) && name &&
				py_str(py, name, out, 64);
	rd_take(&py->rd);
	return found;
}

/* ---- the list of tasks --------------------------------------------------------------------------
 */

struct collector {
	struct aio_task_list *list;
	size_t cap, max;
};

static void collect(struct collector *c, uint64_t task)
{
	if (c->list->n >= c->max) {
		c->list->truncated = true;
		return;
	}
	*array_push(&c->list->v, &c->list->n, &c->cap) = task;
}

static const char set_changed[] = "the set of tasks changed while it was read";

/* fill, used, mask and table of a set stand together (Include/cpython/setobject.h). */
static void set_words(const struct python *py, uint64_t set, uint64_t *at, size_t *len)
{
	*at = AT(set, SET_FILL);
	*len = AT(set, SET_TABLE) + 8 - *at;
}

/*
 * The keys of a set, freed by the caller. Its table moves when it grows, and is filled anew while
 * it already is the set's (set_table_resize() in Objects/setobject.c): the number of keys must be
 * what the set says, give or take what came and went while the table was read, else not *whole.
 */
static uint64_t *set_keys(struct python *py, uint64_t set, size_t *n, bool *whole)
{
	enum { FILL, USED, MASK, TABLE, WORDS };
	uint64_t key, value, *keys = NULL, was[WORDS], is[WORDS], at, slack;
	struct py_iter it;
	size_t cap = 0, len;

	*n = 0;
	*whole = true;
	set_words(py, set, &at, &len);
	if (len != sizeof(was)) {
		rd_corrupt(&py->rd, set, "a set of another layout");
		return NULL;
	}
	rd_bytes(&py->rd, at, was, sizeof(was));
	if (!py_set_begin(py, set, &it))
		return NULL;
	source_prefetch(py->rd.src, &(uint64_t){it.entries}, 1, it.n * it.stride);
	while (py_iter_next(py, &it, &key, &value))
		*array_push(&keys, n, &cap) = key;
	if (py->rd.failed || !source_now(py->rd.src, at, is, sizeof(is)))
		return keys;
	slack = (uint64_t)llabs((long long)(is[FILL] - was[FILL])) +
		(uint64_t)llabs((long long)(is[USED] - was[USED]));
	*whole = is[MASK] == was[MASK] && is[TABLE] == was[TABLE] && *n + slack >= is[USED] &&
		 *n <= is[USED] + slack;
	return keys;
}

static void collect_weakset(struct python *py, uint64_t weakset, struct collector *c)
{
	static const char *const names[] = {"data"};
	uint64_t set, *refs, *sorted;
	bool whole;
	size_t n;

	if (!weakset || !py_attrs(py, weakset, names, 1, &set) || !set)
		return;
	refs = set_keys(py, set, &n, &whole);
	sorted = mem_alloc((n + 1) * sizeof(*sorted));
	memcpy(sorted, n ? refs : sorted, n * sizeof(*sorted));
	source_prefetch(py->rd.src, sorted, n, 32);
	free(sorted);
	for (size_t i = 0; i < n && !py->rd.failed && !c->list->truncated; i++) {
		uint64_t task = rd_u64(&py->rd, AT(refs[i], WEAKREF_OBJECT));

		if (task && !py->rd.failed && !py_is_none(py, task))
			collect(c, task);
	}
	if (!whole)
		rd_corrupt(&py->rd, set, set_changed);
	free(refs);
}

static void collect_set(struct python *py, uint64_t set, struct collector *c)
{
	uint64_t *tasks;
	bool whole;
	size_t n;

	if (!set || strcmp(py_object_type_name(py, set), "set") != 0)
		return;
	tasks = set_keys(py, set, &n, &whole);
	for (size_t i = 0; i < n && !py->rd.failed && !c->list->truncated; i++)
		collect(c, tasks[i]);
	if (!whole)
		rd_corrupt(&py->rd, set, set_changed);
	free(tasks);
}

/* 3.14+: a circular list of nodes inside the tasks (Include/internal/pycore_llist.h). */
static void collect_list(struct python *py, uint64_t head, struct collector *c)
{
	uint64_t node = rd_ptr(&py->rd, head), previous = head;
	uint32_t offset = py->layout.field[F_TASK_NODE].offset;
	size_t steps = 0;

	while (node != head && !py->rd.failed && !c->list->truncated) {
		if (++steps > c->max) {
			c->list->truncated = true;
			break;
		}
		if (rd_u64(&py->rd, node + 8) != previous) {
			rd_corrupt(&py->rd, node, "the task list changed while it was read");
			break;
		}
		collect(c, node - offset);
		previous = node;
		node = rd_ptr(&py->rd, node);
	}
}

bool aio_tasks(struct python *py, const struct py_interpreter *interp, uint32_t index,
	       const struct aio_modules *mods, const struct py_thread *threads, size_t n_threads,
	       size_t max, struct aio_task_list *list, struct error *err)
{
	struct collector c = {.list = list, .max = max, .cap = list->n};

	collect_weakset(py, mods->all_tasks, &c);
	if (!py->rd.failed)
		collect_set(py, mods->eager_tasks, &c);
	if (HAS(IS_TASKS_HEAD) && !py->rd.failed)
		collect_list(py, AT(interp->address, IS_TASKS_HEAD), &c);
	for (size_t i = 0; HAS(TS_TASKS_HEAD) && i < n_threads && !py->rd.failed; i++)
		if (threads[i].interpreter == index)
			collect_list(py, AT(threads[i].tstate, TS_TASKS_HEAD), &c);
	return py->rd.failed ? rd_error(&py->rd, err) : true;
}

static void mark(struct aio_mark *marks, size_t *n, uint64_t addr, size_t len)
{
	if (*n < AIO_MARKS)
		marks[(*n)++] = (struct aio_mark){addr, len};
}

static void mark_set(struct python *py, struct aio_mark *marks, size_t *n, uint64_t set)
{
	uint64_t at;
	size_t len;

	set_words(py, set, &at, &len);
	mark(marks, n, at, len);
}

size_t aio_tasks_marks(struct python *py, const struct py_interpreter *interp, uint32_t index,
		       const struct aio_modules *mods, const struct py_thread *threads,
		       size_t n_threads, struct aio_mark *marks)
{
	static const char *const names[] = {"data"};
	static const size_t links = 16;
	uint64_t set;
	size_t n = 0;

	if (mods->all_tasks && py_attrs(py, mods->all_tasks, names, 1, &set) && set)
		mark_set(py, marks, &n, set);
	if (mods->eager_tasks)
		mark_set(py, marks, &n, mods->eager_tasks);
	if (HAS(IS_TASKS_HEAD))
		mark(marks, &n, AT(interp->address, IS_TASKS_HEAD), links);
	for (size_t i = 0; HAS(TS_TASKS_HEAD) && i < n_threads; i++)
		if (threads[i].interpreter == index && threads[i].running_loop)
			mark(marks, &n, AT(threads[i].tstate, TS_TASKS_HEAD), links);
	rd_take(&py->rd);
	return n;
}

size_t aio_loop_marks(struct python *py, const struct aio_loop *loop, struct aio_mark *marks)
{
	static const size_t size = 8; /* ob_size is the word before what follows the head */
	size_t n = 0;

	if (loop->ready_queue) /* ob_size, both blocks, both indices */
		mark(marks, &n, AT(loop->ready_queue, DEQUE_LEFTBLOCK) - size, 5 * 8);
	if (loop->scheduled)
		mark(marks, &n, AT(loop->scheduled, LIST_ITEMS) - size, 2 * 8);
	return n;
}

/* ---- one task
 * -------------------------------------------------------------------------------------- */

static void read_c_task(struct python *py, uint64_t task, struct aio_task *ret)
{
	const struct layout_entry *cancel = &py->layout.field[F_TASK_MUST_CANCEL];
	uint8_t byte;

	ret->loop = rd_u64(&py->rd, AT(task, TASK_LOOP));
	ret->coro = rd_u64(&py->rd, AT(task, TASK_CORO));
	ret->waiter = rd_u64(&py->rd, AT(task, TASK_FUT_WAITER));
	ret->name = rd_u64(&py->rd, AT(task, TASK_NAME));
	ret->state = (enum aio_future_state)rd_u32(&py->rd, AT(task, TASK_STATE));
	if (ret->state > AIO_FINISHED)
		rd_corrupt(&py->rd, task, "a task with an impossible state");
	byte = rd_u8(&py->rd, task + cancel->offset);
	ret->must_cancel = cancel->bit == LAYOUT_NO_BIT ? byte != 0 : byte >> cancel->bit & 1;
	if (HAS(TASK_NUM_CANCELS))
		ret->cancels = rd_i32(&py->rd, AT(task, TASK_NUM_CANCELS));
}

static enum aio_future_state state_from_name(struct python *py, uint64_t state)
{
	if (state && py_str_equals(py, state, "FINISHED"))
		return AIO_FINISHED;
	if (state && py_str_equals(py, state, "CANCELLED"))
		return AIO_CANCELLED;
	return AIO_PENDING; /* the class's default, absent from the instance */
}

static void read_python_task(struct python *py, uint64_t task, struct aio_task *ret)
{
	static const char *const names[] = {"_coro", "_fut_waiter",  "_state",
					    "_name", "_must_cancel", "_num_cancels_requested",
					    "_loop"};
	uint64_t v[ARRAY_SIZE(names)];

	if (!py_attrs(py, task, names, ARRAY_SIZE(names), v))
		return;
	if (!v[0]) {
		rd_corrupt(&py->rd, task, "not a task: it has no _coro");
		return;
	}
	ret->coro = v[0];
	ret->waiter = v[1] && !py_is_none(py, v[1]) ? v[1] : 0;
	ret->state = state_from_name(py, v[2]);
	ret->name = v[3];
	ret->must_cancel = py_bool(py, v[4]);
	if (v[5])
		py_int(py, v[5], &ret->cancels);
	ret->loop = v[6];
}

bool aio_task_read(struct python *py, uint64_t task, struct aio_task *ret)
{
	enum py_task_kind kind = py_task_kind(py, task);

	memset(ret, 0, sizeof(*ret));
	ret->address = task;
	if (py->rd.failed)
		return false;
	if (kind == PY_TASK_C)
		read_c_task(py, task, ret);
	else if (kind == PY_TASK_PYTHON)
		read_python_task(py, task, ret);
	else
		rd_corrupt(&py->rd, task, "not a task");
	return !py->rd.failed;
}

bool aio_task_name(struct python *py, const struct aio_task *task, struct strbuf *out)
{
	int64_t number;

	if (!task->name)
		return false;
	if (py_str(py, task->name, out, 256))
		return true;
	rd_take(&py->rd);
	if (!py_int(py, task->name, &number))
		return !rd_take(&py->rd) && false;
	strbuf_addf(out, "Task-%lld", (long long)number);
	return true;
}

enum aio_future_state aio_future_state(struct python *py, uint64_t future)
{
	static const char *const names[] = {"_state"};
	enum aio_future_state state = AIO_PENDING;
	uint64_t value;

	if (py_future_kind(py, future) == PY_TASK_C)
		state = (enum aio_future_state)rd_u32(&py->rd, AT(future, TASK_STATE));
	else if (py_attrs(py, future, names, 1, &value))
		state = state_from_name(py, value);
	return rd_take(&py->rd) || state > AIO_FINISHED ? AIO_PENDING : state;
}
