/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_native.c - functions of C in a stack of Python
 *
 * Those below the innermost frame of Python tell what it waits in or computes; those that only
 * lead from one frame of Python to the next are for -v.
 */
#include <inttypes.h>
#include <string.h>

#include "text.h"

#define LEAF_SHOWN 12u

/* Ways of the interpreter to call a function: each call has some of them. */
bool native_is_glue(const struct snap_native_frame *f)
{
	static const char *const begins[] = {"_PyEval_",
					     "_PyObject_Call",
					     "_PyObject_FastCall",
					     "_PyObject_MakeTp",
					     "_PyObject_Vector",
					     "PyObject_Call",
					     "PyObject_Vectorcall",
					     "_PyFunction_Vect",
					     "_PyVectorcall_",
					     "_PyCFunction_Fast",
					     "_PyMethodDef_Raw",
					     "_PyStack_",
					     "cfunction_",
					     "method_vectorcall",
					     "function_code_fastcall",
					     "call_function",
					     "trace_call_",
					     "do_call_core",
					     "method_call",
					     "vectorcall_",
					     "PyVectorcall_Call",
					     "PyCFunction_Call",
					     "cfunction_call",
					     "_Py_VectorCall"};

	for (size_t i = 0; f->function && i < ARRAY_SIZE(begins); i++)
		if (!strncmp(f->function, begins[i], strlen(begins[i])))
			return true;
	return false;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* "_hashlib.so" of /usr/lib/.../_hashlib.cpython-311-x86_64-linux-gnu.so: JSON has all of it. */
static void add_object(const char *path, struct strbuf *out)
{
	const char *name = base_name(path), *tag = strstr(name, ".cpython-");

	if (tag && tag > name && str_ends_with(tag, ".so"))
		strbuf_addf(out, "%.*s.so", (int)(tag - name), name);
	else
		strbuf_addstr(out, name);
}

void native_place(const struct snap_native_frame *f, struct strbuf *out)
{
	if (!f->object)
		strbuf_addf(out, "0x%" PRIx64, f->address);
	else
		add_object(f->object, out);
	if (f->object && !f->function)
		strbuf_addf(out, "+0x%" PRIx64, f->offset);
}

static void native_line(struct text *t, const struct snap_native_frame *f)
{
	cleanup_strbuf struct strbuf where = STRBUF_INIT;
	size_t used;

	native_place(f, &where);
	strbuf_addstr(&t->line, "  ");
	used = utf8_add_cut(&t->line, where.data, t->o->width / 2, true, t->o->ascii);
	if (f->function) {
		strbuf_pad(&t->line, ' ', used < 29 ? 30 - used : 1);
		strbuf_addstr(&t->line, f->function);
	}
	if (f->file)
		strbuf_addf(&t->line, "  %s:%" PRIu32, base_name(f->file), f->line);
	if (f->inlined)
		strbuf_addstr(&t->line, "  (inlined)");
	text_end_line(t);
}

static bool is_nameless(const struct snap_native_frame *f)
{
	return f->object && !f->function;
}

/* Of a stripped object: what they are called nobody knows, how many there are is enough. */
static void nameless_line(struct text *t, const struct snap_native_frame *f, uint32_t n)
{
	cleanup_strbuf struct strbuf object = STRBUF_INIT;
	size_t used;

	add_object(f->object, &object);
	strbuf_addstr(&t->line, "  ");
	used = utf8_add_cut(&t->line, object.data, t->o->width / 2, true, t->o->ascii);
	strbuf_pad(&t->line, ' ', used < 29 ? 30 - used : 1);
	strbuf_addf(&t->line, "(%" PRIu32 " functions without a name)", n);
	text_end_line(t);
}

/* Frames [begin, end) of natives, all of them, newest last. */
static void all_lines(struct text *t, uint32_t begin, uint32_t end)
{
	for (uint32_t i = end; i-- > begin;)
		native_line(t, &t->s->natives[i]);
}

/* Neighbours without a name in one object are one line. Returns how many frames it has. */
static uint32_t run_of(const struct snapshot *s, uint32_t begin, uint32_t last)
{
	const struct snap_native_frame *f = &s->natives[last];
	uint32_t n = 1;

	while (is_nameless(f) && last - n + 1 > begin && is_nameless(f - n) &&
	       !strcmp(f[-(int)n].object, f->object))
		n++;
	return n;
}

/* The same, without those that only call others; of many the outer and the inner ones. */
static void few_lines(struct text *t, uint32_t begin, uint32_t end)
{
	const struct snapshot *s = t->s;
	uint32_t lines = 0, shown = 0, n;

	for (uint32_t i = end; i > begin; i -= n) {
		n = run_of(s, begin, i - 1);
		lines += !native_is_glue(&s->natives[i - 1]) || i - 1 == begin;
	}
	for (uint32_t i = end; i > begin; i -= n) {
		const struct snap_native_frame *f = &s->natives[i - 1];

		n = run_of(s, begin, i - 1);
		if (native_is_glue(f) && i - 1 != begin)
			continue;
		if (lines > LEAF_SHOWN && shown == LEAF_SHOWN / 2)
			TEXT_LINE(t, "  ... %u more (-v shows them)", lines - LEAF_SHOWN);
		if (lines <= LEAF_SHOWN || shown < LEAF_SHOWN / 2 ||
		    shown >= lines - LEAF_SHOWN / 2) {
			if (n > 1)
				nameless_line(t, f, n);
			else
				native_line(t, f);
		}
		shown++;
	}
}

static void native_lines(struct text *t, uint32_t begin, uint32_t end)
{
	if (t->o->verbose)
		all_lines(t, begin, end);
	else
		few_lines(t, begin, end);
}

void text_native_above(struct text *t, uint32_t frame)
{
	const struct snapshot *s = t->s;
	uint32_t at = 0, end;

	if (!t->o->verbose)
		return;
	while (at < s->n_natives && s->natives[at].frame != frame)
		at++;
	for (end = ++at; end < s->n_natives && s->natives[end].frame == SNAP_NONE;)
		end++;
	/* behind the outermost frame of Python: how the thread began, or another thread */
	if (end < s->n_natives && s->natives[end].frame == frame + 1)
		native_lines(t, at, end);
}

void text_native(struct text *t, const struct snap_thread *thread)
{
	const struct snap_native *n = &thread->native;
	char paused[32];

	if (n->state == SNAP_NATIVE_NONE || !n->leaf)
		return;
	strbuf_addstr(&t->line, "  --- native");
	if (t->s->stats.paused_ns && !t->s->freeze.asked) {
		snprintf(paused, sizeof(paused), "%.2f ms", (double)t->s->stats.paused_ns / 1e6);
		strbuf_addf(&t->line, " (paused for %s)", paused);
	}
	text_end_line(t);
	native_lines(t, n->first, n->first + n->leaf);
	if (n->why && t->o->verbose)
		TEXT_LINE(t, "  (not all of it: %s)", n->why);
}

void text_native_missing(struct text *t)
{
	const struct snap_natives *n = &t->s->native;
	cleanup_strbuf struct strbuf line = STRBUF_INIT;

	if (!n->why || (!n->failed && n->mode != SNAP_NATIVE_ALWAYS && !t->o->verbose))
		return;
	strbuf_addf(&line, "none: %s", n->why);
	TEXT_LINE(t, "%s", "");
	text_wrap(t, "Native frames: ", line.data);
}
