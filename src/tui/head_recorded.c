/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head_recorded.c - the first lines over a recording: of the stall that the cursor is on, else of
 * the longest one
 */
#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "stallscope/utf8.h"

#define NAME_COLS  26u
#define PLACE_COLS 30u
#define HALF_DAY   43200.0 /* seconds; what is longer ends on another day, as a rule */

/* The first row from the cursor on that is no head of a part. */
static const struct row *row_here(const struct tui_state *s)
{
	size_t i = s->places[s->view].cursor;

	while (i < s->list.n && s->list.v[i].head)
		i++;
	return i < s->list.n ? &s->list.v[i] : NULL;
}

uint32_t tui_recorded_stall(const struct tui_state *s)
{
	const struct watched *w = tui_target(s);
	const struct row *row = s->view == VIEW_HISTORY ? row_here(s) : NULL;
	uint64_t key = s->view == VIEW_STALL ? s->subject : 0;

	if (row && row->kind == ROW_STALL && row->index < w->history.n)
		key = seen_stall(&w->history, row->index)->key;
	else if (row && row->kind == ROW_HOLDER)
		key = s->list.holders[row->index].example->key;
	return key && key <= w->recorded->h.n_stalls ? (uint32_t)(key - 1) : w->recorded->worst;
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void duration(struct strbuf *out, double s)
{
	char text[32];

	format_duration(text, sizeof(text), (int64_t)(s * 1e9));
	strbuf_addstr(out, text);
}

/* ---- the first line ----------------------------------------------------------------------------
 */

/* One process has a name; where there are several, their number is what can be said. */
static bool one_process(const struct history *h)
{
	for (size_t i = 1; i < h->n_loops; i++)
		if (h->loops[i].pid != h->loops[0].pid || h->loops[i].host != h->loops[0].host ||
		    h->loops[i].command != h->loops[0].command)
			return false;
	return h->n_loops > 0;
}

static void title(struct head *h, const struct recorded *r)
{
	const struct history_loop *l = r->h.loops;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	bool one = one_process(&r->h);

	strbuf_addstr(&line, "stallscope  ");
	if (!r->h.n_loops)
		strbuf_addstr(&line, "recording");
	else if (!one)
		strbuf_addf(&line, "recording of %zu loops in several processes", r->h.n_loops);
	else if (l->pid >= 0)
		strbuf_addf(&line, "pid %" PRId64, l->pid);
	if (one && l->host)
		strbuf_addf(&line, "%s%s", l->pid >= 0 ? " on " : "", l->host);
	if (one)
		strbuf_addf(&line, "  %s", text_of(l->command));
	utf8_copy(h->title_left, sizeof(h->title_left), line.data);
	snprintf(h->title_right, sizeof(h->title_right), "%s%.40s%srecorded",
		 one && l->python ? "py" : "", one ? text_of(l->python) : "",
		 one && l->python ? "  " : "");
}

/* ---- without a stall ---------------------------------------------------------------------------
 */

static void no_stall(struct head *h, const struct recorded *r)
{
	h->verdict_style = r->unhealthy ? STYLE_WARN : r->looks ? STYLE_GOOD : STYLE_PLAIN;
	if (!r->looks)
		snprintf(h->verdict, sizeof(h->verdict), "-- no stall was recorded");
	else if (r->unhealthy)
		snprintf(h->verdict, sizeof(h->verdict),
			 "~~ no stall was recorded; %" PRIu64 " of %" PRIu64
			 " looks at loops were unhealthy",
			 r->unhealthy, r->looks);
	else
		snprintf(h->verdict, sizeof(h->verdict),
			 "OK no stall was recorded in %" PRIu64 " %s", r->looks,
			 PLURAL(r->looks, "look", "looks"));
}

/* ---- of a stall --------------------------------------------------------------------------------
 */

static void verdict_line(struct head *h, const struct recorded *r,
			 const struct history_stall *stall, const struct seen_stall *seen)
{
	const struct holder *x = &r->h.holders[stall->holder];
	cleanup_strbuf struct strbuf held = STRBUF_INIT, most = STRBUF_INIT;

	duration(&held, stall->held_s);
	if (stall->held_at_most_s >= stall->held_s)
		duration(&most, stall->held_at_most_s);
	if (most.len && strcmp(held.data, most.data) != 0)
		strbuf_addf(&held, " to %s", most.data);
	snprintf(h->verdict, sizeof(h->verdict), "%s %s %s%s   %s%s%s", verdict_sign(seen->id),
		 text_of(x->verdict), most.len ? "" : "at least ", held.data, text_of(x->kind),
		 x->kind && x->title ? ": " : "", text_of(x->title));
	h->verdict_style = verdict_style(seen->id);
	recorded_time(stall->time, false, h->confidence, sizeof(h->confidence));
}

static void held_by(struct head *h, const struct tui_state *s, const struct holder *x)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT, place = STRBUF_INIT;
	unsigned more = s->cols >= 100 ? 14 : 0;

	if (!x->function) {
		head_add(h, STYLE_OWN, "held by", "(not known)");
		return;
	}
	utf8_add_cut(&line, x->function, NAME_COLS + more, false, s->ascii);
	strbuf_addstr(&line, "()  ");
	strbuf_addstr(&place, s->paths ? text_of(x->file) : short_path(text_of(x->file)));
	if (x->line > 0)
		strbuf_addf(&place, ":%" PRId64, x->line);
	utf8_add_cut(&line, place.data, s->paths ? s->cols : PLACE_COLS + more, true, s->ascii);
	if (x->source)
		strbuf_addf(&line, "   %s%s", x->source,
			    x->newer ? "  [file changed since start]" : "");
	head_add(h, STYLE_OWN, "held by", line.data);
}

