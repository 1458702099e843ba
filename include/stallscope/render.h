/* SPDX-License-Identifier: Apache-2.0 */
/*
 * render.h - text and JSON from a snapshot and its diagnosis
 *
 * Pure: no clock, no target, no terminal. Text goes into a strbuf; JSON is written piece by
 * piece to a FILE, task by task, so that a million tasks never are one tree in memory.
 */
#ifndef STALLSCOPE_RENDER_H
#define STALLSCOPE_RENDER_H

#include <stdio.h>

#include "stallscope/culprits.h"
#include "stallscope/diagnose.h"

enum render_tasks { RENDER_TASKS_GROUPS, RENDER_TASKS_TREE, RENDER_TASKS_ALL, RENDER_TASKS_NONE };

/*
 * Which tasks of a snapshot are shown: those that each of the terms holds for. A term is
 * "KEY=PATTERN": name, coroutine, place (file:line, or function, of any frame) and waits (what it
 * waits on) take a POSIX extended regular expression, state takes words. The terms are borrowed.
 */
struct task_filter {
	const char *const *terms;
	size_t n_terms;
	uint8_t *matches; /* by task: 0 or 1 */
	size_t shown;	  /* of all tasks */
};

/* ERR_USAGE says what is allowed. */
bool task_filter_check(const char *term, struct error *err);
bool task_filter_init(struct task_filter *filter, const struct snapshot *s,
		      const char *const *terms, size_t n, struct error *err);
void task_filter_deinit(struct task_filter *filter);

/* filter NULL: all are shown. */
static inline bool task_filter_matches(const struct task_filter *filter, const struct snapshot *s,
				       uint32_t task)
{
	return !filter || (task < s->n_tasks && filter->matches[task]);
}

struct render_label {
	const char *key, *value;
};

struct render_options {
	size_t width; /* columns; 80 when not a terminal */
	bool color, ascii;
	bool verbose; /* all frames and groups */
	enum render_tasks tasks;
	double threshold_s;
	const char *host; /* where the target ran, safe; NULL unknown */
	const struct render_label *labels;
	size_t n_labels;
	const struct task_filter *filter; /* NULL: all tasks */
	const char *type;		  /* of the JSON line, in a recording; NULL: none */
};

void render_text(const struct snapshot *snap, const struct diagnosis *d,
		 const struct render_options *options, struct strbuf *out);

/* One JSON object and a newline. False when writing failed (errno set). */
bool render_json(const struct snapshot *snap, const struct diagnosis *d,
		 const struct render_options *options, FILE *out);

/* ---- lines of a recording (event.c): one JSON object and a newline each ------------------- */

/* The first line: of what the recording is and how it is taken. */
void render_hello(const struct snapshot *snap, const struct render_options *options,
		  double interval_s, struct strbuf *out);

/* A snapshot in a few numbers for each loop. */
void render_light(const struct snapshot *snap, const struct diagnosis *d, struct strbuf *out);

/*
 * Events of a stall. The body (who, what, stack) is made of the snapshot that sees it and is kept
 * as text for the event that is written when it is over.
 */
void render_stall_body(const struct snapshot *snap, const struct diagnosis *d,
		       const struct render_options *options, const struct stall *stall,
		       struct strbuf *out);

/* The body of a stall that was over before it could be looked at. */
void render_stall_unseen(const struct snapshot *snap, const struct render_options *options,
			 int32_t tid, struct strbuf *out);

/* The words of a line of text for a stall: verdict, kind, who and what. */
void render_stall_words(const struct snapshot *snap, const struct diagnosis *d, uint32_t loop,
			struct strbuf *out);

/* How the two clocks of a recording lie to each other, and whose it is. */
struct event_clock {
	int64_t wall_minus_clock_ns;
	int32_t pid;
};

void render_stall_begin(const struct event_clock *clock, const struct stall *stall,
			struct strbuf *out);
void render_stall_end(const struct event_clock *clock, const struct stall *stall,
		      struct strbuf *out);
void render_stall(const struct event_clock *clock, const struct stall *stall, struct strbuf *out);

/* Such a line: when it began, whose it is, how long it was held, words. */
void render_stall_text(const struct event_clock *clock, const struct stall *stall,
		       const char *words, bool lasts, bool ascii, struct strbuf *out);

/* Who held a loop more than once. */
struct choppy_holder {
	char key[FINGERPRINT_SIZE]; /* what tells them apart */
	char *body;		    /* of its longest hold, render_stall_body(); the caller's */
	uint32_t count;
	int64_t held_ns, longest_ns; /* together; of one hold */
};

/* A loop that was held again and again, in one stretch of time. */
struct choppy {
	uint64_t loop;
	int32_t tid;
	uint64_t since_ns, until_ns;  /* of the target's clock */
	uint32_t stalls, short_holds; /* of the threshold and more, of 10 ms and more */
	uint32_t looked_at;	      /* of these: the holders are of them */
	int64_t held_ns, longest_ns;
	struct choppy_holder *holders; /* who held longest first */
	size_t n_holders;
};

/* As JSON; snap NULL or any of the process, which the line is to name. */
void render_choppy(const struct event_clock *clock, const struct choppy *c,
		   const struct snapshot *snap, const struct render_options *options,
		   struct strbuf *out);
