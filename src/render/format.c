/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "stallscope/render.h"

void format_duration(char *buf, size_t size, int64_t ns)
{
	double s = (double)ns / 1e9;

	if (s >= 100)
		snprintf(buf, size, "%.0f s", s);
	else if (s >= 0.9995)
		snprintf(buf, size, "%.2f s", s);
	else if (s >= 0.01)
		snprintf(buf, size, "%.0f ms", s * 1e3);
	else
		snprintf(buf, size, "%.1f ms", s * 1e3);
}

void format_age(struct strbuf *out, int64_t ns)
{
	int64_t ms = ns / 1000000, s = ms / 1000;

	if (ms < 1000)
		strbuf_addf(out, "%d ms", (int)ms);
	else if (s < 10)
		strbuf_addf(out, "%d.%d s", (int)s, (int)(ms / 100 % 10));
	else if (s < 120)
		strbuf_addf(out, "%d s", (int)s);
	else if (s < 7200)
		strbuf_addf(out, "%d m", (int)(s / 60));
	else if (s < 172800)
		strbuf_addf(out, "%d h", (int)(s / 3600));
	else
		strbuf_addf(out, "%lld d", (long long)(s / 86400));
}

/* Behind site-packages or lib/pythonX.Y the rest is the module; else the last two parts. */
const char *short_path(const char *path)
{
	static const char *const roots[] = {"/site-packages/", "/dist-packages/"};
	const char *p, *last = NULL, *before = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		p = strstr(path, roots[i]);
		if (p)
			return p + strlen(roots[i]);
	}
	p = strstr(path, "/lib/python3.");
	if (p) {
		p = strchr(p + strlen("/lib/python3."), '/');
		if (p)
			return p + 1;
	}
	for (p = path; *p; p++) {
		if (*p != '/')
			continue;
		before = last;
		last = p;
	}
	return before ? before + 1 : path[0] == '/' && last ? last + 1 : path;
}
