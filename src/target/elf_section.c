/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_section.c - sections by name, from the section headers of the mapped file
 */
#include <string.h>

#include "elf_private.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define SECTIONS_MAX 8192u
#define NAMES_MAX    (1u << 20)

/* The section headers of a file, and the text their names are in. */
struct sections {
	Elf64_Shdr *v;
	char *names;
	uint64_t n, names_size;
};

static void sections_deinit(struct sections *sec)
{
	free(sec->v);
	free(sec->names);
}
#define cleanup_sections __attribute__((cleanup(sections_deinit)))

static bool bad_file(const struct elf_module *mod, const char *what, struct error *err)
{
	return error_set(err, ERR_CORRUPT, "the file of the object at 0x%llx %s",
			 (unsigned long long)mod->base, what);
}

static bool file_read(const struct elf_module *mod, uint64_t offset, void *buf, size_t len,
		      struct error *err)
{
	if (offset > INT64_MAX - len)
		return bad_file(mod, "points outside of itself", err);
	return source_file_read(mod->src, &mod->first->file, offset, buf, len, err);
}

/* The file must be the one that is mapped: its header equals the one in memory. */
static bool read_header(const struct elf_module *mod, Elf64_Ehdr *eh, struct error *err)
{
	Elf64_Ehdr mapped;

	if (!source_read(mod->src, mod->base, &mapped, sizeof(mapped), err) ||
	    !file_read(mod, 0, eh, sizeof(*eh), err))
		return false;
	if (memcmp(eh, &mapped, sizeof(mapped)) != 0)
		return bad_file(mod, "is not the one in memory", err);
	return true;
}

/* Counts that do not fit the header stand in the first section header. */
static bool count_sections(const struct elf_module *mod, const Elf64_Ehdr *eh, uint64_t *n,
			   uint64_t *names, struct error *err)
{
	Elf64_Shdr first;

	*n = eh->e_shnum;
	*names = eh->e_shstrndx;
	if (eh->e_shoff == 0)
		return error_set(err, ERR_ABSENT, "the object at 0x%llx has no section headers",
				 (unsigned long long)mod->base);
	if (eh->e_shentsize != sizeof(first))
		return bad_file(mod, "has section headers of a wrong size", err);
	if (*n == 0 || *names == SHN_XINDEX) {
		if (!file_read(mod, eh->e_shoff, &first, sizeof(first), err))
			return false;
		*n = *n ? *n : first.sh_size;
		*names = *names == SHN_XINDEX ? first.sh_link : *names;
	}
	if (*n == 0 || *n > SECTIONS_MAX || *names == SHN_UNDEF || *names >= *n)
		return bad_file(mod, "has an impossible number of sections", err);
	return true;
}

static bool read_names(const struct elf_module *mod, const Elf64_Shdr *sh, struct sections *sec,
		       struct error *err)
{
	if (sh->sh_type != SHT_STRTAB || sh->sh_size == 0 || sh->sh_size > NAMES_MAX)
		return bad_file(mod, "has no usable section names", err);
	sec->names_size = sh->sh_size;
	sec->names = mem_alloc(sh->sh_size);
	return file_read(mod, sh->sh_offset, sec->names, sh->sh_size, err);
}

static bool read_sections(const struct elf_module *mod, struct sections *sec, struct error *err)
{
	Elf64_Ehdr eh;
	uint64_t names;

	if (!read_header(mod, &eh, err) || !count_sections(mod, &eh, &sec->n, &names, err))
		return false;
	sec->v = mem_alloc(sec->n * sizeof(sec->v[0]));
	return file_read(mod, eh.e_shoff, sec->v, sec->n * sizeof(sec->v[0]), err) &&
	       read_names(mod, &sec->v[names], sec, err);
}

static const Elf64_Shdr *find_section(const struct sections *sec, const char *name)
{
	size_t size = strlen(name) + 1;

	for (uint64_t i = 1; i < sec->n; i++) {
		const Elf64_Shdr *sh = &sec->v[i];

		if (sh->sh_name < sec->names_size && size <= sec->names_size - sh->sh_name &&
		    memcmp(sec->names + sh->sh_name, name, size) == 0)
			return sh;
	}
	return NULL;
}

bool elf_section(const struct elf_module *mod, const char *name, uint64_t *addr, uint64_t *size,
		 struct error *err)
{
	cleanup_sections struct sections sec = {0};
	const Elf64_Shdr *sh;

	if (!read_sections(mod, &sec, err))
		return error_add(err, "looking for section %s", name);
	sh = find_section(&sec, name);
	if (!sh || !(sh->sh_flags & SHF_ALLOC) || sh->sh_addr == 0)
		return error_set(err, ERR_ABSENT, "no section %s in the object at 0x%llx", name,
				 (unsigned long long)mod->base);
	if (!elf_inside(mod, mod->bias + sh->sh_addr, sh->sh_size))
		return bad_file(mod, "has a section outside of its memory", err);
	*addr = mod->bias + sh->sh_addr;
	if (size)
		*size = sh->sh_size;
	return true;
}
