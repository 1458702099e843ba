/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall.c - /proc/PID/task/TID/syscall, and names for its numbers
 *
 *	running
 *	-1 0x7ffef5ecd528 0x7f1a993a12ad
 *	0 0x3 0x7f1a99225000 0x20000 0x0 0xffffffff 0x0 0x7ffef5ecd528 0x7f1a993a12ad
 */
#include <sys/syscall.h>

#include "scan.h"
#include "stallscope/target.h"

/* " 0x3"; the last of a line is followed by a newline, else it may have been cut. */
static bool parse_word(struct scan *s, uint64_t *ret)
{
	return scan_text(s, " 0x", 3) && scan_hex(s, ret) && !scan_at_end(s);
}

bool proc_syscall_parse(const char *text, size_t len, struct proc_syscall *ret, struct error *err)
{
	static const char running[] = "running\n";
	struct scan s = scan_init(text, len);
	struct proc_syscall call = {.number = -1};
	bool good;

	if (scan_text(&s, running, sizeof(running) - 1)) {
		call.running = true;
		*ret = call;
		return true;
	}
	good = scan_i64(&s, &call.number);
	for (unsigned i = 0; good && call.number != -1 && i < ARRAY_SIZE(call.args); i++)
		good = parse_word(&s, &call.args[i]);
	if (!good || !parse_word(&s, &call.sp) || !parse_word(&s, &call.pc) || *s.p != '\n')
		return error_set(err, ERR_CORRUPT, "syscall is malformed");
	*ret = call;
	return true;
}

bool syscall_is_restart(int64_t number)
{
	return number == SYS_restart_syscall;
}

/* nanosleep() has an address where clock_nanosleep() has the number of a clock. */
static int64_t which_sleep(const struct proc_syscall *call)
{
	static const uint64_t clocks = 64;

	return call->args[0] < clocks ? SYS_clock_nanosleep : SYS_nanosleep;
}

/*
 * wchan passes over functions of the scheduler, and the compiler leaves none between them and the
 * entry when a sleep goes on (hrtimer_nanosleep_restart() ends in a tail call). Of the calls that
 * go on so, futex() and poll() have functions of their own.
 */
static bool is_sleep(const char *wchan)
{
	static const char *const begins[] = {"hrtimer_nanosleep", "do_nanosleep", "do_syscall_64",
					     "x64_sys_call", "invoke_syscall"};

	for (size_t i = 0; i < ARRAY_SIZE(begins); i++)
		if (!strncmp(wchan, begins[i], strlen(begins[i])))
			return true;
	return false;
}

bool proc_syscall_resume(struct proc_syscall *call, const char *wchan)
{
	int64_t number = -1;

	if (call->running || !syscall_is_restart(call->number))
		return false;
	if (!strncmp(wchan, "futex_", 6))
		number = SYS_futex;
	else if (is_sleep(wchan))
		number = which_sleep(call);
#ifdef SYS_poll
	else if (!strncmp(wchan, "poll_schedule_timeout", 21) || !strncmp(wchan, "do_sys_poll", 11))
		number = SYS_poll;
#endif
	if (number < 0)
		return false;
	call->number = number;
	call->resumed = true;
	return true;
}

#define SYS(number, name) [number] = #name,

static const char *const names[] = {
#if defined(__x86_64__)
#include "syscalls_x86_64.def"
#elif defined(__aarch64__)
#include "syscalls_aarch64.def"
#endif
#include "syscalls_common.def"
};

const char *syscall_name(int64_t number)
{
	if (number < 0 || (uint64_t)number >= ARRAY_SIZE(names))
		return NULL;
	return names[number];
}

#undef SYS
#define SYS(number, name) #name,

/* Of every architecture: a catalogue of names is the same everywhere. */
static const char *const every_name[] = {
#include "syscalls_aarch64.def"
#include "syscalls_common.def"
#include "syscalls_x86_64.def"
};

bool syscall_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(every_name); i++)
		if (!strcmp(name, every_name[i]))
			return true;
	return false;
}
