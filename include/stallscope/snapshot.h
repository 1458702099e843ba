/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot.h - one picture of a process, as a value
 *
 * A snapshot is taken once and then only read: diagnosis and every renderer get
 * a const struct snapshot. It owns all its arrays and strings; objects refer to
 * each other by index, SNAP_NONE means "none". Every string is safe to print. Times are
 * ns of CLOCK_MONOTONIC in the target's time namespace.
 *
 * What could not be read is never passed over: each such thing is a problem, and
 * counts say "N of M".
 */
#ifndef STALLSCOPE_SNAPSHOT_H
#define STALLSCOPE_SNAPSHOT_H

#include "stallscope/asyncio.h"
#include "stallscope/snapshot_kernel.h"
#include "stallscope/snapshot_modules.h"
#include "stallscope/snapshot_native.h"
#include "stallscope/snapshot_wait.h"

#define SNAP_NONE UINT32_MAX

/* Bounds; each that is reached becomes a problem. */
#define SNAP_MAX_TASKS	   1000000u
#define SNAP_MAX_LOOPS	   1024u
#define SNAP_MAX_LOOKS	   4096u
#define SNAP_MAX_READY	   512u		       /* handles of a ready queue that are looked at */
#define SNAP_MAX_AWAITERS  16u		       /* of one task */
#define SNAP_MAX_HOLDERS   2000u	       /* tasks searched for connections of a pool */
#define SNAP_MAX_VERIFIED  64u		       /* sleeps that are read anew where the loop turned */
#define SNAP_MAX_RESOURCES 256u		       /* of which the state is read */
#define SNAP_MAX_VALUES	   (UINT32_C(4) << 20) /* bytes of variables as text */
#define SNAP_MAX_LINES	   4096u	       /* of source */

struct snap_code {
	uint64_t address;
	const char *function, *qualname;
	const char *file; /* "<cython>": compiled, it is not known where */
	bool own;	  /* the user's: not the standard library, not site-packages */
	bool async;	  /* coroutine or async generator */
	bool retry;	  /* of a helper that tries again: its name or module says so */
};

struct snap_frame {
	uint32_t code; /* index into codes */
	struct py_position at;
	int32_t instr;
	uint64_t address; /* 0: a coroutine that Cython compiled has no frame */
	uint32_t task;	  /* whose coroutine this is, in a thread's stack; SNAP_NONE */
	uint32_t detail;  /* 1 + index into details, 0 none */
};

struct snap_variable {
	const char *name, *value; /* at most PY_VALUE_COLUMNS columns of it */
};

/* What is known only of frames that it was asked of. */
struct snap_detail {
	struct snap_variable *variables;      /* that are bound, in the order of the code */
	uint32_t n_variables, variables_left; /* these, and how many more it has */
	bool have_variables;
	const char *source;	 /* its line, without what it is indented by; NULL none */
	bool source_newer;	 /* the file changed after the process began */
	uint32_t mark, mark_end; /* columns of source that are what runs; equal: not known */
	bool have_file;		 /* file is known: of one to blame */
	struct source_stat file;
};

/* A run of frames, innermost first. */
struct snap_stack {
	uint32_t first, n;
	bool truncated;
};

enum snap_task_state {
	SNAP_TASK_RUNNING,
	SNAP_TASK_READY,
	SNAP_TASK_PENDING,
	SNAP_TASK_CANCELLING
};

enum snap_wait {
	SNAP_WAIT_NOTHING,
	SNAP_WAIT_TASK,
	SNAP_WAIT_FUTURE,
	SNAP_WAIT_OTHER,
	SNAP_WAIT_EXECUTOR /* a future that a job of an executor or another thread will set */
};

/* What will end a wait. */
enum snap_waker {
	SNAP_WAKER_UNKNOWN,
	SNAP_WAKER_TIMER,
	SNAP_WAKER_FD,
	SNAP_WAKER_EXECUTOR,
	SNAP_WAKER_TASK,
	SNAP_WAKER_SYNC, /* whoever releases or fills the primitive */
	SNAP_WAKER_SUBPROCESS,
	SNAP_WAKER_NOBODY /* proven: ORPHAN */
};

/* Who is told when a task is done. */
enum snap_owner {
	SNAP_OWNER_UNKNOWN,
	SNAP_OWNER_NOBODY,   /* the task is unowned */
	SNAP_OWNER_GROUP,    /* a TaskGroup */
	SNAP_OWNER_TASK,     /* awaits it, by gather, wait and their like too */
	SNAP_OWNER_RUNNER,   /* run_until_complete */
	SNAP_OWNER_THREAD,   /* run_coroutine_threadsafe */
	SNAP_OWNER_CALLBACK, /* somebody's done callback, or a future that nobody awaits yet */
};

