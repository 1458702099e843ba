/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena.h - memory that is released all at once, and arrays that grow
 *
 * An arena hands out zeroed, 16-byte aligned memory and frees it together. When
 * the system has no memory left the process says so and ends with status 70:
 * nothing this program does could go on, and callers stay readable.
 */
#ifndef STALLSCOPE_ARENA_H
#define STALLSCOPE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *blocks; /* newest first */
	size_t used;		    /* bytes handed out */
};

#define ARENA_INIT      \
	{               \
		NULL, 0 \
	}

/* Zeroed memory, valid until arena_deinit(). Never NULL. */
void *arena_alloc(struct arena *arena, size_t size);

/* A NUL-terminated copy of len bytes. */
char *arena_strndup(struct arena *arena, const char *text, size_t len);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void arena_deinit(struct arena *arena);

/* malloc, calloc and realloc that end the process with status 70 instead of failing. */
void *mem_alloc(size_t size);
void *mem_zalloc(size_t count, size_t size);
void *mem_realloc(void *ptr, size_t count, size_t size);

/*
 * Growable array: a pointer, a length and a capacity kept by the caller.
 * array_push() returns the address of a new zeroed element.
 *
 *	struct frame *frames = NULL;
 *	size_t n = 0, cap = 0;
 *	struct frame *f = array_push(&frames, &n, &cap);
 *
 * Freed with free(). Elements move when it grows.
 */
void *array_grow(void *array, size_t *cap, size_t need, size_t elem);

#define array_push(arrayp, np, capp)                                               \
	(*(arrayp) = array_grow(*(arrayp), (capp), *(np) + 1, sizeof(**(arrayp))), \
	 &(*(arrayp))[(*(np))++])

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
