/* SPDX-License-Identifier: Apache-2.0 */
/* svg.h - pictures of a history, to stand in a page */
#ifndef STALLSCOPE_RECORD_SVG_H
#define STALLSCOPE_RECORD_SVG_H

#include "stallscope/history.h"
#include "stallscope/strbuf.h"

#define SVG_WIDTH 1180.0

/* Nothing is written where there is nothing to show. */
void svg_timeline(const struct history *h, struct strbuf *out);
void svg_flame(const struct history *h, struct strbuf *out);

/* One colour for one text, on every page. */
unsigned svg_hue(const char *text);

#endif
