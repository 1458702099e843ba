/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus text, for the textfile collector of the node exporter: the state at the last look, and
 * what was counted. No timestamps: the collector refuses them.
 */
#include <string.h>

#include "convert.h"
#include "stallscope/cleanup.h"

#define HOLDERS_MOST	 10u  /* each is a series of each loop; the others are one together */
#define BUSY_LOOKS_LEAST 20u  /* fewer looks say nothing of a ratio */
#define LEAST_S		 1e-9 /* what is less is an error of the sums */

#define HELD "stallscope_loop_held_seconds_total"

static void label(struct strbuf *out, const char *name, const char *value)
{
	strbuf_addf(out, "%s%s=\"", out->data[out->len - 1] == '{' ? "" : ",", name);
	for (; *value; value++) {
		if (*value == '\n')
			strbuf_addstr(out, "\\n");
		else if (*value == '"' || *value == '\\')
			strbuf_addf(out, "\\%c", *value);
		else
			strbuf_addch(out, *value);
	}
	strbuf_addch(out, '"');
}

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void begin(struct strbuf *out, const char *name, const struct history_loop *l)
{
	char pid[24];

	snprintf(pid, sizeof(pid), "%lld", (long long)l->pid);
	strbuf_addf(out, "%s{", name);
	if (l->host)
		label(out, "host", l->host);
	label(out, "pid", pid);
	label(out, "loop", l->id);
	label(out, "command", l->command);
}

static void sample(struct strbuf *out, const char *name, const struct history_loop *l, double value)
{
	if (isnan(value))
		return;
	begin(out, name, l);
	strbuf_addf(out, "} %.9g\n", value);
}

static double known(int64_t value) /* negative: unknown */
{
	return value < 0 ? NAN : (double)value;
}

static double lag(const struct history_loop *l)
{
	return l->lag_s;
}

static double tasks(const struct history_loop *l)
{
	return known(l->tasks_last);
}

static double ready(const struct history_loop *l)
{
	return known(l->ready_last);
}

static double queued(const struct history_loop *l)
{
	return known(l->queued_last);
}

static double utilization(const struct history_loop *l)
{
	return l->looks < BUSY_LOOKS_LEAST ? NAN : (double)l->busy / (double)l->looks;
}

static double stalls(const struct history_loop *l)
{
	return (double)l->stalls;
}

static double errors(const struct history_loop *l)
{
	return (double)l->errors;
}

static const struct {
	const char *name, *type, *help;
	double (*value)(const struct history_loop *l);
} metrics[] = {
	{"stallscope_loop_lag_seconds", "gauge", "How late the loop was at the last look.", lag},
	{"stallscope_loop_tasks", "gauge", "Tasks of the loop that are not done.", tasks},
	{"stallscope_loop_ready", "gauge", "Callbacks that are ready to run.", ready},
	{"stallscope_executor_queued", "gauge", "Jobs that wait for the default executor.", queued},
	{"stallscope_loop_utilization_ratio", "gauge",
	 "Part of the looks that met the loop in its callbacks.", utilization},
	{"stallscope_loop_stalls_total", "counter", "Holds of the loop that reached the threshold.",
	 stalls},
	{"stallscope_read_errors_total", "counter", "Things that could not be read.", errors},
};

static void metric(const struct history *h, size_t i, struct strbuf *out)
{
	bool any = false;

	for (size_t j = 0; j < h->n_loops; j++)
		any |= !isnan(metrics[i].value(&h->loops[j]));
	if (!any)
		return;
	head(out, metrics[i].name, metrics[i].type, metrics[i].help);
	for (size_t j = 0; j < h->n_loops; j++)
		sample(out, metrics[i].name, &h->loops[j], metrics[i].value(&h->loops[j]));
}

static void verdicts(const struct history *h, struct strbuf *out)
{
	static const char name[] = "stallscope_loop_verdict";

	if (h->n_loops)
		head(out, name, "gauge", "1 for what was said of the loop at the last look.");
	for (size_t i = 0; i < h->n_loops; i++) {
		const struct history_loop *l = &h->loops[i];

		begin(out, name, l);
		label(out, "verdict", l->verdict ? l->verdict : "");
		label(out, "kind", l->kind ? l->kind : "");
		strbuf_addstr(out, "} 1\n");
	}
}

/* Held seconds of each loop by each of the holders with the most; a row for each loop. */
static double *held_by_loop(const struct history *h, const uint32_t *rank, size_t most)
{
	double *sums = mem_zalloc(h->n_loops * most + 1, sizeof(*sums));
	cleanup_free uint32_t *place = mem_alloc((h->n_holders + 1) * sizeof(*place));

	for (size_t i = 0; i < h->n_holders; i++)
		place[rank[i]] = (uint32_t)i;
	for (size_t i = 0; i < h->n_stalls; i++) {
		const struct history_stall *s = &h->stalls[i];

		if (place[s->holder] < most)
			sums[s->loop * most + place[s->holder]] += s->held_s;
	}
	return sums;
}

static void held(const struct history_loop *l, const char *holder, const char *kind,
		 const char *fingerprint, double seconds, struct strbuf *out)
{
	if (!(seconds > LEAST_S))
		return;
	begin(out, HELD, l);
	label(out, "holder", holder ? holder : "");
	label(out, "kind", kind ? kind : "");
	label(out, "fingerprint", fingerprint);
	strbuf_addf(out, "} %.9g\n", seconds);
}

/*
 * With the labels of the loop: the collector adds up nothing, and of two series that are the same,
 * in the files of two processes that run the same code, it keeps only one.
 */
static void holders(const struct history *h, struct strbuf *out)
{
	cleanup_free uint32_t *rank = history_rank(h);
	size_t most = h->n_holders < HOLDERS_MOST ? h->n_holders : HOLDERS_MOST;
	cleanup_free double *sums = held_by_loop(h, rank, most);

	if (h->n_holders)
		head(out, HELD, "counter", "Time that a loop was held, by who held it.");
	for (size_t i = 0; i < h->n_loops; i++) {
		double others = h->loops[i].held_s;

		for (size_t j = 0; j < most; j++) {
			const struct holder *x = &h->holders[rank[j]];

			held(&h->loops[i], x->function, x->kind, x->fingerprint, sums[i * most + j],
			     out);
			others -= sums[i * most + j];
		}
		held(&h->loops[i], "other", NULL, "", others, out);
	}
}

void convert_prom(const struct history *h, FILE *out)
{
	cleanup_strbuf struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
		metric(h, i, &text);
	verdicts(h, &text);
	holders(h, &text);
	convert_flush(&text, out);
}
