/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpython/ops.h"
#include "fake_source.h"

/*
 * A frame of 3.13 that stands at the call of time.sleep(x), with what it needs: layouts and
 * opcodes are those of the real thing, the objects are as small as they can be.
 */
enum {
	WORLD = 0x10000,
	SIZE = 4 * 4096,
	TYPE_TUPLE = WORLD + 0x000,
	TYPE_STR = WORLD + 0x200,
	TYPE_BYTES = WORLD + 0x400,
	TYPE_BUILTIN = WORLD + 0x600,
	TYPE_MODULE = WORLD + 0x800,
	TYPE_PARTIAL = WORLD + 0xa00,
	CODE = WORLD + 0x1000,
	FRAME = WORLD + 0x1400,
	NAMES = WORLD + 0x1600,
	LOCALS = WORLD + 0x1680,
	TABLE = WORLD + 0x1700,
	SLEEP = WORLD + 0x1800,
	DEF = WORLD + 0x1900,
	PARTIAL = WORLD + 0x1a00,
	TEXTS = WORLD + 0x2000,	  /* str objects, 0x100 apart */
	STRINGS = WORLD + 0x3000, /* C strings, 0x40 apart */
};

struct world {
	struct fake *fake;
	struct source *src;
	struct python py;
	struct py_code code;
	struct py_frame frame;
	char *memory;
	unsigned texts, strings;
};

static void put(struct world *w, uint64_t at, uint64_t value)
{
	memcpy(w->memory + (at - WORLD), &value, sizeof(value));
}

static uint64_t c_string(struct world *w, const char *text)
{
	uint64_t at = STRINGS + 0x40ull * w->strings++;

	strcpy(w->memory + (at - WORLD), text);
	return at;
}

static uint64_t str(struct world *w, const char *text)
{
	static const uint64_t compact_ascii = 0x64;
	uint64_t at = TEXTS + 0x100ull * w->texts++;

	put(w, at + 8, TYPE_STR);
	put(w, at + 16, strlen(text));
	put(w, at + 32, compact_ascii);
	strcpy(w->memory + (at + 40 - WORLD), text);
	return at;
}

static void type(struct world *w, uint64_t at, const char *name, unsigned flag)
{
	put(w, at + w->py.layout.field[F_TP_NAME].offset, c_string(w, name));
	put(w, at + w->py.layout.field[F_TP_FLAGS].offset, UINT64_C(1) << flag);
}

static void tuple(struct world *w, uint64_t at, size_t n, const uint64_t items[])
{
	put(w, at + 8, TYPE_TUPLE);
	put(w, at + 16, n);
	for (size_t i = 0; i < n; i++)
		put(w, at + 24 + 8 * i, items[i]);
}

/* time.sleep(x): the callable, NULL and x on the stack. */
static const uint8_t sleep_code[] = {
	91,  0, 0, 0, 0, 0, 0, 0, 0, 0, /* LOAD_GLOBAL time */
	82,  2, 0, 0, 0, 0, 0, 0, 0, 0,	 0,
	0,   0, 0, 0, 0, 0, 0, 0, 0, 34, 0, /* LOAD_ATTR sleep, PUSH_NULL */
	85,  0,				    /* LOAD_FAST x */
	53,  1, 0, 0, 0, 0, 0, 0,	    /* CALL 1 */
	103, 0,				    /* RETURN_CONST */
};

static void code(struct world *w, const uint8_t *bytes, size_t len)
{
	memcpy(w->memory + (w->code.bytecode - WORLD), bytes, len);
	put(w, CODE + 16, len / 2);
}

