/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the words of a verdict mean, how they are known and what to do about it: the one table
 * behind `explain`, the manual page and whoever else tells it. A unit test demands that no verdict,
 * kind, flag or category is left out.
 */
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/diagnose.h"

static const struct explanation table[] = {
	{EXPLAIN_VERDICT, "STALLED", "", "one callback has held the loop for too long",
	 "One callback, or one step of a task, has held the event loop for longer than the "
	 "threshold (100 ms by default). Until it returns no other task of this loop runs, no "
	 "timer fires and no socket is read. The kind says in what: blocked.* waits, cpu.* "
	 "computes.",
	 "The frame of the loop has the time at which select returned and the index of the "
	 "callback that runs. Looks some milliseconds apart show the same callback; the state of "
	 "the thread and its time on the CPU tell waiting from computing.",
	 "Look at the frame marked as yours: that line holds the loop. Replace the call by an "
	 "async one, or move it off the loop with asyncio.to_thread() or a process pool.",
	 "*"},
	{EXPLAIN_KIND, "STALLED", "blocked", "it waits in a synchronous call",
	 "The callback that holds the loop does not compute: its thread sleeps in the kernel, in "
	 "a synchronous call. The word behind blocked. is the category of what it waits for; "
	 "blocked.unknown when neither the catalogue nor the system call tells.",
	 "The thread of the loop is asleep (state S or D) or used less than half of a CPU over "
	 "the looks, with the same callback each time. Its system call and descriptor, and the "
	 "outermost frame that the catalogue of blocking calls knows, name what it waits for.",
	 "Await the async variant of the call; where there is none, await asyncio.to_thread(...) "
	 "around it. Give each wait a timeout: it bounds how long the loop can be held.",
	 "*"},
	{EXPLAIN_KIND, "STALLED", "cpu", "it computes",
	 "The callback that holds the loop computes. The word behind cpu. is the category of "
	 "what it does; cpu.python when the catalogue does not know the functions on the stack.",
	 "The thread of the loop used at least half of a CPU over the looks (schedstat), with "
	 "the same callback each time. The catalogue of calls names what it does by the frames "
	 "of its stack.",
	 "Do less of it at once, or move it to a process pool. A thread helps only where the "
	 "call releases the GIL (hashing, compression, numpy); the advice of the row says so.",
	 "cpu"},
	{EXPLAIN_KIND, "STALLED", "debugger", "it is stopped at a prompt or breakpoint",
	 "A debugger holds the thread of the loop: pdb at its prompt, or an IDE at a breakpoint.",
	 "A frame of pdb, bdb or pydevd is on the stack of the thread of the loop.",
	 "Continue at the prompt or in the IDE, and remove the breakpoint() that was left in.",
	 "debugger"},
	{EXPLAIN_KIND, "STALLED", "nested", "it runs another loop inside this one",
	 "A callback of this loop runs a second event loop: nest_asyncio, or a synchronous "
	 "client with a selector of its own. It looks idle, since it sits in epoll_wait, but the "
	 "callback that started it has not returned.",
	 "A second _run_once, of another loop, stands on the stack below a callback of this "
	 "loop.",
	 "Make the caller async and await it instead of running a loop inside; use the async "
	 "API of the client.",
	 "loop.nested"},
	{EXPLAIN_KIND, "STALLED", "gc", "it collects garbage",
	 "The garbage collector of the interpreter runs, and takes long because it has many "
	 "live objects to walk. The line of code where it happens to start is innocent.",
	 "The interpreter says in at least four of five looks that it is collecting, and its "
	 "thread is on the CPU.",
	 "gc.freeze() after warm-up takes long-lived objects out of it; look for a leak of "
	 "objects; or gc.disable() and collect at quiet times.",
	 "cpu.gc"},

	{EXPLAIN_VERDICT, "DEADLOCK", "", "the loop waits for what only it could do",
	 "The thread of the loop waits for something that cannot happen before the loop runs "
	 "again. It will not resolve by itself; a timeout of result() only ends it with an "
	 "error.",
	 "Both sides are read: what the thread of the loop waits for, and that its completion "
	 "needs this very loop. Without that proof the verdict is STALLED.",
	 "Restart the process, then fix the side that is yours: never wait synchronously, in the "
	 "thread of a loop, for that loop.",
	 "future.wait lock.thread pool.wait"},
	{EXPLAIN_KIND, "DEADLOCK", "future", "Future.result() on the loop that completes it",
	 "Future.result() was called in the thread of the loop, and the callback that would "
	 "complete the future waits in the queue of this loop.",
	 "The newest frames are those of concurrent.futures, and what sets that future is a "
	 "task of this loop, or the callback that run_coroutine_threadsafe() left in its queue.",
	 "await asyncio.wrap_future(future), or await the coroutine directly; "
	 "run_coroutine_threadsafe(...).result() is for other threads only.",
	 "future.wait"},
	{EXPLAIN_KIND, "DEADLOCK", "threads", "a lock whose holder waits for this loop",
	 "The thread of the loop waits for a lock, a job or the end of a thread, and the thread "
	 "that has it, or is it, waits for this loop.",
	 "The other thread stands in run_coroutine_threadsafe(...).result() of this loop, "
	 "without a timeout; or a suspended task of this loop is inside the lock.",
	 "Do not take thread locks in coroutines that other threads hold while they call into "
	 "the loop; use asyncio.Lock, or release the lock before calling.",
	 "lock.thread queue.thread"},
	{EXPLAIN_KIND, "DEADLOCK", "pool", "a pool whose connections this loop's tasks hold",
	 "The thread of the loop waits for a connection of a synchronous pool, and every "
	 "connection that is out belongs to tasks of this loop, which cannot run.",
	 "The stack waits in the pool's queue, and the holders of its connections are tasks of "
	 "this loop that wait.",
	 "Use the async engine or client with its own pool; never check out from a synchronous "
	 "pool in a coroutine.",
	 "pool.wait"},

	{EXPLAIN_VERDICT, "STARVED", "", "the thread of the loop wants to run and may not",
	 "The loop has work and its thread could run, but does not get the GIL, a CPU or its "
	 "memory. That is the greater cause, whatever its own callbacks cost.",
	 "The thread is runnable or waits for the GIL in most looks, and yet gets little time "
	 "on a CPU: schedstat counts both its time on a CPU and its time in the run queue.",
	 "Find who takes it away: another thread of this process (gil), the limit of the "
	 "container (cpu.throttled), other processes (cpu.host), the hypervisor (cpu.steal), or "
	 "the memory (mem).",
	 ""},
	{EXPLAIN_KIND, "STARVED", "gil", "another thread holds the GIL",
	 "The thread of the loop waits for the GIL. Either one thread holds it through a long "
	 "call that does not release it (a regular expression, json), or many threads that "
	 "compute take turns.",
	 "In at least half of the looks the thread sleeps on a futex inside _PyRuntime, or says "
	 "itself that it waits (3.15). The holder is named by the interpreter.",
	 "Move the work of the holder into a process; for C calls see whether they can work in "
	 "smaller pieces.",
	 ""},
	{EXPLAIN_KIND, "STARVED", "cpu.throttled", "the container used up its CPU quota",
	 "The CPU quota of the container is used up and the kernel stops all of its threads "
	 "until the next period, even while the host is idle.",
	 "The thread waits in the run queue, and in a fifth or more of the periods between the "
	 "looks its cgroup was throttled (cpu.stat).",
	 "Raise or remove the quota (limits.cpu), or have fewer threads that compute; fewer "
	 "workers for the same quota.",
	 ""},
	{EXPLAIN_KIND, "STARVED", "cpu.host", "other processes take the CPUs",
	 "The machine has more to run than CPUs, and the thread of the loop waits for its turn.",
	 "The thread waits in the run queue for more than 30 % of the time and runs for less "
	 "than 50 %, and no quota explains it.",
	 "Find the busy processes with top; move them, give this one a higher weight "
	 "(cpu.weight, nice), or add CPUs.",
	 ""},
	{EXPLAIN_KIND, "STARVED", "cpu.steal", "the hypervisor takes the CPUs",
	 "The virtual machine does not get the CPUs it is shown: the host gives them to others.",
	 "The thread waits to run, and more than 10 % of the CPU time of the machine was stolen "
	 "(/proc/stat).",
	 "Move to a less crowded host or another type of instance; look for used-up CPU credits.",
	 ""},
	{EXPLAIN_KIND, "STARVED", "mem", "its memory has to be read back from disk",
	 "The pages that the thread needs are not in memory: the machine or the container swaps, "
	 "or throws out program text to read it again.",
	 "The loop is late, its thread is in state D or waits for a page, and there are more "
	 "than 50 major faults per second; or all tasks stood for memory for 10 % of the time "
	 "(pressure).",
	 "Raise the memory limit, have fewer workers, find what grew; turn swap off for the "
	 "container.",
	 ""},

	{EXPLAIN_VERDICT, "OVERLOADED", "", "each callback is short, there are too many",
	 "No single callback holds the loop for long, but so many are ready that a turn of the "
	 "loop takes longer than the threshold, or that thousands are ready in every turn and "
	 "the loop never waits. Everything is late alike.",
	 "The index of the callback moves between looks while the batch is large; from both "
	 "come the cost of one callback and the length of a turn.",
	 "Bound how many tasks exist at once (Semaphore, TaskGroup over chunks, a queue with "
	 "maxsize); add workers when each task is needed.",
	 ""},
	{EXPLAIN_KIND, "OVERLOADED", "fanout", "one coroutine makes up most of them",
	 "Most of the ready callbacks are steps of one coroutine: it was started too many times "
	 "at once.",
	 "More than half of the queue of ready callbacks belongs to one coroutine.",
	 "Start them through a Semaphore or in chunks: gather() over a whole list starts all of "
	 "it.",
	 ""},
	{EXPLAIN_KIND, "OVERLOADED", "retry", "they are attempts made again",
	 "Attempts that failed are made again faster than they are worked off.",
	 "More than half of the ready tasks, or of all, have a frame of a retry helper.",
	 "Back off exponentially with jitter, bound the number of attempts, and stop asking a "
	 "dependency that is down (circuit breaker).",
	 "sleep.retry"},
	{EXPLAIN_KIND, "OVERLOADED", "timers", "timers that are due at once",
	 "A large number of timers is due at the same time.",
	 "More than a thousand timers of the loop are overdue.",
	 "Use one periodic task for many objects instead of a timer for each; spread them with "
	 "jitter.",
	 ""},
	{EXPLAIN_KIND, "OVERLOADED", "spin", "tasks that yield and come right back",
	 "Tasks wait in a loop with sleep(0), so they are always ready and always run.",
	 "The tasks of the ready queue stand in sleep(0), a bare yield.",
	 "Wait for an event, a condition or a queue instead of asking again and again.", ""},
	{EXPLAIN_KIND, "OVERLOADED", "mixed", "of many sorts",
	 "Many callbacks of different coroutines are ready; no single one stands out.",
	 "The batch is large and moves, and no coroutine has more than half of it.",
	 "The loop has more work than one CPU can do: add processes, or take work out of the "
	 "coroutines that cost most.",
	 ""},

	{EXPLAIN_VERDICT, "CHOPPY", "", "the loop was held again and again, but not now",
	 "The loop runs at the moment, but during the looks it was held for longer than the "
	 "threshold more than once. This is what most slow services look like.",
	 "At least two turns of the loop, told apart by the time at which select returned, took "
	 "longer than the threshold.",
	 "Look longer (--for 10s) until a look meets a hold, or let stallscope watch meet them "
	 "all: it tells who held the loop how often, also of holds that stay below the "
	 "threshold. The holders are the same as for STALLED, only shorter.",
	 "*"},
	{EXPLAIN_VERDICT, "BUSY", "", "on time, but close to its limit",
	 "The loop has hardly any time left: its thread runs nearly always. A turn that was "
	 "late is told with it.",
	 "The thread ran or wanted to for 90 % of the time, or nine of ten looks or more found "
	 "it outside select; no single callback, and no two long holds, explain it.",
	 "Add workers before the load grows; see which coroutines cost most.", ""},
	{EXPLAIN_VERDICT, "WAITING", "", "the loop is fine, its tasks pile up behind something",
	 "The loop is on time. Most of its tasks wait for the same thing: a pool, a lock, an "
	 "executor, a queue or a dependency. The kind is the category of that wait.",
	 "Half or more of at least 50 tasks wait at one place, which the catalogue names. Ten "
	 "are enough where they queue for a pool, a lock, a semaphore, a full queue or an "
	 "executor.",
	 "Look at who holds the resource, not at the loop: its holders are among the tasks. "
	 "Timeouts bound the wait, limits bound the pile.",
	 "wait"},
	{EXPLAIN_KIND, "WAITING", "wait", "the category of that wait",
	 "The loop is on time, and most of its tasks wait at one place. The word behind wait. is "
	 "the category of what they wait for.",
	 "The await chains of the tasks are read and folded by where they end; the catalogue "
	 "names that place.",
	 "The row of the catalogue says what to do about this resource; look at the tasks that "
	 "hold it.",
	 "wait"},
	{EXPLAIN_KIND, "WAITING", "wait.deadlock", "tasks wait for a lock of each other",
	 "The loop is on time, and some of its tasks will never go on: each waits for an "
	 "asyncio.Lock that the next one has, the last for that of the first; or one waits for "
	 "its own.",
	 "Each of them is inside of the async with of its lock and waits for the next lock, all "
	 "while the loop slept, and no timeout around any of them was found. Where one of that "
	 "is not certain it is evidence of another verdict: likely.",
	 "Cancel one of them, or restart. Take locks in one order everywhere, or under "
	 "asyncio.timeout(); an asyncio.Lock is not re-entrant.",
	 ""},
	{EXPLAIN_VERDICT, "HEALTHY", "", "the loop is on time: look elsewhere",
	 "The loop is on time: it returns to select in less than the threshold, and no timer is "
	 "late. Slowness comes from somewhere else.",
	 "The looks find the loop in select, or in turns that are younger than the threshold. "
	 "One hold that was longer is told, with certainty medium.",
	 "Look at what tasks wait for (the table of groups), at the peers, and at other "
	 "processes of the service. It says nothing of the time before the looks: stallscope "
	 "watch waits for stalls that come and go.",
	 ""},
	{EXPLAIN_VERDICT, "STOPPED", "", "the process is stopped by a signal",
	 "The process got SIGSTOP or SIGTSTP, and no thread of it runs.",
	 "The kernel shows its main thread in state T.",
	 "kill -CONT, and find who stopped it: a shell (Ctrl-Z), a supervisor, a debugger that "
	 "went away.",
	 ""},
	{EXPLAIN_VERDICT, "FROZEN", "", "the container is frozen (paused)",
	 "The cgroup of the process is frozen: the container was paused. No thread of it runs, "
	 "though the kernel shows them as sleeping.",
	 "cgroup.events of a cgroup above the process says frozen 1 (v2), or its freezer is in "
	 "state FROZEN (v1).",
	 "docker unpause, or write 0 to cgroup.freeze; find who paused it: a checkpoint or a "
	 "backup may be at work.",
	 ""},
	{EXPLAIN_VERDICT, "TRACED", "", "a debugger has stopped the process",
	 "Another process traces this one and has stopped it.",
	 "The kernel shows the thread in state t, and TracerPid names the tracer.",
	 "Continue or detach the debugger; stallscope itself never stops a process to look at "
	 "it.",
	 ""},
	{EXPLAIN_VERDICT, "NO-LOOP", "", "no event loop runs in this process",
	 "It is a Python process, but no thread of it runs an asyncio loop. The kind says what "
	 "it does instead, where that can be told.",
	 "The interpreter has no running loop in any of its threads; the stack of the main "
	 "thread is shown.",
	 "Perhaps it is the parent of the workers: look at its children, or at all processes of "
	 "the service.",
	 ""},
	{EXPLAIN_KIND, "NO-LOOP", "sync-server", "it is a synchronous server",
	 "The process serves requests without asyncio: a synchronous worker of gunicorn or "
	 "uwsgi, or their master.",
	 "Frames of such a server are on the stack of the main thread.",
	 "Look at the worker that serves the requests, or run the service with an async worker.",
	 ""},
	{EXPLAIN_KIND, "NO-LOOP", "starting", "it is still importing",
	 "The process is still starting up: it imports modules.",
	 "Frames of the import system are on the stack of the main thread.",
	 "Look again later; when it stays so, the stack shows which module takes long.", "import"},
	{EXPLAIN_KIND, "NO-LOOP", "finished", "it is shutting down",
	 "The loop has ended and the process is shutting down.",
	 "Tasks were made and none is left, or the main thread joins the others at its end.",
	 "When it stays so, a thread that is not a daemon keeps it: the stacks show which.", ""},
	{EXPLAIN_KIND, "NO-LOOP", "other-loop", "it runs another kind of loop",
	 "The process runs an event loop that is not asyncio's: gevent, trio, Twisted or an old "
	 "Tornado.",
	 "Frames of such a loop are on the stack.",
	 "stallscope reads asyncio and uvloop; the stack of the thread is shown all the same.", ""},
	{EXPLAIN_VERDICT, "UNSURE", "", "no consistent picture could be had",
	 "What was read does not fit together, or the process changed faster than it could be "
	 "read. Nothing is guessed; the facts are shown.",
	 "Checks of the data failed in each of several tries, or a fact that the rules need is "
	 "not there.",
	 "Look again; when it stays so, stallscope doctor PID tells what cannot be read.", ""},

	{EXPLAIN_FLAG, "GROWING", "", "the number of tasks grows",
	 "Tasks are created faster than they end.",
	 "Between the first and the last look their number rose by more than it would by chance.",
	 "Find the coroutine that grows in the table of groups, and bound how many of it may "
	 "exist.",
	 ""},
	{EXPLAIN_FLAG, "UNOWNED", "", "tasks that nobody awaits",
	 "Tasks were started and nobody waits for them: their errors are lost, and nothing "
	 "bounds their number.",
	 "No task waits for them, and no callback is registered with them.",
	 "Keep them in a TaskGroup, or keep a reference and await them.", ""},
	{EXPLAIN_FLAG, "EXEC-FULL", "", "the default executor has no free thread",
	 "All threads of the default executor are busy and work is queued: to_thread(), "
	 "run_in_executor() and name resolution wait.",
	 "Its queue is not empty, it has all the threads that it may have, and none is idle.",
	 "Look at what its threads do; use an executor of its own for slow work; set timeouts.",
	 "wait.executor wait.dns"},
	{EXPLAIN_FLAG, "DEBUG-MODE", "", "the loop is in debug mode",
	 "loop.set_debug(True), PYTHONASYNCIODEBUG or -X dev is on: each callback and task costs "
	 "much more.",
	 "The loop says so.", "Turn it off in production.", ""},
	{EXPLAIN_FLAG, "MULTI-LOOP", "", "several loops run in this process",
	 "More than one thread runs an event loop. Each has a verdict of its own, the worst one "
	 "names the process.",
	 "More than one thread has a running loop.",
	 "Nothing by itself; see that no loop waits for another one.", ""},
	{EXPLAIN_FLAG, "FD-LIMIT", "", "nearly all file descriptors are in use",
	 "The process is about to run out of file descriptors: then accept() and open() fail.",
	 "More than 90 % of its RLIMIT_NOFILE are open.",
	 "Close what is not used (sessions, responses, files), then raise the limit.", ""},
	{EXPLAIN_FLAG, "ORPHAN", "", "tasks that nothing can wake up",
	 "A task waits for a future that nothing can complete any more: a lost wake-up, or a "
	 "callback that was thrown away.",
	 "Every reference to the future is its waiters' own; or the lock is free, and who waits "
	 "for it was not told.",
	 "Look at the code that was to complete it: set the result in a finally, wait under a "
	 "timeout.",
	 ""},
	{EXPLAIN_FLAG, "NESTED", "", "the loop runs inside one of its own callbacks",
	 "nest_asyncio, or a patch like it, runs the loop again inside a callback: the loop turns, "
	 "but the task of that callback waits, and those that nest deeper hold it up.",
	 "The stack has a second _run_once of the same loop.",
	 "Await the coroutine instead of running the loop for it.", ""},
};

