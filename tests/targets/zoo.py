# SPDX-License-Identifier: Apache-2.0
"""zoo.py [asyncio | uvloop | python | cython FOLDER]: one task for each construct of asyncio that a
task can wait in, and the truth about all of them in one line.

What each task waits on and who awaits it is declared where it is made; the stacks, the futures, the
list of tasks and, where this Python has them, its own books of who awaits whom (3.14) are asked of
the interpreter, which must agree with what was declared. `python`: tasks and futures are asyncio's
own classes written in Python. `cython`: with a module made by Cython, which lies in FOLDER.
"""
import asyncio
import concurrent.futures
import contextlib
import functools
import os
import socket
import sys
import threading
import time
import types

import truth

MODE = sys.argv[1] if len(sys.argv) > 1 else "asyncio"
MINOR = sys.version_info[1]
SECONDS = 600.0
FUTURE, TASK = ("_asyncio.Future", "_asyncio.Task") if MODE != "python" else ("Future", "Task")
TASKS = (asyncio.Task, asyncio.tasks._PyTask)
# wait_for() awaits what runs in it as a task of its own
WAIT_FOR_HAS_TASK = MINOR < 12
# uvloop's TimerHandle is compiled: when it is due cannot be seen
LEFT = MODE != "uvloop"
HANDLE = LEFT or not WAIT_FOR_HAS_TASK


class PythonLoop(asyncio.SelectorEventLoop):
    """Its futures are those written in Python, also the ones inside of locks and streams."""

    def create_future(self):
        return asyncio.futures._PyFuture(loop=self)


class Row:
    """What is declared of a task. `on`: the kind of what it waits for. `by`: names of who awaits it."""

    def __init__(self, on, what, resource=None, by=(), **more):
        self.declared = dict(on=on, what=what, resource=resource and hex(id(resource)), by=sorted(by), **more)
        self.task = None


ROWS, KEPT = {}, []


def row(name, on, what, resource=None, by=(), **more):
    assert name not in ROWS, name
    ROWS[name] = Row(on, what, resource, by, **more)
    return ROWS[name]


def start(name, coroutine, on, what, resource=None, by=(), make=None, **more):
    """A task of that name, and what is true of it."""
    entry = row(name, on, what, resource, by, **more)
    if make:
        entry.task = make(coroutine, name)
    else:
        entry.task = asyncio.get_running_loop().create_task(coroutine)
        entry.task.set_name(name)
    return entry.task


def inside(name, on, what, resource=None, by=(), **more):
    """The same of the task that runs this, which somebody else made."""
    entry = row(name, on, what, resource, by, **more)
    entry.task = asyncio.current_task()
    entry.task.set_name(name)


def nap(name, by=(), **more):
    return start(name, asyncio.sleep(SECONDS), "future", "asyncio.sleep", by=by, left=LEFT, **more)


def construct(function):
    """Registers a function that starts tasks."""
    CONSTRUCTS.append(function)
    return function


CONSTRUCTS = []


# ---- tasks that await tasks ------------------------------------------------------------------------

@construct
def awaiting():
    async def parent(child):
        await child
    start("await", parent(nap("await.child", by=["await"])), "task", TASK)
    # two for one, which is under a third as well
    shared = nap("shared.child", by=["shared.1", "shared.2", "shared.gather"])
    start("shared.1", parent(shared), "task", TASK)
    start("shared.2", parent(shared), "task", TASK)

    async def gather():
        await asyncio.gather(shared)
    start("shared.gather", gather(), "future", "asyncio.gather")


@construct
def crowd():
    """One for all: of 40 who await it 16 are told, and that there are more."""
    async def parent(child):
        await child
    child = nap("crowd.child", by=["crowd.%d" % i for i in range(40)], cut=True)
    for i in range(40):
        start("crowd.%d" % i, parent(child), "task", TASK)


