/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout_dwarf.c - the layout by the debug information of a file
 *
 * The structures named in layout_fields.def are looked for by name among the
 * outermost entries of every unit, the first complete definition of a name
 * counts. In it each member path is followed through typedefs and through
 * structures and unions without a name.
 *
 * The file may be the target's, so forged: chains, depths and steps are bounded,
 * and a number beyond every real structure is not taken. What libdw does with a
 * forged file is its own business; that is why the caller is confined.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/layout.h"

#define MAX_STEPS  (16u << 20) /* entries looked at in one file; python3.15 has 360 thousand */
#define MAX_CHAIN  16	       /* typedefs and qualifiers in a row */
#define MAX_NESTED 8	       /* structures without a name in one another */
#define MAX_OFFSET (1u << 20)
#define MAX_NAMES  128 /* different names of structures in layout_fields.def */
#define DEBUG_ROOT "/usr/lib/debug/.build-id/"

struct spec {
	const char *structs;
	const char *path;
};

static const struct spec specs[FIELD_COUNT] = {
#define FIELD(id, structs, path) [F_##id] = {structs, path},
#include "stallscope/layout_fields.def"
#undef FIELD
};

/* A part of a text in layout_fields.def: texts are lists separated by '|', paths by '.'. */
struct word {
	const char *at;
	size_t len;
};

struct place {
	uint64_t offset; /* bytes */
	uint8_t size, bit;
	Dwarf_Die type;
	bool has_type;
};

struct search {
	struct layout *layout;
	struct word name[MAX_NAMES];
	bool seen[MAX_NAMES];
	size_t names, unseen;
	bool found[FIELD_COUNT];
	size_t count;
	unsigned steps;
};

/* The next word of a list, moving *list behind it; false at the end. */
static bool next_word(const char **list, char separator, struct word *ret)
{
	const char *at = *list;
	size_t len = 0;

	if (!at)
		return false;
	while (at[len] && at[len] != separator)
		len++;
	*ret = (struct word){at, len};
	*list = at[len] ? at + len + 1 : NULL;
	return true;
}

static bool word_is(const struct word *w, const char *text)
{
	return !strncmp(text, w->at, w->len) && !text[w->len];
}

static bool same_word(const struct word *a, const struct word *b)
{
	return a->len == b->len && !memcmp(a->at, b->at, a->len);
}

static bool list_has(const char *list, const struct word *w)
{
	struct word each;

	while (next_word(&list, '|', &each))
		if (same_word(&each, w))
			return true;
	return false;
}

static bool is_aggregate(int tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
}

static bool is_transparent(int tag)
{
	return tag == DW_TAG_typedef || tag == DW_TAG_const_type || tag == DW_TAG_volatile_type ||
	       tag == DW_TAG_atomic_type;
}

/* The type that a member or typedef refers to, without names and qualifiers around it. */
static bool die_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Die at = *die;

	for (int i = 0; i < MAX_CHAIN; i++) {
		if (!dwarf_attr_integrate(&at, DW_AT_type, &attr) || !dwarf_formref_die(&attr, &at))
			return false;
		if (!is_transparent(dwarf_tag(&at))) {
			*ret = at;
			return true;
		}
	}
	return false;
}

static uint8_t scalar_size(Dwarf_Die *type)
{
	int tag = dwarf_tag(type), size = dwarf_bytesize(type);

	if (tag == DW_TAG_pointer_type && size < 0)
		return 8;
	if (tag != DW_TAG_base_type && tag != DW_TAG_enumeration_type && tag != DW_TAG_pointer_type)
		return 0;
	return size > 0 && size <= 16 ? (uint8_t)size : 0;
}

static bool attr_number(Dwarf_Die *die, unsigned name, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &value))
		return false;
	*ret = value;
	return true;
}

