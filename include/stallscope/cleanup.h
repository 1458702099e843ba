/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cleanup.h - locals that release themselves
 *
 *	cleanup_fd int fd = open(...);		closed when the scope ends
 *	cleanup_free char *p = ...;		freed
 *	cleanup_strbuf struct strbuf s = STRBUF_INIT;
 *	return take_fd(&fd);			hands it to the caller instead
 */
#ifndef STALLSCOPE_CLEANUP_H
#define STALLSCOPE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_file_p(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void cleanup_dir_p(DIR **d)
{
	if (*d)
		closedir(*d);
}

static inline int take_fd(int *fd)
{
	int value = *fd;

	*fd = -1;
	return value;
}

static inline void *take_ptr_p(void *pp)
{
	void *value = *(void **)pp;

	*(void **)pp = NULL;
	return value;
}

#define cleanup_free __attribute__((cleanup(cleanup_free_p)))
#define cleanup_fd   __attribute__((cleanup(cleanup_fd_p)))
#define cleanup_file __attribute__((cleanup(cleanup_file_p)))
#define cleanup_dir  __attribute__((cleanup(cleanup_dir_p)))
#define take_ptr(pp) ((__typeof__(*(pp)))take_ptr_p(pp))

#endif
