/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff_modules.c - files, libraries and modules that are other ones than before
 *
 * Both sides are sorted and joined by name. What is left over on both is joined by what the name
 * says without its folder or version: releases are unpacked into folders of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "report_page.h"
#include "stallscope/cleanup.h"
#include "stallscope/render.h"

#define TOLD_S	 0.05 /* the start of a process is known to some ticks of the kernel, 10 ms each */
#define ID_SHOWN 8

typedef const struct history_module *module;

/* One thing, with what is compared to find the same one on the other side. */
struct item {
	module m;
	const char *key;
	bool joined;
};

struct side {
	const struct history *h;
	struct item *v;
	size_t n;
	double last; /* when it was looked at last, NAN unknown */
};

/* ---- words ----------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void add_word(struct strbuf *out, const char *word)
{
	if (word && *word)
		strbuf_addf(out, "%s%s", out->len ? ", " : "", word);
}

/* How long before (or after) the process began a file of it was changed. */
static void add_distance(struct strbuf *out, module m)
{
	double s = m->started - m->modified;
	char text[48];

	if (isnan(s))
		return;
	if (fabs(s) < TOLD_S) {
		strbuf_addstr(out, ", about when it started");
		return;
	}
	report_seconds(fabs(s), text, sizeof(text));
	strbuf_addf(out, ", %s %s the start", text, s < 0 ? "after" : "before");
}

