/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_live_files.c - files as a live process sees them, some of which lie
 */
#include "live_child.h"

/* ---- files --------------------------------------------------------------------------------- */

/* The first mapping of a file in our own maps. */
static struct source_file mapping_of(const char *path)
{
	struct source_file file = {0};
	char line[4400];
	FILE *f = fopen("/proc/self/maps", "re");

	while (fgets(line, sizeof(line), f)) {
		char *name = strchr(line, '/');

		if (!name || strncmp(name, path, strlen(path)) != 0)
			continue;
		assert_int_equal(sscanf(line,
					"%" SCNx64 "-%" SCNx64 " %*s %*s %" SCNx32 ":%" SCNx32
					" %" SCNu64,
					&file.start, &file.end, &file.dev_major, &file.dev_minor,
					&file.inode),
				 5);
		break;
	}
	fclose(f);
	assert_true(file.start);
	file.path = path;
	return file;
}

static void test_mapped_files(void **state)
{
	struct source *src = open_live(getpid());
	char exe[4096] = "", buf[8];
	struct source_file file;
	struct error err;
	int fd;

	(void)state;
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	file = mapping_of(exe);
	for (int round = 0; round < 2; round++) {
		assert_true(source_file_read(src, &file, 0, buf, 4, &err));
		assert_memory_equal(buf,
				    "\x7f"
				    "ELF",
				    4);
		assert_false(source_file_read(src, &file, UINT64_C(1) << 40, buf, 4, &err));
		assert_int_equal(err.code, ERR_ABSENT);
		fd = source_file_open(src, &file, &err);
		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(pread(fd, buf, 4, 0), 4);
		close(fd);
		file.start++; /* there is no such line in maps: by its name, then */
		source_forget(src);
	}
	file.inode++;
	file.path = "/proc/self/exe"; /* not to be followed */
	assert_int_equal(source_file_open(src, &file, &err), -1);
	assert_int_equal(err.code, ERR_ABSENT);
	source_close(src);
}

/* The file at the path is not the one that is mapped any more. */
static void test_replaced_file(void **state)
{
	char path[] = "/tmp/test_live.XXXXXX", buf[8], *p;
	int fd = mkstemp(path);
	struct source_file file;
	struct source *src;

	(void)state;
	assert_int_equal(write(fd, "original", 8), 8);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	file = mapping_of(path);
	unlink(path);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_int_equal(write(fd, "replaced", 8), 8);
	close(fd);
	src = open_live(getpid());
	if (source_file_read(src, &file, 0, buf, 8, NULL)) /* by map_files, with rights */
		assert_memory_equal(buf, "original", 8);
	source_forget(src);
	file.deleted = true;
	if (source_file_read(src, &file, 0, buf, 8, NULL))
		assert_memory_equal(buf, "original", 8);
	source_close(src);
	unlink(path);
	munmap(p, PAGE);
}

/* More files than are kept open; no descriptor is lost. */
static void test_many_files(void **state)
{
	unsigned before = open_descriptors();
	struct source *src = open_live(getpid());
	char paths[10][32], *maps[10], buf[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd;

		strcpy(paths[i], "/tmp/test_live.XXXXXX");
		fd = mkstemp(paths[i]);
		assert_int_equal(write(fd, &"0123456789"[i], 1), 1);
		maps[i] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		close(fd);
	}
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
			struct source_file file = mapping_of(paths[i]);

			assert_true(source_file_read(src, &file, 0, buf, 1, NULL));
			assert_int_equal(buf[0], '0' + (int)i);
		}
		source_forget(src);
	}
	source_close(src);
	assert_int_equal(open_descriptors(), before);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		munmap(maps[i], PAGE);
		unlink(paths[i]);
	}
}

/* ---- lines --------------------------------------------------------------------------------- */

static char folder[32];

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test_live.XXXXXX");
	return mkdtemp(folder) ? chmod(folder, 0755) : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *out = path[next++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", folder, name);
	return out;
}

