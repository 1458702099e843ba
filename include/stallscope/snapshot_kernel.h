/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_kernel.h - part of a snapshot: what the kernel does to the process as a whole
 *
 * Quotas, pressure, steal and page faults as counters, of which two looks give a rate; frozen
 * cgroups, limits of descriptors and the tracer as they stand.
 */
#ifndef STALLSCOPE_SNAPSHOT_KERNEL_H
#define STALLSCOPE_SNAPSHOT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What the kernel counts for the process as a whole; differences of two of them tell. Taken in
 * the full look and again by snapshot_look(), soon once and then every SNAP_KERNEL_STEP_NS.
 */
struct snap_kernel {
	uint64_t clock_ns; /* 0: nothing was read */
	/* of the cgroups that have a quota (all of the process's: its own and those above it) */
	bool have_cpu_stat;
	uint64_t nr_periods, nr_throttled, throttled_us;
	bool have_steal; /* of the machine, in ticks of all its CPUs */
	uint64_t steal_ticks, total_ticks;
	/*
	 * Of the cgroup, else of the machine, in percent of the last ten seconds. The kernel adds
	 * to the totals every two seconds only: over a shorter time their difference means nothing.
	 */
	bool have_pressure;
	double cpu_some_avg10, memory_full_avg10;
	uint64_t cpu_some_us, memory_full_us;
	bool have_majflt; /* of all threads */
	uint64_t majflt;
};

#define SNAP_KERNEL_FIRST_NS UINT64_C(10000000)
#define SNAP_KERNEL_STEP_NS  UINT64_C(50000000)

/* What surrounds the process. */
struct snap_limits {
	bool have_frozen, frozen;
	const char *frozen_how; /* "cgroup.events frozen 1 of /a/b", "wchan __refrigerator" */
	bool have_quota;
	double cpu_quota_cores;	      /* 0: none in the cgroups that can be seen */
	bool have_fds_limit;	      /* soft RLIMIT_NOFILE; SNAP_UNLIMITED */
	uint64_t fds_limit, fds_hard; /* descriptors */
	bool have_fds_open;	      /* not counted when there may be very many */
	uint64_t fds_open;
	const char *tracer_command; /* NULL: no tracer, or not known */
};

#define SNAP_UNLIMITED UINT64_MAX

#endif
