/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpython/opcode.h"

/* Opcodes of 3.13, which has caches and prefixes, and of 3.8. */
enum {
	LOAD_FAST = 85,
	LOAD_GLOBAL = 91,
	CALL = 53,
	CALL_BUILTIN_O = 163,
	POP_TOP = 32,
	POP_JUMP_IF_FALSE = 97,
	JUMP_BACKWARD = 77,
	EXTENDED_ARG = 71,
	RETURN_CONST = 103,
	PUSH_EXC_INFO = 33,
	INSTRUMENTED_LINE = 254,
	OLD_SETUP_FINALLY = 122,
	OLD_BEGIN_FINALLY = 53,
	OLD_CALL_FINALLY = 162,
	OLD_POP_BLOCK = 87,
	OLD_END_FINALLY = 88,
	OLD_LOAD_CONST = 100,
	OLD_POP_TOP = 1,
	OLD_RETURN_VALUE = 83,
};

/* Copies of exactly these sizes, so that ASan sees any read behind them. */
static struct bytecode read_with(int minor, const uint8_t *code, size_t len,
				 const uint8_t *handlers, size_t handlers_len)
{
	uint8_t *copy = malloc(len ? len : 1), *table = malloc(handlers_len ? handlers_len : 1);
	struct bytecode bytecode;

	memcpy(copy, code, len);
	if (handlers_len)
		memcpy(table, handlers, handlers_len);
	bytecode_read(minor, copy, len, table, handlers_len, &bytecode);
	free(copy);
	free(table);
	return bytecode;
}

#define READ(minor, code) read_with(minor, code, sizeof(code), NULL, 0)

static void assert_instr(const struct bytecode *bytecode, int32_t at, int32_t depth, uint32_t arg)
{
	int64_t found = bytecode_find(bytecode, at);

	assert_true(found >= 0);
	assert_int_equal(bytecode->v[found].depth, depth);
	assert_int_equal(bytecode->v[found].arg, arg);
}

/* f(x): the depth at each instruction, caches are none. */
static void depths(void **state)
{
	static const uint8_t code[] = {
		LOAD_GLOBAL, 1, 0, 0, 0, 0, 0, 0, 0,	   0, LOAD_FAST,    2,
		CALL,	     1, 0, 0, 0, 0, 0, 0, POP_TOP, 0, RETURN_CONST, 0};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_false(b.disagree);
	assert_int_equal(b.n, 5);
	assert_instr(&b, 0, 0, 1);
	assert_instr(&b, 10, 2, 2);
	assert_instr(&b, 12, 3, 1);
	assert_instr(&b, 20, 1, 0);
	assert_int_equal(bytecode_find(&b, 4), -1);
	assert_int_equal(bytecode_find(&b, 13), -1);
	assert_int_equal(bytecode_find(&b, 1000), -1);
	assert_int_equal(bytecode_find(&b, -2), -1);
	bytecode_free(&b);
}

static void specialised_forms(void **state)
{
	static const uint8_t code[] = {LOAD_GLOBAL,    1, 0, 0, 0, 0, 0, 0, 0, 0, LOAD_FAST, 2,
				       CALL_BUILTIN_O, 1};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_int_equal(b.n, 3);
	assert_int_equal(b.v[2].op, CALL);
	assert_int_equal(b.v[2].kind, OP_CALL_SELF);
	bytecode_free(&b);
}

static void prefixes(void **state)
{
	static const uint8_t three[] = {EXTENDED_ARG, 1, EXTENDED_ARG, 2,
					EXTENDED_ARG, 3, LOAD_FAST,    4};
	static const uint8_t four[] = {EXTENDED_ARG, 1, EXTENDED_ARG, 2, EXTENDED_ARG, 3,
				       EXTENDED_ARG, 4, LOAD_FAST,    5};
	static const uint8_t cut[] = {LOAD_FAST, 0, EXTENDED_ARG, 1};
	struct bytecode b = READ(13, three);

	(void)state;
	assert_int_equal(b.n, 1);
	assert_instr(&b, 6, 0, 0x01020304);
	bytecode_free(&b);
	b = READ(13, four);
	assert_int_equal(b.n, 0);
	bytecode_free(&b);
	b = READ(13, cut);
	assert_int_equal(b.n, 1);
	bytecode_free(&b);
}

/* A jump comes to the first prefix of an instruction. */
static void jump_to_a_prefix(void **state)
{
	static const uint8_t code[] = {LOAD_FAST,    0, POP_JUMP_IF_FALSE, 1, 0,	 0,
				       RETURN_CONST, 0, EXTENDED_ARG,	   1, LOAD_FAST, 2,
				       RETURN_CONST, 0};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_int_equal(b.v[1].jump, 3);
	assert_instr(&b, 10, 0, 0x102);
	bytecode_free(&b);
}

static void loops(void **state)
{
	static const uint8_t code[] = {LOAD_FAST, 0, POP_TOP, 0,	 JUMP_BACKWARD,
				       4,	  0, 0,	      LOAD_FAST, 0};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_false(b.disagree);
	assert_int_equal(b.v[2].jump, 0);
	assert_int_equal(b.v[3].depth, DEPTH_UNKNOWN); /* nothing leads there */
	bytecode_free(&b);
}

