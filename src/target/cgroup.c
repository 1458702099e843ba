/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.c - /proc/PID/cgroup, and the container that a path of it names
 *
 *	6:freezer:/docker/0f3c...
 *	0::/system.slice/docker-0f3c....scope
 */
#include "scan.h"
#include "stallscope/target.h"
#include "stallscope/utf8.h"

#define ID_DIGITS      64
#define NAME_MAX_CHARS 256

/* Is name one of the controllers in a list with commas? */
static bool has_controller(struct scan list, const char *name)
{
	size_t len = strlen(name);

	while (!scan_at_end(&list)) {
		const char *comma = memchr(list.p, ',', scan_left(&list));
		const char *end = comma ? comma : list.end;

		if ((size_t)(end - list.p) == len && memcmp(list.p, name, len) == 0)
			return true;
		list.p = comma ? comma + 1 : list.end;
	}
	return false;
}

static const char *keep_path(struct scan path, struct arena *arena)
{
	static const char deleted[] = " (deleted)";
	const size_t mark = sizeof(deleted) - 1;
	size_t len = scan_left(&path);

	if (len > mark && memcmp(path.end - mark, deleted, mark) == 0)
		len -= mark;
	return arena_strndup(arena, path.p, len);
}

static bool parse_line(struct scan line, struct arena *arena, struct proc_cgroup *cg)
{
	struct scan list;
	uint64_t hierarchy;
	const char *colon;

	if (!scan_u64(&line, &hierarchy) || !scan_char(&line, ':'))
		return false;
	colon = memchr(line.p, ':', scan_left(&line));
	if (!colon || colon + 1 == line.end || colon[1] != '/' ||
	    memchr(colon, '\0', (size_t)(line.end - colon)))
		return false;
	list = (struct scan){line.p, colon};
	line.p = colon + 1;
	if (hierarchy == 0 && scan_at_end(&list))
		cg->v2 = keep_path(line, arena);
	if (has_controller(list, "freezer"))
		cg->freezer = keep_path(line, arena);
	if (has_controller(list, "cpu"))
		cg->cpu = keep_path(line, arena);
	return true;
}

bool proc_cgroup_parse(const char *text, size_t len, struct arena *arena, struct proc_cgroup *ret,
		       struct error *err)
{
	struct scan s = scan_init(text, len), line;
	struct proc_cgroup cg = {NULL, NULL, NULL};
	bool whole;

	while (scan_line(&s, &line, &whole) && whole)
		if (!parse_line(line, arena, &cg))
			return error_set(err, ERR_CORRUPT, "cgroup is malformed");
	*ret = cg;
	return true;
}

static bool starts_with(struct scan s, const char *prefix)
{
	return scan_text(&s, prefix, strlen(prefix));
}

static bool cut_suffix(struct scan *s, const char *suffix)
{
	size_t len = strlen(suffix);

	if (scan_left(s) < len || memcmp(s->end - len, suffix, len) != 0)
		return false;
	s->end -= len;
	return true;
}

/* "conmon" only watches a container of podman or cri-o: it runs outside of it. */
static bool is_monitor(struct scan part)
{
	return starts_with(part, "libpod-conmon-") || starts_with(part, "crio-conmon-");
}

/*
 * "ID", "docker-ID.scope", "cri-containerd-ID.scope", "libpod-ID", and containerd's
 * "kubepods-burstable-podUID.slice:cri-containerd:ID": 64 digits at the end of the name.
 */
static const char *digits_id(struct scan part, struct arena *arena)
{
	struct scan digits;

	if (is_monitor(part))
		return NULL;
	cut_suffix(&part, ".scope");
	if (scan_left(&part) < ID_DIGITS)
		return NULL;
	digits = (struct scan){part.end - ID_DIGITS, part.end};
	if (digits.p > part.p && digits.p[-1] != '-' && digits.p[-1] != ':')
		return NULL;
	for (const char *p = digits.p; p < digits.end; p++)
		if (scan_hex_digit(*p) > 15)
			return NULL;
	return arena_strndup(arena, digits.p, ID_DIGITS);
}

/* Names of systemd units have \x2d for characters that mean something in them. */
static void add_unit_name(struct strbuf *sb, struct scan name)
{
	while (!scan_at_end(&name)) {
		bool escape = starts_with(name, "\\x") && scan_left(&name) >= 4;
		unsigned high = escape ? scan_hex_digit(name.p[2]) : 16;
		unsigned low = escape ? scan_hex_digit(name.p[3]) : 16;

		if (high > 15 || low > 15) {
			strbuf_addch(sb, *name.p++);
			continue;
		}
		strbuf_addch(sb, (char)(high << 4 | low));
		name.p += 4;
	}
}

static const char *safe_name(struct scan name, bool unit, struct arena *arena)
{
	struct strbuf raw = STRBUF_INIT, safe = STRBUF_INIT;
	const char *ret;

	if (unit)
		add_unit_name(&raw, name);
	else
		strbuf_add(&raw, name.p, scan_left(&name));
	utf8_add_safe(&safe, raw.data, raw.len, NAME_MAX_CHARS);
	ret = arena_strndup(arena, safe.data, safe.len);
	strbuf_deinit(&raw);
	strbuf_deinit(&safe);
	return ret;
}

/* Containers that go by a name: LXC's "lxc.payload.web", systemd's "machine-web.scope". */
static const char *named_id(struct scan part, struct arena *arena)
{
	static const char lxc[] = "lxc.payload.", machine[] = "machine-";
	struct scan name = part;

	if (scan_text(&name, lxc, sizeof(lxc) - 1) && !scan_at_end(&name))
		return safe_name(name, false, arena);
	name = part;
	if (scan_text(&name, machine, sizeof(machine) - 1) && cut_suffix(&name, ".scope") &&
	    !scan_at_end(&name))
		return safe_name(name, true, arena);
	return NULL;
}

/* The innermost name that is a container's: a container may run others. */
const char *cgroup_container_id(const char *path, struct arena *arena)
{
	struct scan rest = scan_init(path, strlen(path));

	while (!scan_at_end(&rest)) {
		const char *slash = rest.end;
		struct scan part;
		const char *id;

		while (slash > rest.p && slash[-1] != '/')
			slash--;
		part = (struct scan){slash, rest.end};
		id = digits_id(part, arena);
		if (!id)
			id = named_id(part, arena);
		if (id)
			return id;
		rest.end = slash > rest.p ? slash - 1 : slash;
	}
	return NULL;
}
