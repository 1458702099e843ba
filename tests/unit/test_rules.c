/* SPDX-License-Identifier: Apache-2.0 */
/* The other rules, each on a snapshot built by hand: what must match, and what must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diagnose_world.h"
#include "stallscope/utf8.h"

/* ---- held from outside --------------------------------------------------------------------------
 */

static void frozen_wins_over_all(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 9000 * MS);
	look(&w, 0, 0, 1, 0);
	w.s.limits.frozen = true;
	w.s.limits.frozen_how = "cgroup.events frozen 1 of /a";
	assert_int_equal(judge(&w).id, VERDICT_FROZEN);
	w.s.limits.frozen = false;
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
	strcpy(w.thread.os.wchan, "__refrigerator");
	assert_int_equal(judge(&w).id, VERDICT_FROZEN);
}

static void what_runs_without_a_loop(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	w.s.n_loops = 0;
	w.thread.is_python = true;
	assert_string_equal(judge(&w).kind, "");
	w.codes[2] = (struct snap_code){.function = "run",
					.qualname = "SyncWorker.run",
					.file = "/x/site-packages/gunicorn/workers/sync.py"};
	assert_string_equal(judge(&w).kind, "sync-server");
	w.codes[2].file = "<frozen importlib._bootstrap>";
	w.codes[2].function = "_find_and_load";
	assert_string_equal(judge(&w).kind, "starting");
	w.codes[2].file = "/x/trio/_core/_run.py";
	w.codes[2].function = "run";
	assert_string_equal(judge(&w).kind, "other-loop");
	assert_int_equal(judge(&w).confidence, CONFIDENCE_CERTAIN);
	w.thread.stack_failed = true;
	assert_int_equal(judge(&w).confidence, CONFIDENCE_MEDIUM);
	w.thread.stack_failed = false;
	w.s.threads_cut = true; /* the loop may run in one that was not read */
	assert_int_equal(judge(&w).confidence, CONFIDENCE_MEDIUM);
}

/* ---- starved ------------------------------------------------------------------------------------
 */

/* The thread is runnable in each of n looks, 20 ms apart, and on CPU for cpu_ms of each 20. */
static void runnable(struct world *w, unsigned n, int64_t cpu_ms, int64_t queued_ms)
{
	w->thread.os.stat.state = 'R';
	for (unsigned i = 0; i < n; i++) {
		struct snap_look *l = look(w, 20 * i, 0, 1, cpu_ms * i);

		l->run_queue_ns = (uint64_t)(queued_ms * i * MS);
	}
}

static void no_cpu_is_starved(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	held(&w, 700 * MS);
	runnable(&w, 6, 2, 18);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STARVED);
	assert_string_equal(v.kind, "cpu.host");
	w.s.kernel_first = (struct snap_kernel){.have_cpu_stat = true, .nr_periods = 5};
	w.s.kernel_last = (struct snap_kernel){
		.have_cpu_stat = true, .nr_periods = 7, .nr_throttled = 2, .throttled_us = 180000};
	assert_string_equal(judge(&w).kind, "cpu.throttled");
	w.s.kernel_last.nr_periods = 25; /* two of 20 do not explain it */
	assert_string_equal(judge(&w).kind, "cpu.host");
	w.s.kernel_last.nr_throttled = 0;
	w.s.kernel_first.have_steal = w.s.kernel_last.have_steal = true;
	w.s.kernel_last.total_ticks = 100;
	w.s.kernel_last.steal_ticks = 40;
	assert_string_equal(judge(&w).kind, "cpu.steal");
}

/* Half of the time on a CPU, and asleep in some looks: a callback that computes on a busy machine.
 */
static void some_cpu_is_not_starved(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 700 * MS);
	runnable(&w, 6, 11, 9);
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
	init(&w);
	held(&w, 700 * MS);
	runnable(&w, 6, 2, 7); /* it sleeps for the greater part */
	for (unsigned i = 2; i < 6; i++)
		w.looks[i].state = 'S';
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
	runnable(&w, 0, 0, 0);
	for (unsigned i = 0; i < 6; i++)
		w.looks[i].run_queue_ns *= 2; /* it waits for the greater part, whenever we look */
	assert_int_equal(judge(&w).id, VERDICT_STARVED);
}

