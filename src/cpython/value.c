/* SPDX-License-Identifier: Apache-2.0 */
/*
 * value.c - what an object is, as a line for a reader
 *
 * Like repr(), but it runs no code of the target, and is bounded in each direction: by columns,
 * depth, items of a container, slots of a hash table looked at, and objects in all. What is shown
 * was read at some time in the look, and an object may have gone since: each is checked before it
 * is believed, and said to have changed if it is not what it must be.
 */
#include <string.h>

#include "object.h"
#include "stallscope/utf8.h"
#include "value_text.h"

#define ELLIPSIS   "\xe2\x80\xa6"
#define DEPTH	   3u	 /* containers in containers */
#define STEPS	   150u	 /* objects of one value */
#define TABLE_SEEN 1024u /* slots of a hash table: a dict may have its first entries removed */

/* Of one string or container, the outermost one first. */
static const size_t chars_shown[DEPTH + 1] = {160, 60, 30, 30};
static const size_t bytes_shown[DEPTH + 1] = {64, 24, 12, 12};
static const size_t items_shown[DEPTH] = {12, 6, 4};

enum value_kind {
	VALUE_UNKNOWN, /* not asked yet */
	VALUE_OTHER,   /* by type and address */
	VALUE_NONE,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_FLOAT,
	VALUE_STR,
	VALUE_BYTES,
	VALUE_LIST,
	VALUE_TUPLE,
	VALUE_SET,
	VALUE_FROZENSET,
	VALUE_DICT,
	VALUE_CLASS,
	VALUE_INSTANCE, /* of a class written in Python, as a rule */
};

struct value {
	struct python *py;
	struct strbuf *out;
	size_t columns; /* that are asked for */
	unsigned depth, steps;
	uint64_t path[DEPTH]; /* containers we are in */
	bool in_instance;
	bool types_only;
};

/* ---- which kind of object ----------------------------------------------------------------- */

/* A class may have any name, the types of C that are meant are static. */
static enum value_kind kind_by_name(struct python *py, uint64_t type)
{
	static const struct {
		const char *name;
		enum value_kind kind;
	} names[] = {{"NoneType", VALUE_NONE},
		     {"bool", VALUE_BOOL},
		     {"float", VALUE_FLOAT},
		     {"set", VALUE_SET},
		     {"frozenset", VALUE_FROZENSET}};
	const char *name;

	if (type_has_flag(py, type, TPFLAG_HEAP))
		return VALUE_UNKNOWN;
	name = py_type_name(py, type);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i].name))
			return names[i].kind;
	return VALUE_UNKNOWN;
}

static enum value_kind kind_by_flag(struct python *py, uint64_t type)
{
	static const struct {
		unsigned flag;
		enum value_kind kind;
	} flags[] = {{TPFLAG_LONG, VALUE_INT},	  {TPFLAG_LIST, VALUE_LIST},
		     {TPFLAG_TUPLE, VALUE_TUPLE}, {TPFLAG_BYTES, VALUE_BYTES},
		     {TPFLAG_UNICODE, VALUE_STR}, {TPFLAG_DICT, VALUE_DICT},
		     {TPFLAG_TYPE, VALUE_CLASS}};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (type_has_flag(py, type, flags[i].flag))
			return flags[i].kind;
	return VALUE_UNKNOWN;
}

static enum value_kind kind_by_base(struct python *py, uint64_t type)
{
	static const uint64_t sane = 64;
	uint64_t n, bases = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);
	enum value_kind kind = VALUE_UNKNOWN;

	for (uint64_t i = 1; i < n && i < sane && !kind && !py->rd.failed; i++)
		kind = kind_by_name(py, rd_ptr(&py->rd, bases + 8 * i));
	return kind;
}

/*
 * What looks like an object in memory that is used for something else by now has no class whose
 * class is one in earnest: that of classes is its own.
 */
static bool is_sound(struct python *py, uint64_t type)
{
	static const unsigned ready = 12; /* Py_TPFLAGS_READY */
	static const int most = 4;	  /* a metaclass may have one itself */
	uint64_t meta = type, next = 0;

	for (int i = 0; i < most && next != meta && !py->rd.failed; i++) {
		meta = next ? next : type;
		next = py_type(py, meta);
	}
	return !py->rd.failed && next == meta && type_has_flag(py, type, ready) &&
	       *py_type_name(py, type);
}

