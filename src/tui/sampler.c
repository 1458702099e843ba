/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread and one target. A full look first, as fast as it goes, then light ones at an uneven
 * pace. A new full look is taken when something began (a hold reached the threshold, a held loop
 * went on to other code) and from time to time; both have to be paid from a budget, so that a
 * process with many tasks costs no more than one with few.
 */
#include "sampler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

#define MS	      INT64_C(1000000)
#define SECOND	      (1000 * MS)
#define WINDOW_NS     (10 * SECOND) /* of looks that a verdict is made of */
#define KERNEL_NS     (5 * SECOND)  /* over which counters of the kernel are compared */
#define FIRST_FOR_NS  (200 * MS)    /* looks come fast at first, until the verdict is certain */
#define FIRST_STEP_NS (20 * MS)

/*
 * CPU time for full looks and verdicts: so much of the wall time, saved up to so much. Something
 * new may use all of it, what is only to be refreshed half.
 */
#define BUDGET_RATIO 0.008
#define BUDGET_MOST  (400 * MS)
#define BRIEF_TASKS  1000u /* of a look at what holds a loop, where one at all tasks is too dear */
#define DEAR_NS	     (20 * MS)
#define REFRESH_NS   SECOND /* not more often without a reason */
#define REASON_NS    (50 * MS)

struct sampler {
	struct tui_thread thread;
	int wake;
	char *argument;
	uint64_t max_tasks;

	/* under the lock */
	bool stop, refresh, native;
	int rate;
	int64_t threshold_ns;
	struct sampler_news news;

	/* the thread's own */
	struct opened *target;
	struct source *light;
	struct base *base;
	struct snapshot view; /* of base, with looks that go on */
	struct diagnosis *d;
	uint64_t number, seed;
	bool brief; /* base is */
	int64_t budget_ns, earned_at_ns, taken_at_ns, judged_at_ns;
	int64_t look_cost_ns, brief_cost_ns, judge_cost_ns, kernel_at_ns, overloaded_at_ns;
	struct snap_kernel kernel_before;
};

static int64_t now_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static int64_t now(void)
{
	return now_of(CLOCK_MONOTONIC);
}

/* ---- handing over ------------------------------------------------------------------------------
 */

static void ring(struct sampler *s)
{
	uint64_t one = 1;

	if (write(s->wake, &one, sizeof(one)) < 0) /* full: it is awake already */
		return;
}

static void publish_life(struct sampler *s, enum life life, const char *text)
{
	pthread_mutex_lock(&s->thread.lock);
	s->news.have_life = true;
	s->news.life = life;
	snprintf(s->news.message, sizeof(s->news.message), "%s", text);
	pthread_mutex_unlock(&s->thread.lock);
	ring(s);
}

static void publish_pulse(struct sampler *s)
{
	struct sampler_news *news = &s->news;
	struct pulse pulse;

	pulse_make(&s->view, &pulse);
	pthread_mutex_lock(&s->thread.lock);
	if (news->n_pulses == PULSES_KEPT) {
		memmove(news->pulses, news->pulses + 1, (PULSES_KEPT - 1) * sizeof(pulse));
		news->n_pulses--;
	}
	news->pulses[news->n_pulses++] = pulse;
	pthread_mutex_unlock(&s->thread.lock);
	ring(s);
}

static void hand_over(struct sampler *s, struct picture *p)
{
	struct picture *old;

	pthread_mutex_lock(&s->thread.lock);
	old = s->news.picture;
	s->news.picture = p;
	pthread_mutex_unlock(&s->thread.lock);
	picture_unref(old);
	ring(s);
}

/*
 * A loop with far too much to do is seen at the beginning of a turn now and then, where it only
 * looks like one that is held again and again: one such look does not unsay what was seen.
 */
static bool is_lull(struct sampler *s)
{
	static const int64_t lull_ns = 3 * SECOND;

	if (s->d->worst == VERDICT_OVERLOADED)
		s->overloaded_at_ns = now();
	return (s->d->worst == VERDICT_CHOPPY || s->d->worst == VERDICT_BUSY) &&
	       s->overloaded_at_ns && now() - s->overloaded_at_ns < lull_ns;
}

