/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "lines.h"

void lines_init(struct lines *l, size_t most)
{
	*l = (struct lines){.text = STRBUF_INIT, .most = most};
}

void lines_deinit(struct lines *l)
{
	strbuf_deinit(&l->text);
}

void lines_next(struct lines *l)
{
	struct lines fresh = {.text = l->text, .most = l->most, .pretty = l->pretty, .begun = true};

	strbuf_reset(&fresh.text);
	*l = fresh;
}

static void keep(struct lines *l, char c)
{
	if (l->skipping || l->too_long)
		return;
	if (l->text.len >= l->most)
		l->too_long = true;
	else
		strbuf_addch(&l->text, c);
}

static void in_string(struct lines *l, char c)
{
	keep(l, c);
	if (l->escaped) {
		l->escaped = false;
	} else if (c == '\\') {
		l->escaped = true;
	} else if (c == '"') {
		l->in_string = false;
		if (l->key == LINES_KEY_OPEN)
			l->key = LINES_KEY_DONE;
		return;
	}
	if (l->key == LINES_KEY_OPEN && l->name_len < sizeof(l->name) - 1)
		l->name[l->name_len++] = c;
}

static void begin_string(struct lines *l)
{
	l->in_string = true;
	if (l->depth == 1 && l->expect_key) {
		l->key = LINES_KEY_OPEN;
		l->name_len = 0;
		memset(l->name, 0, sizeof(l->name));
		l->expect_key = false;
	}
}

static void open(struct lines *l, char c)
{
	bool tasks =
		l->depth == 1 && c == '[' && l->key == LINES_KEY_DONE && !strcmp(l->name, "tasks");

	keep(l, c);
	if (tasks && !l->skipping) {
		l->skipping = true;
		l->skip_depth = l->depth;
	}
	l->depth++;
	l->expect_key = c == '{';
}

static void close(struct lines *l, char c)
{
	if (l->depth)
		l->depth--;
	if (l->skipping && l->depth == l->skip_depth)
		l->skipping = false;
	keep(l, c);
}

/* "{" or "[" and an end of the line: a document of many lines. */
static bool is_pretty(const struct lines *l)
{
	return !l->begun && l->depth == 1 && l->text.len &&
	       strspn(l->text.data, "{[ \t\r") == l->text.len;
}

static enum lines_event end_of_line(struct lines *l)
{
	if (is_pretty(l))
		l->pretty = true;
	return l->pretty && (l->depth || !l->text.len) ? LINES_MORE : LINES_DOCUMENT;
}

enum lines_event lines_take(struct lines *l, char c)
{
	if (c == '\n' && (!l->in_string || !l->pretty))
		return end_of_line(l);
	if (l->in_string) {
		in_string(l, c);
		return LINES_MORE;
	}
	switch (c) {
	case '"':
		keep(l, c);
		begin_string(l);
		break;
	case '{':
	case '[':
		open(l, c);
		break;
	case '}':
	case ']':
		close(l, c);
		break;
	case ',':
		l->expect_key = l->expect_key || l->depth == 1;
		l->key = l->depth == 1 ? LINES_KEY_NONE : l->key;
		keep(l, c);
		break;
	default:
		keep(l, c);
	}
	return LINES_MORE;
}
