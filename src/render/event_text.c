/* SPDX-License-Identifier: Apache-2.0 */
/* A stall as one line of text: what an alert has room for. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stallscope/render.h"
#include "stallscope/utf8.h"

#define NAME_CHARS 100u /* of one name: it is to stay a line */

static void add_name(struct strbuf *out, const char *before, const char *name)
{
	strbuf_addstr(out, before);
	utf8_add_safe(out, name, strlen(name), NAME_CHARS);
}

static void add_place(const struct snapshot *s, const struct culprit *c, struct strbuf *out)
{
	const struct snap_frame *f = &s->frames[c->frame];

	add_name(out, "  ", snap_code_of(s, f)->qualname);
	add_name(out, " (", short_path(snap_code_of(s, f)->file));
	strbuf_addf(out, ":%d)", f->at.line);
}

void render_stall_words(const struct snapshot *s, const struct diagnosis *d, uint32_t loop,
			struct strbuf *out)
{
	const struct verdict *v = &d->loops[loop];
	const struct culprit *c = &v->culprit;
	char fingerprint[FINGERPRINT_SIZE];

	strbuf_addstr(out, verdict_word(v->id));
	if (v->kind[0])
		strbuf_addf(out, " %s", v->kind);
	if (c->frame != SNAP_NONE)
		add_place(s, c, out);
	if (c->leaf != SNAP_NONE && c->leaf_name[0])
		add_name(out, "  in ", c->leaf_name);
	if (c->holder != SNAP_NONE)
		add_name(out, "  behind thread ",
			 s->threads[c->holder].name ? s->threads[c->holder].name
						    : s->threads[c->holder].os_name);
	if (c->task != SNAP_NONE)
		add_name(out, "  task ", s->tasks[c->task].name);
	if (verdict_fingerprint(s, v, fingerprint))
		strbuf_addf(out, "  [%s]", fingerprint);
}

static void add_time(uint64_t wall_ns, struct strbuf *out)
{
	time_t seconds = (time_t)(wall_ns / 1000000000);
	char text[40] = "?";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	strbuf_addf(out, "%s.%03u", text, (unsigned)(wall_ns / 1000000 % 1000));
}

void render_stall_text(const struct event_clock *clock, const struct stall *stall,
		       const char *words, bool lasts, bool ascii, struct strbuf *out)
{
	int64_t most = (int64_t)(stall->over_ns - stall->start_ns);
	char held[32], at_most[32];

	add_time(stall->start_ns + (uint64_t)clock->wall_minus_clock_ns, out);
	format_duration(held, sizeof(held), stall->held_ns);
	strbuf_addf(out, "  %d  %s%s", clock->pid, held, lasts ? " and lasts" : "");
	format_duration(at_most, sizeof(at_most), most);
	/* 2 ms are what is promised; more is said */
	if (!lasts && stall->over_ns && most - stall->held_ns > 2000000 &&
	    strcmp(held, at_most) != 0)
		strbuf_addf(out, "%s%s", ascii ? ".." : "\u2026", at_most);
	strbuf_addf(out, "  %s\n", words);
}

void render_choppy_text(const struct event_clock *clock, const struct choppy *c, struct strbuf *out)
{
	add_time(c->since_ns + (uint64_t)clock->wall_minus_clock_ns, out);
	strbuf_addf(out, "  %d  ", clock->pid);
	choppy_words(c, out);
	strbuf_addstr(out, "\n");
}
