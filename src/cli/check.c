/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: a plug-in for Nagios, Icinga and their like. One line, figures behind "|", and the state
 * as exit status; nothing else is written to standard output.
 */
#include <math.h>
#include <string.h>

#include "cli.h"
#include "look.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"

enum state { STATE_OK, STATE_WARNING, STATE_CRITICAL, STATE_UNKNOWN };

static const char *const words[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static enum state state_of(enum verdict_id id)
{
	if (verdict_unhealthy(id))
		return STATE_CRITICAL;
	switch (id) {
	case VERDICT_HEALTHY:
		return STATE_OK;
	case VERDICT_BUSY:
	case VERDICT_CHOPPY:
	case VERDICT_WAITING:
		return STATE_WARNING;
	default:
		return STATE_UNKNOWN; /* nothing is known of a loop: none, traced, unsure */
	}
}

/* Something that is wrong comes before what is not known. */
static enum state worse(enum state a, enum state b)
{
	static const int order[] = {0, 2, 3, 1};

	return order[a] > order[b] ? a : b;
}

/* What would end the text of the line. */
static void add_text(struct strbuf *out, const char *text)
{
	for (; *text; text++)
		strbuf_addch(out, *text == '|' ? '/' : *text);
}

static void add_words(const char *pid, const struct brief *b, struct strbuf *out)
{
	char lag[48];

	strbuf_addf(out, "pid %s %s%s%s", pid, b->verdict, b->kind[0] ? " " : "", b->kind);
	if (!isnan(b->lag_s)) {
		format_duration(lag, sizeof(lag), (int64_t)(b->lag_s * 1e9));
		strbuf_addf(out, " lag %s", lag);
	}
	if (!b->function)
		return;
	strbuf_addstr(out, " in ");
	add_text(out, b->function);
	strbuf_addch(out, ' ');
	add_text(out, short_path(b->file));
	strbuf_addf(out, ":%d", b->line);
}

static void add_figures(const char *pid, const struct brief *b, double threshold_s,
			struct strbuf *out)
{
	if (!isnan(b->lag_s))
		strbuf_addf(out, " 'lag_%s'=%.6fs;;%g;0", pid, b->lag_s, threshold_s);
	if (b->tasks >= 0)
		strbuf_addf(out, " 'tasks_%s'=%lld;;;0", pid, (long long)b->tasks);
}

static enum state check_one(const struct options *o, const char *pid, struct strbuf *text,
			    struct strbuf *figures)
{
	struct look k;
	struct target target;
	struct error err;
	struct brief b;
	enum state state = STATE_UNKNOWN;

	if (!target_open(pid, false, &target, &err)) {
		add_text(text, err.text);
		return state;
	}
	if (look_open(&target, o, &k, &err)) {
		brief_of(k.snap, k.d, &b);
		add_words(pid, &b, text);
		add_figures(pid, &b, (double)o->threshold_ns / 1e9, figures);
		state = state_of(k.d->worst);
	} else {
		add_text(text, err.text);
	}
	look_close(&k);
	target_close(&target);
	return state;
}

int command_check(const struct options *o)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT, figures = STRBUF_INIT;
	enum state state = STATE_OK;
	struct error err;

	if (!culprits_load(o->culprits, &err)) {
		printf("STALLSCOPE UNKNOWN: %s\n", err.text);
		return STATE_UNKNOWN;
	}
	for (size_t i = 0; i < o->n_targets; i++) {
		if (i)
			strbuf_addstr(&text, "; ");
		state = worse(state, check_one(o, o->targets[i], &text, &figures));
	}
	printf("STALLSCOPE %s: %s%s%s\n", words[state], text.data, figures.len ? " |" : "",
	       figures.data);
	return fflush(stdout) ? STATE_UNKNOWN : (int)state;
}
