/* SPDX-License-Identifier: Apache-2.0 */
/*
 * floor PID < RANGES - the least that reading these ranges of a process can cost
 *
 * Each line of RANGES is "START END" in hex. They are copied from /proc/PID/mem in pieces of at
 * most 1 MiB, all into one buffer that was faulted in before, and nobody looks at the bytes.
 * Prints the bytes copied, the reads made, those that failed, and the time of the copying in ns.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20) /* bytes */

struct range {
	uint64_t start, end;
};

struct copied {
	uint64_t bytes, reads, failed;
};

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* All ranges of standard input; the caller frees them. */
static struct range *read_ranges(size_t *n)
{
	struct range *ranges = NULL, range;
	size_t size = 0;

	*n = 0;
	while (scanf("%" SCNx64 " %" SCNx64, &range.start, &range.end) == 2) {
		if (*n == size) {
			size = size ? size * 2 : 1024;
			ranges = realloc(ranges, size * sizeof(*ranges));
			if (!ranges)
				abort();
		}
		ranges[(*n)++] = range;
	}
	return ranges;
}

/* What cannot be read is left out by the piece: it may be gone since it was listed. */
static void copy(int mem, struct range range, char *buffer, struct copied *copied)
{
	while (range.start < range.end) {
		uint64_t left = range.end - range.start;
		size_t want = left < PIECE ? (size_t)left : PIECE;
		ssize_t got = pread(mem, buffer, want, (off_t)range.start);

		copied->reads++;
		if (got <= 0) {
			copied->failed++;
			range.start += want;
			continue;
		}
		copied->bytes += (uint64_t)got;
		range.start += (uint64_t)got;
	}
}

int main(int argc, char **argv)
{
	struct copied copied = {0};
	char *buffer = malloc(PIECE);
	struct range *ranges;
	uint64_t begin, end;
	char path[64];
	size_t n;
	int mem;

	if (argc != 2 || !buffer) {
		fprintf(stderr, "usage: floor PID < RANGES\n");
		return 2;
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", atoi(argv[1]));
	mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0) {
		perror(path);
		return 1;
	}
	ranges = read_ranges(&n);
	memset(buffer, 1, PIECE);
	begin = now_ns();
	for (size_t i = 0; i < n; i++)
		copy(mem, ranges[i], buffer, &copied);
	end = now_ns();
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", copied.bytes, copied.reads,
	       copied.failed, end - begin);
	free(ranges);
	free(buffer);
	close(mem);
	return 0;
}
