/* SPDX-License-Identifier: Apache-2.0 */
/*
 * callmatrix: which system calls notice that their thread was stopped for a moment. Each call
 * sleeps in two processes, until its timeout or until somebody ends it; the thread of one of them
 * is stopped once. Writes a line of JSON for each: what the call gave and how long it took, without
 * and with the stop, and why native_notices() would not have had it stopped (null: it would).
 *
 * callmatrix auto: ten times a second, and only where native_notices() allows it, as somebody does
 * who looks again and again with --native auto.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stallscope/arena.h"
#include "stallscope/native.h"

#define LASTS_MS  1200 /* each call */
#define STOP_MS	  150  /* after its begin */
#define PERIOD_MS 100
#define ROUNDS	  10u

/* What a call needs: made before its helper is forked, so that both have it. */
struct world {
	int a, b, semaphores, messages; /* ids of System V: -1 none */
	unsigned *word;			/* shared */
	sem_t *sem;			/* likewise */
	mqd_t mq;
	aio_context_t aio;
	char path[64], buf[128 << 10];
};

static const struct timespec lasts = {LASTS_MS / 1000, LASTS_MS % 1000 * 1000000L};

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static const struct timespec *until(clockid_t clock)
{
	static struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += lasts.tv_sec + (ts.tv_nsec + lasts.tv_nsec) / 1000000000;
	ts.tv_nsec = (ts.tv_nsec + lasts.tv_nsec) % 1000000000;
	return &ts;
}

static void nothing(int number)
{
	(void)number;
}

/* ---- what the calls are made with ---------------------------------------------------------- */

static void make_pipe(struct world *w)
{
	int fds[2];

	if (!pipe(fds)) {
		w->a = fds[0];
		w->b = fds[1];
	}
}

static void fill(int fd)
{
	char chunk[4096] = {0};
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = write(fd, chunk, sizeof(chunk))) > 0)
		;
	fcntl(fd, F_SETFL, 0);
}

static void make_sockets(struct world *w, int option)
{
	struct timeval tv = {lasts.tv_sec, lasts.tv_nsec / 1000};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
		return;
	w->a = fds[0];
	w->b = fds[1];
	if (option)
		setsockopt(w->a, SOL_SOCKET, option, &tv, sizeof(tv));
}

static void make_packets(struct world *w)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds))
		return;
	w->a = fds[0];
	w->b = fds[1];
}

/* Room for less than is sent. */
static void make_small(struct world *w)
{
	int size = 8192;

	make_sockets(w, 0);
	setsockopt(w->a, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

/* Takes what comes, until nothing has come for a while. */
static long drain(struct world *w)
{
	struct pollfd p = {w->b, POLLIN, 0};

	while (poll(&p, 1, 100) > 0 && recv(w->b, w->buf, sizeof(w->buf), 0) > 0)
		;
	return 0;
}

/* A listener without room, or w->a one of its clients to be. */
static void make_listener(struct world *w, int option, bool full)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct timeval tv = {lasts.tv_sec, lasts.tv_nsec / 1000};
	int client;

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", w->path);
	w->b = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(w->b, (struct sockaddr *)&name, sizeof(name));
	listen(w->b, 0);
	if (full) {
		client = socket(AF_UNIX, SOCK_STREAM, 0);
		connect(client, (struct sockaddr *)&name, sizeof(name));
	}
	w->a = full ? socket(AF_UNIX, SOCK_STREAM, 0) : w->b;
	if (option)
		setsockopt(w->a, SOL_SOCKET, option, &tv, sizeof(tv));
}

static long connect_to(const struct world *w)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = w->a == w->b ? socket(AF_UNIX, SOCK_STREAM, 0) : w->a;

	snprintf(name.sun_path, sizeof(name.sun_path), "%s", w->path);
	return connect(fd, (struct sockaddr *)&name, sizeof(name));
}

static void make_epoll(struct world *w)
{
	struct epoll_event e = {.events = EPOLLIN};
	int p;

	make_pipe(w);
	p = epoll_create1(0);
	epoll_ctl(p, EPOLL_CTL_ADD, w->a, &e);
	w->a = p;
}

static void make_timer(struct world *w)
{
	struct itimerspec ts = {.it_value = lasts};

	w->a = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(w->a, 0, &ts, NULL);
}

static void make_signal(struct world *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->a = signalfd(-1, &set, 0);
}

