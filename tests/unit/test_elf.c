/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_elf.c - ELF against our own process: its real libraries, and forged ones mapped into it
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "elf_image.h"
#include "stallscope/arena.h"
#include "stallscope/elf.h"

static struct source *src;
static struct arena arena;
static struct maps maps;

static int initialised_data = 42;
static int zero_data[64];

static void look(void)
{
	const struct strbuf *text;

	source_forget(src);
	assert_true(source_proc(src, "maps", &text, NULL));
	assert_true(maps_parse(text->data, text->len, &arena, &maps, NULL));
}

static int open_self(void **state)
{
	(void)state;
	if (!source_open_live(getpid(), &src, NULL))
		return -1;
	look();
	return 0;
}

static int close_self(void **state)
{
	(void)state;
	source_close(src);
	arena_deinit(&arena);
	return 0;
}

/* The module that an address of ours belongs to. */
static void module_at(const void *address, struct elf_module *mod)
{
	const struct mapping *m;
	struct error err;
	Dl_info info;

	assert_true(dladdr(address, &info) != 0);
	m = maps_find(&maps, (uintptr_t)info.dli_fbase);
	assert_non_null(m);
	if (!elf_module_open(src, &maps, m, mod, &err))
		fail_msg("%s", err.text);
	assert_int_equal(mod->base, (uintptr_t)info.dli_fbase);
	assert_true((uintptr_t)address >= mod->base && (uintptr_t)address < mod->end);
}

static void libc_module(struct elf_module *mod)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);

	assert_non_null(libc);
	module_at(dlsym(libc, "getpid"), mod);
	dlclose(libc);
}

static void test_libc_symbols(void **state)
{
	static const char *const names[] = {"puts",	     "malloc", "printf",
					    "environ",	     "stdout", "getpid",
					    "clock_gettime", "optarg", "mmap"};
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	struct elf_module mod;

	(void)state;
	libc_module(&mod);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *expected = dlsym(libc, names[i]);
		uint64_t addr = 0, size = 0;
		void *entry;
		Dl_info info;

		if (!elf_symbol(&mod, names[i], &addr, &size, NULL))
			fail_msg("%s was not found", names[i]);
		assert_int_equal(addr, (uintptr_t)expected);
		assert_true(dladdr1(expected, &info, &entry, RTLD_DL_SYMENT) != 0);
		assert_int_equal(size, ((const ElfW(Sym) *)entry)->st_size);
		assert_true(elf_symbol(&mod, names[i], &addr, NULL, NULL));
	}
	dlclose(libc);
}

/* Every function of libc, against the dynamic linker's own answer. */
static void test_all_of_libc(void **state)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	struct elf_module mod;
	const Elf64_Sym *sym;
	size_t compared = 0;

	(void)state;
	libc_module(&mod);
	sym = (const Elf64_Sym *)mod.symtab;
	for (size_t i = 1; (uintptr_t)&sym[i + 1] <= mod.strtab; i++) {
		const char *name = (const char *)mod.strtab + sym[i].st_name;
		uint64_t addr = 0;
		void *expected;

		if (sym[i].st_shndx == SHN_UNDEF || sym[i].st_value == 0)
			continue;
		if (ELF64_ST_TYPE(sym[i].st_info) != STT_FUNC)
			continue;
		expected = dlsym(libc, name);
		if ((uintptr_t)expected != mod.bias + sym[i].st_value)
			continue; /* an old version of the name, or a private one */
		assert_true(elf_symbol(&mod, name, &addr, NULL, NULL));
		compared += addr == (uintptr_t)expected;
	}
	assert_true(compared > 1500);
	dlclose(libc);
}

