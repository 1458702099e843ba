/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_merge.c - one stack out of two
 *
 * A function of C that evaluates Python is found by what the interpreter has on the stack of C for
 * each evaluation (python_evaluations()): the frame that holds this address is it, whatever its
 * name. 3.8 and 3.9 have no such thing; there the functions that are named _PyEval_EvalFrameDefault
 * must be as many as the frames of Python. Where the two stacks do not fit together, no order is
 * made up: the functions below the innermost frame of Python are shown, and nothing else of C.
 */
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "stallscope/arena.h"

#define NOT_ONE UINT32_MAX /* no evaluation */

struct snap_native_frame *native_add(struct snapshot *s, struct snap_thread *thread)
{
	if (!thread->native.n)
		thread->native.first = (uint32_t)s->n_natives;
	thread->native.n++;
	return array_push(&s->natives, &s->n_natives, &s->natives_cap);
}

/* ---- which functions evaluate -------------------------------------------------------------- */

/* gcc splits functions: .cold, .constprop.0, .lto_priv.1 */
static bool is_evaluation(const char *function)
{
	static const char name[] = "_PyEval_EvalFrameDefault", tail_call[] = "_TAIL_CALL_";

	if (!function)
		return false;
	if (!strncmp(function, tail_call, sizeof(tail_call) - 1))
		return true;
	return !strncmp(function, name, sizeof(name) - 1) &&
	       (!function[sizeof(name) - 1] || function[sizeof(name) - 1] == '.');
}

/* The stack pointer of the next outer function: where the locals of this one end. */
static uint64_t end_of(const struct native_stack *native, size_t i)
{
	for (size_t k = i + 1; k < native->n; k++)
		if (!native->frames[k].inlined && native->frames[k].sp > native->frames[i].sp)
			return native->frames[k].sp;
	return native->whole ? UINT64_MAX : native->frames[i].sp;
}

/* By the address on the stack; runs[i] becomes the evaluation in function i. */
static bool find_by_stack(const struct native_parts *p, uint32_t *runs)
{
	uint32_t k = 0;

	for (size_t i = 0; i < p->native->n; i++) {
		const struct native_frame *f = &p->native->frames[i];

		if (f->inlined || k == p->n_evaluations || !p->evaluations[k].stack)
			continue;
		if (p->evaluations[k].stack < f->sp)
			return false;
		if (p->evaluations[k].stack < end_of(p->native, i))
			runs[i] = k++;
	}
	return k == p->n_evaluations || !p->evaluations[k].stack || !p->native->whole;
}

/* A function of the interpreter without a name may be a part of the one that evaluates. */
static bool is_nameless(const struct native_parts *p, const struct native_frame *f)
{
	return !f->function && f->pc - p->main_base < p->main_end - p->main_base;
}

static bool find_by_name(const struct native_parts *p, uint32_t *runs)
{
	bool nameless = false;
	uint32_t k = 0;

	for (size_t i = 0; i < p->native->n; i++) {
		const struct native_frame *f = &p->native->frames[i];

		nameless |= is_nameless(p, f);
		if (f->inlined || !is_evaluation(f->function))
			continue;
		if (k == p->n_evaluations)
			return false;
		runs[i] = k++;
	}
	return k == p->n_evaluations || (!p->native->whole && !nameless);
}

static bool find_evaluations(const struct native_parts *p, uint32_t *runs)
{
	for (size_t i = 0; i < p->native->n; i++)
		runs[i] = NOT_ONE;
	if (!p->n_evaluations)
		return false;
	return p->evaluations[0].stack ? find_by_stack(p, runs) : find_by_name(p, runs);
}

/* ---- the frames ---------------------------------------------------------------------------- */

static const char *kept(struct snapshot *s, const char *text)
{
	return text ? arena_strdup(&s->arena, text) : NULL;
}

static void add_native(struct snapshot *s, struct snap_thread *thread, const struct native_frame *f)
{
	struct snap_native_frame *ret = native_add(s, thread);

	*ret = (struct snap_native_frame){.frame = SNAP_NONE,
					  .address = f->pc,
					  .function = kept(s, f->function),
					  .offset = f->offset,
					  .object = kept(s, f->object),
					  .file = kept(s, f->file),
					  .line = f->line,
					  .inlined = f->inlined};
}

static void add_python(struct snapshot *s, struct snap_thread *thread, uint32_t n, uint32_t *done)
{
	for (; n && *done < thread->stack.n; n--, ++*done)
		native_add(s, thread)->frame = thread->stack.first + *done;
}

static void merge(struct snapshot *s, struct snap_thread *thread, const struct native_parts *p,
		  const uint32_t *runs)
{
	bool below = true;
	uint32_t done = 0;

	for (size_t i = 0; i < p->native->n; i++) {
		if (runs[i] == NOT_ONE) {
			add_native(s, thread, &p->native->frames[i]);
			thread->native.leaf += below;
			continue;
		}
		below = below && !p->evaluations[runs[i]].n;
		add_python(s, thread, p->evaluations[runs[i]].n, &done);
	}
	add_python(s, thread, thread->stack.n, &done); /* C was not unwound as far as this */
	thread->native.state = SNAP_NATIVE_MERGED;
	thread->native.whole = p->native->whole && !thread->stack.truncated;
	thread->native.why = p->native->why;
}

/* Up to the first function that evaluates; all of it where none does. */
static void add_leaf(struct snapshot *s, struct snap_thread *thread, const struct native_parts *p,
		     const uint32_t *runs)
{
	size_t n = 0;

	while (n < p->native->n && runs[n] == NOT_ONE &&
	       (p->native->frames[n].inlined || !is_evaluation(p->native->frames[n].function)))
		n++;
	for (size_t i = 0; i < n; i++)
		add_native(s, thread, &p->native->frames[i]);
	thread->native.leaf = (uint32_t)n;
	thread->native.state = SNAP_NATIVE_LEAF;
	if (n == p->native->n)
		thread->native.why = p->native->why;
}

void native_merge(struct snapshot *s, struct snap_thread *thread, const struct native_parts *p)
{
	uint32_t *runs = mem_alloc((p->native->n + 1) * sizeof(*runs));
	bool fits = find_evaluations(p, runs);

	thread->native = (struct snap_native){.moved = p->moved};
	if (fits && !p->moved) {
		merge(s, thread, p, runs);
	} else {
		thread->native.why = p->moved ? "Python had gone on before it was stopped"
					      : "the stacks of C and Python do not fit together";
		add_leaf(s, thread, p, runs);
	}
	free(runs);
}
