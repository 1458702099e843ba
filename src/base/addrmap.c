/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/addrmap.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "stallscope/arena.h"

struct addrmap_slot {
	uint64_t key;
	uint32_t value; /* ADDRMAP_NONE: empty */
};

#define FIRST_SIZE 64u
#define MAX_SIZE   (UINT32_C(1) << 31)

/*
 * Multiply-shift with a multiplier that differs from run to run: the target chooses the
 * addresses, so it must not know which of them meet in one slot. Threads that find it at the same
 * time find the same one.
 */
static uint64_t multiplier(void)
{
	static _Atomic uint64_t known;
	uint64_t value = atomic_load_explicit(&known, memory_order_relaxed);

	if (!value) {
		unsigned long bytes = getauxval(AT_RANDOM);

		if (bytes)
			memcpy(&value, (const void *)bytes, sizeof(value));
		value = (value ^ UINT64_C(0x9e3779b97f4a7c15)) | 1;
		atomic_store_explicit(&known, value, memory_order_relaxed);
	}
	return value;
}

static uint32_t home(const struct addrmap *map, uint64_t key)
{
	return (uint32_t)(key * multiplier() >> 32) >> __builtin_clz(map->mask);
}

static struct addrmap_slot *find(const struct addrmap *map, uint64_t key)
{
	uint32_t i = home(map, key);

	while (map->slots[i].value != ADDRMAP_NONE && map->slots[i].key != key)
		i = (i + 1) & map->mask;
	return &map->slots[i];
}

static void allocate(struct addrmap *map, uint32_t size)
{
	map->slots = mem_realloc(NULL, size, sizeof(*map->slots));
	memset(map->slots, 0xff, size * sizeof(*map->slots));
	map->mask = size - 1;
}

static void grow(struct addrmap *map)
{
	struct addrmap old = *map;

	if (old.slots && old.mask + 1 >= MAX_SIZE)
		mem_realloc(NULL, SIZE_MAX, sizeof(*map->slots)); /* ends the process */
	allocate(map, old.slots ? (old.mask + 1) * 2 : FIRST_SIZE);
	for (uint32_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].value != ADDRMAP_NONE)
			*find(map, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

/* The slot of key, with room for one more entry. */
static struct addrmap_slot *slot_for(struct addrmap *map, uint64_t key)
{
	if (!map->slots || map->used >= map->mask / 2)
		grow(map);
	return find(map, key);
}

uint32_t addrmap_get(const struct addrmap *map, uint64_t key)
{
	return map->slots ? find(map, key)->value : ADDRMAP_NONE;
}

void addrmap_put(struct addrmap *map, uint64_t key, uint32_t value)
{
	struct addrmap_slot *slot = slot_for(map, key);

	if (slot->value == ADDRMAP_NONE)
		map->used++;
	slot->key = key;
	slot->value = value;
}

bool addrmap_add(struct addrmap *map, uint64_t key)
{
	struct addrmap_slot *slot = slot_for(map, key);

	if (slot->value != ADDRMAP_NONE)
		return false;
	map->used++;
	slot->key = key;
	slot->value = 0;
	return true;
}

void addrmap_clear(struct addrmap *map)
{
	if (map->used)
		memset(map->slots, 0xff, ((size_t)map->mask + 1) * sizeof(*map->slots));
	map->used = 0;
}

void addrmap_deinit(struct addrmap *map)
{
	free(map->slots);
	*map = (struct addrmap)ADDRMAP_INIT;
}
