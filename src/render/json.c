/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by the schema stallscope/1 (man stallscope-json). The outer object is written by hand,
 * its parts by jansson one after the other: a task is a small tree that is dropped again.
 * Unknown is null, never 0 and never left out.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "json.h"
#include "json_wait.h"
#include "stallscope/render.h"
#include "stallscope/utf8.h"

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

struct writer {
	const struct snapshot *s;
	const struct diagnosis *d;
	const struct render_options *o;
	FILE *out;
	bool failed;
	struct await_rows rows;
};

/* ---- values ---------------------------------------------------------------------------------- */

json_t *json_wall_time(uint64_t ns)
{
	time_t seconds = (time_t)(ns / 1000000000);
	char text[64], stamp[40];
	struct tm tm;

	if (!ns || !gmtime_r(&seconds, &tm))
		return json_null();
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03uZ", stamp, (unsigned)(ns / 1000000 % 1000));
	return json_string(text);
}

static double seconds(int64_t ns)
{
	return (double)ns / 1e9;
}

/* ---- pieces of the outer object
 * ------------------------------------------------------------------ */

static void put(struct writer *w, const char *text)
{
	if (fputs(text, w->out) == EOF)
		w->failed = true;
}

static void put_value(struct writer *w, json_t *value)
{
	if (!value || json_dumpf(value, w->out, DUMP_FLAGS) != 0)
		w->failed = true;
	json_decref(value);
}

static void put_member(struct writer *w, const char *key, json_t *value)
{
	fprintf(w->out, ",\"%s\":", key);
	put_value(w, value);
}

/* ---- frames
 * ----------------------------------------------------------------------------------------- */

static json_t *task_id(const struct snapshot *s, uint32_t task)
{
	return task == SNAP_NONE ? json_null() : hex(s->tasks[task].id);
}

static void add_columns(const struct snap_frame *f, json_t *frame)
{
	json_object_set_new(frame, "column", count(f->at.col));
	json_object_set_new(frame, "end_line", count(f->at.end_line > 0 ? f->at.end_line : -1));
	json_object_set_new(frame, "end_column", count(f->at.end_col));
}

static void add_source(const struct snapshot *s, const struct snap_frame *f, json_t *frame)
{
	const struct snap_detail *d = snap_detail_of(s, f);
	bool have = d && d->source;

	json_object_set_new(frame, "source", have ? json_string(d->source) : json_null());
	json_object_set_new(frame, "source_newer",
			    have ? json_boolean(d->source_newer) : json_null());
}

static json_t *thread_frame(const struct snapshot *s, const struct snap_frame *f)
{
	const struct snap_code *c = snap_code_of(s, f);
	json_t *frame = json_frame(s, f);

	json_object_set_new(frame, "kind", json_string("python"));
	add_columns(f, frame);
	add_source(s, f, frame);
	json_object_set_new(frame, "async", json_boolean(c->async));
	json_object_set_new(frame, "task", task_id(s, f->task));
	json_object_set_new(frame, "locals", json_locals(s, f));
	return frame;
}

/* ---- head
 * --------------------------------------------------------------------------------------------- */

static json_t *labels(const struct render_options *o)
{
	json_t *object = json_object();

	for (size_t i = 0; i < o->n_labels; i++)
		json_object_set_new(object, o->labels[i].key, json_string(o->labels[i].value));
	return object;
}

/* null without --freeze */
static json_t *freeze(const struct snapshot *s)
{
	const struct snap_freeze *f = &s->freeze;

	if (!f->asked)
		return json_null();
	return json_pack("{sb si si sI sI ss?}", "one_instant", f->stopped && !f->late_pages,
			 "rounds", (int)f->rounds, "threads", (int)f->threads, "copied_bytes",
			 (json_int_t)(f->pages * SOURCE_PAGE), "late_bytes",
			 (json_int_t)(f->late_pages * SOURCE_PAGE), "error", f->why);
}

