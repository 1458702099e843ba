# SPDX-License-Identifier: Apache-2.0
"""states.py STATE [SECONDS]: an asyncio program that reaches a named state and tells the truth.

The truth is printed by the code that is about to hold the loop, so that its clock is the clock of
the hold. After SECONDS (default 30) the program ends by itself.
"""
import asyncio
import sys
import threading
import time

import truth

STATE = sys.argv[1]
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
FILE = __file__


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def culprit(how, line):
    """The innermost frame of ours while `how` runs: name, and first and last line it may be in."""
    if how is burn:
        first = burn.__code__.co_firstlineno
        return {"function": "burn", "lines": [first + 1, first + 3]}
    return {"function": "hold", "lines": [line, line]}


def hold(how, started, culprit_of, **facts):
    """Tells the truth and holds the loop in its last line."""
    loop = asyncio.get_running_loop()
    facts.update(started=started, running=truth.frames_to(culprit_of),
                 tasks=truth.tasks(loop, asyncio.current_task(loop)))
    line = truth.here(+2)
    truth.tell(STATE, line=line, **culprit(how, line), **facts)
    how(SECONDS)


# ---- four awaits deep, 50 others parked ---------------------------------------------------------

async def load_profile(how, started):
    hold(how, started, "handle", task="handle-quote")


async def fetch_user(how, started):
    await load_profile(how, started)


async def authorise(how, started):
    await fetch_user(how, started)


async def handle(how):
    started = time.monotonic()
    await authorise(how, started)


async def wait_for_event(event):
    await event.wait()


async def wait_for_item(queue):
    return await queue.get()


async def wait_for_lock(lock):
    async with lock:
        await asyncio.sleep(SECONDS)


async def wait_for_data():
    return await asyncio.StreamReader().readline()


async def nap():
    await asyncio.sleep(3600)


async def parked(count):
    event, queue, lock = asyncio.Event(), asyncio.Queue(), asyncio.Lock()
    kinds = [lambda: wait_for_event(event), lambda: wait_for_item(queue), lambda: wait_for_lock(lock),
             wait_for_data, nap]
    tasks = [asyncio.ensure_future(kinds[i % len(kinds)]()) for i in range(count)]
    for i, task in enumerate(tasks):
        task.set_name("parked-%d" % i)
    await asyncio.sleep(0.05)
    return tasks


async def main_held(how):
    tasks = await parked(50)
    task = asyncio.ensure_future(handle(how))
    task.set_name("handle-quote")
    await task
    return tasks


# ---- healthy -------------------------------------------------------------------------------------

async def main_parked(count):
    tasks = await parked(count)
    loop = asyncio.get_running_loop()
    loop.call_later(0.1, lambda: truth.tell(STATE, tasks=truth.tasks(loop), count=count + 1))
    await asyncio.sleep(SECONDS)
    return tasks


# ---- floods and batches ----------------------------------------------------------------------------

async def churn(until, work):
    while time.monotonic() < until:
        for _ in range(work):
            pass
        await asyncio.sleep(0)


async def main_flood(count, work):
    until = time.monotonic() + SECONDS
    tasks = [asyncio.ensure_future(churn(until, work)) for _ in range(count)]
    truth.tell(STATE, count=count + 1)
    await asyncio.wait(tasks)


def held_callback():
    hold(time.sleep, time.monotonic(), "held_callback", task=None, index=5, ntodo=15)


async def main_callback():
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.05)
    for _ in range(5):
        loop.call_soon(str)
    loop.call_soon(held_callback)
    for _ in range(9):
        loop.call_soon(str)
    await asyncio.sleep(SECONDS)


async def main_timers():
    loop = asyncio.get_running_loop()
    for i in range(100):
        loop.call_later(0.5 + i / 1000, str)
    loop.call_later(3600, str)
    started = time.monotonic()
    hold(time.sleep, started, "main_timers", task=asyncio.current_task().get_name())


def fetch(port):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/price")
    return connection.getresponse()


async def main_http():
    """A synchronous HTTP client, and a server that accepts by its backlog and never answers."""
    import http.client
    import socket
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    port = server.getsockname()[1]
    truth.tell(STATE, port=port, function="fetch")
    fetch(port)


async def main_json():
    import json
    rows = list(range(400000))
    truth.tell(STATE, function="main_json")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        json.dumps(rows, indent=1)


async def main_executor():
    from concurrent.futures import ThreadPoolExecutor
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=2))
    jobs = [loop.run_in_executor(None, time.sleep, SECONDS) for _ in range(5)]
    await asyncio.sleep(0.2)
    truth.tell(STATE, max=2, threads=2, queued=3)
    await asyncio.sleep(SECONDS)
    return jobs


# ---- what tasks wait in -----------------------------------------------------------------------------

async def numbers(event):
    yield 1
    await event.wait()
    yield 2


async def consume(event):
    async for _ in numbers(event):
        pass


async def with_timeout(event):
    await asyncio.wait_for(event.wait(), 3600)


async def shielded(event):
    await asyncio.shield(asyncio.ensure_future(wait_for_event(event)))


async def gathered(event):
    await asyncio.gather(wait_for_event(event), nap())


