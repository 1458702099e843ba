/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one-shot text. Order of importance: verdict and time in the first line (greppable), who
 * holds the loop, what it waits in, who suffers, how certain, what to do, the stack, the tasks.
 */
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_SHOWN 20u
#define TASKS_SHOWN  10000000u

/* ---- lines -------------------------------------------------------------------------------------
 */

#define LABEL_COLS 13u /* "  executor   ": where the text of a line with a label begins */

/* A label at the begin of a line that was composed whole. */
static bool has_label(const char *line)
{
	size_t word = strcspn(line + strspn(line, " "), " ");

	return !strncmp(line, "  ", 2) && line[2] >= 'a' && line[2] <= 'z' &&
	       strlen(line) > LABEL_COLS && 2 + word < LABEL_COLS - 1 &&
	       strspn(line + 2 + word, " ") == LABEL_COLS - 2 - word;
}

static void report_add(struct text *t, const char *label, const char *text)
{
	struct report *r = t->report;
	struct report_line *line = array_push(&r->v, &r->n, &r->cap);
	size_t len;

	if (!label && has_label(text)) {
		label = text;
		text += LABEL_COLS;
	}
	*line = (struct report_line){NULL, arena_strdup(&r->arena, text)};
	if (!label || !*label)
		return;
	label += strspn(label, " ");
	for (len = 0; label[len] && strncmp(label + len, "  ", 2) != 0; len++)
		;
	line->label = arena_strndup(&r->arena, label, len);
}

void text_end_line(struct text *t)
{
	if (t->report) {
		if (t->line.len)
			report_add(t, NULL, t->line.data);
		strbuf_reset(&t->line);
		return;
	}
	if (t->o->ascii)
		utf8_to_ascii(&t->line);
	utf8_add_cut(t->out, t->line.data, t->o->width, false, t->o->ascii);
	while (t->out->len && t->out->data[t->out->len - 1] == ' ')
		strbuf_setlen(t->out, t->out->len - 1);
	strbuf_addch(t->out, '\n');
	strbuf_reset(&t->line);
}

static void color(struct text *t, const char *code)
{
	if (t->o->color)
		strbuf_addf(t->out, "\x1b[%sm", code);
}

void text_wrap(struct text *t, const char *prefix, const char *text)
{
	size_t indent = utf8_width(prefix), column = indent;

	if (t->report) {
		report_add(t, prefix, text);
		return;
	}
	strbuf_addstr(&t->line, prefix);
	while (*text) {
		const char *end = strchrnul(text, ' ');
		size_t len = (size_t)(end - text);

		if (column + len + 1 > t->o->width && column > indent) {
			text_end_line(t);
			strbuf_pad(&t->line, ' ', indent);
			column = indent;
		}
		if (column > indent) {
			strbuf_addch(&t->line, ' ');
			column++;
		}
		strbuf_add(&t->line, text, len);
		column += len;
		text = *end ? end + 1 : end;
	}
	text_end_line(t);
}

static const char *verdict_color(enum verdict_id id)
{
	switch (id) {
	case VERDICT_HEALTHY:
		return "1;34";
	case VERDICT_WAITING:
	case VERDICT_BUSY:
	case VERDICT_CHOPPY:
	case VERDICT_UNSURE:
	case VERDICT_NO_LOOP:
		return "1;36";
	default:
		return "1;7;33";
	}
}

/* ---- head
 * ------------------------------------------------------------------------------------------ */

/* Verdicts on a loop that turns, or would: how late it is. */
static bool has_lag(enum verdict_id id)
{
	switch (id) {
	case VERDICT_OVERLOADED:
	case VERDICT_HEALTHY:
	case VERDICT_STARVED:
	case VERDICT_CHOPPY:
	case VERDICT_BUSY:
	case VERDICT_WAITING:
		return true;
	default:
		return false;
	}
}

static void first_line(struct text *t, const struct verdict *v)
{
	strbuf_addf(&t->line, "stallscope: pid %d ", (int)t->s->process->pid);
	strbuf_addstr(&t->line, verdict_word(v->id));
	if (v->kind[0])
		strbuf_addf(&t->line, " %s", v->kind);
	if ((v->id == VERDICT_STALLED || v->id == VERDICT_DEADLOCK) && v->have_held)
		strbuf_addf(&t->line, " %.2fs", (double)v->held_ns / 1e9);
	else if (has_lag(v->id))
		strbuf_addf(&t->line, " lag=%.*fs", v->lag_ns < 10000000 ? 4 : 2,
			    (double)v->lag_ns / 1e9);
	color(t, verdict_color(v->id));
	utf8_add_cut(t->out, t->line.data, t->o->width, false, t->o->ascii);
	color(t, "0");
	strbuf_addch(t->out, '\n');
	strbuf_reset(&t->line);
}

