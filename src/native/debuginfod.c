/* SPDX-License-Identifier: Apache-2.0 */
/*
 * debuginfod.c - separate debug files from the servers in DEBUGINFOD_URLS
 *
 * Asked for by the user, as it tells a server which programs run here. The library is that of
 * elfutils; it is loaded when it is needed, so that the program runs without it.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "native_private.h"
#include "stallscope/log.h"

#define LIBRARY "libdebuginfod.so.1"

struct client {
	void *library;
	void *(*begin)(void);
	int (*find)(void *client, const unsigned char *id, int len, char **path);
	void (*end)(void *client);
};

static bool load(struct client *c)
{
	c->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!c->library)
		return false;
	/* ISO C has no conversion of void * to a function: POSIX has it in this form */
	*(void **)&c->begin = dlsym(c->library, "debuginfod_begin");
	*(void **)&c->find = dlsym(c->library, "debuginfod_find_debuginfo");
	*(void **)&c->end = dlsym(c->library, "debuginfod_end");
	return c->begin && c->find && c->end;
}

static int fetch(const struct client *c, const void *id, size_t len)
{
	void *handle = c->begin();
	char *path = NULL;
	int fd;

	if (!handle)
		return -1;
	fd = c->find(handle, id, (int)len, &path);
	if (fd < 0)
		log_info("debuginfod: %s", strerror(-fd));
	else
		log_info("debuginfod: %s", path ? path : "found");
	free(path);
	c->end(handle);
	return fd < 0 ? -1 : fd;
}

int native_fetch(const void *id, size_t len)
{
	static struct client client;
	static bool tried;

	if (!tried && !load(&client)) {
		client.find = NULL;
		log_warn("--debuginfod: %s is not here: install libdebuginfod1 (elfutils)",
			 LIBRARY);
	}
	tried = true;
	return client.find ? fetch(&client, id, len) : -1;
}
