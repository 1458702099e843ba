# SPDX-License-Identifier: Apache-2.0
"""staller.py [--uvloop] SECONDS LEAST MOST GAP SEED [TASKS]: a service that stalls at random.

It turns all the time, and now and then a handler holds the loop for LEAST to MOST seconds (most of
them short), in one of several ways and from one of several lines; GAP is how long it runs well in
between, at the mean. TASKS more sleep all the time. It begins at the first line of its input. Its
log, a JSON line for each stall when it is over, is the truth: begin and end by its own clock, when the
next turn began, function, line.
"""
import asyncio
import hashlib
import json
import random
import sys
import time

import truth


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def wait_blocking(seconds):
    time.sleep(seconds)


def hash_files(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        hashlib.sha256(b"x" * 1000000).digest()


def look_up_slowly(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(max(0, min(0.005, end - time.monotonic())))


WAYS = [spin, wait_blocking, hash_files, look_up_slowly]


async def handle(way, seconds):
    begin = time.monotonic()
    way(seconds)
    end = time.monotonic()
    await asyncio.sleep(0)
    print(json.dumps({"begin": begin, "end": end, "next": time.monotonic(), "function": way.__name__,
                      "first": way.__code__.co_firstlineno + 1}), flush=True)


async def requests():
    while True:
        await asyncio.sleep(0.003)


async def main(seconds, least, most, gap, seed, tasks=0):
    dice = random.Random(seed)
    others = [asyncio.ensure_future(requests()) for _ in range(20)]
    others += [asyncio.ensure_future(asyncio.sleep(3600)) for _ in range(tasks)]
    truth.tell("stalling", None)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.readline)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(dice.expovariate(1 / gap) + 0.01)
        await handle(dice.choice(WAYS), least * (most / least) ** dice.random())
    for task in others:
        task.cancel()


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "--uvloop":
        import uvloop
        asyncio.set_event_loop(uvloop.new_event_loop())
        words.pop(0)
    else:
        asyncio.set_event_loop(asyncio.new_event_loop())
    asyncio.get_event_loop().run_until_complete(
        main(*[float(word) for word in words[:4]], *[int(word) for word in words[4:]]))
