/* SPDX-License-Identifier: Apache-2.0 */
/*
 * save.c - writes what a look was made of as a sparse core (corefile.h)
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "corefile.h"
#include "pages.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#if defined(__x86_64__)
#define HOST_REGS CORE_REGS_X86_64
#define HOST_PC	  X86_RIP
#define HOST_SP	  X86_RSP
#else
#define HOST_REGS CORE_REGS_AARCH64
#define HOST_PC	  ARM_PC
#define HOST_SP	  ARM_SP
#endif

#define QUARTERS_PER_WRITE 256

/* Quarters of pages that follow each other, all of them zeros or none: one PT_LOAD. */
struct run {
	uint64_t address;
	size_t first, n; /* quarters */
	bool zeros;
};

/* ---- notes of the kernel's kinds ----------------------------------------------------------- */

static void align4(struct strbuf *sb)
{
	strbuf_pad(sb, 0, (4 - sb->len % 4) % 4);
}

/* desc is what is added between begin and end, so that nothing large is copied twice. */
static size_t begin_note(struct strbuf *notes, const char *name, uint32_t type)
{
	Elf64_Nhdr head = {.n_namesz = (uint32_t)strlen(name) + 1, .n_type = type};

	strbuf_add(notes, &head, sizeof(head));
	strbuf_add(notes, name, head.n_namesz);
	align4(notes);
	return notes->len;
}

static void end_note(struct strbuf *notes, size_t begin, const char *name)
{
	size_t name_room = (strlen(name) + 1 + 3) & ~(size_t)3;
	uint32_t len = (uint32_t)(notes->len - begin);

	memcpy(notes->data + begin - name_room - sizeof(Elf64_Nhdr) +
		       offsetof(Elf64_Nhdr, n_descsz),
	       &len, sizeof(len));
	align4(notes);
}

static void add_note(struct strbuf *notes, uint32_t type, const void *desc, size_t len)
{
	size_t begin = begin_note(notes, "CORE", type);

	strbuf_add(notes, desc, len);
	end_note(notes, begin, "CORE");
}

/* The text of /proc/PID/path if this look asked for it; else an empty one. */
static const struct strbuf *proc_text(const struct source *src, const char *path)
{
	static const struct strbuf none = STRBUF_INIT;
	const struct item *item = source_item(src, ITEM_PROC, path);

	return item && item->code == ERR_OK ? &item->data : &none;
}

static unsigned status_number(const char *status, const char *format)
{
	const char *p = strstr(status, format);
	unsigned long value = p ? strtoul(p + strlen(format), NULL, 10) : 0;

	return (unsigned)value;
}

static void add_psinfo(const struct source *src, struct strbuf *notes)
{
	const struct strbuf *cmdline = proc_text(src, "cmdline"), *stat = proc_text(src, "stat");
	const char *status = proc_text(src, "status")->data;
	const char *open = strchr(stat->data, '('), *close = strrchr(stat->data, ')');
	struct core_prpsinfo info = {.sname = 'S', .pid = (int32_t)source_pid(src)};
	size_t n = cmdline->len < sizeof(info.psargs) ? cmdline->len : sizeof(info.psargs) - 1;

	for (size_t i = 0; i < n; i++)
		info.psargs[i] = cmdline->data[i] ? cmdline->data[i] : ' ';
	if (open && close && close > open) {
		n = (size_t)(close - open) - 1;
		memcpy(info.fname, open + 1, n < sizeof(info.fname) ? n : sizeof(info.fname) - 1);
		info.sname = close[1] && close[2] ? close[2] : 'S';
	}
	info.uid = status_number(status, "\nUid:");
	info.gid = status_number(status, "\nGid:");
	info.ppid = (int32_t)status_number(status, "\nPPid:");
	add_note(notes, NT_PRPSINFO, &info, sizeof(info));
}

/* The last two words of the syscall text of a thread that waits: stack pointer and pc. */
static void read_registers(const struct strbuf *text, uint64_t *sp, uint64_t *pc)
{
	const char *last = text->len ? strrchr(text->data, ' ') : NULL, *before = last;

	while (before && before > text->data && *--before != ' ')
		;
	if (!last || before == text->data)
		return;
	*sp = strtoull(before + 1, NULL, 16);
	*pc = strtoull(last + 1, NULL, 16);
}

