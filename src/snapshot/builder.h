/* SPDX-License-Identifier: Apache-2.0 */
/*
 * builder.h - a snapshot while it is being made
 *
 * The parts (threads, loops, tasks) fill a struct builder in this order; each reads
 * what the ones before it found. Nothing here outlives snapshot_take().
 */
#ifndef STALLSCOPE_SNAPSHOT_BUILDER_H
#define STALLSCOPE_SNAPSHOT_BUILDER_H

#include "stallscope/snapshot.h"

/*
 * Tasks are read a thousand at a time: little time passes between the first look at one and the
 * last, what was read fits into the caches of the CPU, and the buffer for it is faulted in once.
 * What a batch leaves behind is let go of when it is more than BUILD_KEEP bytes.
 */
#define BUILD_BATCH 1024u
#define BUILD_KEEP  (UINT64_C(2) << 20)

struct builder {
	struct snapshot *s;
	struct python *py;
	const struct process *proc;
	const struct source_picture *picture; /* of a copy made while the process stood, or NULL */

	struct py_interpreter *interps;
	struct py_thread *py_threads;
	size_t n_interps, n_py_threads;
	struct aio_modules *modules; /* by interpreter */
	struct py_frame *frames;     /* scratch, PY_MAX_FRAMES */
	size_t loop_frames;	     /* so far, of threads that have a loop */

	struct addrmap code_map;   /* index into py->codes -> index into s->codes */
	struct addrmap loop_map;   /* loop address -> index into s->loops */
	struct addrmap place_map;  /* code and instruction -> index into s->frames */
	struct addrmap string_map; /* address of a str object -> index into strings */
	const char **strings;
	size_t n_strings, strings_cap;

	struct read_trace before; /* what threads and loops were made of */
	bool main_slept;	  /* the main thread did before they were read */
	uint64_t main_slices;	  /* of CPU, that it had had by then */
	struct build_mark {	  /* words that change when tasks do */
		struct aio_mark at;
		bool known;
		char was[40];
	} * marks;
	size_t n_marks, marks_cap;
	struct addrmap torn_map;    /* tasks that did not settle */
	struct addrmap untimed_map; /* ... of which it is not known when their sleep ends */
	size_t unreadable;	    /* of a recorded look: tasks that are not in its list */

	struct addrmap what_map;       /* code that tasks wait in -> what that is called, strings */
	struct addrmap no_timeout_map; /* places in code that have no timeout around them */
	struct addrmap resource_map;   /* address -> index into s->resources */
	struct addrmap woken_map;      /* futures that tasks will set */
	struct addrmap chained_map;    /* concurrent.futures.Future -> index into chained */
	uint64_t *chained;	       /* addresses of the tasks that will set them */

	struct sleep {
		uint32_t task;
		struct py_frame frame;
	} * sleeps; /* the first SNAP_MAX_VERIFIED of them */
	size_t n_sleeps, sleeps_cap;
	size_t codes_cap, frames_cap, threads_cap, loops_cap, tasks_cap, problems_cap;
	size_t resources_cap, awaiters_cap, callbacks_cap, n_chained, chained_cap;
};

/* One look, at the running process or at a picture. */
bool build_snapshot(struct python *py, const struct process *proc,
		    const struct snapshot_options *options, const struct source_picture *picture,
		    struct snapshot **ret, struct error *err);

/* A look at the running process, and further ones as long as it moves too much for one. */
bool build_settled(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snapshot **ret,
		   struct error *err);

/* A file that a package of Python or of the system put there. */
bool is_installed(const char *path);

/* Of what snapshot_modules() found; for snapshot_redact(). */
void redact_modules(struct snapshot *s);

/* Counts a problem; equal ones (by the literal what and where) are folded. */
void build_problem(struct builder *b, const char *what, const char *where);

/* Text of a str object, remembered by address; "?" when it cannot be read. */
const char *build_string(struct builder *b, uint64_t object, size_t max);

/* The name of an object's class, remembered likewise. */
const char *build_type(struct builder *b, uint64_t object);

/* Appends n frames (innermost first) to the snapshot as one stack. */
struct snap_stack build_stack(struct builder *b, const struct py_frame *frames, size_t n,
			      bool truncated);

/* Appends a frame for a coroutine that Cython compiled, which has none. */
void build_cython_frame(struct builder *b, const struct aio_link *link);

/*
 * Python threads with their stacks and the _run_once frames in them; sets the clock of the
 * snapshot. False when the threads could not be walked.
 */
bool build_threads(struct builder *b, struct error *err);

/* What the kernel knows of each thread, joined with the Python threads. */
bool build_os_threads(struct builder *b, struct error *err);

/* What the innermost frames call in C. */
void build_calls(struct builder *b);

/* Running loops: their fields, phase and held time. */
void build_loops(struct builder *b);

/* What loop threads are blocked in: their system call, its descriptors, timeouts, other ends. */
void build_waits(struct builder *b);

/*
 * What was read of a thread that has left its call meanwhile is of several waits: nothing is said
 * then. spelling: "./" or "././", another each time in a look (wait.c says why).
 */
void forget_if_moved(struct builder *b, struct snap_loop *loop, const char *spelling);

/*
 * The loop sleeps, or is in the first callback of its turn, for so long that nothing of this look
 * was read before that.
 */
bool stands_long(const struct snap_loop *loop);

/* The thread has been in this one system call all the while; spelling as above. */
bool is_same_call(struct builder *b, const struct os_thread *os, const char *spelling);

