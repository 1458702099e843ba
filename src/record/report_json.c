/* SPDX-License-Identifier: Apache-2.0 */
/* The report as one JSON object, $defs.report of the schema. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record_json.h"
#include "report_page.h"
#include "stallscope/cleanup.h"

#define STALLS_MOST 1000u /* in the list, unless all are asked for */

json_t *record_text(const char *text)
{
	return text ? json_string(text) : json_null();
}

json_t *record_number(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *record_count(int64_t value)
{
	return value < 0 ? json_null() : json_integer(value);
}

json_t *record_time(double time)
{
	time_t seconds;
	struct tm tm;
	char stamp[40];
	int ms;

	if (isnan(time))
		return json_null();
	seconds = (time_t)floor(time);
	ms = (int)((time - floor(time)) * 1e3 + 0.5);
	ms = ms > 999 ? 999 : ms;
	if (!gmtime_r(&seconds, &tm) || !strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm))
		return json_null();
	return json_sprintf("%s.%03dZ", stamp, ms);
}

static void put(json_t *value, size_t flags, struct strbuf *out)
{
	char *text =
		json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) | flags);

	strbuf_addstr(out, text ? text : "null");
	free(text);
	json_decref(value);
}

void record_put(json_t *value, struct strbuf *out)
{
	put(value, JSON_ENSURE_ASCII, out);
}

void record_put_utf8(json_t *value, struct strbuf *out)
{
	put(value, 0, out);
}

void record_member(const char *key, json_t *value, struct strbuf *out)
{
	strbuf_addf(out, ",\"%s\":", key);
	record_put(value, out);
}

/* An element of a list is written and dropped: the whole list is never one tree. */
static void element(json_t *value, struct strbuf *out)
{
	if (out->data[out->len - 1] != '[')
		strbuf_addch(out, ',');
	record_put(value, out);
}

json_t *record_quantiles(const struct sketch *s)
{
	static const struct {
		const char *name;
		double q;
	} at[] = {{"p50_s", 0.5}, {"p90_s", 0.9}, {"p95_s", 0.95}, {"p99_s", 0.99}};
	json_t *object = json_pack("{sI sf}", "count", (json_int_t)s->count, "sum_s", s->sum);

	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		json_object_set_new(object, at[i].name,
				    s->count ? json_real(sketch_quantile(s, at[i].q))
					     : json_null());
	json_object_set_new(object, "max_s", s->count ? json_real(s->max) : json_null());
	return object;
}

json_t *record_stack(const struct history_stack *stack)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < stack->n; i++) {
		const struct history_frame *f = &stack->frames[i];

		json_array_append_new(array, json_pack("{ss so so sb}", "function", f->function,
						       "file", record_text(f->file), "line",
						       record_count(f->line ? f->line : -1), "own",
						       f->own));
	}
	return array;
}

static json_t *holder(const struct history *h, const struct holder *x, double all)
{
	const struct history_stall *worst = x->worst == HISTORY_NONE ? NULL : &h->stalls[x->worst];
	json_t *object = json_pack("{ss ss so so so so so so so so}", "fingerprint", x->fingerprint,
				   "verdict", x->verdict, "kind", record_text(x->kind), "function",
				   record_text(x->function), "file", record_text(x->file), "line",
				   record_count(x->line), "source", record_text(x->source),
				   "library", record_text(x->library), "title",
				   record_text(x->title), "advice", record_text(x->advice));

	json_object_set_new(object, "held", record_quantiles(&x->held));
	json_object_set_new(object, "share_ratio",
			    record_number(all > 0 ? x->held.sum / all : NAN));
	json_object_set_new(object, "hosts", json_integer(x->n_hosts));
	json_object_set_new(object, "first", record_time(x->first));
	json_object_set_new(object, "last", record_time(x->last));
	json_object_set_new(object, "worst_stack",
			    worst && worst->stack != HISTORY_NONE
				    ? record_stack(&h->stacks[worst->stack])
				    : json_null());
	return object;
}

static void holders(const struct history *h, struct strbuf *out)
{
	cleanup_free uint32_t *rank = history_rank(h);
	double all = history_held(h);

	strbuf_addstr(out, ",\"holders\":[");
	for (size_t i = 0; i < h->n_holders; i++)
		if (h->holders[rank[i]].held.count)
			element(holder(h, &h->holders[rank[i]], all), out);
	strbuf_addch(out, ']');
}

