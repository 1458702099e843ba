/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source.c - the cache of one look: every question is asked of the backend once
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "source_private.h"
#include "stallscope/addrsort.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"

/* ---- opening and closing ------------------------------------------------------------------- */

static struct source *over(struct backend *b)
{
	struct source *src = mem_zalloc(1, sizeof(*src));

	src->backend = b;
	pages_init(&src->pages, b);
	strbuf_init(&src->scratch);
	b->references++;
	return src;
}

struct source *source_new(const struct source_ops *ops, void *self, pid_t pid)
{
	struct backend *b = mem_zalloc(1, sizeof(*b));

	b->ops = ops;
	b->self = self;
	b->pid = pid;
	return over(b);
}

struct source *source_again(struct source *src)
{
	return over(src->backend);
}

struct backend *source_backend(const struct source *src)
{
	return src->backend;
}

void source_pin(struct source *src)
{
	struct source *opened, fresh;

	if (src->opened)
		return;
	opened = over(src->backend);
	fresh = *opened;
	*opened = *src;
	*src = fresh;
	src->opened = opened;
}

bool source_is_pinned(const struct source *src)
{
	return src->opened;
}

/*
 * The layers above remember names and line tables of a look that was thrown away, and do not ask
 * for them again: what a look used stays for saving.
 */
void source_keep(struct source *src, const struct source *other)
{
	if (src->opened)
		pages_absorb(&src->opened->pages, &other->pages, true);
}

void source_forget(struct source *src)
{
	if (src->opened)
		pages_absorb(&src->opened->pages, &src->pages, false);
	src->opened_is_old = true;
	src->trimmed = src->n_moved = src->n_stopped = 0;
	pages_forget(&src->pages);
	addrmap_clear(&src->item_index);
	for (size_t i = 0; i < src->n_items; i++)
		free(src->items[i]);
	src->n_items = 0;
}

void source_close(struct source *src)
{
	if (!src)
		return;
	source_close(src->opened);
	src->opened = NULL;
	source_forget(src);
	pages_deinit(&src->pages);
	addrmap_deinit(&src->item_index);
	free(src->items);
	free(src->moved);
	free(src->stopped);
	strbuf_deinit(&src->scratch);
	if (!--src->backend->references) {
		src->backend->ops->close(src->backend->self);
		free(src->backend);
	}
	free(src);
}

/* What opening the target asked answers until the first forget; else NULL. */
static struct source *still_open(const struct source *src)
{
	return src->opened_is_old ? NULL : src->opened;
}

/* ---- memory -------------------------------------------------------------------------------- */

static struct pages *pages_for(struct source *src, uint64_t page)
{
	struct source *opened = still_open(src);

	if (opened && !pages_has(&src->pages, page) && pages_has_data(&opened->pages, page))
		return &opened->pages;
	return &src->pages;
}

static bool page_error(const struct source *src, uint64_t addr, enum page_state state,
		       struct error *err)
{
	if (state == PAGE_FAULT || !err)
		return error_fault(err, addr, EFAULT);
	if (state == PAGE_GONE)
		error_set(err, ERR_GONE, "process %d ended or became another program",
			  (int)src->backend->pid);
	else
		error_set(err, ERR_FAULT,
			  "memory at 0x%" PRIx64
			  " was not read: one look takes no more than %u MiB",
			  addr, SOURCE_MAX_CACHE >> 20);
	err->address = addr;
	return false;
}

static bool read_pages(struct source *src, uint64_t addr, char *out, size_t len, struct error *err)
{
	uint64_t end;

	if (len > SOURCE_MAX_READ || __builtin_add_overflow(addr, len, &end))
		return page_error(src, addr, PAGE_FAULT, err);
	while (len) {
		uint64_t page = addr / SOURCE_PAGE;
		size_t offset = addr % SOURCE_PAGE, part = SOURCE_PAGE - offset;
		enum page_state state;

		if (part > len)
			part = len;
		state = pages_copy(pages_for(src, page), page, offset, out, part);
		if (state != PAGE_READ)
			return page_error(src, addr, state, err);
		out += part;
		addr += part;
		len -= part;
	}
	return true;
}

