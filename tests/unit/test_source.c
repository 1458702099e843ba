/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_source.c - the memory of one look, over fake and flaky targets
 */
#include "fake_pages.h"

/* ---- memory -------------------------------------------------------------------------------- */

static void test_reads_a_page_once(void **state)
{
	struct source *src = open_pages(4);

	(void)state;
	for (uint64_t at = 0; at < PAGE; at += 8)
		assert_word(src, HERE + at);
	assert_int_equal(fake->reads, 1);
	assert_int_equal(fake->read_log[0].address, HERE);
	assert_int_equal(fake->read_log[0].len, PAGE);
	for (int i = 0; i < 10; i++) { /* to and fro */
		assert_word(src, HERE + 3 * PAGE);
		assert_word(src, HERE + 8);
	}
	assert_int_equal(fake->reads, 2);
	assert_int_equal(source_get_stats(src).pages, 2);
	assert_int_equal(source_get_stats(src).bytes_read, 2 * PAGE);
	source_close(src);
}

static void test_across_pages(void **state)
{
	struct source *src = open_pages(4);
	char buf[4 * SOURCE_PAGE];

	(void)state;
	for (size_t len = 1; len <= 2 * PAGE + 2; len += 1021)
		for (uint64_t at = PAGE - 3; at <= PAGE + 3; at++) {
			memset(buf, 0x5a, sizeof(buf));
			assert_true(source_read(src, HERE + at, buf, len, NULL));
			assert_memory_equal(buf, fake->segments[0].data + at, len);
			assert_int_equal(buf[len], 0x5a);
		}
	assert_true(source_read(src, HERE, buf, sizeof(buf), NULL));
	assert_memory_equal(buf, fake->segments[0].data, sizeof(buf));
	assert_int_equal(fake->reads, 4);
	source_close(src);
}

static void test_nothing_and_too_much(void **state)
{
	struct source *src = open_pages(1);
	char byte = 7;

	(void)state;
	assert_true(source_read(src, HERE, &byte, 0, NULL));
	assert_true(source_read(src, 0, &byte, 0, NULL));
	assert_int_equal(byte, 7);
	assert_int_equal(fake->reads, 0);
	assert_false(source_read(src, HERE, &byte, SOURCE_MAX_READ + (size_t)1, NULL));
	assert_false(source_read(src, UINT64_MAX, &byte, 2, NULL));
	assert_false(source_read(src, UINT64_MAX - 1, &byte, SIZE_MAX, NULL));
	assert_int_equal(fake->reads, 0);
	assert_fault(src, UINT64_MAX, 1, UINT64_MAX);
	assert_fault(src, 0, 1, 0);
	source_close(src);
}

static void test_holes(void **state)
{
	struct source *src = open_pages(2);

	(void)state;
	fake_counting_segment(fake, HERE + 3 * PAGE, 1);
	assert_fault(src, HERE + 2 * PAGE, 1, HERE + 2 * PAGE);
	assert_fault(src, HERE + 2 * PAGE - 8, 16, HERE + 2 * PAGE); /* the address that failed */
	assert_fault(src, HERE, 4 * PAGE, HERE + 2 * PAGE);
	assert_fault(src, HERE - 1, 2, HERE - 1);
	assert_fault(src, HERE + 4 * PAGE - 1, 2, HERE + 4 * PAGE);
	assert_word(src, HERE + 2 * PAGE - 8);
	assert_word(src, HERE + 3 * PAGE);
	assert_int_equal(source_get_stats(src).faults, 5);
	source_close(src);
}

/* That a page cannot be read is an answer of this look, too. */
static void test_faults_are_remembered(void **state)
{
	struct source *src = open_pages(1);

	(void)state;
	assert_fault(src, HERE + PAGE, 8, HERE + PAGE);
	assert_fault(src, HERE + PAGE + 64, 8, HERE + PAGE + 64);
	assert_int_equal(fake->reads, 1);
	fake_counting_segment(fake, HERE + PAGE, 1);
	assert_fault(src, HERE + PAGE, 8, HERE + PAGE);
	source_prefetch(src, (uint64_t[]){HERE, HERE + PAGE, HERE + 2 * PAGE}, 3, 8);
	assert_fault(src, HERE + PAGE, 8, HERE + PAGE);
	source_forget(src);
	assert_word(src, HERE + PAGE);
	source_close(src);
}

