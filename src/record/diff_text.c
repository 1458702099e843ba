/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "record_json.h"
#include "report_page.h"

static const char *const classes[] = {
#define X(name, word) word,
	DIFF_LIST(X)
#undef X
};

static const char *const senses[] = {"better", "", "WORSE"};

static bool is_same(const struct diff_row *r)
{
	return !r->sense && !strcmp(r->before, r->after);
}

static void page(const struct diff *d, const struct report_options *o, struct page *p)
{
	struct table *t;

	*p = (struct page){.title = "stallscope diff"};
	if (d->worse)
		page_line(p, "stallscope: diff WORSE: %s: %s, was %s", d->v[0].what, d->v[0].after,
			  d->v[0].before);
	else
		page_line(p, "stallscope: diff same or better");
	t = page_table(p, "What changed, the worst first", " |of|what|before|after");
	for (size_t i = 0; i < d->n; i++) {
		if (!o->verbose && (is_same(&d->v[i]) || table_rows(t) >= 2 * REPORT_ROWS))
			continue;
		page_cell(p, t, "%s", senses[d->v[i].sense + 1]);
		page_cell(p, t, "%s", classes[d->v[i].class]);
		page_cell(p, t, "%s", d->v[i].what);
		page_cell(p, t, "%s", d->v[i].before);
		page_cell(p, t, "%s", d->v[i].after);
	}
	if (table_rows(t) < d->n)
		page_note(p, t, "%zu more, or the same as before: --verbose", d->n - table_rows(t));
}

void diff_text(const struct diff *d, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	page(d, o, &p);
	page_text(&p, o->ascii, out);
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
	strbuf_addstr(out, ",\"changes\":[");
	for (size_t i = 0; i < d->n; i++) {
		const struct diff_row *r = &d->v[i];

		if (i)
			strbuf_addch(out, ',');
		record_put(json_pack("{ss ss ss ss ss so so so}", "of", classes[r->class], "sense",
				     words[r->sense + 1], "what", r->what, "before", r->before,
				     "after", r->after, "before_value",
				     record_number(r->before_value), "after_value",
				     record_number(r->after_value), "fingerprint",
				     record_text(r->fingerprint)),
			   out);
	}
	strbuf_addstr(out, "]}\n");
}