static json_t *tool(const struct writer *w)
{
	static const char *const words[] = {"consistent", "repaired", "torn"};
	const struct snapshot *s = w->s;

	return json_pack("{ss sI sf sf sI sI sI so so si ss sb}", "version", PACKAGE_VERSION,
			 "looks", (json_int_t)w->d->n_looks, "window_s", w->d->window_s, "read_s",
			 seconds((int64_t)s->read_ns), "bytes_read",
			 (json_int_t)s->stats.bytes_read, "system_calls",
			 (json_int_t)s->stats.system_calls, "paused_us",
			 (json_int_t)((s->stats.paused_ns + 999) / 1000), "freeze", freeze(s),
			 "native", json_native(s), "retries", (int)s->retries, "consistency",
			 words[s->consistency], "redacted", s->redacted);
}

static json_t *python(const struct snapshot *s)
{
	char version[32];

	if (s->micro >= 0)
		snprintf(version, sizeof(version), "3.%d.%d", s->minor, s->micro);
	else
		snprintf(version, sizeof(version), "3.%d", s->minor);
	return json_pack("{ss sb sb ss}", "version", version, "free_threaded", s->free_threaded,
			 "debug", s->debug_build, "layout", s->layout);
}

static json_t *children(const struct snapshot *s)
{
	json_t *array;

	if (!s->have_children)
		return json_null();
	array = json_array();
	for (size_t i = 0; i < s->n_children; i++)
		json_array_append_new(array, json_integer(s->children[i]));
	return array;
}

/* Events name the process, and do not say again what it is made of. */
static json_t *process(const struct snapshot *s, bool modules)
{
	const struct process *p = s->process;
	json_t *command = json_array();
	uint64_t started = s->wall_ns > s->clock_ns - p->started_ns
				   ? s->wall_ns - (s->clock_ns - p->started_ns)
				   : 0;

	for (size_t i = 0; i < p->argc; i++)
		json_array_append_new(command, json_string(p->command[i]));
	return json_pack("{si si so so sI so so so sI so so so so}", "pid", (int)p->pid, "ns_pid",
			 p->ns_pid, "command", command, "started",
			 json_wall_time(started / 10000000 * 10000000), "uid", (json_int_t)p->uid,
			 "executable", string(p->executable), "container", string(p->container),
			 "cgroup", string(p->cgroup), "threads", (json_int_t)s->n_threads,
			 "children", children(s), "python", python(s), "kernel", json_kernel(s),
			 "modules", modules ? json_modules(s) : json_null());
}

/* ---- loops
 * -----------------------------------------------------------------------------------------------
 */

static json_t *batch(const struct snapshot *s, const struct snap_loop *l)
{
	uint64_t task = l->have_callback ? l->callback.task : 0;

	(void)s;
	if (!l->run.have_batch)
		return json_null();
	return json_pack("{sI sI so so}", "index", (json_int_t)l->run.index, "of",
			 (json_int_t)l->run.ntodo, "callback",
			 string(l->have_callback ? l->callback.name : NULL), "callback_task",
			 hex(task));
}

static json_t *executor(const struct aio_loop *info)
{
	if (!info->have_executor)
		return json_null();
	return json_pack("{so so so so}", "max", count(info->executor_max), "threads",
			 count(info->executor_threads), "idle", count(info->executor_idle),
			 "queued", count(info->executor_queued));
}

static json_t *who(const struct snapshot *s, const struct verdict *v)
{
	const struct culprit *c = &v->culprit;
	const struct snap_frame *f;
	json_t *frame;

	if (c->frame == SNAP_NONE)
		return json_null();
	f = &s->frames[c->frame];
	frame = json_frame(s, f);
	json_object_del(frame, "own");
	add_columns(f, frame);
	add_source(s, f, frame);
	json_add_file(frame, snap_detail_of(s, f));
	json_object_set_new(frame, "task",
			    c->task == SNAP_NONE ? json_null()
						 : json_string(s->tasks[c->task].name));
	return frame;
}

static json_t *rule(const struct culprit *c)
{
	return c->rule ? json_sprintf("%s %s", c->rule_kind, c->rule) : json_null();
}

static json_t *what(const struct snapshot *s, const struct snap_loop *l, const struct verdict *v)
{
	const struct culprit *c = &v->culprit;
	json_t *object;

	if (c->leaf == SNAP_NONE)
		return json_null();
	object = json_pack("{so ss so ss so so}", "library",
			   string(c->library[0] ? c->library : NULL), "title",
			   c->title ? c->title : v->title, "rule", rule(c), "leaf", c->leaf_name,
			   "system_call", string(c->system_call), "on_cpu_ratio",
			   number(v->on_cpu >= 0, v->on_cpu));
	json_add_wait(object, s, l);
	return object;
}

