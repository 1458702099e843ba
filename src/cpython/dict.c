/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "object.h"

/* Entries of a keys object: {hash, key, value}, or {key, value} when all keys are str. */
enum { ENTRY_GENERAL = 24, ENTRY_STR = 16 };

#define LOG2_SIZE_MAX 23 /* room for PY_MAX_ENTRIES */

/* 3.8-3.10: dk_size slots of an index whose width depends on the size. */
void dict_keys_sized(struct python *py, uint64_t keys, struct py_iter *it)
{
	uint64_t size = get_u64(py, keys, F_DK_SIZE), width;

	width = size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= UINT32_MAX ? 4 : 8;
	if (size > PY_MAX_ENTRIES * 2ull)
		rd_corrupt(&py->rd, keys, "dict keys too large");
	it->index = at(py, keys, F_DK_INDICES);
	it->index_size = size;
	it->index_width = (uint32_t)width;
	it->entries = it->index + size * width;
	it->stride = ENTRY_GENERAL;
	it->key_at = 8;
	it->value_at = 16;
	it->n = get_u64(py, keys, F_DK_NENTRIES);
}

/* 3.11+: log2 of the bytes of the index is stored; str-only tables have no hashes. */
void dict_keys_log2(struct python *py, uint64_t keys, struct py_iter *it)
{
	uint8_t log2_bytes = get_u8(py, keys, F_DK_LOG2_INDEX_BYTES);
	uint8_t log2_size = get_u8(py, keys, F_DK_LOG2_SIZE);
	bool general = get_u8(py, keys, F_DK_KIND) == 0;

	if (log2_size > LOG2_SIZE_MAX || log2_size > log2_bytes || log2_bytes - log2_size > 3) {
		rd_corrupt(&py->rd, keys, "dict keys with an impossible size");
		return;
	}
	it->index = at(py, keys, F_DK_INDICES);
	it->index_size = 1ull << log2_size;
	it->index_width = 1u << (log2_bytes - log2_size);
	it->entries = it->index + (1ull << log2_bytes);
	it->stride = general ? ENTRY_GENERAL : ENTRY_STR;
	it->key_at = general ? 8 : 0;
	it->value_at = general ? 16 : 8;
	it->n = get_u64(py, keys, F_DK_NENTRIES);
}

static bool keys_begin(struct python *py, uint64_t keys, struct py_iter *it)
{
	memset(it, 0, sizeof(*it));
	py->ops->dict_keys(py, keys, it);
	if (!py->rd.failed && it->n > PY_MAX_ENTRIES)
		rd_corrupt(&py->rd, keys, "dict has too many entries");
	return !py->rd.failed;
}

bool py_dict_begin(struct python *py, uint64_t dict, struct py_iter *it)
{
	uint64_t type = py_type(py, dict), values;

	if (py->rd.failed)
		return false;
	if (type != py->types.dict && !type_has_flag(py, type, TPFLAG_DICT)) {
		rd_corrupt(&py->rd, dict, "not a dict");
		return false;
	}
	if (!keys_begin(py, get_ptr(py, dict, F_MA_KEYS), it))
		return false;
	values = get_u64(py, dict, F_MA_VALUES);
	if (values)
		it->values = values + (has(py, F_DV_VALUES) ? at(py, 0, F_DV_VALUES) : 0);
	return !py->rd.failed;
}

uint64_t py_dict_len(struct python *py, uint64_t dict)
{
	return get_u64(py, dict, F_MA_USED);
}

bool py_set_begin(struct python *py, uint64_t set, struct py_iter *it)
{
	uint64_t mask = get_u64(py, set, F_SET_MASK);

	memset(it, 0, sizeof(*it));
	if (mask >= PY_MAX_ENTRIES) {
		rd_corrupt(&py->rd, set, "set table too large");
		return false;
	}
	it->is_set = true;
	it->entries = get_ptr(py, set, F_SET_TABLE);
	it->stride = 16;
	it->n = mask + 1;
	return !py->rd.failed;
}

