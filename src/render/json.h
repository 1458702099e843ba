/* SPDX-License-Identifier: Apache-2.0 */
/* json.h - parts of the JSON that stand in files of their own */
#ifndef STALLSCOPE_RENDER_JSON_H
#define STALLSCOPE_RENDER_JSON_H

#include <jansson.h>

#include "stallscope/snapshot.h"

/* process.kernel */
json_t *json_kernel(const struct snapshot *s);

/* Part of the looks at a loop in which its interpreter collected garbage; null without looks. */
json_t *json_gc_ratio(const struct snapshot *s, uint64_t loop);

#endif
