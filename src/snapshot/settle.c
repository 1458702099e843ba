/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks of a loop that does not hold still. A task is read word by word while it lives on, and may
 * be another one in the same memory at the end. So each is read twice, all that its entry is made
 * of: when both readings are the same, all of it was so at the moment between them. Those that
 * differ are read again, twice, alone and therefore fast.
 *
 * Where nothing moved in the meantime none of this is needed, and that is found out first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builder.h"
#include "stallscope/addrsort.h"

#define ROUNDS	       7	 /* the first one for all tasks, the others for those that moved */
#define ROUNDS_NS      100000000 /* of the others together */
#define LIST_TRIES     5
#define PAUSE_NS       20000 /* before the second round; twice as long before each further one */
#define LOADS_PER_TASK 1000u /* of an honest one, and more */

/* ---- one task ----------------------------------------------------------------------------- */

enum finding {
	FOUND_TASK,
	FOUND_RUNNING, /* its coroutine runs: what it stands in changes all the time */
	FOUND_ENDED,
	FOUND_OTHER, /* not a task */
	FOUND_BROKEN /* a task that could not be followed to its end */
};

struct entry {
	uint64_t address;
	size_t first, n; /* ranges of the trace */
	size_t timer;	 /* the first of them that only tells when its sleep ends */
	enum finding found;
	uint64_t loop, frame; /* of a running one: the frame of its outermost coroutine */
	bool settled, torn, untimed;
	unsigned round; /* in which it settled */
};

struct settler {
	struct builder *b;
	struct source *main, *now, *again;
	struct read_trace trace;   /* of all rounds */
	size_t round_begin;	   /* in it */
	struct read_trace changed; /* in this look since tasks settled in earlier rounds */
	unsigned round;
	struct entry *v; /* in the order of their addresses */
	size_t n, cap;
	size_t from, to; /* of them those that are read together now */
	bool direct;	 /* a task is added as soon as it has settled */
	uint64_t *current;
	bool have_list;
	uint64_t *addrs; /* scratch */
	size_t addrs_cap;
};

/* The words of the task itself: those that lead to other things are read here, those beside them
 * belong to the same life. Not the count of references, nor the links of the list of tasks. */
static void touch_struct(struct python *py, uint64_t task)
{
	const struct layout *l = &py->layout;
	uint64_t from = 8, to = l->field[F_TASK_SIZE].offset, node;
	char bytes[512];

	if (py_task_kind(py, task) != PY_TASK_C || to <= from || to - from > sizeof(bytes))
		return;
	node = layout_has(l, F_TASK_NODE) ? l->field[F_TASK_NODE].offset : to;
	if (node > to)
		node = to;
	rd_bytes(&py->rd, task + from, bytes, node > from ? node - from : 0);
	if (node + 16 < to)
		rd_bytes(&py->rd, task + node + 16, bytes, to - node - 16);
}

static void touch_wait(struct builder *b, struct entry *e, const struct aio_task *raw,
		       const struct aio_link *links, size_t n)
{
	struct python *py = b->py;
	struct aio_dones dones;
	struct aio_timer timer;
	struct aio_wait wait;

	aio_dones(py, e->address, &dones);
	if (raw->waiter) {
		py_task_kind(py, raw->waiter);
		aio_future_state(py, raw->waiter);
		aio_dones(py, raw->waiter, &dones);
	}
	aio_wait_read(py, links, n, &wait);
	if (wait.kind != AIO_WAIT_TIMER)
		return;
	py->rd.trace->fence = e->timer = py->rd.trace->n;
	aio_timer_read(py, &links[wait.link].frame, false, &timer);
}

/* The await chain of one task: how many links there are. */
static size_t follow(struct python *py, uint64_t coro, struct aio_link *links)
{
	uint64_t object = coro, next;
	size_t n = 0;

	for (size_t steps = 0; object && n < AIO_MAX_LINKS && steps < 2 * AIO_MAX_LINKS; steps++) {
		n += aio_link_read(py, object, &links[n], &next);
		object = py->rd.failed ? 0 : next;
	}
	return n;
}

