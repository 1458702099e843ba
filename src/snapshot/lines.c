/* SPDX-License-Identifier: Apache-2.0 */
/* lines.c - the lines of source that frames stand at, and the part of them that runs */
#include <string.h>

#include "builder.h"
#include "stallscope/utf8.h"

#define LINE_CHARS 120u
#define BLANKS	   " \t\f"

/* Appends bytes [from, to) of a line made safe, and gives the columns that out then has. */
static uint32_t add_part(struct strbuf *out, const struct strbuf *line, size_t from, size_t to,
			 size_t max_chars)
{
	utf8_add_safe(out, line->data + from, to - from, max_chars);
	return (uint32_t)utf8_width(out->data);
}

/*
 * Which columns of the text are the instruction's. Not known where its columns are not, where they
 * do not fit into this line, or where they are all of it and so say nothing.
 */
void line_text(const struct strbuf *line, const struct py_position *at, struct strbuf *out,
	       uint32_t *mark, uint32_t *mark_end)
{
	size_t indent = strspn(line->data, BLANKS), len = line->len, from, to;
	uint32_t width;

	*mark = *mark_end = 0;
	while (len > indent && strchr(BLANKS, line->data[len - 1]))
		len--;
	from = at->col < 0 ? 0 : (size_t)at->col;
	to = at->end_line > at->line ? len : at->end_col < 0 ? 0 : (size_t)at->end_col;
	if (from < indent || from >= to || to > len || len - indent > LINE_CHARS) {
		add_part(out, line, indent, len, LINE_CHARS);
		return;
	}
	*mark = add_part(out, line, indent, from, LINE_CHARS);
	*mark_end = add_part(out, line, from, to, LINE_CHARS);
	width = add_part(out, line, to, len, LINE_CHARS);
	if (*mark == 0 && *mark_end == width)
		*mark_end = 0;
}

void snapshot_source(struct snapshot *snap, struct source *src, uint32_t frame)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT, text = STRBUF_INIT;
	const struct snap_frame *f = &snap->frames[frame];
	struct snap_detail *detail = NULL;
	uint32_t mark, mark_end;
	bool newer = false;

	if (f->at.line <= 0 || (f->detail && snap->details[f->detail - 1].source) ||
	    !source_line(src, snap_code_of(snap, f)->file, (uint32_t)f->at.line, &line, &newer,
			 NULL))
		return;
	line_text(&line, &f->at, &text, &mark, &mark_end);
	if (!text.len)
		return;
	detail = snap_detail_add(snap, frame);
	detail->source = arena_strndup(&snap->arena, text.data, text.len);
	detail->source_newer = newer;
	if (newer) /* another line, perhaps */
		return;
	detail->mark = mark;
	detail->mark_end = mark_end;
}

void snapshot_file(struct snapshot *snap, struct source *src, uint32_t frame)
{
	const struct snap_code *code = snap_code_of(snap, &snap->frames[frame]);
	struct snap_detail *detail;
	struct source_stat st;

	if (!source_stat(src, code->file, code->own, &st, NULL))
		return;
	detail = snap_detail_add(snap, frame);
	detail->have_file = true;
	detail->file = st;
}

void snapshot_sources(struct snapshot *snap, struct source *src)
{
	size_t left = SNAP_MAX_LINES;

	for (uint32_t i = 0; i < snap->n_frames && left; i++) {
		if (!snap_code_of(snap, &snap->frames[i])->own)
			continue;
		snapshot_source(snap, src, i);
		left--;
	}
}
