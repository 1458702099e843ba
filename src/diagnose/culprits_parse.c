/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checked parser of catalogues. A row that can never match, or that would print what is not
 * safe to print, is an error that tells where it is and how to put it right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "culprits_private.h"
#include "stallscope/arena.h"
#include "stallscope/target.h"
#include "stallscope/utf8.h"

enum column { KIND, PATTERN, CATEGORY, TITLE, ADVICE, SOURCE, COLUMNS };

static const struct {
	const char *name;
	size_t max; /* bytes */
} columns[COLUMNS] = {
	[KIND] = {"match_kind", 16}, [PATTERN] = {"pattern", 200}, [CATEGORY] = {"category", 24},
	[TITLE] = {"title", 120},    [ADVICE] = {"advice", 200},   [SOURCE] = {"source", 1000},
};

static const struct {
	const char *word, *form, *example, *what;
} kinds[CULPRIT_KINDS] = {
#define X(name, word, form, example, what) {word, form, example, what},
	CULPRIT_KIND_LIST(X)
#undef X
};

static const char *const states[] = {"interp.gc.collecting"};

const char *culprits_kind_word(enum culprit_kind kind)
{
	return kinds[kind].word;
}

struct parser {
	const char *name; /* of the file, safe */
	const char *line; /* its begin; the tabs before the place that is looked at may be 0 */
	uint32_t number;
	enum culprit_origin origin;
	struct culprit_row *rows;
	size_t n, cap;
	struct culprit_index index;
	struct error *err;
};

/* ---- what is wrong, and where ------------------------------------------------------------------
 */

/* The column as an editor counts it: characters, from 1. */
static unsigned column_of(const struct parser *p, const char *at)
{
	unsigned column = 1;

	for (const char *c = p->line; c < at; c++)
		column += ((unsigned char)*c & 0xc0) != 0x80;
	return column;
}

__attribute__((format(printf, 3, 4))) static bool wrong(const struct parser *p, const char *at,
							const char *fmt, ...)
{
	char text[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return error_set(p->err, ERR_BAD_FILE, "%s:%u:%u: %s", p->name, p->number, column_of(p, at),
			 text);
}

/* A field for a message: fields that came this far are safe, but may be long. */
static const char *shown(char buf[64], const char *field)
{
	utf8_copy(buf, 61, field);
	if (strlen(field) > 60)
		strcat(buf, "...");
	return buf;
}

/* ---- text --------------------------------------------------------------------------------------
 */

static bool bad_character(const struct parser *p, const char *at, uint32_t cp)
{
	if (cp == UTF8_BAD) {
		wrong(p, at, "byte 0x%02x is not UTF-8", (unsigned char)*at);
		return error_hint(p->err, "save the file as UTF-8");
	}
	wrong(p, at, "control or format character U+%04X", cp);
	return error_hint(p->err, "remove it; columns are separated by tabs, rows by newlines");
}

/* Bytes at the start of text that need no second look. */
static size_t plain(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && (text[n] == '\t' || (unsigned char)(text[n] - 0x20) < 0x5f))
		n++;
	return n;
}

/* Rows are printed as they are, so they have nothing that utf8_add_safe() would change. */
static bool check_text(const struct parser *p, size_t len)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	size_t i = plain(p->line, len);
	uint32_t cp;

	while (i < len) {
		size_t n = utf8_decode(p->line + i, len - i, &cp), skip;

		if (i && (unsigned char)p->line[i - 1] < 0x80) { /* what a mark would stand on */
			strbuf_reset(&safe);
			strbuf_addch(&safe, p->line[i - 1]);
		}
		skip = safe.len;
		if (cp != UTF8_BAD)
			utf8_add_safe_cp(&safe, cp);
		if (safe.len - skip != n || memcmp(safe.data + skip, p->line + i, n) != 0)
			return bad_character(p, p->line + i, cp);
		i += n;
		i += plain(p->line + i, len - i);
	}
	return true;
}

/* ---- patterns ----------------------------------------------------------------------------------
 */