/* The diagnosis goes with it. */
static void publish_picture(struct sampler *s)
{
	struct picture *p;

	if (is_lull(s))
		return;
	p = picture_new(s->base, &s->view, s->d);
	s->d = NULL;
	p->number = s->number;
	p->brief = s->brief;
	hand_over(s, p);
}

void sampler_fetch(struct sampler *s, struct sampler_news *ret)
{
	pthread_mutex_lock(&s->thread.lock);
	*ret = s->news;
	s->news.picture = NULL;
	s->news.recorded = NULL;
	s->news.n_pulses = 0;
	s->news.have_life = false;
	pthread_mutex_unlock(&s->thread.lock);
}

static int64_t threshold(struct sampler *s)
{
	int64_t ns;

	pthread_mutex_lock(&s->thread.lock);
	ns = s->threshold_ns;
	pthread_mutex_unlock(&s->thread.lock);
	return ns;
}

/* ---- budget ------------------------------------------------------------------------------------
 */

static void earn(struct sampler *s)
{
	int64_t t = now(), most;

	s->budget_ns += (int64_t)((double)(t - s->earned_at_ns) * BUDGET_RATIO);
	s->earned_at_ns = t;
	most = 2 * s->look_cost_ns > BUDGET_MOST ? 2 * s->look_cost_ns : BUDGET_MOST;
	if (s->budget_ns > most)
		s->budget_ns = most;
}

static bool can_pay(struct sampler *s, int64_t cost_ns, bool reason)
{
	earn(s);
	return reason ? s->budget_ns >= cost_ns : s->budget_ns >= 2 * cost_ns;
}

/* ---- looking -----------------------------------------------------------------------------------
 */

/* Looks that are older than the window are of no verdict any more. */
static void trim_looks(struct snapshot *view)
{
	uint64_t last = view->n_looks ? view->looks[view->n_looks - 1].clock_ns : 0;
	size_t old = 0;

	while (old < view->n_looks && view->looks[old].clock_ns + (uint64_t)WINDOW_NS < last)
		old++;
	if (!old)
		return;
	view->n_looks -= old;
	memmove(view->looks, view->looks + old, view->n_looks * sizeof(*view->looks));
}

/* Counters of the kernel are compared over the last seconds, not since we began. */
static void slide_kernel(struct sampler *s)
{
	if (now() - s->kernel_at_ns < KERNEL_NS)
		return;
	s->kernel_at_ns = now();
	if (s->kernel_before.clock_ns)
		s->view.kernel_first = s->kernel_before;
	s->kernel_before = s->view.kernel_last;
}

static bool light_look(struct sampler *s, struct error *err)
{
	if (!snapshot_look(s->target->py, s->light, &s->view, err))
		return false;
	trim_looks(&s->view);
	slide_kernel(s);
	return true;
}

static void judge(struct sampler *s)
{
	struct diagnose_options options = {threshold(s)};
	int64_t begin = now_of(CLOCK_THREAD_CPUTIME_ID);

	diagnosis_destroy(s->d);
	s->d = diagnose(&s->view, &options);
	s->judge_cost_ns = now_of(CLOCK_THREAD_CPUTIME_ID) - begin;
	s->judged_at_ns = now();
}

/* Of a brief look the tasks were not counted by reading them: the counters of light looks tell. */
static void count_tasks(struct snapshot *view)
{
	for (size_t i = 0; i < view->n_loops; i++)
		if (view->loops[i].growth.tasks_last > (int64_t)view->loops[i].tasks &&
		    view->loops[i].growth.tasks_last <= (int64_t)SNAP_MAX_TASKS)
			view->loops[i].tasks = (uint32_t)view->loops[i].growth.tasks_last;
}

static bool wants_native(struct sampler *s)
{
	bool wanted;

	pthread_mutex_lock(&s->thread.lock);
	wanted = s->native;
	pthread_mutex_unlock(&s->thread.lock);
	return wanted;
}

/*
 * Functions of C: the one thing here that stops a thread, and only one that is held. Behind the
 * looks, as a stop leaves traces in what they measure; before base is shown to anybody.
 */
