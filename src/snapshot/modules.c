/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules.c - libraries, source files and imported modules of a process
 *
 * Asked of a snapshot that is there, for those who compare it with another one. It takes some
 * milliseconds, most of them for the names in sys.modules.
 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "stallscope/elf.h"
#include "stallscope/utf8.h"

#define PATH_CHARS    400u
#define NAME_CHARS    200u
#define VERSION_CHARS 60u
#define HEADER	      4096u   /* of an object: all that its build id is found by, as a rule */
#define VERSION_LOADS 2000000 /* honest ones need some thousands: modules may be forged tables */
#define TRIES	      3	      /* at a dict that is changed meanwhile */

static const char *safe(struct snapshot *s, const char *text, size_t chars)
{
	cleanup_strbuf struct strbuf out = STRBUF_INIT;

	utf8_add_safe(&out, text, strlen(text), chars);
	return arena_strndup(&s->arena, out.data, out.len);
}

/* ---- libraries ------------------------------------------------------------------------------- */

/* memfd, shared memory and devices are no files that a package would replace. */
static bool is_named(const struct mapping *m)
{
	static const char *const other[] = {"/memfd:", "/dev/", "/SYSV", "/anon_hugepage"};

	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (!strncmp(m->file.path, other[i], strlen(other[i])))
			return false;
	return m->file.path[0] == '/';
}

/* The maps of a core that others made do not say what is code: an ELF object is. */
static bool know_code(const struct maps *maps)
{
	for (size_t i = 0; i < maps->n; i++)
		if (is_named(&maps->v[i]) && maps->v[i].perms & MAP_X)
			return true;
	return false;
}

static bool has_code(struct source *src, const struct maps *maps, const struct mapping *m,
		     bool known)
{
	struct elf_module mod;

	if (known || !is_named(m))
		return is_named(m) && m->perms & MAP_X;
	return m->offset == 0 &&
	       (strstr(m->file.path, ".so") || elf_module_open(src, maps, m, &mod, NULL));
}

static bool same_file(const struct mapping *a, const struct mapping *b)
{
	return a->file.inode == b->file.inode && a->file.dev_major == b->file.dev_major &&
	       a->file.dev_minor == b->file.dev_minor && !strcmp(a->file.path, b->file.path);
}

static int by_file(const void *a, const void *b)
{
	const struct mapping *x = *(const struct mapping *const *)a;
	const struct mapping *y = *(const struct mapping *const *)b;
	int order = strcmp(x->file.path, y->file.path);

	if (order)
		return order;
	if (x->file.inode != y->file.inode)
		return x->file.inode < y->file.inode ? -1 : 1;
	return x->file.start < y->file.start ? -1 : x->file.start > y->file.start;
}

/*
 * For each file with code the mapping that its header is in, or the first one with code. Sorted by
 * path; freed by the caller.
 */
static const struct mapping **find_libraries(struct source *src, const struct maps *maps, size_t *n)
{
	const struct mapping **list = mem_alloc((maps->n + 1) * sizeof(*list)), *head = NULL;
	size_t found = 0, kept = 0;
	bool known = know_code(maps);

	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];

		if (m->offset == 0)
			head = m;
		if (has_code(src, maps, m, known))
			list[found++] = head && same_file(head, m) ? head : m;
	}
	qsort(list, found, sizeof(*list), by_file);
	for (size_t i = 0; i < found; i++)
		if (!kept || !same_file(list[kept - 1], list[i]))
			list[kept++] = list[i];
	*n = kept;
	return list;
}

static const char *build_id_of(struct snapshot *s, struct source *src, const struct mapping *m)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct elf_module mod;

	if (!elf_module_open(src, &s->process->maps, m, &mod, NULL) || !mod.build_id_len)
		return NULL;
	for (unsigned i = 0; i < mod.build_id_len; i++)
		strbuf_addf(&text, "%02x", mod.build_id[i]);
	return arena_strndup(&s->arena, text.data, text.len);
}

static void prefetch_headers(struct source *src, const struct mapping **list, size_t n)
{
	uint64_t *addrs = mem_alloc((n + 1) * sizeof(*addrs));

	for (size_t i = 0; i < n; i++)
		addrs[i] = list[i]->file.start;
	source_prefetch(src, addrs, n, HEADER);
	free(addrs);
}

