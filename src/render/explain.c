/* SPDX-License-Identifier: Apache-2.0 */
/* What a word means, as text and as JSON. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"
#include "text.h"

#define ROWS_SHOWN 40u /* without -v; of more rows their categories are told */

#define LINE(t, ...) (strbuf_addf(&(t)->line, __VA_ARGS__), text_end_line(t))

void render_kind_of(const struct explanation *e, const char *category, char *buf, size_t size)
{
	if (!strcmp(e->kind, "blocked"))
		snprintf(buf, size, "blocked.%s", category);
	else if (!strcmp(e->kind, "cpu") || !strcmp(e->kind, "wait"))
		snprintf(buf, size, "%s", category);
	else
		snprintf(buf, size, "%s", e->kind);
}

static bool is_under(const struct explanation *e, const struct explanation *verdict)
{
	return e->what == EXPLAIN_KIND && !strcmp(e->word, verdict->word);
}

/* ---- rows of the catalogue ---------------------------------------------------------------------
 */

/* The pattern is not cut, however long it is: it is there to be searched for. */
static void pattern_line(struct text *t, const struct culprit_row *row)
{
	const struct explanation *e = explanation_of_category(row->category);
	char kind[64];

	render_kind_of(e, row->category, kind, sizeof(kind));
	strbuf_addf(t->out, "  %s %s\n", culprits_kind_word(row->kind), row->pattern);
	LINE(t, "      %s %s", e->word, kind);
}

static void rows_text(struct text *t, const struct topic *topic)
{
	static const char *const origins[] = {" [--culprits]", " [your culprits.tsv]", ""};

	for (size_t i = 0; i < topic->n_rows; i++) {
		const struct culprit_row *row = topic->rows[i];
		cleanup_strbuf struct strbuf title = STRBUF_INIT;

		pattern_line(t, row);
		strbuf_addf(&title, "%s%s", row->title, origins[row->origin]);
		text_wrap(t, "      ", title.data);
		text_wrap(t, "      do this: ", row->advice);
		if (t->o->verbose && row->source[0])
			text_wrap(t, "      source: ", row->source);
	}
}

static size_t count_rows(const struct topic *topic, const char *category)
{
	size_t count = 0;

	for (size_t i = 0; i < topic->n_rows; i++)
		count += !strcmp(topic->rows[i]->category, category);
	return count;
}

static void categories_text(struct text *t, const struct topic *topic)
{
	size_t n;
	const struct culprit_category *all = culprits_categories(&n);

	for (size_t i = 0; i < n; i++) {
		size_t count = count_rows(topic, all[i].name);

		if (count)
			LINE(t, "  %-15s %3zu  %s", all[i].name, count, all[i].meaning);
	}
}

static void catalogue_text(struct text *t, const struct topic *topic)
{
	bool rows = topic->n_rows <= ROWS_SHOWN || t->o->verbose;

	if (!topic->n_rows)
		return;
	LINE(t, "%s", "");
	LINE(t, "In the catalogue of calls: %zu %s%s", topic->n_rows,
	     PLURAL(topic->n_rows, "row", "rows"), rows ? "" : " (-v shows them)");
	if (rows)
		rows_text(t, topic);
	else
		categories_text(t, topic);
}

/* ---- text --------------------------------------------------------------------------------------
 */

static void brief_line(struct text *t, const struct explanation *e)
{
	const char *member = strcmp(e->kind, "blocked") != 0 && strcmp(e->kind, "cpu") != 0 &&
					     strcmp(e->kind, "wait") != 0
				     ? ""
				     : ".*";

	LINE(t, "%s%s%s%*s %s", e->what == EXPLAIN_KIND ? "    " : "  ",
	     e->what == EXPLAIN_KIND ? e->kind : e->word, member,
	     (int)(e->what == EXPLAIN_KIND ? 14 : 16) -
		     (int)strlen(e->what == EXPLAIN_KIND ? e->kind : e->word) - (int)strlen(member),
	     "", e->brief);
}

static void kinds_text(struct text *t, const struct explanation *verdict)
{
	size_t n, shown = 0;
	const struct explanation *all = explanations(&n);

	for (size_t i = 0; i < n && verdict->what == EXPLAIN_VERDICT; i++) {
		if (!is_under(&all[i], verdict))
			continue;
		if (!shown++) {
			LINE(t, "%s", "");
			LINE(t, "Kinds:");
		}
		brief_line(t, &all[i]);
	}
}

