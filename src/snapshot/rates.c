/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rates between the first look and the last one. A counter that went back is another one: the
 * process was moved to a cgroup elsewhere, or its machine.
 */
#include "stallscope/snapshot.h"

#define UNKNOWN (-1.0)

static double grew(uint64_t first, uint64_t last)
{
	return last < first ? UNKNOWN : (double)(last - first);
}

static double ratio(double part, double whole)
{
	if (part < 0 || whole <= 0)
		return UNKNOWN;
	return part < whole ? part / whole : 1;
}

double snap_throttled_ratio(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;

	if (s->limits.have_quota && s->limits.cpu_quota_cores <= 0)
		return 0;
	if (!a->have_cpu_stat || !b->have_cpu_stat)
		return UNKNOWN;
	return ratio(grew(a->nr_throttled, b->nr_throttled), grew(a->nr_periods, b->nr_periods));
}

double snap_throttled_s(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;
	double us;

	if (!a->have_cpu_stat || !b->have_cpu_stat)
		return UNKNOWN;
	us = grew(a->throttled_us, b->throttled_us);
	return us < 0 ? UNKNOWN : us / 1e6;
}

double snap_steal_ratio(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;

	if (!a->have_steal || !b->have_steal)
		return UNKNOWN;
	return ratio(grew(a->steal_ticks, b->steal_ticks), grew(a->total_ticks, b->total_ticks));
}

double snap_majflt_per_s(const struct snapshot *s)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;
	double ns = grew(a->clock_ns, b->clock_ns), faults = grew(a->majflt, b->majflt);

	if (!a->have_majflt || !b->have_majflt || ns <= 0 || faults < 0)
		return UNKNOWN;
	return faults * 1e9 / ns;
}

double snap_gc_ratio(const struct snapshot *s, uint64_t loop)
{
	size_t looks = 0, collecting = 0;

	for (size_t i = 0; i < s->n_looks; i++) {
		const struct snap_look *l = &s->looks[i];

		if (l->loop != loop || !l->have_more)
			continue;
		looks++;
		collecting += l->gc;
	}
	return ratio((double)collecting, (double)looks);
}
