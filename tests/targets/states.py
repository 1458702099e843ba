# SPDX-License-Identifier: Apache-2.0
"""states.py STATE [SECONDS [STAMPS]]: an asyncio program that reaches a named state and tells the
truth.

The truth is printed by the code that is about to hold the loop, so that its clock is the clock of
the hold. A hold lasts SECONDS (default 30), afterwards the loop is idle; other states end then.
STAMPS is a file for the start of every hold, see truth.Stamps.
"""
import asyncio
import sys
import threading
import time
import types

import truth

STATE = sys.argv[1]
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 30.0
STAMPS = truth.Stamps(sys.argv[3]) if len(sys.argv) > 3 else None


def begin():
    """The start of a hold."""
    return STAMPS.begin() if STAMPS else time.monotonic()


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
    truth.tell(STATE, "STALLED", line=line, **culprit(how, line), **facts)
    how(SECONDS)


# ---- four awaits deep, 50 others parked ---------------------------------------------------------

async def load_profile(how, started):
    hold(how, started, "handle", task="handle-quote")


async def fetch_user(how, started):
    await load_profile(how, started)


async def authorise(how, started):
    await fetch_user(how, started)


async def handle(how):
    started = begin()
    await authorise(how, started)


async def wait_for_event(event):
    await event.wait()


async def wait_for_item(queue):
    return await queue.get()


async def wait_for_lock(lock):
    async with lock:
        await asyncio.sleep(3600)


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
    await asyncio.sleep(3600)
    return tasks


# ---- again and again -------------------------------------------------------------------------------

HOLD, REST = 0.15, 0.05


def hold_again():
    begin()
    time.sleep(HOLD)


async def main_again():
    tasks = await parked(10)
    truth.tell(STATE, None, hold=HOLD, function="hold_again", line=hold_again.__code__.co_firstlineno + 2)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        await asyncio.sleep(REST)
        hold_again()
    return tasks


# ---- healthy -------------------------------------------------------------------------------------

async def main_parked(count):
    tasks = await parked(count)
    loop = asyncio.get_running_loop()
    loop.call_later(0.1, lambda: truth.tell(STATE, "HEALTHY", tasks=truth.tasks(loop), count=count + 1))
    await asyncio.sleep(SECONDS)
    return tasks


# ---- floods and batches ----------------------------------------------------------------------------

async def churn(until, work, number):
    while time.monotonic() < until:
        if STAMPS:
            STAMPS.at(number)
        for _ in range(work):
            pass
        await asyncio.sleep(0)


def beat(loop):
    """The first callback of every turn of a flood."""
    STAMPS.begin()
    loop.call_soon(beat, loop)


async def main_flood(count, work):
    until = time.monotonic() + SECONDS
    if STAMPS:
        beat(asyncio.get_running_loop())
    tasks = [asyncio.ensure_future(churn(until, work, i + 1)) for i in range(count)]
    truth.tell(STATE, "OVERLOADED", count=count + 1)
    await asyncio.wait(tasks)


def held_callback():
    hold(time.sleep, begin(), "held_callback", task=None, index=5, ntodo=15)


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
    await asyncio.sleep(0.05)
    started = begin()
    loop = asyncio.get_running_loop()
    for i in range(100):
        loop.call_later(0.5 + i / 1000, str)
    loop.call_later(3600, str)
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
    truth.tell(STATE, "STALLED", port=port, function="fetch")
    fetch(port)


async def main_json():
    import json
    rows = list(range(400000))
    truth.tell(STATE, "STALLED", function="main_json")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        json.dumps(rows, indent=1)


async def main_executor():
    from concurrent.futures import ThreadPoolExecutor
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=2))
    jobs = [loop.run_in_executor(None, time.sleep, SECONDS) for _ in range(5)]
    await asyncio.sleep(0.2)
    truth.tell(STATE, "HEALTHY", max=2, threads=2, queued=3)
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


@types.coroutine
def old_style(event):
    yield from event.wait().__await__()


async def awaiting_generator(event):
    await old_style(event)


async def waiting(event):
    await asyncio.wait([asyncio.ensure_future(wait_for_event(event))])


async def grouped(event):
    async with asyncio.TaskGroup() as group:
        group.create_task(wait_for_event(event))
        group.create_task(nap())


async def as_they_complete(event):
    results = [await item for item in asyncio.as_completed([wait_for_event(event)])]
    return results


async def main_gather():
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    shapes = [consume, with_timeout, shielded, gathered, entering, awaiting_object, awaiting_generator,
              waiting, as_they_complete]
    if hasattr(asyncio, "TaskGroup"):
        shapes.append(grouped)
    tasks = [asyncio.ensure_future(f(event)) for f in shapes]
    await asyncio.sleep(0.1)
    truth.tell(STATE, "HEALTHY", tasks=truth.tasks(loop, asyncio.current_task()))
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
    rows = []
    for task in tasks:
        stack, _ = truth.chain(task.get_coro())
        rows.append({"name": task.get_name(), "coroutine": task.get_coro().__qualname__, "stack": stack})
    truth.tell(STATE, "HEALTHY", tasks=rows)
    await asyncio.sleep(SECONDS)


async def eager_step():
    hold(time.sleep, begin(), "eager_step", task=asyncio.current_task().get_name())


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
    truth.tell(STATE, "HEALTHY", count=len(tasks) + 1)
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
    truth.tell(STATE, "NO-LOOP")
    time.sleep(SECONDS)


# ---- a second interpreter in the process ---------------------------------------------------------------

IN_SUBINTERPRETER = """
import sys
sys.path.insert(0, {folder!r})
sys.argv = {argv!r}
import states
states.asyncio.run(states.main_held(states.time.sleep))
"""


def run_in_subinterpreter(code):
    """With whatever this version calls it. asyncio itself works in one since 3.12."""
    if sys.version_info >= (3, 14):
        from concurrent import interpreters
        interpreters.create().exec(code)
    elif sys.version_info >= (3, 13):
        import _interpreters
        _interpreters.run_string(_interpreters.create(), code)
    else:
        import _xxsubinterpreters
        _xxsubinterpreters.run_string(_xxsubinterpreters.create(), code)


def main_inner():
    """The main thread, in another interpreter than the main one."""
    run_in_subinterpreter(IN_SUBINTERPRETER.format(folder=sys.path[0], argv=sys.argv))


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
    threading.Thread(target=run_in_subinterpreter, args=(code,), daemon=True).start()
    truth.tell(STATE)
    asyncio.run(nap())


def main_debug():
    asyncio.run(main_held(time.sleep), debug=True)


STATES = {
    "idle": lambda: asyncio.run(main_parked(5)),
    "parked": lambda: asyncio.run(main_parked(1000)),
    "blocked": lambda: asyncio.run(main_held(time.sleep)),
    "again": lambda: asyncio.run(main_again()),
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
    "inner": main_inner,
    "sync": main_sync,
}

if __name__ == "__main__":
    STATES[STATE]()
