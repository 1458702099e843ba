/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_modules.h - what a process is made of: shared libraries, files of its stacks, and what
 * it has imported. Part of a snapshot that it was asked of.
 */
#ifndef STALLSCOPE_SNAPSHOT_MODULES_H
#define STALLSCOPE_SNAPSHOT_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stallscope/source.h"

/* Bounds; totals say how many there are. */
#define SNAP_MAX_LIBRARIES 1000u
#define SNAP_MAX_FILES	   1000u
#define SNAP_MAX_CONTENTS  64u /* files of the user's own whose content is read */
#define SNAP_MAX_IMPORTS   8000u

/* A file with code that is mapped: the program, a shared library, an extension module. */
struct snap_library {
	const char *path;
	const char *build_id; /* hexadecimal, NULL unknown */
	bool deleted;	      /* removed or replaced on disk since it was mapped */
	bool have_stat;	      /* its name still leads to it: stat is known */
	struct source_stat stat;
};

/* A source file that frames of the snapshot are in. */
struct snap_file {
	const char *path;
	bool own;	/* the user's, as of code */
	bool have_stat; /* stat is known: how it is on disk now */
	struct source_stat stat;
};

struct snap_import {
	const char *name;    /* in sys.modules of the main interpreter */
	const char *version; /* __version__ of a module that is in no package, NULL none or unknown
			      */
};

struct snap_modules {
	bool have_libraries, have_files; /* they were asked */
	bool have_imports;		 /* ... and could be read, all of them */
	struct snap_library *libraries;
	struct snap_file *files; /* the user's own first */
	struct snap_import *imports;
	size_t n_libraries, n_files, n_imports;
	size_t libraries_total, files_total, imports_total;
};

#endif