static json_t *evidence(const struct verdict *v)
{
	json_t *array = json_array();

	for (size_t i = 0; i < v->n_evidence; i++)
		json_array_append_new(array, json_pack("{ss ss}", "fact", v->evidence[i].fact,
						       "source", v->evidence[i].source));
	return array;
}

static json_t *flags(const struct verdict *v)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < FLAG_COUNT; i++)
		if (v->flags >> i & 1)
			json_array_append_new(array, json_string(flag_word((enum flag_id)i)));
	return array;
}

static json_t *task_counts(const struct snapshot *s, uint32_t loop)
{
	json_int_t states[4] = {0}, total = s->loops[loop].tasks, torn = s->loops[loop].tasks_torn;
	const struct snap_growth *growth = &s->loops[loop].growth;

	for (size_t i = 0; i < s->n_tasks; i++)
		if (s->tasks[i].loop == loop)
			states[s->tasks[i].state]++;
	return json_pack("{sI sI sI sI sI sI sI so sI sI so so}", "total", total, "read",
			 total - torn, "torn", torn, "pending", states[SNAP_TASK_PENDING],
			 "running", states[SNAP_TASK_RUNNING], "ready", states[SNAP_TASK_READY],
			 "cancelling", states[SNAP_TASK_CANCELLING], "unowned",
			 s->loops[loop].owners_unknown ? json_null()
						       : json_integer(s->loops[loop].unowned),
			 "orphans", (json_int_t)s->loops[loop].orphans, "under_retry",
			 (json_int_t)s->loops[loop].under_retry, "created_per_s",
			 number(growth->have_created, growth->created_per_s), "growth_per_s",
			 number(growth->have_growth, growth->growth_per_s));
}

static json_t *ready_sample(const struct snap_ready *ready)
{
	json_t *top = json_array();

	if (!ready->have) {
		json_decref(top);
		return json_null();
	}
	for (uint32_t i = 0; i < ready->n_top; i++)
		json_array_append_new(top, json_pack("{ss sI}", "name", ready->top[i].name, "count",
						     (json_int_t)ready->top[i].count));
	return json_pack("{sI so sI sI sI}", "sampled", (json_int_t)ready->sampled, "top", top,
			 "threadsafe_callbacks", (json_int_t)ready->threadsafe_callbacks, "sleep0",
			 (json_int_t)ready->sleep0, "under_retry", (json_int_t)ready->under_retry);
}

static json_t *resource(const struct snapshot *s, const struct snap_resource *r)
{
	json_t *holders = json_array();

	for (uint32_t i = 0; i < r->n_holders; i++)
		json_array_append_new(holders, task_id(s, r->holders[i]));
	return json_pack("{so ss sI so so so so so so sb}", "id", hex(r->address), "type", r->type,
			 "waiters", (json_int_t)r->waiters, "locked",
			 r->locked < 0 ? json_null() : json_boolean(r->locked), "value",
			 count(r->value), "size", count(r->size), "maxsize", count(r->maxsize),
			 "likely_holders", holders, "holder",
			 r->holder == SNAP_NONE ? json_null() : task_id(s, r->holder),
			 "lost_wakeup", r->lost);
}

static json_t *resources(const struct snapshot *s, uint32_t loop)
{
	json_t *array = json_array();

	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i].loop == loop && s->resources[i].type)
			json_array_append_new(array, resource(s, &s->resources[i]));
	return array;
}

static const char *phase_word(enum snap_phase phase)
{
	static const char *const words[] = {"not running", "select", "processing", "callbacks",
					    NULL};

	return words[phase];
}

static json_t *deadlock_waits(const struct snapshot *s, const struct snap_deadlock *d)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < d->n_threads; i++)
		json_array_append_new(
			array,
			json_pack("{si si so so}", "thread", s->threads[d->threads[i]].os.tid,
				  "for", s->threads[d->threads[(i + 1) % d->n_threads]].os.tid,
				  "loop",
				  d->loops[i] < s->n_loops ? hex(s->loops[d->loops[i]].run.loop)
							   : json_null(),
				  "proof", string(d->proofs[i])));
	return array;
}

