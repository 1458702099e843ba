/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/culprits.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "culprits_private.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/log.h"
#include "stallscope/strbuf.h"

static const char built_in[] =
#include "culprits_data.h" /* made from data/culprits.tsv by make */
	;

/* Never freed but by tests: rows live as long as the program. */
static struct catalogue {
	char *texts[CULPRIT_BUILT_IN + 1]; /* of the files, what rows point into */
	struct culprit_row *rows;
	size_t n, cap;
	struct culprit_index index;
	bool loaded;
} catalogue;

/* ---- rows by kind and pattern ------------------------------------------------------------------
 */

/* FNV-1a */
static uint32_t hash_of(enum culprit_kind kind, const char *pattern)
{
	uint32_t hash = 2166136261u ^ (uint32_t)kind;

	for (; *pattern; pattern++)
		hash = (hash ^ (unsigned char)*pattern) * 16777619u;
	return hash;
}

void culprit_index_deinit(struct culprit_index *index)
{
	free(index->slots);
	*index = (struct culprit_index){0};
}

/* The slot of the row, or the free one where it would be. */
static uint32_t *slot_of(const struct culprit_index *index, const struct culprit_row *rows,
			 enum culprit_kind kind, const char *pattern)
{
	uint32_t i = hash_of(kind, pattern) & (index->size - 1);

	for (; index->slots[i]; i = (i + 1) & (index->size - 1)) {
		const struct culprit_row *row = &rows[index->slots[i] - 1];

		if (row->kind == kind && !strcmp(row->pattern, pattern))
			break;
	}
	return &index->slots[i];
}

uint32_t culprit_index_get(const struct culprit_index *index, const struct culprit_row *rows,
			   enum culprit_kind kind, const char *pattern)
{
	if (!index->size)
		return CULPRITS_NONE;
	return *slot_of(index, rows, kind, pattern) - 1; /* 0 gives CULPRITS_NONE */
}

static void grow(struct culprit_index *index, const struct culprit_row *rows)
{
	struct culprit_index larger = {.size = index->size ? 4 * index->size : 1024};

	larger.slots = mem_zalloc(larger.size, sizeof(*larger.slots));
	for (uint32_t i = 0; i < index->size; i++)
		if (index->slots[i])
			culprit_index_put(&larger, rows, index->slots[i] - 1);
	culprit_index_deinit(index);
	*index = larger;
}

void culprit_index_put(struct culprit_index *index, const struct culprit_row *rows, uint32_t row)
{
	if (2 * index->used >= index->size)
		grow(index, rows);
	*slot_of(index, rows, rows[row].kind, rows[row].pattern) = row + 1;
	index->used++;
}

/* ---- the catalogue of this process -------------------------------------------------------------
 */

/* Appends those rows of a file that no file before it had. Takes the text. */
static void append(struct catalogue *c, const struct culprit_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t number = (uint32_t)c->n;

		if (culprit_index_get(&c->index, c->rows, rows[i].kind, rows[i].pattern) !=
		    CULPRITS_NONE)
			continue;
		*array_push(&c->rows, &c->n, &c->cap) = rows[i];
		c->rows[number].order = number;
		culprit_index_put(&c->index, c->rows, number);
	}
}

/* Takes the text, whether it is a catalogue or not. */
static bool add_text(struct catalogue *c, const char *name, char *text, size_t len,
		     enum culprit_origin origin, struct error *err)
{
	cleanup_free struct culprit_row *rows = NULL;
	size_t n;

	if (!culprits_parse(name, text, len, origin, &rows, &n, err)) {
		free(text);
		return false;
	}
	c->texts[origin] = text;
	append(c, rows, n);
	return true;
}

static bool add_file(struct catalogue *c, const char *path, enum culprit_origin origin,
		     struct error *err)
{
	char *text;
	size_t len;

	return culprits_read(path, &text, &len, err) && add_text(c, path, text, len, origin, err);
}

