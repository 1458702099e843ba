/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_symbol.c - dynamic symbols, by the hash tables in the target's memory
 *
 * A look-up touches the table's head, one word of the bloom filter, one bucket
 * and mostly one link of a chain: a few pages, most of them shared by the next
 * look-up in the same module.
 */
#include <string.h>

#include "elf_private.h"
#include "stallscope/reader.h"

#define NAME_LIMIT  256u
#define TABLE_MAX   (1u << 24) /* buckets or bloom words */
#define CHAIN_STEPS 4096u      /* chains have 1 to 10 links */

struct lookup {
	const struct elf_module *mod;
	struct reader rd;
	const char *name;
	size_t name_len;
	Elf64_Sym sym; /* the symbol found */
};

static void forged(struct lookup *lk, uint64_t addr, const char *what)
{
	rd_corrupt(&lk->rd, addr, what);
}

/* A word of a table that must lie inside the module. */
static uint32_t table_u32(struct lookup *lk, uint64_t table, uint64_t index)
{
	uint64_t addr = table + 4 * index;

	if (!elf_inside(lk->mod, addr, 4)) {
		forged(lk, addr, "a symbol table that ends outside of its module");
		return 0;
	}
	return rd_u32(&lk->rd, addr);
}

static bool same_name(struct lookup *lk, uint32_t offset)
{
	char text[NAME_LIMIT + 1];
	size_t size = lk->name_len + 1;

	if (offset >= lk->mod->strsz || size > lk->mod->strsz - offset)
		return false;
	rd_bytes(&lk->rd, lk->mod->strtab + offset, text, size);
	return !lk->rd.failed && memcmp(text, lk->name, size) == 0;
}

/* Only what other modules may use: defined, global, in the module, no thread-local. */
static bool is_visible(const struct elf_module *mod, const Elf64_Sym *sym)
{
	unsigned visibility = ELF64_ST_VISIBILITY(sym->st_other);

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx == SHN_ABS || sym->st_value == 0)
		return false;
	if (ELF64_ST_BIND(sym->st_info) == STB_LOCAL || ELF64_ST_TYPE(sym->st_info) == STT_TLS)
		return false;
	if (visibility == STV_HIDDEN || visibility == STV_INTERNAL)
		return false;
	return elf_inside(mod, mod->bias + sym->st_value, sym->st_size);
}

/* Is symbol number `index` the one that is looked for? Keeps it. */
static bool try_symbol(struct lookup *lk, uint32_t index)
{
	uint64_t addr = lk->mod->symtab + (uint64_t)index * sizeof(lk->sym);

	if (!elf_inside(lk->mod, addr, sizeof(lk->sym))) {
		forged(lk, addr, "a symbol outside of its module");
		return false;
	}
	rd_bytes(&lk->rd, addr, &lk->sym, sizeof(lk->sym));
	return !lk->rd.failed && is_visible(lk->mod, &lk->sym) && same_name(lk, lk->sym.st_name);
}

static uint32_t hash_gnu(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h;
}

struct gnu_table {
	uint32_t buckets, first_symbol, bloom_words, shift;
	uint64_t bloom, bucket, chain; /* addresses */
};

static bool read_gnu_table(struct lookup *lk, struct gnu_table *t)
{
	uint64_t at = lk->mod->gnu_hash;
	uint32_t head[4];

	if (!elf_inside(lk->mod, at, sizeof(head))) {
		forged(lk, at, "a hash table outside of its module");
		return false;
	}
	rd_bytes(&lk->rd, at, head, sizeof(head));
	t->buckets = head[0];
	t->first_symbol = head[1];
	t->bloom_words = head[2];
	t->shift = head[3];
	t->bloom = at + sizeof(head);
	t->bucket = t->bloom + 8 * (uint64_t)t->bloom_words;
	t->chain = t->bucket + 4 * (uint64_t)t->buckets;
	if (lk->rd.failed)
		return false;
	if (t->buckets == 0 || t->buckets > TABLE_MAX || t->bloom_words == 0 ||
	    t->bloom_words > TABLE_MAX || (t->bloom_words & (t->bloom_words - 1)) != 0 ||
	    t->shift > 63) {
		forged(lk, at, "a hash table with an impossible head");
		return false;
	}
	return true;
}

