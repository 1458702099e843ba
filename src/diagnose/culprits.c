/* SPDX-License-Identifier: Apache-2.0 */
#include "culprits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 6

static char catalogue[] =
#include "culprits_data.h" /* made from data/culprits.tsv by make */
	;

/* ---- parsing -------------------------------------------------------------------------------- */

static bool parse_line(char *line, struct culprit_row *row)
{
	char *column[COLUMNS];
	size_t n = 0;

	for (char *p = line; p && n < COLUMNS; n++) {
		char *tab = strchr(p, '\t');

		column[n] = p;
		if (tab)
			*tab = 0;
		p = tab ? tab + 1 : NULL;
	}
	if (n < COLUMNS - 1 || !*column[0] || !*column[1] || !*column[2])
		return false;
	*row = (struct culprit_row){column[0], column[1], column[2], column[3], column[4]};
	return true;
}

bool culprits_parse(char *text, struct culprit_row **rows, size_t *n, struct error *err)
{
	struct culprit_row *list = NULL, row;
	size_t count = 0, cap = 0, number = 0;

	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		number++;
		if (!*line || *line == '#' || !strncmp(line, "match_kind\t", 11))
			continue;
		if (!parse_line(line, &row)) {
			free(list);
			return error_set(err, ERR_BAD_FILE,
					 "line %zu of the catalogue has fewer than %d columns",
					 number, COLUMNS - 1);
		}
		*array_push(&list, &count, &cap) = row;
	}
	*rows = list;
	*n = count;
	return true;
}

const struct culprit_row *culprits_rows(size_t *n)
{
	static struct culprit_row *rows;
	static size_t count;

	if (!rows && !culprits_parse(catalogue, &rows, &count, NULL))
		count = 0;
	*n = count;
	return rows;
}

/* ---- matching -----------------------------------------------------------------------------------
 */

/* Behind the folder that modules are found in: the installed ones, else the standard library. */
static const char *behind_root(const char *file)
{
	static const char *const roots[] = {"/site-packages/", "/dist-packages/"};
	const char *p;

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		p = strstr(file, roots[i]);
		if (p)
			return p + strlen(roots[i]);
	}
	p = strstr(file, "/lib/python3.");
	p = p ? strchr(p + strlen("/lib/python3."), '/') : NULL;
	return p ? p + 1 : NULL;
}

static void drop_tail(char *text, const char *tail)
{
	if (str_ends_with(text, tail))
		text[strlen(text) - strlen(tail)] = 0;
}

void culprits_module(const char *file, char *module, size_t size)
{
	const char *p = behind_root(file);

	module[0] = 0;
	if (!strncmp(file, "<frozen ", 8)) {
		snprintf(module, size, "%s", file + 8);
		drop_tail(module, ">");
		return;
	}
	if (!p)
		return;
	snprintf(module, size, "%s", p);
	drop_tail(module, ".py");
	drop_tail(module, "/__init__");
	for (char *c = module; *c; c++)
		if (*c == '/')
			*c = '.';
}

const struct culprit_row *culprits_find(const char *file, const char *function)
{
	char module[256], name[512];
	size_t n;
	const struct culprit_row *rows = culprits_rows(&n);

	culprits_module(file, module, sizeof(module));
	if (!module[0])
		return NULL;
	snprintf(name, sizeof(name), "%s:%s", module, function);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(rows[i].kind, "py") && !strcmp(rows[i].pattern, name))
			return &rows[i];
	return NULL;
}