static void page_faults_starve(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.thread.os.stat.state = 'D';
	held(&w, 700 * MS);
	look(&w, 0, 0, 1, 0);
	look(&w, 100, 0, 1, 1)->majflt = 40;
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STARVED);
	assert_string_equal(v.kind, "mem");
	w.looks[1].majflt = 2; /* a disk that is slow, and not for memory */
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
}

/* In select with no timer late: only that it waits for the GIL in most looks shows it. */
static void gil_without_a_timer(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.loop.phase = SNAP_SELECT;
	w.loop.run.have_end_time = w.loop.run.have_batch = false;
	for (unsigned i = 0; i < 6; i++) {
		struct snap_look *l = look(&w, 25 * i, 0, 0, 0);

		l->end_time = 0;
		l->waits_for_gil = true;
	}
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STARVED);
	assert_string_equal(v.kind, "gil");
	w.looks[3].waits_for_gil = false;
	assert_string_equal(judge(&w).kind, "gil"); /* in most of them */
	w.looks[2].waits_for_gil = w.looks[4].waits_for_gil = w.looks[5].waits_for_gil = false;
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
}

/* A callback that computes for long, and shares the GIL with another thread meanwhile. */
static void gil_of_a_callback_that_computes(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 700 * MS);
	for (unsigned i = 0; i < 6; i++)
		look(&w, 20 * i, 0, 1, 10 * i)->waits_for_gil = i % 2;
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
	for (unsigned i = 0; i < 6; i++)
		w.looks[i].on_cpu_ns /= 5; /* hardly ever */
	assert_string_equal(judge(&w).kind, "gil");
}

/* Back from select, it waits for the GIL in some looks: that is no time to spare. */
static void gil_shared_is_not_idle(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	for (unsigned i = 0; i < 8; i++) {
		struct snap_look *l = look(&w, 25 * i, 0, 1, 10 * i);

		l->end_time = i % 3 ? 1000 + i : 0;
		l->waits_for_gil = i % 3 == 0;
	}
	assert_int_equal(judge(&w).id, VERDICT_BUSY);
	for (unsigned i = 0; i < 8; i++)
		w.looks[i].waits_for_gil = false;
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
}

/* ---- no clock in common -----------------------------------------------------------------------
 */

static void clock_of_its_own(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	w.loop.own_clock = true;
	w.loop.run.end_time = 3; /* of a clock that began with the loop */
	look(&w, 0, 0, 1, 0);
	assert_int_equal(judge(&w).id, VERDICT_UNSURE);
	look(&w, 50, 0, 1, 0);
	assert_int_equal(judge(&w).id, VERDICT_UNSURE);
	look(&w, 120, 0, 1, 0);
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_STALLED);
	assert_string_equal(v.held_bound, "lower");
	assert_int_equal(v.held_ns, 120 * MS);
	for (unsigned i = 0; i < 3; i++)
		w.looks[i].end_time += i; /* it turns */
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
	look(&w, 1200, 0, 1, 0)->end_time = 9;
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
}

/* ---- deadlock ---------------------------------------------------------------------------------
 */

/* One that has run since the full look may have come out of its wait. */
static void what_runs_is_not_deadlocked(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 700 * MS);
	look(&w, 0, 0, 1, 0);
	look(&w, 20, 0, 1, 0);
	w.loop.deadlock.kind = SNAP_DEADLOCK_THREADS;
	assert_int_equal(judge(&w).id, VERDICT_DEADLOCK);
	w.looks[1].on_cpu_ns = 1 * MS;
	assert_int_equal(judge(&w).id, VERDICT_STALLED);
}

/* ---- stalled ------------------------------------------------------------------------------------
 */

