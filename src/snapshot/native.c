/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.c - which threads get native frames, and how these are come by
 *
 * A live thread is stopped for its registers and its stack, and for the heads of the innermost
 * frames of Python that the look has found: if these are the same when it stands, and the outer
 * ones are so afterwards, the stacks belong together. A full core has all of it already; one of
 * ours has what was found then, as a note.
 */
#include "native.h"

#include <stdlib.h>
#include <string.h>

#include "stallscope/log.h"

#define FRAMES_HELD 32u	 /* innermost frames of Python that are copied; each costs 1 us */
#define FRAME_HEAD  96u	 /* bytes of a frame of Python that say what it is and where */
#define THREAD_HEAD 256u /* ... of a thread state */
#define TRIES	    2u

struct stacks {
	struct python *py;
	struct snapshot *s;
	const struct snapshot_native_options *o;
	struct source *src;
	struct native *native;
	const char *why; /* a thread that was wanted has none */
	uint32_t threads[SNAP_MAX_LOOPS];
	int32_t tids[SNAP_MAX_LOOPS];
	size_t n;
};

/* ---- which threads ------------------------------------------------------------------------- */

static bool has_thread(const struct stacks *k, int32_t tid)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->tids[i] == tid)
			return true;
	return false;
}

/* NULL: it cannot tell that it was stopped. */
static const char *notices(const struct stacks *k, int32_t tid)
{
	struct source *light = source_again(k->src);
	const char *why = NULL;
	struct os_thread os;

	if (!os_thread_read(light, tid, OS_STAT | OS_SYSCALL, &os, NULL) || !os.have_stat)
		why = "it has ended";
	else if (os.stat.state != 'R' && os.stat.state != 'S')
		why = "it stands, or is in a sleep that nothing interrupts";
	else if (!os.have_syscall)
		why = "its system call is not known";
	else if (!os.syscall.running && os.syscall.number < 0)
		why = "it waits, but in no system call";
	else if (!os.syscall.running)
		why = native_notices(k->src, &os.syscall);
	source_close(light);
	return why;
}

/* Of nested loops one thread runs several. */
static void choose(struct stacks *k, bool recorded)
{
	size_t most = recorded ? SNAP_MAX_LOOPS : STOP_MAX_BYTES / STOP_MAX_STACK / 2;

	for (size_t i = 0; i < k->s->n_loops && k->n < most; i++) {
		uint32_t thread = k->s->loops[i].thread;
		int32_t tid = k->s->threads[thread].os.tid;
		const char *why = NULL;

		if (!tid || has_thread(k, tid))
			continue;
		if (k->o->mode == SNAP_NATIVE_AUTO && !recorded) {
			if (!k->o->held[i])
				continue;
			why = notices(k, tid);
		}
		if (why) {
			k->why = why;
			continue;
		}
		k->threads[k->n] = thread;
		k->tids[k->n++] = tid;
	}
}

/* ---- Python's stack, at that moment -------------------------------------------------------- */

struct python_part {
	struct py_frame *frames;
	struct py_evaluation *evaluations;
	size_t n, n_evaluations;
};

static void read_python(struct python *py, struct source *src, const struct snap_thread *t,
			struct python_part *ret)
{
	bool truncated;

	ret->frames = mem_alloc(PY_MAX_FRAMES * sizeof(*ret->frames));
	ret->evaluations = mem_alloc((PY_MAX_FRAMES + 1) * sizeof(*ret->evaluations));
	python_new_look(py, src);
	if (python_stack(py, t->tstate, ret->frames, PY_MAX_FRAMES, &ret->n, &truncated, NULL))
		ret->n_evaluations =
			python_evaluations(py, t->tstate, ret->frames, ret->n, ret->evaluations);
	else
		ret->n = 0;
	rd_take(&py->rd);
}

static void python_part_deinit(struct python_part *p)
{
	free(p->frames);
	free(p->evaluations);
}

/* The innermost frame may be at another instruction: it runs. */
static bool is_same_stack(const struct stacks *k, const struct snap_thread *t,
			  const struct python_part *p)
{
	if (p->n != t->stack.n)
		return false;
	for (uint32_t i = 0; i < t->stack.n; i++) {
		const struct snap_frame *f = snap_frame_at(k->s, &t->stack, i);

		if (f->address != p->frames[i].address ||
		    snap_code_of(k->s, f)->address != k->py->codes[p->frames[i].code].address ||
		    (i && f->instr != p->frames[i].instr))
			return false;
	}
	return true;
}

/* ---- one thread ---------------------------------------------------------------------------- */

static void unwind(struct stacks *k, uint32_t index, const struct native_thread *what,
		   struct source *moment)
{
	struct snap_thread *t = &k->s->threads[index];
	struct native_stack native;
	struct python_part python;
	struct native_parts parts;

	read_python(k->py, moment, t, &python);
	native_unwind(k->native, what, &native);
	native_symbols(k->native, &native, k->o->lines);
	parts = (struct native_parts){.native = &native,
				      .evaluations = python.evaluations,
				      .n_evaluations = python.n_evaluations,
				      .moved = !is_same_stack(k, t, &python),
				      .main_base = k->py->module.base,
				      .main_end = k->py->module.end};
	native_merge(k->s, t, &parts);
	k->s->native.threads++;
	native_stack_deinit(&native);
	python_part_deinit(&python);
}

