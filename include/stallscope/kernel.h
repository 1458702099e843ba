/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - what the kernel does to a process as a whole: quotas, freezers, limits, pressure
 *
 * Texts of /proc and of cgroup file systems in, structs out, as in target.h. Both versions of
 * cgroups are read, and machines that have both at once.
 */
#ifndef STALLSCOPE_KERNEL_H
#define STALLSCOPE_KERNEL_H

#include "stallscope/target.h"

/* ---- where cgroups are ------------------------------------------------------------------ */

enum cgroup_hierarchy { CGROUP_V2, CGROUP_V1_CPU, CGROUP_V1_FREEZER, CGROUP_HIERARCHIES };

struct cgroup_mount {
	const char *root;  /* path in the hierarchy of what is mounted, "/" all of it */
	const char *point; /* absolute */
	uint8_t has;	   /* bits 1 << enum cgroup_hierarchy */
};

#define CGROUP_MOUNTS_MAX 64u

struct cgroup_mounts {
	struct cgroup_mount *v; /* in the arena */
	size_t n;
};

/* Mounted cgroup file systems by the text of /proc/PID/mountinfo. */
bool cgroup_mounts_parse(const char *text, size_t len, struct arena *arena,
			 struct cgroup_mounts *ret, struct error *err);

/* The directory of a cgroup. Of those above it, the ones up to path[0..top) can be seen. */
struct cgroup_dir {
	const char *path; /* "/sys/fs/cgroup/a/b", no slash at the end */
	size_t top;	  /* bytes of the mount point */
};

/*
 * False when no mount shows the cgroup `path` (as /proc/PID/cgroup names it): another one is
 * mounted, or it lies outside of our cgroup namespace ("/../x").
 */
bool cgroup_find(const struct cgroup_mounts *mounts, enum cgroup_hierarchy hierarchy,
		 const char *path, struct arena *arena, struct cgroup_dir *ret);

/* ---- files of a cgroup -------------------------------------------------------------------- */

/* cpu.stat of either version. */
struct cgroup_cpu_stat {
	bool have; /* a root, and one without the cpu controller, do not count this */
	uint64_t nr_periods, nr_throttled, throttled_us;
};

bool cgroup_cpu_stat_parse(const char *text, size_t len, struct cgroup_cpu_stat *ret,
			   struct error *err);

/* Cores by cpu.max ("50000 100000"), or by a quota and a period in microseconds; 0: no quota. */
bool cgroup_cpu_max_parse(const char *text, size_t len, double *cores, struct error *err);
bool cgroup_cfs_parse(const char *quota, size_t quota_len, const char *period, size_t period_len,
		      double *cores, struct error *err);

/* cgroup.events; before Linux 5.2 it does not tell: *have false. */
bool cgroup_events_parse(const char *text, size_t len, bool *have, bool *frozen, struct error *err);

/* freezer.state, which holds for what is above, too; on the way there counts. */
bool cgroup_freezer_parse(const char *text, size_t len, bool *frozen, struct error *err);

/* ---- the machine, the process -------------------------------------------------------------- */

/* /proc/pressure/X or X.pressure: percent of the last ten seconds, microseconds so far. */
struct pressure {
	bool have_some, have_full;
	double some_avg10, full_avg10;
	uint64_t some_us, full_us;
};

bool pressure_parse(const char *text, size_t len, struct pressure *ret, struct error *err);

/* Ticks of all CPUs by /proc/stat: what a hypervisor gave to others, and all there were. */
struct cpu_ticks {
	uint64_t steal, total;
};

bool cpu_ticks_parse(const char *text, size_t len, struct cpu_ticks *ret, struct error *err);

/* "Max open files" of /proc/PID/limits; UINT64_MAX: unlimited. */
struct file_limit {
	uint64_t soft, hard;
};

bool file_limit_parse(const char *text, size_t len, struct file_limit *ret, struct error *err);

#endif
