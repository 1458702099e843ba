/* SPDX-License-Identifier: Apache-2.0 */
/*
 * line.c - files, lines and inlined functions, by libdw
 *
 * From the file itself, or from a separate one with its build-id, in the folder of this machine or,
 * when the user wants that, of a server: never by a path in the file, nor below the target's root,
 * which the target could fill.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "native_private.h"
#include "stallscope/cleanup.h"

#define DEBUG_ROOT  "/usr/lib/debug/.build-id/"
#define UNITS_MAX   100000u
#define INLINES_MAX 32u /* in one frame */
#define NAME_CHARS  400u
#define FRAMES_MOST (2 * NATIVE_MAX_FRAMES)

/* ---- where the information is -------------------------------------------------------------- */

/* Files that root put there, and nobody else may change. */
static int open_trusted(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != 0 ||
	    st.st_mode & (S_IWGRP | S_IWOTH))
		return -1;
	return take_fd(&fd);
}

static int open_by_build_id(const struct native *n, Elf *elf)
{
	char path[sizeof(DEBUG_ROOT) + 2 * 64 + sizeof("/.debug")] = DEBUG_ROOT;
	char *p = path + strlen(path);
	const void *id = NULL;
	ssize_t len = dwelf_elf_gnu_build_id(elf, &id);
	int fd;

	if (len < 2 || len > 64)
		return -1;
	for (ssize_t i = 0; i < len; i++)
		p += sprintf(p, i ? "%02x" : "%02x/", ((const uint8_t *)id)[i]);
	memcpy(p, ".debug", sizeof(".debug"));
	fd = open_trusted(path);
	return fd < 0 && n->fetch ? native_fetch(id, (size_t)len) : fd;
}

static bool has_units(Dwarf *dwarf)
{
	Dwarf_CU *unit = NULL;

	return dwarf && !dwarf_get_units(dwarf, NULL, &unit, NULL, NULL, NULL, NULL);
}

static Dwarf *open_dwarf(const struct native *n, Elf *elf, int *fd)
{
	Dwarf *dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);

	*fd = -1;
	if (has_units(dwarf))
		return dwarf;
	dwarf_end(dwarf);
	*fd = open_by_build_id(n, elf);
	return *fd < 0 ? NULL : dwarf_begin(*fd, DWARF_C_READ);
}

/* ---- one address --------------------------------------------------------------------------- */

/* The unit that an address is in: by the table of addresses; clang writes none. */
static bool find_unit(Dwarf *dwarf, uint64_t address, Dwarf_Die *ret)
{
	Dwarf_CU *unit = NULL;
	uint8_t type;

	if (dwarf_addrdie(dwarf, address, ret))
		return true;
	for (unsigned i = 0; i < UNITS_MAX; i++) {
		if (dwarf_get_units(dwarf, unit, &unit, NULL, &type, ret, NULL))
			return false;
		if (dwarf_haspc(ret, address) > 0)
			return true;
	}
	return false;
}

static const char *die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));

	return name ? name : dwarf_diename(die);
}

static void name_line(struct native *n, struct native_frame *f, const char *file, int line)
{
	if (!file || line <= 0)
		return;
	f->file = native_text(n, file, NAME_CHARS);
	f->line = (uint32_t)line;
}

static uint32_t number_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (dwarf_formudata(dwarf_attr(die, name, &attr), &value) || value > INT32_MAX)
		return 0;
	return (uint32_t)value;
}

/* A stripped file has no symbol for it, its debug information has. */
static void name_function(struct native *n, struct native_frame *f, const char *name)
{
	if (!f->function && name)
		f->function = native_text(n, name, NAME_CHARS);
}

/* Where an inlined function was called: the place in the one around it. */
static void call_site(struct native *n, Dwarf_Die *unit, Dwarf_Die *die, struct native_frame *f)
{
	uint32_t index = number_of(die, DW_AT_call_file), line = number_of(die, DW_AT_call_line);
	Dwarf_Files *files;
	size_t count;

	if (index && line && !dwarf_getsrcfiles(unit, &files, &count) && index < count)
		name_line(n, f, dwarf_filesrc(files, index, NULL, NULL), (int)line);
}

/*
 * The frame itself and, before it, those of what was inlined at its address, into out: innermost
 * first. The function of the symbol table keeps its name, and gets the line of the call.
 */
static size_t expand(struct native *n, Dwarf *dwarf, const struct native_frame *f,
		     struct native_frame *out)
{
	uint64_t address = f->pc - f->called - n->modules[f->module].elf.bias;
	Dwarf_Die unit, *scopes = NULL;
	struct native_frame *at = out;
	Dwarf_Line *line;
	int count, number;

	*at = *f;
	if (!find_unit(dwarf, address, &unit))
		return 1;
	line = dwarf_getsrc_die(&unit, address);
	if (line && !dwarf_lineno(line, &number))
		name_line(n, at, dwarf_linesrc(line, NULL, NULL), number);
	count = dwarf_getscopes(&unit, address, &scopes);
	for (int i = 0; i < count && at - out < (int)INLINES_MAX; i++) {
		const char *name;

		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram) {
			name_function(n, at, die_name(&scopes[i]));
			break;
		}
		name = dwarf_tag(&scopes[i]) == DW_TAG_inlined_subroutine ? die_name(&scopes[i])
									  : NULL;
		if (!name)
			continue;
		at[1] = *f;
		at->inlined = true;
		at->function = native_text(n, name, NAME_CHARS);
		at++;
		call_site(n, &unit, &scopes[i], at);
	}
	free(scopes);
	return (size_t)(at - out) + 1;
}

/* ---- all of a module ----------------------------------------------------------------------- */

void native_lines(struct native *n, uint32_t module, struct native_image *image,
		  struct native_stack *stack)
{
	struct native_frame *frames = NULL, some[INLINES_MAX + 2];
	size_t count = 0, cap = 0;
	cleanup_fd int fd = -1;
	Dwarf *dwarf = open_dwarf(n, image->elf, &fd);

	if (!dwarf)
		return;
	for (size_t i = 0; i < stack->n; i++) {
		const struct native_frame *f = &stack->frames[i];
		size_t parts = 1;

		some[0] = *f;
		if (f->module == module && !f->inlined && count < FRAMES_MOST)
			parts = expand(n, dwarf, f, some);
		for (size_t k = 0; k < parts; k++)
			*array_push(&frames, &count, &cap) = some[k];
	}
	free(stack->frames);
	*stack = (struct native_stack){frames, count, cap, stack->whole, stack->why};
	dwarf_end(dwarf);
}
