/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strbuf.h - a string that grows
 *
 * `data` is always NUL-terminated and never NULL, so an empty strbuf can be
 * printed. May hold NUL bytes: `len` counts.
 */
#ifndef STALLSCOPE_STRBUF_H
#define STALLSCOPE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct strbuf {
	char *data;
	size_t len, cap; /* cap 0: data is a shared empty string, not to be freed */
};

extern char strbuf_empty[];
#define STRBUF_INIT                \
	{                          \
		strbuf_empty, 0, 0 \
	}

void strbuf_init(struct strbuf *sb);
void strbuf_deinit(struct strbuf *sb);
void strbuf_reset(struct strbuf *sb);		    /* len = 0, memory kept */
char *strbuf_room(struct strbuf *sb, size_t extra); /* at least extra bytes behind len */
void strbuf_add(struct strbuf *sb, const void *bytes, size_t len);
void strbuf_addstr(struct strbuf *sb, const char *text);
void strbuf_addch(struct strbuf *sb, char c);
void strbuf_pad(struct strbuf *sb, char c, size_t count);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_vaddf(struct strbuf *sb, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
void strbuf_setlen(struct strbuf *sb, size_t len); /* len <= current len + room */

/* The word that goes with a number: PLURAL(n, "task", "tasks"). */
#define PLURAL(n, one, many) ((n) == 1 ? (one) : (many))

/* True when text ends with tail. */
bool str_ends_with(const char *text, const char *tail);

/*
 * How many letters have to be put in, taken out, changed, or exchanged with the next one, to make b
 * of a, the case of ASCII aside; for longer texts than STR_DISTANCE_MAX bytes the length of the
 * longer one.
 */
#define STR_DISTANCE_MAX 63u
size_t str_distance(const char *a, const char *b);

static inline void strbuf_deinit_p(struct strbuf *sb)
{
	strbuf_deinit(sb);
}
#define cleanup_strbuf __attribute__((cleanup(strbuf_deinit_p)))

#endif
