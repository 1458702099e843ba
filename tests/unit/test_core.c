/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_core.c - what is saved is what is read back
 */
#include "core_files.h"

/* ---- round trip ---------------------------------------------------------------------------- */

static void test_round_trip(void **state)
{
	struct strbuf live = STRBUF_INIT, recorded = STRBUF_INIT;
	struct source *src = open_fake(), *core;
	const struct strbuf *note;
	struct stat st;

	(void)state;
	interview(src, &live);
	save(src);
	source_close(src);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);

	core = open_core();
	interview(core, &recorded);
	assert_int_equal(recorded.len, live.len);
	assert_memory_equal(recorded.data, live.data, live.len);
	assert_int_equal(source_clock(core), 111222333);
	assert_int_equal(source_wall_clock(core), 444555666);
	assert_int_equal(source_pid(core), 4242);
	assert_true(source_is_recorded(core));
	assert_true(source_alive(core));
	note = source_note(core, "looks");
	assert_int_equal(note->len, 3);
	assert_memory_equal(note->data, "a\0b\0", 4);
	assert_int_equal(source_note(core, "")->len, 0);
	assert_null(source_note(core, "other"));

	/* a recording of the recording */
	strbuf_reset(&recorded);
	save(core);
	source_close(core);
	core = open_core();
	interview(core, &recorded);
	assert_memory_equal(recorded.data, live.data, live.len);
	source_close(core);
	strbuf_deinit(&live);
	strbuf_deinit(&recorded);
}

