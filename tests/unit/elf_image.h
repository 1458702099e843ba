/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_image.h - a small ELF object made by hand, to be spoilt by tests
 *
 * One segment whose addresses are its file offsets, so that mapping the whole
 * file loads it. All tables are there twice or optional: GNU and SysV hash,
 * section headers, a build id.
 */
#ifndef STALLSCOPE_TESTS_ELF_IMAGE_H
#define STALLSCOPE_TESTS_ELF_IMAGE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IMAGE_SIZE 20480u
#define IMAGE_SYMS 10u

enum { DYN_SYMTAB, DYN_STRTAB, DYN_STRSZ, DYN_GNU_HASH, DYN_HASH, DYN_NULL, DYN_COUNT };
enum { SEC_NULL, SEC_TEXT, SEC_BSS, SEC_COMMENT, SEC_NAMES, SEC_COUNT };
enum { SYM_NULL, SYM_UNDEFINED, SYM_FIRST_HASHED, SYM_ALPHA = SYM_FIRST_HASHED };

struct elf_image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3]; /* load, dynamic, note */
	struct {
		Elf64_Nhdr head;
		char name[4];
		unsigned char id[20];
	} note;
	Elf64_Dyn dyn[DYN_COUNT];
	Elf64_Sym sym[IMAGE_SYMS];
	char str[256];
	struct {
		uint32_t buckets, first, bloom_words, shift;
		uint64_t bloom;
		uint32_t bucket;
		uint32_t chain[IMAGE_SYMS - SYM_FIRST_HASHED];
	} gnu;
	struct {
		uint32_t buckets, chains, bucket;
		uint32_t chain[IMAGE_SYMS];
	} sysv;
	Elf64_Shdr sh[SEC_COUNT];
	char shstr[64];
	unsigned char fill[IMAGE_SIZE - 2048];
};

/* Names in the order of the symbols; what each is like is in elf_image_symbols(). */
static const char *const elf_image_names[IMAGE_SYMS] = {
	"", "undefined", "alpha", "beta", "hidden", "tls", "absolute", "zero", "outside", "local",
};

static inline uint32_t elf_image_gnu_hash(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

static inline uint32_t elf_image_string(char *table, uint32_t *used, const char *name)
{
	uint32_t at = *used;

	strcpy(table + at, name);
	*used += (uint32_t)strlen(name) + 1;
	return at;
}

static inline void elf_image_symbols(struct elf_image *img)
{
	uint32_t used = 0;

	for (uint32_t i = 0; i < IMAGE_SYMS; i++) {
		img->sym[i].st_name = elf_image_string(img->str, &used, elf_image_names[i]);
		img->sym[i].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
		img->sym[i].st_shndx = SEC_TEXT;
		img->sym[i].st_value = 0x1000 + 16 * i;
		img->sym[i].st_size = 16;
	}
	img->sym[0] = (Elf64_Sym){0};
	img->sym[1].st_shndx = SHN_UNDEF;
	img->sym[4].st_other = STV_HIDDEN;
	img->sym[5].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_TLS);
	img->sym[6].st_shndx = SHN_ABS;
	img->sym[7].st_value = 0;
	img->sym[8].st_value = IMAGE_SIZE - 15;
	img->sym[9].st_info = ELF64_ST_INFO(STB_LOCAL, STT_OBJECT);
}

static inline void elf_image_hashes(struct elf_image *img)
{
	img->gnu.buckets = 1;
	img->gnu.first = SYM_FIRST_HASHED;
	img->gnu.bloom_words = 1;
	img->gnu.shift = 6;
	img->gnu.bucket = SYM_FIRST_HASHED;
	for (uint32_t i = SYM_FIRST_HASHED; i < IMAGE_SYMS; i++) {
		uint32_t h = elf_image_gnu_hash(elf_image_names[i]);

		img->gnu.bloom |= UINT64_C(1) << (h % 64) | UINT64_C(1) << ((h >> 6) % 64);
		img->gnu.chain[i - SYM_FIRST_HASHED] = (h & ~1u) | (i == IMAGE_SYMS - 1);
	}
	img->sysv.buckets = 1;
	img->sysv.chains = IMAGE_SYMS;
	img->sysv.bucket = 1;
	for (uint32_t i = 1; i + 1 < IMAGE_SYMS; i++)
		img->sysv.chain[i] = i + 1;
}

