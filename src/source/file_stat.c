/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_stat.c - what names of files lead to now
 *
 * Asked as texts of /proc are, so the answer is remembered for the look and saved with it:
 * "=PATH", "+PATH" with its content, "%INODE MAJOR MINOR PATH". The text is "SECONDS NANOSECONDS
 * SIZE NEWER [CONTENT]".
 */
#include <inttypes.h>
#include <stdio.h>

#include "backend.h"
#include "stallscope/cleanup.h"

#define NS_PER_SECOND INT64_C(1000000000)

/* A core may say anything. */
static bool parse(const char *text, struct source_stat *ret)
{
	struct source_stat st = {.newer = -1};
	int64_t seconds;
	long ns;
	int fields = sscanf(text, "%" SCNd64 " %ld %" SCNu64 " %d %" SCNx64, &seconds, &ns,
			    &st.size, &st.newer, &st.content);

	if (fields < 4 || ns < 0 || ns >= NS_PER_SECOND || seconds < 0 ||
	    seconds >= INT64_MAX / NS_PER_SECOND || st.size > INT64_MAX || st.newer < -1 ||
	    st.newer > 1)
		return false;
	st.modified_ns = seconds * NS_PER_SECOND + ns;
	st.have_content = fields == 5;
	*ret = st;
	return true;
}

static bool ask(struct source *src, const char *question, struct source_stat *ret,
		struct error *err)
{
	const struct strbuf *text;

	if (!source_proc(src, question, &text, err))
		return false;
	return parse(text->data, ret) ||
	       error_set(err, ERR_CORRUPT, "what is said of a file is damaged");
}

bool source_stat(struct source *src, const char *path, bool content, struct source_stat *ret,
		 struct error *err)
{
	cleanup_strbuf struct strbuf question = STRBUF_INIT;

	strbuf_addf(&question, "%c%s", content ? STAT_CONTENT : STAT_SOURCE, path);
	return ask(src, question.data, ret, err);
}

bool source_mapped_stat(struct source *src, const struct source_file *file, struct source_stat *ret,
			struct error *err)
{
	cleanup_strbuf struct strbuf question = STRBUF_INIT;

	if (file->deleted)
		return error_set(err, ERR_ABSENT, "its name is gone");
	strbuf_addf(&question, "%c%" PRIu64 " %" PRIu32 " %" PRIu32 " %s", STAT_MAPPED, file->inode,
		    file->dev_major, file->dev_minor, file->path);
	return ask(src, question.data, ret, err);
}
