/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/stat.h>

#include "corefile.h"
#include "pages.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"

#if defined(__x86_64__)
#define HOST_MACHINE EM_X86_64
#else
#define HOST_MACHINE EM_AARCH64
#endif

/* A run of quarters that follow each other: one PT_LOAD. */
struct run {
	uint64_t address;
	size_t first, n; /* quarters */
};

/* ---- notes
 * --------------------------------------------------------------------------------------- */

static void align4(struct strbuf *sb)
{
	strbuf_pad(sb, 0, (4 - sb->len % 4) % 4);
}

static void add_note(struct strbuf *notes, const char *name, uint32_t type, const void *data,
		     size_t len)
{
	Elf64_Nhdr head = {(uint32_t)strlen(name) + 1, (uint32_t)len, type};

	strbuf_add(notes, &head, sizeof(head));
	strbuf_add(notes, name, head.n_namesz);
	align4(notes);
	strbuf_add(notes, data, len);
	align4(notes);
}

static const struct item *proc_item(const struct source *src, const char *key)
{
	const struct item *found = NULL;
	size_t n;
	const struct item **items = source_items(src, &n);

	for (size_t i = 0; i < n && !found; i++)
		if (items[i]->kind == ITEM_PROC && !items[i]->failed && !strcmp(items[i]->key, key))
			found = items[i];
	free(items);
	return found;
}