static json_t *deadlock(const struct snapshot *s, const struct snap_deadlock *d)
{
	static const char *const kinds[] = {NULL, "own-future", "threads", "pool", "pool-wait"};
	json_t *pool = json_null();

	if (!d->kind)
		return json_null();
	if (d->pool)
		pool = json_pack("{so so so sI}", "id", hex(d->pool), "checked_out",
				 count(d->checked_out), "limit", count(d->pool_limit), "holders",
				 (json_int_t)d->pool_holders);
	return json_pack("{ss sb so so so}", "kind", kinds[d->kind], "forever", d->forever,
			 "future", hex(d->future), "waits", deadlock_waits(s, d), "pool", pool);
}

/* What the loop object and its frame say. */
static void add_loop_state(const struct writer *w, uint32_t i, json_t *loop)
{
	const struct snap_loop *l = &w->s->loops[i];
	const struct aio_loop *info = &l->info;
	double next = info->next_when - seconds((int64_t)w->s->clock_ns);
	bool late = info->timers_late >= 0;

	json_object_set_new(loop, "phase", string(phase_word(l->phase)));
	json_object_set_new(
		loop, "select",
		json_pack("{so so}", "entered_s_ago", number(l->have_select, seconds(l->select_ns)),
			  "timeout_s",
			  number(l->run.have_timeout && !l->run.timeout_none, l->run.timeout)));
	json_object_set_new(loop, "batch", batch(w->s, l));
	json_object_set_new(loop, "ready", count(info->ready));
	json_object_set_new(loop, "timers", count(info->timers));
	json_object_set_new(loop, "timers_late", count(info->timers_late));
	json_object_set_new(loop, "timers_worst_late_s", number(late, info->worst_late));
	json_object_set_new(loop, "timers_worst_callback", string(l->worst_timer));
	json_object_set_new(loop, "timers_cancelled", count(info->timers_cancelled));
	json_object_set_new(loop, "ready_sample", ready_sample(&l->ready));
	json_object_set_new(loop, "resources", resources(w->s, i));
	json_object_set_new(loop, "deadlock", deadlock(w->s, &l->deadlock));
	json_object_set_new(loop, "timers_next_s", number(info->have_next && next > 0, next));
	json_object_set_new(loop, "fds", count(info->fds));
	json_object_set_new(loop, "executor", executor(info));
	json_object_set_new(loop, "gc_ratio", json_gc_ratio(w->s, l->run.loop));
	json_object_set_new(loop, "tasks", task_counts(w->s, i));
	json_object_set_new(loop, "current_task", task_id(w->s, l->current_task));
}

static json_t *loop_object(struct writer *w, uint32_t i)
{
	const struct snapshot *s = w->s;
	const struct snap_loop *l = &s->loops[i];
	const struct verdict *v = &w->d->loops[i];
	json_t *loop;

	loop = json_pack(
		"{so si ss ss ss so ss so so so so sf}", "id", hex(l->run.loop), "thread",
		s->threads[l->thread].os.tid, "implementation",
		l->info.is_uvloop ? "uvloop" : "asyncio", "class", l->info.class_name, "verdict",
		verdict_word(v->id), "kind", string(v->kind[0] ? v->kind : NULL), "confidence",
		confidence_word(v->confidence), "held_s", number(v->have_held, seconds(v->held_ns)),
		"held_bound", string(v->held_bound), "same_callback",
		v->same_callback < 0 ? json_null() : json_boolean(v->same_callback), "lag_s",
		json_real(seconds(v->lag_ns)), "threshold_s", w->o->threshold_s);
	add_loop_state(w, i, loop);
	json_object_set_new(loop, "who", who(s, v));
	json_object_set_new(loop, "what", what(s, l, v));
	json_object_set_new(loop, "fingerprint", json_fingerprint(s, v));
	json_object_set_new(loop, "advice", string(v->advice[0] ? v->advice : NULL));
	json_object_set_new(loop, "evidence", evidence(v));
	json_object_set_new(loop, "flags", flags(v));
	json_object_set_new(loop, "groups", json_groups(s, &w->rows, i, w->o->filter));
	return loop;
}

/* ---- threads
 * ------------------------------------------------------------------------------------- */

static json_t *call_args(const struct os_thread *os)
{
	json_t *args = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(os->syscall.args); i++) {
		char text[32];

		snprintf(text, sizeof(text), "0x%llx", (unsigned long long)os->syscall.args[i]);
		json_array_append_new(args, json_string(text));
	}
	return args;
}

