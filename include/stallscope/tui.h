/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tui.h - the live view
 *
 * Shows what a sampler in a thread of its own finds; it reads targets as the one-shot look does
 * and never does anything to them.
 */
#ifndef STALLSCOPE_TUI_H
#define STALLSCOPE_TUI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/error.h"

/* The default is one that colour-blind readers can tell apart: cb is another name for it. */
enum tui_theme { TUI_THEME_DEFAULT, TUI_THEME_MONO, TUI_THEME_LIGHT, TUI_THEME_DARK, TUI_THEME_CB };

struct tui_options {
	const char *const *targets; /* pids or files; none: the process picker */
	size_t n_targets;
	bool children; /* those of targets[0] are watched too */
	int rate;      /* looks per second */
	int64_t threshold_ns;
	uint64_t max_tasks;
	bool ascii, no_mouse, no_color;
	enum tui_theme theme;
};

/* False where it was built without (configure --without-tui). */
bool tui_is_built(void);

/*
 * Runs until the user ends it. *status is that of the process: 0, or 128 and the number of the
 * signal that ended it. False: there is no terminal that it could run on, or it was built without.
 */
bool tui_run(const struct tui_options *options, int *status, struct error *err);

#endif
