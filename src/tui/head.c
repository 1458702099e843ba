/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head.c - the first lines: what is the case, for how long, by whom, in what, who suffers and what
 * to do. The words are those of the one-shot text (render_report()); here they are only put in
 * the order in which they matter, one line each.
 */
#include "state.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/utf8.h"

#define LABEL_COLS 10u
#define WORST_NS   INT64_C(60000000000)

const char *verdict_sign(enum verdict_id id)
{
	switch (id) {
	case VERDICT_STALLED:
	case VERDICT_DEADLOCK:
		return "!!";
	case VERDICT_OVERLOADED:
		return "//";
	case VERDICT_CHOPPY:
	case VERDICT_BUSY:
		return "~~";
	case VERDICT_WAITING:
		return "..";
	case VERDICT_HEALTHY:
		return "OK";
	case VERDICT_STARVED:
		return "##";
	case VERDICT_FROZEN:
	case VERDICT_STOPPED:
	case VERDICT_TRACED:
		return "zz";
	case VERDICT_NO_LOOP:
		return "--";
	case VERDICT_UNSURE:
		break;
	}
	return "??";
}

enum style verdict_style(enum verdict_id id)
{
	switch (id) {
	case VERDICT_HEALTHY:
		return STYLE_GOOD;
	case VERDICT_WAITING:
	case VERDICT_BUSY:
	case VERDICT_CHOPPY:
	case VERDICT_UNSURE:
	case VERDICT_NO_LOOP:
		return STYLE_WARN;
	default:
		return STYLE_BAD;
	}
}

/* ---- lines -------------------------------------------------------------------------------------
 */

void head_add(struct head *h, enum style style, const char *label, const char *text)
{
	if (h->n < HEAD_MAX && *text)
		h->v[h->n++] = (struct head_line){arena_strdup(&h->arena, label),
						  arena_strdup(&h->arena, text), style};
}

/* A text that may take several lines, wrapped at words; at most `most` of them. */
void head_add_wrapped(const struct tui_state *s, struct head *h, enum style style,
		      const char *label, const char *text, unsigned most)
{
	size_t room = s->cols > LABEL_COLS + 1 ? s->cols - LABEL_COLS - 1 : 1;

	while (*text && most--) {
		cleanup_strbuf struct strbuf line = STRBUF_INIT;
		size_t used = 0;

		while (*text && most) {
			size_t len = strcspn(text, " "), gap = line.len ? 1 : 0;

			strbuf_add(&line, "", 0);
			if (line.len && used + gap + len > room)
				break;
			strbuf_addf(&line, "%s%.*s", gap ? " " : "", (int)len, text);
			used = utf8_width(line.data);
			text += len + strspn(text + len, " ");
		}
		if (!most) { /* the last one has the rest, and is cut by the grid */
			strbuf_addstr(&line, text);
			text = "";
		}
		head_add(h, style, label, line.data);
		label = "";
	}
}

static const struct report_line *find_label(const struct report *r, const char *label)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].label && !strcmp(r->v[i].label, label))
			return &r->v[i];
	return NULL;
}

static bool is_sentence(const struct report_line *line)
{
	return !line->label && line->text[0] && line->text[0] != ' ';
}

/* Between two holds of a loop that is held again and again: by whom it was, as long as is known. */
static void held_last(struct head *h, const struct tui_state *s)
{
	const struct seen *history = &tui_target(s)->history;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	for (size_t i = 0; i < history->n && !line.len; i++) {
		const struct seen_stall *stall = seen_stall(history, i);

		if (stall->explained && stall->who[0])
			strbuf_addf(&line, "the last time  %s  %s  %s", stall->who, stall->place,
				    stall->what);
	}
	if (line.len)
		head_add(h, STYLE_OWN, "held by", line.data);
}

