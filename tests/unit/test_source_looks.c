/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_source_looks.c - answers other than memory, and what lasts from look to look
 */
#include <limits.h>

#include "fake_pages.h"

/* ---- answers ------------------------------------------------------------------------------- */

static void test_texts(void **state)
{
	const struct strbuf *first, *again, *text;
	struct source *src = open_pages(1);
	char path[32];

	(void)state;
	fake_proc(fake, "cmdline", "a\0b\0", 4);
	fake_proc(fake, "empty", "", 0);
	assert_true(source_proc(src, "cmdline", &first, NULL));
	assert_int_equal(first->len, 4);
	assert_memory_equal(first->data, "a\0b\0\0", 5);
	for (int i = 0; i < 1000; i++) { /* what was handed out stays where it is */
		snprintf(path, sizeof(path), "task/%d/stat", i);
		fake_proc(fake, path, path, strlen(path));
		assert_true(source_proc(src, path, &text, NULL));
		assert_string_equal(text->data, path);
	}
	assert_memory_equal(first->data, "a\0b\0\0", 5);
	assert_true(source_proc(src, "cmdline", &again, NULL));
	assert_ptr_equal(first, again);
	assert_true(source_proc(src, "empty", &text, NULL));
	assert_int_equal(text->len, 0);
	assert_string_equal(text->data, "");
	assert_int_equal(fake->questions, 1002);
	source_forget(src);
	assert_true(source_proc(src, "cmdline", &again, NULL));
	assert_int_equal(fake->questions, 1003);
	source_close(src);
}

/* The host's are answers of the look like any other; the fake has them under the same key. */
static void test_host(void **state)
{
	struct source *src = open_pages(1);
	const struct strbuf *first, *again;
	struct error err;

	(void)state;
	fake_proc(fake, "/sys/fs/cgroup/a/cpu.stat", "nr_periods 1\n", 13);
	fake_proc(fake, "stat", "mine", 4);
	for (int i = 0; i < 3; i++) {
		assert_true(source_host(src, "/sys/fs/cgroup/a/cpu.stat", &again, NULL));
		assert_string_equal(again->data, "nr_periods 1\n");
		assert_false(source_host(src, "/proc/stat", &again, &err));
		assert_int_equal(err.code, ERR_ABSENT);
		assert_false(source_host(src, "stat", &again, NULL));
	}
	assert_int_equal(fake->questions, 2);
	assert_true(source_host(src, "/sys/fs/cgroup/a/cpu.stat", &first, NULL));
	assert_true(source_host(src, "/sys/fs/cgroup/a/cpu.stat", &again, NULL));
	assert_ptr_equal(first, again);
	source_forget(src);
	assert_true(source_host(src, "/sys/fs/cgroup/a/cpu.stat", &again, NULL));
	assert_int_equal(fake->questions, 3);
	source_close(src);
}