/* Where a member is: a number, or as old compilers say it, an expression that adds one. */
static bool member_offset(Dwarf_Die *member, uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t n;

	*ret = 0;
	if (!dwarf_attr(member, DW_AT_data_member_location, &attr))
		return true; /* of a union */
	if (attr_number(member, DW_AT_data_member_location, ret))
		return true;
	if (dwarf_getlocation(&attr, &ops, &n) || n != 1 || ops[0].atom != DW_OP_plus_uconst)
		return false;
	*ret = ops[0].number;
	return true;
}

/* Narrows a place to the byte that holds a bit field, whichever way its position is told. */
static bool place_bit(Dwarf_Die *member, struct place *place)
{
	uint64_t width, first, unit;

	if (!attr_number(member, DW_AT_bit_size, &width))
		return true;
	if (attr_number(member, DW_AT_bit_offset, &first)) { /* DWARF 2 and 3, from the top bit */
		if (!attr_number(member, DW_AT_byte_size, &unit))
			unit = place->size;
		if (unit > 16 || width > 64 || first > 128 || first + width > unit * 8)
			return false;
		first = unit * 8 - first - width;
	} else if (!attr_number(member, DW_AT_data_bit_offset, &first)) {
		first = 0;
	}
	if (first > MAX_OFFSET * 8ull)
		return false;
	place->offset += first / 8;
	place->bit = (uint8_t)(first % 8);
	place->size = 1;
	return true;
}

static bool member_place(Dwarf_Die *member, uint64_t base, struct place *ret)
{
	struct place place = {.bit = LAYOUT_NO_BIT};

	if (!member_offset(member, &place.offset) || place.offset > MAX_OFFSET)
		return false;
	place.offset += base;
	place.has_type = die_type(member, &place.type);
	if (place.has_type)
		place.size = scalar_size(&place.type);
	if (!place_bit(member, &place))
		return false;
	*ret = place;
	return true;
}

/* The member called name of a structure, also inside its members without a name. */
static bool find_member(struct search *s, Dwarf_Die *type, const struct word *name, uint64_t base,
			int depth, struct place *ret)
{
	struct place place;
	Dwarf_Die die;

	if (depth > MAX_NESTED || dwarf_child(type, &die))
		return false;
	do {
		const char *text;

		if (++s->steps > MAX_STEPS)
			return false;
		if (dwarf_tag(&die) != DW_TAG_member)
			continue;
		text = dwarf_diename(&die);
		if (text && !word_is(name, text))
			continue;
		if (!member_place(&die, base, &place))
			continue;
		if (text) {
			*ret = place;
			return true;
		}
		if (place.has_type && is_aggregate(dwarf_tag(&place.type)) &&
		    find_member(s, &place.type, name, place.offset, depth + 1, ret))
			return true;
	} while (!dwarf_siblingof(&die, &die));
	return false;
}

/* Follows "a.b.c" from a structure. */
static bool follow_path(struct search *s, Dwarf_Die *type, struct word path, struct place *ret)
{
	struct place place = {.type = *type, .has_type = true, .bit = LAYOUT_NO_BIT};
	size_t pos = 0;

	while (pos < path.len) {
		struct word name = {path.at + pos, 0};

		while (pos + name.len < path.len && name.at[name.len] != '.')
			name.len++;
		if (!place.has_type || !is_aggregate(dwarf_tag(&place.type)) ||
		    !find_member(s, &place.type, &name, place.offset, 0, &place))
			return false;
		pos += name.len + 1;
	}
	*ret = place;
	return true;
}

/* The offset of a field in the structure that has it, or the size of the structure. */
static bool resolve(struct search *s, Dwarf_Die *type, const char *paths, struct place *ret)
{
	struct word path;
	int size;

	if (!*paths) {
		size = dwarf_bytesize(type);
		*ret = (struct place){.offset = (uint64_t)size, .bit = LAYOUT_NO_BIT};
		return size > 0;
	}
	while (next_word(&paths, '|', &path))
		if (follow_path(s, type, path, ret))
			return true;
	return false;
}

