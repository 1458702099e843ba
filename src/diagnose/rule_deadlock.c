/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it waits for cannot come, and that is proven: the loop's thread waits in a callback, and
 * for an end that this loop alone could bring about. Over locks and other threads a wait with a
 * timeout is no deadlock: it may be given up, and the others go on.
 */
#include "rules.h"

/* ---- over a threading lock ------------------------------------------------------------------- */

/* A lock that the object itself or a with statement says who has; a mere variable proves nothing.
 */
static bool holder_known(const struct snap_blocked *w)
{
	return w->kind == SNAP_BLOCKED_FUTEX && w->lock && !w->waits_for_end &&
	       !w->holder_by_local && w->timeout == SNAP_TIMEOUT_NONE;
}

/* Held by a task of this loop that awaits: the loop would have to run it. */
static bool held_by_task(const struct facts *f)
{
	const struct snap_blocked *w = &f->loop->blocked;

	return holder_known(w) && w->holder == SNAP_HOLDER_TASK &&
	       f->snap->tasks[w->holder_task].loop == f->index &&
	       w->holder_task != f->loop->current_task;
}

/* Held by a thread that waits, without a timeout, until this loop has run a coroutine for it. */
static bool held_by_waiter(const struct facts *f)
{
	const struct snap_blocked *w = &f->loop->blocked;
	const struct snap_thread *holder;

	if (!holder_known(w) || w->holder != SNAP_HOLDER_THREAD)
		return false;
	holder = &f->snap->threads[w->holder_thread];
	return holder->waits_for_loop == f->index && holder->waits_forever;
}

static void explain_lock(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	const struct snap_blocked *w = &f->loop->blocked;

	set_verdict(v, VERDICT_DEADLOCK, w->holder_certain ? CONFIDENCE_CERTAIN : CONFIDENCE_HIGH,
		    "threads");
	if (held_by_task(f)) {
		v->title = "its thread waits for a lock that one of its own suspended tasks holds";
		v->advice = "restart it. Never await while holding a threading lock: use "
			    "asyncio.Lock, or release it before the await";
		add_evidence(v, "value stacks", "the lock is held by task %s of this loop",
			     s->tasks[w->holder_task].name);
		v->site_task = w->holder_task;
		return;
	}
	v->other = w->holder_thread;
	v->title = "its thread waits for a lock whose holder waits for this loop";
	v->advice =
		"restart it. Do not call run_coroutine_threadsafe(...).result() while holding a "
		"lock that the loop takes";
	add_evidence(v, w->holder_certain ? "lock object" : "value stacks",
		     "the lock is held by thread %d (%s)", s->threads[w->holder_thread].os.tid,
		     snap_thread_name(&s->threads[w->holder_thread]));
	add_evidence(v, "frames", "which waits in Future.result() for a coroutine of this loop");
}

/* ---- over futures and pools --------------------------------------------------------------------
 */

static void explain_future(const struct facts *f, struct verdict *v)
{
	set_verdict(v, VERDICT_DEADLOCK, CONFIDENCE_CERTAIN, "future");
	v->title = "its thread waits for a result that only this loop can set";
	v->advice = "restart it. On the loop's own thread await the coroutine: "
		    "run_coroutine_threadsafe(...).result() is for other threads";
	if (!f->loop->deadlock.forever)
		v->advice = "On the loop's own thread await the coroutine: the timeout of result() "
			    "only ends the wait with an error";
	add_evidence(v, "Future", "future 0x%llx is not done, and this loop's: %s",
		     (unsigned long long)f->loop->deadlock.future,
		     f->loop->deadlock.proofs[0] ? f->loop->deadlock.proofs[0] : "?");
}

static void explain_ring(const struct facts *f, struct verdict *v)
{
	const struct snap_deadlock *d = &f->loop->deadlock;
	const struct snapshot *s = f->snap;

	set_verdict(v, VERDICT_DEADLOCK, CONFIDENCE_HIGH, "threads");
	v->title = "its thread and others wait for each other";
	v->advice = "restart it. Await across loops with asyncio.wrap_future() instead of blocking "
		    "on Future.result()";
	if (d->n_threads > 1)
		v->other = d->threads[1];
	for (uint32_t i = 0; i < d->n_threads; i++)
		add_evidence(v, "frames", "thread %d (%s) waits for thread %d: %s",
			     s->threads[d->threads[i]].os.tid,
			     snap_thread_name(&s->threads[d->threads[i]]),
			     s->threads[d->threads[(i + 1) % d->n_threads]].os.tid,
			     d->proofs[i] ? d->proofs[i] : "?");
}

static void explain_pool(const struct facts *f, struct verdict *v)
{
	const struct snap_deadlock *d = &f->loop->deadlock;

	set_verdict(v, VERDICT_DEADLOCK, CONFIDENCE_HIGH, "pool");
	v->title = "its thread waits for a connection, and this loop's own tasks have them all";
	v->advice = "give connections back before awaiting; an async engine "
		    "(create_async_engine) waits without holding the loop; pool_timeout ends it";
	add_evidence(v, "pool object", "%lld of %lld %s out, %u with tasks of this loop",
		     (long long)d->checked_out, (long long)d->pool_limit,
		     PLURAL(d->pool_limit, "connection is", "connections are"), d->pool_holders);
}

bool deadlock(const struct facts *f)
{
	/* what has run since the full look may have come out of that wait */
	if (!f->held_now || f->index_moved || f->turn_moved || (f->on_cpu >= 0 && !f->slept))
		return false;
	switch (f->loop->deadlock.kind) {
	case SNAP_DEADLOCK_OWN_FUTURE:
	case SNAP_DEADLOCK_THREADS:
	case SNAP_DEADLOCK_POOL:
		return true;
	default:
		return held_by_task(f) || held_by_waiter(f);
	}
}

void explain_deadlock(const struct facts *f, struct verdict *v)
{
	switch (f->loop->deadlock.kind) {
	case SNAP_DEADLOCK_OWN_FUTURE:
		explain_future(f, v);
		break;
	case SNAP_DEADLOCK_THREADS:
		explain_ring(f, v);
		break;
	case SNAP_DEADLOCK_POOL:
		explain_pool(f, v);
		break;
	default:
		explain_lock(f, v);
	}
	held_evidence(f, v);
}