static void objects(struct world *w)
{
	const struct layout *l = &w->py.layout;

	type(w, TYPE_TUPLE, "tuple", 26);
	type(w, TYPE_STR, "str", 28);
	type(w, TYPE_BYTES, "bytes", 27);
	type(w, TYPE_BUILTIN, "builtin_function_or_method", 0);
	type(w, TYPE_MODULE, "module", 0);
	type(w, TYPE_PARTIAL, "functools.partial", 0);
	tuple(w, NAMES, 2, (const uint64_t[]){str(w, "time"), str(w, "sleep")});
	tuple(w, LOCALS, 1, (const uint64_t[]){str(w, "x")});
	put(w, TABLE + 8, TYPE_BYTES);
	put(w, CODE + l->field[F_CO_NAMES].offset, NAMES);
	put(w, CODE + l->field[F_CO_LOCALSPLUSNAMES].offset, LOCALS);
	put(w, CODE + l->field[F_CO_EXCEPTIONTABLE].offset, TABLE);
	put(w, SLEEP + 8, TYPE_BUILTIN);
	put(w, SLEEP + l->field[F_CFUNC_ML].offset, DEF);
	put(w, SLEEP + l->field[F_CFUNC_MODULE].offset, str(w, "time"));
	put(w, DEF, c_string(w, "sleep"));
	put(w, PARTIAL + 8, TYPE_PARTIAL);
	put(w, PARTIAL + l->field[F_PARTIAL_FN].offset, SLEEP);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	void *zero = calloc(1, SIZE);

	w->fake = fake_new(1);
	w->memory = fake_segment(w->fake, WORLD, zero, SIZE);
	free(zero);
	w->src = fake_open(w->fake);
	w->py.rd = READER(w->src);
	w->py.minor = 13;
	w->py.ops = cpython_ops_get(13);
	assert_true(layout_from_table(13, false, EM_X86_64, &w->py.layout, NULL));
	w->py.types.str = TYPE_STR;
	w->py.hash_state = PY_HASH_UNKNOWN;
	w->code.address = CODE;
	w->code.bytecode = CODE + w->py.layout.field[F_CO_CODE].offset;
	w->py.codes = &w->code;
	w->py.n_codes = 1;
	objects(w);
	code(w, sleep_code, sizeof(sleep_code));
	w->frame = (struct py_frame){.address = FRAME, .locals = FRAME + 0x48, .instr = 34};
	put(w, w->frame.locals + 8, SLEEP); /* behind the one variable */
	put(w, w->frame.locals + 16, 0);
	put(w, w->frame.locals + 24, TEXTS);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	arena_deinit(&w->py.arena);
	addrmap_deinit(&w->py.type_index);
	free(w->py.types_seen);
	source_close(w->src);
	free(w);
	return 0;
}

static void told(struct world *w, const char *text, const char *name)
{
	struct py_call call;

	source_forget(w->src);
	assert_true(python_call(&w->py, &w->frame, &call));
	assert_string_equal(call.text, text);
	assert_int_equal(call.n_names, name ? 1 : 0);
	if (name)
		assert_string_equal(call.names[0], name);
}

static void untold(struct world *w)
{
	struct py_call call = {.n_names = 77};

	source_forget(w->src);
	assert_false(python_call(&w->py, &w->frame, &call));
	assert_int_equal(call.n_names, 77);
	assert_false(w->py.rd.failed);
}

static void a_call(void **state)
{
	struct world *w = *state;

	told(w, "time.sleep", "time!sleep");
	put(w, w->frame.locals + 8, PARTIAL);
	told(w, "time.sleep", "time!sleep");
}

static void a_method_of_no_class(void **state)
{
	struct world *w = *state;

	/* Bound to a str whose class has no MRO: not read to its end, so there is no name. */
	put(w, SLEEP + w->py.layout.field[F_CFUNC_SELF].offset, TEXTS);
	told(w, "time.sleep", NULL);
}

static void no_call(void **state)
{
	struct world *w = *state;

	for (int32_t at = -1; at < 60; at++) {
		w->frame.instr = at;
		if (at != 34)
			untold(w);
	}
	w->frame.instr = 34;
	w->frame.code = UINT32_MAX;
	untold(w);
}

static void damaged_objects(void **state)
{
	static const uint64_t bad[] = {
		0, 1, 8, WORLD - 8, WORLD + SIZE - 4, UINT64_MAX, UINT64_MAX - 7};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put(w, w->frame.locals + 8, bad[i]); /* no object */
		told(w, "time.sleep", NULL);
		put(w, w->frame.locals + 8, SLEEP);
		put(w, SLEEP + 8, bad[i]); /* no type */
		told(w, "time.sleep", NULL);
		put(w, SLEEP + 8, TYPE_BUILTIN);
		put(w, DEF, bad[i]); /* no name */
		told(w, "time.sleep", NULL);
		put(w, DEF, STRINGS);
	}
}

