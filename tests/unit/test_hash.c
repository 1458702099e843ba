/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpython/ops.h"

/* The vectors of the reference implementation: key 00..0f, text 00..0e (SipHash-2-4). */
static void reference_vector(void **state)
{
	uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	char text[15];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	assert_int_equal((uint64_t)siphash(key, 2, 4, text, sizeof(text)),
			 UINT64_C(0xa129ca6149be45e5));
	assert_int_equal((uint64_t)siphash(key, 2, 4, text, 8), UINT64_C(0x93f5f5799a932462));
}

/* hash("asyncio.tasks") of CPython 3.11 and 3.10 with PYTHONHASHSEED=0. */
static void as_cpython(void **state)
{
	static const uint64_t zero[2];

	(void)state;
	assert_int_equal(siphash(zero, 1, 3, "asyncio.tasks", 13), INT64_C(-2143342753280734974));
	assert_int_equal(siphash(zero, 2, 4, "asyncio.tasks", 13), INT64_C(7157611815443774625));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference_vector),
		cmocka_unit_test(as_cpython),
	};

	return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