static enum value_kind learn_kind(struct python *py, uint64_t type)
{
	enum value_kind kind;

	if (!is_sound(py, type)) {
		rd_corrupt(&py->rd, type, "not a type");
		return VALUE_UNKNOWN;
	}
	kind = kind_by_name(py, type);
	if (!kind)
		kind = kind_by_flag(py, type);
	if (!kind && type_has_flag(py, type, TPFLAG_HEAP))
		kind = kind_by_base(py, type);
	if (!kind)
		kind = type_has_flag(py, type, TPFLAG_HEAP) ? VALUE_INSTANCE : VALUE_OTHER;
	return py->rd.failed ? VALUE_UNKNOWN : kind;
}

static enum value_kind kind_of(struct python *py, uint64_t type)
{
	struct py_type_info *info = type_info(py, type);
	enum value_kind kind;

	if (!info || info->value_kind)
		return info ? (enum value_kind)info->value_kind : VALUE_UNKNOWN;
	kind = learn_kind(py, type);
	info = type_info(py, type);
	if (info)
		info->value_kind = (uint8_t)kind;
	return kind;
}

/* ---- pieces ------------------------------------------------------------------------------- */

static void add(struct value *v, uint64_t object);

static bool is_full(const struct value *v)
{
	if (v->steps > STEPS)
		return true;
	return v->out->len > v->columns && utf8_width(v->out->data) > v->columns;
}

static void add_address(struct value *v, uint64_t object, uint64_t type)
{
	strbuf_addf(v->out, "<%s at 0x%llx>", py_type_full_name(v->py, type),
		    (unsigned long long)object);
}

static bool is_builtin(struct python *py, uint64_t type)
{
	static const char *const names[] = {"int",  "float", "str", "bytes",	"list",
					    "dict", "tuple", "set", "frozenset"};
	const char *name = py_type_name(py, type);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return !type_has_flag(py, type, TPFLAG_HEAP);
	return false;
}

/*
 * "list of 600000 " of what is not shown to its end: the number first, as the end may be cut. A
 * class derived from it has its name there in any case.
 */
static void add_head(struct value *v, uint64_t type, uint64_t n, bool cut)
{
	if (cut)
		strbuf_addf(v->out, "%s of %llu ", py_type_full_name(v->py, type),
			    (unsigned long long)n);
	else if (!is_builtin(v->py, type))
		strbuf_addf(v->out, "%s ", py_type_full_name(v->py, type));
}

static bool is_inside(const struct value *v, uint64_t object)
{
	for (unsigned i = 0; i < v->depth; i++)
		if (v->path[i] == object)
			return true;
	return false;
}

/* Too deep, or a ring: false, and something is said instead of the items. */
static bool enter(struct value *v, uint64_t object, uint64_t type, int64_t n)
{
	if (is_inside(v, object)) {
		strbuf_addf(v->out, "<%s that this is in>", py_type_full_name(v->py, type));
		return false;
	}
	if (v->depth == DEPTH) {
		if (n < 0)
			add_address(v, object, type);
		else
			strbuf_addf(v->out, "<%s of %lld>", py_type_full_name(v->py, type),
				    (long long)n);
		return false;
	}
	v->path[v->depth++] = object;
	return true;
}

static void separate(struct value *v, size_t shown)
{
	if (shown)
		strbuf_addstr(v->out, ", ");
}

/* What is said to be longer than is shown must end in memory of the target too. */
static void check_end(struct value *v, uint64_t end)
{
	rd_u8(&v->py->rd, end - 1);
}

/* ---- numbers and strings ------------------------------------------------------------------ */

static void read_digits(struct value *v, uint64_t object, uint64_t first, uint32_t *digits,
			size_t n)
{
	uint64_t at_ = at(v->py, object, F_LONG_DIGITS) + 4 * first;

	rd_bytes(&v->py->rd, at_, digits, n * sizeof(*digits));
	for (size_t i = 0; i < n; i++)
		digits[i] &= 0x3fffffff;
}

