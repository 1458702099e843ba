/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - what recordings say, added up
 *
 * Reads the JSON Lines of `record` and the JSON of `dump`, line by line, of many files and hosts,
 * into sums that stay small however long the recordings are. Files are as hostile as targets: each
 * text is made safe, each count has a bound, and what a bound or a broken line left out is counted.
 *
 * Indices refer to the arrays of the history, HISTORY_NONE means "none". Strings are shared and
 * live as long as the history. Times of the wall are seconds since 1970, NAN unknown.
 */
#ifndef STALLSCOPE_HISTORY_H
#define STALLSCOPE_HISTORY_H

#include <math.h>

#include "stallscope/addrmap.h"
#include "stallscope/arena.h"
#include "stallscope/diagnose.h"
#include "stallscope/error.h"

#define HISTORY_NONE UINT32_MAX

/* Bounds; `left_out` counts what they kept out. */
#define HISTORY_MAX_LINE    (8u << 20) /* bytes of a line, its tasks not counted */
#define HISTORY_MAX_HOLDERS 4096u
#define HISTORY_MAX_STALLS  200000u
#define HISTORY_MAX_STACKS  20000u
#define HISTORY_MAX_FRAMES  128u /* of a stack; the innermost */
#define HISTORY_MAX_GROUPS  16384u
#define HISTORY_MAX_LOOPS   4096u
#define HISTORY_MAX_CURVE   4096u /* points of a loop's lag, of so many loops; of others: */
#define HISTORY_CURVES	    64u
#define HISTORY_MIN_CURVE   256u
#define HISTORY_MAX_MODULES 32768u
#define HISTORY_MAX_TEXT    400u	/* characters of one string */
#define HISTORY_MAX_TEXTS   (24u << 20) /* bytes of all of them */

/* ---- quantiles (sketch.c) -------------------------------------------------------------------- */

/*
 * Values >= 0 in seconds. Quantiles are exact up to SKETCH_EXACT values; beyond that they are off
 * by SKETCH_ERROR of the value at most: counts in buckets, each 2 % wider than the one before.
 * Values below a microsecond count as 0.
 */
#define SKETCH_EXACT 512u
#define SKETCH_ERROR 0.01

struct sketch {
	uint64_t count;
	double sum, max;
	double *exact;	   /* of the first SKETCH_EXACT; NULL once there are more */
	uint32_t *buckets; /* NULL until then */
};

void sketch_add(struct sketch *s, double value);
void sketch_merge(struct sketch *to, const struct sketch *from);
double sketch_quantile(const struct sketch *s, double q); /* 0 when empty */
void sketch_deinit(struct sketch *s);

/* ---- a value over time (curve.c) ------------------------------------------------------------- */

/*
 * Each point is a look: its time on the wall, and a value >= 0. Beyond `most` of them, four at
 * least, the looks of a stretch of time are one point, that with the largest value; stretches grow
 * by doubling, so that a day takes the memory of an hour. Points are in the order of time, whatever
 * the order of the looks.
 */
struct curve_point {
	double time, value;
};

struct curve {
	struct curve_point *v;
	size_t n, cap;
	double width; /* seconds of a stretch; 0 while each look is a point */
};

void curve_add(struct curve *c, double time, double value, size_t most);
void curve_deinit(struct curve *c);

/* ---- what is kept ---------------------------------------------------------------------------- */

struct history_frame {
	const char *function, *file; /* qualified name; file NULL unknown */
	int64_t line;		     /* 0 unknown */
	bool own;
};

struct history_stack {
	const struct history_frame *frames; /* innermost first */
	uint32_t n;
};

/* One fingerprint: who holds loops, in what. */
struct holder {
	const char *fingerprint;
	const char *verdict, *kind;  /* kind NULL none */
	const char *function, *file; /* NULL unknown */
	const char *library, *title; /* NULL unknown */
	const char *source, *advice; /* NULL unknown */
	int64_t line;
	bool newer;	    /* the file was changed after the process began */
	struct sketch held; /* one value for each stall */
	double first, last; /* when they began */
	uint32_t worst;	    /* of stalls */
	uint32_t n_hosts;
};

struct history_stall {
	double time;	       /* when it began */
	double held_s;	       /* likely; at least, when it is not over */
	double held_at_most_s; /* NAN unknown */
	uint32_t holder, loop, stack;
	bool over;
};

