/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_source.h"
#include "stallscope/reader.h"

#define PAGE ((uint64_t)SOURCE_PAGE)
#define HERE UINT64_C(0x10000)

static struct fake *fake;

static struct source *open_bytes(const void *bytes, size_t len)
{
	char page[SOURCE_PAGE] = {0};

	memcpy(page, bytes, len);
	fake = fake_new(1);
	fake_segment(fake, HERE, page, sizeof(page));
	return fake_open(fake);
}

static void test_types(void **state)
{
	static const unsigned char bytes[] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
					      0,    0,	  0,	0,    0,    0,	  0xf0, 0x3f};
	struct source *src = open_bytes(bytes, sizeof(bytes));
	struct reader rd = READER(src);

	(void)state;
	assert_int_equal(rd_u8(&rd, HERE), 0xfe);
	assert_int_equal(rd_i8(&rd, HERE), -2);
	assert_int_equal(rd_u16(&rd, HERE), 0xfffe);
	assert_int_equal(rd_u32(&rd, HERE), 0xfffffffeu);
	assert_int_equal(rd_i32(&rd, HERE), -2);
	assert_int_equal(rd_u64(&rd, HERE), UINT64_C(0x7ffffffffffffffe));
	assert_int_equal(rd_i64(&rd, HERE), INT64_C(0x7ffffffffffffffe));
	assert_true(rd_f64(&rd, HERE + 8) == 1.0);
	assert_int_equal(rd_u32(&rd, HERE + 5), 0x7fffff); /* not aligned */
	assert_false(rd.failed);
	assert_false(rd_take(&rd));
	source_close(src);
}

static void assert_range(const struct read_trace *trace, size_t i, uint64_t addr, uint32_t len)
{
	assert_true(i < trace->n);
	assert_int_equal(trace->v[i].addr, addr);
	assert_int_equal(trace->v[i].len, len);
}

/* Loads of neighbours are one range, up to the fence; loads that fail are none. */
static void test_trace(void **state)
{
	struct source *src = open_bytes("", 0);
	struct reader rd = READER(src);
	struct read_trace trace = {0};

	(void)state;
	rd_u64(&rd, HERE + 512);
	rd.trace = &trace;
	rd_u64(&rd, HERE + 8);
	rd_u32(&rd, HERE + 16);
	rd_u64(&rd, HERE + 100);
	rd_u64(&rd, HERE);
	rd_u8(&rd, HERE + 19);
	assert_int_equal(trace.n, 2);
	assert_range(&trace, 0, HERE, 20);
	assert_range(&trace, 1, HERE + 100, 8);
	trace.fence = trace.n;
	rd_u64(&rd, HERE + 108);
	rd_u64(&rd, HERE + PAGE);
	rd_take(&rd);
	assert_int_equal(trace.n, 3);
	assert_range(&trace, 2, HERE + 108, 8);
	for (uint64_t i = 0; i < 20; i++)
		rd_u16(&rd, HERE + 200 + 8 * i);
	assert_int_equal(trace.n, 23);
	read_trace_clear(&trace);
	rd_u64(&rd, HERE);
	assert_int_equal(trace.n, 1);
	assert_false(trace.full);
	read_trace_deinit(&trace);
	source_close(src);
}