static void add_int(struct value *v, uint64_t object, uint64_t type)
{
	static const uint64_t sane = UINT64_C(1) << 34; /* digits: no int has 64 GiB */
	uint32_t digits[INT_DIGITS_MAX];
	uint64_t n;
	bool negative;

	if (!int_shape(v->py, object, &n, &negative))
		return;
	if (n > sane) {
		rd_corrupt(&v->py->rd, object, "int of an impossible size");
		return;
	}
	add_head(v, type, 0, false);
	if (n <= INT_DIGITS_MAX) {
		read_digits(v, object, 0, digits, (size_t)n);
		value_add_int(v->out, digits, (size_t)n, negative);
	} else {
		read_digits(v, object, n - 3, digits, 3);
		value_add_long_int(v->out, digits, n, negative);
	}
}

static void add_float(struct value *v, uint64_t object, uint64_t type)
{
	double value = rd_f64(&v->py->rd, at(v->py, object, F_FLOAT_VALUE));

	add_head(v, type, 0, false);
	value_add_float(v->out, value);
}

static void add_str(struct value *v, uint64_t object, uint64_t type)
{
	uint32_t text[160];
	uint8_t raw[4 * ARRAY_SIZE(text)];
	struct str_shape s;
	size_t n;

	if (!str_shape(v->py, object, &s)) {
		if (!v->py->rd.failed)
			add_address(v, object, type);
		return;
	}
	n = s.length < chars_shown[v->depth] ? (size_t)s.length : chars_shown[v->depth];
	rd_bytes(&v->py->rd, s.data, raw, n * s.kind);
	for (size_t i = 0; i < n; i++) {
		text[i] = 0;
		memcpy(&text[i], raw + i * s.kind, s.kind);
	}
	if (n < s.length)
		check_end(v, s.data + s.length * s.kind);
	add_head(v, type, s.length, n < s.length);
	value_add_str(v->out, text, n, n < s.length);
}

static void add_bytes(struct value *v, uint64_t object, uint64_t type)
{
	uint64_t size = py_size(v->py, object);
	size_t n = size < bytes_shown[v->depth] ? (size_t)size : bytes_shown[v->depth];
	uint8_t bytes[64];

	if (n < size)
		check_end(v, at(v->py, object, F_BYTES_DATA) + size);
	rd_bytes(&v->py->rd, at(v->py, object, F_BYTES_DATA), bytes, n);
	add_head(v, type, size, n < size);
	value_add_bytes(v->out, bytes, n, n < size);
}

/* ---- containers --------------------------------------------------------------------------- */

static void add_items(struct value *v, uint64_t first, size_t n)
{
	for (size_t i = 0; i < n && !is_full(v); i++) {
		separate(v, i);
		add(v, rd_u64(&v->py->rd, first + 8 * i));
	}
}

static void add_sequence(struct value *v, uint64_t object, uint64_t type, bool list)
{
	uint64_t size = py_size(v->py, object), first = at(v->py, object, F_TUPLE_ITEMS);
	size_t n;

	if (list && size)
		first = get_ptr(v->py, object, F_LIST_ITEMS);
	if (v->py->rd.failed || !enter(v, object, type, (int64_t)size))
		return;
	n = items_shown[v->depth - 1];
	n = size < n ? (size_t)size : n;
	if (n < size)
		check_end(v, first + 8 * size);
	add_head(v, type, size, n < size);
	strbuf_addch(v->out, list ? '[' : '(');
	add_items(v, first, n);
	if (n < size)
		strbuf_addstr(v->out, ", " ELLIPSIS);
	else if (!list && size == 1)
		strbuf_addch(v->out, ',');
	strbuf_addch(v->out, list ? ']' : ')');
	v->depth--;
}

/* At most so many entries, out of the first slots of the table. */
static size_t add_entries(struct value *v, struct py_iter *it, size_t most)
{
	uint64_t key, value;
	size_t shown = 0;

	if (it->n > TABLE_SEEN)
		it->n = TABLE_SEEN;
	while (shown < most && !is_full(v) && py_iter_next(v->py, it, &key, &value)) {
		separate(v, shown++);
		add(v, key);
		if (it->is_set)
			continue;
		strbuf_addstr(v->out, ": ");
		add(v, value);
	}
	return shown;
}

