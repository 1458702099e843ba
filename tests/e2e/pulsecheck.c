/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pulsecheck PID SECONDS INTERVAL_US: light looks at a process, and nothing else. Writes a line for
 * each hold of 10 ms and more, and in the end what the looks cost:
 *
 *	{"hold": 81231.2, "least_s": 0.051, "most_s": 0.0511, "late": false}
 *	{"looks": 500, "reads_per_look": 1.4, "cpu_us_per_look": 4.1, "cpu_us_per_read": 1.1,
 *	 "walks": 3, "lost": 0}
 *
 * cpu_us_per_read is what one bare read of 200 bytes of the process costs: no look can be cheaper.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "stallscope/holds.h"

#define TELL_NS 10000000

static uint64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void nap(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};

	nanosleep(&ts, NULL);
}

static void tell(const struct hold *over)
{
	if (hold_likely_ns(over) >= TELL_NS)
		printf("{\"hold\": %.6f, \"least_s\": %.6f, \"most_s\": %.6f, \"late\": %s}\n",
		       (double)over->since_ns / 1e9, (double)hold_least_ns(over) / 1e9,
		       (double)hold_most_ns(over) / 1e9, over->is_late ? "true" : "false");
}

/* As cold as a look is, after a pause: of the code of a loop's frame, which is there in any case.
 */
static double cost_of_read(struct target *t, const struct snapshot *snap, uint64_t step)
{
	enum { READS = 100 };
	uint64_t cpu = 0, before;
	char bytes[200];

	if (!snap->n_codes)
		return 0;
	for (int i = 0; i < READS; i++) {
		nap(step);
		before = now(CLOCK_THREAD_CPUTIME_ID);
		source_now(t->src, snap->codes[0].address, bytes, sizeof(bytes));
		cpu += now(CLOCK_THREAD_CPUTIME_ID) - before;
	}
	return (double)cpu / 1e3 / READS;
}

static void look_for(struct target *t, const struct snapshot *snap, double seconds, uint64_t step)
{
	struct pulse *pulse = pulse_create(t->py, snap);
	uint64_t until = now(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9), looks = 0, lost = 0;
	uint64_t reads = source_get_stats(t->src).system_calls, cpu = 0, before;
	struct hold hold = {0}, over;
	struct pulse_reading r;

	while (now(CLOCK_MONOTONIC) < until && pulse_loops(pulse)) {
		before = now(CLOCK_THREAD_CPUTIME_ID);
		pulse_look(pulse, 0, &r);
		cpu += now(CLOCK_THREAD_CPUTIME_ID) - before;
		looks++;
		lost += r.state == PULSE_LOST;
		if (hold_look(&hold, &r, &over))
			tell(&over);
		nap(step);
	}
	if (hold.on)
		tell(&hold);
	reads = source_get_stats(t->src).system_calls - reads;
	printf("{\"looks\": %" PRIu64 ", \"reads_per_look\": %.2f, \"cpu_us_per_look\": %.2f, "
	       "\"cpu_us_per_read\": %.2f, \"walks\": %" PRIu64 ", \"lost\": %" PRIu64 "}\n",
	       looks, (double)reads / (double)(looks + !looks),
	       (double)cpu / 1e3 / (double)(looks + !looks), cost_of_read(t, snap, step),
	       pulse_walks(pulse), lost);
	pulse_destroy(pulse);
}

int main(int argc, char **argv)
{
	struct snapshot_options options = {0};
	struct snapshot *snap;
	struct target target;
	struct error err;

	if (argc != 4)
		return 2;
	if (!target_open(argv[1], false, &target, &err))
		return report_error(&err);
	if (!snapshot_take(target.py, target.proc, &options, &snap, &err))
		return report_error(&err);
	look_for(&target, snap, atof(argv[2]), strtoull(argv[3], NULL, 10) * 1000);
	snapshot_destroy(snap);
	target_close(&target);
	return fflush(stdout) ? 1 : 0;
}