static void add_thread(const struct source *src, int tid, struct strbuf *notes)
{
	struct {
		struct core_prstatus status;
		uint64_t reg[HOST_REGS];
		uint64_t fpvalid;
	} desc = {.status = {.pid = tid}};
	const struct source_registers *stopped = source_stopped(src, tid);
	char key[64];

#if defined(__x86_64__)
	desc.reg[X86_ORIG_RAX] = UINT64_MAX; /* the syscall text itself is recorded */
#endif
	snprintf(key, sizeof(key), "task/%d/syscall", tid);
	read_registers(proc_text(src, key), &desc.reg[HOST_SP], &desc.reg[HOST_PC]);
	if (stopped && stopped->n == HOST_REGS)
		memcpy(desc.reg, stopped->v, sizeof(desc.reg));
	add_note(notes, NT_PRSTATUS, &desc, sizeof(desc));
}

static void add_threads(const struct source *src, struct strbuf *notes)
{
	const struct strbuf *list = proc_text(src, "task/");
	const char *p = list->data;
	char *end;

	if (!list->len)
		add_thread(src, (int)source_pid(src), notes);
	for (long tid; (tid = strtol(p, &end, 10)) > 0 && end > p; p = end)
		add_thread(src, (int)tid, notes);
}

/*
 * Start, end and offset of a line of maps, and its path: where the sixth word begins, or NULL when
 * that is none. Not by sscanf(), which measures all of the text for each line.
 */
static const char *map_line(const char *p, uint64_t row[3])
{
	static const char blank[] = " ", behind[] = " \n";
	char *at;

	row[0] = strtoull(p, &at, 16);
	row[1] = *at == '-' ? strtoull(at + 1, &at, 16) : 0;
	at += strspn(at, blank);
	at += strcspn(at, behind); /* what it may be used for */
	row[2] = strtoull(at, &at, 16);
	for (int words = 0; words < 2; words++) { /* device, inode */
		at += strspn(at, blank);
		at += strcspn(at, behind);
	}
	at += strspn(at, blank);
	return *at == '/' && row[1] ? at : NULL;
}

/* NT_FILE: count, page size, {start, end, offset in pages}, names. */
static void add_files(const struct source *src, struct strbuf *notes)
{
	cleanup_strbuf struct strbuf table = STRBUF_INIT, names = STRBUF_INIT;
	size_t begin = begin_note(notes, "CORE", NT_FILE);
	uint64_t head[2] = {0, SOURCE_PAGE};

	for (const char *p = proc_text(src, "maps")->data; *p;) {
		uint64_t row[3];
		const char *end = strchrnul(p, '\n'), *path = map_line(p, row);

		if (path && path < end) {
			row[2] /= SOURCE_PAGE;
			strbuf_add(&table, row, sizeof(row));
			strbuf_add(&names, path, (size_t)(end - path));
			strbuf_addch(&names, 0);
			head[0]++;
		}
		p = *end ? end + 1 : end;
	}
	strbuf_add(notes, head, sizeof(head));
	strbuf_add(notes, table.data, table.len);
	strbuf_add(notes, names.data, names.len);
	end_note(notes, begin, "CORE");
}

/* ---- our notes ----------------------------------------------------------------------------- */

static void add_item(const struct item *item, struct strbuf *notes)
{
	size_t begin = begin_note(notes, CORE_NOTE_NAME, CORE_NOTE_ITEM);
	struct core_item head = {(uint32_t)item->kind, (uint32_t)item->code, item->newer,
				 (uint32_t)strlen(item->key)};

	strbuf_add(notes, &head, sizeof(head));
	strbuf_add(notes, item->key, (size_t)head.key_len + 1);
	strbuf_add(notes, item->data.data, item->data.len);
	end_note(notes, begin, CORE_NOTE_NAME);
}

static void add_user_note(const struct source_note *note, struct strbuf *notes)
{
	size_t begin = begin_note(notes, CORE_NOTE_NAME, CORE_NOTE_USER);

	strbuf_add(notes, note->name, strlen(note->name) + 1);
	strbuf_add(notes, note->text, note->len);
	end_note(notes, begin, CORE_NOTE_NAME);
}

