/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "stallscope/utf8.h"

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
#define PROBES	  16u /* keys with one hash: only a file that means it has so many */

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * FNV_PRIME;
	return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
	return text ? mix_bytes(hash, text, strlen(text) + 1) : mix_bytes(hash, "\1", 1);
}

static uint64_t mix_number(uint64_t hash, int64_t value)
{
	return mix_bytes(hash, &value, sizeof(value));
}

void history_init(struct history *h)
{
	*h = (struct history){.threshold_s = NAN};
	h->index = mem_zalloc(1, sizeof(*h->index));
}

void history_deinit(struct history *h)
{
	struct history_index *x = h->index;

	for (size_t i = 0; i < h->n_holders; i++)
		sketch_deinit(&h->holders[i].held);
	for (size_t i = 0; i < h->n_loops; i++) {
		sketch_deinit(&h->loops[i].lag);
		sketch_deinit(&h->loops[i].ready);
		curve_deinit(&h->loops[i].curve);
	}
	addrmap_deinit(&x->texts);
	addrmap_deinit(&x->holders);
	addrmap_deinit(&x->stacks);
	addrmap_deinit(&x->groups);
	addrmap_deinit(&x->loops);
	addrmap_deinit(&x->holder_hosts);
	addrmap_deinit(&x->stalls);
	addrmap_deinit(&x->modules);
	free(x->text);
	free(x->states);
	free(x);
	free(h->files);
	free(h->holders);
	free(h->stalls);
	free(h->stacks);
	free(h->groups);
	free(h->loops);
	free(h->hosts);
	free(h->modules);
	arena_deinit(&h->arena);
}

/* ---- texts ----------------------------------------------------------------------------------- */

const char *history_text(struct history *h, const char *text)
{
	struct history_index *x = h->index;
	cleanup_strbuf struct strbuf safe = STRBUF_INIT;
	uint64_t hash;

	if (!text)
		return NULL;
	utf8_add_safe(&safe, text, strlen(text), HISTORY_MAX_TEXT);
	hash = mix_text(FNV_BASIS, safe.data);
	for (unsigned i = 0; i < PROBES; i++, hash++) {
		uint32_t at = addrmap_get(&x->texts, hash);

		if (at == ADDRMAP_NONE)
			break;
		if (!strcmp(x->text[at], safe.data))
			return x->text[at];
	}
	if (x->text_bytes + safe.len > HISTORY_MAX_TEXTS) {
		h->left_out++;
		return "";
	}
	x->text_bytes += safe.len;
	addrmap_put(&x->texts, hash, (uint32_t)x->n_text);
	return *array_push(&x->text, &x->n_text, &x->text_cap) =
		       arena_strndup(&h->arena, safe.data, safe.len);
}

static uint32_t left_out(struct history *h)
{
	h->left_out++;
	return HISTORY_NONE;
}

/* ---- find or make ---------------------------------------------------------------------------- */

/* Texts are shared, so equal ones are one pointer. */
static bool is_holder(const struct holder *a, const char *fingerprint)
{
	return a->fingerprint == fingerprint;
}

uint32_t history_holder(struct history *h, const char *fingerprint)
{
	const char *print_of = history_text(h, fingerprint);
	uint64_t key = mix_text(FNV_BASIS, print_of);
	uint32_t at = ADDRMAP_NONE, probes;

	for (probes = 0; probes < PROBES; probes++, key++) {
		at = addrmap_get(&h->index->holders, key);
		if (at == ADDRMAP_NONE || is_holder(&h->holders[at], print_of))
			break;
	}
	if (probes == PROBES || (at == ADDRMAP_NONE && h->n_holders == HISTORY_MAX_HOLDERS))
		return left_out(h);
	if (at != ADDRMAP_NONE)
		return at;
	at = (uint32_t)h->n_holders;
	addrmap_put(&h->index->holders, key, at);
	*array_push(&h->holders, &h->n_holders, &h->index->holders_cap) = (struct holder){
		.fingerprint = print_of, .first = NAN, .last = NAN, .worst = HISTORY_NONE};
	return at;
}

