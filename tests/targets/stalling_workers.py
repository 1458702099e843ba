# SPDX-License-Identifier: Apache-2.0
"""stalling_workers.py: a parent without a loop and its workers, which have one each and stall now and then.
A worker is replaced by a new one when the parent reads a line; the parent ends with its input."""
import asyncio
import json
import os
import signal
import sys
import time


def stall_of_worker():
    time.sleep(0.15)


async def work(parent):
    while os.getppid() == parent:
        await asyncio.sleep(0.2)
        stall_of_worker()


def start():
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        asyncio.run(work(parent))
        os._exit(0)
    return pid


workers = [start(), start()]
print(json.dumps({"pid": os.getpid(), "workers": workers}), flush=True)
for line in sys.stdin:
    gone = workers.pop(0)
    os.kill(gone, signal.SIGKILL)
    os.waitpid(gone, 0)
    workers.append(start())
    print(json.dumps({"gone": gone, "new": workers[-1]}), flush=True)
for worker in workers:
    os.kill(worker, signal.SIGKILL)
