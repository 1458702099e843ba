/* SPDX-License-Identifier: Apache-2.0 */
#include "picture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stallscope/utf8.h"

#define SOURCES_MAX 200u /* lines of source in a picture */

/* ---- targets ---------------------------------------------------------------------------------
 */

bool argument_is_recording(const char *argument)
{
	return !source_names_process(argument) && source_is_text(argument);
}

static void find_host(struct opened *o)
{
	const struct strbuf *note = source_note(o->src, "host");
	char name[256] = "";

	if (note)
		utf8_add_safe(&o->host, note->data, note->len, 255);
	else if (!source_is_recorded(o->src) && !gethostname(name, sizeof(name) - 1))
		utf8_add_safe(&o->host, name, strlen(name), 255);
}

bool opened_open(const char *argument, struct opened **ret, struct error *err)
{
	struct opened *o = mem_zalloc(1, sizeof(*o));

	o->refs = 1;
	strbuf_init(&o->host);
	if (!source_open(argument, &o->src, err) || !process_read(o->src, &o->proc, err) ||
	    !python_open(o->src, o->proc, &o->py, err)) {
		opened_unref(o);
		return false;
	}
	find_host(o);
	*ret = o;
	return true;
}

void opened_unref(struct opened *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) != 1)
		return;
	python_close(o->py);
	process_destroy(o->proc);
	source_close(o->src);
	strbuf_deinit(&o->host);
	free(o);
}

/* ---- pictures --------------------------------------------------------------------------------
 */

void picture_sources(struct snapshot *snap, struct source *src)
{
	size_t left = SOURCES_MAX;

	for (size_t i = 0; i < snap->n_threads; i++) {
		const struct snap_stack *stack = &snap->threads[i].stack;

		for (uint32_t k = 0; k < stack->n && left; k++) {
			if (!snap_code_of(snap, snap_frame_at(snap, stack, k))->own)
				continue;
			snapshot_source(snap, src, stack->first + k);
			left--;
		}
	}
}

struct base *base_new(struct opened *o, struct snapshot *snap)
{
	struct base *b = mem_zalloc(1, sizeof(*b));

	b->refs = 1;
	b->opened = o;
	b->snap = snap;
	return b;
}

void base_unref(struct base *b)
{
	if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
		return;
	snapshot_destroy(b->snap);
	opened_unref(b->opened);
	free(b);
}

static void *copy_of(const void *items, size_t n, size_t size)
{
	void *copy = mem_alloc(n * size + 1);

	if (n)
		memcpy(copy, items, n * size);
	return copy;
}

void picture_view_init(struct snapshot *view, const struct snapshot *of)
{
	*view = *of;
	view->loops = copy_of(of->loops, of->n_loops, sizeof(*of->loops));
	view->looks = copy_of(of->looks, of->n_looks, sizeof(*of->looks));
}

void picture_view_deinit(struct snapshot *view)
{
	free(view->loops);
	free(view->looks);
	view->loops = NULL;
	view->looks = NULL;
}

struct picture *picture_new(struct base *base, const struct snapshot *view, struct diagnosis *d)
{
	struct picture *p = mem_zalloc(1, sizeof(*p));

	p->refs = 1;
	p->base = base;
	if (base)
		atomic_fetch_add(&base->refs, 1);
	picture_view_init(&p->snap, view);
	p->d = d;
	return p;
}