static long wait_signal(bool timed)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	return sigtimedwait(&set, NULL, timed ? &lasts : NULL);
}

static void make_uring(struct world *w)
{
	struct io_uring_params p = {0};

	w->a = (int)syscall(SYS_io_uring_setup, 4, &p);
}

static long wait_uring(struct world *w)
{
	struct timespec ts = lasts;
	struct io_uring_getevents_arg arg = {.ts = (uint64_t)(uintptr_t)&ts};

	return syscall(SYS_io_uring_enter, w->a, 0, 1,
		       IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
}

static long futex(struct world *w, int op, unsigned value, const struct timespec *ts, unsigned mask)
{
	return syscall(SYS_futex, w->word, op, value, ts, NULL, mask);
}

/* A process that has the lock for as long as the call is to last. */
static void lock_file(struct world *w, bool record)
{
	struct flock l = {.l_type = F_WRLCK};
	char byte;
	int fd;

	make_pipe(w);
	if (!fork()) {
		fd = open(w->path, O_RDWR | O_CREAT, 0600);
		if (record)
			fcntl(fd, F_SETLK, &l);
		else
			flock(fd, LOCK_EX);
		if (write(w->b, "x", 1) == 1)
			nanosleep(&lasts, NULL);
		_exit(0);
	}
	if (read(w->a, &byte, 1) != 1)
		_exit(1);
}

static long wait_lock(struct world *w, bool record)
{
	struct flock l = {.l_type = F_WRLCK};
	int fd = open(w->path, O_RDWR | O_CREAT, 0600);

	return record ? fcntl(fd, F_SETLKW, &l) : flock(fd, LOCK_EX);
}

static long lower(struct world *w, const struct timespec *ts)
{
	struct sembuf one = {0, -1, 0};

	return ts ? semtimedop(w->semaphores, &one, 1, ts) : semop(w->semaphores, &one, 1);
}

static long raise_it(struct world *w)
{
	struct sembuf one = {0, 1, 0};

	return semop(w->semaphores, &one, 1);
}

static void make_mq(struct world *w)
{
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};

	snprintf(w->path, sizeof(w->path), "/callmatrix-%d", (int)getpid());
	w->mq = mq_open(w->path, O_RDWR | O_CREAT, 0600, &attr);
	mq_unlink(w->path);
}

static void make_first(struct world *w)
{
	make_sockets(w, 0);
	if (write(w->b, "x", 1) != 1)
		_exit(1);
}

static long receive_all(struct world *w)
{
	return recv(w->a, w->buf, 10, MSG_WAITALL);
}

static long receive_msg(struct world *w)
{
	struct iovec v = {w->buf, 10};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};

	return recvmsg(w->a, &m, 0);
}

static long read_vector(struct world *w)
{
	struct iovec v = {w->buf, 10};

	return readv(w->a, &v, 1);
}

static long send_message(struct world *w)
{
	struct {
		long type;
		char text[8];
	} m = {1, ""};

	return msgsnd(w->messages, &m, 1, 0);
}

static long receive_many(struct world *w)
{
	struct iovec v = {w->buf, 10};
	struct mmsghdr m[2] = {{.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}},
			       {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}}};

	return recvmmsg(w->a, m, 2, 0, NULL);
}

static long poll_it(struct world *w, int ms)
{
	struct pollfd p = {w->a, POLLIN, 0};

	return poll(&p, 1, ms);
}

static long ppoll_it(struct world *w, const struct timespec *ts)
{
	struct pollfd p = {w->a, POLLIN, 0};

	return ppoll(&p, 1, ts, NULL);
}

static long select_it(struct world *w, bool timed)
{
	struct timeval tv = {lasts.tv_sec, lasts.tv_nsec / 1000};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(w->a, &set);
	return select(w->a + 1, &set, NULL, NULL, timed ? &tv : NULL);
}

static long epoll_it(struct world *w, int ms, bool masked)
{
	struct epoll_event e;
	sigset_t none;

	sigemptyset(&none);
	return masked ? epoll_pwait(w->a, &e, 1, ms, &none) : epoll_wait(w->a, &e, 1, ms);
}

static long child(struct world *w, bool by_id)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)w;
	if (!pid) {
		nanosleep(&lasts, NULL);
		_exit(0);
	}
	if (by_id)
		return waitid(P_PID, (id_t)pid, &info, WEXITED);
	return wait4(pid, NULL, 0, NULL) == pid;
}

