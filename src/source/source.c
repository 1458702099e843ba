/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "stallscope/addrmap.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#define PAGES_PER_BLOCK 256u		   /* 1 MiB */
#define BAD_PAGE	(ADDRMAP_NONE - 1) /* in the index: known to be unreadable */
#define GAP_PAGES	1u
#define MAX_PAGES	(SOURCE_MAX_CACHE / SOURCE_PAGE)

struct source {
	struct backend *backend;
	struct addrmap index; /* page number -> slot, or BAD_PAGE */
	uint64_t *slot_page;  /* slot -> page number */
	size_t slots_cap;
	uint32_t n_slots; /* in use */
	char **blocks;	  /* slots live in blocks of PAGES_PER_BLOCK, kept across looks */
	size_t n_blocks, blocks_cap;
	uint64_t last_page; /* the page found last */
	const char *last_data;
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

	src->backend = backend;
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
	struct source *pinned = over(src->backend), empty = {.backend = src->backend};

	if (src->pinned) {
		source_close(pinned);
		return;
	}
	*pinned = *src;
	*src = empty;
	src->pinned = pinned;
}

void source_forget(struct source *src)
{
	src->pinned_is_old = true;
	addrmap_clear(&src->index);
	src->n_slots = 0;
	src->last_data = NULL;
	drop_items(src);
}

void source_close(struct source *src)
{
	if (!src)
		return;
	source_close(src->pinned);
	drop_items(src);
	for (size_t i = 0; i < src->n_blocks; i++)
		free(src->blocks[i]);
	free(src->blocks);
	free(src->slot_page);
	free(src->items);
	addrmap_deinit(&src->index);
	addrmap_deinit(&src->item_index);
	if (!--src->backend->references) {
		src->backend->ops->close(src->backend->self);
		free(src->backend);
	}
	free(src);
}

/* ---- pages -------------------------------------------------------------------------------------
 */

static char *slot_data(const struct source *src, uint32_t slot)
{
	return src->blocks[slot / PAGES_PER_BLOCK] + (size_t)(slot % PAGES_PER_BLOCK) * SOURCE_PAGE;
}

/* n slots that lie in one block, n <= PAGES_PER_BLOCK; the rest of a block may stay unused. */
static bool take_slots(struct source *src, uint32_t n, uint32_t *first)
{
	uint32_t left = PAGES_PER_BLOCK - src->n_slots % PAGES_PER_BLOCK;

	if (n > left)
		src->n_slots += left;
	if (src->n_slots + n > MAX_PAGES)
		return false;
	while (src->n_slots + n > src->n_blocks * PAGES_PER_BLOCK) {
		char **block = array_push(&src->blocks, &src->n_blocks, &src->blocks_cap);

		*block = mem_alloc((size_t)PAGES_PER_BLOCK * SOURCE_PAGE);
	}
	if (src->slots_cap < src->n_slots + n) {
		size_t old = src->slots_cap;

		src->slots_cap = src->n_blocks * PAGES_PER_BLOCK;
		src->slot_page =
			mem_realloc(src->slot_page, src->slots_cap, sizeof(*src->slot_page));
		memset(src->slot_page + old, 0xff,
		       (src->slots_cap - old) * sizeof(*src->slot_page));
	}
	*first = src->n_slots;
	src->n_slots += n;
	return true;
}

static void remember(struct source *src, uint64_t page, uint32_t slot)
{
	src->slot_page[slot] = page;
	addrmap_put(&src->index, page, slot);
}

static ssize_t backend_read(struct source *src, uint64_t addr, void *buf, size_t len)
{
	struct backend *b = src->backend;
	ssize_t n = b->ops->read(b->self, addr, buf, len);

	b->stats.system_calls++;
	if (n > 0)
		b->stats.bytes_read += (uint64_t)n;
	return n;
}

/* True when what opening the target read still answers for this page. */
static bool in_pin(const struct source *src, uint64_t page)
{
	uint32_t slot;

	if (!src->pinned || src->pinned_is_old)
		return false;
	slot = addrmap_get(&src->pinned->index, page);
	return slot != ADDRMAP_NONE && slot != BAD_PAGE;
}