bool py_iter_next(struct python *py, struct py_iter *it, uint64_t *key, uint64_t *value)
{
	while (it->i < it->n && !py->rd.failed) {
		uint64_t i = it->i++, entry = it->entries + i * it->stride;

		*key = rd_u64(&py->rd, entry + it->key_at);
		if (!*key)
			continue;
		if (it->is_set) {
			*value = 0;
			if (rd_i64(&py->rd, entry + 8) == -1) /* a dummy: hash -1 */
				continue;
		} else {
			*value = rd_u64(&py->rd,
					it->values ? it->values + 8 * i : entry + it->value_at);
			if (!*value)
				continue;
		}
		return !py->rd.failed;
	}
	return false;
}

/* ---- attributes ------------------------------------------------------------------------- */

/* 3.8-3.10: a dict pointer in the object at tp_dictoffset. */
bool attrs_dictoffset(struct python *py, uint64_t object, uint64_t type, struct py_iter *it)
{
	int64_t offset = rd_i64(&py->rd, at(py, type, F_TP_DICTOFFSET));
	uint64_t dict;

	if (py->rd.failed || offset <= 0 || offset > 1 << 20)
		return false;
	dict = rd_u64(&py->rd, object + (uint64_t)offset);
	return dict && py_dict_begin(py, dict, it);
}

enum { MANAGED_DICT = 4, INLINE_VALUES = 2 }; /* bits of tp_flags */

/* Values in an array of their own, names in the type's cached keys. */
static bool attrs_values(struct python *py, uint64_t type, uint64_t values, struct py_iter *it)
{
	uint64_t keys = get_u64(py, type, F_HT_CACHED_KEYS);

	if (!keys || !keys_begin(py, keys, it))
		return false;
	it->values = values;
	return true;
}

/* 3.11: values at object - 32, dict at object - 24 (Objects/dictobject.c). */
bool attrs_311(struct python *py, uint64_t object, uint64_t type, struct py_iter *it)
{
	uint64_t values, dict;

	if (!type_has_flag(py, type, MANAGED_DICT))
		return attrs_dictoffset(py, object, type, it);
	values = rd_u64(&py->rd, object - 32);
	if (values)
		return attrs_values(py, type, values, it);
	dict = rd_u64(&py->rd, object - 24);
	return dict && py_dict_begin(py, dict, it);
}

/* 3.12: one word at object - 24; odd means values, at the word + 1 (sic). */
bool attrs_312(struct python *py, uint64_t object, uint64_t type, struct py_iter *it)
{
	uint64_t word;

	if (!type_has_flag(py, type, MANAGED_DICT))
		return attrs_dictoffset(py, object, type, it);
	word = rd_u64(&py->rd, object - 24);
	if (word & 1)
		return attrs_values(py, type, word + 1, it);
	return word && py_dict_begin(py, word, it);
}

/* 3.13+: a dict pointer in front of the object, else values behind it. */
bool attrs_inline(struct python *py, uint64_t object, uint64_t type, struct py_iter *it)
{
	uint64_t dict, head;
	uint8_t bytes[4]; /* PyDictValues: capacity, size, embedded, valid */

	if (!type_has_flag(py, type, MANAGED_DICT))
		return attrs_dictoffset(py, object, type, it);
	dict = rd_u64(&py->rd, object - (py->free_threaded ? 8 : 24));
	if (dict)
		return py_dict_begin(py, dict, it);
	if (!type_has_flag(py, type, INLINE_VALUES))
		return false;
	head = object + get_u64(py, type, F_TP_BASICSIZE);
	rd_bytes(&py->rd, head, bytes, sizeof(bytes));
	if (!bytes[3] || !attrs_values(py, type, at(py, head, F_DV_VALUES), it))
		return false;
	if (it->n > bytes[0])
		it->n = bytes[0];
	return true;
}

static uint64_t entry_value(struct python *py, const struct py_iter *it, uint64_t i)
{
	return rd_u64(&py->rd, it->values ? it->values + 8 * i
					  : it->entries + i * it->stride + it->value_at);
}

/* By hash, when our hash is the interpreter's. */
static bool pick_by_hash(struct python *py, const struct py_iter *it, const char *const names[],
			 size_t n, uint64_t values[])
{
	uint64_t sample;
	int64_t entry;

	if (py->hash_state == PY_HASH_UNKNOWN || !it->n || !it->index_size ||
	    it->index_size & (it->index_size - 1))
		return false;
	sample = rd_u64(&py->rd, it->entries + it->key_at);
	if (py->hash_state == PY_HASH_UNTRIED && (!sample || !hash_known(py, sample)))
		return false;
	for (size_t i = 0; i < n && !py->rd.failed; i++) {
		entry = hash_find(py, it, names[i]);
		values[i] = entry >= 0 ? entry_value(py, it, (uint64_t)entry) : 0;
	}
	return true;
}