static void assert_absent(const struct elf_module *mod, const char *name)
{
	uint64_t addr = 77, size = 78;
	struct error err = {0};

	assert_false(elf_symbol(mod, name, &addr, &size, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_int_equal(addr, 77);
	assert_int_equal(size, 78);
}

static void test_absent_symbols(void **state)
{
	struct elf_module libc, self;
	char longest[4000];

	(void)state;
	libc_module(&libc);
	module_at(&initialised_data, &self);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_absent(&libc, "no_such_symbol_at_all");
	assert_absent(&libc, "");
	assert_absent(&libc, longest);
	assert_absent(&libc, "put");
	assert_absent(&libc, "_rtld_global");		 /* undefined: of the dynamic linker */
	assert_absent(&libc, "_IO_vtable_check");	 /* hidden */
	assert_absent(&self, "_cmocka_run_group_tests"); /* undefined */
	assert_absent(&self, "initialised_data");	 /* static */
}

static void test_own_sections(void **state)
{
	static const char *const absent[] = {".nope", "", ".tex", ".shstrtab", ".comment"};
	struct elf_module mod;
	uint64_t addr = 0, size = 0;

	(void)state;
	module_at(&initialised_data, &mod);
	assert_true(elf_section(&mod, ".text", &addr, &size, NULL));
	assert_true((uintptr_t)open_self >= addr && (uintptr_t)open_self < addr + size);
	assert_true(elf_section(&mod, ".data", &addr, &size, NULL));
	assert_true((uintptr_t)&initialised_data >= addr);
	assert_true((uintptr_t)&initialised_data < addr + size);
	assert_true(elf_section(&mod, ".bss", &addr, &size, NULL));
	assert_true((uintptr_t)zero_data >= addr && (uintptr_t)zero_data < addr + size);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
		struct error err = {0};

		assert_false(elf_section(&mod, absent[i], &addr, &size, &err));
		assert_int_equal(err.code, ERR_ABSENT);
	}
}

static int check_build_id(struct dl_phdr_info *info, size_t size, void *data)
{
	static const char head[16] = "\4\0\0\0\24\0\0\0\3\0\0\0GNU";
	const struct elf_module *mod = data;

	(void)size;
	if (info->dlpi_addr != mod->bias)
		return 0;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const char *notes = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
		const char *note;

		if (info->dlpi_phdr[i].p_type != PT_NOTE)
			continue;
		note = memmem(notes, info->dlpi_phdr[i].p_memsz, head, sizeof(head));
		if (note)
			return memcmp(note + sizeof(head), mod->build_id, 20) == 0 ? 1 : 2;
	}
	return 3;
}

static void test_build_id(void **state)
{
	struct elf_module mod;

	(void)state;
	libc_module(&mod);
	assert_int_equal(mod.build_id_len, 20);
	assert_int_equal(dl_iterate_phdr(check_build_id, &mod), 1);
	assert_int_equal(mod.phnum > 0, 1);
	assert_int_equal(*(const uint16_t *)(mod.base + offsetof(Elf64_Ehdr, e_machine)),
			 mod.machine);
}

/* The kernel's own object: addresses in its dynamic section were never relocated. */
static void test_vdso(void **state)
{
	const struct mapping *m = maps_find(&maps, getauxval(AT_SYSINFO_EHDR));
	struct elf_module mod;
	uint64_t addr, size;
#if defined(__x86_64__)
	struct timespec ts = {0, 0};
#endif

	(void)state;
	if (!m)
		skip();
	assert_string_equal(m->file.path, "[vdso]");
	assert_true(elf_module_open(src, &maps, m, &mod, NULL));
#if defined(__x86_64__)
	assert_true(elf_symbol(&mod, "__vdso_clock_gettime", &addr, &size, NULL));
	assert_int_equal(((int (*)(int, struct timespec *))addr)(CLOCK_MONOTONIC, &ts), 0);
	assert_true(ts.tv_sec > 0);
#endif
	assert_absent(&mod, "puts");
	assert_false(elf_section(&mod, ".text", &addr, &size, NULL));
}

/* A file mapped whole, to be read, is not loaded: its addresses would be wrong. */
static void test_mapped_as_data(void **state)
{
	struct elf_module libc, mod;
	struct error err = {0};
	void *data;
	int fd;

	(void)state;
	libc_module(&libc);
	fd = open(libc.first->file.path, O_RDONLY | O_CLOEXEC);
	data = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(data != MAP_FAILED);
	look();
	assert_false(elf_module_open(src, &maps, maps_find(&maps, (uintptr_t)data), &mod, &err));
	assert_int_equal(err.code, ERR_CORRUPT);
	munmap(data, 1 << 20);
	close(fd);
}

static void test_no_elf(void **state)
{
	struct elf_module mod;
	struct error err = {0};
	const struct mapping *m = maps_find(&maps, (uintptr_t)&err);
	struct mapping unmapped = {.file = {.start = 0x1000, .end = 0x2000, .path = ""}};

	(void)state;
	assert_false(elf_module_open(src, &maps, m, &mod, &err));
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_false(elf_module_open(src, &maps, &unmapped, &mod, &err));
	assert_int_equal(err.code, ERR_FAULT);
}

