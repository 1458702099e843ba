/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WHO and WHAT, two matches. WHO was called: the outermost frame below the user's own code that
 * the catalogue knows, so that requests wins over urllib3, http.client and socket. WHAT it waits
 * in: the leaf, by the C function that the bytecode calls there and by the system call.
 */
#include <stdio.h>
#include <string.h>

#include "facts.h"
#include "stallscope/utf8.h"

/* ---- clauses -------------------------------------------------------------------------------- */

/* Clauses for "It ...", where the library says better than the call what for. */
const char *category_clause(const char *category)
{
	static const char *const clauses[][2] = {
		{"io.http", "waits for an HTTP response"},
		{"io.dns", "waits for a DNS answer"},
		{"io.db", "waits for the database"},
		{"io.cache", "waits for the cache server"},
		{"io.broker", "waits for the message broker"},
		{"io.rpc", "waits for the answer to a remote call"},
		{"io.cloud", "waits for a cloud service"},
		{"io.mail", "waits for a mail or file server"},
		{"io.ssh", "waits for an SSH server"},
		{"io.ldap", "waits for an LDAP server"},
		{"io.tls", "waits for a TLS handshake"},
		{"pool.wait", "waits for a free connection of a pool"},
		{"lock.thread", "waits for a lock or condition of another thread"},
		{"lock.process", "waits for a lock of another process"},
		{"queue.thread", "waits on a queue for another thread"},
		{"queue.process", "waits on a queue for another process"},
		{"future.wait", "waits for the result of a future"},
		{"proc.wait", "waits for a child process"},
		{"sleep", "sleeps"},
		{"sleep.retry", "sleeps before it tries again"},
		{"import", "imports a module, or waits for its import"},
		{"file.lock", "waits for a lock on a file"},
		{"file.walk", "walks a tree of files"},
		{"log.write", "writes to a log or terminal whose reader does not read"},
		{"loop.nested", "waits in an event loop of its own, not this one"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(clauses); i++)
		if (!strcmp(clauses[i][0], category))
			return clauses[i][1];
	return NULL;
}

/* ---- the slice ------------------------------------------------------------------------------- */

/* The frame that calls a callback: Handle._run of asyncio, or the loop itself. */
static bool is_caller(const struct snap_code *c)
{
	return (!strcmp(c->function, "_run") && str_ends_with(c->file, "asyncio/events.py")) ||
	       (!strcmp(c->function, "_run_once") &&
		(str_ends_with(c->file, "asyncio/base_events.py") ||
		 str_ends_with(c->file, "/nest_asyncio.py")));
}

/* From the leaf to the callback: what runs inside this turn of the loop. */
static struct snap_stack slice_of(const struct facts *f)
{
	const struct snapshot *s = f->snap;
	struct snap_stack slice = f->thread->stack;
	uint32_t border = SNAP_NONE;

	for (uint32_t i = 0; i < slice.n; i++) {
		const struct snap_frame *frame = &s->frames[slice.first + i];

		/* of nested loops each has its own: this one's callers end at its own frame */
		if (is_caller(&s->codes[frame->code]) && border == SNAP_NONE)
			border = i;
		else if (!is_caller(&s->codes[frame->code]) && border != SNAP_NONE)
			border = SNAP_NONE;
		if (border != SNAP_NONE &&
		    (!f->loop->run.frame || frame->address == f->loop->run.frame)) {
			slice.n = border;
			return slice;
		}
	}
	/* uvloop: no frames of the loop; the running task's coroutine is the border. */
	if (f->loop->current_task != SNAP_NONE &&
	    s->tasks[f->loop->current_task].stack.first == slice.first)
		slice.n = s->tasks[f->loop->current_task].stack.n;
	return slice;
}

/* ---- WHO --------------------------------------------------------------------------------------
 */

/* What a frame is caught in tells more than who called it: these win over everything outside. */
static bool wins(const struct culprit_row *row)
{
	static const char *const inner[] = {"pool.wait", "sleep.retry", "debugger", "log.write"};

	for (size_t i = 0; i < ARRAY_SIZE(inner); i++)
		if (!strcmp(row->category, inner[i]))
			return true;
	return false;
}

/* A distribution's package is known by its first name, the standard library's modules by all. */
static void name_library(const struct snapshot *s, uint32_t frame, struct culprit *c)
{
	const char *file = s->codes[s->frames[frame].code].file;
	char module[512];

	culprits_module(file, module, sizeof(module));
	if (strstr(file, "-packages/"))
		module[strcspn(module, ".")] = 0;
	utf8_copy(c->library, sizeof(c->library), module);
}

/* The module in a call's name, up to its first package. */
static void name_library_of_call(const char *name, struct culprit *c)
{
	char module[PY_CALL_TEXT];

	utf8_copy(module, sizeof(module), name);
	module[strcspn(module, ".!")] = 0;
	utf8_copy(c->library, sizeof(c->library), module);
}

/*
 * Below the user's code: the outermost package that is installed, which calls what the row is of
 * the standard library. Frames [first, first + n); SNAP_NONE when there is none.
 */
static uint32_t find_package(const struct snapshot *s, uint32_t first, uint32_t n)
{
	for (uint32_t i = n; i-- > 0;)
		if (strstr(s->codes[s->frames[first + i].code].file, "-packages/"))
			return first + i;
	return SNAP_NONE;
}

void take_row(const struct culprit_row *row, struct culprit *c)
{
	c->rule_kind = culprits_kind_word(row->kind);
	c->rule = row->pattern;
	c->title = row->title;
	c->category = row->category;
	c->advice = row->advice;
}

/* Outermost first in frames [first, first + n). */
static bool find_py(const struct snapshot *s, uint32_t first, uint32_t n, struct culprit *c)
{
	const struct culprit_row *found = NULL;
	uint32_t at = SNAP_NONE, package = SNAP_NONE;

	for (uint32_t i = n; i-- > 0;) {
		const struct snap_code *code = &s->codes[s->frames[first + i].code];
		const struct culprit_row *row = culprits_find_frame(code->file, code->function);

		if (!row || (found && (!wins(row) || wins(found))))
			continue;
		found = row;
		at = first + i;
	}
	if (!found)
		return false;
	take_row(found, c);
	if (!strstr(s->codes[s->frames[at].code].file, "-packages/"))
		package = find_package(s, first, n);
	name_library(s, package == SNAP_NONE ? at : package, c);
	return true;
}

/* The user's code was called by what the catalogue knows: only an import or a debugger matters. */
static bool find_outer(const struct snapshot *s, uint32_t first, uint32_t n, struct culprit *c)
{
	struct culprit outer = {0};

	if (!find_py(s, first, n, &outer) ||
	    (strcmp(outer.category, "import") != 0 && strcmp(outer.category, "debugger") != 0))
		return false;
	take_row(culprits_find(CULPRIT_PY, outer.rule), c);
	memcpy(c->library, outer.library, sizeof(c->library));
	return true;
}

/* ---- WHAT -------------------------------------------------------------------------------------
 */

/* sqlite's busy handler sleeps between its tries: the database is locked. */
static const struct culprit_row *busy_handler(const struct culprit_row *row, const char *call)
{
	static const char locked[] = "libsqlite3.so*!sqlite3InvokeBusyHandler";

	if (strncmp(row->pattern, "sqlite3!", 8) != 0 || !call || !strstr(call, "nanosleep"))
		return row;
	return culprits_find(CULPRIT_NATIVE, locked);
}

static const struct culprit_row *find_call(const struct facts *f, struct culprit *c)
{
	const struct snap_call *call = &f->thread->call;
	const struct culprit_row *row = NULL;

	if (!f->thread->have_call || !call->n_names)
		return NULL;
	if (!call->implied)
		snprintf(c->leaf_name, sizeof(c->leaf_name), "ccall %s", call->names[0]);
	for (uint32_t i = 0; i < call->n_names && !row; i++) {
		row = culprits_find(CULPRIT_CCALL, call->names[i]);
		if (row)
			snprintf(c->leaf_name, sizeof(c->leaf_name), "ccall %s", call->names[i]);
	}
	return row ? busy_handler(row, c->system_call) : NULL;
}

/* The leaf decides where the cure is another one than that of the library around it. */
static bool leaf_decides(const struct culprit_row *row)
{
	return !strcmp(row->category, "io.dns") || !strcmp(row->category, "file.lock");
}

/* Nothing in the catalogue: the library is named all the same. */
static void name_unknown(const struct facts *f, uint32_t inner, struct culprit *c)
{
	const struct snap_call *call = &f->thread->call;

	if (inner) {
		name_library(f->snap, c->slice.first + inner - 1, c);
	} else if (f->thread->have_call && call->n_names && !call->implied) {
		name_library_of_call(call->names[0], c);
	}
}

static void find_library(const struct facts *f, uint32_t inner, struct culprit *c)
{
	const struct culprit_row *leaf = find_call(f, c);
	uint32_t outer = c->frame == SNAP_NONE ? 0 : inner + 1;

	if (find_py(f->snap, c->slice.first, inner, c)) {
		if (leaf && leaf_decides(leaf) && strcmp(leaf->category, c->category) != 0) {
			c->category = leaf->category;
			c->advice = leaf->advice;
			c->leaf_title = leaf->title;
		}
		return;
	}
	if (leaf) {
		uint32_t package = find_package(f->snap, c->slice.first, inner);

		take_row(leaf, c);
		if (package != SNAP_NONE)
			name_library(f->snap, package, c);
		else
			name_library_of_call(c->leaf_name + strlen("ccall "), c);
		return;
	}
	leaf = find_native(f, c);
	if (leaf) {
		take_row(leaf, c);
		name_unknown(f, inner, c);
		return;
	}
	if (outer < c->slice.n &&
	    find_outer(f->snap, c->slice.first + outer, c->slice.n - outer, c))
		return;
	name_unknown(f, inner, c);
}

/*
 * The innermost frame that is the user's own; where there is none, of code that came as a string,
 * which they may have written or some library generated. n of the stack when there is none either.
 */
static uint32_t own_frame(const struct snapshot *s, const struct snap_stack *slice)
{
	for (uint32_t i = 0; i < slice->n; i++)
		if (snap_code_of(s, snap_frame_at(s, slice, i))->own)
			return i;
	for (uint32_t i = 0; i < slice->n; i++)
		if (!strcmp(snap_code_of(s, snap_frame_at(s, slice, i))->file, "<string>"))
			return i;
	return slice->n;
}

void find_culprit(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	struct culprit *c = &v->culprit;
	const struct os_thread *os = &f->thread->os;
	uint32_t inner; /* frames of others below the user's own */

	if (os->have_syscall && !os->syscall.running && os->syscall.number >= 0)
		c->system_call = syscall_name(os->syscall.number);
	c->slice = slice_of(f);
	c->task = f->loop->current_task;
	if (!c->slice.n)
		return;
	inner = own_frame(s, &c->slice);
	c->leaf = c->slice.first;
	utf8_copy(c->leaf_name, sizeof(c->leaf_name), s->codes[s->frames[c->leaf].code].qualname);
	if (inner < c->slice.n)
		c->frame = c->slice.first + inner;
	find_library(f, inner, c);
	/* nothing of the user's own: the outermost frame is where it begins */
	if (c->frame == SNAP_NONE)
		c->frame = c->slice.first + c->slice.n - 1;
}