static void held_by(struct head *h, const struct tui_state *s, const struct verdict *v)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct culprit *c = &v->culprit;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const struct snap_detail *detail;
	const struct snap_frame *f;
	const struct snap_code *code;
	size_t name = s->cols >= 100 ? 40 : 26, place = s->cols >= 100 ? 44 : 30;

	if (c->frame == SNAP_NONE) {
		if (v->id == VERDICT_STALLED || v->id == VERDICT_DEADLOCK)
			head_add(h, STYLE_OWN, "held by",
				 "(no Python frame: the callback runs in C)");
		else if (v->id == VERDICT_CHOPPY)
			held_last(h, s);
		return;
	}
	f = &snap->frames[c->frame];
	code = snap_code_of(snap, f);
	utf8_add_cut(&line, code->qualname, name, false, s->ascii);
	strbuf_addstr(&line, "()  ");
	{
		cleanup_strbuf struct strbuf where = STRBUF_INIT;

		strbuf_addf(&where, "%s:", s->paths ? code->file : short_path(code->file));
		if (f->at.line)
			strbuf_addf(&where, "%d", f->at.line);
		else
			strbuf_addch(&where, '?');
		utf8_add_cut(&line, where.data, s->paths ? s->cols : place, true, s->ascii);
	}
	detail = snap_detail_of(snap, f);
	if (detail && detail->source)
		strbuf_addf(&line, "   %s%s", detail->source,
			    detail->source_newer ? "  [file changed since start]" : "");
	head_add(h, STYLE_OWN, "held by", line.data);
}

/* Of a loop that waits for the GIL: the thread that has it, and its line. */
static void gil_holder(struct head *h, const struct tui_state *s, const struct verdict *v)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct snap_thread *thread = &snap->threads[v->culprit.holder];
	const struct snap_frame *f = text_own_frame(snap, &thread->stack);
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	if (f)
		strbuf_addf(&line, "%s()  %s:%d   ", snap_code_of(snap, f)->qualname,
			    short_path(snap_code_of(snap, f)->file), f->at.line);
	strbuf_addf(&line, "in thread %s/%d", text_thread_name(thread), thread->os.tid);
	head_add(h, STYLE_OWN, "GIL held", line.data);
}

/* "It waits for an HTTP response (recvfrom, fd 6)." without its first word and the stop. */
static const char *clause(struct head *h, const char *sentence)
{
	char *text;
	size_t len;

	if (strncmp(sentence, "It ", 3) != 0)
		return sentence;
	text = arena_strdup(&h->arena, sentence + 3);
	len = strlen(text);
	if (len && text[len - 1] == '.')
		text[len - 1] = 0;
	return text;
}

/* The library and what it does in one line; its title only where there is room for it. */
static void library(struct head *h, const struct tui_state *s, const struct report *r,
		    const struct verdict *v)
{
	const struct report_line *lib = find_label(r, "library");
	const char *does = NULL;
	char line[600];

	for (size_t i = 0; i < r->n; i++)
		if (is_sentence(&r->v[i]) && !strncmp(r->v[i].text, "It ", 3))
			does = clause(h, r->v[i].text);
	if (!lib && !does)
		return;
	if (lib && does) {
		snprintf(line, sizeof(line), "%s; %s", lib->text, does);
		if (utf8_width(line) + LABEL_COLS > s->cols && v->culprit.library[0])
			snprintf(line, sizeof(line), "%s %s", v->culprit.library, does);
	} else {
		snprintf(line, sizeof(line), "%s", lib ? lib->text : does);
	}
	head_add(h, STYLE_PLAIN, lib ? "library" : "it", line);
}

static bool is_one_of(const char *label, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(label, *words))
			return true;
	return false;
}

/* The lines with these labels, in the order of the text. */
static void labelled(struct head *h, const struct tui_state *s, const struct report *r,
		     const char *const *labels, unsigned most)
{
	bool on = false;

	for (size_t i = 0; i < r->n; i++) {
		const char *label = r->v[i].label;

		if (!label)
			continue;
		if (*label)
			on = is_one_of(label, labels);
		if (on)
			head_add_wrapped(s, h, STYLE_PLAIN, label, r->v[i].text, most);
	}
}

/* What the line of the verdict says already is not said again. */
static const char *without_known(const char *text, enum verdict_id id)
{
	static const char *const known[] = {"The loop turns, but ", "its tasks are not served: "};

	if (id == VERDICT_HEALTHY && !strncmp(text, "The event loop is healthy", 25))
		return "";
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const char *at = strstr(text, known[i]);

		if (at)
			return at + strlen(known[i]);
	}
	return text;
}

/* Sentences on a loop that turns, and the lines below them but those of the culprit. */
static void sentences(struct head *h, const struct tui_state *s, const struct report *r,
		      const struct verdict *v)
{
	bool room = s->rows >= 30 || v->id == VERDICT_OVERLOADED;
	const char *label = v->id == VERDICT_WAITING ? "tasks" : "loop";

	for (size_t i = 0; i < r->n; i++) {
		const char *text = r->v[i].text;

		if (r->v[i].label || (text[0] == ' ' && v->culprit.frame != SNAP_NONE &&
				      v->id != VERDICT_OVERLOADED))
			continue;
		text = without_known(text + strspn(text, " "), v->id);
		if (!*text)
			continue;
		head_add_wrapped(s, h, STYLE_PLAIN, label, text, room ? 2 : 1);
		label = "";
	}
}

