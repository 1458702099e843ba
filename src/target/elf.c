/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf.c - an ELF object as it stands in the target's memory
 */
#include <string.h>

#include "elf_private.h"
#include "stallscope/reader.h"

#define PHDRS_MAX   256u
#define DYNAMIC_MAX 512u  /* entries of a dynamic section; libraries have 20 to 40 */
#define PIECES_MAX  64u	  /* mappings of one object; 4 to 6 are usual */
#define NOTES_MAX   4096u /* bytes of one note segment */

/* The program headers that matter, as linked. */
struct layout {
	Elf64_Phdr phdr[PHDRS_MAX];
	const Elf64_Phdr *header;  /* PT_LOAD that holds the ELF header */
	const Elf64_Phdr *dynamic; /* or NULL */
};

static bool bad_elf(const struct elf_module *mod, const char *what, struct error *err)
{
	return error_set(err, ERR_CORRUPT, "the object at 0x%llx %s",
			 (unsigned long long)mod->first->file.start, what);
}

static bool check_header(const struct elf_module *mod, const Elf64_Ehdr *eh, struct error *err)
{
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return bad_elf(mod, "is no ELF", err);
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return bad_elf(mod, "is no 64-bit little-endian ELF", err);
	if (eh->e_type != ET_DYN && eh->e_type != ET_EXEC)
		return bad_elf(mod, "is neither program nor shared object", err);
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > PHDRS_MAX)
		return bad_elf(mod, "has bad program headers", err);
	return true;
}

/* A core may know no inodes: then the paths tell. */
static bool same_file(const struct source_file *a, const struct source_file *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major &&
	       a->dev_minor == b->dev_minor && strcmp(a->path, b->path) == 0;
}

/*
 * Where a part of the file is in memory, or 0. Linkers put the program headers right behind
 * the ELF header, but tools that edit objects move them to the end, into a segment of their own.
 */
static uint64_t find_offset(const struct elf_module *mod, const struct maps *maps, uint64_t offset,
			    uint64_t len)
{
	const struct mapping *m = maps_find(maps, mod->first->file.start);
	size_t left = m ? (size_t)(maps->v + maps->n - m) : 0;

	if (left > PIECES_MAX)
		left = PIECES_MAX;
	for (; left > 0; m++, left--) {
		uint64_t size = m->file.end - m->file.start;
		uint64_t at = offset - m->offset;

		if (!same_file(&m->file, &mod->first->file))
			continue;
		if (offset >= m->offset && at < size && len <= size - at)
			return m->file.start + at;
	}
	return 0;
}

/* Finds the segments that count; false when none holds the ELF header. */
static bool scan_phdrs(struct layout *lay, unsigned n)
{
	lay->header = lay->dynamic = NULL;
	for (unsigned i = 0; i < n; i++) {
		const Elf64_Phdr *ph = &lay->phdr[i];

		if (ph->p_type == PT_LOAD && !lay->header && ph->p_offset < SOURCE_PAGE)
			lay->header = ph;
		if (ph->p_type == PT_DYNAMIC && !lay->dynamic)
			lay->dynamic = ph;
	}
	return lay->header != NULL;
}

static bool read_phdrs(struct elf_module *mod, const struct maps *maps, const Elf64_Ehdr *eh,
		       struct layout *lay, struct error *err)
{
	uint64_t size = eh->e_phnum * sizeof(lay->phdr[0]);

	mod->machine = eh->e_machine;
	mod->phnum = eh->e_phnum;
	mod->phdr = find_offset(mod, maps, eh->e_phoff, size);
	if (mod->phdr == 0)
		return bad_elf(mod, "has its program headers out of place", err);
	if (!source_read(mod->src, mod->phdr, lay->phdr, size, err))
		return error_add(err, "reading program headers");
	if (!scan_phdrs(lay, mod->phnum))
		return bad_elf(mod, "has no segment with its header", err);
	return true;
}

/* bias, base and end out of the PT_LOAD segments. */
static bool place(struct elf_module *mod, const struct layout *lay, bool fixed, struct error *err)
{
	uint64_t start = mod->first->file.start;
	uint64_t high = 0;

	mod->bias = start - (lay->header->p_vaddr - lay->header->p_offset);
	if (fixed && mod->bias != 0)
		return bad_elf(mod, "is not where it was linked to be", err);
	for (unsigned i = 0; i < mod->phnum; i++) {
		const Elf64_Phdr *ph = &lay->phdr[i];
		uint64_t end;

		if (ph->p_type != PT_LOAD)
			continue;
		if (__builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end))
			return bad_elf(mod, "has a segment of impossible size", err);
		if (end > high)
			high = end;
	}
	mod->base = start;
	mod->end = mod->bias + high;
	if (mod->end <= mod->base || mod->end > UINT64_C(1) << 48)
		return bad_elf(mod, "has segments of impossible size", err);
	return true;
}

/*
 * A program may map a whole ELF file to read it: then the bytes behind the first segment
 * are not where the program headers say. Seen by the offset under the dynamic section.
 */
