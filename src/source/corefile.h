/* SPDX-License-Identifier: Apache-2.0 */
/*
 * corefile.h - what a sparse core holds beside memory
 *
 * A sparse core is an ELF core that any tool can read, with PT_LOADs for the pages that a look
 * read and notes of our own for everything else it was told. Their name is "STALLSCOPE":
 *
 *	CORE_NOTE_META	lines "key value": format, pid, clock, wall (ns)
 *	CORE_NOTE_ITEM	struct core_item, key, NUL, data: an answer of the look
 *	CORE_NOTE_USER	name, NUL, text: what the caller added (source_note())
 */
#ifndef STALLSCOPE_SOURCE_COREFILE_H
#define STALLSCOPE_SOURCE_COREFILE_H

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

#endif