/* ---- forged objects ---- */

static char image_path[] = "/tmp/stallscope-elf-XXXXXX";
static int image_fd = -1;
static char *image_at; /* where it is mapped */

static void write_image(const struct elf_image *img)
{
	assert_int_equal(pwrite(image_fd, img, sizeof(*img), 0), (ssize_t)sizeof(*img));
}

static int map_image(void **state)
{
	(void)state;
	image_fd = mkstemp(image_path);
	if (image_fd < 0 || ftruncate(image_fd, IMAGE_SIZE) != 0)
		return -1;
	image_at = mmap(NULL, IMAGE_SIZE, PROT_READ, MAP_PRIVATE, image_fd, 0);
	if (image_at == MAP_FAILED)
		return -1;
	look();
	return 0;
}

static int unmap_image(void **state)
{
	(void)state;
	munmap(image_at, IMAGE_SIZE);
	close(image_fd);
	unlink(image_path);
	strcpy(image_path + strlen(image_path) - 6, "XXXXXX");
	return 0;
}

static bool open_image(const struct elf_image *img, struct elf_module *mod, struct error *err)
{
	write_image(img);
	source_forget(src);
	return elf_module_open(src, &maps, maps_find(&maps, (uintptr_t)image_at), mod, err);
}

static void check_good_image(const struct elf_image *img)
{
	static const char *const absent[] = {"undefined", "hidden",  "tls",   "absolute",
					     "zero",	  "outside", "local", "gamma"};
	struct elf_module mod;
	uint64_t addr, size;
	struct error err;

	if (!open_image(img, &mod, &err))
		fail_msg("%s", err.text);
	assert_int_equal(mod.bias, (uintptr_t)image_at);
	assert_int_equal(mod.end - mod.base, IMAGE_SIZE);
	assert_int_equal(mod.build_id_len, 20);
	assert_int_equal(mod.build_id[19], 0xa5);
	assert_true(elf_symbol(&mod, "alpha", &addr, &size, NULL));
	assert_int_equal(addr, mod.bias + 0x1020);
	assert_int_equal(size, 16);
	assert_true(elf_symbol(&mod, "beta", &addr, &size, NULL));
	assert_int_equal(addr, mod.bias + 0x1030);
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		assert_absent(&mod, absent[i]);
	assert_true(elf_section(&mod, ".text", &addr, &size, NULL));
	assert_int_equal(addr, mod.bias + 0x1100);
	assert_int_equal(size, 0x100);
	assert_true(elf_section(&mod, ".bss", &addr, &size, NULL));
	assert_false(elf_section(&mod, ".comment", &addr, &size, NULL));
}

static void no_gnu(struct elf_image *img)
{
	img->dyn[DYN_GNU_HASH].d_tag = DT_DEBUG;
}

static void relocate(struct elf_image *img)
{
	img->dyn[DYN_SYMTAB].d_un.d_ptr += (uintptr_t)image_at;
	img->dyn[DYN_STRTAB].d_un.d_ptr += (uintptr_t)image_at;
	img->dyn[DYN_GNU_HASH].d_un.d_ptr += (uintptr_t)image_at;
	img->dyn[DYN_HASH].d_un.d_ptr += (uintptr_t)image_at;
}

static void test_good_images(void **state)
{
	struct elf_image img;

	(void)state;
	elf_image_init(&img);
	check_good_image(&img);
	relocate(&img);
	check_good_image(&img);
	no_gnu(&img);
	check_good_image(&img);
	elf_image_init(&img);
	no_gnu(&img);
	check_good_image(&img);
	/* section counts that stand in the first section header */
	img.eh.e_shnum = 0;
	img.eh.e_shstrndx = SHN_XINDEX;
	img.sh[0].sh_size = SEC_COUNT;
	img.sh[0].sh_link = SEC_NAMES;
	check_good_image(&img);
}