/* ---- a live process ------------------------------------------------------------------------ */

static struct stop_range *plan(const struct stacks *k, size_t *n)
{
	struct stop_range *ranges = NULL;
	size_t cap = 0;

	*n = 0;
	for (size_t i = 0; i < k->n; i++) {
		const struct snap_thread *t = &k->s->threads[k->threads[i]];

		*array_push(&ranges, n, &cap) = (struct stop_range){t->tstate, THREAD_HEAD};
		for (uint32_t f = 0; f < t->stack.n && f < FRAMES_HELD; f++)
			*array_push(&ranges, n, &cap) = (struct stop_range){
				snap_frame_at(k->s, &t->stack, f)->address, FRAME_HEAD};
	}
	return ranges;
}

static const struct stop_thread *find_stopped(const struct stop *stop, int32_t tid)
{
	for (size_t i = 0; i < stop->n_threads; i++)
		if (stop->threads[i].tid == tid && stop->threads[i].stopped &&
		    stop->threads[i].n_registers)
			return &stop->threads[i];
	return NULL;
}

static void unwind_stopped(struct stacks *k, uint32_t index, const struct stop_thread *t,
			   struct source *moment)
{
	struct source_registers registers = {.tid = t->tid, .n = t->n_registers};
	uint8_t used[STOP_QUARTERS] = {0};
	struct native_thread what = {&registers, t->sp, t->stack, t->stack_len, used};

	memcpy(registers.v, t->registers, sizeof(registers.v));
	unwind(k, index, &what, moment);
	source_keep_stopped(k->src, t, used);
}

/* Where others have the CPUs a thread may not come to stand in time: it runs on, and is asked
 * again. */
static bool stop_for(struct stacks *k, const struct stop_request *want, struct stop **stop,
		     struct error *err)
{
	for (unsigned i = 1; i < TRIES; i++) {
		if (source_stop(k->src, want, stop, err))
			return true;
		if (err->code != ERR_NOT_STOPPED)
			return false;
	}
	return source_stop(k->src, want, stop, err);
}

static void stop_and_unwind(struct stacks *k)
{
	struct stop_request want = {
		.tids = k->tids, .n_tids = k->n, .registers = true, .stack = STOP_MAX_STACK};
	struct stop_range *ranges = plan(k, &want.n_ranges);
	struct source *moment;
	struct stop *stop;
	struct error err;
	bool stopped;

	want.ranges = ranges;
	stopped = stop_for(k, &want, &stop, &err);
	free(ranges);
	if (!stopped) {
		k->why = arena_strdup(&k->s->arena, err.text);
		k->s->native.failed = true;
		log_info("native frames: %s%s%s", err.text, err.hint[0] ? "; " : "", err.hint);
		return;
	}
	moment = source_of_stop(k->src, stop);
	for (size_t i = 0; i < k->n; i++) {
		const struct stop_thread *t = find_stopped(stop, k->tids[i]);

		if (t)
			unwind_stopped(k, k->threads[i], t, moment);
	}
	python_new_look(k->py, k->src);
	source_keep(k->src, moment);
	source_close(moment);
	stop_destroy(stop);
}

/* ---- a core -------------------------------------------------------------------------------- */

static void unwind_recorded(struct stacks *k)
{
	bool known = false;

	for (size_t i = 0; i < k->n; i++) {
		struct source_registers registers;
		struct native_thread what = {.registers = &registers, .sp = 1};
		struct error err;

		if (!source_core_registers(k->src, k->tids[i], &registers, &err))
			continue;
		unwind(k, k->threads[i], &what, k->src);
		known = true;
	}
	if (!known && k->o->mode == SNAP_NATIVE_ALWAYS)
		k->why = "the recording has none";
	k->s->native.asked = known || k->o->mode == SNAP_NATIVE_ALWAYS;
}

static bool replay(struct stacks *k)
{
	const struct strbuf *note = source_note(k->src, SNAP_NOTE_NATIVE);

	if (!note)
		return false;
	if (!snapshot_native_read(k->s, note))
		log_warn("the native frames in the recording are damaged: they are left out");
	return true;
}

/* ---- the whole ----------------------------------------------------------------------------- */

void snapshot_native(struct python *py, struct snapshot *snap,
		     const struct snapshot_native_options *options)
{
	struct stacks k = {.py = py, .s = snap, .o = options, .src = py->rd.src};
	bool recorded = source_is_recorded(k.src);

	/* a recording of ours has what was asked for when it was made, and no more */
	if (recorded && options->mode != SNAP_NATIVE_NEVER && replay(&k))
		return;
	snap->native = (struct snap_natives){.asked = true, .mode = options->mode};
	if (options->mode == SNAP_NATIVE_NEVER)
		return;
	choose(&k, recorded);
	if (k.n) {
		k.native = native_open(k.src, &snap->process->maps, options->fetch);
		if (recorded)
			unwind_recorded(&k);
		else
			stop_and_unwind(&k);
		native_close(k.native);
	}
	if (!snap->native.threads)
		snap->native.why = k.why;
	snap->stats = source_get_stats(k.src);
}
