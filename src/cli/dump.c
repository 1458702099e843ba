/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dump: one look, as short as the verdict needs. A full look comes first, so that a stall is
 * caught while it lasts; light looks follow until the verdict is certain or the time is up.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "look.h"
#include "stallscope/arena.h"
#include "stallscope/cleanup.h"
#include "stallscope/culprits.h"
#include "stallscope/log.h"
#include "stallscope/utf8.h"

#define LOOK_STEP_NS 20000000 /* between light looks, on average */
#define LOOKS_MOST   2000     /* of them; who looks for long looks less often */
#define RETAKES_MAX  3	      /* full looks at stalls that began while we looked */
#define NOTE_HOST    "host"
#define NOTE_LOOKS   "looks"

static void nap(int64_t ns)
{
	struct timespec ts = {ns / 1000000000, ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts))
		;
}

void look_judge(struct look *k)
{
	struct diagnose_options options = {k->o->threshold_ns};

	diagnosis_destroy(k->d);
	k->d = diagnose(k->snap, &options);
}

static enum render_tasks tasks_of(const struct options *o)
{
	return o->format == FORMAT_JSON && !o->tasks_given ? RENDER_TASKS_ALL : o->tasks;
}

/* Of the frames that will be shown: groups of tasks have none. */
static enum snap_variables variables_of(const struct options *o)
{
	enum render_tasks tasks = tasks_of(o);
	bool stacks = tasks == RENDER_TASKS_ALL || tasks == RENDER_TASKS_TREE ||
		      (o->format == FORMAT_JSON && tasks != RENDER_TASKS_NONE);

	if (!o->locals)
		return SNAP_VARIABLES_NONE;
	return stacks ? SNAP_VARIABLES_ALL : SNAP_VARIABLES_THREADS;
}

/* What is not shown is not read, but when it is to be shown from a recording. */
static size_t columns_of(const struct look *k)
{
	return k->out && k->o->format == FORMAT_TEXT && !k->o->save ? output_width(fileno(k->out))
								    : 0;
}

bool look_take(struct look *k, struct error *err)
{
	struct snapshot_options options = {.max_tasks = k->o->max_tasks,
					   .freeze = k->o->freeze,
					   .variables = variables_of(k->o),
					   .types_only = k->o->redact,
					   .columns = columns_of(k)};
	struct snapshot *snap;

	if (!snapshot_take(k->target->py, k->target->proc, &options, &snap, err))
		return false;
	if (k->snap)
		snapshot_keep_looks(snap, k->snap);
	snapshot_destroy(k->snap);
	k->snap = snap;
	look_judge(k);
	return true;
}

/* A hold that reached the threshold after the full look: worth a full look of its own. */
static bool stall_began(const struct look *k)
{
	const struct snapshot *s = k->snap;

	if (k->d->worst == VERDICT_STALLED || k->d->worst == VERDICT_OVERLOADED)
		return false;
	for (size_t i = s->n_looks; i-- > 0 && s->n_looks - i <= s->n_loops;) {
		const struct snap_look *l = &s->looks[i];

		if (l->found && l->end_time > 0 &&
		    (double)l->clock_ns / 1e9 - l->end_time >= (double)k->o->threshold_ns / 1e9)
			return true;
	}
	return false;
}

/* The last look at a loop; NULL: none. */
static const struct snap_look *last_look(const struct snapshot *s, const struct snap_loop *loop)
{
	for (size_t i = s->n_looks; i-- > 0;)
		if (s->looks[i].loop == loop->run.loop)
			return &s->looks[i];
	return NULL;
}

/*
 * The looks may end in the middle of a hold: then it is not known yet whether that is a stall. How
 * long until one that goes on reaches the threshold; 0: there is none, or it is known anyway, or it
 * would take longer than the looks were to take.
 */
