/* SPDX-License-Identifier: Apache-2.0 */
/* process.kernel: what the kernel does to the process */
#include "json.h"

/* Negative: unknown. */
static json_t *rate(double value)
{
	return value >= 0 ? json_real(value) : json_null();
}

static json_t *counted(bool have, uint64_t value)
{
	return have && value <= INT64_MAX ? json_integer((json_int_t)value) : json_null();
}

static json_t *tracer(const struct snapshot *s)
{
	if (s->tracer <= 0)
		return json_null();
	return json_pack("{si so}", "pid", (int)s->tracer, "command",
			 string(s->limits.tracer_command));
}

json_t *json_kernel(const struct snapshot *s)
{
	const struct snap_limits *l = &s->limits;
	const struct snap_kernel *k = &s->kernel_last;

	return json_pack(
		"{so so so so so so so so so so so so}", "frozen",
		l->have_frozen ? json_boolean(l->frozen) : json_null(), "frozen_how",
		string(l->frozen_how), "cpu_quota_cores",
		rate(l->have_quota ? l->cpu_quota_cores : -1), "throttled_ratio",
		rate(snap_throttled_ratio(s)), "throttled_s", rate(snap_throttled_s(s)),
		"steal_ratio", rate(snap_steal_ratio(s)), "cpu_pressure_ratio",
		rate(k->have_pressure ? k->cpu_some_avg10 / 100 : -1), "memory_pressure_ratio",
		rate(k->have_pressure ? k->memory_full_avg10 / 100 : -1), "major_faults_per_s",
		rate(snap_majflt_per_s(s)), "fds_open", counted(l->have_fds_open, l->fds_open),
		"fds_limit", counted(l->have_fds_limit, l->fds_limit), "tracer", tracer(s));
}

json_t *json_gc_ratio(const struct snapshot *s, uint64_t loop)
{
	return rate(snap_gc_ratio(s, loop));
}
