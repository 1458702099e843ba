/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks as a tree: a task stands above those that it awaits, directly or over gather(), wait(), a
 * TaskGroup and their like. One that several await is shown in full once. A ring is cut where it
 * closes, and said to be one. Time and memory are linear in tasks and awaiters; nothing recurses,
 * as a chain may be as long as there are tasks.
 */
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define INDENT_MAX 20u /* levels; deeper ones have their number */

struct tree {
	const struct snapshot *s;
	const struct task_filter *filter;
	struct text *t; /* NULL: rows are made */
	uint32_t loop;
	struct addrmap index; /* task address -> index, of tasks of this loop */
	uint8_t *state;	      /* per task: SEEN, ... */
	uint32_t *first;      /* per task: where its children begin in children */
	uint32_t *children;   /* indices */
	uint32_t *parent;     /* one of those who await a task, SNAP_NONE */
	struct level {
		uint32_t task, next; /* child to be shown, in children */
	} * path;		     /* from a root to where we are */
	size_t depth, path_cap;
	struct task_tree_row *rows; /* made instead of text when there is no text */
	size_t n_rows, rows_cap;
};

enum { SEEN = 1, ON_PATH = 2, WALKED = 4 };

/* ---- who awaits whom ---------------------------------------------------------------------------
 */

static bool has_awaiter(const struct snapshot *s, const struct snap_task *task, uint64_t id)
{
	for (uint32_t i = 0; i < task->n_awaiters; i++)
		if (s->awaiters[task->first_awaiter + i] == id)
			return true;
	return false;
}

/* Counts a child in first[], or (children made) puts it where first[] says. */
static void link_child(struct tree *tree, uint32_t parent, uint32_t child)
{
	if (tree->children)
		tree->children[tree->first[parent]++] = child;
	else
		tree->first[parent]++;
	tree->parent[child] = parent;
}

static void link_all(struct tree *tree)
{
	const struct snapshot *s = tree->s;

	for (uint32_t i = 0; i < s->n_tasks; i++) {
		const struct snap_task *task = &s->tasks[i];
		uint32_t other;

		if (task->loop != tree->loop)
			continue;
		for (uint32_t a = 0; a < task->n_awaiters; a++) {
			other = addrmap_get(&tree->index, s->awaiters[task->first_awaiter + a]);
			if (other != ADDRMAP_NONE)
				link_child(tree, other, i);
		}
		/* not all awaiters of a task are kept, and not always could they be read */
		other = task->wait == SNAP_WAIT_TASK ? addrmap_get(&tree->index, task->waits_for)
						     : ADDRMAP_NONE;
		if (other != ADDRMAP_NONE && !has_awaiter(s, &s->tasks[other], task->id))
			link_child(tree, i, other);
	}
}

/* first[i] to first[i + 1] are the children of task i. */
static void make_tree(struct tree *tree)
{
	const struct snapshot *s = tree->s;
	uint32_t total = 0, count;

	for (uint32_t i = 0; i < s->n_tasks; i++) {
		tree->parent[i] = SNAP_NONE;
		if (s->tasks[i].loop == tree->loop)
			addrmap_put(&tree->index, s->tasks[i].id, i);
	}
	link_all(tree);
	for (uint32_t i = 0; i <= s->n_tasks; i++) {
		count = tree->first[i];
		tree->first[i] = total;
		total += count;
	}
	tree->children = mem_alloc((total + 1) * sizeof(*tree->children));
	link_all(tree);
	/* each has moved to where the next one begins */
	memmove(tree->first + 1, tree->first, s->n_tasks * sizeof(*tree->first));
	tree->first[0] = 0;
}

/* ---- lines -------------------------------------------------------------------------------------
 */

static void indent(struct tree *tree)
{
	size_t depth = tree->depth;

	strbuf_pad(&tree->t->line, ' ', 2 * (depth < INDENT_MAX ? depth : INDENT_MAX) + 1);
	if (depth > INDENT_MAX)
		strbuf_addf(&tree->t->line, "(%zu) ", depth);
}

static void add_cut(const struct tree *tree, const char *text, size_t columns, struct strbuf *out)
{
	utf8_add_cut(out, text, columns, false, tree->t->o->ascii);
	strbuf_addstr(out, "  ");
}

/* What it waits in, and who has that. */
static void waits(struct tree *tree, const struct snap_task *task, struct strbuf *out)
{
	const struct snapshot *s = tree->s;
	cleanup_strbuf struct strbuf what = STRBUF_INIT;

	text_waits(s, &tree->t->rows, task, &what);
	add_cut(tree, what.data, 40, out);
	if (task->resource < s->n_resources && s->resources[task->resource].n_holders) {
		const struct snap_resource *r = &s->resources[task->resource];

		strbuf_addstr(out, "held by ");
		add_cut(tree, s->tasks[r->holders[0]].name, 24, out);
	}
}

