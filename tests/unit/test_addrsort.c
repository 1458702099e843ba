/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "stallscope/addrsort.h"
#include "stallscope/arena.h"

static void assert_sorted(const uint64_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++)
		assert_true(v[i - 1] <= v[i]);
}

/* Both ways to sort, and addresses that differ in any of their bytes. */
static void test_sorts(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 100, 511, 512, 513, 20000};
	uint64_t seed = 1;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		for (unsigned bits = 1; bits <= 64; bits += 9) {
			size_t n = sizes[k];
			uint64_t *v = mem_alloc((n + 1) * sizeof(*v)), sum = 0, after = 0;

			for (size_t i = 0; i < n; i++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				v[i] = seed >> (64 - bits);
				sum += v[i];
			}
			addr_sort(v, n);
			assert_sorted(v, n);
			for (size_t i = 0; i < n; i++)
				after += v[i];
			assert_true(sum == after);
			free(v);
		}
	}
}

static void test_unique(void **state)
{
	uint64_t v[] = {0, 0, 1, 5, 5, 5, UINT64_MAX, UINT64_MAX};

	(void)state;
	assert_int_equal(addr_unique(v, ARRAY_SIZE(v)), 4);
	assert_int_equal(v[0], 0);
	assert_int_equal(v[1], 1);
	assert_int_equal(v[2], 5);
	assert_true(v[3] == UINT64_MAX);
	assert_int_equal(addr_unique(v, 0), 0);
	assert_int_equal(addr_unique(v, 1), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorts),
		cmocka_unit_test(test_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