/* Tasks of one loop that wait in one place. */
struct history_group {
	uint32_t loop, stack; /* stack: the await path by name, innermost first */
	const char *title;    /* what it waits on */
	const char *function, *file, *state;
	int64_t line;
	int64_t first, most; /* tasks at the first full snapshot of the loop; and at most */
	int64_t last;	     /* when they were seen last: history_group_now() has how many now */
	double oldest_s;     /* then, NAN unknown */
	uint64_t seen;	     /* the full snapshot that saw it last */
};

/* One loop of one process. */
struct history_loop {
	const char *host; /* NULL unknown */
	const char *id, *command, *python, *container;
	const char *labels; /* "a=b c=d", "" none */
	int64_t pid, thread;
	const char *verdict, *kind;	 /* of the last look */
	double first, last;		 /* looks */
	double observed_s;		 /* from first to last look of each file, added */
	uint64_t looks, unhealthy, full; /* looks; full: snapshots in full */
	uint64_t busy;			 /* looks that met it in callbacks */
	uint64_t snapshot;		 /* the last of the full ones, of all of the history */
	struct sketch lag, ready;
	struct curve curve;			     /* of the lag, in seconds */
	double lag_s;				     /* of the last look */
	int64_t tasks_first, tasks_last, tasks_most; /* -1 unknown */
	int64_t ready_last, queued_last;	     /* -1 unknown */
	double held_s;				     /* of all stalls */
	uint64_t stalls, errors; /* errors: problems of the last full snapshot */
};

enum history_module_kind { HISTORY_LIBRARY, HISTORY_SOURCE, HISTORY_IMPORT };

/* Something that processes are made of, as it was when it was told of last. */
struct history_module {
	enum history_module_kind kind;
	const char *name;    /* path; of an import its name */
	const char *version; /* build id, hash of the content, version; NULL unknown */
	double modified;     /* NAN unknown */
	int64_t bytes;	     /* -1 unknown */
	double started;	     /* the process that has it, NAN unknown */
	bool own;	     /* a source file of the user's */
	bool stale;	     /* on disk there is another by now */
};

struct history_file {
	const char *path;
	uint64_t lines, read; /* lines that are not empty; of them read */
	uint64_t first_bad;   /* its number, 0 none */
	const char *why;      /* of that one */
	bool cut;	      /* the last line ends within */
	bool recording, bye;  /* begins with hello, has bye */
	uint64_t missed;      /* looks that it could not take */
};

struct history {
	struct arena arena;
	struct history_file *files;
	struct holder *holders;
	struct history_stall *stalls; /* in the order of the files */
	struct history_stack *stacks;
	struct history_group *groups;
	struct history_loop *loops;
	struct history_module *modules;
	size_t n_modules;
	/* By kind: there are lists of them, and none of these was cut. */
	bool listed[HISTORY_IMPORT + 1], whole[HISTORY_IMPORT + 1];
	const char **hosts;
	size_t n_files, n_holders, n_stalls, n_stacks, n_groups, n_loops, n_hosts;
	double threshold_s; /* the last one that was given, NAN none */
	uint64_t left_out;
	struct history_index *index; /* to find things again (history.c) */
};

void history_init(struct history *h);
void history_deinit(struct history *h);

/*
 * Adds a file. A line that cannot be read is left out and told in files[]; it is an error when
 * nothing of the file can be read: BAD_FILE says why (empty, foreign, of a newer schema).
 */
bool history_read(struct history *h, const char *path, struct error *err);

/*
 * Whether there is anything in a file that can be read: its first such line is looked for, and no
 * more. What can be read only once, as a pipe, is left alone, and taken for good.
 */
bool history_probe(const char *path, struct error *err);

/* The same as history_read() with a text that is already there; name stands for the path. */
bool history_read_text(struct history *h, const char *name, const char *text, size_t len,
		       struct error *err);

/* Holders, those with the most held time first. Their indices; freed by the caller. */
uint32_t *history_rank(const struct history *h);

/* Tasks of a group at the last full snapshot of its loop. */
int64_t history_group_now(const struct history *h, const struct history_group *g);

/* All time that loops were held, and all time they were looked at. */
double history_held(const struct history *h);
double history_observed(const struct history *h);

/*
 * Seconds between two points of a loop's curve from which on nothing is known of the time between
 * them: several files, or a recorder that was stopped.
 */
double curve_gap(const struct history_loop *l);

/* Lag of all loops, added up; freed by sketch_deinit(). */
struct sketch history_lag(const struct history *h);

#endif
