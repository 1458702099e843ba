/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opcode.h - bytecode as a run of instructions with the depth of the value stack at each
 *
 * Pure functions over bytes: what is read here comes from the target and may be anything.
 */
#ifndef STALLSCOPE_CPYTHON_OPCODE_H
#define STALLSCOPE_CPYTHON_OPCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the reader does with an instruction; tests/generate-opcodes says which is which. */
enum op_kind {
	OP_UNKNOWN, /* no row: not an opcode, or one that only the monitor knows */
	OP_PLAIN,   /* only its stack effect is known */
	OP_KEEP,    /* leaves what lies under its own operands as it is */
	OP_SWAP,
	OP_FINALLY,
	OP_END_FINALLY,
	/* pushing by name */
	OP_LOCAL,
	OP_TWO_LOCALS,
	OP_STORE_LOCAL,
	OP_CELL,
	OP_NAME,
	OP_GLOBAL,
	OP_GLOBAL_NULL,
	OP_GLOBAL_OVER,
	OP_NULL,
	OP_ATTR,
	OP_METHOD,
	OP_ATTR_METHOD,
	OP_SUPER_ATTR,
	OP_SPECIAL,
	/* calling */
	OP_CALL_PLAIN,
	OP_CALL_PLAIN_KW,
	OP_CALL_UNDER,
	OP_CALL_SELF,
	OP_CALL_SELF_KW,
	OP_CALL_EX,
	OP_CALL_EX_NULL,
	OP_CALL_EX_FOUR,
	/* calling a method of a type */
	OP_SUBSCR,
	OP_SLICED,
	OP_BINARY,
	OP_OPERATOR,
	OP_ITER,
	OP_NEXT,
	OP_NEXT_INDEX,
	OP_WITH,
	OP_STORE_ITEM,
	OP_DELETE_ITEM,
	OP_CONTAINS,
	OP_COMPARE,
	OP_EXTEND_LIST,
	OP_EXTEND_SET,
};

#define DEPTH_UNKNOWN (-1) /* not reached */

struct instr {
	int32_t at;   /* byte offset of the opcode, behind its prefixes */
	int32_t jump; /* index of the instruction that it may jump to, -1 none */
	uint32_t arg;
	int32_t depth; /* values on the stack before it, or DEPTH_UNKNOWN */
	uint8_t op;    /* the general form of the opcode */
	uint8_t kind;  /* enum op_kind */
	uint8_t loose; /* 3.8: finally blocks around it, where the stack may be lower than depth */
};

struct bytecode {
	struct instr *v; /* to be freed */
	size_t n;
	bool disagree; /* two ways to an instruction come with different depths: all are void */
};

/*
 * Instructions up to the first one that is not known. Only CPython 3.8 to 3.15 have any.
 * handlers: the exception table of 3.11 and later, or empty.
 */
void bytecode_read(int minor, const uint8_t *code, size_t len, const uint8_t *handlers,
		   size_t handlers_len, struct bytecode *ret);
void bytecode_free(struct bytecode *bytecode);

/* The index of the instruction at a byte offset, -1 when none begins there. */
int64_t bytecode_find(const struct bytecode *bytecode, int32_t offset);

/* Values on the stack after an instruction that does not jump, or DEPTH_UNKNOWN. */
int32_t bytecode_after(int minor, const struct instr *instr);

#endif
