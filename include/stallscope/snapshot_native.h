/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_native.h - part of a snapshot: stacks of C, merged with those of Python
 *
 * Read of threads that were stopped for that, or of all of a core. One run of frames leads from the
 * system call up through C and Python to where the thread began; functions that evaluate Python are
 * replaced by the frames of Python that they run.
 */
#ifndef STALLSCOPE_SNAPSHOT_NATIVE_H
#define STALLSCOPE_SNAPSHOT_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

enum snap_native_mode {
	SNAP_NATIVE_AUTO, /* of loops that are held, where the thread cannot notice a stop */
	SNAP_NATIVE_ALWAYS,
	SNAP_NATIVE_NEVER
};

enum snap_native_state {
	SNAP_NATIVE_NONE,
	SNAP_NATIVE_LEAF,  /* only the functions of C below Python's innermost frame */
	SNAP_NATIVE_MERGED /* all of both */
};

/* A frame of Python, or of C. */
struct snap_native_frame {
	uint32_t frame;	      /* index into the snapshot's frames; SNAP_NONE: of C, and then: */
	uint64_t address;     /* of the instruction */
	const char *function; /* NULL: no symbol has the address */
	uint64_t offset;      /* in the function; without one in the object */
	const char *object;   /* path; NULL: in none */
	const char *file;     /* NULL unknown */
	uint32_t line;	      /* 0 unknown */
	bool inlined;	      /* into the next outer function */
};

/* Of one thread: frames [first, first + n) of the snapshot's natives, innermost first. */
struct snap_native {
	enum snap_native_state state;
	uint32_t first, n;
	uint32_t leaf;	 /* of these the first ones, below Python's innermost frame */
	bool whole;	 /* up to where the thread began */
	bool moved;	 /* Python's frames changed between the look and the stop */
	const char *why; /* not merged, or not whole: why; NULL */
};

/* How native frames were asked for, and what came of it. */
struct snap_natives {
	bool asked;
	enum snap_native_mode mode;
	uint32_t threads; /* that have any */
	bool failed;	  /* the stop of why did */
	const char *why;  /* of a thread that might have had some: why it has none; NULL */
};

#endif