static void add_os(const struct os_thread *os, json_t *thread)
{
	bool in_call = os->have_syscall && !os->syscall.running && os->syscall.number >= 0;
	char state[2] = {os->have_stat ? os->stat.state : 0, 0};

	json_object_set_new(thread, "state", string(state[0] ? state : NULL));
	json_object_set_new(thread, "system_call",
			    string(in_call ? syscall_name(os->syscall.number) : NULL));
	json_object_set_new(thread, "system_call_args", in_call ? call_args(os) : json_null());
	json_object_set_new(thread, "wchan", string(os->wchan[0] ? os->wchan : NULL));
}

/* Ratios are known of the threads that were looked at more than once: those with a loop. */
static const struct verdict *verdict_of(const struct writer *w, const struct snap_thread *t)
{
	return t->loop == SNAP_NONE ? NULL : &w->d->loops[t->loop];
}

/* What the innermost frame calls: by the names in the code, and by the object. */
static json_t *call(const struct snap_thread *t)
{
	json_t *names;

	if (!t->have_call)
		return json_null();
	names = json_array();
	for (uint32_t i = 0; i < t->call.n_names; i++)
		json_array_append_new(names, json_string(t->call.names[i]));
	return json_pack("{ss so sb}", "text", t->call.text, "names", names, "implied",
			 t->call.implied);
}

/* C and Python together where they fit, else what is known of C below all of Python. */
static json_t *thread_frames(const struct snapshot *s, const struct snap_thread *t)
{
	const struct snap_native *n = &t->native;
	json_t *frames = json_array();

	for (uint32_t i = n->first; i < n->first + n->n; i++)
		json_array_append_new(frames,
				      s->natives[i].frame == SNAP_NONE
					      ? json_native_frame(&s->natives[i])
					      : thread_frame(s, &s->frames[s->natives[i].frame]));
	for (uint32_t i = 0; i < t->stack.n && n->state != SNAP_NATIVE_MERGED; i++)
		json_array_append_new(frames, thread_frame(s, snap_frame_at(s, &t->stack, i)));
	return frames;
}

static json_t *thread_object(const struct writer *w, const struct snap_thread *t)
{
	const struct snapshot *s = w->s;
	const struct verdict *v = verdict_of(w, t);
	json_t *thread;

	thread = json_pack(
		"{si so so so so so so so so}", "id", t->os.tid, "name", string(t->name), "os_name",
		string(t->os_name), "on_cpu_ratio", number(v && v->on_cpu >= 0, v ? v->on_cpu : 0),
		"run_queue_ratio", number(v && v->run_queue >= 0, v ? v->run_queue : 0), "has_gil",
		t->is_python ? json_boolean(t->holds_gil) : json_null(), "waits_for_gil",
		t->is_python ? json_boolean(t->waits_for_gil) : json_null(), "interpreter",
		t->interpreter == SNAP_NONE ? json_null() : json_integer(t->interpreter_id), "loop",
		t->loop == SNAP_NONE ? json_null() : hex(s->loops[t->loop].run.loop));
	json_object_set_new(thread, "waits_for_loop",
			    t->waits_for_loop >= s->n_loops
				    ? json_null()
				    : hex(s->loops[t->waits_for_loop].run.loop));
	add_os(&t->os, thread);
	json_object_set_new(thread, "locals_of_one_moment",
			    t->stood == SNAP_STOOD || t->stood == SNAP_RAN
				    ? json_boolean(t->stood == SNAP_STOOD)
				    : json_null());
	json_object_set_new(thread, "call", call(t));
	json_object_set_new(thread, "native", json_native_of_thread(&t->native));
	json_object_set_new(thread, "frames", thread_frames(s, t));
	return thread;
}

/* ---- parts of events
 * ------------------------------------------------------------------------------ */