/* A table too large to be walked is told by its length alone. */
static bool begin_table(struct value *v, uint64_t object, bool set, uint64_t used,
			struct py_iter *it)
{
	uint64_t table = set ? get_u64(v->py, object, F_SET_MASK) + 1
			     : get_u64(v->py, get_ptr(v->py, object, F_MA_KEYS), F_DK_NENTRIES);

	if (used > table)
		rd_corrupt(&v->py->rd, object, "more entries than there is room for");
	memset(it, 0, sizeof(*it));
	if (table >= PY_MAX_ENTRIES)
		return !v->py->rd.failed;
	return set ? py_set_begin(v->py, object, it) : py_dict_begin(v->py, object, it);
}

static void add_table(struct value *v, uint64_t object, uint64_t type, enum value_kind kind)
{
	bool set = kind != VALUE_DICT, frozen = kind == VALUE_FROZENSET;
	uint64_t used = get_u64(v->py, object, set ? F_SET_USED : F_MA_USED);
	struct py_iter it;
	size_t most, shown;

	if (used >> 40)
		rd_corrupt(&v->py->rd, object, "an impossible number of entries");
	if (v->py->rd.failed || !begin_table(v, object, set, used, &it) ||
	    !enter(v, object, type, (int64_t)used))
		return;
	most = items_shown[v->depth - 1];
	add_head(v, type, used, used > most || (used && (!it.n || it.n > TABLE_SEEN)));
	if (!used && set)
		strbuf_addstr(v->out, frozen ? "frozenset()" : "set()");
	else
		strbuf_addstr(v->out, frozen ? "frozenset({" : "{");
	shown = add_entries(v, &it, most);
	if (shown < used)
		strbuf_addstr(v->out, shown ? ", " ELLIPSIS : ELLIPSIS);
	if (used || !set)
		strbuf_addstr(v->out, frozen ? "})" : "}");
	v->depth--;
}

/* ---- instances ---------------------------------------------------------------------------- */

static void add_attribute(struct value *v, size_t shown, const char *name, uint64_t value)
{
	separate(v, shown);
	strbuf_addf(v->out, "%s=", name);
	add(v, value);
}

static size_t add_attributes(struct value *v, uint64_t object, uint64_t type, size_t most)
{
	struct py_iter it;
	uint64_t key, value;
	size_t shown = 0;

	if (!v->py->ops->attrs(v->py, object, type, &it))
		return 0;
	if (it.n > TABLE_SEEN)
		it.n = TABLE_SEEN;
	while (!is_full(v) && py_iter_next(v->py, &it, &key, &value)) {
		cleanup_strbuf struct strbuf name = STRBUF_INIT;

		if (shown == most) {
			strbuf_addstr(v->out, ", " ELLIPSIS);
			return shown + 1;
		}
		if (!py_str(v->py, key, &name, 60))
			break;
		add_attribute(v, shown++, name.data, value);
	}
	return shown;
}

/* A heap type's size is the number of its __slots__ (type_new() of Objects/typeobject.c). */
static bool has_slots(struct python *py, uint64_t type)
{
	static const uint64_t sane = 16;
	uint64_t n, bases = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);

	for (uint64_t i = 0; i + 1 < n && i < sane && !py->rd.failed; i++) {
		uint64_t base = rd_ptr(&py->rd, bases + 8 * i);

		if (type_has_flag(py, base, TPFLAG_HEAP) && py_size(py, base))
			return true;
	}
	return false;
}

static size_t add_slots(struct value *v, uint64_t object, uint64_t type, size_t shown, size_t most)
{
	const struct py_type_info *info;

	if (!has_slots(v->py, type))
		return shown;
	info = type_info_slots(v->py, type);
	for (unsigned i = 0; info && i < info->n_slots && shown < most && !is_full(v); i++) {
		const char *name = info->slots[i].name;
		uint64_t value = 0;

		if (info->slots[i].object)
			value = rd_u64(&v->py->rd, object + info->slots[i].offset);
		if (v->py->rd.failed)
			return shown;
		if (!value)
			continue;
		add_attribute(v, shown++, name, value);
		info = type_info_slots(v->py, type); /* new types may have moved it */
	}
	return shown;
}

