/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwind.c - libunwind over copied registers, a copied stack and the memory of a source
 */
#include <libunwind.h>
#include <stdlib.h>
#include <string.h>

#include "native_private.h"

/* An honest frame asks for 50 to 300 words, most of them of tables; the evaluation loop for 4,000.
 */
#define WORDS_MAX (UINT64_C(1) << 24)

/*
 * The look-up by a table in the memory of another process; perf(1) calls it as well. It is told of
 * a table with one entry, the one that was found and checked.
 */
#define search_unwind_table UNW_OBJ(dwarf_search_unwind_table)
extern int search_unwind_table(unw_addr_space_t as, unw_word_t ip, unw_dyn_info_t *di,
			       unw_proc_info_t *pi, int need_unwind_info, void *arg);

struct walk {
	struct native_memory memory;
	const char *why; /* the walk ended, a literal */
};

/* ---- memory -------------------------------------------------------------------------------- */

static bool from_stack(const struct native_thread *t, uint64_t addr, void *buf, size_t len)
{
	if (!t->stack || addr < t->sp || len > t->stack_len || addr - t->sp > t->stack_len - len)
		return false;
	memcpy(buf, t->stack + (addr - t->sp), len);
	if (t->used) {
		uint64_t first = t->sp / 1024;

		t->used[addr / 1024 - first] = t->used[(addr + len - 1) / 1024 - first] = 1;
	}
	return true;
}

bool native_read(struct native_memory *m, uint64_t addr, void *buf, size_t len)
{
	uint64_t words = (len + 7) / 8;

	if (m->left < words) {
		m->left = 0;
		return false;
	}
	m->left -= words;
	return from_stack(m->thread, addr, buf, len) ||
	       source_read(m->n->src, addr, buf, len, NULL);
}

/* ---- registers ----------------------------------------------------------------------------- */

/* Where NT_PRSTATUS has a register of libunwind's; -1: not at all. */
static int register_at(unw_regnum_t reg)
{
#if defined(__x86_64__)
	static const signed char at[] = {10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0, 16};

	_Static_assert(UNW_X86_64_RAX == 0 && UNW_X86_64_RDX == 1 && UNW_X86_64_RSP == 7 &&
			       UNW_X86_64_RIP == 16,
		       "rax rdx rcx rbx rsi rdi rbp rsp r8-r15 rip");
	return reg >= 0 && (size_t)reg < ARRAY_SIZE(at) ? at[reg] : -1;
#elif defined(__aarch64__)
	_Static_assert(UNW_AARCH64_X0 == 0 && UNW_AARCH64_SP == 31 && UNW_AARCH64_PC == 32,
		       "x0-x30 sp pc");
	return reg >= 0 && reg <= UNW_AARCH64_PC ? reg : -1;
#else
	(void)reg;
	return -1;
#endif
}

static uint64_t value_of(const struct native_thread *t, unw_regnum_t reg)
{
	int at = register_at(reg);

	return at >= 0 && (uint32_t)at < t->registers->n ? t->registers->v[at] : 0;
}

/* ---- what libunwind asks ------------------------------------------------------------------- */

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *value, int write, void *arg)
{
	struct walk *w = arg;

	(void)as;
	if (write)
		return -UNW_EINVAL;
	if (native_read(&w->memory, addr, value, sizeof(*value)))
		return 0;
	w->why = w->memory.left ? "the stack or an unwind table could not be read"
				: "its unwind tables have no end";
	return -UNW_EINVAL;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *value, int write,
		      void *arg)
{
	const struct walk *w = arg;
	int at = register_at(reg);

	(void)as;
	if (write || at < 0 || (uint32_t)at >= w->memory.thread->registers->n)
		return -UNW_EBADREG;
	*value = w->memory.thread->registers->v[at];
	return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *value, int write,
			void *arg)
{
	(void)as;
	(void)reg;
	(void)value;
	(void)write;
	(void)arg;
	return -UNW_EBADREG;
}

