/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "object.h"
#include "stallscope/utf8.h"

#define TYPE_NAME_MAX 256
#define MRO_MAX	      64

uint64_t py_type(struct python *py, uint64_t object)
{
	if (!object) {
		rd_corrupt(&py->rd, object, "NULL object");
		return 0;
	}
	return get_ptr(py, object, F_OB_TYPE);
}

/* A NUL-terminated C string of the target, made safe, into the arena; NULL when unreadable. */
static const char *c_string(struct python *py, uint64_t addr)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	char raw[TYPE_NAME_MAX];
	size_t len = 0;

	while (addr && len < sizeof(raw)) {
		char c = (char)rd_u8(&py->rd, addr + len);

		if (py->rd.failed || !c)
			break;
		raw[len++] = c;
	}
	if (py->rd.failed)
		return NULL;
	utf8_add_safe(&safe, raw, len, TYPE_NAME_MAX);
	return arena_strndup(&py->arena, safe.data, safe.len);
}

/* The memory of a class that went may be that of another class in a later look. */
static bool is_same(struct python *py, struct py_type_info *info)
{
	if (info->checked == py->look || py->rd.failed)
		return true;
	if (get_ptr(py, info->address, F_TP_NAME) != info->name_at)
		return false;
	info->checked = py->look;
	return true;
}

struct py_type_info *type_info(struct python *py, uint64_t type)
{
	uint32_t index = addrmap_get(&py->type_index, type);
	struct py_type_info *info, fresh = {.address = type, .checked = py->look};

	if (index != ADDRMAP_NONE && is_same(py, &py->types_seen[index]))
		return &py->types_seen[index];
	if (!type || py->rd.failed)
		return NULL;
	fresh.name_at = get_ptr(py, type, F_TP_NAME);
	fresh.name = c_string(py, fresh.name_at);
	if (!fresh.name)
		return NULL;
	if (index == ADDRMAP_NONE) {
		addrmap_put(&py->type_index, type, (uint32_t)py->n_types);
		info = array_push(&py->types_seen, &py->n_types, &py->types_cap);
	} else {
		info = &py->types_seen[index];
	}
	*info = fresh;
	return info;
}

const char *py_type_name(struct python *py, uint64_t type)
{
	struct py_type_info *info = type_info(py, type);

	return info ? info->name : "?";
}

bool type_has_flag(struct python *py, uint64_t type, unsigned bit)
{
	return get_u64(py, type, F_TP_FLAGS) >> bit & 1;
}

/* Heap types know module and qualified name; static ones have both in tp_name already. */
const char *py_type_full_name(struct python *py, uint64_t type)
{
	struct py_type_info *info = type_info(py, type);
	cleanup_strbuf struct strbuf name = STRBUF_INIT;
	static const char *const module_name[] = {"__module__"};
	uint64_t module = 0;

	if (!info)
		return "?";
	if (info->full_name)
		return info->full_name;
	info->full_name = info->name;
	if (strchr(info->name, '.') || !type_has_flag(py, type, TPFLAG_HEAP))
		return info->name;
	if (py_dict_lookup(py, get_u64(py, type, F_TP_DICT), module_name, 1, &module) && module &&
	    py_str(py, module, &name, 200)) {
		strbuf_addch(&name, '.');
		if (!py_str(py, get_u64(py, type, F_HT_QUALNAME), &name, 200))
			strbuf_addstr(&name, info->name);
		info = type_info(py, type);
		info->full_name = arena_strndup(&py->arena, name.data, name.len);
	}
	rd_take(&py->rd);
	return info->full_name;
}

bool py_is_instance(struct python *py, uint64_t object, const char *name)
{
	uint64_t type = py_type(py, object), n = 0, items;

	if (py->rd.failed)
		return false;
	if (!strcmp(py_type_name(py, type), name))
		return true;
	items = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);
	for (uint64_t i = 1; i < n && i < MRO_MAX && !py->rd.failed; i++)
		if (!strcmp(py_type_name(py, rd_ptr(&py->rd, items + 8 * i)), name))
			return true;
	return false;
}

const char *py_defining_class(struct python *py, uint64_t object, const char *attr)
{
	uint64_t n = 0, value, items;

	items = py_tuple_items(py, get_ptr(py, py_type(py, object), F_TP_MRO), &n);
	for (uint64_t i = 0; i < n && i < MRO_MAX && !py->rd.failed; i++) {
		uint64_t type = rd_ptr(&py->rd, items + 8 * i), dict = get_u64(py, type, F_TP_DICT);

		if (dict && py_dict_lookup(py, dict, &attr, 1, &value) && value)
			return py_type_name(py, type);
	}
	return NULL;
}