static void add_native(struct sampler *s)
{
	struct snapshot *snap = s->base->snap;
	struct snapshot_native_options options = {.mode = SNAP_NATIVE_AUTO};
	bool any = false, *held = mem_zalloc(snap->n_loops + 1, sizeof(*held));

	for (size_t i = 0; i < snap->n_loops && i < s->d->n; i++)
		any |= held[i] = s->d->loops[i].id == VERDICT_STALLED ||
				 s->d->loops[i].id == VERDICT_DEADLOCK;
	options.held = held;
	if (any) {
		snapshot_native(s->target->py, snap, &options);
		s->view.natives = snap->natives;
		s->view.n_natives = snap->n_natives;
		s->view.native = snap->native;
		judge(s);
	}
	free(held);
}

/* A second, light look belongs to the full one: it tells for how long tasks have waited. */
static bool take_look(struct sampler *s, bool brief, struct error *err)
{
	struct snapshot_options options = {.max_tasks = brief ? BRIEF_TASKS : s->max_tasks};
	int64_t begin = now_of(CLOCK_THREAD_CPUTIME_ID), cost;
	struct snapshot *snap;

	if (s->base) {
		source_forget(s->target->src);
		python_new_look(s->target->py, s->target->src);
	}
	if (!snapshot_take(s->target->py, s->target->proc, &options, &snap, err))
		return false;
	if (s->base)
		snapshot_keep_looks(snap, &s->view);
	picture_view_deinit(&s->view);
	base_unref(s->base);
	picture_sources(snap, s->target->src);
	atomic_fetch_add(&s->target->refs, 1);
	s->base = base_new(s->target, snap);
	picture_view_init(&s->view, snap);
	s->number++;
	s->brief = brief;
	s->taken_at_ns = now();
	if (!light_look(s, err))
		return false;
	snapshot_ages(&s->view);
	if (brief)
		count_tasks(&s->view);
	judge(s);
	if (wants_native(s))
		add_native(s);
	cost = now_of(CLOCK_THREAD_CPUTIME_ID) - begin;
	s->budget_ns -= cost;
	if (brief)
		s->brief_cost_ns = cost;
	else
		s->look_cost_ns = cost;
	publish_pulse(s);
	publish_picture(s);
	return true;
}

/* ---- what calls for a full look ----------------------------------------------------------------
 */

static const struct snap_look *newest(const struct snapshot *view, uint64_t loop)
{
	for (size_t i = view->n_looks; i-- > 0;)
		if (view->looks[i].loop == loop)
			return &view->looks[i];
	return NULL;
}

/* A hold that the picture does not show, or that it shows in other code than it is in now. */
static bool loop_has_news(const struct snap_loop *l, const struct snap_look *look,
			  int64_t threshold_ns)
{
	double turn = picture_turn(l);
	bool held, shown;

	if (!look || !look->found || l->own_clock)
		return false;
	held = look->end_time > 0 &&
	       (int64_t)look->clock_ns - aio_ns(look->end_time) >= threshold_ns;
	shown = turn > 0 && l->have_held && l->held_ns >= threshold_ns;
	if (held != shown)
		return true;
	return held &&
	       (look->end_time > turn + 1e-6 || (l->have_run && look->handle != l->run.handle));
}

static bool has_news(const struct snapshot *view, int64_t threshold_ns)
{
	for (size_t i = 0; i < view->n_loops; i++)
		if (loop_has_news(&view->loops[i], newest(view, view->loops[i].run.loop),
				  threshold_ns))
			return true;
	return false;
}

/* The stack of a loop that is held by code which computes is of a moment. */
static bool wants_refresh(struct sampler *s)
{
	return now() - s->taken_at_ns >= REFRESH_NS &&
	       can_pay(s, s->look_cost_ns + s->judge_cost_ns, false);
}

enum wish { WISH_NOTHING, WISH_BRIEF, WISH_FULL };

/* A look at what holds the loop, of all tasks where that can be paid. */
static enum wish wish_for_reason(struct sampler *s)
{
	if (now() - s->taken_at_ns < REASON_NS)
		return WISH_NOTHING;
	if (can_pay(s, s->look_cost_ns, true))
		return WISH_FULL;
	return s->look_cost_ns > DEAR_NS && can_pay(s, s->brief_cost_ns, true) ? WISH_BRIEF
									       : WISH_NOTHING;
}

