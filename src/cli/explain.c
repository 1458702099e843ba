/* SPDX-License-Identifier: Apache-2.0 */
/*
 * explain: what a verdict, a kind, a flag, a category or a call of the catalogue means. Names are
 * taken in any case, with blanks or dots between their words: "STALLED blocked.io.http",
 * "starved.gil", "io.db", "exec-full", "requests", "py requests.sessions:request".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/utf8.h"

#define NAME_MAX_BYTES 200u
#define NEAR_SHOWN     5u
#define PROSE_COLUMNS  80u /* longer lines are no easier to read */

/* ---- names -------------------------------------------------------------------------------------
 */

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* In lower case, with one dot for each run of blanks and separators: "no.loop" for "NO-LOOP". */
static void plain_name(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		if (!strchr(" \t.:!-", *text))
			buf[n++] = lower(*text);
		else if (n && buf[n - 1] != '.')
			buf[n++] = '.';
	}
	while (n && buf[n - 1] == '.')
		n--;
	buf[n] = 0;
}

/* True when name is whole, or the first words of it. */
static bool begins(const char *whole, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(whole, name, len) && (!whole[len] || whole[len] == '.');
}

/* What is behind first and a dot in name; NULL when it does not begin so. */
static const char *behind(const char *name, const char *first)
{
	size_t len = strlen(first);

	return !strncmp(name, first, len) && name[len] == '.' ? name + len + 1 : NULL;
}

/* "libpq.pqgetresult" for libpq.so*!PQgetResult: what one would type. */
static void native_name(const char *pattern, char *buf, size_t size)
{
	const char *object = pattern + strspn(pattern, "*?"), *symbol = strchr(pattern, '!') + 1;
	char text[NAME_MAX_BYTES + 8];

	snprintf(text, sizeof(text), "%.*s.%s", (int)strcspn(object, "*?.!"), object,
		 strchr(symbol, '*') ? "" : symbol);
	plain_name(text, buf, size);
}

static void row_name(const struct culprit_row *row, char *buf, size_t size)
{
	if (row->kind == CULPRIT_NATIVE)
		native_name(row->pattern, buf, size);
	else
		plain_name(row->pattern, buf, size);
}

/* ---- what a name is ----------------------------------------------------------------------------
 */

struct search {
	char name[NAME_MAX_BYTES + 1]; /* plain */
	struct topic topic;
	size_t cap;
};

static void add_row(struct search *s, const struct culprit_row *row)
{
	*array_push(&s->topic.rows, &s->topic.n_rows, &s->cap) = row;
}

/* The rows that fall under the entry, or under its category. */
static void add_rows(struct search *s)
{
	const struct topic *topic = &s->topic;
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	for (size_t i = 0; i < n; i++)
		if (topic->category ? !strcmp(rows[i].category, topic->category->name)
				    : explanation_covers(topic->entry, rows[i].category))
			add_row(s, &rows[i]);
}

static bool found(struct search *s, const struct explanation *e, const char *category)
{
	s->topic.entry = e;
	s->topic.category = category ? culprits_category(category) : NULL;
	add_rows(s);
	return true;
}

/* A kind of this entry: its own word, or a category behind it ("blocked.io.db", "cpu.json"). */
static bool is_kind(struct search *s, const struct explanation *e, const char *kind)
{
	bool blocked = !strcmp(e->kind, "blocked");
	const char *category = blocked ? behind(kind, "blocked") : kind;
	char word[32];

	plain_name(e->kind, word, sizeof(word));
	if (!strcmp(kind, word) || (blocked && !strcmp(kind, "blocked.unknown")))
		return found(s, e, NULL);
	if (!category || !culprits_category(category) || explanation_of_category(category) != e)
		return false;
	return found(s, e, category);
}

static bool find_entry(struct search *s)
{
	size_t n;
	const struct explanation *all = explanations(&n);
	char word[32];

	for (size_t i = 0; i < n; i++) {
		const char *kind;

		plain_name(all[i].word, word, sizeof(word));
		kind = behind(s->name, word);
		if (all[i].what != EXPLAIN_KIND && !strcmp(s->name, word))
			return found(s, &all[i], NULL);
		if (all[i].what != EXPLAIN_KIND)
			continue;
		if (is_kind(s, &all[i], kind ? kind : s->name))
			return true;
		/* "STALLED io.db", without the word blocked */
		if (kind && !strcmp(all[i].kind, "blocked") && culprits_category(kind) &&
		    explanation_of_category(kind) == &all[i])
			return found(s, &all[i], kind);
	}
	return false;
}

/* "io.db" alone, or "io" for a family of them. */
static bool find_category(struct search *s)
{
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	if (culprits_category(s->name))
		return found(s, explanation_of_category(s->name), s->name);
	for (size_t i = 0; i < n; i++)
		if (begins(rows[i].category, s->name))
			add_row(s, &rows[i]);
	if (s->topic.n_rows)
		s->topic.entry = explanation_of_category(s->topic.rows[0]->category);
	return s->topic.n_rows > 0;
}

