/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run.c - the live view at work: events in, effects out, and a new screen when something changed.
 * Nothing here waits but in poll().
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "sampler.h"
#include "stallscope/cleanup.h"
#include "survey.h"
#include "terminal.h"
#include "writer.h"

#define MS	 INT64_C(1000000)
#define FRAME_NS (33 * MS) /* not more screens than that without a key */
#define TICK_NS	 (250 * MS)
#define KEYS_MAX 64	    /* at once; then the screen is drawn */
#define END_NS	 (500 * MS) /* that threads may take to end */

struct run {
	const struct tui_options *o;
	struct tui_state state;
	struct grid grid;
	struct watcher {
		char *argument;
		struct sampler *sampler;
	} * watchers;
	size_t n, cap;
	struct survey *survey;
	struct writer *writer;
	int wake, signals;
	unsigned cols, rows;
	int64_t drawn_ns, heirs_ns;
	bool changed, all, at_once, quit;
	int status;
};

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static void carry_out(struct run *r);

static void send(struct run *r, struct tui_event e)
{
	e.now_ns = (uint64_t)now();
	tui_update(&r->state, &e);
	r->changed = true;
	carry_out(r);
}

/* ---- effects -----------------------------------------------------------------------------------
 */

static struct watcher *find_watcher(struct run *r, const char *argument)
{
	for (size_t i = 0; i < r->n; i++)
		if (!strcmp(r->watchers[i].argument, argument))
			return &r->watchers[i];
	return NULL;
}

static size_t target_of(const struct run *r, const char *argument)
{
	size_t i = 0;

	while (i < r->state.n_targets && strcmp(r->state.targets[i]->argument, argument) != 0)
		i++;
	return i;
}

static void set_samplers(struct run *r)
{
	for (size_t i = 0; i < r->n; i++)
		sampler_set(r->watchers[i].sampler, r->state.rate, r->state.threshold_ns,
			    r->state.native);
}

static void start_watching(struct run *r, const char *argument, bool child)
{
	struct sampler_options options = {r->state.rate, r->state.threshold_ns, r->o->max_tasks};
	struct watcher *w;

	send(r, (struct tui_event){.kind = EVENT_WATCH, .text = argument, .child = child});
	if (find_watcher(r, argument))
		return;
	w = array_push(&r->watchers, &r->n, &r->cap);
	w->argument = mem_alloc(strlen(argument) + 1);
	strcpy(w->argument, argument);
	w->sampler = sampler_start(argument, &options, r->wake);
	set_samplers(r);
}

static void stop_watching(struct run *r, const char *argument, int64_t until_ns)
{
	struct watcher *w = find_watcher(r, argument);

	if (!w)
		return;
	sampler_stop(w->sampler, until_ns);
	free(w->argument);
	*w = r->watchers[--r->n];
}

static void switch_survey(struct run *r, bool on)
{
	if (!r->survey)
		r->survey = survey_start(r->state.threshold_ns, r->wake);
	survey_switch(r->survey, on);
}

static void write_picture(struct run *r)
{
	const struct watched *w = tui_target(&r->state);

	if (!r->writer)
		r->writer = writer_create(r->wake);
	if (w && w->shown && !writer_begin(r->writer, w->shown, r->state.threshold_ns))
		tui_say(&r->state, "the last picture is still being written");
}

static void do_effect(struct run *r, const struct effect *e)
{
	switch (e->kind) {
	case EFFECT_QUIT:
		r->quit = true;
		break;
	case EFFECT_OPEN:
		start_watching(r, e->text, e->number != 0);
		break;
	case EFFECT_CLOSE:
		stop_watching(r, e->text, now() + END_NS / 5);
		if (e->number)
			send(r, (struct tui_event){.kind = EVENT_UNWATCH,
						   .target = target_of(r, e->text)});
		break;
	case EFFECT_SURVEY:
		switch_survey(r, e->number != 0);
		break;
	case EFFECT_REFRESH:
		for (size_t i = 0; i < r->n; i++)
			sampler_refresh(r->watchers[i].sampler);
		break;
	case EFFECT_RATE:
	case EFFECT_NATIVE:
	case EFFECT_THRESHOLD:
		set_samplers(r);
		break;
	case EFFECT_COPY:
		term_copy(e->text);
		break;
	case EFFECT_WRITE:
		write_picture(r);
		break;
	case EFFECT_REDRAW:
		r->all = true;
		break;
	}
}