/* The slice of the one to blame, with the frames of C in between where these are known. */
static json_t *holder_stack(const struct snapshot *s, const struct snap_thread *t,
			    const struct snap_stack *slice)
{
	const struct snap_native *n = &t->native;
	json_t *stack = json_array();
	bool within = n->state == SNAP_NATIVE_MERGED && slice->n;

	for (uint32_t i = n->first; within && i < n->first + n->n; i++) {
		uint32_t frame = s->natives[i].frame;

		json_array_append_new(stack, frame == SNAP_NONE
						     ? json_native_frame(&s->natives[i])
						     : thread_frame(s, &s->frames[frame]));
		if (frame == slice->first + slice->n - 1)
			return stack;
	}
	json_array_clear(stack);
	for (uint32_t i = 0; i < slice->n; i++)
		json_array_append_new(stack, thread_frame(s, snap_frame_at(s, slice, i)));
	return stack;
}

void json_add_holder(json_t *object, const struct snapshot *s, const struct diagnosis *d,
		     uint32_t loop)
{
	const struct verdict *v = &d->loops[loop];

	json_object_set_new(object, "who", who(s, v));
	json_object_set_new(object, "what", what(s, &s->loops[loop], v));
	json_object_set_new(object, "advice", string(v->advice[0] ? v->advice : NULL));
	json_object_set_new(object, "evidence", evidence(v));
	json_object_set_new(object, "flags", flags(v));
	json_object_set_new(object, "stack",
			    holder_stack(s, &s->threads[s->loops[loop].thread], &v->culprit.slice));
}

void json_add_process(json_t *object, const struct snapshot *s, const struct render_options *o)
{
	json_object_set_new(object, "host", string(o->host));
	json_object_set_new(object, "labels", labels(o));
	json_object_set_new(object, "process", process(s, false));
}

/* ---- the whole
 * ------------------------------------------------------------------------------------------------
 */

static void put_head(struct writer *w)
{
	const struct snapshot *s = w->s;

	put(w, "{\"schema\":\"stallscope/1\"");
	if (w->o->type)
		put_member(w, "type", json_string(w->o->type));
	put_member(w, "time", json_wall_time(s->wall_ns));
	put_member(w, "monotonic_s", number(s->clock_ns != 0, seconds((int64_t)s->clock_ns)));
	put_member(w, "host", string(w->o->host));
	put_member(w, "labels", labels(w->o));
	put_member(w, "tool", tool(w));
	put_member(w, "process", process(s, true));
	put_member(w, "verdict", json_string(verdict_word(w->d->worst)));
	put_member(w, "filter", json_filter(s, w->o->filter));
}

static void put_loops(struct writer *w)
{
	put(w, ",\"loops\":[");
	for (size_t i = 0; i < w->s->n_loops; i++) {
		if (i)
			put(w, ",");
		put_value(w, loop_object(w, (uint32_t)i));
	}
	put(w, "]");
}

static void put_tasks(struct writer *w)
{
	bool first = true;

	put(w, ",\"tasks\":[");
	for (size_t i = 0; i < w->s->n_tasks && w->o->tasks != RENDER_TASKS_NONE; i++) {
		if (!task_filter_matches(w->o->filter, w->s, (uint32_t)i))
			continue;
		if (!first)
			put(w, ",");
		put_value(w, json_task(w->s, &w->rows, &w->s->tasks[i]));
		first = false;
	}
	put(w, "]");
}

static void put_threads(struct writer *w)
{
	put(w, ",\"threads\":[");
	for (size_t i = 0; i < w->s->n_threads; i++) {
		if (i)
			put(w, ",");
		put_value(w, thread_object(w, &w->s->threads[i]));
	}
	put(w, "],\"problems\":[");
	for (size_t i = 0; i < w->s->n_problems; i++) {
		const struct snap_problem *p = &w->s->problems[i];

		if (i)
			put(w, ",");
		put_value(w, json_pack("{ss ss sI}", "what", p->what, "where", p->where, "count",
				       (json_int_t)p->count));
	}
	if (w->s->variables_left) {
		put(w, w->s->n_problems ? "," : "");
		put_value(w,
			  json_pack("{ss ss sI}", "what", "more variables than are shown", "where",
				    "frames", "count", (json_int_t)w->s->variables_left));
	}
	put(w, "]}\n");
}

bool render_json(const struct snapshot *snap, const struct diagnosis *d,
		 const struct render_options *options, FILE *out)
{
	struct writer w = {snap, d, options, out, false, AWAIT_ROWS_INIT};

	put_head(&w);
	put_loops(&w);
	put_tasks(&w);
	put_threads(&w);
	await_rows_deinit(&w.rows);
	return !w.failed && !ferror(out);
}
