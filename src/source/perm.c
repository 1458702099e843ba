/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a process cannot be read. The cause is found, not guessed: the kernel gives one errno for
 * a dozen of them, /proc tells them apart (kernel/ptrace.c, __ptrace_may_access).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend.h"
#include "stallscope/cleanup.h"

#define CAP_SYS_PTRACE_BIT 19

struct credentials {
	unsigned uid[3], gid[3]; /* real, effective, saved */
	uint64_t permitted, effective;
	int tracer;
	bool known;
};

static bool read_text(const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

static void credentials(const char *path, struct credentials *c)
{
	char text[8192], *p;

	memset(c, 0, sizeof(*c));
	if (!read_text(path, text, sizeof(text)))
		return;
	p = strstr(text, "\nUid:");
	c->known = p && sscanf(p, "\nUid: %u %u %u", &c->uid[0], &c->uid[1], &c->uid[2]) == 3;
	p = strstr(text, "\nGid:");
	c->known = c->known && p &&
		   sscanf(p, "\nGid: %u %u %u", &c->gid[0], &c->gid[1], &c->gid[2]) == 3;
	p = strstr(text, "\nCapPrm:");
	if (p)
		sscanf(p, "\nCapPrm: %" SCNx64, &c->permitted);
	p = strstr(text, "\nCapEff:");
	if (p)
		sscanf(p, "\nCapEff: %" SCNx64, &c->effective);
	p = strstr(text, "\nTracerPid:");
	if (p)
		sscanf(p, "\nTracerPid: %d", &c->tracer);
}

static bool ids_equal(const unsigned theirs[3], unsigned ours)
{
	return theirs[0] == ours && theirs[1] == ours && theirs[2] == ours;
}

static bool other_user_namespace(pid_t pid)
{
	char path[64], theirs[64], ours[64];
	ssize_t n, m;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	n = readlink(path, theirs, sizeof(theirs));
	m = readlink("/proc/self/ns/user", ours, sizeof(ours));
	return n > 0 && m > 0 && (n != m || memcmp(theirs, ours, (size_t)n) != 0);
}

static int yama_scope(void)
{
	char text[16];

	if (!read_text("/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)))
		return -1;
	return atoi(text);
}

/* Files of a process that may not be dumped belong to root; its folder does not tell. */
static bool proc_owned_by_root(pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return !stat(path, &st) && st.st_uid == 0;
}

static const char *sudo(void)
{
	return "run as that user or as root (sudo stallscope ...), or give the right: "
	       "setcap cap_sys_ptrace,cap_dac_read_search+ep $(command -v stallscope)";
}

static bool invisible(pid_t pid, struct error *err)
{
	if (kill(pid, 0) && errno == ESRCH)
		return error_set(err, ERR_NO_PROCESS, "no process with pid %d", pid);
	error_set(err, ERR_PERMISSION, "process %d exists, but /proc/%d cannot be seen", pid, pid);
	return error_hint(err,
			  "/proc is mounted with hidepid, or belongs to another pid namespace: "
			  "run as root, or in the namespace of the process");
}

static bool as_other_user(pid_t pid, const struct credentials *them, unsigned uid,
			  struct error *err)
{
	error_set(err, ERR_PERMISSION,
		  "process %d belongs to uid %u; this is uid %u without CAP_SYS_PTRACE", pid,
		  them->uid[1], uid);
	return error_hint(err, "%s", sudo());
}

static bool as_root(pid_t pid, const struct credentials *us, const struct credentials *them,
		    struct error *err)
{
	if (!(us->effective >> CAP_SYS_PTRACE_BIT & 1) && (them->permitted & ~us->permitted)) {
		error_set(err, ERR_PERMISSION,
			  "process %d holds capabilities that this root lacks (0x%" PRIx64 ")", pid,
			  them->permitted & ~us->permitted);
		return error_hint(err,
				  "start this container with --cap-add SYS_PTRACE, or run from the "
				  "host with the host's pid");
	}
	error_set(err, ERR_PERMISSION, "process %d: root without CAP_SYS_PTRACE, as in a container",
		  pid);
	return error_hint(err,
			  "start the container with --cap-add SYS_PTRACE, or run from the host "
			  "with the host's pid");
}

static bool as_same_user(pid_t pid, const struct credentials *them, struct error *err)
{
	if (!ids_equal(them->gid, getegid())) {
		error_set(err, ERR_PERMISSION, "process %d has gid %u, this is gid %u", pid,
			  them->gid[1], getegid());
		return error_hint(
			err, "all of real, effective and saved uid and gid must match; %s", sudo());
	}
	if (proc_owned_by_root(pid)) {
		error_set(err, ERR_PERMISSION, "process %d is not dumpable", pid);
		return error_hint(err,
				  "it called prctl(PR_SET_DUMPABLE, 0) or has file capabilities: "
				  "CAP_SYS_PTRACE is needed (sudo stallscope ...)");
	}
	error_set(err, ERR_PERMISSION, "process %d of the same user may not be read", pid);
	return error_hint(err, "a security module (SELinux, AppArmor) or seccomp may forbid it; %s",
			  sudo());
}

bool permission_error(pid_t pid, int sys, struct error *err)
{
	struct credentials us, them;
	char path[64];
	int scope = yama_scope();

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	credentials("/proc/self/status", &us);
	credentials(path, &them);
	if (!them.known)
		return invisible(pid, err);
	if (sys != EACCES && sys != EPERM)
		return error_sys(err, ERR_PERMISSION, sys, "process %d cannot be read", pid);
	if (other_user_namespace(pid)) {
		error_set(err, ERR_PERMISSION, "process %d is in another user namespace", pid);
		return error_hint(err, "run from its parent user namespace (on the host, as root)");
	}
	if (us.uid[1] == 0)
		return as_root(pid, &us, &them, err);
	if (!ids_equal(them.uid, us.uid[1]))
		return as_other_user(pid, &them, us.uid[1], err);
	if (scope > 0) {
		error_set(err, ERR_PERMISSION,
			  "process %d may not be read: yama ptrace_scope is %d", pid, scope);
		return error_hint(err, scope == 3 ? "no process may be read until the next boot"
						  : "sudo stallscope ..., or as root: "
						    "sysctl kernel.yama.ptrace_scope=0");
	}
	return as_same_user(pid, &them, err);
}
