/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.c - what functions of C on the stack say of a hold
 */
#include <string.h>

#include "facts.h"
#include "stallscope/strbuf.h"
#include "stallscope/utf8.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* "native libpq.so.5!PQgetResult", cut between characters: the object names its functions. */
static void name_leaf(const struct snap_native_frame *frame, struct culprit *c)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	strbuf_addf(&name, "native %s!%s", base_name(frame->object),
		    frame->function ? frame->function : "?");
	utf8_copy(c->leaf_name, sizeof(c->leaf_name), name.data);
}

/* Below the user's own frame, the innermost one that the catalogue knows. */
const struct culprit_row *find_native(const struct facts *f, struct culprit *c)
{
	const struct snap_native *n = &f->thread->native;

	for (uint32_t i = n->first; i < n->first + n->n; i++) {
		const struct snap_native_frame *frame = &f->snap->natives[i];
		const struct culprit_row *row;

		if (frame->frame != SNAP_NONE && frame->frame == c->frame)
			break;
		if (frame->frame != SNAP_NONE || !frame->object)
			continue;
		row = culprits_native(frame->object, frame->function ? frame->function : "");
		if (!row)
			continue;
		name_leaf(frame, c);
		return row;
	}
	return NULL;
}

/* The innermost function with a name, and who called it. */
void native_evidence(const struct facts *f, struct verdict *v)
{
	const struct snap_native *n = &f->thread->native;
	const struct snap_native_frame *at, *end;
	char function[41], caller[41], object[41];

	if (!n->leaf)
		return;
	at = f->snap->natives + n->first;
	end = at + n->leaf;
	while (at < end && (!at->function || !at->object))
		at++;
	if (at >= end)
		return;
	utf8_copy(function, sizeof(function), at->function);
	utf8_copy(object, sizeof(object), base_name(at->object));
	if (at > f->snap->natives + n->first) { /* it goes on in functions without a name */
		add_evidence(v, "native stack", "in C it is below %s of %s", function, object);
		return;
	}
	if (at + 1 >= end || !at[1].function || !at[1].object) {
		add_evidence(v, "native stack", "in C it is in %s of %s", function, object);
		return;
	}
	utf8_copy(caller, sizeof(caller), at[1].function);
	utf8_copy(object, sizeof(object), base_name(at[1].object));
	add_evidence(v, "native stack", "in C it is in %s, called by %s of %s", function, caller,
		     object);
}
