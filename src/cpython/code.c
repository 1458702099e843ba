/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "ops.h"

#define NAME_MAX_CHARS 512u
#define FILE_MAX_CHARS 4096u

/* Memory of a code object is reused after it is freed: these must stay for it to be the same. */
static void read_identity(struct python *py, uint64_t address, uint64_t id[3])
{
	id[0] = get_ptr(py, address, F_CO_NAME);
	id[1] = get_ptr(py, address, F_CO_FILENAME);
	id[2] = get_ptr(py, address, F_CO_LINETABLE);
}

static const char *string(struct python *py, uint64_t object, size_t max)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	if (!py_str(py, object, &text, max)) {
		rd_corrupt(&py->rd, object, "a name of a code object is not a str");
		return "?";
	}
	return arena_strndup(&py->arena, text.data, text.len);
}

static void read_lines(struct python *py, uint64_t bytes, struct py_code *code)
{
	uint64_t len = py_size(py, bytes);
	uint8_t *table;

	if (len > PY_MAX_CODE || py->arena.used > PY_MAX_LINES) {
		rd_corrupt(&py->rd, bytes, "line table too large");
		return;
	}
	if (py->rd.failed)
		return;
	table = arena_alloc(&py->arena, len + 1);
	rd_bytes(&py->rd, at(py, bytes, F_BYTES_DATA), table, len);
	code->lines = table;
	code->lines_len = (uint32_t)len;
}

/* From 3.11 on the code itself follows the object; before it is a bytes object. */
static uint64_t bytecode_address(struct python *py, uint64_t address)
{
	if (py->ops->code_in_bytes)
		return at(py, get_ptr(py, address, F_CO_CODE), F_BYTES_DATA);
	return at(py, address, F_CO_CODE);
}

static void read_code(struct python *py, uint64_t address, struct py_code *code)
{
	code->address = address;
	code->checked = py->look;
	read_identity(py, address, code->id);
	code->first_line = get_i32(py, address, F_CO_FIRSTLINENO);
	code->flags = rd_u32(&py->rd, at(py, address, F_CO_FLAGS));
	code->bytecode = bytecode_address(py, address);
	if (py->rd.failed)
		return;
	code->name = string(py, code->id[0], NAME_MAX_CHARS);
	code->file = string(py, code->id[1], FILE_MAX_CHARS);
	code->qualname = code->name;
	if (has(py, F_CO_QUALNAME))
		code->qualname = string(py, get_ptr(py, address, F_CO_QUALNAME), NAME_MAX_CHARS);
	read_lines(py, code->id[2], code);
}

static bool still_the_same(struct python *py, struct py_code *code)
{
	uint64_t id[3];

	if (code->checked == py->look)
		return true;
	read_identity(py, code->address, id);
	if (py->rd.failed || memcmp(id, code->id, sizeof(id)) != 0)
		return false;
	code->checked = py->look;
	return true;
}

uint32_t python_code(struct python *py, uint64_t address)
{
	uint32_t index = addrmap_get(&py->code_index, address);
	struct py_code code = {0};

	if (py->rd.failed || !address)
		return UINT32_MAX;
	if (index != ADDRMAP_NONE && still_the_same(py, &py->codes[index]))
		return index;
	if (py->rd.failed)
		return UINT32_MAX;
	if (py_type(py, address) != py->types.code) {
		rd_corrupt(&py->rd, address, "not a code object");
		return UINT32_MAX;
	}
	read_code(py, address, &code);
	if (py->rd.failed)
		return UINT32_MAX;
	index = (uint32_t)py->n_codes;
	*array_push(&py->codes, &py->n_codes, &py->codes_cap) = code;
	addrmap_put(&py->code_index, address, index);
	return index;
}

struct py_position python_position(const struct python *py, uint32_t code, int32_t instr)
{
	const struct py_code *c = &py->codes[code];

	return line_table_find(py->ops->lines, c->lines, c->lines_len, c->first_line, instr);
}