static void take_struct(struct search *s, const struct word *name, Dwarf_Die *type)
{
	for (size_t f = 0; f < FIELD_COUNT; f++) {
		struct place place;

		if (s->found[f] || !list_has(specs[f].structs, name))
			continue;
		if (!resolve(s, type, specs[f].path, &place) || place.offset > MAX_OFFSET)
			continue;
		s->layout->field[f] = (struct layout_entry){
			.offset = (uint32_t)place.offset,
			.size = place.size,
			.bit = place.bit,
			.provider = LAYOUT_DWARF,
		};
		s->found[f] = true;
		s->count++;
	}
}

static void look_at(struct search *s, Dwarf_Die *die)
{
	int tag = dwarf_tag(die);
	Dwarf_Die type = *die;
	const char *text;

	if (tag != DW_TAG_typedef && tag != DW_TAG_structure_type)
		return;
	text = dwarf_diename(die);
	for (size_t i = 0; text && i < s->names; i++) {
		if (s->seen[i] || !word_is(&s->name[i], text))
			continue;
		if (tag == DW_TAG_typedef && !die_type(die, &type))
			return;
		if (!is_aggregate(dwarf_tag(&type)) || dwarf_hasattr(&type, DW_AT_declaration))
			return;
		s->seen[i] = true;
		s->unseen--;
		take_struct(s, &s->name[i], &type);
		return;
	}
}

static void search_units(struct search *s, Dwarf *dwarf)
{
	Dwarf_CU *unit = NULL;
	Dwarf_Die top, die;

	while (!dwarf_get_units(dwarf, unit, &unit, NULL, NULL, &top, NULL)) {
		if (dwarf_child(&top, &die))
			continue;
		do {
			if (++s->steps > MAX_STEPS || !s->unseen)
				return;
			look_at(s, &die);
		} while (!dwarf_siblingof(&die, &die));
	}
}

static void collect_names(struct search *s)
{
	for (size_t f = 0; f < FIELD_COUNT; f++) {
		const char *list = specs[f].structs;
		struct word w;

		while (next_word(&list, '|', &w)) {
			size_t i = 0;

			while (i < s->names && !same_word(&s->name[i], &w))
				i++;
			if (i == s->names && s->names < MAX_NAMES)
				s->name[s->names++] = w;
		}
	}
	s->unseen = s->names;
}

static bool has_debug_info(Dwarf *dwarf)
{
	Dwarf_CU *unit = NULL;

	return dwarf && !dwarf_get_units(dwarf, NULL, &unit, NULL, NULL, NULL, NULL);
}

/* A distribution keeps debug information in a file of its own, named by the build-id. */
static int open_by_build_id(int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	char path[sizeof(DEBUG_ROOT) + 2 * 64 + sizeof("/.debug")] = DEBUG_ROOT;
	char *p = path + strlen(path);
	const void *id = NULL;
	ssize_t len = elf ? dwelf_elf_gnu_build_id(elf, &id) : -1;

	for (ssize_t i = 0; i < len && len <= 64; i++)
		p += sprintf(p, i ? "%02x" : "%02x/", ((const uint8_t *)id)[i]);
	elf_end(elf);
	if (len < 2 || len > 64)
		return -1;
	memcpy(p, ".debug", sizeof(".debug"));
	return open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

size_t layout_from_dwarf(int fd, struct layout *layout)
{
	struct search s = {.layout = layout};
	cleanup_fd int other = -1;
	Dwarf *dwarf;

	elf_version(EV_CURRENT);
	dwarf = dwarf_begin(fd, DWARF_C_READ);
	if (!has_debug_info(dwarf)) {
		dwarf_end(dwarf);
		other = open_by_build_id(fd);
		dwarf = other < 0 ? NULL : dwarf_begin(other, DWARF_C_READ);
	}
	if (dwarf) {
		collect_names(&s);
		search_units(&s, dwarf);
	}
	dwarf_end(dwarf);
	return s.count;
}
