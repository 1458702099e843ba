/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.c - the objects that a stack leads through, and where their unwind tables are
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "native_private.h"
#include "stallscope/utf8.h"

#define PATH_CHARS	   4096u
#define ENTRIES_MAX	   (1u << 24) /* libxul has 300 thousand */
#define PHDRS_MAX	   128u
#define PARTS_MAX	   16u /* mappings of one object */
#define HEADER_SIZE	   12u
#define ENC_UDATA4	   0x03
#define ENC_DATAREL_SDATA4 0x3b

struct native *native_open(struct source *src, const struct maps *maps, bool fetch)
{
	struct native *n = mem_zalloc(1, sizeof(*n));

	n->src = src;
	n->maps = maps;
	n->fetch = fetch;
	return n;
}

void native_close(struct native *n)
{
	if (!n)
		return;
	free(n->modules);
	addrmap_deinit(&n->module_of);
	arena_deinit(&n->arena);
	free(n);
}

const char *native_text(struct native *n, const char *text, size_t max)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, text, strlen(text), max);
	return arena_strndup(&n->arena, safe.data, safe.len);
}

/*
 * The header of the table is what every linker makes of it: an address, a count, and pairs of
 * 32-bit offsets from the header. Another kind is as good as none.
 */
static void take_table(struct native *n, struct native_module *m, uint64_t addr)
{
	uint8_t head[HEADER_SIZE];
	uint32_t count;

	if (!source_read(n->src, addr, head, sizeof(head), NULL) || head[0] != 1 ||
	    head[2] != ENC_UDATA4 || head[3] != ENC_DATAREL_SDATA4)
		return;
	if ((head[1] & 0x0f) != 0x0b && (head[1] & 0x0f) != ENC_UDATA4)
		return; /* the address has another size */
	memcpy(&count, head + 8, sizeof(count));
	if (!count || count > ENTRIES_MAX)
		return;
	m->table = addr;
	m->n_entries = count;
}

static void find_table(struct native *n, struct native_module *m)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; i < m->elf.phnum && i < PHDRS_MAX; i++) {
		if (!source_read(n->src, m->elf.phdr + i * sizeof(ph), &ph, sizeof(ph), NULL))
			return;
		if (ph.p_type == PT_GNU_EH_FRAME && m->elf.bias + ph.p_vaddr >= m->elf.base &&
		    m->elf.bias + ph.p_vaddr < m->elf.end)
			take_table(n, m, m->elf.bias + ph.p_vaddr);
	}
}

static bool same_file(const struct source_file *a, const struct source_file *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major &&
	       a->dev_minor == b->dev_minor && !strcmp(a->path, b->path);
}

/* The mapping with the ELF header of the object that m is a part of; NULL. */
static const struct mapping *first_of(const struct maps *maps, const struct mapping *m)
{
	const struct mapping *part = m;

	if (!m->file.path[0])
		return NULL;
	for (unsigned i = 0; i < PARTS_MAX && part >= maps->v; i++, part--)
		if (part->offset == 0 && same_file(&part->file, &m->file))
			return part;
	return NULL;
}

uint32_t native_module_at(struct native *n, uint64_t pc)
{
	const struct mapping *m = maps_find(n->maps, pc), *first = m ? first_of(n->maps, m) : NULL;
	struct native_module *module, found = {.first = first};
	uint32_t known;

	if (!first)
		return NATIVE_NONE;
	known = addrmap_get(&n->module_of, first->file.start);
	if (known != ADDRMAP_NONE)
		return known < n->n_modules ? known : NATIVE_NONE;
	if (!elf_module_open(n->src, n->maps, first, &found.elf, NULL)) {
		addrmap_put(&n->module_of, first->file.start, ADDRMAP_NONE - 1);
		return NATIVE_NONE;
	}
	find_table(n, &found);
	found.path = native_text(n, first->file.path, PATH_CHARS);
	known = (uint32_t)n->n_modules;
	module = array_push(&n->modules, &n->n_modules, &n->modules_cap);
	*module = found;
	addrmap_put(&n->module_of, first->file.start, known);
	return known;
}
