# SPDX-License-Identifier: Apache-2.0
"""churn.py FILE [PERMANENTS [RATE [PATTERN]]]: a loop whose tasks come and go, and their truth.

PERMANENTS tasks stay for ever, with names, coroutines and depths that follow from their numbers.
RATE changes a second (a task made, a task ended) of short ones beside them. PATTERN "paced": a few
each millisecond; "burst": hundreds at once, then nothing for a while; "mixed" (default): both.

FILE is the truth, mapped and written as it happens; words of 64 bits: MAGIC, permanents, slots,
changes so far, then for each slot the number of the last short task that was begun in it, then for
each slot the number of the last one that ended. A task churn-SLOT-NUMBER is pending only after its
number was written as begun, and never after it was written as ended.
"""
import asyncio
import json
import mmap
import os
import random
import sys
import time

MAGIC = 0x6e72756863
SLOTS = 4096
HEAD = 4
TICKING = 16  # of the permanents: they sleep and wake for ever

PATH = sys.argv[1]
PERMANENTS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
RATE = float(sys.argv[3]) if len(sys.argv) > 3 else 10000.0
PATTERN = sys.argv[4] if len(sys.argv) > 4 else "mixed"


def open_truth():
    size = 8 * (HEAD + 2 * SLOTS)
    with open(PATH, "wb") as file:
        file.truncate(size)
    with open(PATH, "r+b") as file:
        words = memoryview(mmap.mmap(file.fileno(), size)).cast("Q")
    words[1], words[2], words[0] = PERMANENTS, SLOTS, MAGIC
    return words


words = open_truth()
begun = words[HEAD:HEAD + SLOTS]
ended = words[HEAD + SLOTS:HEAD + 2 * SLOTS]
free = list(range(SLOTS))


# ---- those that stay ----------------------------------------------------------------------------

async def wait_for(what, seconds):
    """Where each permanent task stands."""
    if seconds:
        await asyncio.sleep(seconds)
    elif isinstance(what, asyncio.Event):
        await what.wait()
    else:
        await what


async def permanent0(what, seconds):
    await wait_for(what, seconds)


async def second(what, seconds):
    await wait_for(what, seconds)


async def permanent1(what, seconds):
    await second(what, seconds)


async def third(what, seconds):
    await second(what, seconds)


async def permanent2(what, seconds):
    await third(what, seconds)


async def ticking(seconds):
    while True:
        await asyncio.sleep(seconds)


def make_permanents(loop, event):
    kinds = (permanent0, permanent1, permanent2)
    tasks = []
    for i in range(PERMANENTS):
        if i < TICKING:
            coroutine = ticking(0.001 * (i + 1))
        else:
            what = (event, loop.create_future(), None)[i // 3 % 3]
            coroutine = kinds[i % 3](what, 0 if what else 86000 + i)
        tasks.append(loop.create_task(coroutine, name="permanent-%d" % i))
    return tasks


# ---- those that come and go -----------------------------------------------------------------------

async def rest(seconds):
    await asyncio.sleep(seconds)


async def churn0(slot, number, seconds):
    await rest(seconds)
    return slot, number


async def deeper(seconds):
    await rest(seconds)


async def churn1(slot, number, seconds):
    await deeper(seconds)
    return slot, number


async def churn2(slot, number, seconds):
    return slot, number  # never waits


CHURN = (churn0, churn1, churn2)


def on_end(task):
    slot, number = task.result()
    ended[slot] = number
    words[3] += 1
    free.append(slot)


def begin(loop):
    slot = free.pop()
    number = begun[slot] + 1
    begun[slot] = number
    kind = (slot + number) % 7
    coroutine = CHURN[kind % 3](slot, number, kind % 4 * 0.002)
    task = loop.create_task(coroutine, name="churn-%d-%d" % (slot, number))
    task.add_done_callback(on_end)
    words[3] += 1


async def pace(loop):
    """Makes half as many tasks as there shall be changes."""
    start, made, turn = time.monotonic(), 0, 0
    while True:
        turn += 1
        burst = PATTERN == "burst" or PATTERN == "mixed" and turn % 64 == 0
        await asyncio.sleep(random.uniform(0.02, 0.05) if burst else random.uniform(0.0002, 0.0015))
        due = int((time.monotonic() - start) * RATE / 2) - made
        if due > 1000:  # behind: what cannot be made is not made later
            start, made, due = time.monotonic(), 0, 500
        for _ in range(min(due, len(free))):
            begin(loop)
            made += 1


async def main():
    loop = asyncio.get_running_loop()
    if PATTERN != "paced":  # short ones also before the permanents, in the order of making
        for _ in range(50):
            begin(loop)
    event = asyncio.Event()
    tasks = make_permanents(loop, event)
    await asyncio.sleep(0.02)
    print(json.dumps({"pid": os.getpid(), "state": "churn", "permanents": PERMANENTS}), flush=True)
    if RATE:
        await pace(loop)
    await asyncio.gather(*tasks)


asyncio.run(main())
