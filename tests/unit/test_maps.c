/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/cleanup.h"
#include "stallscope/strbuf.h"
#include "stallscope/target.h"

static const char ordinary[] =
	"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon\n"
	"00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/dbus-daemon\n"
	"00652000-00655000 rw-p 00052000 08:02 173521      /usr/bin/dbus-daemon\n"
	"00e03000-00e24000 rw-p 00000000 00:00 0           [heap]\n"
	"35b1800000-35b1820000 rw-s 00001000 fe:1a 18446744073709551615 /dev/shm/a b\n"
	"7f1a99225000-7f1a99245000 ---p 00000000 00:00 0 \n"
	"7ffef5ecd000-7ffef5eee000 rw-p 00000000 00:00 0\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static bool parse(const char *text, struct arena *arena, struct maps *ret, struct error *err)
{
	char *copy = exact_copy(text, strlen(text));
	bool ok = maps_parse(copy, strlen(text), arena, ret, err);

	free(copy);
	return ok;
}

static void test_ordinary(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	assert_true(parse(ordinary, &arena, &maps, NULL));
	assert_int_equal(maps.n, 8);
	assert_false(maps.truncated);
	assert_int_equal(maps.v[0].file.start, 0x400000);
	assert_int_equal(maps.v[0].file.end, 0x452000);
	assert_int_equal(maps.v[0].perms, MAP_R | MAP_X);
	assert_string_equal(maps.v[0].file.path, "/usr/bin/dbus-daemon");
	assert_ptr_equal(maps.v[1].file.path, maps.v[0].file.path);
	assert_int_equal(maps.v[1].offset, 0x51000);
	assert_int_equal(maps.v[2].perms, MAP_R | MAP_W);
	assert_int_equal(maps.v[2].file.inode, 173521);
	assert_int_equal(maps.v[2].file.dev_major, 8);
	assert_int_equal(maps.v[2].file.dev_minor, 2);
	assert_string_equal(maps.v[3].file.path, "[heap]");
	assert_int_equal(maps.v[4].perms, MAP_R | MAP_W | MAP_SHARED_BIT);
	assert_true(maps.v[4].file.inode == UINT64_MAX);
	assert_int_equal(maps.v[4].file.dev_major, 0xfe);
	assert_int_equal(maps.v[4].file.dev_minor, 0x1a);
	assert_string_equal(maps.v[4].file.path, "/dev/shm/a b");
	assert_int_equal(maps.v[5].perms, 0);
	assert_string_equal(maps.v[5].file.path, "");
	assert_string_equal(maps.v[6].file.path, "");
	assert_true(maps.v[7].file.end == 0xffffffffff601000);
	arena_deinit(&arena);
}

