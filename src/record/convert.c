/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: stacks with weights. */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "convert.h"
#include "profile.h"
#include "record_json.h"
#include "report_page.h"
#include "stallscope/cleanup.h"
#include "stallscope/render.h"

void convert_flush(struct strbuf *text, FILE *out)
{
	fwrite(text->data, 1, text->len, out);
	strbuf_reset(text);
}

static int by_loop_and_time(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	const struct history_stall *x = &h->stalls[*(const uint32_t *)a];
	const struct history_stall *y = &h->stalls[*(const uint32_t *)b];

	if (x->loop != y->loop)
		return x->loop < y->loop ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x < y ? -1 : 1;
}

uint32_t *convert_by_loop(const struct history *h)
{
	uint32_t *order = mem_alloc((h->n_stalls + 1) * sizeof(*order));

	for (size_t i = 0; i < h->n_stalls; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, h->n_stalls, sizeof(*order), by_loop_and_time, (void *)(uintptr_t)h);
	return order;
}

/* Microseconds, or tasks: these formats count in whole numbers. */
static uint64_t weight_of(const struct profile *p, const struct profile_row *row)
{
	return (uint64_t)(p->of_tasks ? row->weight : row->weight * 1e6 + 0.5);
}

/* ---- collapsed --------------------------------------------------------------------------------
 */

/* ";" divides frames, and the last blank of a line the weight. */
static void add_frame(const struct history_frame *f, struct strbuf *line)
{
	size_t from = line->len;

	strbuf_addstr(line, f->function);
	if (f->file)
		strbuf_addf(line, " (%s:%lld)", short_path(f->file), (long long)f->line);
	for (size_t i = from; i < line->len; i++)
		if (line->data[i] == ';')
			line->data[i] = ':';
}

void convert_collapsed(const struct history *h, FILE *out)
{
	cleanup_strbuf struct strbuf line = STRBUF_INIT;
	struct profile p;

	profile_make(h, &p);
	for (size_t i = 0; i < p.n; i++) {
		struct history_frame room;
		struct history_stack stack = profile_stack(h, &p.v[i], &room);

		for (uint32_t j = stack.n; j-- > 0;) {
			add_frame(&stack.frames[j], &line);
			strbuf_addch(&line, j ? ';' : ' ');
		}
		strbuf_addf(&line, "%llu\n", (unsigned long long)weight_of(&p, &p.v[i]));
		convert_flush(&line, out);
	}
	profile_deinit(&p);
}

/* ---- speedscope -------------------------------------------------------------------------------
 */

/* Frames of all stacks, each once. A frame is known by the address of its texts. */
struct frames {
	struct addrmap seen;
	struct history_frame *v;
	size_t n, cap;
};