/* What is to be seen in any case: that something is wrong with it, and where it is. */
static void marks(struct tree *tree, uint32_t i, struct strbuf *out)
{
	const struct snap_task *task = &tree->s->tasks[i];
	const struct snap_frame *f = text_own_frame(tree->s, &task->stack);
	cleanup_strbuf struct strbuf where = STRBUF_INIT;

	if (task->owner == SNAP_OWNER_NOBODY && tree->parent[i] == SNAP_NONE)
		strbuf_addstr(out, "UNOWNED  ");
	if (task->waker == SNAP_WAKER_NOBODY)
		strbuf_addstr(out, "ORPHAN  ");
	if (f)
		text_place(tree->t, f, &where);
	utf8_add_cut(out, where.data, tree->t->o->width / 3, true, tree->t->o->ascii);
	if (task->torn)
		strbuf_addf(out, "%s(changed while read)", f ? "  " : "");
}

static size_t minus(size_t a, size_t b)
{
	return a > b ? a - b : 0;
}

/* The coroutine gets the room that is left, and its end of that: what it is called. */
static void node(struct tree *tree, uint32_t i)
{
	struct text *t = tree->t;
	const struct snap_task *task = &t->s->tasks[i];
	const struct snap_frame *f = text_own_frame(t->s, &task->stack);
	cleanup_strbuf struct strbuf name = STRBUF_INIT, what = STRBUF_INIT, right = STRBUF_INIT;
	size_t room, indented;

	indent(tree);
	indented = t->line.len;
	add_cut(tree, task->name, 30, &name);
	waits(tree, task, &what);
	marks(tree, i, &right);
	room = minus(t->o->width, utf8_width(t->line.data) + utf8_width(name.data) +
					  utf8_width(what.data) + utf8_width(right.data) + 2);
	strbuf_addstr(&t->line, name.data);
	if (room >= 4 && (!task->what || strcmp(task->coroutine, task->what) != 0)) {
		utf8_add_cut(&t->line, task->coroutine, room, true, t->o->ascii);
		strbuf_addstr(&t->line, "  ");
	}
	strbuf_addf(&t->line, "%s%s", what.data, right.data);
	text_end_line(t);
	if (f)
		text_variables(t, f, indented + 3);
}

static void again(struct tree *tree, uint32_t i)
{
	indent(tree);
	add_cut(tree, tree->s->tasks[i].name, 30, &tree->t->line);
	strbuf_addstr(&tree->t->line, tree->state[i] & ON_PATH ? "(a ring: it is awaited from here)"
							       : "(shown above)");
	text_end_line(tree->t);
}

/* ---- walking -----------------------------------------------------------------------------------
 */

static void show(struct tree *tree, uint32_t i)
{
	bool seen = tree->state[i] & SEEN;

	if (!task_filter_matches(tree->filter, tree->s, i))
		return;
	if (!tree->t)
		*array_push(&tree->rows, &tree->n_rows, &tree->rows_cap) = (struct task_tree_row){
			i, (uint32_t)tree->depth, seen, seen && tree->state[i] & ON_PATH};
	else if (seen)
		again(tree, i);
	else
		node(tree, i);
}

static void enter(struct tree *tree, uint32_t i)
{
	struct level *level;

	show(tree, i);
	if (tree->state[i] & SEEN)
		return;
	tree->state[i] |= SEEN | ON_PATH;
	level = array_push(&tree->path, &tree->depth, &tree->path_cap);
	*level = (struct level){i, tree->first[i]};
}

/* A task and all below it. */
static void branch(struct tree *tree, uint32_t root)
{
	enter(tree, root);
	while (tree->depth) {
		struct level *level = &tree->path[tree->depth - 1];

		if (level->next < tree->first[level->task + 1]) {
			enter(tree, tree->children[level->next++]);
			continue;
		}
		tree->state[level->task] &= (uint8_t)~ON_PATH;
		tree->depth--;
	}
}

/* A task that is on the ring which leads to this one, as it has no root above it. */
static uint32_t on_ring(struct tree *tree, uint32_t i)
{
	while (!(tree->state[i] & WALKED) && tree->parent[i] != SNAP_NONE) {
		tree->state[i] |= WALKED;
		i = tree->parent[i];
	}
	return i;
}

static void branches(struct tree *tree, bool rings)
{
	const struct snapshot *s = tree->s;

	for (uint32_t i = 0; i < s->n_tasks; i++) {
		if (s->tasks[i].loop != tree->loop || tree->state[i] & SEEN)
			continue;
		if (rings)
			branch(tree, on_ring(tree, i));
		else if (tree->parent[i] == SNAP_NONE)
			branch(tree, i);
	}
}

static void walk(struct tree *tree)
{
	size_t n = tree->s->n_tasks;

	tree->state = mem_zalloc(n + 1, sizeof(*tree->state));
	tree->first = mem_zalloc(n + 1, sizeof(*tree->first));
	tree->parent = mem_zalloc(n + 1, sizeof(*tree->parent));
	make_tree(tree);
	branches(tree, false);
	branches(tree, true);
	addrmap_deinit(&tree->index);
	free(tree->state);
	free(tree->first);
	free(tree->parent);
	free(tree->children);
	free(tree->path);
}

void text_tree(struct text *t, uint32_t loop)
{
	struct tree tree = {.s = t->s, .filter = t->o->filter, .t = t, .loop = loop};

	text_end_line(t);
	walk(&tree);
}

void task_tree(const struct snapshot *snap, uint32_t loop, const struct task_filter *filter,
	       struct task_tree_row **ret, size_t *n)
{
	struct tree tree = {.s = snap, .filter = filter, .loop = loop};

	walk(&tree);
	*ret = tree.rows;
	*n = tree.n_rows;
}