const struct explanation *explanations(size_t *n)
{
	*n = ARRAY_SIZE(table);
	return table;
}

/* True when word is group, or one of its members: "io" has "io.db". */
static bool is_in(const char *word, const char *group, size_t len)
{
	return !strncmp(word, group, len) && (!word[len] || word[len] == '.');
}

const struct explanation *explanation_of(const char *word, const char *kind)
{
	const struct explanation *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		size_t len = strlen(table[i].kind);

		if (strcmp(table[i].word, word) != 0 || (len && !is_in(kind, table[i].kind, len)))
			continue;
		if (!best || len > longest) {
			best = &table[i];
			longest = len;
		}
	}
	return best;
}

/* Those that have kinds of their own are not blocked.*. */
static bool blocks(const char *category)
{
	static const char *const others[] = {"cpu", "wait", "debugger", "loop.nested"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (is_in(category, others[i], strlen(others[i])))
			return false;
	return true;
}

bool explanation_covers(const struct explanation *e, const char *category)
{
	for (const char *p = e->rows; *p;) {
		size_t len = strcspn(p, " ");

		if (*p == '*')
			return e->what == EXPLAIN_VERDICT ? !is_in(category, "wait", 4)
							  : blocks(category);
		if (is_in(category, p, len))
			return true;
		p += len + (p[len] == ' ');
	}
	return false;
}

const struct explanation *explanation_of_category(const char *category)
{
	const struct explanation *blocked = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct explanation *e = &table[i];

		if (e->what != EXPLAIN_KIND ||
		    (strcmp(e->word, "STALLED") != 0 && strcmp(e->word, "WAITING") != 0))
			continue;
		if (*e->rows == '*')
			blocked = e;
		/* cpu.gc stands behind cpu, and is more to the point */
		else if (explanation_covers(e, category) && strcmp(category, "cpu.gc") != 0)
			return e;
		else if (!strcmp(e->rows, category))
			return e;
	}
	return blocked;
}
