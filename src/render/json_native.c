/* SPDX-License-Identifier: Apache-2.0 */
/* json_native.c - native frames in JSON */
#include "json.h"

json_t *json_native_frame(const struct snap_native_frame *f)
{
	json_t *frame = json_pack(
		"{ss so so so so so sb}", "kind", "native", "function", string(f->function), "file",
		string(f->file), "line", count(f->line ? (int64_t)f->line : -1), "object",
		string(f->object), "address", hex(f->address), "inlined", f->inlined);

	json_object_set_new(frame, "offset", json_integer((json_int_t)(f->offset & INT64_MAX)));
	return frame;
}

json_t *json_native_of_thread(const struct snap_native *n)
{
	if (n->state == SNAP_NATIVE_NONE)
		return json_null();
	return json_pack("{sb sb sb so}", "merged", n->state == SNAP_NATIVE_MERGED, "whole",
			 n->whole, "moved", n->moved, "error", string(n->why));
}

json_t *json_native(const struct snapshot *s)
{
	static const char *const modes[] = {"auto", "always", "never"};

	if (!s->native.asked)
		return json_null();
	return json_pack("{ss si so}", "mode", modes[s->native.mode], "threads",
			 (int)s->native.threads, "error", string(s->native.why));
}
