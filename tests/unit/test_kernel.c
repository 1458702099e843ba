/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_kernel.c - what the kernel does to a process, on hosts and in containers of our making
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_source.h"
#include "snapshot/builder.h"
#include "stallscope/arena.h"

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
#define V1_MOUNTS                                                                     \
	"32 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"               \
	"33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" \
	"35 31 0:32 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
#define PRESSURE(some, full)                                      \
	"some avg10=" some " avg60=0.00 avg300=0.00 total=1000\n" \
	"full avg10=" full " avg60=0.00 avg300=0.00 total=2000\n"
#define STATUS(rest) \
	"State:\tS (sleeping)\nTgid:\t40\nPid:\t40\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n" rest "\n"
#define LIMITS(soft) "Max open files            " soft "   1048576       files     \n"

static struct fake *fake;
static struct source *src;
static struct snapshot *snap;

static void tell(const char *path, const char *text)
{
	fake_proc(fake, path, text, strlen(text));
}

static void begin_in(const char *namespace, const char *mounts, const char *cgroup)
{
	fake = fake_new(40);
	src = fake_open(fake);
	fake->clock = 1000000;
	tell("/proc/self/mountinfo", mounts);
	if (namespace)
		tell("@/proc/self/ns/cgroup", namespace);
	tell("cgroup", cgroup);
}

static void begin(const char *mounts, const char *cgroup)
{
	begin_in("cgroup:[4026531835]", mounts, cgroup);
}

/* As snapshot_take() does it. */
static const struct snap_limits *look(void)
{
	struct python py = {.rd = READER(src)};
	struct builder b = {.py = &py, .s = mem_zalloc(1, sizeof(*b.s))};

	snap = b.s;
	build_kernel(&b);
	return &snap->limits;
}

static void end(void)
{
	snapshot_destroy(snap);
	source_close(src);
}

/* ---- frozen ---------------------------------------------------------------------------------- */

static void assert_frozen(const char *how)
{
	const struct snap_limits *l = look();

	assert_true(l->have_frozen && l->frozen);
	assert_string_equal(l->frozen_how, how);
	end();
}

static void assert_not_frozen(bool known)
{
	const struct snap_limits *l = look();

	assert_false(l->frozen);
	assert_int_equal(l->have_frozen, known);
	assert_null(l->frozen_how);
	end();
}

static void test_v2_frozen(void **state)
{
	(void)state;
	begin(V2_MOUNT, "0::/a/b/c\n");
	tell("/sys/fs/cgroup/a/b/c/cgroup.events", "populated 1\nfrozen 1\n");
	tell("/sys/fs/cgroup/a/b/c/cgroup.freeze", "0\n");
	tell("/sys/fs/cgroup/a/b/cgroup.freeze", "0\n");
	tell("/sys/fs/cgroup/a/cgroup.freeze", "1\n");
	assert_frozen("cgroup.events frozen 1 of /a");

	begin(V2_MOUNT, "0::/a\x1b[31m/b\n"); /* what froze it is not seen; the name is hostile */
	tell("/sys/fs/cgroup/a\x1b[31m/b/cgroup.events", "populated 1\nfrozen 1\n");
	assert_frozen("cgroup.events frozen 1 of /a\\x1b[31m/b");

	begin(V2_MOUNT, "0::/a/b/c\n");
	tell("/sys/fs/cgroup/a/b/c/cgroup.events", "populated 1\nfrozen 0\n");
	assert_not_frozen(true);

	begin(V2_MOUNT, "0::/\n"); /* a container's own root */
	tell("/sys/fs/cgroup/cgroup.events", "populated 1\nfrozen 1\n");
	assert_frozen("cgroup.events frozen 1 of /");
}

static void test_v1_frozen(void **state)
{
	(void)state;
	begin(V1_MOUNTS, "6:freezer:/d/e\n1:cpu,cpuacct:/\n0::/\n");
	tell("/sys/fs/cgroup/freezer/d/e/freezer.state", "FROZEN\n");
	tell("/sys/fs/cgroup/freezer/d/e/freezer.self_freezing", "0\n");
	tell("/sys/fs/cgroup/freezer/d/freezer.self_freezing", "1\n");
	assert_frozen("freezer.state FROZEN of /d");

	begin(V1_MOUNTS, "6:freezer:/d\n0::/\n");
	tell("/sys/fs/cgroup/freezer/d/freezer.state", "FREEZING\n");
	tell("/sys/fs/cgroup/freezer/d/freezer.self_freezing", "1\n");
	assert_frozen("freezer.state FREEZING of /d");

	begin(V1_MOUNTS, "6:freezer:/d\n0::/\n");
	tell("/sys/fs/cgroup/freezer/d/freezer.state", "THAWED\n");
	assert_not_frozen(true);

	begin(V1_MOUNTS, "6:freezer:/\n0::/\n"); /* roots have no such files */
	assert_not_frozen(true);
}

