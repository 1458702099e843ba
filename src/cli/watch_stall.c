/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hold that reaches the threshold is looked at in full while it lasts: at once, since it may be
 * over soon, then by light looks that tell computing from waiting, and in full again when it is
 * four times as long. The best of these is told when it is over.
 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"
#include "watch.h"

#define FOLLOW_STEP_NS (20 * WATCH_MS)
#define FOLLOW_NS      (200 * WATCH_MS) /* after a capture */
#define RECAPTURE_NS   INT64_C(50000000)
#define FULL_CPU_NS    (100 * WATCH_MS)	   /* for full looks, in a second */
#define SHOWN_NS       INT64_C(1000000000) /* a stall that lasts so long is told while it lasts */
#define SURE_NS	       INT64_C(2000000)	   /* what is known better is not asked */

bool watch_same_turn(const struct snap_loop *l, uint64_t turn)
{
	uint64_t bits;

	if (l->info.is_uvloop)
		return l->info.have_uv_time && (uint64_t)(l->info.uv_time * 1e3 + 0.5) == turn;
	if (l->own_clock)
		return true; /* it is known by its callback only */
	memcpy(&bits, &l->run.end_time, sizeof(bits));
	return l->have_run && l->run.have_end_time && bits == turn;
}

static uint32_t find_loop(const struct snapshot *s, uint64_t address)
{
	for (uint32_t i = 0; i < s->n_loops; i++)
		if (s->loops[i].run.loop == address)
			return i;
	return SNAP_NONE;
}

static void reset(struct watched_loop *l, int64_t threshold_ns)
{
	free(l->stall.body);
	free(l->words);
	free(l->core);
	free(l->choppy.sample);
	l->words = l->core = l->choppy.sample = NULL;
	l->stall = (struct stall){.loop = l->stall.loop};
	l->captures = 0;
	l->capture_held_ns = threshold_ns;
	l->follow_ns = 0;
	l->is_dismissed = l->is_open = l->is_told = l->is_shown = l->is_skipped = false;
	l->learnt = 0;
	l->key[0] = 0;
	memset(l->met, 0, sizeof(l->met));
}

