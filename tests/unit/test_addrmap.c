/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "stallscope/addrmap.h"

static void test_empty(void **state)
{
	struct addrmap map = ADDRMAP_INIT;

	(void)state;
	assert_int_equal(addrmap_get(&map, 0), ADDRMAP_NONE);
	assert_int_equal(addrmap_get(&map, UINT64_MAX), ADDRMAP_NONE);
	addrmap_clear(&map);
	addrmap_deinit(&map);
	addrmap_deinit(&map);
}

static void test_extreme_keys(void **state)
{
	static const uint64_t keys[] = {0, 1, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
	struct addrmap map = ADDRMAP_INIT;

	(void)state;
	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(addrmap_get(&map, keys[i]), ADDRMAP_NONE);
		addrmap_put(&map, keys[i], i);
	}
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(addrmap_get(&map, keys[i]), i);
	addrmap_put(&map, 0, 77);
	assert_int_equal(addrmap_get(&map, 0), 77);
	assert_int_equal(map.used, 5);
	addrmap_put(&map, 0, ADDRMAP_NONE - 1);
	assert_int_equal(addrmap_get(&map, 0), ADDRMAP_NONE - 1);
	addrmap_deinit(&map);
}

/* Against a plain array: keys of pages, of objects, and far apart. */
static void test_like_an_array(void **state)
{
	static const uint64_t steps[] = {
		1, 16, 4096, UINT64_C(1) << 21, UINT64_C(1) << 32, UINT64_C(1) << 40};
	const uint32_t n = 20000;

	(void)state;
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		struct addrmap map = ADDRMAP_INIT;

		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(addrmap_get(&map, i * steps[s]), ADDRMAP_NONE);
			addrmap_put(&map, i * steps[s], i);
		}
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(addrmap_get(&map, i * steps[s]), i);
			assert_int_equal(addrmap_get(&map, (n + i) * steps[s]), ADDRMAP_NONE);
		}
		assert_int_equal(map.used, n);
		addrmap_clear(&map);
		assert_int_equal(map.used, 0);
		for (uint32_t i = 0; i < n; i++)
			assert_int_equal(addrmap_get(&map, i * steps[s]), ADDRMAP_NONE);
		addrmap_deinit(&map);
	}
}

static void test_add(void **state)
{
	struct addrmap map = ADDRMAP_INIT;

	(void)state;
	for (int round = 0; round < 3; round++)
		for (uint64_t key = 0; key < 1000; key++)
			assert_int_equal(addrmap_add(&map, key * key), round == 0);
	assert_int_equal(map.used, 1000);
	assert_int_equal(addrmap_get(&map, 9), 0);
	addrmap_put(&map, 5, 5);
	assert_false(addrmap_add(&map, 5));
	assert_int_equal(addrmap_get(&map, 5), 5);
	addrmap_deinit(&map);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/*
 * Keys that all meet in one slot under Fibonacci hashing, which a target could choose: with a
 * multiplier it cannot know they are as good as any.
 */
static void test_chosen_keys(void **state)
{
	const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t inverse = golden; /* modulo 2^64, by Newton */
	struct addrmap map = ADDRMAP_INIT;
	double begin = seconds();

	(void)state;
	for (int i = 0; i < 6; i++)
		inverse *= 2 - golden * inverse;
	assert_int_equal(inverse * golden, 1);
	for (uint64_t i = 0; i < 100000; i++)
		assert_true(addrmap_add(&map, (UINT64_C(0x12345) << 44 | i) * inverse));
	assert_true(seconds() - begin < 2.0); /* all in one slot: more than 10 */
	addrmap_deinit(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),	      cmocka_unit_test(test_extreme_keys),
		cmocka_unit_test(test_like_an_array), cmocka_unit_test(test_add),
		cmocka_unit_test(test_chosen_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