static inline void elf_image_sections(struct elf_image *img)
{
	static const char *const names[SEC_COUNT] = {"", ".text", ".bss", ".comment", ".shstrtab"};
	uint32_t used = 0;

	for (uint32_t i = 0; i < SEC_COUNT; i++) {
		img->sh[i].sh_name = elf_image_string(img->shstr, &used, names[i]);
		img->sh[i].sh_type = i == SEC_BSS ? SHT_NOBITS : SHT_PROGBITS;
		img->sh[i].sh_flags = SHF_ALLOC;
		img->sh[i].sh_addr = img->sh[i].sh_offset = 0x1000 + 0x100 * i;
		img->sh[i].sh_size = 0x100;
	}
	img->sh[SEC_NULL] = (Elf64_Shdr){0};
	img->sh[SEC_COMMENT].sh_flags = 0;
	img->sh[SEC_NAMES].sh_type = SHT_STRTAB;
	img->sh[SEC_NAMES].sh_flags = 0;
	img->sh[SEC_NAMES].sh_offset = offsetof(struct elf_image, shstr);
	img->sh[SEC_NAMES].sh_size = sizeof(img->shstr);
}

static inline Elf64_Phdr elf_image_segment(uint32_t type, uint64_t offset, uint64_t size)
{
	return (Elf64_Phdr){.p_type = type,
			    .p_flags = PF_R,
			    .p_offset = offset,
			    .p_vaddr = offset,
			    .p_filesz = size,
			    .p_memsz = size};
}

static inline void elf_image_heads(struct elf_image *img)
{
	Elf64_Ehdr *eh = &img->eh;

	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_type = ET_DYN;
	eh->e_machine = EM_X86_64;
	eh->e_phoff = offsetof(struct elf_image, ph);
	eh->e_phentsize = sizeof(Elf64_Phdr);
	eh->e_phnum = 3;
	eh->e_shoff = offsetof(struct elf_image, sh);
	eh->e_shentsize = sizeof(Elf64_Shdr);
	eh->e_shnum = SEC_COUNT;
	eh->e_shstrndx = SEC_NAMES;
	img->ph[0] = elf_image_segment(PT_LOAD, 0, IMAGE_SIZE);
	img->ph[1] =
		elf_image_segment(PT_DYNAMIC, offsetof(struct elf_image, dyn), sizeof(img->dyn));
	img->ph[2] =
		elf_image_segment(PT_NOTE, offsetof(struct elf_image, note), sizeof(img->note));
	img->note.head = (Elf64_Nhdr){4, sizeof(img->note.id), NT_GNU_BUILD_ID};
	memcpy(img->note.name, "GNU", 4);
	memset(img->note.id, 0xa5, sizeof(img->note.id));
}

static inline void elf_image_dynamic(struct elf_image *img)
{
	img->dyn[DYN_SYMTAB] = (Elf64_Dyn){DT_SYMTAB, {offsetof(struct elf_image, sym)}};
	img->dyn[DYN_STRTAB] = (Elf64_Dyn){DT_STRTAB, {offsetof(struct elf_image, str)}};
	img->dyn[DYN_STRSZ] = (Elf64_Dyn){DT_STRSZ, {sizeof(img->str)}};
	img->dyn[DYN_GNU_HASH] = (Elf64_Dyn){DT_GNU_HASH, {offsetof(struct elf_image, gnu)}};
	img->dyn[DYN_HASH] = (Elf64_Dyn){DT_HASH, {offsetof(struct elf_image, sysv)}};
}

/* A good one. */
static inline void elf_image_init(struct elf_image *img)
{
	_Static_assert(sizeof(*img) <= IMAGE_SIZE, "does not fit");
	memset(img, 0, sizeof(*img));
	elf_image_heads(img);
	elf_image_dynamic(img);
	elf_image_symbols(img);
	elf_image_hashes(img);
	elf_image_sections(img);
}

#endif
