/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of an object that is called, in the form of the catalogue of blocking calls:
 * "module!qualname" as a profile hook would see it. Only what is written in C has one here.
 */
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "object.h"
#include "stallscope/utf8.h"

#define NAME_BYTES  64u
#define MRO_MAX	    64u
#define METHODS_MAX 1024u
#define NESTED_MAX  4 /* partial of a method of a partial */

enum { METHOD_DEF_SIZE = 32 }; /* PyMethodDef: ml_name is first */

/* A short C string of the target; empty when it is too long, or not there. */
static void read_c_string(struct python *py, uint64_t addr, char out[NAME_BYTES])
{
	for (size_t i = 0; addr && i < NAME_BYTES; i++) {
		out[i] = (char)rd_u8(&py->rd, addr + i);
		if (!out[i])
			return;
	}
	out[0] = '\0';
}

static bool is_plain(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (*name <= ' ' || *name > '~')
			return false;
	return true;
}

static bool type_is(struct python *py, uint64_t type, const char *name)
{
	return type && !py->rd.failed && !strcmp(py_type_name(py, type), name);
}

/*
 * Where there are too many the last one is replaced: it has the method. One that would be cut
 * within its module is none.
 */
static void add_name(struct py_call *ret, const struct strbuf *name)
{
	size_t i = ret->n_names;

	if (strcspn(name->data, "!") + 1 >= sizeof(ret->names[0]))
		return;
	if (i < PY_CALL_NAMES)
		ret->n_names++;
	else
		i = PY_CALL_NAMES - 1;
	utf8_copy(ret->names[i], sizeof(ret->names[i]), name->data);
}

/* "module!qualname" of a type. Static types have the module in tp_name, others say it. */
static bool add_type(struct python *py, uint64_t type, struct strbuf *out)
{
	static const char *const key[] = {"__module__"};
	const char *name = py_type_name(py, type), *dot = strrchr(name, '.');
	uint64_t module = 0, dict = get_u64(py, type, F_TP_DICT);

	if (py->rd.failed)
		return false;
	if (type_has_flag(py, type, TPFLAG_HEAP) && dict &&
	    py_dict_lookup(py, dict, key, 1, &module) && module && py_str(py, module, out, 80)) {
		strbuf_addch(out, '!');
		return py_str(py, get_ptr(py, type, F_HT_QUALNAME), out, 80);
	}
	rd_take(&py->rd);
	strbuf_reset(out);
	if (dot)
		strbuf_add(out, name, (size_t)(dot - name));
	else
		strbuf_addstr(out, "builtins");
	strbuf_addch(out, '!');
	strbuf_addstr(out, dot ? dot + 1 : name);
	return true;
}

static void add_method(struct python *py, uint64_t type, const char *method, struct py_call *ret)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;

	if (!add_type(py, type, &name))
		return;
	strbuf_addch(&name, '.');
	strbuf_addstr(&name, method);
	add_name(ret, &name);
}

/* ---- methods --------------------------------------------------------------------------------- */

enum found { NOT_HERE, UNTOLD, IN_C, IN_PYTHON };

static bool in_methods(struct python *py, uint64_t type, const char *method)
{
	uint64_t defs = get_u64(py, type, F_TP_METHODS);
	char name[NAME_BYTES];

	for (unsigned i = 0; defs && i < METHODS_MAX && !py->rd.failed; i++) {
		uint64_t at = rd_u64(&py->rd, defs + (uint64_t)i * METHOD_DEF_SIZE);

		if (!at)
			return false;
		read_c_string(py, at, name);
		if (!strcmp(name, method))
			return true;
	}
	return false;
}

/* From 3.12 on the dicts of static types are kept elsewhere: their methods are in tp_methods. */
static enum found find_method(struct python *py, uint64_t type, const char *method)
{
	uint64_t dict = get_u64(py, type, F_TP_DICT), value = 0;

	if (!dict)
		return in_methods(py, type, method) ? IN_C : UNTOLD;
	if (!py_dict_lookup(py, dict, &method, 1, &value) || !value)
		return NOT_HERE;
	return type_is(py, py_type(py, value), "function") ? IN_PYTHON : IN_C;
}

/*
 * One name for each class of the MRO up to the one that has the method (owner, if it is known).
 * known: there is such a method, in C. Else false for one in Python, or when there is none.
 */
static bool add_methods(struct python *py, uint64_t type, const char *method, uint64_t owner,
			bool known, struct py_call *ret)
{
	uint64_t n, mro = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);

	for (uint64_t i = 0; i < n && i < MRO_MAX && !py->rd.failed; i++) {
		uint64_t class = rd_ptr(&py->rd, mro + 8 * i);
		enum found found = owner ? NOT_HERE : find_method(py, class, method);

		if (found == IN_PYTHON && !known)
			return false;
		known |= found == UNTOLD;
		add_method(py, class, method, ret);
		if (found == IN_C || class == owner)
			return true;
	}
	/* No class says that it has it: then at most that the object can do it is known. */
	if (ret->n_names > 1)
		ret->n_names = 1;
	return known;
}

void call_name_method(struct python *py, uint64_t object, const char *method, struct py_call *ret)
{
	ret->self = object;
	if (!add_methods(py, py_type(py, object), method, 0, false, ret))
		ret->n_names = 0;
}

static bool has_base(struct python *py, uint64_t type, uint64_t base)
{
	uint64_t n, mro = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);

	for (uint64_t i = 0; i < n && i < MRO_MAX && !py->rd.failed; i++)
		if (rd_u64(&py->rd, mro + 8 * i) == base)
			return true;
	return false;
}

/* ---- functions ------------------------------------------------------------------------------- */

