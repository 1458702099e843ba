/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a recording, stallscope-json(5). Each names its type, its time and whose it is, so that
 * a line taken out of the file, or of many files, still says what happened.
 */
#include <stdlib.h>

#include "config.h"
#include "json.h"

#define FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15))

static void put_line(json_t *object, struct strbuf *out)
{
	char *text = json_dumps(object, FLAGS);

	if (text)
		strbuf_addf(out, "%s\n", text);
	free(text);
	json_decref(object);
}

static json_t *head(const char *type, uint64_t wall_ns, uint64_t clock_ns, int32_t pid)
{
	return json_pack("{ss ss so so si}", "schema", "stallscope/1", "type", type, "time",
			 json_wall_time(wall_ns), "monotonic_s",
			 number(clock_ns != 0, (double)clock_ns / 1e9), "pid", (int)pid);
}

static json_t *head_at(const struct event_clock *c, const char *type, uint64_t clock_ns)
{
	uint64_t wall = clock_ns ? clock_ns + (uint64_t)c->wall_minus_clock_ns : 0;

	return head(type, wall, clock_ns, c->pid);
}

void render_hello(const struct snapshot *s, const struct render_options *o, double interval_s,
		  struct strbuf *out)
{
	json_t *line = head("hello", s->wall_ns, s->clock_ns, s->process->pid);

	json_add_process(line, s, o);
	json_object_set_new(line, "tool", json_pack("{ss}", "version", PACKAGE_VERSION));
	json_object_set_new(line, "interval_s", json_real(interval_s));
	json_object_set_new(line, "threshold_s", json_real(o->threshold_s));
	put_line(line, out);
}

static json_t *light_loop(const struct snapshot *s, const struct diagnosis *d, uint32_t i)
{
	const struct snap_loop *l = &s->loops[i];
	const struct verdict *v = &d->loops[i];

	return json_pack("{so ss so so sf so so so s{sI} so}", "id", hex(l->run.loop), "verdict",
			 verdict_word(v->id), "kind", string(v->kind[0] ? v->kind : NULL), "held_s",
			 number(v->have_held, (double)v->held_ns / 1e9), "lag_s",
			 (double)v->lag_ns / 1e9, "ready", count(l->info.ready), "timers_late",
			 count(l->info.timers_late), "queued",
			 count(l->info.have_executor ? l->info.executor_queued : -1), "tasks",
			 "total", (json_int_t)l->tasks, "fingerprint", json_fingerprint(s, v));
}

void render_light(const struct snapshot *s, const struct diagnosis *d, struct strbuf *out)
{
	json_t *line = head("snapshot", s->wall_ns, s->clock_ns, s->process->pid);
	json_t *loops = json_array();

	for (uint32_t i = 0; i < s->n_loops && i < d->n; i++)
		json_array_append_new(loops, light_loop(s, d, i));
	json_object_set_new(line, "detail", json_string("light"));
	json_object_set_new(line, "verdict", json_string(verdict_word(d->worst)));
	json_object_set_new(line, "loops", loops);
	put_line(line, out);
}

/* ---- stalls ---------------------------------------------------------------------------------- */

void render_stall_body(const struct snapshot *s, const struct diagnosis *d,
		       const struct render_options *o, const struct stall *stall,
		       struct strbuf *out)
{
	const struct verdict *v = &d->loops[stall->index];
	const struct snap_loop *l = &s->loops[stall->index];
	json_t *body =
		json_pack("{so si ss so ss sf so so}", "fingerprint", json_fingerprint(s, v),
			  "thread", s->threads[l->thread].os.tid, "verdict", verdict_word(v->id),
			  "kind", string(v->kind[0] ? v->kind : NULL), "confidence",
			  confidence_word(v->confidence), "threshold_s", o->threshold_s, "ready",
			  count(l->info.ready), "timers_late", count(l->info.timers_late));
	char *text;

	json_add_holder(body, s, d, stall->index);
	json_add_process(body, s, o);
	text = json_dumps(body, FLAGS);
	strbuf_addstr(out, text ? text : "{}");
	free(text);
	json_decref(body);
}

