/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process.c - what holds for the whole life of a process
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stallscope/strbuf.h"
#include "stallscope/target.h"
#include "stallscope/utf8.h"

#define ARGS_MAX      256u
#define ARG_CHARS     4096u
#define PATH_CHARS    4096u
#define NS_PER_SECOND UINT64_C(1000000000)

/* USER_HZ is 100 on every architecture this reads: a tick of /proc is 10 ms. */
#define NS_PER_TICK (NS_PER_SECOND / 100)

/* What the caller does not see. */
struct process_state {
	struct process proc;
	uint64_t maps_hash; /* of the text that proc.maps was made from */
};

static char *safe_text(struct arena *arena, const char *text, size_t len, size_t max_chars)
{
	struct strbuf sb = STRBUF_INIT;
	char *ret;

	utf8_add_safe(&sb, text, len, max_chars);
	ret = arena_strndup(arena, sb.data, sb.len);
	strbuf_deinit(&sb);
	return ret;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) != 0)
		return 0;
	return (uint64_t)ts.tv_sec * NS_PER_SECOND + (uint64_t)ts.tv_nsec;
}

/*
 * stat says when the process began on the boot clock of the *reader's* time namespace, so it
 * is compared with our own boot clock: what comes out is an age, the same in each namespace.
 * Taken off the target's monotonic clock it is exact to a tick, unless the machine slept
 * since: the boot clock goes on then, the monotonic one does not.
 */
static uint64_t started_live(const struct source *src, uint64_t start)
{
	uint64_t boot = clock_ns(CLOCK_BOOTTIME);
	uint64_t age = boot > start ? boot - start : 0;
	uint64_t now = source_clock(src);

	return age < now ? now - age : 0;
}

/*
 * A recording does not tell how long its machine slept: taken as never. If it has the offset
 * of the target's namespace, that is added.
 */
static uint64_t started_recorded(struct source *src, uint64_t start)
{
	const struct strbuf *text;
	uint64_t now = source_clock(src);
	int64_t offset = 0;

	if (source_proc(src, "timens_offsets", &text, NULL))
		offset = timens_monotonic_parse(text->data, text->len);
	start += (uint64_t)offset;
	return start < now ? start : now;
}

static uint64_t started_ns(struct source *src, uint64_t ticks)
{
	uint64_t start;

	if (__builtin_mul_overflow(ticks, NS_PER_TICK, &start) || start > INT64_MAX)
		return 0;
	return source_is_recorded(src) ? started_recorded(src, start) : started_live(src, start);
}

static bool read_stat(struct source *src, struct process *proc, struct error *err)
{
	const struct strbuf *text;
	struct proc_stat st;

	if (!source_proc(src, "stat", &text, err) ||
	    !proc_stat_parse(text->data, text->len, &st, err))
		return false;
	proc->ppid = st.ppid;
	proc->started_ns = started_ns(src, st.starttime);
	return true;
}

static bool read_status(struct source *src, struct process *proc, struct error *err)
{
	const struct strbuf *text;
	struct proc_status st;

	if (!source_proc(src, "status", &text, err) ||
	    !proc_status_parse(text->data, text->len, &st, err))
		return false;
	proc->ns_pid = st.nspids ? st.nspid[st.nspids - 1] : st.tgid;
	proc->uid = st.uid[1];
	proc->gid = st.gid[1];
	return true;
}

/*
 * Arguments end in NUL each. A process that renames itself leaves the rest of the room it had
 * as NULs: of several empty arguments at the end none is real.
 */
static size_t command_length(const struct strbuf *text)
{
	size_t len = text->len, empty;

	while (len > 0 && text->data[len - 1] == '\0')
		len--;
	empty = text->len - len;
	if (len > 0 && empty > 0)
		empty--; /* ends the argument before */
	return empty == 1 ? text->len : len;
}

static void read_command(struct source *src, struct process *proc)
{
	const struct strbuf *text;
	size_t len, at = 0;

	if (!source_proc(src, "cmdline", &text, NULL))
		return;
	len = command_length(text);
	proc->command = arena_alloc(&proc->arena, ARGS_MAX * sizeof(char *));
	while (at < len && proc->argc < ARGS_MAX) {
		const char *arg = text->data + at;
		size_t arg_len = strnlen(arg, len - at);
		bool too_many = proc->argc + 1 == ARGS_MAX && at + arg_len + 1 < len;

		proc->command[proc->argc++] =
			too_many ? arena_strdup(&proc->arena, "…")
				 : safe_text(&proc->arena, arg, arg_len, ARG_CHARS);
		at += arg_len + 1;
	}
}

