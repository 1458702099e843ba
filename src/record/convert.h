/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h - the writers of other formats, one file for each kind */
#ifndef STALLSCOPE_RECORD_CONVERT_H
#define STALLSCOPE_RECORD_CONVERT_H

#include <stdio.h>

#include "stallscope/history.h"
#include "stallscope/strbuf.h"

void convert_collapsed(const struct history *h, FILE *out);
void convert_speedscope(const struct history *h, FILE *out);
void convert_chrome(const struct history *h, FILE *out);
void convert_otlp(const struct history *h, FILE *out);
void convert_prom(const struct history *h, FILE *out);

/* Writes what is in the buffer, and empties it. */
void convert_flush(struct strbuf *text, FILE *out);

/* Indices of stalls by loop, then by time; freed by the caller. */
uint32_t *convert_by_loop(const struct history *h);

#endif