/* What the same holder did in all of the recording. */
static void holder_line(struct head *h, const struct recorded *r, const struct holder *x)
{
	double all = history_held(&r->h);
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	strbuf_addf(&line, "%" PRIu64 " %s, ", x->held.count,
		    PLURAL(x->held.count, "stall", "stalls"));
	duration(&line, x->held.sum);
	if (all > 0)
		strbuf_addf(&line, " = %.0f %% of all time held", x->held.sum / all * 100);
	strbuf_addstr(&line, "; p50 ");
	duration(&line, sketch_quantile(&x->held, 0.5));
	strbuf_addstr(&line, ", max ");
	duration(&line, x->held.max);
	head_add(h, STYLE_PLAIN, "holder", line.data);
}

static void library_line(struct head *h, const struct holder *x)
{
	size_t n = x->library ? strlen(x->library) : 0;
	char line[900];

	if (!x->title && !x->library)
		return;
	if (x->title && n && strncmp(x->title, x->library, n) != 0)
		snprintf(line, sizeof(line), "%s; %s", x->library, x->title);
	else
		snprintf(line, sizeof(line), "%s", x->title ? x->title : x->library);
	head_add(h, STYLE_PLAIN, "library", line);
}

static void of_stall(struct tui_state *s, uint32_t at, const struct seen_stall *seen)
{
	const struct recorded *r = tui_recorded(s);
	const struct history_stall *stall = &r->h.stalls[at];
	const struct holder *x = &r->h.holders[stall->holder];
	struct head *h = &s->head;

	verdict_line(h, r, stall, seen);
	held_by(h, s, x);
	library_line(h, x);
	holder_line(h, r, x);
	head_add_wrapped(s, h, STYLE_PLAIN, "do this", text_of(x->advice),
			 s->advice	 ? 8
			 : s->rows >= 30 ? 2
					 : 1);
}

/* ---- of the whole ------------------------------------------------------------------------------
 */

static void count(struct strbuf *out, uint64_t n, const char *what)
{
	strbuf_addf(out, "%" PRIu64 " %s%s", n, what, PLURAL(n, "", "s"));
}

static void file_line(struct tui_state *s)
{
	const struct recorded *r = tui_recorded(s);
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const char *path = r->h.files[0].path;
	char from[32], to[32];

	recorded_time(r->first, true, from, sizeof(from));
	recorded_time(r->last, r->last - r->first >= HALF_DAY, to, sizeof(to));
	count(&line, r->stalls, "stall");
	if (r->looks) {
		strbuf_addstr(&line, ", ");
		count(&line, r->looks, "look");
	}
	strbuf_addf(&line, ", %s to %s  %s", from, to, s->paths ? path : short_path(path));
	head_add(&s->head, STYLE_PLAIN, "file", line.data);
}

static void lag_line(struct tui_state *s)
{
	static const struct {
		double q;
		const char *name;
	} parts[] = {{0.5, "p50 "}, {0.95, ", p95 "}, {0.99, ", p99 "}};
	struct sketch lag = history_lag(&tui_recorded(s)->h);
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	for (size_t i = 0; lag.count && i < ARRAY_SIZE(parts); i++) {
		strbuf_addstr(&line, parts[i].name);
		duration(&line, sketch_quantile(&lag, parts[i].q));
	}
	if (lag.count) {
		strbuf_addstr(&line, ", worst ");
		duration(&line, lag.max);
		head_add(&s->head, STYLE_PLAIN, "lag", line.data);
	}
	sketch_deinit(&lag);
}

void head_recorded(struct tui_state *s)
{
	const struct watched *w = tui_target(s);
	const struct recorded *r = tui_recorded(s);
	uint32_t at = tui_recorded_stall(s);
	const struct seen_stall *seen = NULL;
	struct head *h = &s->head;

	for (size_t i = 0; at != HISTORY_NONE && i < w->history.n && !seen; i++)
		if (seen_stall(&w->history, i)->key == (uint64_t)at + 1)
			seen = seen_stall(&w->history, i);
	title(h, r);
	h->noted = w->message[0] != 0;
	if (h->noted)
		head_add(h, STYLE_WARN, "note", w->message);
	if (seen)
		of_stall(s, at, seen);
	else
		no_stall(h, r);
	file_line(s);
	lag_line(s);
}