const void *source_peek(struct source *src, uint64_t addr, size_t len)
{
	size_t offset = addr % SOURCE_PAGE;

	return len && len <= SOURCE_PAGE - offset
		       ? pages_hit(&src->pages, addr / SOURCE_PAGE, offset, len)
		       : NULL;
}

bool source_read(struct source *src, uint64_t addr, void *buf, size_t len, struct error *err)
{
	const void *data = source_peek(src, addr, len);

	if (!data)
		return read_pages(src, addr, buf, len, err);
	memcpy(buf, data, len);
	return true;
}

void source_trim(struct source *src, uint64_t bytes)
{
	if (src->opened || (uint64_t)src->pages.n_slots * SOURCE_PAGE <= bytes)
		return;
	src->trimmed += src->pages.n_pages;
	pages_forget(&src->pages);
}

void source_reread(struct source *src, uint64_t addr, size_t len)
{
	uint64_t last;

	if (!len || len > SOURCE_MAX_READ || __builtin_add_overflow(addr, len - 1, &last))
		return;
	while (len) {
		size_t piece = SOURCE_PAGE - addr % SOURCE_PAGE;

		piece = piece < len ? piece : len;
		pages_reread(pages_for(src, addr / SOURCE_PAGE), addr, piece);
		addr += piece;
		len -= piece;
	}
}

bool source_now(struct source *src, uint64_t addr, void *buf, size_t len)
{
	struct backend *b = src->backend;

	if (b->ops->recorded || pages_in_picture(&src->pages, addr / SOURCE_PAGE))
		return source_read(src, addr, buf, len, NULL);
	b->stats.system_calls++;
	if (b->ops->read(b->self, addr, buf, len) != (ssize_t)len)
		return false;
	b->stats.bytes_read += len;
	return true;
}

void source_adopt(struct source *src, struct source *other, uint64_t addr, size_t len)
{
	char piece[SOURCE_PAGE];

	if (__builtin_add_overflow(addr, len, &(uint64_t){0}))
		return;
	for (size_t n; len; addr += n, len -= n) {
		uint64_t page = addr / SOURCE_PAGE;
		struct pages *into = pages_for(src, page);

		n = SOURCE_PAGE - addr % SOURCE_PAGE;
		n = n < len ? n : len;
		if (!source_read(other, addr, piece, n, NULL))
			continue;
		if (pages_has(into, page))
			pages_patch(into, addr, piece, n);
		else
			pages_take(into, pages_for(other, page), page);
	}
}

/* ---- what moves ---------------------------------------------------------------------------- */

#define NOTE_MOVED "moved"

static void add_address(struct strbuf *text, uint64_t addr)
{
	strbuf_addf(text, "%" PRIx64 "\n", addr);
}

/* A recording cannot be asked again; it says what moved when it was made. */
static bool moved_then(const struct source *src, uint64_t addr)
{
	const struct strbuf *note = source_note(src, NOTE_MOVED);
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	const char *at = note ? note->data : NULL;

	add_address(&line, addr);
	while (at && (at = strstr(at, line.data))) {
		if (at == note->data || at[-1] == '\n')
			return true;
		at++;
	}
	return false;
}

static bool is_as_known(struct source *src, uint64_t addr, size_t len)
{
	char now[SOURCE_PAGE], known[SOURCE_PAGE];

	return len <= sizeof(now) && source_read(src, addr, known, len, NULL) &&
	       source_now(src, addr, now, len) && !memcmp(now, known, len);
}

/* The last answer counts: what was asked again is asked once of the recording. */
static void remember_moved(struct source *src, uint64_t addr, bool moved)
{
	size_t i = 0;

	while (i < src->n_moved && src->moved[i] != addr)
		i++;
	if (moved && i == src->n_moved)
		*array_push(&src->moved, &src->n_moved, &src->moved_cap) = addr;
	else if (!moved && i < src->n_moved)
		src->moved[i] = src->moved[--src->n_moved];
}

bool source_unchanged(struct source *src, uint64_t addr, size_t len)
{
	bool same;

	if (src->backend->ops->recorded)
		return !moved_then(src, addr);
	same = is_as_known(src, addr, len);
	remember_moved(src, addr, !same);
	return same;
}

