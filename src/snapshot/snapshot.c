/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builder.h"

#define LOOKS	 5	   /* at all of it, when tasks tore */
#define TRIES	 12	   /* whole retries of threads and loops when the target moved under us */
#define TRIES_NS 500000000 /* of thousands of threads, fewer */

void build_problem(struct builder *b, const char *what, const char *where)
{
	struct snapshot *s = b->s;
	struct snap_problem *p;

	for (size_t i = 0; i < s->n_problems; i++) {
		if (!strcmp(s->problems[i].what, what) && !strcmp(s->problems[i].where, where)) {
			s->problems[i].count++;
			return;
		}
	}
	p = array_push(&s->problems, &s->n_problems, &b->problems_cap);
	p->what = arena_strdup(&s->arena, what);
	p->where = arena_strdup(&s->arena, where);
	p->count = 1;
}

const char *build_string(struct builder *b, uint64_t object, size_t max)
{
	uint32_t index = addrmap_get(&b->string_map, object);
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (index != ADDRMAP_NONE)
		return b->strings[index];
	if (!object || !py_str(b->py, object, &text, max)) {
		rd_take(&b->py->rd);
		return "?";
	}
	addrmap_put(&b->string_map, object, (uint32_t)b->n_strings);
	return *array_push(&b->strings, &b->n_strings, &b->strings_cap) =
		       arena_strndup(&b->s->arena, text.data, text.len);
}

const char *build_type(struct builder *b, uint64_t object)
{
	uint64_t type = py_type(b->py, object);
	uint32_t index = addrmap_get(&b->string_map, type);

	if (index != ADDRMAP_NONE)
		return b->strings[index];
	if (rd_take(&b->py->rd))
		return "?";
	addrmap_put(&b->string_map, type, (uint32_t)b->n_strings);
	return *array_push(&b->strings, &b->n_strings, &b->strings_cap) =
		       arena_strdup(&b->s->arena, py_type_name(b->py, type));
}

/* ---- code and frames ------------------------------------------------------------------------ */

/* python -c: what it runs is called <string>, as generated code is everywhere else. */
static bool runs_string(const struct process *proc)
{
	for (size_t i = 1; i < proc->argc; i++)
		if (!strcmp(proc->command[i], "-c"))
			return true;
	return false;
}

static bool in_python(const char *path)
{
	static const char *const parts[] = {"/site-packages/", "/dist-packages/", "/lib/python3.",
					    "/lib64/python3.", "/lib/python3/",	  ".zip/"};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(path, parts[i]))
			return true;
	return false;
}

bool is_installed(const char *path)
{
	static const char *const system[] = {"/usr/", "/lib/", "/lib64/", "/bin/"};

	for (size_t i = 0; i < ARRAY_SIZE(system); i++)
		if (!strncmp(path, system[i], strlen(system[i])))
			return true;
	return in_python(path);
}

/* The user's own code: not what Python or a package installer put there, nor generated. */
static bool is_own(const char *file, const struct process *proc)
{
	static const char *const typed[] = {"<stdin>", "<script>", "<console>", "<ipython-input"};

	if (file[0] == '<') {
		for (size_t i = 0; i < ARRAY_SIZE(typed); i++)
			if (!strncmp(file, typed[i], strlen(typed[i])))
				return true;
		return !strcmp(file, "<string>") && runs_string(proc);
	}
	return !in_python(file);
}

/* Below the folder that a package installer filled; otherwise the last part of the path. */
static const char *module_of(const char *file)
{
	const char *at = strstr(file, "-packages/");

	if (at)
		return at + strlen("-packages/");
	at = strrchr(file, '/');
	return at ? at + 1 : file;
}

/* A helper that tries again: tenacity, backoff, one's own retry(). */
static bool is_retry(const struct py_code *code)
{
	static const char *const words[] = {"retry", "retries", "tenacity", "backoff"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(code->qualname, words[i]) ||
		    strcasestr(module_of(code->file), words[i]))
			return true;
	return false;
}

