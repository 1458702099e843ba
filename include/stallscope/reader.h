/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - typed reads with one error check per object
 *
 * Reading an object of the target is a run of loads, any of which may fault or
 * give nonsense. A reader remembers the first failure; loads after it give 0
 * without touching the target. So an object is read straight through and judged
 * once at the end:
 *
 *	struct reader rd = READER(src);
 *	uint64_t code = rd_ptr(&rd, frame + off_code);
 *	int32_t line = rd_i32(&rd, code + off_firstlineno);
 *	if (rd.failed)
 *		return rd_error(&rd, err);
 *
 * Little-endian 64-bit targets only, as is the host.
 */
#ifndef STALLSCOPE_READER_H
#define STALLSCOPE_READER_H

#include "stallscope/source.h"

/*
 * A target can be made so that walking it never ends in earnest: rings and tables whose bounds
 * multiply. What an honest one needs grows with its memory, so loads are bounded by the pages
 * that were fetched, as far as a cache can hold them, and by what rd_grant() added for a known
 * number of objects; behind that each load fails until the next READER().
 */
#define READER_LOADS_FREE     (UINT64_C(8) << 20)
#define READER_LOADS_PER_PAGE UINT64_C(2000) /* honest ones need about 100 */

/* A list of what was loaded: pieces of memory in the order of the loads, neighbours joined. */
struct read_trace {
	struct read_range {
		uint64_t addr;
		uint32_t len;
	} * v;
	size_t n, cap;
	size_t fence; /* ranges before this one are left as they are */
	bool full;    /* READ_TRACE_MAX was reached: more was loaded */
};

#define READ_TRACE_MAX (UINT32_C(1) << 24)

/* Where user space ends on aarch64, which has its libraries right below. On x86-64 it is half. */
#define READER_USER_END (UINT64_C(1) << 48)

struct reader {
	struct source *src;
	struct read_trace *trace; /* loads are noted here; NULL: they are not */
	uint64_t loads;		  /* so far */
	uint64_t granted;	  /* in addition to those of pages */
	bool spent;		  /* too many of them */
	bool failed;
	bool corrupt;	  /* a check failed, not a load */
	uint64_t fault;	  /* the first address that failed */
	const char *what; /* of the first failed check, a literal; or NULL */
};

#define READER(source) ((struct reader){.src = (source)})

void rd_bytes(struct reader *rd, uint64_t addr, void *buf, size_t len); /* zeroes on failure */
uint64_t rd_u64(struct reader *rd, uint64_t addr);
int64_t rd_i64(struct reader *rd, uint64_t addr);
uint32_t rd_u32(struct reader *rd, uint64_t addr);
int32_t rd_i32(struct reader *rd, uint64_t addr);
uint16_t rd_u16(struct reader *rd, uint64_t addr);
uint8_t rd_u8(struct reader *rd, uint64_t addr);
int8_t rd_i8(struct reader *rd, uint64_t addr);
double rd_f64(struct reader *rd, uint64_t addr);

/* A pointer that must not be NULL and must lie in user space, else a failed check. */
uint64_t rd_ptr(struct reader *rd, uint64_t addr);

/* Marks a failed check on the object at addr; what is a literal ("not a code object"). */
void rd_corrupt(struct reader *rd, uint64_t addr, const char *what);

/* Counts n loads more, for work that is not one; false when they are spent. */
bool rd_spend(struct reader *rd, uint64_t n);

/* Allows n loads more. */
static inline void rd_grant(struct reader *rd, uint64_t n)
{
	rd->granted += n;
}

/* Of a trace: nothing is noted so far, or nothing any more and its memory is free. */
void read_trace_clear(struct read_trace *trace);
void read_trace_deinit(struct read_trace *trace);

/* Puts the failure into err and returns false; forgets it, so that the reader can be used on. */
bool rd_error(struct reader *rd, struct error *err);

/* Forgets the failure and tells whether there was one. */
static inline bool rd_take(struct reader *rd)
{
	bool failed = rd->failed;

	rd->failed = rd->corrupt = false;
	rd->what = NULL;
	return failed;
}

#endif
