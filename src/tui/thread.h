/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.h - threads of the live view
 *
 * What such a thread looks at may keep it waiting, so nobody waits for it for ever: one that does
 * not end in time is left behind, with all that it uses.
 */
#ifndef STALLSCOPE_TUI_THREAD_H
#define STALLSCOPE_TUI_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct tui_thread {
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* timed waits are by CLOCK_MONOTONIC */
	bool started;
	bool ended; /* under the lock; set by thread_ends(), the last thing that the thread does */
};

/* All signals but those of crashes are blocked in it. False: it could not be started. */
bool thread_start(struct tui_thread *t, void *(*run)(void *), void *arg);
void thread_ends(struct tui_thread *t);

/*
 * Waits until it has ended, or until then (CLOCK_MONOTONIC, ns); it was told to before. False: it
 * has not, and goes on by itself: nothing that it uses may be freed.
 */
bool thread_end(struct tui_thread *t, int64_t until_ns);

#endif