static void test_host_paths(void **state)
{
	static const char *const good[] = {
		"/proc/",
		"/sys/fs/cgroup/",
		"/proc/1/stat",
		"/proc/1/fd/",
		"@/proc/1/fd/5",
		"@/proc/1/root",
		"/proc/1/fdinfo/5",
		"/proc/self/mountinfo",
		"@/proc/1/task/1/ns/net",
		"/proc//stat",
		"/sys/fs/cgroup/root/cwd/x",
		"/sys/fs/cgroup/fd/a..b/...",
	};
	static const char *const bad[] = {
		"",
		"@",
		"stat",
		"/",
		"/proc",
		"@/proc",
		"/procs/1",
		"@@/proc/1/exe",
		"/etc/shadow",
		"/sys/fs/cgroup",
		"/sys/fs/cgroups/a",
		"/sys/fs/../fs/cgroup/a",
		"/proc/../etc/shadow",
		"/proc/..",
		"/proc/1/../../etc/shadow",
		"/sys/fs/cgroup/../../../etc/",
		"/sys/fs/cgroup/..",
		"/proc/./stat",
		"/proc/1/root/etc/shadow",
		"/proc/1/root/",
		"@/proc/1/root/etc",
		"/proc/1/task/1/cwd/x",
		"/proc/1/cwd//",
		"/proc/1/exe/",
		"/proc/1/fd/5/",
		"/proc/1/fd/5/passwd",
		"@/proc/1/fd/5/passwd",
		"/proc/1//fd//5//passwd",
		"/proc/1/map_files/1-2/x",
		"/proc/1/ns/net/x",
	};
	char *longest = mem_zalloc(PATH_MAX + 1, 1);
	struct source *src = open_pages(1);
	const struct strbuf *text;
	struct error err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		fake_proc(fake, good[i], good[i], strlen(good[i]));
		if (!source_host(src, good[i], &text, &err))
			fail_msg("%s: %s", good[i], err.text);
		assert_string_equal(text->data, good[i]);
	}
	fake->questions = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fake_proc(fake, bad[i], "no", 2);
		if (source_host(src, bad[i], &text, &err))
			fail_msg("%s was asked for", bad[i]);
		assert_int_equal(err.code, ERR_ABSENT);
	}
	memset(longest, 'x', PATH_MAX);
	memcpy(longest, "/proc/", 6);
	assert_false(source_host(src, longest, &text, NULL));
	assert_int_equal(fake->questions, 0);
	longest[PATH_MAX - 1] = 0;
	assert_false(source_host(src, longest, &text, NULL));
	assert_int_equal(fake->questions, 1);
	free(longest);
	source_close(src);
}

static void test_refusals_are_remembered(void **state)
{
	static const enum error_code codes[] = {ERR_ABSENT, ERR_PERMISSION, ERR_GONE};
	struct source *src = open_pages(1);
	const struct strbuf *text = NULL;

	(void)state;
	fake_failure(fake, ITEM_PROC, "p1", ERR_PERMISSION);
	fake_failure(fake, ITEM_PROC, "p2", ERR_GONE);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		char path[] = {'p', (char)('0' + i), 0};
		struct error first, again;

		memset(&again, 0, sizeof(again));
		assert_false(source_proc(src, path, &text, &first));
		assert_int_equal(first.code, codes[i]);
		assert_false(source_proc(src, path, &text, NULL));
		assert_false(source_proc(src, path, &text, &again));
		assert_int_equal(again.code, codes[i]);
		assert_string_equal(again.text, first.text);
	}
	assert_null(text);
	assert_int_equal(fake->questions, 3);
	fake_proc(fake, "p0", "now", 3);
	assert_false(source_proc(src, "p0", &text, NULL));
	source_close(src);
}

static void test_kinds_do_not_mix(void **state)
{
	struct source *src = open_pages(1);
	struct source_file file = {.path = "x"};
	struct strbuf line = STRBUF_INIT;
	const struct strbuf *text;
	bool newer = false;
	char byte;

	(void)state;
	fake_proc(fake, "1 x", "proc", 4);
	fake_line(fake, "x", 1, "line", true);
	fake_file(fake, &file, 1, "f", 1);
	assert_true(source_line(src, "x", 1, &line, &newer, NULL));
	assert_true(source_proc(src, "1 x", &text, NULL));
	assert_true(source_file_read(src, &file, 1, &byte, 1, NULL));
	assert_string_equal(text->data, "proc");
	assert_string_equal(line.data, "line");
	assert_int_equal(byte, 'f');
	assert_true(newer);
	strbuf_deinit(&line);
	source_close(src);
}

