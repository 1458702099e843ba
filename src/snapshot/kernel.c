/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process as the kernel treats it: frozen, throttled, pressed, traced. The files are looked
 * for once, in the full look; of those that count, light looks read a few again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "stallscope/kernel.h"
#include "stallscope/utf8.h"

#define LEVELS_MAX     32u /* of nested cgroups */
#define QUOTAS_MAX     8u  /* of these that have a quota */
#define COMMAND_CHARS  200u
#define PATH_CHARS     512u
#define FDS_CHEAP      4096u	  /* slots: a list of so many costs less than a millisecond */
#define FDS_LIMIT_MOST (1u << 20) /* nobody comes near to more */

/* What is read again. */
struct kernel_files {
	const char *cpu_stat[QUOTAS_MAX];
	size_t n_cpu_stat;
	bool no_quota; /* and so nothing is ever throttled */
	const char *cpu_pressure, *memory_pressure;
};

/* The cgroups of the process. */
struct places {
	struct proc_cgroup of;
	struct cgroup_dir dir[CGROUP_HIERARCHIES];
	bool found[CGROUP_HIERARCHIES];
};

/* ---- files ----------------------------------------------------------------------------------- */

static const char *path_in(struct arena *arena, const char *dir, size_t len, const char *name)
{
	size_t more = strlen(name);
	char *path = arena_alloc(arena, len + more + 2);

	memcpy(path, dir, len);
	path[len] = '/';
	memcpy(path + len + 1, name, more + 1);
	return path;
}

/* A file of the cgroup whose directory is the first len bytes of dir; NULL when there is none. */
static const struct strbuf *file_in(struct builder *b, const char *dir, size_t len,
				    const char *name)
{
	const struct strbuf *text;

	if (!source_host(b->py->rd.src, path_in(&b->s->arena, dir, len, name), &text, NULL))
		return NULL;
	return text;
}

static const char *safe(struct arena *arena, const char *text, size_t len, size_t max)
{
	cleanup_strbuf struct strbuf sb = STRBUF_INIT;

	utf8_add_safe(&sb, text, len, max);
	return arena_strndup(arena, sb.data, sb.len);
}

/* The length of the directory above; 0 when that cannot be seen. */
static size_t parent(const struct cgroup_dir *dir, size_t len)
{
	if (len <= dir->top)
		return 0;
	while (len > dir->top && dir->path[--len] != '/')
		;
	return len;
}

static void find_places(struct builder *b, struct places *p, bool *known)
{
	struct arena *arena = &b->s->arena;
	struct cgroup_mounts mounts;
	const struct strbuf *text;

	*p = (struct places){0};
	*known = source_proc(b->py->rd.src, "cgroup", &text, NULL) &&
		 proc_cgroup_parse(text->data, text->len, arena, &p->of, NULL);
	if (!*known || !source_host(b->py->rd.src, "/proc/self/mountinfo", &text, NULL) ||
	    !cgroup_mounts_parse(text->data, text->len, arena, &mounts, NULL))
		return;
	for (unsigned i = 0; i < CGROUP_HIERARCHIES; i++) {
		const char *const paths[] = {p->of.v2, p->of.cpu, p->of.freezer};

		p->found[i] = paths[i] && cgroup_find(&mounts, (enum cgroup_hierarchy)i, paths[i],
						      arena, &p->dir[i]);
	}
}

/* ---- frozen ---------------------------------------------------------------------------------- */

