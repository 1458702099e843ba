# SPDX-License-Identifier: Apache-2.0
"""Locks, queues and futures between threads and processes; sleeping; deadlocks; the GIL."""
import asyncio
import concurrent.futures
import os
import pdb
import queue
import re
import signal
import sys
import threading
import time

from stage import FOREVER, alone, background, begin, forked, kept, say, serve, settled, suffer


# ---- sleeping --------------------------------------------------------------------------------------

async def sleep():
    await settled()
    begin()
    time.sleep(40)


async def sleep_shortly():
    """Never long in one call: a wait by polling."""
    await settled()
    begin(span=2)
    for _ in FOREVER:
        time.sleep(0.001)


def back_off(seconds):
    begin()
    time.sleep(seconds)


async def sleep_in_helper():
    await settled()
    back_off(40)


async def pause():
    await settled()
    begin()
    signal.pause()


async def sigwait():
    await settled()
    begin()
    signal.sigwait([signal.SIGUSR1])


def sleeping_callback():
    begin()
    time.sleep(40)


async def callback():
    """No task holds the loop: a plain callback does."""
    await settled()
    asyncio.get_running_loop().call_soon(sleeping_callback)


async def timer_callback():
    await settled()
    asyncio.get_running_loop().call_later(0.05, sleeping_callback)


async def signal_callback():
    """A Python signal handler that runs in the loop's thread."""
    signal.signal(signal.SIGUSR1, lambda number, frame: sleeping_callback())
    await settled()
    os.kill(os.getpid(), signal.SIGUSR1)


class Slow:
    def __del__(self):
        begin()
        time.sleep(40)


async def finaliser():
    things = [Slow()]
    await settled()
    things.clear()


class Sleeping(asyncio.Protocol):
    def data_received(self, data):
        begin()
        time.sleep(40)


async def protocol():
    loop = asyncio.get_running_loop()
    server = kept(await loop.create_server(Sleeping, "127.0.0.1", 0))
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    kept(writer).write(b"hello")
    await asyncio.sleep(40)


async def generator():
    """Held in a synchronous generator inside an asynchronous one."""
    def rows():
        yield 1
        begin()
        time.sleep(40)
        yield 2

    async def stream():
        for row in rows():
            yield row

    await settled()
    async for _ in stream():
        pass


# ---- locks -----------------------------------------------------------------------------------------

def keep_lock(lock):
    lock.acquire()
    time.sleep(40)


async def lock_acquire():
    lock = threading.Lock()
    background(keep_lock, lock)
    await settled()
    begin()
    lock.acquire()


async def lock_with():
    lock = threading.Lock()
    background(keep_lock, lock)
    await settled()
    begin(span=2)
    with lock:
        pass


async def lock_timeout():
    lock = threading.Lock()
    background(keep_lock, lock)
    await settled()
    begin()
    lock.acquire(timeout=40)


async def rlock():
    lock = threading.RLock()
    background(keep_lock, lock)
    await settled()
    begin()
    lock.acquire()


async def condition():
    condition = threading.Condition()
    await settled()
    with condition:
        begin()
        condition.wait()


async def event():
    event = threading.Event()
    await settled()
    begin()
    event.wait()


async def event_timeout():
    event = threading.Event()
    await settled()
    begin()
    event.wait(40)


async def semaphore():
    semaphore = threading.Semaphore(0)
    await settled()
    begin()
    semaphore.acquire()


async def barrier():
    barrier = threading.Barrier(2)
    await settled()
    begin()
    barrier.wait()


async def join():
    thread = background(time.sleep, 40)
    await settled()
    begin()
    thread.join()


# ---- queues ----------------------------------------------------------------------------------------

async def queue_get():
    items = queue.Queue()
    await settled()
    begin()
    items.get()


async def queue_get_timeout():
    items = queue.Queue()
    await settled()
    begin()
    items.get(timeout=40)


async def queue_put():
    items = queue.Queue(1)
    items.put(1)
    await settled()
    begin()
    items.put(2)


async def queue_join():
    items = queue.Queue()
    items.put(1)
    await settled()
    begin()
    items.join()


async def simple_queue():
    items = queue.SimpleQueue()
    await settled()
    begin()
    items.get()


def fork_context():
    import multiprocessing
    return multiprocessing.get_context("fork")


async def process_queue():
    items = fork_context().Queue()
    await settled()
    begin()
    items.get()


