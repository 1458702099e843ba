/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exact.h"
#include "stallscope/cleanup.h"
#include "stallscope/strbuf.h"
#include "stallscope/target.h"

#define ID  "0f3c9d2e4b5a69788796a5b4c3d2e1f00f3c9d2e4b5a69788796a5b4c3d2e1f0"
#define ID2 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static bool parse(const char *text, struct arena *arena, struct proc_cgroup *ret, struct error *err)
{
	char *copy = exact_copy(text, strlen(text));
	bool ok = proc_cgroup_parse(copy, strlen(text), arena, ret, err);

	free(copy);
	return ok;
}

static void test_unified(void **state)
{
	struct arena arena = ARENA_INIT;
	struct proc_cgroup cg;

	(void)state;
	assert_true(parse("0::/user.slice/user-0.slice/a:b c\n", &arena, &cg, NULL));
	assert_string_equal(cg.v2, "/user.slice/user-0.slice/a:b c");
	assert_null(cg.freezer);
	assert_null(cg.cpu);

	assert_true(parse("0::/gone (deleted)\n", &arena, &cg, NULL));
	assert_string_equal(cg.v2, "/gone");
	assert_true(parse("0::/../sibling\n", &arena, &cg, NULL));
	assert_string_equal(cg.v2, "/../sibling");
	assert_true(parse("", &arena, &cg, NULL));
	assert_null(cg.v2);
	arena_deinit(&arena);
}

static void test_v1_and_hybrid(void **state)
{
	struct arena arena = ARENA_INIT;
	struct proc_cgroup cg;

	(void)state;
	assert_true(parse("12:cpuset:/set\n"
			  "9:name=systemd:/sys:freezer:/x\n"
			  "6:freezer:/docker/" ID "\n"
			  "4:cpuacct,cpu:/cpu\n"
			  "1:cpuacct_like,xcpu,cpux:/not\n"
			  "0::/\n",
			  &arena, &cg, NULL));
	assert_string_equal(cg.v2, "/");
	assert_string_equal(cg.freezer, "/docker/" ID);
	assert_string_equal(cg.cpu, "/cpu");
	arena_deinit(&arena);
}

static void test_malformed(void **state)
{
	static const char *const rows[] = {
		"\n",	 "x\n",	   "0\n",      "0:\n",	    "0:/\n",
		"0::\n", "0::x\n", ":cpu:/\n", "1:cpu /\n", "18446744073709551616::/\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct arena arena = ARENA_INIT;
		struct proc_cgroup cg = {.v2 = "untouched"};
		struct error err = {0};

		assert_false(parse(rows[i], &arena, &cg, &err));
		assert_int_equal(err.code, ERR_CORRUPT);
		assert_string_equal(cg.v2, "untouched");
		arena_deinit(&arena);
	}
}

static void parse_any(const char *text, size_t len)
{
	struct arena arena = ARENA_INIT;
	struct proc_cgroup cg;

	if (proc_cgroup_parse(text, len, &arena, &cg, NULL) && cg.v2)
		cgroup_container_id(cg.v2, &arena);
	arena_deinit(&arena);
}

static void test_cut_and_spoilt(void **state)
{
	static const char text[] = "6:freezer,cpu:/docker/a\n0::/a/machine-x\\x2d1.scope\n";

	(void)state;
	exact_cut_everywhere(text, sizeof(text) - 1, parse_any);
	exact_spoil_everywhere(text, sizeof(text) - 1, parse_any);
}