static void write_file(const char *path, const char *text, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void assert_line(struct source *src, const char *path, uint32_t line, const char *expected)
{
	struct strbuf out = STRBUF_INIT;
	bool newer = false;
	struct error err;

	if (!source_line(src, path, line, &out, &newer, &err)) {
		if (expected)
			fail_msg("%s", err.text);
		assert_int_equal(err.code, ERR_ABSENT);
		assert_int_equal(out.len, 0);
	} else {
		if (!expected)
			fail_msg("%s: '%s'", path, out.data);
		assert_string_equal(out.data, expected);
	}
	strbuf_deinit(&out);
}

static void test_lines(void **state)
{
	struct source *src = open_live(getpid());
	const char *path = in_folder("a.py");

	(void)state;
	write_file(path, "one\n\n  three\r\nlast", 18, 0644);
	assert_line(src, path, 1, "one");
	assert_line(src, path, 2, "");
	assert_line(src, path, 3, "  three");
	assert_line(src, path, 4, "last");
	assert_line(src, path, 5, NULL);
	assert_line(src, path, 0, NULL);
	assert_line(src, path, UINT32_MAX, NULL);
	write_file(path, "", 0, 0644);
	source_forget(src);
	assert_line(src, path, 1, NULL);
	unlink(path);
	assert_line(src, path, 2, NULL);
	assert_line(src, "", 1, NULL);
	assert_line(src, "<frozen os>", 1, NULL);
	assert_line(src, "<string>", 1, NULL);
	assert_line(src, folder, 1, NULL);
	assert_line(src, "/dev/zero", 1, NULL);
	assert_line(src, "/proc/self/root/etc/passwd", 1, NULL); /* through a magic link */
	source_close(src);
}

/* Lines that lie across the pieces in which a file is read. */
static void test_long_files(void **state)
{
	const char *path = in_folder("long.py");
	struct strbuf text = STRBUF_INIT, out = STRBUF_INIT;
	struct source *src = open_live(getpid());
	bool newer;

	(void)state;
	for (int i = 1; i <= 9000; i++)
		strbuf_addf(&text, "line %d%*s\n", i, i % 17, "");
	strbuf_pad(&text, 'x', 100000);
	write_file(path, text.data, text.len, 0644);
	for (uint32_t i = 1; i <= 9000; i += 13) {
		char expected[64];

		snprintf(expected, sizeof(expected), "line %u%*s", i, (int)(i % 17), "");
		assert_line(src, path, i, expected);
	}
	assert_true(source_line(src, path, 9001, &out, &newer, NULL));
	assert_int_equal(out.len, SOURCE_MAX_LINE);
	assert_line(src, path, 9002, NULL);
	unlink(path);
	strbuf_deinit(&text);
	strbuf_deinit(&out);
	source_close(src);
}

static void test_fifo(void **state)
{
	struct source *src = open_live(getpid());
	const char *path = in_folder("fifo.py");

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	alarm(10); /* a reader without O_NONBLOCK would hang */
	assert_line(src, path, 1, NULL);
	alarm(0);
	unlink(path);
	source_close(src);
}

static void open_for_writing(const char *path)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(open(path, O_WRONLY | O_CLOEXEC) < 0);
}

/* Whoever waits for a reader of a FIFO still waits after we looked: it was never opened. */
static void test_fifo_is_not_disturbed(void **state)
{
	struct source *src = open_live(getpid());
	const struct timespec while_ = {0, 50000000};
	const char *path = in_folder("fifo.py");
	struct source_file file = {.start = 1, .end = 2, .path = path};
	pid_t pid;

	(void)state;
	assert_int_equal(mkfifo(path, 0644), 0);
	pid = fork();
	if (pid == 0)
		open_for_writing(path);
	nanosleep(&while_, NULL);
	assert_line(src, path, 1, NULL);
	assert_int_equal(source_file_open(src, &file, NULL), -1);
	nanosleep(&while_, NULL);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	stop(pid);
	unlink(path);
	source_close(src);
}

