/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perm.c - why a process cannot be read
 *
 * The cause is found, not guessed: the kernel gives one errno for a dozen of them, /proc tells
 * them apart. The order is that of __ptrace_may_access() in kernel/ptrace.c: ids and
 * capabilities, then whether the process is dumpable, then the security modules.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

enum { CAP_DAC_OVERRIDE_BIT = 1, CAP_DAC_READ_SEARCH_BIT = 2, CAP_SYS_PTRACE_BIT = 19 };

static const char *const cap_names[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};

struct credentials {
	unsigned uid[3], gid[3]; /* real, effective, saved */
	uint64_t permitted, effective;
};

/* A process that cannot be read, and us. */
struct refusal {
	int procfd, pid;
	struct credentials us, them;
	bool privileged; /* we have CAP_SYS_PTRACE */
};

static bool read_at(int dir, const char *path, char *buf, size_t size)
{
	cleanup_fd int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

static bool parse_ids(const char *status, const char *key, unsigned ids[3])
{
	const char *p = strstr(status, key);

	return p && sscanf(p + strlen(key), "%u %u %u", &ids[0], &ids[1], &ids[2]) == 3;
}

static uint64_t parse_caps(const char *status, const char *key)
{
	const char *p = strstr(status, key);

	return p ? strtoull(p + strlen(key), NULL, 16) : 0;
}

static bool read_credentials(int dir, const char *path, struct credentials *ret)
{
	char text[8192];

	if (!read_at(dir, path, text, sizeof(text)))
		return false;
	ret->permitted = parse_caps(text, "\nCapPrm:");
	ret->effective = parse_caps(text, "\nCapEff:");
	return parse_ids(text, "\nUid:", ret->uid) && parse_ids(text, "\nGid:", ret->gid);
}

static bool has_cap(const struct credentials *c, unsigned bit)
{
	return c->effective >> bit & 1;
}

static bool all_are(const unsigned ids[3], unsigned id)
{
	return ids[0] == id && ids[1] == id && ids[2] == id;
}

/* The link needs the very right that is missing; the map of ids is open to all. */
static bool in_other_user_namespace(const struct refusal *r)
{
	char theirs[4096], ours[4096];
	ssize_t n = readlinkat(r->procfd, "ns/user", theirs, sizeof(theirs));
	ssize_t m = readlink("/proc/self/ns/user", ours, sizeof(ours));

	if (n > 0 && m > 0)
		return n != m || memcmp(theirs, ours, (size_t)n) != 0;
	return read_at(r->procfd, "uid_map", theirs, sizeof(theirs)) &&
	       read_at(AT_FDCWD, "/proc/self/uid_map", ours, sizeof(ours)) && strcmp(theirs, ours);
}

static int yama_scope(void)
{
	char text[16];

	if (!read_at(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)))
		return 0;
	return atoi(text);
}

/* The kernel gives the files of a process that is not dumpable to root. */
static bool is_dumpable(const struct refusal *r)
{
	struct stat st;

	return fstatat(r->procfd, "mem", &st, AT_SYMLINK_NOFOLLOW) || st.st_uid == r->them.uid[1] ||
	       st.st_uid != 0;
}

#define AS_ROOT "run it as root (sudo stallscope ...)"
#define GIVE_CAPS                                                                      \
	"or give the program the right: setcap cap_sys_ptrace,cap_dac_read_search+ep " \
	"$(command -v stallscope)"
#define IN_CONTAINER                                                                             \
	"start the container with --cap-add SYS_PTRACE, or run stallscope on the host with the " \
	"host's pid (NSpid in /proc/PID/status there shows both)"