void render_stall_unseen(const struct snapshot *s, const struct render_options *o, int32_t tid,
			 struct strbuf *out)
{
	json_t *body =
		json_pack("{sn si ss sn ss sf sn sn sn sn sn s[] s[] s[]}", "fingerprint", "thread",
			  (int)tid, "verdict", verdict_word(VERDICT_UNSURE), "kind", "confidence",
			  confidence_word(CONFIDENCE_LOW), "threshold_s", o->threshold_s, "ready",
			  "timers_late", "who", "what", "advice", "evidence", "flags", "stack");
	char *text;

	json_add_process(body, s, o);
	text = json_dumps(body, FLAGS);
	strbuf_addstr(out, text ? text : "{}");
	free(text);
	json_decref(body);
}

static json_t *stall_head(const struct event_clock *c, const char *type, const struct stall *stall,
			  uint64_t at)
{
	json_t *line = head_at(c, type, at);

	json_object_set_new(line, "stall", json_integer((json_int_t)stall->number));
	json_object_set_new(line, "loop", hex(stall->loop));
	return line;
}

static void add_body(json_t *line, const struct stall *stall)
{
	json_t *body = stall->body ? json_loads(stall->body, 0, NULL) : NULL;

	if (body)
		json_object_update(line, body);
	json_decref(body);
	if (stall->core)
		json_object_set_new(line, "core", json_string(stall->core));
}

void render_stall_begin(const struct event_clock *c, const struct stall *stall, struct strbuf *out)
{
	json_t *line = stall_head(c, "stall_begin", stall, stall->start_ns);

	json_object_set_new(line, "held_s", json_real((double)stall->held_ns / 1e9));
	add_body(line, stall);
	put_line(line, out);
}

void render_stall_end(const struct event_clock *c, const struct stall *stall, struct strbuf *out)
{
	json_t *line = stall_head(c, "stall_end", stall, stall->over_ns);

	json_object_set_new(line, "held_s", json_real((double)stall->held_ns / 1e9));
	put_line(line, out);
}

void render_stall(const struct event_clock *c, const struct stall *stall, struct strbuf *out)
{
	json_t *line = stall_head(c, "stall", stall, stall->start_ns);
	int64_t most = (int64_t)(stall->over_ns - stall->start_ns);

	json_object_set_new(line, "held_s", json_real((double)stall->held_ns / 1e9));
	json_object_set_new(line, "held_at_most_s",
			    number(stall->over_ns != 0, (double)most / 1e9));
	json_object_set_new(line, "over", json_boolean(stall->over_ns != 0));
	add_body(line, stall);
	put_line(line, out);
}

void render_choppy(const struct event_clock *c, const struct choppy *choppy,
		   const struct snapshot *s, const struct render_options *o, struct strbuf *out)
{
	json_t *line = head_at(c, "choppy", choppy->since_ns);

	json_add_choppy(line, choppy);
	if (s)
		json_add_process(line, s, o);
	put_line(line, out);
}

/* ---- the end --------------------------------------------------------------------------------- */

void render_lost(const struct event_clock *c, uint64_t clock_ns, const char *reason,
		 struct strbuf *out)
{
	json_t *line = head_at(c, "lost", clock_ns);

	json_object_set_new(line, "reason", json_string(reason));
	put_line(line, out);
}

void render_bye(const struct event_clock *c, uint64_t clock_ns, const struct bye *bye,
		struct strbuf *out)
{
	json_t *line = head_at(c, "bye", clock_ns);

	json_object_set_new(line, "reason", json_string(bye->reason));
	json_object_set_new(line, "looks", json_integer((json_int_t)bye->looks));
	json_object_set_new(line, "stalls", json_integer((json_int_t)bye->stalls));
	json_object_set_new(line, "missed", json_integer((json_int_t)bye->missed));
	if (bye->longest_gap_ns) {
		if (bye->counts_short) {
			json_object_set_new(line, "short_holds",
					    json_integer((json_int_t)bye->short_holds));
			json_object_set_new(line, "choppy", json_integer((json_int_t)bye->choppy));
		}
		json_object_set_new(line, "maybe", json_integer((json_int_t)bye->maybe));
		json_object_set_new(line, "longest_gap_s",
				    json_real((double)bye->longest_gap_ns / 1e9));
	}
	put_line(line, out);
}
