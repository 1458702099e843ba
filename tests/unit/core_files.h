/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_files.h - a folder for cores, a fake to be saved into one, and all that can be asked of it
 */
#ifndef STALLSCOPE_TESTS_CORE_FILES_H
#define STALLSCOPE_TESTS_CORE_FILES_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core_image.h"
#include "fake_source.h"
#include "source/corefile.h"
#include "source/pages.h"
#include "stallscope/arena.h"
#include "stallscope/log.h"

#define PAGE ((uint64_t)SOURCE_PAGE)
#define HERE UINT64_C(0x7f0000000000)

static char folder[64], path[128]; /* of this run, and a core in it */

static inline int make_folder(void **state)
{
	(void)state;
	log_set_level(LOG_QUIET); /* that a core is cut off is said */
	strcpy(folder, "/tmp/test_core.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/look.core", folder);
	return 0;
}

static inline int remove_folder(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder); /* fails when something is left over */
}

static inline void write_file(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static inline struct strbuf read_file(const char *name)
{
	struct strbuf sb = STRBUF_INIT;
	int fd = open(name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	while ((n = read(fd, strbuf_room(&sb, 65536), 65536)) > 0)
		strbuf_setlen(&sb, sb.len + (size_t)n);
	close(fd);
	return sb;
}

static inline struct source *open_core(void)
{
	struct source *src;
	struct error err;

	if (!source_open_core(path, &src, &err))
		fail_msg("%s", err.text);
	return src;
}

#define MAPS                                                                     \
	"00400000-00500000 r-xp 00002000 fe:00 12345      /usr/bin/python3.11\n" \
	"7f0000000000-7f0000004000 rw-p 00000000 00:00 0 \n"                     \
	"7f1000000000-7f1000001000 r--p 00001000 fe:00 99  /tmp/a b (deleted)\n"

static const struct source_file file = {.path = "/usr/bin/python3.11", .inode = 12345};
static struct fake *fake;

static inline struct source *open_fake(void)
{
	fake = fake_new(4242);
	fake_counting_segment(fake, HERE, 4);
	fake_segment(fake, HERE + 8 * PAGE, NULL, 2 * SOURCE_PAGE); /* zeros */
	fake_proc(fake, "maps", MAPS, strlen(MAPS));
	fake_proc(fake, "cmdline", "python3\0app.py\0", 15);
	fake_proc(fake, "stat", "4242 (a) b (c) S 1 1 1", 22);
	fake_proc(fake, "status", "Name:\tx\nPPid:\t7\nUid:\t5\t6\t6\t6\nGid:\t8\t9\t9\t9\n", 43);
	fake_proc(fake, "task/", "4242\n4300\n", 10);
	fake_proc(fake, "task/4242/syscall",
		  "232 0x3 0x7f0000 0x1 0x2 0x0 0x8 0x7ffe00001000 0x7f1234567890\n", 63);
	fake_proc(fake, "task/4300/syscall", "running\n", 8);
	fake_proc(fake, "auxv", "\3\0\0\0\0\0\0\0\100\0\100\0\0\0\0\0", 16);
	fake_proc(fake, "empty", "", 0);
	fake_failure(fake, ITEM_PROC, "net/tcp", ERR_PERMISSION);
	fake_proc(fake, "/proc/7/comm", "gdb\n", 4);
	fake_proc(fake, "@/proc/7/fd/3", "pipe:[5]", 8);
	fake_proc(fake, "/proc/7/fd/", "0\n3\n", 4);
	fake_failure(fake, ITEM_PROC, "/sys/fs/cgroup/a/cpu.stat", ERR_PERMISSION);
	fake_file(fake, &file, 0x100, "\0\1\2\3\4\5\6\7", 8);
	fake_line(fake, "/app.py", 7, "    await \xff\0", true);
	return fake_open(fake);
}

/* Asks all kinds of questions; tells the answers as one text. */
static inline void interview(struct source *src, struct strbuf *out)
{
	static const char *const paths[] = {
		"maps",	 "cmdline",	      "stat",	 "status",  "task/", "task/4242/syscall",
		"empty", "task/4300/syscall", "net/tcp", "missing",
	};
	static const char *const host[] = {
		"/proc/7/comm",	   "@/proc/7/fd/3", "/proc/7/fd/", "/sys/fs/cgroup/a/cpu.stat",
		"/proc/8/missing", "/etc/passwd",
	};
	static const uint64_t addrs[] = {0,
					 HERE,
					 HERE + PAGE - 4,
					 HERE + 3 * PAGE,
					 HERE + 4 * PAGE,
					 HERE + 4 * PAGE - 4,
					 HERE + 8 * PAGE,
					 HERE + 9 * PAGE,
					 HERE + 10 * PAGE,
					 UINT64_C(1) << 60};
	const struct strbuf *text;
	struct error err;
	char buf[16];
	bool newer;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		strbuf_addf(out, "\n%s: ", paths[i]);
		if (source_proc(src, paths[i], &text, &err))
			strbuf_add(out, text->data, text->len);
		else
			strbuf_addf(out, "%d %s", err.code, err.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(host); i++) {
		strbuf_addf(out, "\n%s: ", host[i]);
		if (source_host(src, host[i], &text, &err))
			strbuf_add(out, text->data, text->len);
		else
			strbuf_addf(out, "%d %s", err.code, err.text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		strbuf_addf(out, "\n%zu: ", i);
		if (source_read(src, addrs[i], buf, 8, &err))
			strbuf_add(out, buf, 8);
		else
			strbuf_addf(out, "%d %s", err.code, err.text);
	}
	for (uint64_t offset = 0x100; offset <= 0x101; offset++) {
		strbuf_addstr(out, "\nfile: ");
		if (source_file_read(src, &file, offset, buf, 8, &err))
			strbuf_add(out, buf, 8);
		else
			strbuf_addf(out, "%d %s", err.code, err.text);
	}
	for (uint32_t line = 7; line <= 8; line++) {
		strbuf_addf(out, "\nline %u: ", line);
		newer = false;
		if (!source_line(src, "/app.py", line, out, &newer, &err))
			strbuf_addf(out, "%d %s", err.code, err.text);
		strbuf_addf(out, " %d", newer);
	}
}

static inline void save(struct source *src)
{
	const struct source_note notes[] = {{"looks", "a\0b", 3}, {"", "", 0}};
	struct error err;

	if (!source_save(src, path, 111222333, 444555666, notes, 2, &err))
		fail_msg("%s", err.text);
}

static inline void assert_refused(const char *name, enum error_code code, const char *says)
{
	struct source *src = NULL;
	struct error err;

	assert_false(source_open_core(name, &src, &err));
	assert_null(src);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, says) && !strstr(err.hint, says))
		fail_msg("'%s' (%s) does not say '%s'", err.text, err.hint, says);
	assert_null(strchr(err.text, '\x1b'));
}

#endif