/*
 * One inside another is told by its address: services hang together, and from a handler to its
 * session, pool and loop is a long way that tells nothing.
 */
static void add_instance(struct value *v, uint64_t object, uint64_t type)
{
	size_t begin = v->out->len, most, shown;

	if (v->in_instance && !is_inside(v, object)) {
		add_address(v, object, type);
		return;
	}
	if (!enter(v, object, type, -1))
		return;
	v->in_instance = true;
	most = items_shown[v->depth - 1];
	strbuf_addf(v->out, "%s(", py_type_full_name(v->py, type));
	shown = add_attributes(v, object, type, most);
	if (!v->py->rd.failed)
		shown = add_slots(v, object, type, shown, most);
	v->in_instance = false;
	v->depth--;
	if (shown) {
		strbuf_addch(v->out, ')');
		return;
	}
	strbuf_setlen(v->out, begin);
	add_address(v, object, type);
}

/* ---- any of them -------------------------------------------------------------------------- */

static void add_kind(struct value *v, uint64_t object, uint64_t type)
{
	enum value_kind kind = kind_of(v->py, type);
	int64_t truth;

	switch (kind) {
	case VALUE_NONE:
		strbuf_addstr(v->out, "None");
		break;
	case VALUE_BOOL:
		if (py_int(v->py, object, &truth))
			strbuf_addstr(v->out, truth ? "True" : "False");
		break;
	case VALUE_INT:
		add_int(v, object, type);
		break;
	case VALUE_FLOAT:
		add_float(v, object, type);
		break;
	case VALUE_STR:
		add_str(v, object, type);
		break;
	case VALUE_BYTES:
		add_bytes(v, object, type);
		break;
	case VALUE_LIST:
	case VALUE_TUPLE:
		add_sequence(v, object, type, kind == VALUE_LIST);
		break;
	case VALUE_SET:
	case VALUE_FROZENSET:
	case VALUE_DICT:
		add_table(v, object, type, kind);
		break;
	case VALUE_CLASS:
		strbuf_addf(v->out, "<class %s>", py_type_full_name(v->py, object));
		break;
	case VALUE_INSTANCE:
		add_instance(v, object, type);
		break;
	case VALUE_OTHER:
	case VALUE_UNKNOWN:
		add_address(v, object, type);
		break;
	}
}

/* An object that was freed may look as it did, but nobody refers to it. */
static bool is_alive(struct python *py, uint64_t object)
{
	return !has(py, F_OB_REFCNT) || get_u64(py, object, F_OB_REFCNT) != 0;
}

static void add(struct value *v, uint64_t object)
{
	struct reader *rd = &v->py->rd;
	size_t begin = v->out->len;
	unsigned depth = v->depth;
	bool in_instance = v->in_instance, corrupt;

	if (rd->failed) /* that of what this is in */
		return;
	v->steps++;
	if ((!is_object(v->py, object) || !is_alive(v->py, object)) && !rd->failed)
		rd_corrupt(rd, object, "not an object");
	if (!rd->failed && v->types_only)
		strbuf_addf(v->out, "<%s>", py_type_full_name(v->py, py_type(v->py, object)));
	else if (!rd->failed)
		add_kind(v, object, py_type(v->py, object));
	corrupt = rd->corrupt;
	if (!rd_take(rd))
		return;
	v->depth = depth;
	v->in_instance = in_instance;
	strbuf_setlen(v->out, begin);
	strbuf_addstr(v->out, !corrupt && source_is_recorded(rd->src) ? "<not in the recording>"
								      : PY_VALUE_CHANGED);
}

void py_value(struct python *py, uint64_t object, bool types_only, size_t columns,
	      struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct value v = {.py = py, .out = &text, .types_only = types_only};

	v.columns = columns < PY_VALUE_COLUMNS ? columns : PY_VALUE_COLUMNS;
	rd_take(&py->rd);
	add(&v, object);
	utf8_add_cut(out, text.data, v.columns, false, false);
}
