/* SPDX-License-Identifier: Apache-2.0 */
/* slots.c - the objects that a frame refers to: its variables, and its value stack */
#include "object.h"

#define SANE_SLOTS 65536u /* of one frame */

/* Where the value stack begins and how many of its slots may be in use. */
struct frame_shape {
	uint64_t stack;
	uint64_t locals, depth; /* slots */
	bool exact;		/* ... are in use */
};

/*
 * 3.8-3.10: the frame says where its stack begins, and only while it does not run where it ends:
 * f_stacktop of 3.8 and 3.9 is NULL, f_stackdepth of 3.10 is -1 in the meantime.
 */
static uint64_t top_of_object(struct python *py, const struct py_frame *frame, uint64_t stack)
{
	int32_t n;

	if (has(py, F_FO_STACKTOP))
		return get_u64(py, frame->address, F_FO_STACKTOP);
	n = get_i32(py, frame->address, F_FO_STACKDEPTH);
	return n >= 0 ? stack + 8 * (uint64_t)n : 0;
}

/* 3.11-3.13 have stacktop only while another frame or nobody runs; 3.14+ a pointer, in calls too.
 */
static uint64_t top_of_interpreter(struct python *py, const struct py_frame *frame)
{
	int32_t n;

	if (has(py, F_IF_STACKPOINTER))
		return get_u64(py, frame->address, F_IF_STACKPOINTER);
	n = get_i32(py, frame->address, F_IF_STACKTOP);
	return n > 0 ? frame->locals + 8 * (uint64_t)n : 0;
}

static bool shape_of(struct python *py, const struct py_frame *frame, struct frame_shape *ret)
{
	struct frame_shape s = {0};
	uint64_t code, top;
	int32_t depth;

	if (frame->code == UINT32_MAX || py->rd.failed)
		return false;
	code = py->codes[frame->code].address;
	depth = get_i32(py, code, F_CO_STACKSIZE);
	s.depth = depth < 0 ? 0 : (uint64_t)depth;
	if (has(py, F_CO_LOCALSPLUSNAMES)) {
		py_tuple_items(py, get_ptr(py, code, F_CO_LOCALSPLUSNAMES), &s.locals);
		s.stack = frame->locals + 8 * s.locals;
		top = top_of_interpreter(py, frame);
	} else {
		s.stack = get_ptr(py, frame->address, F_FO_VALUESTACK);
		s.locals = (s.stack - frame->locals) / 8;
		top = top_of_object(py, frame, s.stack);
	}
	if (py->rd.failed || s.stack < frame->locals || s.locals + s.depth > SANE_SLOTS)
		return false;
	if (top >= s.stack && (top - s.stack) / 8 <= s.depth) {
		s.depth = (top - s.stack) / 8;
		s.exact = true;
	}
	*ret = s;
	return true;
}

/* Below 3.14 no bit of a reference is a tag; since then both low ones set are a number. */
static uint64_t slot_object(struct python *py, uint64_t address)
{
	static const uint64_t tags = 3;
	uint64_t bits = rd_u64(&py->rd, address);

	if (~py->ops->ref_mask & tags && (bits & tags) == tags)
		return 0;
	return bits & py->ops->ref_mask;
}

/* ---- of a frame that does not run ------------------------------------------------------------ */

size_t python_slots(struct python *py, const struct py_frame *frame, size_t *n_locals)
{
	struct frame_shape shape;

	*n_locals = 0;
	if (!shape_of(py, frame, &shape) || !shape.exact)
		return 0;
	*n_locals = (size_t)shape.locals;
	return (size_t)(shape.locals + shape.depth);
}

uint64_t python_slot(struct python *py, const struct py_frame *frame, size_t i)
{
	return slot_object(py, frame->locals + 8 * i);
}

/* ---- of any frame ------------------------------------------------------------------------------
 */

static uint64_t look_through_cell(struct python *py, uint64_t object)
{
	if (object && py->types.cell && py_type(py, object) == py->types.cell)
		return get_u64(py, object, F_CELL_REF);
	return object;
}

