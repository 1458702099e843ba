/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - parts of the JSON that stand in files of their own */
#ifndef STALLSCOPE_RENDER_JSON_H
#define STALLSCOPE_RENDER_JSON_H

#include <jansson.h>

#include "stallscope/render.h"

/* Function, file and line; "own" too. */
json_t *json_frame(const struct snapshot *s, const struct snap_frame *f);

/* loops[].groups */
json_t *json_groups(const struct snapshot *s, uint32_t loop, const struct task_filter *filter);

/* filter; null without one */
json_t *json_filter(const struct snapshot *s, const struct task_filter *filter);

/* process.kernel */
json_t *json_kernel(const struct snapshot *s);

/* Part of the looks at a loop in which its interpreter collected garbage; null without looks. */
json_t *json_gc_ratio(const struct snapshot *s, uint64_t loop);

#endif
