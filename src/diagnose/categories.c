/* SPDX-License-Identifier: Apache-2.0 */
/* The categories of the catalogue: cpu.* burns CPU, wait.* lets the loop run, the rest blocks it.
 */
#include <string.h>

#include "stallscope/arena.h"
#include "stallscope/culprits.h"

static const struct culprit_category categories[] = {
	{"cpu.compress", "compresses or unpacks"},
	{"cpu.copy", "copies deep structures of objects"},
	{"cpu.crypto", "hashes, signs or makes keys"},
	{"cpu.gc", "the garbage collector walks the objects"},
	{"cpu.image", "works on images"},
	{"cpu.json", "reads or writes JSON"},
	{"cpu.ml", "runs or trains a model"},
	{"cpu.numeric", "computes on arrays and tables"},
	{"cpu.parse", "parses text or documents"},
	{"cpu.python", "plain Python code that computes"},
	{"cpu.regex", "matches a regular expression"},
	{"cpu.serialise", "turns objects into bytes or back, or validates them"},
	{"cpu.template", "renders a template"},
	{"debugger", "a debugger holds the thread"},
	{"file.lock", "waits for a lock on a file"},
	{"file.read", "waits for a file, pipe or terminal to be opened or read"},
	{"file.walk", "walks through folders"},
	{"file.write", "waits for a file or pipe to take data"},
	{"future.wait", "waits for a future of a thread or process pool"},
	{"import", "imports a module"},
	{"io.broker", "waits for a message broker"},
	{"io.cache", "waits for a cache server"},
	{"io.cloud", "waits for a cloud or platform API"},
	{"io.db", "waits for a database"},
	{"io.dns", "waits for a name to be resolved"},
	{"io.http", "waits for an HTTP or WebSocket peer"},
	{"io.ldap", "waits for an LDAP server"},
	{"io.mail", "waits for a mail or FTP server"},
	{"io.rpc", "waits for a remote call"},
	{"io.socket", "waits on a socket"},
	{"io.ssh", "waits for an SSH peer"},
	{"io.tls", "sets up TLS, or waits for a handshake"},
	{"lock.process", "waits for a lock shared with another process"},
	{"lock.thread", "waits for a lock or event of another thread"},
	{"log.write", "writes a log line that nobody takes"},
	{"loop.nested", "runs a second event loop inside this one"},
	{"pool.wait", "waits for a free connection of a synchronous pool"},
	{"proc.wait", "waits for a child process"},
	{"queue.process", "waits for a queue shared with another process"},
	{"queue.thread", "waits for a queue shared with another thread"},
	{"sleep", "sleeps"},
	{"sleep.retry", "sleeps between attempts"},
	{"wait.cache", "awaits a cache server"},
	{"wait.condition", "awaits a condition to be notified"},
	{"wait.connect", "awaits a connection"},
	{"wait.db", "awaits a database"},
	{"wait.dns", "awaits a name to be resolved"},
	{"wait.event", "awaits an event to be set"},
	{"wait.executor", "awaits a thread of an executor"},
	{"wait.http", "awaits an HTTP response"},
	{"wait.lock", "awaits a lock"},
	{"wait.pool.cache", "awaits a free connection to a cache server"},
	{"wait.pool.db", "awaits a free connection to a database"},
	{"wait.pool.http", "awaits a free connection of an HTTP client"},
	{"wait.queue.get", "awaits an item of a queue"},
	{"wait.queue.join", "awaits a queue to be worked off"},
	{"wait.queue.put", "awaits room in a queue"},
	{"wait.read", "awaits data of a peer"},
	{"wait.semaphore", "awaits a semaphore: a limit is reached"},
	{"wait.sleep", "awaits a timer"},
	{"wait.subprocess", "awaits a child process"},
	{"wait.tasks", "awaits other tasks"},
	{"wait.write", "awaits a peer to take data"},
};

const struct culprit_category *culprits_categories(size_t *n)
{
	*n = ARRAY_SIZE(categories);
	return categories;
}

const struct culprit_category *culprits_category(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(categories); i++)
		if (!strcmp(categories[i].name, name))
			return &categories[i];
	return NULL;
}
