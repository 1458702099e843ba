/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "record_json.h"
#include "report_page.h"
#include "stallscope/cleanup.h"

static const char *const classes[] = {
#define X(name, word) word,
	DIFF_LIST(X)
#undef X
};

static const char *const fates[] = {
#define X(name, word) word,
	DIFF_FATE_LIST(X)
#undef X
};

static const char *const senses[] = {"better", "", "WORSE"};

#define FATE_ROWS 10u /* of files, of libraries, of modules, where not all are asked for */

static bool is_same(const struct diff_row *r)
{
	return !r->sense && !r->fate && !strcmp(r->before, r->after);
}

/* What changed that is no measurement has a table of its own, but for what explains a holder. */
static bool is_apart(const struct diff_row *r)
{
	return r->fate && !r->below;
}

static void put_row(struct page *p, struct table *t, const struct diff_row *r, const char *how)
{
	page_cell(p, t, "%s", how);
	page_cell(p, t, "%s", classes[r->class]);
	page_cell(p, t, "%s", r->what);
	page_cell(p, t, "%s", r->before);
	page_cell(p, t, "%s", r->after);
}

static void measured(struct page *p, const struct diff *d, const struct report_options *o)
{
	struct table *t =
		page_table(p, "What changed, the worst first", " |of|/what|+/before|+/after");
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct diff_row *r = &d->v[i];

		if (is_apart(r))
			continue;
		n++;
		if (!o->verbose && (is_same(r) || table_rows(t) >= 2 * REPORT_ROWS))
			continue;
		put_row(p, t, r, r->below ? fates[r->fate] : senses[r->sense + 1]);
	}
	if (table_rows(t) < n)
		page_note(p, t, "%zu more, or the same as before: --verbose", n - table_rows(t));
}

/* Recordings of old have no lists, redacted ones none of what is imported. */
static void not_compared(struct page *p, const struct diff *d)
{
	static const char *const words[] = {[HISTORY_LIBRARY] = "libraries",
					    [HISTORY_SOURCE] = "files of stacks",
					    [HISTORY_IMPORT] = "imported modules"};
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!d->compared[i])
			strbuf_addf(&text, "%s%s", text.len ? ", " : "", words[i]);
	if (text.len)
		page_line(p, "Not compared, as one of the two does not tell them: %s.", text.data);
}

static void apart(struct page *p, const struct diff *d, const struct report_options *o)
{
	struct table *t =
		page_table(p, "Files, libraries and modules", " |of|/what|+/before|+/after");
	size_t n = 0, shown[DIFF_MODULE + 1] = {0};

	for (size_t i = 0; i < d->n; i++) {
		const struct diff_row *r = &d->v[i];

		if (!is_apart(r))
			continue;
		n++;
		if (!o->verbose && shown[r->class]++ >= FATE_ROWS)
			continue;
		put_row(p, t, r, fates[r->fate]);
	}
	if (table_rows(t) < n)
		page_note(p, t, "%zu more: --verbose", n - table_rows(t));
}

static void page(const struct diff *d, const struct report_options *o, struct page *p)
{
	*p = (struct page){.title = "stallscope diff"};
	if (d->worse)
		page_line(p, "stallscope: diff WORSE: %s: %s, was %s", d->v[0].what, d->v[0].after,
			  d->v[0].before);
	else
		page_line(p, "stallscope: diff same or better");
	not_compared(p, d);
	measured(p, d, o);
	apart(p, d, o);
}

void diff_text(const struct diff *d, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	page(d, o, &p);
	page_text(&p, o->width, o->ascii, out);
	page_deinit(&p);
}

void diff_markdown(const struct diff *d, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	page(d, o, &p);
	page_markdown(&p, out);
	page_deinit(&p);
}

void diff_json(const struct diff *d, struct strbuf *out)
{
	static const char *const words[] = {"better", "same", "worse"};

	strbuf_addstr(out, "{\"schema\":\"stallscope/1\",\"type\":\"diff\"");
	record_member("worse", json_boolean(d->worse), out);
	record_member("compared",
		      json_pack("{sb sb sb}", "libraries", d->compared[HISTORY_LIBRARY], "files",
				d->compared[HISTORY_SOURCE], "modules",
				d->compared[HISTORY_IMPORT]),
		      out);
	strbuf_addstr(out, ",\"changes\":[");
	for (size_t i = 0; i < d->n; i++) {
		const struct diff_row *r = &d->v[i];

		if (i)
			strbuf_addch(out, ',');
		record_put(json_pack("{ss ss ss ss ss so so so so so}", "of", classes[r->class],
				     "sense", words[r->sense + 1], "what", r->what, "before",
				     r->before, "after", r->after, "before_value",
				     record_number(r->before_value), "after_value",
				     record_number(r->after_value), "fingerprint",
				     record_text(r->fingerprint), "fate",
				     record_text(r->fate ? fates[r->fate] : NULL), "path",
				     record_text(r->path)),
			   out);
	}
	strbuf_addstr(out, "]}\n");
}
