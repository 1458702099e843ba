/* SPDX-License-Identifier: Apache-2.0 */
/*
 * maps.c - /proc/PID/maps
 *
 *	7f1a99225000-7f1a99245000 r-xp 00002000 fe:00 12345      /usr/lib/libc.so.6
 */
#include <limits.h>
#include <stdlib.h>

#include "scan.h"
#include "stallscope/target.h"

/* A path of PATH_MAX bytes, each of them a newline, which the kernel writes as \012. */
#define PATH_LIMIT (4u * PATH_MAX)

static const char deleted_mark[] = " (deleted)";

static bool parse_perms(struct scan *s, uint8_t *ret)
{
	static const char set[] = {'r', 'w', 'x', 's'};
	static const char unset[] = {'-', '-', '-', 'p'};
	uint8_t perms = 0;

	if (scan_left(s) < 4)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		if (s->p[i] == set[i])
			perms = (uint8_t)(perms | 1u << i);
		else if (s->p[i] != unset[i])
			return false;
	}
	s->p += 4;
	*ret = perms;
	return true;
}

static bool parse_device(struct scan *s, struct source_file *file)
{
	uint64_t major, minor;

	if (!scan_hex(s, &major) || !scan_char(s, ':') || !scan_hex(s, &minor))
		return false;
	if (major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	file->dev_major = (uint32_t)major;
	file->dev_minor = (uint32_t)minor;
	return true;
}

/* All of a line but the path. */
static bool parse_numbers(struct scan *s, struct mapping *m)
{
	struct source_file *f = &m->file;

	return scan_hex(s, &f->start) && scan_char(s, '-') && scan_hex(s, &f->end) &&
	       f->start < f->end && scan_char(s, ' ') && parse_perms(s, &m->perms) &&
	       scan_char(s, ' ') && scan_hex(s, &m->offset) && scan_char(s, ' ') &&
	       parse_device(s, f) && scan_char(s, ' ') && scan_u64(s, &f->inode);
}

/*
 * A file may be named "x (deleted)" in earnest; the kernel writes it the same way, so that
 * such a file is taken for a deleted "x". The inode tells who compares it.
 */
static size_t cut_deleted(const char *path, size_t len, bool *deleted)
{
	const size_t mark = sizeof(deleted_mark) - 1;

	*deleted = len > mark && memcmp(path + len - mark, deleted_mark, mark) == 0;
	return *deleted ? len - mark : len;
}

/* The path of the line before: the mappings of one file follow each other and share a copy. */
struct last_path {
	const char *text;
	size_t len;
};

static bool keep_path(const char *path, size_t len, struct last_path *last, struct arena *arena)
{
	if (len == last->len && memcmp(path, last->text, len) == 0)
		return true;
	if (len > PATH_LIMIT || memchr(path, '\0', len))
		return false;
	last->text = len ? arena_strndup(arena, path, len) : "";
	last->len = len;
	return true;
}

static bool parse_line(struct scan line, struct mapping *m, struct last_path *last,
		       struct arena *arena)
{
	size_t len;

	if (!parse_numbers(&line, m))
		return false;
	if (!scan_at_end(&line) && *line.p != ' ')
		return false;
	scan_blanks(&line);
	len = cut_deleted(line.p, scan_left(&line), &m->file.deleted);
	if (!keep_path(line.p, len, last, arena))
		return false;
	m->file.path = last->text;
	return true;
}

static size_t count_lines(struct scan s)
{
	struct scan line;
	size_t n = 0;

	while (n < MAPS_MAX && scan_line(&s, &line, NULL))
		n++;
	return n;
}

static int compare_start(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	if (x->file.start != y->file.start)
		return x->file.start < y->file.start ? -1 : 1;
	return (x->file.end > y->file.end) - (x->file.end < y->file.end);
}

/*
 * A map that is changed while it is read can show an address twice. Lines are then sorted
 * and what an earlier one covers is taken from the later one, so that maps_find() may bisect.
 */
static void make_disjoint(struct maps *maps)
{
	size_t kept = 0;
	uint64_t covered = 0;

	qsort(maps->v, maps->n, sizeof(maps->v[0]), compare_start);
	for (size_t i = 0; i < maps->n; i++) {
		struct mapping m = maps->v[i];

		if (m.file.end <= covered)
			continue;
		if (m.file.start < covered) {
			m.offset += covered - m.file.start;
			m.file.start = covered;
		}
		covered = m.file.end;
		maps->v[kept++] = m;
	}
	maps->n = kept;
}

bool maps_parse(const char *text, size_t len, struct arena *arena, struct maps *ret,
		struct error *err)
{
	struct scan s = scan_init(text, len), line;
	size_t room = count_lines(s);
	struct maps maps = {arena_alloc(arena, room * sizeof(maps.v[0])), 0, false};
	struct last_path last = {"", 0};
	bool whole, disjoint = true;
	uint64_t covered = 0;

	while (maps.n < room && scan_line(&s, &line, &whole)) {
		struct mapping *m = &maps.v[maps.n];

		if (!parse_line(line, m, &last, arena)) {
			if (whole || maps.n == 0)
				return error_set(err, ERR_CORRUPT, "line %zu of maps is malformed",
						 maps.n + 1);
			maps.truncated = true;
			break;
		}
		disjoint = disjoint && m->file.start >= covered;
		covered = m->file.end;
		maps.n++;
	}
	maps.truncated = maps.truncated || !scan_at_end(&s);
	if (!disjoint)
		make_disjoint(&maps);
	*ret = maps;
	return true;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (maps->v[mid].file.end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == maps->n || maps->v[low].file.start > addr)
		return NULL;
	return &maps->v[low];
}