/* The data of a page, read when it is not there yet; NULL when it cannot be read. */
static const char *page_data(struct source *src, uint64_t page)
{
	uint32_t slot = addrmap_get(&src->index, page);

	if (slot == BAD_PAGE)
		return NULL;
	if (slot == ADDRMAP_NONE && in_pin(src, page))
		return page_data(src->pinned, page);
	if (slot == ADDRMAP_NONE) {
		if (!take_slots(src, 1, &slot))
			return NULL;
		if (backend_read(src, page * SOURCE_PAGE, slot_data(src, slot), SOURCE_PAGE) !=
		    SOURCE_PAGE) {
			src->n_slots--;
			src->backend->stats.faults++;
			addrmap_put(&src->index, page, BAD_PAGE);
			return NULL;
		}
		remember(src, page, slot);
	}
	src->last_page = page;
	src->last_data = slot_data(src, slot);
	return src->last_data;
}

void source_reread(struct source *src, uint64_t addr, size_t len)
{
	for (uint64_t page = addr / SOURCE_PAGE; page <= (addr + len - 1) / SOURCE_PAGE; page++) {
		uint32_t slot = addrmap_get(&src->index, page);
		bool fresh = slot == ADDRMAP_NONE || slot == BAD_PAGE;

		if (fresh && (!in_pin(src, page) || !take_slots(src, 1, &slot)))
			continue;
		if (backend_read(src, page * SOURCE_PAGE, slot_data(src, slot), SOURCE_PAGE) ==
		    SOURCE_PAGE)
			remember(src, page, slot);
		src->last_data = NULL;
	}
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
		const char *data;

		if (part > len)
			part = len;
		data = src->last_data && src->last_page == page ? src->last_data
								: page_data(src, page);
		if (!data)
			return error_fault(err, addr, EFAULT);
		memcpy(out, data + offset, part);
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

/* One extent of pages in one system call, at most a block long. */
static void read_extent(struct source *src, uint64_t first, uint32_t n)
{
	uint32_t slot, got;
	ssize_t bytes;

	if (!take_slots(src, n, &slot))
		return;
	bytes = backend_read(src, first * SOURCE_PAGE, slot_data(src, slot),
			     (size_t)n * SOURCE_PAGE);
	got = bytes > 0 ? (uint32_t)((size_t)bytes / SOURCE_PAGE) : 0;
	src->n_slots = slot + got;
	for (uint32_t i = 0; i < got; i++)
		if (addrmap_get(&src->index, first + i) == ADDRMAP_NONE)
			remember(src, first + i, slot + i);
		else
			src->slot_page[slot + i] =
				UINT64_MAX; /* an older copy of this look counts */
}

static bool cached(const struct source *src, uint64_t page)
{
	return addrmap_get(&src->index, page) != ADDRMAP_NONE || in_pin(src, page);
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
			if (end && page <= end + GAP_PAGES && page < begin + PAGES_PER_BLOCK) {
				end = page + 1;
				continue;
			}
			if (end)
				read_extent(src, begin, (uint32_t)(end - begin));
			begin = page;
			end = page + 1;
		}
	}
	if (end)
		read_extent(src, begin, (uint32_t)(end - begin));
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

	stats.pages = src->n_slots + (src->pinned ? src->pinned->n_slots : 0);
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
	const struct page_ref *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void add_pages(const struct source *src, const struct source *newer, struct page_ref *pages,
		      size_t *n)
{
	for (uint32_t i = 0; i < src->n_slots; i++) {
		uint64_t page = src->slot_page[i];

		if (addrmap_get(&src->index, page) != i ||
		    (newer && addrmap_get(&newer->index, page) != ADDRMAP_NONE))
			continue;
		pages[(*n)++] = (struct page_ref){page * SOURCE_PAGE, slot_data(src, i)};
	}
}

struct page_ref *source_pages(const struct source *src, size_t *n)
{
	const struct source *pinned = src->pinned;
	size_t most = src->n_slots + (pinned ? pinned->n_slots : 0);
	struct page_ref *pages = mem_alloc((most + 1) * sizeof(*pages));

	*n = 0;
	add_pages(src, NULL, pages, n);
	if (pinned)
		add_pages(pinned, src, pages, n);
	qsort(pages, *n, sizeof(*pages), by_address);
	return pages;
}
