/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#define NO_SHIM 0xff
#define ALL_BITS UINT64_MAX
#define UNTAG (~UINT64_C(7)) /* 3.14+: the low bits of a stack reference are tags */

/*
 * To add a version: a row here, a block in layout_<machine>.def, its positions in
 * layout_debug.c, and the end-to-end tests over its interpreter.
 */
static const struct cpython_ops rows[] = {
	{.minor = 8, .lines = PY_LINES_LNOTAB, .tasks = PY_TASKS_ALL,
	 .running_loop = PY_RUNNING_HOLDER, .instr_scale = 1, .code_in_bytes = true, .sip_compress = 2, .sip_finish = 4,
	 .gil_in_runtime = true,
	 .shim_owner = NO_SHIM, .ref_mask = ALL_BITS, .top_frame = frame_top_object,
	 .frame = frame_read_object, .gen = gen_read_38, .attrs = attrs_dictoffset,
	 .dict_keys = dict_keys_sized},
	{.minor = 9, .lines = PY_LINES_LNOTAB, .tasks = PY_TASKS_ALL,
	 .running_loop = PY_RUNNING_HOLDER, .instr_scale = 1, .code_in_bytes = true, .sip_compress = 2, .sip_finish = 4,
	 .gil_in_runtime = true,
	 .shim_owner = NO_SHIM, .ref_mask = ALL_BITS, .top_frame = frame_top_object,
	 .frame = frame_read_object, .gen = gen_read_38, .attrs = attrs_dictoffset,
	 .dict_keys = dict_keys_sized},
	{.minor = 10, .lines = PY_LINES_LINETABLE, .tasks = PY_TASKS_ALL,
	 .running_loop = PY_RUNNING_HOLDER, .instr_scale = 2, .code_in_bytes = true, .sip_compress = 2, .sip_finish = 4,
	 .gil_in_runtime = true,
	 .shim_owner = NO_SHIM, .ref_mask = ALL_BITS, .top_frame = frame_top_object,
	 .frame = frame_read_object, .gen = gen_read_310, .attrs = attrs_dictoffset,
	 .dict_keys = dict_keys_sized},
	{.minor = 11, .lines = PY_LINES_LOCATIONS, .sip_compress = 1, .sip_finish = 3, .tasks = PY_TASKS_ALL,
	 .running_loop = PY_RUNNING_HOLDER, .gil_in_runtime = true, .shim_owner = NO_SHIM,
	 .ref_mask = ALL_BITS, .top_frame = frame_top_cframe, .frame = frame_read_interpreter,
	 .gen = gen_read_311, .attrs = attrs_311, .dict_keys = dict_keys_log2},
	{.minor = 12, .lines = PY_LINES_LOCATIONS, .sip_compress = 1, .sip_finish = 3, .tasks = PY_TASKS_SCHEDULED,
	 .running_loop = PY_RUNNING_DICT, .shim_owner = 3, .int_has_tag = true, .ref_mask = ALL_BITS,
	 .top_frame = frame_top_cframe, .frame = frame_read_interpreter, .gen = gen_read_312,
	 .attrs = attrs_312, .dict_keys = dict_keys_log2},
	{.minor = 13, .lines = PY_LINES_LOCATIONS, .sip_compress = 1, .sip_finish = 3, .tasks = PY_TASKS_SCHEDULED,
	 .running_loop = PY_RUNNING_FIELD, .shim_owner = 3, .int_has_tag = true, .ref_mask = ALL_BITS,
	 .ft_str_shift = 2, .top_frame = frame_top_current, .frame = frame_read_interpreter, .gen = gen_read_313,
	 .attrs = attrs_inline, .dict_keys = dict_keys_log2},
	{.minor = 14, .lines = PY_LINES_LOCATIONS, .sip_compress = 1, .sip_finish = 3, .tasks = PY_TASKS_LISTS,
	 .running_loop = PY_RUNNING_FIELD, .shim_owner = 3, .int_has_tag = true, .ref_mask = UNTAG,
	 .ft_str_shift = 8, .top_frame = frame_top_current, .frame = frame_read_interpreter,
	 .gen = gen_read_314, .attrs = attrs_inline, .dict_keys = dict_keys_log2},
	{.minor = 15, .lines = PY_LINES_LOCATIONS, .sip_compress = 1, .sip_finish = 3, .tasks = PY_TASKS_LISTS,
	 .running_loop = PY_RUNNING_FIELD, .shim_owner = 3, .int_has_tag = true, .ref_mask = UNTAG,
	 .ft_str_shift = 8, .top_frame = frame_top_current, .frame = frame_read_interpreter,
	 .gen = gen_read_315, .attrs = attrs_inline, .dict_keys = dict_keys_log2},
};

const struct cpython_ops *cpython_ops_get(int minor)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].minor == minor)
			return &rows[i];
	return NULL;
}
