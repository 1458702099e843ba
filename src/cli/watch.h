/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch.h - the parts of `watch`, which share one struct watch; `record` is one of them
 *
 * One thread and one timer for all processes; snapshots of `record` have a thread of their own,
 * since a full look at very many tasks takes longer than a stall. Times of the program are ns of
 * its own CLOCK_MONOTONIC; those of a process are in its time namespace, `ahead` later.
 */
#ifndef STALLSCOPE_CLI_WATCH_H
#define STALLSCOPE_CLI_WATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "cli.h"
#include "look.h"
#include "stallscope/holds.h"

#define WATCH_MS     UINT64_C(1000000)
#define WATCH_SECOND UINT64_C(1000000000)
#define WATCH_TASKS  2000 /* of a capture, when nothing else is said: it must not take long */

/* Holds of a loop in one stretch of time, from the first on. */
struct watched_choppy {
	uint64_t since_ns, last_ns; /* 0: there was none; when the last one was over */
	uint32_t stalls, short_holds, looked_at;
	int64_t held_ns, short_ns, longest_ns; /* all of them, short ones; of one */
	struct choppy_holder holders[16];
	size_t n_holders;
	unsigned samples; /* looks at short holds */
	char *sample;	  /* of the hold that lasts: who it is, as of a stall */
	char sampled[FINGERPRINT_SIZE];
};

/* One loop of a process. */
struct watched_loop {
	struct hold hold;
	int32_t tid;
	uint64_t due_ns; /* when to look at it */
	/* of the hold that lasts: */
	unsigned captures; /* full looks at it */
	unsigned learnt;   /* the last one that said something */
	enum confidence confidence;
	enum verdict_id verdict; /* that body and words have */
	struct watched_met {	 /* who was met by captures, and how often */
		char fingerprint[FINGERPRINT_SIZE];
		unsigned times;
	} met[4];
	bool is_skipped;	  /* the last capture met one who was not met as often as others */
	int64_t capture_held_ns;  /* it is to be that long for the next one */
	uint64_t follow_ns;	  /* when a light look adds to the last capture; 0: none */
	uint64_t follow_until_ns; /* ... at most until then */
	bool is_dismissed;	  /* a full look said that it is no stall */
	bool is_open;		  /* a full look met it: body and words are of it */
	bool is_told;		  /* stall_begin was written */
	bool is_shown;		  /* as a line of text, and to --exec, that it lasts */
	struct stall stall;
	char *words, *core;
	char key[FINGERPRINT_SIZE]; /* choppy_key() of who body has; empty: of nobody */
	struct watched_choppy choppy;
};

/* One process. */
struct watched {
	pid_t pid;
	int pidfd;	  /* -1: the kernel has none, it is asked otherwise */
	int64_t ahead_ns; /* its clock minus ours */
	bool is_given;	  /* by the user; others are found (--children, --all) */
	bool is_open, is_greeted;
	bool is_awaited;  /* that it has no loop yet was said */
	bool is_replaced; /* its memory is gone: it ends, or another program is run in it */
	struct target target;
	struct look look;     /* the last full look */
	struct source *light; /* of light looks that add to it */
	struct pulse *pulse;  /* NULL: no loop is known */
	struct watched_loop *loops;
	size_t n;
	uint64_t attach_ns; /* when to look for its loops (again) */
	uint64_t step_ns;   /* from one such attempt to the next */
	uint64_t key;	    /* of one that was found: for those that are refused */
	uint64_t found_ns;  /* when it was */
	struct event_clock clock;
};

struct watch_exec;
struct watch_save;
struct recorder;

struct watch {
	struct options o;
	struct hold_pace pace;
	uint64_t fine_ns; /* as little as pace.fine may be */
	struct watched **v;
	size_t n, cap;
	struct line_file file; /* fd -1: not open yet, lines wait */
	struct strbuf line;
	uint64_t regular_ns;		     /* when the next even look is due */
	uint64_t last_ns;		     /* when the last look was */
	uint64_t rescan_ns;		     /* when to look for new processes */
	uint64_t ends_ns;		     /* when to ask which of them ended */
	struct addrmap refused, refused_now; /* processes that were found to be no Python */
	uint64_t budget_ns, budget_cpu_ns, full_cpu_ns; /* what looks cost, watch_pace() */
	uint64_t longest_held_ns;
	struct bye bye;
	struct watch_exec *exec;   /* NULL: no --exec */
	struct watch_save *save;   /* NULL: no --save */
	struct recorder *recorder; /* NULL: not `record` */
	pid_t command;		   /* that we started; 0 none */
	int command_status;
	bool is_hurried;      /* we were asked to end, and the command has to */
	bool has_ended;	      /* the command */
	uint64_t told;	      /* stalls that are over, or last for long: for --count */
	unsigned greeted;     /* processes that were watched */
	int status;	      /* of what could not be watched; 0 */
	pthread_mutex_t lock; /* while a line is written: a recorder does so too */
	atomic_bool failed;   /* of writing: err says why */
	struct error err;
};

uint64_t watch_now(void); /* CLOCK_MONOTONIC */
uint64_t watch_cpu(void); /* of the thread that asks */

