/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tasks are shown. The patterns are the user's own, what they are held against comes from
 * the target: it is short, and safe to print, before a pattern sees it.
 */
#include "text.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/cleanup.h"

enum key { KEY_NAME, KEY_COROUTINE, KEY_STATE, KEY_PLACE, KEY_WAITS, KEYS };

static const char *const keys[KEYS] = {"name", "coroutine", "state", "place", "waits"};
static const char *const states[] = {"running", "ready", "pending", "cancelling"};

struct term {
	enum key key;
	unsigned states; /* bits, of KEY_STATE */
	regex_t regex;	 /* of the others */
};

/* ---- terms ------------------------------------------------------------------------------------
 */

static bool parse_states(const char *text, unsigned *ret, struct error *err)
{
	*ret = 0;
	for (;;) {
		size_t len = strcspn(text, ","), i = 0;

		while (i < ARRAY_SIZE(states) &&
		       (strlen(states[i]) != len || strncmp(text, states[i], len) != 0))
			i++;
		if (i == ARRAY_SIZE(states))
			return error_set(err, ERR_USAGE,
					 "state takes running, ready, pending or cancelling, or "
					 "several of them with commas between");
		*ret |= 1u << i;
		if (!text[len])
			return true;
		text += len + 1;
	}
}

static bool find_key(const char *text, size_t len, enum key *ret)
{
	for (size_t i = 0; i < KEYS; i++) {
		if (strlen(keys[i]) != len || strncmp(keys[i], text, len) != 0)
			continue;
		*ret = (enum key)i;
		return true;
	}
	return false;
}

static bool term_init(struct term *term, const char *text, struct error *err)
{
	const char *equals = strchr(text, '=');
	char why[200];
	int code;

	if (!equals || !find_key(text, (size_t)(equals - text), &term->key))
		return error_set(err, ERR_USAGE,
				 "a filter is KEY=PATTERN; KEY is name, coroutine, state, place or "
				 "waits");
	if (term->key == KEY_STATE)
		return parse_states(equals + 1, &term->states, err);
	code = regcomp(&term->regex, equals + 1, REG_EXTENDED | REG_NOSUB);
	if (!code)
		return true;
	regerror(code, &term->regex, why, sizeof(why));
	return error_set(err, ERR_USAGE, "no extended regular expression (regex(7)): %s", why);
}

static void term_deinit(struct term *term)
{
	if (term->key != KEY_STATE)
		regfree(&term->regex);
}

bool task_filter_check(const char *text, struct error *err)
{
	struct term term;

	if (!term_init(&term, text, err))
		return false;
	term_deinit(&term);
	return true;
}

/* ---- matching ---------------------------------------------------------------------------------
 */

/* Most tasks stand where others stand: a place is held against a pattern once. */
struct places {
	struct addrmap known; /* code and line -> 0 or 1 */
	struct strbuf text;
	struct await_rows rows;
};

static bool has(const struct term *term, const char *text)
{
	return text && regexec(&term->regex, text, 0, NULL, 0) == 0;
}

static bool place_matches(const struct term *term, const struct snapshot *s,
			  const struct snap_frame *f, struct places *places)
{
	uint64_t place = (uint64_t)f->code << 32 | (uint32_t)f->at.line;
	uint32_t known = addrmap_get(&places->known, place);
	const struct snap_code *c = snap_code_of(s, f);
	bool matches;

	if (known != ADDRMAP_NONE)
		return known;
	strbuf_reset(&places->text);
	strbuf_addf(&places->text, "%s:%d", c->file, f->at.line);
	matches = has(term, places->text.data) || has(term, c->qualname) || has(term, c->function);
	addrmap_put(&places->known, place, matches);
	return matches;
}

/* Its name, or what the table says of it. */
static bool wait_matches(const struct term *term, const struct snapshot *s,
			 const struct snap_task *t, struct places *places)
{
	cleanup_strbuf struct strbuf shown = STRBUF_INIT;

	text_waits(s, &places->rows, t, &shown);
	return has(term, t->what) || has(term, shown.data);
}

static bool matches(const struct term *term, const struct snapshot *s, const struct snap_task *t,
		    struct places *places)
{
	switch (term->key) {
	case KEY_NAME:
		return has(term, t->name);
	case KEY_COROUTINE:
		return has(term, t->coroutine);
	case KEY_STATE:
		return term->states >> t->state & 1;
	case KEY_WAITS:
		return wait_matches(term, s, t, places);
	case KEY_PLACE:
		for (uint32_t i = 0; i < t->stack.n; i++)
			if (place_matches(term, s, snap_frame_at(s, &t->stack, i), places))
				return true;
		return false;
	case KEYS:
		break;
	}
	return false;
}

bool task_filter_init(struct task_filter *filter, const struct snapshot *s,
		      const char *const *terms, size_t n, struct error *err)
{
	*filter = (struct task_filter){.terms = terms, .n_terms = n};
	filter->matches = mem_alloc(s->n_tasks + 1);
	memset(filter->matches, 1, s->n_tasks + 1);
	for (size_t i = 0; i < n; i++) {
		struct places places = {ADDRMAP_INIT, STRBUF_INIT, AWAIT_ROWS_INIT};
		struct term term;

		if (!term_init(&term, terms[i], err)) {
			task_filter_deinit(filter);
			return false;
		}
		for (size_t k = 0; k < s->n_tasks; k++)
			filter->matches[k] &= matches(&term, s, &s->tasks[k], &places);
		addrmap_deinit(&places.known);
		strbuf_deinit(&places.text);
		await_rows_deinit(&places.rows);
		term_deinit(&term);
	}
	for (size_t k = 0; k < s->n_tasks; k++)
		filter->shown += filter->matches[k];
	return true;
}

void task_filter_deinit(struct task_filter *filter)
{
	free(filter->matches);
	filter->matches = NULL;
}
