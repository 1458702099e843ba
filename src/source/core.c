/* SPDX-License-Identifier: Apache-2.0 */
#include "core.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "corefile.h"
#include "stallscope/cleanup.h"

/* ---- memory -------------------------------------------------------------------------------------
 */

static const struct core_segment *find_segment(const struct core *core, uint64_t addr)
{
	size_t low = 0, high = core->n_segments;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct core_segment *s = &core->segments[mid];

		if (addr < s->address)
			high = mid;
		else if (addr - s->address >= s->memory)
			low = mid + 1;
		else
			return s;
	}
	return NULL;
}

static struct core_mapping *find_mapping(struct core *core, uint64_t addr)
{
	for (size_t i = 0; i < core->n_mappings; i++)
		if (addr >= core->mappings[i].start && addr < core->mappings[i].end)
			return &core->mappings[i];
	return NULL;
}

static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Where the core has the first page of the file, it must be the one on disk. */
static bool same_file(const struct core *core, const struct core_mapping *m, int fd)
{
	char ours[1024], theirs[1024];
	const struct core_segment *s;

	for (size_t i = 0; i < core->n_mappings; i++) {
		const struct core_mapping *first = &core->mappings[i];

		if (first->offset || strcmp(first->path, m->path) != 0)
			continue;
		s = find_segment(core, first->start);
		if (!s || s->address != first->start || s->file < sizeof(ours))
			continue;
		return pread(core->fd, ours, sizeof(ours), (off_t)s->offset) == sizeof(ours) &&
		       pread(fd, theirs, sizeof(theirs), 0) == sizeof(theirs) &&
		       !memcmp(ours, theirs, sizeof(ours));
	}
	return true;
}

/* Text and constants are not in a kernel's core: they are read from the file that was mapped. */
static ssize_t read_mapped(struct core *core, uint64_t addr, void *buf, size_t len)
{
	struct core_mapping *m = find_mapping(core, addr);

	if (!m)
		return -1;
	if (m->fd == -1) {
		m->fd = open_regular(m->path);
		if (m->fd >= 0 && !same_file(core, m, m->fd)) {
			close(m->fd);
			m->fd = -2;
		}
		if (m->fd < 0)
			m->fd = -2;
	}
	if (m->fd < 0)
		return -1;
	if (len > m->end - addr)
		len = (size_t)(m->end - addr);
	return pread(m->fd, buf, len, (off_t)(m->offset + (addr - m->start)));
}

static ssize_t core_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct core *core = self;
	const struct core_segment *s = find_segment(core, addr);
	uint64_t at;

	if (!s)
		return core->sparse ? -1 : read_mapped(core, addr, buf, len);
	at = addr - s->address;
	if (at >= s->file) {
		if (!core->sparse && find_mapping(core, addr))
			return read_mapped(core, addr, buf, len);
		if (len > s->memory - at)
			len = (size_t)(s->memory - at);
		memset(buf, 0, len); /* memory that was never written */
		return (ssize_t)len;
	}
	if (len > s->file - at)
		len = (size_t)(s->file - at);
	return pread(core->fd, buf, len, (off_t)(s->offset + at));
}

/* ---- answers
 * ------------------------------------------------------------------------------------------ */

static const struct core_answer *find_answer(const struct core *core, enum item_kind kind,
					     const char *key)
{
	for (size_t i = 0; i < core->n_answers; i++)
		if (core->answers[i].kind == kind && !strcmp(core->answers[i].key, key))
			return &core->answers[i];
	return NULL;
}

static bool give(const struct core *core, const struct core_answer *a, const char *key,
		 struct strbuf *out, struct error *err)
{
	if (!a)
		return error_set(err, ERR_ABSENT, "%s: the recording has no %s", core->path, key);
	if (a->code != ERR_OK)
		return error_set(err, a->code, "%s could not be read when %s was recorded", key,
				 core->path);
	strbuf_add(out, a->data.data, a->data.len);
	return true;
}

