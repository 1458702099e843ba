/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define GAP_PAGES 1u /* read along between two wanted pages */

struct source {
	struct backend *backend;
	struct pages pages;
	struct item **items; /* each stays where it is: answers are handed out */
	size_t n_items, items_cap;
	struct addrmap item_index; /* hash of kind and key -> newest item with it */
	struct source *pinned; /* what opening the target asked; answers until the first forget */
	bool pinned_is_old;
};

/* ---- opening and closing -------------------------------------------------------------------- */

static struct source *over(struct backend *backend)
{
	struct source *src = mem_zalloc(1, sizeof(*src));

	src->backend = src->pages.backend = backend;
	backend->references++;
	return src;
}

struct source *source_new(const struct source_ops *ops, void *self, pid_t pid)
{
	struct backend *backend = mem_zalloc(1, sizeof(*backend));

	backend->ops = ops;
	backend->self = self;
	backend->pid = pid;
	return over(backend);
}

struct source *source_again(struct source *src)
{
	return over(src->backend);
}

static void drop_items(struct source *src)
{
	for (size_t i = 0; i < src->n_items; i++) {
		free(src->items[i]->key);
		strbuf_deinit(&src->items[i]->data);
		free(src->items[i]);
	}
	src->n_items = 0;
	addrmap_clear(&src->item_index);
}

void source_pin(struct source *src)
{
	struct source *pinned;

	if (src->pinned)
		return;
	pinned = over(src->backend);
	*pinned = *src;
	*src = (struct source){.backend = pinned->backend, .pinned = pinned};
	src->pages.backend = pinned->backend;
}

void source_forget(struct source *src)
{
	src->pinned_is_old = true;
	pages_forget(&src->pages);
	drop_items(src);
}

void source_close(struct source *src)
{
	if (!src)
		return;
	source_close(src->pinned);
	drop_items(src);
	free(src->items);
	addrmap_deinit(&src->item_index);
	pages_deinit(&src->pages);
	if (!--src->backend->references) {
		src->backend->ops->close(src->backend->self);
		free(src->backend);
	}
	free(src);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

/* The cache that answers for a page: what opening the target read does until the first forget. */
static struct pages *pages_for(struct source *src, uint64_t page)
{
	if (src->pinned && !src->pinned_is_old && !pages_has(&src->pages, page) &&
	    pages_has_data(&src->pinned->pages, page))
		return &src->pinned->pages;
	return &src->pages;
}

void source_reread(struct source *src, uint64_t addr, size_t len)
{
	for (uint64_t page = addr / SOURCE_PAGE; page <= (addr + len - 1) / SOURCE_PAGE; page++)
		pages_reread(pages_for(src, page), page);
}

bool source_read(struct source *src, uint64_t addr, void *buf, size_t len, struct error *err)
{
	char *out = buf;
	uint64_t end;

	if (len > SOURCE_MAX_READ || __builtin_add_overflow(addr, len, &end))
		return error_fault(err, addr, EFAULT);
	while (len) {
		uint64_t page = addr / SOURCE_PAGE;
		size_t offset = addr % SOURCE_PAGE, part = SOURCE_PAGE - offset;

		if (part > len)
			part = len;
		if (!pages_copy(pages_for(src, page), page, offset, out, part))
			return error_fault(err, addr, EFAULT);
		out += part;
		addr += part;
		len -= part;
	}
	return true;
}

/* ---- many at once
 * -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool cached(struct source *src, uint64_t page)
{
	return pages_has(pages_for(src, page), page);
}

void source_prefetch(struct source *src, uint64_t *addrs, size_t n, size_t len)
{
	uint64_t begin = 0, end = 0; /* pages [begin, end) of the present extent */

	if (!n || !len)
		return;
	qsort(addrs, n, sizeof(*addrs), by_value);
	for (size_t i = 0; i < n; i++) {
		uint64_t last, page = addrs[i] / SOURCE_PAGE;

		if (__builtin_add_overflow(addrs[i], len - 1, &last))
			continue;
		for (; page <= last / SOURCE_PAGE; page++) {
			if (page < end || cached(src, page))
				continue;
			if (end && page <= end + GAP_PAGES && page < begin + PAGES_EXTENT) {
				end = page + 1;
				continue;
			}
			if (end)
				pages_read_extent(&src->pages, begin, (uint32_t)(end - begin));
			begin = page;
			end = page + 1;
		}
	}
	if (end)
		pages_read_extent(&src->pages, begin, (uint32_t)(end - begin));
}

/* ---- everything else, by key --------------------------------------------------------------------
 */

/* FNV-1a; items of one hash form a chain. */
static uint64_t item_hash(enum item_kind kind, const char *key)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)kind;

	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return hash;
}

static struct item *own_item(const struct source *src, enum item_kind kind, const char *key)
{
	uint32_t i = addrmap_get(&src->item_index, item_hash(kind, key));

