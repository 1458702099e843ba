# SPDX-License-Identifier: Apache-2.0
"""Loops that are well, busy, flooded or waited on: the pictures that a stall is to be told from."""
import asyncio
import functools
import gc
import os
import resource
import socket
import sys
import threading
import time

from stage import (alone, background, begin, dead_resolver, full_server, kept, load, say, serve, settled, silent_server,
                   suffer)


def spawn(count, function, *args):
    return kept([asyncio.ensure_future(function(*args)) for _ in range(count)])


async def rest():
    await asyncio.sleep(50)


def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


# ---- well --------------------------------------------------------------------------------------------

async def idle():
    say()
    await rest()


@alone
def bare():
    """One task, no timer but its own."""
    async def main():
        say()
        await asyncio.sleep(50)
    asyncio.run(main())


@alone
def for_ever():
    """run_forever() without a task."""
    loop = asyncio.new_event_loop()
    loop.call_later(0.05, say)
    loop.run_forever()


async def debug():
    asyncio.get_running_loop().set_debug(True)
    say()
    await rest()


async def after_a_stall():
    time.sleep(0.3)
    await settled()
    say()
    await rest()


async def short_holds():
    """20 ms each time: below what counts."""
    say()
    while True:
        time.sleep(0.02)
        await asyncio.sleep(0.05)


async def half_busy():
    await settled()
    say()
    while True:
        burn(0.005)
        await asyncio.sleep(0.005)


async def busy():
    """97 % in short callbacks: epoll sleeps a millisecond at least."""
    await settled()
    say()
    while True:
        for _ in range(4):
            burn(0.01)
            await asyncio.sleep(0)
        await asyncio.sleep(0.0005)


async def busy_many():
    """Ten tasks, 2 ms each, for ever ready."""
    await settled()
    async def work():
        while True:
            burn(0.002)
            await asyncio.sleep(0)
    tasks = spawn(10, work)
    say()
    await asyncio.wait(tasks)


async def echo_server():
    """A server under light load."""
    async def answer(reader, writer):
        while True:
            writer.write(await reader.readexactly(10))
            await writer.drain()

    server = kept(await asyncio.start_server(answer, "127.0.0.1", 0))
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    say()
    while True:
        writer.write(b"0123456789")
        await reader.readexactly(10)
        await asyncio.sleep(0.01)


async def threads_in_pool():
    """Workers of the executor are blocked, as they may; one is free."""
    loop = asyncio.get_running_loop()
    from concurrent.futures import ThreadPoolExecutor
    loop.set_default_executor(ThreadPoolExecutor(4))
    kept([loop.run_in_executor(None, time.sleep, 40) for _ in range(3)])
    await settled()
    say()
    await rest()


async def heap():
    """A large heap and no collection."""
    kept([[] for _ in range(500000)])
    gc.freeze()
    await settled()
    say()
    await rest()


async def many_timers():
    loop = asyncio.get_running_loop()
    kept([loop.call_later(3600 + i, str) for i in range(20000)])
    await settled()
    say()
    await rest()


async def cancelled():
    tasks = spawn(500, rest)
    await settled()
    for task in tasks:
        task.cancel()
    await settled()
    say()
    await rest()


async def after_deadlock_timeout():
    """What looked like a deadlock ended by its timeout."""
    import concurrent.futures
    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), asyncio.get_running_loop())
    try:
        future.result(0.2)
    except (concurrent.futures.TimeoutError, TimeoutError):
        pass
    await settled()
    say()
    await rest()


async def thread_waits_for_loop():
    """A thread waits for the loop, which answers later: a bridge as it should be."""
    loop = asyncio.get_running_loop()
    background(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(40), loop).result())
    await settled()
    say()
    await rest()


async def cpu_thread():
    """One thread computes: the loop gets the GIL every 5 ms."""
    def compute():
        while True:
            pass
    await settled()
    background(compute)
    say()
    await rest()