static bool is_name_byte(char c)
{
	return c == '_' || c == '-' || (c >= '0' && c <= '9') ||
	       ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

/* The end of one part of a name, or NULL: "request", and "<locals>" with angles. */
static const char *part_end(const char *p, bool angles)
{
	bool angle = angles && *p == '<';
	const char *begin = p + angle;

	for (p = begin; is_name_byte(*p); p++)
		;
	if (p == begin || (angle && *p != '>'))
		return NULL;
	return p + angle;
}

/* True when text up to end is parts with dots between, or one part when not dotted. */
static bool is_name(const char *text, const char *end, bool dotted, bool angles)
{
	for (;; text++) {
		text = part_end(text, angles);
		if (!text || text > end)
			return false;
		if (text == end)
			return true;
		if (!dotted || *text != '.')
			return false;
	}
}

/* module, separator, name */
static bool is_pair(const char *pattern, char separator, bool dotted)
{
	const char *split = strchr(pattern, separator), *end = pattern + strlen(pattern);

	return split && is_name(pattern, split, true, false) &&
	       is_name(split + 1, end, dotted, true);
}

static bool is_native(const char *pattern)
{
	const char *split = strchr(pattern, '!');

	return split && split > pattern && split[1] && !strchr(split + 1, '!') &&
	       !strpbrk(pattern, "/ ") && strspn(pattern, "*?!") < strlen(pattern);
}

static bool is_state(const char *pattern)
{
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (!strcmp(pattern, states[i]))
			return true;
	return false;
}

static bool fits(enum culprit_kind kind, const char *pattern)
{
	switch (kind) {
	case CULPRIT_PY:
		return is_pair(pattern, ':', false);
	case CULPRIT_AWAIT:
		return is_pair(pattern, ':', true);
	case CULPRIT_CCALL:
		return is_pair(pattern, '!', true);
	case CULPRIT_NATIVE:
		return is_native(pattern);
	case CULPRIT_SYSCALL:
		return syscall_known(pattern);
	case CULPRIT_STATE:
		return is_state(pattern);
	case CULPRIT_KINDS:
		break;
	}
	return false;
}

static const char *advice_for(enum culprit_kind kind)
{
	switch (kind) {
	case CULPRIT_PY:
		return "the function is the code's own name, without its class";
	case CULPRIT_AWAIT:
		return "the name has the class, and .<locals>. before an inner function";
	case CULPRIT_NATIVE:
		return "the object is the name of a file without folders; * and ? are wild";
	case CULPRIT_SYSCALL:
		return "as strace and /usr/include/asm/unistd_64.h name it";
	case CULPRIT_STATE:
		return "there are no others";
	case CULPRIT_CCALL:
	case CULPRIT_KINDS:
		break;
	}
	return "the name is the __qualname__ of the callable";
}

/* ---- fields ------------------------------------------------------------------------------------
 */

static bool check_sizes(const struct parser *p, char *const field[COLUMNS], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(field[i]);

		if (!len && i != SOURCE) {
			wrong(p, field[i], "column %s is empty", columns[i].name);
			return error_hint(p->err, "every column but the last one is needed");
		}
		if (len > columns[i].max) {
			wrong(p, field[i], "column %s has %zu bytes, at most %zu are allowed",
			      columns[i].name, len, columns[i].max);
			return error_hint(p->err, "one short clause is shown best");
		}
	}
	return true;
}

/* Splits the line at its tabs. */
static bool split(const struct parser *p, char *line, char *field[COLUMNS], size_t *n)
{
	*n = 0;
	for (char *at = line; at; (*n)++) {
		char *tab = strchr(at, '\t');

		if (*n == COLUMNS) {
			wrong(p, at, "more than %d columns", COLUMNS);
			return error_hint(p->err, "columns are separated by one tab each");
		}
		field[*n] = at;
		if (tab)
			*tab++ = 0;
		at = tab;
	}
	if (*n >= COLUMNS - 1)
		return true;
	wrong(p, field[*n - 1] + strlen(field[*n - 1]), "%zu %s, at least %d are needed", *n,
	      PLURAL(*n, "column", "columns"), COLUMNS - 1);
	return error_hint(p->err, "match_kind, pattern, category, title, advice, with a tab "
				  "(not spaces) between them");
}

static bool find_kind(const struct parser *p, const char *word, enum culprit_kind *ret)
{
	char buf[64];

	for (size_t i = 0; i < CULPRIT_KINDS; i++) {
		if (!strcmp(word, kinds[i].word)) {
			*ret = (enum culprit_kind)i;
			return true;
		}
	}
	wrong(p, word, "unknown match_kind '%s'", shown(buf, word));
	return error_hint(p->err, "it is one of py, ccall, native, syscall, await, state");
}

