/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python.h - a CPython interpreter, read from outside
 *
 * python_open() finds the runtime in a process, its version and its layout; the
 * rest walks from there: interpreters, threads, frames, generators, and the few
 * object types that asyncio is made of. 3.8 to 3.15; what differs between them is
 * behind struct cpython_ops (src/cpython/ops.h).
 *
 * Objects are plain addresses (uint64_t, 0 = NULL). Readers of single values work
 * like those of reader.h: they use py->rd, give 0 after a failure, and the caller
 * judges once with rd_error(&py->rd, err) or rd_take(&py->rd). Strings handed out
 * are safe to print (utf8.h).
 */
#ifndef STALLSCOPE_PYTHON_H
#define STALLSCOPE_PYTHON_H

#include "stallscope/addrmap.h"
#include "stallscope/layout.h"
#include "stallscope/reader.h"
#include "stallscope/target.h"

struct cpython_ops;

/* Bounds of what is taken from a target; reaching one is always reported. */
#define PY_MAX_INTERPRETERS 256u
#define PY_MAX_THREADS	    10000u
#define PY_MAX_FRAMES	    4096u
#define PY_MAX_AWAITS	    1000u	/* depth of an await chain */
#define PY_MAX_ENTRIES	    (1u << 22)	/* of a dict or set */
#define PY_MAX_STRING	    65536u	/* code points of a string */
#define PY_MAX_CODE	    (1u << 22)	/* bytes of bytecode or of a line table */
#define PY_MAX_LINES	    (64u << 20) /* bytes of all line tables and names of code */
#define PY_MAX_MEMBERS	    4096u	/* entries of a class's dict looked at for slots */

/* Addresses of static types; 0 when the build does not export it. */
struct py_types {
	uint64_t code, coroutine, generator, async_generator;
	uint64_t str, float_, none, dict;
	uint64_t cell, function, method;
};

/* A code object, remembered for the life of struct python. */
struct py_code {
	uint64_t address;
	const char *name, *qualname; /* qualname = name before 3.11 */
	const char *file;
	int32_t first_line;
	uint32_t flags;	      /* CO_* */
	uint64_t bytecode;    /* address of instruction 0 */
	const uint8_t *lines; /* line table, lines_len bytes */
	uint32_t lines_len;
	uint64_t id[3];	  /* pointers that must stay the same: name, file, line table */
	uint32_t checked; /* look in which id was last compared */
	uint8_t place;	  /* 1 + what is waited for in it (asyncio/wait.c), 0 not yet known */
};

#define PY_CO_COROUTINE		 0x80u
#define PY_CO_GENERATOR		 0x20u
#define PY_CO_ITERABLE_COROUTINE 0x100u
#define PY_CO_ASYNC_GENERATOR	 0x200u

/* Whether names can be found in dicts by their hash. */
enum py_hash_state { PY_HASH_UNTRIED, PY_HASH_KNOWN, PY_HASH_UNKNOWN };

struct python {
	struct reader rd;
	const struct process *proc;
	const struct cpython_ops *ops;
	struct layout layout;
	struct elf_module module; /* the object that holds _PyRuntime */
	uint64_t runtime;	  /* address of _PyRuntime */
	uint64_t runtime_size;	  /* bytes, 0 unknown */
	int minor, micro;	  /* micro -1: unknown */
	bool free_threaded, debug_build;
	struct py_types types;
	uint32_t look; /* number of the present look */

	uint64_t hash_key[2]; /* _Py_HashSecret */
	uint8_t hash_state;   /* enum py_hash_state */

	struct arena arena; /* names, line tables */
	struct py_code *codes;
	size_t n_codes, codes_cap;
	struct addrmap code_index;  /* address -> index into codes */
	struct addrmap local_index; /* code and name of a variable -> 1 + its index */
	struct addrmap type_index;  /* type address -> index into type_names */
	struct py_type_info *types_seen;
	size_t n_types, types_cap;
};

/*
 * Finds CPython in the process: NOT_PYTHON when there is none, UNSUPPORTED with the version
 * when this build cannot read it. src and proc must outlive *ret.
 */
bool python_open(struct source *src, const struct process *proc, struct python **ret,
		 struct error *err);
void python_close(struct python *py);

/* A new look at the same process, perhaps through another source of it (source_again()). */
void python_new_look(struct python *py, struct source *src);

/* ---- threads ------------------------------------------------------------------------- */