bool py_tasks_start_eagerly(const struct python *py)
{
	return py->ops->tasks != PY_TASKS_ALL;
}

/* A C task keeps its fields at their offsets in every subclass; others keep attributes. */
enum py_task_kind py_task_kind(struct python *py, uint64_t object)
{
	uint64_t type = py_type(py, object);
	struct py_type_info *info = type_info(py, type);
	enum py_task_kind kind;

	if (!info)
		return PY_TASK_NOT;
	if (info->task_kind != PY_TASK_UNKNOWN)
		return info->task_kind;
	if (py_is_instance(py, object, "_asyncio.Task"))
		kind = PY_TASK_C;
	else if (py_is_instance(py, object, "_asyncio.Future"))
		kind = PY_TASK_NOT;
	else
		kind = py_is_instance(py, object, "Task") || py_is_instance(py, object, "_PyTask")
			       ? PY_TASK_PYTHON
			       : PY_TASK_NOT;
	info = type_info(py, type);
	if (info && !py->rd.failed)
		info->task_kind = (uint8_t)kind;
	return kind;
}

enum py_task_kind py_future_kind(struct python *py, uint64_t object)
{
	uint64_t type = py_type(py, object);
	struct py_type_info *info = type_info(py, type);
	enum py_task_kind kind;

	if (!info)
		return PY_TASK_NOT;
	if (info->future_kind != PY_TASK_UNKNOWN)
		return info->future_kind;
	if (py_is_instance(py, object, "_asyncio.Future"))
		kind = PY_TASK_C;
	else
		kind = py_is_instance(py, object, "Future") ||
				       py_is_instance(py, object, "_PyFuture")
			       ? PY_TASK_PYTHON
			       : PY_TASK_NOT;
	info = type_info(py, type);
	if (info && !py->rd.failed)
		info->future_kind = (uint8_t)kind;
	return kind;
}

bool py_is_none(struct python *py, uint64_t object)
{
	if (py->types.none)
		return object == py->types.none;
	return object && !strcmp(py_object_type_name(py, object), "NoneType");
}

/* ---- str ------------------------------------------------------------------------------ */

bool str_shape(struct python *py, uint64_t object, struct str_shape *ret)
{
	unsigned shift = py->free_threaded ? py->ops->ft_str_shift : 2;
	uint64_t type = object ? py_type(py, object) : 0;
	uint32_t state;
	bool compact, ascii;

	if (!type || py->rd.failed)
		return false;
	if (type != py->types.str && !type_has_flag(py, type, TPFLAG_UNICODE))
		return false;
	ret->length = get_u64(py, object, F_STR_LENGTH);
	state = rd_u32(&py->rd, at(py, object, F_STR_STATE)) >> shift;
	ret->kind = state & 7;
	compact = state >> 3 & 1;
	ascii = state >> 4 & 1;
	if (compact)
		ret->data = at(py, object, ascii ? F_STR_ASCII_SIZE : F_STR_COMPACT_SIZE);
	else
		ret->data = get_u64(py, object, F_STR_COMPACT_SIZE);
	if (py->rd.failed)
		return false;
	/* kind 0 is a string of 3.8-3.11 that nobody has looked at yet (PyUnicode_READY) */
	return (ret->kind == 1 || ret->kind == 2 || ret->kind == 4) && ret->length < 1ull << 40;
}

/* Printable ASCII at the front, which most names are to the end. */
static size_t plain_run(const uint8_t *raw, size_t n)
{
	size_t i = 0;

	while (i < n && raw[i] >= 0x20 && raw[i] < 0x7f)
		i++;
	return i;
}

static void add_units(struct strbuf *out, const uint8_t *raw, size_t n, unsigned kind)
{
	size_t i = kind == 1 ? plain_run(raw, n) : 0;

	strbuf_add(out, raw, i);
	for (; i < n; i++) {
		uint32_t cp = 0;

		memcpy(&cp, raw + i * kind, kind);
		utf8_add_safe_cp(out, cp);
	}
}

bool py_str(struct python *py, uint64_t object, struct strbuf *out, size_t max)
{
	struct str_shape s;
	uint8_t raw[1024];
	size_t step, n;

	if (!str_shape(py, object, &s))
		return false;
	n = s.length < max ? (size_t)s.length : max;
	if (n > PY_MAX_STRING)
		n = PY_MAX_STRING;
	step = sizeof(raw) / s.kind;
	for (size_t done = 0; done < n; done += step) {
		size_t part = n - done < step ? n - done : step;

		rd_bytes(&py->rd, s.data + done * s.kind, raw, part * s.kind);
		if (py->rd.failed)
			return false;
		add_units(out, raw, part, s.kind);
	}
	if (n < s.length)
		strbuf_addstr(out, "\xe2\x80\xa6"); /* … */
	return true;
}