/* X(name, what is spoilt, error of open or OK, of looking for alpha, of looking for .text) */
#define SPOILT(X)                                                                                \
	X(magic, img->eh.e_ident[1] = 'x', CORRUPT, OK, OK)                                      \
	X(class, img->eh.e_ident[EI_CLASS] = ELFCLASS32, CORRUPT, OK, OK)                        \
	X(endian, img->eh.e_ident[EI_DATA] = ELFDATA2MSB, CORRUPT, OK, OK)                       \
	X(type, img->eh.e_type = ET_CORE, CORRUPT, OK, OK)                                       \
	X(exec, img->eh.e_type = ET_EXEC, CORRUPT, OK, OK)                                       \
	X(phentsize, img->eh.e_phentsize = 32, CORRUPT, OK, OK)                                  \
	X(phnum_none, img->eh.e_phnum = 0, CORRUPT, OK, OK)                                      \
	X(phnum_many, img->eh.e_phnum = 65535, CORRUPT, OK, OK)                                  \
	X(phnum_300, img->eh.e_phnum = 300, CORRUPT, OK, OK)                                     \
	X(phoff, img->eh.e_phoff = UINT64_MAX - 8, CORRUPT, OK, OK)                              \
	X(no_load, img->ph[0].p_type = PT_NULL, CORRUPT, OK, OK)                                 \
	X(load_offset, img->ph[0].p_offset = 1 << 20, CORRUPT, OK, OK)                           \
	X(load_huge, img->ph[0].p_memsz = UINT64_MAX, CORRUPT, OK, OK)                           \
	X(load_wide, img->ph[0].p_memsz = UINT64_C(1) << 60, CORRUPT, OK, OK)                    \
	X(load_small, img->ph[0].p_memsz = 64, CORRUPT, OK, OK)                                  \
	X(dynamic_out, img->ph[1].p_vaddr = IMAGE_SIZE - 8, CORRUPT, OK, OK)                     \
	X(dynamic_wrap, img->ph[1].p_vaddr = UINT64_MAX - 64, CORRUPT, OK, OK)                   \
	X(dynamic_moved, img->ph[1].p_offset += 8, CORRUPT, OK, OK)                              \
	X(dynamic_huge, img->ph[1].p_memsz = UINT64_MAX, OK, OK, OK)                             \
	X(no_dynamic, img->ph[1].p_type = PT_NULL, OK, ABSENT, OK)                               \
	X(no_symtab, img->dyn[DYN_SYMTAB].d_un.d_ptr = UINT64_MAX, OK, ABSENT, OK)               \
	X(no_strtab, img->dyn[DYN_STRTAB].d_un.d_ptr = IMAGE_SIZE, OK, ABSENT, OK)               \
	X(strsz_huge, img->dyn[DYN_STRSZ].d_un.d_val = UINT64_MAX, OK, ABSENT, OK)               \
	X(strsz_small, img->dyn[DYN_STRSZ].d_un.d_val = 3, OK, ABSENT, OK)                       \
	X(strsz_none, img->dyn[DYN_STRSZ].d_un.d_val = 0, OK, ABSENT, OK)                        \
	X(str_cut, img->dyn[DYN_STRSZ].d_un.d_val = img->sym[SYM_ALPHA].st_name + 5, OK, ABSENT, \
	  OK)                                                                                    \
	X(symtab_end, img->dyn[DYN_SYMTAB].d_un.d_ptr = IMAGE_SIZE - 48, OK, CORRUPT, OK)        \
	X(gnu_end, img->dyn[DYN_GNU_HASH].d_un.d_ptr = IMAGE_SIZE - 8, OK, CORRUPT, OK)          \
	X(buckets_none, img->gnu.buckets = 0, OK, CORRUPT, OK)                                   \
	X(buckets_many, img->gnu.buckets = UINT32_MAX, OK, CORRUPT, OK)                          \
	X(buckets_some, img->gnu.buckets = 65536, OK, CORRUPT, OK)                               \
	X(bloom_none, img->gnu.bloom_words = 0, OK, CORRUPT, OK)                                 \
	X(bloom_three, img->gnu.bloom_words = 3, OK, CORRUPT, OK)                                \
	X(bloom_many, img->gnu.bloom_words = 1u << 31, OK, CORRUPT, OK)                          \
	X(bloom_out, img->gnu.bloom_words = 1u << 20, OK, CORRUPT, OK)                           \
	X(bloom_no, img->gnu.bloom = 0, OK, ABSENT, OK)                                          \
	X(shift, img->gnu.shift = 64, OK, CORRUPT, OK)                                           \
	X(bucket_low, img->gnu.bucket = 1, OK, CORRUPT, OK)                                      \
	X(bucket_none, img->gnu.bucket = 0, OK, ABSENT, OK)                                      \
	X(bucket_high, img->gnu.bucket = UINT32_MAX, OK, CORRUPT, OK)                            \
	X(name_out, img->sym[SYM_ALPHA].st_name = UINT32_MAX, OK, ABSENT, OK)                    \
	X(shoff_none, img->eh.e_shoff = 0, OK, OK, ABSENT)                                       \
	X(shoff_wrap, img->eh.e_shoff = UINT64_MAX - 8, OK, OK, CORRUPT)                         \
	X(shentsize, img->eh.e_shentsize = 40, OK, OK, CORRUPT)                                  \
	X(shnum_many, img->eh.e_shnum = 65000, OK, OK, CORRUPT)                                  \
	X(shnum_none, img->eh.e_shnum = 0, OK, OK, CORRUPT)                                      \
	X(shnum_2_32, (img->eh.e_shnum = 0, img->sh[0].sh_size = UINT64_C(1) << 32), OK, OK,     \
	  CORRUPT)                                                                               \
	X(shstrndx, img->eh.e_shstrndx = SEC_COUNT, OK, OK, CORRUPT)                             \
	X(shstrndx_none, img->eh.e_shstrndx = 0, OK, OK, CORRUPT)                                \
	X(names_type, img->sh[SEC_NAMES].sh_type = SHT_PROGBITS, OK, OK, CORRUPT)                \
	X(names_huge, img->sh[SEC_NAMES].sh_size = UINT64_MAX, OK, OK, CORRUPT)                  \
	X(names_none, img->sh[SEC_NAMES].sh_size = 0, OK, OK, CORRUPT)                           \
	X(names_wrap, img->sh[SEC_NAMES].sh_offset = UINT64_MAX, OK, OK, CORRUPT)                \
	X(names_cut, img->sh[SEC_NAMES].sh_size = 6, OK, OK, ABSENT)                             \
	X(section_name, img->sh[SEC_TEXT].sh_name = UINT32_MAX, OK, OK, ABSENT)                  \
	X(section_out, img->sh[SEC_TEXT].sh_addr = IMAGE_SIZE, OK, OK, CORRUPT)                  \
	X(section_wrap, img->sh[SEC_TEXT].sh_addr = UINT64_MAX, OK, OK, CORRUPT)                 \
	X(section_huge, img->sh[SEC_TEXT].sh_size = UINT64_MAX, OK, OK, CORRUPT)                 \
	X(section_nowhere, img->sh[SEC_TEXT].sh_addr = 0, OK, OK, ABSENT)