static void carry_out(struct run *r)
{
	while (r->state.n_effects) {
		struct effect e = r->state.effects[0];

		memmove(r->state.effects, r->state.effects + 1, --r->state.n_effects * sizeof(e));
		do_effect(r, &e);
	}
}

/* ---- news --------------------------------------------------------------------------------------
 */

static void fetch_one(struct run *r, struct watcher *w, struct sampler_news *news)
{
	size_t target = target_of(r, w->argument);

	sampler_fetch(w->sampler, news);
	if (news->have_life)
		send(r, (struct tui_event){.kind = EVENT_LIFE,
					   .target = target,
					   .life = news->life,
					   .text = news->message});
	for (size_t i = 0; i < news->n_pulses; i++)
		send(r, (struct tui_event){
				.kind = EVENT_PULSE, .target = target, .pulse = &news->pulses[i]});
	if (news->recorded)
		send(r, (struct tui_event){.kind = EVENT_RECORDED,
					   .target = target,
					   .recorded = news->recorded});
	if (news->picture)
		send(r, (struct tui_event){
				.kind = EVENT_PICTURE, .target = target, .picture = news->picture});
}

/* By argument: what comes in may change what is watched. */
static void fetch_all(struct run *r)
{
	struct sampler_news *news = mem_alloc(sizeof(*news));
	struct tui_event survey = {.kind = EVENT_SURVEY};
	char text[300];

	for (size_t i = 0; i < r->n; i++)
		fetch_one(r, &r->watchers[i], news);
	free(news);
	if (r->survey && survey_fetch(r->survey, &survey.survey, &survey.n_survey))
		send(r, survey);
	if (r->writer && writer_done(r->writer, text, sizeof(text)))
		send(r, (struct tui_event){.kind = EVENT_MESSAGE, .text = text});
}

/* ---- heirs -------------------------------------------------------------------------------------
 */

static bool is_heir(const struct source_process *p, const struct watched *gone)
{
	const struct process *was = gone->latest->snap.process;
	char command[sizeof(p->command)] = "";
	size_t len = 0;

	for (size_t i = 0; i < was->argc && len < sizeof(command); i++)
		len += (size_t)snprintf(command + len, sizeof(command) - len, "%s%s", i ? " " : "",
					was->command[i]);
	return p->ppid == was->ppid && p->uid == was->uid && p->pid != was->pid &&
	       !strncmp(p->command, command, sizeof(command) - 1);
}

/* A worker that was named by its pid ended: its parent may have started another one in its place.
 */
static bool find_heir(struct run *r, size_t gone, const struct source_process *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", v[i].pid);
		if (!is_heir(&v[i], r->state.targets[gone]) ||
		    target_of(r, pid) < r->state.n_targets)
			continue;
		send(r, (struct tui_event){.kind = EVENT_UNWATCH, .target = gone});
		start_watching(r, pid, false);
		return true;
	}
	return false;
}

/* Only in a group, and only of parents that start workers: not of init, or of a shell. */
static bool awaits_heir(const struct run *r, const struct watched *w)
{
	bool unseen = r->state.view == VIEW_WORKERS || w != tui_target(&r->state);

	return r->state.group && !r->state.children && w->life == LIFE_GONE && w->latest &&
	       w->latest->snap.process->ppid > 1 && unseen;
}

static void find_heirs(struct run *r)
{
	struct source_process *v = NULL;
	size_t n = 0;

	if (now() - r->heirs_ns < 1000 * MS)
		return;
	r->heirs_ns = now();
	for (size_t i = 0; i < r->state.n_targets; i++) {
		if (!awaits_heir(r, r->state.targets[i]))
			continue;
		if (!v && !source_processes(&v, &n, NULL))
			return;
		if (find_heir(r, i, v, n))
			break; /* the numbers of targets have changed */
	}
	free(v);
}

/* ---- signals -----------------------------------------------------------------------------------
 */

