/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_proc.c - texts of /proc made from the notes of a kernel's or gdb's core, so that one set
 * of parsers serves all kinds of target. What the core does not tell is 0.
 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define US_PER_TICK 10000u

/* A file's number stands for its inode: equal numbers are one file. */
static void add_map_line(const struct core *core, uint64_t start, uint64_t end,
			 const struct core_segment *s, const struct core_mapping *m,
			 struct strbuf *text)
{
	uint32_t flags = s ? s->flags : PF_R;

	strbuf_addf(text, "%" PRIx64 "-%" PRIx64 " %c%c%cp %08" PRIx64 " 00:00 %zu", start, end,
		    flags & PF_R ? 'r' : '-', flags & PF_W ? 'w' : '-', flags & PF_X ? 'x' : '-',
		    m ? m->offset + (start - m->start) : 0, m ? m->file + 1 : 0);
	strbuf_addch(text, ' ');
	for (const char *p = m ? core->files[m->file].name : ""; *p; p++)
		if (*p == '\n')
			strbuf_addstr(text, "\\012");
		else
			strbuf_addch(text, *p);
	strbuf_addch(text, '\n');
}

/* Segments and mapped files need not meet: gdb leaves out segments that are in files anyway. */
static void make_maps(const struct core *core, struct strbuf *text)
{
	const uint64_t none = UINT64_MAX;
	size_t i = 0, j = 0;

	for (uint64_t at = 0; i < core->n_segments || j < core->n_mappings;) {
		const struct core_segment *s = i < core->n_segments ? &core->segments[i] : NULL;
		const struct core_mapping *m = j < core->n_mappings ? &core->mappings[j] : NULL;
		uint64_t s_start = s ? s->address : none, s_end = s ? s_start + s->memory : none;
		uint64_t m_start = m ? m->start : none, m_end = m ? m->end : none;
		uint64_t start = s_start < m_start ? s_start : m_start, end;

		if (start < at)
			start = at;
		if (s_start > start) {
			s = NULL;
			s_end = s_start;
		}
		if (m_start > start) {
			m = NULL;
			m_end = m_start;
		}
		end = s_end < m_end ? s_end : m_end;
		add_map_line(core, start, end, s, m, text);
		at = end;
		i += s && s_end == end;
		j += m && m_end == end;
	}
}

/*
 * What the registers tell. pr_sname would not do: it is of the first thread only, and when gdb
 * stopped the process to make the core, it says so.
 */
static char state_of(const struct core_thread *th)
{
	return th->number == -1 ? 'R' : 'S';
}

static void make_stat(const struct core *core, const struct core_thread *th, struct strbuf *text)
{
	strbuf_addf(text, "%d (%s) %c %d 0 0 0 -1 0 0 0 0 0 %" PRIu64 " %" PRIu64, (int)th->tid,
		    core->name, state_of(th), (int)core->ppid, th->utime / US_PER_TICK,
		    th->stime / US_PER_TICK);
	strbuf_addf(text, " 0 0 20 0 %zu", core->n_threads);
	for (unsigned field = 21; field <= 52; field++)
		strbuf_addstr(text, " 0");
	strbuf_addch(text, '\n');
}

static void make_status(const struct core *core, const struct core_thread *th, struct strbuf *text)
{
	strbuf_addstr(text, "Name:\t");
	for (const char *p = core->name; *p; p++)
		strbuf_addstr(text, *p == '\n' ? "\\n" : (char[]){*p, 0});
	strbuf_addf(text, "\nState:\t%c\nTgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
		    state_of(th), (int)core->pid, (int)th->tid, (int)core->ppid);
	strbuf_addf(text, "Uid:\t%u\t%u\t%u\t%u\n", core->uid, core->uid, core->uid, core->uid);
	strbuf_addf(text, "Gid:\t%u\t%u\t%u\t%u\n", core->gid, core->gid, core->gid, core->gid);
	strbuf_addf(text, "Threads:\t%zu\n", core->n_threads);
}

/* The kernel keeps 80 characters of the arguments, and where one ended is lost. */
static void make_cmdline(const struct core *core, struct strbuf *text)
{
	size_t len = strlen(core->command);

	while (len && core->command[len - 1] == ' ')
		len--;
	for (size_t i = 0; i < len; i++)
		strbuf_addch(text, core->command[i] == ' ' ? 0 : core->command[i]);
	strbuf_addch(text, 0);
}

static uint64_t aux_value(const struct core *core, uint64_t type)
{
	uint64_t pair[2];

	for (size_t at = 0; at + sizeof(pair) <= core->auxv.len; at += sizeof(pair)) {
		memcpy(pair, core->auxv.data + at, sizeof(pair));
		if (pair[0] == type)
			return pair[1];
	}
	return 0;
}

/* The file that holds the program headers is the program. */
static bool make_exe(const struct core *core, struct strbuf *text)
{
	uint64_t headers = aux_value(core, AT_PHDR);
	const struct core_mapping *m = headers ? core_find_mapping(core, headers) : NULL;

	if (!m)
		return false;
	strbuf_addstr(text, core->files[m->file].name);
	return true;
}

static bool make_syscall(const struct core_thread *th, struct strbuf *text)
{
	if (th->number == -2)
		return false;
	if (th->number == -1) { /* stopped in its own code, whether or not it was on a CPU */
		strbuf_addstr(text, "running\n");
		return true;
	}
	strbuf_addf(text, "%" PRId64, th->number);
	for (size_t i = 0; i < ARRAY_SIZE(th->args); i++)
		strbuf_addf(text, " 0x%" PRIx64, th->args[i]);
	strbuf_addf(text, " 0x%" PRIx64 " 0x%" PRIx64 "\n", th->sp, th->pc);
	return true;
}

static const struct core_thread *find_thread(const struct core *core, int tid)
{
	for (size_t i = 0; i < core->n_threads; i++)
		if (core->threads[i].tid == tid)
			return &core->threads[i];
	return NULL;
}

static bool make_of_thread(const struct core *core, const struct core_thread *th, const char *name,
			   struct strbuf *text)
{
	if (!strcmp(name, "stat"))
		make_stat(core, th, text);
	else if (!strcmp(name, "status"))
		make_status(core, th, text);
	else if (!strcmp(name, "syscall"))
		return make_syscall(th, text);
	else
		return false;
	return true;
}

static bool make_of_process(const struct core *core, const char *path, struct strbuf *text)
{
	if (!strcmp(path, "maps"))
		make_maps(core, text);
	else if (!strcmp(path, "cmdline"))
		make_cmdline(core, text);
	else if (!strcmp(path, "comm"))
		strbuf_addf(text, "%s\n", core->name);
	else if (!strcmp(path, "auxv"))
		strbuf_add(text, core->auxv.data, core->auxv.len);
	else if (!strcmp(path, "@exe"))
		return make_exe(core, text);
	else if (!strcmp(path, "task/"))
		for (size_t i = 0; i < core->n_threads; i++)
			strbuf_addf(text, "%d\n", (int)core->threads[i].tid);
	else
		return false;
	return true;
}

bool core_make_proc(const struct core *core, const char *path, struct strbuf *text)
{
	const struct core_thread *th = find_thread(core, core->pid);
	const struct core_thread nobody = {.tid = core->pid, .number = -2};
	int tid, used = 0;

	if (make_of_process(core, path, text))
		return true;
	if (sscanf(path, "task/%d/%n", &tid, &used) == 1 && used) {
		th = find_thread(core, tid);
		return th && make_of_thread(core, th, path + used, text);
	}
	return make_of_thread(core, th ? th : &nobody, path, text);
}
