/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tasks that a look at a moving target settled on, as the text of a note: in its memory their
 * list may be of another moment than they are. First "RETRIES SETTLED LIST_TORN UNREADABLE", then,
 * of tasks that moved, a line for each task: its address, "torn" when it did not settle, "untimed"
 * when the end of its sleep was overwritten.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"

void snapshot_tasks_write(const struct snapshot *snap, struct strbuf *out)
{
	if (!snap->settled && !snap->retries)
		return;
	strbuf_addf(out, "%" PRIu32 " %d %d %zu\n", snap->retries, snap->settled, snap->list_torn,
		    snap->settled ? snap->tasks_found - snap->n_tasks : 0);
	for (size_t i = 0; snap->settled && i < snap->n_tasks; i++)
		strbuf_addf(out, "%" PRIx64 "%s%s\n", snap->tasks[i].id,
			    snap->tasks[i].torn ? " torn" : "",
			    snap->tasks[i].untimed ? " untimed" : "");
}

static bool take_head(struct snapshot *s, const char *text, size_t *unreadable)
{
	int list_torn, settled;
	uint32_t retries;

	if (sscanf(text, "%" SCNu32 " %d %d %zu", &retries, &settled, &list_torn, unreadable) !=
		    4 ||
	    *unreadable > SNAP_MAX_TASKS)
		return false;
	s->retries = retries;
	s->list_torn = list_torn != 0;
	s->settled = settled != 0;
	return s->settled;
}

static bool take_word(char **at, const char *word)
{
	size_t len = strlen(word);
	bool found = !strncmp(*at, word, len);

	*at += found ? len : 0;
	return found;
}

/* One line; NULL when it is none. */
static const char *take_task(struct builder *b, const char *line, uint64_t *address)
{
	char *end;

	*address = strtoull(line, &end, 16);
	if (end == line || !*address)
		return NULL;
	if (take_word(&end, " torn"))
		addrmap_put(&b->torn_map, *address, 0);
	if (take_word(&end, " untimed"))
		addrmap_put(&b->untimed_map, *address, 0);
	return *end == '\n' ? end + 1 : NULL;
}

bool settle_recorded(struct builder *b, size_t max, struct aio_task_list *list)
{
	const struct strbuf *note = source_note(b->py->rd.src, SNAP_NOTE_TASKS);
	size_t cap = 0, unreadable;
	uint64_t address;
	const char *line;

	if (!note || !take_head(b->s, note->data, &unreadable))
		return false;
	line = strchr(note->data, '\n');
	for (line = line ? line + 1 : NULL; line && *line;) {
		line = take_task(b, line, &address);
		if (!line)
			break;
		if (list->n == max) {
			list->truncated = true;
			break;
		}
		*array_push(&list->v, &list->n, &cap) = address;
	}
	b->unreadable = unreadable;
	return true;
}