/* Writes w->line and empties it; not before the file is open. */
void watch_flush(struct watch *w);

/* The same with a line of any thread's. */
void watch_write(struct watch *w, struct strbuf *line);

static inline bool watch_is_text(const struct watch *w)
{
	return w->o.format == FORMAT_TEXT;
}

/* ---- watch.c: what runs all of it ----------------------------------------------------------- */

/* Instead of taking them in turn: a second signal ends us at once, though we hang in a write. */
void watch_heed_second(void);

/* How often to look, and from which length on holds are counted. After w->o.threshold_ns. */
void watch_pace(struct watch *w, uint64_t interval, uint64_t least);

/* Until it is over: bye.reason. */
void watch_run(struct watch *w);

/* Closes the file; the exit status. */
int watch_end_output(struct watch *w);
void watch_close(struct watch *w);

/* ---- watch_target.c: processes come and go ------------------------------------------------- */

/* NULL: there is no such process (err), or it is watched already (err untouched). */
struct watched *watch_add(struct watch *w, pid_t pid, bool is_given, struct error *err);
struct watched *watch_add_named(struct watch *w, const char *argument, struct error *err);

/* Opens it and looks for its loops, when that is due. False: it is gone and was said to be. */
bool watched_attach(struct watch *w, struct watched *t, uint64_t now);

/* The loops are not where they were: they are looked for at once. */
void watched_lost_loops(struct watched *t, uint64_t now);

void watched_remove(struct watch *w, size_t i, const char *reason);

/* New workers (--children), new processes (--all). */
void watch_rescan(struct watch *w);

/* ---- watch_stall.c: from holds to events --------------------------------------------------- */

void watched_look(struct watch *w, struct watched *t, size_t i);

/* Nothing will be seen of its holds any more: over at that time of its clock, 0: they last. */
void watched_finish(struct watch *w, struct watched *t, uint64_t over_ns);

/* ---- watch_choppy.c: holds that come again and again --------------------------------------- */

/* A hold of 10 ms and more that is over. */
void choppy_add(struct watched_loop *l, const struct hold *h, bool is_stall);

/* What holds of one cause have in common: the fingerprint, or the kind when nobody is to blame. */
void choppy_key(const struct snapshot *s, const struct verdict *v, char key[FINGERPRINT_SIZE]);

/* Whether a hold below the threshold is worth a full look, and what that said. */
bool choppy_wants(const struct watched_loop *l, const struct pulse_reading *r);
void choppy_sample(struct watched_loop *l, const struct snapshot *s, const struct verdict *v,
		   const char *body);

/* Tells a stretch that is over: the time is, or there will be no other look. */
void choppy_serve(struct watch *w, struct watched *t, struct watched_loop *l, uint64_t clock_ns,
		  bool is_last);
/* ---- record.c: snapshots beside, for `record` ---------------------------------------------- */

/* Whether its process is still what it was, and snapshots can be taken. Each round, while there is
 * one. */
void recorder_serve(struct watch *w, uint64_t now);
uint64_t recorder_looks(const struct recorder *r); /* snapshots so far: for --count */

/* There will be no more snapshots; the one that is being taken is waited for, and written. */
void recorder_end(struct recorder *r);

/* ---- watch_exec.c: --exec ------------------------------------------------------------------ */

#define WATCH_EXEC_RUNS	 4u /* at once */
#define WATCH_EXEC_QUEUE 64u
#define WATCH_EXEC_NS	 (10 * WATCH_SECOND) /* then it is killed */

struct watch_exec *watch_exec_create(const char *command);

/* Queues an event. Never waits; what does not fit into the queue is counted and left out. */
void watch_exec_event(struct watch_exec *x, const char *type, const char *event, size_t len);

/* Reaps and kills what is due, starts what is queued. */
void watch_exec_serve(struct watch_exec *x, uint64_t now);
uint64_t watch_exec_due(const struct watch_exec *x); /* UINT64_MAX: nothing */

/* Lets what runs or waits end, for so long at most, and kills the rest; tells what was left out. */
void watch_exec_destroy(struct watch_exec *x, uint64_t patience_ns);

/* ---- watch_save.c: --save ------------------------------------------------------------------ */

#define WATCH_SAVE_FILES 20u
#define WATCH_SAVE_BYTES (UINT64_C(256) << 20)

bool watch_save_open(const char *dir, struct watch_save **ret, struct error *err);

/*
 * A core of the loop at that address, when it is in the same turn still (0: of any). The path, to
 * be freed; NULL: none was written.
 */
char *watch_save_stall(struct watch_save *save, const struct watch *w, const struct watched *t,
		       uint64_t loop, uint64_t turn);
void watch_save_close(struct watch_save *save);

/* ---- watch_command.c: -- COMMAND ----------------------------------------------------------- */

/* Starts the command. *ret is its exit status when it could not be started (126, 127). */
bool watch_command_start(struct watch *w, char *const argv[], int *ret);

/* Whether it has ended; then command_status is what we exit with. */
bool watch_command_ended(struct watch *w);

/* True when a loop of a full look is in the turn that a hold is of. */
bool watch_same_turn(const struct snap_loop *l, uint64_t turn);

#endif
