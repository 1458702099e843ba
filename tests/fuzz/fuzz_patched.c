/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_patched.c - a recorded core with a few words of it changed
 *
 * Bytes at random never get far into the interpreter's objects; a pointer of a good recording that
 * points elsewhere does. The first byte chooses the recording, the second how it is printed; then
 * come patches of 8 bytes. The recordings are those of the folder in STALLSCOPE_SEEDS (made by
 * tests/fuzz/seeds); each is read once as it is, to learn which words of it matter. With
 * STALLSCOPE_KEEP=FILE the core is left there, to be looked at:
 *
 *	tests/fuzz/seeds /tmp/seeds
 *	STALLSCOPE_SEEDS=/tmp/seeds tests/fuzz/fuzz_patched -timeout=3 -rss_limit_mb=600 corpus
 */
#include <dirent.h>
#include <elf.h>

#include "core_run.h"

#define SEEDS_MAX 128

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
	uint8_t *bytes;
	size_t size;
	uint32_t *hot; /* places of words that were read, or that are notes */
	size_t n_hot, hot_cap;
};

static struct seed seeds[SEEDS_MAX];
static size_t n_seeds;

/* ---- which words matter ------------------------------------------------------------------------
 */

static struct addrmap *reads; /* words of the target that are read, while we learn */

bool __real_source_read(struct source *src, uint64_t addr, void *buf, size_t len,
			struct error *err);
bool __wrap_source_read(struct source *src, uint64_t addr, void *buf, size_t len,
			struct error *err);

/* The linker puts this between the readers and the source (--wrap=source_read). */
bool __wrap_source_read(struct source *src, uint64_t addr, void *buf, size_t len, struct error *err)
{
	for (uint64_t at = addr & ~UINT64_C(7); reads && len < 4096 && at < addr + len; at += 8)
		addrmap_put(reads, at, 0);
	return __real_source_read(src, addr, buf, len, err);
}

static uint64_t word_at(const struct seed *s, size_t at)
{
	uint64_t word;

	memcpy(&word, s->bytes + at, sizeof(word));
	return word;
}

static void add_hot(struct seed *s, size_t at)
{
	*array_push(&s->hot, &s->n_hot, &s->hot_cap) = (uint32_t)at;
}

/* The words of a segment: all of the notes, of memory those that are read. */
static void learn_segment(struct seed *s, const Elf64_Phdr *segment)
{
	for (uint64_t i = 0; i + 8 <= segment->p_filesz; i += 8) {
		size_t at = segment->p_offset + i;

		if (at + 8 > s->size)
			return;
		if (segment->p_type == PT_NOTE ? word_at(s, at) != 0
					       : addrmap_get(reads, segment->p_vaddr + i) == 0)
			add_hot(s, at);
	}
}

static void learn(struct seed *s)
{
	struct addrmap seen = ADDRMAP_INIT;
	struct source *src;
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	if (!source_open_core(core_file(s->bytes, s->size), &src, NULL))
		return;
	reads = &seen;
	run_core(src, 0);
	source_close(src);
	memcpy(&header, s->bytes, sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		memcpy(&segment, s->bytes + header.e_phoff + i * sizeof(segment), sizeof(segment));
		learn_segment(s, &segment);
	}
	reads = NULL;
	addrmap_deinit(&seen);
}

/* ---- the recordings ----------------------------------------------------------------------------
 */

static void load(const char *path)
{
	struct seed *s = &seeds[n_seeds];
	FILE *file = fopen(path, "r");
	size_t cap = 0, n;

	if (!file)
		abort();
	do {
		s->bytes = array_grow(s->bytes, &cap, s->size + 65536, 1);
		n = fread(s->bytes + s->size, 1, 65536, file);
		s->size += n;
	} while (n);
	fclose(file);
	learn(s);
	if (s->n_hot)
		n_seeds++;
}

