/* SPDX-License-Identifier: Apache-2.0 */
/*
 * elf_private.h - checks that the files on ELF share
 */
#ifndef STALLSCOPE_TARGET_ELF_PRIVATE_H
#define STALLSCOPE_TARGET_ELF_PRIVATE_H

#include <elf.h>

#include "stallscope/elf.h"

/* Does [addr, addr + len) lie inside the module? */
static inline bool elf_inside(const struct elf_module *mod, uint64_t addr, uint64_t len)
{
	return addr >= mod->base && addr < mod->end && len <= mod->end - addr;
}

#endif