void source_moved(const struct source *src, struct source_note *ret, struct strbuf *text)
{
	for (size_t i = 0; i < src->n_moved; i++)
		add_address(text, src->moved[i]);
	*ret = (struct source_note){NOTE_MOVED, text->data, text->len};
}

/* ---- many at once -------------------------------------------------------------------------- */

void source_prefetch(struct source *src, uint64_t *addrs, size_t n, size_t len)
{
	struct extent x = {0};
	uint64_t next = 0, last;

	if (!n || !len || len > SOURCE_MAX_READ)
		return;
	addr_sort(addrs, n);
	for (size_t i = 0; i < n && !__builtin_add_overflow(addrs[i], len - 1, &last); i++) {
		uint64_t page = addrs[i] / SOURCE_PAGE;

		for (page = page < next ? next : page; page <= last / SOURCE_PAGE; page++)
			if (!pages_has(pages_for(src, page), page))
				pages_want(&src->pages, &x, page);
		next = page;
	}
	pages_read_extent(&src->pages, &x);
}

/* ---- everything else, by key --------------------------------------------------------------- */

static uint64_t hash_key(enum item_kind kind, const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)kind;

	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return hash;
}

/* The item, or NULL and *hash is where it is to be put. Equal hashes take the next numbers. */
static struct item *own_item(const struct source *src, enum item_kind kind, const char *key,
			     uint64_t *hash)
{
	for (*hash = hash_key(kind, key);; ++*hash) {
		uint32_t i = addrmap_get(&src->item_index, *hash);

		if (i == ADDRMAP_NONE)
			return NULL;
		if (src->items[i]->kind == kind && !strcmp(src->items[i]->key, key))
			return src->items[i];
	}
}

static struct item *find_item(const struct source *src, enum item_kind kind, const char *key,
			      uint64_t *hash)
{
	const struct source *opened = still_open(src);
	struct item *item = own_item(src, kind, key, hash);
	uint64_t other;

	return item || !opened ? item : own_item(opened, kind, key, &other);
}

/* One allocation: the item, len bytes of data to be filled in, the key. */
static struct item *make_item(enum item_kind kind, const char *key, size_t len)
{
	size_t key_size = strlen(key) + 1;
	struct item *item = mem_alloc(sizeof(*item) + len + 1 + key_size);
	char *data = (char *)(item + 1);

	data[len] = 0;
	*item = (struct item){kind, ERR_OK, false, {data, len, 0}, data + len + 1};
	memcpy(item->key, key, key_size);
	return item;
}

static struct item *put_item(struct source *src, struct item *item, uint64_t hash)
{
	addrmap_put(&src->item_index, hash, (uint32_t)src->n_items);
	*array_push(&src->items, &src->n_items, &src->items_cap) = item;
	return item;
}

static struct item *put_answer(struct source *src, enum item_kind kind, const char *key,
			       uint64_t hash, const struct strbuf *text)
{
	struct item *item = make_item(kind, key, text->len);

	memcpy(item->data.data, text->data, text->len);
	return put_item(src, item, hash);
}

/* That there is no answer is remembered too. Gives the full error this once. */
static bool put_failure(struct source *src, enum item_kind kind, const char *key, uint64_t hash,
			const struct error *why, struct error *err)
{
	struct item *item = make_item(kind, key, strlen(why->text));

	memcpy(item->data.data, why->text, item->data.len);
	item->code = why->code;
	put_item(src, item, hash);
	if (err)
		*err = *why;
	return false;
}

static bool same_failure(const struct item *item, struct error *err)
{
	return error_set(err, item->code, "%s", item->data.data);
}

bool source_proc(struct source *src, const char *path, const struct strbuf **ret, struct error *err)
{
	struct backend *b = src->backend;
	uint64_t hash;
	struct item *item = find_item(src, ITEM_PROC, path, &hash);

	if (!item) {
		struct error why;

		strbuf_reset(&src->scratch);
		b->stats.system_calls++;
		if (!b->ops->proc(b->self, path, &src->scratch, &why))
			return put_failure(src, ITEM_PROC, path, hash, &why, err);
		b->stats.bytes_read += src->scratch.len;
		item = put_answer(src, ITEM_PROC, path, hash, &src->scratch);
	}
	if (item->code != ERR_OK)
		return same_failure(item, err);
	*ret = &item->data;
	return true;
}

