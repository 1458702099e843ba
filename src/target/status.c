/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - /proc/PID/status and task/TID/status
 *
 * Lines "Key:\tvalue". The command name in the first of them cannot forge a line:
 * the kernel escapes newlines there.
 */
#include "scan.h"
#include "stallscope/target.h"

static bool parse_state(struct scan *s, struct proc_status *st)
{
	scan_blanks(s);
	if (scan_at_end(s) || *s->p <= ' ' || *s->p > '~')
		return false;
	st->state = *s->p;
	return true;
}

static bool parse_u64(struct scan *s, uint64_t *ret)
{
	scan_blanks(s);
	return scan_u64(s, ret);
}

static bool parse_ids(struct scan *s, uint32_t *ids)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t value;

		if (!parse_u64(s, &value) || value > UINT32_MAX)
			return false;
		ids[i] = (uint32_t)value;
	}
	return true;
}

/* Namespaces nest 32 deep; of more than fit the innermost is kept: that is what is asked for. */
static bool parse_nspid(struct scan *s, struct proc_status *st)
{
	st->nspids = 0;
	for (scan_blanks(s); !scan_at_end(s); scan_blanks(s)) {
		int32_t pid;

		if (!scan_i32(s, &pid))
			return false;
		if (st->nspids < NSPID_MAX)
			st->nspids++;
		st->nspid[st->nspids - 1] = pid;
	}
	return st->nspids > 0;
}

static bool parse_caps(struct scan *s, uint64_t *caps)
{
	scan_blanks(s);
	return scan_hex(s, caps);
}

static bool parse_u32(struct scan *s, uint32_t *ret)
{
	uint64_t value;

	if (!parse_u64(s, &value) || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

enum key {
	KEY_STATE,
	KEY_TGID,
	KEY_PID,
	KEY_PPID,
	KEY_TRACER,
	KEY_UID,
	KEY_GID,
	KEY_NSPID,
	KEY_FDSIZE,
	KEY_CAP_PRM,
	KEY_CAP_EFF,
	KEY_THREADS,
	KEY_VOLUNTARY,
	KEY_INVOLUNTARY,
	KEY_RSS,
	KEY_COUNT
};

#define NEEDED (1u << KEY_STATE | 1u << KEY_TGID | 1u << KEY_PID | 1u << KEY_UID | 1u << KEY_GID)

struct key_name {
	const char *text;
	size_t len;
};

#define NAME(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static const struct key_name key_names[KEY_COUNT] = {
	[KEY_STATE] = NAME("State"),
	[KEY_TGID] = NAME("Tgid"),
	[KEY_PID] = NAME("Pid"),
	[KEY_PPID] = NAME("PPid"),
	[KEY_TRACER] = NAME("TracerPid"),
	[KEY_UID] = NAME("Uid"),
	[KEY_GID] = NAME("Gid"),
	[KEY_NSPID] = NAME("NSpid"),
	[KEY_FDSIZE] = NAME("FDSize"),
	[KEY_CAP_PRM] = NAME("CapPrm"),
	[KEY_CAP_EFF] = NAME("CapEff"),
	[KEY_THREADS] = NAME("Threads"),
	[KEY_VOLUNTARY] = NAME("voluntary_ctxt_switches"),
	[KEY_INVOLUNTARY] = NAME("nonvoluntary_ctxt_switches"),
	[KEY_RSS] = NAME("VmRSS"),
};

static bool parse_value(enum key key, struct scan *s, struct proc_status *st)
{
	switch (key) {
	case KEY_STATE:
		return parse_state(s, st);
	case KEY_TGID:
		return scan_i32(s, &st->tgid);
	case KEY_PID:
		return scan_i32(s, &st->pid);
	case KEY_PPID:
		return scan_i32(s, &st->ppid);
	case KEY_TRACER:
		return scan_i32(s, &st->tracer);
	case KEY_UID:
		return parse_ids(s, st->uid);
	case KEY_GID:
		return parse_ids(s, st->gid);
	case KEY_NSPID:
		return parse_nspid(s, st);
	case KEY_FDSIZE:
		return parse_u32(s, &st->fd_slots);
	case KEY_CAP_PRM:
		return parse_caps(s, &st->cap_prm);
	case KEY_CAP_EFF:
		return parse_caps(s, &st->cap_eff);
	case KEY_THREADS:
		return parse_u32(s, &st->threads);
	case KEY_VOLUNTARY:
		return parse_u64(s, &st->voluntary);
	case KEY_INVOLUNTARY:
		return parse_u64(s, &st->involuntary);
	case KEY_RSS:
		return parse_u64(s, &st->rss_kib);
	case KEY_COUNT:
		break;
	}
	return false;
}

/* Takes "Key:" of a line; KEY_COUNT when it is none of ours. */
static enum key parse_key(struct scan *line)
{
	const char *colon = memchr(line->p, ':', scan_left(line));
	size_t len;

	if (!colon)
		return KEY_COUNT;
	len = (size_t)(colon - line->p);
	for (unsigned key = 0; key < KEY_COUNT; key++) {
		if (key_names[key].len == len && memcmp(key_names[key].text, line->p, len) == 0) {
			line->p = colon + 1;
			return (enum key)key;
		}
	}
	return KEY_COUNT;
}

bool proc_status_parse(const char *text, size_t len, struct proc_status *ret, struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct proc_status st = {0};
	unsigned seen = 0;
	bool whole;

	while (scan_line(&s, &line, &whole) && whole) {
		enum key key = parse_key(&line);

		if (key == KEY_COUNT)
			continue;
		if (!parse_value(key, &line, &st))
			return error_set(err, ERR_CORRUPT, "status: %s is malformed",
					 key_names[key].text);
		seen |= 1u << key;
	}
	if ((seen & NEEDED) != NEEDED)
		return error_set(err, ERR_CORRUPT, "status: lines are missing");
	*ret = st;
	return true;
}
