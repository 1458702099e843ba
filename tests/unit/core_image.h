/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core_image.h - cores made note by note and segment by segment, also such as nobody would write
 */
#ifndef STALLSCOPE_TESTS_CORE_IMAGE_H
#define STALLSCOPE_TESTS_CORE_IMAGE_H

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/corefile.h"
#include "stallscope/source.h"
#include "stallscope/strbuf.h"

#define IMAGE_LOADS 16

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr loads[IMAGE_LOADS];
	size_t n_loads;
	struct strbuf notes, data;	   /* data: behind everything, from a page border on */
	struct strbuf map_rows, map_names; /* NT_FILE to be */
	uint64_t n_maps;
};

static inline void image_init(struct image *im, uint16_t machine)
{
	memset(im, 0, sizeof(*im));
	im->header = (Elf64_Ehdr){
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_machine = machine,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
	};
	strbuf_init(&im->notes);
	strbuf_init(&im->data);
	strbuf_init(&im->map_rows);
	strbuf_init(&im->map_names);
}

static inline void image_deinit(struct image *im)
{
	strbuf_deinit(&im->notes);
	strbuf_deinit(&im->data);
	strbuf_deinit(&im->map_rows);
	strbuf_deinit(&im->map_names);
}

/* A note whose sizes may be lies. */
static inline void image_raw_note(struct image *im, uint32_t name_size, uint32_t desc_size,
				  const void *rest, size_t len)
{
	Elf64_Nhdr head = {name_size, desc_size, 1};

	strbuf_add(&im->notes, &head, sizeof(head));
	strbuf_add(&im->notes, rest, len);
}

static inline void image_note_add(struct image *im, const char *name, uint32_t type,
				  const void *desc, size_t len)
{
	Elf64_Nhdr head = {(uint32_t)strlen(name) + 1, (uint32_t)len, type};

	strbuf_add(&im->notes, &head, sizeof(head));
	strbuf_add(&im->notes, name, head.n_namesz);
	strbuf_pad(&im->notes, 0, (4 - im->notes.len % 4) % 4);
	strbuf_add(&im->notes, desc, len);
	strbuf_pad(&im->notes, 0, (4 - im->notes.len % 4) % 4);
}