static void held_world(struct world *w, const char *file, const char *function)
{
	init(w);
	held(w, 900 * MS);
	look(w, 0, 0, 1, 0);
	look(w, 20, 0, 1, 0);
	w->codes[0] = (struct snap_code){.function = function, .qualname = function, .file = file};
}

/* Of a turn that has been through other callbacks: they may have had most of the time. */
static void not_the_first_of_its_turn(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 700 * MS);
	look(&w, 0, 3, 5, 0);
	look(&w, 20, 3, 5, 0);
	assert_int_equal(judge(&w).confidence, CONFIDENCE_HIGH);
	look(&w, 120, 3, 5, 0); /* this one alone held it for the threshold */
	assert_int_equal(judge(&w).confidence, CONFIDENCE_CERTAIN);
}

static void at_a_prompt(void **state)
{
	struct world w;

	(void)state;
	held_world(&w, "/usr/lib/python3.11/pdb.py", "interaction");
	assert_string_equal(judge(&w).kind, "debugger");
}

static void in_the_collector(void **state)
{
	struct world w;

	(void)state;
	held_world(&w, "/srv/app/x.py", "build");
	w.looks[1].on_cpu_ns = 20 * MS;
	w.looks[0].gc = w.looks[1].gc = 1;
	assert_string_equal(judge(&w).kind, "gc");
	w.looks[0].gc = w.looks[1].gc = 0;
	assert_string_equal(judge(&w).kind, "cpu.python");
	/* collecting on a thread that sleeps: another thread's */
	w.looks[0].gc = w.looks[1].gc = 1;
	w.looks[1].on_cpu_ns = 0;
	assert_string_equal(judge(&w).kind, "blocked.unknown");
}

static void another_loop_inside(void **state)
{
	struct snap_loop loops[2];
	struct world w;

	(void)state;
	held_world(&w, "/srv/app/x.py", "inner");
	loops[0] = loops[1] = w.loop;
	loops[1].run.loop = 0x5000;
	loops[1].outer = 0;
	loops[1].phase = SNAP_SELECT;
	loops[1].have_held = loops[1].run.have_end_time = loops[1].run.have_batch = false;
	w.s.loops = loops;
	w.s.n_loops = 2;
	assert_string_equal(judge(&w).kind, "nested");
}

/* WHO is below the user's innermost frame; the leaf is what the bytecode calls. */
static void who_and_what(void **state)
{
	const char *names[] = {"_socket!getaddrinfo"};
	struct world w;
	struct verdict v;

	(void)state;
	held_world(&w, "/x/site-packages/requests/sessions.py", "request");
	in_call(&w, 7, 0);
	v = judge(&w);
	assert_string_equal(v.kind, "blocked.io.http");
	assert_string_equal(v.culprit.library, "requests");
	assert_string_equal(v.culprit.rule_kind, "py");
	w.thread.have_call = true;
	w.thread.call.names[0] = names[0];
	w.thread.call.n_names = 1;
	v = judge(&w);
	assert_string_equal(v.kind, "blocked.io.dns"); /* the cure is the resolver's */
	assert_string_equal(v.culprit.library, "requests");
	assert_string_equal(v.culprit.leaf_name, "ccall _socket!getaddrinfo");
	w.codes[0].own = true; /* no frame of a library at all */
	v = judge(&w);
	assert_string_equal(v.culprit.rule_kind, "ccall");
	assert_int_equal(v.culprit.frame, 0);
}

static bool is_utf8(const char *text)
{
	uint32_t cp;

	for (size_t len = strlen(text), i = 0; i < len;) {
		i += utf8_decode(text + i, len - i, &cp);
		if (cp == UTF8_BAD)
			return false;
	}
	return true;
}

/* n times e with an acute accent, which are two bytes, after a prefix. */
static const char *accents(char *buf, const char *prefix, size_t n)
{
	strcpy(buf, prefix);
	for (size_t i = 0; i < n; i++)
		strcat(buf, "\xc3\xa9");
	return buf;
}