static long suspend_it(void)
{
	sigset_t none;

	sigemptyset(&none);
	return sigsuspend(&none);
}

static long aio_events(struct world *w, const struct timespec *ts)
{
	struct io_event e;
	struct timespec copy = ts ? *ts : lasts;

	return syscall(SYS_io_getevents, w->aio, 1, 1, &e, ts ? &copy : NULL);
}

/* ---- the calls ----------------------------------------------------------------------------- */

#define BYTE   (write(w->b, "x", 1))
#define SIGNAL (kill(getppid(), SIGUSR1))

/* X(name, what to make, the call, how the helper ends it: 0 not at all) */
#define CASES(X)                                                                                   \
	X(poll, make_pipe(w), poll_it(w, -1), BYTE)                                                \
	X(poll_timed, make_pipe(w), poll_it(w, LASTS_MS), 0)                                       \
	X(ppoll, make_pipe(w), ppoll_it(w, NULL), BYTE)                                            \
	X(ppoll_timed, make_pipe(w), ppoll_it(w, &lasts), 0)                                       \
	X(select, make_pipe(w), select_it(w, false), BYTE)                                         \
	X(select_timed, make_pipe(w), select_it(w, true), 0)                                       \
	X(epoll_wait, make_epoll(w), epoll_it(w, -1, false), BYTE)                                 \
	X(epoll_wait_timed, make_epoll(w), epoll_it(w, LASTS_MS, false), 0)                        \
	X(epoll_pwait, make_epoll(w), epoll_it(w, -1, true), BYTE)                                 \
	X(epoll_pwait_timed, make_epoll(w), epoll_it(w, LASTS_MS, true), 0)                        \
	X(nanosleep, (void)w, nanosleep(&lasts, NULL), 0)                                          \
	X(clock_nanosleep, (void)w, clock_nanosleep(CLOCK_MONOTONIC, 0, &lasts, NULL), 0)          \
	X(clock_nanosleep_abs, (void)w,                                                            \
	  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, until(CLOCK_MONOTONIC), NULL), 0)        \
	X(futex_wait, (void)w, futex(w, FUTEX_WAIT, 0, NULL, 0), futex(w, FUTEX_WAKE, 1, NULL, 0)) \
	X(futex_wait_timed, (void)w, futex(w, FUTEX_WAIT, 0, &lasts, 0), 0)                        \
	X(futex_bitset, (void)w, futex(w, FUTEX_WAIT_BITSET, 0, NULL, ~0u),                        \
	  futex(w, FUTEX_WAKE, 1, NULL, 0))                                                        \
	X(futex_bitset_timed, (void)w,                                                             \
	  futex(w, FUTEX_WAIT_BITSET, 0, until(CLOCK_MONOTONIC), ~0u), 0)                          \
	X(sem_wait, (void)w, sem_wait(w->sem), sem_post(w->sem))                                   \
	X(sem_timedwait, (void)w, sem_timedwait(w->sem, until(CLOCK_REALTIME)), 0)                 \
	X(read_pipe, make_pipe(w), read(w->a, w->buf, 10), BYTE)                                   \
	X(readv_pipe, make_pipe(w), read_vector(w), BYTE)                                          \
	X(read_pty, (void)!openpty(&w->b, &w->a, NULL, NULL, NULL), read(w->a, w->buf, 10),        \
	  write(w->b, "x\n", 2))                                                                   \
	X(read_eventfd, w->a = w->b = eventfd(0, 0), read(w->a, w->buf, 8),                        \
	  write(w->b, "1234567", 8))                                                               \
	X(read_timerfd, make_timer(w), read(w->a, w->buf, 8), 0)                                   \
	X(read_signalfd, make_signal(w), read(w->a, w->buf, sizeof(struct signalfd_siginfo)),      \
	  kill(getppid(), SIGUSR2))                                                                \
	X(read_inotify,                                                                            \
	  (w->a = inotify_init(), close(open(w->path, O_CREAT | O_RDWR, 0600)),                    \
	   inotify_add_watch(w->a, w->path, IN_ATTRIB)),                                           \
	  read(w->a, w->buf, 4096), chmod(w->path, 0644))                                          \
	X(read_socket, make_sockets(w, 0), read(w->a, w->buf, 10), BYTE)                           \
	X(read_socket_option, make_sockets(w, SO_RCVTIMEO), read(w->a, w->buf, 10), 0)             \
	X(recv, make_sockets(w, 0), recv(w->a, w->buf, 10, 0), BYTE)                               \
	X(recv_option, make_sockets(w, SO_RCVTIMEO), recv(w->a, w->buf, 10, 0), 0)                 \
	X(recv_all, make_first(w), receive_all(w), write(w->b, "123456789", 9))                    \
	X(recvmsg, make_sockets(w, 0), receive_msg(w), BYTE)                                       \
	X(recvmsg_option, make_sockets(w, SO_RCVTIMEO), receive_msg(w), 0)                         \
	X(recvmmsg, make_packets(w), receive_many(w), BYTE + BYTE)                                 \
	X(send, (make_sockets(w, 0), fill(w->a)), send(w->a, w->buf, 10, 0), drain(w))             \
	X(send_half, make_small(w), send(w->a, w->buf, sizeof(w->buf), 0), drain(w))               \
	X(send_option, (make_sockets(w, SO_SNDTIMEO), fill(w->a)), send(w->a, w->buf, 10, 0), 0)   \
	X(write_full, (make_pipe(w), fill(w->b)), write(w->b, w->buf, 10),                         \
	  read(w->a, w->buf, 8192))                                                                \
	X(write_half, make_pipe(w), write(w->b, w->buf, 100000), read(w->a, w->buf, 100000))       \
	X(accept, make_listener(w, 0, false), accept(w->a, NULL, NULL) > 0, connect_to(w))         \
	X(accept_option, make_listener(w, SO_RCVTIMEO, false), accept(w->a, NULL, NULL), 0)        \
	X(connect, make_listener(w, 0, true), connect_to(w), accept(w->b, NULL, NULL))             \
	X(connect_option, make_listener(w, SO_SNDTIMEO, true), connect_to(w), 0)                   \
	X(flock, lock_file(w, false), wait_lock(w, false), 0)                                      \
	X(setlkw, lock_file(w, true), wait_lock(w, true), 0)                                       \
	X(sigsuspend, signal(SIGUSR1, nothing), suspend_it(), SIGNAL)                              \
	X(pause, signal(SIGUSR1, nothing), pause(), SIGNAL)                                        \
	X(sigwaitinfo, make_signal(w), wait_signal(false), kill(getppid(), SIGUSR2))               \
	X(sigtimedwait, make_signal(w), wait_signal(true), 0)                                      \
	X(semop, w->semaphores = semget(IPC_PRIVATE, 1, 0600), lower(w, NULL), raise_it(w))        \
	X(semtimedop, w->semaphores = semget(IPC_PRIVATE, 1, 0600), lower(w, &lasts), 0)           \
	X(msgrcv, w->messages = msgget(IPC_PRIVATE, 0600), msgrcv(w->messages, w->buf, 10, 0, 0),  \
	  send_message(w))                                                                         \
	X(mq_receive, make_mq(w), mq_receive(w->mq, w->buf, 8, NULL), mq_send(w->mq, "x", 1, 0))   \
	X(mq_timedreceive, make_mq(w),                                                             \
	  mq_timedreceive(w->mq, w->buf, 8, NULL, until(CLOCK_REALTIME)), 0)                       \
	X(wait4, (void)w, child(w, false), 0)                                                      \
	X(waitid, (void)w, child(w, true), 0)                                                      \
	X(open_fifo, (void)!mkfifo(w->path, 0600), open(w->path, O_RDONLY) > 0,                    \
	  open(w->path, O_WRONLY))                                                                 \
	X(splice, make_pipe(w), splice(w->a, NULL, open("/dev/null", O_WRONLY), NULL, 10, 0),      \
	  BYTE)                                                                                    \
	X(io_getevents_timed, syscall(SYS_io_setup, 4, &w->aio), aio_events(w, &lasts), 0)         \
	X(io_uring_enter, make_uring(w), wait_uring(w), 0)

