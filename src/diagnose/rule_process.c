/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the whole process: held from outside, or without a loop. They see no loop. */
#include <string.h>

#include "rules.h"

/* The v1 freezer shows in the wait channel too, where its files cannot be read. */
bool process_frozen(const struct facts *f)
{
	const struct snapshot *s = f->snap;

	if (s->limits.frozen)
		return true;
	for (size_t i = 0; i < s->n_threads; i++)
		if (!strcmp(s->threads[i].os.wchan, "__refrigerator"))
			return true;
	return false;
}

void explain_frozen(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_FROZEN, CONFIDENCE_CERTAIN, "");
	v->title = "frozen: its container or cgroup is paused";
	v->advice = "unpause it: docker unpause, systemctl thaw, or write 0 to cgroup.freeze "
		    "(v1: THAWED to freezer.state)";
	if (f->snap->limits.frozen)
		add_evidence(v, "cgroup", "%s", f->snap->limits.frozen_how);
	else
		add_evidence(v, "/proc/PID/task/TID/wchan", "a thread sits in __refrigerator");
}

bool process_stopped(const struct facts *f)
{
	return f->snap->process_state == 'T';
}

void explain_stopped(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_STOPPED, CONFIDENCE_CERTAIN, "");
	v->title = "stopped by a signal";
	v->advice = "somebody sent SIGSTOP or SIGTSTP: continue it with kill -CONT";
	add_evidence(v, "/proc/PID/stat", "state T (stopped by a signal)");
	(void)f;
}

/*
 * A tracer that lets the process run does not hold it: state t alone counts, and not the moment
 * for which a sampling profiler stops it.
 */
bool process_traced(const struct facts *f)
{
	const struct snapshot *s = f->snap;

	if (s->process_state != 't')
		return false;
	for (size_t i = 0; i < s->n_looks; i++)
		if (s->looks[i].state && s->looks[i].state != 't')
			return false;
	return true;
}

void explain_traced(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;

	set_verdict(v, VERDICT_TRACED, CONFIDENCE_CERTAIN, "");
	v->title = "held by a debugger or tracer";
	v->advice = "let the tracer go on, or detach it";
	add_evidence(v, "/proc/PID/status", "state t, traced by process %d%s%s%s", s->tracer,
		     s->limits.tracer_command ? " (" : "",
		     s->limits.tracer_command ? s->limits.tracer_command : "",
		     s->limits.tracer_command ? ")" : "");
}

/* ---- no loop ----------------------------------------------------------------------------------
 */

/* What runs in its place, by a frame that is always there. */
static const struct {
	const char *file, *function, *kind, *title;
} others[] = {
	{"gunicorn/workers/sync.py", "run", "sync-server",
	 "a gunicorn worker of the synchronous kind: it has no event loop"},
	{"gunicorn/workers/gthread.py", "run", "sync-server",
	 "a gunicorn worker of the threaded kind: it has no event loop"},
	{"gunicorn/arbiter.py", "run", "sync-server",
	 "the gunicorn master: its children are the workers"},
	{"uvicorn/supervisors/multiprocess.py", "run", "sync-server",
	 "the uvicorn supervisor: its children are the workers"},
	{"werkzeug/serving.py", "serve_forever", "sync-server",
	 "the development server of werkzeug (Flask): it has no event loop"},
	{"waitress/server.py", "run", "sync-server",
	 "waitress, a synchronous server: it has no event loop"},
	{"cheroot/server.py", "serve", "sync-server",
	 "cheroot, a synchronous server: it has no event loop"},
	{"wsgiref/handlers.py", "run", "sync-server", "a synchronous WSGI server"},
	{"/socketserver.py", "serve_forever", "sync-server", "a synchronous socket server"},
	{"gevent/hub.py", "run", "other-loop", "gevent's hub, not asyncio, runs here"},
	{"gevent/hub.py", "switch", "other-loop", "gevent's hub, not asyncio, runs here"},
	{"eventlet/hubs/hub.py", "run", "other-loop", "eventlet's hub, not asyncio, runs here"},
	{"trio/_core/_run.py", "run", "other-loop", "trio, not asyncio, runs here"},
	{"trio/_core/_run.py", "unrolled_run", "other-loop", "trio, not asyncio, runs here"},
	{"curio/kernel.py", "run", "other-loop", "curio, not asyncio, runs here"},
	{"twisted/internet/base.py", "mainLoop", "other-loop",
	 "a Twisted reactor, not asyncio, runs here"},
	{"tornado/ioloop.py", "start", "other-loop", "Tornado's own loop runs here"},
	{"importlib._bootstrap>", "_find_and_load", "starting",
	 "the program is still importing: its loop has not started"},
	{"importlib/_bootstrap.py", "_find_and_load", "starting",
	 "the program is still importing: its loop has not started"},
	{"/threading.py", "_shutdown", "finished",
	 "the main program has ended: the process waits for its threads"},
};

