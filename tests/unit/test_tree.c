/* SPDX-License-Identifier: Apache-2.0 */
/* test_tree.c - dump --tasks tree: who awaits whom, rings, and a very long chain */
#include "render_world.h"

#define BASE UINT64_C(0x7f0000100000)

/* The lines behind the last empty one. */
static char *tree_text(const struct world *w, size_t width)
{
	const struct render_options options = {
		.width = width, .threshold_s = 0.1, .tasks = RENDER_TASKS_TREE};
	struct strbuf text = STRBUF_INIT;
	char *tree = NULL;

	render_text(&w->s, w->d, &options, &text);
	for (char *p = text.data; (p = strstr(p, "\n\n")) != NULL; p++)
		tree = p + 2;
	assert_non_null(tree);
	tree = strdup(tree);
	strbuf_deinit(&text);
	return tree;
}

static void assert_tree(const struct world *w, const char *expected)
{
	char *tree = tree_text(w, 80);

	assert_string_equal(tree, expected);
	free(tree);
}

/* n tasks that nobody awaits, in the place of those of the world. */
static struct snap_task *new_tasks(struct world *w, uint32_t n)
{
	struct snap_task *tasks = test_calloc(n, sizeof(*tasks));

	for (uint32_t i = 0; i < n; i++)
		tasks[i] = (struct snap_task){.id = BASE + 256 * (uint64_t)i,
					      .name = "x",
					      .coroutine = "work",
					      .state = SNAP_TASK_PENDING,
					      .wait = SNAP_WAIT_FUTURE,
					      .what = "asyncio.gather",
					      .owner = SNAP_OWNER_NOBODY,
					      .resource = SNAP_NONE};
	w->loop.current_task = SNAP_NONE;
	w->d->loops[0].culprit.task = SNAP_NONE;
	w->frames[2].task = SNAP_NONE;
	w->s.tasks = tasks;
	w->s.n_tasks = w->s.tasks_found = w->loop.tasks = n;
	return tasks;
}

static void awaits(struct snap_task *tasks, uint32_t parent, uint32_t child)
{
	tasks[parent].wait = SNAP_WAIT_TASK;
	tasks[parent].waits_for = tasks[child].id;
	tasks[parent].what = "_asyncio.Task";
}

/* Edges are known from the awaiters, from what a task waits for, or from both. */
static void test_edges(void **state)
{
	uint64_t awaiters[] = {BASE, BASE, BASE + 256 * 5, BASE + 256 * 6, 0x1000};
	struct snap_task *tasks;
	struct world w;

	(void)state;
	make_healthy(&w);
	tasks = new_tasks(&w, 7);
	tasks[0].name = "group";
	tasks[1].name = "both";
	tasks[2].name = "shared";
	tasks[3].name = "leaf";
	tasks[4].name = "lost";
	tasks[5].name = "second";
	tasks[6].name = "third";
	w.s.awaiters = awaiters;
	w.s.n_awaiters = 5;
	tasks[1].first_awaiter = 0;
	tasks[1].n_awaiters = 1;
	tasks[2].first_awaiter = 1;
	tasks[2].n_awaiters = 3;
	tasks[4].first_awaiter = 4; /* a task that was not read */
	tasks[4].n_awaiters = 1;
	tasks[4].owner = SNAP_OWNER_TASK;
	tasks[4].waker = SNAP_WAKER_NOBODY;
	awaits(tasks, 1, 3);
	awaits(tasks, 5, 2);
	tasks[3].torn = true;
	assert_tree(&w, " group  work  asyncio.gather  UNOWNED\n"
			"   both  work  a task\n"
			"     leaf  work  asyncio.gather  (changed while read)\n"
			"   shared  work  asyncio.gather\n"
			" lost  work  asyncio.gather  ORPHAN\n"
			" second  work  a task  UNOWNED\n"
			"   shared  (shown above)\n"
			" third  work  asyncio.gather  UNOWNED\n"
			"   shared  (shown above)\n");
	w.s.awaiters = NULL;
	test_free(tasks);
	world_deinit(&w);
}

/* A ring is entered where it is one, also when what hangs below it comes first. */
static void test_rings(void **state)
{
	struct snap_task *tasks;
	struct world w;

	(void)state;
	make_healthy(&w);
	tasks = new_tasks(&w, 5);
	for (uint32_t i = 0; i < 5; i++)
		tasks[i].name = (const char *const[]){"below", "a", "b", "c", "self"}[i];
	awaits(tasks, 1, 2);
	awaits(tasks, 2, 1);
	w.s.awaiters = (uint64_t[]){tasks[2].id};
	w.s.n_awaiters = 1;
	tasks[0].n_awaiters = 1; /* of b */
	awaits(tasks, 3, 1);
	awaits(tasks, 4, 4);
	assert_tree(&w, " c  work  a task  UNOWNED\n"
			"   a  work  a task\n"
			"     b  work  a task\n"
			"       below  work  asyncio.gather\n"
			"       a  (a ring: it is awaited from here)\n"
			" self  work  a task\n"
			"   self  (a ring: it is awaited from here)\n");
	tasks[3].waits_for = 0;
	assert_tree(&w, " c  work  a task  UNOWNED\n"
			" b  work  a task\n"
			"   below  work  asyncio.gather\n"
			"   a  work  a task\n"
			"     b  (a ring: it is awaited from here)\n"
			" self  work  a task\n"
			"   self  (a ring: it is awaited from here)\n");
	w.s.awaiters = NULL;
	test_free(tasks);
	world_deinit(&w);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* A chain, a ring, and a star the other way round, of many tasks: each a line or two. */
static void test_many(void **state)
{
	static const uint32_t n = 300000;
	struct snap_task *tasks;
	struct world w;
	char *tree;

	(void)state;
	make_healthy(&w);
	tasks = new_tasks(&w, n);
	for (uint32_t i = 0; i + 1 < n; i++)
		awaits(tasks, i, i + 1);
	tree = tree_text(&w, 80);
	assert_int_equal(count_lines(tree), n);
	assert_non_null(
		strstr(tree, "\n                                         (299999) x  work"));
	free(tree);
	awaits(tasks, n - 1, 0);
	tree = tree_text(&w, 80);
	assert_int_equal(count_lines(tree), n + 1);
	free(tree);
	for (uint32_t i = 0; i + 1 < n; i++)
		awaits(tasks, i, n - 1);
	tasks[n - 1].wait = SNAP_WAIT_FUTURE;
	tree = tree_text(&w, 80);
	assert_int_equal(count_lines(tree), 2 * (n - 1));
	free(tree);
	test_free(tasks);
	world_deinit(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