static void test_files(void **state)
{
	struct source *src = open_pages(1);
	struct source_file file = {.path = "/bin/x"}, old = {.path = "/bin/x", .deleted = true};
	struct error err;
	char buf[8] = "untouch";

	(void)state;
	fake_file(fake, &file, 16, "\0\1\2\3", 4);
	fake_file(fake, &old, 16, "old.", 4);
	for (int i = 0; i < 3; i++) {
		assert_true(source_file_read(src, &file, 16, buf, 4, NULL));
		assert_memory_equal(buf, "\0\1\2\3uch", 8);
	}
	assert_int_equal(fake->questions, 1);
	assert_true(source_file_read(src, &old, 16, buf, 4, NULL));
	assert_memory_equal(buf, "old.", 4);
	for (int i = 0; i < 3; i++) {
		assert_false(source_file_read(src, &file, 17, buf, 4, &err));
		assert_int_equal(err.code, ERR_ABSENT);
	}
	assert_memory_equal(buf, "old.", 4);
	assert_int_equal(fake->questions, 3);
	assert_false(source_file_read(src, &file, 0, buf, SOURCE_MAX_TEXT + (size_t)1, NULL));
	assert_int_equal(fake->questions, 3);
	assert_int_equal(source_file_open(src, &file, &err), -1);
	source_close(src);
}

static void test_lines(void **state)
{
	struct source *src = open_pages(1);
	struct strbuf out = STRBUF_INIT;
	struct error err;
	bool newer;

	(void)state;
	fake_line(fake, "/a.py", 7, "    x = 1", false);
	fake_line(fake, "/a.py", 8, "", true);
	for (int i = 0; i < 3; i++) {
		strbuf_reset(&out);
		newer = true;
		assert_true(source_line(src, "/a.py", 7, &out, &newer, NULL));
		assert_string_equal(out.data, "    x = 1");
		assert_false(newer);
		assert_true(source_line(src, "/a.py", 8, &out, &newer, NULL));
		assert_string_equal(out.data, "    x = 1");
		assert_true(newer);
		assert_false(source_line(src, "/a.py", 9, &out, &newer, &err));
		assert_int_equal(err.code, ERR_ABSENT);
	}
	assert_int_equal(fake->questions, 3);
	strbuf_deinit(&out);
	source_close(src);
}

static void test_lost_and_cut_texts(void **state)
{
	struct flaky plan = {.fail_proc = 1, .truncate_proc = 3};
	struct source *src = open_flaky(1, &plan);
	const struct strbuf *text;

	(void)state;
	fake_proc(fake, "a", "abcd", 4);
	fake_proc(fake, "b", "abcd", 4);
	fake_proc(fake, "c", "abcd", 4);
	assert_false(source_proc(src, "a", &text, NULL));
	assert_true(source_proc(src, "b", &text, NULL));
	assert_string_equal(text->data, "abcd");
	assert_true(source_proc(src, "c", &text, NULL));
	assert_string_equal(text->data, "ab");
	assert_int_equal(text->len, 2);
	source_close(src);
}

/* ---- looks --------------------------------------------------------------------------------- */

static void test_again(void **state)
{
	int closed = 0;
	struct source *src = open_pages(2), *light;
	const struct strbuf *text;

	(void)state;
	fake->closed = &closed;
	fake_proc(fake, "stat", "1", 1);
	assert_word(src, HERE);
	assert_true(source_proc(src, "stat", &text, NULL));
	light = source_again(src);
	assert_word(light, HERE);
	assert_true(source_proc(light, "stat", &text, NULL));
	assert_int_equal(fake->reads, 2);
	assert_int_equal(fake->questions, 2);
	assert_int_equal(source_get_stats(light).pages, 1);
	assert_int_equal(source_get_stats(light).system_calls, 4); /* of the target, not the look */
	source_forget(light);
	assert_word(src, HERE + 8);
	assert_int_equal(fake->reads, 2);
	assert_int_equal(source_pid(light), 42);
	source_close(src);
	assert_int_equal(closed, 0);
	assert_word(light, HERE + PAGE);
	source_close(light);
	assert_int_equal(closed, 1);
	source_close(NULL);
}