struct snap_task {
	uint64_t id;
	const char *name, *coroutine; /* qualname of the outermost coroutine */
	uint32_t loop;
	enum snap_task_state state;
	int64_t cancelling;
	struct snap_stack stack;
	enum snap_wait wait;
	uint64_t waits_for; /* address of the future or task, 0 */
	const char *what;   /* "asyncio.sleep", "Queue.get", "asyncio.gather", "SomeFuture"; NULL */
	bool have_left, have_timeout, have_callbacks;
	double left_s;			      /* until a sleep ends */
	double timeout_left_s;		      /* until a timeout around the wait ends it */
	uint32_t first_callback, n_callbacks; /* in callbacks: whom else waits_for will tell */
	bool have_age, age_is_lower;
	int64_t age_ns;	     /* since it waits; lower: at least that long */
	bool age_unverified; /* read while the loop may have turned: for snapshot_ages() */
	bool untimed;	     /* its memory is not of the moment of its timer's: no left_s */
	bool torn;	     /* changed while it was read: parts may be missing */
	bool under_retry;
	bool under_timeout; /* one around the wait ends it; it may be due already */
	enum snap_waker waker;
	uint32_t resource; /* index into resources of the primitive or stream, SNAP_NONE */
	enum snap_owner owner;
	uint32_t first_awaiter, n_awaiters; /* in awaiters */
	bool awaiters_cut;		    /* there are more, or may be */
};

/* A primitive or stream that tasks wait on. */
struct snap_resource {
	uint64_t address;
	const char *type; /* "Lock", "Queue"; NULL: not read */
	uint32_t loop;	  /* of the tasks that wait */
	uint32_t waiters; /* tasks */
	bool stream;
	int64_t locked, value, size, maxsize; /* -1: has none, or unknown */
	bool lost;	     /* free, but its waiters were not told: nobody will wake them */
	uint32_t holders[4]; /* tasks that likely have it, of a Lock or Semaphore */
	uint32_t n_holders;
	uint32_t holder; /* ... the one that is inside its `async with`, alone; SNAP_NONE */
};

/* The ready queue of a loop, sampled. */
struct snap_ready {
	bool have;
	uint32_t sampled;
	struct {
		const char *name; /* coroutine of the task, or callback */
		uint32_t count;
	} top[3]; /* the most frequent first */
	uint32_t n_top;
	uint32_t threadsafe_callbacks; /* of run_coroutine_threadsafe */
	uint32_t sleep0;	       /* tasks that gave way with sleep(0) */
	uint32_t under_retry;	       /* tasks with a frame of a retry helper */
};

/*
 * What the innermost Python frame of a thread calls in C. names: "module!qualname", most derived
 * first; none when it is not in C or could not be told.
 */
struct snap_call {
	const char *text;
	const char *names[PY_CALL_NAMES];
	uint32_t n_names;
	uint64_t self, callable; /* addresses, 0 none or unknown */
	bool implied;		 /* by an operator, a subscript, an iteration, a with */
};

/*
 * Whether a thread stood from when its variables were read to when they still were its variables:
 * then they are of one moment. Of one that ran each is of its own, and what it refers to may have
 * made room for something else by the time that was read.
 */
enum snap_stood { SNAP_STOOD_NOT_ASKED, SNAP_STOOD, SNAP_RAN, SNAP_STOOD_UNKNOWN };

struct snap_thread {
	struct os_thread os;
	const char *os_name, *name; /* comm; threading's name or NULL; both NULL: redacted */
	bool is_python;
	uint64_t tstate;
	uint32_t interpreter;	/* index, SNAP_NONE of a thread that is not Python's */
	int64_t interpreter_id; /* as the target counts them: 0 is the main one */
	bool holds_gil;
	bool waits_for_gil;	 /* sleeps on a futex inside _PyRuntime, or (3.15) says so */
	uint32_t loop;		 /* that runs in it, SNAP_NONE */
	uint32_t waits_for_loop; /* it sleeps until this loop has run a coroutine, SNAP_NONE */
	bool waits_forever;	 /* ... and no timeout ends that */
	bool inherited_loop;	 /* forked out of a running loop, whose frames are still here */
	struct snap_stack stack;
	bool stack_failed;
	enum snap_stood stood;
	bool have_call;
	struct snap_call call;
	struct snap_native native;
};

enum snap_phase { SNAP_NOT_RUNNING, SNAP_SELECT, SNAP_PROCESSING, SNAP_CALLBACKS, SNAP_UNKNOWN };

