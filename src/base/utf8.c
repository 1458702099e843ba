/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/utf8.h"

#include <string.h>

struct range {
	uint32_t first, last;
};

/* Combining marks and other characters that take no column (Unicode 15, the common blocks). */
static const struct range zero_width[] = {
	{0x300, 0x36f},	    {0x483, 0x489},   {0x591, 0x5bd},	  {0x5bf, 0x5bf},
	{0x5c1, 0x5c2},	    {0x5c4, 0x5c5},   {0x5c7, 0x5c7},	  {0x610, 0x61a},
	{0x64b, 0x65f},	    {0x670, 0x670},   {0x6d6, 0x6dc},	  {0x6df, 0x6e4},
	{0x6e7, 0x6e8},	    {0x6ea, 0x6ed},   {0x711, 0x711},	  {0x730, 0x74a},
	{0x7a6, 0x7b0},	    {0x7eb, 0x7f3},   {0x816, 0x82d},	  {0x859, 0x85b},
	{0x8d3, 0x902},	    {0x93a, 0x93a},   {0x93c, 0x93c},	  {0x941, 0x948},
	{0x94d, 0x94d},	    {0x951, 0x957},   {0x962, 0x963},	  {0x981, 0x981},
	{0x9bc, 0x9bc},	    {0x9c1, 0x9c4},   {0x9cd, 0x9cd},	  {0xa01, 0xa02},
	{0xa3c, 0xa51},	    {0xa70, 0xa71},   {0xabc, 0xabc},	  {0xac1, 0xac8},
	{0xacd, 0xacd},	    {0xb01, 0xb01},   {0xb3c, 0xb3f},	  {0xb4d, 0xb56},
	{0xbc0, 0xbc0},	    {0xbcd, 0xbcd},   {0xc3e, 0xc40},	  {0xc46, 0xc56},
	{0xccc, 0xccd},	    {0xd41, 0xd44},   {0xd4d, 0xd4d},	  {0xe31, 0xe31},
	{0xe34, 0xe3a},	    {0xe47, 0xe4e},   {0xeb1, 0xeb1},	  {0xeb4, 0xebc},
	{0xec8, 0xecd},	    {0xf18, 0xf19},   {0xf71, 0xf7e},	  {0xf80, 0xf84},
	{0x102d, 0x1030},   {0x1032, 0x1037}, {0x1160, 0x11ff},	  {0x135d, 0x135f},
	{0x1712, 0x1714},   {0x17b4, 0x17b5}, {0x17b7, 0x17bd},	  {0x17c6, 0x17c6},
	{0x17c9, 0x17d3},   {0x180b, 0x180d}, {0x18a9, 0x18a9},	  {0x1ab0, 0x1aff},
	{0x1b00, 0x1b03},   {0x1dc0, 0x1dff}, {0x20d0, 0x20f0},	  {0x2cef, 0x2cf1},
	{0x2de0, 0x2dff},   {0x302a, 0x302d}, {0x3099, 0x309a},	  {0xa66f, 0xa672},
	{0xa674, 0xa67d},   {0xa802, 0xa802}, {0xa8e0, 0xa8f1},	  {0xfb1e, 0xfb1e},
	{0xfe00, 0xfe0f},   {0xfe20, 0xfe2f}, {0x1d167, 0x1d169}, {0x1e8d0, 0x1e8d6},
	{0xe0100, 0xe01ef},
};

/* East Asian wide and fullwidth, and emoji shown in two columns. */
static const struct range two_columns[] = {
	{0x1100, 0x115f},   {0x231a, 0x231b},	{0x2329, 0x232a},   {0x23e9, 0x23ec},
	{0x23f0, 0x23f0},   {0x23f3, 0x23f3},	{0x25fd, 0x25fe},   {0x2614, 0x2615},
	{0x2648, 0x2653},   {0x267f, 0x267f},	{0x2693, 0x2693},   {0x26a1, 0x26a1},
	{0x26aa, 0x26ab},   {0x26bd, 0x26be},	{0x26c4, 0x26c5},   {0x26ce, 0x26ce},
	{0x26d4, 0x26d4},   {0x26ea, 0x26ea},	{0x26f2, 0x26f3},   {0x26f5, 0x26f5},
	{0x26fa, 0x26fa},   {0x26fd, 0x26fd},	{0x2705, 0x2705},   {0x270a, 0x270b},
	{0x2728, 0x2728},   {0x274c, 0x274c},	{0x274e, 0x274e},   {0x2753, 0x2755},
	{0x2757, 0x2757},   {0x2795, 0x2797},	{0x27b0, 0x27b0},   {0x27bf, 0x27bf},
	{0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},	{0x2b55, 0x2b55},   {0x2e80, 0x3029},
	{0x302e, 0x303e},   {0x3041, 0x3098},	{0x309b, 0x4dbf},   {0x4e00, 0xa4cf},
	{0xa960, 0xa97f},   {0xac00, 0xd7a3},	{0xf900, 0xfaff},   {0xfe10, 0xfe19},
	{0xfe30, 0xfe6f},   {0xff01, 0xff60},	{0xffe0, 0xffe6},   {0x16fe0, 0x18aff},
	{0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e},
	{0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c},
	{0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0},
	{0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc},
	{0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a},
	{0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5},
	{0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6d7}, {0x1f6dc, 0x1f6df},
	{0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7eb}, {0x1f90c, 0x1f93a},
	{0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
};

/* What must not reach a terminal as it is: controls, format characters, private use. */
static const struct range unsafe[] = {
	{0x00, 0x1f},	    {0x7f, 0x9f},	 {0xad, 0xad},	   {0x600, 0x605},
	{0x61c, 0x61c},	    {0x6dd, 0x6dd},	 {0x70f, 0x70f},   {0x180e, 0x180e},
	{0x200b, 0x200f},   {0x2028, 0x202e},	 {0x2060, 0x206f}, {0xd800, 0xf8ff},
	{0xfeff, 0xfeff},   {0xfff0, 0xfffb},	 {0xfffe, 0xffff}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff}, {0xf0000, 0x10ffff},
};

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

/* ---- decoding
 * ------------------------------------------------------------------------------------ */

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
		out[0] = (char)cp;
		n = 1;
	} else if (cp < 0x800) {
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

/* ---- making safe
 * ----------------------------------------------------------------------------------- */

void utf8_add_safe_cp(struct strbuf *sb, uint32_t cp)
{
	static const char names[] = "abtnvfr"; /* 7 to 13 */

	if (!IN(unsafe, cp) && cp <= 0x10ffff)
		utf8_add(sb, cp);
	else if (cp == 9 || cp == 10 || cp == 13)
		strbuf_addf(sb, "\\%c", names[cp - 7]);
	else if (cp <= 0xff)
		strbuf_addf(sb, "\\x%02x", cp);
	else if (cp <= 0xffff)
		strbuf_addf(sb, "\\u%04x", cp);
	else
		strbuf_addf(sb, "\\U%08x", cp);
}

bool utf8_add_safe(struct strbuf *sb, const char *text, size_t len, size_t max_chars)
{
	size_t i = 0, chars = 0;

	while (i < len) {
		uint32_t cp;

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

/* ---- columns
 * ------------------------------------------------------------------------------------------ */

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
	while (i < len && ((unsigned char)text[i] & 0xc0) == 0x80)
		i++;
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
