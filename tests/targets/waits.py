# SPDX-License-Identifier: Apache-2.0
"""waits.py STATE: an asyncio program whose tasks wait in a named way and tell the truth about it."""
import asyncio
import concurrent.futures
import socket
import sys
import threading
import time

import truth

STATE = sys.argv[1]
SECONDS = 60.0


def spawn(coroutine, name):
    task = asyncio.ensure_future(coroutine)
    task.set_name(name)
    return task


# ---- primitives ---------------------------------------------------------------------------------

async def hold_lock(lock):
    async with lock:
        await asyncio.sleep(SECONDS)


async def hold_semaphore(semaphore):
    async with semaphore:
        await asyncio.sleep(SECONDS)


async def wait_condition(condition):
    async with condition:
        await condition.wait()


async def put(queue):
    await queue.put("more")


async def execute():
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, SECONDS)


async def main_resources():
    """Several tasks for each primitive, and for each task which one."""
    lock, event, semaphore = asyncio.Lock(), asyncio.Event(), asyncio.BoundedSemaphore(2)
    empty, full, join, condition = asyncio.Queue(), asyncio.Queue(2), asyncio.Queue(), asyncio.Condition()
    full.put_nowait(1)
    full.put_nowait(2)
    join.put_nowait(1)
    reader = asyncio.StreamReader()
    resources = {}
    tasks = []

    def waits(what, resource, coroutine, waker="sync"):
        name = "%s-%d" % (what, len(tasks))
        tasks.append(spawn(coroutine, name))
        resources[name] = [what, hex(id(resource)), waker]

    tasks.append(spawn(hold_lock(lock), "lock-holder"))
    tasks += [spawn(hold_semaphore(semaphore), "semaphore-holder-%d" % i) for i in range(2)]
    await asyncio.sleep(0)
    for _ in range(3):
        waits("Lock.acquire", lock, hold_lock(lock))
        waits("Event.wait", event, event.wait())
        waits("Semaphore.acquire", semaphore, hold_semaphore(semaphore))
        waits("Condition.wait", condition, wait_condition(condition))
        waits("Queue.get", empty, empty.get())
        waits("Queue.put", full, put(full))
    waits("Queue.join", join, join.join())
    waits("StreamReader.readline", reader, reader.readline(), "fd")
    await asyncio.sleep(0.1)
    truth.tell(STATE, "HEALTHY", waits=resources, lock=hex(id(lock)), semaphore=hex(id(semaphore)),
               full=hex(id(full)), empty=hex(id(empty)))
    await asyncio.sleep(SECONDS)
    return tasks


async def main_lost():
    """A lock that is free while its waiters sleep: the wake-up went to one that was cancelled. A timeout
    ends the wait of two."""
    lock, fine = asyncio.Lock(), asyncio.Lock()
    await lock.acquire()
    await fine.acquire()
    tasks = [spawn(hold_lock(lock), "lost-%d" % i) for i in range(3)]
    tasks += [spawn(hold_lock(fine), "fine-%d" % i) for i in range(3)]
    tasks += [spawn(asyncio.wait_for(hold_lock(lock), SECONDS), "timed-%d" % i) for i in range(2)]
    await asyncio.sleep(0)
    lock._locked = False
    await asyncio.sleep(0.1)
    truth.tell(STATE, lost=hex(id(lock)), fine=hex(id(fine)))
    await asyncio.sleep(SECONDS)
    return tasks


# ---- who sets a future -----------------------------------------------------------------------------

KEPT = []


async def forgotten(loop):
    future = loop.create_future()
    await future


async def kept(loop):
    future = loop.create_future()
    KEPT.append(future)
    await future


async def by_timer(loop):
    future = loop.create_future()
    loop.call_later(SECONDS, future.set_result, None)
    await future


async def by_fd(loop):
    future = loop.create_future()
    near, far = socket.socketpair()
    KEPT.append(far)
    loop.add_reader(near, future.set_result, None)
    await future


async def by_sock_recv(loop):
    near, far = socket.socketpair()
    near.setblocking(False)
    KEPT.append(far)
    await loop.sock_recv(near, 1)


async def by_process(loop):
    # ends with us: its input is closed then
    process = await asyncio.create_subprocess_exec("/bin/cat", stdin=asyncio.subprocess.PIPE)
    KEPT.append(process)
    await process.wait()


async def by_timeout(loop):
    future = loop.create_future()
    async with asyncio.timeout(SECONDS):
        await future


async def by_wait_for(loop):
    await asyncio.wait_for(loop.create_future(), SECONDS)