/* Without a table the walk ends: libunwind would go on by guesses at a chain of frame pointers. */
static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi,
			  int need_unwind_info, void *arg)
{
	struct walk *w = arg;
	struct native *n = w->memory.n;
	uint32_t index = native_module_at(n, ip);
	const struct native_module *m = index == NATIVE_NONE ? NULL : &n->modules[index];
	unw_dyn_info_t di = {.format = UNW_INFO_FORMAT_REMOTE_TABLE};
	uint64_t entry = m && m->table ? native_entry(&w->memory, m, ip) : 0;
	const char *before = w->why;

	if (!entry) {
		w->why = !m	     ? "it leads through code of no object"
			 : !m->table ? "an object has no unwind table"
				     : "an object's unwind table has no usable entry";
		return -UNW_ESTOPUNWIND;
	}
	di.start_ip = m->elf.base;
	di.end_ip = m->elf.end;
	di.u.rti.segbase = m->table;
	di.u.rti.table_data = entry;
	di.u.rti.table_len = 1;
	if (search_unwind_table(as, ip, &di, pi, need_unwind_info, arg) >= 0)
		return 0;
	if (w->why == before)
		w->why = "code that no unwind table describes";
	return -UNW_ESTOPUNWIND;
}

/*
 * What was made for an entry lies in a pool inside of libunwind, and the function that gives it
 * back is not exported: about 100 bytes for each frame.
 */
static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	(void)as;
	(void)pi;
	(void)arg;
}

static int no_dyn_list(unw_addr_space_t as, unw_word_t *list, void *arg)
{
	(void)as;
	(void)list;
	(void)arg;
	return -UNW_ENOINFO;
}

static int no_resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	(void)as;
	(void)cursor;
	(void)arg;
	return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t as, unw_word_t addr, char *name, size_t size,
		   unw_word_t *offset, void *arg)
{
	(void)as;
	(void)addr;
	(void)name;
	(void)size;
	(void)offset;
	(void)arg;
	return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = put_unwind_info,
	.get_dyn_info_list_addr = no_dyn_list,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = access_fpreg,
	.resume = no_resume,
	.get_proc_name = no_name,
};

/* ---- the walk ------------------------------------------------------------------------------ */

static void push(struct native_stack *ret, uint64_t pc, uint64_t sp, bool called)
{
	struct native_frame *f = array_push(&ret->frames, &ret->n, &ret->cap);

	f->pc = pc;
	f->sp = sp;
	f->called = called;
	f->module = NATIVE_NONE;
}

/*
 * Each frame lies above the one it called: a stack that does not is a ring, or another stack. Only
 * the innermost function may not have used the stack at all.
 */
static bool climbs(const struct native_stack *ret, uint64_t sp)
{
	uint64_t before = ret->n ? ret->frames[ret->n - 1].sp : 0;

	return ret->n < 2 ? sp >= before : sp > before;
}

static void walk(unw_cursor_t *cursor, struct walk *w, struct native_stack *ret)
{
	bool called = false;
	int step = 1;

	while (step > 0) {
		unw_word_t pc, sp;

		if (ret->n == NATIVE_MAX_FRAMES) {
			w->why = "it is deeper than is unwound";
			return;
		}
		if (unw_get_reg(cursor, UNW_REG_IP, &pc) || unw_get_reg(cursor, UNW_REG_SP, &sp))
			return;
		if (!climbs(ret, sp)) {
			w->why = "it leads back, or onto another stack";
			return;
		}
		push(ret, pc, sp, called);
		called = unw_is_signal_frame(cursor) <= 0;
		step = unw_step(cursor);
	}
	ret->whole = step == 0;
}

void native_unwind(struct native *n, const struct native_thread *thread, struct native_stack *ret)
{
	unw_addr_space_t as = unw_create_addr_space(&accessors, 0);
	struct walk w = {.memory = {n, thread, WORDS_MAX}};
	unw_cursor_t cursor;

	*ret = (struct native_stack){0};
	if (as && value_of(thread, UNW_REG_SP) && !unw_init_remote(&cursor, as, &w)) {
		unw_set_caching_policy(as, UNW_CACHE_NONE);
		walk(&cursor, &w, ret);
	}
	if (as)
		unw_destroy_addr_space(as);
	if (!ret->whole)
		ret->why = w.why ? w.why : "the registers or an unwind table make no sense";
	for (size_t i = 0; i < ret->n; i++) {
		struct native_frame *f = &ret->frames[i];

		f->module = native_module_at(n, f->pc - f->called);
		if (f->module == NATIVE_NONE)
			continue;
		f->object = n->modules[f->module].path;
		f->offset = f->pc - n->modules[f->module].elf.bias;
	}
}

void native_stack_deinit(struct native_stack *stack)
{
	free(stack->frames);
	*stack = (struct native_stack){0};
}