@construct
def deep():
    """Calls and calls of calls, then a task below a task below a task."""
    async def down(n):
        if n:
            await down(n - 1)
        else:
            await asyncio.sleep(SECONDS)
    start("deep", down(30), "future", "asyncio.sleep", left=LEFT)

    async def parent(child):
        await child
    child = nap("generation.0", by=["generation.1"])
    for i in range(1, 6):
        child = start("generation.%d" % i, parent(child), "task", TASK,
                      by=["generation.%d" % (i + 1)] if i < 5 else ())


@construct
def gather():
    async def plain():
        await asyncio.gather(nap("gather.1", by=["gather"]), nap("gather.2", by=["gather"]))
    start("gather", plain(), "future", "asyncio.gather")

    async def of_coroutines():
        async def child(name):
            inside(name, "future", "asyncio.sleep", by=["gather.coroutines"], left=LEFT)
            await asyncio.sleep(SECONDS)
        await asyncio.gather(child("gather.coroutine.1"), child("gather.coroutine.2"), return_exceptions=True)
    start("gather.coroutines", of_coroutines(), "future", "asyncio.gather")

    async def nested():
        await asyncio.gather(nap("gather.outer", by=["gather.nested"]),
                             asyncio.gather(nap("gather.inner.1", by=["gather.nested"]),
                                            nap("gather.inner.2", by=["gather.nested"])))
    start("gather.nested", nested(), "future", "asyncio.gather")


@construct
def wait():
    async def first():
        await asyncio.wait([nap("wait.1", by=["wait"]), nap("wait.2", by=["wait"])],
                           return_when=asyncio.FIRST_COMPLETED)
    start("wait", first(), "future", "asyncio.wait")

    async def limited():
        await asyncio.wait([nap("wait.limited.1", by=["wait.limited"])], timeout=SECONDS)
    start("wait.limited", limited(), "future", "asyncio.wait", timeout=LEFT)


@construct
def wait_for():
    queue = asyncio.Queue()

    async def child():
        if WAIT_FOR_HAS_TASK:
            inside("wait_for.inner", "future", "Queue.get", queue, by=["wait_for"])
        await queue.get()

    async def of_coroutine():
        await asyncio.wait_for(child(), SECONDS)

    async def of_task():
        await asyncio.wait_for(nap("wait_for.task.child", by=["wait_for.task"]), SECONDS)

    async def of_future():
        await asyncio.wait_for(asyncio.get_running_loop().create_future(), SECONDS)
    if WAIT_FOR_HAS_TASK:
        start("wait_for", of_coroutine(), "future", "asyncio.wait_for", timeout=HANDLE)
    else:
        start("wait_for", of_coroutine(), "future", "Queue.get", queue, timeout=HANDLE)
    start("wait_for.task", of_task(), "future" if WAIT_FOR_HAS_TASK else "task", "asyncio.wait_for", timeout=HANDLE)
    start("wait_for.future", of_future(), "future", "asyncio.wait_for", timeout=HANDLE)


@construct
def shield():
    async def plain():
        await asyncio.shield(nap("shield.child", by=["shield"]))
    start("shield", plain(), "future", "asyncio.shield")

    async def limited():
        await asyncio.wait_for(asyncio.shield(nap("shield.limited.child", by=["shield.limited"])), SECONDS)
    start("shield.limited", limited(), "future", "asyncio.wait_for" if WAIT_FOR_HAS_TASK else "asyncio.shield",
          timeout=HANDLE)


@construct
def task_group():
    if MINOR < 11:
        return

    async def plain():
        async with asyncio.TaskGroup() as group:
            for i in (1, 2):
                name = "group.%d" % i
                row(name, "future", "asyncio.sleep", by=["group"], left=LEFT, owner="group").task = \
                    group.create_task(asyncio.sleep(SECONDS), name=name)
    start("group", plain(), "future", "TaskGroup")

    async def nested():
        async def child():
            inside("group.inner", "future", "TaskGroup", by=["group.outer"], owner="group")
            async with asyncio.TaskGroup() as inner:
                row("group.leaf", "future", "asyncio.sleep", by=["group.inner"], left=LEFT, owner="group").task = \
                    inner.create_task(asyncio.sleep(SECONDS), name="group.leaf")
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
    start("group.outer", nested(), "future", "TaskGroup")


