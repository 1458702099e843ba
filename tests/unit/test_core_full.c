/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_core_full.c - cores of the kernel and of gdb, and the files they leave out
 */
#include <sys/wait.h>
#include <time.h>

#include "core_files.h"

/* ---- cores of the kernel and of gdb --------------------------------------------------------- */

static void assert_text(struct source *src, const char *name, const char *expected)
{
	const struct strbuf *text;
	struct error err;

	if (!source_proc(src, name, &text, &err))
		fail_msg("%s: %s", name, err.text);
	assert_string_equal(text->data, expected);
}

static void test_full_core(void **state)
{
	char page[SOURCE_PAGE];
	const struct strbuf *text;
	struct source *src;
	struct image im;
	struct stat st;
	uint64_t word;

	(void)state;
	memset(page, 'x', sizeof(page));
	image_init(&im, EM_X86_64);
	image_psinfo(&im, 17, 3, 1000, "py\nthon", "python3 app.py --x ");
	image_thread(&im, 17, 232, 0x7ffe0000, 0x401234);
	image_thread(&im, 18, -1, 0x7ffd0000, 0x405678);
	image_auxv(&im, AT_PHDR, 0x400040);
	image_map(&im, 0x400000, 0x402000, 0, "/nowhere/python");
	image_map(&im, 0x402000, 0x403000, 2, "/nowhere/python");
	image_map(&im, 0x7f0000000000, 0x7f0000001000, 0, "/nowhere/a\nb (deleted)");
	image_load(&im, 0x400000, page, PAGE, 0x2000, PF_R | PF_X);
	image_load(&im, 0x403000, page, PAGE, PAGE, PF_R | PF_W);
	image_write(&im, path);
	image_deinit(&im);
	src = open_core();
	assert_int_equal(source_pid(src), 17);
	assert_int_equal(source_clock(src), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(source_wall_clock(src) / 1000000000, st.st_mtime);
	assert_text(src, "maps",
		    "400000-402000 r-xp 00000000 00:00 1 /nowhere/python\n"
		    "402000-403000 r--p 00002000 00:00 1 /nowhere/python\n"
		    "403000-404000 rw-p 00000000 00:00 0 \n"
		    "7f0000000000-7f0000001000 r--p 00000000 00:00 2 /nowhere/a\\012b (deleted)\n");
	assert_text(src, "task/", "17\n18\n");
	assert_text(src, "@exe", "/nowhere/python");
	assert_text(src, "task/17/syscall", "232 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe0000 0x401234\n");
	assert_text(src, "task/18/syscall", "running\n");
	assert_true(source_proc(src, "cmdline", &text, NULL));
	assert_int_equal(text->len, 19);
	assert_memory_equal(text->data, "python3\0app.py\0--x\0", 19);
	assert_true(source_proc(src, "task/18/stat", &text, NULL));
	assert_memory_equal(text->data, "18 (py\nthon) R 3 ", 17);
	assert_true(source_proc(src, "status", &text, NULL));
	assert_memory_equal(text->data, "Name:\tpy\\nthon\nState:\tS\nTgid:\t17\nPid:\t17\n", 41);
	assert_non_null(strstr(text->data, "\nUid:\t1000\t1000\t1000\t1000\n"));
	assert_false(source_proc(src, "task/19/stat", &text, NULL));
	assert_false(source_proc(src, "task/17/other", &text, NULL));
	assert_false(source_proc(src, "environ", &text, NULL));
	assert_false(source_host(src, "/proc/self/stat", &text, NULL));
	assert_true(source_read(src, 0x400000, &word, 8, NULL));
	assert_memory_equal(&word, "xxxxxxxx", 8);
	assert_false(source_read(src, 0x401000, &word, 8, NULL)); /* in a file that is not here */
	assert_null(source_note(src, "looks"));
	source_close(src);
}

/* aarch64 keeps the number of the system call in a note of its own. */
static void test_full_core_of_arm(void **state)
{
	struct source *src;
	struct image im;

	(void)state;
	image_init(&im, EM_AARCH64);
	image_psinfo(&im, 17, 1, 0, "python3", "python3");
	image_thread(&im, 17, 22, 0x7ffe0000, 0x401234);
	image_load(&im, 0x403000, NULL, 0, PAGE, PF_R | PF_W);
	image_write(&im, path);
	image_deinit(&im);
	src = open_core();
	assert_text(src, "task/17/syscall", "22 0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe0000 0x401234\n");
	source_close(src);
}

/* A core with the first page of a file in it, and the rest on disk. */
static struct source *open_with_file(const char *name, const char *header, bool keep_header)
{
	struct image im;

	image_init(&im, EM_X86_64);
	image_psinfo(&im, 17, 1, 0, "python3", "python3");
	image_map(&im, 0x400000, 0x403000, 0, name);
	image_load(&im, 0x400000, header, keep_header ? PAGE : 0, 0x3000, PF_R | PF_X);
	image_write(&im, path);
	image_deinit(&im);
	return open_core();
}

static void test_memory_from_files(void **state)
{
	struct source_file mapped = {0x400000, 0x403000, 1, 0, 0, NULL, false};
	char name[256], pages[3 * SOURCE_PAGE], buf[8];
	struct source *src;
	struct error err;
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "%s/lib.so", folder);
	mapped.path = name;
	for (size_t i = 0; i < sizeof(pages); i++)
		pages[i] = (char)(i / SOURCE_PAGE + 'a');
	write_file(name, pages, 2 * SOURCE_PAGE + 5);

	src = open_with_file(name, pages, true); /* the same file */
	assert_true(source_read(src, 0x401ffc, buf, 8, NULL));
	assert_memory_equal(buf, "bbbbcccc", 8);
	assert_true(source_read(src, 0x402000, buf, 8, NULL));
	assert_memory_equal(buf, "ccccc\0\0\0", 8); /* the last page of a file ends in zeros */
	assert_true(source_file_read(src, &mapped, 0x1000, buf, 8, NULL));
	assert_memory_equal(buf, "bbbbbbbb", 8);
	assert_false(source_file_read(src, &mapped, 0x2000, buf, 8, NULL));
	assert_false(source_file_read(src, &mapped, UINT64_MAX, buf, 8, NULL));
	fd = source_file_open(src, &mapped, &err);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	source_close(src);

	pages[100] = 'z'; /* another build at the same place */
	src = open_with_file(name, pages, true);
	assert_true(source_read(src, 0x400000, buf, 8, NULL));
	assert_false(source_read(src, 0x401000, buf, 8, NULL));
	assert_false(source_file_read(src, &mapped, 0x1000, buf, 8, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_int_equal(source_file_open(src, &mapped, NULL), -1);
	source_close(src);

	src = open_with_file(name, pages, false); /* no header to compare: its size must do */
	assert_true(source_read(src, 0x401000, buf, 8, NULL));
	source_close(src);
	write_file(name, pages, SOURCE_PAGE);
	src = open_with_file(name, pages, false);
	assert_false(source_read(src, 0x400000, buf, 8, NULL));
	source_close(src);

	unlink(name);
}

/* Whoever waits for a reader of a FIFO that a core names still waits after we looked. */
static void test_fifo_is_not_disturbed(void **state)
{
	const struct timespec while_ = {0, 50000000};
	char name[256], byte;
	struct source *src;
	pid_t pid;

	(void)state;
	snprintf(name, sizeof(name), "%s/fifo", folder);
	assert_int_equal(mkfifo(name, 0600), 0);
	pid = fork();
	if (pid == 0)
		_exit(open(name, O_WRONLY) < 0);
	nanosleep(&while_, NULL);
	src = open_with_file(name, NULL, false);
	assert_false(source_read(src, 0x401000, &byte, 1, NULL));
	source_close(src);
	nanosleep(&while_, NULL);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	unlink(name);
}

/* A kernel's core that was cut: what is there can be read, what is not faults. */
static void test_cut_full_core(void **state)
{
	char pages[2 * SOURCE_PAGE], buf[8];
	struct source *src;
	struct image im;

	(void)state;
	memset(pages, 'p', sizeof(pages));
	image_init(&im, EM_X86_64);
	image_psinfo(&im, 17, 1, 0, "python3", "python3");
	image_load(&im, 0x1000, pages, 2 * PAGE, 2 * PAGE, PF_R);
	image_write(&im, path);
	image_deinit(&im);
	assert_int_equal(truncate(path, (off_t)(2 * PAGE)), 0);
	src = open_core();
	assert_true(source_read(src, 0x1000, buf, 8, NULL));
	assert_false(source_read(src, 0x2000, buf, 8, NULL));
	source_prefetch(src, (uint64_t[]){0x1000, 0x2000}, 2, 8);
	source_close(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_core),
		cmocka_unit_test(test_full_core_of_arm),
		cmocka_unit_test(test_memory_from_files),
		cmocka_unit_test(test_fifo_is_not_disturbed),
		cmocka_unit_test(test_cut_full_core),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
