/* SPDX-License-Identifier: Apache-2.0 */
/* A loop that is held again and again, as a line of JSON and of text. */
#include <string.h>

#include "json.h"
#include "stallscope/utf8.h"

#define NAMED	   3u	/* holders in a line of text */
#define NAME_CHARS 100u /* of one name: it is to stay a line */

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *seconds(int64_t ns)
{
	return json_real((double)ns / 1e9);
}

static json_t *holder(const struct choppy_holder *h)
{
	static const char *const kept[] = {"fingerprint", "kind", "who", "what", "advice"};
	json_t *line = json_object(), *body = h->body ? json_loads(h->body, 0, NULL) : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		json_t *member = json_object_get(body, kept[i]);

		json_object_set(line, kept[i], member);
		if (!member)
			json_object_set_new(line, kept[i], json_null());
	}
	json_decref(body);
	json_object_set_new(line, "count", count(h->count));
	json_object_set_new(line, "held_s", seconds(h->held_ns));
	json_object_set_new(line, "longest_s", seconds(h->longest_ns));
	return line;
}

void json_add_choppy(json_t *line, const struct choppy *c)
{
	json_t *holders = json_array();

	for (size_t i = 0; i < c->n_holders; i++)
		json_array_append_new(holders, holder(&c->holders[i]));
	json_object_set_new(line, "loop", hex(c->loop));
	json_object_set_new(line, "thread", json_integer(c->tid));
	json_object_set_new(line, "verdict", json_string(verdict_word(VERDICT_CHOPPY)));
	json_object_set_new(line, "window_s", seconds((int64_t)(c->until_ns - c->since_ns)));
	json_object_set_new(line, "stalls", count(c->stalls));
	json_object_set_new(line, "short_holds", count(c->short_holds));
	json_object_set_new(line, "looked_at", count(c->looked_at));
	json_object_set_new(line, "held_s", seconds(c->held_ns));
	json_object_set_new(line, "longest_s", seconds(c->longest_ns));
	json_object_set_new(line, "holders", holders);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void add_holder(const struct choppy_holder *h, struct strbuf *out)
{
	json_t *body = h->body ? json_loads(h->body, 0, NULL) : NULL;
	json_t *who = json_object_get(body, "who");
	const char *function = json_string_value(json_object_get(who, "function"));
	const char *file = json_string_value(json_object_get(who, "file"));
	const char *kind = json_string_value(json_object_get(body, "kind"));
	char held[32];

	if (function)
		utf8_add_safe(out, function, strlen(function), NAME_CHARS);
	else
		strbuf_addstr(out, kind ? kind : "unknown");
	if (function && file) {
		strbuf_addstr(out, " (");
		utf8_add_safe(out, short_path(file), strlen(short_path(file)), NAME_CHARS);
		strbuf_addf(out, ":%d)", (int)json_integer_value(json_object_get(who, "line")));
	}
	json_decref(body);
	format_duration(held, sizeof(held), h->held_ns);
	strbuf_addf(out, " %ux %s", h->count, held);
}

void choppy_words(const struct choppy *c, struct strbuf *out)
{
	double window = (double)(c->until_ns - c->since_ns) / 1e9;
	char longest[32];

	format_duration(longest, sizeof(longest), c->longest_ns);
	strbuf_addf(out, "CHOPPY  held for %.0f %% of %.1f s: ",
		    window > 0 ? 100 * (double)c->held_ns / 1e9 / window : 0, window);
	if (c->stalls)
		strbuf_addf(out, "%u stall%s, ", c->stalls, c->stalls == 1 ? "" : "s");
	if (c->short_holds)
		strbuf_addf(out, "%u %shold%s, ", c->short_holds, c->stalls ? "shorter " : "short ",
			    c->short_holds == 1 ? "" : "s");
	strbuf_addf(out, "longest %s", longest);
	if (c->looked_at && c->looked_at < c->stalls + c->short_holds)
		strbuf_addf(out, "; of %u looked at", c->looked_at);
	for (size_t i = 0; i < c->n_holders && i < NAMED; i++) {
		strbuf_addstr(out, i ? ", " : ": ");
		add_holder(&c->holders[i], out);
	}
	if (c->n_holders > NAMED)
		strbuf_addf(out, ", %zu more", c->n_holders - NAMED);
}