/* Memory is kept from look to look, and nothing else. */
/* A look is made of what another source found later, piece by piece. */
static void test_adopt(void **state)
{
	struct source *src = open_pages(3), *later = source_again(src);
	char *memory = fake->segments[0].data;
	uint64_t word, ones = UINT64_MAX;

	(void)state;
	assert_word(src, HERE + 8);
	assert_word(src, HERE + PAGE);
	for (size_t i = 0; i < 3; i++)
		memset(memory + i * PAGE, 0xff, 64);
	assert_true(source_now(src, HERE, &word, sizeof(word)));
	assert_int_equal(word, ones); /* and it is not remembered */
	assert_word(src, HERE);
	source_adopt(src, later, HERE + 8, 8);
	source_adopt(src, later, HERE + PAGE - 8, 16);
	source_adopt(src, later, HERE + 2 * PAGE, 8); /* a page that the look has not */
	assert_word(src, HERE);
	assert_word(src, HERE + 16);
	assert_word(src, HERE + PAGE + 8);
	memset(memory, 0, 3 * PAGE);
	for (size_t i = 0; i < 3; i++) {
		uint64_t at = HERE + (i ? i * PAGE : 8);

		assert_true(source_read(src, at, &word, sizeof(word), NULL));
		assert_int_equal(word, ones);
	}
	assert_word(src, HERE + 2 * PAGE + 64);
	source_adopt(src, later, HERE + 3 * PAGE, 8); /* there is no such page */
	source_adopt(src, later, UINT64_MAX - 4, 8);
	assert_false(source_now(src, HERE + 3 * PAGE, &word, sizeof(word)));
	source_close(later);
	source_close(src);
}

static void test_many_looks(void **state)
{
	struct source *src = open_pages(600);
	const struct strbuf *text;

	(void)state;
	fake_proc(fake, "stat", "1", 1);
	for (uint64_t look = 0; look < 20; look++) {
		for (uint64_t page = look; page < 600; page += 1 + look)
			assert_word(src, HERE + page * PAGE);
		assert_true(source_proc(src, "stat", &text, NULL));
		source_forget(src);
		assert_int_equal(source_get_stats(src).pages, 0);
		assert_int_equal(fake->questions, look + 1);
	}
	source_close(src);
}

/* A long walk lets go of what it has; a look that is to be saved does not. */
static void test_trim(void **state)
{
	struct source *src = open_pages(64);

	(void)state;
	for (uint64_t page = 0; page < 64; page++)
		assert_word(src, HERE + page * PAGE);
	source_trim(src, 64 * SOURCE_PAGE);
	assert_int_equal(source_get_stats(src).pages, 64);
	assert_int_equal(source_get_stats(src).trimmed, 0);
	source_trim(src, 64 * SOURCE_PAGE - 1);
	assert_int_equal(source_get_stats(src).pages, 0);
	assert_int_equal(source_get_stats(src).trimmed, 64);
	memset(fake->segments[0].data, 0xff, SOURCE_PAGE);
	assert_null(source_peek(src, HERE, 8));
	assert_true(source_read(src, HERE, &(uint64_t){0}, 8, NULL));
	assert_int_equal(*(const uint64_t *)source_peek(src, HERE, 8), UINT64_MAX);
	assert_null(source_peek(src, HERE + PAGE - 4, 8)); /* in two pages */
	assert_null(source_peek(src, HERE, 0));
	source_forget(src);
	assert_int_equal(source_get_stats(src).trimmed, 0);
	source_pin(src);
	assert_word(src, HERE + PAGE);
	source_trim(src, 0);
	assert_int_equal(source_get_stats(src).pages, 1);
	source_close(src);
}

