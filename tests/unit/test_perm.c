/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_perm.c - what is said when a process may not be read
 */
#include "live_child.h"

/* Of the capabilities below 32 that we have keeps those of mask; the others are kept. */
static void keep_caps(uint32_t mask)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		_exit(1);
	data[0].permitted &= mask;
	data[0].effective = data[0].permitted;
	if (syscall(SYS_capset, &head, data))
		_exit(1);
}

#define BIT(cap) (UINT32_C(1) << (cap))

static void drop_ptrace(void)
{
	keep_caps(~BIT(CAP_SYS_PTRACE));
}

static void become_daemon(void)
{
	if (setgroups(0, NULL) || setresgid(1, 1, 1) || setresuid(1, 1, 1))
		_exit(1);
}

static void become_other_group(void)
{
	if (setgroups(0, NULL) || setresgid(1, 1, 1) || setresuid(65534, 65534, 65534))
		_exit(1);
}

static void only_ptrace(void)
{
	prctl(PR_SET_KEEPCAPS, 1);
	become_daemon();
	keep_caps(BIT(CAP_SYS_PTRACE));
}

static void not_dumpable(void)
{
	become_nobody();
	prctl(PR_SET_DUMPABLE, 0);
}

static void dumpable_nobody(void)
{
	become_nobody();
	prctl(PR_SET_DUMPABLE, 1);
}

static void dumpable_root(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void in_user_namespace(void)
{
	become_nobody();
	if (unshare(CLONE_NEWUSER))
		_exit(77);
}

/* What a reader made by `reader` is told of a target made by `target`. */
static void check_message(void (*target)(void), void (*reader)(void), const char *says,
			  const char *hint)
{
	struct error *err =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = start(target), child = fork();
	int status;

	if (child == 0) {
		struct source *src;

		reader();
		_exit(source_open_live(pid, &src, err) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	stop(pid);
	if (status == 77 << 8) {
		munmap(err, PAGE);
		return; /* no such namespaces here */
	}
	if (status || err->code != ERR_PERMISSION || !strstr(err->text, says) ||
	    !strstr(err->hint, hint))
		fail_msg("status %d, %d '%s' (%s): not '%s' (%s)", status, err->code, err->text,
			 err->hint, says, hint);
	munmap(err, PAGE);
}

/* The rows of the table in which the reasons are told apart, those that can be made here. */
static void test_permissions(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	check_message(dumpable_nobody, become_daemon, "belongs to uid 65534, this is uid 1",
		      "sudo");
	check_message(dumpable_root, become_daemon, "belongs to uid 0, this is uid 1", "sudo");
	check_message(dumpable_nobody, become_other_group, "has gid 65534, 65534, 65534",
		      "gid must");
	check_message(not_dumpable, become_nobody, "is not dumpable", "PR_SET_DUMPABLE");
	check_message(dumpable_nobody, drop_ptrace, "root has no CAP_SYS_PTRACE", "--cap-add");
	check_message(dumpable_root, drop_ptrace,
		      "holds capabilities that are missing here: sys_ptrace", "--cap-add");
	check_message(dumpable_nobody, only_ptrace, "takes CAP_DAC_READ_SEARCH", "setcap");
	check_message(dumpable_nobody, in_user_namespace, "is in another user namespace",
		      "parent user namespace");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_permissions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
