/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - where the fields of one interpreter build are
 *
 * A struct layout is all numeric knowledge of one CPython build: for each field
 * named in layout_fields.def its offset, size and bit, and which provider said
 * so. It is filled once and then constant. Three providers:
 *
 *	table	the built-in numbers, generated from DWARF by `doctor --dump-layout`
 *	dwarf	the debug information of the interpreter, when it has some
 *	debug	_Py_DebugOffsets (3.13+) and _AsyncioDebug (3.14+) in the target's memory
 *
 * The debug offsets come from the target, so they are hostile input: a value is
 * taken only when it lies inside the size of its structure. The table is complete
 * for 3.8 to 3.15; DWARF costs 100 ms and more to read, so it is asked only for a
 * build that the table does not fit, or by doctor.
 */
#ifndef STALLSCOPE_LAYOUT_H
#define STALLSCOPE_LAYOUT_H

#include <stdio.h>

#include "stallscope/elf.h"
#include "stallscope/reader.h"

enum layout_field {
#define FIELD(id, structs, path) F_##id,
#include "stallscope/layout_fields.def"
#undef FIELD
	FIELD_COUNT
};

enum layout_provider { LAYOUT_NONE, LAYOUT_TABLE, LAYOUT_DWARF, LAYOUT_DEBUG };

#define LAYOUT_NO_BIT 0xff
#define LAYOUT_ABSENT UINT32_MAX

struct layout_entry {
	uint32_t offset;  /* bytes, LAYOUT_ABSENT when this build has no such field */
	uint8_t size;	  /* bytes, 0 when unknown or an aggregate */
	uint8_t bit;	  /* position of a one-bit field in the byte at offset, or LAYOUT_NO_BIT */
	uint8_t provider; /* enum layout_provider */
};

struct layout {
	struct layout_entry field[FIELD_COUNT];
	int minor;
	bool free_threaded;
	unsigned changed; /* fields where the debug offsets differ from the table */
};

static inline bool layout_has(const struct layout *layout, enum layout_field f)
{
	return layout->field[f].offset != LAYOUT_ABSENT;
}

const char *layout_field_name(enum layout_field f);
const char *layout_provider_name(enum layout_provider p); /* "table" "dwarf" "debug-offsets" */

/* The built-in numbers for CPython 3.minor on an ELF machine; UNSUPPORTED when there are none. */
bool layout_from_table(int minor, bool free_threaded, uint16_t machine, struct layout *ret,
		       struct error *err);

/*
 * Replaces entries by what _Py_DebugOffsets at runtime (the address of _PyRuntime) says.
 * False with ABSENT when there is no cookie, CORRUPT when the block is nonsense (layout is
 * then untouched), or of another version or kind of build than the layout.
 */
bool layout_from_debug_offsets(struct reader *rd, uint64_t runtime, struct layout *layout,
			       struct error *err);

/* The same with _AsyncioDebug (the content of section .AsyncioDebug, 3.14+) at addr. */
bool layout_from_asyncio_debug(struct reader *rd, uint64_t addr, uint64_t size,
			       struct layout *layout, struct error *err);

/* Reads the head of _Py_DebugOffsets: false without the cookie "xdebugpy". */
bool layout_debug_head(struct reader *rd, uint64_t runtime, uint32_t *version, bool *free_threaded);

/*
 * Replaces entries by the DWARF of a file opened by the caller; needs to be called for the
 * interpreter and for the _asyncio, _queue extension modules (fields not found are left as they
 * are). Where it has none, a separate debug file of this machine with the same build-id is asked.
 * Returns how many fields were found.
 */
size_t layout_from_dwarf(int fd, struct layout *layout);

/* Writes the rows of layout_<machine>.def for this layout (the generated table). */
void layout_dump(const struct layout *layout, FILE *out);

#endif
