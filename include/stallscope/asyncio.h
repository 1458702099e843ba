/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asyncio.h - event loops, their tasks, and what those await
 *
 * The key of the whole program is aio_run: the locals of BaseEventLoop._run_once
 * stay in its frame while callbacks run, so one read of `end_time` tells for how
 * long the loop has not been back in select (asyncio/base_events.py, 3.8 to 3.15).
 *
 * Times of asyncio are seconds of CLOCK_MONOTONIC as double, as the loop keeps them.
 */
#ifndef STALLSCOPE_ASYNCIO_H
#define STALLSCOPE_ASYNCIO_H

#include <math.h>

#include "stallscope/python.h"

#define AIO_NS_MAX (INT64_MAX / 4) /* of times in ns: two of them can be added and subtracted */

/* Seconds, which the target may have forged, as ns: never more than AIO_NS_MAX, nan is 0. */
static inline int64_t aio_ns(double seconds)
{
	double ns = seconds * 1e9;

	if (isnan(ns))
		return 0;
	if (fabs(ns) >= (double)AIO_NS_MAX)
		return ns < 0 ? -AIO_NS_MAX : AIO_NS_MAX;
	return (int64_t)llround(ns);
}

/* ---- one iteration of a loop ------------------------------------------------------------ */

/* The locals of a _run_once frame. Unbound variables have have_* false. */
struct aio_run {
	uint64_t frame, loop;
	struct py_frame where;		 /* that frame, to be read again */
	bool have_timeout, timeout_none; /* None: wait for ever */
	double timeout;
	bool have_end_time; /* bound: select has returned */
	double end_time;
	bool have_batch;      /* ntodo bound: callbacks run */
	int64_t ntodo, index; /* callbacks of this turn, the one that runs (from 0) */
	bool have_index;      /* read, not merely taken to be 0 */
	uint64_t handle;      /* the Handle that runs, 0 unknown */
	bool have_start;      /* debug mode: start of the present callback */
	bool start_confirmed; /* ... and for certain not of the one before it */
	double start;
};

/* True when the frame is BaseEventLoop._run_once of asyncio. */
bool aio_is_run_once(const struct python *py, const struct py_frame *frame);
bool aio_run_read(struct python *py, const struct py_frame *frame, struct aio_run *ret);

/* inner: the frame that _run_once called. */
void aio_run_confirm_start(struct python *py, const struct py_frame *inner, struct aio_run *run);

/* Reads timeout again: where the loop has turned since it is that of the present select. */
void aio_run_refresh(struct python *py, struct aio_run *run);

/* What a Handle calls: a short name, and the task if it is a task's step. */
struct aio_callback {
	char name[128];
	uint64_t task;
};
bool aio_callback_read(struct python *py, uint64_t handle, struct aio_callback *ret);

/*
 * Items of a deque, evenly from the front when there are more than max: addresses into out,
 * their number is the result. *total is the length of the deque.
 */
size_t aio_deque(struct python *py, uint64_t deque, uint64_t *out, size_t max, uint64_t *total);

/* What the callback of a handle is bound to, and its arguments: at most max objects. */
size_t aio_handle_objects(struct python *py, uint64_t handle, uint64_t *out, size_t max);

/*
 * Handles of a ready queue in one batch of reads, and the future that the callback of
 * run_coroutine_threadsafe() will chain to its task, 0 when the handle is none.
 */
void aio_handles_prefetch(struct python *py, const uint64_t *handles, size_t n);
uint64_t aio_threadsafe_future(struct python *py, uint64_t handle);

/* ---- loops --------------------------------------------------------------------------------- */

struct aio_loop {
	uint64_t address;
	const char *class_name; /* module.qualname */
	bool is_uvloop;
	bool debug, stopping;
	bool own_clock; /* it or its class has a time() of its own: its times are of no known clock
			 */
	int64_t ready;	/* callbacks waiting; -1 unknown (so are all below) */
	int64_t timers, timers_late, fds;
	double worst_late; /* seconds, 0 when none is late */
	bool have_next;
	double next_when;  /* loop time of the earliest timer */
	double first_when; /* of heap slot 0, cancelled or not; for time in select */
	bool have_executor;
	int64_t executor_max, executor_threads, executor_idle, executor_queued;
	uint64_t ready_queue; /* the deque, 0 unknown */
	uint64_t scheduled;   /* the list of timers, 0 unknown */
	uint64_t fd_keys;     /* the dict of what the selector watches, 0 unknown */
	uint64_t worst_timer; /* the handle that is worst_late, 0 none */
	int64_t timers_cancelled;
	bool have_uv_time; /* uvloop: when libuv last looked at the clock */
	double uv_time;
	int32_t uv_epoll; /* its descriptor, -1 unknown */
};