/* What does not fit is cut between characters, wherever the end falls. */
static void long_names_stay_utf8(void **state)
{
	static const char *const prefixes[] = {"", "a"};
	char qualname[600], path[600], name[600];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		struct world w;
		struct verdict v;

		init(&w);
		held(&w, 500 * MS);
		look(&w, 0, 0, 1, 0);
		w.codes[0].qualname = accents(qualname, prefixes[i], 200);
		accents(path, "/usr/lib/python3/dist-packages/", 0);
		w.codes[0].file = strcat(path, accents(name, prefixes[i], 200));
		v = judge(&w);
		assert_true(v.culprit.leaf_name[0] && is_utf8(v.culprit.leaf_name));
		assert_true(v.culprit.library[0] && is_utf8(v.culprit.library));
		w.thread.have_call = true;
		w.thread.call.n_names = 1;
		w.thread.call.names[0] = accents(name, prefixes[i], 60);
		w.codes[0].own = true;
		v = judge(&w);
		assert_true(v.culprit.library[0] && is_utf8(v.culprit.library));
	}
}

static void the_library_outside_is_not_to_blame(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	held_world(&w, "/srv/app/filters.py", "burn");
	w.codes[0].own = true;
	w.codes[1] = (struct snap_code){.function = "render",
					.qualname = "Template.render",
					.file = "/x/dist-packages/jinja2/environment.py"};
	w.looks[1].on_cpu_ns = 20 * MS;
	w.thread.os.stat.state = 'R';
	v = judge(&w);
	assert_string_equal(v.kind, "cpu.python");
	w.codes[1].file = "<frozen importlib._bootstrap>";
	w.codes[1].function = "_find_and_load";
	assert_string_equal(judge(&w).kind, "cpu.import");
}

/* argon2's own threads compute, and the loop's thread sits in futex meanwhile. */
static void own_threads_compute(void **state)
{
	struct world w;

	(void)state;
	held_world(&w, "/x/dist-packages/argon2/_password_hasher.py", "hash");
	in_call(&w, 202, 0);
	assert_string_equal(judge(&w).kind, "cpu.crypto");
}

/* ---- it turns -----------------------------------------------------------------------------------
 */

static void holds_again_and_again(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	held(&w, 0);
	w.loop.have_held = false;
	w.loop.phase = SNAP_SELECT;
	w.loop.run.have_end_time = w.loop.run.have_batch = false;
	for (unsigned i = 0; i < 8; i++) {
		struct snap_look *l = look(&w, 300 * i, 0, 1, 0);

		l->end_time = i % 3 == 1 ? (double)l->clock_ns / 1e9 - 0.12 : 0;
	}
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_CHOPPY);
	assert_int_equal(v.episodes, 3);
	assert_int_equal(v.culprit.frame, SNAP_NONE);  /* the full look was of none of them */
	w.looks[4].end_time = w.looks[7].end_time = 0; /* once is not again */
	v = judge(&w);
	assert_int_equal(v.id, VERDICT_HEALTHY);
	assert_int_equal(v.confidence, CONFIDENCE_MEDIUM);
	assert_non_null(strstr(v.title, "held once"));
}

static void hardly_ever_in_select(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	held(&w, 10 * MS);
	for (unsigned i = 0; i < 8; i++) {
		struct snap_look *l = look(&w, 20 * i, 2, 8, 19 * i);

		l->end_time = (double)l->clock_ns / 1e9 - 0.01;
	}
	assert_int_equal(judge(&w).id, VERDICT_BUSY);
	assert_non_null(strstr(judge(&w).title, "not late"));
	w.looks[3].end_time -= 0.1;
	assert_null(strstr(judge(&w).title, "not late"));
	w.looks[3].end_time += 0.1;
	for (unsigned i = 1; i < 8; i += 2)
		w.looks[i].end_time = 0;
	for (unsigned i = 0; i < 8; i++)
		w.looks[i].on_cpu_ns /= 3;
	assert_int_equal(judge(&w).id, VERDICT_HEALTHY);
}