async def in_closure(loop):
    future = loop.create_future()

    def finish():
        future.set_result(None)
    KEPT.append(finish)
    await future


async def main_orphan():
    loop = asyncio.get_running_loop()
    wakers = {"forgotten": ["nobody"], "kept": [None], "by_timer": ["timer"], "in_closure": [None],
              "by_fd": ["fd"], "by_sock_recv": ["fd"], "by_process": ["subprocess"],
              "by_wait_for": ["timer", "task", None], "nap": ["timer"], "execute": ["executor"],
              "child": ["task"], "gathered": ["task"]}
    tasks = [spawn(f(loop), f.__name__) for f in (
        forgotten, kept, by_timer, in_closure, by_wait_for, by_fd, by_sock_recv, by_process)]
    if hasattr(asyncio, "timeout"):
        wakers["by_timeout"] = ["timer", None]
        tasks.append(spawn(by_timeout(loop), "by_timeout"))
    tasks.append(spawn(asyncio.sleep(SECONDS), "nap"))
    tasks.append(spawn(execute(), "execute"))

    async def child():
        await tasks[0]

    async def gathered():
        await asyncio.gather(tasks[0], tasks[1])
    tasks += [spawn(child(), "child"), spawn(gathered(), "gathered")]
    await asyncio.sleep(0.1)
    truth.tell(STATE, wakers=wakers)
    await asyncio.sleep(SECONDS)
    return tasks


# ---- who awaits whom ---------------------------------------------------------------------------------

async def nap():
    await asyncio.sleep(SECONDS)


async def main_owners():
    """Children of each construct, named after their parent."""
    children, keep = {}, set()

    def child(of):
        name = "%s.child-%d" % (of, len(children))
        children[name] = of
        return spawn(nap(), name)

    async def plain():
        await child("plain")

    async def gather():
        await asyncio.gather(child("gather"), child("gather"))

    async def nested():
        await asyncio.gather(asyncio.gather(child("nested")))

    async def wait():
        await asyncio.wait([child("wait"), child("wait")])

    async def wait_for():
        await asyncio.wait_for(child("wait_for"), SECONDS)

    async def shield():
        await asyncio.shield(child("shield"))

    async def shield_wait_for():
        await asyncio.wait_for(asyncio.shield(child("shield_wait_for")), SECONDS)

    async def as_completed():
        for item in asyncio.as_completed([child("as_completed"), child("as_completed")]):
            await item

    async def group():
        async with asyncio.TaskGroup() as tasks:
            for i in range(2):
                name = "group.child-g%d" % i
                children[name] = "group"
                tasks.create_task(nap(), name=name)

    parents = [plain, gather, nested, wait, wait_for, shield, shield_wait_for, as_completed]
    if hasattr(asyncio, "TaskGroup"):
        parents.append(group)
    tasks = [spawn(f(), f.__name__) for f in parents]
    owned = spawn(nap(), "callback")
    owned.add_done_callback(lambda task: None)
    background = spawn(nap(), "background")
    keep.add(background)
    background.add_done_callback(keep.discard)
    tasks += [owned, background, spawn(nap(), "fire-and-forget")]
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: asyncio.run_coroutine_threadsafe(nap(), loop), daemon=True).start()
    await asyncio.sleep(0.2)
    nobody = [f.__name__ for f in parents] + ["background", "fire-and-forget"]
    truth.tell(STATE, "HEALTHY", children=children, nobody=nobody, main=asyncio.current_task().get_name())
    await asyncio.sleep(SECONDS)
    return tasks


# ---- what is ready -----------------------------------------------------------------------------------

async def quick():
    pass


async def giving_way():
    await asyncio.sleep(0)


async def retry_fetch():
    await asyncio.sleep(0)


async def main_ready():
    """A hold with a known queue behind it: 500 quick, 300 that gave way, 100 of them in a retry; 180
    callbacks with a name of their own."""
    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(giving_way()) for _ in range(200)]
    tasks += [asyncio.ensure_future(retry_fetch()) for _ in range(100)]
    for i in range(100):
        loop.call_at(loop.time() + 0.06 + i / 1000, late_callback)
    early = [loop.call_later(0.05 + i / 1e6, late_callback) for i in range(300)]
    cancelled = [loop.call_later(SECONDS, late_callback) for _ in range(7)] + early
    await asyncio.sleep(0)  # their first step, then they are in the queue again, behind us
    for handle in cancelled:  # the next turn of the loop would drop those on top of its heap
        handle.cancel()
    for i in range(180):
        loop.call_soon(one_of_many(i))
    tasks += [asyncio.ensure_future(quick()) for _ in range(500)]
    threads = [threading.Thread(target=asyncio.run_coroutine_threadsafe, args=(nap(), loop)) for _ in range(20)]
    for thread in threads:
        thread.start()
        thread.join()
    truth.tell(STATE, "STALLED", quick=500, giving_way=200, retry=100, threadsafe=20, cancelled=307)
    time.sleep(SECONDS)
    return tasks


