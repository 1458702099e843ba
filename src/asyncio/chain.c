/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "stallscope/asyncio.h"

#define AT(object, f) ((object) + py->layout.field[F_##f].offset)

/* ---- coroutines compiled by Cython --------------------------------------------------------------
 */

/*
 * __pyx_CoroutineObject: yieldfrom and names by release. After name come qualname, the module's
 * name and a code object, which is NULL in some modules.
 */
static const struct {
	const char *prefix; /* of the type's name */
	uint32_t yieldfrom, name;
} cython_layouts[] = {
	{"_cython_3_0", 64, 72},
	{"_cython_", 64, 80}, /* 3.1 and later */
	{"", 72, 80},	      /* 0.29: the bare name "coroutine" */
};

static bool cython_link(struct python *py, uint64_t object, const char *type, struct aio_link *link,
			uint64_t *next)
{
	for (size_t i = 0; i < ARRAY_SIZE(cython_layouts); i++) {
		uint64_t name, qualname;

		if (strncmp(type, cython_layouts[i].prefix, strlen(cython_layouts[i].prefix)) != 0)
			continue;
		name = rd_u64(&py->rd, object + cython_layouts[i].name);
		qualname = rd_u64(&py->rd, object + cython_layouts[i].name + 8);
		if (py->rd.failed || !name || !qualname ||
		    strcmp(py_object_type_name(py, qualname), "str") != 0)
			break;
		link->kind = AIO_LINK_CYTHON;
		link->qualname = qualname;
		link->cython_code = rd_u64(&py->rd, object + cython_layouts[i].name + 24);
		if (link->cython_code && py_type(py, link->cython_code) != py->types.code)
			link->cython_code = 0;
		rd_take(&py->rd);
		*next = rd_u64(&py->rd, object + cython_layouts[i].yieldfrom);
		return !py->rd.failed;
	}
	rd_take(&py->rd);
	return false;
}

/* ---- links
 * ----------------------------------------------------------------------------------------- */

/* Objects that only stand between a coroutine and what it awaits: looked through. */
static bool look_through(struct python *py, uint64_t object, const char *type, uint64_t *next)
{
	if (str_ends_with(type, "coroutine_wrapper") || str_ends_with(type, "CoroutineAwait"))
		*next = rd_u64(&py->rd, AT(object, CWRAP_CORO));
	else if (!strcmp(type, "async_generator_asend"))
		*next = rd_u64(&py->rd, AT(object, ASEND_GEN));
	else if (!strcmp(type, "async_generator_athrow"))
		*next = rd_u64(&py->rd, AT(object, ATHROW_GEN));
	else if (!strcmp(type, "anext_awaitable")) /* 3.10+: of anext() with a default, wrapped */
		*next = rd_u64(&py->rd, AT(object, CWRAP_CORO)); /* the first field, too */
	else
		return false;
	return !py->rd.failed;
}

static void gen_link(struct python *py, uint64_t object, struct aio_link *link, uint64_t *next)
{
	struct py_gen gen;

	*next = 0;
	if (!python_gen(py, object, &gen)) {
		link->kind = AIO_LINK_OPAQUE;
		return;
	}
	link->kind = gen.has_frame ? AIO_LINK_FRAME : AIO_LINK_OPAQUE;
	link->frame = gen.frame;
	link->qualname = gen.qualname;
	link->running = gen.state == PY_GEN_RUNNING;
	*next = gen.delegate;
}

bool aio_link_read(struct python *py, uint64_t object, struct aio_link *link, uint64_t *next)
{
	const char *type = py_object_type_name(py, object);

	memset(link, 0, sizeof(*link));
	link->address = object;
	*next = 0;
	if (py->rd.failed)
		return false;
	if (python_is_gen(py, object)) {
		gen_link(py, object, link, next);
	} else if (str_ends_with(type, "FutureIter")) {
		link->kind = AIO_LINK_FUTURE;
		link->address = rd_u64(&py->rd, AT(object, FUTUREITER_FUTURE));
	} else if (look_through(py, object, type, next)) {
		return false;
	} else if ((str_ends_with(type, "coroutine") || str_ends_with(type, "generator")) &&
		   cython_link(py, object, type, link, next)) {
		return true;
	} else {
		link->kind = AIO_LINK_OPAQUE;
	}
	return !py->rd.failed;
}