/* Which python it is the version tells: its folders would take the room of the script. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void command_line(struct text *t, const struct snap_loop *loop)
{
	const struct process *p = t->s->process;
	cleanup_strbuf struct strbuf command = STRBUF_INIT, about = STRBUF_INIT;
	size_t room;

	for (size_t i = 0; i < p->argc; i++)
		strbuf_addf(&command, "%s%s", i ? " " : "",
			    i ? p->command[i] : base_name(p->command[i]));
	strbuf_addf(&about, " (CPython 3.%d", t->s->minor);
	if (t->s->micro >= 0)
		strbuf_addf(&about, ".%d", t->s->micro);
	if (t->s->free_threaded)
		strbuf_addstr(&about, "t");
	if (loop) {
		const struct snap_thread *thread = &t->s->threads[loop->thread];

		strbuf_addf(&about, ", %s, thread %s/%d",
			    loop->info.is_uvloop ? "uvloop" : "asyncio", text_thread_name(thread),
			    thread->os.tid);
	}
	strbuf_addch(&about, ')');
	room = about.len < t->o->width ? t->o->width - about.len : 20;
	utf8_add_cut(&t->line, command.data, room, false, t->o->ascii);
	strbuf_addstr(&t->line, about.data);
	text_end_line(t);
}

/* ---- stack
 * ------------------------------------------------------------------------------------------------
 */

void text_place(const struct text *t, const struct snap_frame *f, struct strbuf *out)
{
	const struct snap_code *c = snap_code_of(t->s, f);

	strbuf_addf(out, "%s:", t->o->verbose ? c->file : short_path(c->file));
	if (f->at.line)
		strbuf_addf(out, "%d", f->at.line);
	else
		strbuf_addch(out, '?');
}

static void frame_line(struct text *t, const struct snap_frame *f, const struct verdict *v)
{
	const struct snap_code *c = snap_code_of(t->s, f);
	cleanup_strbuf struct strbuf where = STRBUF_INIT;
	bool culprit = v && v->culprit.frame != SNAP_NONE && f == &t->s->frames[v->culprit.frame];
	size_t used;

	text_place(t, f, &where);
	strbuf_addstr(&t->line, "  ");
	used = utf8_add_cut(&t->line, where.data, t->o->width / 2, true, t->o->ascii);
	strbuf_pad(&t->line, ' ', used < 29 ? 30 - used : 1);
	strbuf_addf(&t->line, "%s%s%s", c->qualname, c->async ? "   async" : "",
		    culprit && c->own ? "   <- yours" : "");
	text_end_line(t);
	if (t->o->verbose)
		text_source(t, f, 6);
	text_variables(t, f, 6);
}

/* Long stacks keep both ends: where it began, and where it is. */
static void stack_text(struct text *t, const struct snap_stack *stack, const struct verdict *v)
{
	uint32_t head = FRAMES_SHOWN / 2;

	for (uint32_t i = 0; i < stack->n; i++) {
		uint32_t at = stack->n - 1 - i; /* newest last */

		if (!t->o->verbose && stack->n > FRAMES_SHOWN && i == head) {
			TEXT_LINE(t, "  ... %u %s (-v shows them)", stack->n - FRAMES_SHOWN,
				  PLURAL(stack->n - FRAMES_SHOWN, "frame", "frames"));
			i += stack->n - FRAMES_SHOWN - 1;
			continue;
		}
		if (v)
			text_native_above(t, stack->first + at);
		frame_line(t, snap_frame_at(t->s, stack, at), v);
	}
	if (stack->truncated)
		TEXT_LINE(t, "  ... deeper than %u frames: the outer ones were not read",
			  PY_MAX_FRAMES);
}

static void culprit_stack(struct text *t, const struct snap_thread *thread, const struct verdict *v)
{
	const struct culprit *c = &v->culprit;

	if (!c->slice.n)
		return;
	TEXT_LINE(t, "%s", "");
	TEXT_LINE(t, "Stack (loop thread, newest last):");
	if (c->task != SNAP_NONE)
		TEXT_LINE(t, "  task %s", t->s->tasks[c->task].name);
	stack_text(t, &c->slice, v);
	text_native(t, thread);
	if (c->system_call)
		TEXT_LINE(t, "  [system call] %s", c->system_call);
}

