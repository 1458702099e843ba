/* SPDX-License-Identifier: Apache-2.0 */
/* A history of whatever was named: a recording, JSON of a look, a core, a process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "look.h"
#include "stallscope/cleanup.h"

static bool is_core(const char *path)
{
	cleanup_file FILE *f = fopen(path, "re");
	char magic[4];

	return f && fread(magic, 1, sizeof(magic), f) == sizeof(magic) &&
	       !memcmp(magic, "\177ELF", sizeof(magic));
}

/* What `dump -f json` would say, read back: one way for all. */
static bool add_look(struct history *h, const char *argument, const struct look *k,
		     struct error *err)
{
	struct render_options options = look_rendering(k);
	char *text = NULL;
	size_t len = 0;
	FILE *memory = open_memstream(&text, &len);
	bool ok;

	if (!memory)
		return error_sys(err, ERR_INTERNAL, errno, "no memory for a snapshot");
	options.tasks = RENDER_TASKS_NONE;
	ok = render_json(k->snap, k->d, &options, memory);
	ok = !fclose(memory) && ok;
	if (ok)
		ok = history_read_text(h, argument, text, len, err);
	else
		error_set(err, ERR_INTERNAL, "no memory for a snapshot");
	free(text);
	return ok;
}

bool history_load(struct history *h, const char *argument, const struct options *o,
		  struct error *err)
{
	struct target target;
	struct look look;
	bool ok;

	if (!source_names_process(argument) && !is_core(argument))
		return history_read(h, argument, err);
	if (!target_open(argument, false, &target, err))
		return false;
	ok = look_open(&target, o, &look, err) && add_look(h, argument, &look, err);
	look_close(&look);
	target_close(&target);
	return ok;
}