/* Reads what the entry of a task will be made of. */
static enum finding touch_task(struct builder *b, struct entry *e)
{
	struct aio_link links[AIO_MAX_LINKS];
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct python *py = b->py;
	struct aio_task raw;
	size_t n;

	if (!aio_task_read(py, e->address, &raw))
		return rd_take(&py->rd), FOUND_OTHER;
	touch_struct(py, e->address);
	if (raw.state != AIO_PENDING)
		return rd_take(&py->rd) ? FOUND_BROKEN : FOUND_ENDED;
	n = follow(py, raw.coro, links);
	if (n && links[0].qualname)
		py_str(py, links[0].qualname, &text, 200);
	if (rd_take(&py->rd) || !aio_task_name(py, &raw, &text))
		return rd_take(&py->rd), FOUND_BROKEN;
	e->loop = raw.loop;
	e->frame = n && links[0].kind == AIO_LINK_FRAME ? links[0].frame.address : 0;
	if (e->frame && links[0].running)
		return FOUND_RUNNING;
	touch_wait(b, e, &raw, links, n);
	return rd_take(&py->rd) ? FOUND_BROKEN : FOUND_TASK;
}

/* ---- reading all of them ------------------------------------------------------------------ */

static void want(struct settler *s, size_t *n, uint64_t addr)
{
	if (addr)
		*array_push(&s->addrs, n, &s->addrs_cap) = addr;
}

/* Level by level, as the tasks are read elsewhere: one batch each. */
static void prefetch(struct settler *s)
{
	struct python *py = s->b->py;
	struct aio_chains chains;
	struct aio_task raw;
	size_t n = 0, coros = 0;

	for (size_t i = s->from; i < s->to; i++)
		if (!s->v[i].settled)
			want(s, &n, s->v[i].address);
	source_prefetch(s->now, s->addrs, n, 192);
	n = 0;
	for (size_t i = s->from; i < s->to; i++) {
		if (!s->v[i].settled && aio_task_read(py, s->v[i].address, &raw)) {
			want(s, &n, raw.name);
			want(s, &n, raw.waiter);
		}
		rd_take(&py->rd);
	}
	source_prefetch(s->now, s->addrs, n, 256);
	for (size_t i = s->from; i < s->to; i++) {
		if (!s->v[i].settled && aio_task_read(py, s->v[i].address, &raw))
			want(s, &coros, raw.coro);
		rd_take(&py->rd);
	}
	aio_chains_read(py, s->addrs, coros, &chains);
	aio_chains_free(&chains);
}

static void touch_all(struct settler *s)
{
	struct reader *rd = &s->b->py->rd;

	if (s->direct) /* only of this batch it is asked again */
		read_trace_clear(&s->trace);
	s->round_begin = s->trace.n;
	rd->trace = &s->trace;
	for (size_t i = s->from; i < s->to; i++) {
		struct entry *e = &s->v[i];

		if (e->settled)
			continue;
		rd_grant(rd, LOADS_PER_TASK);
		s->trace.fence = e->first = s->trace.n;
		e->timer = SIZE_MAX;
		e->found = touch_task(s->b, e);
		e->n = s->trace.n - e->first;
	}
	rd->trace = NULL;
}

/* ---- both readings ------------------------------------------------------------------------ */

static void read_again(struct settler *s)
{
	uint64_t page, last = UINT64_MAX;
	size_t n = 0;

	source_forget(s->again);
	for (size_t i = s->round_begin; i < s->trace.n; i++) {
		const struct read_range *r = &s->trace.v[i];

		for (page = r->addr / SOURCE_PAGE; page <= (r->addr + r->len - 1) / SOURCE_PAGE;
		     page++) {
			if (page != last) /* ranges of one object follow each other */
				want(s, &n, page * SOURCE_PAGE);
			last = page;
		}
	}
	source_prefetch(s->again, s->addrs, n, 1);
}

