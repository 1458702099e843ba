/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop is well, and most of its tasks wait in one place: for a pool, a lock, a server. Each
 * task's await chain is matched with the `await` rows of the catalogue.
 */
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
	struct await_rows rows = AWAIT_ROWS_INIT;
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
		row = await_row(&rows, f->snap, t);
		if (!row && t->wait == SNAP_WAIT_EXECUTOR) /* run_in_executor has no frame */
			row = culprits_find(CULPRIT_AWAIT, "asyncio.threads:to_thread");
		if (row)
			count_row(sites, &n, ARRAY_SIZE(sites), row, i);
	}
	for (size_t i = 0; i < n; i++)
		if (is_scarce(sites[i].row->category) && sites[i].count > worst.count)
			worst = sites[i];
	worst.of = of;
	addrmap_deinit(&wait_fors);
	await_rows_deinit(&rows);
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
	add_evidence(v, "await chains", "%u of %u %s in %s", site.count, site.of,
		     PLURAL(site.of, "task waits", "tasks wait"),
		     executor ? "the default executor" : site.row->pattern);
	if (info->have_executor && executor)
		add_evidence(v, "_default_executor",
			     "%lld %s of at most %lld, %lld idle, %lld %s queued",
			     (long long)info->executor_threads,
			     PLURAL(info->executor_threads, "thread", "threads"),
			     (long long)info->executor_max,
			     (long long)(info->executor_idle > 0 ? info->executor_idle : 0),
			     (long long)info->executor_queued,
			     PLURAL(info->executor_queued, "job", "jobs"));
	add_evidence(v, "looks", "the loop itself is on time: worst hold %.1f ms",
		     ns_to_s(f->worst_held_ns) * 1e3);
	add_ring_evidence(f, v);
}