async def hash_thread():
    """A thread computes in C and lets the GIL go."""
    import hashlib
    await settled()
    background(hashlib.pbkdf2_hmac, "sha256", b"secret", b"salt", 200000000)
    say()
    await rest()


@alone
def joined_loop():
    """The main thread waits for the thread with the loop, and the loop is well."""
    background(lambda: asyncio.run(serve(idle, ()))).join()


async def loop_in_executor():
    """asyncio.run() in a worker, awaited: both loops turn."""
    def other():
        asyncio.run(rest())
    asyncio.get_running_loop().run_in_executor(None, other)
    await settled()
    say()
    await rest()


async def locked_thread():
    """Threads wait for each other's lock: not the loop's affair."""
    lock = threading.Lock()
    lock.acquire()
    background(lock.acquire)
    background(lock.acquire)
    await settled()
    say()
    await rest()


@alone
def stopped_and_again():
    """One loop was stopped half-way and has tasks left; another one runs and is well."""
    first = asyncio.new_event_loop()
    task = kept(first.create_task(asyncio.sleep(50)))
    first.call_later(0.02, first.stop)
    first.run_forever()
    asyncio.run(serve(idle, ()))
    return task


# ---- overloaded ---------------------------------------------------------------------------------------

async def flood_spin():
    """40,000 tasks that yield and have nothing to do."""
    async def spinning():
        while True:
            await asyncio.sleep(0)
    await settled()
    tasks = spawn(40000, spinning)
    await asyncio.sleep(0)
    say()
    await asyncio.wait(tasks)


async def flood_tasks():
    """200 producers start 200 tasks each, for one small thing, and again when they are done."""
    async def small():
        sum(range(50))

    async def produce():
        while True:
            await asyncio.wait([asyncio.ensure_future(small()) for _ in range(200)])

    await settled()
    producers = spawn(200, produce)
    say()
    await asyncio.wait(producers)


async def flood_callbacks():
    loop = asyncio.get_running_loop()

    def again():
        sum(range(50))
        loop.call_soon(again)

    await settled()
    for _ in range(20000):
        loop.call_soon(again)
    say()
    await rest()


async def flood_working():
    """2,000 tasks with 0.2 ms of work for each turn."""
    async def working():
        while True:
            burn(0.0002)
            await asyncio.sleep(0.001)
    await settled()
    tasks = spawn(2000, working)
    say()
    await asyncio.wait(tasks)


async def call_service():
    burn(0.00005)
    raise ConnectionError


async def retry(call, delay=0.05):
    while True:
        try:
            return await call()
        except ConnectionError:
            await asyncio.sleep(delay)


async def retry_storm():
    """15,000 tasks that try again and again, all under one retry()."""
    await settled()
    tasks = spawn(15000, retry, call_service)
    say()
    await asyncio.wait(tasks)


async def retry_tenacity():
    import tenacity

    async def attempt():
        retrying = tenacity.AsyncRetrying(wait=tenacity.wait_fixed(0.05), retry=tenacity.retry_if_exception_type())
        await retrying(call_service)

    await settled()
    tasks = spawn(5000, attempt)
    say()
    await asyncio.wait(tasks)


async def late_timers():
    """Timers come faster than they can be served: thousands are overdue."""
    await settled()
    loop, start = asyncio.get_running_loop(), asyncio.get_running_loop().time()

    def job():
        burn(0.001)

    for i in range(60000):
        loop.call_at(start + 0.1 + i * 0.0002, job)
    say()
    await rest()


async def choppy():
    """150 ms of every 0.6 s."""
    say(held=False, function="choppy", file="loops.py", lines=[sys._getframe().f_lineno + 3] * 2)
    while True:
        await asyncio.sleep(0.45)
        time.sleep(0.15)


# ---- tasks wait, the loop is well ---------------------------------------------------------------------

async def waiting(count, function, *args):
    spawn(count, function, *args)
    await settled(0.1)
    say()
    await rest()


async def wait_event():
    await waiting(300, asyncio.Event().wait)


