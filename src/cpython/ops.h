/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h - where CPython versions differ in more than numbers
 *
 * One row per minor version. A difference that is an offset belongs into the
 * layout; one that is a rule belongs here, as a constant where a constant says
 * it, as a function where an algorithm changed. Nothing else in the program
 * compares versions.
 */
#ifndef STALLSCOPE_CPYTHON_OPS_H
#define STALLSCOPE_CPYTHON_OPS_H

#include "stallscope/python.h"

enum py_line_format { PY_LINES_LNOTAB, PY_LINES_LINETABLE, PY_LINES_LOCATIONS };

/* Where asyncio keeps its tasks. */
enum py_task_source {
	PY_TASKS_ALL,	    /* 3.8-3.11: asyncio.tasks._all_tasks, a WeakSet */
	PY_TASKS_SCHEDULED, /* 3.12-3.13: _scheduled_tasks, a WeakSet, and _eager_tasks, a set */
	PY_TASKS_LISTS,	    /* 3.14+: lists of thread and interpreter, and the WeakSet */
};

/* Where the running loop of a thread is. */
enum py_running_loop {
	PY_RUNNING_HOLDER, /* 3.8-3.11: a holder object in the thread's dict, with the pid */
	PY_RUNNING_DICT,   /* 3.12: the loop itself in the thread's dict */
	PY_RUNNING_FIELD,  /* 3.13+: a field of the thread state */
};

struct cpython_ops {
	int minor;
	enum py_line_format lines;
	enum py_task_source tasks;
	enum py_running_loop running_loop;
	int instr_scale;		  /* 3.8-3.10: bytes per unit of f_lasti */
	bool code_in_bytes;		  /* 3.8-3.10: the bytecode is a bytes object */
	bool gil_in_runtime;		  /* up to 3.11; later each interpreter points to its GIL */
	uint8_t shim_owner;		  /* frames with this owner or a higher one have no code */
	bool int_has_tag;		  /* 3.12+: lv_tag instead of a signed ob_size */
	uint64_t ref_mask;		  /* bits of a stack reference that are the address */
	uint8_t sip_compress, sip_finish; /* rounds of the hash of str */
	uint8_t ft_str_shift; /* free-threaded builds: where the kind is in a str's state */

	/* The innermost frame of a thread. */
	uint64_t (*top_frame)(struct python *py, uint64_t tstate);
	/* How frames are spread over evaluations. */
	size_t (*evaluations)(struct python *py, uint64_t tstate, const struct py_frame *frames,
			      size_t n, struct py_evaluation *ret);
	/* True for the frame of a generator or coroutine. */
	bool (*frame_is_gen)(struct python *py, uint64_t address);
	/* A frame record from its address; code UINT32_MAX for one without code. */
	bool (*frame)(struct python *py, uint64_t address, struct py_frame *ret);
	/* State, frame and delegate of a generator, coroutine or async generator. */
	bool (*gen)(struct python *py, uint64_t address, struct py_gen *ret);
	/* Where names and values of instance attributes are; false when there are none. */
	bool (*attrs)(struct python *py, uint64_t object, uint64_t type, struct py_iter *it);
	/* Where the entries of a dict's keys are. */
	void (*dict_keys)(struct python *py, uint64_t keys, struct py_iter *it);
};

/* The row for 3.minor, or NULL. */
const struct cpython_ops *cpython_ops_get(int minor);

/* The pieces that rows are made of. */
uint64_t frame_top_object(struct python *py, uint64_t tstate); /* frame.c */
uint64_t frame_top_cframe(struct python *py, uint64_t tstate);
uint64_t frame_top_current(struct python *py, uint64_t tstate);
size_t evaluations_each(struct python *py, uint64_t tstate, const struct py_frame *frames, size_t n,
			struct py_evaluation *ret); /* evaluation.c */
size_t evaluations_cframe(struct python *py, uint64_t tstate, const struct py_frame *frames,
			  size_t n, struct py_evaluation *ret);
size_t evaluations_shim(struct python *py, uint64_t tstate, const struct py_frame *frames, size_t n,
			struct py_evaluation *ret);

bool frame_is_gen_object(struct python *py, uint64_t address);
bool frame_is_gen_interpreter(struct python *py, uint64_t address);
bool frame_read_object(struct python *py, uint64_t address, struct py_frame *ret);
bool frame_read_interpreter(struct python *py, uint64_t address, struct py_frame *ret);

/* The bytecode that the instruction pointer of a frame points into. */
uint64_t frame_bytecode(struct python *py, uint64_t frame, const struct py_code *code);

bool gen_read_38(struct python *py, uint64_t address, struct py_gen *ret); /* gen.c */
bool gen_read_310(struct python *py, uint64_t address, struct py_gen *ret);
bool gen_read_311(struct python *py, uint64_t address, struct py_gen *ret);
bool gen_read_312(struct python *py, uint64_t address, struct py_gen *ret);
bool gen_read_313(struct python *py, uint64_t address, struct py_gen *ret);
bool gen_read_314(struct python *py, uint64_t address, struct py_gen *ret);
bool gen_read_315(struct python *py, uint64_t address, struct py_gen *ret);

bool attrs_dictoffset(struct python *py, uint64_t object, uint64_t type, struct py_iter *it);
bool attrs_311(struct python *py, uint64_t object, uint64_t type, struct py_iter *it);
bool attrs_312(struct python *py, uint64_t object, uint64_t type, struct py_iter *it);
bool attrs_inline(struct python *py, uint64_t object, uint64_t type, struct py_iter *it);

void dict_keys_sized(struct python *py, uint64_t keys, struct py_iter *it); /* dict.c */
void dict_keys_log2(struct python *py, uint64_t keys, struct py_iter *it);

/* Shorthands: address of a field of an object, and loads through py->rd. */
static inline uint64_t at(const struct python *py, uint64_t object, enum layout_field f)
{
	return object + py->layout.field[f].offset;
}

static inline bool has(const struct python *py, enum layout_field f)
{
	return layout_has(&py->layout, f);
}

static inline uint64_t get_u64(struct python *py, uint64_t object, enum layout_field f)
{
	return rd_u64(&py->rd, at(py, object, f));
}

static inline uint64_t get_ptr(struct python *py, uint64_t object, enum layout_field f)
{
	return rd_ptr(&py->rd, at(py, object, f));
}

static inline int32_t get_i32(struct python *py, uint64_t object, enum layout_field f)
{
	return rd_i32(&py->rd, at(py, object, f));
}

static inline int8_t get_i8(struct python *py, uint64_t object, enum layout_field f)
{
	return rd_i8(&py->rd, at(py, object, f));
}

static inline uint8_t get_u8(struct python *py, uint64_t object, enum layout_field f)
{
	return rd_u8(&py->rd, at(py, object, f));
}

/* A bit of tp_flags, object.h has their numbers. */
bool type_has_flag(struct python *py, uint64_t type, unsigned bit); /* object.c */

/* Hashes of names: hash.c. sample is a str key whose cached hash tells whether ours is right. */
int64_t siphash(const uint64_t key[2], unsigned compress, unsigned finish, const char *text,
		size_t len);
bool hash_known(struct python *py, uint64_t sample);

/* Index of the entry with this key, -1 when there is none. */
int64_t hash_find(struct python *py, const struct py_iter *it, const char *name);

/* Line tables: line_table.c. offset -1 means "not started". */
struct py_position line_table_find(enum py_line_format format, const uint8_t *table, size_t len,
				   int32_t first_line, int32_t offset);

#endif
