/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbol.c - names of functions from the symbol tables of the files
 *
 * A file's .symtab when it was not stripped, else what it exports. An address behind the end of a
 * symbol is in a function that has no name here: it gets none, instead of that of its neighbour.
 *
 * The file may be the target's: libelf checks what it reads against the length of the file, and the
 * file is read, not mapped, so that it may be cut meanwhile.
 */
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "native_private.h"
#include "stallscope/cleanup.h"

#define SYMBOLS_MAX 4000000u	 /* of one table; libtorch has a million */
#define TABLE_MAX   (256u << 20) /* bytes */
#define IMAGE_MAX   (256u << 10) /* bytes of an object that is no file: the vDSO has 8 KiB */
#define NAME_CHARS  400u

/* ---- images -------------------------------------------------------------------------------- */

static void open_memory(struct native *n, const struct native_module *m, struct native_image *ret)
{
	const struct source_file *file = &m->first->file;
	size_t size = (size_t)(file->end - file->start);

	if (size > IMAGE_MAX)
		return;
	ret->memory = mem_alloc(size);
	if (source_read(n->src, file->start, ret->memory, size, NULL))
		ret->elf = elf_memory(ret->memory, size);
}

bool native_image_open(struct native *n, const struct native_module *module,
		       struct native_image *ret)
{
	*ret = (struct native_image){.fd = -1};
	elf_version(EV_CURRENT);
	if (module->first->file.path[0] == '[') {
		open_memory(n, module, ret);
	} else {
		ret->fd = source_file_open(n->src, &module->first->file, NULL);
		if (ret->fd >= 0)
			ret->elf = elf_begin(ret->fd, ELF_C_READ, NULL);
	}
	if (ret->elf && elf_kind(ret->elf) == ELF_K_ELF && gelf_getclass(ret->elf) == ELFCLASS64)
		return true;
	native_image_close(ret);
	return false;
}

void native_image_close(struct native_image *image)
{
	elf_end(image->elf);
	free(image->memory);
	if (image->fd >= 0)
		close(image->fd);
	*image = (struct native_image){.fd = -1};
}

/* ---- one table ----------------------------------------------------------------------------- */

/* What is known so far of the function at an address of a file. */
struct candidate {
	struct native_frame *frame;
	uint64_t address;
	uint64_t nearest; /* begin of the last function before it, with or without a name */
	bool found;
	GElf_Sym sym;
	const char *name;
};

static int binding_rank(const GElf_Sym *sym)
{
	switch (GELF_ST_BIND(sym->st_info)) {
	case STB_GLOBAL:
		return 2;
	case STB_WEAK:
		return 1;
	default:
		return 0;
	}
}

static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

/*
 * Of several that hold the address: the one that begins last, then the plain name of aliases
 * (select, __select), then one that others can see.
 */
static bool is_better(const struct candidate *c, const GElf_Sym *sym, const char *name)
{
	if (!c->found)
		return true;
	if (!sym->st_size != !c->sym.st_size)
		return sym->st_size;
	if (sym->st_value != c->sym.st_value)
		return sym->st_value > c->sym.st_value;
	if (underscores(name) != underscores(c->name))
		return underscores(name) < underscores(c->name);
	if (binding_rank(sym) != binding_rank(&c->sym))
		return binding_rank(sym) > binding_rank(&c->sym);
	return strcmp(name, c->name) < 0;
}

/* A function without a size (written in assembler) lasts up to the next one. */
static bool holds(const GElf_Sym *sym, uint64_t address)
{
	uint64_t at = address - sym->st_value;

	return address >= sym->st_value && (at < sym->st_size || !sym->st_size);
}

static bool is_function(const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	if (sym->st_shndx == SHN_UNDEF || !sym->st_value)
		return false;
	return type == STT_FUNC || type == STT_GNU_IFUNC || (type == STT_NOTYPE && sym->st_size);
}

static void search_table(Elf *elf, Elf_Scn *section, const GElf_Shdr *head,
			 struct candidate *candidates, size_t n)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t count = head->sh_entsize ? head->sh_size / head->sh_entsize : 0;
	GElf_Sym sym;

	for (size_t i = 0; data && i < count && i < SYMBOLS_MAX; i++) {
		if (!gelf_getsym(data, (int)i, &sym))
			return;
		if (!is_function(&sym))
			continue;
		for (size_t k = 0; k < n; k++) {
			struct candidate *c = &candidates[k];
			const char *name;

			if (sym.st_value <= c->address && sym.st_value > c->nearest)
				c->nearest = sym.st_value;
			if (!holds(&sym, c->address))
				continue;
			name = elf_strptr(elf, head->sh_link, sym.st_name);
			if (!name || !name[0] || !is_better(c, &sym, name))
				continue;
			c->found = true;
			c->sym = sym;
			c->name = name;
		}
	}
}

static bool has_table(Elf *elf, GElf_Word type, Elf_Scn **section, GElf_Shdr *head)
{
	*section = NULL;
	while ((*section = elf_nextscn(elf, *section)))
		if (gelf_getshdr(*section, head) && head->sh_type == type &&
		    head->sh_size <= TABLE_MAX)
			return true;
	return false;
}

static void name_frames(struct native *n, const struct native_image *image,
			struct candidate *candidates, size_t count)
{
	Elf_Scn *section;
	GElf_Shdr head;
	bool all = has_table(image->elf, SHT_SYMTAB, &section, &head);

	if (!all && !has_table(image->elf, SHT_DYNSYM, &section, &head))
		return;
	search_table(image->elf, section, &head, candidates, count);
	for (size_t i = 0; i < count; i++) {
		struct candidate *c = &candidates[i];

		/* one without a size, only where all functions are known and none lies between */
		if (!c->found || (!c->sym.st_size && (!all || c->nearest != c->sym.st_value)))
			continue;
		c->frame->function = native_text(n, c->name, NAME_CHARS);
		c->frame->offset =
			c->frame->pc - (c->sym.st_value + n->modules[c->frame->module].elf.bias);
	}
}

/* ---- all frames ---------------------------------------------------------------------------- */

static void name_module(struct native *n, uint32_t module, struct native_stack *stack, bool lines)
{
	cleanup_free struct candidate *candidates = mem_zalloc(stack->n + 1, sizeof(*candidates));
	struct native_image image;
	size_t count = 0;

	for (size_t i = 0; i < stack->n; i++) {
		struct native_frame *f = &stack->frames[i];

		if (f->module == module && !f->inlined)
			candidates[count++] = (struct candidate){
				.frame = f,
				.address = f->pc - f->called - n->modules[module].elf.bias};
	}
	if (!count || !native_image_open(n, &n->modules[module], &image))
		return;
	name_frames(n, &image, candidates, count);
	if (lines)
		native_lines(n, module, &image, stack);
	native_image_close(&image);
}

void native_symbols(struct native *n, struct native_stack *stack, bool lines)
{
	for (size_t i = 0; i < n->n_modules; i++)
		name_module(n, (uint32_t)i, stack, lines);
}
