/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stallscope/error.h"

#define BLOCK_SIZE ((size_t)64 << 10)
#define ALIGN	   16u

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(ALIGN) char data[];
};

static _Noreturn void out_of_memory(size_t size)
{
	char text[80];
	int len = snprintf(text, sizeof(text), "stallscope: out of memory (%zu bytes)\n", size);

	if (len < 0 || write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(error_exit_status(ERR_INTERNAL)); /* standard error is closed: no matter */
	_exit(error_exit_status(ERR_INTERNAL));
}

void *mem_alloc(size_t size)
{
	void *memory = malloc(size ? size : 1);

	if (!memory)
		out_of_memory(size);
	return memory;
}

/* count * size, or what is surely too much. */
static size_t product(size_t count, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes;
}

void *mem_zalloc(size_t count, size_t size)
{
	size_t bytes = product(count, size);
	void *memory = calloc(bytes ? bytes : 1, 1);

	if (!memory)
		out_of_memory(bytes);
	return memory;
}

void *mem_realloc(void *ptr, size_t count, size_t size)
{
	size_t bytes = product(count, size);
	void *memory = realloc(ptr, bytes ? bytes : 1);

	if (!memory)
		out_of_memory(bytes);
	return memory;
}

/* A block that one large piece fills goes behind the newest, which has room for more. */
static struct arena_block *new_block(struct arena *arena, size_t need)
{
	size_t size = need > BLOCK_SIZE / 4 && arena->blocks ? need : BLOCK_SIZE, bytes;
	struct arena_block *block, **where = &arena->blocks;

	if (size < need)
		size = need;
	if (__builtin_add_overflow(size, sizeof(*block), &bytes))
		out_of_memory(need);
	block = mem_zalloc(1, bytes);
	block->size = size;
	if (arena->blocks && size == need)
		where = &arena->blocks->next;
	block->next = *where;
	*where = block;
	return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_block *block = arena->blocks;
	size_t need;
	void *memory;

	if (__builtin_add_overflow(size, ALIGN - 1, &need))
		out_of_memory(size);
	need &= ~(size_t)(ALIGN - 1);
	if (!block || block->size - block->used < need)
		block = new_block(arena, need);
	memory = block->data + block->used;
	block->used += need;
	arena->used += need;
	return memory;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		out_of_memory(len);
	copy = arena_alloc(arena, len + 1);
	if (len)
		memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		len = 0;
	text = arena_alloc(arena, (size_t)len + 1);
	va_start(ap, fmt);
	vsnprintf(text, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return text;
}

void arena_deinit(struct arena *arena)
{
	struct arena_block *block, *next;

	for (block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	arena->blocks = NULL;
	arena->used = 0;
}

void *array_grow(void *array, size_t *cap, size_t need, size_t elem)
{
	size_t larger;

	if (need > *cap || !array) {
		larger = *cap + *cap / 2 + 8;
		if (larger < need)
			larger = need;
		array = mem_realloc(array, larger, elem);
		*cap = larger;
	}
	if (need)
		memset((char *)array + (need - 1) * elem, 0, elem);
	return array;
}
