/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expression that is called, by the names in the bytecode. What was evaluated to get a value
 * begins at the last instruction that found the stack lower than that value, and each one behind
 * it that finds the value on top works on it.
 */
#include <string.h>

#include "call.h"
#include "stallscope/arena.h"

#define NAME_CHARS 60u
#define LONG	   (4 * PY_CALL_TEXT) /* bytes of a text: what is cut off in any case */
#define FAR	   20000 /* instructions between the beginning of an expression and its call */

#define SOMETHING "(\xe2\x80\xa6)" /* (…) */

static const char *const special_names[] = {"__enter__", "__exit__", "__aenter__", "__aexit__"};

static void add_item(const struct call_site *site, enum layout_field tuple, uint32_t index,
		     struct strbuf *out)
{
	struct python *py = site->py;
	uint64_t item = py_tuple_item(py, get_ptr(py, site->code, tuple), index);

	if (!item || !py_str(py, item, out, NAME_CHARS))
		strbuf_addstr(out, "?");
	rd_take(&py->rd);
}

static void add_local(const struct call_site *site, uint32_t index, struct strbuf *out)
{
	add_item(site, has(site->py, F_CO_LOCALSPLUSNAMES) ? F_CO_LOCALSPLUSNAMES : F_CO_VARNAMES,
		 index, out);
}

/* 3.8-3.10 number the cells of a function and those it is closed over in one go. */
static void add_cell(const struct call_site *site, uint32_t index, struct strbuf *out)
{
	uint64_t n;

	py_tuple_items(site->py, get_ptr(site->py, site->code, F_CO_CELLVARS), &n);
	if (index < n)
		add_item(site, F_CO_CELLVARS, index, out);
	else
		add_item(site, F_CO_FREEVARS, index - (uint32_t)n, out);
}

/* What the first instruction of an expression pushes at slot. */
static void begin(const struct call_site *site, const struct instr *instr, int32_t slot,
		  struct strbuf *out)
{
	switch (instr->kind) {
	case OP_LOCAL:
		add_local(site, instr->arg, out);
		break;
	case OP_TWO_LOCALS:
		add_local(site, slot == instr->depth ? instr->arg >> 4 : instr->arg & 15, out);
		break;
	case OP_STORE_LOCAL:
		add_local(site, instr->arg & 15, out);
		break;
	case OP_CELL:
		add_cell(site, instr->arg, out);
		break;
	case OP_NAME:
	case OP_GLOBAL:
		add_item(site, F_CO_NAMES, instr->arg, out);
		break;
	case OP_GLOBAL_NULL:
	case OP_GLOBAL_OVER:
		add_item(site, F_CO_NAMES, instr->arg >> 1, out);
		break;
	default:
		strbuf_addstr(out, SOMETHING);
	}
}

static void replace(struct strbuf *out, const char *text)
{
	strbuf_reset(out);
	strbuf_addstr(out, text);
}

static bool is_subscript(const struct instr *instr)
{
	static const uint32_t nb_subscr = 26; /* 3.14+: an operator like others */

	return instr->kind == OP_SUBSCR || instr->kind == OP_SLICED ||
	       (instr->kind == OP_BINARY && instr->arg == nb_subscr);
}

/* An instruction that finds the value at slot on top, or takes it as the lowest of several. */
static void apply(const struct call_site *site, const struct instr *instr, struct strbuf *out)
{
	switch (instr->kind) {
	case OP_ATTR:
	case OP_METHOD:
		strbuf_addch(out, '.');
		add_item(site, F_CO_NAMES, instr->arg, out);
		break;
	case OP_ATTR_METHOD:
		strbuf_addch(out, '.');
		add_item(site, F_CO_NAMES, instr->arg >> 1, out);
		break;
	case OP_SUPER_ATTR: /* bit 1: super() was called with arguments */
		replace(out, instr->arg & 2 ? "super" SOMETHING "." : "super().");
		add_item(site, F_CO_NAMES, instr->arg >> 2, out);
		break;
	case OP_ITER:
		break;
	case OP_WITH:
		strbuf_addstr(out, ".__exit__");
		break;
	case OP_CALL_PLAIN:
	case OP_CALL_UNDER:
	case OP_CALL_SELF:
		strbuf_addstr(out, instr->arg ? SOMETHING : "()");
		break;
	case OP_CALL_PLAIN_KW:
	case OP_CALL_SELF_KW ... OP_CALL_EX_FOUR:
		strbuf_addstr(out, SOMETHING);
		break;
	default:
		if (is_subscript(instr))
			strbuf_addstr(out, "[\xe2\x80\xa6]");
		else
			replace(out, SOMETHING);
	}
}

