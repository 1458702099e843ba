/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corefile.h - the sparse core: what source_save() writes and source_open_core() reads
 *
 * A sparse core is an ELF64 core that any tool can read, with only the memory that a look has
 * read, by quarters of pages. It has
 *
 *	PT_NOTE		"CORE": NT_PRPSINFO, NT_PRSTATUS of each thread (all registers of those
 *			that were stopped; of others that wait only stack pointer and program
 *			counter), NT_AUXV, NT_FILE; and the notes below
 *	PT_LOAD		a run of them each. One without bytes in the file is zeros.
 *
 * Everything but memory that the look was told is in notes of our own, whose name is
 * "STALLSCOPE":
 *
 *	CORE_NOTE_META	lines "key value": format, pid, clock and wall (ns)
 *	CORE_NOTE_ITEM	struct core_item, key, NUL, data: an answer of the look
 *	CORE_NOTE_USER	name, NUL, text: what the caller added (source_note())
 *
 * Keys are those of enum item_kind in backend.h. The data of an answer that was an error is
 * the text of the error. Notes of other types are left alone, so that there may be more one day;
 * what an older program would misread takes a new CORE_FORMAT. Values of enum error_code are
 * part of the format.
 */
#ifndef STALLSCOPE_SOURCE_COREFILE_H
#define STALLSCOPE_SOURCE_COREFILE_H

#include <stddef.h>
#include <stdint.h>

#define CORE_NOTE_NAME "STALLSCOPE"
#define CORE_FORMAT    1

enum { CORE_NOTE_META = 1, CORE_NOTE_ITEM = 2, CORE_NOTE_USER = 3 };

struct core_item {
	uint32_t kind; /* enum item_kind */
	uint32_t code; /* enum error_code: ERR_OK, or why there is no answer */
	uint32_t newer;
	uint32_t key_len; /* without the NUL */
};

/*
 * The notes of the kernel, as they are on the 64-bit machines that are read here, whichever of
 * them this was built for: <sys/procfs.h> has those of the host only.
 */
struct core_prstatus {
	int32_t signo, code, error;
	int16_t cursig;
	uint64_t sigpend, sighold;
	int32_t pid, ppid, pgrp, sid;
	int64_t utime[2], stime[2], cutime[2], cstime[2]; /* seconds, microseconds */
	/* uint64_t reg[CORE_REGS_*], then an int32_t that tells of a floating point unit */
};

#define CORE_REGS_X86_64  27u /* struct user_regs_struct */
#define CORE_REGS_AARCH64 34u /* struct user_pt_regs */

enum { X86_R10 = 7, X86_R9 = 8, X86_R8 = 9, X86_RDX = 12, X86_RSI = 13, X86_RDI = 14 };
enum { X86_ORIG_RAX = 15, X86_RIP = 16, X86_RSP = 19 };
enum { ARM_SP = 31, ARM_PC = 32 };

#if defined(__x86_64__)
#define CORE_HOST_MACHINE EM_X86_64
#else
#define CORE_HOST_MACHINE EM_AARCH64
#endif

struct core_prpsinfo {
	char state, sname, zombie, nice;
	uint64_t flags;
	uint32_t uid, gid;
	int32_t pid, ppid, pgrp, sid;
	char fname[16], psargs[80];
};

_Static_assert(sizeof(struct core_prstatus) == 112, "elf_prstatus up to its registers");
_Static_assert(sizeof(struct core_prpsinfo) == 136, "elf_prpsinfo");

#endif