/* A link shows newlines as they are, maps as \012. */
static char *as_maps_name(struct arena *arena, const char *path, size_t len)
{
	struct strbuf sb = STRBUF_INIT;
	char *ret;

	for (size_t i = 0; i < len; i++) {
		if (path[i] == '\n')
			strbuf_addstr(&sb, "\\012");
		else
			strbuf_addch(&sb, path[i]);
	}
	ret = arena_strndup(arena, sb.data, sb.len);
	strbuf_deinit(&sb);
	return ret;
}

static void read_executable(struct source *src, struct process *proc)
{
	static const char deleted[] = " (deleted)";
	const size_t mark = sizeof(deleted) - 1;
	const struct strbuf *text;
	size_t len;

	if (!source_proc(src, "@exe", &text, NULL) || text->len == 0)
		return;
	len = text->len;
	if (len > mark && memcmp(text->data + len - mark, deleted, mark) == 0)
		len -= mark;
	proc->executable = safe_text(&proc->arena, text->data, len, PATH_CHARS);
	proc->exe_path = as_maps_name(&proc->arena, text->data, len);
}

/* The hierarchy that says most: one where the process is not in the root. */
static const char *pick_cgroup(const struct proc_cgroup *cg)
{
	const char *paths[] = {cg->v2, cg->cpu, cg->freezer};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (paths[i] && strcmp(paths[i], "/") != 0)
			return paths[i];
	return cg->v2 ? cg->v2 : cg->cpu ? cg->cpu : cg->freezer;
}

static const char *find_container(const struct proc_cgroup *cg, struct arena *arena)
{
	const char *paths[] = {cg->v2, cg->freezer, cg->cpu};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *id = paths[i] ? cgroup_container_id(paths[i], arena) : NULL;

		if (id)
			return id;
	}
	return NULL;
}

static void read_cgroup(struct source *src, struct process *proc)
{
	const struct strbuf *text;
	struct proc_cgroup cg;
	const char *path;

	if (!source_proc(src, "cgroup", &text, NULL) ||
	    !proc_cgroup_parse(text->data, text->len, &proc->arena, &cg, NULL))
		return;
	path = pick_cgroup(&cg);
	if (path)
		proc->cgroup = safe_text(&proc->arena, path, strlen(path), PATH_CHARS);
	proc->container = find_container(&cg, &proc->arena);
}

/* FNV-1a on words: tells whether the text is the one parsed before. */
static uint64_t hash_text(const struct strbuf *text)
{
	uint64_t hash = UINT64_C(14695981039346656037) ^ text->len;
	size_t i = 0;

	for (; i + 8 <= text->len; i += 8) {
		uint64_t word;

		memcpy(&word, text->data + i, 8);
		hash = (hash ^ word) * UINT64_C(1099511628211);
		hash ^= hash >> 29;
	}
	for (; i < text->len; i++)
		hash = (hash ^ (unsigned char)text->data[i]) * UINT64_C(1099511628211);
	return hash;
}

bool process_reread_maps(struct source *src, struct process *proc, struct error *err)
{
	struct process_state *state = (struct process_state *)proc;
	const struct strbuf *text;
	uint64_t hash;

	if (!source_proc(src, "maps", &text, err))
		return error_add(err, "reading the memory map");
	if (text->len == 0 && source_is_recorded(src))
		return error_set(err, ERR_BAD_FILE, "the core has no memory map");
	if (text->len == 0)
		return error_set(err, ERR_GONE, "process %d has no memory any more: it is ending",
				 (int)proc->pid);
	hash = hash_text(text);
	if (proc->maps.n > 0 && hash == state->maps_hash)
		return true;
	if (!maps_parse(text->data, text->len, &proc->arena, &proc->maps, err))
		return false;
	state->maps_hash = hash;
	return true;
}

/* Whether the main thread has run since then is asked later: what was read may be old. */
static void ask_before(struct source *src)
{
	static const char *const names[] = {"schedstat", "syscall"}; /* in this order */
	const struct strbuf *text;
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "task/%d/" PROCESS_BEFORE "%s", (int)source_pid(src),
			 names[i]);
		source_proc(src, path, &text, NULL);
	}
}

bool process_read(struct source *src, struct process **ret, struct error *err)
{
	struct process_state *state = mem_zalloc(1, sizeof(*state));
	struct process *proc = &state->proc;

	proc->pid = source_pid(src);
	ask_before(src);
	if (!read_stat(src, proc, err) || !read_status(src, proc, err) ||
	    !process_reread_maps(src, proc, err)) {
		process_destroy(proc);
		return false;
	}
	read_command(src, proc);
	read_executable(src, proc);
	read_cgroup(src, proc);
	*ret = proc;
	return true;
}

void process_destroy(struct process *proc)
{
	if (!proc)
		return;
	arena_deinit(&proc->arena);
	free(proc);
}