/* Each turn of this loop would leave a value more. */
static void disagreement(void **state)
{
	static const uint8_t grows[] = {LOAD_FAST, 0, JUMP_BACKWARD, 3, 0, 0};
	static const uint8_t empty[] = {POP_TOP, 0, LOAD_FAST, 0};
	static const uint8_t huge[] = {EXTENDED_ARG, 255, EXTENDED_ARG, 255,
				       EXTENDED_ARG, 255, CALL,		255};
	struct bytecode b = READ(13, grows);

	(void)state;
	assert_true(b.disagree);
	bytecode_free(&b);
	b = READ(13, empty);
	assert_true(b.disagree);
	bytecode_free(&b);
	b = READ(13, huge);
	assert_int_equal(bytecode_after(13, &b.v[0]), DEPTH_UNKNOWN);
	bytecode_free(&b);
}

static void jumps_out(void **state)
{
	static const uint8_t code[] = {LOAD_FAST, 0, POP_JUMP_IF_FALSE, 200, 0, 0, LOAD_FAST, 0,
				       POP_TOP,	  0, JUMP_BACKWARD,	255, 0, 0};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_int_equal(b.v[1].jump, -1);
	assert_int_equal(b.v[4].jump, -1);
	assert_false(b.disagree);
	bytecode_free(&b);
}

/* What the monitor has put there hides how long the instruction is: nothing is told behind it. */
static void unknown_opcodes(void **state)
{
	static const uint8_t code[] = {LOAD_FAST, 0, INSTRUMENTED_LINE, 0, LOAD_FAST, 0};
	static const uint8_t garbage[] = {130, 130, 130, 130};
	struct bytecode b = READ(13, code);

	(void)state;
	assert_int_equal(b.n, 1);
	bytecode_free(&b);
	b = READ(13, garbage);
	assert_int_equal(b.n, 0);
	bytecode_free(&b);
	b = READ(7, code);
	assert_int_equal(b.n, 0);
	b = READ(99, code);
	assert_int_equal(b.n, 0);
	b = read_with(13, code, 1, NULL, 0);
	assert_int_equal(b.n, 0);
	b = read_with(13, code, 0, NULL, 0);
	assert_int_equal(b.n, 0);
}

/* Exceptions of the first instruction go to offset 4, with the stack cut to 3, and lasti. */
static void handlers(void **state)
{
	static const uint8_t code[] = {LOAD_FAST,     0, RETURN_CONST, 0,
				       PUSH_EXC_INFO, 0, LOAD_FAST,    0};
	static const uint8_t table[] = {0x80, 1, 2, 3 << 1 | 1}, cut[] = {0x80, 1, 2};
	static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff},
			     out[] = {0x80, 1, 0x7f, 63, 2};
	struct bytecode b = read_with(13, code, sizeof(code), table, sizeof(table));

	(void)state;
	assert_instr(&b, 4, 5, 0);
	assert_instr(&b, 6, 6, 0);
	bytecode_free(&b);
	b = read_with(13, code, sizeof(code), cut, sizeof(cut));
	assert_int_equal(b.v[2].depth, DEPTH_UNKNOWN);
	bytecode_free(&b);
	b = read_with(13, code, sizeof(code), endless, sizeof(endless));
	assert_int_equal(b.v[2].depth, DEPTH_UNKNOWN);
	bytecode_free(&b);
	b = read_with(13, code, sizeof(code), out, sizeof(out));
	assert_int_equal(b.v[2].depth, DEPTH_UNKNOWN);
	bytecode_free(&b);
}

/* The block counts six values, after its call there is one: it is said to be loose. */
static void finally_of_38(void **state)
{
	static const uint8_t code[] = {
		OLD_SETUP_FINALLY, 8, OLD_POP_BLOCK,	0, OLD_CALL_FINALLY, 4,
		OLD_LOAD_CONST,	   0, OLD_RETURN_VALUE, 0, OLD_LOAD_CONST,   1,
		OLD_POP_TOP,	   0, OLD_END_FINALLY,	0, OLD_LOAD_CONST,   0};
	struct bytecode b = READ(8, code);

	(void)state;
	assert_false(b.disagree);
	assert_instr(&b, 6, 0, 0);
	assert_instr(&b, 10, 6, 1);
	assert_int_equal(b.v[5].loose, 1);
	assert_int_equal(b.v[3].loose, 0);
	assert_instr(&b, 16, 0, 0);
	assert_int_equal(b.v[8].loose, 0);
	bytecode_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(depths),    cmocka_unit_test(specialised_forms),
		cmocka_unit_test(prefixes),  cmocka_unit_test(jump_to_a_prefix),
		cmocka_unit_test(loops),     cmocka_unit_test(disagreement),
		cmocka_unit_test(jumps_out), cmocka_unit_test(unknown_opcodes),
		cmocka_unit_test(handlers),  cmocka_unit_test(finally_of_38),
	};

	return cmocka_run_group_tests_name("opcode", tests, NULL, NULL);
}
