/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The series of looks as the text of a note. A line for each look; recordings of old have 19 words
 * in it, those of now four more. A line that begins with a word is of another kind: "kernel" what
 * the kernel counted, "tasks" how their number grew.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"

#define LINE_MAX_BYTES 1024u
#define OLD_WORDS      19

#define LOOK_FORMAT                                                                           \
	"%" PRIu64 " %" PRIx64 " %d %d %d %d %" PRId64 " %" PRId64 " %" PRIx64 " %a %" PRIx64 \
	" %" PRIx64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %d %d %" PRId64 " %" PRIx64
#define MORE_FORMAT " %d %" PRIu64 " %" PRIx64 "\n"

#define KERNEL_FORMAT                                                                       \
	"kernel %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %" PRIu64 \
	" %d %a %a %" PRIu64 " %" PRIu64 " %d %" PRIu64 "\n"

/* ---- writing --------------------------------------------------------------------------------- */

static void write_kernel(const struct snap_kernel *k, struct strbuf *out)
{
	if (!k->clock_ns)
		return;
	strbuf_addf(out, KERNEL_FORMAT, k->clock_ns, k->have_cpu_stat, k->nr_periods,
		    k->nr_throttled, k->throttled_us, k->have_steal, k->steal_ticks, k->total_ticks,
		    k->have_pressure, k->cpu_some_avg10, k->memory_full_avg10, k->cpu_some_us,
		    k->memory_full_us, k->have_majflt, k->majflt);
}

void snapshot_looks_write(const struct snapshot *snap, struct strbuf *out)
{
	for (size_t i = 0; i < snap->n_looks; i++) {
		const struct snap_look *l = &snap->looks[i];

		strbuf_addf(out, LOOK_FORMAT, l->clock_ns, l->loop, l->tid, l->found,
			    l->in_callbacks, l->state, l->index, l->ntodo, l->handle, l->end_time,
			    l->leaf_frame, l->leaf_code, l->leaf_instr, l->on_cpu_ns,
			    l->run_queue_ns, l->have_sched, l->waits_for_gil, l->syscall, l->task);
		if (l->have_more)
			strbuf_addf(out, MORE_FORMAT, l->gc, l->majflt, l->gil_holder);
		else
			strbuf_addch(out, '\n');
	}
	write_kernel(&snap->kernel_first, out);
	write_kernel(&snap->kernel_last, out);
	for (size_t i = 0; i < snap->n_loops; i++)
		growth_write(&snap->loops[i], out);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Words of the line that were understood. */
static int scan_look(const char *line, struct snap_look *l)
{
	int found, in_callbacks, state, have_sched, gil, gc = 0, words;

	words = sscanf(line,
		       "%" SCNu64 " %" SCNx64 " %d %d %d %d %" SCNd64 " %" SCNd64 " %" SCNx64
		       " %la %" SCNx64 " %" SCNx64 " %" SCNd64 " %" SCNu64 " %" SCNu64
		       " %d %d %" SCNd64 " %" SCNx64 " %d %" SCNu64 " %" SCNx64,
		       &l->clock_ns, &l->loop, &l->tid, &found, &in_callbacks, &state, &l->index,
		       &l->ntodo, &l->handle, &l->end_time, &l->leaf_frame, &l->leaf_code,
		       &l->leaf_instr, &l->on_cpu_ns, &l->run_queue_ns, &have_sched, &gil,
		       &l->syscall, &l->task, &gc, &l->majflt, &l->gil_holder);
	if (words < OLD_WORDS)
		return words;
	l->found = found != 0;
	l->in_callbacks = in_callbacks != 0;
	l->state = (char)state;
	l->have_sched = have_sched != 0;
	l->waits_for_gil = gil != 0;
	l->gc = gc != 0;
	return words;
}

static bool parse_look(const char *line, struct snap_look *l)
{
	int words = scan_look(line, l);

	l->have_more = words == OLD_WORDS + 3;
	return (words == OLD_WORDS || l->have_more) && l->clock_ns <= SOURCE_CLOCK_MAX &&
	       isfinite(l->end_time) && l->index >= 0 && l->ntodo >= 0;
}

static bool is_percentage(double value)
{
	return value >= 0 && value <= 100;
}

static bool parse_kernel(const char *line, struct snap_kernel *k)
{
	int cpu_stat, steal, pressure, majflt;

	if (sscanf(line,
		   "kernel %" SCNu64 " %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %d %" SCNu64
		   " %" SCNu64 " %d %la %la %" SCNu64 " %" SCNu64 " %d %" SCNu64,
		   &k->clock_ns, &cpu_stat, &k->nr_periods, &k->nr_throttled, &k->throttled_us,
		   &steal, &k->steal_ticks, &k->total_ticks, &pressure, &k->cpu_some_avg10,
		   &k->memory_full_avg10, &k->cpu_some_us, &k->memory_full_us, &majflt,
		   &k->majflt) != 15)
		return false;
	k->have_cpu_stat = cpu_stat != 0;
	k->have_steal = steal != 0;
	k->have_pressure = pressure != 0;
	k->have_majflt = majflt != 0;
	return k->clock_ns && k->clock_ns <= SOURCE_CLOCK_MAX && is_percentage(k->cpu_some_avg10) &&
	       is_percentage(k->memory_full_avg10);
}

/* The first one is the first, the one read last is the last. */
static bool take_kernel(struct snapshot *snap, const char *line, bool *first)
{
	struct snap_kernel k = {0};

	if (!parse_kernel(line, &k))
		return false;
	if (*first)
		snap->kernel_first = k;
	snap->kernel_last = k;
	*first = false;
	return true;
}

static bool take_line(struct snapshot *snap, const char *line, bool *first_kernel)
{
	struct snap_look look = {0}, *l;

	if (!strncmp(line, "kernel", 6))
		return take_kernel(snap, line, first_kernel);
	if (!strncmp(line, "tasks ", 6))
		return growth_parse(snap, line);
	if (*line >= 'a' && *line <= 'z')
		return true; /* of a later version */
	if (!parse_look(line, &look))
		return false;
	l = snap_push_look(snap);
	if (!l)
		return false;
	*l = look;
	return true;
}

static bool take_lines(struct snapshot *snap, const struct strbuf *text)
{
	const char *at = text->data, *end;
	bool first_kernel = true;

	for (; *at; at = end + 1) {
		char line[LINE_MAX_BYTES]; /* sscanf() would go on in the next one */
		size_t len;

		end = strchr(at, '\n');
		len = end ? (size_t)(end - at) : sizeof(line);
		if (len >= sizeof(line))
			return false;
		memcpy(line, at, len);
		line[len] = 0;
		if (!take_line(snap, line, &first_kernel))
			return false;
	}
	return true;
}

/* All of the series or none of it: half of one would tell of a time that was not looked at. */
bool snapshot_looks_read(struct snapshot *snap, const struct strbuf *text)
{
	struct snap_kernel first = snap->kernel_first, last = snap->kernel_last;
	struct snap_look *looks = snap->looks;
	size_t n = snap->n_looks;

	snap->looks = NULL;
	snap->n_looks = 0;
	if (take_lines(snap, text)) {
		free(looks);
		return true;
	}
	free(snap->looks);
	snap->looks = looks;
	snap->n_looks = n;
	snap->kernel_first = first;
	snap->kernel_last = last;
	return false;
}
