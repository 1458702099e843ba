/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"

char strbuf_empty[1];

void strbuf_init(struct strbuf *sb)
{
	*sb = (struct strbuf)STRBUF_INIT;
}

void strbuf_deinit(struct strbuf *sb)
{
	if (sb->cap)
		free(sb->data);
	strbuf_init(sb);
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	if (sb->cap)
		sb->data[0] = 0;
}

char *strbuf_room(struct strbuf *sb, size_t extra)
{
	size_t need, cap;

	if (__builtin_add_overflow(sb->len + 1, extra, &need) || need > SIZE_MAX / 4)
		need = SIZE_MAX / 4; /* more than there is: ends the process below */
	if (need > sb->cap) {
		cap = sb->cap * 2 > need ? sb->cap * 2 : need + 32;
		sb->data = mem_realloc(sb->cap ? sb->data : NULL, cap, 1);
		sb->cap = cap;
		sb->data[sb->len] = 0;
	}
	return sb->data + sb->len;
}

void strbuf_setlen(struct strbuf *sb, size_t len)
{
	sb->len = len;
	if (sb->cap)
		sb->data[len] = 0;
}

void strbuf_add(struct strbuf *sb, const void *bytes, size_t len)
{
	if (!len)
		return;
	memcpy(strbuf_room(sb, len), bytes, len);
	strbuf_setlen(sb, sb->len + len);
}

void strbuf_addstr(struct strbuf *sb, const char *text)
{
	strbuf_add(sb, text, strlen(text));
}

void strbuf_addch(struct strbuf *sb, char c)
{
	if (sb->len + 1 >= sb->cap)
		strbuf_room(sb, 1);
	sb->data[sb->len++] = c;
	sb->data[sb->len] = 0;
}

void strbuf_pad(struct strbuf *sb, char c, size_t count)
{
	if (!count)
		return;
	memset(strbuf_room(sb, count), c, count);
	strbuf_setlen(sb, sb->len + count);
}

void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int len;

	va_copy(again, ap);
	strbuf_room(sb, 1);
	room = sb->cap - sb->len;
	len = vsnprintf(sb->data + sb->len, room, fmt, ap);
	if (len > 0 && (size_t)len >= room)
		vsnprintf(strbuf_room(sb, (size_t)len), (size_t)len + 1, fmt, again);
	strbuf_setlen(sb, sb->len + (size_t)(len > 0 ? len : 0));
	va_end(again);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(sb, fmt, ap);
	va_end(ap);
}

bool str_ends_with(const char *text, const char *tail)
{
	size_t n = strlen(text), m = strlen(tail);

	return n >= m && !strcmp(text + n - m, tail);
}

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t str_distance(const char *a, const char *b)
{
	size_t rows[3][STR_DISTANCE_MAX + 1], n = strlen(a), m = strlen(b);

	if (n > STR_DISTANCE_MAX || m > STR_DISTANCE_MAX)
		return n > m ? n : m;
	for (size_t j = 0; j <= m; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			unsigned char x = lower(a[i - 1]), y = lower(b[j - 1]);

			row[j] =
				smaller(above[j - 1] + (x != y), smaller(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]))
				row[j] = smaller(row[j], before[j - 2] + 1);
		}
	}
	return rows[n % 3][m];
}
