/* SPDX-License-Identifier: Apache-2.0 */
/* What processes are made of, out of one document. What is told last counts. */
#include "build.h"

static double time_of(const json_t *object, const char *key)
{
	const char *text = member_text(object, key);

	return text ? history_time(text) : NAN;
}

static double started(const json_t *document)
{
	return time_of(json_object_get(document, "process"), "started");
}

/* The array of a list, and whether it is all of it. NULL: there is none. */
static const json_t *list_of(struct history *h, const json_t *modules, const char *key,
			     enum history_module_kind kind)
{
	const json_t *part = json_object_get(modules, key), *list = json_object_get(part, "list");
	int64_t total = member_integer(part, "total");
	size_t n = json_is_object(list) ? json_object_size(list) : json_array_size(list);

	if (!json_is_array(list) && !json_is_object(list))
		return NULL;
	h->whole[kind] = (!h->listed[kind] || h->whole[kind]) && total == (int64_t)n;
	h->listed[kind] = true;
	return list;
}

static void take_libraries(struct history *h, const json_t *modules, double began)
{
	const json_t *list = list_of(h, modules, "libraries", HISTORY_LIBRARY), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *path = member_text(item, "path");
		struct history_module *m =
			path ? history_module_of(h, HISTORY_LIBRARY, path) : NULL;

		if (!m)
			continue;
		m->version = history_text(h, member_text(item, "build_id"));
		m->modified = time_of(item, "modified");
		m->bytes = member_integer(item, "bytes");
		m->stale = json_is_true(json_object_get(item, "deleted"));
		m->started = began;
	}
}

static void take_files(struct history *h, const json_t *modules, double began)
{
	const json_t *list = list_of(h, modules, "files", HISTORY_SOURCE), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *path = member_text(item, "path");
		struct history_module *m = path ? history_module_of(h, HISTORY_SOURCE, path) : NULL;

		if (!m)
			continue;
		m->version = history_text(h, member_text(item, "content"));
		m->modified = time_of(item, "modified");
		m->bytes = member_integer(item, "bytes");
		m->own = json_is_true(json_object_get(item, "own"));
		m->stale = json_is_true(json_object_get(item, "newer"));
		m->started = began;
	}
}

static void take_imports(struct history *h, const json_t *modules, double began)
{
	const json_t *list = list_of(h, modules, "imports", HISTORY_IMPORT), *version;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)list, name, version)
	{
		struct history_module *m = history_module_of(h, HISTORY_IMPORT, name);

		if (!m)
			continue;
		m->version = history_text(h, json_string_value(version));
		m->started = began;
	}
}

void history_take_modules(struct history *h, const json_t *document)
{
	const json_t *modules = json_object_get(json_object_get(document, "process"), "modules");

	if (!json_is_object(modules))
		return;
	take_libraries(h, modules, started(document));
	take_files(h, modules, started(document));
	take_imports(h, modules, started(document));
}

void history_take_holder_file(struct history *h, const json_t *document, const json_t *who)
{
	const char *path = member_text(who, "file"), *content = member_text(who, "file_content");
	struct history_module *m;

	if (!path || !member_text(who, "file_modified"))
		return;
	m = history_module_of(h, HISTORY_SOURCE, path);
	if (!m)
		return;
	m->version = history_text(h, content);
	m->modified = time_of(who, "file_modified");
	m->bytes = member_integer(who, "file_bytes");
	m->own |= content != NULL; /* of others it is not read */
	m->stale = json_is_true(json_object_get(who, "source_newer"));
	m->started = started(document);
}
