/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a frame calls: the instruction that it stands at says where on the stack of values the
 * callable lies, and the depth of the stack there follows from the code. The values stay where
 * they are until the call is over, in every version (Python/ceval.c, 3.12+ Python/bytecodes.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "stallscope/arena.h"
#include "stallscope/utf8.h"

#define CODE_MAX  (1u << 18) /* bytes of code or of an exception table that are looked through */
#define LOWER_MAX 32	     /* values that the stack may be lower by in a finally block of 3.8 */

/* Reads bytes of the target into *ret, to be freed; false when there are none. */
static bool read_bytes(struct python *py, uint64_t at, uint64_t len, uint8_t **ret)
{
	if (py->rd.failed || !len || len > CODE_MAX || !rd_spend(&py->rd, len / 8))
		return false;
	*ret = mem_alloc(len);
	rd_bytes(&py->rd, at, *ret, len);
	return !py->rd.failed;
}

static uint64_t code_size(struct python *py, uint64_t code)
{
	if (py->ops->code_in_bytes)
		return py_size(py, get_ptr(py, code, F_CO_CODE));
	return 2 * py_size(py, code); /* code units */
}

static bool read_bytecode(const struct py_frame *frame, struct call_site *site)
{
	struct python *py = site->py;
	uint64_t code_len = code_size(py, site->code), table, table_len = 0;
	uint8_t *code = NULL, *handlers = NULL;
	bool ok = read_bytes(py, frame_bytecode(py, frame->address, &py->codes[frame->code]),
			     code_len, &code);

	if (ok && has(py, F_CO_EXCEPTIONTABLE)) {
		table = get_ptr(py, site->code, F_CO_EXCEPTIONTABLE);
		table_len = py_size(py, table);
		if (!read_bytes(py, at(py, table, F_BYTES_DATA), table_len, &handlers))
			table_len = 0;
	}
	if (ok)
		bytecode_read(py->minor, code, code_len, handlers, table_len, &site->bytecode);
	free(code);
	free(handlers);
	return ok && !py->rd.failed;
}

/* The stack of values lies behind the variables; a frame object has a pointer to it. */
static uint64_t stack_address(struct python *py, const struct py_frame *frame, uint64_t code)
{
	if (!has(py, F_CO_LOCALSPLUSNAMES))
		return get_ptr(py, frame->address, F_FO_VALUESTACK);
	return frame->locals + 8 * py_size(py, get_ptr(py, code, F_CO_LOCALSPLUSNAMES));
}

static bool open_site(struct python *py, const struct py_frame *frame, struct call_site *site)
{
	int64_t found;

	*site = (struct call_site){.py = py};
	if (frame->code == UINT32_MAX || frame->instr < 0)
		return false;
	site->code = py->codes[frame->code].address;
	if (!read_bytecode(frame, site) || site->bytecode.disagree)
		return false;
	found = bytecode_find(&site->bytecode, frame->instr);
	if (found < 0 || site->bytecode.v[found].depth == DEPTH_UNKNOWN)
		return false;
	site->at = (size_t)found;
	site->stack = stack_address(py, frame, site->code);
	return !py->rd.failed;
}

static uint64_t value(const struct call_site *site, int32_t slot)
{
	if (slot < 0)
		return 0;
	return rd_u64(&site->py->rd, site->stack + 8 * (uint64_t)slot) & site->py->ops->ref_mask;
}

/* ---- calls ----------------------------------------------------------------------------------- */

int32_t call_lowest(const struct instr *instr)
{
	int64_t n = instr->arg, taken;

	switch (instr->kind) {
	case OP_CALL_PLAIN:
		taken = n + 1;
		break;
	case OP_CALL_PLAIN_KW:
	case OP_CALL_UNDER:
	case OP_CALL_SELF:
		taken = n + 2;
		break;
	case OP_CALL_SELF_KW:
		taken = n + 3;
		break;
	case OP_CALL_EX:
		taken = 2 + (n & 1);
		break;
	case OP_CALL_EX_NULL:
		taken = 3 + (n & 1);
		break;
	case OP_CALL_EX_FOUR:
		taken = 4;
		break;
	default:
		return INT32_MIN;
	}
	return taken <= instr->depth ? (int32_t)(instr->depth - taken) : INT32_MIN;
}

/* The callable at depth `shift` under where it should be, with its names. */
static void name_call(const struct call_site *site, int32_t shift, struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	int32_t low = call_lowest(instr) - shift, end = instr->depth - shift;
	uint64_t callable = value(site, low), self = 0, first = 0;

	switch (instr->kind) {
	case OP_CALL_UNDER:
		if (callable)
			self = value(site, low + 1);
		else
			callable = value(site, low + 1);
		first = instr->arg ? value(site, low + 2) : 0;
		break;
	case OP_CALL_SELF:
	case OP_CALL_SELF_KW:
		self = value(site, low + 1);
		first = instr->arg ? value(site, low + 2) : 0;
		break;
	case OP_CALL_PLAIN:
		first = instr->arg ? value(site, end - (int32_t)instr->arg) : 0;
		break;
	default:
		break;
	}
	if (callable && !site->py->rd.failed)
		call_name(site->py, callable, self, first, ret);
	rd_take(&site->py->rd);
}

static const char *last_part(const char *text)
{
	const char *dot = strrchr(text, '.'), *mark = strrchr(text, '!');

	return dot ? dot + 1 : mark ? mark + 1 : text;
}

/* In a finally block of 3.8 the stack may be lower: then the name must be the one in the code. */
static void name_call_loosely(const struct call_site *site, struct py_call *ret)
{
	int32_t low = call_lowest(&site->bytecode.v[site->at]);

	for (int32_t shift = 0; shift <= low && shift <= LOWER_MAX; shift++) {
		ret->n_names = 0;
		name_call(site, shift, ret);
		if (ret->n_names && !strcmp(last_part(ret->names[0]), last_part(ret->text)))
			return;
	}
	ret->n_names = 0;
	ret->callable = ret->self = 0;
}

static bool tell_call(const struct call_site *site, struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	int32_t low = call_lowest(instr);
	const char *qualname;

	if (low < 0)
		return false;
	if (call_text(site, site->at, low, &text))
		utf8_copy(ret->text, sizeof(ret->text), text.data);
	ret->implied = site->at && instr[-1].kind == OP_SPECIAL; /* 3.14+: with */
	if (instr->loose)
		name_call_loosely(site, ret);
	else
		name_call(site, 0, ret);
	if (!ret->text[0] && ret->n_names) {
		qualname = strchr(ret->names[0], '!');
		utf8_copy(ret->text, sizeof(ret->text), qualname + 1);
	}
	return ret->text[0] != '\0';
}

/* ---- what operators, loops and with call ----------------------------------------------------- */

static const struct {
	const char *symbol, *method;
} operators[] = {/* by argument of BINARY_OP (Include/opcode.h), there twice: a + b, a += b */
		 {"+", "__add__"},     {"&", "__and__"},    {"//", "__floordiv__"},
		 {"<<", "__lshift__"}, {"@", "__matmul__"}, {"*", "__mul__"},
		 {"%", "__mod__"},     {"|", "__or__"},	    {"**", "__pow__"},
		 {">>", "__rshift__"}, {"-", "__sub__"},    {"/", "__truediv__"},
		 {"^", "__xor__"}};

/* The same for the opcodes of 3.8 to 3.10, a + b and a += b. */
static const uint8_t operator_codes[][2] = {{23, 55}, {64, 77}, {26, 28}, {62, 75}, {16, 17},
					    {20, 57}, {22, 59}, {66, 79}, {19, 67}, {63, 76},
					    {24, 56}, {27, 29}, {65, 78}};

static size_t operator_of(const struct instr *instr)
{
	if (instr->kind == OP_BINARY)
		return instr->arg < 2 * ARRAY_SIZE(operators) ? instr->arg % ARRAY_SIZE(operators)
							      : SIZE_MAX;
	for (size_t i = 0; i < ARRAY_SIZE(operator_codes); i++)
		if (instr->op == operator_codes[i][0] || instr->op == operator_codes[i][1])
			return i;
	return SIZE_MAX;
}

static const char *type_word(struct python *py, uint64_t object)
{
	const char *name = py_object_type_name(py, object), *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

/* Of operands of two types either one may do it: then there is no name. */
static bool tell_operator(const struct call_site *site, struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	struct python *py = site->py;
	size_t op = operator_of(instr);
	uint64_t left = value(site, instr->depth - 2), right = value(site, instr->depth - 1);
	char words[2][41];

	if (op == SIZE_MAX || !left || !right)
		return false;
	utf8_copy(words[0], sizeof(words[0]), type_word(py, left));
	utf8_copy(words[1], sizeof(words[1]), type_word(py, right));
	snprintf(ret->text, sizeof(ret->text), "%s %s %s", words[0], operators[op].symbol,
		 words[1]);
	if (py_type(py, left) == py_type(py, right))
		call_name_method(py, left, operators[op].method, ret);
	return !py->rd.failed;
}

/* Instructions that call a method of one value, and how they are written around it. */
static const struct implied {
	uint8_t kind;
	int8_t from_top;
	const char *method, *before, *behind;
} implied[] = {
	{OP_SUBSCR, 2, "__getitem__", "", "[\xe2\x80\xa6]"},
	{OP_SLICED, 3, "__getitem__", "", "[\xe2\x80\xa6]"},
	{OP_STORE_ITEM, 2, "__setitem__", "", "[\xe2\x80\xa6] = \xe2\x80\xa6"},
	{OP_DELETE_ITEM, 2, "__delitem__", "del ", "[\xe2\x80\xa6]"},
	{OP_COMPARE, 1, "__contains__", "\xe2\x80\xa6 in ", ""},
	{OP_CONTAINS, 1, "__contains__", "\xe2\x80\xa6 in ", ""},
	{OP_ITER, 1, "__iter__", "iter(", ")"},
	{OP_NEXT, 1, "__next__", "next(", ")"},
	{OP_NEXT_INDEX, 2, "__next__", "next(", ")"},
	{OP_WITH, 1, "__enter__", "", ".__enter__"},
};

/* The expression of a value; false when it has none that is a name. */
static bool add_operand(const struct call_site *site, int32_t slot, struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (!call_text(site, site->at, slot, &text))
		return false;
	strbuf_addstr(out, text.data);
	return true;
}

static const struct implied *find_implied(const struct instr *instr)
{
	static const uint32_t nb_subscr = 26;

	static const uint32_t in = 6, not_in = 7; /* 3.8 */

	if (instr->kind == OP_BINARY && instr->arg == nb_subscr)
		return &implied[0];
	if (instr->kind == OP_COMPARE && instr->arg != in && instr->arg != not_in)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(implied); i++)
		if (implied[i].kind == instr->kind)
			return &implied[i];
	return NULL;
}

/* Up to 3.11 the bound __exit__ has taken the place of the object when __enter__ is called. */
static uint64_t owner_of_exit(struct python *py, uint64_t object)
{
	const char *type = py_object_type_name(py, object);

	if (!strcmp(type, "builtin_function_or_method"))
		return get_u64(py, object, F_CFUNC_SELF);
	if (!strcmp(type, "method"))
		return get_u64(py, object, F_METHOD_SELF);
	return object;
}

static bool tell_implied(const struct call_site *site, const struct implied *how,
			 struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct python *py = site->py;
	int32_t slot = instr->depth - how->from_top;
	uint64_t object = value(site, slot);

	if (instr->kind == OP_WITH && object)
		object = owner_of_exit(py, object);
	/* 3.15 goes through a list by an index of its own: nothing is called. */
	if (!object || (instr->kind == OP_NEXT_INDEX && value(site, instr->depth - 1)))
		return false;
	strbuf_addstr(&text, how->before);
	if (!add_operand(site, slot, &text))
		strbuf_addstr(&text, type_word(py, object));
	strbuf_addstr(&text, how->behind);
	utf8_copy(ret->text, sizeof(ret->text), text.data);
	call_name_method(py, object, how->method, ret);
	return !py->rd.failed;
}

/* [*rest], f(*rest): a list or set takes what an iterator gives. */
static bool tell_extend(const struct call_site *site, struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	bool list = instr->kind == OP_EXTEND_LIST;
	uint64_t rest = value(site, instr->depth - 1);
	char word[81];

	if (!rest)
		return false;
	utf8_copy(word, sizeof(word), type_word(site->py, rest));
	snprintf(ret->text, sizeof(ret->text), list ? "[*%s]" : "{*%s}", word);
	utf8_copy(ret->names[0], sizeof(ret->names[0]),
		  list ? "builtins!list.extend" : "builtins!set.update");
	ret->n_names = 1;
	return !site->py->rd.failed;
}

/* ---- which of them --------------------------------------------------------------------------- */

static bool tell(const struct call_site *site, struct py_call *ret)
{
	const struct instr *instr = &site->bytecode.v[site->at];
	const struct implied *how = find_implied(instr);

	ret->implied = true;
	if (instr->loose && call_lowest(instr) < 0)
		return false;
	if (how)
		return tell_implied(site, how, ret);
	switch (instr->kind) {
	case OP_BINARY:
	case OP_OPERATOR:
		return tell_operator(site, ret);
	case OP_EXTEND_LIST:
	case OP_EXTEND_SET:
		return tell_extend(site, ret);
	default:
		ret->implied = false;
		return tell_call(site, ret);
	}
}

bool python_call(struct python *py, const struct py_frame *frame, struct py_call *ret)
{
	struct py_call call = {0};
	struct call_site site;
	bool ok = open_site(py, frame, &site) && tell(&site, &call);

	bytecode_free(&site.bytecode);
	if (rd_take(&py->rd) || !ok)
		return false;
	*ret = call;
	return true;
}