static uint32_t build_code(struct builder *b, uint32_t py_code)
{
	const struct py_code *code = &b->py->codes[py_code];
	uint32_t index = addrmap_get(&b->code_map, py_code);
	struct snap_code *c;

	if (index != ADDRMAP_NONE)
		return index;
	index = (uint32_t)b->s->n_codes;
	addrmap_put(&b->code_map, py_code, index);
	c = array_push(&b->s->codes, &b->s->n_codes, &b->codes_cap);
	c->address = code->address;
	c->function = arena_strdup(&b->s->arena, code->name);
	c->qualname = code->qualname == code->name ? c->function
						   : arena_strdup(&b->s->arena, code->qualname);
	c->file = arena_strdup(&b->s->arena, code->file);
	c->own = is_own(code->file, b->proc);
	c->retry = is_retry(code);
	c->async = code->flags & (PY_CO_COROUTINE | PY_CO_ASYNC_GENERATOR);
	return index;
}

/*
 * Most frames stand where one before them stands: line tables are walked once for each place, and
 * the walk counts as loads, as a forged table may be long.
 */
static struct py_position position(struct builder *b, const struct py_frame *frame, uint32_t index)
{
	static const struct py_position unknown = {0, 0, -1, -1};
	uint64_t place = (uint64_t)frame->code << 32 | (uint32_t)frame->instr;
	uint32_t same = addrmap_get(&b->place_map, place);

	if (same != ADDRMAP_NONE)
		return b->s->frames[same].at;
	addrmap_put(&b->place_map, place, index);
	if (!rd_spend(&b->py->rd, b->py->codes[frame->code].lines_len / 16))
		return unknown;
	return python_position(b->py, frame->code, frame->instr);
}

struct snap_stack build_stack(struct builder *b, const struct py_frame *frames, size_t n,
			      bool truncated)
{
	struct snap_stack stack = {(uint32_t)b->s->n_frames, (uint32_t)n, truncated};

	for (size_t i = 0; i < n; i++) {
		uint32_t code = build_code(b, frames[i].code);
		struct snap_frame *f = array_push(&b->s->frames, &b->s->n_frames, &b->frames_cap);

		f->code = code;
		f->at = position(b, &frames[i], (uint32_t)(b->s->n_frames - 1));
		f->instr = frames[i].instr;
		f->address = frames[i].address;
		f->task = SNAP_NONE;
	}
	return stack;
}

/* What is known of a coroutine that Cython compiled: its name, as a rule also its source file. */
static uint32_t build_cython_code(struct builder *b, const struct aio_link *link)
{
	uint64_t key = link->qualname | UINT64_C(1) << 63; /* no index of a code is that large */
	uint32_t index = addrmap_get(&b->code_map, key), code;
	struct snap_code *c;
	const char *dot;

	if (index != ADDRMAP_NONE)
		return index;
	index = (uint32_t)b->s->n_codes;
	addrmap_put(&b->code_map, key, index);
	c = array_push(&b->s->codes, &b->s->n_codes, &b->codes_cap);
	*c = (struct snap_code){.file = "<cython>", .async = true};
	c->qualname = build_string(b, link->qualname, 200);
	dot = strrchr(c->qualname, '.');
	c->function = dot && dot[1] ? dot + 1 : c->qualname;
	code = link->cython_code ? python_code(b->py, link->cython_code) : UINT32_MAX;
	if (!rd_take(&b->py->rd) && code != UINT32_MAX) {
		c->file = arena_strdup(&b->s->arena, b->py->codes[code].file);
		c->own = is_own(c->file, b->proc);
	}
	return index;
}

void build_cython_frame(struct builder *b, const struct aio_link *link)
{
	uint32_t code = build_cython_code(b, link);
	struct snap_frame *f = array_push(&b->s->frames, &b->s->n_frames, &b->frames_cap);

	*f = (struct snap_frame){.code = code, .instr = -1, .task = SNAP_NONE};
	f->at.col = f->at.end_col = -1;
}

/* ---- taking one -------------------------------------------------------------------------------
 */

static void forget_parts(struct builder *b)
{
	struct snapshot *s = b->s;

	s->n_threads = s->n_loops = s->n_frames = s->n_problems = b->loop_frames = 0;
	addrmap_clear(&b->loop_map);
	addrmap_clear(&b->place_map);
	free(b->interps);
	free(b->py_threads);
	b->interps = NULL;
	b->py_threads = NULL;
}

