/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locks.c - /proc/locks: locks on files, and below each who waits for it
 *
 *	1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF
 *	1: -> FLOCK  ADVISORY  WRITE 360 00:13:11691 0 EOF
 *	2: POSIX  ADVISORY  READ 361 fd:01:1213 128 129
 */
#include "scan.h"
#include "stallscope/target.h"

struct entry {
	uint64_t number;
	bool waits;
	struct proc_lock lock;
};

static bool take_word(struct scan *s, char *out, size_t size)
{
	const char *start;
	size_t len;

	scan_blanks(s);
	start = s->p;
	while (s->p < s->end && *s->p != ' ')
		s->p++;
	len = (size_t)(s->p - start);
	if (!len || len >= size)
		return false;
	memcpy(out, start, len);
	out[len] = 0;
	return true;
}

/* Major and minor are hexadecimal, the inode is not. */
static bool take_file(struct scan *s, struct proc_lock *lock)
{
	uint64_t high, low;

	scan_blanks(s);
	if (!scan_hex(s, &high) || !scan_char(s, ':') || !scan_hex(s, &low) || !scan_char(s, ':') ||
	    !scan_u64(s, &lock->inode))
		return false;
	lock->dev_major = (uint32_t)high;
	lock->dev_minor = (uint32_t)low;
	return true;
}

static bool parse_entry(struct scan *s, struct entry *e)
{
	char word[16];

	*e = (struct entry){0};
	if (!scan_u64(s, &e->number) || !scan_char(s, ':'))
		return false;
	scan_blanks(s); /* who waits for one that waits is indented */
	e->waits = scan_text(s, "->", 2);
	if (!take_word(s, e->lock.kind, sizeof(e->lock.kind)) ||
	    !take_word(s, word, sizeof(word)) || !take_word(s, word, sizeof(word)))
		return false;
	e->lock.exclusive = !strcmp(word, "WRITE");
	return scan_i32(s, &e->lock.pid) && take_file(s, &e->lock);
}

bool proc_locks_blocker(const char *text, size_t len, int32_t waiter, uint64_t inode,
			struct proc_lock *ret)
{
	struct scan s = scan_init(text, len), line;
	struct entry held = {0}, e;
	bool any = false;

	while (scan_line(&s, &line, NULL)) {
		if (!parse_entry(&line, &e))
			continue;
		if (!e.waits) {
			held = e;
			any = true;
		} else if (any && e.number == held.number && e.lock.pid == waiter &&
			   (!inode || e.lock.inode == inode)) {
			*ret = held.lock;
			return true;
		}
	}
	return false;
}