/* What the descriptor wait->fd is that this thread waits on (peer.c). */
void describe_descriptor(struct builder *b, const struct os_thread *os, struct snap_wait_fd *wait);

/* The processes at the other end: child, holder of a file lock, of a pipe (other_end.c). */
void find_other_end(struct builder *b, struct snap_loop *loop);

/* The threads or tasks that hold what loop threads wait for; after build_tasks() (holder.c). */
void build_holders(struct builder *b);

/* All tasks, and the current task of each loop. */
void build_tasks(struct builder *b, size_t max);

/* Who awaits each of n tasks from first on. */
void build_owners(struct builder *b, size_t first, size_t n);

/* What is known when all have been asked: futures that tasks will set. */
void build_awaited(struct builder *b);

/* Adds the addresses of all tasks to the list; false when it is not certain that these are all. */
bool collect_tasks(struct builder *b, size_t max, struct aio_task_list *list);

/* By loop, the address of the task that runs; freed by the caller. */
uint64_t *build_current(struct builder *b);

/* Adds these tasks, which are sorted, as the present source has them; the others are counted. */
void build_some_tasks(struct builder *b, const uint64_t *tasks, size_t n, const uint64_t *current);

/* Puts tasks that were added in parts in the order of their addresses. */
void build_order_tasks(struct builder *b);

/*
 * Whether any task may have changed since settle_begin(), which comes before all other reading
 * (moved.c).
 */
void settle_begin(struct builder *b);

/* What was read to open the target can be of this look: nothing has run since. */
bool settle_is_fresh(struct builder *b);

/* ... nor ever until now, in the main thread; to be asked once, at the end. */
bool settle_main_slept(struct builder *b);
void settle_remember(struct builder *b); /* before the tasks are read */
bool settle_moved(struct builder *b);

/* Each loop is in the same callback, or in the same wait, as when it was read. */
bool settle_runs_hold(struct builder *b);

/*
 * Reads each task whole, at one moment of its life, and adds it: true. Those that did not settle
 * are torn. In a look that is to be saved, its memory becomes that of all these tasks instead, the
 * list that of those that live, and they are to be added from there: false.
 */
bool settle_tasks(struct builder *b, size_t max, struct aio_task_list *list);

/* The list that a recorded look settled on; false when it needed none (settle_text.c). */
bool settle_recorded(struct builder *b, size_t max, struct aio_task_list *list);

/* Counts a task as a waiter of a primitive or stream, and gives its index. */
uint32_t build_resource(struct builder *b, uint64_t address, uint32_t loop, bool stream);

/* How the primitives stand, and who likely has them. */
void build_resources(struct builder *b);

/* What a task waits on, of which the await chain is given; its state is known. */
void build_task_wait(struct builder *b, const struct aio_task *raw, const struct aio_link *links,
		     size_t n, struct snap_task *task);

/* Reads what was read of sleeps with care, where the loops may have turned meanwhile. */
void build_verify_sleeps(struct builder *b);

/* What ends the wait of a task, of which the await chain is given. */
void build_waker(struct builder *b, const struct aio_task *raw, enum aio_wait_kind kind,
		 const struct aio_link *links, size_t n, struct snap_task *task);

/* What else may set the futures of which nothing is known yet: timers, descriptors. */
void build_wakers(struct builder *b);

/* The first count of the tasks of each loop, where it can be told from those of others. */
void build_growth(struct builder *b);

/* A later one, not more often than each 50 ms. */
void growth_look(struct python *py, struct snap_loop *loop, uint64_t clock_ns);

/* A line of the note of looks that begins with "tasks". */
void growth_write(const struct snap_loop *loop, struct strbuf *out);
bool growth_parse(struct snapshot *s, const char *line);

/* Loops that wait for themselves, and threads that wait for a loop. */
void build_deadlocks(struct builder *b);

/* What is queued in each loop. */
void build_ready(struct builder *b);

/*
 * True when the thread waits for the GIL: its futex word lies in _PyRuntime, where the GIL of the
 * main interpreter is. Needs no symbol of a static function (verdicts: F6).
 */
bool waits_for_gil(const struct snapshot *s, const struct os_thread *os);

/* The same, by where the runtime is and how large it is. */
bool waits_in_runtime(uint64_t runtime, uint64_t size, const struct os_thread *os);

/* True when the thread waits in an epoll. */
bool snap_in_epoll(const struct os_thread *os);

/* ... in that of the uvloop loop itself, not one of a client inside a callback. */
bool snap_in_select(const struct os_thread *os, const struct aio_loop *info);

/* A look more in the series; NULL when there are SNAP_MAX_LOOKS. */
struct snap_look *snap_push_look(struct snapshot *s);

/* What the kernel tells of the process as a whole: needs the threads. */
void build_kernel(struct builder *b);

/* Reads the counters again when that was long ago. */
void kernel_refresh(struct source *light, struct snapshot *s);

/* The detail of a frame, made when it has none; valid until the next one is. */
struct snap_detail *snap_detail_add(struct snapshot *s, uint32_t frame);

/*
 * Of a line of source its text without what it is indented by, and which columns of that are at
 * the position (lines.c).
 */
void line_text(const struct strbuf *line, const struct py_position *at, struct strbuf *out,
	       uint32_t *mark, uint32_t *mark_end);

/* The variables of frames, where they are asked for; when all else is known (variables.c). */
void build_variables(struct builder *b, const struct snapshot_options *options);

/* The first entry of the series of looks, from the full look itself. */
void build_first_look(struct builder *b);

#endif