static void builder_deinit(struct builder *b)
{
	free(b->interps);
	free(b->py_threads);
	free(b->modules);
	free(b->frames);
	free(b->strings);
	free(b->sleeps);
	addrmap_deinit(&b->code_map);
	addrmap_deinit(&b->loop_map);
	addrmap_deinit(&b->torn_map);
	addrmap_deinit(&b->untimed_map);
	read_trace_deinit(&b->before);
	free(b->marks);
	addrmap_deinit(&b->place_map);
	addrmap_deinit(&b->string_map);
	addrmap_deinit(&b->what_map);
	addrmap_deinit(&b->no_timeout_map);
	addrmap_deinit(&b->resource_map);
	addrmap_deinit(&b->woken_map);
	addrmap_deinit(&b->chained_map);
	free(b->chained);
}

/* A loop that is said to run but has no frame was caught between two iterations. */
static bool between_iterations(const struct builder *b)
{
	for (size_t i = 0; i < b->s->n_loops; i++)
		if (b->s->loops[i].phase == SNAP_UNKNOWN)
			return true;
	return false;
}

static bool stacks_failed(const struct builder *b)
{
	for (size_t i = 0; i < b->s->n_threads; i++)
		if (b->s->threads[i].stack_failed)
			return true;
	return false;
}

/* Pages that were read to open a target that runs are older than all others of the look. */
static void begin_fresh(struct builder *b)
{
	struct source *src = b->py->rd.src;

	settle_begin(b);
	if (b->picture || source_is_recorded(src) || settle_is_fresh(b))
		return;
	source_forget(src);
	python_new_look(b->py, src);
}

static bool build_threads_retrying(struct builder *b, struct error *err)
{
	uint64_t begin = source_clock(b->py->rd.src);

	begin_fresh(b);
	for (int attempt = 1;; attempt++) {
		bool ok;

		read_trace_clear(&b->before);
		b->py->rd.trace = &b->before;
		settle_begin(b);
		ok = build_threads(b, err);

		if (b->picture || (ok && !stacks_failed(b) && !between_iterations(b)))
			return ok; /* a copy stays what it is */
		if (attempt == TRIES || source_is_recorded(b->py->rd.src) ||
		    source_clock(b->py->rd.src) - begin > TRIES_NS)
			return ok;
		b->s->retries++;
		forget_parts(b);
		source_forget(b->py->rd.src);
		python_new_look(b->py, b->py->rd.src);
	}
}

static void describe_python(struct builder *b)
{
	struct snapshot *s = b->s;
	unsigned best = LAYOUT_NONE;

	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (b->py->layout.field[i].provider > best)
			best = b->py->layout.field[i].provider;
	s->layout = layout_provider_name((enum layout_provider)best);
	s->runtime = b->py->runtime;
	s->runtime_size = b->py->runtime_size;
	s->minor = b->py->minor;
	s->micro = b->py->micro;
	s->free_threaded = b->py->free_threaded;
	s->debug_build = b->py->debug_build;
}

static void read_modules(struct builder *b)
{
	b->modules = mem_zalloc(b->n_interps + 1, sizeof(*b->modules));
	for (size_t i = 0; i < b->n_interps; i++) {
		if (!aio_modules_read(b->py, &b->interps[i], &b->modules[i]))
			build_problem(b, "sys.modules could not be read", "interpreter");
		b->s->asyncio_loaded |= b->modules[i].loaded;
		if (b->interps[i].id == 0)
			b->s->sys_modules = b->interps[i].modules;
	}
}

/* The names that threading knows, "MainThread"; the kernel's cut names stay beside them. */
static void name_threads(struct builder *b)
{
	static const size_t sane = 256; /* threads: each is a walk over threading._active */

	for (size_t i = 0; i < b->n_py_threads && i < sane; i++) {
		cleanup_strbuf struct strbuf name = STRBUF_INIT;
		const struct py_thread *t = &b->py_threads[i];

		if (aio_thread_name(b->py, &b->modules[t->interpreter], t->ident, &name))
			b->s->threads[i].name = arena_strndup(&b->s->arena, name.data, name.len);
	}
}

