/* SPDX-License-Identifier: Apache-2.0 */
/* state.c - events that change what is watched; keys are in input.c */
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_NS UINT64_C(6000000000)

void tui_init(struct tui_state *s, const struct tui_settings *settings)
{
	*s = (struct tui_state){.cols = 80,
				.rows = 24,
				.view = VIEW_PICKER,
				.ascii = settings->ascii,
				.children = settings->children,
				.group = settings->children,
				.rate = settings->rate,
				.threshold_ns = settings->threshold_ns,
				.input = STRBUF_INIT,
				.search = STRBUF_INIT,
				.filter = STRBUF_INIT,
				.folded = ADDRMAP_INIT};
}

static void watched_destroy(struct watched *w)
{
	picture_unref(w->latest);
	picture_unref(w->shown);
	seen_deinit(&w->history);
	recorded_destroy(w->recorded);
	free(w->argument);
	free(w);
}

void tui_deinit(struct tui_state *s)
{
	for (size_t i = 0; i < s->n_targets; i++)
		watched_destroy(s->targets[i]);
	free(s->survey);
	free(s->effects);
	free(s->list.v);
	free(s->list.groups);
	arena_deinit(&s->list.arena);
	arena_deinit(&s->head.arena);
	addrmap_deinit(&s->folded);
	strbuf_deinit(&s->input);
	strbuf_deinit(&s->search);
	strbuf_deinit(&s->filter);
}

/* ---- what is shown -----------------------------------------------------------------------------
 */

struct watched *tui_target(const struct tui_state *s)
{
	return s->shown < s->n_targets ? s->targets[s->shown] : NULL;
}

const struct picture *tui_picture(const struct tui_state *s)
{
	const struct watched *w = tui_target(s);

	return w ? w->shown : NULL;
}

const struct recorded *tui_recorded(const struct tui_state *s)
{
	const struct watched *w = tui_target(s);

	return w ? w->recorded : NULL;
}

bool tui_is_over(const struct tui_state *s)
{
	size_t i = 0;

	while (i < s->n_targets && s->targets[i]->life == LIFE_RECORDED)
		i++;
	return i && i == s->n_targets;
}

bool tui_has_action(const struct tui_state *s, enum action action)
{
	switch (action) {
	case ACTION_PAUSE:
	case ACTION_FASTER:
	case ACTION_SLOWER:
	case ACTION_THRESHOLD:
		return !tui_is_over(s);
	case ACTION_TREE:
	case ACTION_FOLLOW:
	case ACTION_EVIDENCE:
	case ACTION_WRITE:
		return !tui_recorded(s);
	case ACTION_SORT:
	case ACTION_INVERT:
		return !tui_recorded(s) || s->view == VIEW_GROUPS || s->view == VIEW_PICKER;
	default:
		return true;
	}
}

uint32_t watched_loop(const struct watched *w, const struct picture *p)
{
	for (uint32_t i = 0; w->loop && i < p->d->n; i++)
		if (p->snap.loops[i].run.loop == w->loop)
			return i;
	return p->d->worst_loop;
}

uint32_t tui_loop(const struct tui_state *s)
{
	const struct watched *w = tui_target(s);

	return w && w->shown ? watched_loop(w, w->shown) : SNAP_NONE;
}

const struct pulse_loop *watched_pulse(const struct watched *w, uint64_t loop)
{
	for (size_t i = 0; w->have_pulse && i < w->pulse.n; i++)
		if (w->pulse.loops[i].loop == loop)
			return &w->pulse.loops[i];
	return NULL;
}

uint64_t watched_clock(const struct watched *w, uint64_t now_ns)
{
	uint64_t past = now_ns > w->pulse_at_ns ? now_ns - w->pulse_at_ns : 0;

	if (!w->have_pulse)
		return 0;
	return w->life == LIFE_RECORDED ? w->pulse.clock_ns : w->pulse.clock_ns + past;
}

/* A hold that goes on is as long as the last pulse found it, not as when the picture was taken. */
int64_t watched_late(const struct watched *w, const struct picture *p, uint32_t loop)
{
	const struct verdict *v = picture_verdict(p, loop);
	const struct pulse_loop *pulse;

	if (loop >= p->snap.n_loops)
		return v->have_held ? v->held_ns : v->lag_ns;
	pulse = p == w->latest ? watched_pulse(w, p->snap.loops[loop].run.loop) : NULL;
	if (v->id == VERDICT_STALLED || v->id == VERDICT_DEADLOCK)
		return pulse && pulse->same && pulse->held_ns > v->held_ns ? pulse->held_ns
									   : v->held_ns;
	return v->lag_ns;
}

/* ---- what is to be done, and said --------------------------------------------------------------
 */

