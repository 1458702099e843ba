# SPDX-License-Identifier: Apache-2.0
"""overtime.py [HANDLER SECONDS]...: a service that is held again and again, each time by the next of
its handlers, for the time given, with 0.4 seconds in between. Each hold is told when it is over.

HANDLER is price (it sleeps), render (it computes), wait (it awaits, and holds nothing) or leak (which
leaves tasks behind).
"""
import asyncio
import json
import sys
import time

import truth

PLAN = list(zip(sys.argv[1::2], map(float, sys.argv[2::2])))
KEPT = []


async def price(seconds):
    time.sleep(seconds)


async def render(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def wait(seconds):
    await asyncio.sleep(seconds)


async def leak(seconds):
    KEPT.extend(asyncio.ensure_future(forgotten()) for _ in range(int(seconds)))


async def forgotten():
    await asyncio.sleep(3600)


async def ticker():
    while True:
        await asyncio.sleep(0.05)


async def main():
    KEPT.extend(asyncio.ensure_future(ticker()) for _ in range(5))
    truth.tell("overtime")
    for handler, seconds in PLAN:
        await asyncio.sleep(0.4)
        began = time.monotonic()
        await globals()[handler](seconds)
        print(json.dumps({"handler": handler, "began": began, "held": time.monotonic() - began}), flush=True)
    await asyncio.sleep(3600)


asyncio.run(main())
