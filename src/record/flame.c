/* SPDX-License-Identifier: Apache-2.0 */
/* A flame graph that hangs from its root: as wide as it weighs, callers above. */
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "stallscope/cleanup.h"
#include "stallscope/utf8.h"
#include "svg.h"
#include "stallscope/table.h"

#define ROW_HEIGHT 18.0
#define NODES_MAX  20000u
#define DEPTH_MAX  64u
#define LEAST	   0.5 /* pixels: what is narrower is not drawn */
#define CHAR_WIDTH 6.6

struct node {
	const char *function, *file;
	int64_t line;
	bool own;
	double weight;
	uint32_t child, next; /* 0 none: the root is nobody's child */
};

struct tree {
	struct node *v;
	size_t n, cap;
	unsigned depth;
};

static uint32_t child_of(struct tree *t, uint32_t parent, const struct history_frame *f)
{
	uint32_t i = t->v[parent].child, last = 0;

	for (; i; last = i, i = t->v[i].next)
		if (t->v[i].function == f->function && t->v[i].file == f->file)
			return i;
	if (t->n == NODES_MAX)
		return 0;
	i = (uint32_t)t->n;
	*array_push(&t->v, &t->n, &t->cap) = (struct node){
		.function = f->function, .file = f->file, .line = f->line, .own = f->own};
	if (last)
		t->v[last].next = i;
	else
		t->v[parent].child = i;
	return i;
}

static void add_row(struct tree *t, const struct history_stack *stack, double weight)
{
	uint32_t at = 0;
	unsigned depth = 1;

	t->v[0].weight += weight;
	for (uint32_t i = stack->n; i-- > 0 && depth < DEPTH_MAX; depth++) {
		at = child_of(t, at, &stack->frames[i]);
		if (!at)
			break;
		t->v[at].weight += weight;
		if (depth + 1 > t->depth)
			t->depth = depth + 1;
	}
}

unsigned svg_hue(const char *text)
{
	unsigned hash = 2166136261U;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 16777619U;
	return hash % 360;
}

static void label(const struct node *n, double x, double y, double width, struct strbuf *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	size_t room = (size_t)(width / CHAR_WIDTH);

	if (room < 3)
		return;
	utf8_add_cut(&text, n->function, room, false, false);
	strbuf_addf(out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + 13);
	html_add(out, text.data);
	strbuf_addstr(out, "</text>");
}

static void draw(const struct tree *t, uint32_t at, double x, unsigned depth, bool of_tasks,
		 struct strbuf *out)
{
	const struct node *n = &t->v[at];
	double width = n->weight / t->v[0].weight * SVG_WIDTH, y = depth * ROW_HEIGHT;

	if (width < LEAST)
		return;
	strbuf_addf(out, "<g><title>");
	html_add(out, n->function);
	if (n->file) {
		strbuf_addch(out, ' ');
		html_add(out, n->file);
		strbuf_addf(out, ":%lld", (long long)n->line);
	}
	strbuf_addf(out, of_tasks ? ", %.0f tasks" : ", %.3f s", n->weight);
	strbuf_addf(out, " (%.1f %%)</title>", n->weight / t->v[0].weight * 100);
	strbuf_addf(out,
		    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
		    "fill=\"hsl(%u,%u%%,%u%%)\"/>",
		    x, y, width, ROW_HEIGHT - 1, svg_hue(n->function), n->own ? 80u : 35u,
		    n->own ? 70u : 82u);
	label(n, x, y, width, out);
	strbuf_addstr(out, "</g>\n");
	for (uint32_t i = n->child; i; i = t->v[i].next) {
		draw(t, i, x, depth + 1, of_tasks, out);
		x += t->v[i].weight / t->v[0].weight * SVG_WIDTH;
	}
}

void svg_flame(const struct history *h, struct strbuf *out)
{
	struct history_frame room;
	struct profile p;
	struct tree t = {.depth = 1};

	profile_make(h, &p);
	*array_push(&t.v, &t.n, &t.cap) =
		(struct node){.function = p.of_tasks ? "all tasks" : "all stalls"};
	for (size_t i = 0; i < p.n; i++) {
		struct history_stack stack = profile_stack(h, &p.v[i], &room);

		/* names are compared by their addresses, and texts of a history are shared */
		add_row(&t, &stack, p.v[i].weight);
	}
	if (t.v[0].weight > 0) {
		strbuf_addf(out, "<h2>%s</h2>\n<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">\n",
			    p.of_tasks ? "Tasks, by await path" : "Held time, by stack", SVG_WIDTH,
			    t.depth * ROW_HEIGHT);
		draw(&t, 0, 0, 0, p.of_tasks, out);
		strbuf_addstr(out, "</svg>\n");
	}
	free(t.v);
	profile_deinit(&p);
}
