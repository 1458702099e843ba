/* SPDX-License-Identifier: Apache-2.0 */
/* list_help.c - help: the table of keys, and what the signs mean */
#include "state.h"

#include <stdio.h>
#include <string.h>

static void part(struct list *list, enum key_part part)
{
	size_t n;
	const struct key_row *rows = key_rows(&n);

	list_add_head(list, key_part_name(part));
	for (size_t i = 0; i < n; i++)
		if (rows[i].part == part)
			list_add_text(list, STYLE_PLAIN, "  %-12s %s", rows[i].shown, rows[i].help);
}

static void verdicts(struct list *list)
{
	size_t n;
	const struct explanation *all = explanations(&n);
	static const char *const words[] = {
#define X(name, word, unhealthy, severity) word,
		VERDICT_LIST(X)
#undef X
	};

	list_add_head(list, "VERDICTS (word and sign; colours only repeat them)");
	for (size_t i = 0; i < n; i++)
		for (unsigned id = 0; id < ARRAY_SIZE(words); id++)
			if (all[i].what == EXPLAIN_VERDICT && !strcmp(all[i].word, words[id]))
				list_add_text(list, STYLE_PLAIN, "  %s %-11s %s",
					      verdict_sign((enum verdict_id)id), words[id],
					      all[i].brief);
}

void list_help(struct tui_state *s)
{
	char threshold[32];

	for (unsigned i = 0; i < PART_COUNT; i++)
		part(&s->list, (enum key_part)i);
	verdicts(&s->list);
	format_duration(threshold, sizeof(threshold), s->threshold_ns);
	list_add_head(&s->list, "LAG");
	list_add_text(&s->list, STYLE_PLAIN,
		      "  how late the loop is: the longer of \"not back in select\" and the worst");
	list_add_text(&s->list, STYLE_PLAIN, "  overdue timer. A stall is %s or more (T).",
		      threshold);
	list_add_text(&s->list, STYLE_PLAIN,
		      "  stallscope only reads. It sends no signal and changes nothing.");
	list_add_text(&s->list, STYLE_DIM, "  man stallscope   stallscope explain STALLED");
}