static bool same_in(struct source *a, struct source *b, uint64_t addr, size_t len)
{
	char x[512], y[512];

	for (size_t n; len; addr += n, len -= n) {
		n = len < sizeof(x) ? len : sizeof(x);
		if (!source_read(a, addr, x, n, NULL) || !source_read(b, addr, y, n, NULL) ||
		    memcmp(x, y, n) != 0)
			return false;
	}
	return true;
}

static bool same_twice(struct settler *s, const struct entry *e)
{
	for (size_t i = e->first; i < e->first + e->n; i++)
		if (!same_in(s->now, s->again, s->trace.v[i].addr, s->trace.v[i].len))
			return false;
	return !s->trace.full;
}

/* ---- into the look ------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct read_range *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Sorted, and joined where they meet, so that they can be searched. */
static void order_ranges(struct read_trace *trace)
{
	size_t n = 0;

	qsort(trace->v, trace->n, sizeof(*trace->v), by_address);
	for (size_t i = 0; i < trace->n; i++) {
		struct read_range *last = n ? &trace->v[n - 1] : NULL, *r = &trace->v[i];
		uint64_t end = r->addr + r->len;

		if (!last || r->addr > last->addr + last->len)
			trace->v[n++] = *r;
		else if (end > last->addr + last->len)
			last->len = (uint32_t)(end - last->addr);
	}
	trace->n = n;
}

