/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prometheus text, for the textfile collector of the node exporter: the state at the last look, and
 * what was counted. No timestamps: the collector refuses them.
 */
#include <string.h>

#include "convert.h"
#include "stallscope/cleanup.h"

#define HOLDERS_MOST	 10u /* each is a series; the others are one together */
#define BUSY_LOOKS_LEAST 20u /* fewer looks say nothing of a ratio */

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

static void holders(const struct history *h, struct strbuf *out)
{
	static const char name[] = "stallscope_loop_held_seconds_total";
	cleanup_free uint32_t *rank = history_rank(h);
	double others = 0;

	if (h->n_holders)
		head(out, name, "counter", "Time that loops were held, by who held them.");
	for (size_t i = 0; i < h->n_holders; i++) {
		const struct holder *x = &h->holders[rank[i]];

		if (i >= HOLDERS_MOST) {
			others += x->held.sum;
			continue;
		}
		strbuf_addf(out, "%s{", name);
		label(out, "holder", x->function ? x->function : "");
		label(out, "kind", x->kind ? x->kind : "");
		label(out, "fingerprint", x->fingerprint);
		strbuf_addf(out, "} %.9g\n", x->held.sum);
	}
	if (h->n_holders > HOLDERS_MOST)
		strbuf_addf(out, "%s{holder=\"other\",kind=\"\",fingerprint=\"\"} %.9g\n", name,
			    others);
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