static void test_paths(void **state)
{
	static const struct {
		const char *written, *path;
		bool deleted;
	} rows[] = {
		{"/tmp/a (deleted)", "/tmp/a", true},
		{"/tmp/a (deleted) (deleted)", "/tmp/a (deleted)", true},
		{"/tmp/a (deleted)x", "/tmp/a (deleted)x", false},
		{"/tmp/new\\012line", "/tmp/new\\012line", false},
		{"/tmp/\x1b[31m\xff\xfe", "/tmp/\x1b[31m\xff\xfe", false},
		{"/memfd:jit (deleted)", "/memfd:jit", true},
		{"(deleted)", "(deleted)", false},
		{"/trailing  ", "/trailing  ", false},
		{"[anon:name of its own]", "[anon:name of its own]", false},
		{"/x\r", "/x\r", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct maps maps;
		char text[256];

		snprintf(text, sizeof(text), "1000-2000 r--p 00000000 08:02 7  %s\n",
			 rows[i].written);
		assert_true(parse(text, &arena, &maps, NULL));
		assert_string_equal(maps.v[0].file.path, rows[i].path);
		assert_int_equal(maps.v[0].file.deleted, rows[i].deleted);
		arena_deinit(&arena);
	}
}

/* A path that begins with the one before must not be taken for it, nor the other way round. */
static void test_path_sharing(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	assert_true(parse("1000-2000 r--p 00000000 08:02 7 /lib/a\n"
			  "2000-3000 r--p 00000000 08:02 7 /lib/ab\n"
			  "3000-4000 r--p 00000000 08:02 7 /lib/a\n"
			  "4000-5000 r--p 00000000 08:02 7 /lib/a (deleted)\n"
			  "5000-6000 r--p 00000000 00:00 0\n",
			  &arena, &maps, NULL));
	assert_string_equal(maps.v[0].file.path, "/lib/a");
	assert_string_equal(maps.v[1].file.path, "/lib/ab");
	assert_string_equal(maps.v[2].file.path, "/lib/a");
	assert_ptr_equal(maps.v[3].file.path, maps.v[2].file.path);
	assert_true(maps.v[3].file.deleted);
	assert_false(maps.v[2].file.deleted);
	assert_string_equal(maps.v[4].file.path, "");
	arena_deinit(&arena);
}

static void test_end_of_text(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	assert_true(maps_parse("", 0, &arena, &maps, NULL));
	assert_int_equal(maps.n, 0);
	assert_false(maps.truncated);
	assert_null(maps_find(&maps, 0));

	assert_true(parse("1000-2000 r--p 00000000 08:02 7 /a", &arena, &maps, NULL));
	assert_int_equal(maps.n, 1);
	assert_string_equal(maps.v[0].file.path, "/a");

	assert_true(parse("1000-2000 r--p 00000000 08:02 7 /a\n2000-30", &arena, &maps, NULL));
	assert_int_equal(maps.n, 1);
	assert_true(maps.truncated);
	arena_deinit(&arena);
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"\n",
		" 1000-2000 r--p 00000000 08:02 7\n",
		"g000-2000 r--p 00000000 08:02 7\n",
		"1000-2zz0 r--p 00000000 08:02 7\n",
		"1000-20000000000000000 r--p 00000000 08:02 7\n",
		"-2000 r--p 00000000 08:02 7\n",
		"2000-2000 r--p 00000000 08:02 7\n",
		"2000-1000 r--p 00000000 08:02 7\n",
		"1000+2000 r--p 00000000 08:02 7\n",
		"0x1000-0x2000 r--p 00000000 08:02 7\n",
		"ABC0-BBC0 r--p 00000000 08:02 7\n",
		"1000-2000 r-p 00000000 08:02 7\n",
		"1000-2000 rwxq 00000000 08:02 7\n",
		"1000-2000 w--p 00000000 08:02 7\n",
		"1000-2000 r--p 00000000 08:02\n",
		"1000-2000 r--p 00000000 0802 7\n",
		"1000-2000 r--p 00000000 100000000:02 7\n",
		"1000-2000 r--p 00000000 08:02 18446744073709551616\n",
		"1000-2000 r--p 00000000 08:02 7x\n",
		"1000-2000 r--p 00000000 08:02 -7\n",
		"1000-2000\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct maps maps = {NULL, 77, true};
		struct error err = {0};
		cleanup_strbuf struct strbuf text = STRBUF_INIT;

		strbuf_addf(&text, "0100-0200 r--p 00000000 00:00 0\n%s", rows[i]);
		assert_false(parse(text.data, &arena, &maps, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_non_null(strstr(err.text, "2"));
		assert_int_equal(maps.n, 77);
		arena_deinit(&arena);
	}
}

static void test_nul_in_path(void **state)
{
	static const char text[] = "1000-2000 r--p 00000000 08:02 7 /a\0b\n";
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	assert_false(maps_parse(text, sizeof(text) - 1, &arena, &maps, NULL));
	arena_deinit(&arena);
}

static void test_huge_path(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	for (size_t len = 16384; len <= 16385; len++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;

		strbuf_addstr(&text, "1000-2000 r--p 00000000 08:02 7 /");
		strbuf_pad(&text, 'a', len - 1);
		strbuf_addch(&text, '\n');
		assert_int_equal(parse(text.data, &arena, &maps, NULL), len == 16384);
	}
	assert_int_equal(strlen(maps.v[0].file.path), 16384);
	arena_deinit(&arena);
}

/* Sorted, no address twice, and what a line covered is still covered. */
static void test_unsorted_and_overlapping(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;
	const struct mapping *m;

	(void)state;
	assert_true(parse("5000-7000 r--p 00000000 08:02 7 /b\n"
			  "1000-3000 r--p 00000000 08:02 7 /a\n"
			  "2000-4000 rw-p 00010000 08:02 8 /c\n"
			  "1000-3000 r--p 00000000 08:02 7 /a\n"
			  "5000-6000 r--p 00000000 08:02 9 /d\n"
			  "9000-a000 r--p 00000000 08:02 9 /e\n",
			  &arena, &maps, NULL));
	for (size_t i = 1; i < maps.n; i++)
		assert_true(maps.v[i].file.start >= maps.v[i - 1].file.end);
	m = maps_find(&maps, 0x2fff);
	assert_string_equal(m->file.path, "/a");
	m = maps_find(&maps, 0x3000);
	assert_string_equal(m->file.path, "/c");
	assert_int_equal(m->file.start, 0x3000);
	assert_int_equal(m->offset, 0x11000);
	assert_null(maps_find(&maps, 0x4000));
	assert_string_equal(maps_find(&maps, 0x5000)->file.path, "/d");
	assert_string_equal(maps_find(&maps, 0x6000)->file.path, "/b");
	assert_string_equal(maps_find(&maps, 0x9fff)->file.path, "/e");
	assert_null(maps_find(&maps, 0xa000));
	arena_deinit(&arena);
}

static void test_find(void **state)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;

	(void)state;
	assert_true(parse(ordinary, &arena, &maps, NULL));
	for (size_t i = 0; i < maps.n; i++) {
		const struct source_file *f = &maps.v[i].file;
		bool next = i + 1 < maps.n && maps.v[i + 1].file.start == f->end;
		bool before = i > 0 && maps.v[i - 1].file.end == f->start;

		assert_ptr_equal(maps_find(&maps, f->start), &maps.v[i]);
		assert_ptr_equal(maps_find(&maps, f->end - 1), &maps.v[i]);
		assert_ptr_equal(maps_find(&maps, f->end), next ? &maps.v[i + 1] : NULL);
		assert_ptr_equal(maps_find(&maps, f->start - 1), before ? &maps.v[i - 1] : NULL);
	}
	assert_null(maps_find(&maps, 0));
	assert_null(maps_find(&maps, UINT64_MAX));
	arena_deinit(&arena);
}

static void many_lines(struct strbuf *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strbuf_addf(text, "%zx-%zx rw-p 00000000 00:00 0 \n", 0x100000 + i * 0x2000,
			    0x101000 + i * 0x2000);
}

static void test_many(void **state)
{
	static const size_t counts[] = {65530, 70000, MAPS_MAX, MAPS_MAX + 1, 200000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		cleanup_strbuf struct strbuf text = STRBUF_INIT;
		struct arena arena = ARENA_INIT;
		size_t expected = counts[i] > MAPS_MAX ? MAPS_MAX : counts[i];
		struct maps maps;

		many_lines(&text, counts[i]);
		assert_true(maps_parse(text.data, text.len, &arena, &maps, NULL));
		assert_int_equal(maps.n, expected);
		assert_int_equal(maps.truncated, counts[i] > MAPS_MAX);
		assert_ptr_equal(maps_find(&maps, 0x100000 + (expected - 1) * 0x2000),
				 &maps.v[expected - 1]);
		arena_deinit(&arena);
	}
}

static void parse_any(const char *text, size_t len)
{
	struct arena arena = ARENA_INIT;
	struct maps maps;
	uint64_t covered = 0;

	if (maps_parse(text, len, &arena, &maps, NULL)) {
		for (size_t i = 0; i < maps.n; i++) {
			assert_true(maps.v[i].file.start >= covered);
			assert_true(maps.v[i].file.end > maps.v[i].file.start);
			covered = maps.v[i].file.end;
		}
	}
	arena_deinit(&arena);
}

static void test_cut_and_spoilt(void **state)
{
	(void)state;
	exact_cut_everywhere(ordinary, sizeof(ordinary) - 1, parse_any);
	exact_spoil_everywhere(ordinary, sizeof(ordinary) - 1, parse_any);
}

/* Our own map, against a slow and obvious reading of it. */
static void test_own(void **state)
{
	cleanup_file FILE *f = fopen("/proc/self/maps", "re");
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct arena arena = ARENA_INIT;
	struct maps maps;
	char line[8192];
	size_t i = 0;

	(void)state;
	while (fgets(line, sizeof(line), f))
		strbuf_addstr(&text, line);
	assert_true(maps_parse(text.data, text.len, &arena, &maps, NULL));
	for (char *p = text.data; *p; p = strchr(p, '\n') + 1, i++) {
		uint64_t start, end, offset, inode;
		char perms[5], path[4096] = "";

		assert_true(sscanf(p,
				   "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*x:%*x %" SCNu64
				   "%*[ ]%4095[^\n]",
				   &start, &end, perms, &offset, &inode, path) >= 5);
		assert_true(i < maps.n);
		assert_int_equal(maps.v[i].file.start, start);
		assert_int_equal(maps.v[i].file.end, end);
		assert_int_equal(maps.v[i].offset, offset);
		assert_int_equal(maps.v[i].file.inode, inode);
		assert_int_equal(!!(maps.v[i].perms & MAP_X), perms[2] == 'x');
		assert_string_equal(maps.v[i].file.path, path);
	}
	assert_int_equal(i, maps.n);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_path_sharing),
		cmocka_unit_test(test_end_of_text),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nul_in_path),
		cmocka_unit_test(test_huge_path),
		cmocka_unit_test(test_unsorted_and_overlapping),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_cut_and_spoilt),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