@construct
def timeout():
    if MINOR < 11:
        return
    queue, lock = asyncio.Queue(), asyncio.Lock()

    async def bare():
        async with asyncio.timeout(SECONDS):
            await keep(asyncio.get_running_loop().create_future())

    async def around_get():
        async with asyncio.timeout(SECONDS):
            await queue.get()

    async def nested():
        async with lock, asyncio.timeout(SECONDS * 2), asyncio.timeout(SECONDS):
            await asyncio.sleep(SECONDS / 2)

    async def never():
        async with asyncio.timeout(None):
            await queue.get()

    async def outside():
        await around_get()
    start("timeout.bare", bare(), "future", FUTURE, timeout=True)
    start("timeout.get", around_get(), "future", "Queue.get", queue, timeout=True)
    start("timeout.nested", nested(), "future", "asyncio.sleep", timeout=True, left=LEFT and SECONDS / 2)
    start("timeout.never", never(), "future", "Queue.get", queue)
    start("timeout.outside", outside(), "future", "Queue.get", queue, timeout=True)


@construct
def as_completed():
    async def plain():
        for item in asyncio.as_completed([nap("completed.1", by=["completed"]), nap("completed.2", by=["completed"])]):
            await item
    start("completed", plain(), "future", "asyncio.as_completed")

    async def iterated():
        async for _ in asyncio.as_completed([nap("completed.async.1", by=["completed.async"])]):
            pass
    if MINOR >= 13:
        start("completed.async", iterated(), "future", "asyncio.as_completed")


@construct
def rings():
    """Tasks that await each other: a programmer's mistake, and no end for who follows them."""
    tasks = {}

    async def awaits(name):
        await asyncio.sleep(0)
        await tasks[name]
    for name, of in (("ring.a", "ring.b"), ("ring.b", "ring.a"), ("ring.1", "ring.2"), ("ring.2", "ring.3"),
                     ("ring.3", "ring.1"), ("ring.watcher", "ring.1")):
        by = {"ring.a": ["ring.b"], "ring.b": ["ring.a"], "ring.1": ["ring.3", "ring.watcher"],
              "ring.2": ["ring.1"], "ring.3": ["ring.2"]}.get(name, ())
        tasks[name] = start(name, awaits(of), "task", TASK, by=by)


@construct
def nobody():
    async def forgotten():
        await asyncio.get_running_loop().create_future()

    async def watched():
        await asyncio.sleep(SECONDS)
    if MODE == "asyncio":  # the proof counts references, which is not done for futures in Python
        start("orphan", forgotten(), "future", FUTURE, waker="nobody")
    start("unowned", watched(), "future", "asyncio.sleep", left=LEFT, owner="nobody")
    task = start("callback", watched(), "future", "asyncio.sleep", left=LEFT, owner="callback")
    task.add_done_callback(lambda done: None)


# ---- primitives --------------------------------------------------------------------------------------

@construct
def locks():
    lock = asyncio.Lock()

    async def hold():
        async with lock:
            await asyncio.sleep(SECONDS)

    async def acquire():
        await lock.acquire()
    start("lock.holder", hold(), "future", "asyncio.sleep", left=LEFT)
    start("lock.with", hold(), "future", "Lock.acquire", lock, holders=["lock.holder"], waiters=2)
    start("lock.acquire", acquire(), "future", "Lock.acquire", lock, holders=["lock.holder"], waiters=2)


@construct
def semaphores():
    for name, make in (("semaphore", asyncio.Semaphore), ("bounded", asyncio.BoundedSemaphore)):
        semaphore = make(2)

        async def hold(semaphore=semaphore):
            async with semaphore:
                await asyncio.sleep(SECONDS)
        for i in (1, 2):
            start("%s.holder.%d" % (name, i), hold(), "future", "asyncio.sleep", left=LEFT)
        start(name, hold(), "future", "Semaphore.acquire", semaphore, waiters=1,
              holders=["%s.holder.%d" % (name, i) for i in (1, 2)])