static void add_meta(const struct source *src, uint64_t clock_ns, uint64_t wall_ns,
		     struct strbuf *notes)
{
	size_t begin = begin_note(notes, CORE_NOTE_NAME, CORE_NOTE_META);

	strbuf_addf(notes, "format %d\npid %d\nclock %" PRIu64 "\nwall %" PRIu64 "\n", CORE_FORMAT,
		    (int)source_pid(src), clock_ns, wall_ns);
	end_note(notes, begin, CORE_NOTE_NAME);
}

/* What other tools want of a core, and what a replay needs to make sense of the clock. */
static void ask_more(struct source *src)
{
	static const char *const paths[] = {"auxv", "timens_offsets"};
	const struct strbuf *text;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		source_proc(src, paths[i], &text, NULL);
}

static void build_notes(struct source *src, uint64_t clock_ns, uint64_t wall_ns,
			const struct source_note *extra, size_t n_extra, struct strbuf *notes)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	const struct strbuf *auxv;
	const struct item **items;
	struct source_note moved;
	size_t n;

	ask_more(src);
	add_psinfo(src, notes);
	add_threads(src, notes);
	auxv = proc_text(src, "auxv");
	if (auxv->len)
		add_note(notes, NT_AUXV, auxv->data, auxv->len);
	add_files(src, notes);
	add_meta(src, clock_ns, wall_ns, notes);
	items = source_items(src, &n);
	for (size_t i = 0; i < n; i++)
		add_item(items[i], notes);
	free(items);
	source_moved(src, &moved, &text);
	add_user_note(&moved, notes);
	for (size_t i = 0; i < n_extra; i++)
		add_user_note(&extra[i], notes);
}

/* ---- segments ------------------------------------------------------------------------------ */

static bool is_zeros(const char *bytes)
{
	return !bytes[0] && !memcmp(bytes, bytes + 1, QUARTER - 1);
}

static struct run *find_runs(const struct quarter *quarters, size_t n, size_t *n_runs)
{
	struct run *runs = NULL, *last = NULL;
	size_t cap = 0;

	*n_runs = 0;
	for (size_t i = 0; i < n; i++) {
		bool zeros = is_zeros(quarters[i].data);

		if (last && last->zeros == zeros &&
		    quarters[i].address == last->address + last->n * QUARTER) {
			last->n++;
			continue;
		}
		last = array_push(&runs, n_runs, &cap);
		*last = (struct run){quarters[i].address, i, 1, zeros};
	}
	return runs;
}

static uint64_t page_end(uint64_t offset)
{
	return (offset + SOURCE_PAGE - 1) / SOURCE_PAGE * SOURCE_PAGE;
}

/* More segments than e_phnum can count: the number is in section header 0. */
static uint64_t add_elf_header(uint64_t phnum, struct strbuf *out)
{
	bool many = phnum >= PN_XNUM;
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_CORE,
			 .e_machine = CORE_HOST_MACHINE,
			 .e_version = EV_CURRENT,
			 .e_phoff = sizeof(eh),
			 .e_ehsize = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = many ? PN_XNUM : (uint16_t)phnum,
			 .e_shentsize = sizeof(Elf64_Shdr)};
	Elf64_Shdr count = {.sh_info = (uint32_t)phnum, .sh_size = 1};

	if (many) {
		eh.e_shoff = sizeof(eh);
		eh.e_shnum = 1;
		eh.e_phoff += sizeof(count);
	}
	strbuf_add(out, &eh, sizeof(eh));
	if (many)
		strbuf_add(out, &count, sizeof(count));
	return eh.e_phoff + phnum * sizeof(Elf64_Phdr);
}

static void build_headers(const struct run *runs, size_t n_runs, size_t notes_len,
			  struct strbuf *out)
{
	uint64_t offset = add_elf_header(n_runs + 1, out);
	Elf64_Phdr note = {
		.p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes_len, .p_align = 4};

	strbuf_add(out, &note, sizeof(note));
	offset = page_end(offset + notes_len);
	for (size_t i = 0; i < n_runs; i++) {
		uint64_t size = runs[i].n * QUARTER;
		Elf64_Phdr load = {.p_type = PT_LOAD,
				   .p_flags = PF_R,
				   .p_offset = offset,
				   .p_vaddr = runs[i].address,
				   .p_filesz = runs[i].zeros ? 0 : size,
				   .p_memsz = size,
				   .p_align = QUARTER};

		strbuf_add(out, &load, sizeof(load));
		offset += load.p_filesz;
	}
}

