/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_modules.c - which mappings are libraries, which codes are files, and answers that are forged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_source.h"
#include "stallscope/snapshot.h"

static const char maps_text[] =
	"00400000-00401000 r--p 00000000 08:02 7      /usr/bin/python3\n"
	"00401000-00402000 r-xp 00001000 08:02 7      /usr/bin/python3\n"
	"7f0000000000-7f0000001000 r--p 00000000 08:02 9      /usr/lib/libb.so.1\n"
	"7f0000001000-7f0000002000 r-xp 00001000 08:02 9      /usr/lib/libb.so.1\n"
	"7f0000002000-7f0000003000 r-xp 00002000 08:02 9      /usr/lib/libb.so.1\n"
	"7f0000003000-7f0000004000 r-xp 00000000 08:02 8      /usr/lib/liba.so (deleted)\n"
	"7f0000004000-7f0000005000 r--p 00000000 08:02 10     /usr/lib/locale/data\n"
	"7f0000005000-7f0000006000 r-xp 00000000 00:01 11     /memfd:jit (deleted)\n"
	"7f0000006000-7f0000007000 rwxp 00000000 00:00 0      \n"
	"7f0000007000-7f0000008000 r-xp 00000000 00:00 0      [vdso]\n";

struct made {
	struct fake *fake;
	struct source *src;
	struct process process;
	struct python py;
	struct snapshot s;
};

static void make(struct made *m)
{
	static struct snap_code codes[] = {
		{.file = "/usr/lib/python3.11/x.py"}, {.file = "/srv/b.py", .own = true},
		{.file = "<string>", .own = true},    {.file = "/srv/a.py", .own = true},
		{.file = "/srv/b.py", .own = true},   {.file = ""}};

	memset(m, 0, sizeof(*m));
	m->fake = fake_new(1);
	m->src = fake_open(m->fake);
	m->s.codes = codes;
	m->s.n_codes = ARRAY_SIZE(codes);
	m->s.process = &m->process;
	m->py.rd = READER(m->src);
}

static void take(struct made *m, const char *maps)
{
	assert_true(maps_parse(maps, strlen(maps), &m->process.arena, &m->process.maps, NULL));
	snapshot_modules(&m->s, &m->py);
}

static void done(struct made *m)
{
	arena_deinit(&m->process.arena);
	arena_deinit(&m->s.arena);
	source_close(m->src);
}

static void libraries(void **state)
{
	static const char *const paths[] = {"/usr/bin/python3", "/usr/lib/liba.so",
					    "/usr/lib/libb.so.1"};
	struct made m;

	(void)state;
	make(&m);
	fake_proc(m.fake, "%9 8 2 /usr/lib/libb.so.1", "5 7 99 -1", 9);
	take(&m, maps_text);
	assert_int_equal(m.s.modules.n_libraries, ARRAY_SIZE(paths));
	assert_int_equal(m.s.modules.libraries_total, ARRAY_SIZE(paths));
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct snap_library *l = &m.s.modules.libraries[i];

		assert_string_equal(l->path, paths[i]);
		assert_null(l->build_id); /* there is no memory */
		assert_int_equal(l->deleted, i == 1);
		assert_int_equal(l->have_stat, i == 2);
	}
	assert_true(m.s.modules.libraries[2].stat.modified_ns == 5000000007);
	assert_int_equal(m.s.modules.libraries[2].stat.size, 99);
	assert_false(m.s.modules.have_imports);
	done(&m);
}

/* NT_FILE does not say what is code. */
static void libraries_without_rights(void **state)
{
	struct made m;

	(void)state;
	make(&m);
	take(&m, "7f0000000000-7f0000001000 ---p 00000000 00:00 0      /usr/lib/libb.so.1\n"
		 "7f0000001000-7f0000002000 ---p 00001000 00:00 0      /usr/lib/libb.so.1\n"
		 "7f0000004000-7f0000005000 ---p 00000000 00:00 0      /usr/lib/locale/data\n");
	assert_int_equal(m.s.modules.n_libraries, 1);
	assert_string_equal(m.s.modules.libraries[0].path, "/usr/lib/libb.so.1");
	done(&m);
}

static void many_libraries(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct made m;

	(void)state;
	make(&m);
	for (unsigned i = 0; i < SNAP_MAX_LIBRARIES + 5; i++)
		strbuf_addf(&text, "%x000-%x800 r-xp 00000000 08:02 %u      /usr/lib/lib%u.so\n",
			    i + 1, i + 1, i + 1, i);
	take(&m, text.data);
	assert_int_equal(m.s.modules.n_libraries, SNAP_MAX_LIBRARIES);
	assert_int_equal(m.s.modules.libraries_total, SNAP_MAX_LIBRARIES + 5);
	strbuf_deinit(&text);
	done(&m);
}

static void files(void **state)
{
	static const char *const paths[] = {"/srv/a.py", "/srv/b.py", "/usr/lib/python3.11/x.py"};
	struct made m;

	(void)state;
	make(&m);
	fake_proc(m.fake, "+/srv/a.py", "5 0 3 1 ff", 10);
	fake_proc(m.fake, "=/usr/lib/python3.11/x.py", "5 0 3 0", 7);
	take(&m, maps_text);
	assert_int_equal(m.s.modules.n_files, ARRAY_SIZE(paths));
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct snap_file *f = &m.s.modules.files[i];

		assert_string_equal(f->path, paths[i]);
		assert_int_equal(f->own, i < 2);
		assert_int_equal(f->have_stat, i != 1);
		assert_int_equal(f->stat.have_content, i == 0);
		assert_int_equal(f->stat.newer, i == 0 ? 1 : 0);
	}
	assert_int_equal(m.s.modules.files[0].stat.content, 0xff);
	done(&m);
}

static void forged_answers(void **state)
{
	static const char *const texts[] = {"",
					    "x",
					    "1 2 3",
					    "-1 0 3 0",
					    "1 -1 3 0",
					    "1 1000000000 3 0",
					    "9223372036854775807 0 3 0",
					    "1 0 18446744073709551615 0",
					    "1 0 3 2",
					    "1 0 3 -2"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct source_stat st;
		struct error err;
		struct made m;

		make(&m);
		fake_proc(m.fake, "=/a.py", texts[i], strlen(texts[i]));
		if (source_stat(m.src, "/a.py", false, &st, &err))
			fail_msg("'%s' was taken", texts[i]);
		assert_int_equal(err.code, ERR_CORRUPT);
		done(&m);
	}
}

static void digests(void **state)
{
	struct snap_library library = {.path = "a", .build_id = "1"};
	struct snap_import imports[] = {{"a", NULL}, {"b", "1"}};
	struct snapshot s = {.modules = {.libraries = &library,
					 .imports = imports,
					 .n_libraries = 1,
					 .n_imports = 2}};
	uint64_t was = snapshot_modules_digest(&s), is;

	(void)state;
	assert_true(snapshot_modules_digest(&s) == was);
	library.deleted = true;
	is = snapshot_modules_digest(&s);
	assert_true(is != was);
	imports[1].version = "2";
	was = snapshot_modules_digest(&s);
	assert_true(is != was);
	s.modules.n_imports = 1;
	assert_true(snapshot_modules_digest(&s) != was);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libraries),	  cmocka_unit_test(libraries_without_rights),
		cmocka_unit_test(many_libraries), cmocka_unit_test(files),
		cmocka_unit_test(forged_answers), cmocka_unit_test(digests)};

	return cmocka_run_group_tests_name("modules", tests, NULL, NULL);
}
