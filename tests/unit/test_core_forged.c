/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_core_forged.c - files that are no cores, or not what they say
 */
#include "core_files.h"

/* ---- no cores ------------------------------------------------------------------------------ */

static void test_no_cores(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *says;
	} rows[] = {
		{"", 0, "empty"},
		{"\x7f"
		 "ELF",
		 4, "too short"},
		{"(\xb5/\xfd", 64, "zstd -d"},
		{"\x04\"M\x18", 64, "lz4 -d"},
		{"\xfd"
		 "7zXZ",
		 64, "xz -d"},
		{"\x1f\x8b\x08", 64, "gzip -d"},
		{"#!/bin/sh", 64, "no ELF header"},
	};
	char name[256], bytes[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, rows[i].bytes, strlen(rows[i].bytes));
		write_file(path, bytes, rows[i].len);
		assert_refused(path, ERR_BAD_FILE, rows[i].says);
	}
	snprintf(name, sizeof(name), "%s/no\x1bne", folder);
	assert_refused(name, ERR_NO_FILE, "No such file");
	assert_refused(folder, ERR_BAD_FILE, "not a regular file");
	assert_refused("/dev/zero", ERR_BAD_FILE, "not a regular file");
	snprintf(name, sizeof(name), "%s/fifo", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_refused(name, ERR_BAD_FILE, "not a regular file");
	unlink(name);
	assert_refused("/proc/self/exe", ERR_BAD_FILE, "not a core");
}

static void test_headers(void **state)
{
	struct image im;

	(void)state;
	image_init(&im, EM_X86_64);
	image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
	im.header.e_ident[EI_CLASS] = ELFCLASS32;
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "64-bit");
	im.header.e_ident[EI_CLASS] = ELFCLASS64;
	im.header.e_ident[EI_DATA] = ELFDATA2MSB;
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "little-endian");
	im.header.e_ident[EI_DATA] = ELFDATA2LSB;
	im.header.e_machine = EM_RISCV;
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "neither");
	im.header.e_machine = EM_AARCH64;
	im.header.e_phentsize = 32;
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "program headers");
	im.header.e_phentsize = sizeof(Elf64_Phdr);
	im.header.e_phoff = UINT64_MAX - 8;
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "cut off");
	im.header.e_phoff = sizeof(Elf64_Ehdr);
	image_write(&im, path);
	source_close(open_core());
	image_deinit(&im);
}

static void test_counts(void **state)
{
	static const uint16_t counts[] = {0, 100, 0xfffe, PN_XNUM};
	struct image im;

	(void)state;
	image_init(&im, EM_X86_64);
	image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		im.header.e_shoff = UINT64_MAX - 63;
		image_write_count(&im, path, counts[i]);
		assert_refused(path, ERR_BAD_FILE,
			       counts[i] == 0 || counts[i] == PN_XNUM ? "program headers"
								      : "cut off");
	}
	image_deinit(&im);
}

static void test_bad_segments(void **state)
{
	struct image im;

	(void)state;
	image_init(&im, EM_X86_64);
	image_load(&im, 0x1000, NULL, 0, 3 * PAGE, PF_R);
	image_load(&im, 0x3000, NULL, 0, PAGE, PF_R);
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "overlap");
	image_deinit(&im);
	image_init(&im, EM_X86_64);
	image_load(&im, UINT64_MAX - PAGE, NULL, 0, 2 * PAGE, PF_R);
	image_write(&im, path);
	assert_refused(path, ERR_BAD_FILE, "64 bits");
	image_deinit(&im);
}

/* ---- forged -------------------------------------------------------------------------------- */

/* A small recording, as bytes. */
static struct strbuf small_recording(void)
{
	struct strbuf answers = STRBUF_INIT;
	struct source *src = open_fake();

	interview(src, &answers);
	strbuf_deinit(&answers);
	save(src);
	source_close(src);
	return read_file(path);
}

/* Whatever it is: it is refused, or it answers something. */
static bool try_core(void)
{
	struct strbuf answers = STRBUF_INIT;
	struct source *src;
	struct error err;

	if (!source_open_core(path, &src, &err)) {
		assert_int_equal(err.code, ERR_BAD_FILE);
		assert_true(err.text[0]);
		return false;
	}
	interview(src, &answers);
	source_note(src, "looks");
	source_file_open(src, &file, NULL);
	source_close(src);
	strbuf_deinit(&answers);
	return true;
}

static void test_cut_recordings(void **state)
{
	struct strbuf whole = small_recording();

	(void)state;
	for (size_t len = 0; len < whole.len; len += len < 6000 ? 1 : 97) {
		write_file(path, whole.data, len);
		assert_false(try_core());
	}
	write_file(path, whole.data, whole.len);
	assert_true(try_core());
	strbuf_deinit(&whole);
}

static void test_spoiled_recordings(void **state)
{
	static const unsigned char bytes[] = {0, 1, 0x7f, 0x80, 0xff};
	struct strbuf whole = small_recording();
	size_t end = whole.len < 6000 ? whole.len : 6000; /* behind it is only memory */

	(void)state;
	for (size_t at = 0; at < end; at++)
		for (size_t i = 0; i < sizeof(bytes); i++) {
			char old = whole.data[at];
			int fd;

			if (at % sizeof(bytes) != i && at > 1500)
				continue;
			whole.data[at] = (char)bytes[i];
			fd = open(path, O_WRONLY);
			assert_int_equal(pwrite(fd, whole.data, whole.len, 0), whole.len);
			close(fd);
			try_core();
			whole.data[at] = old;
		}
	strbuf_deinit(&whole);
}