static bool core_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	struct core *core = self;

	if (!core->sparse && core_make_proc(core, path, text))
		return true;
	return give(core, find_answer(core, ITEM_PROC, path), path, text, err);
}

static int core_file_open(void *self, const struct source_file *file, struct error *err)
{
	struct core *core = self;
	int fd = open_regular(file->path);

	if (fd < 0)
		error_set(err, ERR_ABSENT, "%s, mapped in %s, is not here", file->path, core->path);
	return fd;
}

static bool core_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
			   size_t len, struct error *err)
{
	struct core *core = self;
	cleanup_strbuf struct strbuf key = STRBUF_INIT, data = STRBUF_INIT;
	cleanup_fd int fd = -1;

	source_file_key(&key, file, offset, len);
	if (core->sparse) {
		if (!give(core, find_answer(core, ITEM_FILE, key.data), key.data, &data, err))
			return false;
		if (data.len != len)
			return error_set(err, ERR_BAD_FILE, "%s: a recorded piece is cut",
					 core->path);
		memcpy(buf, data.data, len);
		return true;
	}
	fd = core_file_open(core, file, err);
	if (fd < 0)
		return false;
	if (offset > INT64_MAX || pread(fd, buf, len, (off_t)offset) != (ssize_t)len)
		return error_set(err, ERR_ABSENT, "%s is too short", file->path);
	return true;
}

static bool core_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		      struct error *err)
{
	struct core *core = self;
	cleanup_strbuf struct strbuf key = STRBUF_INIT;
	const struct core_answer *a;

	source_line_key(&key, path, line);
	a = find_answer(core, ITEM_LINE, key.data);
	if (!give(core, a, key.data, out, err))
		return false;
	*newer = a->newer;
	return true;
}

static uint64_t core_clock(void *self)
{
	return ((struct core *)self)->clock_ns;
}

static uint64_t core_wall_clock(void *self)
{
	return ((struct core *)self)->wall_ns;
}

static bool core_alive(void *self)
{
	(void)self;
	return true;
}

static const struct strbuf *core_note(void *self, const char *name)
{
	const struct core *core = self;

	for (size_t i = 0; i < core->n_user_notes; i++)
		if (!strcmp(core->user_notes[i].key, name))
			return &core->user_notes[i].data;
	return NULL;
}

static void core_close(void *self)
{
	struct core *core = self;

	for (size_t i = 0; i < core->n_mappings; i++)
		if (core->mappings[i].fd >= 0)
			close(core->mappings[i].fd);
	if (core->fd >= 0)
		close(core->fd);
	arena_deinit(&core->arena);
	free(core->segments);
	free(core->mappings);
	free(core->threads);
	free(core->answers);
	free(core->user_notes);
	free(core->notes);
	free(core->path);
	free(core);
}

static const struct source_ops core_ops = {
	.read = core_read,
	.proc = core_proc,
	.file_read = core_file_read,
	.file_open = core_file_open,
	.line = core_line,
	.clock = core_clock,
	.wall_clock = core_wall_clock,
	.alive = core_alive,
	.note = core_note,
	.close = core_close,
	.recorded = true,
};

/* ---- opening
 * -------------------------------------------------------------------------------------------- */

static bool read_at(const struct core *core, uint64_t offset, void *buf, size_t len)
{
	return offset <= core->size && len <= core->size - offset &&
	       pread(core->fd, buf, len, (off_t)offset) == (ssize_t)len;
}

static bool not_a_core(const struct core *core, const char *why, struct error *err)
{
	error_set(err, ERR_BAD_FILE, "%s is not a core that can be read: %s", core->path, why);
	return error_hint(err,
			  "a file of stallscope --save, of gcore, or a core of a 64-bit process");
}

