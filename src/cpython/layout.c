/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.c - the built-in numbers
 *
 * The table is of builds with the GIL on x86-64. Free-threaded builds and aarch64
 * are made from it by what is known to differ there.
 */
#include <elf.h>
#include <inttypes.h>

#include "stallscope/arena.h"
#include "stallscope/layout.h"

#define HEAD_GROWTH 16u /* sizeof(PyObject) of free-threaded builds is 32 */

struct row {
	uint32_t offset;
	uint16_t field;
	uint8_t minor, size, bit;
	bool free_threaded;
};

#define F(minor, id, offset, size)     {offset, F_##id, minor, size, LAYOUT_NO_BIT, false},
#define BIT(minor, id, offset, number) {offset, F_##id, minor, 1, number, false},
#define FREE(minor, id, offset, size)  {offset, F_##id, minor, size, LAYOUT_NO_BIT, true},
static const struct row rows_x86_64[] = {
#include "layout_x86_64.def"
#include "layout_free_threaded.def"
};
static const struct row rows_aarch64[] = {
#include "layout_aarch64.def"
};
#undef F
#undef BIT
#undef FREE

static const char *const field_names[FIELD_COUNT] = {
#define FIELD(id, structs, path) [F_##id] = #id,
#include "stallscope/layout_fields.def"
#undef FIELD
};

const char *layout_field_name(enum layout_field f)
{
	return (unsigned)f < FIELD_COUNT ? field_names[f] : "?";
}

const char *layout_provider_name(enum layout_provider p)
{
	static const char *const names[] = {"none", "table", "dwarf", "debug-offsets"};

	return (unsigned)p < ARRAY_SIZE(names) ? names[p] : "?";
}

/* Takes the rows of one minor version and kind; returns how many there are. */
static size_t take_rows(struct layout *layout, bool free_threaded, const struct row *rows, size_t n)
{
	size_t taken = 0;

	for (size_t i = 0; i < n; i++) {
		if (rows[i].minor != layout->minor || rows[i].free_threaded != free_threaded)
			continue;
		layout->field[rows[i].field] = (struct layout_entry){
			.offset = rows[i].offset,
			.size = rows[i].size,
			.bit = rows[i].bit,
			.provider = LAYOUT_TABLE,
		};
		taken++;
	}
	return taken;
}

/* Is the field behind the head of an object, or the size of an object? */
static bool in_object(unsigned f)
{
	switch (f) {
	case F_FO_BACK ... F_FO_LOCALS:
	case F_CO_ARGCOUNT ... F_WAKEUP_TASK:
	case F_OB_TYPE ... F_MA_VALUES:
	case F_STR_LENGTH ... F_SQUEUE_ITEMS:
		return true;
	default:
		return false;
	}
}

static bool make_free_threaded(struct layout *layout)
{
	for (unsigned f = 0; f < FIELD_COUNT; f++)
		if (in_object(f) && layout_has(layout, (enum layout_field)f))
			layout->field[f].offset += HEAD_GROWTH;
	return take_rows(layout, true, rows_x86_64, ARRAY_SIZE(rows_x86_64)) > 0;
}

bool layout_from_table(int minor, bool free_threaded, uint16_t machine, struct layout *ret,
		       struct error *err)
{
	struct layout layout = {.minor = minor, .free_threaded = free_threaded};

	for (unsigned f = 0; f < FIELD_COUNT; f++)
		layout.field[f] = (struct layout_entry){LAYOUT_ABSENT, 0, LAYOUT_NO_BIT, 0};
	if (machine != EM_X86_64 && machine != EM_AARCH64)
		return error_set(err, ERR_UNSUPPORTED, "no layouts for ELF machine %u", machine);
	if (!take_rows(&layout, false, rows_x86_64, ARRAY_SIZE(rows_x86_64)))
		return error_set(err, ERR_UNSUPPORTED, "no layout for CPython 3.%d", minor);
	if (free_threaded && !make_free_threaded(&layout))
		return error_set(err, ERR_UNSUPPORTED, "CPython 3.%d has no free-threaded build",
				 minor);
	if (machine == EM_AARCH64)
		take_rows(&layout, free_threaded, rows_aarch64, ARRAY_SIZE(rows_aarch64));
	*ret = layout;
	return true;
}

void layout_dump(const struct layout *layout, FILE *out)
{
	fprintf(out, "/* CPython 3.%d%s */\n", layout->minor,
		layout->free_threaded ? ", free-threaded: not for the table" : "");
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		const struct layout_entry *e = &layout->field[f];

		if (e->offset == LAYOUT_ABSENT)
			continue;
		if (e->bit == LAYOUT_NO_BIT)
			fprintf(out, "F(%d, %s, %" PRIu32 ", %u)\n", layout->minor, field_names[f],
				e->offset, e->size);
		else
			fprintf(out, "BIT(%d, %s, %" PRIu32 ", %u)\n", layout->minor,
				field_names[f], e->offset, e->bit);
	}
}