struct picture *picture_ref(struct picture *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

void picture_unref(struct picture *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	picture_view_deinit(&p->snap);
	diagnosis_destroy(p->d);
	base_unref(p->base);
	free(p);
}

const struct verdict *picture_verdict(const struct picture *p, uint32_t loop)
{
	return loop < p->d->n ? &p->d->loops[loop] : &p->d->process;
}

bool picture_of_recording(struct opened *o, uint64_t max_tasks, int64_t threshold_ns,
			  struct picture **ret, struct error *err)
{
	struct snapshot_options options = {.max_tasks = max_tasks};
	struct diagnose_options judge = {threshold_ns};
	const struct strbuf *looks;
	struct snapshot *snap;
	struct diagnosis *d;
	struct base *base;

	if (!snapshot_take(o->py, o->proc, &options, &snap, err))
		return false;
	looks = source_note(o->src, "looks");
	if (looks)
		snapshot_looks_read(snap, looks);
	snapshot_ages(snap);
	picture_sources(snap, o->src);
	d = diagnose(snap, &judge);
	atomic_fetch_add(&o->refs, 1);
	base = base_new(o, snap);
	*ret = picture_new(base, snap, d);
	base_unref(base);
	return true;
}

/* ---- pulses ----------------------------------------------------------------------------------
 */

/* The last two looks at a loop; before may be NULL. */
static const struct snap_look *last_look(const struct snapshot *s, uint64_t loop,
					 const struct snap_look **before)
{
	const struct snap_look *last = NULL;

	*before = NULL;
	for (size_t i = s->n_looks; i-- > 0 && !*before;) {
		if (s->looks[i].loop != loop)
			continue;
		if (last)
			*before = &s->looks[i];
		else
			last = &s->looks[i];
	}
	return last;
}

static double cpu_since(const struct snap_look *before, const struct snap_look *last)
{
	double ratio;

	if (!before || !before->have_sched || !last->have_sched ||
	    last->clock_ns <= before->clock_ns || last->on_cpu_ns < before->on_cpu_ns)
		return -1;
	ratio = (double)(last->on_cpu_ns - before->on_cpu_ns) /
		(double)(last->clock_ns - before->clock_ns);
	return ratio > 1 ? 1 : ratio;
}

double picture_turn(const struct snap_loop *l)
{
	if (l->have_run)
		return l->run.have_end_time ? l->run.end_time : 0;
	return l->info.is_uvloop && l->info.have_uv_time && l->have_held ? l->info.uv_time : 0;
}

/* The callback of the full look: uvloop's handles are not known, its turns are told apart alone. */
static bool same_callback(const struct snap_loop *l, const struct snap_look *look)
{
	double turn = picture_turn(l);

	if (!look->in_callbacks || memcmp(&look->end_time, &turn, sizeof(turn)) != 0)
		return false;
	return !l->have_run || (look->handle == l->run.handle && look->index == l->run.index);
}

static void pulse_of(const struct snapshot *s, const struct snap_loop *l, struct pulse_loop *p)
{
	const struct snap_look *before, *last = last_look(s, l->run.loop, &before);

	*p = (struct pulse_loop){.loop = l->run.loop, .held_ns = -1, .left = -1, .on_cpu = -1};
	if (!last || !last->found)
		return;
	p->found = true;
	p->state = last->state;
	p->on_cpu = cpu_since(before, last);
	if (l->own_clock)
		return;
	p->end_time = last->end_time > 0 ? last->end_time : 0;
	p->held_ns = last->end_time > 0 ? (int64_t)last->clock_ns - aio_ns(last->end_time) : 0;
	p->held_ns = p->held_ns < 0 ? 0 : p->held_ns;
	if (last->in_callbacks && last->ntodo > 0 && last->index < last->ntodo)
		p->left = last->ntodo - last->index - 1;
	p->same = same_callback(l, last);
}

void pulse_make(const struct snapshot *view, struct pulse *ret)
{
	*ret = (struct pulse){.clock_ns = view->clock_ns, .wall_ns = view->wall_ns};
	if (view->n_looks && view->looks[view->n_looks - 1].clock_ns > view->clock_ns)
		ret->clock_ns = view->looks[view->n_looks - 1].clock_ns;
	ret->wall_ns += ret->clock_ns - view->clock_ns;
	for (size_t i = 0; i < view->n_loops && ret->n < PULSE_LOOPS; i++)
		pulse_of(view, &view->loops[i], &ret->loops[ret->n++]);
}
