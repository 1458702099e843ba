/* SPDX-License-Identifier: Apache-2.0 */
/* Stalls as events: a trace for Perfetto and Chrome, log records of OpenTelemetry. */
#include <stdlib.h>

#include "config.h"
#include "convert.h"
#include "record_json.h"
#include "report_page.h"
#include "stallscope/cleanup.h"

#define EVENTS_MOST 1000000u /* of a trace: beyond that stalls come without their stacks */

/* ---- Chrome's trace events ----------------------------------------------------------------------
 */

/* The real pid where it can be told apart: of one process in a trace, and of its first loop. */
#define NUMBER_MOST 10000000 /* more than a pid may be */

struct trace {
	const struct history *h;
	struct strbuf text;
	FILE *out;
	double first;
	uint64_t n;
	int *numbers;  /* of loops, as processes of the trace */
	uint32_t loop; /* of the stall before */
	int64_t end;   /* of that, in microseconds */
};

static int number_of(const struct history *h, uint32_t i)
{
	int64_t pid = h->loops[i].pid;

	for (uint32_t j = 0; j < i; j++)
		if (h->loops[j].pid == pid)
			pid = 0;
	return pid > 0 && pid < NUMBER_MOST ? (int)pid : NUMBER_MOST + (int)i;
}

static int64_t microseconds(const struct trace *t, double time)
{
	return llround((time - t->first) * 1e6);
}

static void put_event(struct trace *t, json_t *event)
{
	if (t->n++)
		strbuf_addstr(&t->text, ",\n");
	record_put_utf8(event, &t->text); /* Perfetto shows \u00e9 in a name as it stands */
	convert_flush(&t->text, t->out);
}

/*
 * A process of the viewer for each loop, since values belong to processes; and its main thread,
 * which is the one with the same number.
 */
static void name_loop(struct trace *t, uint32_t i)
{
	const struct history_loop *l = &t->h->loops[i];
	bool other = t->numbers[i] != l->pid;
	struct arena arena = ARENA_INIT;

	put_event(t,
		  json_pack("{ss ss si si s{ss}}", "ph", "M", "name", "process_name", "pid",
			    t->numbers[i], "tid", t->numbers[i], "args", "name",
			    arena_printf(&arena, "%s%s%s %s", report_whose(&arena, l),
					 other ? " loop " : "", other ? l->id : "", l->command)));
	put_event(t, json_pack("{ss ss si si s{ss}}", "ph", "M", "name", "thread_name", "pid",
			       t->numbers[i], "tid", t->numbers[i], "args", "name", "event loop"));
	arena_deinit(&arena);
}

struct span {
	int64_t from, length; /* microseconds since the first look */
};

static json_t *slice(const struct trace *t, const struct history_stall *s, struct span span,
		     const char *name, json_t *args)
{
	int number = t->numbers[s->loop];

	return json_pack("{ss ss ss sI sI si si so}", "ph", "X", "cat", "stall", "name", name, "ts",
			 (json_int_t)span.from, "dur", (json_int_t)span.length, "pid", number,
			 "tid", number, "args", args);
}

/*
 * Viewers drop a slice that begins in another one and ends after it. Times of a recording are cut
 * to milliseconds, so a stall may seem to begin before the last one was over: it begins when that
 * ends. Where they overlap by more than that (two recorders of one process that disagree), what
 * comes after it is shown, if only as a moment. Whole microseconds: a viewer that cuts fractions
 * cannot make them overlap.
 */
static struct span place(struct trace *t, const struct history_stall *s)
{
	static const int64_t cut = 2000;
	int64_t from = microseconds(t, s->time), length = llround(s->held_s * 1e6);

	if (t->loop != s->loop)
		t->end = INT64_MIN;
	t->loop = s->loop;
	if (from < t->end) {
		int64_t over = t->end - from;

		if (over > cut)
			length = length > over ? length - over : 0;
		if (over <= cut || length)
			from = t->end;
	}
	if (from + length > t->end)
		t->end = from + length;
	return (struct span){from, length};
}