static char *text_of(const struct strbuf *text)
{
	char *copy = mem_alloc(text->len + 1);

	memcpy(copy, text->data, text->len);
	copy[text->len] = 0;
	return copy;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void tell_exec(struct watch *w, const char *type)
{
	if (w->exec)
		watch_exec_event(w->exec, type, w->line.data, w->line.len);
}

static void tell_begin(struct watch *w, struct watched *t, struct watched_loop *l)
{
	if (!l->is_told) {
		l->is_told = true;
		l->stall.number = ++w->bye.stalls;
		if (!watch_is_text(w)) {
			render_stall_begin(&t->clock, &l->stall, &w->line);
			watch_flush(w);
		}
	}
	if (l->is_shown || l->stall.held_ns < SHOWN_NS)
		return;
	l->is_shown = true;
	w->told++;
	render_stall_begin(&t->clock, &l->stall, &w->line);
	tell_exec(w, "stall_begin");
	strbuf_reset(&w->line);
	if (!watch_is_text(w))
		return;
	render_stall_text(&t->clock, &l->stall, l->words, true, w->o.ascii, &w->line);
	watch_flush(w);
}

static void tell_whole(struct watch *w, struct watched *t, struct watched_loop *l)
{
	if (!l->is_told)
		l->stall.number = ++w->bye.stalls;
	w->told += !l->is_shown;
	if ((uint64_t)l->stall.held_ns > w->longest_held_ns)
		w->longest_held_ns = (uint64_t)l->stall.held_ns;
	if (!watch_is_text(w) && l->is_told && l->stall.over_ns) {
		render_stall_end(&t->clock, &l->stall, &w->line);
		watch_flush(w);
	}
	render_stall(&t->clock, &l->stall, &w->line);
	tell_exec(w, "stall");
	if (watch_is_text(w)) {
		strbuf_reset(&w->line);
		render_stall_text(&t->clock, &l->stall, l->words, !l->stall.over_ns, w->o.ascii,
				  &w->line);
	}
	watch_flush(w);
}

/* ---- looks at what lasts --------------------------------------------------------------------- */

/* A full look that finds nothing wrong came when the hold was over, or between two of them. */
static bool is_met(const struct verdict *v)
{
	return verdict_unhealthy(v->id) || v->id == VERDICT_TRACED;
}

/*
 * A turn may have more than one callback, and a process that got no CPU may not have come to the
 * one that takes so long: the one to blame is who was met by most captures, the last of these.
 */
static bool is_met_most(struct watched_loop *l, const struct snapshot *s, const struct verdict *v)
{
	char fingerprint[FINGERPRINT_SIZE] = "";
	struct watched_met *at = NULL;
	unsigned most = 0;

	verdict_fingerprint(s, v, fingerprint);
	for (size_t i = 0; i < ARRAY_SIZE(l->met); i++) {
		if (!at && (!l->met[i].times || !strcmp(l->met[i].fingerprint, fingerprint)))
			at = &l->met[i];
		if (l->met[i].times > most)
			most = l->met[i].times;
	}
	if (!at)
		return false;
	memcpy(at->fingerprint, fingerprint, sizeof(fingerprint));
	return ++at->times >= most;
}

/* As it is to be told: with lines of source, or without what --redact takes out. */
static void dress(struct look *k)
{
	if (!k->o->redact) {
		look_fetch_sources(k);
		return;
	}
	snapshot_redact(k->snap);
	look_judge(k);
}

/* Takes what the last look says, unless an earlier one was surer. */
static void learn(struct watched *t, struct watched_loop *l, uint32_t index)
{
	const struct verdict *v = &t->look.d->loops[index];
	struct render_options options = look_rendering(&t->look);
	cleanup_strbuf struct strbuf body = STRBUF_INIT, words = STRBUF_INIT;

	/* a loop inside its own callback turns; a wait that a full look finds in order is none */
	l->is_dismissed =
		!is_met(v) && !l->is_open && (t->look.snap->loops[index].nested || l->hold.is_late);
	if (!is_met(v))
		return;
	if (l->learnt != l->captures) {
		l->learnt = l->captures;
		l->is_skipped = !is_met_most(l, t->look.snap, v);
	} else if (v->confidence < l->confidence ||
		   (v->confidence == l->confidence && v->id == l->verdict)) {
		return; /* a light look that says no more */
	}
	if (l->is_skipped)
		return;
	l->verdict = v->id;
	dress(&t->look);
	v = &t->look.d->loops[index];
	choppy_key(t->look.snap, v, l->key);
	l->stall.index = index;
	l->confidence = v->confidence;
	render_stall_body(t->look.snap, t->look.d, &options, &l->stall, &body);
	render_stall_words(t->look.snap, t->look.d, index, &words);
	free(l->stall.body);
	free(l->words);
	l->stall.body = text_of(&body);
	l->words = text_of(&words);
	l->is_open = true;
}

static void update(struct watched_loop *l, const struct pulse_reading *r)
{
	l->stall.loop = r->loop;
	l->stall.start_ns = l->hold.since_ns;
	l->stall.held_ns = hold_least_ns(&l->hold);
}

/* The series of looks goes on from one capture of a stall to the next; it does not begin before. */
static bool look_in_full(struct watched *t, bool first, struct error *err)
{
	if (first) {
		diagnosis_destroy(t->look.d);
		snapshot_destroy(t->look.snap);
		t->look.d = NULL;
		t->look.snap = NULL;
	}
	source_forget(t->target.src);
	python_new_look(t->target.py, t->target.src);
	return look_take(&t->look, err);
}

static void save(struct watch *w, struct watched *t, struct watched_loop *l)
{
	l->core =
		watch_save_stall(w->save, w, t, l->stall.loop, l->hold.is_late ? 0 : l->hold.turn);
	l->stall.core = l->core;
}

/* What a full look would find is what the last one found: a light look tells that, at a tenth. */
static bool stands_still(struct watched *t, const struct watched_loop *l)
{
	struct snapshot *s = t->look.snap;
	size_t looks = s ? s->n_looks : 0;

	if (!s || !snapshot_look(t->target.py, t->light, s, NULL) || s->n_looks == looks)
		return false;
	look_judge(&t->look);
	return snapshot_stands(s, l->stall.loop);
}

static void capture(struct watch *w, struct watched *t, struct watched_loop *l,
		    const struct pulse_reading *r)
{
	int64_t again = 4 * hold_least_ns(&l->hold);
	uint64_t cpu = watch_cpu();
	bool first = !l->captures, stands;
	uint32_t index;

	if (w->full_cpu_ns > FULL_CPU_NS) /* of this second: one that is held all the time */
		return;
	l->capture_held_ns = again > RECAPTURE_NS ? again : RECAPTURE_NS;
	l->captures++;
	stands = !first && stands_still(t, l);
	if (stands || look_in_full(t, first, NULL)) {
		index = find_loop(t->look.snap, r->loop);
		if (index != SNAP_NONE &&
		    (l->hold.is_late ||
		     watch_same_turn(&t->look.snap->loops[index], l->hold.turn))) {
			if (!stands && w->o.native != SNAP_NATIVE_NEVER)
				look_at_native(&t->look);
			learn(t, l, index);
			l->follow_ns = r->clock_ns + FOLLOW_STEP_NS;
			l->follow_until_ns = r->clock_ns + FOLLOW_NS;
			if (w->save && l->is_open && l->captures == 1)
				save(w, t, l);
		}
	}
	w->full_cpu_ns += watch_cpu() - cpu;
}

static void follow(struct watch *w, struct watched *t, struct watched_loop *l,
		   const struct pulse_reading *r)
{
	uint64_t cpu = watch_cpu();
	uint32_t index;

	l->follow_ns = r->clock_ns + FOLLOW_STEP_NS;
	if (!t->look.snap || !snapshot_look(t->target.py, t->light, t->look.snap, NULL))
		return;
	look_judge(&t->look);
	index = find_loop(t->look.snap, r->loop);
	if (index != SNAP_NONE)
		learn(t, l, index);
	/* that a thread waits for the GIL is told by some looks only */
	if (r->clock_ns >= l->follow_until_ns ||
	    (!l->is_dismissed && diagnosis_wants(t->look.snap, t->look.d, (int64_t)FOLLOW_NS) <= 0))
		l->follow_ns = 0;
	w->full_cpu_ns += watch_cpu() - cpu;
}

/* ---- the end of a hold ----------------------------------------------------------------------- */

/* When a look came late the loop may tell by itself when it was done. */
static void settle_end(struct watched *t, size_t i, struct hold *over, int64_t threshold_ns)
{
	uint64_t since;

	if (!over->is_lost && hold_most_ns(over) >= threshold_ns &&
	    hold_most_ns(over) - hold_least_ns(over) > SURE_NS &&
	    pulse_select_since(t->pulse, i, &since) && since >= over->seen_ns &&
	    since < over->over_ns)
		over->over_ns = since;
}

static void unseen(struct watched *t, struct watched_loop *l)
{
	struct render_options options = look_rendering(&t->look);
	cleanup_strbuf struct strbuf body = STRBUF_INIT, words = STRBUF_INIT;

	if (!t->look.snap)
		return;
	render_stall_unseen(t->look.snap, &options, l->tid, &body);
	strbuf_addstr(&words, "not looked at in full: over too soon, or too many at once");
	l->stall.body = text_of(&body);
	l->words = text_of(&words);
	l->is_open = true;
}

static void over(struct watch *w, struct watched *t, size_t i, struct hold *h)
{
	struct watched_loop *l = &t->loops[i];

	settle_end(t, i, h, (int64_t)w->pace.threshold);
	if (!l->is_dismissed && hold_least_ns(h) >= (int64_t)w->pace.threshold) {
		l->stall.start_ns = h->since_ns;
		l->stall.held_ns = hold_likely_ns(h);
		l->stall.over_ns = h->over_ns;
		if (!l->is_open && !h->is_late)
			unseen(t, l);
		if (l->is_open)
			tell_whole(w, t, l);
		if (l->is_open && l->stall.over_ns)
			choppy_add(l, h, true);
	} else if (!h->is_late && !l->is_dismissed) {
		w->bye.maybe += hold_most_ns(h) >= (int64_t)w->pace.threshold && !h->is_lost;
		if (hold_likely_ns(h) >= (int64_t)w->pace.least &&
		    hold_most_ns(h) < (int64_t)w->pace.threshold) {
			w->bye.short_holds++;
			choppy_add(l, h, false);
		}
	}
	reset(l, w->o.threshold_ns);
}

/* ---- one look -------------------------------------------------------------------------------- */

/* A full look at a hold that is no stall yet, judged as if it were one. */
static void sample(struct watch *w, struct watched *t, struct watched_loop *l,
		   const struct pulse_reading *r)
{
	struct render_options options = look_rendering(&t->look);
	cleanup_strbuf struct strbuf body = STRBUF_INIT;
	int64_t threshold_ns = w->o.threshold_ns;
	uint64_t cpu = watch_cpu();
	uint32_t index;

	w->o.threshold_ns = (int64_t)w->pace.least;
	if (w->full_cpu_ns <= FULL_CPU_NS && look_in_full(t, true, NULL)) {
		index = find_loop(t->look.snap, r->loop);
		if (index != SNAP_NONE &&
		    watch_same_turn(&t->look.snap->loops[index], l->hold.turn)) {
			dress(&t->look);
			l->stall.index = index;
			render_stall_body(t->look.snap, t->look.d, &options, &l->stall, &body);
			choppy_sample(l, t->look.snap, &t->look.d->loops[index], body.data);
		}
	}
	w->o.threshold_ns = threshold_ns;
	w->full_cpu_ns += watch_cpu() - cpu;
}

static void look_at_hold(struct watch *w, struct watched *t, struct watched_loop *l,
			 const struct pulse_reading *r)
{
	if (!l->captures)
		l->capture_held_ns = w->o.threshold_ns;
	if (hold_least_ns(&l->hold) < w->o.threshold_ns) {
		if (hold_least_ns(&l->hold) >= (int64_t)w->pace.least && choppy_wants(l, r))
			sample(w, t, l, r);
		return;
	}
	update(l, r);
	if (hold_least_ns(&l->hold) >= l->capture_held_ns)
		capture(w, t, l, r);
	else if (l->follow_ns && r->clock_ns >= l->follow_ns)
		follow(w, t, l, r);
	if (l->is_open && !l->is_dismissed)
		tell_begin(w, t, l);
}

void watched_look(struct watch *w, struct watched *t, size_t i)
{
	struct watched_loop *l = &t->loops[i];
	struct pulse_reading r;
	struct hold ended;
	uint64_t next;

	pulse_look(t->pulse, i, &r);
	l->tid = r.tid;
	if (hold_look(&l->hold, &r, &ended))
		over(w, t, i, &ended);
	if (l->hold.on)
		look_at_hold(w, t, l, &r);
	if (r.state == PULSE_LOST) {
		watched_lost_loops(t, watch_now());
		w->ends_ns = 0;
	}
	choppy_serve(w, t, l, r.clock_ns, false);
	next = hold_next(&l->hold, &w->pace, w->regular_ns + (uint64_t)t->ahead_ns);
	l->due_ns = next - (uint64_t)t->ahead_ns;
}

void watched_finish(struct watch *w, struct watched *t, uint64_t over_ns)
{
	for (size_t i = 0; i < t->n; i++) {
		struct watched_loop *l = &t->loops[i];

		if (l->hold.on) {
			l->hold.is_lost = true;
			l->hold.over_ns = over_ns;
			over(w, t, i, &l->hold);
		}
		l->hold = (struct hold){0};
		reset(l, w->o.threshold_ns);
		choppy_serve(w, t, l, over_ns ? over_ns : watch_now() + (uint64_t)t->ahead_ns,
			     true);
	}
}