#define DEFINE(name, make, call, wake)                  \
	static void make_##name##_case(struct world *w) \
	{                                               \
		(void)w;                                \
		(void)(make);                           \
	}                                               \
	static long call_##name##_case(struct world *w) \
	{                                               \
		(void)w;                                \
		return (long)(call);                    \
	}                                               \
	static long wake_##name##_case(struct world *w) \
	{                                               \
		(void)w;                                \
		return (long)(wake);                    \
	}

CASES(DEFINE)

static const struct {
	const char *name;
	void (*make)(struct world *w);
	long (*call)(struct world *w);
	long (*wake)(struct world *w);
	bool helped;
} cases[] = {
#define ROW(name, make, call, wake) \
	{#name, make_##name##_case, call_##name##_case, wake_##name##_case, sizeof(#wake) > 2},
	CASES(ROW)};

#define N ARRAY_SIZE(cases)

/* ---- one process --------------------------------------------------------------------------- */

static struct outcome {
	int64_t begun, ns;
	long ret;
	int err;
	pid_t pid;
	char why[128];
	unsigned stops;
} * outcomes; /* of each case: left alone, stopped */

static void clean_up(const struct world *w)
{
	if (w->semaphores >= 0)
		semctl(w->semaphores, 0, IPC_RMID);
	if (w->messages >= 0)
		msgctl(w->messages, IPC_RMID, NULL);
	unlink(w->path);
}

_Noreturn static void run(size_t i, struct outcome *o)
{
	struct world *w = mem_zalloc(1, sizeof(*w));
	pid_t helper = 0;

	snprintf(w->path, sizeof(w->path), "/tmp/callmatrix-%d", (int)getpid());
	w->semaphores = w->messages = -1;
	w->word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	w->sem = (sem_t *)(void *)(w->word + 16);
	sem_init(w->sem, 1, 0);
	cases[i].make(w);
	if (cases[i].helped)
		helper = fork();
	if (cases[i].helped && !helper) {
		nanosleep(&lasts, NULL);
		_exit(cases[i].wake(w) < 0);
	}
	o->begun = now();
	o->ret = cases[i].call(w);
	o->err = o->ret < 0 ? errno : 0;
	o->ns = now() - o->begun;
	clean_up(w);
	_exit(0);
}

/* ---- the stop ------------------------------------------------------------------------------ */

static void stop_it(struct outcome *o, bool only_allowed)
{
	struct stop_request want = {
		.tids = &o->pid, .n_tids = 1, .registers = true, .stack = 65536};
	struct os_thread os;
	const char *why = "it ended before";
	struct source *src;
	struct stop *stop;
	struct error err;

	if (!source_open_live(o->pid, &src, &err))
		return;
	if (os_thread_read(src, o->pid, OS_SYSCALL, &os, NULL) && os.have_syscall)
		why = os.syscall.running ? NULL : native_notices(src, &os.syscall);
	snprintf(o->why, sizeof(o->why), "%s", why ? why : "");
	for (unsigned tries = 0; tries < 20 && !(only_allowed && why); tries++) {
		if (!source_stop(src, &want, &stop, &err))
			continue;
		stop_destroy(stop);
		o->stops++;
		break;
	}
	source_close(src);
}

static void print(size_t i)
{
	const struct outcome *plain = &outcomes[2 * i], *stopped = plain + 1;

	printf("{\"case\": \"%s\", \"why\": ", cases[i].name);
	printf(stopped->why[0] ? "\"%s\"" : "null", stopped->why);
	printf(", \"stops\": %u", stopped->stops);
	for (unsigned k = 0; k < 2; k++)
		printf(", \"%s\": [%ld, %d, %" PRId64 "]", k ? "with" : "without", plain[k].ret,
		       plain[k].err, plain[k].ns / 1000000);
	puts("}");
}

static void stop_all(bool automatic)
{
	struct timespec pause = {0, STOP_MS * 1000000L};

	for (unsigned round = 0; round < (automatic ? ROUNDS : 1); round++) {
		nanosleep(&pause, NULL);
		for (size_t i = 0; i < N; i++)
			stop_it(&outcomes[2 * i + 1], automatic);
		pause.tv_nsec = PERIOD_MS * 1000000L;
	}
}

int main(int argc, char **argv)
{
	struct timespec pause = {2 * lasts.tv_sec + 1, 0};

	outcomes = mmap(NULL, 2 * N * sizeof(*outcomes), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < 2 * N; i++) {
		pid_t pid = fork();

		if (!pid)
			run(i / 2, &outcomes[i]);
		outcomes[i].pid = pid;
	}
	stop_all(argc > 1 && !strcmp(argv[1], "auto"));
	nanosleep(&pause, NULL);
	for (size_t i = 0; i < 2 * N; i++) {
		kill(outcomes[i].pid, SIGKILL);
		waitpid(outcomes[i].pid, NULL, 0);
	}
	for (size_t i = 0; i < N; i++)
		print(i);
	return 0;
}
