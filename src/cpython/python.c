/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object.h"
#include "stallscope/log.h"

#define OLDEST_MINOR 8
#define NEWEST_MINOR 15

struct version {
	int major, minor, micro; /* -1: unknown */
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "libpython3.11.so.1.0", "python3.9", "python2.7": the digits behind "python". */
static struct version version_from_name(const char *path)
{
	struct version v = {-1, -1, -1};
	const char *p = strstr(base_name(path), "python");

	if (!p)
		return v;
	p += strlen("python");
	if (!isdigit((unsigned char)*p))
		return v;
	v.major = *p++ - '0';
	if (*p == '.' && isdigit((unsigned char)p[1]))
		v.minor = (int)strtol(p + 1, NULL, 10);
	return v;
}

static struct version version_from_hex(uint32_t hex)
{
	return (struct version){(int)(hex >> 24), (int)(hex >> 16 & 0xff), (int)(hex >> 8 & 0xff)};
}

/* ---- finding the runtime ---------------------------------------------------------------- */

/* The program itself, and any libpython. */
static bool may_hold_runtime(const struct process *proc, const struct mapping *m)
{
	const char *name = base_name(m->file.path);

	if (m->offset != 0 || !*name)
		return false;
	return (proc->exe_path && !strcmp(m->file.path, proc->exe_path)) ||
	       !strncmp(name, "libpython", strlen("libpython"));
}

static bool runtime_in(struct python *py, const struct mapping *m)
{
	struct elf_module mod;
	uint64_t addr, size;

	if (!elf_module_open(py->rd.src, &py->proc->maps, m, &mod, NULL))
		return false;
	if (!elf_symbol(&mod, "_PyRuntime", &addr, &size, NULL) &&
	    !elf_section(&mod, ".PyRuntime", &addr, &size, NULL))
		return false;
	py->module = mod;
	py->runtime = addr;
	py->runtime_size = size;
	return true;
}

static bool find_runtime(struct python *py, struct error *err)
{
	const struct maps *maps = &py->proc->maps;
	struct version seen = {-1, -1, -1};

	for (size_t i = 0; i < maps->n; i++) {
		if (!may_hold_runtime(py->proc, &maps->v[i]))
			continue;
		if (runtime_in(py, &maps->v[i]))
			return true;
		if (seen.minor < 0)
			seen = version_from_name(maps->v[i].file.path);
	}
	if (seen.minor >= 0) {
		error_set(err, ERR_UNSUPPORTED,
			  "process %d runs Python %d.%d, which has no _PyRuntime", py->proc->pid,
			  seen.major, seen.minor);
		return error_hint(err, "stallscope reads CPython 3.%d to 3.%d", OLDEST_MINOR,
				  NEWEST_MINOR);
	}
	error_set(err, ERR_NOT_PYTHON, "process %d (%s) is not CPython", py->proc->pid,
		  py->proc->executable ? py->proc->executable : "?");
	return error_hint(err, "no _PyRuntime in the program and no libpython mapped; a parent or "
			       "child may be the Python process: see `pgrep -af python`");
}

/* ---- version and layout -------------------------------------------------------------------- */

static struct version find_version(struct python *py)
{
	uint64_t addr, size;
	uint32_t hex;
	bool ft;

	if (elf_symbol(&py->module, "Py_Version", &addr, &size, NULL)) {
		hex = rd_u32(&py->rd, addr);
		if (!rd_take(&py->rd) && hex >> 24 == 3)
			return version_from_hex(hex);
	}
	if (layout_debug_head(&py->rd, py->runtime, &hex, &ft))
		return version_from_hex(hex);
	rd_take(&py->rd);
	return version_from_name(py->module.first->file.path);
}

/* A layout that fits walks from the runtime to a thread and back. */
static bool layout_fits(struct python *py)
{
	uint64_t interp = get_ptr(py, py->runtime, F_RT_INTERP_HEAD);
	uint64_t tstate = get_ptr(py, interp, F_IS_THREADS);
	int64_t id = rd_i64(&py->rd, at(py, interp, F_IS_ID));
	bool fits = get_u64(py, tstate, F_TS_INTERP) == interp && id >= 0 && id < 1 << 20;

	return !rd_take(&py->rd) && fits;
}

static void use_asyncio_debug(struct python *py)
{
	const struct maps *maps = &py->proc->maps;

	for (size_t i = 0; i < maps->n; i++) {
		const struct mapping *m = &maps->v[i];
		struct elf_module mod;
		uint64_t addr, size;

		if (m->offset != 0 ||
		    (m != py->module.first && strncmp(base_name(m->file.path), "_asyncio", 8) != 0))
			continue;
		if (elf_module_open(py->rd.src, maps, m, &mod, NULL) &&
		    elf_section(&mod, ".AsyncioDebug", &addr, &size, NULL) &&
		    layout_from_asyncio_debug(&py->rd, addr, size, &py->layout, NULL))
			return;
		rd_take(&py->rd);
	}
}

static bool use_layout(struct python *py, int minor, struct error *err)
{
	uint32_t hex = 0;
	bool ft = false, cookie;
	struct error why;
	int fd;

	py->ops = cpython_ops_get(minor);
	cookie = layout_debug_head(&py->rd, py->runtime, &hex, &ft);
	rd_take(&py->rd);
	py->free_threaded = cookie && ft;
	if (!layout_from_table(minor, py->free_threaded, py->module.machine, &py->layout, err))
		return false;
	if (cookie && !layout_from_debug_offsets(&py->rd, py->runtime, &py->layout, &why))
		log_debug("debug offsets not used: %s", why.text);
	rd_take(&py->rd);
	if (cookie && has(py, F_TS_TASKS_HEAD))
		use_asyncio_debug(py);
	if (layout_fits(py))
		return true;
	/* Not the build that the table was made from: ask its debug information. */
	fd = source_file_open(py->rd.src, &py->module.first->file, NULL);
	if (fd >= 0) {
		layout_from_dwarf(fd, &py->layout);
		close(fd);
	}
	if (layout_fits(py))
		return true;
	return error_set(err, ERR_UNSUPPORTED,
			 "CPython 3.%d of process %d does not have the layout this build knows",
			 minor, py->proc->pid);
}

/* Without Py_Version (before 3.11) sys.hexversion tells the rest, and corrects a wrong name. */
static struct version sys_version(struct python *py)
{
	static const char *const names[] = {"hexversion"};
	uint64_t interp = get_ptr(py, py->runtime, F_RT_INTERP_HEAD), value = 0;
	int64_t hex;