/* The first failure stays; loads after it give zeros and do not touch the target. */
static void test_first_fault(void **state)
{
	struct source *src = open_bytes("\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	struct reader rd = READER(src);
	struct error err;
	char buf[16];
	size_t reads;

	(void)state;
	memset(buf, 0x5a, sizeof(buf));
	rd_bytes(&rd, HERE + PAGE - 8, buf, sizeof(buf));
	assert_true(rd.failed);
	assert_int_equal(rd.fault, HERE + PAGE);
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	reads = fake->reads;
	assert_int_equal(rd_u64(&rd, HERE), 0);
	assert_int_equal(rd_u64(&rd, 0x999999), 0);
	assert_int_equal(rd_ptr(&rd, HERE), 0);
	rd_corrupt(&rd, HERE, "later");
	assert_int_equal(fake->reads, reads);
	assert_false(rd_error(&rd, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_int_equal(err.address, HERE + PAGE);
	assert_false(rd.failed);
	assert_int_equal(rd_u8(&rd, HERE), 0xff);
	source_close(src);
}

static void test_pointers(void **state)
{
	static const struct {
		uint64_t value;
		bool good;
	} rows[] = {{0, false},
		    {1, true},
		    {0x7fffffffffff, true},
		    {0xffffa5c31000, true}, /* libpython on aarch64 */
		    {0x1000000000000, false},
		    {0xffff800000000000, false},
		    {UINT64_MAX, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct source *src = open_bytes(&rows[i].value, 8);
		struct reader rd = READER(src);
		struct error err;

		assert_int_equal(rd_ptr(&rd, HERE), rows[i].good ? rows[i].value : 0);
		assert_int_equal(rd.failed, !rows[i].good);
		if (rd.failed) {
			assert_false(rd_error(&rd, &err));
			assert_int_equal(err.code, ERR_CORRUPT);
			assert_int_equal(err.address, HERE);
			assert_non_null(strstr(err.text, "pointer at 0x10000"));
		}
		source_close(src);
	}
}

static void test_checks(void **state)
{
	struct source *src = open_bytes("", 0);
	struct reader rd = READER(src);
	struct error err;

	(void)state;
	rd_corrupt(&rd, 0x1234, "not a code object");
	rd_corrupt(&rd, 0x9999, "another");
	assert_int_equal(rd_u64(&rd, 0x999999), 0);
	assert_true(rd.failed && rd.corrupt);
	assert_false(rd_error(&rd, NULL));
	assert_false(rd.failed);
	rd_corrupt(&rd, 0x1234, "not a code object");
	assert_false(rd_error(&rd, &err));
	assert_string_equal(err.text, "not a code object at 0x1234 of the target");
	rd_corrupt(&rd, 1, "x");
	assert_true(rd_take(&rd));
	assert_false(rd_take(&rd));
	assert_false(rd.corrupt);
	assert_null(rd.what);
	source_close(src);
}

/* A fault that is more than a fault says so. */
static void test_gone(void **state)
{
	struct source *src = open_bytes("", 0);
	struct reader rd = READER(src);
	struct error err;

	(void)state;
	fake->gone = true;
	assert_int_equal(rd_u64(&rd, HERE), 0);
	assert_false(rd_error(&rd, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(err.address, HERE);
	assert_int_equal(fake->reads, 1);
	source_close(src);
}

/* A walk that never ends, over memory that is at hand, ends by itself and says why. */
static void test_loads_are_bounded(void **state)
{
	struct source *src = open_bytes("", 0);
	struct reader rd = READER(src);
	uint64_t n = 0, most = READER_LOADS_FREE + 2 * READER_LOADS_PER_PAGE + 65536;
	struct error err;

	(void)state;
	while (!rd.failed && n <= most) {
		rd_u64(&rd, HERE + n % 512 * 8);
		n++;
	}
	assert_true(n > READER_LOADS_FREE && n <= most);
	assert_int_equal(fake->reads, 1);
	assert_false(rd_error(&rd, &err));
	assert_int_equal(err.code, ERR_CORRUPT);
	assert_non_null(strstr(err.text, "more links"));
	rd_u8(&rd, HERE); /* and stays so, until the next reader */
	assert_true(rd_take(&rd));
	assert_false(rd_spend(&rd, 1));
	rd = READER(src);
	assert_true(rd_spend(&rd, READER_LOADS_FREE));
	rd_u8(&rd, HERE);
	assert_false(rd.failed);
	assert_false(rd_spend(&rd, UINT64_C(1) << 40)); /* work that is not loads counts, too */
	rd = READER(src);
	rd_grant(&rd, READER_LOADS_FREE);
	assert_true(rd_spend(&rd, 2 * READER_LOADS_FREE));
	assert_false(rd_spend(&rd, READER_LOADS_FREE));
	source_close(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_first_fault),
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_loads_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