struct py_interpreter {
	uint64_t address;
	int64_t id;
	uint64_t modules; /* sys.modules, a dict */
	bool gil_locked;
	uint64_t gil_holder;   /* thread state that has it, or had it last */
	uint64_t gil_switches; /* how often it went from one thread to another */
	bool gc_collecting;    /* the cyclic collector runs; 3.8 has one for all interpreters */
};

struct py_thread {
	uint64_t tstate;
	uint32_t interpreter; /* index */
	uint64_t ident;	      /* threading.get_ident() */
	int32_t tid;	      /* as the target sees it; 0 when unknown */
	bool holds_gil, waits_for_gil;
	uint64_t running_loop; /* 0 when none */
	uint64_t running_task; /* 3.14+, else 0 */
};

/* Interpreters and their threads; arrays are allocated (mem_realloc) and freed by the caller. */
bool python_threads(struct python *py, struct py_interpreter **interps, size_t *n_interps,
		    struct py_thread **threads, size_t *n_threads, struct error *err);

/*
 * What the interpreter of a thread does now: GIL and collector, no lists. A few reads. False when
 * the thread state is none any more.
 */
bool python_interpreter_of(struct python *py, uint64_t tstate, struct py_interpreter *ret);

/* ---- frames and code ---------------------------------------------------------------- */

struct py_frame {
	uint64_t address;
	uint64_t back;	 /* next outer frame */
	uint64_t locals; /* address of localsplus[0] */
	uint32_t code;	 /* index into py->codes, UINT32_MAX for an entry frame without code */
	int32_t instr;	 /* byte offset of the instruction, -1 not started */
};

/*
 * The Python stack of a thread, innermost first, at most max frames into frames[].
 * *truncated when there are more; false when the walk failed (the frames read up to there
 * are in frames[], *n counts them).
 */
bool python_stack(struct python *py, uint64_t tstate, struct py_frame *frames, size_t max,
		  size_t *n, bool *truncated, struct error *err);

/* One run of the evaluation loop, which is a C function, for some frames that follow each other. */
struct py_evaluation {
	uint64_t stack; /* address of a local variable of it, on the stack of C; 0 unknown */
	uint32_t n;	/* of these frames; 0: it has just begun, or ends */
};

/*
 * How the n frames that python_stack() gave are spread over evaluations, innermost first: at most
 * n + 1 of them into ret[]. 0 when they do not fit together: they were read while the stack moved.
 */
size_t python_evaluations(struct python *py, uint64_t tstate, const struct py_frame *frames,
			  size_t n, struct py_evaluation *ret);

/* The address of the innermost frame, with or without code, as it is now; 0 none. */
uint64_t python_top(struct python *py, uint64_t tstate);

/* One frame. False: not a frame. */
bool python_frame(struct python *py, uint64_t address, struct py_frame *ret);

/* The code object at an address as an index into py->codes, UINT32_MAX (and rd failed) if not. */
uint32_t python_code(struct python *py, uint64_t address);

struct py_position {
	int32_t line, end_line; /* 0: unknown */
	int32_t col, end_col;	/* UTF-8 bytes from 0; -1: unknown */
};

/* Where in the source the instruction is. instr -1 gives the first line. */
struct py_position python_position(const struct python *py, uint32_t code, int32_t instr);

/* Value of a local variable (cells looked through), 0 when unbound or absent. */
uint64_t python_local(struct python *py, const struct py_frame *frame, const char *name);

/* Where the frame has that variable: an address, 0 when it has none of that name. */
uint64_t python_local_slot(struct python *py, const struct py_frame *frame, const char *name);

/* The object in a slot: without the tags that versions since 3.14 keep in its low bits. */
uint64_t python_reference(const struct python *py, uint64_t slot);

/*
 * The slots of a frame that does not run (a suspended coroutine's): variables first, *n_locals
 * of them, then the value stack. 0 when they are not known. A slot is an object or 0.
 */
size_t python_slots(struct python *py, const struct py_frame *frame, size_t *n_locals);
uint64_t python_slot(struct python *py, const struct py_frame *frame, size_t i);

/* An object that a frame refers to. */
struct py_slot {
	uint64_t object;
	bool on_stack; /* of the value stack: a call's arguments, what a with statement left there
			*/
};

#define PY_MAX_SLOTS 512u /* of one frame */

/*
 * Local variables (cells looked through) and the value stack of a frame, at most max of them,
 * unbound ones left out. While a frame runs, 3.8 to 3.13 do not say how much of its value stack
 * is in use: slots above may be left from before, and what they refer to may be gone. *exact
 * tells that there are none of those.
 */