static int64_t hold_goes_on(const struct look *k)
{
	static const int64_t short_ns = 10000000; /* every callback is a hold of that kind */
	const struct snapshot *s = k->snap;
	int64_t most = 0;

	if (verdict_unhealthy(k->d->worst))
		return 0;
	for (size_t i = 0; i < s->n_loops; i++) {
		const struct snap_look *l = last_look(s, &s->loops[i]);
		int64_t held, left;

		if (!l || !l->found || l->end_time <= 0 || s->loops[i].own_clock)
			continue;
		held = (int64_t)l->clock_ns - aio_ns(l->end_time);
		left = k->o->threshold_ns - held;
		if (held >= short_ns && left > most && left <= k->o->for_ns)
			most = left;
	}
	return most;
}

/* How much longer to look, in ns. */
static int64_t look_left(const struct look *k, uint64_t *end_ns)
{
	int64_t left = diagnosis_wants(k->snap, k->d, k->o->for_ns), now;

	if (left > 0 || !k->o->for_ns || !k->snap->n_looks)
		return left;
	now = (int64_t)k->snap->looks[k->snap->n_looks - 1].clock_ns;
	if (!*end_ns)
		*end_ns = (uint64_t)(now + k->o->for_ns);
	left = hold_goes_on(k);
	return now < (int64_t)*end_ns ? left : 0;
}

static int64_t look_step(const struct options *o)
{
	int64_t step = o->for_ns / LOOKS_MOST;

	return step > LOOK_STEP_NS ? step : LOOK_STEP_NS;
}

/*
 * From half a step to one and a half. Looks at an even pace meet a loop that turns at that pace, or
 * at a whole part of it, in the same phase each time, and take one that is half idle for busy.
 */
static int64_t uneven(int64_t step, uint64_t *seed)
{
	*seed = *seed * 6364136223846793005U + 1442695040888963407U; /* Knuth's MMIX */
	return step / 2 + (int64_t)((double)step * ((double)(*seed >> 32) / 0x1p32));
}

static bool watch(struct look *k, struct error *err)
{
	struct source *light = source_again(k->target->src);
	int64_t mean = look_step(k->o), step, left;
	uint64_t seed = (uint64_t)k->snap->clock_ns, end_ns = 0;
	int retakes = 0;
	bool ok = true;

	while (ok && (left = look_left(k, &end_ns)) > 0) {
		step = uneven(mean, &seed);
		nap(left < step ? left : step);
		ok = snapshot_look(k->target->py, light, k->snap, err);
		look_judge(k);
		if (ok && stall_began(k) && retakes++ < RETAKES_MAX) {
			source_forget(k->target->src);
			python_new_look(k->target->py, k->target->src);
			ok = look_take(k, err);
		}
	}
	source_close(light);
	return ok;
}

/* Held for the threshold at the full look, and in the same turn still when last looked at. */
static bool is_held(const struct look *k, size_t loop)
{
	const struct snapshot *s = k->snap;
	const struct snap_loop *l = &s->loops[loop];
	const struct verdict *v = &k->d->loops[loop];
	const struct snap_look *first = NULL, *last = NULL;

	for (size_t i = 0; i < s->n_looks; i++) {
		if (s->looks[i].loop != l->run.loop)
			continue;
		if (s->looks[i].clock_ns == s->clock_ns)
			first = &s->looks[i];
		last = &s->looks[i];
	}
	if (!v->have_held || v->held_ns < k->o->threshold_ns || !first)
		return false;
	return last->in_callbacks && last->end_time == first->end_time &&
	       last->handle == first->handle;
}

/* Behind the light looks: a stop leaves traces in what they measure, the CPU time of the thread. */
void look_at_native(struct look *k)
{
	bool *held = mem_zalloc(k->snap->n_loops + 1, sizeof(*held));
	struct snapshot_native_options options = {.mode = k->o->native,
						  .lines = k->o->native == SNAP_NATIVE_ALWAYS ||
							   k->o->verbose || k->o->debuginfod,
						  .fetch = k->o->debuginfod,
						  .held = held};

	for (size_t i = 0; i < k->snap->n_loops && k->d->n; i++)
		held[i] = is_held(k, i);
	snapshot_native(k->target->py, k->snap, &options);
	free(held);
	look_judge(k);
}

