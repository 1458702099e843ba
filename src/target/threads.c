/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c - the threads of a process as the kernel sees them now
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scan.h"
#include "stallscope/target.h"

static bool thread_text(struct source *src, int32_t tid, const char *name,
			const struct strbuf **ret, struct error *err)
{
	char path[64];

	snprintf(path, sizeof(path), "task/%d/%s", (int)tid, name);
	return source_proc(src, path, ret, err);
}

static bool read_stat(struct source *src, struct os_thread *th, struct error *err)
{
	const struct strbuf *text;

	if (!thread_text(src, th->tid, "stat", &text, err) ||
	    !proc_stat_parse(text->data, text->len, &th->stat, err))
		return false;
	th->have_stat = true;
	return true;
}

static bool read_status(struct source *src, struct os_thread *th, struct error *err)
{
	const struct strbuf *text;

	if (!thread_text(src, th->tid, "status", &text, err) ||
	    !proc_status_parse(text->data, text->len, &th->status, err))
		return false;
	th->have_status = true;
	th->ns_tid = th->status.nspids ? th->status.nspid[th->status.nspids - 1] : th->tid;
	return true;
}

static void read_syscall(struct source *src, struct os_thread *th)
{
	const struct strbuf *text;

	th->have_syscall = thread_text(src, th->tid, "syscall", &text, NULL) &&
			   proc_syscall_parse(text->data, text->len, &th->syscall, NULL);
}

static void read_sched(struct source *src, struct os_thread *th)
{
	const struct strbuf *text;

	th->have_sched = thread_text(src, th->tid, "schedstat", &text, NULL) &&
			 proc_schedstat_parse(text->data, text->len, &th->sched, NULL);
}

/* A name of a kernel function; "0" when there is none or no right to see it. */
static void read_wchan(struct source *src, struct os_thread *th)
{
	const struct strbuf *text;
	size_t len = 0;

	if (!thread_text(src, th->tid, "wchan", &text, NULL))
		return;
	while (len < text->len && len + 1 < sizeof(th->wchan) && text->data[len] > ' ' &&
	       text->data[len] <= '~')
		len++;
	if (len == 1 && text->data[0] == '0')
		return;
	memcpy(th->wchan, text->data, len);
	th->wchan[len] = '\0';
}

bool os_thread_read(struct source *src, int32_t tid, unsigned facts, struct os_thread *ret,
		    struct error *err)
{
	struct os_thread th = {.tid = tid};

	if ((facts & OS_STAT) && !read_stat(src, &th, err))
		return false;
	if ((facts & OS_STATUS) && !read_status(src, &th, err))
		return false;
	if (facts & OS_SYSCALL)
		read_syscall(src, &th);
	if (facts & OS_SCHED)
		read_sched(src, &th);
	if (facts & OS_WCHAN || (th.have_syscall && syscall_is_restart(th.syscall.number)))
		read_wchan(src, &th);
	if (th.have_syscall)
		proc_syscall_resume(&th.syscall, th.wchan);
	*ret = th;
	return true;
}

/* The tids of a listing of task/, at most THREADS_MAX. */
static size_t parse_tids(const struct strbuf *text, int32_t **ret)
{
	struct scan s = scan_init(text->data, text->len), line;
	int32_t *tids = NULL;
	size_t n = 0, cap = 0;

	while (n < THREADS_MAX && scan_line(&s, &line, NULL)) {
		int32_t tid;

		if (scan_i32(&line, &tid) && scan_at_end(&line) && tid > 0)
			*array_push(&tids, &n, &cap) = tid;
	}
	*ret = tids;
	return n;
}

bool os_threads_read(struct source *src, unsigned facts, struct os_thread **ret, size_t *n,
		     struct error *err)
{
	const struct strbuf *text;
	struct os_thread *threads;
	struct error why = {.code = ERR_GONE, .text = "none is left"};
	int32_t *tids;
	size_t count, kept = 0;

	if (!source_proc(src, "task/", &text, err))
		return error_add(err, "listing the threads");
	count = parse_tids(text, &tids);
	threads = mem_alloc((count ? count : 1) * sizeof(*threads));
	for (size_t i = 0; i < count; i++)
		kept += os_thread_read(src, tids[i], facts, &threads[kept], &why);
	free(tids);
	if (kept == 0) {
		free(threads);
		return error_set(err, why.code, "no thread can be read: %s", why.text);
	}
	*ret = threads;
	*n = kept;
	return true;
}
