/* SPDX-License-Identifier: Apache-2.0 */
/*
 * culprits.h - the catalogue of blocking calls
 *
 * data/culprits.tsv, compiled in, and rows of the user's own before it. A row names a call
 * that holds the loop (or an await that tasks pile up behind), says what it is and what to do.
 * One catalogue for the whole process, loaded once, never changed afterwards: rows and their
 * texts live as long as the program.
 *
 * All texts are valid UTF-8 without control and format characters: they may be printed.
 */
#ifndef STALLSCOPE_CULPRITS_H
#define STALLSCOPE_CULPRITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/error.h"

/* X(name, word, form of its pattern, an example, what the pattern names) */
#define CULPRIT_KIND_LIST(X)                                                             \
	X(PY, "py", "module:function", "requests.sessions:request", "a Python function") \
	X(CCALL, "ccall", "module!qualname", "_socket!getaddrinfo",                      \
	  "a callable written in C, as Python sees it")                                  \
	X(NATIVE, "native", "object-glob!symbol", "libpq.so*!PQgetResult",               \
	  "a function of a shared object")                                               \
	X(SYSCALL, "syscall", "name", "recvfrom", "a system call")                       \
	X(AWAIT, "await", "module:qualname", "asyncio.locks:Lock.acquire",               \
	  "a coroutine that a task waits in")                                            \
	X(STATE, "state", "name", "interp.gc.collecting", "a state of the interpreter")

enum culprit_kind {
#define X(name, word, form, example, what) CULPRIT_##name,
	CULPRIT_KIND_LIST(X)
#undef X
		CULPRIT_KINDS
};

/* Where a row comes from, in the order in which they are looked at. */
enum culprit_origin { CULPRIT_FILE, CULPRIT_CONFIG, CULPRIT_BUILT_IN };

struct culprit_row {
	enum culprit_kind kind;
	enum culprit_origin origin;
	const char *pattern;
	const char *category; /* one of culprits_categories() */
	const char *title, *advice;
	const char *source; /* what it was seen with; "" not said; "not run..." never seen */
	uint32_t order;	    /* its number in the whole catalogue, from 0 */
	uint32_t line;	    /* in the file it comes from */
};

/*
 * Loads the catalogue: the rows of path (of --culprits, NULL: none), then those of
 * ${XDG_CONFIG_HOME:-~/.config}/stallscope/culprits.tsv, then the built-in ones. A row whose kind
 * and pattern came before is left out. False when path cannot be used; what is wrong with the
 * user's own file is a warning, and none of its rows is taken. To be called once, before any
 * other function here; without it there are the built-in rows alone.
 */
bool culprits_load(const char *path, struct error *err);

/* All rows, in order. */
const struct culprit_row *culprits_rows(size_t *n);

/* The row of exactly this kind and pattern, or NULL: "getaddrinfo" of SYSCALL. */
const struct culprit_row *culprits_find(enum culprit_kind kind, const char *pattern);

/* The `py` row for a function (its co_name) of a source file, or NULL. */
const struct culprit_row *culprits_find_frame(const char *file, const char *function);

/*
 * The first `native` row for a symbol of a shared object (a path or a name), or NULL. A hash that
 * a wheel put into the name (libpq-e8a033dd.so.5) makes no difference.
 */
const struct culprit_row *culprits_native(const char *object, const char *symbol);

/* True when glob, in which * is any text and ? any byte, matches all of text; glob times text
 * steps. */
bool culprits_glob(const char *glob, const char *text);

/*
 * The module that a source file is, as rows name it: "http.client" for
 * ".../lib/python3.11/http/client.py", "os" for "<frozen os>"; modules that moved have the name
 * that the catalogue knows. "" when the file is of no installed module.
 */
void culprits_module(const char *file, char *module, size_t size);

const char *culprits_kind_word(enum culprit_kind kind);

/* What a row can be about. */
struct culprit_category {
	const char *name, *meaning;
};
const struct culprit_category *culprits_categories(size_t *n);
const struct culprit_category *culprits_category(const char *name); /* NULL unknown */

#endif