@construct
def events():
    event, condition = asyncio.Event(), asyncio.Condition()

    async def notified():
        async with condition:
            await condition.wait()

    async def fulfilled():
        async with condition:
            await condition.wait_for(lambda: False)
    start("event.1", event.wait(), "future", "Event.wait", event, waiters=2)
    start("event.2", event.wait(), "future", "Event.wait", event, waiters=2)
    start("condition.wait", notified(), "future", "Condition.wait", condition, waiters=2)
    start("condition.wait_for", fulfilled(), "future", "Condition.wait_for", condition, waiters=2)
    if MINOR < 11:
        return
    barrier = asyncio.Barrier(3)

    async def blocked():
        async with barrier:
            pass
    start("barrier.wait", barrier.wait(), "future", "Barrier.wait", barrier, waiters=2)
    start("barrier.with", blocked(), "future", "Barrier.wait", barrier, waiters=2)


@construct
def notified_under_lock():
    """A Condition was notified, but its lock is taken: the wait is for the lock."""
    condition = asyncio.Condition()

    async def notified():
        async with condition:
            await condition.wait()

    async def keep_it():
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
            await asyncio.sleep(SECONDS)
    start("relock", notified(), "future", "Lock.acquire", condition._lock)
    start("relock.holder", keep_it(), "future", "asyncio.sleep", left=LEFT)


@construct
def queues():
    for name, make in (("queue", asyncio.Queue), ("priority", asyncio.PriorityQueue), ("lifo", asyncio.LifoQueue)):
        empty, full, join = make(), make(1), make()
        full.put_nowait(1)
        join.put_nowait(1)
        start(name + ".get", empty.get(), "future", "Queue.get", empty, waiters=1)
        start(name + ".put", full.put(2), "future", "Queue.put", full, waiters=1)
        start(name + ".join", join.join(), "future", "Queue.join", join, waiters=1)


# ---- streams, sockets, processes ---------------------------------------------------------------------

async def streams():
    """Over loopback; the other side neither reads nor writes."""
    async def silent(reader, writer):
        KEPT.append((reader, writer))
        writer.transport.pause_reading()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def reading(reader, how):
        await how(reader)
    ways = (("read", lambda r: r.read(100), "StreamReader.read"),
            ("readline", lambda r: r.readline(), "StreamReader.readline"),
            ("readexactly", lambda r: r.readexactly(4), "StreamReader.readexactly"),
            ("readuntil", lambda r: r.readuntil(b";"), "StreamReader.readuntil"))
    for name, how, what in ways:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        KEPT.append(writer)
        start("stream." + name, reading(reader, how), "future", what, reader)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    KEPT.append(reader)

    async def iterate(reader):
        async for _ in reader:
            pass
    start("stream.for", iterate(reader), "future", "StreamReader.readline", reader)

    async def stuck(writer):
        while True:
            writer.write(b"x" * 1000000)
            await writer.drain()
    start("stream.drain", stuck(writer), "future", "StreamWriter.drain", writer)

    async def serve():
        async with server:
            await server.serve_forever()
    if MODE != "uvloop":
        start("serve_forever", serve(), "future", "Server.serve_forever")
    else:
        KEPT.append(server)


async def sockets():
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    listener.setblocking(False)
    near, far = socket.socketpair()
    near.setblocking(False)
    KEPT.extend([near, far, listener])
    full = socket.create_server(("127.0.0.1", 0), backlog=1)
    for _ in range(8):  # nobody accepts: the kernel lets further ones try in vain
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
        KEPT.append(filler)
    KEPT.append(full)
    await asyncio.sleep(0.05)
    address = full.getsockname()
    base = "BaseSelectorEventLoop."

    def what(name, of_uvloop=None):
        return base + name if MODE != "uvloop" else "Loop." + (of_uvloop or name)
    start("sock_recv", loop.sock_recv(near, 10), "future", what("sock_recv"))
    start("sock_accept", loop.sock_accept(listener), "future", what("sock_accept"))
    start("create_connection", loop.create_connection(asyncio.Protocol, *address), "future",
          what("sock_connect", "create_connection"))

    async def connect():
        await asyncio.open_connection(*address)
    start("open_connection", connect(), "future", what("sock_connect", "create_connection"))