#define X(name, change, open, symbol, section)          \
	static void spoil_##name(struct elf_image *img) \
	{                                               \
		(void)(change);                         \
	}
SPOILT(X)
#undef X

static const struct {
	const char *name;
	void (*spoil)(struct elf_image *img);
	enum error_code open, symbol, section;
} spoilt[] = {
#define X(name, change, open, symbol, section) \
	{#name, spoil_##name, ERR_##open, ERR_##symbol, ERR_##section},
	SPOILT(X)
#undef X
};

static void expect(const char *image, const char *what, bool ok, const struct error *err,
		   enum error_code code)
{
	if (ok != (code == ERR_OK) || (!ok && err->code != code))
		fail_msg("%s: %s gave %d (%s)", image, what, ok ? 0 : (int)err->code, err->text);
}

static void test_spoilt_images(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spoilt); i++) {
		struct elf_image img;
		struct elf_module mod;
		struct error err = {0};
		uint64_t addr;
		bool ok;

		elf_image_init(&img);
		spoilt[i].spoil(&img);
		ok = open_image(&img, &mod, &err);
		expect(spoilt[i].name, "open", ok, &err, spoilt[i].open);
		if (!ok)
			continue;
		ok = elf_symbol(&mod, "alpha", &addr, NULL, &err);
		expect(spoilt[i].name, "symbol", ok, &err, spoilt[i].symbol);
		ok = elf_section(&mod, ".text", &addr, NULL, &err);
		expect(spoilt[i].name, "section", ok, &err, spoilt[i].section);
	}
}

static enum error_code find_alpha(const struct elf_image *img)
{
	struct error err = {.code = ERR_OK};
	struct elf_module mod;
	uint64_t addr;