def one_of_many(i):
    def callback():
        pass
    callback.__qualname__ = "one_of_many_%d" % i
    return callback


def late_callback():
    pass


# ---- growth ----------------------------------------------------------------------------------------------

async def main_growth():
    """200 tasks a second are made, half of them stay."""
    tasks = set()
    truth.tell(STATE, created=200.0, growth=100.0)
    loop = asyncio.get_running_loop()
    begin, made = loop.time(), 0
    while True:
        await asyncio.sleep(0.01)
        while made < 200 * (loop.time() - begin):
            task = loop.create_task(nap() if made % 2 else quick())
            if made % 2:
                tasks.add(task)
            made += 1


# ---- executor ------------------------------------------------------------------------------------------

async def main_executor():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(max_workers=2))
    tasks = [spawn(execute(), "job-%d" % i) for i in range(5)]
    tasks.append(spawn(loop.getaddrinfo("localhost", 80), "dns"))
    await asyncio.sleep(0.2)
    truth.tell(STATE, "HEALTHY", jobs=[task.get_name() for task in tasks])
    await asyncio.sleep(SECONDS)
    return tasks


# ---- clocks -----------------------------------------------------------------------------------------------

class SinceStart(asyncio.SelectorEventLoop):
    """Its time begins with it, as in simulations."""

    begin = time.monotonic()

    def time(self):
        return time.monotonic() - self.begin


async def main_own_clock(stalled):
    tasks = [spawn(asyncio.sleep(SECONDS), "sleeper")]
    await asyncio.sleep(0.05)
    truth.tell(STATE)
    if stalled:
        time.sleep(SECONDS)
    await asyncio.sleep(SECONDS)
    return tasks


# ---- deadlocks ---------------------------------------------------------------------------------------------

def result_of(coroutine, loop, timeout=None):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout)


async def main_own(timeout=None):
    """The loop's own thread waits for a coroutine of this loop."""
    await asyncio.sleep(0.05)
    truth.tell(STATE)
    result_of(nap(), asyncio.get_running_loop(), timeout)


async def main_own_later():
    """The same, of a coroutine that has begun."""
    loop = asyncio.get_running_loop()
    future = asyncio.run_coroutine_threadsafe(nap(), loop)
    await asyncio.sleep(0.05)
    truth.tell(STATE)
    future.result()


async def named_nap():
    asyncio.current_task().set_name("chained")
    await asyncio.sleep(SECONDS)


async def main_churn():
    """Tasks that move all the time."""
    async def move(i):
        while True:
            await asyncio.sleep(0.0005 * (1 + i % 3))
    await asyncio.gather(*[move(i) for i in range(200)])


async def main_own_beside():
    """The same, beside a loop whose tasks move while they are read."""
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: asyncio.run(main_churn()), daemon=True).start()
    tasks = [asyncio.ensure_future(nap()) for _ in range(100)]
    future = asyncio.run_coroutine_threadsafe(named_nap(), loop)
    await asyncio.sleep(0.2)
    truth.tell(STATE)
    future.result()
    return tasks


LOOPS = {}


async def main_cross(mine, other, barrier):
    LOOPS[mine] = asyncio.get_running_loop()
    while other not in LOOPS:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    barrier.wait()
    if mine == "a":
        truth.tell(STATE)
    result_of(quick(), LOOPS[other])


def main_threads():
    """Two loops, each waits for a coroutine of the other."""
    barrier = threading.Barrier(2)
    threading.Thread(target=lambda: asyncio.run(main_cross("b", "a", barrier)), daemon=True).start()
    asyncio.run(main_cross("a", "b", barrier))


async def main_worker():
    """The loop waits for a job of an executor, which waits for the loop."""
    loop = asyncio.get_running_loop()
    executor = concurrent.futures.ThreadPoolExecutor(1)
    job = executor.submit(result_of, nap(), loop)
    time.sleep(0.1)
    truth.tell(STATE)
    job.result()


def keep_locked(lock, loop, timeout):
    with lock:
        result_of(nap(), loop, timeout)