/* What opening asked answers until the first look is over; then it is only kept for saving. */
static void test_pin(void **state)
{
	struct source *src = open_pages(4);
	const struct strbuf *first, *text;
	struct quarter *quarters;
	const struct item **items;
	uint64_t word;
	size_t n;

	(void)state;
	fake_proc(fake, "maps", "m", 1);
	fake_proc(fake, "stat", "s", 1);
	assert_word(src, HERE);
	assert_word(src, HERE + 3 * PAGE);
	assert_true(source_proc(src, "maps", &first, NULL));
	source_pin(src);
	source_pin(src);
	memset(fake->segments[0].data, 0xff, 4 * SOURCE_PAGE);
	assert_word(src, HERE + 16);
	assert_word(src, HERE + 3 * PAGE + 8);
	assert_true(source_proc(src, "maps", &text, NULL));
	assert_ptr_equal(text, first);
	assert_int_equal(fake->reads, 2);
	assert_int_equal(fake->questions, 1);
	assert_int_equal(source_get_stats(src).pages, 2);
	source_prefetch(src, (uint64_t[]){HERE, HERE + 3 * PAGE}, 2, 8);
	assert_int_equal(fake->reads, 2);
	assert_true(source_proc(src, "stat", &text, NULL));

	source_forget(src);
	assert_true(source_read(src, HERE + 8, &word, 8, NULL));
	assert_int_equal(word, UINT64_MAX);
	assert_true(source_proc(src, "maps", &text, NULL));
	assert_ptr_not_equal(text, first);

	/* the newer of both, and each once */
	quarters = source_quarters(src, &n);
	assert_int_equal(n, 2);
	assert_int_equal(quarters[0].address, HERE);
	assert_memory_equal(quarters[0].data, "\xff\xff\xff\xff", 4);
	assert_int_equal(quarters[1].address, HERE + 3 * PAGE);
	free(quarters);
	items = source_items(src, &n);
	assert_int_equal(n, 1);
	assert_ptr_equal(&items[0]->data, text);
	free(items);
	source_close(src);
}

/* Opening looked at one quarter of a page, the look at another: both are needed again. */
static void test_quarters(void **state)
{
	struct source *src = open_pages(2);
	struct quarter *quarters;
	size_t n;

	(void)state;
	assert_word(src, HERE + 8);
	source_pin(src);
	source_forget(src);
	assert_word(src, HERE + 3 * QUARTER);
	source_prefetch(src, (uint64_t[]){HERE + PAGE}, 1, 8); /* fetched, not looked at */
	quarters = source_quarters(src, &n);
	assert_int_equal(n, 2);
	assert_int_equal(quarters[0].address, HERE);
	assert_int_equal(quarters[1].address, HERE + 3 * QUARTER);
	free(quarters);
	assert_int_equal(pages_quarters(0, 1), 1);
	assert_int_equal(pages_quarters(0, QUARTER), 1);
	assert_int_equal(pages_quarters(0, QUARTER + 1), 3);
	assert_int_equal(pages_quarters(QUARTER - 1, 2), 3);
	assert_int_equal(pages_quarters(0, SOURCE_PAGE), 15);
	assert_int_equal(pages_quarters(SOURCE_PAGE - 1, 1), 8);
	source_close(src);
}

static void test_clocks(void **state)
{
	struct source *src = open_pages(1);

	(void)state;
	fake->clock = 7;
	fake->wall_clock = 8;
	assert_int_equal(source_clock(src), 7);
	assert_int_equal(source_wall_clock(src), 8);
	assert_true(source_alive(src));
	fake->alive = false;
	assert_false(source_alive(src));
	assert_false(source_is_recorded(src));
	assert_null(source_note(src, "x"));
	source_close(src);
}

static void test_messages(void **state)
{
	char out[16];

	(void)state;
	assert_string_equal(safe_for_message(out, sizeof(out), "abc"), "abc");
	safe_for_message(out, sizeof(out), "\x1b[31mabcdefghijklmnop");
	assert_null(strchr(out, '\x1b'));
	assert_true(strlen(out) < sizeof(out));
	safe_for_message(out, 8, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"); /* no half characters */
	assert_true(strlen(out) == 7 || strlen(out) == 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_host_paths),
		cmocka_unit_test(test_refusals_are_remembered),
		cmocka_unit_test(test_kinds_do_not_mix),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lost_and_cut_texts),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_adopt),
		cmocka_unit_test(test_many_looks),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_quarters),
		cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