static void load_all(void)
{
	const char *folder = getenv("STALLSCOPE_SEEDS");
	struct dirent **names;
	int n = folder ? scandir(folder, &names, NULL, alphasort) : -1;

	for (int i = 0; i < n; i++) {
		char path[4096];

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && n_seeds < SEEDS_MAX)
			load(path);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (!n_seeds) {
		fputs("fuzz_patched: STALLSCOPE_SEEDS names no folder of recorded cores\n", stderr);
		exit(1);
	}
}

/* ---- patches -----------------------------------------------------------------------------------
 */

/* The target's address of a place in the file, 0 when it is not memory. */
static uint64_t address_of(const struct seed *s, size_t at)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;

	memcpy(&header, s->bytes, sizeof(header));
	for (unsigned i = 0; i < header.e_phnum; i++) {
		memcpy(&segment, s->bytes + header.e_phoff + i * sizeof(segment), sizeof(segment));
		if (segment.p_type == PT_LOAD && at - segment.p_offset < segment.p_filesz)
			return segment.p_vaddr + (at - segment.p_offset);
	}
	return 0;
}

/* A word to be put at a place of the recording: what kind, and 32 bits to choose by. */
static uint64_t new_word(const struct seed *s, size_t at, unsigned kind, uint32_t value)
{
	static const uint64_t odd[] = {0,
				       1,
				       2,
				       UINT64_MAX,
				       INT64_MAX,
				       UINT64_C(1) << 63,
				       UINT32_MAX,
				       INT32_MAX,
				       UINT64_C(1) << 31,
				       UINT64_C(1) << 22,
				       UINT64_C(1) << 40,
				       0x7ff8000000000000, /* not a number, infinite, huge */
				       0x7ff0000000000000,
				       0xfff0000000000000,
				       0x7fe0000000000000};
	size_t other = s->hot[value % s->n_hot];
	uint64_t old = word_at(s, at);

	switch (kind % 8) {
	case 0:
		return word_at(s, other); /* what stands somewhere else */
	case 1:
		return address_of(s, other);
	case 2:
		return address_of(s, at) + value % 128; /* itself */
	case 3:
		return old + (uint64_t)(int64_t)(int8_t)value;
	case 4:
		return odd[value % ARRAY_SIZE(odd)];
	case 5:
		return old ^ UINT64_C(1) << (value % 64);
	case 6: /* the lower half: lengths, flags, states */
		return (old & ~UINT64_C(0xffffffff)) | value;
	default:
		return (old & 0xffffffff) | (uint64_t)value << 32;
	}
}

/* Patches: u8 kind, u24 place, u32 value. */
static void patch(const struct seed *s, uint8_t *copy, const uint8_t *data, size_t size)
{
	for (; size >= 8; data += 8, size -= 8) {
		uint32_t place = (uint32_t)(data[1] | data[2] << 8 | data[3] << 16), value;
		size_t at = s->hot[place % s->n_hot];
		uint64_t word;

		memcpy(&value, data + 4, sizeof(value));
		word = new_word(s, at, data[0], value);
		memcpy(copy + at, &word, sizeof(word));
	}
}

static void keep(const uint8_t *bytes, size_t size)
{
	const char *path = getenv("STALLSCOPE_KEEP");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (file && (fwrite(bytes, 1, size, file) != size || fclose(file)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct seed *s;
	const char *path;
	struct source *src;
	uint8_t *copy;

	if (!n_seeds)
		load_all();
	if (size < 2)
		return 0;
	s = &seeds[data[0] % n_seeds];
	copy = mem_alloc(s->size);
	memcpy(copy, s->bytes, s->size);
	patch(s, copy, data + 2, size - 2);
	keep(copy, s->size);
	path = core_file(copy, s->size);
	free(copy);
	if (source_open_core(path, &src, NULL)) {
		run_core(src, data[1]);
		source_close(src);
	}
	return 0;
}
