/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stopped.c - what a stop copied, as memory to be read and as a part of a recording
 */
#include <string.h>

#include "source_private.h"
#include "stallscope/arena.h"

/* Puts copied bytes in place of what is read of their pages, which must be readable whole. */
static void lay_over(struct source *src, uint64_t addr, const char *data, size_t len)
{
	while (len) {
		size_t part = SOURCE_PAGE - addr % SOURCE_PAGE;
		char byte;

		part = part < len ? part : len;
		if (source_read(src, addr, &byte, 1, NULL))
			pages_patch(&src->pages, addr, data, part);
		addr += part;
		data += part;
		len -= part;
	}
}

struct source *source_of_stop(struct source *src, const struct stop *stop)
{
	struct source *ret = source_again(src);

	for (size_t i = 0; i < stop->n_threads; i++)
		lay_over(ret, stop->threads[i].sp, stop->threads[i].stack,
			 stop->threads[i].stack_len);
	for (size_t i = 0; i < stop->n_copies; i++)
		lay_over(ret, stop->copies[i].address, stop->copies[i].data, stop->copies[i].len);
	ret->pages.n_picture = ret->pages.n_slots;
	return ret;
}

bool source_core_registers(struct source *src, int32_t tid, struct source_registers *ret,
			   struct error *err)
{
	const struct source_ops *ops = src->backend->ops;

	if (ops->registers && ops->registers(src->backend->self, tid, ret))
		return true;
	return error_set(err, ERR_ABSENT, "the registers of thread %d are not known", (int)tid);
}

bool source_socket(struct source *src, int fd, struct source_socket *ret, struct error *err)
{
	const struct source_ops *ops = src->backend->ops;

	if (!ops->socket)
		return error_set(err, ERR_ABSENT, "a recording has no descriptors");
	return ops->socket(src->backend->self, fd, ret, err);
}

void source_keep_stopped(struct source *src, const struct stop_thread *thread, const uint8_t *used)
{
	uint64_t first = (thread->sp + QUARTER - 1) / QUARTER;
	uint64_t end = (thread->sp + thread->stack_len) / QUARTER;
	struct source_registers *r;
	char head[QUARTER];

	r = array_push(&src->stopped, &src->n_stopped, &src->stopped_cap);
	r->tid = thread->tid;
	r->n = thread->n_registers;
	memcpy(r->v, thread->registers, sizeof(r->v));
	if (!thread->stack_len) /* then the stack pointer may be anything, up to the last byte */
		return;
	/* what lies below the stack pointer in its quarter was not copied */
	if (first < end && first * QUARTER != thread->sp &&
	    source_now(src, (first - 1) * QUARTER, head, QUARTER)) {
		size_t below = thread->sp % QUARTER;

		memcpy(head + below, thread->stack, QUARTER - below);
		pages_put_quarter(&src->pages, (first - 1) * QUARTER, head);
	}
	for (uint64_t q = first; q < end; q++) {
		uint64_t addr = q * QUARTER;

		if (used[stop_quarter(thread, addr)])
			pages_put_quarter(&src->pages, addr, thread->stack + (addr - thread->sp));
	}
}

const struct source_registers *source_stopped(const struct source *src, int32_t tid)
{
	for (size_t i = 0; i < src->n_stopped; i++)
		if (src->stopped[i].tid == tid)
			return &src->stopped[i];
	return NULL;
}