#define TASKS 60

/* Most of the tasks wait with one innermost frame. */
static struct verdict waiting_in(const char *file, const char *qualname, unsigned of_them)
{
	struct snap_task tasks[TASKS];
	struct world w;

	init(&w);
	w.loop.phase = SNAP_SELECT;
	w.loop.run.have_end_time = w.loop.run.have_batch = false;
	look(&w, 0, 0, 0, 0)->end_time = 0;
	w.codes[0] = (struct snap_code){.function = "f", .qualname = qualname, .file = file};
	memset(tasks, 0, sizeof(tasks));
	for (unsigned i = 0; i < TASKS; i++) {
		tasks[i].state = SNAP_TASK_PENDING;
		tasks[i].stack = (struct snap_stack){i < of_them ? 0 : 1, 1, false};
	}
	w.s.tasks = tasks;
	w.s.n_tasks = w.loop.tasks = TASKS;
	return judge(&w);
}

static void most_wait_in_one_place(void **state)
{
	(void)state;
	assert_string_equal(
		waiting_in("/usr/lib/python3.11/asyncio/locks.py", "Lock.acquire", 40).kind,
		"wait.lock");
	assert_string_equal(
		waiting_in("/x/site-packages/asyncpg/pool.py", "Pool._acquire", 40).kind,
		"wait.pool.db");
	assert_int_equal(waiting_in("/usr/lib/python3.11/asyncio/locks.py", "Lock.acquire", 29).id,
			 VERDICT_HEALTHY);
	/* waiting for work is no trouble */
	assert_int_equal(waiting_in("/usr/lib/python3.11/asyncio/queues.py", "Queue.get", 60).id,
			 VERDICT_HEALTHY);
}

/* A loop that sleeps from its full look to the next one; two tasks, and a lock that each waits for.
 */
struct ring {
	struct world w;
	struct snap_task tasks[2];
	struct snap_resource locks[2];
};

static void init_ring(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	init(&r->w);
	r->w.loop.phase = SNAP_SELECT;
	r->w.loop.run.have_end_time = r->w.loop.run.have_batch = false;
	r->w.loop.slept_through = true;
	look(&r->w, 0, 0, 0, 0)->end_time = 0;
	for (unsigned i = 0; i < 2; i++) {
		r->tasks[i] = (struct snap_task){.id = 0x100 * (i + 1),
						 .name = i ? "b" : "a",
						 .state = SNAP_TASK_PENDING,
						 .resource = 1 - i};
		r->locks[i] = (struct snap_resource){
			.address = 0x9000 + i, .holders = {i}, .n_holders = 1, .holder = i};
	}
	r->w.s.tasks = r->tasks;
	r->w.s.resources = r->locks;
	r->w.s.n_tasks = r->w.s.n_resources = r->w.loop.tasks = 2;
}

static const char *ring_kind(struct ring *r)
{
	static struct verdict v;

	v = judge(&r->w);
	assert_int_equal(v.id, v.kind[0] ? VERDICT_WAITING : VERDICT_HEALTHY);
	return v.kind;
}

static bool ring_is_noted(struct ring *r)
{
	struct verdict v = judge(&r->w);

	for (size_t i = 0; i < v.n_evidence; i++)
		if (strstr(v.evidence[i].fact, "each other likely has"))
			return true;
	return false;
}