async def process_lock():
    lock = fork_context().Lock()
    lock.acquire()
    await settled()
    begin()
    lock.acquire()


async def process_event():
    event = fork_context().Event()
    await settled()
    begin()
    event.wait()


async def process_pool():
    pool = kept(fork_context().Pool(1))
    result = pool.apply_async(time.sleep, (40,))
    await settled()
    begin()
    result.get()


async def pipe_recv():
    ours, theirs = fork_context().Pipe()
    kept(theirs)
    await settled()
    begin()
    ours.recv()


# ---- futures ---------------------------------------------------------------------------------------

def pool(workers=2):
    return kept(concurrent.futures.ThreadPoolExecutor(workers))


async def future_result():
    future = pool().submit(time.sleep, 40)
    await settled()
    begin()
    future.result()


async def futures_wait():
    futures = [pool().submit(time.sleep, 40)]
    await settled()
    begin()
    concurrent.futures.wait(futures)


async def as_completed():
    futures = [pool().submit(time.sleep, 40)]
    await settled()
    begin()
    list(concurrent.futures.as_completed(futures))


async def executor_map():
    executor = pool()
    await settled()
    begin()
    list(executor.map(time.sleep, [40, 40]))


async def executor_exit():
    await settled()
    begin(span=2)
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        executor.submit(time.sleep, 40)


async def executor_shutdown():
    executor = pool()
    executor.submit(time.sleep, 40)
    await settled()
    begin()
    executor.shutdown()


async def process_executor():
    executor = kept(concurrent.futures.ProcessPoolExecutor(1, mp_context=fork_context()))
    future = executor.submit(time.sleep, 40)
    await settled()
    begin()
    future.result()


# ---- imports ---------------------------------------------------------------------------------------

def slow_module(text):
    from stage import temporary
    name = temporary("slow_module.py")
    with open(name, "w") as file:
        file.write(text)
    sys.path.append(os.path.dirname(name))


async def import_slow():
    slow_module("import time\ntime.sleep(40)\n")
    await settled()
    begin()
    import slow_module as _


async def import_locked():
    """Another thread is in the middle of importing the module."""
    slow_module("import time\ntime.sleep(40)\n")
    background(__import__, "slow_module")
    await settled(0.2)
    begin()
    import slow_module as _


# ---- debuggers -------------------------------------------------------------------------------------

def quiet_stdin():
    reading, writing = os.pipe()
    kept(writing)
    os.dup2(reading, 0)
    sys.stdin = open(0)


async def debugger():
    quiet_stdin()
    await settled()
    begin(span=2)
    pdb.set_trace()
    str()


async def debugger_tty():
    import pty
    ours, theirs = pty.openpty()
    kept(ours)
    os.dup2(theirs, 0)
    sys.stdin = open(0)
    await settled()
    begin(span=2)
    breakpoint()
    str()


# ---- loops in loops --------------------------------------------------------------------------------

async def nested_selector():
    """A second selector loop inside a callback, as the synchronous clients of many brokers have."""
    import selectors
    import socket
    ours, theirs = socket.socketpair()
    kept(theirs)
    selector = selectors.DefaultSelector()
    selector.register(ours, selectors.EVENT_READ)
    await settled()
    begin()
    selector.select()


async def nested_run():
    """run_until_complete() of another loop, with the running loop taken out of the way."""
    await settled()
    asyncio.events._set_running_loop(None)
    other = asyncio.new_event_loop()
    begin()
    other.run_until_complete(asyncio.sleep(40))


async def nested_new_thread():
    """The classic bridge: asyncio.run() in a thread, and the loop waits for it."""
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        await settled()
        begin()
        executor.submit(asyncio.run, asyncio.sleep(40)).result()


# ---- deadlocks -------------------------------------------------------------------------------------

async def answer():
    return 42


async def deadlock_future():
    """Waits on the loop's thread for what only the loop can do."""
    loop = asyncio.get_running_loop()
    await settled()
    begin(span=2)
    future = asyncio.run_coroutine_threadsafe(answer(), loop)
    future.result()


def ask_loop(loop):
    return asyncio.run_coroutine_threadsafe(answer(), loop)


async def deadlock_future_helper():
    loop = asyncio.get_running_loop()
    await settled()
    future = ask_loop(loop)
    begin()
    future.result()