size_t python_frame_slots(struct python *py, const struct py_frame *frame, struct py_slot *slots,
			  size_t max, bool *exact);

/* ---- variables as text ---------------------------------------------------------------- */

#define PY_MAX_VARIABLES 256u /* of one frame */
#define PY_VALUE_COLUMNS 200u /* of one value */

struct py_variable {
	uint64_t name, value;  /* a str object; cells are looked through */
	uint64_t slot, inside; /* where it is: in the frame, and of a cell in that, else 0 */
	bool changed;	       /* python_variables_check() */
};

struct py_variables {
	struct py_variable v[PY_MAX_VARIABLES];
	size_t n, left;		 /* these, and how many more there are */
	uint64_t slots, n_slots; /* all of the frame, from where on */
};

/* The variables of a frame that are bound, by name, in the order of its code. */
bool python_variables(struct python *py, const struct py_frame *frame, struct py_variables *ret);

/*
 * Which of n variables of one frame (that has its slots there) have another value by now: what was
 * read of the old one may be of an object that has its memory since then. To be asked when their
 * values have been read.
 */
void python_variables_check(struct python *py, uint64_t slots, uint64_t n_slots,
			    struct py_variable *v, size_t n);

#define PY_VALUE_CHANGED "<changed while it was read>"

/*
 * Appends what an object is, as repr() would: strings, numbers, containers by their length and
 * first items, instances by their attributes, anything else by type and address. At most so many
 * columns (and PY_VALUE_COLUMNS), three levels deep; a ring is said to be one. What fails its
 * checks is PY_VALUE_CHANGED, of a recording that does not have it "<not in the recording>". With
 * types_only the value itself is not read: "<str>".
 */
void py_value(struct python *py, uint64_t object, bool types_only, size_t columns,
	      struct strbuf *out);

/* ---- sockets and locks --------------------------------------------------------------- */

/*
 * Descriptor and timeout (ns, -1 none, 0 non-blocking) of an instance of _socket.socket; false
 * when it is none. It is to be believed when the descriptor is the one of the system call.
 */
bool py_socket(struct python *py, uint64_t object, int32_t *fd, int64_t *timeout_ns);

struct py_lock {
	bool recursive;
	uint64_t futex; /* address that all who wait for it sleep on; 0: each has its own */
	uint64_t owner; /* of an RLock that is held: threading.get_ident() of its thread, or 0 */
};

/* Reads a _thread.lock or _thread.RLock; false when the object is neither. */
bool py_lock_read(struct python *py, uint64_t object, struct py_lock *ret);

/*
 * The lock that a thread waits for that sleeps on this futex word, when each has its own: a waiter
 * is parked with the address of what it waits for beside its futex word. 0 when it is no lock.
 */
uint64_t py_lock_parked_on(struct python *py, uint64_t futex);

/* The object that a bound method, of C or of Python, is bound to; 0 when it is no method. */
uint64_t py_method_self(struct python *py, uint64_t object);

/* ---- calls --------------------------------------------------------------------------- */

#define PY_CALL_TEXT  128u
#define PY_CALL_NAMES 4u

/*
 * What is called at an instruction. The text is by the names in the bytecode, the names are by
 * the object that is called: the catalogue's "module!qualname", for a method one for each class
 * from the most derived to the one that has it (where they are too many, the last of them is).
 * No names: it is written in Python, or could not be told.
 */
struct py_call {
	uint64_t callable, self; /* 0 unknown, none */
	char text[PY_CALL_TEXT]; /* "self._sock.recv_into" */
	char names[PY_CALL_NAMES][PY_CALL_TEXT];
	size_t n_names;
	/*
	 * By an operator, a subscript, an iteration, a with. Code that runs is met at such a
	 * place at any time: it tells something only of one that stays there.
	 */
	bool implied;
};

/* What the instruction at which a frame stands calls; false: no call, or it cannot be told. */
bool python_call(struct python *py, const struct py_frame *frame, struct py_call *ret);

/* ---- generators, coroutines, async generators ---------------------------------------- */

enum py_gen_state { PY_GEN_CREATED, PY_GEN_SUSPENDED, PY_GEN_RUNNING, PY_GEN_DONE };

struct py_gen {
	enum py_gen_state state;
	bool has_frame;
	struct py_frame frame; /* when has_frame */
	uint64_t delegate;     /* what it awaits, 0 when nothing or unknown */
	uint64_t qualname;     /* a str object */
};