async def main_locked(timeout=None):
    """The loop waits for a lock whose holder waits for the loop; with a timeout both will go on."""
    lock = threading.RLock()
    threading.Thread(target=keep_locked, args=(lock, asyncio.get_running_loop(), timeout), daemon=True).start()
    time.sleep(0.1)
    truth.tell(STATE)
    with lock:
        pass


async def main_join():
    """The loop waits for the end of a thread, which waits for the loop."""
    thread = threading.Thread(target=result_of, args=(nap(), asyncio.get_running_loop()), daemon=True)
    thread.start()
    time.sleep(0.1)
    truth.tell(STATE)
    thread.join()


async def main_helped():
    """No deadlock: a thread waits for a healthy loop, and the loop for a thread that only sleeps."""
    loop = asyncio.get_running_loop()
    threading.Thread(target=result_of, args=(nap(), loop), daemon=True).start()
    await asyncio.sleep(0.1)
    truth.tell(STATE)
    concurrent.futures.ThreadPoolExecutor(1).submit(time.sleep, SECONDS).result()


async def with_connection(engine):
    connection = engine.connect()
    await asyncio.sleep(SECONDS)
    connection.close()


async def without_connection(engine, how):
    """A connection that was given back, a session that has none yet."""
    if how == "closed":
        connection = engine.connect()
        connection.close()
    else:
        import sqlalchemy.orm
        connection = sqlalchemy.orm.Session(engine)
    await asyncio.sleep(SECONDS)
    return connection


async def with_session(engine):
    import sqlalchemy.orm
    with sqlalchemy.orm.Session(engine) as session:
        session.execute(sqlalchemy.text("select 1"))
        await asyncio.sleep(SECONDS)


async def main_pool_of(*makers):
    """Three connections: those that tasks do not have, somebody else has."""
    import sqlalchemy
    from sqlalchemy.pool import QueuePool
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=3, max_overflow=0,
                                      pool_timeout=SECONDS)
    tasks = [spawn(make(engine), "holder-%d" % i) for i, make in enumerate(makers)]
    await asyncio.sleep(0.3)
    KEPT.extend(engine.connect() for _ in range(3 - engine.pool.checkedout()))
    truth.tell(STATE, checked_out=3, limit=3)
    engine.connect()
    return tasks


async def main_pool(hold_all):
    import sqlalchemy
    from sqlalchemy.pool import QueuePool
    engine = sqlalchemy.create_engine("sqlite://", poolclass=QueuePool, pool_size=2, max_overflow=1,
                                      pool_timeout=SECONDS)
    tasks = [spawn(with_connection(engine), "holder-%d" % i) for i in range(3 if hold_all else 2)]
    hidden = [] if hold_all else [engine.connect()]
    KEPT.extend(hidden)
    del hidden
    await asyncio.sleep(0.1)
    truth.tell(STATE, checked_out=3, limit=3)
    engine.connect()
    return tasks


STATES = {
    "own": lambda: asyncio.run(main_own()),
    "own-timeout": lambda: asyncio.run(main_own(SECONDS)),
    "own-later": lambda: asyncio.run(main_own_later()),
    "own-beside": lambda: asyncio.run(main_own_beside()),
    "threads": main_threads,
    "worker": lambda: asyncio.run(main_worker()),
    "locked": lambda: asyncio.run(main_locked()),
    "locked-timeout": lambda: asyncio.run(main_locked(SECONDS)),
    "join": lambda: asyncio.run(main_join()),
    "helped": lambda: asyncio.run(main_helped()),
    "own-clock": lambda: SinceStart().run_until_complete(main_own_clock(False)),
    "own-clock-stalled": lambda: SinceStart().run_until_complete(main_own_clock(True)),
    "pool": lambda: asyncio.run(main_pool(True)),
    "pool-wait": lambda: asyncio.run(main_pool(False)),
    "pool-sessions": lambda: asyncio.run(main_pool_of(*[with_session] * 3)),
    "pool-closed": lambda: asyncio.run(main_pool_of(*[lambda e: without_connection(e, "closed")] * 3)),
    "pool-idle": lambda: asyncio.run(main_pool_of(*[lambda e: without_connection(e, "session")] * 3)),
    "resources": lambda: asyncio.run(main_resources()),
    "lost": lambda: asyncio.run(main_lost()),
    "orphan": lambda: asyncio.run(main_orphan()),
    "owners": lambda: asyncio.run(main_owners()),
    "growth": lambda: asyncio.run(main_growth()),
    "ready": lambda: asyncio.run(main_ready()),
    "executor": lambda: asyncio.run(main_executor()),
}

if __name__ == "__main__":
    STATES[STATE]()
