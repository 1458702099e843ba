/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render_world.h - a process made by hand: one loop in the main thread, a worker thread, tasks
 */
#ifndef STALLSCOPE_TESTS_RENDER_WORLD_H
#define STALLSCOPE_TESTS_RENDER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stallscope/render.h"

#define MS     INT64_C(1000000)
#define NOW_NS (UINT64_C(1000) * 1000000000)

enum {
	CODE_RECV,
	CODE_GET,
	CODE_PRICE,
	CODE_RUN,
	CODE_ONCE,
	CODE_READ,
	CODE_CONN,
	CODE_SLEEP,
	CODE_TICK,
	CODES
};
enum { THREAD_FRAMES = 5, FRAMES = THREAD_FRAMES + 4 }; /* then one of each kind of task */
enum { TASKS = 8 };

struct world {
	struct snapshot s;
	struct process process;
	char *command[4];
	struct snap_code codes[CODES];
	struct snap_frame frames[FRAMES];
	struct snap_thread threads[2];
	struct snap_loop loop;
	struct snap_task tasks[TASKS];
	struct snap_look looks[4];
	struct snap_problem problem;
	struct snap_detail detail; /* of the user's own frame in the thread's stack */
	struct snap_variable variables[3];
	struct diagnosis *d;
};

static inline void world_codes(struct world *w)
{
	static const struct snap_code codes[CODES] = {
		[CODE_RECV] = {0, "readinto", "SocketIO.readinto", "/usr/lib/python3.12/socket.py",
			       false, false, false},
		[CODE_GET] = {0, "request", "request",
			      "/srv/app/venv/lib/python3.12/site-packages/requests/api.py", false,
			      false, false},
		[CODE_PRICE] = {0, "get_price", "Api.get_price", "/srv/app/pricing.py", true, true,
				false},
		[CODE_RUN] = {0, "_run", "Handle._run", "/usr/lib/python3.12/asyncio/events.py",
			      false, false, false},
		[CODE_ONCE] = {0, "_run_once", "BaseEventLoop._run_once",
			       "/usr/lib/python3.12/asyncio/base_events.py", false, false, false},
		[CODE_READ] = {0, "readline", "StreamReader.readline",
			       "/usr/lib/python3.12/asyncio/streams.py", false, true, false},
		[CODE_CONN] = {0, "serve", "Connection.serve", "/srv/app/server.py", true, true,
			       false},
		[CODE_SLEEP] = {0, "sleep", "sleep", "/usr/lib/python3.12/asyncio/tasks.py", false,
				true, false},
		[CODE_TICK] = {0, "tick", "tick", "/srv/app/metrics.py", true, true, false},
	};
	static const int lines[CODES] = {706, 73, 88, 88, 1987, 568, 41, 665, 12};
	static const uint32_t frames[FRAMES] = {CODE_RECV, CODE_GET,   CODE_PRICE,
						CODE_RUN,  CODE_ONCE,  CODE_READ,
						CODE_CONN, CODE_SLEEP, CODE_TICK};

	memcpy(w->codes, codes, sizeof(codes));
	for (uint32_t i = 0; i < FRAMES; i++) {
		w->frames[i] = (struct snap_frame){.code = frames[i], .task = SNAP_NONE};
		w->frames[i].at = (struct py_position){lines[frames[i]], lines[frames[i]], 8, 30};
	}
	w->s.codes = w->codes;
	w->s.frames = w->frames;
	w->s.n_codes = CODES;
	w->frames[2].detail = 1;
	w->s.details = &w->detail;
	w->s.n_details = 1;
	w->s.n_frames = FRAMES;
}

static inline void world_tasks(struct world *w)
{
	static char names[TASKS][16];

	for (uint32_t i = 0; i < TASKS; i++) {
		struct snap_task *t = &w->tasks[i];
		bool reads = i < 6;

		snprintf(names[i], sizeof(names[i]), "conn-%u", i);
		*t = (struct snap_task){
			.id = 0x7f0000010000 + 256 * (uint64_t)i,
			.name = names[i],
			.coroutine = reads ? "Connection.serve" : "tick",
			.state = SNAP_TASK_PENDING,
			.stack = {reads ? THREAD_FRAMES : THREAD_FRAMES + 2, 2, false},
			.wait = SNAP_WAIT_FUTURE,
			.waits_for = 0x7f0000020000 + 256 * (uint64_t)i,
			.what = reads ? "StreamReader.readline" : "asyncio.sleep"};
	}
	w->tasks[6].have_left = true;
	w->tasks[6].left_s = 0.25;
	/* the one that runs */
	w->tasks[7] = (struct snap_task){.id = 0x7f0000010700,
					 .name = "handle-quote-118",
					 .coroutine = "Api.get_price",
					 .state = SNAP_TASK_RUNNING,
					 .stack = {0, 3, false}};
	w->frames[2].task = 7;
	w->s.tasks = w->tasks;
	w->s.n_tasks = w->s.tasks_found = w->loop.tasks = TASKS;
	w->loop.current_task = 7;
}