static enum wish wish(struct sampler *s)
{
	enum wish wish = WISH_NOTHING;
	bool asked;

	pthread_mutex_lock(&s->thread.lock);
	asked = s->refresh;
	s->refresh = false;
	pthread_mutex_unlock(&s->thread.lock);
	if (asked)
		return WISH_FULL;
	if (has_news(&s->view, threshold(s)))
		wish = wish_for_reason(s);
	return wish == WISH_NOTHING && wants_refresh(s) ? WISH_FULL : wish;
}

/* ---- the thread --------------------------------------------------------------------------------
 */

/* From three quarters of a step to five: looks at an even pace fall into step with a loop. */
static int64_t uneven(struct sampler *s, int64_t step)
{
	s->seed = s->seed * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX */
	return step * 3 / 4 + (int64_t)((double)(step / 2) * ((double)(s->seed >> 32) / 0x1p32));
}

/* False: it is to end. */
static bool pause_for(struct sampler *s, int64_t ns)
{
	int64_t until = now() + ns;
	struct timespec ts = {until / SECOND, until % SECOND};
	bool go_on;

	pthread_mutex_lock(&s->thread.lock);
	while (!s->stop && !s->refresh)
		if (pthread_cond_timedwait(&s->thread.changed, &s->thread.lock, &ts) == ETIMEDOUT)
			break;
	go_on = !s->stop;
	pthread_mutex_unlock(&s->thread.lock);
	return go_on;
}

static int64_t step_of(struct sampler *s)
{
	int64_t step, since = now() - s->taken_at_ns;
	bool early;

	pthread_mutex_lock(&s->thread.lock);
	step = SECOND / s->rate;
	pthread_mutex_unlock(&s->thread.lock);
	early = since < FIRST_FOR_NS && s->look_cost_ns < 5 * MS;
	if (early && step > FIRST_STEP_NS)
		return FIRST_STEP_NS;
	return uneven(s, step);
}

/* The verdict with the newest looks in it: cheap of few tasks, and paid like a look of many. */
static void judge_again(struct sampler *s)
{
	bool early = now() - s->taken_at_ns < FIRST_FOR_NS;

	if ((!early && now() - s->judged_at_ns < SECOND / 4) ||
	    !can_pay(s, s->judge_cost_ns, early))
		return;
	judge(s);
	s->budget_ns -= s->judge_cost_ns;
	publish_picture(s);
}

/* False: the target is gone; err says how. */
static bool look_on(struct sampler *s, struct error *err)
{
	while (pause_for(s, step_of(s))) {
		enum wish w;

		if (!light_look(s, err))
			return false;
		w = wish(s);
		if (w != WISH_NOTHING) {
			if (!take_look(s, w == WISH_BRIEF, err))
				return false;
			continue;
		}
		publish_pulse(s);
		judge_again(s);
	}
	return true;
}

static bool open_target(struct sampler *s, struct error *err)
{
	if (!opened_open(s->argument, &s->target, err))
		return false;
	s->light = source_again(s->target->src);
	return true;
}

static void close_target(struct sampler *s)
{
	picture_view_deinit(&s->view);
	s->view = (struct snapshot){0};
	diagnosis_destroy(s->d);
	s->d = NULL;
	base_unref(s->base);
	s->base = NULL;
	source_close(s->light);
	s->light = NULL;
	opened_unref(s->target);
	s->target = NULL;
}

static void error_text(const struct error *err, char *buf, size_t size)
{
	snprintf(buf, size, "%.250s%s%.140s", err->text, err->hint[0] ? ". " : "", err->hint);
}

static void replay(struct sampler *s)
{
	struct picture *p;
	struct error err;
	char text[400];

	if (!picture_of_recording(s->target, s->max_tasks, threshold(s), &p, &err)) {
		error_text(&err, text, sizeof(text));
		publish_life(s, LIFE_FAILED, text);
		return;
	}
	picture_view_init(&s->view, &p->snap);
	publish_life(s, LIFE_RECORDED, "");
	publish_pulse(s);
	hand_over(s, p);
}