/* Read, not handled: a storm of them is one, as the kernel keeps one of each kind. */
static void take_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGWINCH:
			r->changed = true;
			break;
		case SIGTSTP:
			term_suspend();
			r->changed = r->all = r->at_once = true;
			break;
		default:
			r->status = 128 + (int)info.ssi_signo;
			r->quit = true;
		}
	}
}

static bool open_signals(struct run *r, sigset_t *before)
{
	static const int numbers[] = {SIGWINCH, SIGTSTP, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		sigaddset(&set, numbers[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
	r->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	r->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return r->signals >= 0 && r->wake >= 0;
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

static void take_keys(struct run *r)
{
	struct tui_event e = {.kind = EVENT_KEY};

	for (int i = 0; i < KEYS_MAX && term_input(&e); i++) {
		send(r, e);
		r->at_once = true;
		e = (struct tui_event){.kind = EVENT_KEY};
	}
}

static void fit(struct run *r)
{
	unsigned cols, rows;

	term_size(&cols, &rows);
	if (cols == r->cols && rows == r->rows)
		return;
	r->cols = cols;
	r->rows = rows;
	r->all = true;
	send(r, (struct tui_event){.kind = EVENT_RESIZE, .cols = cols, .rows = rows});
}

static void show(struct run *r)
{
	if (!r->changed || (!r->at_once && now() - r->drawn_ns < FRAME_NS))
		return;
	fit(r);
	tui_draw(&r->state, &r->grid);
	term_draw(&r->grid, r->all);
	r->changed = r->all = r->at_once = false;
	r->drawn_ns = now();
}

static int timeout_of(const struct run *r)
{
	int64_t until = r->drawn_ns + (r->changed ? FRAME_NS : TICK_NS), left = until - now();

	return left > 0 ? (int)(left / MS) + 1 : 0;
}

static void loop(struct run *r)
{
	while (!r->quit) {
		struct pollfd fds[] = {{.fd = term_fd(), .events = POLLIN},
				       {.fd = r->wake, .events = POLLIN},
				       {.fd = r->signals, .events = POLLIN}};
		uint64_t count;

		show(r);
		if (poll(fds, ARRAY_SIZE(fds), timeout_of(r)) < 0 && errno != EINTR)
			break;
		if (fds[2].revents)
			take_signals(r);
		if (fds[1].revents && read(r->wake, &count, sizeof(count)) == sizeof(count))
			fetch_all(r);
		if (fds[0].revents & POLLIN)
			take_keys(r);
		if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			r->status = 128 + SIGHUP;
			r->quit = term_lost();
		}
		if (now() - r->drawn_ns >= TICK_NS)
			send(r, (struct tui_event){.kind = EVENT_TICK});
		find_heirs(r);
	}
}

static void begin(struct run *r)
{
	struct tui_settings settings = {.rate = r->o->rate,
					.threshold_ns = r->o->threshold_ns,
					.ascii = r->o->ascii,
					.children = r->o->children};

	tui_init(&r->state, &settings);
	fit(r);
	for (size_t i = 0; i < r->o->n_targets; i++)
		start_watching(r, r->o->targets[i], false);
	if (!r->o->n_targets)
		switch_survey(r, true);
	r->changed = r->all = true;
}

static void end(struct run *r)
{
	int64_t until = now() + END_NS;

	for (size_t i = 0; i < r->n; i++)
		sampler_ask_to_stop(r->watchers[i].sampler);
	while (r->n)
		stop_watching(r, r->watchers[0].argument, until);
	if (r->survey)
		survey_stop(r->survey);
	writer_destroy(r->writer);
	free(r->watchers);
	grid_deinit(&r->grid);
	tui_deinit(&r->state);
	close(r->wake);
	close(r->signals);
}

bool tui_is_built(void)
{
	return true;
}

bool tui_run(const struct tui_options *options, int *status, struct error *err)
{
	struct run r = {.o = options, .wake = -1, .signals = -1};
	sigset_t before;

	if (!open_signals(&r, &before))
		return error_sys(err, ERR_INTERNAL, errno, "signalfd or eventfd");
	if (!term_open(options, err)) {
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		return false;
	}
	begin(&r);
	loop(&r);
	term_close();
	end(&r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*status = r.status;
	return true;
}
