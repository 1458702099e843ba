/* SPDX-License-Identifier: Apache-2.0 */
/* survey.h - all Python processes of the machine, looked at again and again, in a thread */
#ifndef STALLSCOPE_TUI_SURVEY_H
#define STALLSCOPE_TUI_SURVEY_H

#include "state.h"

struct survey;

/* wake: an eventfd that is written to when there are rows. It begins switched off. */
struct survey *survey_start(int64_t threshold_ns, int wake);
void survey_stop(struct survey *s);
void survey_switch(struct survey *s, bool on);

/* True when there are new rows since it was asked last; they are the caller's, by free(). */
bool survey_fetch(struct survey *s, struct survey_row **ret, size_t *n);

#endif
