/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "profile.h"

static int by_stack(const void *a, const void *b)
{
	const struct profile_row *x = a, *y = b;

	if (x->loop != y->loop)
		return x->loop < y->loop ? -1 : 1;
	if (x->stack != y->stack)
		return x->stack < y->stack ? -1 : 1;
	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	return 0;
}

static void fold(struct profile *p)
{
	size_t n = 0;

	if (p->n)
		qsort(p->v, p->n, sizeof(*p->v), by_stack);
	for (size_t i = 0; i < p->n; i++) {
		if (n && !by_stack(&p->v[n - 1], &p->v[i]))
			p->v[n - 1].weight += p->v[i].weight;
		else
			p->v[n++] = p->v[i];
	}
	p->n = n;
}

void profile_make(const struct history *h, struct profile *ret)
{
	struct profile p = {.of_tasks = !h->n_stalls};
	size_t cap = 0;

	for (size_t i = 0; i < h->n_stalls; i++) {
		const struct history_stall *s = &h->stalls[i];

		*array_push(&p.v, &p.n, &cap) = (struct profile_row){
			s->loop, s->stack, s->stack == HISTORY_NONE ? s->holder : HISTORY_NONE,
			s->held_s};
	}
	for (size_t i = 0; i < h->n_groups && p.of_tasks; i++)
		if (history_group_now(h, &h->groups[i]) > 0)
			*array_push(&p.v, &p.n, &cap) = (struct profile_row){
				h->groups[i].loop, h->groups[i].stack, HISTORY_NONE,
				(double)history_group_now(h, &h->groups[i])};
	fold(&p);
	*ret = p;
}

void profile_deinit(struct profile *p)
{
	free(p->v);
	*p = (struct profile){0};
}

struct history_stack profile_stack(const struct history *h, const struct profile_row *row,
				   struct history_frame *room)
{
	const struct holder *x = row->holder == HISTORY_NONE ? NULL : &h->holders[row->holder];

	if (row->stack != HISTORY_NONE)
		return h->stacks[row->stack];
	*room = (struct history_frame){.function = x && x->function ? x->function : "?",
				       .file = x ? x->file : NULL,
				       .line = x && x->line > 0 ? x->line : 0};
	return (struct history_stack){room, 1};
}
