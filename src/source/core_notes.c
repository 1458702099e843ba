/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_notes.c - the notes of a core. They may be forged: a note that is too short for what it
 * should be is left out or refused, counts in it are held against its length.
 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "corefile.h"

struct note {
	const char *name;
	const char *desc;
	size_t len;
	uint32_t type;
};

static bool damaged(const struct core *core, const char *what, struct error *err)
{
	return error_set(err, ERR_BAD_FILE, "%s: %s is damaged", core->path, what);
}

static uint64_t hash_text(uint64_t seed, const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ seed;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- ours ---------------------------------------------------------------------------------- */

static bool take_meta(struct core *core, const struct note *note, struct error *err)
{
	char *text = arena_strndup(&core->arena, note->desc, note->len), *save = NULL;

	core->sparse = true;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int format, pid;

		if (sscanf(line, "format %d", &format) == 1 && format > CORE_FORMAT) {
			error_set(err, ERR_BAD_FILE, "%s: a recording of format %d", core->path,
				  format);
			return error_hint(err, "this build reads up to format %d: take a newer one",
					  CORE_FORMAT);
		}
		if (sscanf(line, "pid %d", &pid) == 1)
			core->pid = pid;
		sscanf(line, "clock %" SCNu64, &core->clock_ns);
		sscanf(line, "wall %" SCNu64, &core->wall_ns);
	}
	if (core->clock_ns > SOURCE_CLOCK_MAX)
		core->clock_ns = 0;
	return true;
}

/* A copy, for the NUL that ends every strbuf. */
static struct strbuf text_of(struct core *core, const char *data, size_t len)
{
	return (struct strbuf){arena_strndup(&core->arena, data, len), len, 0};
}

/* Key "OFFSET+LENGTH name". */
static void add_extent(struct core *core, const struct core_answer *a)
{
	struct core_extent *x;
	uint64_t offset, len;
	int used = 0;

	if (a->code != ERR_OK ||
	    sscanf(a->key, "%" SCNx64 "+%" SCNx64 " %n", &offset, &len, &used) != 2 || !used ||
	    len != a->data.len)
		return;
	x = array_push(&core->extents, &core->n_extents, &core->extents_cap);
	*x = (struct core_extent){a->key + used, offset, a->data};
}

static uint32_t find_slot(const struct core *core, enum item_kind kind, const char *key,
			  uint64_t *hash)
{
	for (*hash = hash_text((uint64_t)kind, key);; ++*hash) {
		uint32_t i = addrmap_get(&core->answer_index, *hash);

		if (i == ADDRMAP_NONE ||
		    (core->answers[i].kind == kind && !strcmp(core->answers[i].key, key)))
			return i;
	}
}

const struct core_answer *core_find_answer(const struct core *core, enum item_kind kind,
					   const char *key)
{
	uint64_t hash;
	uint32_t i = find_slot(core, kind, key, &hash);

	return i == ADDRMAP_NONE ? NULL : &core->answers[i];
}

