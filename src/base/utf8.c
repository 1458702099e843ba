/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/utf8.h"

#include <string.h>

#include "utf8_tables.h"

#define IN(table, cp) in_ranges(table, sizeof(table) / sizeof((table)[0]), cp)

static bool in_ranges(const struct range *table, size_t n, uint32_t cp)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (cp > table[mid].last)
			low = mid + 1;
		else if (cp < table[mid].first)
			high = mid;
		else
			return true;
	}
	return false;
}

/* ---- decoding ------------------------------------------------------------------------------ */

size_t utf8_decode(const char *text, size_t len, uint32_t *cp)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)text;
	uint32_t value;
	size_t n;

	*cp = UTF8_BAD;
	if (p[0] < 0x80) {
		*cp = p[0];
		return 1;
	}
	n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (!n || p[0] > 0xf4 || n > len)
		return 1;
	value = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < smallest[n] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 1;
	*cp = value;
	return n;
}

void utf8_add(struct strbuf *sb, uint32_t cp)
{
	char out[4];
	size_t n;

	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	if (cp < 0x80) {
		strbuf_addch(sb, (char)cp);
		return;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		n = 2;
	} else if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		n = 3;
	} else {
		out[0] = (char)(0xf0 | cp >> 18);
		n = 4;
	}
	for (size_t i = 1; i < n; i++)
		out[i] = (char)(0x80 | (cp >> (6 * (n - 1 - i)) & 0x3f));
	strbuf_add(sb, out, n);
}

/* ---- making safe --------------------------------------------------------------------------- */

#define MARKS_MAX 2 /* combining marks on one character */

/* The code point that ends before *end in valid UTF-8; moves *end to its begin. */
static uint32_t previous(const struct strbuf *sb, size_t *end)
{
	size_t begin = *end;
	uint32_t cp;

	do
		begin--;
	while (begin && ((unsigned char)sb->data[begin] & 0xc0) == 0x80);
	utf8_decode(sb->data + begin, *end - begin, &cp);
	*end = begin;
	return cp;
}

/* A mark needs something to stand on, and a heap of them would cover the lines above. */
static bool mark_has_room(const struct strbuf *sb)
{
	size_t end = sb->len;

	for (int marks = 0; end && marks < MARKS_MAX; marks++)
		if (utf8_cp_width(previous(sb, &end)))
			return true;
	return false;
}

void utf8_add_safe_cp(struct strbuf *sb, uint32_t cp)
{
	bool safe = cp <= 0x10ffff && !IN(unsafe, cp);

	if (safe && (utf8_cp_width(cp) || mark_has_room(sb)))
		utf8_add(sb, cp);
	else if (cp == '\t' || cp == '\n' || cp == '\r')
		strbuf_addstr(sb, cp == '\t' ? "\\t" : cp == '\n' ? "\\n" : "\\r");
	else if (cp <= 0xff)
		strbuf_addf(sb, "\\x%02x", cp);
	else if (cp <= 0xffff)
		strbuf_addf(sb, "\\u%04x", cp);
	else
		strbuf_addf(sb, "\\U%08x", cp);
}

/* Bytes at the start of text that are printable ASCII, at most max: names are little else. */
static size_t plain(const char *text, size_t len, size_t max)
{
	size_t n = 0;

	if (len > max)
		len = max;
	while (n < len && (unsigned char)(text[n] - 0x20) < 0x5f)
		n++;
	return n;
}

bool utf8_add_safe(struct strbuf *sb, const char *text, size_t len, size_t max_chars)
{
	size_t i = 0, chars = 0;

	while (i < len) {
		size_t n = plain(text + i, len - i, max_chars - chars);
		uint32_t cp;

		strbuf_add(sb, text + i, n);
		i += n;
		chars += n;
		if (i == len)
			break;
		if (chars++ == max_chars) {
			utf8_add(sb, 0x2026);
			return false;
		}
		i += utf8_decode(text + i, len - i, &cp);
		if (cp == UTF8_BAD)
			strbuf_addf(sb, "\\x%02x", (unsigned char)text[i - 1]);
		else
			utf8_add_safe_cp(sb, cp);
	}
	return true;
}