static void add_psinfo(const struct source *src, struct strbuf *notes)
{
	const struct item *cmdline = proc_item(src, "cmdline"), *stat = proc_item(src, "stat");
	struct elf_prpsinfo info = {.pr_sname = 'S', .pr_pid = source_pid(src)};
	const char *open = stat ? strchr(stat->data.data, '(') : NULL;
	size_t n = cmdline ? cmdline->data.len : 0;

	if (n > sizeof(info.pr_psargs) - 1)
		n = sizeof(info.pr_psargs) - 1;
	for (size_t i = 0; i < n; i++)
		info.pr_psargs[i] = cmdline->data.data[i] ? cmdline->data.data[i] : ' ';
	if (open)
		snprintf(info.pr_fname, sizeof(info.pr_fname), "%.15s", open + 1);
	add_note(notes, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

/* Registers are known only of a thread that waits: stack pointer and pc, from its syscall text. */
static void add_thread(const struct source *src, int tid, struct strbuf *notes)
{
	struct elf_prstatus status = {.pr_pid = tid};
	const struct item *item;
	unsigned long long sp = 0, pc = 0;
	const char *words[16];
	size_t n = 0;
	char key[64], text[256], *save = NULL;

	snprintf(key, sizeof(key), "task/%d/syscall", tid);
	item = proc_item(src, key);
	if (item && item->data.len < sizeof(text)) {
		memcpy(text, item->data.data, item->data.len + 1);
		for (char *w = strtok_r(text, " \n", &save); w && n < ARRAY_SIZE(words);
		     w = strtok_r(NULL, " \n", &save))
			words[n++] = w;
		if (n >= 3) {
			sp = strtoull(words[n - 2], NULL, 16);
			pc = strtoull(words[n - 1], NULL, 16);
		}
	}
#if defined(__x86_64__)
	status.pr_reg[16] = pc; /* rip, rsp of struct user_regs_struct */
	status.pr_reg[19] = sp;
#else
	status.pr_reg[31] = sp;
	status.pr_reg[32] = pc;
#endif
	add_note(notes, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static void add_threads(const struct source *src, struct strbuf *notes)
{
	const struct item *list = proc_item(src, "task/");
	int tid, used;

	if (!list) {
		add_thread(src, source_pid(src), notes);
		return;
	}
	for (const char *p = list->data.data; sscanf(p, "%d%n", &tid, &used) == 1; p += used)
		add_thread(src, tid, notes);
}

/* NT_FILE: count, page size, {start, end, offset in pages}, names. */
static void add_files(const struct source *src, struct strbuf *notes)
{
	cleanup_strbuf struct strbuf table = STRBUF_INIT, names = STRBUF_INIT, desc = STRBUF_INIT;
	const struct item *maps = proc_item(src, "maps");
	uint64_t head[2] = {0, SOURCE_PAGE};

	for (const char *p = maps ? maps->data.data : ""; *p;) {
		const char *end = strchrnul(p, '\n'), *path = memchr(p, '/', (size_t)(end - p));
		uint64_t row[3];

		if (path && sscanf(p, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &row[0], &row[1],
				   &row[2]) == 3) {
			row[2] /= SOURCE_PAGE;
			strbuf_add(&table, row, sizeof(row));
			strbuf_add(&names, path, (size_t)(end - path));
			strbuf_addch(&names, 0);
			head[0]++;
		}
		p = *end ? end + 1 : end;
	}
	strbuf_add(&desc, head, sizeof(head));
	strbuf_add(&desc, table.data, table.len);
	strbuf_add(&desc, names.data, names.len);
	add_note(notes, "CORE", NT_FILE, desc.data, desc.len);
}

static void add_items(const struct source *src, struct strbuf *notes)
{
	size_t n;
	const struct item **items = source_items(src, &n);

	for (size_t i = 0; i < n; i++) {
		cleanup_strbuf struct strbuf desc = STRBUF_INIT;
		const struct item *item = items[i];
		struct core_item head = {(uint32_t)item->kind,
					 item->failed ? (uint32_t)item->code : 0, item->newer,
					 (uint32_t)strlen(item->key)};

		strbuf_add(&desc, &head, sizeof(head));
		strbuf_add(&desc, item->key, head.key_len + 1u);
		strbuf_add(&desc, item->data.data, item->data.len);
		add_note(notes, CORE_NOTE_NAME, CORE_NOTE_ITEM, desc.data, desc.len);
	}
	free(items);
}

static void build_notes(const struct source *src, uint64_t clock_ns, uint64_t wall_ns,
			const struct source_note *extra, size_t n, struct strbuf *notes)
{
	cleanup_strbuf struct strbuf meta = STRBUF_INIT;

	add_psinfo(src, notes);
	add_threads(src, notes);
	add_files(src, notes);
	strbuf_addf(&meta, "format %d\npid %d\nclock %" PRIu64 "\nwall %" PRIu64 "\n", CORE_FORMAT,
		    source_pid(src), clock_ns, wall_ns);
	add_note(notes, CORE_NOTE_NAME, CORE_NOTE_META, meta.data, meta.len);
	add_items(src, notes);
	for (size_t i = 0; i < n; i++) {
		cleanup_strbuf struct strbuf desc = STRBUF_INIT;

		strbuf_add(&desc, extra[i].name, strlen(extra[i].name) + 1);
		strbuf_add(&desc, extra[i].text, extra[i].len);
		add_note(notes, CORE_NOTE_NAME, CORE_NOTE_USER, desc.data, desc.len);
	}
}

/* ---- segments
 * ---------------------------------------------------------------------------------------- */

static struct run *find_runs(const struct quarter *pages, size_t n, size_t *n_runs)
{
	struct run *runs = NULL;
	size_t cap = 0;

	*n_runs = 0;
	for (size_t i = 0; i < n; i++) {
		struct run *last = *n_runs ? &runs[*n_runs - 1] : NULL;

		if (last && pages[i].address == last->address + last->n * QUARTER) {
			last->n++;
			continue;
		}
		*array_push(&runs, n_runs, &cap) = (struct run){pages[i].address, i, 1};
	}
	return runs;
}

/* More segments than e_phnum can count: the number is in section header 0 (PN_XNUM). */
static void build_headers(const struct run *runs, size_t n_runs, size_t notes_len,
			  struct strbuf *out)
{
	uint64_t phnum = n_runs + 1, offset;
	Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_CORE,
			 .e_machine = HOST_MACHINE,
			 .e_version = EV_CURRENT,
			 .e_ehsize = sizeof(eh),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_shentsize = sizeof(Elf64_Shdr)};
	Elf64_Shdr many = {.sh_info = (uint32_t)phnum, .sh_size = 1};
	bool extended = phnum >= PN_XNUM;

	eh.e_phoff = sizeof(eh) + (extended ? sizeof(many) : 0);
	eh.e_phnum = extended ? PN_XNUM : (uint16_t)phnum;
	eh.e_shoff = extended ? sizeof(eh) : 0;
	eh.e_shnum = extended;
	strbuf_add(out, &eh, sizeof(eh));
	if (extended)
		strbuf_add(out, &many, sizeof(many));
	offset = eh.e_phoff + phnum * sizeof(Elf64_Phdr);
	strbuf_add(
		out,
		&(Elf64_Phdr){
			.p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes_len, .p_align = 4},
		sizeof(Elf64_Phdr));
	offset = (offset + notes_len + SOURCE_PAGE - 1) / SOURCE_PAGE * SOURCE_PAGE;
	for (size_t i = 0; i < n_runs; i++) {
		Elf64_Phdr ph = {.p_type = PT_LOAD,
				 .p_flags = PF_R,
				 .p_offset = offset,
				 .p_vaddr = runs[i].address,
				 .p_filesz = runs[i].n * QUARTER,
				 .p_memsz = runs[i].n * QUARTER,
				 .p_align = QUARTER};

		strbuf_add(out, &ph, sizeof(ph));
		offset += ph.p_filesz;
	}
}

static bool write_all(FILE *f, const struct strbuf *head, const struct strbuf *notes,
		      const struct quarter *pages, size_t n)
{
	static const char zeros[SOURCE_PAGE];
	size_t used = head->len + notes->len;
	bool ok = fwrite(head->data, 1, head->len, f) == head->len &&
		  fwrite(notes->data, 1, notes->len, f) == notes->len;
	size_t pad = (SOURCE_PAGE - used % SOURCE_PAGE) % SOURCE_PAGE;

	ok = ok && fwrite(zeros, 1, pad, f) == pad;
	for (size_t i = 0; i < n && ok; i++)
		ok = fwrite(pages[i].data, 1, QUARTER, f) == QUARTER;
	return ok;
}

/* ---- the file
 * ------------------------------------------------------------------------------------------ */

static bool put_file(const char *path, const struct strbuf *head, const struct strbuf *notes,
		     const struct quarter *pages, size_t n, struct error *err)
{
	cleanup_strbuf struct strbuf temporary = STRBUF_INIT;
	FILE *f;
	bool ok;
	int fd, sys;

	strbuf_addf(&temporary, "%s.XXXXXX", path);
	fd = mkostemp(temporary.data, O_CLOEXEC); /* O_EXCL, 0600 */
	if (fd < 0)
		return error_sys(err, ERR_CANNOT_CREATE, errno, "cannot create %s", path);
	f = fdopen(fd, "w");
	ok = write_all(f, head, notes, pages, n);
	ok = !fclose(f) && ok;
	ok = ok && !rename(temporary.data, path);
	sys = errno;
	if (ok)
		return true;
	unlink(temporary.data);
	return error_sys(err, ERR_CANNOT_WRITE, sys, "cannot write %s", path);
}

bool source_save(struct source *src, const char *path, uint64_t clock_ns, uint64_t wall_ns,
		 const struct source_note *notes, size_t n, struct error *err)
{
	cleanup_strbuf struct strbuf note_text = STRBUF_INIT, head = STRBUF_INIT;
	struct quarter *pages;
	struct run *runs;
	size_t n_pages, n_runs;
	bool ok;

	build_notes(src, clock_ns, wall_ns, notes, n, &note_text);
	pages = source_quarters(src, &n_pages);
	runs = find_runs(pages, n_pages, &n_runs);
	build_headers(runs, n_runs, note_text.len, &head);
	ok = put_file(path, &head, &note_text, pages, n_pages, err);
	free(runs);
	free(pages);
	return ok;
}
