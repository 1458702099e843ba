/* SPDX-License-Identifier: Apache-2.0 */
/* native_private.h - between the parts of the native layer */
#ifndef STALLSCOPE_NATIVE_PRIVATE_H
#define STALLSCOPE_NATIVE_PRIVATE_H

#include "stallscope/addrmap.h"
#include "stallscope/arena.h"
#include "stallscope/elf.h"
#include "stallscope/native.h"

#define NATIVE_NONE UINT32_MAX

/* An object that some address was in. */
struct native_module {
	const struct mapping *first;
	struct elf_module elf;
	const char *path;   /* safe */
	uint64_t table;	    /* .eh_frame_hdr in the target, 0: none that can be used */
	uint64_t n_entries; /* of its sorted table */
};

struct native {
	struct source *src;
	const struct maps *maps;
	bool fetch; /* debug files that are not here */
	struct arena arena;
	struct native_module *modules;
	size_t n_modules, modules_cap;
	struct addrmap module_of; /* start of the first mapping -> module, NATIVE_NONE none */
};

/* The object that an address is in, NATIVE_NONE: in none. */
uint32_t native_module_at(struct native *n, uint64_t pc);

/* A word, and any bytes, of the target while one of its threads is unwound; false: not to be had.
 */
struct native_memory {
	struct native *n;
	const struct native_thread *thread;
	uint64_t left; /* words that may still be asked for */
};

bool native_read(struct native_memory *m, uint64_t addr, void *buf, size_t len);

/*
 * The address of the entry of the sorted table for pc, when unwinding by it is harmless (cfi.c);
 * else 0.
 */
uint64_t native_entry(struct native_memory *m, const struct native_module *module, uint64_t pc);

/* A descriptor's or the memory's ELF image, with its symbols (symbol.c). */
struct native_image {
	int fd;
	char *memory;
	void *elf; /* Elf * */
};

bool native_image_open(struct native *n, const struct native_module *module,
		       struct native_image *ret);
void native_image_close(struct native_image *image);

/* Files, lines and inlined functions of the frames in one module (line.c). */
void native_lines(struct native *n, uint32_t module, struct native_image *image,
		  struct native_stack *stack);

/* The debug file with this build-id from a server: a descriptor for reading, the caller's, or -1.
 */
int native_fetch(const void *id, size_t len);

/* Text of the target, made safe and kept. */
const char *native_text(struct native *n, const char *text, size_t max);

#endif