/* The user's own file: that it is not there is usual, that it is broken does not stop us. */
static void add_config(struct catalogue *c)
{
	char path[PATH_MAX];
	struct error err;

	if (!culprits_config_path(path, sizeof(path)) || add_file(c, path, CULPRIT_CONFIG, &err) ||
	    err.code == ERR_NO_FILE)
		return;
	if (err.code == ERR_PERMISSION) { /* another user's folder, as sudo leaves it in HOME */
		log_info("%s", err.text);
		return;
	}
	log_warn("%s: none of its rows is used%s%s", err.text, err.hint[0] ? "; " : "", err.hint);
}

static void add_built_in(struct catalogue *c)
{
	struct error err;
	char *text = mem_alloc(sizeof(built_in));

	memcpy(text, built_in, sizeof(built_in));
	if (!add_text(c, "culprits.tsv", text, sizeof(built_in) - 1, CULPRIT_BUILT_IN, &err))
		log_warn("a bug in stallscope: %s", err.text);
}

bool culprits_load(const char *path, struct error *err)
{
	struct catalogue c = {0};

	if (path && !add_file(&c, path, CULPRIT_FILE, err))
		return false;
	add_config(&c);
	add_built_in(&c);
	c.loaded = true;
	culprits_unload();
	catalogue = c;
	return true;
}

void culprits_unload(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(catalogue.texts); i++)
		free(catalogue.texts[i]);
	free(catalogue.rows);
	culprit_index_deinit(&catalogue.index);
	catalogue = (struct catalogue){0};
}

static const struct catalogue *the_catalogue(void)
{
	if (!catalogue.loaded) {
		add_built_in(&catalogue);
		catalogue.loaded = true;
	}
	return &catalogue;
}

const struct culprit_row *culprits_rows(size_t *n)
{
	const struct catalogue *c = the_catalogue();

	*n = c->n;
	return c->rows;
}

/* ---- names of modules --------------------------------------------------------------------------
 */

/*
 * Folders that modules are found in, the ones that decide first. Debuggers that an IDE brings along
 * lie outside of site-packages; eggs, wheels and zip files are folders to their modules.
 */
static const char *const roots[] = {"/debugpy/_vendored/pydevd/", "/helpers/pydev/",
				    "/site-packages/", "/dist-packages/"};
static const char *const archives[] = {".egg/", ".whl/", ".zip/", ".pyz/"};

/* Behind the last place where word is; the first character may be left out at the begin. */
static const char *behind_last(const char *path, const char *word)
{
	size_t len = strlen(word);
	const char *last = NULL;

	if (*word == '/' && !strncmp(path, word + 1, len - 1))
		last = path + len - 1;
	for (const char *p = path; (p = strstr(p, word)) != NULL; p++)
		last = p + len;
	return last;
}

/* "json/__init__.py" for "/usr/lib64/python3.13t/json/__init__.py" */
static const char *behind_library(const char *path)
{
	const char *last = NULL;

	for (const char *p = path; (p = strstr(p, "/python3.")) != NULL;) {
		const char *folder = p;

		p += strlen("/python3.");
		while (folder > path && folder[-1] != '/')
			folder--;
		p += strspn(p, "0123456789");
		p += *p == 't'; /* free-threaded */
		if (!strncmp(folder, "lib", 3) && *p == '/')
			last = p + 1;
	}
	return last;
}

/* Behind the folder that modules are found in: the installed ones, else the standard library. */
static const char *behind_root(const char *file)
{
	const char *best = NULL;

	for (size_t i = 0; !best && i < ARRAY_SIZE(roots); i++)
		best = behind_last(file, roots[i]);
	if (!best)
		best = behind_library(file);
	/* python311.zip, and eggs inside of site-packages */
	for (size_t i = 0; i < ARRAY_SIZE(archives); i++) {
		const char *p = behind_last(file, archives[i]);

		if (p && (!best || p > best))
			best = p;
	}
	return best;
}

static bool drop_tail(char *text, const char *tail)
{
	if (!str_ends_with(text, tail))
		return false;
	text[strlen(text) - strlen(tail)] = 0;
	return true;
}