void utf8_copy(char *buf, size_t size, const char *text)
{
	size_t all = strlen(text), len = all < size ? all : size - 1;

	while (len < all && len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	memcpy(buf, text, len);
	buf[len] = 0;
}

/* ---- columns ------------------------------------------------------------------------------- */

unsigned utf8_cp_width(uint32_t cp)
{
	if (cp < 0x300)
		return 1;
	if (IN(zero_width, cp))
		return 0;
	return IN(two_columns, cp) ? 2 : 1;
}

size_t utf8_width(const char *text)
{
	size_t len = strlen(text), i = 0, width = 0;
	uint32_t cp;

	while (i < len) {
		i += utf8_decode(text + i, len - i, &cp);
		width += cp == UTF8_BAD ? 1 : utf8_cp_width(cp);
	}
	return width;
}

/* Bytes of the longest head of text that fits into columns; *used is its width. */
static size_t head_bytes(const char *text, size_t columns, size_t *used)
{
	size_t len = strlen(text), i = 0;
	uint32_t cp;

	*used = 0;
	while (i < len) {
		size_t n = utf8_decode(text + i, len - i, &cp);
		size_t width = cp == UTF8_BAD ? 1 : utf8_cp_width(cp);

		if (*used + width > columns)
			break;
		*used += width;
		i += n;
	}
	return i;
}

/* Where the longest tail of text that fits into columns begins. */
static const char *tail_start(const char *text, size_t total, size_t columns, size_t *used)
{
	size_t len = strlen(text), i = 0;
	uint32_t cp;

	*used = total;
	while (i<len && * used> columns) {
		i += utf8_decode(text + i, len - i, &cp);
		*used -= cp == UTF8_BAD ? 1 : utf8_cp_width(cp);
	}
	for (size_t n; i < len; i += n) { /* marks of the character that was cut */
		n = utf8_decode(text + i, len - i, &cp);
		if (cp == UTF8_BAD || utf8_cp_width(cp))
			break;
	}
	return text + i;
}

size_t utf8_add_cut(struct strbuf *sb, const char *text, size_t columns, bool from_left, bool ascii)
{
	const char *mark = ascii ? "~" : "\xe2\x80\xa6";
	size_t total = utf8_width(text), used;
	const char *tail;

	if (total <= columns) {
		strbuf_addstr(sb, text);
		return total;
	}
	if (!columns)
		return 0;
	if (from_left) {
		tail = tail_start(text, total, columns - 1, &used);
		strbuf_addstr(sb, mark);
		strbuf_addstr(sb, tail);
	} else {
		strbuf_add(sb, text, head_bytes(text, columns - 1, &used));
		strbuf_addstr(sb, mark);
	}
	return used + 1;
}

size_t utf8_add_ends(struct strbuf *sb, const char *text, size_t columns, bool ascii)
{
	size_t total = utf8_width(text), head, used;
	const char *tail;

	if (total <= columns || columns < 4)
		return utf8_add_cut(sb, text, columns, true, ascii);
	strbuf_add(sb, text, head_bytes(text, columns / 3, &head));
	strbuf_addstr(sb, ascii ? "~" : "\xe2\x80\xa6");
	tail = tail_start(text, total, columns - head - 1, &used);
	strbuf_addstr(sb, tail);
	return head + 1 + used;
}

void utf8_add_wrapped(struct strbuf *sb, const char *text, size_t columns, size_t indent)
{
	size_t used = 0; /* columns of this line */
	bool begun = false;

	while (*text) {
		size_t blanks = strspn(text, " "), len = blanks + strcspn(text + blanks, " "),
		       width;
		cleanup_strbuf struct strbuf word = STRBUF_INIT;

		strbuf_add(&word, text + blanks, len - blanks);
		width = utf8_width(word.data);
		if (begun && used + blanks + width > columns) {
			strbuf_addch(sb, '\n');
			strbuf_pad(sb, ' ', indent);
			used = indent;
			blanks = 0;
		}
		strbuf_pad(sb, ' ', blanks);
		strbuf_addstr(sb, word.data);
		used += blanks + width;
		begun = true;
		text += len;
	}
}

void utf8_to_ascii(struct strbuf *text)
{
	struct strbuf out = STRBUF_INIT;
	size_t i = 0;
	uint32_t cp;

	while (i < text->len) {
		i += utf8_decode(text->data + i, text->len - i, &cp);
		if (cp < 0x80)
			strbuf_addch(&out, (char)cp);
		else if (cp == 0x2026) /* the mark of a cut */
			strbuf_addch(&out, '~');
		else
			strbuf_addf(&out, cp > 0xffff ? "\\U%08x" : "\\u%04x", cp);
	}
	strbuf_deinit(text);
	*text = out;
}