/* now: loop time to which lateness is measured. */
bool aio_loop_read(struct python *py, uint64_t loop, double now, struct aio_loop *ret);

/*
 * The first max handles of the timers, or of the descriptors that a loop watches, those of
 * reading and of writing. 0 when unknown.
 */
size_t aio_timer_handles(struct python *py, const struct aio_loop *loop, uint64_t *out, size_t max);
size_t aio_fd_handles(struct python *py, const struct aio_loop *loop, uint64_t *out, size_t max);

/* The part of aio_loop_read that only uvloop has (uvloop.c). */
bool aio_uvloop_read(struct python *py, uint64_t loop, double now, struct aio_loop *ret);

/* Address of what libuv last read of the clock, ms as u64; 0 when that is not known. */
uint64_t aio_uvloop_clock(struct python *py, uint64_t loop);

/* ---- tasks ---------------------------------------------------------------------------------- */

/* The modules of one interpreter that keep tasks. */
struct aio_modules {
	uint64_t all_tasks;	/* WeakSet: _all_tasks or _scheduled_tasks, 0 when absent */
	uint64_t eager_tasks;	/* set */
	uint64_t current_tasks; /* dict {loop: task} */
	uint64_t threads;	/* threading._active, dict {ident: Thread} */
	uint64_t counter;	/* of tasks made without a name, 0 unknown */
	bool loaded;		/* asyncio.tasks is imported */
};
bool aio_modules_read(struct python *py, const struct py_interpreter *interp,
		      struct aio_modules *ret);

/* The counter in the state of module _asyncio, 0 when it is not known where it is. */
uint64_t aio_counter(struct python *py, const struct py_interpreter *interp);

struct aio_task_list {
	uint64_t *v; /* addresses, a task of two lists twice; freed by the caller */
	size_t n;
	bool truncated; /* more than max, or a list that does not end */
};

/*
 * Adds the tasks of an interpreter to the list: WeakSet, eager set, C lists of the given
 * threads. The list may be partial when false is returned.
 */
bool aio_tasks(struct python *py, const struct py_interpreter *interp, uint32_t index,
	       const struct aio_modules *mods, const struct py_thread *threads, size_t n_threads,
	       size_t max, struct aio_task_list *list, struct error *err);

/*
 * Words that are written whenever a task is made or ends, or a callback is queued or taken: those
 * of sets, lists, the ready queue and the timers. While they are the same, so are the tasks, but
 * for the one that runs.
 */
struct aio_mark {
	uint64_t addr;
	size_t len;
};

#define AIO_MARKS 64u

/* At most AIO_MARKS into marks, their number is the result. */
size_t aio_tasks_marks(struct python *py, const struct py_interpreter *interp, uint32_t index,
		       const struct aio_modules *mods, const struct py_thread *threads,
		       size_t n_threads, struct aio_mark *marks);
size_t aio_loop_marks(struct python *py, const struct aio_loop *loop, struct aio_mark *marks);

/* Where the tasks of one thread can be counted cheaply; found once, read at each light look. */
struct aio_counters {
	uint64_t set;	  /* of the WeakSet; 0 where tasks are in a list */
	uint64_t list;	  /* head of the thread's list (3.14+), 0 none */
	uint64_t counter; /* 0: the newest task's number is taken (3.14+) */
};

#define AIO_COUNT_MAX 4096u /* tasks of a list that are counted */

void aio_counters_find(struct python *py, const struct aio_modules *mods, uint64_t tstate,
		       struct aio_counters *ret);

/* Tasks alive, and tasks made without a name so far; -1 unknown. */
void aio_counters_read(struct python *py, const struct aio_counters *at, int64_t *alive,
		       int64_t *made);

enum aio_future_state { AIO_PENDING, AIO_CANCELLED, AIO_FINISHED };

