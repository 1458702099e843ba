/* SPDX-License-Identifier: Apache-2.0 */
/* text_frame.c - what is said of a frame below its line: its source and its variables */
#include <string.h>

#include "text.h"

#define NEWER "   [file changed since start]"

/* True when each character is a column, in --ascii too. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* As far as the line was shown. */
static void mark_line(struct text *t, const struct snap_detail *d, size_t indent)
{
	size_t room = t->o->width > indent + 1 ? t->o->width - indent - 1 : 0;
	size_t end = d->mark_end < room ? d->mark_end : room;

	if (d->mark >= end || (t->o->ascii && !is_plain(d->source)))
		return;
	strbuf_pad(&t->line, ' ', indent + d->mark);
	strbuf_pad(&t->line, '^', end - d->mark);
	text_end_line(t);
}

void text_source(struct text *t, const struct snap_frame *f, size_t indent)
{
	const struct snap_detail *d = snap_detail_of(t->s, f);
	const char *newer = d && d->source_newer ? NEWER : "";
	size_t around = indent + strlen(newer);

	if (!d || !d->source)
		return;
	strbuf_pad(&t->line, ' ', indent);
	utf8_add_cut(&t->line, d->source, t->o->width > around ? t->o->width - around : 1, false,
		     t->o->ascii);
	strbuf_addstr(&t->line, newer);
	text_end_line(t);
	mark_line(t, d, indent);
}

void text_variables(struct text *t, const struct snap_frame *f, size_t indent)
{
	const struct snap_detail *d = snap_detail_of(t->s, f);

	if (!d || !d->have_variables)
		return;
	for (uint32_t i = 0; i < d->n_variables; i++) {
		strbuf_pad(&t->line, ' ', indent);
		TEXT_LINE(t, "%s = %s", d->variables[i].name, d->variables[i].value);
	}
	if (d->variables_left) {
		strbuf_pad(&t->line, ' ', indent);
		TEXT_LINE(t, "... %u more", d->variables_left);
	}
}