static const struct {
	const char *path, *id;
} containers[] = {
	/* docker: cgroupfs, systemd, docker in docker, rootless */
	{"/docker/" ID, ID},
	{"/system.slice/docker-" ID ".scope", ID},
	{"/docker/" ID2 "/docker/" ID, ID},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" ID ".scope", ID},
	{"/system.slice/docker-" ID ".scope/app/worker", ID},
	/* kubernetes: docker, containerd, cri-o; cgroupfs and systemd */
	{"/kubepods/burstable/pod1b2a0c3d-8e0f-4a5b-9c6d-7e8f9a0b1c2d/" ID, ID},
	{"/kubepods/pod1b2a0c3d-8e0f-4a5b-9c6d-7e8f9a0b1c2d/" ID, ID},
	{"/kubepods.slice/kubepods-besteffort.slice/"
	 "kubepods-besteffort-pod1b2a0c3d_8e0f_4a5b_9c6d_7e8f9a0b1c2d.slice/"
	 "cri-containerd-" ID ".scope",
	 ID},
	{"/kubepods.slice/kubepods-podx.slice/crio-" ID ".scope", ID},
	{"/kubepods.slice/kubepods-podx.slice/crio-" ID ".scope/container", ID},
	{"/kubepods.slice/kubepods-podx.slice/docker-" ID ".scope", ID},
	{"/system.slice/containerd.service/kubepods-burstable-podx.slice:cri-containerd:" ID, ID},
	{"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podx.slice/cri-containerd-" ID
	 ".scope",
	 ID},
	/* containerd by itself (ctr, nerdctl) */
	{"/default/" ID, ID},
	{"/system.slice/nerdctl-" ID ".scope", ID},
	/* podman: rootful, rootless, cgroupfs */
	{"/machine.slice/libpod-" ID ".scope", ID},
	{"/machine.slice/libpod-" ID ".scope/container", ID},
	{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope/container",
	 ID},
	{"/libpod_parent/libpod-" ID, ID},
	/* amazon's */
	{"/ecs/0123456789abcdef0123456789abcdef/" ID, ID},
	/* by name */
	{"/lxc.payload.web", "web"},
	{"/lxc.payload.web/system.slice/app.service", "web"},
	{"/machine.slice/machine-deb\\x2d12.scope", "deb-12"},
	{"/machine.slice/machine-deb.scope/payload", "deb"},
	{"/machine.slice/machine-a\\x1b\\xzz.scope", "a\\x1b\\xzz"},
	/* none */
	{"", NULL},
	{"/", NULL},
	{"///", NULL},
	{"/user.slice/user-0.slice/session-1.scope", NULL},
	{"/system.slice/docker.service", NULL},
	{"/machine.slice/libpod-conmon-" ID ".scope", NULL},
	{"/kubepods.slice/crio-conmon-" ID ".scope", NULL},
	{"/process_api/4c4ed7ef792a893959d37a3f90113697", NULL},
	{"/docker/" ID "0", NULL},
	{"/docker/x" ID, NULL},
	{"/docker/0F3C9D2E4B5A69788796A5B4C3D2E1F00F3C9D2E4B5A69788796A5B4C3D2E1F0", NULL},
	{"/lxc.payload.", NULL},
	{"/machine.slice/machine-.scope", NULL},
	{"/machine.slice/machine-x.service", NULL},
};

static void test_container_ids(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(containers); i++) {
		struct arena arena = ARENA_INIT;
		const char *id = cgroup_container_id(containers[i].path, &arena);

		if (containers[i].id)
			assert_string_equal(id ? id : "none", containers[i].id);
		else
			assert_null(id);
		arena_deinit(&arena);
	}
}

static void test_deep_path(void **state)
{
	cleanup_strbuf struct strbuf path = STRBUF_INIT;
	struct arena arena = ARENA_INIT;

	(void)state;
	for (int i = 0; i < 100000; i++)
		strbuf_addstr(&path, "/a");
	assert_null(cgroup_container_id(path.data, &arena));
	arena_deinit(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unified),	      cmocka_unit_test(test_v1_and_hybrid),
		cmocka_unit_test(test_malformed),     cmocka_unit_test(test_cut_and_spoilt),
		cmocka_unit_test(test_container_ids), cmocka_unit_test(test_deep_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
