/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "stallscope/render.h"

static double lag_of(const struct verdict *v, bool has_loop)
{
	return has_loop ? (double)v->lag_ns / 1e9 : NAN;
}

void brief_of(const struct snapshot *s, const struct diagnosis *d, struct brief *ret)
{
	bool has_loop = d->worst_loop != SNAP_NONE;
	const struct verdict *v = has_loop ? &d->loops[d->worst_loop] : &d->process;
	const struct culprit *c = &v->culprit;
	struct brief b = {.verdict = verdict_word(d->worst),
			  .kind = v->kind,
			  .lag_s = lag_of(v, has_loop),
			  .held_s = v->have_held ? (double)v->held_ns / 1e9 : NAN,
			  .tasks = s->n_loops ? 0 : -1,
			  .loops = s->n_loops};

	for (size_t i = 0; i < s->n_loops; i++)
		b.tasks += s->loops[i].tasks;
	if (has_loop && c->leaf != SNAP_NONE && c->frame != SNAP_NONE) {
		const struct snap_frame *f = &s->frames[c->frame];

		b.function = snap_code_of(s, f)->qualname;
		b.file = snap_code_of(s, f)->file;
		b.line = f->at.line;
	}
	*ret = b;
}
