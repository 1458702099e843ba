/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"

/* ---- the fake ------------------------------------------------------------------------------ */

static const struct fake_segment *segment_at(const struct fake *f, uint64_t addr)
{
	for (size_t i = 0; i < f->n_segments; i++)
		if (addr - f->segments[i].address < f->segments[i].len)
			return &f->segments[i];
	return NULL;
}

static ssize_t fake_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct fake *f = self;
	size_t done = 0;

	if (f->reads < FAKE_LOG) {
		f->read_log[f->reads].address = addr;
		f->read_log[f->reads].len = len;
	}
	f->reads++;
	if (f->gone)
		return 0;
	while (done < len) {
		const struct fake_segment *s = segment_at(f, addr + done);
		size_t at = s ? (size_t)(addr + done - s->address) : 0, part;

		if (!s)
			break;
		part = s->len - at < len - done ? s->len - at : len - done;
		memcpy((char *)buf + done, s->data + at, part);
		done += part;
	}
	if (done)
		return (ssize_t)done;
	errno = EIO;
	return -1;
}

static const struct fake_answer *answer_for(struct fake *f, enum item_kind kind, const char *key,
					    struct error *err)
{
	f->questions++;
	for (size_t i = 0; i < f->n_answers; i++) {
		const struct fake_answer *a = &f->answers[i];

		if (a->kind != kind || strcmp(a->key, key) != 0)
			continue;
		if (a->code == ERR_OK)
			return a;
		error_set(err, a->code, "the fake refuses %s", key);
		return NULL;
	}
	error_set(err, ERR_ABSENT, "the fake has no %s", key);
	return NULL;
}

static bool fake_get_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	const struct fake_answer *a = answer_for(self, ITEM_PROC, path, err);

	if (a)
		strbuf_add(text, a->data.data, a->data.len);
	return a;
}

static bool fake_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
			   size_t len, struct error *err)
{
	struct strbuf key = STRBUF_INIT;
	const struct fake_answer *a;

	source_file_key(&key, file, offset, len);
	a = answer_for(self, ITEM_FILE, key.data, err);
	strbuf_deinit(&key);
	if (a)
		memcpy(buf, a->data.data, len);
	return a;
}

static int fake_file_open(void *self, const struct source_file *file, struct error *err)
{
	(void)self;
	error_set(err, ERR_ABSENT, "the fake has no file %s", file->path);
	return -1;
}

static bool fake_get_line(void *self, const char *path, uint32_t line, struct strbuf *out,
			  bool *newer, struct error *err)
{
	struct strbuf key = STRBUF_INIT;
	const struct fake_answer *a;

	source_line_key(&key, path, line);
	a = answer_for(self, ITEM_LINE, key.data, err);
	strbuf_deinit(&key);
	if (!a)
		return false;
	strbuf_add(out, a->data.data, a->data.len);
	*newer = a->newer;
	return true;
}

static uint64_t fake_clock(void *self)
{
	return ((struct fake *)self)->clock;
}

static uint64_t fake_wall_clock(void *self)
{
	return ((struct fake *)self)->wall_clock;
}

static bool fake_alive(void *self)
{
	return ((struct fake *)self)->alive;
}

static const struct strbuf *fake_note(void *self, const char *name)
{
	(void)self;
	(void)name;
	return NULL;
}

static void fake_close(void *self)
{
	struct fake *f = self;

	for (size_t i = 0; i < f->n_segments; i++)
		free(f->segments[i].data);
	for (size_t i = 0; i < f->n_answers; i++) {
		free(f->answers[i].key);
		strbuf_deinit(&f->answers[i].data);
	}
	free(f->answers);
	if (f->closed)
		++*f->closed;
	free(f);
}

struct fake *fake_new(pid_t pid)
{
	struct fake *f = mem_zalloc(1, sizeof(*f));

	f->ops = (struct source_ops){
		.read = fake_read,
		.proc = fake_get_proc,
		.file_read = fake_file_read,
		.file_open = fake_file_open,
		.line = fake_get_line,
		.clock = fake_clock,
		.wall_clock = fake_wall_clock,
		.alive = fake_alive,
		.note = fake_note,
		.close = fake_close,
	};
	f->pid = pid;
	f->alive = true;
	return f;
}

char *fake_segment(struct fake *f, uint64_t address, const void *data, size_t len)
{
	struct fake_segment *s = &f->segments[f->n_segments++];

	if (f->n_segments > ARRAY_SIZE(f->segments) || address % SOURCE_PAGE || len % SOURCE_PAGE)
		abort();
	*s = (struct fake_segment){address, mem_alloc(len), len};
	if (data)
		memcpy(s->data, data, len);
	else
		memset(s->data, 0, len);
	return s->data;
}

char *fake_counting_segment(struct fake *f, uint64_t address, size_t pages)
{
	char *data = fake_segment(f, address, NULL, pages * SOURCE_PAGE);

	for (uint64_t at = 0; at < pages * SOURCE_PAGE; at += sizeof(at)) {
		uint64_t word = address + at;

		memcpy(data + at, &word, sizeof(word));
	}
	return data;
}

