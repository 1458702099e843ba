# SPDX-License-Identifier: Apache-2.0
"""hostile.py STATE: an asyncio program that spoils its own objects, then holds its loop in a sleep.

Whatever is said of it, it must be said soon, in bounded memory and in clean text.
"""
import asyncio
import ctypes
import sys
import threading
import time

import truth

STATE = sys.argv[1]
SECONDS = 60
EVIL = "\x1b[31m\x1b]52;c;QUFB\x07\u202e\u2066\x9b31m\r\n\u200b\ufeff"
KEPT = []


def word(address):
    return ctypes.c_uint64.from_address(address)


def deque_ring(deque, size):
    """Its first block is its own successor, and it says that it has so many items."""
    first = word(id(deque) + 24).value
    word(first + 8 + 8 * 64).value = first
    word(id(deque) + 16).value = size


def deep(depth, function):
    return deep(depth - 1, function) if depth else function()


def deep_threads():
    """More frames than are read of all threads together."""
    threading.stack_size(1 << 19)
    lock = threading.Lock()
    lock.acquire()
    for _ in range(1000):
        threading.Thread(target=deep, args=(300, lock.acquire), daemon=True).start()


async def evil_coroutine(future):
    await future


def evil_names(loop):
    future = type(EVIL, (asyncio.Future,), {"__module__": EVIL})(loop=loop)
    evil_coroutine.__name__ = evil_coroutine.__qualname__ = EVIL * 100
    for name in EVIL, "A\x1b" * 500000:
        task = loop.create_task(evil_coroutine(future))
        task.set_name(name)
        KEPT.append(task)
    threading.current_thread().name = EVIL
    ctypes.CDLL(None).prctl(15, b"\x1b[31m)\n\x9b(", 0, 0, 0)


async def waiter(lock):
    async with lock:
        await asyncio.sleep(SECONDS)


async def ring(tasks, i):
    await asyncio.sleep(0)
    await asyncio.gather(*(tasks[(i + k) % len(tasks)] for k in range(1, 30)))


def hold():
    for _ in range(1 << 40):
        pass


async def main():
    loop = asyncio.get_running_loop()
    lock, tasks = asyncio.Lock(), []
    KEPT.extend(loop.create_task(waiter(lock)) for _ in range(5))
    loop.call_later(SECONDS, EVIL.lower)
    if STATE == "gather-ring":
        tasks.extend(loop.create_task(ring(tasks, i)) for i in range(200))
    await asyncio.sleep(0.05)
    for _ in range(3):
        loop.call_soon(EVIL.lower)
    if STATE == "ready-ring":
        deque_ring(loop._ready, 1 << 39)
    elif STATE == "waiters-ring":
        deque_ring(lock._waiters, 1 << 40)
    elif STATE == "timers-size":
        word(id(loop._scheduled) + 16).value = 4000000
    elif STATE == "timers-endless":
        word(id(loop._scheduled) + 16).value = (1 << 63) - 1
    elif STATE == "names":
        evil_names(loop)
        await asyncio.sleep(0.01)
    elif STATE == "long-names":
        threading.current_thread().name = "a" + "\u00e9" * 200
        hold.__code__ = hold.__code__.replace(co_name="\u00e9" * 200, **(
            {"co_qualname": "\u00e9" * 200} if sys.version_info >= (3, 11) else {}))
        truth.tell(STATE)  # it computes: on a machine that is busy it is STARVED
        hold()
    elif STATE == "deep-threads":
        deep_threads()
    truth.tell(STATE, "STALLED")
    time.sleep(SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