static void drop_suffix(char *path)
{
	static const char *const suffixes[] = {".py", ".pyc", ".pyx"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (drop_tail(path, suffixes[i]))
			break;
	drop_tail(path, "/__init__");
}

/* Modules that were split or moved, by their first parts; the catalogue has the name "to". */
static const struct {
	const char *from, *to;
} moved[] = {
	{"pathlib._abc", "pathlib"},			 /* 3.13 */
	{"pathlib._local", "pathlib"},			 /* 3.13 */
	{"numpy._core", "numpy.core"},			 /* 2.0 */
	{"pymongo.synchronous", "pymongo"},		 /* 4.9 */
	{"urllib3._request_methods", "urllib3.request"}, /* 2.0 */
};

static void follow_move(char *module, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		size_t len = strlen(moved[i].from);
		char rest[256];

		if (strncmp(module, moved[i].from, len) != 0 || (module[len] && module[len] != '.'))
			continue;
		snprintf(rest, sizeof(rest), "%s", module + len);
		snprintf(module, size, "%s%s", moved[i].to, rest);
		return;
	}
}

void culprits_module(const char *file, char *module, size_t size)
{
	static const char frozen[] = "<frozen ";
	const char *p = behind_root(file);

	module[0] = 0;
	if (!strncmp(file, frozen, sizeof(frozen) - 1)) {
		snprintf(module, size, "%s", file + sizeof(frozen) - 1);
		drop_tail(module, ">");
		return;
	}
	if (!p)
		return;
	snprintf(module, size, "%s", p);
	drop_suffix(module);
	for (char *c = module; *c; c++)
		if (*c == '/')
			*c = '.';
	follow_move(module, size);
}

/* ---- matching ----------------------------------------------------------------------------------
 */

const struct culprit_row *culprits_find(enum culprit_kind kind, const char *pattern)
{
	const struct catalogue *c = the_catalogue();
	uint32_t row = culprit_index_get(&c->index, c->rows, kind, pattern);

	return row == CULPRITS_NONE ? NULL : &c->rows[row];
}

const struct culprit_row *culprits_find_frame(const char *file, const char *function)
{
	char module[256], name[512];

	culprits_module(file, module, sizeof(module));
	if (!module[0])
		return NULL;
	snprintf(name, sizeof(name), "%s:%s", module, function);
	return culprits_find(CULPRIT_PY, name);
}

/* Matches the len bytes of glob. Only the last * is ever tried again, so it is len times text. */
static bool match(const char *glob, size_t len, const char *text)
{
	const char *end = glob + len, *star = NULL, *again = NULL;

	while (*text) {
		if (glob < end && *glob == '*') {
			star = ++glob;
			again = text;
		} else if (glob < end && (*glob == '?' || *glob == *text)) {
			glob++;
			text++;
		} else if (star) {
			glob = star;
			text = ++again;
		} else {
			return false;
		}
	}
	while (glob < end && *glob == '*')
		glob++;
	return glob == end;
}

bool culprits_glob(const char *glob, const char *text)
{
	return match(glob, strlen(glob), text);
}

/*
 * auditwheel puts 8 hexadecimal digits of a hash into the names of the libraries it brings into a
 * wheel: libpq-e8a033dd.so.5.16.
 */
static void drop_wheel_hash(char *name)
{
	char *dash = strchr(name, '-');

	for (; dash; dash = strchr(dash + 1, '-')) {
		if (strspn(dash + 1, "0123456789abcdef") != 8 || strncmp(dash + 9, ".so", 3) != 0)
			continue;
		memmove(dash, dash + 9, strlen(dash + 9) + 1);
		return;
	}
}

const struct culprit_row *culprits_native(const char *object, const char *symbol)
{
	const struct catalogue *c = the_catalogue();
	const char *slash = strrchr(object, '/');
	char name[NAME_MAX + 1];

	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : object);
	drop_wheel_hash(name);
	for (size_t i = 0; i < c->n; i++) {
		const struct culprit_row *row = &c->rows[i];
		const char *split;

		if (row->kind != CULPRIT_NATIVE)
			continue;
		split = strchr(row->pattern, '!');
		if (match(row->pattern, (size_t)(split - row->pattern), name) &&
		    culprits_glob(split + 1, symbol))
			return row;
	}
	return NULL;
}