/* The lines of the culprits, or of all frames, from where the target's source is. */
void look_fetch_sources(struct look *k)
{
	for (size_t i = 0; i < k->d->n; i++)
		if (k->d->loops[i].culprit.frame != SNAP_NONE) {
			snapshot_source(k->snap, k->target->src, k->d->loops[i].culprit.frame);
			snapshot_file(k->snap, k->target->src, k->d->loops[i].culprit.frame);
		}
	if (k->o->verbose)
		snapshot_sources(k->snap, k->target->src);
}

void look_read_modules(struct look *k, uint64_t *known)
{
	uint64_t now;

	snapshot_modules(k->snap, k->target->py);
	now = snapshot_modules_digest(k->snap);
	if (known && *known == now)
		k->snap->modules.have_libraries = k->snap->modules.have_imports = false;
	if (known)
		*known = now;
}

/* Those who compare looks, or may do so with what is written down, want to know. */
static bool wants_modules(const struct options *o)
{
	return o->command == COMMAND_DIFF ||
	       (o->command == COMMAND_DUMP && (o->format == FORMAT_JSON || o->save));
}

/* What is to be shown of what was looked at; the filter is on names that may go here. */
static void finish(struct look *k)
{
	const struct options *o = k->o;

	if (o->n_filters)
		task_filter_init(&k->filter, k->snap, o->filters, o->n_filters, NULL);
	if (o->redact) {
		snapshot_redact(k->snap);
		look_judge(k);
	} else {
		look_fetch_sources(k);
	}
	snapshot_ages(k->snap);
	if (wants_modules(o))
		look_read_modules(k, NULL);
}

bool look_save(const struct look *k, const char *path, struct error *err)
{
	cleanup_strbuf struct strbuf looks = STRBUF_INIT, tasks = STRBUF_INIT, native = STRBUF_INIT,
				     imports = STRBUF_INIT;
	struct source_note notes[5];
	size_t n = 0;

	if (!path)
		return true;
	snapshot_looks_write(k->snap, &looks);
	snapshot_tasks_write(k->snap, &tasks);
	snapshot_native_write(k->snap, &native);
	notes[n++] = (struct source_note){NOTE_LOOKS, looks.data, looks.len};
	notes[n++] = (struct source_note){NOTE_HOST, k->host.data, k->host.len};
	if (tasks.len)
		notes[n++] = (struct source_note){SNAP_NOTE_TASKS, tasks.data, tasks.len};
	if (native.len)
		notes[n++] = (struct source_note){SNAP_NOTE_NATIVE, native.data, native.len};
	snapshot_imports_write(k->snap, &imports);
	if (imports.len)
		notes[n++] = (struct source_note){SNAP_NOTE_IMPORTS, imports.data, imports.len};
	return source_save(k->target->src, path, k->snap->clock_ns, k->snap->wall_ns, notes, n,
			   err);
}

/* A recording brings its series of looks along. */
static bool replay(struct look *k)
{
	const struct strbuf *text = source_note(k->target->src, NOTE_LOOKS);

	if (text && !snapshot_looks_read(k->snap, text))
		log_warn("the series of looks in the recording is damaged: it is left out");
	look_judge(k);
	return true;
}

/* Of a recording: the host that it names, not this one. */
void look_find_host(struct look *k)
{
	const struct strbuf *note = source_note(k->target->src, NOTE_HOST);
	char name[256] = "";

	if (note)
		utf8_add_safe(&k->host, note->data, note->len, 255);
	else if (!source_is_recorded(k->target->src) && !gethostname(name, sizeof(name) - 1))
		utf8_add_safe(&k->host, name, strlen(name), 255);
}

static bool look(struct look *k, struct error *err)
{
	if (!look_take(k, err) || !(source_is_recorded(k->target->src) ? replay(k) : watch(k, err)))
		return false;
	/* the others look often, or at processes that nobody named: they stop none */
	if (k->o->command == COMMAND_DUMP)
		look_at_native(k);
	finish(k);
	return true;
}

