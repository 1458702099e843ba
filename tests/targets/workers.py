# SPDX-License-Identifier: Apache-2.0
"""workers.py SECONDS [exec]: a parent and two workers with a loop each; one that ends is replaced.

With exec there is only one process, that becomes another program (one whose loop is held) when it
gets SIGUSR1.
"""
import asyncio
import ctypes
import os
import signal
import sys
import time

import truth

SECONDS = float(sys.argv[1])


async def tick():
    while True:
        await asyncio.sleep(0.05)


def work():
    asyncio.run(asyncio.wait_for(tick(), SECONDS))


def start():
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with its parent
        work()
        os._exit(0)
    return pid


def parent():
    pids = {start(), start()}
    truth.tell("workers", None)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        pids.discard(os.waitpid(-1, os.WNOHANG)[0])
        if len(pids) < 2:
            pids.add(start())
        time.sleep(0.05)


async def become():
    folder = os.path.dirname(os.path.abspath(__file__))
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGUSR1, os.execv, sys.executable,
        [sys.executable, os.path.join(folder, "states.py"), "blocked", str(SECONDS)])
    truth.tell("exec", None)
    await tick()


if sys.argv[2:] == ["exec"]:
    asyncio.run(become())
else:
    parent()
