# SPDX-License-Identifier: Apache-2.0
"""target.py COUNT [WAIT [RATE]]: a service with COUNT parked tasks, and RATE short ones a second.

Each parked task is a chain of three coroutines: serve() awaits fetch() awaits Event.wait() or
asyncio.sleep(), which waits for a future. WAIT says for what: `event` (the default) for an Event
of its own, `shared` for one Event of all, `sleep` for a timer of its own. A short task is created,
sleeps for 1 ms in a chain of two, and ends. Prints "ready" when all are parked. Standard library
only, CPython 3.8 to 3.15.
"""
import asyncio
import gc
import sys
import time

COUNT = int(sys.argv[1])
WAIT = sys.argv[2] if len(sys.argv) > 2 else "event"
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 0
SHARED = None


async def fetch():
    if WAIT == "sleep":
        await asyncio.sleep(1e6)
    elif WAIT == "shared":
        await SHARED.wait()
    else:
        await asyncio.Event().wait()


async def serve():
    await fetch()


async def answer():
    await asyncio.sleep(0.001)


async def short():
    await answer()


def create(loop, coroutine, name):
    task = loop.create_task(coroutine)
    task.set_name(name)
    return task


async def churn(loop):
    """Creates what is owed by the clock, in steps of 1 ms, so that a late turn is made good."""
    tasks, begin, made = set(), time.monotonic(), 0
    while True:
        while made < (time.monotonic() - begin) * RATE:
            task = create(loop, short(), "short-%d" % made)
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            made += 1
        await asyncio.sleep(0.001)


def main():
    """No task but the parked ones (and the one that churns): COUNT is what there is."""
    global SHARED
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    SHARED = asyncio.Event()
    gc.disable()  # a million young objects are not garbage: only the start is faster
    tasks = [create(loop, serve(), "parked-%d" % i) for i in range(COUNT)]
    gc.enable()
    if RATE:
        tasks.append(create(loop, churn(loop), "churn"))
    # By then each has had its first step, and waits.
    loop.call_soon(print, "ready")
    loop.call_soon(sys.stdout.flush)
    loop.run_forever()


main()