async def deadlock_future_timeout():
    """It ends by its timeout: as good as dead until then, but not for ever."""
    loop = asyncio.get_running_loop()
    await settled()
    future = ask_loop(loop)
    begin()
    future.result(40)


async def deadlock_threads():
    """A thread holds the lock that the loop wants, and waits for the loop."""
    loop, lock, held = asyncio.get_running_loop(), threading.Lock(), threading.Event()
    go = threading.Event()

    def worker():
        with lock:
            held.set()
            go.wait()
            ask_loop(loop).result()

    background(worker)
    await loop.run_in_executor(None, held.wait)
    await settled()
    go.set()
    begin()
    lock.acquire()


async def deadlock_threads_with():
    loop, lock, held = asyncio.get_running_loop(), threading.RLock(), threading.Event()
    go = threading.Event()

    def worker():
        with lock:
            held.set()
            go.wait()
            ask_loop(loop).result()

    background(worker)
    await loop.run_in_executor(None, held.wait)
    await settled()
    go.set()
    begin(span=2)
    with lock:
        pass


async def ask_other(other, meet):
    """Both loops are held here at the same time; then each asks the other one and waits."""
    await settled()
    meet.wait()
    future = ask_loop(other)
    if threading.current_thread() is threading.main_thread():
        begin(span=2)
        future.result()
    future.result()


@alone
def deadlock_loops():
    loops = [asyncio.new_event_loop(), asyncio.new_event_loop()]
    meet = threading.Barrier(2)

    def run(loop, other):
        asyncio.set_event_loop(loop)
        loop.run_until_complete(ask_other(other, meet))

    background(run, loops[1], loops[0])
    run(loops[0], loops[1])


async def lock_of_busy_thread():
    """The same picture without the cycle: the holder waits for something else. No deadlock."""
    lock = threading.Lock()

    def worker():
        with lock:
            threading.Event().wait(40)

    background(worker)
    await settled()
    begin()
    lock.acquire()


async def result_of_other_loop():
    """Waits for another thread's loop, which is alive: STALLED, no proof of a deadlock."""
    other = asyncio.new_event_loop()
    background(other.run_forever)
    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(40), other)
    await settled()
    begin()
    future.result()


# ---- the GIL ---------------------------------------------------------------------------------------

CATASTROPHE = re.compile(r"(a+)+$"), "a" * 64 + "b"


def match_for_ever():
    begin()
    CATASTROPHE[0].match(CATASTROPHE[1])


async def gil_regex():
    """Another thread's regular expression keeps the GIL for ever."""
    await settled()
    background(match_for_ever)
    await asyncio.sleep(40)


async def gil_pow():
    await settled()

    def compute():
        begin()
        pow(3, 1 << 27)
    background(compute)
    await asyncio.sleep(40)


def spin_for_ever():
    for _ in FOREVER:
        pass


async def work(seconds):
    while True:
        for _ in range(2000):
            pass
        await asyncio.sleep(seconds)


async def gil_convoy(threads=4):
    """Four threads of pure Python, and a loop that has always something to do."""
    await settled()
    workers = kept([asyncio.ensure_future(work(0)) for _ in range(3)])
    for _ in range(threads):
        background(spin_for_ever)
    say()
    await asyncio.wait(workers)


async def gil_convoy_of_many():
    await gil_convoy(12)


# ---- several loops ---------------------------------------------------------------------------------

@alone
def two_loops():
    """The main thread's loop is well, the other one sleeps."""
    def other():
        asyncio.run(serve(sleep, ()))
    background(other)
    async def main():
        suffer()
        await asyncio.sleep(40)
    asyncio.run(main())


@alone
def loop_in_thread():
    """The main thread waits for the thread with the loop, as it should."""
    thread = background(lambda: asyncio.run(serve(sleep, ())))
    thread.join()


@alone
def two_healthy_loops():
    def run():
        async def main():
            suffer()
            await asyncio.sleep(40)
        asyncio.run(main())
    background(run)
    async def main():
        suffer()
        await settled()
        say()
        await asyncio.sleep(40)
    asyncio.run(main())


@alone
def forked_worker():
    """A pre-forked worker: the master waits, its child runs the loop that sleeps."""
    pid = os.fork()
    if pid == 0:
        from stage import bounded
        bounded()
        asyncio.run(serve(sleep, ()))
    os.waitpid(pid, 0)
