/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.h - the ordered tables of rules
 *
 * A rule is a pair of pure functions over facts: `matches` decides, `explain` fills the verdict.
 * The tables that put them in order are in rules.c; the first that matches gives the verdict.
 */
#ifndef STALLSCOPE_DIAGNOSE_RULES_H
#define STALLSCOPE_DIAGNOSE_RULES_H

#include "facts.h"

#define MANY_CALLBACKS 50   /* a batch that is called a flood */
#define HUGE_BATCH     1000 /* callbacks: too many, whatever each costs */
#define ON_CPU_RATIO   0.5

struct rule {
	const char *name;
	bool (*matches)(const struct facts *f);
	void (*explain)(const struct facts *f, struct verdict *v);
};

/* Three literals of a verdict. kind is copied: "" for none. */
void set_verdict(struct verdict *v, enum verdict_id id, enum confidence confidence,
		 const char *kind);

static inline double ns_to_s(int64_t ns)
{
	return (double)ns / 1e9;
}

/* Of the whole process (rule_process.c). */
bool process_frozen(const struct facts *f);
void explain_frozen(const struct facts *f, struct verdict *v);
bool process_stopped(const struct facts *f);
void explain_stopped(const struct facts *f, struct verdict *v);
bool process_traced(const struct facts *f);
void explain_traced(const struct facts *f, struct verdict *v);
bool no_loop(const struct facts *f);
void explain_no_loop(const struct facts *f, struct verdict *v);

/* The thread wants to run and may not (rule_starved.c). */
bool starved_gil(const struct facts *f);
void explain_starved_gil(const struct facts *f, struct verdict *v);
void add_gil_evidence(const struct facts *f, struct verdict *v); /* none when it never waited */
bool starved_cpu(const struct facts *f);
void explain_starved_cpu(const struct facts *f, struct verdict *v);
bool starved_mem(const struct facts *f);
void explain_starved_mem(const struct facts *f, struct verdict *v);

/* It will never go on by itself (rule_deadlock.c). */
bool deadlock(const struct facts *f);
void explain_deadlock(const struct facts *f, struct verdict *v);

/* One callback holds the loop (rule_stalled.c). */
void held_evidence(const struct facts *f, struct verdict *v);
bool stalled_debugger(const struct facts *f);
void explain_debugger(const struct facts *f, struct verdict *v);
bool stalled_nested(const struct facts *f);
void explain_nested(const struct facts *f, struct verdict *v);
bool stalled_gc(const struct facts *f);
void explain_gc(const struct facts *f, struct verdict *v);
bool stalled_blocked(const struct facts *f);
void explain_blocked(const struct facts *f, struct verdict *v);
bool stalled_cpu(const struct facts *f);
void explain_cpu(const struct facts *f, struct verdict *v);

/* Many callbacks, or many short holds (rule_flow.c). */
bool overloaded(const struct facts *f);
void explain_overloaded(const struct facts *f, struct verdict *v);
bool choppy(const struct facts *f);
void explain_choppy(const struct facts *f, struct verdict *v);
bool busy(const struct facts *f);
void explain_busy(const struct facts *f, struct verdict *v);

/* The loop is well, and some of its tasks wait for locks of each other (rule_lock_ring.c). */
bool lock_ring(const struct facts *f);
void explain_lock_ring(const struct facts *f, struct verdict *v);
void add_ring_evidence(const struct facts *f, struct verdict *v); /* where it is likely only */

/* The loop is well, its tasks wait (rule_waiting.c). */
bool waiting(const struct facts *f);
void explain_waiting(const struct facts *f, struct verdict *v);

/* What is said beside the verdict: bits 1u << FLAG_... (flags.c). */
unsigned flags_of_loop(const struct facts *f);

/* False when no rule of the whole process matches: its loops are to be judged. */
bool rules_process(const struct facts *f, struct verdict *v);

/* Always gives a verdict, at the least UNSURE. */
void rules_loop(const struct facts *f, struct verdict *v);

#endif
