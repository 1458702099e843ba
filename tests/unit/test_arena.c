/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "stallscope/arena.h"
#include "stallscope/strbuf.h"

static void test_zeroed_and_aligned(void **state)
{
	static const size_t sizes[] = {0, 1, 15, 16, 17, 4096, 65535, 65536, 65537, 1 << 20, 3};
	struct arena arena = ARENA_INIT;

	(void)state;
	for (int round = 0; round < 50; round++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p = arena_alloc(&arena, sizes[i]);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t j = 0; j < sizes[i]; j++)
				assert_int_equal(p[j], 0);
			memset(p, 0xff, sizes[i]);
		}
	assert_true(arena.used > 50 * (1 << 20));
	arena_deinit(&arena);
	assert_null(arena.blocks);
	assert_int_equal(arena.used, 0);
	arena_deinit(&arena);
}

/* A large piece must not make an end of the block that small ones are taken from. */
static void test_large_pieces_waste_nothing(void **state)
{
	struct arena arena = ARENA_INIT;
	char *a = arena_alloc(&arena, 32), *b;

	(void)state;
	arena_alloc(&arena, 1 << 20);
	b = arena_alloc(&arena, 32);
	assert_ptr_equal(b, a + 32);
	arena_deinit(&arena);
}

static void test_texts(void **state)
{
	struct arena arena = ARENA_INIT;
	char raw[3] = {'a', 'b', 'c'}, *text;

	(void)state;
	assert_string_equal(arena_strndup(&arena, raw, 3), "abc");
	assert_string_equal(arena_strndup(&arena, raw, 0), "");
	assert_string_equal(arena_strdup(&arena, ""), "");
	text = arena_strndup(&arena, "x\0y", 3);
	assert_memory_equal(text, "x\0y\0", 4);
	assert_string_equal(arena_printf(&arena, "%d-%s", 7, "seven"), "7-seven");
	text = arena_printf(&arena, "%100000s", "x");
	assert_int_equal(strlen(text), 100000);
	arena_deinit(&arena);
}

struct odd {
	uint64_t value;
	char more[5];
};

static void test_array(void **state)
{
	struct odd *v = NULL;
	size_t n = 0, cap = 0;

	(void)state;
	for (uint64_t i = 0; i < 10000; i++) {
		struct odd *o = array_push(&v, &n, &cap);

		assert_int_equal(o->value, 0);
		assert_int_equal(o->more[4], 0);
		memset(o, 0xff, sizeof(*o));
		o->value = i;
	}
	assert_int_equal(n, 10000);
	assert_true(cap >= n && cap < 2 * n);
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(v[i].value, i);
	free(v);
}

/* Runs body in a child; its standard error goes into out, its exit status is returned. */
static int run_dying(void (*body)(void), char *out, size_t size)
{
	int fds[2], status;
	size_t len;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], 2);
		body();
		_exit(0);
	}
	close(fds[1]);
	for (len = 0; (n = read(fds[0], out + len, size - 1 - len)) > 0; len += (size_t)n)
		;
	out[len] = 0;
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Volatile, lest the compiler sees that this cannot be. */
static volatile size_t huge = SIZE_MAX / 2 + 1;

static void overflow_realloc(void)
{
	mem_realloc(NULL, huge, 2);
}

static void overflow_zalloc(void)
{
	mem_zalloc(huge, 2);
}

static void overflow_arena(void)
{
	struct arena arena = ARENA_INIT;

	arena_alloc(&arena, huge * 2 - 1);
}

static void overflow_strndup(void)
{
	struct arena arena = ARENA_INIT;

	arena_strndup(&arena, "x", huge * 2 - 1);
}

static void overflow_strbuf(void)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_addstr(&sb, "x");
	strbuf_room(&sb, huge * 2 - 1);
}

static void test_no_memory_ends_the_process(void **state)
{
	void (*const bodies[])(void) = {overflow_realloc, overflow_zalloc, overflow_arena,
					overflow_strndup, overflow_strbuf};
	static char text[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		assert_int_equal(run_dying(bodies[i], text, sizeof(text)), 70);
		assert_non_null(strstr(text, "stallscope: out of memory ("));
		assert_non_null(strstr(text, " bytes)\n"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_and_aligned),
		cmocka_unit_test(test_large_pieces_waste_nothing),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_no_memory_ends_the_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The sanitizers would rather report such sizes themselves. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}
