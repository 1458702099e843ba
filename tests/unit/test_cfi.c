/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_cfi.c - entries of an unwind table: what every compiler writes is let through to libunwind,
 * what would make it run astray is not
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_source.h"
#include "native/native_private.h"
#include "stallscope/addrmap.h"

#define BASE  UINT64_C(0x400000)
#define TABLE BASE
#define CIE   0x100u
#define FDE   0x200u
#define CODE  0x800u /* of the one function, 0x100 bytes */

static struct {
	char *memory;
	struct source *src;
	struct native n;
	struct native_module module;
	struct native_thread thread;
	struct source_registers registers;
} w;

static void put32(size_t at, uint32_t value)
{
	memcpy(w.memory + at, &value, sizeof(value));
}

/* A record: its length, the id, the bytes. */
static void put_record(size_t at, uint32_t id, const char *bytes, size_t len)
{
	put32(at, (uint32_t)len + 4);
	put32(at + 4, id);
	memcpy(w.memory + at + 8, bytes, len);
}

#define PUT_CIE(text) put_record(CIE, 0, text, sizeof(text) - 1)
#define RANGE	      "\0\x06\0\0\0\x01\0\0" /* where, how much: not looked at */
#define PUT_FDE(text) put_record(FDE, FDE + 4 - CIE, RANGE "\0" text, sizeof(RANGE text))
#define HONEST_CIE    "\1zR\0\1\x78\x10\1\x1b\x0c\7\x08\x90\1\0\0"

static int set_up(void **state)
{
	static char page[SOURCE_PAGE];
	struct fake *fake = fake_new(1);

	(void)state;
	memset(&w, 0, sizeof(w));
	w.memory = fake_segment(fake, BASE, page, sizeof(page));
	w.src = fake_open(fake);
	w.n.src = w.src;
	w.thread.registers = &w.registers;
	w.module = (struct native_module){.table = TABLE, .n_entries = 1};
	memcpy(w.memory, "\1\x1b\3\x3b", 4);
	put32(8, 1);
	put32(12, CODE);
	put32(16, FDE);
	PUT_CIE(HONEST_CIE);
	PUT_FDE("\x41\x0e\x10\x86\2");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	source_close(w.src);
	return 0;
}

static uint64_t look_up(uint64_t pc)
{
	struct native_memory m = {&w.n, &w.thread, 100000};

	return native_entry(&m, &w.module, pc);
}

static bool is_taken(void)
{
	source_forget(w.src);
	return look_up(BASE + CODE) != 0;
}

static void test_look_up(void **state)
{
	(void)state;
	assert_int_equal(look_up(BASE + CODE), TABLE + 12);
	assert_int_equal(look_up(BASE + CODE + 1000), TABLE + 12); /* libunwind knows its end */
	assert_int_equal(look_up(BASE + CODE - 1), 0);
	w.module.n_entries = 1000000; /* more than there are bytes */
	assert_int_equal(look_up(BASE + CODE + (1u << 30)), 0);
}

static void test_budget(void **state)
{
	struct native_memory m = {&w.n, &w.thread, 5};

	(void)state;
	assert_int_equal(native_entry(&m, &w.module, BASE + CODE), 0);
	assert_int_equal(m.left, 0);
}

#define FINE(text)                       \
	do {                             \
		PUT_FDE(text);           \
		assert_true(is_taken()); \
	} while (0)
#define BAD(text)                         \
	do {                              \
		PUT_FDE(text);            \
		assert_false(is_taken()); \
	} while (0)

static void test_instructions(void **state)
{
	(void)state;
	FINE("\x02\x10\x03\1\2\x04\1\2\3\4\x05\x10\2\x0a\x0b\x0d\6\x0e\x90\1\x2e\x10\xc6");
	/* of the PLT: breg7 8, breg16 0, lit15, and, lit11, ge, lit3, shl, plus */
	FINE("\x0f\x0b\x77\x08\x80\0\x3f\x1a\x3b\x2a\x33\x24\x22");
	/* of a signal frame: expression r0, breg7 144 */
	FINE("\x10\0\3\x77\x90\1");
	BAD("\x01\1\2\3\4\5\6\7\x08"); /* set_loc */
	BAD("\x3f");
	BAD("\x04\1\2");					   /* cut */
	BAD("\x0e\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"); /* too long a number */
}

