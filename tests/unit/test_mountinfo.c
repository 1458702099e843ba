/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mountinfo.c - where cgroups are, on hosts and in containers of each kind
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/kernel.h"

static struct arena arena = ARENA_INIT;

static struct cgroup_mounts parsed(const char *text)
{
	struct cgroup_mounts m = {0};
	struct error err;

	if (!cgroup_mounts_parse(text, strlen(text), &arena, &m, &err))
		fail_msg("%s", err.text);
	return m;
}

static void assert_at(const struct cgroup_mounts *m, enum cgroup_hierarchy h, const char *path,
		      const char *dir, const char *top)
{
	struct cgroup_dir ret = {"untouched", 0};
	bool found = cgroup_find(m, h, path, &arena, &ret);

	if (!dir) {
		if (found)
			fail_msg("%s was found at %s", path, ret.path);
		assert_string_equal(ret.path, "untouched");
		return;
	}
	if (!found)
		fail_msg("%s was not found", path);
	assert_string_equal(ret.path, dir);
	assert_int_equal(ret.top, strlen(top));
}

#define OTHERS                                                                               \
	"22 27 0:21 / /proc rw,relatime - proc proc rw\n"                                    \
	"23 27 0:22 / /sys rw,nosuid shared:7 master:1 - sysfs sysfs rw\n"                   \
	"40 27 8:1 /home /mnt/a\\040-\\040cgroup rw - ext4 /dev/sda1 rw,errors=remount-ro\n" \
	"41 27 0:44 / /mnt/empty rw - tmpfs  rw\n"

#define V2_HOST "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

static void test_v2(void **state)
{
	struct cgroup_mounts m = parsed(OTHERS V2_HOST);

	(void)state;
	assert_int_equal(m.n, 1);
	assert_at(&m, CGROUP_V2, "/system.slice/a.service", "/sys/fs/cgroup/system.slice/a.service",
		  "/sys/fs/cgroup");
	assert_at(&m, CGROUP_V2, "/", "/sys/fs/cgroup", "/sys/fs/cgroup");
	assert_at(&m, CGROUP_V2, "/../other", NULL, NULL);
	assert_at(&m, CGROUP_V2, "/a/..", NULL, NULL);
	assert_at(&m, CGROUP_V2, "/a/../../etc", NULL, NULL);
	assert_at(&m, CGROUP_V2, "/..a/b..", "/sys/fs/cgroup/..a/b..", "/sys/fs/cgroup");
	assert_at(&m, CGROUP_V1_CPU, "/a", NULL, NULL);
	m = parsed(OTHERS);
	assert_int_equal(m.n, 0);
	assert_at(&m, CGROUP_V2, "/", NULL, NULL);
}

static void test_hybrid(void **state)
{
	struct cgroup_mounts m = parsed(
		OTHERS "31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
		       "32 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
		       "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		       "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
		       "35 31 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
		       "36 31 0:33 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n");

	(void)state;
	assert_int_equal(m.n, 3);
	assert_at(&m, CGROUP_V2, "/u", "/sys/fs/cgroup/unified/u", "/sys/fs/cgroup/unified");
	assert_at(&m, CGROUP_V1_CPU, "/u/v", "/sys/fs/cgroup/cpu,cpuacct/u/v",
		  "/sys/fs/cgroup/cpu,cpuacct");
	assert_at(&m, CGROUP_V1_FREEZER, "/u", "/sys/fs/cgroup/freezer/u",
		  "/sys/fs/cgroup/freezer");
}

/* Docker on v1 shows a container its own part only, but paths are those of the host. */
static void test_bound_part(void **state)
{
	struct cgroup_mounts m =
		parsed("35 31 0:32 /docker/0f3c /sys/fs/cgroup/freezer ro - cgroup "
		       "cgroup rw,freezer\n");

	(void)state;
	assert_at(&m, CGROUP_V1_FREEZER, "/docker/0f3c", "/sys/fs/cgroup/freezer",
		  "/sys/fs/cgroup/freezer");
	assert_at(&m, CGROUP_V1_FREEZER, "/docker/0f3c/sub", "/sys/fs/cgroup/freezer/sub",
		  "/sys/fs/cgroup/freezer");
	assert_at(&m, CGROUP_V1_FREEZER, "/docker/0f3c4", NULL, NULL);
	assert_at(&m, CGROUP_V1_FREEZER, "/docker", NULL, NULL);
	assert_at(&m, CGROUP_V1_FREEZER, "/", NULL, NULL);
}