bool py_str_equals(struct python *py, uint64_t object, const char *text)
{
	size_t len = strlen(text);
	char raw[128];
	struct str_shape s;

	if (len > sizeof(raw) || !str_shape(py, object, &s) || s.length != len || s.kind != 1)
		return false;
	rd_bytes(&py->rd, s.data, raw, len);
	return !py->rd.failed && !memcmp(raw, text, len);
}

/* ---- numbers --------------------------------------------------------------------------- */

/*
 * Digits of 30 bits. Up to 3.11 the signed ob_size counts them; from 3.12 lv_tag does: count
 * << 3, and in the low bits 0 positive, 1 zero, 2 negative (Include/cpython/longintrepr.h).
 */
bool int_shape(struct python *py, uint64_t object, uint64_t *digits, bool *negative)
{
	uint64_t type = py_type(py, object);
	int64_t tag;

	if (py->rd.failed || !type_has_flag(py, type, TPFLAG_LONG))
		return false;
	tag = rd_i64(&py->rd, at(py, object, F_LONG_TAG));
	if (py->ops->int_has_tag) {
		*digits = (uint64_t)tag >> 3;
		*negative = (tag & 3) == 2;
	} else {
		*negative = tag < 0;
		*digits = *negative ? 0 - (uint64_t)tag : (uint64_t)tag;
	}
	return !py->rd.failed;
}

bool py_int(struct python *py, uint64_t object, int64_t *ret)
{
	uint64_t value = 0, digits;
	bool negative;

	if (!int_shape(py, object, &digits, &negative) || digits > 2)
		return false;
	for (uint64_t i = 0; i < digits; i++)
		value |= (uint64_t)(rd_u32(&py->rd, at(py, object, F_LONG_DIGITS) + 4 * i) &
				    0x3fffffff)
			 << (30 * i);
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return !py->rd.failed;
}

bool py_number(struct python *py, uint64_t object, double *ret)
{
	uint64_t type = py_type(py, object);
	int64_t whole;

	if (py->rd.failed)
		return false;
	if (type == py->types.float_ || !strcmp(py_type_name(py, type), "float")) {
		*ret = rd_f64(&py->rd, at(py, object, F_FLOAT_VALUE));
		return !py->rd.failed;
	}
	if (!py_int(py, object, &whole))
		return false;
	*ret = (double)whole;
	return true;
}

bool py_bool(struct python *py, uint64_t object)
{
	int64_t value;

	return object && py_int(py, object, &value) && value != 0;
}

/* ---- sequences ---------------------------------------------------------------------------- */

uint64_t py_size(struct python *py, uint64_t object)
{
	int64_t n = rd_i64(&py->rd, at(py, object, F_OB_SIZE));

	if (n < 0 || n > 1ll << 40) {
		rd_corrupt(&py->rd, object, "size out of bounds");
		return 0;
	}
	return (uint64_t)n;
}

static uint64_t items(struct python *py, uint64_t seq, unsigned flag, uint64_t *n)
{
	uint64_t type = py_type(py, seq);

	*n = 0;
	if (py->rd.failed)
		return 0;
	if (!type_has_flag(py, type, flag)) {
		rd_corrupt(&py->rd, seq, flag == TPFLAG_LIST ? "not a list" : "not a tuple");
		return 0;
	}
	*n = py_size(py, seq);
	if (*n > PY_MAX_ENTRIES) {
		rd_corrupt(&py->rd, seq, "too many items");
		*n = 0;
	}
	if (py->rd.failed || !*n)
		return 0;
	return flag == TPFLAG_LIST ? get_ptr(py, seq, F_LIST_ITEMS) : at(py, seq, F_TUPLE_ITEMS);
}

uint64_t py_list_items(struct python *py, uint64_t list, uint64_t *n)
{
	return items(py, list, TPFLAG_LIST, n);
}

uint64_t py_tuple_items(struct python *py, uint64_t tuple, uint64_t *n)
{
	return items(py, tuple, TPFLAG_TUPLE, n);
}

uint64_t py_tuple_item(struct python *py, uint64_t tuple, size_t i)
{
	uint64_t n, first = py_tuple_items(py, tuple, &n);

	if (i >= n)
		return 0;
	return rd_u64(&py->rd, first + 8 * i);
}