async def wait_condition():
    condition = asyncio.Condition()

    async def wait():
        async with condition:
            await condition.wait()
    await waiting(300, wait)


async def keep(lock):
    async with lock:
        await rest()


async def wait_lock():
    await waiting(300, keep, asyncio.Lock())


async def wait_lock_thousands():
    await waiting(4000, keep, asyncio.Lock())


async def wait_semaphore():
    await waiting(300, keep, asyncio.Semaphore(10))


async def wait_lock_lost():
    """A lock that nobody holds and nobody will free: its owner ended without releasing it."""
    lock = asyncio.Lock()
    await lock.acquire()
    await waiting(300, keep, lock)


class Pool:
    """Connections that are given out, as many libraries have it."""

    def __init__(self, size):
        self.free = asyncio.Semaphore(size)

    async def acquire(self):
        await self.free.acquire()

    async def use(self):
        await self.acquire()
        await rest()


async def wait_own_pool():
    await waiting(200, Pool(5).use)


async def wait_queue_get():
    await waiting(300, asyncio.Queue().get)


async def wait_queue_put():
    queue = asyncio.Queue(1)
    await waiting(300, queue.put, 1)


async def wait_queue_join():
    queue = asyncio.Queue()
    queue.put_nowait(1)
    await waiting(300, queue.join)


async def wait_sleep():
    await waiting(300, rest)


async def wait_gather():
    async def all_of_them():
        await asyncio.gather(*[rest() for _ in range(3000)])
    await waiting(1, all_of_them)


async def wait_read():
    port = silent_server(300)

    async def session():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        kept(writer)
        await reader.readline()
    await waiting(200, session)


async def wait_sock_recv():
    port, loop = silent_server(300), asyncio.get_running_loop()

    async def session():
        connection = kept(socket.create_connection(("127.0.0.1", port)))
        connection.setblocking(False)
        await loop.sock_recv(connection, 100)
    await waiting(100, session)


async def wait_drain():
    """The peer reads nothing: everybody waits in drain()."""
    port = silent_server(300)

    async def session():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            kept(writer).write(bytes(1 << 18))
            await writer.drain()
    spawn(100, session)
    await settled(0.5)
    say()
    await rest()


async def wait_connect():
    port = full_server()
    await waiting(100, asyncio.open_connection, "127.0.0.1", port)


async def wait_dns():
    """Look-ups without an answer fill the executor."""
    dead_resolver()
    loop = asyncio.get_running_loop()
    await waiting(100, loop.getaddrinfo, "price.example", 80)


async def wait_subprocess():
    async def run():
        process = await asyncio.create_subprocess_exec("sleep", "40")
        await process.wait()
    spawn(1, run)
    await settled(0.3)
    say()
    await rest()


def small_executor(workers):
    from concurrent.futures import ThreadPoolExecutor
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(workers))


async def wait_to_thread():
    small_executor(4)
    await waiting(200, asyncio.to_thread, time.sleep, 40)


async def wait_run_in_executor():
    small_executor(4)
    loop = asyncio.get_running_loop()

    async def fetch():
        await loop.run_in_executor(None, functools.partial(time.sleep, 40))
    await waiting(200, fetch)


async def executor_full():
    """A full executor and few tasks: a flag, no verdict."""
    small_executor(2)
    loop = asyncio.get_running_loop()
    kept([loop.run_in_executor(None, time.sleep, 40) for _ in range(10)])
    await settled(0.1)
    say()
    await rest()


async def wait_for():
    event = asyncio.Event()

    async def limited():
        await asyncio.wait_for(event.wait(), 40)
    await waiting(200, limited)


async def wait_asyncio_wait():
    async def several():
        await asyncio.wait([asyncio.ensure_future(rest()) for _ in range(3)])
    await waiting(100, several)


async def wait_task_group():
    async def group():
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(rest())
    await waiting(100, group)


async def orphans():
    """Futures that nobody else knows."""
    async def lost():
        await asyncio.get_running_loop().create_future()
    await waiting(200, lost)