static bool is_loop(const struct history_loop *a, const struct origin *o, const char *id)
{
	return a->id == id && a->host == o->host && a->pid == o->pid && a->command == o->command;
}

static uint32_t make_loop(struct history *h, const struct origin *o, const char *id)
{
	struct history_index *x = h->index;
	size_t n = h->n_loops;

	if (n == HISTORY_MAX_LOOPS)
		return left_out(h);
	*array_push(&x->states, &n, &x->states_cap) =
		(struct loop_state){.first = NAN, .last = NAN};
	*array_push(&h->loops, &h->n_loops, &x->loops_cap) =
		(struct history_loop){.host = o->host,
				      .id = id,
				      .pid = o->pid,
				      .command = o->command,
				      .thread = -1,
				      .first = NAN,
				      .last = NAN,
				      .tasks_first = -1,
				      .tasks_last = -1,
				      .tasks_most = -1,
				      .ready_last = -1,
				      .queued_last = -1,
				      .lag_s = NAN};
	return (uint32_t)h->n_loops - 1;
}

uint32_t history_loop_of(struct history *h, const struct origin *o, const char *id)
{
	const char *name = history_text(h, id);
	uint64_t key = mix_text(mix_text(mix_text(FNV_BASIS, o->host), o->command), name);
	struct history_loop *loop;
	uint32_t at = ADDRMAP_NONE, probes;

	key = mix_number(key, o->pid);
	for (probes = 0; probes < PROBES; probes++, key++) {
		at = addrmap_get(&h->index->loops, key);
		if (at == ADDRMAP_NONE || is_loop(&h->loops[at], o, name))
			break;
	}
	if (probes == PROBES)
		return left_out(h);
	if (at == ADDRMAP_NONE) {
		at = make_loop(h, o, name);
		if (at == HISTORY_NONE)
			return at;
		addrmap_put(&h->index->loops, key, at);
	}
	loop = &h->loops[at];
	loop->python = o->python;
	loop->container = o->container;
	loop->labels = o->labels;
	return at;
}

static bool is_stack(const struct history_stack *a, const struct history_frame *frames, uint32_t n)
{
	if (a->n != n)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (a->frames[i].function != frames[i].function ||
		    a->frames[i].file != frames[i].file || a->frames[i].line != frames[i].line)
			return false;
	return true;
}

uint32_t history_stack_of(struct history *h, const struct history_frame *frames, uint32_t n)
{
	uint64_t key = FNV_BASIS;
	struct history_frame *copy;
	uint32_t at = ADDRMAP_NONE, probes;

	for (uint32_t i = 0; i < n; i++)
		key = mix_number(mix_text(mix_text(key, frames[i].function), frames[i].file),
				 frames[i].line);
	for (probes = 0; probes < PROBES; probes++, key++) {
		at = addrmap_get(&h->index->stacks, key);
		if (at == ADDRMAP_NONE || is_stack(&h->stacks[at], frames, n))
			break;
	}
	if (probes == PROBES || (at == ADDRMAP_NONE && h->n_stacks == HISTORY_MAX_STACKS))
		return left_out(h);
	if (at != ADDRMAP_NONE)
		return at;
	copy = arena_alloc(&h->arena, n * sizeof(*copy) + 1);
	memcpy(copy, frames, n * sizeof(*copy));
	addrmap_put(&h->index->stacks, key, (uint32_t)h->n_stacks);
	*array_push(&h->stacks, &h->n_stacks, &h->index->stacks_cap) =
		(struct history_stack){copy, n};
	return (uint32_t)h->n_stacks - 1;
}