void tui_effect(struct tui_state *s, enum effect_kind kind, int64_t number, const char *text)
{
	struct effect *e = array_push(&s->effects, &s->n_effects, &s->effects_cap);

	e->kind = kind;
	e->number = number;
	snprintf(e->text, sizeof(e->text), "%s", text);
}

void tui_say(struct tui_state *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->message, sizeof(s->message), fmt, ap);
	va_end(ap);
	s->message_until_ns = s->now_ns + MESSAGE_NS;
}

/* ---- going from view to view -------------------------------------------------------------------
 */

static bool survey_is_on(enum view view)
{
	return view == VIEW_PICKER;
}

static void enter(struct tui_state *s, enum view view)
{
	if (survey_is_on(view) != survey_is_on(s->view))
		tui_effect(s, EFFECT_SURVEY, survey_is_on(view), "");
	s->view = view;
}

void tui_go(struct tui_state *s, enum view view)
{
	if (view == s->view)
		return;
	/* tabs replace one another; all others lie on top of where they were opened */
	if ((view >= VIEW_TABS || s->view >= VIEW_TABS) && s->depth < VIEWS_DEEP)
		s->below[s->depth++] = s->view;
	if (view < VIEW_TABS)
		s->depth = 0;
	if (view >= VIEW_TABS && view < VIEW_HELP)
		s->places[view] = (struct place){0};
	enter(s, view);
}

bool tui_back(struct tui_state *s)
{
	if (s->depth) {
		enter(s, s->below[--s->depth]);
		return true;
	}
	if (s->view < VIEW_TABS && s->group) {
		enter(s, VIEW_WORKERS);
		return true;
	}
	return false;
}

/* Until the user chooses: of a held loop the stack is what to read, else what tasks wait for. */
static void follow_verdict(struct tui_state *s)
{
	const struct picture *p = tui_picture(s);
	enum verdict_id id;

	if (s->chosen || s->view >= VIEW_TABS)
		return;
	if (tui_recorded(s)) /* what a recording is about are its stalls */
		s->view = VIEW_HISTORY;
	if (!p)
		return;
	id = picture_verdict(p, tui_loop(s))->id;
	s->view = id == VERDICT_HEALTHY || id == VERDICT_WAITING || id == VERDICT_OVERLOADED ||
				  id == VERDICT_BUSY
			  ? VIEW_GROUPS
			  : VIEW_STACK;
}

/* ---- events of targets -------------------------------------------------------------------------
 */

static size_t find_target(const struct tui_state *s, const char *argument)
{
	size_t i = 0;

	while (i < s->n_targets && strcmp(s->targets[i]->argument, argument) != 0)
		i++;
	return i;
}

static void drop(struct tui_state *s, size_t i)
{
	tui_effect(s, EFFECT_CLOSE, 0, s->targets[i]->argument);
	watched_destroy(s->targets[i]);
	memmove(&s->targets[i], &s->targets[i + 1], (s->n_targets - i - 1) * sizeof(s->targets[0]));
	s->n_targets--;
	if (s->shown > i || (s->shown && s->shown == s->n_targets))
		s->shown--;
}

static void watch(struct tui_state *s, const char *argument, bool child)
{
	size_t i = find_target(s, argument);
	struct watched *w;

	if (i < s->n_targets || s->n_targets == TARGETS_KEPT)
		return;
	w = s->targets[s->n_targets++] = mem_zalloc(1, sizeof(*w));
	w->argument = mem_alloc(strlen(argument) + 1);
	strcpy(w->argument, argument);
	w->child = child;
	seen_init(&w->history, s->threshold_ns);
	if (s->n_targets > 1)
		s->group = true;
}

/* A worker that ended is replaced by the one that its parent started in its place. */
static void drop_gone_child(struct tui_state *s)
{
	for (size_t i = 0; i < s->n_targets; i++)
		if (s->targets[i]->child && s->targets[i]->life == LIFE_GONE &&
		    !(i == s->shown && s->view != VIEW_WORKERS)) {
			drop(s, i);
			return;
		}
}

static void watch_children(struct tui_state *s, const struct snapshot *snap)
{
	char pid[16];

	for (size_t i = 0; snap->have_children && i < snap->n_children; i++) {
		snprintf(pid, sizeof(pid), "%d", (int)snap->children[i]);
		if (find_target(s, pid) < s->n_targets)
			continue;
		drop_gone_child(s);
		watch(s, pid, true);
		tui_effect(s, EFFECT_OPEN, 1, pid);
	}
}

/* True when what it shows of tasks and threads is new, and not only the verdict on them. */
static bool take_picture(struct tui_state *s, const struct tui_event *e)
{
	struct watched *w = e->target < s->n_targets ? s->targets[e->target] : NULL;
	bool same;

	if (!w) {
		picture_unref(e->picture);
		return false;
	}
	/* of several loops another one may be the worst now */
	same = w->shown && w->shown->base && w->shown->base == e->picture->base &&
	       watched_loop(w, w->shown) == watched_loop(w, e->picture);
	picture_unref(w->latest);
	w->latest = e->picture;
	seen_picture(&w->history, w->latest);
	if (!s->paused || !w->shown) {
		picture_unref(w->shown);
		w->shown = picture_ref(w->latest);
	}
	if (s->children && e->target == 0)
		watch_children(s, &w->latest->snap);
	return !same;
}