	assert_true(open_image(img, &mod, NULL));
	elf_symbol(&mod, "alpha", &addr, NULL, &err);
	return err.code;
}

static void test_endless_chains(void **state)
{
	struct elf_image img;

	(void)state;
	elf_image_init(&img);
	no_gnu(&img);
	img.sym[SYM_ALPHA].st_shndx = SHN_UNDEF;
	img.sysv.chain[IMAGE_SYMS - 1] = 1;
	assert_int_equal(find_alpha(&img), ERR_CORRUPT);
	img.sysv.chain[IMAGE_SYMS - 1] = UINT32_MAX;
	assert_int_equal(find_alpha(&img), ERR_CORRUPT);
	img.sysv.chain[IMAGE_SYMS - 1] = 0;
	img.sysv.buckets = 0;
	assert_int_equal(find_alpha(&img), ERR_CORRUPT);
	img.sysv.buckets = UINT32_MAX;
	assert_int_equal(find_alpha(&img), ERR_CORRUPT);

	elf_image_init(&img);
	img.sym[SYM_ALPHA].st_shndx = SHN_UNDEF;
	img.gnu.chain[IMAGE_SYMS - 1 - SYM_FIRST_HASHED] &= ~1u;
	memset(&img.sysv, 0xf0, sizeof(img) - offsetof(struct elf_image, sysv));
	assert_int_equal(find_alpha(&img), ERR_CORRUPT);
}

static void test_notes(void **state)
{
	static const uint32_t sizes[] = {
		0, 1, 8, 16, 20, 24, 4000, 0x7fffffff, UINT32_MAX - 3, UINT32_MAX};
	struct elf_image img;
	struct elf_module mod;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		elf_image_init(&img);
		img.note.head.n_descsz = sizes[i];
		assert_true(open_image(&img, &mod, NULL));
		assert_int_equal(mod.build_id_len, sizes[i] <= 20 ? sizes[i] : 0);
		elf_image_init(&img);
		img.note.head.n_namesz = sizes[i];
		assert_true(open_image(&img, &mod, NULL));
		assert_int_equal(mod.build_id_len, 0);
	}
	elf_image_init(&img);
	img.ph[2].p_memsz = IMAGE_SIZE - 4096; /* more notes than anyone has */
	assert_true(open_image(&img, &mod, NULL));
	assert_int_equal(mod.build_id_len, 0);
	img.ph[2].p_memsz = 64;
	img.note.head.n_descsz = 32; /* of a long one the beginning */
	assert_true(open_image(&img, &mod, NULL));
	assert_int_equal(mod.build_id_len, 20);
	assert_int_equal(mod.build_id[19], 0xa5);
}

/* The file was written over after it was loaded: its section headers mean nothing. */
static void test_file_changed(void **state)
{
	struct elf_image img;
	struct elf_module mod;
	struct error err = {0};
	uint64_t addr;

	(void)state;
	elf_image_init(&img);
	write_image(&img);
	assert_int_equal(mprotect(image_at, 4096, PROT_READ | PROT_WRITE), 0);
	*(volatile char *)image_at = *ELFMAG; /* a copy of our own from now on */
	look();
	img.eh.e_entry = 1;
	assert_true(open_image(&img, &mod, NULL));
	assert_true(elf_symbol(&mod, "alpha", &addr, NULL, NULL));
	assert_false(elf_section(&mod, ".text", &addr, NULL, &err));
	assert_int_equal(err.code, ERR_CORRUPT);
}

/* Whatever one byte is changed to: no crash, no endless loop, all found lies inside. */
static void test_any_byte(void **state)
{
	static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
	size_t n = offsetof(struct elf_image, fill) * ARRAY_SIZE(values);
	struct elf_image good, img;

	(void)state;
	elf_image_init(&good);
	for (size_t i = 0; i < 2 * n; i++) {
		struct elf_module mod;
		uint64_t addr = 0, size = 0;

		img = good;
		if (i >= n)
			no_gnu(&img);
		((unsigned char *)&img)[i % n / ARRAY_SIZE(values)] =
			values[i % ARRAY_SIZE(values)];
		if (!open_image(&img, &mod, NULL))
			continue;
		if (elf_symbol(&mod, "beta", &addr, &size, NULL))
			assert_true(addr >= mod.base && addr + size <= mod.end);
		if (elf_section(&mod, ".bss", &addr, &size, NULL))
			assert_true(addr >= mod.base && addr + size <= mod.end);
	}
}

