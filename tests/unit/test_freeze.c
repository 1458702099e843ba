/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_freeze.c - looks at a copy that was made while the target stood
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "fake_source.h"
#include "source/pages.h"
#include "source/stop_child.h"
#include "stallscope/arena.h"

#define PAGE  ((size_t)SOURCE_PAGE)
#define BASE  UINT64_C(0x100000)
#define PAGES 16

static struct world {
	struct fake *fake;
	struct source *src;
	char *live; /* the memory that goes on */
	bool refuse;
	size_t copied;	      /* bytes that the next stop copies at most; 0: all */
	size_t ranges, bytes; /* of the last request */
} w;

/* As live_stop(): copies what is there now; the memory goes on when the test says so. */
static bool fake_stop(void *self, const struct stop_request *want, struct stop **ret,
		      uint64_t *paused_ns, struct error *err)
{
	size_t size = sizeof(struct stop_shared) + 64 * PAGE, left = w.copied ? w.copied : SIZE_MAX;
	struct stop_shared *s;
	char *data;

	(void)self;
	*paused_ns = 1000;
	if (w.refuse)
		return error_set(err, ERR_NOT_STOPPED, "refused");
	s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->size = size;
	data = (char *)(s + 1);
	s->stop.threads = (struct stop_thread *)(void *)data;
	s->stop.n_threads = want->n_tids;
	data += want->n_tids * sizeof(struct stop_thread);
	for (size_t i = 0; i < want->n_tids; i++)
		s->stop.threads[i].stopped = i != 1;
	s->stop.copies = (struct stop_copy *)(void *)data;
	s->stop.n_copies = w.ranges = want->n_ranges;
	data += want->n_ranges * sizeof(struct stop_copy);
	w.bytes = 0;
	for (size_t i = 0; i < want->n_ranges; i++) {
		const struct stop_range *r = &want->ranges[i];
		size_t len = r->len < left ? r->len : left;

		s->stop.copies[i] = (struct stop_copy){r->address, (uint32_t)len, data};
		memcpy(data, w.live + (r->address - BASE), len);
		data += len;
		left -= len;
		w.bytes += r->len;
	}
	s->stop.clock_ns = 77;
	*ret = &s->stop;
	return true;
}

static int set_up(void **state)
{
	(void)state;
	w = (struct world){0};
	w.fake = fake_new(1);
	w.live = fake_counting_segment(w.fake, BASE, PAGES);
	w.fake->ops.stop = fake_stop;
	w.src = fake_open(w.fake);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	source_close(w.src);
	return 0;
}

static uint64_t word(uint64_t address)
{
	uint64_t value = 0;

	assert_true(source_read(w.src, address, &value, sizeof(value), NULL));
	return value;
}

static void set_word(uint64_t address, uint64_t value)
{
	memcpy(w.live + (address - BASE), &value, sizeof(value));
}

static struct source_picture frozen(void)
{
	static const int32_t tids[] = {1, 2, 3};
	struct source_picture picture;
	struct error err;

	if (!source_freeze(w.src, tids, ARRAY_SIZE(tids), &picture, &err))
		fail_msg("%s", err.text);
	return picture;
}

static void test_copy_answers(void **state)
{
	uint64_t a = BASE + 8, b = BASE + 5 * PAGE;
	struct source_picture picture;

	(void)state;
	word(a);
	word(b);
	set_word(a, 111);
	picture = frozen();
	assert_int_equal(picture.clock_ns, 77);
	assert_int_equal(picture.pages, 2);
	assert_int_equal(picture.threads, 2);
	assert_int_equal(w.ranges, 2);
	set_word(a, 222); /* it runs again */
	assert_int_equal(word(a), 111);
	source_reread(w.src, a, 8);
	assert_int_equal(word(a), 111);
	assert_true(source_unchanged(w.src, a, 8));
	assert_int_equal(source_late_pages(w.src), 0);
	assert_int_equal(source_get_stats(w.src).paused_ns, 1000);
	assert_int_equal(source_get_stats(w.src).stops, 1);
}