/* The stack has marks of the verdict; what is shown of all tasks takes a while to be made. */
static bool is_of_verdict(enum view view)
{
	return view != VIEW_TASKS && view != VIEW_GROUPS && view != VIEW_MEMBERS;
}

static void take_pulse(struct tui_state *s, const struct tui_event *e)
{
	struct watched *w = e->target < s->n_targets ? s->targets[e->target] : NULL;

	if (!w)
		return;
	w->pulse = *e->pulse;
	w->have_pulse = true;
	w->pulse_at_ns = e->now_ns;
	seen_pulse(&w->history, &w->pulse);
}

static void take_life(struct tui_state *s, const struct tui_event *e)
{
	struct watched *w = e->target < s->n_targets ? s->targets[e->target] : NULL;

	if (!w)
		return;
	w->life = e->life;
	if (w->life == LIFE_GONE)
		seen_end(&w->history);
	snprintf(w->message, sizeof(w->message), "%s", e->text ? e->text : "");
}

static void take_recorded(struct tui_state *s, const struct tui_event *e)
{
	struct watched *w = e->target < s->n_targets ? s->targets[e->target] : NULL;

	if (!w || w->recorded) {
		recorded_destroy(e->recorded);
		return;
	}
	w->recorded = e->recorded;
	recorded_stalls(w->recorded, &w->history);
}

/* Marks stay with their process. */
static void take_survey(struct tui_state *s, const struct tui_event *e)
{
	for (size_t i = 0; i < e->n_survey; i++)
		for (size_t k = 0; k < s->n_survey; k++)
			if (e->survey[i].pid == s->survey[k].pid)
				e->survey[i].marked = s->survey[k].marked;
	free(s->survey);
	s->survey = e->survey;
	s->n_survey = e->n_survey;
	s->surveyed = true;
}

/* What is watched first decides what is seen first. */
static void first_view(struct tui_state *s)
{
	if (s->view == VIEW_PICKER && s->n_targets == 1 && !s->depth)
		s->view = s->group ? VIEW_WORKERS : VIEW_STACK;
	else if (s->n_targets == 2 && s->view < VIEW_TABS && !s->chosen && !s->children)
		s->view = VIEW_WORKERS;
}

static bool in_sight(const struct tui_state *s, const struct tui_event *e)
{
	return s->view == VIEW_WORKERS || (e->target == s->shown && s->view != VIEW_PICKER);
}

/* True when the rows of the view are to be made anew. */
static bool apply(struct tui_state *s, const struct tui_event *e)
{
	bool stale;

	switch (e->kind) {
	case EVENT_KEY:
		return tui_key(s, e->code);
	case EVENT_RESIZE:
		s->cols = e->cols;
		s->rows = e->rows;
		return true;
	case EVENT_PICTURE:
		stale = take_picture(s, e) || is_of_verdict(s->view) || !s->list.n;
		return stale && in_sight(s, e) && (!s->paused || !s->list.n);
	case EVENT_PULSE:
		take_pulse(s, e);
		return in_sight(s, e) && s->view == VIEW_HISTORY && !s->paused;
	case EVENT_RECORDED:
		take_recorded(s, e);
		return in_sight(s, e);
	case EVENT_LIFE:
		take_life(s, e);
		return in_sight(s, e);
	case EVENT_WATCH:
		watch(s, e->text, e->child);
		first_view(s);
		return true;
	case EVENT_UNWATCH:
		if (e->target < s->n_targets)
			drop(s, e->target);
		return true;
	case EVENT_SURVEY:
		take_survey(s, e);
		return s->view == VIEW_PICKER;
	case EVENT_MESSAGE:
		tui_say(s, "%s", e->text);
		return false;
	case EVENT_CLICK:
		return tui_click(s, e->x, e->y, e->twice);
	case EVENT_WHEEL:
		tui_scroll(s, e->lines);
		return false;
	case EVENT_TICK:
		s->spinner++;
		break;
	}
	return false;
}

void tui_update(struct tui_state *s, const struct tui_event *e)
{
	enum view before = s->view;
	bool stale;

	s->now_ns = e->now_ns;
	stale = apply(s, e);
	follow_verdict(s);
	if (s->now_ns >= s->message_until_ns)
		s->message[0] = 0;
	if (stale || s->view != before)
		list_build(s);
	head_build(s); /* of a recording it is on the row of the cursor */
	layout_build(s);
	list_place(s);
}
