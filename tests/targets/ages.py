# SPDX-License-Identifier: Apache-2.0
"""ages.py STATE: an asyncio program whose tasks know when they began to wait."""
import asyncio
import sys
import time

import truth

STATE = sys.argv[1]
SECONDS = 60.0
began = {}  # name -> when the task of that name began the wait that it is in, at the earliest
latest = {}  # ... at the latest: it may have lost its CPU in between


def spawn(coroutine, name=None):
    task = asyncio.ensure_future(coroutine)
    if name:
        task.set_name(name)
    return task


def note(name=None):
    began[name or asyncio.current_task().get_name()] = time.monotonic()


async def sleeper(seconds):
    note()
    await asyncio.sleep(seconds)


async def wait(event):
    note()
    await event.wait()


async def gathering():
    note()
    await asyncio.gather(asyncio.get_running_loop().create_future())


async def reader(queue, name):
    """The future of each round is where the one of the last round was, in most rounds."""
    while True:
        note(name)
        await queue.get()


def block(reached=None):
    truth.tell(STATE, None, began=began, latest=latest)
    time.sleep(SECONDS)


async def start_tasks():
    """Waits that began 0.2 and 0.1 seconds before this ends."""
    tasks = []
    for delay in 0.1, 0.1:
        event = asyncio.Event()
        tasks += [spawn(sleeper(SECONDS)), spawn(sleeper(30), "named sleeper %d" % len(tasks)),
                  spawn(wait(event)), spawn(wait(event), "named waiter %d" % len(tasks)), spawn(gathering())]
        await asyncio.sleep(0)
        for name in began:
            latest.setdefault(name, time.monotonic())
        await asyncio.sleep(delay)
    return tasks


async def held():
    """In the first callback of a turn."""
    tasks = await start_tasks()
    await asyncio.sleep(0.1)
    if sys.version_info >= (3, 12):
        time.sleep(0.2)
        loop = asyncio.get_running_loop()
        for name in None, "eager":
            tasks.append(asyncio.Task(wait(asyncio.Event()), loop=loop, name=name, eager_start=True))
    block()


async def second():
    """In the last callback of a turn; the ones before it begin waits, and take their time."""
    tasks = await start_tasks()
    loop = asyncio.get_running_loop()
    tasks += [spawn(wait(asyncio.Event())) for _ in range(3)]
    loop.call_soon(time.sleep, 0.2)
    loop.call_soon(block)
    tasks += [spawn(wait(asyncio.Event())) for _ in range(3)]  # not yet begun
    await asyncio.sleep(SECONDS)


async def idle():
    """In select, with one timer far away."""
    tasks = await start_tasks()
    truth.tell(STATE, None, began=began, latest=latest)
    note()
    await asyncio.sleep(SECONDS)
    del tasks


async def turning():
    """Nothing is proven of a loop that turns; least of all by futures that look the same."""
    tasks, queues = await start_tasks(), [asyncio.Queue() for _ in range(4)]
    tasks += [spawn(reader(queue, "reader %d" % i), "reader %d" % i) for i, queue in enumerate(queues)]
    await asyncio.sleep(0.05)
    truth.tell(STATE, None, began=began, latest=latest)
    while True:
        for queue in queues:
            queue.put_nowait(0)
        await asyncio.sleep(0.011)


if __name__ == "__main__":
    asyncio.run(globals()[STATE.split("-")[0]](), debug=STATE.endswith("debug"))
