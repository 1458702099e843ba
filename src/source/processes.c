/* SPDX-License-Identifier: Apache-2.0 */
/* processes.c - the processes of this machine, and which of them look like Python */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/source.h"

#define PROCESSES_MAX 65536u
#define MAPS_MAX_READ (4u << 20) /* bytes of the maps of one process */
#define PF_KTHREAD    0x00200000ul

/* The first size - 1 bytes of a file of a process; their number, -1 it cannot be read. */
static ssize_t read_file(int32_t pid, const char *name, char *buf, size_t size)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	buf[n > 0 ? n : 0] = 0;
	return n;
}

/* The name stands in brackets and may hold anything, brackets too. */
static bool parse_stat(char *text, struct source_process *p)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long flags, utime, stime;
	unsigned long long started;
	char state;

	if (!open || !close || close < open)
		return false;
	*close = 0;
	snprintf(p->comm, sizeof(p->comm), "%s", open + 1);
	if (sscanf(close + 1,
		   " %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &state, &p->ppid, &flags, &utime, &stime, &started) != 6)
		return false;
	p->cpu_ticks = utime + stime;
	p->started = started;
	return state != 'Z' && !(flags & PF_KTHREAD);
}

static bool read_process(int32_t pid, struct source_process *p)
{
	char path[32], text[1024];
	struct stat st;
	ssize_t n;

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	if (read_file(pid, "stat", text, sizeof(text)) <= 0 || !parse_stat(text, p))
		return false;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (stat(path, &st))
		return false;
	p->uid = st.st_uid;
	n = read_file(pid, "cmdline", p->command, sizeof(p->command));
	for (ssize_t i = 0; i + 1 < n; i++)
		if (!p->command[i])
			p->command[i] = ' ';
	return true;
}

bool source_processes(struct source_process **ret, size_t *n, struct error *err)
{
	cleanup_dir DIR *dir = opendir("/proc");
	struct source_process *v = NULL;
	size_t count = 0, cap = 0;
	struct dirent *entry;

	if (!dir)
		return error_sys(err, ERR_PERMISSION, errno, "/proc cannot be read");
	while (count < PROCESSES_MAX && (entry = readdir(dir))) {
		long pid = isdigit((unsigned char)entry->d_name[0])
				   ? strtol(entry->d_name, NULL, 10)
				   : 0;

		if (pid <= 0 || pid > INT32_MAX)
			continue;
		if (!read_process((int32_t)pid, array_push(&v, &count, &cap)))
			count--;
	}
	*ret = v;
	*n = count;
	return true;
}

static bool names_python(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return !strncmp(name, "python", 6) || !strncmp(name, "uwsgi", 5);
}

static bool maps_python(int32_t pid)
{
	cleanup_free char *text = mem_alloc(MAPS_MAX_READ);
	cleanup_fd int fd = -1;
	size_t len = 0;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return false;
	while (len < MAPS_MAX_READ - 1 && (n = read(fd, text + len, MAPS_MAX_READ - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return strstr(text, "/libpython3.") != NULL;
}

bool source_may_be_python(const struct source_process *p)
{
	char link[32], path[4096], first[200];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", p->pid);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0) { /* not ours to read: what it calls itself has to do */
		snprintf(first, sizeof(first), "%.*s", (int)strcspn(p->command, " "), p->command);
		return names_python(first) || names_python(p->comm);
	}
	path[n] = 0;
	return names_python(path) || maps_python(p->pid);
}
