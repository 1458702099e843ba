/* SPDX-License-Identifier: Apache-2.0 */
/* What one JSON document says, into the history. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "build.h"
#include "stallscope/cleanup.h"

#define SAME_HOLD_S	0.005 /* two looks that see a hold begin so close see the same hold */
#define SECONDS_MOST	1e9   /* thirty years: what is more was made up, and would spoil each sum */
#define ORIGINS_MAX	4096u
#define SCHEMA_PREFIX	"stallscope/"
#define SCHEMA_VERSION	"stallscope/1"
#define ARGUMENTS_SHOWN 4u

/* ---- members --------------------------------------------------------------------------------- */

const char *member_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

double member_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

double member_seconds(const json_t *object, const char *key)
{
	double value = member_number(object, key);

	return fabs(value) <= SECONDS_MOST ? value : NAN;
}

int64_t member_integer(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
}

double history_time(const char *text)
{
	struct tm tm = {0};
	int ms = 0;

	if (!text ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 7 ||
	    ms < 0)
		return NAN;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (double)timegm(&tm) + ms / 1e3;
}

static double wall_time(const json_t *document)
{
	return history_time(member_text(document, "time"));
}

/* ---- whose it is ----------------------------------------------------------------------------- */

static const char *command_of(struct history *h, const json_t *process)
{
	const json_t *command = json_object_get(process, "command");
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	size_t i;
	const json_t *word;

	json_array_foreach(command, i, word)
	{
		if (i == ARGUMENTS_SHOWN)
			break;
		if (json_is_string(word))
			strbuf_addf(&text, "%s%s", text.len ? " " : "", json_string_value(word));
	}
	return history_text(h, text.data);
}

static const char *labels_of(struct history *h, const json_t *labels)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)(uintptr_t)labels, key, value) if (json_is_string(value))
		strbuf_addf(&text, "%s%s=%s", text.len ? " " : "", key, json_string_value(value));
	return history_text(h, text.data);
}

static struct origin origin_of(struct history *h, const json_t *document)
{
	const json_t *process = json_object_get(document, "process");

	return (struct origin){
		.pid = member_integer(process, "pid"),
		.host = history_text(h, member_text(document, "host")),
		.command = command_of(h, process),
		.python =
			history_text(h, member_text(json_object_get(process, "python"), "version")),
		.container = history_text(h, member_text(process, "container")),
		.labels = labels_of(h, json_object_get(document, "labels"))};
}

static struct origin *find_origin(struct reading *r, int64_t pid)
{
	for (size_t i = r->n_origins; i-- > 0;)
		if (r->origins[i].pid == pid)
			return &r->origins[i];
	return NULL;
}

/* The process of a line: its own words, or those of its hello, or only the number. */
static struct origin find_or_name(struct reading *r, const json_t *document)
{
	struct origin *known;
	int64_t pid = member_integer(document, "pid");

	if (json_is_object(json_object_get(document, "process")))
		return origin_of(r->h, document);
	known = find_origin(r, pid);
	if (known)
		return *known;
	return (struct origin){.pid = pid, .command = "", .labels = ""};
}

static const char *take_hello(struct reading *r, const json_t *document)
{
	struct origin origin = origin_of(r->h, document), *known = find_origin(r, origin.pid);
	double threshold = member_seconds(document, "threshold_s");

	if (known)
		*known = origin;
	else if (r->n_origins < ORIGINS_MAX)
		*array_push(&r->origins, &r->n_origins, &r->origins_cap) = origin;
	if (threshold > 0)
		r->h->threshold_s = threshold;
	r->file->recording = true;
	return NULL;
}

/* ---- holders --------------------------------------------------------------------------------- */

static uint32_t stack_of(struct history *h, const json_t *frames)
{
	struct history_frame list[HISTORY_MAX_FRAMES];
	uint32_t n = 0;
	size_t i;
	const json_t *frame;

	json_array_foreach(frames, i, frame)
	{
		int64_t line = member_integer(frame, "line");
		const char *name = member_text(frame, "qualname");

		if (n == HISTORY_MAX_FRAMES)
			break;
		if (!name)
			name = member_text(frame, "function");
		list[n++] =
			(struct history_frame){.function = history_text(h, name ? name : "?"),
					       .file = history_text(h, member_text(frame, "file")),
					       .line = line > 0 ? line : 0,
					       .own = json_is_true(json_object_get(frame, "own"))};
	}
	return n ? history_stack_of(h, list, n) : HISTORY_NONE;
}

