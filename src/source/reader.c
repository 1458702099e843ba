/* SPDX-License-Identifier: Apache-2.0 */
#include "stallscope/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stallscope/arena.h"

static void set_fault(struct reader *rd, uint64_t addr)
{
	rd->failed = true;
	rd->corrupt = false;
	rd->what = NULL;
	rd->fault = addr;
}

static uint64_t allowed(const struct reader *rd)
{
	static const uint64_t most = SOURCE_MAX_CACHE / SOURCE_PAGE;
	struct source_stats stats = source_get_stats(rd->src);
	uint64_t pages = stats.pages + stats.trimmed;

	return READER_LOADS_FREE + rd->granted +
	       READER_LOADS_PER_PAGE * (pages < most ? pages : most);
}

#define SELDOM 0x10000u /* how many are allowed is asked once in so many loads */

static __attribute__((noinline)) void ask(struct reader *rd)
{
	rd->spent = rd->loads > allowed(rd);
}

bool rd_spend(struct reader *rd, uint64_t n)
{
	uint64_t before = rd->loads;

	rd->loads += n;
	if (before / SELDOM != rd->loads / SELDOM)
		ask(rd);
	return !rd->spent;
}

/* The same for one load, of which there are a hundred for each task. */
static inline bool spend_one(struct reader *rd)
{
	if (!(++rd->loads % SELDOM))
		ask(rd);
	return !rd->spent;
}

/*
 * Fields of one object are loaded one after another, and some of them twice: it is enough to look
 * back a little.
 */
static bool join_range(struct read_trace *trace, uint64_t addr, uint64_t end)
{
	static const size_t back = 6;

	for (size_t i = trace->n; i-- > trace->fence && trace->n - i <= back;) {
		struct read_range *r = &trace->v[i];
		uint64_t begin = addr < r->addr ? addr : r->addr;
		uint64_t last = end > r->addr + r->len ? end : r->addr + r->len;

		if (addr > r->addr + r->len || end < r->addr || last - begin > SOURCE_PAGE)
			continue;
		*r = (struct read_range){begin, (uint32_t)(last - begin)};
		return true;
	}
	return false;
}

static void trace_load(struct read_trace *trace, uint64_t addr, size_t len)
{
	uint64_t end;

	if (!len || len > SOURCE_MAX_READ || __builtin_add_overflow(addr, len, &end) ||
	    join_range(trace, addr, end))
		return;
	if (trace->n == READ_TRACE_MAX)
		trace->full = true;
	else
		*array_push(&trace->v, &trace->n, &trace->cap) =
			(struct read_range){addr, (uint32_t)len};
}

void read_trace_clear(struct read_trace *trace)
{
	trace->n = trace->fence = 0;
	trace->full = false;
}

void read_trace_deinit(struct read_trace *trace)
{
	free(trace->v);
	*trace = (struct read_trace){0};
}

void rd_bytes(struct reader *rd, uint64_t addr, void *buf, size_t len)
{
	struct error err;

	if (!rd_spend(rd, 1))
		rd_corrupt(rd, addr, "more links than an honest process has, seen last");
	if (!rd->failed) {
		if (source_read(rd->src, addr, buf, len, &err)) {
			if (rd->trace)
				trace_load(rd->trace, addr, len);
			return;
		}
		set_fault(rd, err.address);
	}
	memset(buf, 0, len);
}

#define DEFINE_LOAD(name, type)                                         \
	type name(struct reader *rd, uint64_t addr)                     \
	{                                                               \
		const void *at = NULL;                                  \
		type value;                                             \
                                                                        \
		if (!rd->failed && !rd->trace && spend_one(rd))         \
			at = source_peek(rd->src, addr, sizeof(value)); \
		if (at)                                                 \
			memcpy(&value, at, sizeof(value));              \
		else                                                    \
			rd_bytes(rd, addr, &value, sizeof(value));      \
		return value;                                           \
	}

DEFINE_LOAD(rd_u64, uint64_t)
DEFINE_LOAD(rd_i64, int64_t)
DEFINE_LOAD(rd_u32, uint32_t)
DEFINE_LOAD(rd_i32, int32_t)
DEFINE_LOAD(rd_u16, uint16_t)
DEFINE_LOAD(rd_u8, uint8_t)
DEFINE_LOAD(rd_i8, int8_t)
DEFINE_LOAD(rd_f64, double)

uint64_t rd_ptr(struct reader *rd, uint64_t addr)
{
	uint64_t value = rd_u64(rd, addr);

	if (rd->failed)
		return 0;
	if (!value || value >= READER_USER_END) {
		rd_corrupt(rd, addr, value ? "not a pointer" : "a NULL pointer");
		return 0;
	}
	return value;
}

void rd_corrupt(struct reader *rd, uint64_t addr, const char *what)
{
	if (rd->failed)
		return;
	rd->failed = rd->corrupt = true;
	rd->fault = addr;
	rd->what = what;
}

/* Why a load failed is in the cache of the source: asked again it says so in full. */
static void tell_fault(struct reader *rd, struct error *err)
{
	char byte;

	if (err && source_read(rd->src, rd->fault, &byte, sizeof(byte), err))
		error_fault(err, rd->fault, EFAULT);
}

bool rd_error(struct reader *rd, struct error *err)
{
	if (rd->corrupt) {
		error_set(err, ERR_CORRUPT, "%s at 0x%llx of the target", rd->what,
			  (unsigned long long)rd->fault);
		if (err)
			err->address = rd->fault;
	} else {
		tell_fault(rd, err);
	}
	rd_take(rd);
	return false;
}
