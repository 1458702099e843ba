/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_pages.h - a fake with pages from HERE on, each word of which holds its own address
 */
#ifndef STALLSCOPE_TESTS_FAKE_PAGES_H
#define STALLSCOPE_TESTS_FAKE_PAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_source.h"
#include "source/pages.h"
#include "stallscope/arena.h"

#define PAGE ((uint64_t)SOURCE_PAGE)
#define HERE UINT64_C(0x7f0000000000)

static struct fake *fake; /* of the source that is open; the source frees it */

static inline struct source *open_pages(size_t pages)
{
	fake = fake_new(42);
	fake_counting_segment(fake, HERE, pages);
	return fake_open(fake);
}

static inline void assert_word(struct source *src, uint64_t addr)
{
	uint64_t word;

	assert_true(source_read(src, addr, &word, sizeof(word), NULL));
	assert_int_equal(word, addr);
}

static inline void assert_fault(struct source *src, uint64_t addr, size_t len, uint64_t at)
{
	static char buf[1 << 20];
	struct error err;

	assert_true(len <= sizeof(buf));
	assert_false(source_read(src, addr, buf, len, &err));
	assert_int_equal(err.code, ERR_FAULT);
	assert_int_equal(err.address, at);
}

static inline struct source *open_flaky(size_t pages, struct flaky *plan)
{
	struct source *inner = open_pages(pages), *src = flaky_open(inner, plan);

	source_close(inner);
	return src;
}

#endif