/* The filter knows most absent names without a look at buckets and strings. */
static bool passes_bloom(struct lookup *lk, const struct gnu_table *t, uint32_t hash)
{
	uint64_t addr = t->bloom + 8 * (uint64_t)((hash / 64) & (t->bloom_words - 1));
	uint64_t mask = UINT64_C(1) << (hash % 64) | UINT64_C(1)
							     << (((uint64_t)hash >> t->shift) % 64);

	if (!elf_inside(lk->mod, addr, 8)) {
		forged(lk, addr, "a hash table that ends outside of its module");
		return false;
	}
	return (rd_u64(&lk->rd, addr) & mask) == mask;
}

static bool find_gnu(struct lookup *lk)
{
	uint32_t hash = hash_gnu(lk->name), index;
	struct gnu_table t;

	if (!read_gnu_table(lk, &t) || !passes_bloom(lk, &t, hash))
		return false;
	index = table_u32(lk, t.bucket, hash % t.buckets);
	if (index == 0)
		return false;
	if (index < t.first_symbol) {
		forged(lk, t.bucket, "a hash bucket with an impossible symbol");
		return false;
	}
	for (unsigned step = 0; step < CHAIN_STEPS && !lk->rd.failed; step++, index++) {
		uint32_t link = table_u32(lk, t.chain, index - t.first_symbol);

		if ((link | 1) == (hash | 1) && try_symbol(lk, index))
			return true;
		if (link & 1)
			return false;
	}
	if (!lk->rd.failed)
		forged(lk, t.chain, "a hash chain without an end");
	return false;
}

static uint32_t hash_sysv(const char *name)
{
	uint32_t h = 0;

	for (; *name; name++) {
		h = (h << 4) + (unsigned char)*name;
		h ^= (h & 0xf0000000) >> 24;
		h &= 0x0fffffff;
	}
	return h;
}

/* { buckets, chains, bucket[buckets], chain[chains] }; symbol 0 ends a chain. */
static bool find_sysv(struct lookup *lk)
{
	uint64_t table = lk->mod->sysv_hash;
	uint32_t buckets = table_u32(lk, table, 0);
	uint32_t chains = table_u32(lk, table, 1);
	uint32_t index;

	if (lk->rd.failed)
		return false;
	if (buckets == 0) {
		forged(lk, table, "a hash table without buckets");
		return false;
	}
	index = table_u32(lk, table, UINT64_C(2) + hash_sysv(lk->name) % buckets);
	for (unsigned step = 0; step < CHAIN_STEPS && index != 0 && !lk->rd.failed; step++) {
		if (index >= chains) {
			forged(lk, table, "a hash chain with an impossible symbol");
			return false;
		}
		if (try_symbol(lk, index))
			return true;
		index = table_u32(lk, table, UINT64_C(2) + buckets + index);
	}
	if (index != 0 && !lk->rd.failed)
		forged(lk, table, "a hash chain without an end");
	return false;
}

bool elf_symbol(const struct elf_module *mod, const char *name, uint64_t *addr, uint64_t *size,
		struct error *err)
{
	struct lookup lk = {
		.mod = mod, .rd = READER(mod->src), .name = name, .name_len = strlen(name)};
	bool usable = mod->symtab && mod->strtab && lk.name_len > 0 && lk.name_len < NAME_LIMIT;
	bool found = false;

	if (usable && mod->gnu_hash)
		found = find_gnu(&lk);
	else if (usable && mod->sysv_hash)
		found = find_sysv(&lk);
	if (lk.rd.failed)
		return rd_error(&lk.rd, err);
	if (!found)
		return error_set(err, ERR_ABSENT, "no symbol %s in the object at 0x%llx", name,
				 (unsigned long long)mod->base);
	*addr = mod->bias + lk.sym.st_value;
	if (size)
		*size = lk.sym.st_size;
	return true;
}
