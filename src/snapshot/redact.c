/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redact.c - a snapshot that can be shown to others, for --redact
 *
 * Taken out here, in one place, what no renderer has cannot be shown by any, and a verdict made
 * after it has none of it in its evidence. Rules look at kinds and states, never at these texts.
 */
#include <string.h>

#include "builder.h"

/* Instead of the arguments: the program alone. A process may write what it likes over argv[0]. */
static void redact_process(struct snapshot *s)
{
	struct process *p = arena_alloc(&s->arena, sizeof(*p));
	const char *path = s->process->executable, *slash;

	*p = *s->process;
	slash = path ? strrchr(path, '/') : NULL;
	p->command = arena_alloc(&s->arena, sizeof(*p->command));
	p->command[0] = arena_strdup(&s->arena, slash ? slash + 1 : path ? path : "python");
	p->argc = 1;
	s->process = p;
	s->limits.tracer_command = NULL;
}

/* Tasks stay apart by their addresses, which the JSON has beside them. */
static void redact_tasks(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_tasks; i++)
		s->tasks[i].name =
			arena_printf(&s->arena, "0x%llx", (unsigned long long)s->tasks[i].id);
}

static void redact_threads(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_threads; i++) {
		struct snap_thread *t = &s->threads[i];

		if (t->name && strcmp(t->name, "MainThread") != 0) /* nobody gave it that one */
			t->name = NULL;
		t->os_name = NULL;
	}
}

static void redact_descriptor(struct snap_wait_fd *fd)
{
	fd->redacted = fd->peer || fd->local || fd->path;
	fd->peer = fd->local = fd->path = NULL;
}

static void redact_waits(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_loops; i++) {
		struct snap_blocked *w = &s->loops[i].blocked;

		redact_descriptor(&s->loops[i].wait);
		for (uint32_t j = 0; j < w->n_fds; j++)
			redact_descriptor(&w->fds[j]);
		w->path = w->command = NULL;
	}
}

/* Why a stop failed names processes and what they are called. */
static void redact_stops(struct snapshot *s)
{
	static const char why[] = "it could not be stopped";

	if (s->native.failed)
		s->native.why = why;
	if (s->freeze.why)
		s->freeze.why = why;
}

/* One of the proofs names a task. */
static void redact_deadlocks(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_loops; i++) {
		struct snap_deadlock *d = &s->loops[i].deadlock;

		for (uint32_t j = 0; j < d->n_threads; j++)
			if (d->proofs[j] && !strncmp(d->proofs[j], "task ", 5))
				d->proofs[j] = "a task of that loop will set the Future";
	}
}

static void redact_details(struct snapshot *s)
{
	for (size_t i = 0; i < s->n_details; i++) {
		s->details[i].source = NULL;
		s->details[i].mark = s->details[i].mark_end = 0;
		s->details[i].file.have_content = false;
	}
}

/*
 * What was imported, and libraries that no package installed, tell what a program is for; a stack
 * has the few that run. Counts stay, and so do files: stacks name the same ones.
 */
void redact_modules(struct snapshot *s)
{
	struct snap_modules *all = &s->modules;
	size_t kept = 0;

	for (size_t i = 0; i < all->n_libraries; i++)
		if (is_installed(all->libraries[i].path))
			all->libraries[kept++] = all->libraries[i];
	all->n_libraries = kept;
	for (size_t i = 0; i < all->n_files; i++)
		all->files[i].stat.have_content = false;
	all->have_imports = false;
	all->n_imports = all->imports_total = 0;
}

void snapshot_redact(struct snapshot *snap)
{
	redact_process(snap);
	redact_tasks(snap);
	redact_threads(snap);
	redact_waits(snap);
	redact_stops(snap);
	redact_deadlocks(snap);
	redact_details(snap);
	redact_modules(snap);
	snap->redacted = true;
}