static void damaged_code(void **state)
{
	static const uint64_t bad[] = {0, 1, 1 << 20, UINT64_MAX, UINT64_C(1) << 62};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put(w, CODE + 16, bad[i]);
		untold(w);
	}
	code(w, sleep_code, sizeof(sleep_code));
	put(w, CODE + w->py.layout.field[F_CO_NAMES].offset, 0);
	told(w, "?.?", "time!sleep");
}

/* A partial of itself ends somewhere. */
static void a_ring(void **state)
{
	struct world *w = *state;

	put(w, w->frame.locals + 8, PARTIAL);
	put(w, PARTIAL + w->py.layout.field[F_PARTIAL_FN].offset, PARTIAL);
	told(w, "time.sleep", NULL);
}

static void names_that_are_no_names(void **state)
{
	struct world *w = *state;

	strcpy(w->memory + (TEXTS + 0x100 + 40 - WORLD), "\x1b[2Jx");
	told(w, "time.\\x1b[2Jx", "time!sleep");
	strcpy(w->memory + (STRINGS - WORLD), "\x1b[2J");
	put(w, DEF, STRINGS);
	told(w, "time.\\x1b[2Jx", NULL);
}

/* (a if c else b)(x): one of two, so only the object says which. */
static void two_ways_code(struct world *w)
{
	static const uint8_t either[] = {
		85, 0, 97, 6, 0,  0,		       /* LOAD_FAST x; POP_JUMP_IF_FALSE */
		91, 0, 0,  0, 0,  0, 0, 0, 0, 0,       /* LOAD_GLOBAL time */
		79, 5,				       /* JUMP_FORWARD */
		91, 2, 0,  0, 0,  0, 0, 0, 0, 0,       /* LOAD_GLOBAL sleep */
		34, 0, 85, 0, 53, 1, 0, 0, 0, 0, 0, 0, /* PUSH_NULL; LOAD_FAST x; CALL 1 */
	};

	code(w, either, sizeof(either));
	w->frame.instr = 32;
}

static void two_ways(void **state)
{
	struct world *w = *state;

	two_ways_code(w);
	told(w, "sleep", "time!sleep");
}

/* A module with a name so long, once it is made safe, that nothing is left of the function's. */
static void a_module_without_end(void **state)
{
	struct world *w = *state;
	uint64_t module = 0;

	memcpy(&module, w->memory + (SLEEP + w->py.layout.field[F_CFUNC_MODULE].offset - WORLD), 8);
	put(w, module + 16, 80);
	memset(w->memory + (module + 40 - WORLD), 1, 80);
	told(w, "time.sleep", NULL);
	two_ways_code(w);
	untold(w);
}

/* More arguments than there can be, and an expression that never begins. */
static void too_many_arguments(void **state)
{
	static const uint8_t many[] = {71, 255, 71, 255, 71, 255, 53, 255, 0, 0, 0, 0, 0, 0};
	static const uint8_t few[] = {85, 0, 53, 9, 0, 0, 0, 0, 0, 0};
	struct world *w = *state;

	code(w, many, sizeof(many));
	w->frame.instr = 6;
	untold(w);
	code(w, few, sizeof(few));
	w->frame.instr = 2;
	untold(w);
}

/* A class is made where another one was that went. */
static void another_class(void **state)
{
	struct world *w = *state;

	assert_string_equal(py_type_name(&w->py, TYPE_PARTIAL), "functools.partial");
	type(w, TYPE_PARTIAL, "Row", 0);
	python_new_look(&w->py, w->src);
	source_forget(w->src);
	assert_string_equal(py_type_name(&w->py, TYPE_PARTIAL), "Row");
	put(w, TYPE_PARTIAL + w->py.layout.field[F_TP_NAME].offset, 0);
	assert_string_equal(py_type_name(&w->py, TYPE_PARTIAL), "Row"); /* in the same look */
	python_new_look(&w->py, w->src);
	source_forget(w->src);
	assert_string_equal(py_type_name(&w->py, TYPE_PARTIAL), "?");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_call),
		CASE(a_method_of_no_class),
		CASE(no_call),
		CASE(damaged_objects),
		CASE(damaged_code),
		CASE(a_ring),
		CASE(two_ways),
		CASE(too_many_arguments),
		CASE(names_that_are_no_names),
		CASE(a_module_without_end),
		CASE(another_class),
	};

	return cmocka_run_group_tests_name("call", tests, NULL, NULL);
}
