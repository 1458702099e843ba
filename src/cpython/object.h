/* SPDX-License-Identifier: Apache-2.0 */
/* object.h - what the files of this layer share about types */
#ifndef STALLSCOPE_CPYTHON_OBJECT_H
#define STALLSCOPE_CPYTHON_OBJECT_H

#include "ops.h"

#define TYPE_SLOTS_MAX 24u

/* A type of the target, remembered for the life of struct python. */
struct py_type_info {
	uint64_t address;
	const char *name;      /* tp_name */
	const char *full_name; /* module.qualname, NULL until asked */
	struct {
		const char *name;
		uint32_t offset;
	} slots[TYPE_SLOTS_MAX]; /* members by __slots__ */
	unsigned n_slots;
	bool slots_known;
	uint8_t task_kind;   /* enum py_task_kind */
	uint8_t future_kind; /* enum py_task_kind */
};

/* NULL when the type cannot be read. The pointer is valid until the next new type is seen. */
struct py_type_info *type_info(struct python *py, uint64_t type);

#endif