/* How the number of tasks changes, from two looks. Tasks that have a name are not counted as made.
 */
struct snap_growth {
	struct aio_counters at;
	uint64_t first_ns, last_ns;	 /* 0: not yet looked */
	int64_t tasks_first, tasks_last; /* alive; -1 unknown */
	int64_t made_first, made_last;	 /* so far; -1 unknown */
	bool have_created, have_growth;
	double created_per_s, growth_per_s;
};

/* A wait of the loop's thread, in a callback, that the loop itself would have to end. */
enum snap_deadlock_kind {
	SNAP_DEADLOCK_NONE,
	SNAP_DEADLOCK_OWN_FUTURE, /* Future.result() of a coroutine of this loop: certain */
	SNAP_DEADLOCK_THREADS,	  /* over other threads, which wait for each other */
	SNAP_DEADLOCK_POOL, /* all connections of a pool are with tasks of this loop: likely */
	SNAP_POOL_WAIT	    /* it waits for a connection; whose they are is not known */
};

struct snap_deadlock {
	enum snap_deadlock_kind kind;
	bool forever;	       /* no timeout ends it */
	uint64_t future;       /* that the loop's thread waits for, 0 none */
	uint32_t threads[8];   /* each waits for the next one, the last for the first: the loop's */
	uint32_t loops[8];     /* the loop that must run to end the wait of each, SNAP_NONE */
	const char *proofs[8]; /* why it must be that thread */
	uint32_t n_threads;
	uint64_t pool;			 /* of SQLAlchemy */
	int64_t checked_out, pool_limit; /* limit -1: none */
	uint32_t pool_holders;		 /* of these connections, with tasks of this loop */
};

struct snap_loop {
	uint32_t thread;
	enum snap_phase phase;
	struct aio_run run;
	bool have_run; /* a _run_once frame was found */
	struct aio_loop info;
	bool have_info;
	struct aio_callback callback;
	bool have_callback;
	uint32_t current_task; /* SNAP_NONE */
	bool starts_eagerly;   /* tasks may begin, and wait, inside of other callbacks */
	bool own_clock;	       /* times of the loop are not CLOCK_MONOTONIC's: none are known */
	bool have_held;
	int64_t held_ns;    /* since select returned */
	bool held_is_lower; /* uvloop: a callback may have refreshed the clock */
	bool have_select;
	int64_t select_ns;	  /* already in select */
	bool turned;		  /* between the reading of its frame and that of its heap */
	struct snap_wait_fd wait; /* the descriptor that tells most, of blocked.fds */
	struct snap_blocked blocked;
	uint32_t outer; /* a loop whose callback runs this one (nested), SNAP_NONE */
	bool nested;	/* runs inside one of its own callbacks: run is the innermost turn */
	uint32_t tasks, tasks_torn;
	uint32_t unowned, orphans; /* of its tasks: nobody awaits them; nothing will wake them */
	uint32_t owners_unknown;   /* tasks of which it cannot be told who awaits them */
	uint32_t under_retry;	   /* tasks with a frame of a retry helper */
	struct snap_ready ready;
	struct snap_growth growth;
	struct snap_deadlock deadlock;
	/* it slept in one select while its tasks were read, and who has locks: all of one moment */
	bool slept_through;	 /* asked when a lock has a holder */
	const char *worst_timer; /* callback of the timer that is most late, NULL */
};

/* What a light look sees of a loop; the series tells moving from standing still. */
struct snap_look {
	uint64_t clock_ns;
	uint64_t loop; /* address */
	int32_t tid;
	uint8_t found; /* a _run_once frame was found (or uvloop's clock read) */
	uint8_t in_callbacks;
	char state; /* of the thread, 0 unknown */
	int64_t index, ntodo;
	uint64_t handle;
	double end_time;
	uint64_t leaf_frame, leaf_code;
	int64_t leaf_instr;
	uint64_t on_cpu_ns, run_queue_ns; /* of the thread so far */
	uint8_t have_sched;
	uint8_t waits_for_gil;
	int64_t syscall; /* -2: running or unknown */
	uint64_t task;	 /* running task, 0 unknown */
	/* not in recordings of old: have_more */
	uint8_t have_more;
	uint8_t gc;	     /* the interpreter of the thread collects garbage */
	uint64_t majflt;     /* of the thread so far */
	uint64_t gil_holder; /* thread state, 0 none (or there is no GIL) */
	/* of its frames and where they call, but not of the place in the innermost; 0 unknown;
	   never in recordings */
	uint64_t stack;
};

struct snap_problem {
	const char *what, *where;
	uint32_t count;
};

