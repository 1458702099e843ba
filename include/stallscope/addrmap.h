/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addrmap.h - map from a 64-bit address to a 32-bit index
 *
 * Open addressing, no deletion: the shape of "have I seen this object" and of
 * "where is the copy of this page". Key 0 is an ordinary key.
 */
#ifndef STALLSCOPE_ADDRMAP_H
#define STALLSCOPE_ADDRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRMAP_NONE UINT32_MAX

struct addrmap {
	struct addrmap_slot *slots;
	uint32_t mask; /* slots - 1 */
	uint32_t used;
};

#define ADDRMAP_INIT       \
	{                  \
		NULL, 0, 0 \
	}

/* The index stored for key, or ADDRMAP_NONE. */
uint32_t addrmap_get(const struct addrmap *map, uint64_t key);

/* Stores value (not ADDRMAP_NONE) for key; an old value is replaced. */
void addrmap_put(struct addrmap *map, uint64_t key, uint32_t value);

/* True the first time key is seen: put and test in one. The value stored is 0. */
bool addrmap_add(struct addrmap *map, uint64_t key);

void addrmap_clear(struct addrmap *map); /* empty, memory kept */
void addrmap_deinit(struct addrmap *map);

#endif
