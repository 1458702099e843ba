/* SPDX-License-Identifier: Apache-2.0 */
#include "report_page.h"
#include "svg.h"

/* The policy forbids what the page does not have: scripts, and anything from elsewhere. */
static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	"style-src 'unsafe-inline'\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<title>stallscope report</title>\n<style>\n"
	"body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;"
	"color:#222;background:#fff}\n"
	"h1{font-size:1.4em}h2{font-size:1.1em;margin:1.6em 0 .4em}\n"
	"table{border-collapse:collapse;width:100%;font-size:13px}\n"
	"th,td{text-align:left;padding:.2em .6em;border-bottom:1px solid #ddd;"
	"vertical-align:top;overflow-wrap:anywhere}\n"
	"th.n,td.n{text-align:right;white-space:nowrap}th.s,td.s{white-space:nowrap}\n"
	"svg{width:100%;height:auto;font:11px ui-monospace,monospace}svg text{fill:#222}\n"
	".lane{fill:#eef1f4}.lag{fill:none;stroke:#b3261e}.grid{stroke:#dde1e5}.note{color:#666}\n"
	"@media(prefers-color-scheme:dark){body{color:#ddd;background:#181a1c}"
	"th,td{border-color:#3a3d40}.lane{fill:#25282b}svg>text{fill:#ddd}.lag{stroke:#f2877f}."
	"grid{stroke:#34383c}}\n"
	"</style>\n</head>\n<body>\n";

void report_html(const struct history *h, const struct report_options *o, struct strbuf *out)
{
	struct page p;

	report_page(h, o, &p);
	strbuf_addstr(out, head);
	strbuf_addf(out, "<h1>%s</h1>\n", p.title);
	for (size_t i = 0; i < p.n_lines; i++) {
		strbuf_addstr(out, "<p>");
		html_add(out, p.lines[i]);
		strbuf_addstr(out, "</p>\n");
	}
	svg_timeline(h, out);
	svg_flame(h, out);
	page_html_tables(&p, out);
	strbuf_addstr(out, "</body>\n</html>\n");
	page_deinit(&p);
}