/* Instructions that only push, or take what is above the value. */
static bool leaves(const struct instr *instr, int32_t after, int32_t slot)
{
	switch (instr->kind) {
	case OP_KEEP:
	case OP_LOCAL:
	case OP_TWO_LOCALS:
	case OP_STORE_LOCAL:
	case OP_CELL:
	case OP_NAME:
	case OP_GLOBAL:
	case OP_GLOBAL_NULL:
	case OP_GLOBAL_OVER:
	case OP_NULL:
	case OP_STORE_ITEM:
	case OP_DELETE_ITEM:
		return true;
	case OP_ATTR:
	case OP_METHOD:
	case OP_ATTR_METHOD:
	case OP_SPECIAL:
	case OP_WITH:
		return instr->depth > slot + 1;
	case OP_SWAP:
		return (int64_t)instr->depth - instr->arg > slot;
	case OP_SUPER_ATTR:
		return after - (int32_t)(instr->arg & 1) > slot + 1;
	case OP_CALL_UNDER:
		/* PRECALL of 3.11 leaves the stack to the CALL behind it. */
		return after == instr->depth || after > slot + 1;
	default:
		return after > slot + 1;
	}
}

/* Where the expression begins that is at slot before instruction end; SIZE_MAX unknown. */
static size_t beginning(const struct call_site *site, size_t end, int32_t slot)
{
	const struct instr *v = site->bytecode.v;

	for (size_t i = end; i-- > 0 && end - i < FAR;) {
		if (v[i].depth == DEPTH_UNKNOWN)
			continue;
		if (v[i].depth <= slot || (v[i].kind == OP_STORE_LOCAL && v[i].depth == slot + 1))
			return bytecode_after(site->py->minor, &v[i]) > slot ? i : SIZE_MAX;
	}
	return SIZE_MAX;
}

/*
 * Does another way lead into the middle of the expression, (a if c else b)(), so that it is not
 * known which one was gone? Back to the head of its loop it may.
 */
static bool entered(const struct call_site *site, size_t first, size_t end)
{
	const struct instr *v = site->bytecode.v;

	for (size_t i = 0; i < site->bytecode.n; i++) {
		int64_t to = v[i].jump;

		if (to <= (int64_t)first || to > (int64_t)end || (i >= first && i < end))
			continue;
		if (to == (int64_t)end && (v[end].kind == OP_NEXT || v[end].kind == OP_NEXT_INDEX))
			continue;
		return true;
	}
	return false;
}

/* 3.14+: the value, its copy, __exit__ of that, two swaps, and only then __enter__. */
static bool with_statement(const struct call_site *site, size_t end, struct strbuf *out)
{
	const struct instr *v = site->bytecode.v;

	if (end != site->at || end < 6 || v[end - 1].kind != OP_SPECIAL ||
	    v[end - 4].kind != OP_SPECIAL || v[end - 5].depth < 1 ||
	    v[end - 1].arg >= ARRAY_SIZE(special_names) ||
	    !call_text(site, end - 5, v[end - 5].depth - 1, out))
		return false;
	strbuf_addch(out, '.');
	strbuf_addstr(out, special_names[v[end - 1].arg]);
	return true;
}

/*
 * Goes through the instructions of an expression. Its value is at *live: in 3.11 and 3.12 there
 * may be a NULL under a callable, at slot, until it is called.
 */
static bool walk(const struct call_site *site, size_t first, size_t end, int32_t slot,
		 struct strbuf *out)
{
	const struct instr *v = site->bytecode.v;
	int32_t live = slot;

	for (; first < end && v[first].kind == OP_NULL; first++)
		live++;
	if (first == end || (first && live > slot && v[first].depth != live))
		return false;
	begin(site, &v[first], live, out);
	if (v[first].kind == OP_GLOBAL_OVER && v[first].depth == live)
		live += (int32_t)(v[first].arg & 1);
	for (size_t i = first + 1; i < end && out->len < LONG; i++) {
		int32_t after = bytecode_after(site->py->minor, &v[i]);

		if (v[i].depth <= live || after <= slot) /* gone: what is there now is another */
			return false;
		if (leaves(&v[i], after, live))
			continue;
		if (v[i].kind == OP_SWAP && i >= 2 && v[i - 2].kind == OP_SPECIAL)
			strbuf_addstr(out, ".__exit__"); /* see with_statement() */
		else
			apply(site, &v[i], out);
		if (after <= live)
			live = after - 1;
	}
	return true;
}

static bool expression(const struct call_site *site, size_t first, size_t end, int32_t slot,
		       struct strbuf *out)
{
	strbuf_reset(out);
	return first != SIZE_MAX && rd_spend(&site->py->rd, site->bytecode.n / 16) &&
	       !entered(site, first, end) && walk(site, first, end, slot, out);
}

bool call_text(const struct call_site *site, size_t end, int32_t slot, struct strbuf *out)
{
	const struct instr *v = site->bytecode.v;
	size_t first = beginning(site, end, slot), second;
	bool found;

	if (first == SIZE_MAX)
		return false;
	if (v[end - 1].kind == OP_SPECIAL)
		return with_statement(site, end, out);
	/* The NULL may be of this call, or of one that it is made on: get().sleep(). */
	second = v[first].kind == OP_NULL ? beginning(site, end, slot + 1) : SIZE_MAX;
	found = second != SIZE_MAX && v[second].kind != OP_METHOD &&
		v[second].kind != OP_ATTR_METHOD && expression(site, second, end, slot + 1, out);
	if (!found && !expression(site, first, end, slot, out))
		return false;
	return strncmp(out->data, SOMETHING, strlen(SOMETHING)) != 0 || strchr(out->data, '.');
}