static bool take_item(struct core *core, const struct note *note)
{
	const char *key = note->desc + sizeof(struct core_item);
	struct core_item head;
	struct core_answer a;
	uint64_t hash;
	size_t used;

	if (note->len < sizeof(head))
		return false;
	memcpy(&head, note->desc, sizeof(head));
	used = sizeof(head) + (size_t)head.key_len + 1;
	if (used > note->len || strnlen(key, (size_t)head.key_len + 1) != head.key_len)
		return false;
	a = (struct core_answer){
		.kind = (enum item_kind)head.kind,
		.code = head.code <= ERR_PERMISSION ? (enum error_code)head.code : ERR_ABSENT,
		.newer = head.newer != 0,
		.key = key,
		.data = text_of(core, note->desc + used, note->len - used),
	};
	if (find_slot(core, a.kind, key, &hash) != ADDRMAP_NONE)
		return true; /* twice: the first counts */
	addrmap_put(&core->answer_index, hash, (uint32_t)core->n_answers);
	*array_push(&core->answers, &core->n_answers, &core->answers_cap) = a;
	if (a.kind == ITEM_FILE)
		add_extent(core, &a);
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

static bool take_ours(struct core *core, const struct note *note, struct error *err)
{
	switch (note->type) {
	case CORE_NOTE_META:
		return take_meta(core, note, err);
	case CORE_NOTE_ITEM:
		return take_item(core, note) ? true : damaged(core, "a recorded answer", err);
	case CORE_NOTE_USER:
		return take_user(core, note) ? true : damaged(core, "a recorded note", err);
	default:
		return true; /* of a newer version */
	}
}

/* ---- the kernel's -------------------------------------------------------------------------- */

static void take_psinfo(struct core *core, const struct note *note)
{
	struct core_prpsinfo info;

	if (note->len < sizeof(info))
		return;
	memcpy(&info, note->desc, sizeof(info));
	core->pid = info.pid;
	core->ppid = info.ppid;
	core->uid = info.uid;
	core->gid = info.gid;
	snprintf(core->name, sizeof(core->name), "%.*s", (int)sizeof(info.fname), info.fname);
	snprintf(core->command, sizeof(core->command), "%.*s", (int)sizeof(info.psargs),
		 info.psargs);
}

/* The registers tell which system call a thread was in: orig_rax is -1 outside of one. */
static void take_x86_registers(struct core_thread *th, const uint64_t *reg)
{
	static const unsigned char args[] = {X86_RDI, X86_RSI, X86_RDX, X86_R10, X86_R8, X86_R9};

	th->number = (int64_t)reg[X86_ORIG_RAX] >= 0 ? (int64_t)reg[X86_ORIG_RAX] : -1;
	for (size_t i = 0; i < ARRAY_SIZE(args); i++)
		th->args[i] = reg[args[i]];
	th->sp = reg[X86_RSP];
	th->pc = reg[X86_RIP];
}

/* Here the number stands in a note of its own, NT_ARM_SYSTEM_CALL. */
static void take_arm_registers(struct core_thread *th, const uint64_t *reg)
{
	for (size_t i = 0; i < ARRAY_SIZE(th->args); i++)
		th->args[i] = reg[i];
	th->sp = reg[ARM_SP];
	th->pc = reg[ARM_PC];
}

static void take_status(struct core *core, const struct note *note)
{
	bool x86 = core->machine == EM_X86_64;
	uint64_t reg[CORE_REGS_MAX];
	size_t size = (x86 ? CORE_REGS_X86_64 : CORE_REGS_AARCH64) * sizeof(reg[0]);
	struct core_prstatus status;
	struct core_thread *th;

	if (note->len < sizeof(status) + size || core->n_threads >= CORE_MAX_THREADS)
		return;
	memcpy(&status, note->desc, sizeof(status));
	memcpy(reg, note->desc + sizeof(status), size);
	th = array_push(&core->threads, &core->n_threads, &core->threads_cap);
	th->tid = status.pid;
	th->n_registers = (uint32_t)(size / sizeof(reg[0]));
	memcpy(th->registers, reg, size);
	th->number = -2;
	th->utime = (uint64_t)status.utime[0] * 1000000 + (uint64_t)status.utime[1];
	th->stime = (uint64_t)status.stime[0] * 1000000 + (uint64_t)status.stime[1];
	if (x86)
		take_x86_registers(th, reg);
	else
		take_arm_registers(th, reg);
}

static void take_arm_call(struct core *core, const struct note *note)
{
	int32_t number;

	if (note->len < sizeof(number) || !core->n_threads)
		return;
	memcpy(&number, note->desc, sizeof(number));
	core->threads[core->n_threads - 1].number = number;
}

static size_t add_file(struct core *core, const char *name)
{
	static const char mark[] = " (deleted)";
	size_t len = strlen(name), tail = sizeof(mark) - 1;
	struct core_file *file = array_push(&core->files, &core->n_files, &core->files_cap);

	file->fd = -1;
	file->name = file->path = name;
	file->deleted = len > tail && !memcmp(name + len - tail, mark, tail);
	if (file->deleted)
		file->path = arena_strndup(&core->arena, name, len - tail);
	return core->n_files - 1;
}

/* The file of that name, added when it is new. */
static size_t file_of(struct core *core, const char *name)
{
	for (uint64_t hash = hash_text(0, name);; hash++) {
		uint32_t i = addrmap_get(&core->file_index, hash);

		if (i == ADDRMAP_NONE) {
			addrmap_put(&core->file_index, hash, (uint32_t)core->n_files);
			return add_file(core, name);
		}
		if (!strcmp(core->files[i].name, name))
			return i;
	}
}

/* Count, page size, {start, end, offset in pages}, names. */
static bool take_files(struct core *core, const struct note *note)
{
	uint64_t head[2], row[3];
	const char *name, *end = note->desc + note->len;

	if (note->len < sizeof(head))
		return false;
	memcpy(head, note->desc, sizeof(head));
	if (head[0] > (note->len - sizeof(head)) / sizeof(row) || head[0] > CORE_MAX_MAPPINGS ||
	    head[1] > 1 << 24)
		return false;
	name = note->desc + sizeof(head) + head[0] * sizeof(row);
	for (uint64_t i = 0; i < head[0]; i++) {
		size_t len = strnlen(name, (size_t)(end - name));
		uint64_t offset;

		if (name + len == end)
			return false;
		memcpy(row, note->desc + sizeof(head) + i * sizeof(row), sizeof(row));
		if (row[0] < row[1] && !__builtin_mul_overflow(row[2], head[1], &offset))
			*array_push(&core->mappings, &core->n_mappings, &core->mappings_cap) =
				(struct core_mapping){row[0], row[1], offset, file_of(core, name)};
		name += len + 1;
	}
	return true;
}

static bool take_note(struct core *core, const struct note *note, struct error *err)
{
	if (!strcmp(note->name, CORE_NOTE_NAME))
		return take_ours(core, note, err);
	if (!strcmp(note->name, "LINUX") && note->type == NT_ARM_SYSTEM_CALL)
		take_arm_call(core, note);
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
		core->auxv = text_of(core, note->desc, note->len);
		return true;
	case NT_FILE:
		return take_files(core, note) ? true
					      : damaged(core, "the list of mapped files", err);
	default:
		return true;
	}
}

