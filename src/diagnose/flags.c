/* SPDX-License-Identifier: Apache-2.0 */
/* Flags: true beside any verdict, and never one themselves. */
#include "rules.h"

/*
 * The number of requests in flight goes up and down by chance, about as its square root, and the
 * more when they come in bunches, here of eight: a rise is told when it is three times as much.
 */
static bool growing(const struct facts *f)
{
	static const double per_s = 10, handful = 10, chance = 3 * 3 * 8;
	const struct snap_growth *g = &f->loop->growth;
	double rise = (double)(g->tasks_last - g->tasks_first);

	return g->have_growth && g->growth_per_s > per_s && rise > handful &&
	       rise * rise > chance * (double)g->tasks_first;
}

static bool unowned(const struct facts *f)
{
	return f->loop->unowned > 0;
}

static bool debug_mode(const struct facts *f)
{
	return f->loop->info.debug;
}

static bool multi_loop(const struct facts *f)
{
	return f->snap->n_loops > 1;
}

static bool fd_limit(const struct facts *f)
{
	static const double nearly = 0.9;
	const struct snap_limits *l = &f->snap->limits;

	return l->have_fds_limit && l->have_fds_open &&
	       (double)l->fds_open > nearly * (double)l->fds_limit;
}

static bool orphan(const struct facts *f)
{
	return f->loop->orphans > 0;
}

static bool nested(const struct facts *f)
{
	return f->loop->nested;
}

unsigned flags_of_loop(const struct facts *f)
{
	static bool (*const tests[FLAG_COUNT])(const struct facts *f) = {
		[FLAG_GROWING] = growing,
		[FLAG_UNOWNED] = unowned,
		[FLAG_EXEC_FULL] = facts_executor_full,
		[FLAG_DEBUG_MODE] = debug_mode,
		[FLAG_MULTI_LOOP] = multi_loop,
		[FLAG_FD_LIMIT] = fd_limit,
		[FLAG_ORPHAN] = orphan,
		[FLAG_NESTED] = nested,
	};
	unsigned flags = 0;

	for (unsigned i = 0; i < FLAG_COUNT; i++)
		flags |= (unsigned)tests[i](f) << i;
	return flags;
}
