/* SPDX-License-Identifier: Apache-2.0 */
/* keys.h - what a key does where; the table is keys.def */
#ifndef STALLSCOPE_TUI_KEYS_H
#define STALLSCOPE_TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum view {
	VIEW_STACK,
	VIEW_TASKS,
	VIEW_GROUPS,
	VIEW_HISTORY,
	VIEW_THREADS,
	VIEW_TABS,		 /* those before are tabs of the main screen */
	VIEW_DETAIL = VIEW_TABS, /* of one task */
	VIEW_MEMBERS,		 /* tasks of one group */
	VIEW_STALL,		 /* the stack that was seen in a stall */
	VIEW_THREAD,		 /* the stack of one thread */
	VIEW_HELP,
	VIEW_PICKER,
	VIEW_WORKERS,
	VIEW_COUNT
};

/* Keys that are no characters. */
enum key {
	INPUT_NONE = 0x110000,
	INPUT_UP,
	INPUT_DOWN,
	INPUT_LEFT,
	INPUT_RIGHT,
	INPUT_PAGE_UP,
	INPUT_PAGE_DOWN,
	INPUT_HOME,
	INPUT_END,
	INPUT_ENTER,
	INPUT_ESC,
	INPUT_TAB,
	INPUT_BACK_TAB,
	INPUT_BACKSPACE,
	INPUT_F1,
	INPUT_F3 = INPUT_F1 + 2,
	INPUT_F4,
	INPUT_F5,
	INPUT_F6,
	INPUT_F10 = INPUT_F1 + 9,
};

enum action {
	ACTION_NONE,
#define KEY(action, shown, codes, foot, views, part, help) ACTION_##action,
#include "keys.def"
#undef KEY
	ACTION_COUNT
};

enum key_part { PART_MOVE, PART_VIEWS, PART_LIVE, PART_FIND, PART_SHOW, PART_SAVE, PART_COUNT };

struct key_row {
	enum action action;
	const char *shown;
	uint32_t codes[4]; /* 0: none */
	const char *foot;  /* "" not at the foot */
	unsigned views;	   /* 1u << enum view */
	bool tree;	   /* only where tasks are shown as a tree */
	enum key_part part;
	const char *help;
};

/* All of them, in the order of the table. */
const struct key_row *key_rows(size_t *n);

/* tree: whether the tasks are shown as a tree, where some keys mean something else. */
enum action key_action(uint32_t code, enum view view, bool tree);
const char *key_part_name(enum key_part part);

#endif