/* named: with the name of the file, where the other side has another one. */
static const char *describe(struct differ *x, module m, bool named, bool distance)
{
	cleanup_strbuf struct strbuf out = STRBUF_INIT;
	char text[48];

	if (!m)
		return "-";
	if (m->kind == HISTORY_IMPORT)
		return m->version ? m->version : "imported";
	if (named)
		add_word(&out, base_name(m->name));
	if (m->kind == HISTORY_LIBRARY && m->version) {
		snprintf(text, sizeof(text), "id %.*s", ID_SHOWN, m->version);
		add_word(&out, text);
	}
	if (!isnan(m->modified)) {
		report_time(m->modified, text, sizeof(text));
		add_word(&out, text);
	}
	if (m->bytes >= 0) {
		snprintf(text, sizeof(text), "%lld bytes", (long long)m->bytes);
		add_word(&out, text);
	}
	if (distance)
		add_distance(&out, m);
	return out.len ? arena_strdup(&x->d->arena, out.data) : "?";
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double weight_of(module m, enum diff_fate fate)
{
	static const double weights[] = {[DIFF_CHANGED] = 40, [DIFF_STALE] = 30, [DIFF_NEW] = 20};

	return weights[fate < DIFF_GONE ? fate : DIFF_NONE] + (m->own ? 15 : 0) -
	       (m->kind == HISTORY_IMPORT && m->name[0] == '_');
}

static struct diff_row *row(struct differ *x, module a, module b, enum diff_fate fate)
{
	static const enum diff_class classes[] = {[HISTORY_LIBRARY] = DIFF_LIBRARY,
						  [HISTORY_SOURCE] = DIFF_FILE,
						  [HISTORY_IMPORT] = DIFF_MODULE};
	module m = b ? b : a;
	bool file = m->kind != HISTORY_IMPORT;
	bool renamed = file && a && b && strcmp(base_name(a->name), base_name(b->name)) != 0;
	struct diff_row *r;

	r = diff_add(x, classes[m->kind], file ? short_path(m->name) : m->name, NAN, NAN);
	r->before = describe(x, a, renamed, false);
	r->after = describe(x, b, renamed, m->kind == HISTORY_SOURCE);
	r->path = file ? m->name : NULL;
	r->fate = fate;
	r->weight = weight_of(m, fate);
	return r;
}

/* ---- the same thing on both sides ------------------------------------------------------------ */

static bool both_known(module a, module b)
{
	return a->version && b->version;
}

static bool other_bytes(module a, module b)
{
	return a->bytes >= 0 && b->bytes >= 0 && a->bytes != b->bytes;
}

static bool other_time(module a, module b)
{
	return fabs(a->modified - b->modified) > 0;
}

/*
 * What identifies the content decides where it is known. Times alone do not, of what was installed:
 * the same release has others on each host.
 */
static bool is_changed(module a, module b)
{
	if (both_known(a, b))
		return strcmp(a->version, b->version) != 0;
	if (a->kind == HISTORY_IMPORT)
		return false;
	return other_bytes(a, b) || (b->own && other_time(a, b));
}

static const char *older_than(struct differ *x, double time)
{
	char text[48];

	report_time(time, text, sizeof(text));
	return arena_printf(&x->d->arena, "of before %s", text);
}

/*
 * A file that was changed after a process began is not what that process runs, but it is what the
 * next one does. A library is known as it is mapped, whatever lies on disk.
 */
static void compare(struct differ *x, module a, module b)
{
	bool source = b->kind == HISTORY_SOURCE, staler = b->stale && !a->stale;

	if (source && a->stale && !b->stale)
		row(x, a, b, DIFF_CHANGED)->before = older_than(x, a->modified);
	else if (is_changed(a, b) && !(source && staler))
		row(x, a, b, DIFF_CHANGED);
	else if (staler)
		row(x, a, b, DIFF_STALE);
}

/* ---- on one side only ------------------------------------------------------------------------ */

static bool in_stacks(const struct history *h, const char *file)
{
	for (size_t i = 0; i < h->n_stacks; i++)
		for (uint32_t j = 0; j < h->stacks[i].n; j++)
			if (h->stacks[i].frames[j].file &&
			    !strcmp(h->stacks[i].frames[j].file, file))
				return true;
	return false;
}

/* A list of files has those of its stacks: one that is not in it may have been there all the time.
 */
static void new_source(struct differ *x, const struct side *before, module b)
{
	bool seen = in_stacks(x->a, b->name), later = b->modified > before->last;
	struct diff_row *r;

	if (!b->own || (seen && !later && !b->stale))
		return;
	r = row(x, NULL, b, b->stale ? DIFF_STALE : seen ? DIFF_CHANGED : DIFF_NEW);
	if (seen && later)
		r->before = older_than(x, before->last);
}

static bool is_inside(const char *name, const char *package)
{
	size_t len = strlen(package);

	return !strncmp(name, package, len) && name[len] == '.';
}

/* One row for a package and all of it; items are sorted by name. Gives how many it took. */
static size_t import_row(struct differ *x, const struct item *v, size_t n, bool new)
{
	module m = v[0].m;
	struct diff_row *r = row(x, new ? NULL : m, new ? m : NULL, new ? DIFF_NEW : DIFF_GONE);
	size_t took = 1, inside = 0;

	while (took < n && (v[took].joined || is_inside(v[took].m->name, m->name)))
		inside += !v[took++].joined;
	if (inside)
		*(new ? &r->after : &r->before) =
			arena_printf(&x->d->arena, "%s, with %zu inside of it",
				     describe(x, m, false, false), inside);
	return took;
}

static void left_over(struct differ *x, const struct side *s, const struct side *other, bool new)
{
	for (size_t i = 0, took; i < s->n; i += took) {
		module m = s->v[i].m;

		took = 1;
		if (s->v[i].joined)
			continue;
		if (m->kind == HISTORY_SOURCE) {
			if (new)
				new_source(x, other, m);
		} else if (!other->h->whole[m->kind]) {
			continue; /* it may be among those that are not told */
		} else if (m->kind == HISTORY_IMPORT) {
			took = import_row(x, s->v + i, s->n - i, new);
		} else {
			row(x, new ? NULL : m, new ? m : NULL, new ? DIFF_NEW : DIFF_GONE);
		}
	}
}

/* ---- joining --------------------------------------------------------------------------------- */

/* Joined ones last, they have no key any more. */
static int by_key(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order;

	if (x->joined != y->joined)
		return x->joined ? 1 : -1;
	order = (x->m->kind > y->m->kind) - (x->m->kind < y->m->kind);
	return order ? order : strcmp(x->key, y->key);
}

static int by_name(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order = (x->m->kind > y->m->kind) - (x->m->kind < y->m->kind);

	return order ? order : strcmp(x->m->name, y->m->name);
}

static size_t equal_keys(const struct side *s, size_t i)
{
	size_t n = 1;

	while (i + n < s->n && !by_key(&s->v[i], &s->v[i + n]))
		n++;
	return n;
}

/* Pairs those whose key is on each side once. */
static void join(struct differ *x, struct side *a, struct side *b)
{
	size_t i = 0, j = 0;

	qsort(a->v, a->n, sizeof(*a->v), by_key);
	qsort(b->v, b->n, sizeof(*b->v), by_key);
	while (i < a->n && j < b->n && !a->v[i].joined && !b->v[j].joined) {
		int order = by_key(&a->v[i], &b->v[j]);
		size_t n = equal_keys(a, i), m = equal_keys(b, j);

		if (!order && n == 1 && m == 1) {
			compare(x, a->v[i].m, b->v[j].m);
			a->v[i].joined = b->v[j].joined = true;
		}
		i += order <= 0 ? n : 0;
		j += order >= 0 ? m : 0;
	}
}

/* "libssl" of libssl.so.3, "_ssl" of an extension module; "app/handlers.py". */
static const char *loose_key(struct differ *x, module m)
{
	const char *name = base_name(m->name);

	if (m->kind == HISTORY_SOURCE)
		return short_path(m->name);
	if (m->kind == HISTORY_IMPORT)
		return m->name;
	return arena_strndup(&x->d->arena, name, strcspn(name, "."));
}

static void loosen(struct differ *x, struct side *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->v[i].key = loose_key(x, s->v[i].m);
}

static struct side side_of(const struct history *h)
{
	struct side s = {.h = h, .n = h->n_modules, .last = NAN};

	s.v = mem_alloc((s.n + 1) * sizeof(*s.v));
	for (size_t i = 0; i < s.n; i++)
		s.v[i] = (struct item){&h->modules[i], h->modules[i].name, false};
	for (size_t i = 0; i < h->n_loops; i++)
		s.last = fmax(h->loops[i].last, isnan(s.last) ? h->loops[i].last : s.last);
	return s;
}

void diff_modules(struct differ *x)
{
	struct side a = side_of(x->a), b = side_of(x->b);

	for (size_t i = 0; i < ARRAY_SIZE(x->d->compared); i++)
		x->d->compared[i] = x->a->listed[i] && x->b->listed[i];
	join(x, &a, &b);
	loosen(x, &a);
	loosen(x, &b);
	join(x, &a, &b);
	qsort(a.v, a.n, sizeof(*a.v), by_name);
	qsort(b.v, b.n, sizeof(*b.v), by_name);
	left_over(x, &b, &a, true);
	left_over(x, &a, &b, false);
	free(a.v);
	free(b.v);
}

bool diff_has_file(const struct differ *x, const char *file)
{
	for (size_t i = 0; i < x->d->n; i++)
		if (x->d->v[i].class == DIFF_FILE && x->d->v[i].path &&
		    !strcmp(x->d->v[i].path, file))
			return true;
	return false;
}

/* ---- below the holder ------------------------------------------------------------------------ */

static const struct holder *holder_of(const struct differ *x, const char *fingerprint)
{
	const struct history *sides[] = {x->b, x->a};

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t j = 0; j < sides[i]->n_holders; j++)
			if (!strcmp(sides[i]->holders[j].fingerprint, fingerprint))
				return &sides[i]->holders[j];
	return NULL;
}

