/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

#include "core.h"
#include "corefile.h"

struct note {
	const char *name;
	uint32_t type;
	const char *desc;
	size_t len;
};

/* ---- ours
 * ----------------------------------------------------------------------------------------- */

static void take_meta(struct core *core, const struct note *note)
{
	char *text = arena_strndup(&core->arena, note->desc, note->len);
	const char *p;
	int pid;

	core->sparse = true;
	p = strstr(text, "pid ");
	if (p && sscanf(p, "pid %d", &pid) == 1)
		core->pid = pid;
	p = strstr(text, "clock ");
	if (p)
		sscanf(p, "clock %" SCNu64, &core->clock_ns);
	p = strstr(text, "wall ");
	if (p)
		sscanf(p, "wall %" SCNu64, &core->wall_ns);
}

/* Data stays where the notes are; a copy only to end it with NUL, as every strbuf does. */
static struct strbuf text_of(struct core *core, const char *data, size_t len)
{
	return (struct strbuf){arena_strndup(&core->arena, data, len), len, 0};
}

static bool take_item(struct core *core, const struct note *note)
{
	struct core_item head;
	const char *key = note->desc + sizeof(head);
	struct core_answer *a;
	size_t used;

	if (note->len < sizeof(head))
		return false;
	memcpy(&head, note->desc, sizeof(head));
	used = sizeof(head) + (size_t)head.key_len + 1;
	if (used > note->len || key[head.key_len] || strlen(key) != head.key_len)
		return false;
	a = array_push(&core->answers, &core->n_answers, &core->answers_cap);
	a->kind = (enum item_kind)head.kind;
	a->key = key;
	a->code = head.code <= ERR_PERMISSION ? (enum error_code)head.code : ERR_ABSENT;
	a->newer = head.newer != 0;
	a->data = text_of(core, note->desc + used, note->len - used);
	return true;
}

static bool take_user(struct core *core, const struct note *note)
{
	size_t len = strnlen(note->desc, note->len);
	struct core_answer *a;

	if (len == note->len)
		return false;
	a = array_push(&core->user_notes, &core->n_user_notes, &core->user_notes_cap);
	a->key = note->desc;
	a->data = text_of(core, note->desc + len + 1, note->len - len - 1);
	return true;
}

static bool take_ours(struct core *core, const struct note *note)
{
	switch (note->type) {
	case CORE_NOTE_META:
		take_meta(core, note);
		return true;
	case CORE_NOTE_ITEM:
		return take_item(core, note);
	case CORE_NOTE_USER:
		return take_user(core, note);
	default:
		return true; /* of a newer version */
	}
}

/* ---- the system's
 * ------------------------------------------------------------------------------------ */

static void take_psinfo(struct core *core, const struct note *note)
{
	struct elf_prpsinfo info;

	if (note->len < sizeof(info))
		return;
	memcpy(&info, note->desc, sizeof(info));
	core->pid = info.pr_pid;
	core->ppid = (unsigned)info.pr_ppid;
	core->uid = info.pr_uid;
	core->gid = info.pr_gid;
	core->state = info.pr_sname;
	snprintf(core->name, sizeof(core->name), "%.*s", (int)sizeof(info.pr_fname), info.pr_fname);
	snprintf(core->command, sizeof(core->command), "%.*s", (int)sizeof(info.pr_psargs),
		 info.pr_psargs);
}

static void take_status(struct core *core, const struct note *note)
{
	struct elf_prstatus status;

	if (note->len < sizeof(status) || core->n_threads >= CORE_MAX_THREADS)
		return;
	memcpy(&status, note->desc, sizeof(status));
	*array_push(&core->threads, &core->n_threads, &core->threads_cap) =
		(struct core_thread){status.pr_pid, 0};
}

static void take_auxv(struct core *core, const struct note *note)
{
	for (size_t at = 0; at + 16 <= note->len; at += 16) {
		uint64_t pair[2];

		memcpy(pair, note->desc + at, sizeof(pair));
		if (pair[0] == AT_PHDR)
			core->phdr = pair[1];
	}
}

static bool take_files(struct core *core, const struct note *note)
{
	uint64_t head[2], row[3];
	const char *name, *end = note->desc + note->len;

	if (note->len < sizeof(head))
		return false;
	memcpy(head, note->desc, sizeof(head));
	if (head[0] > (note->len - sizeof(head)) / sizeof(row) || head[1] > 1 << 24)
		return false;
	name = note->desc + sizeof(head) + head[0] * sizeof(row);
	for (uint64_t i = 0; i < head[0]; i++) {
		size_t len = name < end ? strnlen(name, (size_t)(end - name)) : 0;

		if (name >= end || name + len == end)
			return false;
		memcpy(row, note->desc + sizeof(head) + i * sizeof(row), sizeof(row));
		*array_push(&core->mappings, &core->n_mappings, &core->mappings_cap) =
			(struct core_mapping){row[0], row[1], row[2] * head[1], name, -1};
		name += len + 1;
	}
	return true;
}

