/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three line tables of CPython, as pure functions over their bytes:
 * 3.8-3.9 co_lnotab (Objects/lnotab_notes.txt), 3.10 co_linetable (same file),
 * 3.11+ location table (Objects/locations.md).
 */
#include "ops.h"

#define NO_COL -1

static const struct py_position unknown = {0, 0, NO_COL, NO_COL};

static struct py_position only_line(int64_t line)
{
	struct py_position pos = unknown;

	if (line > 0 && line <= INT32_MAX)
		pos.line = pos.end_line = (int32_t)line;
	return pos;
}

/* Pairs (u8 bytecode delta, i8 line delta). */
static struct py_position find_lnotab(const uint8_t *t, size_t len, int32_t first, int32_t offset)
{
	int64_t line = first, addr = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		addr += t[i];
		if (addr > offset)
			break;
		line += (int8_t)t[i + 1];
	}
	return only_line(line);
}

/* Pairs (u8 length, i8 line delta); a delta of -128 is a range without a line. */
static struct py_position find_linetable(const uint8_t *t, size_t len, int32_t first,
					 int32_t offset)
{
	int64_t line = first, start = 0;

	for (size_t i = 0; i + 1 < len; i += 2) {
		int8_t delta = (int8_t)t[i + 1];
		int64_t end = start + t[i];

		if (delta != -128)
			line += delta;
		if (offset >= start && offset < end)
			return delta == -128 ? unknown : only_line(line);
		start = end;
	}
	return unknown;
}

struct cursor {
	const uint8_t *p, *end;
};

static uint32_t varint(struct cursor *c)
{
	uint32_t value = 0;

	for (unsigned shift = 0; c->p < c->end; shift += 6) {
		uint8_t byte = *c->p++;

		if (shift < 30)
			value |= (uint32_t)(byte & 63) << shift;
		if (!(byte & 64))
			break;
	}
	return value;
}

static int64_t svarint(struct cursor *c)
{
	uint32_t value = varint(c);

	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

static int32_t column(struct cursor *c)
{
	return c->p < c->end ? *c->p++ : NO_COL;
}

/* One entry behind its first byte; *line runs along. */
static struct py_position location(struct cursor *c, unsigned code, int64_t *line)
{
	struct py_position pos;
	uint32_t end_delta;
	int32_t second;

	switch (code) {
	case 15: /* no location */
		return unknown;
	case 14: /* long form */
		*line += svarint(c);
		end_delta = varint(c);
		pos = only_line(*line);
		if (pos.line && end_delta <= (uint32_t)(INT32_MAX - pos.line))
			pos.end_line = pos.line + (int32_t)end_delta;
		pos.col = (int32_t)varint(c) - 1;
		pos.end_col = (int32_t)varint(c) - 1;
		return pos;
	case 13: /* a line without columns */
		*line += svarint(c);
		return only_line(*line);
	case 10:
	case 11:
	case 12:
		*line += code - 10;
		pos = only_line(*line);
		pos.col = column(c);
		pos.end_col = column(c);
		return pos;
	default: /* short form */
		second = column(c);
		pos = only_line(*line);
		if (second == NO_COL)
			return pos;
		pos.col = (int32_t)(code << 3) | (second >> 4);
		pos.end_col = pos.col + (second & 15);
		return pos;
	}
}

static struct py_position find_location(const uint8_t *t, size_t len, int32_t first, int32_t offset)
{
	struct cursor c = {t, t + len};
	int64_t line = first, start = 0;

	while (c.p < c.end) {
		uint8_t head = *c.p++;
		int64_t end = start + 2 * ((head & 7) + 1);
		struct py_position pos = location(&c, head >> 3 & 15, &line);

		if (offset >= start && offset < end)
			return pos;
		start = end;
	}
	return unknown;
}

struct py_position line_table_find(enum py_line_format format, const uint8_t *table, size_t len,
				   int32_t first_line, int32_t offset)
{
	if (offset < 0)
		return only_line(first_line);
	switch (format) {
	case PY_LINES_LNOTAB:
		return find_lnotab(table, len, first_line, offset);
	case PY_LINES_LINETABLE:
		return find_linetable(table, len, first_line, offset);
	case PY_LINES_LOCATIONS:
		break;
	}
	return find_location(table, len, first_line, offset);
}
