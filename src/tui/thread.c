/* SPDX-License-Identifier: Apache-2.0 */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "stallscope/arena.h"

static void init_condition(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool thread_start(struct tui_thread *t, void *(*run)(void *), void *arg)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	sigset_t all, before;

	pthread_mutex_init(&t->lock, NULL);
	init_condition(&t->changed);
	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		sigdelset(&all, crashes[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	t->started = !pthread_create(&t->id, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return t->started;
}

void thread_ends(struct tui_thread *t)
{
	pthread_mutex_lock(&t->lock);
	t->ended = true;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

bool thread_end(struct tui_thread *t, int64_t until_ns)
{
	static const int64_t second = 1000000000;
	struct timespec ts = {until_ns / second, until_ns % second};
	bool ended;

	pthread_mutex_lock(&t->lock);
	while (t->started && !t->ended)
		if (pthread_cond_timedwait(&t->changed, &t->lock, &ts) == ETIMEDOUT)
			break;
	ended = t->ended || !t->started;
	pthread_mutex_unlock(&t->lock);
	if (!ended) {
		pthread_detach(t->id);
		return false;
	}
	if (t->started)
		pthread_join(t->id, NULL);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->changed);
	return true;
}