static void test_what_was_not_copied_is_late(void **state)
{
	uint64_t a = BASE, late = BASE + 3 * PAGE;

	(void)state;
	word(a);
	frozen();
	set_word(late, 5);
	assert_int_equal(word(late), 5);
	assert_int_equal(source_late_pages(w.src), 1);
	assert_true(source_unchanged(w.src, late, 8));
	set_word(late, 6);
	assert_false(source_unchanged(w.src, late, 8));
	source_reread(w.src, late, 8);
	assert_int_equal(word(late), 6);
	/* the next copy has it */
	word(a);
	assert_int_equal(frozen().pages, 2);
	set_word(late, 7);
	assert_int_equal(word(late), 6);
	assert_int_equal(source_late_pages(w.src), 0);
	source_forget(w.src);
	assert_int_equal(word(late), 7);
	assert_int_equal(source_late_pages(w.src), 0);
}

static void test_time_was_up(void **state)
{
	(void)state;
	word(BASE);
	word(BASE + 4 * PAGE);
	w.copied = PAGE + 100; /* the second one only in part */
	assert_int_equal(frozen().pages, 1);
	word(BASE);
	assert_int_equal(source_late_pages(w.src), 0);
	word(BASE + 4 * PAGE);
	assert_int_equal(source_late_pages(w.src), 1);
}

/* Neighbours are one piece, and so is what was read along between them; never more than it. */
static void test_neighbours_are_one_range(void **state)
{
	uint64_t addresses[] = {BASE, BASE + PAGE, BASE + 3 * PAGE, BASE + 12 * PAGE};

	(void)state;
	source_prefetch(w.src, addresses, ARRAY_SIZE(addresses), 8);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		word(addresses[i]);
	frozen();
	assert_int_equal(w.ranges, 2);
	assert_int_equal(w.bytes, 5 * PAGE);
}

static void test_failure_changes_nothing(void **state)
{
	const int32_t tid = 1;
	struct source_picture picture;
	struct error err;
	size_t reads;

	(void)state;
	word(BASE);
	reads = w.fake->reads;
	w.refuse = true;
	assert_false(source_freeze(w.src, &tid, 1, &picture, &err));
	assert_int_equal(err.code, ERR_NOT_STOPPED);
	set_word(BASE, 9);
	assert_int_not_equal(word(BASE), 9);
	assert_int_equal(w.fake->reads, reads);
	assert_int_equal(source_get_stats(w.src).paused_ns, 1000);
}

static void test_recordings_stand_still(void **state)
{
	const int32_t tid = 1;
	struct source_picture picture;
	struct error err;
	struct fake *f = fake_new(1);
	struct source *src = fake_open(f);

	(void)state;
	assert_false(source_freeze(src, &tid, 1, &picture, &err));
	assert_int_equal(err.code, ERR_ABSENT);
	assert_int_equal(source_get_stats(src).stops, 0);
	source_close(src);
}

/* What a forgotten look used is saved too: also what the copy was made of. */
static void test_pinned_memory_is_kept(void **state)
{
	size_t n;
	struct quarter *list;

	(void)state;
	source_pin(w.src);
	source_forget(w.src);
	word(BASE);
	word(BASE + 2 * PAGE);
	frozen();
	word(BASE);
	list = source_quarters(w.src, &n);
	assert_int_equal(n, 2);
	free(list);
}

/* A light look may need another part of a page of an older look. */
static void test_other_quarters_are_kept(void **state)
{
	struct source *light = source_again(w.src);
	uint64_t value;
	size_t n;
	struct quarter *list;

	(void)state;
	source_pin(w.src);
	source_forget(w.src);
	word(BASE);
	frozen(); /* the page is of an older look now */
	set_word(BASE, 5);
	assert_true(source_read(light, BASE, &value, 8, NULL));
	assert_true(source_read(light, BASE + PAGE / 2, &value, 8, NULL));
	source_keep(w.src, light);
	list = source_quarters(w.src, &n);
	assert_int_equal(n, 2);
	assert_int_equal(list[1].address, BASE + PAGE / 2);
	memcpy(&value, list[0].data, sizeof(value));
	assert_int_not_equal(value, 5);
	free(list);
	source_close(light);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_copy_answers),
		TEST(test_what_was_not_copied_is_late),
		TEST(test_time_was_up),
		TEST(test_neighbours_are_one_range),
		TEST(test_failure_changes_nothing),
		TEST(test_recordings_stand_still),
		TEST(test_pinned_memory_is_kept),
		TEST(test_other_quarters_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
