/* SPDX-License-Identifier: Apache-2.0 */
/* object.h - what the files of this layer share about types */
#ifndef STALLSCOPE_CPYTHON_OBJECT_H
#define STALLSCOPE_CPYTHON_OBJECT_H

#include "ops.h"

#define TYPE_SLOTS_MAX 24u

/* Bits of tp_flags, the same in 3.8 to 3.15 (Include/object.h). */
enum {
	TPFLAG_HEAP = 9,
	TPFLAG_LONG = 24,
	TPFLAG_LIST = 25,
	TPFLAG_TUPLE = 26,
	TPFLAG_BYTES = 27,
	TPFLAG_UNICODE = 28,
	TPFLAG_DICT = 29,
	TPFLAG_TYPE = 31
};

/* A type of the target, remembered as long as its memory is not another's. */
struct py_type_info {
	uint64_t address;
	uint64_t name_at;      /* where tp_name points: must stay the same */
	uint32_t checked;      /* look in which that was last compared */
	const char *name;      /* tp_name */
	const char *full_name; /* module.qualname, NULL until asked */
	struct {
		const char *name;
		uint32_t offset;
		bool object;	 /* it is a reference; others are numbers of C */
	} slots[TYPE_SLOTS_MAX]; /* members by __slots__ */
	unsigned n_slots;
	bool slots_known;
	uint8_t task_kind;   /* enum py_task_kind */
	uint8_t future_kind; /* enum py_task_kind */
	uint8_t value_kind;  /* enum of value.c, 0 not asked yet */
};

/* NULL when the type cannot be read. The pointer is valid until the next new type is seen. */
struct py_type_info *type_info(struct python *py, uint64_t type);

/* The same with its slots. */
struct py_type_info *type_info_slots(struct python *py, uint64_t type);

struct str_shape {
	uint64_t length, data;
	unsigned kind; /* bytes per code point */
};

/* False: no str, or (up to 3.11) one that nobody has looked at yet. */
bool str_shape(struct python *py, uint64_t object, struct str_shape *ret);

/* Digits of 30 bits that an int has; false when it is none. */
bool int_shape(struct python *py, uint64_t object, uint64_t *digits, bool *negative);

/* What is at an address is an object as far as can be told: its type is a type. */
bool is_object(struct python *py, uint64_t object); /* slots.c */

#endif
