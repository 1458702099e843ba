/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native_text.c - native frames as a note in a recording, and back
 *
 *	asked MODE FAILED PAUSED WHY
 *	thread TID STATE LEAF WHOLE MOVED WHY
 *	python NUMBER			in the stack of Python, from 0
 *	native ADDRESS OFFSET LINE INLINED TAB FUNCTION TAB OBJECT TAB FILE
 *
 * one a line, innermost first; PAUSED in ns; what is unknown is empty. The stack that they were
 *unwound from is in the recording too, for other programs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "stallscope/utf8.h"

#define THREADS_MOST 1024u
#define TEXT_CHARS   4096u

/* ---- writing ------------------------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void write_frame(const struct snap_thread *t, const struct snap_native_frame *f,
			struct strbuf *out)
{
	if (f->frame != SNAP_NONE) {
		strbuf_addf(out, "python %" PRIu32 "\n", f->frame - t->stack.first);
		return;
	}
	strbuf_addf(out, "native %" PRIx64 " %" PRIx64 " %" PRIu32 " %d\t%s\t%s\t%s\n", f->address,
		    f->offset, f->line, f->inlined, or_empty(f->function), or_empty(f->object),
		    or_empty(f->file));
}

void snapshot_native_write(const struct snapshot *snap, struct strbuf *out)
{
	if (snap->native.asked)
		strbuf_addf(out, "asked %d %d %" PRIu64 " %s\n", (int)snap->native.mode,
			    snap->native.failed, snap->stats.paused_ns, or_empty(snap->native.why));
	for (size_t i = 0; i < snap->n_threads; i++) {
		const struct snap_thread *t = &snap->threads[i];
		const struct snap_native *n = &t->native;

		if (n->state == SNAP_NATIVE_NONE)
			continue;
		strbuf_addf(out, "thread %d %d %" PRIu32 " %d %d %s\n", (int)t->os.tid,
			    (int)n->state, n->leaf, n->whole, n->moved, or_empty(n->why));
		for (uint32_t f = 0; f < n->n; f++)
			write_frame(t, &snap->natives[n->first + f], out);
	}
}

/* ---- reading ------------------------------------------------------------------------------- */

struct note {
	struct snapshot *s;
	struct snap_thread *thread; /* whose frames follow, NULL */
	uint32_t python;	    /* frames of it so far */
	uint32_t threads;
};

/* Text of the recording, which may be forged: safe again; NULL where it is empty. */
static const char *text_of(struct note *note, const char *text)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	if (!text || !*text)
		return NULL;
	utf8_add_safe(&safe, text, strlen(text), TEXT_CHARS);
	return arena_strndup(&note->s->arena, safe.data, safe.len);
}

static bool is_done(const struct note *note)
{
	const struct snap_native *n = note->thread ? &note->thread->native : NULL;

	return !n || (n->leaf <= n->n &&
		      (n->state == SNAP_NATIVE_LEAF || note->python == note->thread->stack.n));
}

static bool take_asked(struct note *note, const char *line)
{
	int mode, failed, used = 0;
	uint64_t paused_ns;

	if (sscanf(line, "%d %d %" SCNu64 " %n", &mode, &failed, &paused_ns, &used) != 3 || !used ||
	    mode < SNAP_NATIVE_AUTO || mode > SNAP_NATIVE_NEVER)
		return false;
	note->s->stats.paused_ns = paused_ns;
	note->s->native.asked = true;
	note->s->native.mode = (enum snap_native_mode)mode;
	note->s->native.failed = failed != 0;
	note->s->native.why = text_of(note, line + used);
	return true;
}

static bool take_thread(struct note *note, const char *line)
{
	int tid, state, whole, moved, used = 0;
	struct snap_thread *t = NULL;
	uint32_t leaf;

	if (sscanf(line, "%d %d %" SCNu32 " %d %d %n", &tid, &state, &leaf, &whole, &moved,
		   &used) != 5 ||
	    !used || state < SNAP_NATIVE_LEAF || state > SNAP_NATIVE_MERGED || !is_done(note) ||
	    note->threads++ == THREADS_MOST)
		return false;
	for (size_t i = 0; i < note->s->n_threads && !t; i++)
		if (note->s->threads[i].os.tid == tid && note->s->threads[i].is_python &&
		    note->s->threads[i].loop != SNAP_NONE)
			t = &note->s->threads[i];
	if (!t || t->native.state != SNAP_NATIVE_NONE)
		return false;
	t->native = (struct snap_native){.state = (enum snap_native_state)state,
					 .first = (uint32_t)note->s->n_natives,
					 .leaf = leaf,
					 .whole = whole != 0,
					 .moved = moved != 0,
					 .why = text_of(note, line + used)};
	note->thread = t;
	note->python = 0;
	return true;
}

static bool take_python(struct note *note, const char *line)
{
	struct snap_thread *t = note->thread;
	uint32_t number;

	if (!t || t->native.state != SNAP_NATIVE_MERGED || sscanf(line, "%" SCNu32, &number) != 1 ||
	    number != note->python || number >= t->stack.n)
		return false;
	note->python++;
	native_add(note->s, t)->frame = t->stack.first + number;
	return true;
}

static bool take_native(struct note *note, char *line)
{
	struct snap_native_frame f = {.frame = SNAP_NONE}, *ret;
	char *rest = strchr(line, '\t'), *texts[3];
	int inlined;

	if (!note->thread || !rest || note->thread->native.n >= 4 * NATIVE_MAX_FRAMES)
		return false;
	*rest++ = 0;
	if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNu32 " %d", &f.address, &f.offset, &f.line,
		   &inlined) != 4)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		texts[i] = strsep(&rest, "\t");
		if (!texts[i])
			return false;
	}
	f.inlined = inlined != 0;
	f.function = text_of(note, texts[0]);
	f.object = text_of(note, texts[1]);
	f.file = text_of(note, texts[2]);
	ret = native_add(note->s, note->thread);
	*ret = f;
	return true;
}

static bool take_line(struct note *note, char *line)
{
	if (!strncmp(line, "asked ", 6))
		return take_asked(note, line + 6);
	if (!strncmp(line, "thread ", 7))
		return take_thread(note, line + 7);
	if (!strncmp(line, "python ", 7))
		return take_python(note, line + 7);
	return !strncmp(line, "native ", 7) && take_native(note, line + 7);
}

static void forget(struct snapshot *s)
{
	s->n_natives = 0;
	s->native = (struct snap_natives){0};
	for (size_t i = 0; i < s->n_threads; i++)
		s->threads[i].native = (struct snap_native){0};
}

bool snapshot_native_read(struct snapshot *snap, const struct strbuf *text)
{
	cleanup_strbuf struct strbuf copy = STRBUF_INIT;
	struct note note = {.s = snap};
	char *save = NULL;
	bool good = true;

	forget(snap);
	strbuf_add(&copy, text->data, text->len);
	if (copy.len != strlen(copy.data))
		good = false;
	for (char *line = copy.len ? strtok_r(copy.data, "\n", &save) : NULL; line && good;
	     line = strtok_r(NULL, "\n", &save))
		good = take_line(&note, line);
	good = good && is_done(&note);
	snap->native.threads = good ? note.threads : 0;
	if (!good)
		forget(snap);
	return good;
}
