/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.kernel: what the kernel does to the process. Rates are of the time between the first
 * look and the last one.
 */
#include "json.h"

#define NS_PER_S 1e9
#define US_PER_S 1e6

static json_t *known(bool have, double value)
{
	return have ? json_real(value) : json_null();
}

static json_t *counted(bool have, uint64_t value)
{
	return have && value <= INT64_MAX ? json_integer((json_int_t)value) : json_null();
}

/* The cgroup may have been left meanwhile: then a counter goes back. */
static bool grew(uint64_t first, uint64_t last, double *by)
{
	if (last < first)
		return false;
	*by = (double)(last - first);
	return true;
}

static json_t *throttled_ratio(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;
	double throttled, periods;

	if (s->limits.have_quota && s->limits.cpu_quota_cores <= 0)
		return json_real(0);
	if (!a->have_cpu_stat || !b->have_cpu_stat ||
	    !grew(a->nr_throttled, b->nr_throttled, &throttled) ||
	    !grew(a->nr_periods, b->nr_periods, &periods) || periods <= 0)
		return json_null();
	return json_real(throttled < periods ? throttled / periods : 1);
}

static json_t *throttled_s(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;
	double us;
	bool have =
		a->have_cpu_stat && b->have_cpu_stat && grew(a->throttled_us, b->throttled_us, &us);

	return known(have, have ? us / US_PER_S : 0);
}

static json_t *steal_ratio(const struct snap_kernel *a, const struct snap_kernel *b)
{
	double steal, total;
	bool have = a->have_steal && b->have_steal &&
		    grew(a->steal_ticks, b->steal_ticks, &steal) &&
		    grew(a->total_ticks, b->total_ticks, &total) && total > 0;

	return known(have, have ? steal / total : 0);
}

static json_t *faults_per_s(const struct snap_kernel *a, const struct snap_kernel *b)
{
	double faults, ns;
	bool have = a->have_majflt && b->have_majflt && grew(a->majflt, b->majflt, &faults) &&
		    grew(a->clock_ns, b->clock_ns, &ns) && ns > 0;

	return known(have, have ? faults * NS_PER_S / ns : 0);
}

static json_t *tracer(const struct snapshot *s)
{
	json_t *object;

	if (s->tracer <= 0)
		return json_null();
	object = json_object();
	json_object_set_new(object, "pid", json_integer(s->tracer));
	json_object_set_new(object, "command",
			    s->limits.tracer_command ? json_string(s->limits.tracer_command)
						     : json_null());
	return object;
}

json_t *json_kernel(const struct snapshot *s)
{
	const struct snap_limits *l = &s->limits;
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;
	json_t *k = json_object();

	json_object_set_new(k, "frozen", l->have_frozen ? json_boolean(l->frozen) : json_null());
	json_object_set_new(k, "frozen_how",
			    l->frozen_how ? json_string(l->frozen_how) : json_null());
	json_object_set_new(k, "cpu_quota_cores", known(l->have_quota, l->cpu_quota_cores));
	json_object_set_new(k, "throttled_ratio", throttled_ratio(s));
	json_object_set_new(k, "throttled_s", throttled_s(s));
	json_object_set_new(k, "steal_ratio", steal_ratio(a, b));
	json_object_set_new(k, "cpu_pressure_ratio",
			    known(b->have_pressure, b->cpu_some_avg10 / 100));
	json_object_set_new(k, "memory_pressure_ratio",
			    known(b->have_pressure, b->memory_full_avg10 / 100));
	json_object_set_new(k, "major_faults_per_s", faults_per_s(a, b));
	json_object_set_new(k, "fds_open", counted(l->have_fds_open, l->fds_open));
	json_object_set_new(k, "fds_limit", counted(l->have_fds_limit, l->fds_limit));
	json_object_set_new(k, "tracer", tracer(s));
	return k;
}

json_t *json_gc_ratio(const struct snapshot *s, uint64_t loop)
{
	size_t looks = 0, collecting = 0;

	for (size_t i = 0; i < s->n_looks; i++) {
		const struct snap_look *l = &s->looks[i];

		if (l->loop != loop || !l->have_more)
			continue;
		looks++;
		collecting += l->gc;
	}
	return known(looks > 0, looks ? (double)collecting / (double)looks : 0);
}