async def executors():
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(4)
    job = threading.Event().wait

    async def run():
        await loop.run_in_executor(pool, job, SECONDS)
    start("executor", run(), "executor", FUTURE)
    if MINOR >= 9:
        start("to_thread", asyncio.to_thread(job, SECONDS), "executor", "asyncio.to_thread")

    async def wrapped():
        await asyncio.wrap_future(pool.submit(job, SECONDS))
    start("wrap_future", wrapped(), "executor", FUTURE)


async def processes():
    async def ends():
        process = await asyncio.create_subprocess_exec("/bin/cat", stdin=asyncio.subprocess.PIPE)
        KEPT.append(process)
        await process.wait()

    async def talks():
        process = await asyncio.create_subprocess_exec("/bin/cat", stdin=asyncio.subprocess.PIPE,
                                                       stdout=asyncio.subprocess.PIPE)
        KEPT.append(process)
        process.stdin.close = lambda: None  # so that it does not end
        await process.communicate(b"x")
    start("process.wait", ends(), "future", "Process.wait", waker="subprocess" if MODE != "uvloop" else None)
    start("process.communicate", talks(), "future", "Process.communicate")
    await asyncio.sleep(0.3)
    for task in asyncio.all_tasks():
        if task.get_coro().__qualname__ == "Process._read_stream":
            reader = KEPT[-1].stdout if KEPT[-1].stdout else KEPT[-2].stdout
            row("process.stdout", "future", "StreamReader.read", reader, by=["process.communicate"]).task = task
            task.set_name("process.stdout")


# ---- kinds of coroutines -------------------------------------------------------------------------------

class ByGenerator:
    def __await__(self):
        yield from asyncio.sleep(SECONDS).__await__()


class Iterator:
    """An iterator of one's own: what it hands out is the future, as asyncio wants it."""

    def __init__(self):
        self.future = asyncio.get_running_loop().create_future()

    def __iter__(self):
        return self

    def __next__(self):
        self.future._asyncio_future_blocking = True
        return self.future


class ByIterator:
    def __await__(self):
        return Iterator()


def keep(future):
    KEPT.append(future)
    return future


@construct
def awaitables():
    async def await_one(awaitable):
        await awaitable

    @types.coroutine
    def old():
        yield from asyncio.sleep(SECONDS).__await__()
    start("generator.await", await_one(ByGenerator()), "future", "asyncio.sleep", left=LEFT)
    start("generator.coroutine", await_one(old()), "future", "asyncio.sleep", left=LEFT)
    start("iterator.await", await_one(ByIterator()), "future", FUTURE)

    async def bare():
        await keep(asyncio.get_running_loop().create_future())
    start("bare", bare(), "future", FUTURE, callbacks=[])

    def tell_me(future):
        pass

    async def with_callbacks():
        future = keep(asyncio.get_running_loop().create_future())
        future.add_done_callback(tell_me)
        future.add_done_callback(functools.partial(tell_me))
        future.add_done_callback(KEPT.append)
        await future
    start("bare.callbacks", with_callbacks(), "future", FUTURE,
          callbacks=["awaitables.<locals>.tell_me", "functools.partial",
                     "builtin_function_or_method"])