/* A recording is read as a whole: that may take seconds, of which the screen shows that it does. */
static void replay_recording(struct sampler *s)
{
	struct recorded *r;
	struct error err;
	char text[400];

	if (!recorded_read(s->argument, &r, &err)) {
		error_text(&err, text, sizeof(text));
		publish_life(s, LIFE_FAILED, text);
		return;
	}
	recorded_note(r, text, sizeof(text));
	pthread_mutex_lock(&s->thread.lock);
	s->news.recorded = r;
	pthread_mutex_unlock(&s->thread.lock);
	publish_life(s, LIFE_RECORDED, text);
}

/* Watches until the target is gone; true when it is to be opened again, as another program. */
static bool watch(struct sampler *s, bool again)
{
	struct error err = {.code = ERR_OK};
	char text[400];
	bool gone;

	if (!open_target(s, &err)) {
		error_text(&err, text, sizeof(text));
		if (!again)
			publish_life(s, LIFE_FAILED, text);
		return false;
	}
	if (source_is_recorded(s->target->src)) {
		replay(s);
		return false;
	}
	publish_life(s, LIFE_LIVE, again ? "the process became another program" : "");
	if (take_look(s, false, &err) && look_on(s, &err))
		return false;
	gone = !source_alive(s->target->src);
	if (gone)
		snprintf(text, sizeof(text), "the process has ended");
	else
		error_text(&err, text, sizeof(text));
	publish_life(s, gone ? LIFE_GONE : LIFE_LIVE, text);
	return gone || !s->base;
}

static bool stopped(struct sampler *s)
{
	bool stop;

	pthread_mutex_lock(&s->thread.lock);
	stop = s->stop;
	pthread_mutex_unlock(&s->thread.lock);
	return stop;
}

static void *run(void *arg)
{
	struct sampler *s = arg;
	bool again = false;

	s->earned_at_ns = now();
	s->budget_ns = BUDGET_MOST;
	/* after an exec the same pid is another program, and is tried once more */
	if (argument_is_recording(s->argument))
		replay_recording(s);
	else
		while (!stopped(s) && watch(s, again)) {
			close_target(s);
			again = true;
			if (!pause_for(s, 300 * MS))
				break;
		}
	close_target(s);
	thread_ends(&s->thread);
	return NULL;
}

/* ---- from outside ------------------------------------------------------------------------------
 */

struct sampler *sampler_start(const char *argument, const struct sampler_options *options, int wake)
{
	struct sampler *s = mem_zalloc(1, sizeof(*s));

	s->argument = mem_alloc(strlen(argument) + 1);
	strcpy(s->argument, argument);
	s->wake = wake;
	s->rate = options->rate;
	s->threshold_ns = options->threshold_ns;
	s->max_tasks = options->max_tasks;
	if (!thread_start(&s->thread, run, s))
		publish_life(s, LIFE_FAILED, "no thread could be started to look at it");
	return s;
}

void sampler_set(struct sampler *s, int rate, int64_t threshold_ns, bool native)
{
	pthread_mutex_lock(&s->thread.lock);
	s->native = native;
	s->rate = rate;
	s->threshold_ns = threshold_ns;
	pthread_mutex_unlock(&s->thread.lock);
}

void sampler_refresh(struct sampler *s)
{
	pthread_mutex_lock(&s->thread.lock);
	s->refresh = true;
	pthread_cond_broadcast(&s->thread.changed);
	pthread_mutex_unlock(&s->thread.lock);
}

void sampler_ask_to_stop(struct sampler *s)
{
	pthread_mutex_lock(&s->thread.lock);
	s->stop = true;
	pthread_cond_broadcast(&s->thread.changed);
	pthread_mutex_unlock(&s->thread.lock);
}

void sampler_stop(struct sampler *s, int64_t until_ns)
{
	sampler_ask_to_stop(s);
	if (!thread_end(&s->thread, until_ns))
		return;
	picture_unref(s->news.picture);
	recorded_destroy(s->news.recorded);
	free(s->argument);
	free(s);
}