static void heading(struct text *t, const struct topic *topic)
{
	const struct explanation *e = topic->entry;
	char kind[64] = "";

	if (topic->category)
		render_kind_of(e, topic->category->name, kind, sizeof(kind));
	else if (e->kind[0])
		snprintf(kind, sizeof(kind), "%s", e->kind);
	LINE(t, "%s%s%s%s: %s", e->word, kind[0] ? " " : "", kind,
	     e->what == EXPLAIN_FLAG ? " (a flag)" : "",
	     topic->category ? topic->category->meaning : e->brief);
}

static void entry_text(struct text *t, const struct topic *topic)
{
	const struct explanation *e = topic->entry;

	heading(t, topic);
	LINE(t, "%s", "");
	text_wrap(t, "  ", e->meaning);
	LINE(t, "%s", "");
	LINE(t, "How stallscope knows:");
	text_wrap(t, "  ", e->known);
	LINE(t, "%s", "");
	LINE(t, "What to do:");
	text_wrap(t, "  ", e->advice);
	kinds_text(t, e);
}

static void list_text(struct text *t, const struct topic *topic)
{
	size_t n;
	const struct explanation *all = explanations(&n);

	LINE(t, "Verdicts and their kinds:");
	for (size_t i = 0; i < n; i++) {
		if (all[i].what == EXPLAIN_FLAG && all[i - 1].what != EXPLAIN_FLAG) {
			LINE(t, "%s", "");
			LINE(t, "Flags, beside a verdict:");
		}
		brief_line(t, &all[i]);
	}
	LINE(t, "%s", "");
	LINE(t, "Categories (behind blocked., and for cpu.* and wait.* themselves), their rows:");
	categories_text(t, topic);
	LINE(t, "%s", "");
	LINE(t, "Try: stallscope explain STALLED, explain io.db, explain requests");
}

void render_topic_text(const struct topic *topic, const struct render_options *options,
		       struct strbuf *out)
{
	struct text t = {.o = options, .out = out};

	strbuf_init(&t.line);
	if (!topic->name) {
		list_text(&t, topic);
	} else {
		if (topic->entry)
			entry_text(&t, topic);
		else
			LINE(&t, "%s: a call that the catalogue knows", topic->name);
		catalogue_text(&t, topic);
	}
	strbuf_deinit(&t.line);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static json_t *entry_json(const struct explanation *e)
{
	static const char *const what[] = {"verdict", "kind", "flag"};

	return json_pack("{ss ss ss? ss ss ss ss}", "what", what[e->what], "word", e->word, "kind",
			 e->kind[0] ? e->kind : NULL, "brief", e->brief, "meaning", e->meaning,
			 "evidence", e->known, "advice", e->advice);
}

static json_t *row_json(const struct culprit_row *row)
{
	static const char *const origins[] = {"option", "config", "built-in"};
	const struct explanation *e = explanation_of_category(row->category);
	char kind[64];

	render_kind_of(e, row->category, kind, sizeof(kind));
	return json_pack("{ss ss ss ss ss ss ss ss? ss}", "match_kind",
			 culprits_kind_word(row->kind), "pattern", row->pattern, "category",
			 row->category, "verdict", e->word, "kind", kind, "title", row->title,
			 "advice", row->advice, "source", row->source[0] ? row->source : NULL,
			 "origin", origins[row->origin]);
}

static json_t *entries_json(const struct topic *topic)
{
	json_t *list = json_array();
	size_t n;
	const struct explanation *all = explanations(&n);

	if (topic->entry)
		json_array_append_new(list, entry_json(topic->entry));
	for (size_t i = 0; i < n; i++)
		if (!topic->name || (topic->entry && topic->entry->what == EXPLAIN_VERDICT &&
				     is_under(&all[i], topic->entry)))
			json_array_append_new(list, entry_json(&all[i]));
	return list;
}

static json_t *categories_json(const struct topic *topic)
{
	json_t *list = json_array();
	size_t n;
	const struct culprit_category *all = culprits_categories(&n);

	for (size_t i = 0; i < n; i++)
		if (topic->category == &all[i] || count_rows(topic, all[i].name))
			json_array_append_new(list, json_pack("{ss ss}", "name", all[i].name,
							      "meaning", all[i].meaning));
	return list;
}

void render_topic_json(const struct topic *topic, struct strbuf *out)
{
	json_t *rows = json_array(), *root;
	char *text;

	for (size_t i = 0; i < topic->n_rows; i++)
		json_array_append_new(rows, row_json(topic->rows[i]));
	root = json_pack("{ss ss? so so so}", "type", "explain", "name", topic->name, "entries",
			 entries_json(topic), "categories", categories_json(topic), "rows", rows);
	text = json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII);
	strbuf_addstr(out, text);
	strbuf_addch(out, '\n');
	free(text);
	json_decref(root);
}