static bool is_group(const struct history_group *a, uint32_t loop, uint32_t stack,
		     const struct history_group *like)
{
	return a->loop == loop && a->stack == stack && a->title == like->title &&
	       a->state == like->state && a->function == like->function && a->file == like->file &&
	       a->line == like->line;
}

struct history_group *history_group_of(struct history *h, uint32_t loop, uint32_t stack,
				       const struct history_group *like)
{
	uint64_t key = mix_number(mix_number(FNV_BASIS, loop), stack);
	uint32_t at = ADDRMAP_NONE, probes;

	key = mix_text(mix_text(mix_text(key, like->title), like->state), like->function);
	key = mix_number(mix_text(key, like->file), like->line);
	for (probes = 0; probes < PROBES; probes++, key++) {
		at = addrmap_get(&h->index->groups, key);
		if (at == ADDRMAP_NONE || is_group(&h->groups[at], loop, stack, like))
			break;
	}
	if (probes == PROBES || (at == ADDRMAP_NONE && h->n_groups == HISTORY_MAX_GROUPS)) {
		left_out(h);
		return NULL;
	}
	if (at != ADDRMAP_NONE)
		return &h->groups[at];
	addrmap_put(&h->index->groups, key, (uint32_t)h->n_groups);
	*array_push(&h->groups, &h->n_groups, &h->index->groups_cap) = *like;
	h->groups[h->n_groups - 1].loop = loop;
	h->groups[h->n_groups - 1].stack = stack;
	return &h->groups[h->n_groups - 1];
}

struct history_module *history_module_of(struct history *h, enum history_module_kind kind,
					 const char *name)
{
	const char *known = history_text(h, name);
	uint64_t key = mix_number(mix_text(FNV_BASIS, known), (int64_t)kind);
	uint32_t at = ADDRMAP_NONE, probes;

	for (probes = 0; probes < PROBES; probes++, key++) {
		at = addrmap_get(&h->index->modules, key);
		if (at == ADDRMAP_NONE ||
		    (h->modules[at].name == known && h->modules[at].kind == kind))
			break;
	}
	if (probes == PROBES || (at == ADDRMAP_NONE && h->n_modules == HISTORY_MAX_MODULES)) {
		h->whole[kind] = false;
		left_out(h);
		return NULL;
	}
	if (at != ADDRMAP_NONE)
		return &h->modules[at];
	addrmap_put(&h->index->modules, key, (uint32_t)h->n_modules);
	*array_push(&h->modules, &h->n_modules, &h->index->modules_cap) = (struct history_module){
		.kind = kind, .name = known, .modified = NAN, .bytes = -1, .started = NAN};
	return &h->modules[h->n_modules - 1];
}

uint32_t history_host(struct history *h, const char *host)
{
	size_t i = h->n_hosts;

	/* the same as the last one, as a rule */
	while (i-- > 0)
		if (h->hosts[i] == host)
			return (uint32_t)i;
	*array_push(&h->hosts, &h->n_hosts, &h->index->hosts_cap) = host;
	return (uint32_t)h->n_hosts - 1;
}

/* ---- stalls ---------------------------------------------------------------------------------- */

static void count_holder(struct history *h, const struct history_stall *s, uint32_t at)
{
	struct holder *holder = &h->holders[s->holder];
	uint32_t host = history_host(h, h->loops[s->loop].host);

	sketch_add(&holder->held, s->held_s);
	if (!(holder->first <= s->time))
		holder->first = s->time;
	if (!(holder->last >= s->time))
		holder->last = s->time;
	holder->n_hosts += addrmap_add(&h->index->holder_hosts, (uint64_t)s->holder << 32 | host);
	if (at != HISTORY_NONE &&
	    (holder->worst == HISTORY_NONE || s->held_s > h->stalls[holder->worst].held_s))
		holder->worst = at;
}

/* 20 ms of one loop; never 0. */
static uint64_t slot_of(const struct history_stall *s, int64_t offset)
{
	return (uint64_t)((int64_t)(s->time * 50) + offset) << 13 ^ (s->loop + 1);
}

