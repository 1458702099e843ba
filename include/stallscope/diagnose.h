/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diagnose.h - from a snapshot to a verdict
 *
 * One ordered table of rules, each a pure function over the facts of one loop; the
 * first that matches gives the verdict. A verdict carries its evidence: each line is
 * a fact and where it came from. Nothing here reads the target or the clock.
 */
#ifndef STALLSCOPE_DIAGNOSE_H
#define STALLSCOPE_DIAGNOSE_H

#include "stallscope/culprits.h"
#include "stallscope/snapshot.h"

/* X(name, word, unhealthy for --exit-code, severity: the worst loop names the process) */
#define VERDICT_LIST(X)                      \
	X(FROZEN, "FROZEN", true, 11)        \
	X(STOPPED, "STOPPED", true, 12)      \
	X(TRACED, "TRACED", false, 10)       \
	X(NO_LOOP, "NO-LOOP", false, 0)      \
	X(STARVED, "STARVED", true, 7)       \
	X(DEADLOCK, "DEADLOCK", true, 9)     \
	X(STALLED, "STALLED", true, 8)       \
	X(OVERLOADED, "OVERLOADED", true, 6) \
	X(CHOPPY, "CHOPPY", false, 5)        \
	X(BUSY, "BUSY", false, 4)            \
	X(WAITING, "WAITING", false, 3)      \
	X(HEALTHY, "HEALTHY", false, 1)      \
	X(UNSURE, "UNSURE", false, 2)

enum verdict_id {
#define X(name, word, unhealthy, severity) VERDICT_##name,
	VERDICT_LIST(X)
#undef X
};

/* Said beside the verdict, never instead of it: X(name, word). explain.c has what they mean. */
#define FLAG_LIST(X)                \
	X(GROWING, "GROWING")       \
	X(UNOWNED, "UNOWNED")       \
	X(EXEC_FULL, "EXEC-FULL")   \
	X(DEBUG_MODE, "DEBUG-MODE") \
	X(MULTI_LOOP, "MULTI-LOOP") \
	X(FD_LIMIT, "FD-LIMIT")     \
	X(ORPHAN, "ORPHAN")         \
	X(NESTED, "NESTED")

enum flag_id {
#define X(name, word) FLAG_##name,
	FLAG_LIST(X) FLAG_COUNT
#undef X
};

enum confidence { CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH, CONFIDENCE_CERTAIN };

#define EVIDENCE_MAX 10u

struct evidence {
	char fact[160];
	const char *source; /* where it came from, a literal */
};

/* Who holds the loop and in what. */
struct culprit {
	uint32_t frame;		 /* the innermost frame that is the user's own, SNAP_NONE */
	uint32_t leaf;		 /* innermost frame */
	uint32_t task;		 /* SNAP_NONE when no task runs */
	uint32_t holder;	 /* thread that holds the GIL this loop waits for; SNAP_NONE */
	struct snap_stack slice; /* from the leaf to the task's step or callback */
	const char *system_call; /* name, NULL when running or unknown */
	char library[64];	 /* top-level package that was called, "" unknown */
	const char *title;	 /* of the catalogue row that named it, NULL none */
	const char *rule_kind;	 /* "py", "ccall"; NULL without a row */
	const char *rule;	 /* its pattern */
	char leaf_name[140];	 /* "ccall time!sleep", or the innermost frame's function */
	const char *leaf_title;	 /* of the leaf's row where that decided the category; or NULL */
	const char *category, *advice;
};

struct verdict {
	enum verdict_id id;
	char kind[32]; /* "blocked.sleep", "" when the verdict has none */
	enum confidence confidence;
	bool have_held;
	int64_t held_ns;
	const char *held_bound;	  /* "upper" (of the one callback), "lower" (uvloop); NULL */
	int64_t lag_ns;		  /* longer of held and the worst late timer */
	int same_callback;	  /* 1 yes, 0 no, -1 unknown: one look, or some found no turn */
	double on_cpu, run_queue; /* ratio over the looks, < 0 unknown */
	double callback_s;	  /* OVERLOADED: mean cost of a callback */
	double turn_s;		  /* OVERLOADED: length of one turn of the loop */
	int64_t batch;		  /* ... and callbacks in the largest one that was seen */
	unsigned episodes;	  /* CHOPPY: holds seen */
	uint32_t site_count;	  /* WAITING: tasks at the site ... */
	uint32_t site_of;	  /* ... of so many; wait_for() and what runs in it count as one */
	uint32_t site_task;	  /* one of them, SNAP_NONE */
	uint32_t other;		  /* DEADLOCK: the thread at the other end, SNAP_NONE */
	unsigned flags;		  /* 1u << FLAG_... */
	struct culprit culprit;
	struct evidence evidence[EVIDENCE_MAX];
	size_t n_evidence;
	const char *title;  /* "waits in recvfrom", one clause for the reader, a literal */
	const char *advice; /* what to do, a literal */
};