struct aio_task {
	uint64_t address, loop, coro, waiter; /* waiter: _fut_waiter, 0 when none */
	uint64_t name;			      /* str, or (3.12+) int until somebody asked for it */
	enum aio_future_state state;
	bool must_cancel;
	int64_t cancels; /* cancelling() */
};
bool aio_task_read(struct python *py, uint64_t task, struct aio_task *ret);
bool aio_task_name(struct python *py, const struct aio_task *task, struct strbuf *out);

/* State of a future that something waits for; AIO_PENDING when it cannot be told. */
enum aio_future_state aio_future_state(struct python *py, uint64_t future);

/* ---- who is told when a future is done --------------------------------------------------- */

enum aio_done_kind {
	AIO_DONE_OTHER,	   /* a callback of somebody's */
	AIO_DONE_TASK,	   /* a task awaits it: object */
	AIO_DONE_FUTURE,   /* gather, shield, wait, wait_for: object is the future they wait for */
	AIO_DONE_GROUP,	   /* a TaskGroup: object is the task that has it, 0 unknown */
	AIO_DONE_QUEUE,	   /* as_completed: object is the queue that is read */
	AIO_DONE_RUNNER,   /* run_until_complete */
	AIO_DONE_EXECUTOR, /* wrap_future: object is the concurrent.futures.Future that sets it */
	AIO_DONE_CHAINED,  /* run_coroutine_threadsafe: object is the Future that gets its result */
	AIO_DONE_SHIELD,   /* nobody: it is the future that shield() gave */
	AIO_DONE_NOBODY,   /* for the books only */
};

#define AIO_DONES 16u

struct aio_dones {
	struct aio_done {
		enum aio_done_kind kind;
		uint64_t object;
		uint64_t callback;
	} v[AIO_DONES];
	size_t n;
	bool truncated;
};

/* The callbacks of a future or task. False: not a future, or unreadable. */
bool aio_dones(struct python *py, uint64_t future, struct aio_dones *ret);

/* One batch of reads for aio_dones() of futures that were read already. */
void aio_dones_prefetch(struct python *py, const uint64_t *futures, size_t n);

/*
 * The same of a future that a task awaits. It has no callback but that task's when no more is
 * read of it: most futures need one word only.
 */
bool aio_dones_awaited(struct python *py, uint64_t future, struct aio_dones *ret);

/* True when one of the callbacks is of that kind. */
bool aio_dones_have(const struct aio_dones *dones, enum aio_done_kind kind);

/* Appends what a callback is: the qualified name of a function, else the name of its type. */
bool aio_callback_name(struct python *py, uint64_t callback, struct strbuf *out);

/* 3.14+: the tasks that await a task, by its own books; false when it has none. */
bool aio_awaited_by(struct python *py, uint64_t task, uint64_t *out, size_t max, size_t *n);

/* The task that runs on a loop now, from the dict (before 3.14); 0 when none. */
uint64_t aio_current_task(struct python *py, const struct aio_modules *mods, uint64_t loop);

/* The name that threading gave the thread with this ident; false when none. */
bool aio_thread_name(struct python *py, const struct aio_modules *mods, uint64_t ident,
		     struct strbuf *out);

/* ---- await chains --------------------------------------------------------------------------- */

enum aio_link_kind { AIO_LINK_FRAME, AIO_LINK_CYTHON, AIO_LINK_FUTURE, AIO_LINK_OPAQUE };

struct aio_link {
	enum aio_link_kind kind;
	uint64_t address;      /* of the generator, future or object */
	struct py_frame frame; /* AIO_LINK_FRAME */
	uint64_t qualname;     /* str, AIO_LINK_FRAME and AIO_LINK_CYTHON */
	uint64_t cython_code;  /* AIO_LINK_CYTHON: code object with name and file, 0 none */
	bool running;
};

/*
 * One step: what an object in a chain is, and in *next what it awaits, 0 at the end. False: it is
 * no link by itself but leads to *next, or could not be read.
 */
bool aio_link_read(struct python *py, uint64_t object, struct aio_link *link, uint64_t *next);

#define AIO_MAX_LINKS 250u /* of one chain */

/*
 * What each of n coroutines awaits, outermost first. The last link is the future at the end when
 * there is one. All chains are read together, level by level, with few system calls.
 */
