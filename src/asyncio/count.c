/* SPDX-License-Identifier: Apache-2.0 */
/* How many tasks there are and were, from a word or two of memory. */
#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)
#define HAS(f)	      layout_has(&py->layout, F_##f)
#define NAMED_MAX     16u /* tasks with a name of their own at the end of the list */

static const int64_t sane = INT64_C(1)
			    << 40; /* tasks made in the life of a process; an address is more */

uint64_t aio_counter(struct python *py, const struct py_interpreter *interp)
{
	static const char *const names[] = {"_asyncio"};
	uint64_t module, state = 0;

	if (!HAS(ASYNCIO_COUNTER) || !HAS(MODULE_STATE))
		return 0;
	if (py_dict_lookup(py, interp->modules, names, 1, &module) && module)
		state = rd_u64(&py->rd, AT(module, MODULE_STATE));
	return rd_take(&py->rd) || !state ? 0 : AT(state, ASYNCIO_COUNTER);
}

void aio_counters_find(struct python *py, const struct aio_modules *mods, uint64_t tstate,
		       struct aio_counters *ret)
{
	static const char *const names[] = {"data"};

	*ret = (struct aio_counters){.counter = mods->counter};
	if (HAS(TS_TASKS_HEAD))
		ret->list = AT(tstate, TS_TASKS_HEAD);
	else if (mods->all_tasks && !py_attrs(py, mods->all_tasks, names, 1, &ret->set))
		ret->set = 0;
	rd_take(&py->rd);
}

/* A list that is too long to be walked at each look is not counted. */
static int64_t list_length(struct python *py, uint64_t head)
{
	uint64_t node = rd_ptr(&py->rd, head);
	int64_t n = 0;

	for (; node != head && !py->rd.failed; n++) {
		if (n == AIO_COUNT_MAX)
			return -1;
		node = rd_ptr(&py->rd, node);
	}
	return rd_take(&py->rd) ? -1 : n;
}

/*
 * New tasks are added at the end (Modules/_asynciomodule.c, register_task), and one without a
 * name has its number for a name until somebody asks for the name.
 */
static int64_t newest_number(struct python *py, uint64_t head)
{
	uint64_t node = rd_ptr(&py->rd, head + 8), name;
	int64_t number;

	for (unsigned i = 0; node != head && i < NAMED_MAX && !py->rd.failed; i++) {
		name = rd_u64(&py->rd, AT(node - py->layout.field[F_TASK_NODE].offset, TASK_NAME));
		if (name && py_int(py, name, &number) && number >= 0 && number < sane)
			return number;
		node = rd_ptr(&py->rd, node + 8);
	}
	rd_take(&py->rd);
	return -1;
}

void aio_counters_read(struct python *py, const struct aio_counters *at, int64_t *alive,
		       int64_t *made)
{
	*alive = *made = -1;
	if (at->list)
		*alive = list_length(py, at->list);
	else if (at->set)
		*alive = rd_i64(&py->rd, AT(at->set, SET_USED));
	if (rd_take(&py->rd) || *alive < 0 || *alive > sane)
		*alive = -1;
	if (at->counter)
		*made = rd_i64(&py->rd, at->counter);
	else if (at->list)
		*made = newest_number(py, at->list);
	if (rd_take(&py->rd) || *made < 0 || *made > sane)
		*made = -1;
}