static const char *advice_of(const char *kind)
{
	if (!strcmp(kind, "starting"))
		return "look again when it has started; the last frame below is where it is";
	if (!strcmp(kind, "finished"))
		return "no loop will run in it any more: see which threads keep it alive";
	if (!strcmp(kind, "other-loop"))
		return "stallscope knows the loops of asyncio; the stack below shows where the "
		       "main thread is";
	return "it cannot be held as a loop can; look at its children, if they have loops, and at "
	       "the stack below";
}

static int what_runs(const struct snapshot *s, const struct snap_thread *thread)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (find_frame(s, &thread->stack, others[i].file, others[i].function) != SNAP_NONE)
			return (int)i;
	return -1;
}

bool no_loop(const struct facts *f)
{
	return f->snap->n_loops == 0;
}

/* Tasks were made and are gone, and nothing runs a loop: asyncio.run() has returned. */
static bool ran_before(const struct snapshot *s)
{
	return s->asyncio_loaded && s->tasks_made > 0 && !s->tasks_found;
}

static bool inherited(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_threads; i++)
		if (s->threads[i].inherited_loop)
			return true;
	return false;
}

static size_t stacks_unread(const struct snapshot *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_threads; i++)
		n += s->threads[i].stack_failed;
	return n;
}

void explain_no_loop(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	size_t unread = stacks_unread(s);
	enum confidence confidence =
		unread || s->threads_cut ? CONFIDENCE_MEDIUM : CONFIDENCE_CERTAIN;
	int other = -1;

	set_verdict(v, VERDICT_NO_LOOP, confidence, "");
	v->title = "no asyncio event loop runs in any thread";
	v->advice = "a child process may be the one with the loop, or the program has not started "
		    "it; the stack below shows what the main thread does instead";
	for (size_t i = 0; i < s->n_threads && other < 0; i++)
		if (s->threads[i].is_python)
			other = what_runs(s, &s->threads[i]);
	if (other >= 0) {
		set_verdict(v, VERDICT_NO_LOOP, confidence, others[other].kind);
		v->title = others[other].title;
		v->advice = advice_of(others[other].kind);
		add_evidence(v, "frames", "%s() of %s", others[other].function, others[other].file);
	} else if (inherited(s)) {
		v->title = "forked out of a running loop, and without one of its own";
		add_evidence(v, "frames", "a _run_once frame, and no running loop in its thread");
	} else if (ran_before(s)) {
		set_verdict(v, VERDICT_NO_LOOP, confidence, "finished");
		v->title = "the event loop has ended";
		v->advice = advice_of("finished");
		add_evidence(v, "asyncio.tasks", "%lld %s made, none is left",
			     (long long)s->tasks_made,
			     PLURAL(s->tasks_made, "task was", "tasks were"));
	}
	add_evidence(v, "sys.modules", "asyncio is %simported", s->asyncio_loaded ? "" : "not ");
	add_evidence(v, "thread states", "%zu %s, none runs a loop", s->n_threads,
		     PLURAL(s->n_threads, "thread", "threads"));
	if (unread)
		add_evidence(v, "frames", "the stacks of %zu of %zu %s could not be read", unread,
			     s->n_threads, PLURAL(s->n_threads, "thread", "threads"));
	if (s->threads_cut)
		add_evidence(v, "thread states", "there are more than are read");
}