enum snap_consistency { SNAP_CONSISTENT, SNAP_REPAIRED, SNAP_TORN };

/* A picture taken while the process stood, or why there is none. */
struct snap_freeze {
	bool asked;
	bool stopped;	     /* the picture is a copy of one instant, but for late_pages */
	uint32_t rounds;     /* stops for this picture, also those that failed */
	uint32_t threads;    /* that stood */
	uint64_t pages;	     /* of SOURCE_PAGE bytes, in the copy */
	uint64_t late_pages; /* read when the process ran again, as without a stop */
	const char *why;     /* why not (or not once more), NULL */
};

struct snapshot {
	struct arena arena;
	uint64_t clock_ns, wall_ns; /* when the loops were read */
	uint64_t read_ns;	    /* how long the reading took */
	struct source_stats stats;
	struct snap_freeze freeze; /* for how long: stats.paused_ns */
	enum snap_consistency consistency;
	uint32_t retries;
	bool settled;	/* the tasks moved while they were read, and were read until they held */
	bool list_torn; /* ... but their list never did */
	const struct process *process;
	int32_t *children; /* pids of child processes; unknown without have_children */
	size_t n_children;
	bool have_children;
	char process_state; /* of the thread group's leader */
	int32_t tracer;	    /* pid, 0 none */
	struct snap_kernel kernel_first, kernel_last;
	struct snap_limits limits;
	const struct kernel_files *kernel_files; /* of kernel.c: what is read again */
	uint64_t runtime, runtime_size;		 /* of _PyRuntime */
	int minor, micro;
	bool free_threaded, debug_build;
	bool redacted;	    /* by snapshot_redact() */
	const char *layout; /* the provider that had the last word */
	bool asyncio_loaded;
	bool threads_cut;     /* a limit was reached: not all threads of Python are known as such */
	uint64_t sys_modules; /* of the main interpreter, a dict; 0 unknown */
	struct snap_modules modules;

	struct snap_code *codes;
	struct snap_frame *frames;
	struct snap_thread *threads;
	struct snap_loop *loops;
	struct snap_task *tasks;	 /* ascending by id */
	struct snap_resource *resources; /* state is read of SNAP_MAX_RESOURCES */
	uint64_t *awaiters;		 /* addresses of tasks */
	struct snap_natives native;
	struct snap_native_frame *natives; /* of threads that have any, merged with Python's */
	size_t n_natives, natives_cap;
	const char **callbacks; /* names of functions, or of types of what is called */
	struct snap_detail *details;
	size_t n_resources, n_awaiters, n_callbacks, n_details, details_cap;
	size_t variables_left;	 /* frames whose variables were not read: SNAP_MAX_VALUES */
	struct snap_look *looks; /* oldest first, loops interleaved */
	struct snap_problem *problems;
	size_t n_codes, n_frames, n_threads, n_loops, n_tasks, n_looks, n_problems;
	int64_t tasks_made; /* so far, where no loop runs; -1 unknown */
	size_t tasks_found; /* addresses seen; n_tasks of them are here */
	size_t tasks_torn;
};

/* Of which frames variables are read. */
enum snap_variables { SNAP_VARIABLES_NONE, SNAP_VARIABLES_THREADS, SNAP_VARIABLES_ALL };

/* How to look. */
struct snapshot_options {
	uint64_t max_tasks; /* 0: SNAP_MAX_TASKS */
	bool freeze; /* stop the Python threads of a live process for a picture of one instant */
	enum snap_variables variables; /* of threads, or of all tasks too */
	bool types_only;	       /* their values are not read */
	size_t columns;		       /* of a value; 0: PY_VALUE_COLUMNS */
};

/*
 * One full look at a process. The snapshot keeps a pointer to proc, which must outlive it.
 * False only when nothing could be told at all; partial pictures carry problems.
 */
bool snapshot_take(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snapshot **ret,
		   struct error *err);

struct snapshot_native_options {
	enum snap_native_mode mode;
	bool lines;	  /* files, lines and inlined functions too: 10 to 200 ms */
	bool fetch;	  /* their debug information from servers, as native_open() says */
	const bool *held; /* by loop: AUTO takes these */
};

/*
 * Adds native frames to the threads of loops. A live process stands for about 0.1 ms, as stop.h
 * says; the threads that are to be stopped, and AUTO stops none that could notice it, are chosen by
 * what they do now. A recording has what it recorded, or unwinds what it has. Where it does not
 * work, the snapshot stays as it was, and native.why says why.
 */
void snapshot_native(struct python *py, struct snapshot *snap,
		     const struct snapshot_native_options *options);