/* Of looks from before there were fingerprints: by the same rule. */
static uint32_t find_holder(struct history *h, const json_t *object)
{
	const char *known = member_text(object, "fingerprint");
	const json_t *who = json_object_get(object, "who"), *what = json_object_get(object, "what");
	const char *kind = member_text(object, "kind"), *library = member_text(what, "library");
	char made[FINGERPRINT_SIZE];

	if (known)
		return history_holder(h, known);
	if (!kind)
		kind = member_text(object, "verdict");
	if (!member_text(what, "rule") && kind && !strncmp(kind, "cpu.", 4))
		library = NULL;
	fingerprint_of(kind ? kind : "", member_text(who, "qualname") ?: "", library ?: "", made);
	return history_holder(h, made);
}

static uint32_t holder_of(struct history *h, const json_t *object)
{
	const json_t *who = json_object_get(object, "who"), *what = json_object_get(object, "what");
	uint32_t at = find_holder(h, object);
	struct holder *holder = at == HISTORY_NONE ? NULL : &h->holders[at];

	if (holder)
		holder->newer |= json_is_true(json_object_get(who, "source_newer"));
	if (!holder || holder->verdict)
		return at;
	holder->verdict = history_text(h, member_text(object, "verdict") ?: "?");
	holder->kind = history_text(h, member_text(object, "kind"));
	holder->function = history_text(h, member_text(who, "qualname"));
	holder->file = history_text(h, member_text(who, "file"));
	holder->line = member_integer(who, "line");
	holder->source = history_text(h, member_text(who, "source"));
	holder->library = history_text(h, member_text(what, "library"));
	holder->title = history_text(h, member_text(what, "title"));
	holder->advice = history_text(h, member_text(object, "advice"));
	return at;
}

/* ---- stalls ---------------------------------------------------------------------------------- */

static void touch(struct history *h, uint32_t loop, double time)
{
	struct loop_state *state = &h->index->states[loop];
	struct history_loop *l = &h->loops[loop];

	if (isnan(time))
		return;
	state->first = fmin(time, isnan(state->first) ? time : state->first);
	state->last = fmax(time, isnan(state->last) ? time : state->last);
	l->first = fmin(time, isnan(l->first) ? time : l->first);
	l->last = fmax(time, isnan(l->last) ? time : l->last);
}

static void close_hold(struct history *h, uint32_t loop)
{
	struct loop_state *state = &h->index->states[loop];

	if (!state->open)
		return;
	state->open = false;
	history_add_stall(h, &state->stall);
}

static struct history_stall stall_of(struct history *h, const json_t *object, uint32_t loop,
				     const json_t *frames)
{
	return (struct history_stall){.held_s = member_seconds(object, "held_s"),
				      .held_at_most_s = member_seconds(object, "held_at_most_s"),
				      .time = NAN,
				      .holder = holder_of(h, object),
				      .loop = loop,
				      .stack = stack_of(h, frames),
				      .over = json_is_true(json_object_get(object, "over"))};
}

/* stall_begin and stall */
static const char *take_stall(struct reading *r, const json_t *document, bool whole)
{
	struct origin origin = find_or_name(r, document);
	const char *id = member_text(document, "loop");
	struct history *h = r->h;
	uint32_t loop = history_loop_of(h, &origin, id ? id : "");
	struct history_stall stall;

	if (loop == HISTORY_NONE)
		return NULL;
	stall = stall_of(h, document, loop, json_object_get(document, "stack"));
	if (!(stall.held_s >= 0))
		return "a stall without its length";
	stall.time = wall_time(document);
	touch(h, loop, stall.time);
	history_take_holder_file(h, document, json_object_get(document, "who"));
	if (whole) {
		h->index->states[loop].open = false;
		history_add_stall(h, &stall);
		return NULL;
	}
	close_hold(h, loop);
	h->index->states[loop].open = true;
	h->index->states[loop].stall = stall;
	h->index->states[loop].start = member_number(document, "monotonic_s");
	return NULL;
}

static const json_t *frames_of_thread(const json_t *document, int64_t tid)
{
	size_t i;
	const json_t *thread;

	json_array_foreach(json_object_get(document, "threads"), i, thread)
	{
		if (member_integer(thread, "id") == tid)
			return json_object_get(thread, "frames");
	}
	return NULL;
}