/* True when address is a native coroutine, generator or async generator (by type address). */
bool python_is_gen(struct python *py, uint64_t address);
bool python_gen(struct python *py, uint64_t address, struct py_gen *ret);

/* One batch of reads for python_gen() of many, which may be other objects too. Uses objects[] up.
 */
void python_gens_prefetch(struct python *py, uint64_t *objects, size_t n);

/* ---- functions ------------------------------------------------------------------------ */

/* The code of a Python function as an index into py->codes, UINT32_MAX when it is none. */
uint32_t python_function(struct python *py, uint64_t function);

/* What a function captured under this name, 0 when unbound or absent. */
uint64_t python_captured(struct python *py, uint64_t function, const char *name);

/* ---- objects ------------------------------------------------------------------------- */

uint64_t py_type(struct python *py, uint64_t object);	    /* ob_type */
const char *py_type_name(struct python *py, uint64_t type); /* tp_name, remembered */
const char *py_type_full_name(struct python *py,
			      uint64_t type); /* module.qualname if it can be had */
static inline const char *py_object_type_name(struct python *py, uint64_t object)
{
	uint64_t type = py_type(py, object);

	return type ? py_type_name(py, type) : "";
}

/* True when name is the tp_name of the object's type or of one of its bases (tp_mro). */
bool py_is_instance(struct python *py, uint64_t object, const char *name);

/* tp_name of the class that defines an attribute of this object's type; NULL: none that is read. */
const char *py_defining_class(struct python *py, uint64_t object, const char *attr);

/* A task may run its first step where it is made, in the middle of another's (3.12+). */
bool py_tasks_start_eagerly(const struct python *py);

/* What kind of asyncio task an object is, remembered by type. */
enum py_task_kind { PY_TASK_UNKNOWN, PY_TASK_C, PY_TASK_PYTHON, PY_TASK_NOT };
enum py_task_kind py_task_kind(struct python *py, uint64_t object);

/* The same of a future; a task is one. */
enum py_task_kind py_future_kind(struct python *py, uint64_t object);

bool py_is_none(struct python *py, uint64_t object);

/* Appends the text of a str object made safe, at most max code points; false if it is no str. */
bool py_str(struct python *py, uint64_t object, struct strbuf *out, size_t max);

/* True when the str object is exactly the ASCII text. Cheap: compares length first. */
bool py_str_equals(struct python *py, uint64_t object, const char *text);

bool py_int(struct python *py, uint64_t object, int64_t *ret);	 /* an int of up to 62 bits */
bool py_number(struct python *py, uint64_t object, double *ret); /* float or int */
bool py_bool(struct python *py, uint64_t object);

uint64_t py_size(struct python *py, uint64_t object); /* ob_size, checked >= 0 */
uint64_t py_tuple_item(struct python *py, uint64_t tuple, size_t i);

/* Items of a list or tuple: address of the first, and how many (checked against max). */
uint64_t py_list_items(struct python *py, uint64_t list, uint64_t *n);
uint64_t py_tuple_items(struct python *py, uint64_t tuple, uint64_t *n);

/*
 * Iteration over a dict or a set, bounded by steps. A dict gives key and value, a set keys
 * only. False at the end or on failure (then rd.failed).
 */
struct py_iter {
	uint64_t entries, values; /* addresses */
	uint64_t i, n;
	uint32_t stride, key_at, value_at;
	uint64_t index, index_size; /* hash index of a dict: address and slots, 0 none */
	uint32_t index_width;	    /* bytes of a slot */
	bool is_set;
};

bool py_dict_begin(struct python *py, uint64_t dict, struct py_iter *it);
bool py_set_begin(struct python *py, uint64_t set, struct py_iter *it);
bool py_iter_next(struct python *py, struct py_iter *it, uint64_t *key, uint64_t *value);

uint64_t py_dict_len(struct python *py, uint64_t dict);

/*
 * Looks up n names at once, values[i] = 0 where absent: in a dict with str keys, or among
 * the instance attributes of an object (dict, split table or inline values; not slots).
 */
bool py_dict_lookup(struct python *py, uint64_t dict, const char *const names[], size_t n,
		    uint64_t values[]);
bool py_attrs(struct python *py, uint64_t object, const char *const names[], size_t n,
	      uint64_t values[]);

/* Offset of a __slots__ member in instances of a type; 0 when there is none. */
uint32_t py_slot_offset(struct python *py, uint64_t type, const char *name);

#endif