static inline void world_threads(struct world *w)
{
	w->threads[0] = (struct snap_thread){.os_name = "python",
					     .name = "MainThread",
					     .is_python = true,
					     .holds_gil = true,
					     .tstate = 0x7f0000000100,
					     .stack = {0, THREAD_FRAMES, false}};
	w->threads[1] = (struct snap_thread){
		.os_name = "log-writer", .loop = SNAP_NONE, .interpreter = SNAP_NONE};
	w->threads[0].os.tid = 4242;
	w->threads[1].os.tid = 4250;
	for (int i = 0; i < 2; i++) {
		w->threads[i].waits_for_loop = SNAP_NONE;
		w->threads[i].os.have_stat = true;
		w->threads[i].os.stat.state = 'S';
	}
	w->s.threads = w->threads;
	w->s.n_threads = 2;
}

static inline void world_loop(struct world *w)
{
	struct aio_loop *info = &w->loop.info;

	w->loop.run.loop = 0x7f0000001000;
	w->loop.have_info = w->loop.have_run = true;
	w->loop.phase = SNAP_CALLBACKS;
	w->loop.run.have_end_time = w->loop.run.have_batch = true;
	w->loop.run.ntodo = 1;
	w->loop.outer = SNAP_NONE;
	w->loop.wait.fd = -1;
	info->class_name = "asyncio.unix_events._UnixSelectorEventLoop";
	info->ready = 37;
	info->timers = 140;
	info->timers_late = 58;
	info->worst_late = 4.78;
	info->fds = 12;
	info->executor_max = info->executor_threads = info->executor_idle = -1;
	info->executor_queued = -1;
	w->s.loops = &w->loop;
	w->s.n_loops = 1;
}

static inline void world_init(struct world *w)
{
	static char words[4][8] = {"python", "app.py", "--port", "8080"};

	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		w->command[i] = words[i];
	w->process.pid = w->process.ns_pid = 4242;
	w->process.command = w->command;
	w->process.argc = ARRAY_SIZE(words);
	w->process.executable = "/usr/bin/python3.12";
	w->process.uid = 1000;
	w->process.started_ns = NOW_NS - UINT64_C(90) * 1000000000;
	w->s.process = &w->process;
	w->s.process_state = 'S';
	w->s.minor = 12;
	w->s.micro = 1;
	w->s.layout = "table";
	w->s.asyncio_loaded = true;
	w->s.clock_ns = NOW_NS;
	w->s.wall_ns = UINT64_C(1795442596231) * 1000000;
	w->s.looks = w->looks;
	world_codes(w);
	world_threads(w);
	world_loop(w);
	world_tasks(w);
}

static inline void world_deinit(struct world *w)
{
	diagnosis_destroy(w->d);
	w->d = NULL;
}

/* Held since so long, in the callback at this place of the batch. */
static inline void world_held(struct world *w, int64_t ns, int64_t index, int64_t ntodo)
{
	w->loop.have_held = true;
	w->loop.held_ns = ns;
	w->loop.run.end_time = (double)(NOW_NS - (uint64_t)ns) / 1e9;
	w->loop.run.index = index;
	w->loop.run.ntodo = ntodo;
}

/* A look at ms after the first; the thread was on CPU for cpu_ms since. */
static inline void world_look(struct world *w, int64_t ms, int64_t index, int64_t cpu_ms)
{
	struct snap_look *l = &w->looks[w->s.n_looks++];

	*l = (struct snap_look){.clock_ns = NOW_NS + (uint64_t)(ms * MS),
				.loop = w->loop.run.loop,
				.tid = 4242,
				.found = true,
				.in_callbacks = w->loop.phase == SNAP_CALLBACKS,
				.state = w->threads[0].os.stat.state,
				.index = index,
				.ntodo = w->loop.run.ntodo,
				.handle = 0x7f0000002000 + (uint64_t)index,
				.end_time = w->loop.run.end_time,
				.on_cpu_ns = (uint64_t)(cpu_ms * MS),
				.have_sched = true,
				.syscall = -2};
}

/* The main thread is in a system call. */
static inline void world_call(struct world *w, int64_t number, uint64_t arg)
{
	w->threads[0].os.have_syscall = true;
	w->threads[0].os.syscall.number = number;
	w->threads[0].os.syscall.args[0] = arg;
}

static inline void world_judge(struct world *w)
{
	struct diagnose_options options = {100 * MS};

	w->d = diagnose(&w->s, &options);
}

/* ---- the states ---------------------------------------------------------------------------- */

static inline void make_blocked(struct world *w)
{
	world_init(w);
	world_held(w, 4830 * MS, 0, 38);
	world_look(w, 0, 0, 0);
	world_look(w, 20, 0, 0);
	world_call(w, 45, 6); /* recvfrom */
	w->loop.wait =
		(struct snap_wait_fd){.fd = 6, .peer = "10.0.3.17:443", .tcp_state = "ESTABLISHED"};
	w->loop.have_callback = true;
	strcpy(w->loop.callback.name, "TaskStepMethWrapper");
	w->loop.callback.task = w->tasks[7].id;
	world_judge(w);
	w->detail.source = "r = requests.get(url)";
	w->detail.mark = 4;
	w->detail.mark_end = 21;
}