static void test_frozen_unknown(void **state)
{
	(void)state;
	begin("", "6:freezer:/d\n");
	assert_not_frozen(false);
	begin("", "0::/a\n");
	assert_not_frozen(false);
	begin(V2_MOUNT, "0::/../a\n"); /* outside of our namespace */
	assert_not_frozen(false);
	begin(V2_MOUNT, "0::/a\n"); /* the file cannot be read */
	assert_not_frozen(false);
	begin(V2_MOUNT, "0::/a\n"); /* Linux before 5.2 */
	tell("/sys/fs/cgroup/a/cgroup.events", "populated 1\n");
	assert_not_frozen(false);
	begin("", "6:freezer:/\n0::/\n"); /* nothing is mounted, but these are roots */
	assert_not_frozen(true);
	begin_in(NULL, "", "0::/\n"); /* another namespace: its "/" may be anything */
	assert_not_frozen(false);
	begin(V2_MOUNT, "nonsense\n");
	assert_not_frozen(false);
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static void test_v2_quota(void **state)
{
	const struct snap_limits *l;

	(void)state;
	begin(V2_MOUNT, "0::/pod/box\n");
	tell("/sys/fs/cgroup/pod/box/cpu.max", "150000 100000\n");
	tell("/sys/fs/cgroup/pod/box/cpu.stat",
	     "usage_usec 1\nnr_periods 10\nnr_throttled 2\nthrottled_usec 30\n");
	tell("/sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
	tell("/sys/fs/cgroup/pod/cpu.stat",
	     "usage_usec 1\nnr_periods 40\nnr_throttled 5\nthrottled_usec 60\n");
	tell("/sys/fs/cgroup/cpu.stat", "usage_usec 1\n");
	l = look();
	assert_true(l->have_quota);
	assert_true(l->cpu_quota_cores == 0.5);
	assert_true(snap->kernel_first.have_cpu_stat);
	assert_int_equal(snap->kernel_first.nr_periods, 40);
	assert_int_equal(snap->kernel_first.nr_throttled, 7);
	assert_int_equal(snap->kernel_first.throttled_us, 90);
	assert_int_equal(snap->kernel_first.clock_ns, 1000000);
	end();

	begin(V2_MOUNT, "0::/pod/box\n");
	tell("/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n");
	tell("/sys/fs/cgroup/pod/box/cpu.stat", "usage_usec 1\n");
	l = look();
	assert_true(l->have_quota && l->cpu_quota_cores == 0);
	assert_true(snap->kernel_first.have_cpu_stat); /* without a quota nothing is throttled */
	end();

	begin(V2_MOUNT, "0::/pod/box\n"); /* not a cgroup, as it seems */
	tell("/sys/fs/cgroup/pod/box/cpu.max", "50000 100000\n");
	l = look();
	assert_false(l->have_quota || snap->kernel_first.have_cpu_stat);
	end();
}

static void test_v1_quota(void **state)
{
	static const char stat[] = "nr_periods 9\nnr_throttled 8\nthrottled_time 7000\n";
	const struct snap_limits *l;

	(void)state;
	begin(V1_MOUNTS, "1:cpu,cpuacct:/d/e\n6:freezer:/\n0::/\n");
	tell("/sys/fs/cgroup/cpu,cpuacct/d/e/cpu.stat", "nr_periods 0\nnr_throttled 0\n"
							"throttled_time 0\n");
	tell("/sys/fs/cgroup/cpu,cpuacct/d/e/cpu.cfs_quota_us", "-1\n");
	tell("/sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_quota_us", "10000\n");
	tell("/sys/fs/cgroup/cpu,cpuacct/d/cpu.cfs_period_us", "100000\n");
	tell("/sys/fs/cgroup/cpu,cpuacct/d/cpu.stat", stat);
	l = look();
	assert_true(l->have_quota);
	assert_true(l->cpu_quota_cores == 0.1);
	assert_int_equal(snap->kernel_first.nr_throttled, 8);
	assert_int_equal(snap->kernel_first.throttled_us, 7);
	end();
}

/* As deep as the kernel allows, and paths that are no real ones. */
static void test_deep(void **state)
{
	struct strbuf path = STRBUF_INIT;

	(void)state;
	strbuf_addstr(&path, "0::");
	for (int i = 0; i < 1000; i++)
		strbuf_addstr(&path, "/x");
	strbuf_addstr(&path, "\n");
	begin(V2_MOUNT, path.data);
	strbuf_setlen(&path, path.len - 1);
	strbuf_reset(&path);
	look();
	assert_true(fake->questions < 100);
	end();
	begin(V2_MOUNT, "0:://///\n");
	look();
	end();
	strbuf_deinit(&path);
}

/* ---- counters -------------------------------------------------------------------------------- */

static void test_refresh(void **state)
{
	size_t asked;

	(void)state;
	begin(V2_MOUNT, "0::/box\n");
	tell("/sys/fs/cgroup/box/cpu.stat",
	     "usage_usec 1\nnr_periods 10\nnr_throttled 2\nthrottled_usec 30\n");
	tell("/sys/fs/cgroup/box/cpu.max", "10000 100000\n");
	tell("/sys/fs/cgroup/box/cpu.pressure", PRESSURE("12.50", "0.00"));
	tell("/sys/fs/cgroup/box/memory.pressure", PRESSURE("99.00", "7.25"));
	tell("/proc/pressure/cpu", PRESSURE("1.00", "1.00"));
	tell("/proc/pressure/memory", PRESSURE("1.00", "1.00"));
	tell("/proc/stat", "cpu  1 2 3 4 5 6 7 8 9 10\n");
	tell("stat", "40 (x) S 7 1 1 0 -1 0 0 0 55 0 0 0 0 0 20 0 1 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 "
		     "0 0 0 17 0\n");
	look();
	assert_true(snap->kernel_first.have_pressure);
	assert_true(snap->kernel_first.cpu_some_avg10 == 12.5);
	assert_true(snap->kernel_first.memory_full_avg10 == 7.25);
	assert_true(snap->kernel_first.have_steal);
	assert_int_equal(snap->kernel_first.steal_ticks, 8);
	assert_int_equal(snap->kernel_first.total_ticks, 36);
	assert_true(snap->kernel_first.have_majflt);
	assert_int_equal(snap->kernel_first.majflt, 55);
	assert_memory_equal(&snap->kernel_first, &snap->kernel_last, sizeof(snap->kernel_last));

	source_forget(src);
	asked = fake->questions;
	fake->clock += SNAP_KERNEL_FIRST_NS - 1;
	kernel_refresh(src, snap);
	assert_int_equal(fake->questions, asked);
	fake->clock++;
	fake->answers[3].data.data[40] = '9'; /* nr_throttled, as it goes on */
	kernel_refresh(src, snap);
	assert_int_equal(fake->questions, asked + 5);
	assert_int_equal(snap->kernel_last.nr_throttled, 9);
	assert_int_equal(snap->kernel_first.nr_throttled, 2);
	assert_int_equal(snap->kernel_last.clock_ns,
			 snap->kernel_first.clock_ns + SNAP_KERNEL_FIRST_NS);
	source_forget(src);
	fake->clock += SNAP_KERNEL_STEP_NS - 1;
	kernel_refresh(src, snap);
	assert_int_equal(fake->questions, asked + 5);
	fake->clock++;
	kernel_refresh(src, snap);
	assert_int_equal(fake->questions, asked + 10);
	end();

	begin(V1_MOUNTS, "1:cpu,cpuacct:/\n0::/\n"); /* no pressure of its own: the machine's */
	tell("/proc/pressure/cpu", PRESSURE("3.00", "1.00"));
	tell("/proc/pressure/memory", PRESSURE("1.00", "4.00"));
	look();
	assert_true(snap->kernel_first.cpu_some_avg10 == 3);
	assert_true(snap->kernel_first.memory_full_avg10 == 4);
	end();
}

/* ---- rates ----------------------------------------------------------------------------------- */

static bool near(double a, double b)
{
	return a - b < 1e-9 && b - a < 1e-9;
}

static void test_rates(void **state)
{
	struct snap_kernel from = {.clock_ns = 1000000000,
				   .have_cpu_stat = true,
				   .nr_periods = 100,
				   .nr_throttled = 40,
				   .throttled_us = 7000000,
				   .have_steal = true,
				   .steal_ticks = 5,
				   .total_ticks = 1000,
				   .have_majflt = true,
				   .majflt = 10};
	struct snapshot s = {.kernel_first = from,
			     .kernel_last = from,
			     .limits = {.have_quota = true, .cpu_quota_cores = 0.5}};

	(void)state;
	assert_true(snap_throttled_ratio(&s) < 0); /* no period went by */
	assert_true(snap_steal_ratio(&s) < 0 && snap_majflt_per_s(&s) < 0);
	assert_true(near(snap_throttled_s(&s), 0));
	s.kernel_last.clock_ns += 500000000;
	s.kernel_last.nr_periods += 5;
	s.kernel_last.nr_throttled += 4;
	s.kernel_last.throttled_us += 250000;
	s.kernel_last.steal_ticks += 30;
	s.kernel_last.total_ticks += 100;
	s.kernel_last.majflt += 50;
	assert_true(near(snap_throttled_ratio(&s), 0.8));
	assert_true(near(snap_throttled_s(&s), 0.25));
	assert_true(near(snap_steal_ratio(&s), 0.3));
	assert_true(near(snap_majflt_per_s(&s), 100));
	s.kernel_last.nr_throttled += 40; /* at several levels */
	assert_true(near(snap_throttled_ratio(&s), 1));
	s.kernel_last.nr_throttled = s.kernel_last.steal_ticks = s.kernel_last.majflt = 0;
	s.kernel_last.throttled_us = 0;
	assert_true(snap_throttled_ratio(&s) < 0 && snap_throttled_s(&s) < 0);
	assert_true(snap_steal_ratio(&s) < 0 && snap_majflt_per_s(&s) < 0);
	s.limits.cpu_quota_cores = 0;
	assert_true(near(snap_throttled_ratio(&s), 0));
	s = (struct snapshot){0};
	assert_true(snap_throttled_ratio(&s) < 0 && snap_throttled_s(&s) < 0);
	assert_true(snap_steal_ratio(&s) < 0 && snap_majflt_per_s(&s) < 0);
}

static void test_gc_ratio(void **state)
{
	struct snap_look looks[] = {
		{.loop = 1, .have_more = true, .gc = true},
		{.loop = 2, .have_more = true},
		{.loop = 1, .have_more = true},
		{.loop = 1}, /* of old */
		{.loop = 3},
	};
	struct snapshot s = {.looks = looks, .n_looks = ARRAY_SIZE(looks)};

	(void)state;
	assert_true(near(snap_gc_ratio(&s, 1), 0.5));
	assert_true(near(snap_gc_ratio(&s, 2), 0));
	assert_true(snap_gc_ratio(&s, 3) < 0);
	assert_true(snap_gc_ratio(&s, 4) < 0);
}

/* ---- descriptors, tracer --------------------------------------------------------------------- */

static void test_descriptors(void **state)
{
	const struct snap_limits *l;

	(void)state;
	begin("", "");
	tell("status", STATUS("FDSize:\t64"));
	tell("limits", LIMITS("64"));
	tell("fd/", "0\n1\n2\n17\n");
	l = look();
	assert_true(l->have_fds_limit && l->have_fds_open);
	assert_int_equal(l->fds_limit, 64);
	assert_int_equal(l->fds_hard, 1048576);
	assert_int_equal(l->fds_open, 4);
	end();

	begin("", "");
	tell("status", STATUS("FDSize:\t8192")); /* may be thousands, and far from the limit */
	tell("limits", LIMITS("100000"));
	tell("fd/", "0\n1\n2\n17\n");
	l = look();
	assert_true(l->have_fds_limit && !l->have_fds_open);
	end();

	begin("", "");
	tell("status", STATUS("FDSize:\t8192")); /* but here they may be near it */
	tell("limits", LIMITS("9000"));
	tell("fd/", "0\n1\n2\n17\n");
	l = look();
	assert_true(l->have_fds_open);
	end();

	begin("", "");
	tell("status", STATUS("FDSize:\t64"));
	tell("limits", LIMITS("1073741816"));
	tell("fd/", "0\n1\n2\n17\n");
	l = look();
	assert_true(l->have_fds_limit && !l->have_fds_open);
	end();
}

static void test_tracer(void **state)
{
	static const char line[] = "gdb\0-p\0"
				   "4\x1b[0m\0\0";

	(void)state;
	begin("", "");
	tell("status", STATUS("TracerPid:\t7"));
	fake_proc(fake, "/proc/7/cmdline", line, sizeof(line) - 1);
	assert_string_equal(look()->tracer_command, "gdb -p 4\\x1b[0m");
	end();
	begin("", "");
	tell("status", STATUS("TracerPid:\t7"));
	tell("/proc/7/cmdline", "");
	tell("/proc/7/comm", "strace\n");
	assert_string_equal(look()->tracer_command, "strace");
	end();
	begin("", "");
	tell("status", STATUS("TracerPid:\t0"));
	tell("/proc/0/comm", "nobody\n");
	assert_null(look()->tracer_command);
	end();
	begin("", "");
	tell("status", STATUS("TracerPid:\t7"));
	assert_null(look()->tracer_command);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2_frozen),      cmocka_unit_test(test_v1_frozen),
		cmocka_unit_test(test_frozen_unknown), cmocka_unit_test(test_v2_quota),
		cmocka_unit_test(test_v1_quota),       cmocka_unit_test(test_deep),
		cmocka_unit_test(test_refresh),	       cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_tracer),	       cmocka_unit_test(test_rates),
		cmocka_unit_test(test_gc_ratio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
