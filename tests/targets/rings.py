# SPDX-License-Identifier: Apache-2.0
"""rings.py STATE: tasks that wait for an asyncio.Lock of each other, or only look as if they did."""
import asyncio
import sys

import truth

STATE = sys.argv[1]
SECONDS = 60.0


async def take(first, second):
    async with first:
        await asyncio.sleep(0.05)
        async with second:
            await asyncio.sleep(SECONDS)


async def take_by_hand(first, second):
    await first.acquire()
    await asyncio.sleep(0.05)
    await second.acquire()


async def take_again(lock):
    async with lock:
        await inner(lock)


async def inner(lock):
    async with lock:
        await asyncio.sleep(SECONDS)


async def give_up(first, second):
    async with first:
        await asyncio.sleep(0.05)
        await asyncio.wait_for(second.acquire(), SECONDS)


async def give_up_above(first, second):
    await asyncio.wait_for(take(first, second), SECONDS)


async def know(first, second):
    """Has the first lock among the arguments of a call to come, and not for itself."""
    print(first, first.release, await second.acquire())


async def pile(lock):
    async with lock:
        await asyncio.sleep(SECONDS)


async def main():
    locks = [asyncio.Lock() for _ in range(3)]
    a, b, c = locks
    coroutines = {
        "two": lambda: [take(a, b), take(b, a)],
        "three": lambda: [take(a, b), take(b, c), take(c, a)],
        "self": lambda: [take_again(a)],
        "timeout": lambda: [take(a, b), give_up(b, a)],
        "timeout-above": lambda: [take(a, b), give_up_above(b, a)],
        "by-hand": lambda: [take_by_hand(a, b), take_by_hand(b, a)],
        "known": lambda: [know(a, b), know(b, a)],
        "chain": lambda: [take(a, b), take(b, c), pile(c), pile(a)],
    }[STATE]()
    if STATE == "known":
        await a.acquire()
        await b.acquire()
    tasks = []
    for number, coroutine in enumerate(coroutines):
        tasks.append(asyncio.ensure_future(coroutine))
        tasks[-1].set_name("ring-%d" % number)
    await asyncio.sleep(0.3)
    truth.tell(STATE, tasks=[task.get_name() for task in tasks])
    while True:
        await asyncio.sleep(1.0)


asyncio.run(main())
