/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mountinfo.c - where the cgroup file systems are mounted, and where in them a cgroup is
 *
 *	33 31 0:30 /a /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
 *	 number parent device, root, mount point, options, any words, -, type, source, more options
 */
#include "scan.h"
#include "stallscope/kernel.h"

#define FIELD_ROOT  3
#define FIELD_POINT 4
#define FIELDS	    6

/* Takes what is up to the next blank. */
static bool take_word(struct scan *s, struct scan *word)
{
	scan_blanks(s);
	word->p = s->p;
	while (s->p < s->end && *s->p != ' ')
		s->p++;
	word->end = s->p;
	return word->p < word->end;
}

static bool word_is(const struct scan *word, const char *text)
{
	return scan_left(word) == strlen(text) && !memcmp(word->p, text, strlen(text));
}

/* \ooo stands for a blank, a tab, a newline, a backslash. */
static const char *plain_path(struct scan word, struct arena *arena)
{
	char *path = arena_strndup(arena, word.p, scan_left(&word)), *out = path;

	for (const char *p = path; *p; out++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
		    p[3] >= '0' && p[3] <= '7') {
			*out = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
			p += 4;
		} else {
			*out = *p++;
		}
	}
	*out = '\0';
	return path;
}

/* "rw,cpu,cpuacct" */
static uint8_t controllers(struct scan options)
{
	uint8_t has = 0;

	while (!scan_at_end(&options)) {
		const char *comma = memchr(options.p, ',', scan_left(&options));
		struct scan one = {options.p, comma ? comma : options.end};

		if (word_is(&one, "cpu"))
			has |= 1 << CGROUP_V1_CPU;
		if (word_is(&one, "freezer"))
			has |= 1 << CGROUP_V1_FREEZER;
		options.p = comma ? comma + 1 : options.end;
	}
	return has;
}

/* Everything behind " - ": type, source, options of the file system. */
static bool parse_type(struct scan *line, uint8_t *has)
{
	struct scan word, type, source, options;

	do {
		if (!take_word(line, &word))
			return false;
	} while (!word_is(&word, "-"));
	if (!take_word(line, &type) || !take_word(line, &source))
		return false;
	*has = 0;
	if (word_is(&type, "cgroup2"))
		*has = 1 << CGROUP_V2;
	else if (word_is(&type, "cgroup") && take_word(line, &options))
		*has = controllers(options);
	return true;
}

static bool parse_line(struct scan line, struct arena *arena, struct cgroup_mount *m)
{
	struct scan field[FIELDS];

	if (memchr(line.p, '\0', scan_left(&line)))
		return false;
	for (size_t i = 0; i < FIELDS; i++)
		if (!take_word(&line, &field[i]))
			return false;
	if (!parse_type(&line, &m->has))
		return false;
	if (m->has) {
		m->root = plain_path(field[FIELD_ROOT], arena);
		m->point = plain_path(field[FIELD_POINT], arena);
	}
	return true;
}

bool cgroup_mounts_parse(const char *text, size_t len, struct arena *arena,
			 struct cgroup_mounts *ret, struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct cgroup_mounts mounts = {arena_alloc(arena, CGROUP_MOUNTS_MAX * sizeof(*mounts.v)),
				       0};
	bool whole;

	while (scan_line(&s, &line, &whole) && whole && mounts.n < CGROUP_MOUNTS_MAX) {
		struct cgroup_mount m = {NULL, NULL, 0};

		if (!parse_line(line, arena, &m))
			return error_set(err, ERR_CORRUPT, "mountinfo is malformed");
		if (m.has && m.root[0] == '/' && m.point[0] == '/')
			mounts.v[mounts.n++] = m;
	}
	*ret = mounts;
	return true;
}

/* ---- a cgroup in a mount -----------------------------------------------------------------------
 */

/* What is left of path below root, "" for root itself; NULL when it is not below. */
static const char *below(const char *path, const char *root)
{
	size_t len = strlen(root);

	while (len && root[len - 1] == '/')
		len--;
	if (strncmp(path, root, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return strcmp(path + len, "/") != 0 ? path + len : "";
}

static bool has_dots(const char *path)
{
	for (; (path = strstr(path, "/..")); path += 3)
		if (!path[3] || path[3] == '/')
			return true;
	return false;
}

static const char *joined(const char *point, const char *rest, struct arena *arena)
{
	size_t len = strlen(point), more = strlen(rest);
	char *path = arena_alloc(arena, len + more + 1);

	memcpy(path, point, len);
	memcpy(path + len, rest, more + 1);
	return path;
}

/*
 * Roots and paths are both told as our cgroup namespace sees them: what lies above it begins with
 * "/..", and a root "/.." shows "/../x", but which cgroup of it "/" is nobody tells.
 */
bool cgroup_find(const struct cgroup_mounts *mounts, enum cgroup_hierarchy hierarchy,
		 const char *path, struct arena *arena, struct cgroup_dir *ret)
{
	for (size_t i = mounts->n; i-- > 0;) { /* the last one lies on top */
		const struct cgroup_mount *m = &mounts->v[i];
		const char *rest = m->has & 1 << hierarchy ? below(path, m->root) : NULL;

		if (!rest || has_dots(rest))
			continue;
		ret->path = joined(m->point, rest, arena);
		ret->top = strlen(m->point);
		return true;
	}
	return false;
}
