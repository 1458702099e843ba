/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop is well, and most of its tasks wait in one place: for a pool, a lock, a server. Each
 * task's await chain is matched with the `await` rows of the catalogue, the outermost of the
 * libraries' wins, as with calls.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

#define FEW_TASKS  50u /* below them a service is at rest ... */
#define FEW_QUEUED 10u /* ... unless these queue for something that is used up */

/* Waits that mean something is short, in contrast to waiting for work. */
static bool is_scarce(const char *category)
{
	static const char *const prefixes[] = {
		"wait.pool.",	  "wait.lock",	  "wait.semaphore", "wait.executor",
		"wait.queue.put", "wait.dns",	  "wait.http",	    "wait.db",
		"wait.cache",	  "wait.connect", "wait.write",	    "wait.subprocess"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(category, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* Used up by others: a queue for it is trouble even when it is short. */
static bool is_queue(const char *category)
{
	return !strncmp(category, "wait.pool.", 10) || !strcmp(category, "wait.lock") ||
	       !strcmp(category, "wait.queue.put") || !strcmp(category, "wait.executor") ||
	       !strcmp(category, "wait.semaphore");
}

static const struct culprit_row *await_row(const struct snapshot *s, const struct snap_frame *frame)
{
	const struct snap_code *code = snap_code_of(s, frame);
	char module[256], name[512];

	culprits_module(code->file, module, sizeof(module));
	if (!module[0])
		return NULL;
	snprintf(name, sizeof(name), "%s:%s", module, code->qualname);
	return culprits_find(CULPRIT_AWAIT, name);
}

static bool of_asyncio(const struct culprit_row *row)
{
	return !strncmp(row->pattern, "asyncio.", 8);
}

/*
 * Outermost first. A library's row wins over asyncio's inside of it; of asyncio's own the
 * outermost too (Queue.join waits in Event.wait). wait_for and its like only stand around.
 */
static const struct culprit_row *row_of_task(const struct snapshot *s, const struct snap_task *t)
{
	const struct culprit_row *found = NULL;

	for (uint32_t i = t->stack.n; i-- > 0;) {
		const struct culprit_row *row = await_row(s, snap_frame_at(s, &t->stack, i));

		if (!row)
			continue;
		if (!found || !strcmp(found->category, "wait.tasks") ||
		    !strncmp(row->category, "wait.pool.", 10) ||
		    (of_asyncio(found) && !of_asyncio(row)))
			found = row;
	}
	return found;
}

struct site {
	const struct culprit_row *row;
	uint32_t count, example;
	uint32_t of; /* tasks of the loop */
};

static void count_row(struct site *sites, size_t *n, size_t max, const struct culprit_row *row,
		      uint32_t task)
{
	for (size_t i = 0; i < *n; i++) {
		/* several rows of one category are one resource: a pool has several ways in */
		if (strcmp(sites[i].row->category, row->category) != 0)
			continue;
		sites[i].count++;
		return;
	}
	if (*n < max)
		sites[(*n)++] = (struct site){row, 1, task, 0};
}

/* Places by code: a task's frames are looked up once for each place, not for each task. */
struct memo {
	struct addrmap seen; /* leaf frame's place and depth -> index into rows */
	const struct culprit_row **rows;
	size_t n, cap;
};

static uint64_t place_of(const struct snapshot *s, const struct snap_task *t)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (uint32_t i = 0; i < t->stack.n; i++)
		hash = (hash ^ snap_frame_at(s, &t->stack, i)->code) * UINT64_C(0x100000001b3);
	return hash;
}

static const struct culprit_row *row_memo(struct memo *m, const struct snapshot *s,
					  const struct snap_task *t)
{
	uint64_t place = place_of(s, t);
	uint32_t index = addrmap_get(&m->seen, place);

	if (index == ADDRMAP_NONE) {
		index = (uint32_t)m->n;
		addrmap_put(&m->seen, place, index);
		*array_push(&m->rows, &m->n, &m->cap) = row_of_task(s, t);
	}
	return m->rows[index];
}

/* wait_for() up to 3.11 runs what it waits for as a task of its own: the two are one wait. */
static void find_wait_fors(const struct facts *f, struct addrmap *wait_fors)
{
	for (size_t i = 0; i < f->snap->n_tasks; i++) {
		const struct snap_task *t = &f->snap->tasks[i];

		if (t->loop == f->index && t->what && !strcmp(t->what, "asyncio.wait_for"))
			addrmap_add(wait_fors, t->id);
	}
}

static bool is_inner(const struct facts *f, const struct snap_task *t,
		     const struct addrmap *wait_fors)
{
	return t->owner == SNAP_OWNER_TASK && t->n_awaiters == 1 &&
	       addrmap_get(wait_fors, f->snap->awaiters[t->first_awaiter]) != ADDRMAP_NONE;
}

/* The scarce site that most tasks of the loop wait at; count 0 when there is none. */
static struct site worst_site(const struct facts *f)
{
	struct site sites[64], worst = {0};
	struct memo memo = {.seen = ADDRMAP_INIT};
	struct addrmap wait_fors = ADDRMAP_INIT;
	uint32_t of = 0;
	size_t n = 0;

	find_wait_fors(f, &wait_fors);
	for (uint32_t i = 0; i < f->snap->n_tasks; i++) {
		const struct snap_task *t = &f->snap->tasks[i];
		const struct culprit_row *row;

		if (t->loop != f->index || is_inner(f, t, &wait_fors))
			continue;
		of++;
		if (t->state == SNAP_TASK_RUNNING)
			continue;
		row = row_memo(&memo, f->snap, t);
		if (row)
			count_row(sites, &n, ARRAY_SIZE(sites), row, i);
		else if (t->wait == SNAP_WAIT_EXECUTOR)
			count_row(sites, &n, ARRAY_SIZE(sites),
				  culprits_find(CULPRIT_AWAIT, "asyncio.threads:to_thread"), i);
	}
	for (size_t i = 0; i < n; i++)
		if (is_scarce(sites[i].row->category) && sites[i].count > worst.count)
			worst = sites[i];
	worst.of = of;
	addrmap_deinit(&wait_fors);
	addrmap_deinit(&memo.seen);
	free(memo.rows);
	return worst;
}

static bool is_site(const struct facts *f, const struct site *site)
{
	if (!site->count)
		return false;
	if (!strcmp(site->row->category, "wait.executor") && site->count >= FEW_QUEUED &&
	    facts_executor_full(f))
		return true;
	return site->count * 2 >= site->of &&
	       (site->of >= FEW_TASKS ||
		(site->count >= FEW_QUEUED && is_queue(site->row->category)));
}

bool waiting(const struct facts *f)
{
	struct site site;

	if (facts_late(f))
		return false;
	site = worst_site(f);
	return is_site(f, &site);
}

void explain_waiting(const struct facts *f, struct verdict *v)
{
	struct site site = worst_site(f);
	const struct aio_loop *info = &f->loop->info;
	bool executor = !strcmp(site.row->category, "wait.executor");
	uint32_t resource = f->snap->tasks[site.example].resource;
	bool lost = resource < f->snap->n_resources && f->snap->resources[resource].lost;

	set_verdict(v, VERDICT_WAITING, CONFIDENCE_HIGH, site.row->category);
	v->title = site.row->title;
	v->advice = site.row->advice;
	v->site_task = site.example;
	v->site_count = site.count;
	v->site_of = site.of;
	if (lost)
		v->advice = "restart it, then look for what lost the wake-up: a waiter that was "
			    "cancelled when its turn came (a newer Python or library may mend it)";
	add_evidence(v, "await chains", "%u of %u tasks wait in %s", site.count, site.of,
		     executor ? "the default executor" : site.row->pattern);
	if (info->have_executor && executor)
		add_evidence(v, "_default_executor",
			     "%lld threads of at most %lld, %lld idle, %lld jobs queued",
			     (long long)info->executor_threads, (long long)info->executor_max,
			     (long long)(info->executor_idle > 0 ? info->executor_idle : 0),
			     (long long)info->executor_queued);
	add_evidence(v, "looks", "the loop itself is on time: worst hold %.1f ms",
		     ns_to_s(f->worst_held_ns) * 1e3);
}