static void tasks_that_wait_for_each_other(void **state)
{
	struct ring r;

	(void)state;
	init_ring(&r);
	assert_string_equal(ring_kind(&r), "wait.deadlock");
	assert_false(ring_is_noted(&r));
	r.w.loop.slept_through = false; /* it ran meanwhile: the two may be of two moments */
	assert_string_equal(ring_kind(&r), "");
	assert_true(ring_is_noted(&r));
	init_ring(&r);
	r.locks[1].holder = SNAP_NONE; /* only likely */
	assert_string_equal(ring_kind(&r), "");
	assert_true(ring_is_noted(&r));
	r.locks[1].n_holders = 0;
	assert_false(ring_is_noted(&r));
	init_ring(&r);
	r.tasks[1].have_timeout = true; /* it will be given up */
	assert_string_equal(ring_kind(&r), "");
	assert_false(ring_is_noted(&r));
	init_ring(&r);
	r.tasks[0].resource = SNAP_NONE; /* a chain has an end */
	assert_string_equal(ring_kind(&r), "");
	init_ring(&r);
	r.tasks[0].state = SNAP_TASK_READY;
	assert_string_equal(ring_kind(&r), "");
	init_ring(&r);
	r.tasks[0].torn = true;
	assert_string_equal(ring_kind(&r), "");
	init_ring(&r);
	r.tasks[0].resource = 0; /* its own */
	assert_string_equal(ring_kind(&r), "wait.deadlock");
	assert_int_equal(judge(&r.w).site_count, 1);
}

static void flags_beside_the_verdict(void **state)
{
	struct world w;
	struct verdict v;

	(void)state;
	init(&w);
	look(&w, 0, 0, 0, 0);
	assert_int_equal(judge(&w).flags, 0);
	w.loop.info.debug = true;
	w.loop.info.have_executor = true;
	w.loop.info.executor_queued = 3;
	w.s.limits.have_fds_limit = w.s.limits.have_fds_open = true;
	w.s.limits.fds_limit = 64;
	w.s.limits.fds_open = 60;
	v = judge(&w);
	assert_int_equal(v.flags,
			 1u << FLAG_DEBUG_MODE | 1u << FLAG_EXEC_FULL | 1u << FLAG_FD_LIMIT);
	w.loop.info.executor_max = 5; /* a thread for the job is about to be started */
	w.loop.info.executor_threads = 4;
	assert_int_equal(judge(&w).flags, 1u << FLAG_DEBUG_MODE | 1u << FLAG_FD_LIMIT);
}

static void growing_beyond_chance(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	look(&w, 0, 0, 0, 0);
	w.loop.growth = (struct snap_growth){.have_growth = true,
					     .tasks_first = 100,
					     .tasks_last = 120,
					     .growth_per_s = 100}; /* within 200 ms */
	assert_int_equal(judge(&w).flags, 0);
	w.loop.growth.tasks_last = 190;
	assert_int_equal(judge(&w).flags, 1u << FLAG_GROWING);
	w.loop.growth.tasks_first = 1;
	w.loop.growth.tasks_last = 9;
	assert_int_equal(judge(&w).flags, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frozen_wins_over_all),
		cmocka_unit_test(what_runs_without_a_loop),
		cmocka_unit_test(no_cpu_is_starved),
		cmocka_unit_test(some_cpu_is_not_starved),
		cmocka_unit_test(page_faults_starve),
		cmocka_unit_test(gil_without_a_timer),
		cmocka_unit_test(gil_of_a_callback_that_computes),
		cmocka_unit_test(gil_shared_is_not_idle),
		cmocka_unit_test(clock_of_its_own),
		cmocka_unit_test(what_runs_is_not_deadlocked),
		cmocka_unit_test(not_the_first_of_its_turn),
		cmocka_unit_test(at_a_prompt),
		cmocka_unit_test(in_the_collector),
		cmocka_unit_test(another_loop_inside),
		cmocka_unit_test(who_and_what),
		cmocka_unit_test(long_names_stay_utf8),
		cmocka_unit_test(the_library_outside_is_not_to_blame),
		cmocka_unit_test(own_threads_compute),
		cmocka_unit_test(holds_again_and_again),
		cmocka_unit_test(hardly_ever_in_select),
		cmocka_unit_test(most_wait_in_one_place),
		cmocka_unit_test(tasks_that_wait_for_each_other),
		cmocka_unit_test(flags_beside_the_verdict),
		cmocka_unit_test(growing_beyond_chance),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