static bool add_notes(struct core *core, const Elf64_Phdr *ph, struct error *err)
{
	size_t old = core->notes_len;

	if (ph->p_filesz > CORE_MAX_NOTES - old)
		return not_a_core(core, "its notes are too large", err);
	core->notes = mem_realloc(core->notes, old + ph->p_filesz + 1, 1);
	if (!read_at(core, ph->p_offset, core->notes + old, ph->p_filesz))
		return not_a_core(core, "it is cut off", err);
	core->notes_len = old + ph->p_filesz;
	core->notes[core->notes_len] = 0;
	return true;
}

static void add_segment(struct core *core, const Elf64_Phdr *ph)
{
	uint64_t end, present = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;

	if (!ph->p_memsz || __builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end))
		return;
	/* a core that was cut off: what is there can be read */
	if (ph->p_offset > core->size)
		present = 0;
	else if (present > core->size - ph->p_offset)
		present = core->size - ph->p_offset;
	*array_push(&core->segments, &core->n_segments, &core->segments_cap) =
		(struct core_segment){ph->p_vaddr, ph->p_memsz, ph->p_offset, present, ph->p_flags};
}

static int by_address(const void *a, const void *b)
{
	const struct core_segment *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* Overlapping segments would make the binary search give either: later ones are cut. */
static void sort_segments(struct core *core)
{
	if (core->n_segments)
		qsort(core->segments, core->n_segments, sizeof(*core->segments), by_address);
	for (size_t i = 0; i + 1 < core->n_segments; i++) {
		struct core_segment *s = &core->segments[i];
		uint64_t room = core->segments[i + 1].address - s->address;

		if (s->memory > room)
			s->memory = room;
		if (s->file > s->memory)
			s->file = s->memory;
	}
}

static bool header_count(const struct core *core, const Elf64_Ehdr *eh, uint64_t *n)
{
	Elf64_Shdr sh;

	*n = eh->e_phnum;
	if (eh->e_phnum != PN_XNUM)
		return true;
	if (!read_at(core, eh->e_shoff, &sh, sizeof(sh)))
		return false;
	*n = sh.sh_info;
	return true;
}

static bool read_headers(struct core *core, struct error *err)
{
	Elf64_Ehdr eh;
	uint64_t n;

	if (!read_at(core, 0, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return not_a_core(core, "no ELF header", err);
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return not_a_core(core, "not 64-bit little-endian", err);
	if (eh.e_type != ET_CORE)
		return not_a_core(core, "an ELF file, but not a core", err);
	if (eh.e_phentsize != sizeof(Elf64_Phdr) || !header_count(core, &eh, &n) ||
	    n > CORE_MAX_SEGMENTS)
		return not_a_core(core, "its program headers are damaged", err);
	for (uint64_t i = 0; i < n; i++) {
		Elf64_Phdr ph;

		if (!read_at(core, eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph)))
			return not_a_core(core, "it is cut off", err);
		if (ph.p_type == PT_NOTE && !add_notes(core, &ph, err))
			return false;
		if (ph.p_type == PT_LOAD)
			add_segment(core, &ph);
	}
	sort_segments(core);
	return true;
}

static bool open_file(struct core *core, struct error *err)
{
	struct stat st;
	int sys;

	core->fd = open(core->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	sys = errno;
	if (core->fd < 0 && (sys == EACCES || sys == EPERM))
		return error_sys(err, ERR_PERMISSION, sys, "%s", core->path);
	if (core->fd < 0)
		return error_sys(err, ERR_NO_FILE, sys, "%s", core->path);
	if (fstat(core->fd, &st) || !S_ISREG(st.st_mode))
		return not_a_core(core, "not a regular file", err);
	core->size = (uint64_t)st.st_size;
	core->wall_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	return true;
}

bool source_open_core(const char *path, struct source **ret, struct error *err)
{
	struct core *core = mem_zalloc(1, sizeof(*core));

	core->fd = -1;
	core->path = mem_alloc(strlen(path) + 1);
	strcpy(core->path, path);
	if (!open_file(core, err) || !read_headers(core, err) || !core_read_notes(core, err)) {
		core_close(core);
		return false;
	}
	*ret = source_new(&core_ops, core, core->pid);
	return true;
}
