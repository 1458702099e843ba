/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_files.c - cpu.stat, cpu.max, cgroup.events, freezer.state
 */
#include "scan.h"
#include "stallscope/kernel.h"

#define US_PER_S UINT64_C(1000000)
/* More cores than there are: a period is 1 ms at least, a quota below 2^44 us (kernel/sched). */
#define QUOTA_MAX (UINT64_C(1) << 53)

/* "key 123"; false when that is not what the line is. */
static bool parse_pair(struct scan line, const char *key, uint64_t *value)
{
	size_t len = strlen(key);
	uint64_t found;

	if (!scan_text(&line, key, len) || !scan_char(&line, ' ') || !scan_u64(&line, &found) ||
	    !scan_at_end(&line))
		return false;
	*value = found;
	return true;
}

/* ---- cpu.stat -------------------------------------------------------------------------------- */

bool cgroup_cpu_stat_parse(const char *text, size_t len, struct cgroup_cpu_stat *ret,
			   struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct cgroup_cpu_stat st = {0};
	unsigned seen = 0;
	uint64_t ns;
	bool whole;

	while (scan_line(&s, &line, &whole) && whole) {
		if (parse_pair(line, "nr_periods", &st.nr_periods))
			seen |= 1;
		else if (parse_pair(line, "nr_throttled", &st.nr_throttled))
			seen |= 2;
		else if (parse_pair(line, "throttled_usec", &st.throttled_us)) /* v2 */
			seen |= 4;
		else if (parse_pair(line, "throttled_time", &ns)) { /* v1 */
			st.throttled_us = ns / 1000;
			seen |= 4;
		}
	}
	if (seen != 0 && seen != 7)
		return error_set(err, ERR_CORRUPT, "cpu.stat is malformed");
	st.have = seen == 7;
	*ret = st;
	return true;
}

/* ---- quotas ---------------------------------------------------------------------------------- */

/* The whole text is one line. */
static bool only_line(const char *text, size_t len, struct scan *line)
{
	struct scan s = scan_init(text, len);
	bool whole;

	return scan_line(&s, line, &whole) && whole && scan_at_end(&s);
}

static bool take_cores(uint64_t quota, uint64_t period, double *cores)
{
	if (!quota || !period || quota > QUOTA_MAX || period > US_PER_S * 10)
		return false;
	*cores = (double)quota / (double)period;
	return true;
}

bool cgroup_cpu_max_parse(const char *text, size_t len, double *cores, struct error *err)
{
	struct scan line;
	uint64_t quota = 0, period;
	bool none;

	if (!only_line(text, len, &line))
		return error_set(err, ERR_CORRUPT, "cpu.max is malformed");
	none = scan_text(&line, "max", 3);
	if ((!none && !scan_u64(&line, &quota)) || !scan_char(&line, ' ') ||
	    !scan_u64(&line, &period) || !scan_at_end(&line) ||
	    (!none && !take_cores(quota, period, cores)))
		return error_set(err, ERR_CORRUPT, "cpu.max is malformed");
	if (none)
		*cores = 0;
	return true;
}

bool cgroup_cfs_parse(const char *quota, size_t quota_len, const char *period, size_t period_len,
		      double *cores, struct error *err)
{
	struct scan first, second;
	uint64_t length;
	int64_t us;

	if (!only_line(quota, quota_len, &first) || !scan_i64(&first, &us) ||
	    !scan_at_end(&first) || !only_line(period, period_len, &second) ||
	    !scan_u64(&second, &length) || !scan_at_end(&second) ||
	    (us >= 0 && !take_cores((uint64_t)us, length, cores)))
		return error_set(err, ERR_CORRUPT, "the quota is malformed");
	if (us < 0)
		*cores = 0;
	return true;
}

/* ---- frozen ---------------------------------------------------------------------------------- */

bool cgroup_events_parse(const char *text, size_t len, bool *have, bool *frozen, struct error *err)
{
	struct scan s = scan_init(text, len), line;
	bool seen = false, populated = false, whole;
	uint64_t value = 0, other;

	while (scan_line(&s, &line, &whole) && whole) {
		seen |= parse_pair(line, "frozen", &value);
		populated |= parse_pair(line, "populated", &other);
	}
	if (!populated || value > 1)
		return error_set(err, ERR_CORRUPT, "cgroup.events is malformed");
	*have = seen;
	*frozen = value == 1;
	return true;
}

bool cgroup_freezer_parse(const char *text, size_t len, bool *frozen, struct error *err)
{
	static const char *const states[] = {"THAWED", "FREEZING", "FROZEN"};
	struct scan line;

	for (size_t i = 0; i < ARRAY_SIZE(states) && only_line(text, len, &line); i++) {
		if (scan_left(&line) != strlen(states[i]) ||
		    memcmp(line.p, states[i], strlen(states[i])) != 0)
			continue;
		*frozen = i > 0;
		return true;
	}
	return error_set(err, ERR_CORRUPT, "freezer.state is malformed");
}