/* The first range that ends behind addr. */
static size_t first_behind(const struct read_trace *trace, uint64_t addr)
{
	size_t low = 0, high = trace->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (trace->v[middle].addr + trace->v[middle].len <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Threads and loops were read before: what they are made of must stay as it was then. */
static bool may_replace(struct settler *s, const struct read_range *r)
{
	const struct read_trace *before = &s->b->before;
	uint64_t end = r->addr + r->len;

	if (before->full)
		return same_in(s->main, s->now, r->addr, r->len);
	for (size_t i = first_behind(before, r->addr); i < before->n; i++) {
		uint64_t from = before->v[i].addr, to = from + before->v[i].len;

		if (from >= end)
			break;
		from = from > r->addr ? from : r->addr;
		to = to < end ? to : end;
		if (!same_in(s->main, s->now, from, to - from))
			return false;
	}
	return true;
}

static void adopt(struct settler *s, struct entry *e)
{
	const struct read_range *r = &s->trace.v[e->first];
	size_t n = e->n;

	e->untimed = false;
	for (size_t i = 0; i < n; i++) {
		if (may_replace(s, &r[i]))
			continue;
		if (e->first + i >= e->timer) {
			/* numbers of the loop and of timers take turns in the same few places */
			e->untimed = true;
			n = e->timer - e->first;
			break;
		}
		e->torn = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (s->round && !same_in(s->main, s->now, r[i].addr, r[i].len))
			*array_push(&s->changed.v, &s->changed.n, &s->changed.cap) = r[i];
		source_adopt(s->main, s->now, r[i].addr, r[i].len);
	}
}

/*
 * A task that settled in an earlier round may have ended since, and its memory be another's that
 * settled now: then it is of two lives, and has to be read again.
 */
static size_t unsettle(struct settler *s)
{
	size_t n = 0;

	order_ranges(&s->changed);
	for (size_t i = 0; s->changed.n && i < s->n; i++) {
		struct entry *e = &s->v[i];

		for (size_t j = 0; e->settled && e->round < s->round && j < e->n; j++) {
			const struct read_range *r = &s->trace.v[e->first + j];
			size_t k = first_behind(&s->changed, r->addr);

			if (k < s->changed.n && s->changed.v[k].addr < r->addr + r->len)
				e->settled = e->torn = false;
		}
		n += !e->settled && e->round < s->round;
	}
	read_trace_clear(&s->changed);
	return n;
}

/* Its coroutine is on the stack of the loop's thread, and the loop has not gone on since. */
static bool runs_since(struct settler *s, const struct entry *e)
{
	uint32_t loop = addrmap_get(&s->b->loop_map, e->loop);
	const struct snapshot *snap = s->b->s;
	const struct snap_stack *stack;

	if (loop == ADDRMAP_NONE)
		return false;
	stack = &snap->threads[snap->loops[loop].thread].stack;
	for (uint32_t i = 0; i < stack->n; i++)
		if (snap_frame_at(snap, stack, i)->address == e->frame)
			return settle_runs_hold(s->b);
	return false;
}

/* How many are left of those that were read together. */
static size_t judge(struct settler *s)
{
	size_t left = 0;

	for (size_t i = s->from; i < s->to; i++) {
		struct entry *e = &s->v[i];

		if (e->settled)
			continue;
		if (e->found == FOUND_RUNNING)
			e->settled = runs_since(s, e);
		else if (e->found != FOUND_BROKEN && same_twice(s, e))
			e->settled = true;
		if (e->settled)
			e->round = s->round;
		if (e->settled && e->found == FOUND_TASK && !s->direct)
			adopt(s, e);
		left += !e->settled;
	}
	return left;
}

/* Those that settled in this round, from the memory in which they did. */
static void add_settled(struct settler *s)
{
	size_t n = 0;

	for (size_t i = s->from; i < s->to; i++) {
		const struct entry *e = &s->v[i];
		bool lives = e->found == FOUND_TASK || e->found == FOUND_RUNNING;

		if (e->settled && e->round == s->round && lives)
			want(s, &n, e->address);
	}
	build_some_tasks(s->b, s->addrs, n, s->current);
}

/* ---- rounds ------------------------------------------------------------------------------- */

/* Growing, and never in step with a loop that turns at an even pace. */
static void rest(uint64_t clock, unsigned round)
{
	int64_t most = (int64_t)PAUSE_NS << round;
	struct timespec ts = {0, most / 2 + (int64_t)(clock / 7 % (uint64_t)most)};

	nanosleep(&ts, NULL);
}

/* From fresh memory, in as short a time as can be: what is known already is read at one go. */
static void begin_look(struct settler *s)
{
	size_t n = 0;

	source_keep(s->main, s->now);
	source_forget(s->now);
	python_new_look(s->b->py, s->now);
	for (size_t i = s->from; i < s->to; i++)
		want(s, &n, s->v[i].address);
	source_prefetch(s->now, s->addrs, n, 192);
}

static int by_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* Those that are there already stay as they are: what has settled may have been added. */
static void add_entries(struct settler *s, const struct aio_task_list *list)
{
	struct addrmap known = ADDRMAP_INIT;

	for (size_t i = 0; i < s->n; i++)
		addrmap_add(&known, s->v[i].address);
	for (size_t i = 0; i < list->n; i++)
		if (addrmap_add(&known, list->v[i]))
			*array_push(&s->v, &s->n, &s->cap) = (struct entry){.address = list->v[i]};
	qsort(s->v, s->n, sizeof(*s->v), by_entry);
	addrmap_deinit(&known);
}

/* A list that is whole stands for itself; of others all are taken together. */
static void read_list(struct settler *s, size_t max, struct aio_task_list *list)
{
	for (unsigned i = 0; i < LIST_TRIES && !s->have_list; i++) {
		struct aio_task_list next = {0};
		size_t cap = list->n;

		if (i)
			rest(source_clock(s->main), i);
		begin_look(s);
		s->have_list = collect_tasks(s->b, max, &next);
		list->truncated = next.truncated || (list->truncated && !s->have_list);
		if (s->have_list)
			list->n = 0;
		for (size_t k = 0; k < next.n; k++)
			*array_push(&list->v, &list->n, &cap) = next.v[k];
		free(next.v);
	}
	addr_sort(list->v, list->n);
	list->n = addr_unique(list->v, list->n);
	if (list->n > max) {
		list->n = max;
		list->truncated = true;
	}
	add_entries(s, list);
}

/* Few enough that little time passes from the first reading of one to the second of the last. */
static size_t read_batch(struct settler *s)
{
	size_t left;

	begin_look(s);
	prefetch(s);
	touch_all(s);
	read_again(s);
	left = judge(s);
	if (s->direct)
		add_settled(s);
	python_new_look(s->b->py, s->main);
	return left;
}

static size_t run_round(struct settler *s)
{
	size_t left = 0;

	for (s->from = 0; s->from < s->n; s->from = s->to) {
		s->to = s->round || s->n - s->from < BUILD_BATCH ? s->n : s->from + BUILD_BATCH;
		left += read_batch(s);
	}
	return s->direct ? left : left + unsettle(s);
}

static void run_rounds(struct settler *s, size_t max, struct aio_task_list *list)
{
	uint64_t begin = 0;
	size_t left = 1;

	for (s->round = 0; left && s->round < ROUNDS; s->round++) {
		if (s->round && source_clock(s->main) - begin > ROUNDS_NS)
			break;
		if (s->round)
			rest(source_clock(s->main), s->round - 1);
		s->b->s->retries += s->round > 0;
		if (!s->have_list)
			read_list(s, max, list);
		left = run_round(s);
		if (!s->round)
			begin = source_clock(s->main);
	}
}

/* What is not a task although a list has it, still: that is no task that ended. */
static void find_strays(struct settler *s, size_t max)
{
	struct aio_task_list list = {0};
	struct addrmap known = ADDRMAP_INIT;
	size_t strays = 0;

	for (size_t i = 0; i < s->n; i++)
		strays += s->v[i].settled && s->v[i].found == FOUND_OTHER;
	if (!strays)
		return;
	begin_look(s);
	collect_tasks(s->b, max, &list);
	for (size_t i = 0; i < list.n; i++)
		addrmap_add(&known, list.v[i]);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].found == FOUND_OTHER &&
		    addrmap_get(&known, s->v[i].address) != ADDRMAP_NONE)
			s->v[i].torn = true;
	addrmap_deinit(&known);
	free(list.v);
}

