/* SPDX-License-Identifier: Apache-2.0 */
/*
 * terminal.h - the terminal: the only thing that knows curses is behind this (curses.c)
 *
 * One terminal for the process. It is put back as it was at every end: a normal one, exit() from
 * anywhere, and a signal that ends the program by a fault of its own.
 */
#ifndef STALLSCOPE_TUI_TERMINAL_H
#define STALLSCOPE_TUI_TERMINAL_H

#include "state.h"
#include "stallscope/tui.h"

bool term_open(const struct tui_options *options, struct error *err);
void term_close(void);

/* Its size now; asks the kernel. */
void term_size(unsigned *cols, unsigned *rows);

/* all: as if nothing were on the screen. */
void term_draw(const struct grid *g, bool all);

/* The next key, click or turn of the wheel; false when there is none. */
bool term_input(struct tui_event *ret);
int term_fd(void);    /* to wait for input on */
bool term_lost(void); /* it hung up */

void term_copy(const char *text); /* to the clipboard, by OSC 52 */
void term_suspend(void);	  /* as Ctrl-Z does; returns when it goes on */

#endif