static struct fake_answer *add_answer(struct fake *f, enum item_kind kind, const char *key)
{
	struct fake_answer *a = array_push(&f->answers, &f->n_answers, &f->answers_cap);

	a->kind = kind;
	a->key = mem_alloc(strlen(key) + 1);
	strcpy(a->key, key);
	strbuf_init(&a->data);
	return a;
}

void fake_proc(struct fake *f, const char *path, const char *text, size_t len)
{
	strbuf_add(&add_answer(f, ITEM_PROC, path)->data, text, len);
}

void fake_failure(struct fake *f, enum item_kind kind, const char *key, enum error_code code)
{
	add_answer(f, kind, key)->code = code;
}

void fake_file(struct fake *f, const struct source_file *file, uint64_t offset, const void *data,
	       size_t len)
{
	struct strbuf key = STRBUF_INIT;

	source_file_key(&key, file, offset, len);
	strbuf_add(&add_answer(f, ITEM_FILE, key.data)->data, data, len);
	strbuf_deinit(&key);
}

void fake_line(struct fake *f, const char *path, uint32_t line, const char *text, bool newer)
{
	struct strbuf key = STRBUF_INIT;
	struct fake_answer *a;

	source_line_key(&key, path, line);
	a = add_answer(f, ITEM_LINE, key.data);
	strbuf_addstr(&a->data, text);
	a->newer = newer;
	strbuf_deinit(&key);
}

struct source *fake_open(struct fake *f)
{
	return source_new(&f->ops, f, f->pid);
}

/* ---- the flaky one ------------------------------------------------------------------------- */

struct flaky_backend {
	struct source *inner; /* keeps the target open */
	struct backend *to;
	struct flaky *plan;
};

static struct backend *through(void *self)
{
	return ((struct flaky_backend *)self)->to;
}

static ssize_t flaky_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct flaky *plan = ((struct flaky_backend *)self)->plan;
	unsigned nth = ++plan->reads;
	char *bytes = buf;
	ssize_t n;

	if (plan->gone_at && nth >= plan->gone_at)
		return 0;
	if (plan->fail_read && nth >= plan->fail_read &&
	    nth <= plan->fail_read + plan->fail_reads) {
		errno = EIO;
		return -1;
	}
	n = through(self)->ops->read(through(self)->self, addr, buf, len);
	if (n > 0 && nth == plan->truncate_read)
		n = n / 2 / SOURCE_PAGE * SOURCE_PAGE;
	if (n == 0 && nth == plan->truncate_read)
		n = -1;
	for (ssize_t i = n / 2; nth == plan->tear_read && i < n; i++)
		bytes[i] = (char)~bytes[i];
	return n;
}

static bool flaky_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	struct flaky *plan = ((struct flaky_backend *)self)->plan;
	unsigned nth = ++plan->procs;

	if (nth == plan->fail_proc)
		return error_set(err, ERR_ABSENT, "%s was lost", path);
	if (!through(self)->ops->proc(through(self)->self, path, text, err))
		return false;
	if (nth == plan->truncate_proc)
		strbuf_setlen(text, text->len / 2);
	return true;
}

static bool flaky_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
			    size_t len, struct error *err)
{
	return through(self)->ops->file_read(through(self)->self, file, offset, buf, len, err);
}

static int flaky_file_open(void *self, const struct source_file *file, struct error *err)
{
	return through(self)->ops->file_open(through(self)->self, file, err);
}

static bool flaky_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		       struct error *err)
{
	return through(self)->ops->line(through(self)->self, path, line, out, newer, err);
}

static uint64_t flaky_clock(void *self)
{
	return through(self)->ops->clock(through(self)->self);
}

static uint64_t flaky_wall_clock(void *self)
{
	return through(self)->ops->wall_clock(through(self)->self);
}

static bool flaky_alive(void *self)
{
	const struct flaky *plan = ((struct flaky_backend *)self)->plan;

	return !(plan->gone_at && plan->reads >= plan->gone_at) &&
	       through(self)->ops->alive(through(self)->self);
}

static const struct strbuf *flaky_note(void *self, const char *name)
{
	return through(self)->ops->note(through(self)->self, name);
}

static void flaky_close(void *self)
{
	source_close(((struct flaky_backend *)self)->inner);
	free(self);
}

#define FLAKY_OPS                                                                          \
	flaky_read, flaky_proc, flaky_file_read, flaky_file_open, flaky_line, flaky_clock, \
		flaky_wall_clock, flaky_alive, flaky_note, NULL, NULL, NULL, flaky_close, NULL

struct source *flaky_open(struct source *inner, struct flaky *plan)
{
	static const struct source_ops live = {FLAKY_OPS, false};
	static const struct source_ops recorded = {FLAKY_OPS, true};
	struct flaky_backend *b = mem_zalloc(1, sizeof(*b));

	b->inner = source_again(inner);
	b->to = source_backend(inner);
	b->plan = plan;
	return source_new(source_is_recorded(inner) ? &recorded : &live, b, source_pid(inner));
}