/* Its file, or the library that it calls. */
static bool belongs_to(struct differ *x, const struct diff_row *r, const struct holder *holder)
{
	if (r->fate == DIFF_NONE || r->fate == DIFF_GONE)
		return false;
	if (r->class == DIFF_FILE)
		return holder->file && r->path && !strcmp(holder->file, r->path);
	if (!holder->library || !*holder->library)
		return false;
	if (r->class == DIFF_MODULE)
		return !strcasecmp(r->what, holder->library);
	return !strcasecmp(
		arena_strndup(&x->d->arena, base_name(r->path), strcspn(base_name(r->path), ".")),
		holder->library);
}

void diff_place_below(struct differ *x)
{
	struct diff *d = x->d;
	struct diff_row *sorted = mem_alloc((d->n + 1) * sizeof(*sorted));
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++) {
		const struct holder *holder = NULL;

		if (d->v[i].below)
			continue;
		sorted[n++] = d->v[i];
		if (d->v[i].class == DIFF_HOLDER && d->v[i].sense)
			holder = holder_of(x, d->v[i].fingerprint);
		for (size_t j = i + 1; holder && j < d->n; j++) {
			if (d->v[j].below || !belongs_to(x, &d->v[j], holder))
				continue;
			d->v[j].below = true;
			d->v[j].fingerprint = d->v[i].fingerprint;
			sorted[n++] = d->v[j];
		}
	}
	memcpy(d->v, sorted, n * sizeof(*sorted));
	free(sorted);
}