async def mixed_waits():
    """Many tasks, no site of them dominates."""
    event, queue = asyncio.Event(), asyncio.Queue()
    spawn(50, event.wait)
    spawn(50, queue.get)
    spawn(50, rest)
    await waiting(50, asyncio.StreamReader().readline)


# ---- flags --------------------------------------------------------------------------------------------

async def growing():
    """400 new tasks a second, none ends."""
    say()
    while True:
        spawn(8, rest)
        await asyncio.sleep(0.02)


async def fd_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
    kept([os.open(os.devnull, os.O_RDONLY) for _ in range(88)])
    await settled()
    say()
    await rest()


async def debug_stalled():
    asyncio.get_running_loop().set_debug(True)
    await settled()
    begin()
    time.sleep(40)


async def stalled_under_crowd():
    """3,000 tasks wait, and one holds the loop: the crowd hides nothing."""
    event = asyncio.Event()
    spawn(3000, event.wait)
    await settled(0.2)
    begin()
    time.sleep(40)


async def stalled_with_full_executor():
    small_executor(2)
    loop = asyncio.get_running_loop()
    kept([loop.run_in_executor(None, time.sleep, 40) for _ in range(10)])
    await settled(0.1)
    begin()
    time.sleep(40)


async def stalled_with_ready():
    """A thousand callbacks stand behind the one that sleeps."""
    await settled()
    loop = asyncio.get_running_loop()
    for _ in range(1000):
        loop.call_soon(str)
    begin()
    time.sleep(40)


# ---- no loop, or not any more -------------------------------------------------------------------------

@alone
def no_asyncio():
    begin()
    time.sleep(40)


@alone
def sync_server():
    """As a synchronous worker of gunicorn: it waits in accept() in a loop of its own."""
    import select
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    begin(span=3)
    while True:
        select.select([server], [], [], 1.0)
        str()


@alone
def http_server():
    from http.server import BaseHTTPRequestHandler, HTTPServer
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    begin()
    server.serve_forever()


@alone
def starting():
    """Not there yet: an import of the application takes long."""
    slow_module = load("threads").slow_module
    slow_module("import time\ntime.sleep(40)\n")
    begin()
    import slow_module as _


@alone
def finished():
    async def main():
        await asyncio.sleep(0.05)
    asyncio.run(main())
    begin()
    time.sleep(40)


@alone
def created_only():
    """A loop that was made and never run."""
    kept(asyncio.new_event_loop())
    begin()
    time.sleep(40)


@alone
def between_runs():
    """run_until_complete() again and again: asleep between two of them."""
    loop = asyncio.new_event_loop()
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0.01))
    begin()
    time.sleep(40)


@alone
def threads_only():
    threads = [background(time.sleep, 40) for _ in range(4)]
    begin()
    threads[0].join()


# ---- other kinds of loops -----------------------------------------------------------------------------

class Loop(asyncio.SelectorEventLoop):
    pass


@alone
def subclassed():
    sleep = load("threads").sleep
    loop = Loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(sleep, ()))


@alone
def select_loop():
    """With select() in place of epoll."""
    import selectors
    sleep = load("threads").sleep
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(sleep, ()))


@alone
def select_loop_idle():
    import selectors
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(idle, ()))


@alone
def poll_loop_idle():
    import selectors
    loop = asyncio.SelectorEventLoop(selectors.PollSelector())
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(idle, ()))


async def eager():
    """An eager task that sleeps before its first await."""
    async def price():
        begin()
        time.sleep(40)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    await settled()
    await loop.create_task(price())


async def python_tasks():
    """The tasks written in Python, as some tools put them in place of those in C."""
    async def price():
        begin()
        time.sleep(40)
    asyncio.get_running_loop().set_task_factory(
        lambda loop, coro, **options: asyncio.tasks._PyTask(coro, loop=loop, **options))
    await settled()
    await asyncio.get_running_loop().create_task(price())