static bool is_held(const struct verdict *v)
{
	return v->id == VERDICT_STALLED || v->id == VERDICT_DEADLOCK;
}

/* ---- of a loop that is well: what its tasks wait for -------------------------------------------
 */

static void summarise(struct tui_state *s, uint32_t loop)
{
	const struct picture *p = tui_picture(s);
	struct summary *sum = &s->summary;

	if (sum->number && sum->number == p->number && sum->of == tui_target(s) &&
	    sum->loop == loop)
		return;
	*sum = (struct summary){p->number, tui_target(s), loop, {0}, SNAP_NONE};
	for (uint32_t i = 0; i < p->snap.n_tasks; i++) {
		const struct snap_task *t = &p->snap.tasks[i];

		if (t->loop != loop)
			continue;
		sum->states[t->state & 3]++;
		if (t->have_age &&
		    (sum->oldest == SNAP_NONE || t->age_ns > p->snap.tasks[sum->oldest].age_ns))
			sum->oldest = i;
	}
}

static void oldest_line(struct head *h, const struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	struct await_rows rows = AWAIT_ROWS_INIT;
	const struct snap_task *oldest;
	const struct snap_frame *f;

	if (s->summary.oldest >= snap->n_tasks)
		return;
	oldest = &snap->tasks[s->summary.oldest];
	strbuf_addstr(&line, oldest->name);
	strbuf_addstr(&line, oldest->age_is_lower ? "  waits >= " : "  waits ");
	format_age(&line, oldest->age_ns);
	strbuf_addstr(&line, " in ");
	text_waits(snap, &rows, oldest, &line);
	f = text_own_frame(snap, &oldest->stack);
	if (f)
		strbuf_addf(&line, "  %s:%d", short_path(snap_code_of(snap, f)->file), f->at.line);
	head_add(h, STYLE_PLAIN, "oldest", line.data);
	await_rows_deinit(&rows);
}

static void tasks_line(struct head *h, const struct tui_state *s, uint32_t loop)
{
	const struct snap_loop *l = &tui_picture(s)->snap.loops[loop];
	const uint32_t *n = s->summary.states;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "%u: ", l->tasks);
	if (tui_picture(s)->brief)
		strbuf_addf(&line, "of those that were read ");
	strbuf_addf(&line, "%u %s", n[SNAP_TASK_PENDING],
		    PLURAL(n[SNAP_TASK_PENDING], "waits", "wait"));
	if (n[SNAP_TASK_READY])
		strbuf_addf(&line, ", %u ready", n[SNAP_TASK_READY]);
	if (n[SNAP_TASK_RUNNING])
		strbuf_addf(&line, ", %u %s", n[SNAP_TASK_RUNNING],
			    PLURAL(n[SNAP_TASK_RUNNING], "runs", "run"));
	if (n[SNAP_TASK_CANCELLING])
		strbuf_addf(&line, ", %u cancelling", n[SNAP_TASK_CANCELLING]);
	if (l->growth.have_growth)
		strbuf_addf(&line, "; growth %+.1f/s", l->growth.growth_per_s);
	if (l->info.have_executor)
		strbuf_addf(&line, "; executor %lld/%lld %s, %lld queued",
			    (long long)l->info.executor_threads, (long long)l->info.executor_max,
			    PLURAL(l->info.executor_max, "thread", "threads"),
			    (long long)l->info.executor_queued);
	head_add(h, STYLE_PLAIN, "tasks", line.data);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static void advice(struct head *h, const struct tui_state *s, const struct verdict *v)
{
	unsigned used = h->n - h->noted, most = s->rows >= 30 ? 2 : 1;

	/* lines that nothing else wants */
	if (used + most < HEAD_LINES)
		most = HEAD_LINES - used;
	if (s->advice)
		most = 8;

	if (v->id == VERDICT_HEALTHY && !v->episodes && !tui_is_over(s)) /* looking goes on here */
		head_add(h, STYLE_PLAIN, "do this",
			 "no stall: [3] what tasks wait for, [4] stalls seen");
	else if (v->advice[0])
		head_add_wrapped(s, h, STYLE_PLAIN, "do this", v->advice, most);
}