/* Cuts the next component out of *path; NULL at the end. */
static const char *next_component(const char **path, size_t *len)
{
	const char *p = *path + strspn(*path, "/");

	*len = strcspn(p, "/");
	*path = p + *len;
	return *len ? p : NULL;
}

static bool is_name(const char *p, size_t len, const char *name)
{
	return strlen(name) == len && !memcmp(p, name, len);
}

/* Links of /proc that the kernel follows to where no path leads; these may only be the last. */
static bool is_magic(const char *p, size_t len, bool in_links)
{
	return in_links || is_name(p, len, "root") || is_name(p, len, "cwd") ||
	       is_name(p, len, "exe");
}

static bool is_host_path(const char *path)
{
	bool magic = false, in_links = false, in_proc = !strncmp(path, "/proc/", 6);
	const char *p;
	size_t len;

	if (!in_proc && strncmp(path, "/sys/fs/cgroup/", 15) != 0)
		return false;
	while ((p = next_component(&path, &len))) {
		if (magic || is_name(p, len, "..") || is_name(p, len, "."))
			return false;
		magic = in_proc && is_magic(p, len, in_links);
		in_links = is_name(p, len, "fd") || is_name(p, len, "map_files") ||
			   is_name(p, len, "ns");
	}
	return !magic || path[-1] != '/';
}

bool source_host(struct source *src, const char *path, const struct strbuf **ret, struct error *err)
{
	char name[256];

	if (strlen(path) < PATH_MAX && is_host_path(path + (path[0] == '@')))
		return source_proc(src, path, ret, err);
	return error_set(err, ERR_ABSENT, "%s is not a file that is read of the host",
			 safe_for_message(name, sizeof(name), path));
}

void source_file_key(struct strbuf *key, const struct source_file *file, uint64_t offset,
		     size_t len)
{
	strbuf_addf(key, "%" PRIx64 "+%zx %s%s", offset, len, file->path,
		    file->deleted ? " (deleted)" : "");
}

void source_line_key(struct strbuf *key, const char *path, uint32_t line)
{
	strbuf_addf(key, "%" PRIu32 " %s", line, path);
}

bool source_file_read(struct source *src, const struct source_file *file, uint64_t offset,
		      void *buf, size_t len, struct error *err)
{
	cleanup_strbuf struct strbuf key = STRBUF_INIT;
	struct backend *b = src->backend;
	struct item *item;
	uint64_t hash;

	if (len > SOURCE_MAX_TEXT)
		return error_set(err, ERR_CORRUPT, "a piece of %zu bytes of a file", len);
	source_file_key(&key, file, offset, len);
	item = find_item(src, ITEM_FILE, key.data, &hash);
	if (!item) {
		struct error why;

		item = make_item(ITEM_FILE, key.data, len);
		b->stats.system_calls++;
		if (!b->ops->file_read(b->self, file, offset, item->data.data, len, &why)) {
			free(item);
			return put_failure(src, ITEM_FILE, key.data, hash, &why, err);
		}
		b->stats.bytes_read += len;
		put_item(src, item, hash);
	}
	if (item->code != ERR_OK)
		return same_failure(item, err);
	memcpy(buf, item->data.data, len);
	return true;
}

int source_file_open(struct source *src, const struct source_file *file, struct error *err)
{
	return src->backend->ops->file_open(src->backend->self, file, err);
}