/* We are in a cgroup namespace, and the host's file system is mounted all the same. */
static void test_namespace(void **state)
{
	struct cgroup_mounts m =
		parsed("30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");

	(void)state;
	assert_at(&m, CGROUP_V2, "/../../a", "/sys/fs/cgroup/a", "/sys/fs/cgroup");
	assert_at(&m, CGROUP_V2, "/../..", "/sys/fs/cgroup", "/sys/fs/cgroup");
	assert_at(&m, CGROUP_V2, "/../b", NULL, NULL); /* which one is ".."? */
	assert_at(&m, CGROUP_V2, "/", NULL, NULL);
	assert_at(&m, CGROUP_V2, "/x", NULL, NULL);
	assert_at(&m, CGROUP_V2, "/../../../a", NULL, NULL);
}

static void test_the_last_mount_counts(void **state)
{
	struct cgroup_mounts m =
		parsed(V2_HOST "50 23 0:26 /a /mnt/part\\040one rw - cgroup2 none rw\n");

	(void)state;
	assert_at(&m, CGROUP_V2, "/a/b", "/mnt/part one/b", "/mnt/part one");
	assert_at(&m, CGROUP_V2, "/b", "/sys/fs/cgroup/b", "/sys/fs/cgroup");
}

static void test_many_mounts(void **state)
{
	struct strbuf text = STRBUF_INIT;
	struct cgroup_mounts m;

	(void)state;
	for (unsigned i = 0; i < 3 * CGROUP_MOUNTS_MAX; i++)
		strbuf_addf(&text, "%u 23 0:26 / /c%u rw - cgroup2 cgroup2 rw\n", i, i);
	m = parsed(text.data);
	assert_int_equal(m.n, CGROUP_MOUNTS_MAX);
	strbuf_deinit(&text);
}

static void assert_bad(const char *text)
{
	struct cgroup_mounts m;
	struct error err;

	if (cgroup_mounts_parse(text, strlen(text), &arena, &m, &err))
		fail_msg("taken: %s", text);
	assert_int_equal(err.code, ERR_CORRUPT);
}

static void test_bad(void **state)
{
	(void)state;
	assert_bad("\n");
	assert_bad("30 23 0:26 / /sys/fs/cgroup rw\n");
	assert_bad("30 23 0:26 / /sys/fs/cgroup rw - \n");
	assert_bad("30 23 0:26 / /sys/fs/cgroup rw shared:1\n");
	assert_int_equal(parsed("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw").n, 0);
	assert_int_equal(parsed("30 23 0:26 net:[4] /sys/x rw - cgroup2 cgroup2 rw\n").n, 0);
}

static void look(const char *text, size_t len)
{
	struct arena own = ARENA_INIT;
	struct cgroup_mounts m;
	struct cgroup_dir dir;

	if (cgroup_mounts_parse(text, len, &own, &m, NULL))
		for (unsigned h = 0; h < CGROUP_HIERARCHIES; h++)
			if (cgroup_find(&m, (enum cgroup_hierarchy)h, "/a/b", &own, &dir))
				assert_true(dir.top <= strlen(dir.path));
	arena_deinit(&own);
}

static void test_cut_and_spoilt(void **state)
{
	static const char text[] = "33 31 0:30 /a /sys/\\040x\\ rw s:9 - cgroup c rw,cpu,freezer\n";

	(void)state;
	exact_cut_everywhere(text, sizeof(text) - 1, look);
	exact_spoil_everywhere(text, sizeof(text) - 1, look);
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_hybrid),
		cmocka_unit_test(test_bound_part),
		cmocka_unit_test(test_namespace),
		cmocka_unit_test(test_the_last_mount_counts),
		cmocka_unit_test(test_many_mounts),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut_and_spoilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