struct diagnosis {
	struct verdict *loops; /* one per loop of the snapshot */
	size_t n;
	struct verdict process; /* when no loop runs, or a rule of the whole process matched */
	enum verdict_id worst;
	uint32_t worst_loop; /* SNAP_NONE: the process itself */
	double window_s;     /* first to last look */
	double since_s;	     /* the full look, which the stack is of, to the last */
	size_t n_looks;	     /* per loop */
};

struct diagnose_options {
	int64_t threshold_ns;
};

/* Freed by diagnosis_destroy(). */
struct diagnosis *diagnose(const struct snapshot *snap, const struct diagnose_options *options);
void diagnosis_destroy(struct diagnosis *d);

/*
 * How much longer to look, in ns, when for_ns were given in all: 0 when another look could not
 * change the verdict. Of for_ns 0, one look, it is 0 unless that one look cannot tell a callback
 * that computes from one that gets no CPU.
 */
int64_t diagnosis_wants(const struct snapshot *snap, const struct diagnosis *d, int64_t for_ns);

const char *verdict_word(enum verdict_id id);
bool verdict_unhealthy(enum verdict_id id);
const char *confidence_word(enum confidence c);
const char *flag_word(enum flag_id id);

/*
 * The same for the same mistake on every host and in every release (fingerprint.c): 16 hexadecimal
 * digits, the FNV-1a hash (64 bits) of kind (the verdict's word where it has none), qualified name
 * of the user's own function and library (empty for code that computes and is in no row of the
 * catalogue), a NUL behind each. False when nobody is to blame.
 */
#define FINGERPRINT_SIZE 17u
bool verdict_fingerprint(const struct snapshot *s, const struct verdict *v, char *ret);

/* The hash itself, into FINGERPRINT_SIZE bytes. */
void fingerprint_of(const char *kind, const char *function, const char *library, char *ret);

/* A hold that reached the threshold. Times: CLOCK_MONOTONIC in ns. */
struct stall {
	uint64_t number; /* of all that were seen, from 1 */
	uint64_t loop;	 /* its address */
	uint32_t index;	 /* of the loop in the snapshot that saw the stall last */
	uint64_t start_ns;
	int64_t held_ns;  /* while it lasts at least, when it is over likely */
	uint64_t over_ns; /* when it was seen to be over; 0: it was not */
	const char *core; /* the owner's: where a core of it was saved; NULL nowhere */
	char *body;	  /* the owner's */
};

/* ---- what tasks wait for (await.c) -------------------------------------------------------- */

/* Rows that were looked up, remembered by the code in a task's stack: for one snapshot. */
struct await_rows {
	struct addrmap seen;
	const struct culprit_row **v;
	size_t n, cap;
};
#define AWAIT_ROWS_INIT              \
	{                            \
		.seen = ADDRMAP_INIT \
	}

/*
 * The `await` row of the catalogue for what a task waits in, NULL none or it runs: that of the
 * outermost library, as with calls; of asyncio itself where no library is in the chain.
 */
const struct culprit_row *await_row(struct await_rows *rows, const struct snapshot *s,
				    const struct snap_task *t);
void await_rows_deinit(struct await_rows *rows);

/* ---- what the words mean (explain.c) ----------------------------------------------------- */

enum explanation_what { EXPLAIN_VERDICT, EXPLAIN_KIND, EXPLAIN_FLAG };

/* One for each verdict, each kind that a verdict can have, and each flag. */
struct explanation {
	enum explanation_what what;
	const char *word;  /* "STALLED"; of a flag its own word, "EXEC-FULL" */
	const char *kind;  /* "gil"; "blocked" for all of blocked.*; "" of the verdict as a whole */
	const char *brief; /* one line of at most 60 columns */
	const char *meaning; /* what is the case */
	const char *known;   /* by what stallscope knows it */
	const char *advice;  /* what to do */
	const char *rows;    /* categories of the catalogue that fall under it, blanks between them:
				"io.db", "cpu" for all of cpu.*; "" none, "*" all that block */
};

/* All of them: each verdict before its kinds, the flags last. */
const struct explanation *explanations(size_t *n);

/* The one for a verdict with a kind ("STALLED", "blocked.io.http"), or for a flag; NULL unknown. */
const struct explanation *explanation_of(const char *word, const char *kind);

/* True when rows of that category fall under it. */
bool explanation_covers(const struct explanation *e, const char *category);

/* The kind of verdict of a loop that is held by (or whose tasks wait in) a call of a category. */
const struct explanation *explanation_of_category(const char *category);

/* The verdict that names the process: of the worst loop, or of the process. */
static inline struct verdict *diagnosis_main(struct diagnosis *d)
{
	return d->worst_loop == SNAP_NONE ? &d->process : &d->loops[d->worst_loop];
}

#endif
