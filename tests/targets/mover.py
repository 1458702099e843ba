# SPDX-License-Identifier: Apache-2.0
"""mover.py WAY: a loop that does not stay where it was first seen.

    deeper  it is run again and again, each time from another depth
    ends    it ends soon, and the thread sleeps on
    holds   it ends in the middle of a hold, by an exception, and the thread sleeps on
    execs   the process becomes another program, which has a loop of its own
    late    another thread keeps the GIL for a second, in C
    starves the same, but the loop has no timer: what it waits for comes meanwhile
"""
import asyncio
import os
import re
import subprocess
import sys
import threading
import time

import truth

WAY = sys.argv[1]


async def turn(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        await asyncio.sleep(0.002)


def at_depth(depth, loop):
    if depth:
        return at_depth(depth - 1, loop)
    return loop.run_until_complete(turn(0.01))


def keep_gil(text):
    time.sleep(0.2)
    re.match("(a+)+$", text)


def keep_gil_in_thread():
    # for a second at least, and about as long on each machine
    n, started = 20, time.monotonic()
    while time.monotonic() - started < 0.05:
        n, started = n + 1, time.monotonic()
        re.match("(a+)+$", "a" * n + "b")
    threading.Thread(target=keep_gil, args=("a" * (n + 4) + "b",)).start()


async def main():
    truth.tell(WAY, None)
    await turn(0.3)
    if WAY == "holds":
        time.sleep(0.3)
        raise KeyboardInterrupt
    if WAY == "late":
        keep_gil_in_thread()
        await turn(2)
    if WAY == "starves":
        keep_gil_in_thread()
        pipe = subprocess.Popen(["sh", "-c", "sleep 0.5; echo"], stdout=subprocess.PIPE).stdout
        has_come = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(pipe, has_come.set_result, None)
        await has_come
        asyncio.get_running_loop().remove_reader(pipe)
        await turn(0.5)


loop = asyncio.new_event_loop()
if WAY == "deeper":
    loop.call_soon(truth.tell, WAY, None)
    for i in range(1000000):
        at_depth(i % 7 * 3, loop)
try:
    loop.run_until_complete(main())
except KeyboardInterrupt:
    pass
if WAY == "execs":
    os.execv(sys.executable, [sys.executable, __file__, "ends"])
time.sleep(30)
