/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.h - the little of ELF that finding a runtime needs
 *
 * Dynamic symbols are looked up in the *memory* of the target (PT_DYNAMIC, GNU
 * or SysV hash), so nothing has to be opened: it works for deleted, replaced and
 * containers' files alike, stripped or not. Section headers are not in memory;
 * for them the mapped file is read through the source.
 *
 * The target may have forged all of it: every offset and count is checked and
 * every chain is bounded.
 */
#ifndef STALLSCOPE_ELF_H
#define STALLSCOPE_ELF_H

#include "stallscope/target.h"

/* An ELF object mapped into the target. */
struct elf_module {
	struct source *src;
	const struct mapping *first; /* the mapping that holds its ELF header */
	uint64_t bias;		     /* load address minus link address; 0 for ET_EXEC */
	uint64_t base, end;	     /* addresses it occupies */
	uint16_t machine;	     /* EM_X86_64 ... */
	uint64_t phdr;		     /* address of the program headers in memory */
	uint16_t phnum;
	/* dynamic section, addresses in the target; 0 when absent */
	uint64_t symtab, strtab, strsz, gnu_hash, sysv_hash;
	uint8_t build_id[20];
	uint8_t build_id_len; /* 0: none found; of a longer one the first 20 bytes */
};

/*
 * Reads header, program headers, dynamic section and build-id note of the object whose
 * first mapping (file offset 0) is m. CORRUPT when it is not a 64-bit little-endian ELF.
 */
bool elf_module_open(struct source *src, const struct maps *maps, const struct mapping *m,
		     struct elf_module *ret, struct error *err);

/* Address and size of a defined dynamic symbol in the target; false with ABSENT. */
bool elf_symbol(const struct elf_module *mod, const char *name, uint64_t *addr, uint64_t *size,
		struct error *err);

/* Address in the target and size of a section, by the file's section headers; ABSENT. */
bool elf_section(const struct elf_module *mod, const char *name, uint64_t *addr, uint64_t *size,
		 struct error *err);

#endif