/* Native frames as a note for source_save(); nothing when there are none. */
void snapshot_native_write(const struct snapshot *snap, struct strbuf *out);

/* ... and back; false: it is damaged, and the snapshot is as before. */
bool snapshot_native_read(struct snapshot *snap, const struct strbuf *text);

#define SNAP_NOTE_NATIVE "native" /* its name */

/* Appends a light look to a snapshot's series: a few reads, no tasks. src: source_again(). */
bool snapshot_look(struct python *py, struct source *light, struct snapshot *snap,
		   struct error *err);

/*
 * True when the last look at the loop at that address found the stack of the full look, and the
 * same turn and callback: what that one says of it holds still.
 */
bool snapshot_stands(const struct snapshot *snap, uint64_t loop);

/* Puts the series of an older snapshot of the same process before that of a new one. */
void snapshot_keep_looks(struct snapshot *snap, const struct snapshot *before);

/*
 * For how long the tasks have waited, as far as the series of looks proves it; after the last look.
 * As of clock_ns.
 */
void snapshot_ages(struct snapshot *snap);

/* The series as a note for source_save(), and back. */
void snapshot_looks_write(const struct snapshot *snap, struct strbuf *out);
bool snapshot_looks_read(struct snapshot *snap, const struct strbuf *text);

/*
 * How often was read again, and the tasks that a look at a moving target settled on, as a note;
 * nothing for one that held still.
 */
void snapshot_tasks_write(const struct snapshot *snap, struct strbuf *out);

#define SNAP_NOTE_TASKS "tasks" /* its name: a replay takes the tasks from it */

void snapshot_destroy(struct snapshot *snap);

/*
 * The line of source of a frame, from where the target has it, into its detail. One that is found
 * is remembered; src is that of the look.
 */
void snapshot_source(struct snapshot *snap, struct source *src, uint32_t frame);

/* How the file of a frame is on disk now, into its detail. */
void snapshot_file(struct snapshot *snap, struct source *src, uint32_t frame);

/* The lines of all frames that are the user's own, at most SNAP_MAX_LINES. */
void snapshot_sources(struct snapshot *snap, struct source *src);

/*
 * What the process is made of: its libraries, the files of its stacks and its imports, 1 to 10 ms;
 * or the files alone. py is as it was when the snapshot was taken.
 */
void snapshot_modules(struct snapshot *snap, struct python *py);
void snapshot_files(struct snapshot *snap, struct source *src);

/* The imports as a note for source_save(); nothing when they are not known. */
void snapshot_imports_write(const struct snapshot *snap, struct strbuf *out);

#define SNAP_NOTE_IMPORTS "imports" /* its name: a replay takes them from it */

/* A number for libraries and imports, another one when they are others. */
uint64_t snapshot_modules_digest(const struct snapshot *snap);

/*
 * Takes out what a process was given and what it called things while it ran: arguments, names of
 * tasks and threads, addresses and paths at the other ends, other processes' commands, lines of
 * source. What is left names code, types and numbers. A diagnosis made before still has them.
 */
void snapshot_redact(struct snapshot *snap);

/*
 * Between the first look and the last one; negative when that is unknown, as it is with one look.
 * throttled_ratio: of the periods of the quota, those in which it was used up (0 without a quota);
 * a period is 100 ms as a rule. throttled_s: CPU seconds held off. steal_ratio: of all the
 * machine's CPU time. gc_ratio: of the looks at the loop, those in a collection.
 */
double snap_throttled_ratio(const struct snapshot *s);
double snap_throttled_s(const struct snapshot *s);
double snap_steal_ratio(const struct snapshot *s);
double snap_majflt_per_s(const struct snapshot *s);
double snap_gc_ratio(const struct snapshot *s, uint64_t loop);

/* Readers. */

/* The task of that address, SNAP_NONE when there is none. */
uint32_t snap_task_find(const struct snapshot *s, uint64_t id);

static inline const struct snap_code *snap_code_of(const struct snapshot *s,
						   const struct snap_frame *f)
{
	return &s->codes[f->code];
}

static inline const struct snap_frame *snap_frame_at(const struct snapshot *s,
						     const struct snap_stack *stack, uint32_t i)
{
	return &s->frames[stack->first + i];
}

/* The name that a reader knows a thread by. */
static inline const char *snap_thread_name(const struct snap_thread *t)
{
	return t->name ? t->name : t->os_name ? t->os_name : "-";
}

/* NULL: nothing was asked of this frame. */
static inline const struct snap_detail *snap_detail_of(const struct snapshot *s,
						       const struct snap_frame *f)
{
	return f->detail && f->detail <= s->n_details ? &s->details[f->detail - 1] : NULL;
}

#endif