static void test_expressions(void **state)
{
	(void)state;
	BAD("\x0f\x0c\x0f\0\0\0\0\0\0\0\x80\x09\xff\x1b"); /* INT64_MIN / -1 */
	BAD("\x0f\1\x1d");				   /* mod */
	BAD("\x0f\3\x2f\xfd\xff");			   /* skip to itself */
	BAD("\x0f\4\x30\x28\xfd\xff");			   /* bra */
	BAD("\x0f\3\x98\0\0");				   /* call2 */
	BAD("\x10\0\2\x77");				   /* longer than its entry */
	BAD("\x16\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01");
	BAD("\x0f\2\x0e\1"); /* an operand that is cut by the end of the expression */
}

static void test_common_part(void **state)
{
	(void)state;
	PUT_CIE("\1\0\1\x78\x10\x0c\7\x08\0");
	put32(CIE, 0x20);
	PUT_FDE(""); /* addresses of eight bytes: none is left for more */
	PUT_CIE("\4zR\0\1\x78\x10\1\x1b\0\0\0");
	assert_false(is_taken()); /* version 4 */
	PUT_CIE("\1zX\0\1\x78\x10\1\x1b\0\0\0");
	assert_false(is_taken());
	PUT_CIE("\1zR\0\1\x78\x10\x7f\x1b\0\0\0");
	assert_false(is_taken());
	PUT_CIE("\1zR\0\1\x78\x10\1\x50\0\0\0");
	assert_false(is_taken()); /* addresses aligned to who knows what */
	PUT_CIE("\1zPLR\0\1\x78\x10\7\x9b\1\2\3\4\x1b\x1b\0");
	PUT_FDE("\x41");
	assert_true(is_taken());
	PUT_CIE(HONEST_CIE);
	put32(FDE + 4, 0);
	assert_false(is_taken()); /* it is no entry of a function */
	put32(FDE + 4, FDE + 4 - CIE);
	put32(FDE, 0x7fffffff);
	assert_false(is_taken());
	put32(FDE, 4);
	assert_false(is_taken());
	put32(FDE, 0xffffffff);
	assert_false(is_taken());
}

/* libunwind begins with the instructions where the letters that it looks at have led it. */
static void test_hidden_instructions(void **state)
{
	(void)state;
	PUT_FDE("\x41");
	PUT_CIE("\1zPLR\0\1\x78\x10\3\xff\x1b\x1b\0"); /* no personality */
	assert_true(is_taken());
	PUT_CIE("\1zPLRS\0\1\x78\x10\7\x9b\1\2\3\4\x1b\x1b\0");
	assert_true(is_taken());
	PUT_CIE("\1zRB\0\1\x78\x10\1\x1b\0\0");
	assert_true(is_taken());
	PUT_CIE("\1zR\0\1\x78\x10\2\x1b\x3f\0\0"); /* behind them */
	assert_false(is_taken());
	PUT_CIE("\1zRSSL\0\1\x78\x10\2\x1b\x3f\0\0"); /* of a letter too many */
	assert_false(is_taken());
	PUT_CIE("\1zRBL\0\1\x78\x10\2\x1b\x3f\0\0"); /* behind one that is not known */
	assert_false(is_taken());
	PUT_CIE("\1zPR\0\1\x78\x10\2\1\x1b\x3f\0"); /* a personality of who knows what size */
	assert_false(is_taken());
	PUT_CIE("\1zPR\0\1\x78\x10\x0a\x50\0\0\0\0\0\0\0\0\x1b\0"); /* aligned */
	assert_false(is_taken());
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_look_up),	TEST(test_budget),	TEST(test_instructions),
		TEST(test_expressions), TEST(test_common_part), TEST(test_hidden_instructions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
