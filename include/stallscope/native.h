/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.h - stacks of C, unwound from copied registers and stacks
 *
 * The target does not stand while this works: registers and stack are those that a stop copied, or
 * that a core has, the unwind tables are read through the source like any other memory, names come
 * from the mapped files. libunwind does the unwinding, over accessors that count what it asks for;
 * what it would evaluate is checked before.
 *
 * All strings are safe to print and live as long as struct native.
 */
#ifndef STALLSCOPE_NATIVE_H
#define STALLSCOPE_NATIVE_H

#include "stallscope/stop.h"
#include "stallscope/target.h"

#define NATIVE_MAX_FRAMES 4096u

struct native_frame {
	uint64_t pc;
	uint64_t sp;	      /* in this function, as it was when it called the next inner one */
	const char *function; /* NULL: no symbol of this object has the address */
	uint64_t offset;      /* of pc in the function; without one in the object */
	const char *object;   /* path, or "[vdso]"; NULL: in no object */
	const char *file;     /* where the source of it was when it was compiled; NULL unknown */
	uint32_t line;	      /* 0 unknown */
	bool inlined;	      /* into the next outer frame, of which pc and sp are */
	bool called;	      /* pc is a return address */
	uint32_t module;      /* for native.c */
};

/* Innermost first. */
struct native_stack {
	struct native_frame *frames;
	size_t n, cap;
	bool whole;	 /* up to where the thread began */
	const char *why; /* ... or why not, a literal */
};

/* What unwinding needs of a thread. */
struct native_thread {
	const struct source_registers *registers;
	uint64_t sp;
	const char *stack; /* stack_len bytes at sp; NULL: the source has it */
	uint32_t stack_len;
	uint8_t *used; /* STOP_QUARTERS bytes: set where the stack was looked at; or NULL */
};

struct native;

/*
 * Objects and symbols of one process. fetch: debug files that are not here come from the servers in
 * DEBUGINFOD_URLS, which may take as long as these. Ends with native_close(); src and maps must
 * outlive it.
 */
struct native *native_open(struct source *src, const struct maps *maps, bool fetch);

/* NULL is allowed. */
void native_close(struct native *n);

/* Unwinds a stack; also one that ends early has its frames up to there. */
void native_unwind(struct native *n, const struct native_thread *thread, struct native_stack *ret);

/*
 * Adds names. lines: source files, lines and functions that were inlined too, where there is DWARF
 * (frames are added for them); that takes 10 to 200 ms.
 */
void native_symbols(struct native *n, struct native_stack *stack, bool lines);

void native_stack_deinit(struct native_stack *stack);

/* ---- which system calls notice a stop (stoppable.c) --------------------------------------- */

/*
 * Whether a thread in this call cannot tell that it was stopped for a moment. NULL: it cannot; else
 * why it might, a literal.
 */
const char *native_notices(struct source *src, const struct proc_syscall *call);

#endif