static void stalls(const struct history *h, size_t most, struct strbuf *out)
{
	cleanup_free uint32_t *order = report_longest(h);

	strbuf_addstr(out, ",\"stalls\":[");
	for (size_t i = 0; i < h->n_stalls && i < most; i++) {
		const struct history_stall *s = &h->stalls[order[i]];

		element(json_pack("{so sf so ss sI sb}", "time", record_time(s->time), "held_s",
				  s->held_s, "held_at_most_s", record_number(s->held_at_most_s),
				  "fingerprint", h->holders[s->holder].fingerprint, "loop",
				  (json_int_t)s->loop, "over", s->over),
			out);
	}
	strbuf_addch(out, ']');
}

static void loops(const struct history *h, struct strbuf *out)
{
	strbuf_addstr(out, ",\"loops\":[");
	for (size_t i = 0; i < h->n_loops; i++) {
		const struct history_loop *l = &h->loops[i];
		json_t *object =
			json_pack("{so so ss ss so ss so so so sf}", "host", record_text(l->host),
				  "pid", record_count(l->pid), "id", l->id, "command", l->command,
				  "python", record_text(l->python), "labels", l->labels, "verdict",
				  record_text(l->verdict), "kind", record_text(l->kind), "first",
				  record_time(l->first), "observed_s", l->observed_s);

		json_object_set_new(object, "looks", json_integer((json_int_t)l->looks));
		json_object_set_new(object, "unhealthy", json_integer((json_int_t)l->unhealthy));
		json_object_set_new(object, "stalls", json_integer((json_int_t)l->stalls));
		json_object_set_new(object, "held_s", json_real(l->held_s));
		json_object_set_new(object, "lag", record_quantiles(&l->lag));
		json_object_set_new(object, "tasks",
				    json_pack("{so so so}", "first", record_count(l->tasks_first),
					      "last", record_count(l->tasks_last), "most",
					      record_count(l->tasks_most)));
		element(object, out);
	}
	strbuf_addch(out, ']');
}

static void groups(const struct history *h, struct strbuf *out)
{
	cleanup_free uint32_t *order = report_groups(h);

	strbuf_addstr(out, ",\"groups\":[");
	for (size_t i = 0; i < h->n_groups; i++) {
		const struct history_group *g = &h->groups[order[i]];

		element(json_pack("{sI sI sI sI so so so so so so}", "loop", (json_int_t)g->loop,
				  "first", (json_int_t)g->first, "last",
				  (json_int_t)history_group_now(h, g), "most", (json_int_t)g->most,
				  "oldest_s", record_number(g->oldest_s), "title",
				  record_text(g->title), "function", record_text(g->function),
				  "file", record_text(g->file), "line", record_count(g->line),
				  "state", record_text(g->state)),
			out);
	}
	strbuf_addch(out, ']');
}

static void files(const struct history *h, struct strbuf *out)
{
	strbuf_addstr(out, ",\"files\":[");
	for (size_t i = 0; i < h->n_files; i++) {
		const struct history_file *f = &h->files[i];

		element(json_pack("{ss sI sI so so sb sI}", "path", f->path, "lines",
				  (json_int_t)f->lines, "read", (json_int_t)f->read,
				  "first_bad_line",
				  record_count(f->first_bad ? (int64_t)f->first_bad : -1),
				  "problem", record_text(f->why), "whole",
				  f->read == f->lines && (!f->recording || f->bye), "missed",
				  (json_int_t)f->missed),
			out);
	}
	strbuf_addch(out, ']');
}

void report_json(const struct history *h, const struct report_options *o, struct strbuf *out)
{
	struct sketch all = history_lag(h);

	strbuf_addstr(out, "{\"schema\":\"stallscope/1\",\"type\":\"report\"");
	record_member("held_s", json_real(history_held(h)), out);
	record_member("observed_s", json_real(history_observed(h)), out);
	record_member("lag", record_quantiles(&all), out);
	record_member("quantile_error_ratio",
		      json_real(all.count > SKETCH_EXACT ? SKETCH_ERROR : 0), out);
	files(h, out);
	holders(h, out);
	record_member("stalls_total", json_integer((json_int_t)h->n_stalls), out);
	stalls(h, o->verbose ? SIZE_MAX : STALLS_MOST, out);
	loops(h, out);
	groups(h, out);
	record_member("left_out", json_integer((json_int_t)h->left_out), out);
	strbuf_addstr(out, "}\n");
	sketch_deinit(&all);
}
