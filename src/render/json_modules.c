/* SPDX-License-Identifier: Apache-2.0 */
/* process.modules: what the process is made of */
#include "json.h"

static json_t *list_of(size_t total, json_t *list)
{
	return json_pack("{sI so}", "total", (json_int_t)total, "list", list);
}

static json_t *modified(bool have, const struct source_stat *st)
{
	return have ? json_wall_time((uint64_t)st->modified_ns) : json_null();
}

static json_t *bytes(bool have, const struct source_stat *st)
{
	return have ? json_integer((json_int_t)st->size) : json_null();
}

static json_t *content(bool have, const struct source_stat *st)
{
	return have && st->have_content ? json_sprintf("%016llx", (unsigned long long)st->content)
					: json_null();
}

static json_t *libraries(const struct snap_modules *all)
{
	json_t *list = json_array();

	for (size_t i = 0; i < all->n_libraries; i++) {
		const struct snap_library *l = &all->libraries[i];

		json_array_append_new(list, json_pack("{ss so so so sb}", "path", l->path,
						      "build_id", string(l->build_id), "modified",
						      modified(l->have_stat, &l->stat), "bytes",
						      bytes(l->have_stat, &l->stat), "deleted",
						      l->deleted));
	}
	return list_of(all->libraries_total, list);
}

static json_t *files(const struct snap_modules *all)
{
	json_t *list = json_array();

	for (size_t i = 0; i < all->n_files; i++) {
		const struct snap_file *f = &all->files[i];
		bool newer_known = f->have_stat && f->stat.newer >= 0;

		json_array_append_new(
			list, json_pack("{ss sb so so so so}", "path", f->path, "own", f->own,
					"modified", modified(f->have_stat, &f->stat), "bytes",
					bytes(f->have_stat, &f->stat), "content",
					content(f->have_stat, &f->stat), "newer",
					newer_known ? json_boolean(f->stat.newer) : json_null()));
	}
	return list_of(all->files_total, list);
}

/* Names are keys: a service has a thousand of them, and most have no version. */
static json_t *imports(const struct snap_modules *all)
{
	json_t *names = json_object();

	for (size_t i = 0; i < all->n_imports; i++)
		json_object_set_new(names, all->imports[i].name, string(all->imports[i].version));
	return list_of(all->imports_total, names);
}

json_t *json_modules(const struct snapshot *s)
{
	const struct snap_modules *all = &s->modules;

	if (!all->have_libraries && !all->have_files)
		return json_null();
	return json_pack("{so so so}", "libraries",
			 all->have_libraries ? libraries(all) : json_null(), "files",
			 all->have_files ? files(all) : json_null(), "imports",
			 all->have_imports ? imports(all) : json_null());
}

void json_add_file(json_t *who, const struct snap_detail *d)
{
	bool have = d && d->have_file;

	json_object_set_new(who, "file_modified", modified(have, have ? &d->file : NULL));
	json_object_set_new(who, "file_bytes", bytes(have, have ? &d->file : NULL));
	json_object_set_new(who, "file_content", content(have, have ? &d->file : NULL));
}