/* sorted, time.sleep: by the module that the function says it is from. */
static void name_function(struct python *py, uint64_t module, const char *function,
			  struct py_call *ret)
{
	static const char *const key[] = {"__name__"};
	cleanup_strbuf struct strbuf name = STRBUF_INIT;
	uint64_t type = module ? py_type(py, module) : 0;

	if (type_is(py, type, "module")) {
		py_dict_lookup(py, get_ptr(py, module, F_MODULE_DICT), key, 1, &module);
		rd_take(&py->rd);
	}
	if (!module || !py_str(py, module, &name, 80))
		return;
	strbuf_addch(&name, '!');
	strbuf_addstr(&name, function);
	add_name(ret, &name);
}

static void name_builtin(struct python *py, uint64_t callable, struct py_call *ret)
{
	uint64_t self = get_u64(py, callable, F_CFUNC_SELF), module, type;
	char name[NAME_BYTES] = "";

	read_c_string(py, rd_ptr(&py->rd, get_ptr(py, callable, F_CFUNC_ML)), name);
	module = get_u64(py, callable, F_CFUNC_MODULE);
	type = self ? py_type(py, self) : 0;
	if (py->rd.failed || !is_plain(name))
		return;
	if (!self || type_is(py, type, "module")) {
		name_function(py, module ? module : self, name, ret);
		return;
	}
	ret->self = self;
	if (type_is(py, type, "PyCapsule") && module) /* pybind11 */
		name_function(py, module, name, ret);
	else if (type_has_flag(py, type, TPFLAG_TYPE))
		add_methods(py, self, name, 0, true, ret);
	else
		add_methods(py, type, name, 0, true, ret);
}

/* A method as its class has it: of the object that it is called with. */
static void name_descriptor(struct python *py, uint64_t callable, uint64_t self, uint64_t first,
			    struct py_call *ret)
{
	cleanup_strbuf struct strbuf name = STRBUF_INIT;
	uint64_t owner = get_ptr(py, callable, F_DESCR_TYPE), type;

	if (!py_str(py, get_ptr(py, callable, F_DESCR_NAME), &name, NAME_BYTES))
		return;
	ret->self = self ? self : first;
	type = ret->self ? py_type(py, ret->self) : 0;
	if (py->rd.failed || !type || !has_base(py, type, owner))
		type = owner;
	rd_take(&py->rd);
	add_methods(py, type, name.data, owner, true, ret);
}

/* Cython's functions begin as builtin ones do; m_self means something else there. */
static void name_cython(struct python *py, uint64_t callable, uint64_t self, struct py_call *ret)
{
	char name[NAME_BYTES] = "";

	read_c_string(py, rd_ptr(&py->rd, get_ptr(py, callable, F_CFUNC_ML)), name);
	if (py->rd.failed || !is_plain(name))
		return;
	ret->self = self;
	if (self)
		add_methods(py, py_type(py, self), name, 0, true, ret);
	else
		name_function(py, get_u64(py, callable, F_CFUNC_MODULE), name, ret);
}

/* A class: itself and its bases, the constructor may be anyone's. */
static void name_class(struct python *py, uint64_t type, struct py_call *ret)
{
	uint64_t n, mro = py_tuple_items(py, get_ptr(py, type, F_TP_MRO), &n);

	for (uint64_t i = 0; i < n && i < PY_CALL_NAMES && !py->rd.failed; i++) {
		cleanup_strbuf struct strbuf name = STRBUF_INIT;

		if (i + 1 == n && i > 0) /* object */
			return;
		if (add_type(py, rd_ptr(&py->rd, mro + 8 * i), &name))
			add_name(ret, &name);
	}
}

static void name_object(struct python *py, uint64_t callable, uint64_t self, uint64_t first,
			struct py_call *ret, int nested)
{
	uint64_t type = py_type(py, callable);
	const char *name = py_type_name(py, type);

	if (py->rd.failed || nested > NESTED_MAX)
		return;
	if (!strcmp(name, "function")) {
		ret->self = self;
	} else if (!strcmp(name, "builtin_function_or_method") || !strcmp(name, "builtin_method")) {
		name_builtin(py, callable, ret);
	} else if (!strcmp(name, "method_descriptor") || !strcmp(name, "wrapper_descriptor") ||
		   !strcmp(name, "classmethod_descriptor")) {
		name_descriptor(py, callable, self, first, ret);
	} else if (!strcmp(name, "method-wrapper")) {
		name_object(py, get_ptr(py, callable, F_WRAPPER_DESCR),
			    get_ptr(py, callable, F_WRAPPER_SELF), 0, ret, nested + 1);
	} else if (!strcmp(name, "method")) {
		name_object(py, get_ptr(py, callable, F_METHOD_FUNC),
			    get_ptr(py, callable, F_METHOD_SELF), 0, ret, nested + 1);
	} else if (!strcmp(name, "functools.partial")) {
		name_object(py, get_ptr(py, callable, F_PARTIAL_FN), 0, 0, ret, nested + 1);
	} else if (strstr(name, "cython_function_or_method")) {
		name_cython(py, callable, self, ret);
	} else if (type_has_flag(py, type, TPFLAG_TYPE)) {
		name_class(py, callable, ret);
	} else {
		call_name_method(py, callable, "__call__", ret);
	}
}

void call_name(struct python *py, uint64_t callable, uint64_t self, uint64_t first,
	       struct py_call *ret)
{
	ret->callable = callable;
	name_object(py, callable, self, first, ret, 0);
	if (rd_take(&py->rd)) {
		ret->callable = ret->self = 0;
		ret->n_names = 0;
	}
}