static bool find_pattern(struct search *s)
{
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);
	char name[NAME_MAX_BYTES + 8];

	for (size_t i = 0; i < n; i++) {
		const char *rest = behind(s->name, culprits_kind_word(rows[i].kind));
		char exact[NAME_MAX_BYTES + 8];

		row_name(&rows[i], name, sizeof(name));
		plain_name(rows[i].pattern, exact, sizeof(exact));
		if (begins(name, s->name) || (rest && begins(name, rest)) ||
		    !strcmp(exact, rest ? rest : s->name))
			add_row(s, &rows[i]);
	}
	return s->topic.n_rows > 0;
}

/* "boto3": a word of a title. */
static bool find_title(struct search *s)
{
	size_t n, len = strlen(s->name);
	const struct culprit_row *rows = culprits_rows(&n);

	for (size_t i = 0; i < n; i++) {
		const char *p = rows[i].title;

		while ((p = strcasestr(p, s->name)) != NULL) {
			char before = p == rows[i].title ? ' ' : p[-1], after = p[len];

			if (strchr(" /(.,:'\"", before) && (!after || strchr(" /).,:'\"", after))) {
				add_row(s, &rows[i]);
				break;
			}
			p += len;
		}
	}
	return s->topic.n_rows > 0;
}

/* ---- names that are none -----------------------------------------------------------------------
 */

struct near {
	char name[NAME_MAX_BYTES + 8];
	size_t distance;
};

/* Keeps the NEAR_SHOWN nearest, the nearest first. */
static void consider(struct near *list, size_t *n, const char *wanted, const char *shown,
		     const char *name)
{
	struct near one = {.distance = str_distance(wanted, name)};
	size_t at = *n;

	if (one.distance > 1 + strlen(wanted) / 4)
		return;
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(list[i].name, shown))
			return;
	snprintf(one.name, sizeof(one.name), "%s", shown);
	for (; at && list[at - 1].distance > one.distance; at--)
		if (at < NEAR_SHOWN)
			list[at] = list[at - 1];
	if (at < NEAR_SHOWN) {
		list[at] = one;
		*n += *n < NEAR_SHOWN;
	}
}

static void consider_all(struct near *list, size_t *n, const char *wanted)
{
	size_t count;
	const struct explanation *all = explanations(&count);
	const struct culprit_category *categories;
	const struct culprit_row *rows;
	char name[NAME_MAX_BYTES + 8];

	for (size_t i = 0; i < count; i++)
		consider(list, n, wanted, all[i].kind[0] ? all[i].kind : all[i].word,
			 all[i].kind[0] ? all[i].kind : all[i].word);
	categories = culprits_categories(&count);
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "blocked.%s", categories[i].name);
		consider(list, n, wanted, categories[i].name, categories[i].name);
		if (!strcmp(explanation_of_category(categories[i].name)->kind, "blocked"))
			consider(list, n, wanted, name, name);
	}
	rows = culprits_rows(&count);
	for (size_t i = 0; i < count; i++) {
		row_name(&rows[i], name, sizeof(name));
		consider(list, n, wanted, rows[i].pattern, name);
		name[strcspn(name, ".")] = 0;
		consider(list, n, wanted, name, name);
	}
}

static bool unknown(const char *given, const char *wanted, struct error *err)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT, hint = STRBUF_INIT;
	struct near list[NEAR_SHOWN];
	size_t n = 0;

	utf8_add_safe(&safe, given, strlen(given), 60);
	error_set(err, ERR_NO_FILE, "no verdict, flag or call is called '%s'", safe.data);
	consider_all(list, &n, wanted);
	for (size_t i = 0; i < n; i++)
		strbuf_addf(&hint, "%s%s", i ? ", " : "did you mean: ", list[i].name);
	if (!n)
		strbuf_addstr(&hint, "stallscope explain, without a name, lists them");
	return error_hint(err, "%s", hint.data);
}

/* ---- the command -------------------------------------------------------------------------------
 */

static bool search(struct search *s, const char *given, struct error *err)
{
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	if (!given) {
		for (size_t i = 0; i < n; i++)
			add_row(s, &rows[i]);
		return true;
	}
	s->topic.name = given;
	plain_name(given, s->name, sizeof(s->name));
	return (s->name[0] &&
		(find_entry(s) || find_category(s) || find_pattern(s) || find_title(s))) ||
	       unknown(given, s->name, err);
}

static bool write_topic(const struct options *o, const struct topic *topic, struct error *err)
{
	size_t width = text_width(o);
	struct render_options r = {.width = width < PROSE_COLUMNS ? width : PROSE_COLUMNS,
				   .ascii = o->ascii,
				   .verbose = o->verbose > 0};
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct output out;

	if (o->format == FORMAT_JSON)
		render_topic_json(topic, &text);
	else
		render_topic_text(topic, &r, &text);
	if (!output_open(o->output, &out, err))
		return false;
	fwrite(text.data, 1, text.len, out.file); /* output_commit() tells of an error */
	return output_commit(&out, err);
}

int command_explain(const struct options *o)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT, safe = STRBUF_INIT;
	struct search s = {.name = ""};
	struct error err;
	bool ok;

	for (size_t i = 0; i < o->n_targets; i++)
		strbuf_addf(&name, "%s%s", i ? " " : "", o->targets[i]);
	utf8_add_safe(&safe, name.data, name.len, NAME_MAX_BYTES);
	ok = culprits_load(o->culprits, &err) &&
	     search(&s, o->n_targets ? safe.data : NULL, &err) && write_topic(o, &s.topic, &err);
	free(s.topic.rows);
	return ok ? 0 : report_error(&err);
}