void render_choppy_text(const struct event_clock *clock, const struct choppy *c,
			struct strbuf *out);
void choppy_words(const struct choppy *c, struct strbuf *out); /* what that says, without whose */

/* The target is gone; the recording ends. clock_ns 0: not known. */
void render_lost(const struct event_clock *clock, uint64_t clock_ns, const char *reason,
		 struct strbuf *out);

struct bye {
	const char *reason; /* "count", "time", "interrupted", "lost" */
	uint64_t looks, stalls, missed;
	/* of looks at a fixed pace; longest_gap_ns 0: not said */
	bool counts_short;
	uint64_t short_holds; /* if so: of 10 ms and more, and shorter than the threshold */
	uint64_t choppy;      /* ... stretches in which a loop was held again and again */
	uint64_t maybe;	      /* holds that may have reached it: nobody looked in time */
	int64_t longest_gap_ns;
};
void render_bye(const struct event_clock *clock, uint64_t clock_ns, const struct bye *bye,
		struct strbuf *out);

/* What one line says of a process: the worst of its loops. Strings are those of the snapshot. */
struct brief {
	const char *verdict, *kind; /* kind "": none */
	double lag_s, held_s;	    /* NAN: unknown */
	int64_t tasks;		    /* of all loops; -1: no loop runs */
	size_t loops;
	const char *function, *file; /* of who is to blame; NULL nobody */
	int32_t line;
};
void brief_of(const struct snapshot *snap, const struct diagnosis *d, struct brief *ret);

/* What `explain` has to say about a name. */
struct topic {
	const char *name;			 /* as the user gave it, NULL: about everything */
	const struct explanation *entry;	 /* NULL: rows of the catalogue alone */
	const struct culprit_category *category; /* of the entry's kind, NULL: any */
	const struct culprit_row **rows;	 /* what falls under it */
	size_t n_rows;
};

/* In options->width columns. */
void render_topic_text(const struct topic *topic, const struct render_options *options,
		       struct strbuf *out);

/* One JSON object and a newline. */
void render_topic_json(const struct topic *topic, struct strbuf *out);

/* The kind that a verdict has for a category: "blocked.io.db", "cpu.json", "debugger". */
void render_kind_of(const struct explanation *e, const char *category, char *buf, size_t size);

/*
 * Tasks folded by equal await path (state, code and line of each frame, what is waited in): the
 * rows of the groups table, largest first, then oldest.
 */
struct task_group {
	uint32_t count;
	uint32_t example; /* a task of the group */
	uint32_t loop;
	uint32_t unowned, orphans; /* of them */
	bool have_oldest;
	bool oldest_is_lower; /* at least that old: not each age is known exactly */
	int64_t oldest_ns;
};

/* *ret is allocated and freed by the caller. */
void group_tasks(const struct snapshot *snap, uint32_t loop, const struct task_filter *filter,
		 struct task_group **ret, size_t *n);

/* Whether two tasks are of one group. */
bool tasks_same_path(const struct snapshot *snap, const struct snap_task *a,
		     const struct snap_task *b);

/* A task in the tree of who awaits whom: its level below a root, or that it is shown elsewhere. */
struct task_tree_row {
	uint32_t task, depth;
	bool again; /* it stands above already, with all below it; or the ring closes here */
	bool ring;
};

/* Each task before those that it awaits. *ret is allocated and freed by the caller. */
void task_tree(const struct snapshot *snap, uint32_t loop, const struct task_filter *filter,
	       struct task_tree_row **ret, size_t *n);

/*
 * What text says of a verdict between the first line and the advice, not yet laid out: a label
 * and what belongs to it, or (label NULL) a line of its own. A label "" goes on with the one above.
 */
struct report {
	struct arena arena;
	struct report_line {
		const char *label, *text;
	} * v;
	size_t n, cap;
};
#define REPORT_INIT                 \
	{                           \
		.arena = ARENA_INIT \
	}

/* loop SNAP_NONE: of the process. */
void render_report(const struct snapshot *snap, const struct diagnosis *d, uint32_t loop,
		   const struct render_options *options, struct report *ret);
void report_deinit(struct report *report);

/* What a task waits in, or its state in brackets; a library's wait by its title in the catalogue.
 */
void text_waits(const struct snapshot *s, struct await_rows *rows, const struct snap_task *task,
		struct strbuf *out);

/* The innermost frame of the user's own, else the innermost; NULL of an empty stack. */
const struct snap_frame *text_own_frame(const struct snapshot *s, const struct snap_stack *stack);

/* The name that a reader knows a thread by. */
static inline const char *text_thread_name(const struct snap_thread *thread)
{
	return snap_thread_name(thread);
}

/* "_hashlib.so", with the offset where the function is not known; and whether it only calls others.
 */
void native_place(const struct snap_native_frame *f, struct strbuf *out);
bool native_is_glue(const struct snap_native_frame *f);

/* "14 m": whole units, cut and not rounded, so that a lower bound stays one. */
void format_age(struct strbuf *out, int64_t ns);

/* "running" and its like */
const char *task_state_word(enum snap_task_state state);

/* "4.83 s", "340 ms", "0.4 ms": time as a reader wants it. */
void format_duration(char *buf, size_t size, int64_t ns);

/* The last two or three parts of a path: enough to find it, short enough for a line. */
const char *short_path(const char *path);

#endif