static void held_lines(struct head *h, const struct tui_state *s, const struct report *r,
		       const struct verdict *v)
{
	static const char *const peers[] = {"peer",  "waits on", "lock", "child",
					    "sleep", "joins",	 NULL};
	static const char *const suffering[] = {"suffering", NULL}, *const turn[] = {"turn", NULL};

	held_by(h, s, v);
	library(h, s, r, v);
	labelled(h, s, r, peers, 1);
	labelled(h, s, r, suffering, 1);
	labelled(h, s, r, turn, h->n < HEAD_LINES - 1 || s->rows >= 30 ? 1 : 0);
	advice(h, s, v);
}

static void other_lines(struct head *h, const struct tui_state *s, const struct report *r,
			const struct verdict *v, uint32_t loop)
{
	static const char *const middle[] = {"loop", "resource", "executor", "library", NULL};
	static const char *const suffering[] = {"suffering", NULL};

	if (v->culprit.holder != SNAP_NONE)
		gil_holder(h, s, v);
	else if (v->id != VERDICT_HEALTHY && v->id != VERDICT_OVERLOADED)
		held_by(h, s, v);
	sentences(h, s, r, v);
	labelled(h, s, r, middle, 1);
	labelled(h, s, r, suffering, 1);
	if (loop != SNAP_NONE && (v->id == VERDICT_HEALTHY || v->id == VERDICT_BUSY)) {
		tasks_line(h, s, loop);
		oldest_line(h, s);
	}
	advice(h, s, v);
}

static void all_lines(struct head *h, const struct tui_state *s, uint32_t loop)
{
	static const char *const flags[] = {"flags", NULL}, *const certainty[] = {"certainty",
										  NULL};
	const struct picture *p = tui_picture(s);
	const struct verdict *v = picture_verdict(p, loop);
	struct render_options options = {
		.width = 10000, .ascii = s->ascii, .threshold_s = (double)s->threshold_ns / 1e9};
	struct report r = REPORT_INIT;

	render_report(&p->snap, p->d, loop, &options, &r);
	if (is_held(v))
		held_lines(h, s, &r, v);
	else
		other_lines(h, s, &r, v, loop);
	labelled(h, s, &r, flags, 1);
	if (s->evidence || s->rows >= 30)
		labelled(h, s, &r, certainty, s->evidence ? 2 : 1);
	report_deinit(&r);
}

/* ---- the first two lines -----------------------------------------------------------------------
 */

static void verdict_line(struct head *h, const struct tui_state *s, uint32_t loop)
{
	const struct watched *w = tui_target(s);
	const struct picture *p = w->shown;
	const struct verdict *v = picture_verdict(p, loop);
	const struct explanation *e = explanation_of(verdict_word(v->id), v->kind);
	bool of_tasks = v->id == VERDICT_OVERLOADED || v->id == VERDICT_WAITING;
	const char *cause = of_tasks ? v->title : e ? e->brief : "";
	char late[32], worst[64] = "";
	int64_t most = -1, now = (int64_t)watched_clock(w, s->now_ns);

	format_duration(late, sizeof(late), watched_late(w, p, loop));
	if (loop < p->snap.n_loops && now)
		most = seen_worst(&w->history, p->snap.loops[loop].run.loop, now - WORST_NS, now);
	if (most >= 0 && !is_held(v)) {
		char text[32];

		format_duration(text, sizeof(text), most);
		snprintf(worst, sizeof(worst), ", worst in 60 s %s", text);
	}
	if (is_held(v))
		snprintf(h->verdict, sizeof(h->verdict), "%s %s %s%s   %s%s%s", verdict_sign(v->id),
			 verdict_word(v->id),
			 v->held_bound && !strcmp(v->held_bound, "lower") ? "at least " : "", late,
			 v->kind, v->kind[0] ? ": " : "", v->title);
	else if (loop != SNAP_NONE)
		snprintf(h->verdict, sizeof(h->verdict), "%s %s   lag %s%s   %s%s%s",
			 verdict_sign(v->id), verdict_word(v->id), late, worst, v->kind,
			 v->kind[0] ? ": " : "", v->kind[0] ? cause : "");
	else
		snprintf(h->verdict, sizeof(h->verdict), "%s %s   %s%s%s", verdict_sign(v->id),
			 verdict_word(v->id), v->kind, v->kind[0] ? ": " : "", v->title);
	snprintf(h->confidence, sizeof(h->confidence), "%s", confidence_word(v->confidence));
	h->verdict_style = verdict_style(v->id);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* "app.py --port 80": which Python it is stands at the right, and folders take the room. */
static void title_left(struct head *h, const struct process *p)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	bool python = p->argc > 1 && !strncmp(base_name(p->command[0]), "python", 6);

	strbuf_addf(&line, "stallscope  pid %d ", (int)p->pid);
	for (size_t i = python; i < p->argc && line.len < 200; i++)
		strbuf_addf(&line, " %s",
			    p->command[i][0] == '/' ? base_name(p->command[i]) : p->command[i]);
	utf8_copy(h->title_left, sizeof(h->title_left), line.data);
}

