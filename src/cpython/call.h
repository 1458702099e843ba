/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.h - what the files that tell calls share
 *
 * call.c finds the instruction and the values that it works on, call_text.c the expression by
 * the names in the bytecode, call_name.c the name of the object that is called.
 */
#ifndef STALLSCOPE_CPYTHON_CALL_H
#define STALLSCOPE_CPYTHON_CALL_H

#include "opcode.h"
#include "ops.h"

/* An instruction of a frame, in its code. */
struct call_site {
	struct python *py;
	uint64_t code; /* the code object */
	struct bytecode bytecode;
	size_t at;	/* index of the instruction */
	uint64_t stack; /* address of the lowest value of the stack, 0 unknown */
};

/* The lowest value that a call takes from the stack; INT32_MIN when it is no call. */
int32_t call_lowest(const struct instr *instr);

/*
 * The expression that made value `slot` of the stack, as far as the instructions before `end`
 * say; false when it has no name to show.
 */
bool call_text(const struct call_site *site, size_t end, int32_t slot, struct strbuf *out);

/* Fills callable, self and names; first is the first positional argument, or 0. */
void call_name(struct python *py, uint64_t callable, uint64_t self, uint64_t first,
	       struct py_call *ret);

/* Fills self and names with a method of the type of an object. */
void call_name_method(struct python *py, uint64_t object, const char *method, struct py_call *ret);

#endif