static void test_a_look_is_consistent(void **state)
{
	struct source *src = open_pages(3);
	char *data = fake->segments[0].data;
	uint64_t word;

	(void)state;
	assert_word(src, HERE);
	memset(data, 0xff, 3 * SOURCE_PAGE);
	assert_word(src, HERE + 8);
	source_prefetch(src, (uint64_t[]){HERE, HERE + PAGE}, 2, 8);
	assert_word(src, HERE + 16);
	assert_true(source_read(src, HERE + PAGE, &word, 8, NULL));
	assert_int_equal(word, UINT64_MAX);
	source_forget(src);
	assert_true(source_read(src, HERE + 8, &word, 8, NULL));
	assert_int_equal(word, UINT64_MAX);
	source_close(src);
}

static void test_reread(void **state)
{
	struct source *src = open_pages(3);
	uint64_t word;

	(void)state;
	assert_word(src, HERE);
	assert_word(src, HERE + PAGE);
	memset(fake->segments[0].data, 0xff, 3 * SOURCE_PAGE);
	source_reread(src, HERE + PAGE + 96, 8);
	assert_int_equal(fake->reads, 3);
	assert_word(src, HERE + 8);
	assert_word(src, HERE + PAGE + 88); /* beside it nothing changes */
	assert_true(source_read(src, HERE + PAGE + 96, &word, 8, NULL));
	assert_int_equal(word, UINT64_MAX);
	assert_false(source_unchanged(src, HERE + 8, 8));
	assert_true(source_unchanged(src, HERE + PAGE + 96, 8));
	assert_false(source_unchanged(src, HERE + PAGE + 95, 8));
	assert_word(src, HERE + 8); /* asking changes nothing */
	fake->reads = 3;
	source_reread(src, HERE + PAGE - 1, 2); /* both */
	assert_int_equal(fake->reads, 5);
	source_reread(src, HERE + 2 * PAGE, 8); /* what this look does not have */
	source_reread(src, HERE + 9 * PAGE, 8);
	source_reread(src, HERE, 0);
	source_reread(src, UINT64_MAX, 8);
	assert_int_equal(fake->reads, 5);
	fake->n_segments = 0;
	source_reread(src, HERE, 8);
	fake->n_segments = 1;
	assert_fault(src, HERE, 8, HERE); /* it was there, now it is not */
	source_close(src);
}