bool source_line(struct source *src, const char *path, uint32_t line, struct strbuf *out,
		 bool *newer, struct error *err)
{
	cleanup_strbuf struct strbuf key = STRBUF_INIT;
	struct backend *b = src->backend;
	struct item *item;
	uint64_t hash;

	source_line_key(&key, path, line);
	item = find_item(src, ITEM_LINE, key.data, &hash);
	if (!item) {
		struct error why;
		bool changed = false;

		strbuf_reset(&src->scratch);
		b->stats.system_calls++;
		if (!b->ops->line(b->self, path, line, &src->scratch, &changed, &why))
			return put_failure(src, ITEM_LINE, key.data, hash, &why, err);
		b->stats.bytes_read += src->scratch.len;
		item = put_answer(src, ITEM_LINE, key.data, hash, &src->scratch);
		item->newer = changed;
	}
	if (item->code != ERR_OK)
		return same_failure(item, err);
	strbuf_add(out, item->data.data, item->data.len);
	*newer = item->newer;
	return true;
}

/* ---- the rest ------------------------------------------------------------------------------ */

uint64_t source_clock(const struct source *src)
{
	return src->backend->ops->clock(src->backend->self);
}

uint64_t source_wall_clock(const struct source *src)
{
	return src->backend->ops->wall_clock(src->backend->self);
}

bool source_alive(const struct source *src)
{
	return src->backend->ops->alive(src->backend->self);
}

bool source_is_recorded(const struct source *src)
{
	return src->backend->ops->recorded;
}

pid_t source_pid(const struct source *src)
{
	return src->backend->pid;
}

const struct strbuf *source_note(const struct source *src, const char *name)
{
	return src->backend->ops->note(src->backend->self, name);
}

struct source_stats source_get_stats(const struct source *src)
{
	const struct backend *b = src->backend;
	struct source_stats stats = b->stats;

	if (b->ops->calls)
		stats.system_calls = b->ops->calls(b->self);
	stats.trimmed = src->trimmed;
	stats.pages = src->pages.n_pages + (src->opened ? src->opened->pages.n_pages : 0);
	return stats;
}

/* ---- what a look was made of --------------------------------------------------------------- */

const struct item *source_item(const struct source *src, enum item_kind kind, const char *key)
{
	uint64_t hash;
	const struct item *item = own_item(src, kind, key, &hash);

	return item || !src->opened ? item : own_item(src->opened, kind, key, &hash);
}

const struct item **source_items(const struct source *src, size_t *n)
{
	const struct source *opened = src->opened;
	size_t most = src->n_items + (opened ? opened->n_items : 0);
	const struct item **items = mem_realloc(NULL, most + 1, sizeof(*items));
	uint64_t hash;

	*n = 0;
	for (size_t i = 0; opened && i < opened->n_items; i++)
		if (!own_item(src, opened->items[i]->kind, opened->items[i]->key, &hash))
			items[(*n)++] = opened->items[i];
	for (size_t i = 0; i < src->n_items; i++)
		items[(*n)++] = src->items[i];
	return items;
}

static int by_address(const void *a, const void *b)
{
	const struct quarter *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

struct quarter *source_quarters(const struct source *src, size_t *n)
{
	const struct source *opened = src->opened;
	size_t most = (size_t)src->pages.n_slots + (opened ? opened->pages.n_slots : 0);
	struct quarter *list = mem_realloc(NULL, 4 * most + 1, sizeof(*list));

	*n = 0;
	pages_list(&src->pages, NULL, list, n);
	if (opened)
		pages_list(&opened->pages, &src->pages, list, n);
	qsort(list, *n, sizeof(*list), by_address);
	return list;
}

const char *safe_for_message(char *out, size_t size, const char *text)
{
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;

	utf8_add_safe(&safe, text, strlen(text), size / 4);
	utf8_copy(out, size, safe.data);
	return out;
}

/* ---- what a user names ------------------------------------------------------------------------
 */

bool source_names_process(const char *argument)
{
	for (const char *p = argument; *p; p++)
		if (!isdigit((unsigned char)*p))
			return false;
	return *argument != 0;
}

bool source_open(const char *argument, struct source **ret, struct error *err)
{
	long pid;

	if (!source_names_process(argument))
		return source_open_core(argument, ret, err);
	errno = 0;
	pid = strtol(argument, NULL, 10);
	if (errno || pid <= 0 || pid > INT32_MAX)
		return error_set(err, ERR_NO_PROCESS, "no process with pid %s", argument);
	return source_open_live((pid_t)pid, ret, err);
}