/* ---- all of them --------------------------------------------------------------------------- */

static uint64_t padded(uint32_t len)
{
	return ((uint64_t)len + 3) & ~UINT64_C(3);
}

/* Cuts the note at *at out; false at the end, or when what is left is no note. */
static bool next_note(const struct core *core, size_t *at, struct note *note)
{
	size_t left = core->notes_len - *at;
	uint64_t name_room, room;
	Elf64_Nhdr head;

	if (left < sizeof(head))
		return false;
	memcpy(&head, core->notes + *at, sizeof(head));
	left -= sizeof(head);
	name_room = padded(head.n_namesz);
	room = name_room + padded(head.n_descsz);
	if (name_room > left || head.n_descsz > left - name_room)
		return false;
	note->name = core->notes + *at + sizeof(head);
	note->desc = note->name + name_room;
	note->len = head.n_descsz;
	note->type = head.n_type;
	if (!head.n_namesz || note->name[head.n_namesz - 1])
		note->name = ""; /* without its NUL: nobody's */
	*at += sizeof(head) + (room < left ? room : left);
	return true;
}

static int by_start(const void *a, const void *b)
{
	const struct core_mapping *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* What overlaps is taken from the later one, so that a search can bisect. */
static void sort_mappings(struct core *core)
{
	uint64_t covered = 0;
	size_t kept = 0;

	if (core->n_mappings)
		qsort(core->mappings, core->n_mappings, sizeof(*core->mappings), by_start);
	for (size_t i = 0; i < core->n_mappings; i++) {
		struct core_mapping m = core->mappings[i];

		if (m.end <= covered)
			continue;
		if (m.start < covered) {
			m.offset += covered - m.start;
			m.start = covered;
		}
		covered = m.end;
		core->mappings[kept++] = m;
	}
	core->n_mappings = kept;
}

bool core_read_notes(struct core *core, struct error *err)
{
	struct note note;
	size_t at = 0;

	while (next_note(core, &at, &note))
		if (!take_note(core, &note, err))
			return false;
	sort_mappings(core);
	return true;
}