/* What is frozen shows in all cgroups below the one where it was asked for: name that one. */
static void set_frozen(struct builder *b, const struct cgroup_dir *dir, const char *says,
		       const char *switched)
{
	struct snap_limits *l = &b->s->limits;
	cleanup_strbuf struct strbuf how = STRBUF_INIT;
	size_t len = strlen(dir->path), at = len;

	for (unsigned i = 0; at && i < LEVELS_MAX; i++, at = parent(dir, at)) {
		const struct strbuf *text = file_in(b, dir->path, at, switched);

		if (text && text->data[0] == '1')
			break;
		if (i + 1 == LEVELS_MAX)
			at = 0;
	}
	at = at ? at : len;
	strbuf_addf(&how, "%s of ", says);
	utf8_add_safe(&how, at > dir->top ? dir->path + dir->top : "/",
		      at > dir->top ? at - dir->top : 1, PATH_CHARS);
	l->frozen = l->have_frozen = true;
	l->frozen_how = arena_strndup(&b->s->arena, how.data, how.len);
}

/* "/" of a hierarchy that we do not see is its root, unless we are in a cgroup namespace. */
static bool is_unseen_root(struct builder *b, const char *path)
{
	static const char initial[] = "cgroup:[4026531835]"; /* PROC_CGROUP_INIT_INO */
	const struct strbuf *text;

	return !strcmp(path, "/") &&
	       source_host(b->py->rd.src, "@/proc/self/ns/cgroup", &text, NULL) &&
	       !strcmp(text->data, initial);
}

/* The root of a hierarchy has no such file and cannot be frozen. False: not known. */
static bool look_v1(struct builder *b, const struct places *p)
{
	const struct cgroup_dir *dir = &p->dir[CGROUP_V1_FREEZER];
	const struct strbuf *text;
	bool frozen;

	if (!p->of.freezer)
		return true;
	if (!p->found[CGROUP_V1_FREEZER])
		return is_unseen_root(b, p->of.freezer);
	text = file_in(b, dir->path, strlen(dir->path), "freezer.state");
	if (!text)
		return !strcmp(p->of.freezer, "/");
	if (!cgroup_freezer_parse(text->data, text->len, &frozen, NULL))
		return false;
	if (frozen)
		set_frozen(b, dir,
			   !strncmp(text->data, "FROZEN", 6) ? "freezer.state FROZEN"
							     : "freezer.state FREEZING",
			   "freezer.self_freezing");
	return true;
}

static bool look_v2(struct builder *b, const struct places *p)
{
	const struct cgroup_dir *dir = &p->dir[CGROUP_V2];
	const struct strbuf *text;
	bool frozen, have;

	if (!p->of.v2)
		return true;
	if (!p->found[CGROUP_V2])
		return is_unseen_root(b, p->of.v2);
	text = file_in(b, dir->path, strlen(dir->path), "cgroup.events");
	if (!text)
		return !strcmp(p->of.v2, "/");
	if (!cgroup_events_parse(text->data, text->len, &have, &frozen, NULL))
		return false;
	if (frozen)
		set_frozen(b, dir, "cgroup.events frozen 1", "cgroup.freeze");
	return have;
}