/* ---- the file ------------------------------------------------------------------------------ */

static bool write_bytes(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = TEMP_FAILURE_RETRY(write(fd, p, len));

		if (n < 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

static bool write_quarters(int fd, const struct quarter *quarters, size_t n)
{
	struct iovec v[QUARTERS_PER_WRITE];

	while (n) {
		size_t part = n < QUARTERS_PER_WRITE ? n : QUARTERS_PER_WRITE, done, begun;
		ssize_t bytes;

		for (size_t i = 0; i < part; i++)
			v[i] = (struct iovec){(void *)(uintptr_t)quarters[i].data, QUARTER};
		bytes = TEMP_FAILURE_RETRY(writev(fd, v, (int)part));
		if (bytes < 0)
			return false;
		done = (size_t)bytes / QUARTER;
		begun = (size_t)bytes % QUARTER;
		if (begun) {
			if (!write_bytes(fd, (const char *)quarters[done].data + begun,
					 QUARTER - begun))
				return false;
			done++;
		}
		quarters += done;
		n -= done;
	}
	return true;
}

/* A file, to be: notes behind the headers, then the runs. */
struct image {
	struct strbuf head, notes;
	struct quarter *quarters;
	struct run *runs;
	size_t n_quarters, n_runs;
};

static bool write_image(int fd, const struct image *im)
{
	static const char zeros[SOURCE_PAGE];
	size_t used = im->head.len + im->notes.len;

	if (!write_bytes(fd, im->head.data, im->head.len) ||
	    !write_bytes(fd, im->notes.data, im->notes.len) ||
	    !write_bytes(fd, zeros, page_end(used) - used))
		return false;
	for (size_t i = 0; i < im->n_runs; i++)
		if (!im->runs[i].zeros &&
		    !write_quarters(fd, im->quarters + im->runs[i].first, im->runs[i].n))
			return false;
	return true;
}

/* Renaming puts the file in the place of whatever is there: not of a device or a link. */
static bool may_replace(const char *path, const char *name, struct error *err)
{
	struct stat st;

	if (lstat(path, &st) || S_ISREG(st.st_mode))
		return true;
	return error_set(err, ERR_CANNOT_CREATE,
			 "cannot create %s: it exists and is not a regular file", name);
}

static bool put_file(const char *path, const struct image *im, struct error *err)
{
	cleanup_strbuf struct strbuf temporary = STRBUF_INIT;
	char name[512];
	int fd, sys = 0;

	safe_for_message(name, sizeof(name), path);
	if (!may_replace(path, name, err))
		return false;
	strbuf_addf(&temporary, "%s.XXXXXX", path);
	fd = mkostemp(temporary.data, O_CLOEXEC | O_NOFOLLOW); /* and O_EXCL, 0600 */
	if (fd < 0)
		return error_sys(err, ERR_CANNOT_CREATE, errno, "cannot create %s", name);
	if (!write_image(fd, im))
		sys = errno;
	if (close(fd) && !sys)
		sys = errno;
	if (!sys && rename(temporary.data, path))
		sys = errno;
	if (!sys)
		return true;
	unlink(temporary.data);
	return error_sys(err, ERR_CANNOT_WRITE, sys, "cannot write %s", name);
}

bool source_save(struct source *src, const char *path, uint64_t clock_ns, uint64_t wall_ns,
		 const struct source_note *notes, size_t n, struct error *err)
{
	struct image im = {.head = STRBUF_INIT, .notes = STRBUF_INIT};
	bool ok;

	build_notes(src, clock_ns, wall_ns, notes, n, &im.notes);
	im.quarters = source_quarters(src, &im.n_quarters);
	im.runs = find_runs(im.quarters, im.n_quarters, &im.n_runs);
	build_headers(im.runs, im.n_runs, im.notes.len, &im.head);
	ok = put_file(path, &im, err);
	free(im.runs);
	free(im.quarters);
	strbuf_deinit(&im.head);
	strbuf_deinit(&im.notes);
	return ok;
}
