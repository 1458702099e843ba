/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hash of str objects: SipHash with the key in _Py_HashSecret, 2 and 4 rounds up to 3.10,
 * 1 and 3 from 3.11 on (Python/pyhash.c). With it a name is found in a dict of the target as the
 * interpreter finds it, by reading one or two entries instead of all their keys.
 */
#include <string.h>

#include "ops.h"

static uint64_t rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

int64_t siphash(const uint64_t key[2], unsigned compress, unsigned finish, const char *text,
		size_t len)
{
	uint64_t v[4] = {
		key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
		key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
	uint64_t word, hash;
	size_t i = 0;

	for (; i + 8 <= len; i += 8) {
		memcpy(&word, text + i, 8);
		v[3] ^= word;
		sip_rounds(v, compress);
		v[0] ^= word;
	}
	word = 0;
	memcpy(&word, text + i, len - i);
	word |= (uint64_t)len << 56;
	v[3] ^= word;
	sip_rounds(v, compress);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_rounds(v, finish);
	hash = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (int64_t)(hash == UINT64_MAX ? hash - 1 : hash); /* -1 means "error" to CPython */
}

static int64_t name_hash(const struct python *py, const char *name, size_t len)
{
	return len ? siphash(py->hash_key, py->ops->sip_compress, py->ops->sip_finish, name, len)
		   : 0;
}

/* A build may hash otherwise: one key with its hash at hand shows whether ours is right. */
static bool agrees(struct python *py, uint64_t key)
{
	char text[128];
	uint64_t len = get_u64(py, key, F_STR_LENGTH);
	int64_t hash = rd_i64(&py->rd, at(py, key, F_STR_LENGTH) + 8);

	if (len > sizeof(text) || hash == -1 || py->rd.failed)
		return false;
	rd_bytes(&py->rd, at(py, key, F_STR_ASCII_SIZE), text, len);
	return !py->rd.failed && name_hash(py, text, len) == hash &&
	       py_str_equals(py, key, "") == !len;
}

bool hash_known(struct python *py, uint64_t sample)
{
	if (py->hash_state == PY_HASH_UNTRIED)
		py->hash_state = agrees(py, sample) ? PY_HASH_KNOWN : PY_HASH_UNKNOWN;
	rd_take(&py->rd);
	return py->hash_state == PY_HASH_KNOWN;
}

/* An entry of the index of a keys object: >= 0 an entry, -1 empty, -2 deleted. */
static int64_t index_at(struct python *py, const struct py_iter *it, uint64_t i)
{
	switch (it->index_width) {
	case 1:
		return rd_i8(&py->rd, it->index + i);
	case 2:
		return (int16_t)rd_u16(&py->rd, it->index + 2 * i);
	case 4:
		return rd_i32(&py->rd, it->index + 4 * i);
	default:
		return rd_i64(&py->rd, it->index + 8 * i);
	}
}

/*
 * The probing of Objects/dictobject.c. The high bits of the hash are used up after 13 steps; from
 * then on every slot is visited once, of a small table all of them.
 */
int64_t hash_find(struct python *py, const struct py_iter *it, const char *name)
{
	static const uint64_t used_up = 13, longest = 1000; /* one in three slots is empty */
	uint64_t steps = it->index_size < longest ? it->index_size + used_up : longest;
	uint64_t mask = it->index_size - 1, perturb, i;

	perturb = (uint64_t)name_hash(py, name, strlen(name));
	i = perturb & mask;
	for (uint64_t step = 0; step < steps && !py->rd.failed; step++) {
		int64_t entry = index_at(py, it, i);

		if (entry == -1)
			return -1;
		if (entry >= 0 && (uint64_t)entry < it->n) {
			uint64_t key = rd_u64(&py->rd, it->entries + (uint64_t)entry * it->stride +
							       it->key_at);

			if (key && py_str_equals(py, key, name))
				return entry;
		}
		perturb >>= 5;
		i = (i * 5 + perturb + 1) & mask;
	}
	return -1;
}