struct aio_chains {
	struct aio_link *links; /* those of one chain follow each other */
	struct aio_chain {
		size_t first;
		uint32_t n;
		bool truncated; /* longer than AIO_MAX_LINKS, or a ring */
		bool torn;	/* it ended at something that could not be read */
	} * v;			/* n of them */
};
void aio_chains_read(struct python *py, const uint64_t *coros, size_t n, struct aio_chains *ret);
void aio_chains_free(struct aio_chains *chains);

/* When the sleep that this frame is in ends, in loop time, and how long it is. */
struct aio_timer {
	bool have_when, have_delay;
	double when, delay;
	uint64_t future; /* that the timer sets */
	bool verified;	 /* all of it is of one sleep, also where the loop turns */
};

/* again: all of it is read anew until it is verified, in some seven system calls. */
bool aio_timer_read(struct python *py, const struct py_frame *frame, bool again,
		    struct aio_timer *ret);

/* ---- what tasks wait on ------------------------------------------------------------------ */

enum aio_wait_kind {
	AIO_WAIT_UNKNOWN, /* no asyncio frame, or one that is not in this list */
	AIO_WAIT_SYNC,	  /* a primitive: Lock, Event, Condition, Semaphore, Barrier, Queue */
	AIO_WAIT_STREAM,  /* StreamReader, StreamWriter and their protocols */
	AIO_WAIT_TIMER,	  /* sleep */
	AIO_WAIT_TASKS,	  /* wait, wait_for, as_completed, a TaskGroup */
	AIO_WAIT_SOCKET,  /* loop.sock_recv and its like, create_connection */
	AIO_WAIT_PROCESS, /* a subprocess */
};

struct aio_wait {
	enum aio_wait_kind kind;
	bool in_asyncio; /* the innermost frame is asyncio's own; else there is nothing below */
	/*
	 * The primitive or stream, 0 none: the one that the program has, a Queue, not the Event
	 * inside of it.
	 */
	uint64_t resource;
	const char *name; /* what a program calls it, a literal; NULL: as link is called */
	size_t link;
};

/* What the innermost frames of a chain wait on. */
void aio_wait_read(struct python *py, const struct aio_link *links, size_t n, struct aio_wait *ret);

/*
 * Appends what the task waits in, as a program calls it ("asyncio.sleep", "Queue.get"); false when
 * that is not asyncio's. The same name, or the same code of the link, gives the same text.
 */
bool aio_wait_name(struct python *py, const struct aio_link *links, const struct aio_wait *wait,
		   struct strbuf *out);

/*
 * The earliest loop time at which a timeout around the wait ends it: of asyncio.timeout, wait_for,
 * wait, async_timeout, or a scope of anyio. without: places that were found to have none, kept by
 * the caller.
 */
bool aio_wait_timeout(struct python *py, const struct aio_link *links, size_t n,
		      struct addrmap *without, double *when);

/* The state of a primitive; numbers are -1 where the class has none or it cannot be read. */
struct aio_resource {
	uint64_t address;
	const char *type;	    /* its class */
	bool is_lock, is_semaphore; /* of the kinds that tasks have for a while */
	int64_t locked, value, size, maxsize;
	int64_t waiting; /* futures in its deques */
	int64_t woken;	 /* of these, those that are done: their task is on its way */
	bool lost;	 /* free, and nobody woken: its waiters were forgotten */
};
bool aio_resource_read(struct python *py, uint64_t address, struct aio_resource *ret);

/* ---- blocked threads ----------------------------------------------------------------------- */

/* What a thread sleeps for, by the innermost frames of its stack. */
struct aio_block {
	uint64_t future; /* concurrent.futures.Future, not finished; 0 when it joins a thread */
	uint64_t ident;	 /* of that thread */
	bool forever;	 /* without a timeout */
};
bool aio_block_read(struct python *py, const struct py_frame *frames, size_t n,
		    struct aio_block *ret);

/* The Future of the job that a worker of a ThreadPoolExecutor runs in this frame; 0 none. */
uint64_t aio_work_item(struct python *py, const struct py_frame *frame);

/* A pool of SQLAlchemy that a thread waits for. */
struct aio_pool {
	uint64_t address;
	int64_t checked_out, limit; /* limit -1: none */
};
bool aio_pool_read(struct python *py, const struct py_frame *frames, size_t n,
		   struct aio_pool *ret);

#endif