	while (i != ADDRMAP_NONE &&
	       (src->items[i]->kind != kind || strcmp(src->items[i]->key, key) != 0))
		i = src->items[i]->next;
	return i == ADDRMAP_NONE ? NULL : src->items[i];
}

static struct item *find_item(const struct source *src, enum item_kind kind, const char *key)
{
	struct item *item = own_item(src, kind, key);

	return item || !src->pinned || src->pinned_is_old ? item : own_item(src->pinned, kind, key);
}

static struct item *new_item(struct source *src, enum item_kind kind, const char *key)
{
	struct item *item = mem_zalloc(1, sizeof(*item));
	uint64_t hash = item_hash(kind, key);

	item->kind = kind;
	item->key = mem_alloc(strlen(key) + 1);
	strcpy(item->key, key);
	strbuf_init(&item->data);
	item->next = addrmap_get(&src->item_index, hash);
	addrmap_put(&src->item_index, hash, (uint32_t)src->n_items);
	*array_push(&src->items, &src->n_items, &src->items_cap) = item;
	return item;
}

static bool answer(const struct item *item, struct error *err)
{
	if (!item->failed)
		return true;
	return error_set(err, item->code, "%s cannot be read", item->key);
}

bool source_proc(struct source *src, const char *path, const struct strbuf **ret, struct error *err)
{
	struct item *item = find_item(src, ITEM_PROC, path);
	struct backend *b = src->backend;
	struct error why;

	if (!item) {
		struct strbuf text = STRBUF_INIT;
		bool ok = b->ops->proc(b->self, path, &text, &why);

		b->stats.system_calls += 3; /* open, read, close */
		b->stats.bytes_read += text.len;
		item = new_item(src, ITEM_PROC, path);
		item->data = text;
		item->failed = !ok;
		item->code = ok ? ERR_OK : why.code;
		if (!ok) {
			if (err)
				*err = why;
			return false;
		}
	}
	if (!answer(item, err))
		return false;
	*ret = &item->data;
	return true;
}

void source_file_key(struct strbuf *key, const struct source_file *file, uint64_t offset,
		     size_t len)
{
	strbuf_addf(key, "%" PRIx64 "+%zx %s", offset, len, file->path);
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
	bool ok;

	if (len > SOURCE_MAX_TEXT)
		return error_set(err, ERR_CORRUPT, "%s: a piece of %zu bytes", file->path, len);
	source_file_key(&key, file, offset, len);
	item = find_item(src, ITEM_FILE, key.data);
	if (!item) {
		item = new_item(src, ITEM_FILE, key.data);
		ok = b->ops->file_read(b->self, file, offset, strbuf_room(&item->data, len), len,
				       err);
		b->stats.system_calls++;
		strbuf_setlen(&item->data, ok ? len : 0);
		item->failed = !ok;
		item->code = ok ? ERR_OK : ERR_ABSENT;
		if (!ok)
			return false;
	}
	if (!answer(item, err))
		return false;
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

	source_line_key(&key, path, line);
	item = find_item(src, ITEM_LINE, key.data);
	if (!item) {
		item = new_item(src, ITEM_LINE, key.data);
		item->failed = !b->ops->line(b->self, path, line, &item->data, &item->newer, err);
		item->code = item->failed ? ERR_ABSENT : ERR_OK;
		b->stats.system_calls += 4;
		if (item->failed)
			return false;
	}
	if (!answer(item, err))
		return false;
	strbuf_add(out, item->data.data, item->data.len);
	*newer = item->newer;
	return true;
}

/* ---- the rest
 * -------------------------------------------------------------------------------------- */

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
	struct source_stats stats = src->backend->stats;

	stats.pages = src->pages.n_slots + (src->pinned ? src->pinned->pages.n_slots : 0);
	return stats;
}

const struct item **source_items(const struct source *src, size_t *n)
{
	const struct source *pinned = src->pinned;
	size_t most = src->n_items + (pinned ? pinned->n_items : 0);
	const struct item **items = mem_alloc((most + 1) * sizeof(*items));

	*n = 0;
	for (size_t i = 0; i < src->n_items; i++)
		items[(*n)++] = src->items[i];
	for (size_t i = 0; pinned && i < pinned->n_items; i++)
		if (!own_item(src, pinned->items[i]->kind, pinned->items[i]->key))
			items[(*n)++] = pinned->items[i];
	return items;
}

static int by_address(const void *a, const void *b)
{
	const struct quarter *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

struct quarter *source_quarters(const struct source *src, size_t *n)
{
	const struct source *pinned = src->pinned;
	size_t most = 4u * ((size_t)src->pages.n_slots + (pinned ? pinned->pages.n_slots : 0));
	struct quarter *list = mem_alloc((most + 1) * sizeof(*list));

	*n = 0;
	pages_list(&src->pages, NULL, list, n);
	if (pinned)
		pages_list(&pinned->pages, &src->pages, list, n);
	qsort(list, *n, sizeof(*list), by_address);
	return list;
}