/* The stall, and in it its frames, each in its caller. */
static void put_stall(struct trace *t, const struct history_stall *s)
{
	const struct holder *x = &t->h->holders[s->holder];
	const struct history_stack *stack =
		s->stack == HISTORY_NONE ? NULL : &t->h->stacks[s->stack];
	struct arena arena = ARENA_INIT;
	struct span span;

	if (isnan(s->time))
		return;
	span = place(t, s);
	put_event(t,
		  slice(t, s, span, report_what(&arena, x),
			json_pack("{ss so so ss so so sf}", "verdict", x->verdict, "function",
				  record_text(x->function), "file", record_text(x->file),
				  "fingerprint", x->fingerprint, "advice", record_text(x->advice),
				  "time", record_time(s->time), "held_s", s->held_s)));
	for (uint32_t i = stack && t->n < EVENTS_MOST ? stack->n : 0; i-- > 0;) {
		const struct history_frame *f = &stack->frames[i];

		put_event(t, slice(t, s, span, f->function,
				   json_pack("{so so}", "file", record_text(f->file), "line",
					     record_count(f->line ? f->line : -1))));
	}
	arena_deinit(&arena);
}

/* A curve below the stalls. */
static void put_lag(struct trace *t, uint32_t i)
{
	const struct curve *c = &t->h->loops[i].curve;

	for (size_t j = 0; j < c->n; j++)
		put_event(t, json_pack("{ss ss ss sI si s{sf}}", "ph", "C", "cat", "lag", "name",
				       "lag", "ts", (json_int_t)microseconds(t, c->v[j].time),
				       "pid", t->numbers[i], "args", "ms",
				       floor(c->v[j].value * 1e6 + 0.5) / 1e3));
}

static double first_time(const struct history *h)
{
	double first = NAN;

	for (size_t i = 0; i < h->n_loops; i++)
		if (!(first <= h->loops[i].first))
			first = h->loops[i].first;
	return first;
}

void convert_chrome(const struct history *h, FILE *out)
{
	cleanup_free int *numbers = mem_alloc((h->n_loops + 1) * sizeof(*numbers));
	cleanup_free uint32_t *order = convert_by_loop(h);
	struct trace t = {.h = h,
			  .text = STRBUF_INIT,
			  .out = out,
			  .first = first_time(h),
			  .numbers = numbers,
			  .loop = HISTORY_NONE};

	strbuf_addstr(&t.text, "{\"displayTimeUnit\":\"ms\",\"otherData\":");
	record_put(json_pack("{ss so}", "exporter", "stallscope " PACKAGE_VERSION, "begin",
			     record_time(t.first)),
		   &t.text);
	strbuf_addstr(&t.text, ",\"traceEvents\":[\n");
	for (uint32_t i = 0; i < h->n_loops; i++)
		numbers[i] = number_of(h, i);
	for (uint32_t i = 0; i < h->n_loops; i++)
		name_loop(&t, i);
	for (size_t i = 0; i < h->n_stalls; i++)
		put_stall(&t, &h->stalls[order[i]]);
	for (uint32_t i = 0; i < h->n_loops; i++)
		put_lag(&t, i);
	strbuf_addstr(&t.text, "\n]}\n");
	convert_flush(&t.text, out);
	strbuf_deinit(&t.text);
}

/* ---- OpenTelemetry ------------------------------------------------------------------------------
 */

#define SEVERITY_WARN 13

static void attribute(json_t *list, const char *key, json_t *value)
{
	json_array_append_new(list, json_pack("{ss so}", "key", key, "value", value));
}

static void text_attribute(json_t *list, const char *key, const char *value)
{
	if (value)
		attribute(list, key, json_pack("{ss}", "stringValue", value));
}

/* Whole numbers of 64 bits are strings in the JSON of protocol buffers. */
static void number_attribute(json_t *list, const char *key, int64_t value)
{
	if (value >= 0)
		attribute(list, key,
			  json_pack("{so}", "intValue", json_sprintf("%lld", (long long)value)));
}