static void read_libraries(struct snapshot *s, struct source *src)
{
	struct snap_modules *all = &s->modules;
	size_t n;
	const struct mapping **list = find_libraries(src, &s->process->maps, &n);

	all->have_libraries = true;
	all->libraries_total = n;
	all->n_libraries = n < SNAP_MAX_LIBRARIES ? n : SNAP_MAX_LIBRARIES;
	all->libraries = arena_alloc(&s->arena, all->n_libraries * sizeof(*all->libraries));
	prefetch_headers(src, list, all->n_libraries);
	for (size_t i = 0; i < all->n_libraries; i++) {
		struct snap_library *l = &all->libraries[i];

		l->path = safe(s, list[i]->file.path, PATH_CHARS);
		l->build_id = build_id_of(s, src, list[i]);
		l->deleted = list[i]->file.deleted;
		l->have_stat = source_mapped_stat(src, &list[i]->file, &l->stat, NULL);
	}
	free(list);
}

/* ---- files ----------------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
	const struct snap_code *x = *(const struct snap_code *const *)a;
	const struct snap_code *y = *(const struct snap_code *const *)b;

	return x->own != y->own ? (x->own ? -1 : 1) : strcmp(x->file, y->file);
}

/* The codes of the snapshot, one for each file; freed by the caller. */
static const struct snap_code **find_files(const struct snapshot *s, size_t *n)
{
	const struct snap_code **list = mem_alloc((s->n_codes + 1) * sizeof(*list));
	size_t found = 0, kept = 0;

	for (size_t i = 0; i < s->n_codes; i++)
		if (s->codes[i].file[0] && s->codes[i].file[0] != '<')
			list[found++] = &s->codes[i];
	qsort(list, found, sizeof(*list), by_path);
	for (size_t i = 0; i < found; i++)
		if (!kept || strcmp(list[kept - 1]->file, list[i]->file) != 0)
			list[kept++] = list[i];
	*n = kept;
	return list;
}

void snapshot_files(struct snapshot *s, struct source *src)
{
	struct snap_modules *all = &s->modules;
	size_t n;
	const struct snap_code **list = find_files(s, &n);

	all->have_files = true;
	all->files_total = n;
	all->n_files = n < SNAP_MAX_FILES ? n : SNAP_MAX_FILES;
	all->files = arena_alloc(&s->arena, all->n_files * sizeof(*all->files));
	for (size_t i = 0; i < all->n_files; i++) {
		struct snap_file *f = &all->files[i];
		bool content = list[i]->own && !s->redacted && i < SNAP_MAX_CONTENTS;

		f->path = list[i]->file;
		f->own = list[i]->own;
		f->have_stat = source_stat(src, f->path, content, &f->stat, NULL);
	}
	free(list);
}

/* ---- imports --------------------------------------------------------------------------------- */

struct import {
	uint64_t name, module;
};

/* Keys and values of sys.modules as they are now, not all when they are too many; to be freed. */
static struct import *read_entries(struct python *py, uint64_t dict, size_t *n)
{
	struct import *list = NULL;
	struct py_iter it;
	size_t cap = 0;
	uint64_t key, value;

	*n = 0;
	if (py_dict_begin(py, dict, &it))
		while (*n < SNAP_MAX_IMPORTS && py_iter_next(py, &it, &key, &value))
			*array_push(&list, n, &cap) = (struct import){key, value};
	return list;
}

static void prefetch_words(struct source *src, const struct import *list, size_t n, bool modules)
{
	uint64_t *addrs = mem_alloc((n + 1) * sizeof(*addrs));

	for (size_t i = 0; i < n; i++)
		addrs[i] = modules ? list[i].module : list[i].name;
	source_prefetch(src, addrs, n, 96);
	free(addrs);
}

/* What packages call their version, if it is text. */
static const char *version_of(struct snapshot *s, struct python *py, uint64_t module)
{
	static const char *const names[] = {"__version__"};
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	uint64_t value = 0, dict = 0;

	if (!strcmp(py_object_type_name(py, module), "module"))
		dict = rd_u64(&py->rd, module + py->layout.field[F_MODULE_DICT].offset);
	if (dict && py_dict_lookup(py, dict, names, 1, &value) && value &&
	    py_str(py, value, &text, VERSION_CHARS)) {
		rd_take(&py->rd);
		return arena_strndup(&s->arena, text.data, text.len);
	}
	rd_take(&py->rd);
	return NULL;
}

/* False: a name could not be read, which a key that is no str does not count as. */
static bool take_names(struct snapshot *s, struct python *py, const struct import *list, size_t n)
{
	struct snap_modules *all = &s->modules;
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	uint64_t enough = py->rd.loads + VERSION_LOADS;

	all->n_imports = 0;
	for (size_t i = 0; i < n; i++) {
		bool inside;

		strbuf_reset(&name);
		if (!py_str(py, list[i].name, &name, NAME_CHARS)) {
			bool corrupt = py->rd.corrupt;

			rd_take(&py->rd);
			if (corrupt)
				continue;
			return false;
		}
		inside = strchr(name.data, '.') || py->rd.loads > enough;
		all->imports[all->n_imports++] =
			(struct snap_import){arena_strndup(&s->arena, name.data, name.len),
					     inside ? NULL : version_of(s, py, list[i].module)};
	}
	return true;
}