/* What was left on a stack need not be an object any more: its type must be a type. */
bool is_object(struct python *py, uint64_t object)
{
	uint64_t type;

	if (object < SOURCE_PAGE || object % 8)
		return false;
	type = py_type(py, object);
	if (py->rd.failed || type % 8)
		return false;
	return type_has_flag(py, py_type(py, type), TPFLAG_TYPE) && !py->rd.failed;
}

static size_t add_slots(struct python *py, uint64_t address, uint64_t count, bool on_stack,
			struct py_slot *slots, size_t max)
{
	size_t n = 0;

	for (uint64_t i = 0; i < count && i < PY_MAX_SLOTS && n < max; i++) {
		uint64_t object = slot_object(py, address + 8 * i);

		if (!py->rd.failed && !on_stack)
			object = look_through_cell(py, object);
		if (!py->rd.failed && is_object(py, object))
			slots[n++] = (struct py_slot){object, on_stack};
		rd_take(&py->rd);
	}
	return n;
}

size_t python_frame_slots(struct python *py, const struct py_frame *frame, struct py_slot *slots,
			  size_t max, bool *exact)
{
	struct frame_shape shape;
	size_t n;

	*exact = false;
	if (!shape_of(py, frame, &shape))
		return 0;
	*exact = shape.exact;
	n = add_slots(py, frame->locals, shape.locals, false, slots, max);
	return n + add_slots(py, shape.stack, shape.depth, true, slots + n, max - n);
}

/* ---- variables by name ----------------------------------------------------------------------- */

/* Those of one tuple of names; *slot counts all of them, also those without a value. */
static void add_variables(struct python *py, const struct py_frame *frame, uint64_t names,
			  uint64_t *slot, struct py_variables *out)
{
	uint64_t n, items = py_tuple_items(py, names, &n);

	for (uint64_t i = 0; i < n && *slot < SANE_SLOTS && !py->rd.failed; i++) {
		uint64_t address = frame->locals + 8 * (*slot)++;
		uint64_t outer = slot_object(py, address);
		uint64_t object = py->rd.failed ? 0 : look_through_cell(py, outer);

		if (outer && rd_take(&py->rd)) /* it is no object: py_value() says so */
			object = outer;
		if (!object)
			continue;
		if (out->n < PY_MAX_VARIABLES)
			out->v[out->n++] = (struct py_variable){
				.name = rd_ptr(&py->rd, items + 8 * i),
				.value = object,
				.slot = address,
				.inside = object == outer ? 0 : at(py, outer, F_CELL_REF)};
		else
			out->left++;
	}
}

/* 3.8-3.10 keep variables, cells and free variables in three tuples, in this order. */
static void add_all(struct python *py, const struct py_frame *frame, uint64_t code,
		    struct py_variables *out)
{
	static const enum layout_field parts[] = {F_CO_VARNAMES, F_CO_CELLVARS, F_CO_FREEVARS};

	if (has(py, F_CO_LOCALSPLUSNAMES)) {
		add_variables(py, frame, get_ptr(py, code, F_CO_LOCALSPLUSNAMES), &out->n_slots,
			      out);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts) && !py->rd.failed; i++)
		add_variables(py, frame, get_ptr(py, code, parts[i]), &out->n_slots, out);
}

bool python_variables(struct python *py, const struct py_frame *frame, struct py_variables *ret)
{
	ret->n = ret->left = 0;
	ret->slots = frame->locals;
	ret->n_slots = 0;
	if (frame->code == UINT32_MAX || py->rd.failed)
		return false;
	add_all(py, frame, py->codes[frame->code].address, ret);
	return !py->rd.failed;
}

/*
 * The answers are remembered by address for a recording, so the question for all slots has another
 * address than that for the first: it begins at the word before.
 */
void python_variables_check(struct python *py, uint64_t slots, uint64_t n_slots,
			    struct py_variable *v, size_t n)
{
	struct source *src = py->rd.src;
	uint64_t len = 8 + 8 * n_slots;
	bool same = len <= SOURCE_PAGE && source_unchanged(src, slots - 8, len);

	for (size_t i = 0; i < n; i++)
		v[i].changed = !(same || source_unchanged(src, v[i].slot, 8)) ||
			       (v[i].inside && !source_unchanged(src, v[i].inside, 8));
}
