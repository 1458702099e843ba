/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks as a tree: a task that awaits another stands above it. Only direct waits are links here
 * (task awaits task); a ring is cut where it closes, and said to be one.
 */
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64u

struct tree {
	struct text *t;
	struct addrmap index; /* task address -> index */
	uint8_t *state;	      /* per task: bit 0 is awaited by a task, bit 1 printed */
};

enum { AWAITED = 1, PRINTED = 2 };

static uint32_t awaited(const struct tree *tree, const struct snap_task *task)
{
	return task->wait == SNAP_WAIT_TASK ? addrmap_get(&tree->index, task->waits_for)
					    : ADDRMAP_NONE;
}

static void node(const struct tree *tree, uint32_t i, unsigned depth)
{
	struct text *t = tree->t;
	const struct snap_task *task = &t->s->tasks[i];
	const struct snap_frame *f = text_own_frame(t->s, &task->stack);
	cleanup_strbuf struct strbuf where = STRBUF_INIT;

	if (!task_filter_matches(t->o->filter, t->s, i))
		return;
	if (f)
		text_place(t, f, &where);
	strbuf_pad(&t->line, ' ', 2 * (size_t)depth + 1);
	strbuf_addf(&t->line, "%s  %s  ", task->name, task->coroutine);
	text_waits(t->s, &t->rows, task, &t->line);
	strbuf_addf(&t->line, "  %s%s", where.data, task->torn ? "  (changed while read)" : "");
	text_end_line(t);
}

/* A task and what it awaits, one below the other. */
static void branch(struct tree *tree, uint32_t i)
{
	for (unsigned depth = 0; i != ADDRMAP_NONE; depth++) {
		if (tree->state[i] & PRINTED || depth == DEPTH_MAX) {
			if (!task_filter_matches(tree->t->o->filter, tree->t->s, i))
				return;
			strbuf_pad(&tree->t->line, ' ', 2 * (size_t)depth + 1);
			strbuf_addf(&tree->t->line, "%s  (shown above)", tree->t->s->tasks[i].name);
			text_end_line(tree->t);
			return;
		}
		node(tree, i, depth);
		tree->state[i] |= PRINTED;
		i = awaited(tree, &tree->t->s->tasks[i]);
	}
}

static void find_roots(struct tree *tree)
{
	const struct snapshot *s = tree->t->s;

	for (uint32_t i = 0; i < s->n_tasks; i++)
		addrmap_put(&tree->index, s->tasks[i].id, i);
	for (uint32_t i = 0; i < s->n_tasks; i++) {
		uint32_t to = awaited(tree, &s->tasks[i]);

		if (to != ADDRMAP_NONE)
			tree->state[to] |= AWAITED;
	}
}

void text_tree(struct text *t, uint32_t loop)
{
	struct tree tree = {.t = t, .state = mem_zalloc(t->s->n_tasks + 1, 1)};

	text_end_line(t);
	find_roots(&tree);
	/* Roots first; what is left after them hangs in a ring. */
	for (int pass = 0; pass < 2; pass++)
		for (uint32_t i = 0; i < t->s->n_tasks; i++)
			if (t->s->tasks[i].loop == loop && !(tree.state[i] & PRINTED) &&
			    (pass || !(tree.state[i] & AWAITED)))
				branch(&tree, i);
	addrmap_deinit(&tree.index);
	free(tree.state);
}
