/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include "stallscope/arena.h"

#define BIT(view) (1u << VIEW_##view)

enum {
	TASKS = BIT(TASKS),
	MAIN = ((1u << VIEW_TABS) - 1) | BIT(DETAIL) | BIT(MEMBERS) | BIT(STALL) | BIT(THREAD),
	PICKER = BIT(PICKER),
	WORKERS = BIT(WORKERS),
	ALL = (1u << VIEW_COUNT) - 1,
	LISTS = ALL & ~BIT(HELP),
	SORTED = TASKS | BIT(GROUPS) | BIT(MEMBERS) | PICKER,
	ONLY_TREE = 1u << VIEW_COUNT,
	TREE = TASKS | ONLY_TREE,
};

#define K(...)              \
	{                   \
		__VA_ARGS__ \
	}

static const struct key_row rows[] = {
#define KEY(action, shown, codes, foot, views, part, help) \
	{ACTION_##action,                                  \
	 shown,                                            \
	 codes,                                            \
	 foot,                                             \
	 (views) & (unsigned)ALL,                          \
	 ((views) & (unsigned)ONLY_TREE) != 0,             \
	 PART_##part,                                      \
	 help},
#include "keys.def"
#undef KEY
};

const struct key_row *key_rows(size_t *n)
{
	*n = ARRAY_SIZE(rows);
	return rows;
}

static bool has_code(const struct key_row *row, uint32_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(row->codes); i++)
		if (row->codes[i] && row->codes[i] == code)
			return true;
	return false;
}

enum action key_action(uint32_t code, enum view view, bool tree)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].views >> view & 1 && (!rows[i].tree || tree) &&
		    has_code(&rows[i], code))
			return rows[i].action;
	return ACTION_NONE;
}

const char *key_part_name(enum key_part part)
{
	static const char *const names[PART_COUNT] = {"MOVE", "VIEWS", "LIVE",
						      "FIND", "SHOW",  "SAVE"};

	return names[part];
}
