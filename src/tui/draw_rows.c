/* SPDX-License-Identifier: Apache-2.0 */
/* draw_rows.c - one row of each kind, and the heads of its columns */
#include "state.h"

#include <stdio.h>
#include <string.h>

#include "stallscope/utf8.h"

#define PLACE_MOST 60u /* columns of a place in a stack */

/* Where the next column goes. */
struct pen {
	const struct tui_state *s;
	struct grid *g;
	unsigned x, y, end;
	enum style style;
};

static void column(struct pen *p, const char *text, unsigned width)
{
	unsigned room = p->end > p->x ? p->end - p->x : 0;

	grid_put(p->g, p->x, p->y, p->style, text, width < room ? width : room);
	p->x += width + 1;
}

static void column_right(struct pen *p, const char *text, unsigned width)
{
	unsigned used = (unsigned)utf8_width(text), pad = used < width ? width - used : 0;
	unsigned room = p->end > p->x + pad ? p->end - p->x - pad : 0;

	grid_put(p->g, p->x + pad, p->y, p->style, text, used < room ? used : room);
	p->x += width + 1;
}

static void column_end(struct pen *p, const char *text, unsigned width)
{
	unsigned room = p->end > p->x ? p->end - p->x : 0;

	grid_put_end(p->g, p->x, p->y, p->style, text, width < room ? width : room);
	p->x += width + 1;
}

static void number(struct pen *p, int64_t n, unsigned width)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)n);
	column_right(p, n < 0 ? "-" : text, width);
}

static unsigned rest(const struct pen *p)
{
	return p->end > p->x ? p->end - p->x : 0;
}

/* ---- widths ------------------------------------------------------------------------------------
 */

struct widths {
	unsigned name, waits, where;
};

/* What a line has more than 80 columns is shared; less is taken from the places first. */
static struct widths task_widths(unsigned width)
{
	unsigned more = width > 80 ? width - 80 : 0, less = width < 80 ? 80 - width : 0;
	struct widths w = {18 + more / 3, 20 + more / 4, 21};

	w.name -= less / 3 < 8 ? less / 3 : 8;
	w.waits -= less / 3 < 8 ? less / 3 : 8;
	w.where = width > 22 + w.name + w.waits ? width - 22 - w.name - w.waits : 0;
	return w;
}

