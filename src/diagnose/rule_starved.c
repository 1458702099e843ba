/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's thread wants to run and may not: another has the GIL, the CPU, or the memory. */
#include <string.h>

#include "rules.h"

/*
 * What it has run of this callback or turn is by itself enough to be late, or to be a flood: others
 * only made it later. Only where it got less than a quarter of a CPU are they the greater cause.
 */
static bool late_by_itself(const struct facts *f)
{
	static const double quarter = 0.25;
	double turn_s = f->held_now ? ns_to_s(f->held_ns) : 0;

	if (f->turn_s > turn_s)
		turn_s = f->turn_s;
	return f->on_cpu >= quarter &&
	       (f->on_cpu * turn_s >= ns_to_s(f->threshold_ns) || f->max_batch >= HUGE_BATCH);
}

/* ---- the GIL ----------------------------------------------------------------------------------
 */

/*
 * The thread sleeps on the GIL in most looks. Where no timer and no callback shows that it is
 * late, the looks themselves do when they were several, over the time of the threshold.
 */
bool starved_gil(const struct facts *f)
{
	bool several = f->looks >= 5 && f->window_s * 1e9 >= (double)f->threshold_ns;

	return f->gil_looks > 0 && f->gil_looks * 2 >= f->looks && (facts_late(f) || several) &&
	       !late_by_itself(f);
}

static uint32_t gil_holder(const struct snapshot *s, const struct snap_thread *waiter)
{
	for (uint32_t i = 0; i < s->n_threads; i++)
		if (s->threads[i].holds_gil && &s->threads[i] != waiter)
			return i;
	return SNAP_NONE;
}

void add_gil_evidence(const struct facts *f, struct verdict *v)
{
	if (f->gil_looks)
		add_evidence(v, "/proc/PID/task/TID/syscall",
			     "asleep on the GIL (futex in _PyRuntime) in %zu of %zu %s",
			     f->gil_looks, f->looks, PLURAL(f->looks, "look", "looks"));
}

void explain_starved_gil(const struct facts *f, struct verdict *v)
{
	const struct snapshot *s = f->snap;
	const struct snap_thread *holder;

	set_verdict(v, VERDICT_STARVED, CONFIDENCE_HIGH, "gil");
	v->title = "waits for the GIL, which another thread holds";
	v->advice = "move the work of the thread that has it (its stack is below) into a process, "
		    "or make its calls shorter";
	v->culprit.holder = gil_holder(s, f->thread);
	add_gil_evidence(f, v);
	if (v->culprit.holder == SNAP_NONE)
		return;
	holder = &s->threads[v->culprit.holder];
	add_evidence(v, "GIL state", "held by thread %d (%s)", holder->os.tid,
		     snap_thread_name(holder));
	if (f->gil_looks > 1)
		add_evidence(
			v, "GIL state", "%s",
			f->one_gil_holder
				? "the same thread held it in every look: perhaps a call that does "
				  "not release it"
				: "it changed hands between the looks: several threads "
				  "compete for it");
	if (holder->have_call && holder->call.n_names)
		add_evidence(v, "bytecode", "the holder is in %s", holder->call.names[0]);
}

/* ---- the CPU ----------------------------------------------------------------------------------
 */

/*
 * Runnable, but others run: state R does not mean "on CPU". A short window is only believed when
 * the loop is late too.
 */
bool starved_cpu(const struct facts *f)
{
	static const double queued = 0.3, mostly = 0.5, runnable = 0.8, window_s = 0.19;

	return (facts_late(f) || f->window_s >= window_s) && f->looks > 1 && f->on_cpu >= 0 &&
	       f->on_cpu < ON_CPU_RATIO && f->run_queue > queued && !late_by_itself(f) &&
	       ((double)f->runnable_looks >= runnable * (double)f->looks || f->run_queue >= mostly);
}