static inline void image_psinfo(struct image *im, int pid, int ppid, unsigned uid, const char *name,
				const char *args)
{
	struct core_prpsinfo info = {
		.sname = 't', .uid = uid, .gid = uid, .pid = pid, .ppid = ppid};

	memcpy(info.fname, name, strlen(name));
	memcpy(info.psargs, args, strlen(args));
	image_note_add(im, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

/* A thread in system call number with the arguments 1 to 6; -1: in none. */
static inline void image_thread(struct image *im, int tid, int64_t number, uint64_t sp, uint64_t pc)
{
	static const unsigned char x86_args[] = {X86_RDI, X86_RSI, X86_RDX,
						 X86_R10, X86_R8,  X86_R9};
	struct {
		struct core_prstatus status;
		uint64_t reg[CORE_REGS_AARCH64 + 1];
	} desc = {.status = {.pid = tid}};
	bool x86 = im->header.e_machine == EM_X86_64;
	int32_t call = (int32_t)number;

	for (unsigned i = 0; i < 6; i++)
		desc.reg[x86 ? x86_args[i] : i] = i + 1;
	desc.reg[x86 ? X86_RSP : ARM_SP] = sp;
	desc.reg[x86 ? X86_RIP : ARM_PC] = pc;
	if (x86)
		desc.reg[X86_ORIG_RAX] = (uint64_t)number;
	image_note_add(im, "CORE", NT_PRSTATUS, &desc,
		       sizeof(desc.status) +
			       (x86 ? CORE_REGS_X86_64 + 1 : CORE_REGS_AARCH64 + 1) * 8);
	if (!x86)
		image_note_add(im, "LINUX", NT_ARM_SYSTEM_CALL, &call, sizeof(call));
}

static inline void image_auxv(struct image *im, uint64_t type, uint64_t value)
{
	const uint64_t pairs[] = {type, value, AT_NULL, 0};

	image_note_add(im, "CORE", NT_AUXV, pairs, sizeof(pairs));
}

/* offset is in pages. */
static inline void image_map(struct image *im, uint64_t start, uint64_t end, uint64_t offset,
			     const char *name)
{
	const uint64_t row[] = {start, end, offset};

	strbuf_add(&im->map_rows, row, sizeof(row));
	strbuf_add(&im->map_names, name, strlen(name) + 1);
	im->n_maps++;
}

static inline void image_load(struct image *im, uint64_t address, const void *data, uint64_t len,
			      uint64_t memory, uint32_t flags)
{
	if (im->n_loads == IMAGE_LOADS)
		abort();
	im->loads[im->n_loads++] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = flags,
		.p_offset = im->data.len,
		.p_vaddr = address,
		.p_filesz = len,
		.p_memsz = memory,
		.p_align = SOURCE_PAGE,
	};
	strbuf_add(&im->data, data, len);
}

/* Collects NT_FILE out of the mappings, once. */
static inline void image_end_maps(struct image *im)
{
	struct strbuf desc = STRBUF_INIT;
	const uint64_t head[] = {im->n_maps, SOURCE_PAGE};

	if (!im->n_maps)
		return;
	strbuf_add(&desc, head, sizeof(head));
	strbuf_add(&desc, im->map_rows.data, im->map_rows.len);
	strbuf_add(&desc, im->map_names.data, im->map_names.len);
	image_note_add(im, "CORE", NT_FILE, desc.data, desc.len);
	strbuf_deinit(&desc);
	im->n_maps = 0;
}

/* The header says count, whatever there is. */
static inline void image_write_count(struct image *im, const char *path, uint16_t count)
{
	struct strbuf out = STRBUF_INIT;
	uint64_t at = sizeof(im->header) + (im->n_loads + 1) * sizeof(Elf64_Phdr);
	Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = at, .p_align = 4};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	image_end_maps(im);
	note.p_filesz = im->notes.len;
	im->header.e_phnum = count;
	strbuf_add(&out, &im->header, sizeof(im->header));
	strbuf_add(&out, &note, sizeof(note));
	at += im->notes.len;
	at += (SOURCE_PAGE - at % SOURCE_PAGE) % SOURCE_PAGE;
	for (size_t i = 0; i < im->n_loads; i++) {
		Elf64_Phdr load = im->loads[i];

		load.p_offset += at;
		strbuf_add(&out, &load, sizeof(load));
	}
	strbuf_add(&out, im->notes.data, im->notes.len);
	strbuf_pad(&out, 0, at - out.len);
	strbuf_add(&out, im->data.data, im->data.len);
	if (fd < 0 || write(fd, out.data, out.len) != (ssize_t)out.len || close(fd))
		abort();
	strbuf_deinit(&out);
}

static inline void image_write(struct image *im, const char *path)
{
	image_write_count(im, path, (uint16_t)(im->n_loads + 1));
}

/* The nth note of that name and type in a core whose first segment is the notes; aborts. */
static inline const Elf64_Nhdr *image_note(const char *bytes, size_t len, const char *name,
					   uint32_t type, unsigned nth)
{
	const Elf64_Phdr *ph = (const void *)(bytes + sizeof(Elf64_Ehdr));
	size_t at = ph->p_offset, end = at + ph->p_filesz;

	while (at < end && end <= len) {
		const Elf64_Nhdr *note = (const void *)(bytes + at);

		if (note->n_type == type && !strcmp((const char *)(note + 1), name) && !nth--)
			return note;
		at += sizeof(*note) + ((note->n_namesz + 3u) & ~3u) + ((note->n_descsz + 3u) & ~3u);
	}
	abort();
}

/* Copies what the note says, at most size bytes: it need not be aligned. */
static inline void image_desc(const Elf64_Nhdr *note, void *out, size_t size)
{
	memcpy(out, (const char *)(note + 1) + ((note->n_namesz + 3u) & ~3u),
	       note->n_descsz < size ? note->n_descsz : size);
}

#endif