bool look_open_to(FILE *out, struct target *target, const struct options *o, struct look *ret,
		  struct error *err)
{
	*ret = (struct look){.target = target, .o = o, .out = out, .host = STRBUF_INIT};
	look_find_host(ret);
	return look(ret, err);
}

bool look_open(struct target *target, const struct options *o, struct look *ret, struct error *err)
{
	return look_open_to(NULL, target, o, ret, err);
}

static void forget(struct look *k)
{
	task_filter_deinit(&k->filter);
	diagnosis_destroy(k->d);
	snapshot_destroy(k->snap);
	k->filter = (struct task_filter){.matches = NULL};
	k->d = NULL;
	k->snap = NULL;
}

bool look_again(struct look *k, struct error *err)
{
	forget(k);
	source_forget(k->target->src);
	python_new_look(k->target->py, k->target->src);
	return look(k, err);
}

void look_close(struct look *k)
{
	forget(k);
	strbuf_deinit(&k->host);
}

struct render_options look_rendering(const struct look *k)
{
	const struct options *o = k->o;

	return (struct render_options){.width = 80,
				       .ascii = o->ascii,
				       .verbose = o->verbose > 0,
				       .tasks = tasks_of(o),
				       .threshold_s = (double)o->threshold_ns / 1e9,
				       .host = k->host.len ? k->host.data : NULL,
				       .labels = o->labels,
				       .n_labels = o->n_labels,
				       .filter = k->filter.matches ? &k->filter : NULL};
}

static bool use_color(const struct options *o, FILE *out)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (o->color != COLOR_AUTO)
		return o->color == COLOR_ALWAYS;
	if (no_color && *no_color)
		return false;
	return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

static bool print(const struct look *k)
{
	const struct options *o = k->o;
	FILE *out = k->out;
	cleanup_strbuf struct strbuf text = STRBUF_INIT;
	bool ok;
	struct render_options r = look_rendering(k);

	r.width = output_width(fileno(out));
	r.color = use_color(o, out);
	if (o->format == FORMAT_JSON) {
		ok = render_json(k->snap, k->d, &r, out);
	} else {
		render_text(k->snap, k->d, &r, &text);
		ok = fwrite(text.data, 1, text.len, out) == text.len;
	}
	return ok;
}

static int status_of(const struct look *k)
{
	if (k->d->worst == VERDICT_UNSURE && k->snap->clock_ns)
		return error_exit_status(ERR_CORRUPT);
	return k->o->exit_code && verdict_unhealthy(k->d->worst) ? 1 : 0;
}

static int dump_one(const struct options *o, const char *argument, FILE *out)
{
	struct target target;
	struct look k;
	struct error err;
	int status;
	bool ok;

	if (!target_open(argument, false, &target, &err))
		return report_error(&err);
	if (o->save)
		source_pin(target.src);
	ok = look_open_to(out, &target, o, &k, &err) && look_save(&k, o->save, &err);
	if (ok) {
		print(&k);
		status = status_of(&k);
	} else {
		status = report_error(&err);
	}
	look_close(&k);
	target_close(&target);
	return status;
}

int command_dump(const struct options *o)
{
	struct output out;
	struct error err;
	int status = 0;

	if (!culprits_load(o->culprits, &err) || !output_open(o->output, &out, &err))
		return report_error(&err);
	for (size_t i = 0; i < o->n_targets; i++) {
		int one;

		if (i && o->format == FORMAT_TEXT)
			fputc('\n', out.file);
		one = dump_one(o, o->targets[i], out.file);
		if (one > status)
			status = one;
	}
	if (o->n_targets == 1 && status > 1 && status != error_exit_status(ERR_CORRUPT)) {
		output_abandon(&out);
		return status;
	}
	if (!output_commit(&out, &err))
		return report_error(&err);
	return status;
}