/* Names are added behind the others; a table that had to grow is another one, elsewhere. */
static bool read_imports_once(struct snapshot *s, struct python *py)
{
	struct snap_modules *all = &s->modules;
	uint64_t keys = s->sys_modules + py->layout.field[F_MA_KEYS].offset;
	size_t n;
	struct import *list = read_entries(py, s->sys_modules, &n);
	uint64_t used = py_dict_len(py, s->sys_modules);
	bool ok = !rd_take(&py->rd) && n && used <= PY_MAX_ENTRIES;

	all->imports_total = n < used ? (size_t)used : n;
	if (ok) {
		all->imports = arena_alloc(&s->arena, n * sizeof(*all->imports));
		prefetch_words(py->rd.src, list, n, false);
		prefetch_words(py->rd.src, list, n, true);
		ok = take_names(s, py, list, n) && source_unchanged(py->rd.src, keys, 8);
	}
	free(list);
	return ok;
}

/* A recording that was made so brings them along: their memory is many pages, and is not in it. */
static void noted_imports(struct snapshot *s, const struct strbuf *note)
{
	struct snap_modules *all = &s->modules;
	size_t room = 0;

	for (const char *p = note->data; (p = strchr(p, '\n')); p++)
		room++;
	all->imports_total = strtoul(note->data, NULL, 10);
	all->imports = arena_alloc(&s->arena, room * sizeof(*all->imports) + 1);
	for (const char *p = strchr(note->data, '\n'), *end;
	     p && (end = strchr(p + 1, '\n')) && all->n_imports < SNAP_MAX_IMPORTS; p = end) {
		char *name = arena_strndup(&s->arena, p + 1, (size_t)(end - p - 1));
		char *tab = strchr(name, '\t');

		if (tab)
			*tab++ = 0;
		all->imports[all->n_imports++] = (struct snap_import){
			safe(s, name, NAME_CHARS), tab ? safe(s, tab, VERSION_CHARS) : NULL};
	}
	all->have_imports =
		all->imports_total >= all->n_imports && all->imports_total <= UINT32_MAX;
}

void snapshot_imports_write(const struct snapshot *snap, struct strbuf *out)
{
	const struct snap_modules *all = &snap->modules;

	if (!all->have_imports)
		return;
	strbuf_addf(out, "%zu\n", all->imports_total);
	for (size_t i = 0; i < all->n_imports; i++)
		strbuf_addf(out, "%s%s%s\n", all->imports[i].name,
			    all->imports[i].version ? "\t" : "",
			    all->imports[i].version ? all->imports[i].version : "");
}

static void find_imports(struct snapshot *s, struct python *py)
{
	struct snap_modules *all = &s->modules;

	for (int i = 0; i < TRIES && s->sys_modules && !all->have_imports; i++) {
		if (i)
			source_reread(py->rd.src, s->sys_modules, 64);
		all->have_imports = read_imports_once(s, py);
	}
}

/* Through a source of its own: a look that is saved need not have all of that. */
static void read_imports(struct snapshot *s, struct python *py)
{
	struct snap_modules *all = &s->modules;
	struct source *src = py->rd.src, *light;
	const struct strbuf *note = source_note(src, SNAP_NOTE_IMPORTS);

	if (note) {
		noted_imports(s, note);
	} else if (source_is_recorded(src)) {
		find_imports(s, py);
	} else {
		light = source_again(src);
		python_new_look(py, light);
		find_imports(s, py);
		python_new_look(py, src);
		source_close(light);
	}
	if (!all->have_imports)
		all->n_imports = all->imports_total = 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

void snapshot_modules(struct snapshot *snap, struct python *py)
{
	struct source *src = py->rd.src;
	struct source_stats stats;

	read_libraries(snap, src);
	snapshot_files(snap, src);
	if (!snap->redacted)
		read_imports(snap, py);
	else
		redact_modules(snap);
	stats = source_get_stats(src);
	snap->stats.bytes_read = stats.bytes_read; /* what reading took, not what a stop did */
	snap->stats.system_calls = stats.system_calls;
}

static uint64_t mix(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return (hash ^ 0x100) * UINT64_C(0x100000001b3);
}

uint64_t snapshot_modules_digest(const struct snapshot *snap)
{
	const struct snap_modules *all = &snap->modules;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < all->n_libraries; i++) {
		hash = mix(mix(hash, all->libraries[i].path), all->libraries[i].build_id);
		hash ^= all->libraries[i].deleted;
	}
	for (size_t i = 0; i < all->n_imports; i++)
		hash = mix(mix(hash, all->imports[i].name), all->imports[i].version);
	return hash;
}