static void explain_throttled(const struct snapshot *s, struct verdict *v)
{
	const struct snap_kernel *a = &s->kernel_first, *b = &s->kernel_last;

	set_verdict(v, v->id, v->confidence, "cpu.throttled");
	v->title = "gets no CPU: its cgroup has used up its quota";
	v->advice = "raise limits.cpu (the quota), or remove it; fewer busy threads use it up "
		    "more slowly";
	add_evidence(v, "cpu.stat", "throttled in %llu of %llu %s while we looked, %.2f s",
		     (unsigned long long)(b->nr_throttled - a->nr_throttled),
		     (unsigned long long)(b->nr_periods - a->nr_periods),
		     PLURAL(b->nr_periods - a->nr_periods, "period", "periods"),
		     (double)(b->throttled_us - a->throttled_us) / 1e6);
	if (s->limits.cpu_quota_cores > 0)
		add_evidence(v, "cpu.max", "the quota is %.2f CPUs", s->limits.cpu_quota_cores);
}

void explain_starved_cpu(const struct facts *f, struct verdict *v)
{
	static const double stolen = 0.1, throttled = 0.2; /* now and then is not the cause */
	const struct snapshot *s = f->snap;

	set_verdict(v, VERDICT_STARVED, CONFIDENCE_HIGH, "cpu.host");
	v->title = "wants to run and gets no CPU";
	v->advice = "give it CPU: move the other load away, or lower its priority (nice, "
		    "cpu.weight)";
	add_evidence(v, "schedstat",
		     "state R, but on CPU %.0f %%, waiting for a CPU %.0f %% of %.0f ms",
		     f->on_cpu * 100, f->run_queue * 100, f->window_s * 1e3);
	if (snap_throttled_ratio(s) >= throttled) {
		explain_throttled(s, v);
	} else if (snap_steal_ratio(s) > stolen) {
		set_verdict(v, v->id, v->confidence, "cpu.steal");
		v->title = "gets no CPU: the hypervisor gives it to other machines";
		v->advice = "a busier host than was paid for: move the machine, or take a larger "
			    "one";
		add_evidence(v, "/proc/stat", "steal %.0f %%", snap_steal_ratio(s) * 100);
	} else if (s->kernel_last.have_pressure) {
		add_evidence(v, "pressure/cpu",
			     "some thread waited for a CPU in %.0f %% of the last 10 s",
			     s->kernel_last.cpu_some_avg10);
	}
}

/* ---- memory -----------------------------------------------------------------------------------
 */

static bool waits_for_page(const struct snap_thread *t)
{
	static const char *const channels[] = {"folio_wait",  "__lock_page",  "wait_on_page",
					       "swap",	      "__folio_lock", "filemap_fault",
					       "do_swap_page"};

	for (size_t i = 0; i < ARRAY_SIZE(channels); i++)
		if (!strncmp(t->os.wchan, channels[i], strlen(channels[i])))
			return true;
	return false;
}

/* Page faults that go to the disk, or the kernel's own word that memory is what it waits for. */
bool starved_mem(const struct facts *f)
{
	static const double faults_per_s = 50, full_percent = 10;
	const struct snap_kernel *k = &f->snap->kernel_last;

	if (!facts_late(f) || f->looks < 2)
		return false;
	if (f->majflt_per_s > faults_per_s && (waits_for_page(f->thread) || f->state == 'D'))
		return true;
	return f->state == 'D' && k->have_pressure && k->memory_full_avg10 > full_percent &&
	       waits_for_page(f->thread);
}

void explain_starved_mem(const struct facts *f, struct verdict *v)
{
	const struct snap_kernel *k = &f->snap->kernel_last;

	set_verdict(v, VERDICT_STARVED, CONFIDENCE_MEDIUM, "mem");
	v->title = "waits for its own memory to come from the disk";
	v->advice = "more memory, or less of it used: the process is swapped out, or the page "
		    "cache thrashes";
	add_evidence(v, "/proc/PID/task/TID/stat", "%.0f major page faults a second",
		     f->majflt_per_s);
	if (f->thread->os.wchan[0])
		add_evidence(v, "/proc/PID/task/TID/wchan", "state %c in %s", f->state,
			     f->thread->os.wchan);
	if (k->have_pressure)
		add_evidence(v, "pressure/memory",
			     "all threads stood still in %.0f %% of the last 10 s",
			     k->memory_full_avg10);
}