/* A program that is not position-independent: addresses are used as they stand. */
static void test_fixed_program(void **state)
{
	char *const at = (char *)0x10000000;
	struct elf_image img;
	struct elf_module mod;
	uint64_t addr;

	(void)state;
	elf_image_init(&img);
	img.eh.e_type = ET_EXEC;
	for (size_t i = 0; i < 3; i++)
		img.ph[i].p_vaddr += (uintptr_t)at;
	img.sym[SYM_ALPHA].st_value += (uintptr_t)at;
	img.sh[SEC_TEXT].sh_addr += (uintptr_t)at;
	img.dyn[DYN_SYMTAB].d_un.d_ptr += (uintptr_t)at;
	img.dyn[DYN_STRTAB].d_un.d_ptr += (uintptr_t)at;
	img.dyn[DYN_GNU_HASH].d_un.d_ptr += (uintptr_t)at;
	write_image(&img);
	if (mmap(at, IMAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, image_fd, 0) != at)
		skip();
	look();
	assert_true(elf_module_open(src, &maps, maps_find(&maps, (uintptr_t)at), &mod, NULL));
	assert_int_equal(mod.bias, 0);
	assert_int_equal(mod.base, (uintptr_t)at);
	assert_int_equal(mod.end, (uintptr_t)at + IMAGE_SIZE);
	assert_true(elf_symbol(&mod, "alpha", &addr, NULL, NULL));
	assert_int_equal(addr, (uintptr_t)at + 0x1020);
	assert_true(elf_section(&mod, ".text", &addr, NULL, NULL));
	assert_int_equal(addr, (uintptr_t)at + 0x1100);
	munmap(at, IMAGE_SIZE);
}

/* As tools leave it that edit objects: program headers in a segment of their own at the end. */
static void test_moved_headers(void **state)
{
	char *at = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const size_t moved = 0x1800;
	struct elf_image img;
	struct elf_module mod;
	uint64_t addr;

	(void)state;
	elf_image_init(&img);
	img.ph[0] = elf_image_segment(PT_LOAD, 0, 0x1000);
	img.ph[2] = elf_image_segment(PT_LOAD, 0x1000, 0x1000);
	img.ph[2].p_vaddr = 0x3000;
	img.eh.e_phoff = moved;
	memcpy((char *)&img + moved, img.ph, sizeof(img.ph));
	memset(img.ph, 0, sizeof(img.ph));
	img.sym[SYM_ALPHA].st_value = 0x3100;
	write_image(&img);
	assert_true(mmap(at, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, image_fd, 0) == at);
	assert_true(mmap(at + 0x3000, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, image_fd, 4096) ==
		    at + 0x3000);
	look();
	for (int pass = 0; pass < 2; pass++) {
		assert_true(
			elf_module_open(src, &maps, maps_find(&maps, (uintptr_t)at), &mod, NULL));
		assert_int_equal(mod.phdr, (uintptr_t)at + 0x3800);
		assert_int_equal(mod.end, (uintptr_t)at + 0x4000);
		assert_true(elf_symbol(&mod, "alpha", &addr, NULL, NULL));
		assert_int_equal(addr, (uintptr_t)at + 0x3100);
		for (size_t i = 0; i < maps.n; i++) /* as of a core */
			maps.v[i].file.inode = maps.v[i].file.dev_major = maps.v[i].file.dev_minor =
				0;
	}
	munmap(at, 16384);
}

#define image_test(f) cmocka_unit_test_setup_teardown(f, map_image, unmap_image)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libc_symbols),   cmocka_unit_test(test_all_of_libc),
		cmocka_unit_test(test_absent_symbols), cmocka_unit_test(test_own_sections),
		cmocka_unit_test(test_build_id),       cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_mapped_as_data), cmocka_unit_test(test_no_elf),
		image_test(test_good_images),	       image_test(test_spoilt_images),
		image_test(test_endless_chains),       image_test(test_notes),
		image_test(test_file_changed),	       image_test(test_any_byte),
		image_test(test_fixed_program),	       image_test(test_moved_headers),
	};

	return cmocka_run_group_tests(tests, open_self, close_self);
}
