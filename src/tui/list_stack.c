/* SPDX-License-Identifier: Apache-2.0 */
/* list_stack.c - what a thread does: frames, newest last, and what stands around them */
#include "state.h"

#include <stdio.h>
#include <string.h>

static void add_frames(struct list *list, const struct snap_stack *stack)
{
	for (uint32_t i = stack->n; i-- > 0;)
		list_add(list, ROW_FRAME, stack->first + i);
	if (stack->truncated)
		list_add_text(list, STYLE_DIM, "  ... deeper: the outer ones were not read");
}

static void add_thread(struct tui_state *s, uint32_t index, const char *does)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct snap_thread *thread;
	char line[160];

	if (index >= snap->n_threads)
		return;
	thread = &snap->threads[index];
	snprintf(line, sizeof(line), "thread %.60s/%d%s", text_thread_name(thread), thread->os.tid,
		 does);
	list_add_head(&s->list, line);
	add_frames(&s->list, &thread->stack);
}

/* Functions of C below Python's innermost frame, where they were asked for. */
static void add_native(struct tui_state *s, const struct snap_thread *thread)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct snap_native *native = &thread->native;

	if (native->state != SNAP_NATIVE_NONE && native->leaf)
		list_add_head(&s->list, "native (n)");
	for (uint32_t i = native->state == SNAP_NATIVE_NONE ? 0 : native->leaf; i-- > 0;)
		if (!i || !native_is_glue(&snap->natives[native->first + i]))
			list_add(&s->list, ROW_NATIVE, native->first + i);
	if (s->native && native->state == SNAP_NATIVE_NONE && snap->native.why)
		list_add_text(&s->list, STYLE_DIM, "  no functions of C: %s", snap->native.why);
}

/* What the innermost frame calls, and the system call it is in. */
static void add_leaf(struct tui_state *s, const struct snap_thread *thread, const struct verdict *v)
{
	const char *call = v->culprit.system_call;

	if (thread->have_call && thread->call.n_names)
		list_add_text(&s->list, STYLE_PLAIN, "  <%s>%*sC call", thread->call.names[0],
			      (int)(strlen(thread->call.names[0]) < 22
					    ? 22 - strlen(thread->call.names[0])
					    : 1),
			      "");
	add_native(s, thread);
	if (call)
		list_add_text(&s->list, STYLE_PLAIN, "  [%s]%*ssystem call, state %c", call,
			      (int)(strlen(call) < 22 ? 22 - strlen(call) : 1), "",
			      thread->os.have_stat ? thread->os.stat.state : '?');
}

static void add_awaiters(struct strbuf *line, const struct snapshot *snap,
			 const struct snap_task *task)
{
	for (uint32_t i = 0; i < task->n_awaiters && i < 3; i++) {
		uint32_t other = snap_task_find(snap, snap->awaiters[task->first_awaiter + i]);

		if (other != SNAP_NONE)
			strbuf_addf(line, "%s\"%s\"", i ? ", " : "  awaited by ",
				    snap->tasks[other].name);
	}
}

static void add_context(struct tui_state *s, uint32_t loop, const struct verdict *v)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct snap_loop *l = &snap->loops[loop];
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	if (v->culprit.task != SNAP_NONE) {
		strbuf_addf(&line, "---- task \"%s\"", snap->tasks[v->culprit.task].name);
		add_awaiters(&line, snap, &snap->tasks[v->culprit.task]);
		list_add_text(&s->list, STYLE_HEAD, "  %s", line.data);
	}
	if (l->run.have_batch)
		list_add_text(&s->list, STYLE_HEAD,
			      "  ---- loop: callback %lld of %lld of this turn",
			      (long long)l->run.index + 1, (long long)l->run.ntodo);
	else if (l->phase == SNAP_SELECT)
		list_add_text(&s->list, STYLE_HEAD, "  ---- loop: in select, waiting for events");
}

/* Below the stack, for screens that have room: what else goes on. */
static void add_others(struct tui_state *s, uint32_t loop)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	const struct snap_ready *ready = &snap->loops[loop].ready;
	bool first = true;

	for (uint32_t i = 0; ready->sampled && i < ready->n_top; i++) {
		if (!i)
			list_add_head(&s->list, "ready queue");
		list_add_text(&s->list, STYLE_PLAIN, "  %3.0f %% are  %s",
			      100.0 * ready->top[i].count / ready->sampled, ready->top[i].name);
	}
	for (uint32_t i = 0; i < snap->n_threads; i++) {
		if (i == snap->loops[loop].thread || !snap->threads[i].is_python)
			continue;
		if (first)
			list_add_head(&s->list, "other threads (Enter: their stack)");
		first = false;
		list_add(&s->list, ROW_THREAD, i);
	}
}

static void of_loop(struct tui_state *s, uint32_t loop)
{
	const struct picture *p = tui_picture(s);
	const struct snap_thread *thread = &p->snap.threads[p->snap.loops[loop].thread];
	const struct verdict *v = picture_verdict(p, loop);

	/* of a loop that may not run, the stack of who keeps it from that is the one to read */
	add_thread(s, v->culprit.holder, ", which holds the GIL");
	if (v->culprit.holder != SNAP_NONE)
		list_add_head(&s->list, "the loop's own thread");
	add_frames(&s->list, v->culprit.slice.n ? &v->culprit.slice : &thread->stack);
	add_leaf(s, thread, v);
	add_context(s, loop, v);
	add_thread(s, v->other, ", which waits for this loop");
	add_others(s, loop);
}

static void of_process(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;

	for (uint32_t i = 0; i < snap->n_threads; i++)
		if (snap->threads[i].is_python &&
		    (snap->threads[i].os.tid == snap->process->pid ||
		     snap->threads[i].os.ns_tid == snap->process->ns_pid))
			add_thread(s, i, ", the main thread");
}

void list_stack(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;
	uint32_t loop = tui_loop(s);

	if (loop < snap->n_loops)
		of_loop(s, loop);
	else
		of_process(s);
	if (!s->list.n)
		list_add_text(&s->list, STYLE_DIM, "  no stack could be read");
	for (size_t i = 0; i < snap->n_problems; i++)
		list_add_text(&s->list, STYLE_DIM, "  not read completely: %s (%s)",
			      snap->problems[i].what, snap->problems[i].where);
}

void list_thread(struct tui_state *s)
{
	const struct snapshot *snap = &tui_picture(s)->snap;

	for (uint32_t i = 0; i < snap->n_threads; i++) {
		const struct snap_thread *t = &snap->threads[i];

		if ((uint64_t)t->os.tid != s->subject)
			continue;
		list_add_text(&s->list, STYLE_OWN, "  thread %s/%d  (%s)", text_thread_name(t),
			      t->os.tid, t->os_name);
		list_add_text(&s->list, STYLE_PLAIN, "  state %c   wchan %s   %s%s%s",
			      t->os.have_stat ? t->os.stat.state : '?',
			      t->os.wchan[0] ? t->os.wchan : "-",
			      !t->is_python ? "no Python thread" : "",
			      t->holds_gil ? "holds the GIL " : "",
			      t->waits_for_gil ? "waits for the GIL" : "");
		list_add_head(&s->list, "stack (newest last)");
		add_frames(&s->list, &t->stack);
		return;
	}
	list_add_text(&s->list, STYLE_DIM, "  this thread has ended");
}
