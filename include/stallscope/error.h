/* SPDX-License-Identifier: Apache-2.0 */
/*
 * error.h - what went wrong, where, and what to do about it
 *
 * A function that can fail returns bool and takes a struct error as its last
 * parameter. The caller owns it, nothing is allocated, NULL is allowed, and it
 * is written only when the function returns false. Faults are normal while a
 * live process is read, so making one must be cheap.
 *
 *	struct error err;
 *	if (!source_read(src, addr, buf, len, &err))
 *		return error_add(out, "reading the code object");
 */
#ifndef STALLSCOPE_ERROR_H
#define STALLSCOPE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* X(name, exit status, what it means) */
#define ERROR_LIST(X)                                                 \
	X(OK, 0, "no error")                                          \
	X(USAGE, 2, "the command line is wrong")                      \
	X(NO_PROCESS, 66, "no such process")                          \
	X(GONE, 66, "the process ended or became another program")    \
	X(NO_FILE, 66, "no such file")                                \
	X(NOT_PYTHON, 69, "not a CPython process")                    \
	X(UNSUPPORTED, 69, "a CPython that this build cannot read")   \
	X(BAD_FILE, 69, "not a file this build can read")             \
	X(INTERNAL, 70, "a bug in stallscope")                        \
	X(CANNOT_CREATE, 73, "cannot create the output")              \
	X(CANNOT_WRITE, 74, "cannot write the output")                \
	X(FAULT, 75, "an address of the target could not be read")    \
	X(CORRUPT, 75, "data of the target failed a check")           \
	X(NOT_STOPPED, 75, "the process could not be stopped")        \
	X(ABSENT, 75, "the target or the recording does not have it") \
	X(PERMISSION, 77, "no permission")

enum error_code {
#define X(name, status, text) ERR_##name,
	ERROR_LIST(X)
#undef X
};

struct error {
	enum error_code code;
	int sys;	  /* errno, or 0 */
	uint64_t address; /* of the fault, or 0 */
	char text[512];	  /* one sentence, no newline, no trailing stop */
	char hint[512];	  /* what to do, may be empty */
};

/* Fills err (if not NULL) and returns false, so that `return error_set(...)` is one line. */
bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with errno's text appended ("...: Permission denied"); errno is kept in err->sys. */
bool error_sys(struct error *err, enum error_code code, int sys, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* A fault at an address of the target. Cheap: no printf. */
bool error_fault(struct error *err, uint64_t address, int sys);

/* Puts "context: " in front of the text of an error that is already set; returns false. */
bool error_add(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets the hint; returns false. */
bool error_hint(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The process exit status that interface and man page promise for a code. */
int error_exit_status(enum error_code code);

#endif