/* One that another file has too: two recordings of one process, or one that was given twice. */
static struct history_stall *find_twin(struct history *h, const struct history_stall *s)
{
	static const double same_s = 0.01;
	double most; /* one begins when the one before is over */

	for (int64_t offset = -1; offset <= 1 && !isnan(s->time); offset++) {
		uint32_t at = addrmap_get(&h->index->stalls, slot_of(s, offset));
		struct history_stall *twin = at == ADDRMAP_NONE ? NULL : &h->stalls[at];

		if (!twin || twin->loop != s->loop)
			continue;
		most = fmin(same_s, fmin(twin->held_s, s->held_s) / 2);
		if (fabs(twin->time - s->time) < most)
			return twin;
	}
	return NULL;
}

/* What one file saw for longer than the other counts; its length in quantiles is the first's. */
static void join_twin(struct history *h, struct history_stall *twin, const struct history_stall *s)
{
	struct sketch *held = &h->holders[twin->holder].held;

	if (s->held_s <= twin->held_s)
		return;
	held->sum += s->held_s - twin->held_s;
	held->max = fmax(held->max, s->held_s);
	h->loops[s->loop].held_s += s->held_s - twin->held_s;
	twin->held_s = s->held_s;
	twin->held_at_most_s = s->held_at_most_s;
	twin->over |= s->over;
}

void history_add_stall(struct history *h, const struct history_stall *s)
{
	struct history_stall *twin;
	uint32_t at = HISTORY_NONE;

	if (s->holder == HISTORY_NONE || s->loop == HISTORY_NONE)
		return;
	twin = find_twin(h, s);
	if (twin) {
		join_twin(h, twin, s);
		return;
	}
	if (h->n_stalls == HISTORY_MAX_STALLS) {
		h->left_out++;
	} else {
		at = (uint32_t)h->n_stalls;
		*array_push(&h->stalls, &h->n_stalls, &h->index->stalls_cap) = *s;
		if (!isnan(s->time))
			addrmap_put(&h->index->stalls, slot_of(s, 0), at);
	}
	h->loops[s->loop].held_s += s->held_s;
	h->loops[s->loop].stalls++;
	count_holder(h, s, at);
}

int64_t history_group_now(const struct history *h, const struct history_group *g)
{
	return g->seen == h->loops[g->loop].snapshot ? g->last : 0;
}

/* ---- sums ------------------------------------------------------------------------------------ */

static int by_held(const void *a, const void *b, void *data)
{
	const struct history *h = data;
	const struct holder *x = &h->holders[*(const uint32_t *)a];
	const struct holder *y = &h->holders[*(const uint32_t *)b];

	if (x->held.sum != y->held.sum)
		return x->held.sum < y->held.sum ? 1 : -1;
	return strcmp(x->fingerprint, y->fingerprint);
}

uint32_t *history_rank(const struct history *h)
{
	uint32_t *rank = mem_alloc((h->n_holders + 1) * sizeof(*rank));

	for (size_t i = 0; i < h->n_holders; i++)
		rank[i] = (uint32_t)i;
	/* qsort_r() does not write to what it hands on */
	qsort_r(rank, h->n_holders, sizeof(*rank), by_held, (void *)(uintptr_t)h);
	return rank;
}

double history_held(const struct history *h)
{
	double sum = 0;

	for (size_t i = 0; i < h->n_holders; i++)
		sum += h->holders[i].held.sum;
	return sum;
}

double history_observed(const struct history *h)
{
	double sum = 0;

	for (size_t i = 0; i < h->n_loops; i++)
		sum += h->loops[i].observed_s;
	return sum;
}

struct sketch history_lag(const struct history *h)
{
	struct sketch all = {0};

	for (size_t i = 0; i < h->n_loops; i++)
		sketch_merge(&all, &h->loops[i].lag);
	return all;
}