static void test_newer(void **state)
{
	static const struct {
		int seconds;
		bool newer;
	} rows[] = {{-100, false}, {0, false}, {100, true}};
	struct source *src = open_live(getpid());
	const char *path = in_folder("new.py");
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct strbuf out = STRBUF_INIT;
		struct timespec times[2] = {now, now};
		bool newer;

		write_file(path, "text", 4, 0644);
		/* this program has only just begun */
		times[1].tv_sec += rows[i].seconds - (rows[i].seconds == 0);
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		source_forget(src);
		assert_true(source_line(src, path, 1, &out, &newer, NULL));
		assert_int_equal(newer, rows[i].newer);
		strbuf_deinit(&out);
	}
	unlink(path);
	source_close(src);
}

static void enter_folder(void)
{
	if (chdir(folder))
		_exit(1);
}

static void test_relative_paths(void **state)
{
	struct source *src;
	pid_t pid;

	(void)state;
	write_file(in_folder("app.py"), "relative", 8, 0644);
	pid = start(enter_folder);
	src = open_live(pid);
	assert_line(src, "app.py", 1, "relative");
	assert_line(src, "./app.py", 1, "relative");
	assert_line(src, "../../etc/passwd", 1, NULL); /* not out of its working directory */
	source_close(src);
	stop(pid);
	unlink(in_folder("app.py"));
}

static void enter_root(void)
{
	if (chroot(folder) || chdir("/"))
		_exit(1);
}

/* A container that lies about its files: links lead to its own, not to ours. */
static void test_links_out_of_the_root(void **state)
{
	char passwd[512] = "";
	struct source *src;
	pid_t pid;
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	fd = open("/etc/passwd", O_RDONLY);
	assert_true(read(fd, passwd, sizeof(passwd) - 1) > 0);
	close(fd);
	assert_int_equal(mkdir(in_folder("etc"), 0755), 0);
	assert_int_equal(mkdir(in_folder("proc"), 0755), 0);
	write_file(in_folder("etc/hostname"), "inside", 6, 0644);
	assert_int_equal(symlink("/etc/hostname", in_folder("absolute.py")), 0);
	assert_int_equal(symlink("/etc/passwd", in_folder("passwd.py")), 0);
	assert_int_equal(symlink("../../../../../etc/passwd", in_folder("up.py")), 0);
	assert_int_equal(symlink("/proc/self/root/etc/passwd", in_folder("magic.py")), 0);
	pid = start(enter_root);
	src = open_live(pid);
	assert_line(src, "/absolute.py", 1, "inside");
	assert_line(src, "/passwd.py", 1, NULL);
	assert_line(src, "/up.py", 1, NULL);
	assert_line(src, "/magic.py", 1, NULL);
	assert_line(src, "/../../etc/hostname", 1, "inside");
	source_close(src);
	stop(pid);
	unlink(in_folder("etc/hostname"));
	unlink(in_folder("absolute.py"));
	unlink(in_folder("passwd.py"));
	unlink(in_folder("up.py"));
	unlink(in_folder("magic.py"));
	rmdir(in_folder("etc"));
	rmdir(in_folder("proc"));
}

/* A target of another user must not have root read to it what it may not read itself. */
static void test_files_of_others(void **state)
{
	struct source *src;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(in_folder("open.py"), "open", 4, 0644);
	write_file(in_folder("secret.py"), "secret", 6, 0600);
	write_file(in_folder("group.py"), "secret", 6, 0640);
	assert_int_equal(mkdir(in_folder("closed"), 0700), 0);
	write_file(in_folder("closed/a.py"), "secret", 6, 0644);
	pid = start(become_nobody);
	src = open_live(pid);
	assert_line(src, in_folder("open.py"), 1, "open");
	assert_line(src, in_folder("secret.py"), 1, NULL);
	assert_line(src, in_folder("group.py"), 1, NULL);
	assert_line(src, in_folder("closed/a.py"), 1, NULL);
	assert_int_equal(geteuid(), 0);
	source_forget(src);
	assert_int_equal(chown(in_folder("secret.py"), 65534, 0), 0);
	assert_line(src, in_folder("secret.py"), 1, "secret");
	source_close(src);
	stop(pid);
	src = open_live(getpid());
	assert_line(src, in_folder("closed/a.py"), 1, "secret"); /* our own rights are back */
	source_close(src);
	unlink(in_folder("open.py"));
	unlink(in_folder("secret.py"));
	unlink(in_folder("group.py"));
	unlink(in_folder("closed/a.py"));
	rmdir(in_folder("closed"));
}