static unsigned frame_name(unsigned width)
{
	return width >= 100 ? 34 : width >= 76 ? 26 : 22;
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static void place_text(const struct tui_state *s, const struct snap_frame *f, struct strbuf *out)
{
	const struct snap_code *c = snap_code_of(&tui_picture(s)->snap, f);

	strbuf_addf(out, "%s:", s->paths ? c->file : short_path(c->file));
	if (f->at.line)
		strbuf_addf(out, "%d", f->at.line);
	else
		strbuf_addch(out, '?');
}

static void draw_frame(struct pen *p, const struct row *row)
{
	const struct picture *picture = tui_picture(p->s);
	const struct snap_frame *f = &picture->snap.frames[row->index];
	const struct snap_code *c = snap_code_of(&picture->snap, f);
	const struct verdict *v = picture_verdict(picture, tui_loop(p->s));
	cleanup_strbuf struct strbuf place = STRBUF_INIT, note = STRBUF_INIT;
	unsigned notes = p->end >= 76 ? 20 : 6, room;

	p->style = c->own ? STYLE_OWN : STYLE_PLAIN;
	column(p, c->qualname, frame_name(p->end));
	place_text(p->s, f, &place);
	strbuf_addstr(&note, c->own ? "yours" : "");
	if (notes > 6 && row->index == v->culprit.frame && p->s->view == VIEW_STACK)
		strbuf_addstr(&note, "  <- here"); /* there is no room for both */
	else if (notes > 6 && c->async)
		strbuf_addstr(&note, "  async def");
	if (p->s->paths)
		notes = 0;
	room = rest(p) > notes ? rest(p) - notes - 1 : rest(p);
	/* the notes stay near what they are on */
	column_end(p, place.data, !p->s->paths && room > PLACE_MOST ? PLACE_MOST : room);
	if (notes)
		column(p, note.data, notes);
}

static void draw_native(struct pen *p, const struct row *row)
{
	const struct snap_native_frame *f = &tui_picture(p->s)->snap.natives[row->index];
	cleanup_strbuf struct strbuf place = STRBUF_INIT;

	p->style = STYLE_DIM;
	column(p, f->function ? f->function : "?", frame_name(p->end));
	native_place(f, &place);
	if (f->inlined)
		strbuf_addstr(&place, "  (inlined)");
	column(p, place.data, rest(p));
}

/* ---- tasks -------------------------------------------------------------------------------------
 */

static void age_text(bool have, bool lower, int64_t ns, struct strbuf *out)
{
	if (!have) {
		strbuf_addch(out, '-');
		return;
	}
	strbuf_addstr(out, lower ? ">=" : "");
	format_age(out, ns);
}

static const char *state_word(const struct snap_task *t)
{
	if (t->waker == SNAP_WAKER_NOBODY && t->state == SNAP_TASK_PENDING)
		return "ORPHAN";
	switch (t->state) {
	case SNAP_TASK_RUNNING:
		return "RUN";
	case SNAP_TASK_READY:
		return "ready";
	case SNAP_TASK_CANCELLING:
		return "cancel";
	case SNAP_TASK_PENDING:
		break;
	}
	return t->owner == SNAP_OWNER_NOBODY ? "UNOWNED" : "wait";
}

static void task_name(const struct tui_state *s, const struct row *row, const struct snap_task *t,
		      struct strbuf *out)
{
	if (s->tree && s->view == VIEW_TASKS) {
		strbuf_pad(out, ' ', 2 * (row->depth < 12 ? row->depth : 12));
		strbuf_addstr(out, row->fold == '+' ? "[+]" : row->fold ? "[-]" : "[ ]");
		strbuf_addch(out, ' ');
	}
	strbuf_addstr(out, t->name);
}

static void draw_task(struct pen *p, const struct row *row, struct await_rows *rows)
{
	const struct snapshot *snap = &tui_picture(p->s)->snap;
	const struct snap_task *t = &snap->tasks[row->index];
	const struct snap_frame *f = text_own_frame(snap, &t->stack);
	cleanup_strbuf struct strbuf age = STRBUF_INIT, name = STRBUF_INIT, waits = STRBUF_INIT;
	cleanup_strbuf struct strbuf where = STRBUF_INIT;
	struct widths w = task_widths(p->end);

	p->style = t->state == SNAP_TASK_RUNNING   ? STYLE_OWN
		   : t->waker == SNAP_WAKER_NOBODY ? STYLE_WARN
						   : STYLE_PLAIN;
	column(p, state_word(t), 8);
	age_text(t->have_age, t->age_is_lower, t->age_ns, &age);
	column(p, age.data, 8);
	task_name(p->s, row, t, &name);
	column(p, name.data, w.name);
	if (row->again) {
		column(p, "(stands above already)", w.waits + w.where + 1);
		return;
	}
	text_waits(snap, rows, t, &waits);
	column(p, waits.data, w.waits);
	if (f)
		place_text(p->s, f, &where);
	if (t->torn)
		strbuf_addstr(&where, " (torn)");
	column_end(p, where.data, w.where);
}

static void draw_group(struct pen *p, const struct row *row, struct await_rows *rows)
{
	const struct task_group *group = &p->s->list.groups[row->index];
	const struct snapshot *snap = &tui_picture(p->s)->snap;
	const struct snap_task *t = &snap->tasks[group->example];
	const struct snap_frame *f = text_own_frame(snap, &t->stack);
	cleanup_strbuf struct strbuf age = STRBUF_INIT, waits = STRBUF_INIT, where = STRBUF_INIT;
	struct widths w = task_widths(p->end);
	char count[16];

	p->style = group->orphans ? STYLE_WARN : STYLE_PLAIN;
	snprintf(count, sizeof(count), "%u", group->count);
	column_right(p, count, 7);
	age_text(group->have_oldest, group->oldest_is_lower, group->oldest_ns, &age);
	column(p, age.data, 9);
	if (group->orphans)
		strbuf_addstr(&waits, "ORPHAN ");
	if (t->what && t->state != SNAP_TASK_PENDING)
		strbuf_addf(&waits, "(%s) ", task_state_word(t->state));
	text_waits(snap, rows, t, &waits);
	column(p, waits.data, w.waits);
	column(p, t->coroutine, w.name);
	if (f)
		place_text(p->s, f, &where);
	column_end(p, where.data, rest(p));
}

/* A group of a recording, which has the names of its path but no tasks. */
static void draw_place(struct pen *p, const struct row *row)
{
	const struct history *h = &tui_recorded(p->s)->h;
	const struct history_group *group = &h->groups[row->index];
	const struct history_stack *path =
		group->stack == HISTORY_NONE ? NULL : &h->stacks[group->stack];
	const char *outer = path && path->n ? path->frames[path->n - 1].function : group->function;
	cleanup_strbuf struct strbuf age = STRBUF_INIT, where = STRBUF_INIT;
	struct widths w = task_widths(p->end);

	number(p, history_group_now(h, group), 7);
	age_text(group->oldest_s >= 0, false,
		 group->oldest_s >= 0 ? (int64_t)(group->oldest_s * 1e9) : 0, &age);
	column(p, age.data, 9);
	column(p, group->title ? group->title : "?", w.waits);
	column(p, outer ? outer : "?", w.name);
	if (group->file)
		strbuf_addf(&where, "%s:%lld", p->s->paths ? group->file : short_path(group->file),
			    (long long)group->line);
	column_end(p, where.len ? where.data : "", rest(p));
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static void draw_thread(struct pen *p, const struct row *row)
{
	const struct snapshot *snap = &tui_picture(p->s)->snap;
	const struct snap_thread *t = &snap->threads[row->index];
	const struct snap_frame *f = t->stack.n ? text_own_frame(snap, &t->stack) : NULL;
	const char *call = t->os.have_syscall && !t->os.syscall.running
				   ? syscall_name(t->os.syscall.number)
				   : NULL;
	cleanup_strbuf struct strbuf where = STRBUF_INIT;
	char text[64];

	p->style = t->loop != SNAP_NONE ? STYLE_OWN : t->is_python ? STYLE_PLAIN : STYLE_DIM;
	snprintf(text, sizeof(text), "%d", t->os.tid);
	column_right(p, text, 8);
	column(p, text_thread_name(t), 18);
	snprintf(text, sizeof(text), "%c", t->os.have_stat ? t->os.stat.state : '?');
	column(p, text, 2);
	column(p, t->holds_gil ? "has" : t->waits_for_gil ? "waits" : "-", 5);
	column(p, t->loop != SNAP_NONE ? "yes" : "-", 4);
	column(p, call ? call : t->os.have_syscall ? "running" : "-", 15);
	if (f)
		place_text(p->s, f, &where);
	else
		strbuf_addstr(&where, t->is_python ? "-" : "(not Python's)");
	column_end(p, where.data, rest(p));
}

/* ---- history -----------------------------------------------------------------------------------
 */

static void seconds_text(char *buf, size_t size, int64_t ns, bool open)
{
	snprintf(buf, size, "%.2f s%s", (double)ns / 1e9, open ? "+" : "");
}

static void draw_stall(struct pen *p, const struct row *row)
{
	const struct seen_stall *stall = seen_stall(&tui_target(p->s)->history, row->index);
	char when[16], text[200];

	recorded_time(stall->wall_ns ? (double)(stall->wall_ns / 1000000000) : NAN, false, when,
		      sizeof(when));
	p->style = stall->open ? STYLE_BAD : STYLE_PLAIN;
	column(p, when, 8);
	seconds_text(text, sizeof(text), stall->held_ns, stall->open);
	column_right(p, text, 9);
	p->style = STYLE_PLAIN;
	p->x++;
	column(p, stall->explained ? (stall->kind[0] ? stall->kind : verdict_word(stall->id)) : "?",
	       16);
	if (stall->explained)
		snprintf(text, sizeof(text), "%s  %s", stall->who, stall->place);
	else
		snprintf(text, sizeof(text), "(over before it could be looked at)");
	column(p, text, rest(p) > 18 ? rest(p) - 17 : rest(p));
	column(p, stall->what, rest(p));
}

static void draw_holder(struct pen *p, const struct row *row)
{
	const struct seen_holder *h = &p->s->list.holders[row->index];
	char text[220];

	snprintf(text, sizeof(text), "%3.0f %%", h->share * 100);
	column_right(p, text, 12);
	snprintf(text, sizeof(text), "%u", h->count);
	column_right(p, text, 6);
	seconds_text(text, sizeof(text), h->p50_ns, false);
	column_right(p, text, 8);
	seconds_text(text, sizeof(text), h->p95_ns, false);
	column_right(p, text, 8);
	seconds_text(text, sizeof(text), h->max_ns, false);
	column_right(p, text, 8);
	p->x++;
	snprintf(text, sizeof(text), "%s  %s %s",
		 h->example->explained ? h->example->who : "(not known)", h->example->what,
		 h->example->kind);
	column(p, text, rest(p));
}

/* ---- processes ---------------------------------------------------------------------------------
 */

static void health(struct pen *p, bool known, enum verdict_id id, const char *otherwise)
{
	char text[32];

	if (!known) {
		column(p, otherwise, 14);
		return;
	}
	snprintf(text, sizeof(text), "%s %s", verdict_sign(id), verdict_word(id));
	p->style = verdict_style(id);
	column(p, text, 14);
	p->style = STYLE_PLAIN;
}

static void late(struct pen *p, int64_t ns, unsigned width)
{
	char text[32] = "-";

	if (ns >= 0)
		format_duration(text, sizeof(text), ns);
	column_right(p, text, width);
}

static void percent(struct pen *p, double ratio, unsigned width)
{
	char text[24];

	snprintf(text, sizeof(text), "%.0f%%", ratio * 100);
	column_right(p, ratio < 0 ? "-" : text, width);
}

static void draw_process(struct pen *p, const struct row *row)
{
	const struct survey_row *r = &p->s->survey[row->index];

	if (r->marked)
		grid_put(p->g, 1, p->y, STYLE_KEY, "*", 1);
	number(p, r->pid, 7);
	if (p->end >= 76) {
		column(p, r->user, 8);
		column(p, r->python, 7);
		column(p, r->loop, 7);
	}
	health(p, r->have_loop, r->id, r->readable ? "no loop" : "?? unreadable");
	late(p, r->late_ns, 8);
	if (p->end >= 76) {
		number(p, r->tasks, 6);
		percent(p, r->cpu, 4);
	}
	column(p, r->command, rest(p));
}

static void worker_who(const struct watched *w, uint32_t loop, struct strbuf *out)
{
	const struct picture *p = w->shown;
	const struct verdict *v = picture_verdict(p, loop);

	if (v->culprit.frame != SNAP_NONE) {
		const struct snap_frame *f = &p->snap.frames[v->culprit.frame];
		const struct snap_code *c = snap_code_of(&p->snap, f);

		strbuf_addf(out, "%s  %s:%d  ", c->qualname, short_path(c->file), f->at.line);
		strbuf_addstr(out, v->culprit.library);
	} else if (v->id == VERDICT_WAITING || v->id == VERDICT_STARVED) {
		strbuf_addf(out, "%s %s", v->kind, v->title);
	} else if (w->history.n) {
		const struct seen_stall *last = seen_stall(&w->history, 0);

		strbuf_addf(out, "last: %s  %s", last->who, last->place);
	}
}

static void draw_worker_loop(struct pen *p, const struct watched *w)
{
	const struct picture *picture = w->shown;
	uint32_t loop = watched_loop(w, picture);
	const struct snap_loop *l = loop == SNAP_NONE ? NULL : &picture->snap.loops[loop];
	const struct pulse_loop *pulse = l ? watched_pulse(w, l->run.loop) : NULL;
	cleanup_strbuf struct strbuf who = STRBUF_INIT;
	int64_t now = (int64_t)watched_clock(w, p->s->now_ns);

	health(p, true, picture->d->worst, "");
	late(p, l ? watched_late(w, picture, loop) : -1, 8);
	late(p, l ? seen_worst(&w->history, l->run.loop, now - INT64_C(60000000000), now) : -1, 8);
	if (p->end >= 76) {
		percent(p, pulse ? pulse->on_cpu : -1, 4);
		number(p, l ? (int64_t)l->tasks : -1, 6);
	}
	if (p->end >= 100) {
		number(p, l ? l->info.ready : -1, 6);
		number(p, l ? l->info.timers_late : -1, 5);
	}
	p->x++;
	worker_who(w, loop, &who);
	column(p, who.data, rest(p));
}

static void draw_worker_recorded(struct pen *p, const struct watched *w)
{
	const struct recorded *r = w->recorded;
	const struct seen_stall *last = seen_stall(&w->history, 0);
	char text[300];

	column(p, "recorded", 14);
	late(p, -1, 8);
	late(p, r->worst == HISTORY_NONE ? -1 : (int64_t)(r->h.stalls[r->worst].held_s * 1e9), 8);
	p->x++;
	snprintf(text, sizeof(text), "%llu %s%s%s  %s", (unsigned long long)r->stalls,
		 PLURAL(r->stalls, "stall", "stalls"), last ? ", last: " : "",
		 last ? last->who : "", last ? last->place : "");
	column(p, text, rest(p));
}

static void draw_worker(struct pen *p, const struct row *row)
{
	const struct watched *w = p->s->targets[row->index];

	if (strlen(w->argument) > 8) /* a file */
		column_end(p, w->argument, 8);
	else
		column_right(p, w->argument, 8);
	if (w->recorded) {
		draw_worker_recorded(p, w);
		return;
	}
	if (w->life == LIFE_GONE || !w->shown) {
		p->style = STYLE_DIM;
		column(p,
		       w->life == LIFE_GONE	 ? "gone"
		       : w->life == LIFE_OPENING ? "looking ..."
						 : "?? unreadable",
		       14);
		column(p, w->message, rest(p));
		return;
	}
	draw_worker_loop(p, w);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

void draw_row(const struct tui_state *s, struct grid *g, unsigned y, unsigned width,
	      const struct row *row)
{
	struct pen p = {s, g, 2, y, width, STYLE_PLAIN};
	struct await_rows rows = AWAIT_ROWS_INIT;

	switch (row->kind) {
	case ROW_TEXT:
		grid_put(g, row->head ? 1 : 0, y, (enum style)row->style, row->text, width);
		break;
	case ROW_FRAME:
		draw_frame(&p, row);
		break;
	case ROW_NATIVE:
		draw_native(&p, row);
		break;
	case ROW_TASK:
		draw_task(&p, row, &rows);
		break;
	case ROW_GROUP:
		draw_group(&p, row, &rows);
		break;
	case ROW_PLACE:
		draw_place(&p, row);
		break;
	case ROW_THREAD:
		draw_thread(&p, row);
		break;
	case ROW_STALL:
		draw_stall(&p, row);
		break;
	case ROW_HOLDER:
		draw_holder(&p, row);
		break;
	case ROW_PROCESS:
		draw_process(&p, row);
		break;
	case ROW_WORKER:
		draw_worker(&p, row);
		break;
	}
	await_rows_deinit(&rows);
}

bool view_has_columns(const struct tui_state *s)
{
	bool recorded = tui_recorded(s) != NULL;

	switch (s->view) {
	case VIEW_TASKS:
	case VIEW_THREADS:
	case VIEW_MEMBERS:
		return s->rows >= 12 && !recorded;
	case VIEW_GROUPS:
	case VIEW_HISTORY:
	case VIEW_PICKER:
	case VIEW_WORKERS:
		return s->rows >= 12;
	default:
		return false;
	}
}

static void task_columns(struct pen *p)
{
	struct widths w = task_widths(p->end);

	column(p, "state", 8);
	column(p, "age", 8);
	column(p, "task", w.name);
	column(p, "waits on", w.waits);
	column(p, "where", w.where);
}

static void group_columns(struct pen *p)
{
	struct widths w = task_widths(p->end);

	column_right(p, "N", 7);
	column(p, "oldest", 9);
	column(p, "waits on", w.waits);
	column(p, "coroutine", w.name);
	column(p, "where", rest(p));
}

static void process_columns(struct pen *p)
{
	column_right(p, "PID", 7);
	if (p->end >= 76) {
		column(p, "USER", 8);
		column(p, "PY", 7);
		column(p, "LOOP", 7);
	}
	column(p, "HEALTH", 14);
	column_right(p, "LAG", 8);
	if (p->end >= 76) {
		column_right(p, "TASKS", 6);
		column_right(p, "CPU", 4);
	}
	column(p, "COMMAND", rest(p));
}

static void worker_columns(struct pen *p)
{
	column_right(p, "PID", 8);
	column(p, "HEALTH", 14);
	column_right(p, "LAG", 8);
	column_right(p, "WORST60", 8);
	if (p->end >= 76) {
		column_right(p, "CPU", 4);
		column_right(p, "TASKS", 6);
	}
	if (p->end >= 100) {
		column_right(p, "READY", 6);
		column_right(p, "LATE", 5);
	}
	p->x++;
	column(p, "HELD BY (now or last)", rest(p));
}

static void thread_columns(struct pen *p)
{
	column_right(p, "tid", 8);
	column(p, "name", 18);
	column(p, "st", 2);
	column(p, "GIL", 5);
	column(p, "loop", 4);
	column(p, "system call", 15);
	column(p, "where", rest(p));
}

void draw_columns(const struct tui_state *s, struct grid *g, unsigned y, unsigned width)
{
	struct pen p = {s, g, 2, y, width, STYLE_HEAD};

	switch (s->view) {
	case VIEW_TASKS:
	case VIEW_MEMBERS:
		task_columns(&p);
		break;
	case VIEW_GROUPS:
		group_columns(&p);
		break;
	case VIEW_HISTORY:
		column(&p, "when", 8);
		column_right(&p, "held >=", 9); /* as long as it was seen */
		p.x++;
		column(&p, "kind", 16);
		column(&p, "held by", rest(&p) > 18 ? rest(&p) - 17 : rest(&p));
		column(&p, "library / peer", rest(&p));
		break;
	case VIEW_THREADS:
		thread_columns(&p);
		break;
	case VIEW_PICKER:
		process_columns(&p);
		break;
	case VIEW_WORKERS:
		worker_columns(&p);
		break;
	default:
		break;
	}
}

/* ---- sorting -----------------------------------------------------------------------------------
 */

static const char *const task_sorts[] = {"age", "name", "state", "coroutine", "what is waited on"};
static const char *const group_sorts[] = {"number", "age"};
static const char *const process_sorts[] = {"trouble", "pid", "tasks", "CPU"};

unsigned view_sorts(enum view view)
{
	switch (view) {
	case VIEW_TASKS:
	case VIEW_MEMBERS:
		return ARRAY_SIZE(task_sorts);
	case VIEW_GROUPS:
		return ARRAY_SIZE(group_sorts);
	case VIEW_PICKER:
		return ARRAY_SIZE(process_sorts);
	default:
		return 0;
	}
}

const char *view_sort_name(enum view view, unsigned column)
{
	if (column >= view_sorts(view))
		return "";
	return view == VIEW_GROUPS   ? group_sorts[column]
	       : view == VIEW_PICKER ? process_sorts[column]
				     : task_sorts[column];
}