static void find_frozen(struct builder *b, const struct places *p, bool known)
{
	struct snap_limits *l = &b->s->limits;
	bool v1 = known && look_v1(b, p), v2 = known && look_v2(b, p);

	if (l->frozen)
		return;
	l->have_frozen = v1 && v2;
	for (size_t i = 0; i < b->s->n_threads; i++) {
		if (strcmp(b->s->threads[i].os.wchan, "__refrigerator") != 0)
			continue;
		l->have_frozen = l->frozen = true;
		l->frozen_how = "wchan __refrigerator";
		return;
	}
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static double quota_of(struct builder *b, const char *dir, size_t len, bool v1)
{
	const struct strbuf *text, *period;
	double cores = 0;

	if (!v1) {
		text = file_in(b, dir, len, "cpu.max");
		if (text)
			cgroup_cpu_max_parse(text->data, text->len, &cores, NULL);
		return cores;
	}
	text = file_in(b, dir, len, "cpu.cfs_quota_us");
	if (!text || text->data[0] == '-')
		return 0;
	period = file_in(b, dir, len, "cpu.cfs_period_us");
	if (period)
		cgroup_cfs_parse(text->data, text->len, period->data, period->len, &cores, NULL);
	return cores;
}

/* The smallest quota of the cgroup and those above it: each of them throttles. */
static void find_quota(struct builder *b, const struct places *p, struct kernel_files *files)
{
	bool v1 = p->of.cpu != NULL;
	const struct cgroup_dir *dir = &p->dir[v1 ? CGROUP_V1_CPU : CGROUP_V2];
	struct snap_limits *l = &b->s->limits;
	size_t len;

	if (!p->found[v1 ? CGROUP_V1_CPU : CGROUP_V2])
		return;
	len = strlen(dir->path);
	if (!file_in(b, dir->path, len, "cpu.stat"))
		return; /* each cgroup has this file: it is not there, or not a cgroup */
	l->have_quota = true;
	for (unsigned i = 0; len && i < LEVELS_MAX; i++, len = parent(dir, len)) {
		double cores = quota_of(b, dir->path, len, v1);

		if (cores <= 0)
			continue;
		if (l->cpu_quota_cores <= 0 || cores < l->cpu_quota_cores)
			l->cpu_quota_cores = cores;
		if (files->n_cpu_stat < QUOTAS_MAX)
			files->cpu_stat[files->n_cpu_stat++] =
				path_in(&b->s->arena, dir->path, len, "cpu.stat");
	}
	files->no_quota = !files->n_cpu_stat;
}

/* ---- counters -------------------------------------------------------------------------------- */

/* Throttled is who is throttled at any level; the one with most periods runs longest. */
static void read_throttling(struct source *src, const struct kernel_files *files,
			    struct snap_kernel *k)
{
	k->have_cpu_stat = files->no_quota;
	for (size_t i = 0; i < files->n_cpu_stat; i++) {
		struct cgroup_cpu_stat st;
		const struct strbuf *text;

		if (!source_host(src, files->cpu_stat[i], &text, NULL) ||
		    !cgroup_cpu_stat_parse(text->data, text->len, &st, NULL) || !st.have)
			continue;
		k->have_cpu_stat = true;
		k->nr_throttled += st.nr_throttled;
		k->throttled_us += st.throttled_us;
		if (st.nr_periods > k->nr_periods)
			k->nr_periods = st.nr_periods;
	}
}

static bool read_pressure(struct source *src, const char *path, struct pressure *ret)
{
	const struct strbuf *text;

	return path && source_host(src, path, &text, NULL) &&
	       pressure_parse(text->data, text->len, ret, NULL);
}

static void read_pressures(struct source *src, const struct kernel_files *files,
			   struct snap_kernel *k)
{
	struct pressure cpu, memory;

	if (!read_pressure(src, files->cpu_pressure, &cpu) || !cpu.have_some ||
	    !read_pressure(src, files->memory_pressure, &memory) || !memory.have_full)
		return;
	k->have_pressure = true;
	k->cpu_some_avg10 = cpu.some_avg10;
	k->cpu_some_us = cpu.some_us;
	k->memory_full_avg10 = memory.full_avg10;
	k->memory_full_us = memory.full_us;
}

static void read_counters(struct source *src, const struct kernel_files *files,
			  struct snap_kernel *k)
{
	const struct strbuf *text;
	struct cpu_ticks ticks;
	struct proc_stat st;

	*k = (struct snap_kernel){.clock_ns = source_clock(src)};
	read_throttling(src, files, k);
	read_pressures(src, files, k);
	if (source_host(src, "/proc/stat", &text, NULL) &&
	    cpu_ticks_parse(text->data, text->len, &ticks, NULL)) {
		k->have_steal = true;
		k->steal_ticks = ticks.steal;
		k->total_ticks = ticks.total;
	}
	if (source_proc(src, "stat", &text, NULL) &&
	    proc_stat_parse(text->data, text->len, &st, NULL)) {
		k->have_majflt = true;
		k->majflt = st.majflt;
	}
}

/* The cgroup's own, when it has them: kernels are built without, and v1 never has. */
static void find_pressure(struct builder *b, const struct places *p, struct kernel_files *files)
{
	const struct cgroup_dir *dir = &p->dir[CGROUP_V2];
	size_t len = p->found[CGROUP_V2] ? strlen(dir->path) : 0;

	files->cpu_pressure = "/proc/pressure/cpu";
	files->memory_pressure = "/proc/pressure/memory";
	if (len <= dir->top || !file_in(b, dir->path, len, "cpu.pressure") ||
	    !file_in(b, dir->path, len, "memory.pressure"))
		return;
	files->cpu_pressure = path_in(&b->s->arena, dir->path, len, "cpu.pressure");
	files->memory_pressure = path_in(&b->s->arena, dir->path, len, "memory.pressure");
}

void kernel_refresh(struct source *light, struct snapshot *s)
{
	uint64_t past = source_clock(light) - s->kernel_last.clock_ns;
	bool second = s->kernel_last.clock_ns == s->kernel_first.clock_ns;

	if (!s->kernel_files || past < (second ? SNAP_KERNEL_FIRST_NS : SNAP_KERNEL_STEP_NS))
		return;
	read_counters(light, s->kernel_files, &s->kernel_last);
}

/* ---- the process itself ------------------------------------------------------------------------
 */

static void count_descriptors(struct builder *b, uint32_t slots)
{
	struct snap_limits *l = &b->s->limits;
	const struct strbuf *text;
	struct file_limit limit;

	if (!source_proc(b->py->rd.src, "limits", &text, NULL) ||
	    !file_limit_parse(text->data, text->len, &limit, NULL))
		return;
	l->have_fds_limit = true;
	l->fds_limit = limit.soft;
	l->fds_hard = limit.hard;
	if (limit.soft > FDS_LIMIT_MOST || (slots > FDS_CHEAP && slots < limit.soft / 10 * 9) ||
	    !source_proc(b->py->rd.src, "fd/", &text, NULL))
		return;
	l->have_fds_open = true;
	for (const char *p = text->data; (p = strchr(p, '\n')); p++)
		l->fds_open++;
}

static void name_tracer(struct builder *b, int32_t tracer)
{
	struct snap_limits *l = &b->s->limits;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const struct strbuf *text;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)tracer);
	if (source_host(b->py->rd.src, path, &text, NULL))
		for (size_t i = 0; i < text->len; i++)
			strbuf_addch(&line, text->data[i] ? text->data[i] : ' ');
	while (line.len && line.data[line.len - 1] == ' ')
		strbuf_setlen(&line, line.len - 1);
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)tracer);
	if (!line.len && source_host(b->py->rd.src, path, &text, NULL))
		strbuf_add(&line, text->data, strcspn(text->data, "\n"));
	if (line.len)
		l->tracer_command = safe(&b->s->arena, line.data, line.len, COMMAND_CHARS);
}

static void read_status(struct builder *b)
{
	const struct strbuf *text;
	struct proc_status status = {0};

	if (!source_proc(b->py->rd.src, "status", &text, NULL) ||
	    !proc_status_parse(text->data, text->len, &status, NULL))
		return;
	count_descriptors(b, status.fd_slots);
	if (status.tracer > 0)
		name_tracer(b, status.tracer);
}

void build_kernel(struct builder *b)
{
	struct snapshot *s = b->s;
	struct kernel_files *files = arena_alloc(&s->arena, sizeof(*files));
	struct places places;
	bool known;

	memset(files, 0, sizeof(*files));
	find_places(b, &places, &known);
	find_frozen(b, &places, known);
	find_quota(b, &places, files);
	find_pressure(b, &places, files);
	read_counters(b->py->rd.src, files, &s->kernel_first);
	s->kernel_last = s->kernel_first;
	s->kernel_files = files;
	read_status(b);
}