/* ---- what names lead to ---------------------------------------------------------------------- */

static void assert_stat(struct source *src, const char *path, int64_t size, bool content)
{
	struct source_stat st;

	if (!source_stat(src, path, true, &st, NULL)) {
		if (size >= 0)
			fail_msg("%s is not there", path);
		return;
	}
	assert_int_equal(st.size, size);
	assert_int_equal(st.have_content, content);
	if (content && size == 1)
		assert_true(st.content == UINT64_C(0xaf63dc4c8601ec8c)); /* FNV-1a of "a" */
}

static void test_stat(void **state)
{
	struct source *src = open_live(getpid());
	const char *path = in_folder("stat.py");
	struct timespec times[2] = {{1700000000, 0}, {1700000000, 123000000}};
	struct source_stat st;

	(void)state;
	write_file(path, "a", 1, 0644);
	assert_stat(src, path, 1, true);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_true(source_stat(src, path, false, &st, NULL)); /* another question */
	assert_true(st.modified_ns == INT64_C(1700000000123000000));
	assert_int_equal(st.newer, 0);
	assert_false(st.have_content);
	assert_int_equal(truncate(path, SOURCE_MAX_CONTENT + 1), 0);
	assert_stat(src, path, 1, true); /* as it was in this look */
	source_forget(src);
	assert_stat(src, path, SOURCE_MAX_CONTENT + 1, false);
	assert_true(source_stat(src, path, false, &st, NULL));
	assert_int_equal(st.newer, 0); /* this program has only just begun */
	times[1].tv_sec = time(NULL) + 100;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	source_forget(src);
	assert_true(source_stat(src, path, false, &st, NULL));
	assert_int_equal(st.newer, 1);
	unlink(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	source_forget(src);
	assert_stat(src, path, -1, false);
	assert_stat(src, folder, -1, false);
	assert_stat(src, "<string>", -1, false);
	assert_stat(src, "", -1, false);
	unlink(path);
	source_close(src);
}

static void test_stat_of_mapped(void **state)
{
	struct source *src = open_live(getpid());
	char exe[4096] = "";
	struct source_file file;
	struct source_stat st;
	struct stat real;

	(void)state;
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_int_equal(stat(exe, &real), 0);
	file = mapping_of(exe);
	assert_true(source_mapped_stat(src, &file, &st, NULL));
	assert_int_equal(st.size, real.st_size);
	assert_int_equal(st.modified_ns / 1000000000, real.st_mtim.tv_sec);
	file.deleted = true;
	assert_false(source_mapped_stat(src, &file, &st, NULL));
	file.deleted = false;
	file.inode++; /* its name leads to another file */
	assert_false(source_mapped_stat(src, &file, &st, NULL));
	file.path = "not/absolute";
	assert_false(source_mapped_stat(src, &file, &st, NULL));
	source_close(src);
}

/* What the target may not see is not there; what it may see and not read has no content. */
static void test_stat_of_others(void **state)
{
	struct source *src;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(in_folder("open.py"), "a", 1, 0644);
	write_file(in_folder("secret.py"), "a", 1, 0600);
	assert_int_equal(mkdir(in_folder("closed"), 0700), 0);
	write_file(in_folder("closed/a.py"), "a", 1, 0644);
	pid = start(become_nobody);
	src = open_live(pid);
	assert_stat(src, in_folder("open.py"), 1, true);
	assert_stat(src, in_folder("secret.py"), 1, false);
	assert_stat(src, in_folder("closed/a.py"), -1, false);
	assert_int_equal(geteuid(), 0);
	source_close(src);
	stop(pid);
	unlink(in_folder("open.py"));
	unlink(in_folder("secret.py"));
	unlink(in_folder("closed/a.py"));
	rmdir(in_folder("closed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapped_files),
		cmocka_unit_test(test_replaced_file),
		cmocka_unit_test(test_many_files),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_files),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_fifo_is_not_disturbed),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_relative_paths),
		cmocka_unit_test(test_links_out_of_the_root),
		cmocka_unit_test(test_files_of_others),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stat_of_mapped),
		cmocka_unit_test(test_stat_of_others),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