/* Memory that was fetched along but never looked at is not saved, nor what was never asked. */
static void test_only_what_was_asked(void **state)
{
	struct source *src = open_fake();
	const struct strbuf *text;
	struct error err;
	uint64_t word;

	(void)state;
	source_prefetch(src, (uint64_t[]){HERE, HERE + PAGE}, 2, 8);
	assert_true(source_read(src, HERE + QUARTER, &word, 8, NULL));
	save(src);
	source_close(src);
	src = open_core();
	assert_true(source_read(src, HERE + QUARTER, &word, 8, NULL));
	assert_int_equal(word, HERE + QUARTER);
	assert_true(source_read(src, HERE + 2 * QUARTER - 8, &word, 8, NULL));
	assert_false(source_read(src, HERE + 2 * QUARTER - 4, &word, 8, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_false(source_read(src, HERE, &word, 8, NULL));
	source_prefetch(src, (uint64_t[]){HERE + PAGE, HERE}, 2, 8);
	assert_true(source_read(src, HERE + QUARTER, &word, 8, NULL));
	assert_false(source_read(src, HERE + PAGE, &word, 8, NULL));
	assert_false(source_proc(src, "stat", &text, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_non_null(strstr(err.text, "look.core"));
	assert_false(source_host(src, "/proc/self/stat", &text, &err)); /* which is here, now */
	assert_int_equal(err.code, ERR_ABSENT);
	assert_non_null(strstr(err.text, "look.core"));
	source_close(src);
}

/* Names of anonymous memory are the target's, and may look like paths. */
static void test_mapped_files(void **state)
{
	static const char maps[] =
		"400000-401000 r-xp 00002000 fe:00 12      /bin/a b (deleted)\n"
		"500000-501000 rw-p 00000000 00:00 0       [anon: x /etc/passwd]\n"
		"600000-601000 rw-p 00000000 00:00 0 \n"
		"torn\n"
		"700000-701000 r--p 00000000 fe:00 13      /bin/c";
	static const uint64_t note[] = {2, SOURCE_PAGE, 0x400000, 0x401000,
					2, 0x700000,	0x701000, 0};
	static const char names[] = "/bin/a b (deleted)\0/bin/c";
	char wanted[sizeof(note) + sizeof(names)];
	const struct strbuf *text;
	struct strbuf saved;
	struct source *src;

	(void)state;
	fake = fake_new(1);
	fake_proc(fake, "maps", maps, strlen(maps));
	src = fake_open(fake);
	assert_true(source_proc(src, "maps", &text, NULL));
	save(src);
	source_close(src);
	memcpy(wanted, note, sizeof(note));
	memcpy(wanted + sizeof(note), names, sizeof(names));
	saved = read_file(path);
	assert_non_null(memmem(saved.data, saved.len, wanted, sizeof(wanted)));
	strbuf_deinit(&saved);
}

static void test_pinned_is_saved(void **state)
{
	struct source *src = open_fake();
	const struct strbuf *text;
	uint64_t word;

	(void)state;
	assert_true(source_proc(src, "maps", &text, NULL));
	assert_true(source_read(src, HERE, &word, 8, NULL));
	source_pin(src);
	assert_true(source_proc(src, "stat", &text, NULL));
	source_forget(src);
	assert_true(source_proc(src, "cmdline", &text, NULL));
	assert_true(source_read(src, HERE + 2 * QUARTER, &word, 8, NULL));
	save(src);
	source_close(src);
	src = open_core();
	assert_true(source_proc(src, "maps", &text, NULL));
	assert_true(source_proc(src, "cmdline", &text, NULL));
	assert_false(source_proc(src, "stat", &text, NULL));
	assert_true(source_read(src, HERE, &word, 8, NULL));
	assert_true(source_read(src, HERE + 2 * QUARTER, &word, 8, NULL));
	assert_false(source_read(src, HERE + QUARTER, &word, 8, NULL));
	source_close(src);
}

/* What had moved when it was recorded has moved at each replay; what then held holds. */
static void test_moved_is_saved(void **state)
{
	struct source *src = open_fake();
	uint64_t words[2] = {0};

	(void)state;
	for (uint64_t i = 0; i < 2; i++)
		assert_true(source_read(src, HERE + 8 * i, &words[i], 8, NULL));
	memset(fake->segments[0].data, 0x55, 16);
	assert_false(source_unchanged(src, HERE, 8));
	assert_false(source_unchanged(src, HERE + 8, 8));
	source_reread(src, HERE + 8, 8);
	assert_true(source_unchanged(src, HERE + 8, 8));
	save(src);
	source_close(src);
	src = open_core();
	assert_false(source_unchanged(src, HERE, 8));
	assert_false(source_unchanged(src, HERE, 8));
	assert_true(source_unchanged(src, HERE + 8, 8));
	assert_true(source_unchanged(src, HERE / 16, 8)); /* a part of its number */
	source_close(src);
}

/* A program that asks a little differently is still answered out of the same piece. */
static void test_pieces_of_files(void **state)
{
	struct source_file other = {.path = "/usr/bin/python3"}, old = file;
	struct source *src = open_fake();
	char buf[16];

	(void)state;
	assert_true(source_file_read(src, &file, 0x100, buf, 8, NULL));
	save(src);
	source_close(src);
	src = open_core();
	old.deleted = true;
	for (size_t from = 0; from <= 8; from++)
		for (size_t len = 1; from + len <= 8; len++) {
			assert_true(source_file_read(src, &file, 0x100 + from, buf, len, NULL));
			assert_memory_equal(buf, &"\0\1\2\3\4\5\6\7"[from], len);
		}
	assert_false(source_file_read(src, &file, 0xff, buf, 2, NULL));
	assert_false(source_file_read(src, &file, 0x107, buf, 2, NULL));
	assert_false(source_file_read(src, &file, UINT64_MAX, buf, 2, NULL));
	assert_false(source_file_read(src, &other, 0x100, buf, 8, NULL));
	assert_false(source_file_read(src, &old, 0x100, buf, 8, NULL));
	source_close(src);
}

static ssize_t read_zeros(void *self, uint64_t addr, void *buf, size_t len)
{
	(void)self;
	(void)addr;
	memset(buf, 0, len);
	return (ssize_t)len;
}

/* More segments than the ELF header can count. */
static void test_many_segments(void **state)
{
	struct source *src = open_fake();
	const uint64_t pages = 33000; /* of each two quarters that do not touch */
	char byte;

	(void)state;
	fake->ops.read = read_zeros;
	for (uint64_t i = 0; i < pages; i++) {
		assert_true(source_read(src, i * PAGE, &byte, 1, NULL));
		assert_true(source_read(src, i * PAGE + 2 * QUARTER, &byte, 1, NULL));
	}
	save(src);
	source_close(src);
	src = open_core();
	for (uint64_t i = 0; i < pages; i += 100) {
		byte = 1;
		assert_true(source_read(src, i * PAGE, &byte, 1, NULL));
		assert_int_equal(byte, 0);
		assert_true(source_read(src, i * PAGE + 2 * QUARTER, &byte, 1, NULL));
		assert_false(source_read(src, i * PAGE + QUARTER, &byte, 1, NULL));
	}
	source_close(src);
}

/* What other tools find in it. */
static void test_notes_of_the_kernel(void **state)
{
	struct strbuf whole, live = STRBUF_INIT;
	struct source *src = open_fake();
	struct core_prpsinfo info;
	uint64_t files[8];
	const Elf64_Nhdr *note;

	(void)state;
	interview(src, &live);
	save(src);
	source_close(src);
	whole = read_file(path);
	note = image_note(whole.data, whole.len, "CORE", NT_PRPSINFO, 0);
	image_desc(note, &info, sizeof(info));
	assert_int_equal(note->n_descsz, sizeof(info));
	assert_int_equal(info.pid, 4242);
	assert_int_equal(info.ppid, 7);
	assert_int_equal(info.uid, 5);
	assert_int_equal(info.sname, 'S');
	assert_string_equal(info.fname, "a) b (c");
	assert_string_equal(info.psargs, "python3 app.py ");
	for (unsigned i = 0; i < 2; i++) {
		struct {
			struct core_prstatus head;
			uint64_t reg[CORE_REGS_AARCH64];
		} status;
		const uint64_t *reg = status.reg;

		note = image_note(whole.data, whole.len, "CORE", NT_PRSTATUS, i);
		image_desc(note, &status, sizeof(status));
		assert_int_equal(status.head.pid, i ? 4300 : 4242);
#if defined(__x86_64__)
		assert_int_equal(note->n_descsz, 336);
		assert_int_equal(reg[X86_RSP], i ? 0 : 0x7ffe00001000);
		assert_int_equal(reg[X86_RIP], i ? 0 : 0x7f1234567890);
#else
		assert_int_equal(reg[ARM_SP], i ? 0 : 0x7ffe00001000);
#endif
	}
	assert_int_equal(image_note(whole.data, whole.len, "CORE", NT_AUXV, 0)->n_descsz, 16);
	image_desc(image_note(whole.data, whole.len, "CORE", NT_FILE, 0), files, sizeof(files));
	assert_memory_equal(files,
			    ((const uint64_t[]){2, PAGE, 0x400000, 0x500000, 2, 0x7f1000000000,
						0x7f1000001000, 1}),
			    sizeof(files));
	strbuf_deinit(&whole);
	strbuf_deinit(&live);
}

/* ---- saving fails -------------------------------------------------------------------------- */

static void assert_not_saved(const char *name, enum error_code code, const char *says)
{
	struct source *src = open_fake();
	struct error err;
	uint64_t word;

	source_read(src, HERE, &word, 8, NULL);
	assert_false(source_save(src, name, 0, 0, NULL, 0, &err));
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.text, says));
	assert_null(strchr(err.text, '\x1b'));
	source_close(src);
}

static void test_cannot_create(void **state)
{
	char name[256], to[256];
	struct strbuf old;

	(void)state;
	snprintf(name, sizeof(name), "%s/no\x1b/such", folder);
	assert_not_saved(name, ERR_CANNOT_CREATE, "No such file");
	assert_not_saved(folder, ERR_CANNOT_CREATE, "not a regular file");
	assert_not_saved("/dev/null", ERR_CANNOT_CREATE, "not a regular file");
	snprintf(name, sizeof(name), "%s/link", folder);
	snprintf(to, sizeof(to), "%s/victim", folder);
	write_file(to, "precious", 8);
	assert_int_equal(symlink(to, name), 0);
	assert_not_saved(name, ERR_CANNOT_CREATE, "not a regular file");
	old = read_file(to);
	assert_string_equal(old.data, "precious");
	strbuf_deinit(&old);
	unlink(name);
	unlink(to);
}

/* As when the disk is full: what was there stays, and nothing half-written is left. */
static void test_cannot_write(void **state)
{
	struct rlimit before, small;
	struct strbuf old;

	(void)state;
	write_file(path, "old", 3);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (rlim_t limit = 0; limit < 5000; limit += 777) {
		small = (struct rlimit){limit, before.rlim_max};
		signal(SIGXFSZ, SIG_IGN);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		assert_not_saved(path, ERR_CANNOT_WRITE, "File too large");
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	}
	old = read_file(path);
	assert_string_equal(old.data, "old");
	strbuf_deinit(&old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_only_what_was_asked),
		cmocka_unit_test(test_mapped_files),   cmocka_unit_test(test_pinned_is_saved),
		cmocka_unit_test(test_moved_is_saved), cmocka_unit_test(test_pieces_of_files),
		cmocka_unit_test(test_many_segments),  cmocka_unit_test(test_notes_of_the_kernel),
		cmocka_unit_test(test_cannot_create),  cmocka_unit_test(test_cannot_write),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
