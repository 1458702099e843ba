/* SPDX-License-Identifier: Apache-2.0 */
/* record_json.h - values of a history as JSON: unknown is null */
#ifndef STALLSCOPE_RECORD_RECORD_JSON_H
#define STALLSCOPE_RECORD_RECORD_JSON_H

#include <jansson.h>

#include "stallscope/history.h"
#include "stallscope/strbuf.h"

json_t *record_text(const char *text);
json_t *record_number(double value);
json_t *record_count(int64_t value); /* negative: unknown */
json_t *record_time(double time);
json_t *record_quantiles(const struct sketch *s);
json_t *record_stack(const struct history_stack *stack);

/* Compact, in ASCII; the reference is taken. A member: with the comma before it. */
void record_put(json_t *value, struct strbuf *out);
void record_put_utf8(json_t *value, struct strbuf *out);
void record_member(const char *key, json_t *value, struct strbuf *out);

#endif
