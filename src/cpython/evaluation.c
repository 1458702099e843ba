/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluation.c - which frames of Python one run of the evaluation loop has
 *
 * _PyEval_EvalFrameDefault() runs one frame up to 3.10, and from 3.11 on all that are called from
 * Python code without a way through C. From 3.10 on each run has a structure on the stack of C that
 * is linked to Python's frames, so it is known in which C function's frame it lies:
 *
 *	3.10, 3.11	CFrame: tstate->cframe, previous (Python/ceval.c)
 *	3.12+		a frame without code, the entry frame, that ends the frames of the run
 *
 * 3.8 and 3.9 have none.
 */
#include "ops.h"

uint64_t python_top(struct python *py, uint64_t tstate)
{
	return py->ops->top_frame(py, tstate);
}

size_t python_evaluations(struct python *py, uint64_t tstate, const struct py_frame *frames,
			  size_t n, struct py_evaluation *ret)
{
	return py->ops->evaluations(py, tstate, frames, n, ret);
}

size_t evaluations_each(struct python *py, uint64_t tstate, const struct py_frame *frames, size_t n,
			struct py_evaluation *ret)
{
	(void)py;
	(void)tstate;
	(void)frames;
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct py_evaluation){0, 1};
	return n;
}

/* 3.11: up to the frame that the next outer run was in when it called C. */
static uint32_t frames_until(const struct py_frame *frames, size_t n, uint64_t end)
{
	uint32_t i = 0;

	while (i < n && frames[i].address != end)
		i++;
	return i;
}

/*
 * The outermost CFrame is none of a run: it lies in the thread state. In 3.10 it has no pointer to
 * a frame, and each run has one.
 */
size_t evaluations_cframe(struct python *py, uint64_t tstate, const struct py_frame *frames,
			  size_t n, struct py_evaluation *ret)
{
	uint64_t cframe = get_ptr(py, tstate, F_TS_CFRAME), previous;
	size_t used = 0, count = 0;

	while (used < n && count <= n && !py->rd.failed) {
		uint32_t part = 1;

		previous = get_ptr(py, cframe, F_CFRAME_PREVIOUS);
		if (has(py, F_CFRAME_CURRENT))
			part = frames_until(frames + used, n - used,
					    get_u64(py, previous, F_CFRAME_CURRENT));
		ret[count++] = (struct py_evaluation){cframe, part};
		used += part;
		cframe = previous;
	}
	return used == n && !py->rd.failed ? count : 0;
}

static bool is_shim(struct python *py, uint64_t address)
{
	struct py_frame frame;

	return python_frame(py, address, &frame) && frame.code == UINT32_MAX;
}

/* The last run of a stack that was not read to its end has an unknown place. */
size_t evaluations_shim(struct python *py, uint64_t tstate, const struct py_frame *frames, size_t n,
			struct py_evaluation *ret)
{
	uint64_t top = python_top(py, tstate);
	size_t count = 0;
	uint32_t part = 0;

	if (n && top != frames[0].address) {
		if (!is_shim(py, top))
			return 0;
		ret[count++] = (struct py_evaluation){top, 0};
	}
	for (size_t i = 0; i < n && !py->rd.failed; i++) {
		bool last = i + 1 == n, shim;

		part++;
		if (!last && frames[i].back == frames[i + 1].address)
			continue;
		shim = frames[i].back && is_shim(py, frames[i].back);
		if (!shim && !last)
			return 0;
		ret[count++] = (struct py_evaluation){shim ? frames[i].back : 0, part};
		part = 0;
	}
	return py->rd.failed ? 0 : count;
}