	if (py_dict_lookup(py, get_ptr(py, interp, F_IS_SYSDICT), names, 1, &value) && value &&
	    py_int(py, value, &hex) && hex > 0 && hex <= UINT32_MAX)
		return version_from_hex((uint32_t)hex);
	rd_take(&py->rd);
	return (struct version){-1, -1, -1};
}

static bool unsupported(const struct python *py, struct version v, struct error *err)
{
	error_set(err, ERR_UNSUPPORTED,
		  "process %d runs CPython %d.%d, which this build cannot read", py->proc->pid,
		  v.major, v.minor);
	return error_hint(err, "stallscope reads CPython 3.%d to 3.%d", OLDEST_MINOR, NEWEST_MINOR);
}

static bool choose_layout(struct python *py, struct error *err)
{
	struct version v = find_version(py), sys;

	if (v.minor >= 0 && !cpython_ops_get(v.minor))
		return unsupported(py, v, err);
	if (v.minor >= 0) {
		if (!use_layout(py, v.minor, err))
			return false;
	} else {
		/* A renamed static interpreter before 3.11: the one whose layout fits. */
		for (int minor = OLDEST_MINOR; cpython_ops_get(minor)->code_in_bytes; minor++) {
			if (!use_layout(py, minor, NULL))
				continue;
			sys = sys_version(py);
			if (sys.minor == minor) {
				v = sys;
				break;
			}
		}
		if (v.minor < 0)
			return error_set(err, ERR_UNSUPPORTED,
					 "cannot tell the version of the Python in process %d",
					 py->proc->pid);
	}
	if (v.micro < 0)
		v.micro = sys_version(py).micro;
	py->minor = v.minor;
	py->micro = v.micro;
	return true;
}

/* ---- types ----------------------------------------------------------------------------------- */

static void find_types(struct python *py)
{
	const struct {
		const char *symbol;
		uint64_t *where;
	} wanted[] = {
		{"PyCode_Type", &py->types.code},
		{"PyCoro_Type", &py->types.coroutine},
		{"PyGen_Type", &py->types.generator},
		{"PyAsyncGen_Type", &py->types.async_generator},
		{"PyUnicode_Type", &py->types.str},
		{"PyFloat_Type", &py->types.float_},
		{"PyDict_Type", &py->types.dict},
		{"PyCell_Type", &py->types.cell},
		{"PyFunction_Type", &py->types.function},
		{"PyMethod_Type", &py->types.method},
		{"_Py_NoneStruct", &py->types.none},
	};
	uint64_t size;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		elf_symbol(&py->module, wanted[i].symbol, wanted[i].where, &size, NULL);
}

static void read_hash_key(struct python *py)
{
	uint64_t addr, size;

	py->hash_state = PY_HASH_UNKNOWN;
	if (!elf_symbol(&py->module, "_Py_HashSecret", &addr, &size, NULL))
		return;
	rd_bytes(&py->rd, addr, py->hash_key, sizeof(py->hash_key));
	if (!rd_take(&py->rd))
		py->hash_state = PY_HASH_UNTRIED;
}

bool python_open(struct source *src, const struct process *proc, struct python **ret,
		 struct error *err)
{
	struct python *py = mem_zalloc(1, sizeof(*py));

	py->rd = READER(src);
	py->proc = proc;
	py->look = 1;
	if (!find_runtime(py, err)) {
		python_close(py);
		return false;
	}
	find_types(py);
	read_hash_key(py);
	if (!choose_layout(py, err)) {
		python_close(py);
		return false;
	}
	if (!py->types.code) {
		python_close(py);
		return error_set(err, ERR_UNSUPPORTED,
				 "the Python in process %d does not export PyCode_Type", proc->pid);
	}
	*ret = py;
	return true;
}

void python_close(struct python *py)
{
	if (!py)
		return;
	arena_deinit(&py->arena);
	addrmap_deinit(&py->code_index);
	addrmap_deinit(&py->local_index);
	addrmap_deinit(&py->type_index);
	free(py->codes);
	free(py->types_seen);
	free(py);
}

void python_new_look(struct python *py, struct source *src)
{
	py->rd = READER(src);
	py->module.src = src;
	py->look++;
}
