/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stoppable.c - the system calls that a stop by ptrace(2) does not end
 *
 * A thread that sleeps in a call is woken for the stop, and begins the call again afterwards. As a
 * rule nobody can tell, but some calls give EINTR instead, as signal(7) says, and some what they
 * have done so far. A call that is not in the table is not known, and so not disturbed.
 *
 * Measured on Linux 6.18, and again by tests/e2e/test_native.py wherever that runs.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "stallscope/arena.h"
#include "stallscope/native.h"

enum native_effect {
	NATIVE_RESTARTS,    /* goes on afterwards, with what was left of its timeout */
	NATIVE_SOCKET,	    /* likewise, unless the socket has SO_RCVTIMEO or SO_SNDTIMEO */
	NATIVE_READ,	    /* likewise of pipes, terminals and what is the kernel's own; sockets
			       as above; of a file it is not known */
	NATIVE_LOCK,	    /* likewise of fcntl() that waits for a lock */
	NATIVE_INTERRUPTED, /* ends with EINTR */
	NATIVE_SHORT,	    /* ends early with a part done */
};

struct native_call {
	const char *name;
	enum native_effect effect;
};

static const struct native_call calls[] = {
	{"accept", NATIVE_SOCKET},
	{"accept4", NATIVE_SOCKET},
	{"clock_nanosleep", NATIVE_RESTARTS},
	{"connect", NATIVE_SOCKET},
	{"epoll_pwait", NATIVE_INTERRUPTED},
	{"epoll_pwait2", NATIVE_INTERRUPTED},
	{"epoll_wait", NATIVE_INTERRUPTED},
	{"fcntl", NATIVE_LOCK},
	{"flock", NATIVE_RESTARTS},
	{"futex", NATIVE_RESTARTS},
	{"io_getevents", NATIVE_INTERRUPTED},
	{"io_pgetevents", NATIVE_INTERRUPTED},
	{"io_uring_enter", NATIVE_INTERRUPTED},
	{"mq_timedreceive", NATIVE_RESTARTS},
	{"msgrcv", NATIVE_RESTARTS},
	{"nanosleep", NATIVE_RESTARTS},
	{"pause", NATIVE_RESTARTS},
	{"poll", NATIVE_RESTARTS},
	{"ppoll", NATIVE_RESTARTS},
	{"pselect6", NATIVE_RESTARTS},
	{"read", NATIVE_READ},
	{"readv", NATIVE_READ},
	{"recvfrom", NATIVE_SOCKET},
	{"recvmmsg", NATIVE_SHORT},
	{"recvmsg", NATIVE_SOCKET},
	{"rt_sigsuspend", NATIVE_RESTARTS},
	{"rt_sigtimedwait", NATIVE_INTERRUPTED},
	{"select", NATIVE_RESTARTS},
	{"semop", NATIVE_INTERRUPTED},
	{"semtimedop", NATIVE_INTERRUPTED},
	{"sendmmsg", NATIVE_SHORT},
	{"sendmsg", NATIVE_SHORT},
	{"sendto", NATIVE_SHORT},
	{"splice", NATIVE_SHORT},
	{"wait4", NATIVE_RESTARTS},
	{"waitid", NATIVE_RESTARTS},
	{"write", NATIVE_SHORT},
	{"writev", NATIVE_SHORT},
};

static const struct native_call *find(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return &calls[i];
	return NULL;
}

/* recvfrom() has its flags in the fourth argument, recvmsg() in the third. */
static bool waits_for_all(const char *name, const struct proc_syscall *call)
{
	if (!strcmp(name, "recvfrom"))
		return call->args[3] & MSG_WAITALL;
	return !strcmp(name, "recvmsg") && call->args[2] & MSG_WAITALL;
}

static const char *of_socket(struct source *src, const char *name, const struct proc_syscall *call)
{
	struct source_socket s;

	if (waits_for_all(name, call))
		return "it waits for a whole message, and would get a part";
	if (!source_socket(src, (int)call->args[0], &s, NULL))
		return "whether its socket has a timeout of its own cannot be told here";
	if (s.is_socket && (s.receive_timeout || s.send_timeout))
		return "its socket has a timeout of its own (SO_RCVTIMEO): the call would fail";
	return NULL;
}

/* Waiting for a file may be waiting for a file system over the network, or in a process. */
static const char *of_read(struct source *src, const char *name, const struct proc_syscall *call)
{
	struct source_socket s;

	if (!source_socket(src, (int)call->args[0], &s, NULL))
		return "what it reads from cannot be told here";
	if (s.is_socket)
		return of_socket(src, name, call);
	if (S_ISFIFO(s.mode) || S_ISCHR(s.mode) || s.is_anonymous)
		return NULL;
	return "it reads a file";
}

static const char *of_lock(const struct proc_syscall *call)
{
	int command = (int)call->args[1];

	return command == F_SETLKW || command == F_OFD_SETLKW ? NULL : "it is no wait for a lock";
}

const char *native_notices(struct source *src, const struct proc_syscall *call)
{
	const char *name = syscall_name(call->number);
	const struct native_call *known = find(name);

	if (!known)
		return "nothing is known of its system call";
	switch (known->effect) {
	case NATIVE_RESTARTS:
		return NULL;
	case NATIVE_SOCKET:
		return of_socket(src, name, call);
	case NATIVE_READ:
		return of_read(src, name, call);
	case NATIVE_LOCK:
		return of_lock(call);
	case NATIVE_INTERRUPTED:
		return "its system call would fail with EINTR";
	case NATIVE_SHORT:
		break;
	}
	return "its system call would end with a part done";
}