/* The list becomes that of the tasks that are left. */
static void take_result(struct settler *s, struct aio_task_list *list)
{
	list->n = 0;
	list->v = mem_realloc(list->v, s->n + 1, sizeof(*list->v));
	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->v[i];
		bool gone = e->found == FOUND_ENDED || e->found == FOUND_OTHER;

		if (e->settled && gone && !e->torn)
			continue;
		list->v[list->n++] = e->address;
		if (e->torn || !e->settled)
			addrmap_put(&s->b->torn_map, e->address, 0);
		if (e->untimed)
			addrmap_put(&s->b->untimed_map, e->address, 0);
	}
}

/* What did not settle is added as it was last read. */
static void add_torn(struct settler *s)
{
	size_t n = 0;

	s->from = s->to = 0;
	begin_look(s);
	for (size_t i = 0; i < s->n; i++) {
		const struct entry *e = &s->v[i];

		if (e->settled && !e->torn)
			continue;
		addrmap_put(&s->b->torn_map, e->address, 0);
		want(s, &n, e->address);
	}
	build_some_tasks(s->b, s->addrs, n, s->current);
	python_new_look(s->b->py, s->main);
	build_order_tasks(s->b);
	/* so far only those that could not be read at all are counted as torn */
	s->b->s->tasks_found = s->b->s->n_tasks + s->b->s->tasks_torn;
}

bool settle_tasks(struct builder *b, size_t max, struct aio_task_list *list)
{
	struct settler s = {.b = b, .main = b->py->rd.src};

	s.now = source_again(s.main);
	s.again = source_again(s.main);
	s.direct = !source_is_pinned(s.main);
	s.current = build_current(b);
	b->s->settled = true;
	b->s->tasks_found = list->n;
	order_ranges(&b->before);
	run_rounds(&s, max, list);
	find_strays(&s, max);
	source_keep(s.main, s.now);
	python_new_look(b->py, s.main);
	if (s.direct)
		add_torn(&s);
	else
		take_result(&s, list);
	b->s->list_torn = !s.have_list;
	source_close(s.now);
	source_close(s.again);
	read_trace_deinit(&s.trace);
	read_trace_deinit(&s.changed);
	free(s.current);
	free(s.addrs);
	free(s.v);
	return s.direct;
}