static json_t *resource(const struct history_loop *l)
{
	json_t *list = json_array();

	text_attribute(list, "host.name", l->host);
	number_attribute(list, "process.pid", l->pid);
	text_attribute(list, "process.command_line", l->command);
	text_attribute(list, "process.runtime.version", l->python);
	text_attribute(list, "container.id", l->container);
	text_attribute(list, "stallscope.loop", l->id);
	text_attribute(list, "stallscope.labels", l->labels[0] ? l->labels : NULL);
	return json_pack("{so}", "attributes", list);
}

static void put_stack(json_t *list, const struct history *h, const struct history_stall *s)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (s->stack == HISTORY_NONE)
		return;
	for (uint32_t i = 0; i < h->stacks[s->stack].n; i++) {
		const struct history_frame *f = &h->stacks[s->stack].frames[i];

		strbuf_addf(&text, "%s (%s:%lld)\n", f->function, f->file ? f->file : "?",
			    (long long)f->line);
	}
	text_attribute(list, "code.stacktrace", text.data);
}

static json_t *record(const struct history *h, const struct history_stall *s)
{
	const struct holder *x = &h->holders[s->holder];
	json_t *list = json_array();
	struct arena arena = ARENA_INIT;
	char held[48], nanoseconds[32];
	json_t *object;

	report_seconds(s->held_s, held, sizeof(held));
	/* a double of so many nanoseconds is only good to 256 of them */
	snprintf(nanoseconds, sizeof(nanoseconds), "%lld",
		 isnan(s->time) ? 0 : llround(s->time * 1e3) * 1000000);
	text_attribute(list, "stallscope.fingerprint", x->fingerprint);
	text_attribute(list, "stallscope.verdict", x->verdict);
	text_attribute(list, "stallscope.kind", x->kind);
	attribute(list, "stallscope.held_s", json_pack("{sf}", "doubleValue", s->held_s));
	attribute(list, "stallscope.over", json_pack("{sb}", "boolValue", s->over));
	text_attribute(list, "stallscope.library", x->library);
	text_attribute(list, "code.function.name", x->function);
	text_attribute(list, "code.file.path", x->file);
	number_attribute(list, "code.line.number", x->line);
	put_stack(list, h, s);
	object = json_pack("{ss ss si ss s{so} so}", "timeUnixNano", nanoseconds,
			   "observedTimeUnixNano", nanoseconds, "severityNumber", SEVERITY_WARN,
			   "severityText", "WARN", "body", "stringValue",
			   json_sprintf("event loop held for %s by %s: %s", held,
					x->function ? x->function : "?", report_what(&arena, x)),
			   "attributes", list);
	arena_deinit(&arena);
	return object;
}

static void begin_loop(const struct history_loop *l, bool first, struct strbuf *text)
{
	strbuf_addstr(text, first ? "{\"resource\":" : "]}]},\n{\"resource\":");
	record_put(resource(l), text);
	strbuf_addstr(
		text,
		",\"scopeLogs\":[{\"scope\":{\"name\":\"stallscope\",\"version\":\"" PACKAGE_VERSION
		"\"},\"logRecords\":[\n");
}

void convert_otlp(const struct history *h, FILE *out)
{
	cleanup_free uint32_t *order = convert_by_loop(h);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	strbuf_addstr(&text, "{\"resourceLogs\":[");
	for (size_t i = 0; i < h->n_stalls; i++) {
		const struct history_stall *s = &h->stalls[order[i]];

		if (!i || s->loop != h->stalls[order[i - 1]].loop)
			begin_loop(&h->loops[s->loop], !i, &text);
		else
			strbuf_addstr(&text, ",\n");
		record_put(record(h, s), &text);
		convert_flush(&text, out);
	}
	strbuf_addstr(&text, h->n_stalls ? "]}]}]}\n" : "]}\n");
	convert_flush(&text, out);
}
