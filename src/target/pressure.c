/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pressure.c - what a process has to share and how much of it there is: pressure stall
 * information, /proc/stat, /proc/PID/limits
 */
#include "scan.h"
#include "stallscope/kernel.h"

/* ---- pressure -------------------------------------------------------------------------------- */

/* "12.34", a percentage */
static bool parse_percent(struct scan *s, double *ret)
{
	const char *digits;
	uint64_t whole, part;

	if (!scan_u64(s, &whole) || !scan_char(s, '.'))
		return false;
	digits = s->p;
	if (!scan_u64(s, &part) || s->p - digits != 2)
		return false;
	*ret = (double)whole + (double)part / 100;
	return *ret <= 100;
}

/* "avg10=0.00 avg60=0.56 avg300=4.98 total=55411784" */
static bool parse_averages(struct scan *s, double *avg10, uint64_t *total)
{
	double other;

	return scan_text(s, "avg10=", 6) && parse_percent(s, avg10) && scan_text(s, " avg60=", 7) &&
	       parse_percent(s, &other) && scan_text(s, " avg300=", 8) &&
	       parse_percent(s, &other) && scan_text(s, " total=", 7) && scan_u64(s, total) &&
	       scan_at_end(s);
}

bool pressure_parse(const char *text, size_t len, struct pressure *ret, struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct pressure p = {0};
	bool whole, ok = true;

	while (ok && scan_line(&s, &line, &whole) && whole) {
		if (scan_text(&line, "some ", 5))
			ok = p.have_some = parse_averages(&line, &p.some_avg10, &p.some_us);
		else if (scan_text(&line, "full ", 5))
			ok = p.have_full = parse_averages(&line, &p.full_avg10, &p.full_us);
	}
	if (!ok || (!p.have_some && !p.have_full))
		return error_set(err, ERR_CORRUPT, "the pressure is malformed");
	*ret = p;
	return true;
}

/* ---- /proc/stat ------------------------------------------------------------------------------ */

/* "cpu  user nice system idle iowait irq softirq steal guest guest_nice": guests are in user. */
bool cpu_ticks_parse(const char *text, size_t len, struct cpu_ticks *ret, struct error *err)
{
	enum { STEAL = 7, COUNTED };
	struct scan s = scan_init(text, len), line;
	struct cpu_ticks ticks = {0, 0};
	bool whole;

	if (!scan_line(&s, &line, &whole) || !whole || !scan_text(&line, "cpu ", 4))
		return error_set(err, ERR_CORRUPT, "the first line of stat is malformed");
	for (unsigned i = 0; i < COUNTED; i++) {
		uint64_t value;

		scan_blanks(&line);
		if (!scan_u64(&line, &value) ||
		    __builtin_add_overflow(ticks.total, value, &ticks.total))
			return error_set(err, ERR_CORRUPT, "the first line of stat is malformed");
		if (i == STEAL)
			ticks.steal = value;
	}
	*ret = ticks;
	return true;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static bool parse_limit(struct scan *s, uint64_t *ret)
{
	static const char unlimited[] = "unlimited";

	scan_blanks(s);
	if (scan_text(s, unlimited, sizeof(unlimited) - 1))
		*ret = UINT64_MAX;
	else if (!scan_u64(s, ret))
		return false;
	return !scan_at_end(s) && *s->p == ' ';
}

/* "Max open files            1024                 1048576              files     " */
bool file_limit_parse(const char *text, size_t len, struct file_limit *ret, struct error *err)
{
	static const char key[] = "Max open files ";
	struct scan s = scan_init(text, len), line;
	struct file_limit limit;
	bool whole;

	while (scan_line(&s, &line, &whole) && whole) {
		if (!scan_text(&line, key, sizeof(key) - 1))
			continue;
		if (!parse_limit(&line, &limit.soft) || !parse_limit(&line, &limit.hard))
			break;
		*ret = limit;
		return true;
	}
	return error_set(err, ERR_CORRUPT, "limits is malformed");
}