/* Ages that are known, bounded and unknown; tasks that nobody awaits, or can wake. */
static inline void make_aged(struct world *w)
{
	make_blocked(w);
	w->loop.run.have_index = true;
	snapshot_ages(&w->s);
	w->tasks[6].have_age = true;
	w->tasks[6].age_ns = 58750 * MS;
	w->tasks[6].age_is_lower = false;
	w->tasks[4].state = w->tasks[5].state = SNAP_TASK_CANCELLING;
	w->tasks[4].have_age = w->tasks[5].have_age = false;
	w->tasks[0].waker = SNAP_WAKER_NOBODY;
	for (uint32_t i = 0; i < 5; i++)
		w->tasks[i].owner = SNAP_OWNER_NOBODY;
}

static inline void make_cpu(struct world *w)
{
	world_init(w);
	w->threads[0].os.stat.state = 'R';
	w->threads[0].stack.first = 2; /* in get_price itself */
	w->threads[0].stack.n = 3;
	w->tasks[7].stack = (struct snap_stack){2, 1, false};
	world_held(w, 1620 * MS, 2, 5);
	world_look(w, 0, 2, 0);
	world_look(w, 20, 2, 19);
	world_judge(w);
	w->detail.source_newer = true;
	w->detail.source = "while n: n -= 1";
}

static inline void make_overloaded(struct world *w)
{
	world_init(w);
	w->threads[0].os.stat.state = 'R';
	world_held(w, 150 * MS, 10000, 20000);
	world_look(w, 0, 10000, 0);
	world_look(w, 20, 11333, 20);
	w->loop.info.ready = 20000;
	world_judge(w);
}

static inline void make_healthy(struct world *w)
{
	world_init(w);
	w->loop.phase = SNAP_SELECT;
	w->loop.run.have_end_time = w->loop.run.have_batch = false;
	w->loop.run.have_timeout = true;
	w->loop.run.timeout = 0.6;
	w->loop.have_select = true;
	w->loop.select_ns = 340 * MS;
	w->loop.current_task = SNAP_NONE;
	w->loop.info.ready = w->loop.info.timers_late = 0;
	w->loop.info.worst_late = 0;
	w->loop.info.have_next = true;
	w->loop.info.next_when = 1000.26;
	w->loop.tasks = TASKS - 1;
	w->s.n_tasks = w->s.tasks_found = TASKS - 1;
	world_look(w, 0, 0, 0);
	world_look(w, 20, 0, 0);
	world_call(w, 232, 4); /* epoll_wait */
	world_judge(w);
}

static inline void make_no_loop(struct world *w)
{
	world_init(w);
	w->s.n_loops = w->s.n_tasks = 0;
	w->threads[0].loop = SNAP_NONE;
	w->threads[0].stack = (struct snap_stack){1, 2, false};
	world_judge(w);
}

static inline void make_stopped(struct world *w)
{
	world_init(w);
	world_held(w, 9000 * MS, 0, 1);
	w->s.process_state = w->threads[0].os.stat.state = 'T';
	world_look(w, 0, 0, 0);
	world_judge(w);
}

/*
 * Everything that a target may choose, as the reading layers hand it on: escapes made visible,
 * long, wide, with marks; a problem, and frames without a line.
 */
static inline void make_hostile(struct world *w)
{
	static char evil[] = "\\x1b]0;owned\\x07\\u202egnp.exe", wide[400], marks[400];

	make_blocked(w);
	for (size_t i = 0; i + 1 < sizeof(wide) / 3; i++)
		memcpy(wide + 3 * i, "\xe4\xb8\xad", 4);
	for (size_t i = 0; i + 1 < sizeof(marks) / 3; i++)
		memcpy(marks + 3 * i, "e\xcc\x81", 4);
	w->command[1] = evil;
	w->command[2] = wide;
	w->threads[0].name = marks;
	w->codes[CODE_PRICE].qualname = w->codes[CODE_PRICE].function = wide;
	w->codes[CODE_PRICE].file = "/srv/\\n[2J/\xe4\xb8\xad/e\xcc\x81.py";
	w->codes[CODE_CONN].qualname = marks;
	w->frames[2].at = (struct py_position){0, 0, -1, -1};
	w->tasks[0].name = w->tasks[0].coroutine = w->tasks[0].what = wide;
	w->tasks[1].name = w->tasks[1].coroutine = w->tasks[1].what = marks;
	w->tasks[7].name = evil;
	w->loop.wait.peer = NULL;
	w->loop.wait.path = wide;
	w->detail.source = wide;
	w->detail.mark = 70;
	w->detail.mark_end = 260;
	w->variables[0] = (struct snap_variable){"v", wide};
	w->variables[1] = (struct snap_variable){marks, marks};
	w->variables[2] = (struct snap_variable){"plain", "'text'"};
	w->detail.variables = w->variables;
	w->detail.n_variables = ARRAY_SIZE(w->variables);
	w->detail.variables_left = 7;
	w->detail.have_variables = true;
	w->problem = (struct snap_problem){"a task changed while it was read", "task", 3};
	w->s.problems = &w->problem;
	w->s.n_problems = 1;
}

#endif