static bool is_unhealthy(const char *word)
{
#define X(name, text, unhealthy, severity)      \
	if ((unhealthy) && !strcmp(word, text)) \
		return true;
	VERDICT_LIST(X)
#undef X
	return false;
}

/*
 * A hold that a snapshot shows. In a recording the events tell of it, and only the one that lasts
 * is made longer; else the looks that saw it begin at the same time are one stall.
 */
static void take_hold(struct reading *r, const json_t *document, const json_t *object,
		      uint32_t loop)
{
	struct history *h = r->h;
	struct loop_state *state = &h->index->states[loop];
	double held = member_seconds(object, "held_s"),
	       threshold = member_seconds(object, "threshold_s");
	double start = member_number(document, "monotonic_s") - held;
	bool same = state->open && fabs(state->start - start) < SAME_HOLD_S;
	const char *verdict = member_text(object, "verdict");

	if (same && held > state->stall.held_s)
		state->stall.held_s = held;
	if (same || r->file->recording)
		return;
	close_hold(h, loop);
	if (!verdict || !is_unhealthy(verdict) || !(held >= threshold))
		return;
	state->open = true;
	state->start = start;
	state->stall = stall_of(h, object, loop,
				frames_of_thread(document, member_integer(object, "thread")));
	state->stall.held_at_most_s = NAN;
	state->stall.time = wall_time(document) - held;
	touch(h, loop, state->stall.time);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

/* via is by name, the outermost first; the history has the innermost first. */
static uint32_t path_of(struct history *h, const json_t *group)
{
	const json_t *via = json_object_get(group, "via"), *where = json_object_get(group, "where");
	size_t n = json_array_size(via);
	const char *own = member_text(where, "qualname");
	struct history_frame list[HISTORY_MAX_FRAMES];
	uint32_t m = 0;

	while (n-- > 0 && m < HISTORY_MAX_FRAMES) {
		const char *name = json_string_value(json_array_get(via, n));
		bool here = name && own && !strcmp(name, own);

		list[m++] = (struct history_frame){
			.function = history_text(h, name ? name : "?"),
			.file = here ? history_text(h, member_text(where, "file")) : NULL,
			.line = here ? member_integer(where, "line") : 0,
			.own = here};
	}
	return m ? history_stack_of(h, list, m) : HISTORY_NONE;
}

/* What is added up, so that no sum of what fits into memory overflows; -1: unknown, or no count. */
static int64_t member_count(const json_t *object, const char *key)
{
	static const int64_t most = INT64_C(1000000000000);
	int64_t count = member_integer(object, key);

	return count >= 0 && count <= most ? count : -1;
}

static void take_group(struct history *h, uint32_t loop, const json_t *object)
{
	const json_t *where = json_object_get(object, "where");
	int64_t count = member_count(object, "count");
	struct history_group like = {
		.title = history_text(h, member_text(object, "title")),
		.state = history_text(h, member_text(object, "state")),
		.function = history_text(h, member_text(where, "qualname")),
		.file = history_text(h, member_text(where, "file")),
		.line = member_integer(where, "line"),
	};
	struct history_group *group;

	if (count < 0)
		return;
	if (!like.function)
		like.function = history_text(h, member_text(object, "coroutine"));
	group = history_group_of(h, loop, path_of(h, object), &like);
	if (!group)
		return;
	if (h->loops[loop].full == 1)
		group->first += count;
	/* groups of one place that differ in nothing that is kept are one */
	group->last = group->seen == h->index->snapshots ? group->last + count : count;
	group->seen = h->index->snapshots;
	group->oldest_s = member_seconds(object, "oldest_s");
	if (group->last > group->most)
		group->most = group->last;
}

static void take_groups(struct history *h, uint32_t loop, const json_t *groups)
{
	size_t i;
	const json_t *group;

	h->loops[loop].snapshot = h->index->snapshots;
	json_array_foreach(groups, i, group) take_group(h, loop, group);
}

static void take_counts(struct history_loop *l, const json_t *object)
{
	int64_t tasks = member_count(json_object_get(object, "tasks"), "total");
	double lag = member_seconds(object, "lag_s");
	const json_t *executor = json_object_get(object, "executor");

	if (l->tasks_first < 0)
		l->tasks_first = tasks;
	if (tasks >= 0)
		l->tasks_last = tasks;
	if (tasks > l->tasks_most)
		l->tasks_most = tasks;
	if (!isnan(lag))
		l->lag_s = lag;
	sketch_add(&l->lag, lag);
	l->ready_last = member_count(object, "ready");
	sketch_add(&l->ready, l->ready_last < 0 ? NAN : (double)l->ready_last);
	l->queued_last = json_is_object(executor) ? member_count(executor, "queued")
						  : member_count(object, "queued");
}

static size_t curve_most(uint32_t loop)
{
	return loop < HISTORY_CURVES ? HISTORY_MAX_CURVE : HISTORY_MIN_CURVE;
}

static void take_loop(struct reading *r, const json_t *document, const json_t *object,
		      const struct origin *origin)
{
	struct history *h = r->h;
	const char *id = member_text(object, "id"), *verdict = member_text(object, "verdict");
	const json_t *groups = json_object_get(object, "groups");
	uint32_t at = history_loop_of(h, origin, id ? id : "");
	double time = wall_time(document);
	struct history_loop *l;

	if (at == HISTORY_NONE)
		return;
	l = &h->loops[at];
	touch(h, at, time);
	curve_add(&l->curve, time, member_seconds(object, "lag_s"), curve_most(at));
	l->looks++;
	l->verdict = history_text(h, verdict);
	l->kind = history_text(h, member_text(object, "kind"));
	l->unhealthy += verdict && is_unhealthy(verdict);
	l->busy += member_seconds(object, "held_s") >= 0;
	take_counts(l, object);
	history_take_holder_file(h, document, json_object_get(object, "who"));
	take_hold(r, document, object, at);
	if (!json_is_array(groups))
		return;
	l = &h->loops[at];
	l->full++;
	l->thread = member_integer(object, "thread");
	l->errors = json_array_size(json_object_get(document, "problems"));
	take_groups(h, at, groups);
}

static const char *take_snapshot(struct reading *r, const json_t *document)
{
	struct origin origin = find_or_name(r, document);
	const json_t *loops = json_object_get(document, "loops");
	double threshold = NAN;
	size_t i;
	const json_t *object;

	if (!json_is_array(loops))
		return "a snapshot without loops";
	r->h->index->snapshots++;
	history_take_modules(r->h, document);
	json_array_foreach(loops, i, object)
	{
		take_loop(r, document, object, &origin);
		threshold = member_seconds(object, "threshold_s");
	}
	if (threshold > 0)
		r->h->threshold_s = threshold;
	return NULL;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static const char *check_schema(const json_t *document)
{
	const char *schema = member_text(document, "schema");

	if (!schema || strncmp(schema, SCHEMA_PREFIX, strlen(SCHEMA_PREFIX)) != 0)
		return "it is not of stallscope: it has no schema";
	if (strcmp(schema, SCHEMA_VERSION) != 0)
		return "it is of a newer stallscope: its schema is not " SCHEMA_VERSION;
	return NULL;
}

const char *history_take(struct reading *r, const json_t *document)
{
	const char *type = member_text(document, "type"), *wrong;

	if (!json_is_object(document))
		return "it is not an object";
	wrong = check_schema(document);
	if (wrong)
		return wrong;
	if (!type || !strcmp(type, "snapshot"))
		return take_snapshot(r, document);
	if (!strcmp(type, "hello"))
		return take_hello(r, document);
	if (!strcmp(type, "stall"))
		return take_stall(r, document, true);
	if (!strcmp(type, "stall_begin"))
		return take_stall(r, document, false);
	if (!strcmp(type, "bye")) {
		int64_t missed = member_integer(document, "missed");

		r->file->bye = true;
		r->file->missed += missed > 0 ? (uint64_t)missed : 0;
	}
	return NULL; /* others say nothing that is added up, or are of a later version */
}

void history_end_file(struct reading *r)
{
	struct history *h = r->h;

	for (uint32_t i = 0; i < h->n_loops; i++) {
		struct loop_state *state = &h->index->states[i];

		close_hold(h, i);
		if (!isnan(state->first))
			h->loops[i].observed_s += state->last - state->first;
		state->first = state->last = NAN;
	}
	free(r->origins);
	r->origins = NULL;
	r->n_origins = r->origins_cap = 0;
}