/* How old the picture is, and whether that is wanted. */
static void add_state(struct strbuf *out, const struct tui_state *s, const struct watched *w)
{
	static const int64_t fresh_ns = 1500000000;
	int64_t age = (int64_t)watched_clock(w, s->now_ns) - (int64_t)w->shown->snap.clock_ns;
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (age > 0)
		format_age(&text, age);
	if (w->life == LIFE_RECORDED)
		strbuf_addstr(out, "recorded");
	else if (w->life == LIFE_GONE)
		strbuf_addf(out, "GONE, seen %s ago", text.data);
	else if (s->paused)
		strbuf_addf(out, "PAUSED %s ago", text.data);
	else if (w->shown->brief)
		strbuf_addf(out, "live, %zu %s read (r: all)", w->shown->snap.n_tasks,
			    PLURAL(w->shown->snap.n_tasks, "task", "tasks"));
	else if (age > fresh_ns)
		strbuf_addf(out, "live, tasks %s old", text.data);
	else
		strbuf_addstr(out, "live");
}

static void title_right(struct head *h, const struct tui_state *s, uint32_t loop)
{
	const struct watched *w = tui_target(s);
	const struct snapshot *snap = &w->shown->snap;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "py3.%d", snap->minor);
	if (snap->micro >= 0)
		strbuf_addf(&line, ".%d", snap->micro);
	strbuf_addstr(&line, snap->free_threaded ? "t" : "");
	if (loop < snap->n_loops) {
		const struct snap_loop *l = &snap->loops[loop];

		strbuf_addf(&line, "  %s", l->info.is_uvloop ? "uvloop" : "asyncio");
		if (snap->n_loops > 1)
			strbuf_addf(&line, " loop %u/%zu", loop + 1, snap->n_loops);
		if (s->cols >= 76) {
			strbuf_addstr(&line, "  ");
			utf8_add_cut(&line, text_thread_name(&snap->threads[l->thread]), 12, false,
				     s->ascii);
		}
	}
	if (w->life == LIFE_LIVE && s->cols >= 70)
		strbuf_addf(&line, "  %d Hz", s->rate);
	strbuf_addstr(&line, "  ");
	add_state(&line, s, w);
	utf8_copy(h->title_right, sizeof(h->title_right), line.data);
}

/* Nothing was seen yet, or nothing will be. */
static void without_picture(struct head *h, const struct tui_state *s)
{
	static const char *const wheel[] = {"|", "/", "-", "\\"};
	const struct watched *w = tui_target(s);
	char line[64];

	if (!w)
		return;
	snprintf(h->title_left, sizeof(h->title_left), "stallscope  %s", w->argument);
	if (w->life == LIFE_OPENING) {
		snprintf(line, sizeof(line), "looking %s", wheel[s->spinner % 4]);
		snprintf(h->verdict, sizeof(h->verdict), "%s", line);
		return;
	}
	h->verdict_style = STYLE_WARN;
	snprintf(h->verdict, sizeof(h->verdict), "?? %s",
		 w->life == LIFE_GONE ? "GONE" : "CANNOT BE READ");
	head_add_wrapped(s, h, STYLE_PLAIN, "why", w->message, 8);
}

void head_build(struct tui_state *s)
{
	struct head *h = &s->head;
	uint32_t loop = tui_loop(s);

	arena_deinit(&h->arena);
	*h = (struct head){.arena = ARENA_INIT, .verdict_style = STYLE_PLAIN};
	if (tui_recorded(s)) {
		head_recorded(s);
		return;
	}
	if (!tui_picture(s)) {
		without_picture(h, s);
		return;
	}
	summarise(s, loop);
	title_left(h, tui_picture(s)->snap.process);
	title_right(h, s, loop);
	verdict_line(h, s, loop);
	h->noted = tui_target(s)->message[0] != 0;
	if (h->noted)
		head_add(h, STYLE_WARN, "note", tui_target(s)->message);
	all_lines(h, s, loop);
}