static void test_gone(void **state)
{
	struct source *src = open_pages(2);
	struct error err;
	uint64_t word;

	(void)state;
	assert_word(src, HERE);
	fake->gone = true;
	assert_word(src, HERE + 8);
	assert_false(source_read(src, HERE + PAGE, &word, 8, &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(err.address, HERE + PAGE);
	assert_non_null(strstr(err.text, "42"));
	source_prefetch(src, (uint64_t[]){HERE + PAGE}, 1, 8);
	source_forget(src);
	source_prefetch(src, (uint64_t[]){HERE, HERE + PAGE}, 2, 8);
	assert_false(source_read(src, HERE, &word, 8, &err));
	assert_int_equal(err.code, ERR_GONE);
	source_close(src);
}

static ssize_t endless(void *self, uint64_t addr, void *buf, size_t len)
{
	(void)self;
	(void)addr;
	memset(buf, 0, SOURCE_PAGE < len ? SOURCE_PAGE : len); /* no need to touch all of it */
	return (ssize_t)len;
}

static void test_the_look_has_a_limit(void **state)
{
	struct source *src = open_pages(1);
	const uint64_t most = SOURCE_MAX_CACHE / PAGE;
	uint64_t *addrs = mem_zalloc(most + 10, sizeof(*addrs));
	struct error err;
	char byte;

	(void)state;
	fake->ops.read = endless;
	for (uint64_t i = 0; i < most + 10; i++)
		addrs[i] = i * PAGE;
	source_prefetch(src, addrs, most + 10, 8);
	assert_int_equal(source_get_stats(src).pages, most);
	assert_true(source_read(src, (most - 1) * PAGE, &byte, 1, NULL));
	assert_false(source_read(src, most * PAGE, &byte, 1, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_int_equal(err.address, most * PAGE);
	assert_non_null(strstr(err.text, "512 MiB"));
	source_forget(src);
	assert_true(source_read(src, most * PAGE, &byte, 1, NULL));
	free(addrs);
	source_close(src);
}

/* ---- prefetching --------------------------------------------------------------------------- */

static void test_neighbours_are_merged(void **state)
{
	/* pages 0 1 _ _ _ _ 6 (a gap of four is read along), then 12 (too far), then 300 */
	uint64_t addrs[] = {HERE + 300 * PAGE, HERE + 6 * PAGE, HERE, HERE + PAGE + 8, HERE + PAGE,
			    HERE + 12 * PAGE,  HERE + 6 * PAGE, HERE};
	struct source *src = open_pages(400);

	(void)state;
	source_prefetch(src, addrs, ARRAY_SIZE(addrs), 8);
	for (size_t i = 1; i < ARRAY_SIZE(addrs); i++)
		assert_true(addrs[i - 1] <= addrs[i]);
	assert_int_equal(fake->reads, 3);
	assert_int_equal(fake->read_log[0].address, HERE);
	assert_int_equal(fake->read_log[0].len, 7 * PAGE);
	assert_int_equal(fake->read_log[1].address, HERE + 12 * PAGE);
	assert_int_equal(fake->read_log[1].len, PAGE);
	assert_int_equal(fake->read_log[2].address, HERE + 300 * PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		assert_word(src, addrs[i]);
	assert_word(src, HERE + 2 * PAGE);
	assert_int_equal(fake->reads, 3);
	assert_int_equal(source_get_stats(src).system_calls, 3);
	source_prefetch(src, addrs, ARRAY_SIZE(addrs), 8);
	assert_int_equal(fake->reads, 3);
	source_close(src);
}

static void test_prefetch_spans_pages(void **state)
{
	struct source *src = open_pages(10);

	(void)state;
	source_prefetch(src, (uint64_t[]){HERE + PAGE - 4}, 1, 8);
	assert_int_equal(fake->reads, 1);
	assert_int_equal(fake->read_log[0].len, 2 * PAGE);
	source_prefetch(src, (uint64_t[]){HERE + 2 * PAGE}, 1, 3 * PAGE);
	assert_int_equal(fake->reads, 2);
	assert_int_equal(fake->read_log[1].len, 3 * PAGE);
	assert_word(src, HERE + 5 * PAGE - 8);
	assert_int_equal(fake->reads, 2);
	source_close(src);
}

static void test_prefetch_of_nonsense(void **state)
{
	struct source *src = open_pages(2);

	(void)state;
	source_prefetch(src, NULL, 0, 8);
	source_prefetch(src, (uint64_t[]){HERE}, 1, 0);
	source_prefetch(src, (uint64_t[]){HERE}, 1, SIZE_MAX);
	assert_int_equal(fake->reads, 0);
	source_prefetch(src, (uint64_t[]){UINT64_MAX, HERE, UINT64_MAX - 3, 0}, 4, 64);
	assert_word(src, HERE);
	assert_int_equal(fake->reads, 2); /* page 0, and this one */
	source_prefetch(src, (uint64_t[]){UINT64_MAX - 63}, 1, 64);
	assert_fault(src, UINT64_MAX, 1, UINT64_MAX);
	source_close(src);
}

/* A hole costs one more call, not one for each page behind it; unwanted ones are not asked for. */
static void test_prefetch_over_a_hole(void **state)
{
	struct source *src = open_pages(10);
	uint64_t addrs[18];

	(void)state;
	fake_counting_segment(fake, HERE + 12 * PAGE, 6);
	for (uint64_t i = 0; i < 18; i++)
		addrs[i] = HERE + i * PAGE;
	source_prefetch(src, addrs, 18, 8);
	assert_int_equal(fake->reads, 3); /* 0-17: ten; 11-17: none; 12-17: six */
	for (uint64_t i = 0; i < 18; i++) {
		if (i == 10 || i == 11)
			assert_fault(src, addrs[i], 8, addrs[i]);
		else
			assert_word(src, addrs[i]);
	}
	assert_int_equal(fake->reads, 3);
	source_close(src);

	src = open_pages(1);
	fake_counting_segment(fake, HERE + 2 * PAGE, 1);
	source_prefetch(src, (uint64_t[]){HERE, HERE + 2 * PAGE}, 2, 8);
	assert_int_equal(fake->reads, 2); /* page 1 was not asked for: straight to page 2 */
	assert_word(src, HERE + 2 * PAGE);
	source_close(src);
}

/* Pages that follow each other lie in a row, whatever the state of the pool. */
static void test_many_extents(void **state)
{
	struct source *src = open_pages(3000);
	uint64_t addrs[2900];
	size_t n = 0;

	(void)state;
	assert_word(src, HERE + 2999 * PAGE);
	for (uint64_t page = 0; page < 2900 && n < ARRAY_SIZE(addrs); page += 1 + page % 3)
		addrs[n++] = HERE + page * PAGE + 16;
	source_prefetch(src, addrs, n, 64);
	assert_true(fake->reads <= 1 + 2 * (2900 / PAGES_EXTENT + 1));
	n = fake->reads;
	for (uint64_t page = 0; page < 2900; page += 1 + page % 3)
		assert_word(src, HERE + page * PAGE + 32);
	assert_int_equal(fake->reads, n);
	source_close(src);
}

/* As many as there may be tasks, at random: sorted by radix. */
static void test_sorting(void **state)
{
	struct source *src = open_pages(64);
	const size_t n = 30000;
	uint64_t *addrs = mem_zalloc(n, sizeof(*addrs)), x = 88172645463325252u, sum = 0, after = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		addrs[i] = i % 100 ? HERE + x % (64 * PAGE - 64) : x;
		sum += addrs[i] * (addrs[i] | 1);
	}
	source_prefetch(src, addrs, n, 64);
	for (size_t i = 0; i < n; i++) {
		after += addrs[i] * (addrs[i] | 1);
		assert_true(!i || addrs[i - 1] <= addrs[i]);
	}
	assert_int_equal(sum, after);
	for (uint64_t page = 0; page < 64; page++)
		assert_word(src, HERE + page * PAGE);
	free(addrs);
	source_close(src);
}

/* ---- flaky targets ------------------------------------------------------------------------- */

static void test_failing_reads(void **state)
{
	for (unsigned nth = 1; nth <= 6; nth++) {
		struct flaky plan = {.fail_read = nth};
		struct source *src = open_flaky(5, &plan);
		unsigned faults = 0;

		for (uint64_t page = 0; page < 5; page++) {
			uint64_t word;

			if (source_read(src, HERE + page * PAGE, &word, 8, NULL))
				assert_int_equal(word, HERE + page * PAGE);
			else
				faults++;
		}
		assert_int_equal(faults, nth <= 5);
		source_close(src);
	}
	(void)state;
}

/* Whatever the extent read does, each page that can be read is right, each other one faults. */
static void test_truncated_extents(void **state)
{
	struct flaky plan = {.truncate_read = 1};
	struct source *src = open_flaky(32, &plan);
	uint64_t addrs[32];

	(void)state;
	for (uint64_t i = 0; i < 32; i++)
		addrs[i] = HERE + i * PAGE;
	source_prefetch(src, addrs, 32, 8);
	for (uint64_t i = 0; i < 32; i++) {
		if (i == 16)
			assert_fault(src, addrs[i], 8, addrs[i]);
		else
			assert_word(src, addrs[i]);
	}
	assert_int_equal(plan.reads, 2);
	source_close(src);
}

static void test_failing_extents(void **state)
{
	struct flaky plan = {.fail_read = 1, .fail_reads = 1};
	struct source *src = open_flaky(4, &plan);

	(void)state;
	source_prefetch(src, (uint64_t[]){HERE, HERE + PAGE, HERE + 2 * PAGE}, 3, 8);
	assert_fault(src, HERE, 8, HERE);
	assert_fault(src, HERE + PAGE, 8, HERE + PAGE);
	assert_word(src, HERE + 2 * PAGE);
	source_close(src);
}

static void test_torn_pages(void **state)
{
	struct flaky plan = {.tear_read = 2};
	struct source *src = open_flaky(3, &plan);
	uint64_t word;

	(void)state;
	assert_word(src, HERE);
	assert_word(src, HERE + PAGE);
	assert_true(source_read(src, HERE + 2 * PAGE - 8, &word, 8, NULL));
	assert_int_equal(word, ~(HERE + 2 * PAGE - 8));
	source_forget(src);
	assert_word(src, HERE + 2 * PAGE - 8);
	source_close(src);
}

static void test_ends_in_the_middle(void **state)
{
	struct flaky plan = {.gone_at = 2};
	struct source *src = open_flaky(3, &plan);
	struct error err;
	char buf[2 * SOURCE_PAGE];

	(void)state;
	assert_true(source_alive(src));
	assert_false(source_read(src, HERE, buf, sizeof(buf), &err));
	assert_int_equal(err.code, ERR_GONE);
	assert_int_equal(err.address, HERE + PAGE);
	assert_false(source_alive(src));
	source_close(src);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_a_page_once),
		cmocka_unit_test(test_across_pages),
		cmocka_unit_test(test_nothing_and_too_much),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_faults_are_remembered),
		cmocka_unit_test(test_a_look_is_consistent),
		cmocka_unit_test(test_reread),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_the_look_has_a_limit),
		cmocka_unit_test(test_neighbours_are_merged),
		cmocka_unit_test(test_prefetch_spans_pages),
		cmocka_unit_test(test_prefetch_of_nonsense),
		cmocka_unit_test(test_prefetch_over_a_hole),
		cmocka_unit_test(test_many_extents),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_failing_reads),
		cmocka_unit_test(test_truncated_extents),
		cmocka_unit_test(test_failing_extents),
		cmocka_unit_test(test_torn_pages),
		cmocka_unit_test(test_ends_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