class Resource:
    def __init__(self, event):
        self.event = event

    async def __aenter__(self):
        await self.event.wait()

    async def __aexit__(self, *exc):
        pass

    def __await__(self):
        return self.event.wait().__await__()


async def entering(event):
    async with Resource(event):
        pass


async def awaiting_object(event):
    await Resource(event)


async def main_gather():
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(f(event)) for f in
             (consume, with_timeout, shielded, gathered, entering, awaiting_object)]
    await asyncio.sleep(0.1)
    truth.tell(STATE, tasks=truth.tasks(loop, asyncio.current_task()))
    await asyncio.sleep(SECONDS)
    return tasks


class Task(asyncio.Task):
    pass


async def main_subclass():
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.set_task_factory(lambda loop, coro, **kw: Task(coro, loop=loop))
    tasks = [loop.create_task(wait_for_event(event)) for _ in range(3)]
    loop.set_task_factory(lambda loop, coro, **kw: asyncio.tasks._PyTask(coro, loop=loop))
    tasks += [loop.create_task(nap()) for _ in range(3)]
    loop.set_task_factory(None)
    await asyncio.sleep(0.1)
    names = [t.get_name() for t in tasks]
    truth.tell(STATE, names=names, coroutines=[t.get_coro().__qualname__ for t in tasks])
    await asyncio.sleep(SECONDS)


async def eager_step():
    hold(time.sleep, time.monotonic(), "eager_step", task=asyncio.current_task().get_name())


async def main_eager():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await asyncio.sleep(0.05)
    await asyncio.create_task(eager_step(), name="eager")


HOSTILE = ["gr\u00fc\u00dfe", "\u65e5\u672c\u8a9e", "\U0001f600 smile", "esc \x1b[31mred\x1b[0m", "two\nlines\r",
           "bidi \u202e drawkcab", "zero\u200bwidth", "c1 \x9b31m", "lone \ud800 surrogate", "long " + "x" * 300,
           "osc \x1b]52;c;aGk=\x07", "nul \x00 byte", "tag \U000e0041"]


async def main_unicode():
    event = asyncio.Event()
    tasks = []
    for name in HOSTILE:
        task = asyncio.ensure_future(wait_for_event(event))
        task.set_name(name)
        tasks.append(task)
    scope = {}
    exec(compile("async def gr\u00fc\u00df(e):\n    await e.wait()\n", "/tmp/\x1b[2Jev\nil.py", "exec"), scope)
    tasks.append(asyncio.ensure_future(scope["gr\u00fc\u00df"](event)))
    await asyncio.sleep(0.1)
    truth.tell(STATE, count=len(tasks) + 1)
    await asyncio.sleep(SECONDS)


# ---- threads -----------------------------------------------------------------------------------------

def loop_in_thread(coroutine_function, *args):
    thread = threading.Thread(target=lambda: asyncio.run(coroutine_function(*args)), name="loop-thread",
                              daemon=True)
    thread.start()
    return thread


def main_thread_held():
    loop_in_thread(main_held, time.sleep)
    time.sleep(SECONDS)


def main_two_loops():
    loop_in_thread(main_held, time.sleep)
    asyncio.run(nap())


def main_sync():
    truth.tell(STATE)
    time.sleep(SECONDS)


def main_subinterpreter():
    """A loop that is held, in a thread, in an interpreter of its own."""
    import textwrap
    code = textwrap.dedent("""
        import asyncio, time
        def hold():
            time.sleep(%f)
        async def main():
            hold()
        asyncio.run(main())
    """ % SECONDS)

    def run():
        try:
            from concurrent import interpreters
            interpreters.create().exec(code)
        except ImportError:
            try:
                import _interpreters as interpreters
                interpreters.exec(interpreters.create(), code)
            except ImportError:
                import _xxsubinterpreters as interpreters
                interpreters.run_string(interpreters.create(), code)

    threading.Thread(target=run, daemon=True).start()
    truth.tell(STATE)
    asyncio.run(nap())


def main_debug():
    asyncio.run(main_held(time.sleep), debug=True)


STATES = {
    "idle": lambda: asyncio.run(main_parked(5)),
    "parked": lambda: asyncio.run(main_parked(1000)),
    "blocked": lambda: asyncio.run(main_held(time.sleep)),
    "cpu": lambda: asyncio.run(main_held(burn)),
    "flood": lambda: asyncio.run(main_flood(20000, 60)),
    "burst": lambda: asyncio.run(main_flood(500, 50000)),
    "callback": lambda: asyncio.run(main_callback()),
    "timers": lambda: asyncio.run(main_timers()),
    "http": lambda: asyncio.run(main_http()),
    "json": lambda: asyncio.run(main_json()),
    "executor": lambda: asyncio.run(main_executor()),
    "gather": lambda: asyncio.run(main_gather()),
    "subclass": lambda: asyncio.run(main_subclass()),
    "eager": lambda: asyncio.run(main_eager()),
    "unicode": lambda: asyncio.run(main_unicode()),
    "thread": main_thread_held,
    "twoloops": main_two_loops,
    "subinterpreter": main_subinterpreter,
    "debug": main_debug,
    "sync": main_sync,
}

if __name__ == "__main__":
    STATES[STATE]()
