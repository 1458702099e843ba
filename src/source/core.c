/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core.c - a core as a target: a sparse one of ours (corefile.h), which answers from what it
 * recorded, or a full one of the kernel or gdb, which leaves out what can be read from the files
 * that were mapped, and has no /proc
 */
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
#include "stallscope/log.h"
#include "stallscope/utf8.h"

/* ---- finding ------------------------------------------------------------------------------- */

static const struct core_segment *find_segment(const struct core *core, uint64_t addr)
{
	size_t low = 0, high = core->n_segments;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
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

/* ---- memory -------------------------------------------------------------------------------- */

/* The bytes at addr that are in the core itself. */
size_t core_own_bytes(const struct core *core, uint64_t addr, void *buf, size_t len)
{
	const struct core_segment *s = find_segment(core, addr);
	uint64_t at = s ? addr - s->address : 0;
	ssize_t n;

	if (!s || at >= s->file)
		return 0;
	if (len > s->file - at)
		len = (size_t)(s->file - at);
	n = core_pread(core->fd, buf, len, s->offset + at);
	return n > 0 ? (size_t)n : 0;
}

static ssize_t read_mapped(struct core *core, uint64_t addr, void *buf, size_t len)
{
	const struct core_mapping *m = core->sparse ? NULL : core_find_mapping(core, addr);
	int fd = m ? core_file_fd(core, m->file) : -1;
	ssize_t n;

	if (fd < 0)
		return -1;
	if (len > m->end - addr)
		len = (size_t)(m->end - addr);
	n = core_pread(fd, buf, len, m->offset + (addr - m->start));
	if (n > 0 && (size_t)n < len && n % SOURCE_PAGE) {
		/* the rest of the last page of a file is zeros */
		size_t rest = SOURCE_PAGE - (size_t)n % SOURCE_PAGE;

		rest = rest < len - (size_t)n ? rest : len - (size_t)n;
		memset((char *)buf + n, 0, rest);
		n += (ssize_t)rest;
	}
	return n;
}

/* What one segment or one mapped file has at addr. */
static ssize_t read_piece(struct core *core, uint64_t addr, void *buf, size_t len)
{
	const struct core_segment *s = find_segment(core, addr);
	uint64_t at = s ? addr - s->address : 0;

	if (!s)
		return read_mapped(core, addr, buf, len);
	if (len > s->memory - at)
		len = (size_t)(s->memory - at);
	if (at < s->file)
		return (ssize_t)core_own_bytes(core, addr, buf, len);
	if (!core->sparse)
		return read_mapped(core, addr, buf, len);
	memset(buf, 0, len);
	return (ssize_t)len;
}

static ssize_t core_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct core *core = self;
	size_t done = 0;

	while (done < len) {
		ssize_t n = read_piece(core, addr + done, (char *)buf + done, len - done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done)
		return (ssize_t)done;
	errno = EFAULT;
	return -1;
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool give(const struct core *core, const struct core_answer *a, const char *key,
		 struct strbuf *out, struct error *err)
{
	char name[256], why[256];

	safe_for_message(name, sizeof(name), key);
	if (!a)
		return error_set(err, ERR_ABSENT, "%s does not have %s", core->path, name);
	if (a->code == ERR_OK) {
		strbuf_add(out, a->data.data, a->data.len);
		return true;
	}
	if (!a->data.len)
		return error_set(err, a->code, "%s could not be read when %s was made", name,
				 core->path);
	return error_set(err, a->code, "%s", safe_for_message(why, sizeof(why), a->data.data));
}

static bool core_proc(void *self, const char *path, struct strbuf *text, struct error *err)
{
	struct core *core = self;

	if (!core->sparse && core_make_proc(core, path, text))
		return true;
	return give(core, core_find_answer(core, ITEM_PROC, path), path, text, err);
}

static bool no_file(const struct core *core, const struct source_file *file, struct error *err)
{
	char name[256];

	return error_set(err, ERR_ABSENT, "%s, mapped when %s was made, is not here",
			 safe_for_message(name, sizeof(name), file->path), core->path);
}

static int core_file_open(void *self, const struct source_file *file, struct error *err)
{
	struct core *core = self;
	size_t i = core_find_file(core, file);
	int fd = i < core->n_files ? core_file_fd(core, i) : -1;

	if (fd >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		no_file(core, file, err);
	return fd;
}

/* A recorded piece that holds this one. */
static bool read_extent(const struct core *core, const char *name, uint64_t offset, void *buf,
			size_t len)
{
	for (size_t i = 0; i < core->n_extents; i++) {
		const struct core_extent *x = &core->extents[i];

		if (offset < x->offset || offset - x->offset > x->data.len ||
		    len > x->data.len - (offset - x->offset) || strcmp(x->name, name) != 0)
			continue;
		memcpy(buf, x->data.data + (offset - x->offset), len);
		return true;
	}
	return false;
}

static bool read_recorded(const struct core *core, const struct source_file *file, uint64_t offset,
			  void *buf, size_t len, struct error *err)
{
	cleanup_strbuf struct strbuf key = STRBUF_INIT, data = STRBUF_INIT;
	const struct core_answer *a;

	source_file_key(&key, file, offset, len);
	a = core_find_answer(core, ITEM_FILE, key.data);
	if (!a && read_extent(core, strchr(key.data, ' ') + 1, offset, buf, len))
		return true;
	if (!give(core, a, key.data, &data, err))
		return false;
	if (data.len != len)
		return error_set(err, ERR_BAD_FILE, "%s: a recorded piece of a file is cut",
				 core->path);
	memcpy(buf, data.data, len);
	return true;
}

static bool core_file_read(void *self, const struct source_file *file, uint64_t offset, void *buf,
			   size_t len, struct error *err)
{
	struct core *core = self;
	size_t i = core_find_file(core, file);
	char name[256];
	int fd;

	if (core->sparse)
		return read_recorded(core, file, offset, buf, len, err);
	fd = i < core->n_files ? core_file_fd(core, i) : -1;
	if (fd < 0)
		return no_file(core, file, err);
	if (core_pread(fd, buf, len, offset) == (ssize_t)len)
		return true;
	return error_set(err, ERR_ABSENT, "%s ends before byte 0x%" PRIx64,
			 safe_for_message(name, sizeof(name), file->path), offset + len);
}

static bool core_line(void *self, const char *path, uint32_t line, struct strbuf *out, bool *newer,
		      struct error *err)
{
	struct core *core = self;
	cleanup_strbuf struct strbuf key = STRBUF_INIT;
	const struct core_answer *a;

	source_line_key(&key, path, line);
	a = core_find_answer(core, ITEM_LINE, key.data);
	if (!give(core, a, key.data, out, err))
		return false;
	*newer = a->newer;
	return true;
}

/* Of a full core: 0, unknown. */
static uint64_t core_clock(void *self)
{
	return ((struct core *)self)->clock_ns;
}

/* Of a full core: when the file was written. */
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

/* Of a sparse core they may be but two: what a stop found there is told by notes. */
static bool core_registers(void *self, int32_t tid, struct source_registers *ret)
{
	const struct core *core = self;

	for (size_t i = 0; i < core->n_threads && !core->sparse; i++) {
		const struct core_thread *th = &core->threads[i];

		if (th->tid != tid || core->machine != CORE_HOST_MACHINE)
			continue;
		ret->tid = tid;
		ret->n = th->n_registers;
		memcpy(ret->v, th->registers, sizeof(ret->v));
		return true;
	}
	return false;
}

static void core_close(void *self)
{
	struct core *core = self;

	for (size_t i = 0; i < core->n_files; i++)
		if (core->files[i].fd >= 0)
			close(core->files[i].fd);
	if (core->fd >= 0)
		close(core->fd);
	arena_deinit(&core->arena);
	addrmap_deinit(&core->file_index);
	addrmap_deinit(&core->answer_index);
	free(core->segments);
	free(core->mappings);
	free(core->files);
	free(core->threads);
	free(core->answers);
	free(core->extents);
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
	.registers = core_registers,
	.close = core_close,
	.recorded = true,
};

/* ---- opening ------------------------------------------------------------------------------- */

static bool read_at(const struct core *core, uint64_t offset, void *buf, size_t len)
{
	return offset <= core->size && len <= core->size - offset &&
	       core_pread(core->fd, buf, len, offset) == (ssize_t)len;
}

static bool not_a_core(const struct core *core, const char *why, struct error *err)
{
	error_set(err, ERR_BAD_FILE, "%s is not a core that can be read: %s", core->path, why);
	return error_hint(err,
			  "give a file of stallscope dump --save, of gcore, or a core of a 64-bit "
			  "process");
}

static bool compressed(const struct core *core, const unsigned char *magic, struct error *err)
{
	static const struct {
		unsigned char magic[4];
		const char *tool;
	} kinds[] = {{{0x28, 0xb5, 0x2f, 0xfd}, "zstd"},
		     {{0x04, 0x22, 0x4d, 0x18}, "lz4"},
		     {{0xfd, '7', 'z', 'X'}, "xz"},
		     {{0x1f, 0x8b, 0x08, 0}, "gzip"}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (memcmp(magic, kinds[i].magic, 3) != 0)
			continue;
		error_set(err, ERR_BAD_FILE, "%s is compressed", core->path);
		return error_hint(
			err, "%s -d, or coredumpctl dump --output=FILE PID, gives the core itself",
			kinds[i].tool);
	}
	not_a_core(core, "no ELF header", err);
	return !source_is_text(core->path) ||
	       error_hint(err, "it is text; a recording is for stallscope report, or view");
}

static bool check_header(struct core *core, const Elf64_Ehdr *eh, struct error *err)
{
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return compressed(core, eh->e_ident, err);
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB)
		return not_a_core(core, "not 64-bit little-endian", err);
	if (eh->e_type != ET_CORE)
		return not_a_core(core, "an ELF file, but not a core", err);
	if (eh->e_machine != EM_X86_64 && eh->e_machine != EM_AARCH64)
		return not_a_core(core, "neither of x86-64 nor of aarch64", err);
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return not_a_core(core, "its program headers are damaged", err);
	core->machine = eh->e_machine;
	return true;
}

/* More than e_phnum can count are counted in section header 0. */
static bool count_headers(const struct core *core, const Elf64_Ehdr *eh, uint64_t *n)
{
	Elf64_Shdr sh;

	*n = eh->e_phnum;
	if (eh->e_phnum == PN_XNUM) {
		if (!read_at(core, eh->e_shoff, &sh, sizeof(sh)))
			return false;
		*n = sh.sh_info;
	}
	return *n && *n <= CORE_MAX_SEGMENTS;
}

static bool add_notes(struct core *core, const Elf64_Phdr *ph, struct error *err)
{
	size_t old = core->notes_len;

	if (ph->p_filesz > CORE_MAX_NOTES - old)
		return not_a_core(core, "its notes are too large", err);
	if (ph->p_offset > core->size || ph->p_filesz > core->size - ph->p_offset)
		return not_a_core(core, "it is cut off", err);
	core->notes = mem_realloc(core->notes, old + ph->p_filesz + 1, 1);
	if (!read_at(core, ph->p_offset, core->notes + old, ph->p_filesz))
		return not_a_core(core, "its notes cannot be read", err);
	core->notes_len = old + ph->p_filesz;
	core->notes[core->notes_len] = 0;
	return true;
}

static bool add_segment(struct core *core, const Elf64_Phdr *ph, struct error *err)
{
	uint64_t end, present = ph->p_filesz < ph->p_memsz ? ph->p_filesz : ph->p_memsz;

	if (!ph->p_memsz)
		return true;
	if (__builtin_add_overflow(ph->p_vaddr, ph->p_memsz, &end) ||
	    __builtin_add_overflow(ph->p_offset, present, &end))
		return not_a_core(core, "a segment does not fit into 64 bits", err);
	*array_push(&core->segments, &core->n_segments, &core->segments_cap) =
		(struct core_segment){ph->p_vaddr, ph->p_memsz, ph->p_offset, present, ph->p_flags};
	return true;
}

static bool read_headers(struct core *core, const Elf64_Ehdr *eh, struct error *err)
{
	cleanup_free Elf64_Phdr *headers = NULL;
	uint64_t n;

	if (!count_headers(core, eh, &n))
		return not_a_core(core, "its program headers are damaged", err);
	if (eh->e_phoff > core->size || n * sizeof(*headers) > core->size - eh->e_phoff)
		return not_a_core(core, "it is cut off", err);
	headers = mem_realloc(NULL, n, sizeof(*headers));
	if (!read_at(core, eh->e_phoff, headers, n * sizeof(*headers)))
		return not_a_core(core, "its program headers cannot be read", err);
	for (uint64_t i = 0; i < n; i++) {
		if (headers[i].p_type == PT_NOTE && !add_notes(core, &headers[i], err))
			return false;
		if (headers[i].p_type == PT_LOAD && !add_segment(core, &headers[i], err))
			return false;
	}
	return true;
}

static int by_address(const void *a, const void *b)
{
	const struct core_segment *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static bool sort_segments(struct core *core, struct error *err)
{
	if (core->n_segments)
		qsort(core->segments, core->n_segments, sizeof(*core->segments), by_address);
	for (size_t i = 1; i < core->n_segments; i++)
		if (core->segments[i].address - core->segments[i - 1].address <
		    core->segments[i - 1].memory)
			return not_a_core(core, "its segments overlap", err);
	return true;
}

/* What of a full core is not there cannot be read; a recording that is cut is refused. */
static bool check_length(const struct core *core, struct error *err)
{
	uint64_t end = 0;

	for (size_t i = 0; i < core->n_segments; i++) {
		const struct core_segment *s = &core->segments[i];

		if (s->file && s->offset + s->file > end)
			end = s->offset + s->file;
	}
	if (end <= core->size)
		return true;
	if (core->sparse)
		return not_a_core(core, "it is cut off", err);
	log_warn("%s is cut off: %" PRIu64 " of %" PRIu64 " bytes are there", core->path,
		 core->size, end);
	return true;
}

static bool open_file(struct core *core, const char *path, struct error *err)
{
	struct stat st;
	int sys;

	core->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	sys = errno;
	if (core->fd < 0 && (sys == EACCES || sys == EPERM))
		return error_sys(err, ERR_PERMISSION, sys, "%s", core->path);
	if (core->fd < 0)
		return error_sys(err, ERR_NO_FILE, sys, "%s", core->path);
	if (fstat(core->fd, &st) || !S_ISREG(st.st_mode))
		return not_a_core(core, "not a regular file", err);
	core->size = (uint64_t)st.st_size;
	core->modified = st.st_mtime;
	core->wall_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	return true;
}

static bool open_core(struct core *core, const char *path, struct error *err)
{
	Elf64_Ehdr eh;

	if (!open_file(core, path, err))
		return false;
	if (!read_at(core, 0, &eh, sizeof(eh)))
		return not_a_core(core, core->size ? "it is too short" : "it is empty", err);
	return check_header(core, &eh, err) && read_headers(core, &eh, err) &&
	       sort_segments(core, err) && core_read_notes(core, err) && check_length(core, err);
}

bool source_open_core(const char *path, struct source **ret, struct error *err)
{
	struct core *core = mem_zalloc(1, sizeof(*core));
	struct strbuf name = STRBUF_INIT;

	core->fd = -1;
	utf8_add_safe(&name, path, strlen(path), 200);
	core->path = mem_alloc(name.len + 1);
	memcpy(core->path, name.data, name.len + 1);
	strbuf_deinit(&name);
	if (!open_core(core, path, err)) {
		core_close(core);
		return false;
	}
	*ret = source_new(&core_ops, core, core->pid);
	return true;
}