static bool deny(struct error *err, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool deny(struct error *err, const char *hint, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_set(err, ERR_PERMISSION, "%s", text);
	return error_hint(err, "%s", hint);
}

static void add_cap_names(uint64_t caps, struct strbuf *sb)
{
	for (unsigned i = 0; i < 64; i++) {
		if (!(caps >> i & 1))
			continue;
		strbuf_addstr(sb, sb->len ? ", " : "");
		if (i < ARRAY_SIZE(cap_names))
			strbuf_addstr(sb, cap_names[i]);
		else
			strbuf_addf(sb, "%u", i);
	}
}

static bool other_ids(const struct refusal *r, struct error *err)
{
	unsigned uid = r->us.uid[1], gid = r->us.gid[1];

	if (!all_are(r->them.uid, uid) && uid == 0)
		return deny(err, IN_CONTAINER,
			    "process %d belongs to uid %u, and this root has no CAP_SYS_PTRACE, "
			    "as in a container",
			    r->pid, r->them.uid[1]);
	if (!all_are(r->them.uid, uid))
		return deny(err,
			    "run stallscope as that user or with CAP_SYS_PTRACE (sudo), " GIVE_CAPS,
			    "process %d belongs to uid %u, this is uid %u", r->pid, r->them.uid[1],
			    uid);
	return deny(err, "all of real, effective and saved uid and gid must be ours, or " AS_ROOT,
		    "process %d has gid %u, %u, %u (real, effective, saved), this is gid %u",
		    r->pid, r->them.gid[0], r->them.gid[1], r->them.gid[2], gid);
}

static bool more_caps(const struct refusal *r, struct error *err)
{
	cleanup_strbuf struct strbuf names = STRBUF_INIT;

	add_cap_names(r->them.permitted & ~r->us.effective, &names);
	return deny(err, r->us.uid[1] == 0 ? IN_CONTAINER : AS_ROOT ", " GIVE_CAPS,
		    "process %d holds capabilities that are missing here: %s", r->pid, names.data);
}

static bool by_yama(const struct refusal *r, int scope, struct error *err)
{
	const char *hint = AS_ROOT ", or let processes of one user read each other: "
				   "sysctl kernel.yama.ptrace_scope=0";

	if (scope >= 3)
		return deny(err, "this lasts until the next boot",
			    "process %d may not be read: kernel.yama.ptrace_scope is 3, for nobody",
			    r->pid);
	return deny(err, hint, "process %d may not be read: kernel.yama.ptrace_scope is %d, %s",
		    r->pid, scope,
		    scope == 1 ? "only for one's own children" : "only for CAP_SYS_PTRACE");
}

/* With CAP_SYS_PTRACE: what stands in the way beside the ids. */
static bool although_privileged(const struct refusal *r, struct error *err)
{
	bool by_mode = !has_cap(&r->us, CAP_DAC_OVERRIDE_BIT) &&
		       !has_cap(&r->us, CAP_DAC_READ_SEARCH_BIT) && r->us.uid[1] != r->them.uid[1];

	if (in_other_user_namespace(r))
		return deny(err, "run from the parent user namespace (on the host, as root)",
			    "process %d is in another user namespace, where CAP_SYS_PTRACE of this "
			    "one does not count",
			    r->pid);
	if (by_mode)
		return deny(err, GIVE_CAPS,
			    "process %d belongs to uid %u: beside CAP_SYS_PTRACE it takes "
			    "CAP_DAC_READ_SEARCH to open its memory",
			    r->pid, r->them.uid[1]);
	return deny(
		err,
		"ask the log of the kernel: SELinux, AppArmor or a seccomp filter may forbid it",
		"process %d may not be read, though CAP_SYS_PTRACE is here", r->pid);
}

static bool without_privilege(const struct refusal *r, int scope, struct error *err)
{
	if (in_other_user_namespace(r))
		return deny(err, "run from the parent user namespace (on the host, as root)",
			    "process %d is in another user namespace", r->pid);
	if (!all_are(r->them.uid, r->us.uid[1]) || !all_are(r->them.gid, r->us.gid[1]))
		return other_ids(r, err);
	if (r->them.permitted & ~r->us.effective)
		return more_caps(r, err);
	if (!is_dumpable(r))
		return deny(err,
			    "it called prctl(PR_SET_DUMPABLE, 0), or is setuid or has file "
			    "capabilities: CAP_SYS_PTRACE is needed, " AS_ROOT,
			    "process %d is not dumpable", r->pid);
	if (scope > 0)
		return by_yama(r, scope, err);
	if (r->us.uid[1] == 0)
		return deny(err, IN_CONTAINER,
			    "process %d: this root has no CAP_SYS_PTRACE, as in a "
			    "container",
			    r->pid);
	return deny(err, "SELinux, AppArmor or a seccomp filter may forbid it: " AS_ROOT,
		    "process %d of the same user may not be read", r->pid);
}

/* There is such a process, but /proc does not show it. */
static bool invisible(const struct refusal *r, struct error *err)
{
	if (kill(r->pid, 0) && errno == ESRCH)
		return error_set(err, ERR_NO_PROCESS, "no process with pid %d", r->pid);
	return deny(
		err,
		"/proc is mounted with hidepid, or for another pid namespace: run stallscope as "
		"root, or where the process is",
		"process %d exists, but /proc does not show it", r->pid);
}

bool permission_error(int procfd, pid_t pid, int sys, struct error *err)
{
	struct refusal r = {.procfd = procfd, .pid = (int)pid};
	int scope = yama_scope();

	if (sys != EACCES && sys != EPERM && (procfd >= 0 || sys != ENOENT))
		return error_sys(err, ERR_ABSENT, sys, "process %d cannot be read", r.pid);
	if (procfd < 0 || !read_credentials(procfd, "status", &r.them) ||
	    !read_credentials(AT_FDCWD, "/proc/self/status", &r.us))
		return invisible(&r, err);
	if (scope >= 3)
		return by_yama(&r, scope, err);
	if (has_cap(&r.us, CAP_SYS_PTRACE_BIT))
		return although_privileged(&r, err);
	return without_privilege(&r, scope, err);
}
