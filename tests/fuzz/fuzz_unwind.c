/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_unwind.c - a stack, registers and the unwind table of an object, all forged
 *
 * The input is 27 words of registers, then memory: the object, which has the table in its front,
 * and behind it the stack. What libunwind is given has passed cfi.c: it must neither fall over it
 * nor walk for long.
 */
#include <string.h>

#include "native/native_private.h"
#include "unit/fake_source.h"

#define BASE  UINT64_C(0x400000)
#define SIZE  (32u * SOURCE_PAGE)
#define STACK (BASE + SIZE / 2)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct source *source_of(const uint8_t *data, size_t size)
{
	static char memory[SIZE];
	static const unsigned char head[] = {1, 0x1b, 3, 0x3b};
	struct fake *fake = fake_new(1);

	memset(memory, 0, sizeof(memory));
	memcpy(memory, data, size < sizeof(memory) ? size : sizeof(memory));
	memcpy(memory, head, sizeof(head));
	fake_segment(fake, BASE, memory, sizeof(memory));
	return fake_open(fake);
}

/* One object over all of it, known already. */
static struct native *native_of(struct source *src, const struct maps *maps)
{
	struct native *n = native_open(src, maps, false);
	struct native_module *m = array_push(&n->modules, &n->n_modules, &n->modules_cap);

	*m = (struct native_module){
		.first = &maps->v[0], .path = "x", .table = BASE, .n_entries = 8};
	m->elf.base = BASE;
	m->elf.end = BASE + SIZE;
	addrmap_put(&n->module_of, BASE, 0);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mapping mapping = {.file = {.start = BASE, .end = BASE + SIZE, .path = "x"}};
	struct maps maps = {&mapping, 1, false};
	struct source_registers registers = {.n = 27};
	struct native_thread thread = {.registers = &registers};
	struct native_stack stack;
	struct source *src;
	struct native *n;

	if (size < registers.n * sizeof(uint64_t))
		return 0;
	memcpy(registers.v, data, registers.n * sizeof(uint64_t));
	registers.v[16] = BASE + registers.v[16] % SIZE; /* rip, rsp */
	registers.v[19] = STACK + registers.v[19] % 4096 * 8;
	src = source_of(data + registers.n * sizeof(uint64_t),
			size - registers.n * sizeof(uint64_t));
	n = native_of(src, &maps);
	native_unwind(n, &thread, &stack);
	native_stack_deinit(&stack);
	native_close(n);
	source_close(src);
	return 0;
}
