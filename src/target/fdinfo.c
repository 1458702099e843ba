/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdinfo.c - /proc/PID/fdinfo/N: "key:\tvalue" lines, the keys depend on what it is
 *
 *	pos:	0
 *	flags:	0100002
 *	mnt_id:	15
 *	ino:	4
 *	lock:	1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF
 *	tfd:        5 events:       19 data:                5  pos:0 ino:7 sdev:8
 */
#include "scan.h"
#include "stallscope/target.h"

static bool has_key(struct scan *s, const char *key)
{
	if (!scan_text(s, key, strlen(key)))
		return false;
	scan_blanks(s);
	return true;
}

static bool octal(struct scan *s, uint32_t *ret)
{
	const char *start = s->p;
	uint32_t value = 0;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '7') {
		if (value >> 29)
			return false;
		value = value << 3 | (uint32_t)(*s->p++ - '0');
	}
	*ret = value;
	return s->p > start;
}

static void add_target(struct proc_fdinfo *info, struct scan *line)
{
	int32_t fd;

	if (!scan_i32(line, &fd) || fd < 0)
		return;
	if (info->n_targets < FDINFO_TARGETS)
		info->targets[info->n_targets] = fd;
	info->n_targets++;
}

bool proc_fdinfo_parse(const char *text, size_t len, struct proc_fdinfo *ret, struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct proc_fdinfo info = {0};

	while (scan_line(&s, &line, NULL)) {
		if (has_key(&line, "flags:"))
			info.have_flags = octal(&line, &info.flags);
		else if (has_key(&line, "ino:") && !scan_u64(&line, &info.inode))
			info.inode = 0;
		else if (has_key(&line, "Pid:") && !scan_i32(&line, &info.pid))
			info.pid = 0;
		else if (has_key(&line, "lock:"))
			info.has_lock = true;
		else if (has_key(&line, "tfd:"))
			add_target(&info, &line);
	}
	if (!info.have_flags)
		return error_set(err, ERR_CORRUPT, "fdinfo has no flags");
	*ret = info;
	return true;
}