static void thread_stack(struct text *t, uint32_t index, const char *does)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const struct snap_thread *thread;

	if (index == SNAP_NONE)
		return;
	thread = &t->s->threads[index];
	TEXT_LINE(t, "%s", "");
	strbuf_addf(&line, "Stack (thread %s/%d, which %s, newest last):", text_thread_name(thread),
		    thread->os.tid, does);
	text_wrap(t, "", line.data);
	stack_text(t, &thread->stack, NULL);
}

/* ---- tasks
 * -------------------------------------------------------------------------------------------------
 */

const char *task_state_word(enum snap_task_state state)
{
	static const char *const words[] = {"running", "ready", "pending", "cancelling"};

	return words[state];
}

void text_waits(const struct snapshot *s, struct await_rows *rows, const struct snap_task *task,
		struct strbuf *out)
{
	static const char *const plain[][2] = {{"_asyncio.Task", "a task"},
					       {"_asyncio.Future", "a future"}};
	const struct culprit_row *row = await_row(rows, s, task);

	if (row && strncmp(row->pattern, "asyncio.", 8) != 0) {
		strbuf_addstr(out, row->title);
		return;
	}

	for (size_t i = 0; task->what && i < ARRAY_SIZE(plain); i++) {
		if (strcmp(task->what, plain[i][0]) != 0)
			continue;
		strbuf_addstr(out, plain[i][1]);
		return;
	}
	if (task->what)
		strbuf_addstr(out, task->what);
	else
		strbuf_addf(out, "(%s)", task_state_word(task->state));
}

const struct snap_frame *text_own_frame(const struct snapshot *s, const struct snap_stack *stack)
{
	for (uint32_t i = 0; i < stack->n; i++)
		if (snap_code_of(s, snap_frame_at(s, stack, i))->own)
			return snap_frame_at(s, stack, i);
	return stack->n ? snap_frame_at(s, stack, 0) : NULL;
}

static void tasks_text(struct text *t, uint32_t loop)
{
	TEXT_LINE(t, "%s", "");
	for (size_t i = 0; i < t->s->n_tasks; i++) {
		const struct snap_task *task = &t->s->tasks[i];
		cleanup_strbuf struct strbuf waits = STRBUF_INIT;

		if (task->loop != loop || !task_filter_matches(t->o->filter, t->s, (uint32_t)i))
			continue;
		text_waits(t->s, &t->rows, task, &waits);
		TEXT_LINE(t, "task %s  %s  %s%s", task->name, task_state_word(task->state),
			  waits.data, task->torn ? "  (changed while it was read)" : "");
		stack_text(t, &task->stack, NULL);
	}
}

static void tasks_of(struct text *t, uint32_t loop)
{
	if (t->o->tasks == RENDER_TASKS_NONE)
		return;
	text_filtered(t, loop);
	if (t->o->tasks == RENDER_TASKS_GROUPS)
		text_groups(t, loop);
	else if (t->o->tasks == RENDER_TASKS_TREE)
		text_tree(t, loop);
	else
		tasks_text(t, loop);
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------------
 */

static void advice(struct text *t, const struct verdict *v)
{
	if (!v->advice[0])
		return;
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "Do this: ", v->advice);
}

/* The stack of a loop that turns is of the moment only. */
static bool shows_stack(const struct verdict *v)
{
	switch (v->id) {
	case VERDICT_HEALTHY:
	case VERDICT_OVERLOADED:
	case VERDICT_BUSY:
	case VERDICT_WAITING:
		return false;
	default:
		/* of one that waits for the GIL, the holder's stack is the one to read */
		return v->culprit.slice.n > 0 && v->culprit.holder == SNAP_NONE;
	}
}

static void loop_text(struct text *t, uint32_t i)
{
	const struct snap_loop *l = &t->s->loops[i];
	const struct verdict *v = &t->d->loops[i];

	first_line(t, v);
	command_line(t, l);
	text_verdict(t, l, v);
	advice(t, v);
	if (shows_stack(v))
		culprit_stack(t, &t->s->threads[l->thread], v);
	thread_stack(t, v->culprit.holder, "holds the GIL");
	thread_stack(t, v->other, "waits for this loop");
	tasks_of(t, i);
}

static void main_thread_stack(struct text *t)
{
	for (size_t i = 0; i < t->s->n_threads; i++) {
		const struct snap_thread *thread = &t->s->threads[i];

		if (!thread->is_python || (thread->os.tid != t->s->process->pid &&
					   thread->os.ns_tid != t->s->process->ns_pid))
			continue;
		TEXT_LINE(t, "%s", "");
		TEXT_LINE(t, "Stack (main thread, newest last):");
		stack_text(t, &thread->stack, NULL);
	}
}