static bool check_pattern(const struct parser *p, enum culprit_kind kind, const char *pattern)
{
	uint32_t other = culprit_index_get(&p->index, p->rows, kind, pattern);
	char buf[64];

	if (!fits(kind, pattern)) {
		wrong(p, pattern, "'%s' does not name %s (%s)", shown(buf, pattern),
		      kinds[kind].what, kinds[kind].form);
		return error_hint(p->err, "write it like %s; %s", kinds[kind].example,
				  advice_for(kind));
	}
	if (other == CULPRITS_NONE)
		return true;
	wrong(p, pattern, "%s %s was in line %u already", kinds[kind].word, shown(buf, pattern),
	      p->rows[other].line);
	return error_hint(p->err, "remove one of the two");
}

/* The category that is spelled most alike. */
static const char *nearest_category(const char *word)
{
	const char *best = "";
	size_t n, least = SIZE_MAX;
	const struct culprit_category *all = culprits_categories(&n);

	for (size_t i = 0; i < n; i++) {
		size_t distance = str_distance(word, all[i].name);

		if (distance < least) {
			least = distance;
			best = all[i].name;
		}
	}
	return best;
}

static bool check_category(const struct parser *p, const char *category)
{
	char buf[64];

	if (culprits_category(category))
		return true;
	wrong(p, category, "unknown category '%s'", shown(buf, category));
	return error_hint(p->err, "did you mean %s? stallscope-culprits(5) lists them all",
			  nearest_category(category));
}

/* ---- lines -------------------------------------------------------------------------------------
 */

static bool add_row(struct parser *p, char *line)
{
	struct culprit_row row = {.origin = p->origin, .line = p->number};
	char *field[COLUMNS];
	/* The built-in rows were checked when the program was tested: it is read at each start. */
	bool check = p->origin != CULPRIT_BUILT_IN;
	size_t n;

	if (!split(p, line, field, &n) || (check && !check_sizes(p, field, n)) ||
	    !find_kind(p, field[KIND], &row.kind))
		return false;
	if (check &&
	    (!check_pattern(p, row.kind, field[PATTERN]) || !check_category(p, field[CATEGORY])))
		return false;
	if (p->n == CULPRITS_ROWS_MAX) {
		wrong(p, line, "more than %u rows", CULPRITS_ROWS_MAX);
		return error_hint(p->err,
				  "the catalogue is for calls that block, not for all calls");
	}
	row.order = (uint32_t)p->n;
	row.pattern = field[PATTERN];
	row.category = field[CATEGORY];
	row.title = field[TITLE];
	row.advice = field[ADVICE];
	row.source = n > SOURCE ? field[SOURCE] : "";
	*array_push(&p->rows, &p->n, &p->cap) = row;
	if (check)
		culprit_index_put(&p->index, p->rows, row.order);
	return true;
}

static bool is_header(const char *line)
{
	return !strncmp(line, "match_kind\t", sizeof("match_kind"));
}

/* One line of len bytes, ended by a 0. */
static bool take_line(struct parser *p, char *line, size_t len)
{
	p->line = line;
	if (len && line[len - 1] == '\r')
		line[--len] = 0;
	if (p->origin != CULPRIT_BUILT_IN && !check_text(p, len))
		return false;
	if (line[0] == '#' || strspn(line, " \t") == len || (!p->n && is_header(line)))
		return true;
	return add_row(p, line);
}

static bool take_lines(struct parser *p, char *text, size_t len)
{
	char *end = text + len, *next;

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* some editors put a mark there */
		text += 3;
	for (char *line = text; line < end; line = next) {
		char *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		if (newline)
			*newline = 0;
		p->number++;
		if (!take_line(p, line, (size_t)((newline ? newline : end) - line)))
			return false;
	}
	return true;
}

bool culprits_parse(const char *name, char *text, size_t len, enum culprit_origin origin,
		    struct culprit_row **rows, size_t *n, struct error *err)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	struct parser p = {.origin = origin, .err = err};
	bool ok;

	utf8_add_safe(&safe, name, strlen(name), 200);
	p.name = safe.data;
	ok = take_lines(&p, text, len);
	culprit_index_deinit(&p.index);
	if (!ok) {
		free(p.rows);
		return false;
	}
	*rows = p.rows;
	*n = p.n;
	return true;
}
