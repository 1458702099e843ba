/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - parts of the JSON that stand in files of their own */
#ifndef STALLSCOPE_RENDER_JSON_H
#define STALLSCOPE_RENDER_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "stallscope/render.h"

static inline json_t *number(bool have, double value)
{
	return have && isfinite(value) ? json_real(value) : json_null();
}

static inline json_t *count(int64_t value) /* negative: unknown */
{
	return value >= 0 ? json_integer(value) : json_null();
}

static inline json_t *hex(uint64_t address) /* 0: none */
{
	char text[32];

	if (!address)
		return json_null();
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)address);
	return json_string(text);
}

static inline json_t *string(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* "2026-11-23T14:03:16.231Z"; null for 0 */
json_t *json_wall_time(uint64_t ns);

/* loops[].fingerprint; null when nobody is to blame */
static inline json_t *json_fingerprint(const struct snapshot *s, const struct verdict *v)
{
	char text[FINGERPRINT_SIZE];

	return verdict_fingerprint(s, v, text) ? json_string(text) : json_null();
}

/* Who holds a loop, in what, with its stack, into an event. */
void json_add_holder(json_t *object, const struct snapshot *s, const struct diagnosis *d,
		     uint32_t loop);

/* host, labels, process */
void json_add_process(json_t *object, const struct snapshot *s, const struct render_options *o);

/* Whose it is, how often and for how long it was held, and by whom. */
void json_add_choppy(json_t *object, const struct choppy *c);

/* A frame as the stack of a task has it, with "own". */
json_t *json_frame(const struct snapshot *s, const struct snap_frame *f);

/* The variables of a frame, null when they were not read. */
json_t *json_locals(const struct snapshot *s, const struct snap_frame *f);

/* One of tasks[]. rows: kept from one task to the next. */
json_t *json_task(const struct snapshot *s, struct await_rows *rows, const struct snap_task *t);

/* loops[].groups */
json_t *json_groups(const struct snapshot *s, struct await_rows *rows, uint32_t loop,
		    const struct task_filter *filter);

/* filter; null without one */
json_t *json_filter(const struct snapshot *s, const struct task_filter *filter);

/* process.kernel */
json_t *json_kernel(const struct snapshot *s);

/* process.modules; null when they were not asked of the snapshot (json_modules.c) */
json_t *json_modules(const struct snapshot *s);

/* who.file_*: the file of the one to blame */
void json_add_file(json_t *who, const struct snap_detail *d);

/* A function of C in threads[].frames; threads[].native; tool.native (json_native.c) */
json_t *json_native_frame(const struct snap_native_frame *f);
json_t *json_native_of_thread(const struct snap_native *n);
json_t *json_native(const struct snapshot *s);

/* Part of the looks at a loop in which its interpreter collected garbage; null without looks. */
json_t *json_gc_ratio(const struct snapshot *s, uint64_t loop);

#endif