@construct
def generators():
    async def numbers():
        try:
            yield 1
            await asyncio.sleep(SECONDS)
            yield 2
        except (KeyError, GeneratorExit):
            await asyncio.sleep(SECONDS)

    async def loops():
        async for _ in numbers():
            pass

    async def comprehension():
        return [n async for n in numbers()]

    async def sends():
        generator = numbers()
        await generator.asend(None)
        await generator.asend(None)

    async def throws():
        generator = numbers()
        await generator.asend(None)
        await generator.athrow(KeyError)

    async def closes():
        generator = numbers()
        await generator.asend(None)
        await generator.aclose()

    async def outer():
        async for n in numbers():
            yield n

    async def nested():
        async for _ in outer():
            pass

    async def by_anext():
        generator = numbers()
        await anext(generator)
        await anext(generator, None)
    ways = [loops, comprehension, sends, throws, closes, nested] + ([by_anext] if MINOR >= 10 else [])
    for way in ways:
        start("agen." + way.__name__, way(), "future", "asyncio.sleep", left=LEFT)


@construct
def contexts():
    @contextlib.asynccontextmanager
    async def slow_to_enter():
        await asyncio.sleep(SECONDS)
        yield

    @contextlib.asynccontextmanager
    async def slow_to_leave():
        yield
        await asyncio.sleep(SECONDS)

    async def enter():
        async with slow_to_enter():
            pass

    async def leave():
        async with slow_to_leave():
            pass

    async def enter_stack():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(slow_to_enter())

    async def leave_stack():
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(slow_to_leave())
    for way in (enter, leave, enter_stack, leave_stack):
        start("context." + way.__name__, way(), "future", "asyncio.sleep", left=LEFT)


# ---- kinds of tasks --------------------------------------------------------------------------------------

@construct
def eager():
    if MINOR < 12:
        return

    def make(coroutine, name):
        return asyncio.eager_task_factory(asyncio.get_running_loop(), coroutine, name=name)

    async def parent(child):
        await child
    child = start("eager.child", asyncio.sleep(SECONDS), "future", "asyncio.sleep", by=["eager"], left=LEFT, make=make)
    start("eager", parent(child), "task", "_asyncio.Task", make=make)


class SubTask(asyncio.Task):
    pass


class PythonTask(asyncio.tasks._PyTask):
    pass


class SubFuture(asyncio.Future):
    pass


@construct
def classes():
    loop = asyncio.get_running_loop()

    async def parent(child):
        await child

    def factory_task(coroutine, name):
        loop.set_task_factory(lambda loop, coro, **more: SubTask(coro, loop=loop, **more))
        task = loop.create_task(coroutine)
        loop.set_task_factory(asyncio_factory)
        task.set_name(name)
        return task

    asyncio_factory = loop.get_task_factory()
    makers = {"python": (lambda c, name: asyncio.tasks._PyTask(c, loop=loop, name=name), "Task"),
              "subclass": (lambda c, name: SubTask(c, loop=loop, name=name), "SubTask"),
              "subclass.python": (lambda c, name: PythonTask(c, loop=loop, name=name), "PythonTask"),
              "factory": (factory_task, "SubTask")}
    for kind, (make, what) in makers.items():
        child = start("task.%s.child" % kind, asyncio.sleep(SECONDS), "future", "asyncio.sleep",
                      by=["task." + kind, "task.%s.gather" % kind], left=LEFT, make=make)
        start("task." + kind, parent(child), "task", what, make=make)

        async def gather(child=child):
            await asyncio.gather(child)
        start("task.%s.gather" % kind, gather(), "future", "asyncio.gather", make=make)

    async def future_of(make):
        await keep(make(loop=loop))
    start("future.python", future_of(asyncio.futures._PyFuture), "future", "Future")
    start("future.subclass", future_of(SubFuture), "future", "SubFuture")


@construct
def cancelled():
    async def stubborn():
        try:
            await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            await asyncio.sleep(SECONDS)
    task = start("cancelling", stubborn(), "future", "asyncio.sleep", left=LEFT,
                 state="cancelling" if MINOR >= 11 else "pending")
    asyncio.get_running_loop().call_later(0.05, task.cancel)


def from_cython():
    sys.path.insert(0, sys.argv[2])
    import compiled
    start("cython", compiled.outer(asyncio.sleep(SECONDS)), "future", "asyncio.sleep", left=LEFT)

    async def python(coroutine):
        await coroutine
    start("cython.inside", python(compiled.inner(asyncio.sleep(SECONDS))), "future", "asyncio.sleep", left=LEFT)
    start("cython.future", compiled.inner(keep(asyncio.get_running_loop().create_future())), "future", FUTURE)