/* A kernel built without CONFIG_PROC_CHILDREN does not tell. */
static void read_children(struct builder *b)
{
	struct snapshot *s = b->s;
	const struct strbuf *text;
	size_t cap = 0;
	char path[64], *end;

	snprintf(path, sizeof(path), "task/%d/children", (int)b->proc->pid);
	s->have_children = source_proc(b->py->rd.src, path, &text, NULL);
	if (!s->have_children)
		return;
	for (const char *p = text->data;; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p || pid <= 0 || pid > INT32_MAX)
			break;
		*array_push(&s->children, &s->n_children, &cap) = (int32_t)pid;
	}
}

static void judge_consistency(struct snapshot *s)
{
	if (s->tasks_torn || s->n_problems)
		s->consistency = SNAP_TORN;
	else
		s->consistency = s->retries || s->settled ? SNAP_REPAIRED : SNAP_CONSISTENT;
}

bool build_snapshot(struct python *py, const struct process *proc,
		    const struct snapshot_options *options, const struct source_picture *picture,
		    struct snapshot **ret, struct error *err)
{
	struct builder b = {.py = py, .proc = proc, .picture = picture};
	size_t max = options->max_tasks ? options->max_tasks : SNAP_MAX_TASKS;
	uint64_t begin = source_clock(py->rd.src);

	b.s = mem_zalloc(1, sizeof(*b.s));
	b.s->process = proc;
	b.frames = mem_alloc(PY_MAX_FRAMES * sizeof(*b.frames));
	describe_python(&b);
	if (!build_threads_retrying(&b, err) || !build_os_threads(&b, err)) {
		py->rd.trace = NULL;
		builder_deinit(&b);
		snapshot_destroy(b.s);
		return false;
	}
	build_calls(&b);
	read_modules(&b);
	name_threads(&b);
	build_loops(&b);
	build_waits(&b);
	py->rd.trace = NULL;
	build_tasks(&b, max);
	build_holders(&b);
	build_ready(&b);
	build_growth(&b);
	build_deadlocks(&b);
	read_children(&b);
	build_kernel(&b);
	build_first_look(&b);
	/* what variables refer to may be new each time: no stop would ever have all of it */
	b.s->freeze.late_pages = source_late_pages(py->rd.src);
	build_variables(&b, options);
	judge_consistency(b.s);
	b.s->read_ns = source_clock(py->rd.src) - begin;
	b.s->stats = source_get_stats(py->rd.src);
	builder_deinit(&b);
	*ret = b.s;
	return true;
}

/* The tasks went on from where threads and loops were read, so that these no longer fit to them. */
static bool worth_another(const struct python *py, const struct snapshot *s)
{
	return !source_is_recorded(py->rd.src) && s->settled && (s->tasks_torn || s->list_torn);
}

static void forget_look(struct python *py, uint64_t ns)
{
	struct timespec ts = {0, (long)ns};

	nanosleep(&ts, NULL);
	source_forget(py->rd.src);
	python_new_look(py, py->rd.src);
}

bool build_settled(struct python *py, const struct process *proc,
		   const struct snapshot_options *options, struct snapshot **ret, struct error *err)
{
	static const uint64_t enough_ns = TRIES_NS, pause_ns = 200000;
	uint64_t begin = source_clock(py->rd.src), now = begin;
	struct snapshot *snap, *next;
	uint32_t retries;

	if (!build_snapshot(py, proc, options, NULL, &snap, err))
		return false;
	for (unsigned i = 1; i < LOOKS && now - begin < enough_ns && worth_another(py, snap); i++) {
		forget_look(py, pause_ns * i + now % pause_ns);
		retries = snap->retries + 1;
		if (!build_snapshot(py, proc, options, NULL, &next, NULL))
			break;
		snapshot_destroy(snap);
		snap = next;
		snap->retries += retries;
		now = source_clock(py->rd.src);
	}
	judge_consistency(snap);
	snap->read_ns = source_clock(py->rd.src) - begin;
	*ret = snap;
	return true;
}

void snapshot_destroy(struct snapshot *snap)
{
	if (!snap)
		return;
	free(snap->children);
	free(snap->codes);
	free(snap->frames);
	free(snap->threads);
	free(snap->loops);
	free(snap->tasks);
	free(snap->resources);
	free(snap->awaiters);
	free(snap->natives);
	free(snap->callbacks);
	free(snap->details);
	free(snap->looks);
	free(snap->problems);
	arena_deinit(&snap->arena);
	free(snap);
}
