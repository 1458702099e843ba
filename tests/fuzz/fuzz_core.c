/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_core.c - any bytes as a core: opened, asked all there is to ask, and dumped
 *
 * tests/fuzz/seeds makes a corpus of it; fuzz_patched goes deeper into what is recorded.
 */
#include "core_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void interview(struct source *src)
{
	static const char *const paths[] = {"maps",  "stat", "status",	      "cmdline",
					    "@exe",  "auxv", "task/",	      "task/1/stat",
					    "nonex", "comm", "task/1/syscall"};
	struct source_file file = {.start = 0x400000, .path = "/usr/bin/python3.11"};
	struct strbuf line = STRBUF_INIT;
	const struct strbuf *text;
	bool newer;
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		source_proc(src, paths[i], &text, NULL);
	for (unsigned bit = 0; bit < 64; bit++)
		source_read(src, (UINT64_C(1) << bit) - 16, buf, sizeof(buf), NULL);
	source_prefetch(src, (uint64_t[]){0, 4096, 0x400000, 0x401000}, 4, sizeof(buf));
	source_file_read(src, &file, 0, buf, sizeof(buf), NULL);
	source_line(src, "/a.py", 1, &line, &newer, NULL);
	source_note(src, "looks");
	strbuf_deinit(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = core_file(data, size);
	struct source *src;

	if (source_open_core(path, &src, NULL)) {
		interview(src);
		run_core(src, (unsigned)size);
		source_close(src);
	}
	return 0;
}
