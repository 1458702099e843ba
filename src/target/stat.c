/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stat.c - /proc/PID/stat, task/TID/stat, schedstat and timens_offsets
 */
#include "scan.h"
#include "stallscope/target.h"

/* Numbers of the fields behind the command name, as proc(5) counts them. */
enum {
	F_PPID = 4,
	F_PGRP,
	F_SESSION,
	F_FLAGS = 9,
	F_MINFLT,
	F_MAJFLT = 12,
	F_UTIME = 14,
	F_STIME,
	F_NICE = 19,
	F_NUM_THREADS,
	F_STARTTIME = 22,
	F_START_CODE = 26,
	F_END_CODE,
	F_STARTSTACK,
	F_PROCESSOR = 39,
	F_COUNT
};

static bool bad_stat(struct error *err, const char *what)
{
	return error_set(err, ERR_CORRUPT, "stat: %s", what);
}

/*
 * The name stands in parentheses and may hold anything but NUL, also ") (" and newlines. All
 * behind it are numbers and a letter, so the last parenthesis ends it.
 */
static bool parse_comm(struct scan *s, struct proc_stat *st)
{
	const char *open = memchr(s->p, '(', scan_left(s));
	const char *close = s->end;
	size_t len;

	if (!open)
		return false;
	while (*--close != ')')
		if (close == open)
			return false;
	len = (size_t)(close - open) - 1;
	if (len >= sizeof(st->comm))
		len = sizeof(st->comm) - 1;
	memcpy(st->comm, open + 1, len);
	st->comm[len] = '\0';
	s->p = close + 1;
	return true;
}

/* One number, as 64 bits whatever its sign; something must follow, else it may have been cut. */
static bool parse_field(struct scan *s, uint64_t *ret)
{
	bool negative;
	uint64_t value;

	scan_blanks(s);
	negative = scan_char(s, '-');
	if (!scan_u64(s, &value) || scan_at_end(s) || (*s->p != ' ' && *s->p != '\n'))
		return false;
	*ret = negative ? 0 - value : value;
	return true;
}

static void take_fields(struct proc_stat *st, const uint64_t *field)
{
	st->ppid = (int32_t)field[F_PPID];
	st->pgrp = (int32_t)field[F_PGRP];
	st->session = (int32_t)field[F_SESSION];
	st->flags = field[F_FLAGS];
	st->minflt = field[F_MINFLT];
	st->majflt = field[F_MAJFLT];
	st->utime = field[F_UTIME];
	st->stime = field[F_STIME];
	st->nice = (int64_t)field[F_NICE];
	st->num_threads = (int64_t)field[F_NUM_THREADS];
	st->starttime = field[F_STARTTIME];
	st->start_code = field[F_START_CODE];
	st->end_code = field[F_END_CODE];
	st->startstack = field[F_STARTSTACK];
	st->processor = (int32_t)field[F_PROCESSOR];
}

bool proc_stat_parse(const char *text, size_t len, struct proc_stat *ret, struct error *err)
{
	struct scan s = scan_init(text, len);
	struct proc_stat st = {0};
	uint64_t field[F_COUNT] = {0};

	if (!parse_comm(&s, &st))
		return bad_stat(err, "no command name");
	scan_blanks(&s);
	if (scan_at_end(&s) || *s.p <= ' ' || *s.p > '~')
		return bad_stat(err, "no state");
	st.state = *s.p++;
	for (unsigned i = F_PPID; i < F_COUNT; i++)
		if (!parse_field(&s, &field[i]))
			return error_set(err, ERR_CORRUPT, "stat: field %u is malformed", i);
	take_fields(&st, field);
	*ret = st;
	return true;
}

bool proc_schedstat_parse(const char *text, size_t len, struct proc_schedstat *ret,
			  struct error *err)
{
	struct scan s = scan_init(text, len);
	struct proc_schedstat sched;

	if (!parse_field(&s, &sched.on_cpu_ns) || !parse_field(&s, &sched.run_queue_ns) ||
	    !parse_field(&s, &sched.slices))
		return error_set(err, ERR_CORRUPT, "schedstat is malformed");
	*ret = sched;
	return true;
}

/* "monotonic           86400         0": seconds (either sign) and nanoseconds (never less than 0)
 */
int64_t timens_monotonic_parse(const char *text, size_t len)
{
	static const char key[] = "monotonic";
	struct scan s = scan_init(text, len), line;
	int64_t sec, nsec, total;
	bool whole;

	while (scan_line(&s, &line, &whole)) {
		if (!whole || !scan_text(&line, key, sizeof(key) - 1))
			continue;
		scan_blanks(&line);
		if (!scan_i64(&line, &sec))
			return 0;
		scan_blanks(&line);
		if (!scan_i64(&line, &nsec) || nsec < 0 || nsec >= 1000000000)
			return 0;
		if (__builtin_mul_overflow(sec, (int64_t)1000000000, &total) ||
		    __builtin_add_overflow(total, nsec, &total))
			return 0;
		return total;
	}
	return 0;
}
