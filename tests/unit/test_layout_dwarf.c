/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/layout.h"

/* Structures with names that are looked for, of shapes that occur; of this program itself. */

#define HEAD(prefix)                                     \
	long prefix##_refcnt;                            \
	union {                                          \
		struct {                                 \
			unsigned short prefix##_pad;     \
			const void *const prefix##_loop; \
		};                                       \
		long prefix##_other;                     \
	};                                               \
	unsigned prefix##_log : 1;                       \
	unsigned prefix##_blocking : 1;                  \
	unsigned prefix##_must_cancel : 1;               \
	enum { prefix##_NO, prefix##_YES } prefix##_state;

typedef struct {
	HEAD(task)
	_Atomic int task_num_cancels_requested;
	struct {
		void *next, *prev;
	} task_node;
} task_typedef;
typedef task_typedef TaskObj;

struct _ts;

typedef struct {
	char pad[3];
	struct {
		struct {
			int head;
		} interpreters;
		struct {
			void *gil;
		} ceval;
	};
} hidden;
struct pyruntimestate {
	long first;
	const volatile hidden in;
	struct {
		long mutex;
		void *head;
	} interpreters;
};

struct _frame {
	long ob;
	unsigned long long pad : 40, f_state : 1, more : 20;
	char f_localsplus[1];
};

static struct layout empty_layout(void)
{
	struct layout layout = {.minor = 99};

	for (unsigned f = 0; f < FIELD_COUNT; f++)
		layout.field[f] = (struct layout_entry){LAYOUT_ABSENT, 0, LAYOUT_NO_BIT, 0};
	return layout;
}

static void expect(const struct layout *layout, enum layout_field f, size_t offset, int size,
		   int bit)
{
	const struct layout_entry *e = &layout->field[f];

	if (e->offset != offset || e->size != size || e->bit != bit || e->provider != LAYOUT_DWARF)
		fail_msg("%s: offset %u size %u bit %u by %s", layout_field_name(f), e->offset,
			 e->size, e->bit, layout_provider_name(e->provider));
}

static void test_shapes(void **state)
{
	static volatile TaskObj task;
	static volatile struct pyruntimestate runtime;
	static volatile struct _frame frame;
	static struct _ts *volatile thread;
	struct layout layout = empty_layout();
	cleanup_fd int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	(void)state;
	(void)thread;
	assert_true(fd >= 0);
	if (!layout_from_dwarf(fd, &layout)) {
		print_message("this test was built without debug information\n");
		skip();
	}
	expect(&layout, F_TASK_SIZE, sizeof(task), 0, LAYOUT_NO_BIT);
	expect(&layout, F_TASK_LOOP, offsetof(TaskObj, task_loop), 8, LAYOUT_NO_BIT);
	expect(&layout, F_TASK_MUST_CANCEL, offsetof(TaskObj, task_state) - 4, 1, 2);
	expect(&layout, F_TASK_STATE, offsetof(TaskObj, task_state), 4, LAYOUT_NO_BIT);
	expect(&layout, F_TASK_NUM_CANCELS, offsetof(TaskObj, task_num_cancels_requested), 4,
	       LAYOUT_NO_BIT);
	expect(&layout, F_TASK_NODE, offsetof(TaskObj, task_node), 0, LAYOUT_NO_BIT);
	expect(&layout, F_RT_INTERP_HEAD, offsetof(struct pyruntimestate, interpreters.head), 8,
	       LAYOUT_NO_BIT);
	expect(&layout, F_FO_STATE, 8 + 5, 1, 0);
	expect(&layout, F_FO_LOCALS, offsetof(struct _frame, f_localsplus), 0, LAYOUT_NO_BIT);
	assert_false(layout_has(&layout, F_RT_GIL)); /* "in" has a name, so it is not looked into */
	assert_false(layout_has(&layout, F_TASK_CORO));
	assert_false(layout_has(&layout, F_TS_NEXT));
	assert_int_equal(layout.minor, 99);
	(void)(runtime.first + frame.ob + task.task_refcnt);
}

static void test_not_elf(void **state)
{
	struct layout layout = empty_layout(), copy = layout;
	cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_fd int text = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(layout_from_dwarf(-1, &layout), 0);
	assert_int_equal(layout_from_dwarf(null, &layout), 0);
	assert_int_equal(layout_from_dwarf(text, &layout), 0);
	assert_memory_equal(&layout, &copy, sizeof(copy));
}

static size_t read_file(const char *path, char *buf, size_t size)
{
	cleanup_file FILE *in = fopen(path, "r");

	return in ? fread(buf, 1, size, in) : 0;
}

/* Our own file with bytes changed here and there: whatever it says, it must be survived. */
static void test_spoilt_file(void **state)
{
	size_t max = 8u << 20, len;
	cleanup_free char *file = malloc(max), *copy = malloc(max);
	unsigned seed = 1;

	(void)state;
	len = read_file("/proc/self/exe", file, max);
	if (len == 0 || len == max)
		skip();
	for (int round = 0; round < 200; round++) {
		cleanup_fd int fd = memfd_create("spoilt", MFD_CLOEXEC);
		struct layout layout = empty_layout();

		memcpy(copy, file, len);
		for (int i = 0; i < 1 << (round % 12); i++) {
			size_t at = ((size_t)rand_r(&seed) << 16 ^ (size_t)rand_r(&seed)) % len;

			if (at >= sizeof(Elf64_Ehdr))
				copy[at] = (char)rand_r(&seed);
		}
		assert_int_equal(write(fd, copy, len), len);
		layout_from_dwarf(fd, &layout);
		for (unsigned f = 0; f < FIELD_COUNT; f++)
			if (layout_has(&layout, (enum layout_field)f))
				assert_true(layout.field[f].offset <= 1u << 20);
	}
}

static void take_file(const char *pattern, struct layout *layout)
{
	glob_t found = {0};

	if (!glob(pattern, 0, NULL, &found)) {
		cleanup_fd int fd = open(found.gl_pathv[0], O_RDONLY | O_CLOEXEC);

		layout_from_dwarf(fd, layout);
	}
	globfree(&found);
}

static void expect_table(const struct layout *dwarf, const char *name)
{
	struct layout table;

	assert_true(layout_from_table(dwarf->minor, false, EM_X86_64, &table, NULL));
	for (unsigned f = 0; f < FIELD_COUNT; f++) {
		const struct layout_entry *t = &table.field[f], *d = &dwarf->field[f];

		if (t->offset != d->offset || t->size != d->size || t->bit != d->bit)
			fail_msg("%s %s: DWARF says %d/%u, the table %d/%u", name,
				 layout_field_name((enum layout_field)f), (int)d->offset, d->size,
				 (int)t->offset, t->size);
	}
}

/* One interpreter: its library (or itself), _asyncio and _queue against the table. */
static bool check_interpreter(const char *root)
{
	const char *name = strrchr(root, '/') + 1;
	struct layout layout = empty_layout();
	char pattern[4096];

	layout.minor = atoi(name + strlen("3."));
	if (strncmp(name, "3.", 2) ||
	    !layout_from_table(layout.minor, false, EM_X86_64, &(struct layout){0}, NULL))
		return false;
	snprintf(pattern, sizeof(pattern), "%s/bin/python3.%d", root, layout.minor);
	take_file(pattern, &layout);
	snprintf(pattern, sizeof(pattern), "%s/lib/libpython3.%d.so.1.0", root, layout.minor);
	take_file(pattern, &layout);
	if (!layout_has(&layout, F_TS_NEXT)) {
		print_message("%s has no debug information\n", root);
		return false;
	}
	snprintf(pattern, sizeof(pattern), "%s/lib/python3.*/lib-dynload/_asyncio.*.so", root);
	take_file(pattern, &layout);
	snprintf(pattern, sizeof(pattern), "%s/lib/python3.*/lib-dynload/_queue.*.so", root);
	take_file(pattern, &layout);
	expect_table(&layout, name);
	print_message("%s: equal\n", root);
	return true;
}

static void test_interpreters(void **state)
{
	const char *root = getenv("PYENV_ROOT"), *home = getenv("HOME");
	char pattern[4096];
	glob_t found = {0};
	size_t checked = 0;

	(void)state;
	snprintf(pattern, sizeof(pattern), "%s%s/versions/*",
		 root	? root
		 : home ? home
			: "",
		 root ? "" : "/.pyenv");
	if (!glob(pattern, 0, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++)
			checked += check_interpreter(found.gl_pathv[i]);
	globfree(&found);
	if (!checked) {
		print_message("no interpreter with debug information in %s\n", pattern);
		skip();
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_not_elf),
		cmocka_unit_test(test_spoilt_file),
		cmocka_unit_test(test_interpreters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