/* Otherwise one pass over the entries for all names; stops when all are found. */
static void pick(struct python *py, struct py_iter *it, const char *const names[], size_t n,
		 uint64_t values[])
{
	uint64_t key, value;
	size_t left = n;

	if (pick_by_hash(py, it, names, n, values))
		return;
	while (left && py_iter_next(py, it, &key, &value)) {
		for (size_t i = 0; i < n; i++) {
			if (values[i] || !py_str_equals(py, key, names[i]))
				continue;
			values[i] = value;
			left--;
			break;
		}
	}
}

bool py_dict_lookup(struct python *py, uint64_t dict, const char *const names[], size_t n,
		    uint64_t values[])
{
	struct py_iter it;

	memset(values, 0, n * sizeof(*values));
	if (!py_dict_begin(py, dict, &it))
		return false;
	pick(py, &it, names, n, values);
	return !py->rd.failed;
}

bool py_attrs(struct python *py, uint64_t object, const char *const names[], size_t n,
	      uint64_t values[])
{
	uint64_t type = py_type(py, object);
	struct py_iter it;

	memset(values, 0, n * sizeof(*values));
	if (py->rd.failed)
		return false;
	if (py->ops->attrs(py, object, type, &it))
		pick(py, &it, names, n, values);
	return !py->rd.failed;
}

/* ---- __slots__ ----------------------------------------------------------------------------- */

static void add_slot(struct python *py, struct py_type_info *info, uint64_t key, uint64_t descr)
{
	static const int32_t object_member = 6, object_ex_member = 16; /* structmember.h */
	cleanup_strbuf struct strbuf name = STRBUF_INIT;
	uint64_t def;
	int64_t offset;
	int32_t type;

	if (strcmp(py_object_type_name(py, descr), "member_descriptor") != 0)
		return;
	def = get_ptr(py, descr, F_MEMBER_DEF);
	type = rd_i32(&py->rd, def + 8);    /* PyMemberDef.type */
	offset = rd_i64(&py->rd, def + 16); /* PyMemberDef.offset */
	if (py->rd.failed || offset <= 0 || offset > 1 << 20 || !py_str(py, key, &name, 64))
		return;
	info->slots[info->n_slots].name = arena_strndup(&py->arena, name.data, name.len);
	info->slots[info->n_slots].object = type == object_member || type == object_ex_member;
	info->slots[info->n_slots++].offset = (uint32_t)offset;
}

/* Members of the type and its bases. tp_dict is NULL for static types from 3.12 on. */
static void learn_slots(struct python *py, uint64_t type, struct py_type_info *out)
{
	uint64_t n, mro = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);

	for (uint64_t i = 0; i + 1 < n && i < 16 && !py->rd.failed; i++) {
		uint64_t base = rd_ptr(&py->rd, mro + 8 * i);
		uint64_t dict = get_u64(py, base, F_TP_DICT), key, value;
		struct py_iter it;

		if (!dict || !py_dict_begin(py, dict, &it))
			continue;
		if (it.n > PY_MAX_MEMBERS)
			it.n = PY_MAX_MEMBERS;
		while (out->n_slots < TYPE_SLOTS_MAX && py_iter_next(py, &it, &key, &value))
			add_slot(py, out, key, value);
	}
}

struct py_type_info *type_info_slots(struct python *py, uint64_t type)
{
	struct py_type_info *info = type_info(py, type);

	if (info && !info->slots_known) {
		struct py_type_info learnt = *info;

		learn_slots(py, type, &learnt);
		learnt.slots_known = !py->rd.failed;
		info = type_info(py, type);
		if (info)
			*info = learnt;
	}
	return info;
}

uint32_t py_slot_offset(struct python *py, uint64_t type, const char *name)
{
	struct py_type_info *info = type_info_slots(py, type);

	if (!info)
		return 0;
	for (unsigned i = 0; i < info->n_slots; i++)
		if (!strcmp(info->slots[i].name, name))
			return info->slots[i].offset;
	return 0;
}