static bool take_note(struct core *core, const struct note *note)
{
	if (!strcmp(note->name, CORE_NOTE_NAME))
		return take_ours(core, note);
	if (strcmp(note->name, "CORE") != 0)
		return true;
	switch (note->type) {
	case NT_PRPSINFO:
		take_psinfo(core, note);
		return true;
	case NT_PRSTATUS:
		take_status(core, note);
		return true;
	case NT_AUXV:
		take_auxv(core, note);
		return true;
	case NT_FILE:
		return take_files(core, note);
	default:
		return true;
	}
}

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

bool core_read_notes(struct core *core, struct error *err)
{
	size_t at = 0;

	while (at + sizeof(Elf64_Nhdr) <= core->notes_len) {
		struct note note;
		Elf64_Nhdr head;
		size_t left;

		memcpy(&head, core->notes + at, sizeof(head));
		at += sizeof(head);
		left = core->notes_len - at;
		if (padded(head.n_namesz) > left ||
		    padded(head.n_descsz) > left - padded(head.n_namesz))
			break;
		note.name = core->notes + at;
		note.desc = note.name + padded(head.n_namesz);
		note.type = head.n_type;
		note.len = head.n_descsz;
		at += padded(head.n_namesz) + padded(head.n_descsz);
		if (!head.n_namesz || note.name[head.n_namesz - 1])
			continue; /* a name without its NUL */
		if (!take_note(core, &note))
			return error_set(err, ERR_BAD_FILE, "%s: a note of the core is damaged",
					 core->path);
	}
	return true;
}

/* ---- /proc of a core that has none
 * --------------------------------------------------------------------- */

static void make_maps(const struct core *core, struct strbuf *text)
{
	for (size_t i = 0, m = 0; i < core->n_segments; i++) {
		const struct core_segment *s = &core->segments[i];
		const struct core_mapping *file = NULL;

		while (m < core->n_mappings && core->mappings[m].end <= s->address)
			m++;
		if (m < core->n_mappings && core->mappings[m].start <= s->address)
			file = &core->mappings[m];
		strbuf_addf(text, "%" PRIx64 "-%" PRIx64 " %c%c%cp %08" PRIx64 " 00:00 0 %s\n",
			    s->address, s->address + s->memory, s->flags & PF_R ? 'r' : '-',
			    s->flags & PF_W ? 'w' : '-', s->flags & PF_X ? 'x' : '-',
			    file ? file->offset + (s->address - file->start) : 0,
			    file ? file->path : "");
	}
}

static void make_stat(const struct core *core, int tid, char state, struct strbuf *text)
{
	strbuf_addf(text, "%d (%s) %c %u", tid, core->name, state ? state : 'S', core->ppid);
	for (int i = 0; i < 48; i++)
		strbuf_addstr(text, i == 15 ? " 1" : " 0");
	strbuf_addch(text, '\n');
}

static void make_status(const struct core *core, struct strbuf *text)
{
	strbuf_addf(
		text,
		"Name:\t%s\nState:\tS (sleeping)\nTgid:\t%d\nPid:\t%d\nPPid:\t%u\nTracerPid:\t0\n"
		"Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nNSpid:\t%d\nThreads:\t%zu\n",
		core->name, core->pid, core->pid, core->ppid, core->uid, core->uid, core->uid,
		core->uid, core->gid, core->gid, core->gid, core->gid, core->pid, core->n_threads);
}

static void make_cmdline(const struct core *core, struct strbuf *text)
{
	for (const char *p = core->command; *p; p++)
		strbuf_addch(text, *p == ' ' ? 0 : *p);
}

/* The file that holds the program headers is the executable. */
static bool make_exe(const struct core *core, struct strbuf *text)
{
	for (size_t i = 0; i < core->n_mappings; i++) {
		if (core->phdr < core->mappings[i].start || core->phdr >= core->mappings[i].end)
			continue;
		strbuf_addstr(text, core->mappings[i].path);
		return true;
	}
	return false;
}

bool core_make_proc(struct core *core, const char *path, struct strbuf *text)
{
	int tid, used = 0;

	if (!strcmp(path, "maps"))
		make_maps(core, text);
	else if (!strcmp(path, "stat"))
		make_stat(core, core->pid, core->state, text);
	else if (!strcmp(path, "status"))
		make_status(core, text);
	else if (!strcmp(path, "cmdline"))
		make_cmdline(core, text);
	else if (!strcmp(path, "@exe"))
		return make_exe(core, text);
	else if (!strcmp(path, "task/"))
		for (size_t i = 0; i < core->n_threads; i++)
			strbuf_addf(text, "%d\n", core->threads[i].tid);
	else if (sscanf(path, "task/%d/stat%n", &tid, &used) == 1 && used && !path[used])
		make_stat(core, tid, 0, text);
	else
		return false;
	return true;
}
