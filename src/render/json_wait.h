/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STALLSCOPE_RENDER_JSON_WAIT_H
#define STALLSCOPE_RENDER_JSON_WAIT_H

#include <jansson.h>

#include "stallscope/render.h"

/* Adds what the thread of a loop waits for, from "fd" to "holder_certain". */
void json_add_wait(json_t *what, const struct snapshot *s, const struct snap_loop *l);

#endif