static void open_note(const char *name, uint32_t type, const void *desc, size_t len, bool good)
{
	struct image im;

	image_init(&im, EM_X86_64);
	image_note_add(&im, name, type, desc, len);
	image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
	image_write(&im, path);
	image_deinit(&im);
	if (good)
		source_close(open_core());
	else
		assert_refused(path, ERR_BAD_FILE, "damaged");
}

static void test_bad_notes(void **state)
{
	static const uint64_t count[] = {UINT64_MAX / 24, PAGE, 0, 0, 0};
	static const uint64_t page_size[] = {1, UINT64_MAX, 0, 1, 0, 0};
	static const uint64_t no_name[] = {1, PAGE, 0, 1, 0};
	static const uint64_t not_ended[] = {1, PAGE, 0, 1, 0, UINT64_C(0x2f2f2f2f2f2f2f2f)};
	static const uint64_t inverted[] = {1, PAGE, 5, 1, 0, 0x2f};
	static const uint64_t far_off[] = {1, PAGE, 0, 1, UINT64_MAX, 0x2f};
	struct {
		struct core_item head;
		char key[4];
	} item = {{ITEM_PROC, ERR_OK, 0, 3}, "abc"};

	(void)state;
	open_note("CORE", NT_FILE, count, sizeof(count), false);
	open_note("CORE", NT_FILE, page_size, sizeof(page_size), false);
	open_note("CORE", NT_FILE, no_name, sizeof(no_name), false);
	open_note("CORE", NT_FILE, not_ended, sizeof(not_ended), false);
	open_note("CORE", NT_FILE, inverted, sizeof(inverted), true);
	open_note("CORE", NT_FILE, far_off, sizeof(far_off), true);
	open_note("CORE", NT_FILE, "", 0, false);
	open_note("CORE", NT_PRSTATUS, "short", 5, true);
	open_note("CORE", NT_PRPSINFO, "short", 5, true);
	open_note("CORE", NT_AUXV, "odd", 3, true);
	open_note("LINUX", NT_ARM_SYSTEM_CALL, "abcd", 4, true);
	open_note("OTHER", NT_FILE, "x", 1, true);
	open_note("", NT_FILE, "x", 1, true);
	open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item), true);
	open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item) - 1, false);
	open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, 3, false);
	for (uint32_t len = 0; len < 8; len++) {
		item.head.key_len = len;
		open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item), len == 3);
	}
	item.head.key_len = UINT32_MAX;
	open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item), false);
	item.head = (struct core_item){77, 77, 77, 3}; /* of a kind and an error not known here */
	open_note(CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item), true);
	open_note(CORE_NOTE_NAME, CORE_NOTE_USER, "no end", 6, false);
	open_note(CORE_NOTE_NAME, CORE_NOTE_USER, "", 0, false);
	open_note(CORE_NOTE_NAME, CORE_NOTE_USER, "", 1, true);
	open_note(CORE_NOTE_NAME, CORE_NOTE_META, "", 0, true);
	open_note(CORE_NOTE_NAME, CORE_NOTE_META, "pid x\nformat\n", 13, true);
	open_note(CORE_NOTE_NAME, 99, "x", 1, true);
}

static void test_newer_format(void **state)
{
	struct image im;

	(void)state;
	image_init(&im, EM_X86_64);
	image_note_add(&im, CORE_NOTE_NAME, CORE_NOTE_META, "format 2\n", 9);
	image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
	image_write(&im, path);
	image_deinit(&im);
	assert_refused(path, ERR_BAD_FILE, "newer");
}

/* The last note claims more than there is, in name or in text. */
static void test_note_sizes(void **state)
{
	static const uint32_t sizes[] = {0, 1, 4, 100, 0x7fffffff, UINT32_MAX - 2, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			struct image im;

			image_init(&im, EM_X86_64);
			image_raw_note(&im, sizes[i], sizes[j], "CORE\0\0\0\0some text", 17);
			image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
			image_write(&im, path);
			image_deinit(&im);
			assert_true(try_core());
		}
}

/* What an error of a recording says is text of a stranger. */
static void test_texts_are_made_safe(void **state)
{
	struct {
		struct core_item head;
		char rest[24];
	} item = {{ITEM_PROC, ERR_GONE, 0, 1}, "x\0\x1b[31m\nforged"};
	const struct strbuf *text;
	struct source *src;
	struct error err;
	struct image im;

	(void)state;
	image_init(&im, EM_X86_64);
	image_note_add(&im, CORE_NOTE_NAME, CORE_NOTE_META, "format 1\n", 9);
	image_note_add(&im, CORE_NOTE_NAME, CORE_NOTE_ITEM, &item, sizeof(item));
	image_load(&im, 0x1000, NULL, 0, PAGE, PF_R);
	image_write(&im, path);
	image_deinit(&im);
	src = open_core();
	assert_false(source_proc(src, "x", &text, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_string_equal(err.text, "\\x1b[31m\\nforged");
	source_close(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_cores),       cmocka_unit_test(test_headers),
		cmocka_unit_test(test_counts),	       cmocka_unit_test(test_bad_segments),
		cmocka_unit_test(test_cut_recordings), cmocka_unit_test(test_spoiled_recordings),
		cmocka_unit_test(test_bad_notes),      cmocka_unit_test(test_newer_format),
		cmocka_unit_test(test_note_sizes),     cmocka_unit_test(test_texts_are_made_safe),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