static bool is_loaded(const struct elf_module *mod, const struct maps *maps, const Elf64_Phdr *dyn)
{
	uint64_t addr = mod->bias + dyn->p_vaddr;
	const struct mapping *m = maps_find(maps, addr);

	return m && same_file(&m->file, &mod->first->file) &&
	       m->offset + (addr - m->file.start) == dyn->p_offset;
}

/*
 * The dynamic linker of glibc adds the bias to addresses in place, musl's does not, and the
 * vdso's cannot be: whichever reading lies inside the module is taken.
 */
static uint64_t dynamic_address(const struct elf_module *mod, uint64_t value)
{
	if (elf_inside(mod, value, 1))
		return value;
	if (elf_inside(mod, value + mod->bias, 1))
		return value + mod->bias;
	return 0;
}

static void take_dynamic(struct elf_module *mod, const Elf64_Dyn *dyn)
{
	uint64_t value = dyn->d_un.d_val;

	switch (dyn->d_tag) {
	case DT_SYMTAB:
		mod->symtab = dynamic_address(mod, value);
		break;
	case DT_STRTAB:
		mod->strtab = dynamic_address(mod, value);
		break;
	case DT_STRSZ:
		mod->strsz = value;
		break;
	case DT_GNU_HASH:
		mod->gnu_hash = dynamic_address(mod, value);
		break;
	case DT_HASH:
		mod->sysv_hash = dynamic_address(mod, value);
		break;
	default:
		break;
	}
}

static bool read_dynamic(struct elf_module *mod, const Elf64_Phdr *ph, struct error *err)
{
	Elf64_Dyn dyn[DYNAMIC_MAX];
	uint64_t addr = mod->bias + ph->p_vaddr;
	uint64_t n = ph->p_memsz / sizeof(dyn[0]);

	if (n > DYNAMIC_MAX)
		n = DYNAMIC_MAX;
	if (!elf_inside(mod, addr, n * sizeof(dyn[0])))
		return bad_elf(mod, "has its dynamic section outside", err);
	if (!source_read(mod->src, addr, dyn, n * sizeof(dyn[0]), err))
		return error_add(err, "reading a dynamic section");
	for (uint64_t i = 0; i < n && dyn[i].d_tag != DT_NULL; i++)
		take_dynamic(mod, &dyn[i]);
	if (!elf_inside(mod, mod->strtab, mod->strsz))
		mod->strtab = mod->strsz = 0;
	return true;
}

/* The build id in one segment of notes. A note that does not fit ends the search. */
static void find_build_id(struct elf_module *mod, const unsigned char *notes, size_t len)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr nh;
		size_t name, desc;

		memcpy(&nh, notes + at, sizeof(nh));
		at += sizeof(nh);
		name = ((size_t)nh.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)nh.n_descsz + 3) & ~(size_t)3;
		if (name > len - at || desc > len - at - name)
			return;
		if (nh.n_type == NT_GNU_BUILD_ID && nh.n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(notes + at, ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
			size_t n = nh.n_descsz;

			if (n > sizeof(mod->build_id))
				n = sizeof(mod->build_id);
			memcpy(mod->build_id, notes + at + name, n);
			mod->build_id_len = (uint8_t)n;
			return;
		}
		at += name + desc;
	}
}

/* Optional: a module whose notes cannot be read has no build id. */
static void read_build_id(struct elf_module *mod, const struct layout *lay)
{
	unsigned char notes[NOTES_MAX];

	for (unsigned i = 0; i < mod->phnum && mod->build_id_len == 0; i++) {
		const Elf64_Phdr *ph = &lay->phdr[i];
		uint64_t addr = mod->bias + ph->p_vaddr;

		if (ph->p_type != PT_NOTE || ph->p_memsz > sizeof(notes))
			continue;
		if (elf_inside(mod, addr, ph->p_memsz) &&
		    source_read(mod->src, addr, notes, ph->p_memsz, NULL))
			find_build_id(mod, notes, ph->p_memsz);
	}
}

bool elf_module_open(struct source *src, const struct maps *maps, const struct mapping *m,
		     struct elf_module *ret, struct error *err)
{
	struct elf_module mod = {.src = src, .first = m};
	struct layout lay;
	Elf64_Ehdr eh;

	if (m->offset != 0)
		return bad_elf(&mod, "does not begin with its header", err);
	if (!source_read(src, m->file.start, &eh, sizeof(eh), err))
		return error_add(err, "reading an ELF header");
	if (!check_header(&mod, &eh, err) || !read_phdrs(&mod, maps, &eh, &lay, err))
		return false;
	if (!place(&mod, &lay, eh.e_type == ET_EXEC, err))
		return false;
	if (lay.dynamic) {
		if (!is_loaded(&mod, maps, lay.dynamic))
			return bad_elf(&mod, "is mapped as data, not loaded", err);
		if (!read_dynamic(&mod, lay.dynamic, err))
			return false;
	}
	read_build_id(&mod, &lay);
	*ret = mod;
	return true;
}