/* Which values are not to be taken at their word. */
static void moved_text(struct text *t)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	for (size_t i = 0; i < t->s->n_threads; i++)
		if (t->s->threads[i].stood == SNAP_RAN)
			strbuf_addf(&line, "%s%s/%d", line.len ? ", " : "thread ",
				    snap_thread_name(&t->s->threads[i]), t->s->threads[i].os.tid);
	if (!line.len)
		return;
	strbuf_addstr(&line, " ran while they were read: each is of a moment of its own, and may "
			     "have been another object by the time its value was read");
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "Variables: ", line.data);
}

static void problems_text(struct text *t)
{
	moved_text(t);
	if (t->s->variables_left) {
		TEXT_LINE(t, "%s", "");
		TEXT_LINE(t, "Variables of %zu more %s are not shown: they are too many.",
			  t->s->variables_left, PLURAL(t->s->variables_left, "frame", "frames"));
	}
	if (!t->s->n_problems)
		return;
	TEXT_LINE(t, "%s", "");
	TEXT_LINE(t, "Not read completely:");
	for (size_t i = 0; i < t->s->n_problems; i++)
		TEXT_LINE(t, "  %s (%s)%s", t->s->problems[i].what, t->s->problems[i].where,
			  t->s->problems[i].count > 1 ? ", more than once" : "");
}

/* Who asked for a stop is told what it cost, and whether it was of use. */
static void freeze_text(struct text *t)
{
	const struct snap_freeze *f = &t->s->freeze;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	char paused[32];

	if (!f->asked)
		return;
	format_duration(paused, sizeof(paused), (int64_t)t->s->stats.paused_ns);
	if (t->s->stats.paused_ns)
		strbuf_addf(&line, "paused the process for %s", paused);
	else
		strbuf_addstr(&line, "did not pause the process");
	if (f->stopped)
		strbuf_addf(&line,
			    "%s; %" PRIu32 " Python %s stood while %" PRIu64 " KiB were copied",
			    f->rounds > 1 ? " in several stops" : "", f->threads,
			    PLURAL(f->threads, "thread", "threads"), f->pages * SOURCE_PAGE / 1024);
	if (f->late_pages)
		strbuf_addf(&line, ", %" PRIu64 " KiB were read later",
			    f->late_pages * SOURCE_PAGE / 1024);
	if (f->why)
		strbuf_addf(&line, "%s: %s", f->stopped ? "; not once more" : "", f->why);
	if (!f->stopped)
		strbuf_addstr(&line, "; the picture was taken while it ran");
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "Freeze: ", line.data);
}

/* The worst loop first: its line is the one that is grepped. */
void render_text(const struct snapshot *snap, const struct diagnosis *d,
		 const struct render_options *options, struct strbuf *out)
{
	struct text t = {.s = snap, .d = d, .o = options, .out = out, .rows = AWAIT_ROWS_INIT};

	strbuf_init(&t.line);
	if (d->worst_loop == SNAP_NONE) {
		first_line(&t, &d->process);
		command_line(&t, NULL);
		text_verdict(&t, NULL, &d->process);
		advice(&t, &d->process);
		main_thread_stack(&t);
	} else {
		loop_text(&t, d->worst_loop);
	}
	for (size_t i = 0; i < d->n && d->worst_loop != SNAP_NONE; i++) {
		if (i == d->worst_loop)
			continue;
		TEXT_LINE(&t, "%s", "");
		loop_text(&t, (uint32_t)i);
	}
	text_native_missing(&t);
	freeze_text(&t);
	problems_text(&t);
	await_rows_deinit(&t.rows);
	strbuf_deinit(&t.line);
}

void render_report(const struct snapshot *snap, const struct diagnosis *d, uint32_t loop,
		   const struct render_options *options, struct report *ret)
{
	struct text t = {.s = snap,
			 .d = d,
			 .o = options,
			 .line = STRBUF_INIT,
			 .rows = AWAIT_ROWS_INIT,
			 .report = ret};
	bool of_loop = loop != SNAP_NONE;

	text_verdict(&t, of_loop ? &snap->loops[loop] : NULL,
		     of_loop ? &d->loops[loop] : &d->process);
	await_rows_deinit(&t.rows);
	strbuf_deinit(&t.line);
}

void report_deinit(struct report *report)
{
	free(report->v);
	arena_deinit(&report->arena);
	*report = (struct report)REPORT_INIT;
}