static uint64_t key_of(const struct history_frame *f)
{
	uint64_t key = (uint64_t)(uintptr_t)f->function * UINT64_C(0x9e3779b97f4a7c15);

	key = (key ^ (uint64_t)(uintptr_t)f->file) * UINT64_C(0x9e3779b97f4a7c15);
	return (key ^ (uint64_t)f->line) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t frame_index(struct frames *list, const struct history_frame *f)
{
	uint64_t key = key_of(f);

	for (;; key++) {
		uint32_t at = addrmap_get(&list->seen, key);

		if (at == ADDRMAP_NONE)
			break;
		if (list->v[at].function == f->function && list->v[at].file == f->file &&
		    list->v[at].line == f->line)
			return at;
	}
	addrmap_put(&list->seen, key, (uint32_t)list->n);
	*array_push(&list->v, &list->n, &list->cap) = *f;
	return (uint32_t)list->n - 1;
}

static void speedscope_frames(const struct frames *list, struct strbuf *text, FILE *out)
{
	strbuf_addstr(text, "\"shared\":{\"frames\":[");
	for (size_t i = 0; i < list->n; i++) {
		const struct history_frame *f = &list->v[i];
		json_t *frame = json_pack("{ss}", "name", f->function);

		if (f->file)
			json_object_set_new(frame, "file", json_string(f->file));
		if (f->line > 0)
			json_object_set_new(frame, "line", json_integer(f->line));
		if (i)
			strbuf_addch(text, ',');
		record_put(frame, text);
		convert_flush(text, out);
	}
	strbuf_addstr(text, "]}");
	convert_flush(text, out);
}

static void speedscope_samples(const struct history *h, const struct profile *p, size_t from,
			       size_t to, struct frames *list, struct strbuf *text, FILE *out)
{
	for (size_t i = from; i < to; i++) {
		struct history_frame room;
		struct history_stack stack = profile_stack(h, &p->v[i], &room);

		strbuf_addstr(text, i > from ? ",[" : "[");
		for (uint32_t j = stack.n; j-- > 0;)
			strbuf_addf(text, "%u%s", frame_index(list, &stack.frames[j]),
				    j ? "," : "");
		strbuf_addch(text, ']');
		convert_flush(text, out);
	}
}

/* The rows [from, to) of one loop; written as they come, since there may be millions of frames. */
static void speedscope_profile(const struct history *h, const struct profile *p, size_t from,
			       size_t to, struct frames *list, struct strbuf *text, FILE *out)
{
	struct arena arena = ARENA_INIT;
	uint64_t all = 0;

	for (size_t i = from; i < to; i++)
		all += weight_of(p, &p->v[i]);
	strbuf_addf(text,
		    "{\"type\":\"sampled\",\"unit\":\"%s\",\"startValue\":0,\"endValue\":%llu",
		    p->of_tasks ? "none" : "microseconds", (unsigned long long)all);
	record_member("name", json_string(report_whose(&arena, &h->loops[p->v[from].loop])), text);
	strbuf_addstr(text, ",\"samples\":[");
	speedscope_samples(h, p, from, to, list, text, out);
	strbuf_addstr(text, "],\"weights\":[");
	for (size_t i = from; i < to; i++)
		strbuf_addf(text, "%s%llu", i > from ? "," : "",
			    (unsigned long long)weight_of(p, &p->v[i]));
	strbuf_addstr(text, "]}");
	convert_flush(text, out);
	arena_deinit(&arena);
}

void convert_speedscope(const struct history *h, FILE *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	struct frames list = {.seen = ADDRMAP_INIT};
	struct profile p;

	profile_make(h, &p);
	strbuf_addstr(&text, "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\","
			     "\"exporter\":\"stallscope " PACKAGE_VERSION "\","
			     "\"name\":\"stallscope\",\"profiles\":[");
	for (size_t i = 0, j; i < p.n; i = j) {
		for (j = i + 1; j < p.n && p.v[j].loop == p.v[i].loop;)
			j++;
		if (i)
			strbuf_addch(&text, ',');
		speedscope_profile(h, &p, i, j, &list, &text, out);
	}
	strbuf_addstr(&text, "],");
	speedscope_frames(&list, &text, out);
	fputs("}\n", out);
	addrmap_deinit(&list.seen);
	free(list.v);
	profile_deinit(&p);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static void convert_html(const struct history *h, FILE *out)
{
	struct report_options options = {.verbose = false};
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	report_html(h, &options, &text);
	convert_flush(&text, out);
}

bool convert(const struct history *h, enum convert_format format, FILE *out)
{
	static void (*const writers[CONVERT_COUNT])(const struct history *h, FILE *out) = {
		[CONVERT_COLLAPSED] = convert_collapsed, [CONVERT_SPEEDSCOPE] = convert_speedscope,
		[CONVERT_CHROME] = convert_chrome,	 [CONVERT_PROM] = convert_prom,
		[CONVERT_OTLP_JSON] = convert_otlp,	 [CONVERT_HTML] = convert_html};

	writers[format](h, out);
	return !ferror(out);
}