# ---- the truth -------------------------------------------------------------------------------------------

def stack_of(task):
    """Function names, outermost first."""
    return [name for name, _, _ in truth.chain(task.get_coro())[0]]


def books_of(task):
    """Who awaits it as this Python says itself, None where it does not."""
    if MINOR < 14:
        return None
    own = set(getattr(task, "_asyncio_awaited_by", None) or ())
    if isinstance(task, asyncio.Future) and not in_ring(task):  # none of those written in Python
        graph = asyncio.capture_call_graph(task)
        futures = {call.future for call in graph.awaited_by}
        assert own == futures, (own, futures)
        names = [entry.frame.f_code.co_name for entry in graph.call_stack]
        assert names == graph_stack(task), (names, stack_of(task))
    return sorted(waiter.get_name() for waiter in own if isinstance(waiter, TASKS))


def in_ring(task):
    """asyncio's own capture_call_graph() goes round and round in a ring, until the stack is full."""
    return task.get_name().startswith("ring.")


def graph_stack(task):
    """What asyncio's own graph has: it ends at a generator that is no coroutine, and at an asend()."""
    stack, thing = [], task.get_coro()
    while hasattr(thing, "cr_await") or hasattr(thing, "ag_await"):
        frame = getattr(thing, "cr_frame", None) or getattr(thing, "ag_frame", None)
        if frame is None:
            break
        stack.append(frame.f_code.co_name)
        thing = getattr(thing, "cr_await", None) or getattr(thing, "ag_await", None)
    return stack[::-1]


def told(name, entry):
    task, facts = entry.task, dict(entry.declared)
    waiter = task._fut_waiter
    assert not task.done(), (name, task)
    outermost = task.get_stack()
    stack = stack_of(task)
    assert not outermost or not stack or outermost[0].f_code.co_name == stack[0]
    facts.update(id=hex(id(task)), stack=stack, waiter=waiter is not None and hex(id(waiter)) or None,
                 books=books_of(task), coroutine=task.get_coro().__qualname__)
    return facts


async def main():
    for function in CONSTRUCTS:
        function()
    for function in (streams, sockets, executors, processes):
        await function()
    if MODE == "cython":
        from_cython()
    await asyncio.sleep(0.3)
    listed = {hex(id(task)): task.get_name() for task in asyncio.all_tasks()}
    entry = row("main", "future", "asyncio.sleep", left=LEFT, owner="runner" if MODE != "uvloop" else "callback")
    entry.task = asyncio.current_task()
    asyncio.current_task().set_name("main")
    rows = {name: told(name, entry) for name, entry in ROWS.items() if name != "main"}
    main_row = dict(ROWS["main"].declared, id=hex(id(asyncio.current_task())), waiter=None,
                    stack=["main", "sleep"] + ["__await__"] * (MODE == "python"),
                    books=None, coroutine="main")
    rows["main"] = main_row
    truth.tell(MODE, rows=rows, listed=listed, seconds=SECONDS)
    await asyncio.sleep(SECONDS)


def run():
    if MODE == "uvloop":
        import uvloop
        uvloop.install()
    if MODE == "python":
        asyncio.tasks.Task = asyncio.Task = asyncio.tasks._PyTask
        asyncio.futures.Future = asyncio.Future = asyncio.futures._PyFuture
        for name in ("current_task", "all_tasks"):
            if hasattr(asyncio.tasks, "_py_" + name):  # those of 3.14 in C know tasks in C alone
                setattr(asyncio.tasks, name, getattr(asyncio.tasks, "_py_" + name))
                setattr(asyncio, name, getattr(asyncio.tasks, name))
        loop = PythonLoop()
        asyncio.set_event_loop(loop)
        loop.run_until_complete(main())
    else:
        asyncio.run(main())


if __name__ == "__main__":
    run()
