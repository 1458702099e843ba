# SPDX-License-Identifier: Apache-2.0
"""What a target knows about itself, as one JSON line: the tests compare it with the program.

Python 3.8 to 3.15, standard library only.
"""
import asyncio
import json
import os
import sys
import time


def chain(coro):
    """Frames of a suspended coroutine, outermost first, and whether the end was seen."""
    stack = []
    while coro is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(coro, prefix + "_frame", None)
            if frame is not None:
                stack.append([frame.f_code.co_name, frame.f_lineno])
                coro = getattr(coro, prefix + ("_yieldfrom" if prefix == "gi" else "_await"), None)
                break
        else:
            return stack, isinstance(coro, asyncio.Future) or "FutureIter" in type(coro).__name__
    return stack, True


def frames_to(function):
    """The synchronous and coroutine frames from the caller out to `function`, outermost first."""
    frame, stack = sys._getframe(1), []
    while frame is not None:
        stack.append([frame.f_code.co_name, frame.f_lineno])
        if frame.f_code.co_name == function:
            break
        frame = frame.f_back
    return stack[::-1]


def tasks(loop, running=None):
    rows = []
    for task in asyncio.all_tasks(loop):
        stack, complete = chain(task.get_coro())
        rows.append({"name": task.get_name(), "coroutine": task.get_coro().__qualname__,
                     "running": task is running, "stack": stack, "complete": complete})
    return rows


def tell(state, **facts):
    facts.update(state=state, pid=os.getpid(), version="%d.%d.%d" % sys.version_info[:3],
                 now=time.monotonic())
    print(json.dumps(facts), flush=True)


def here(offset):
    """The caller's line plus offset."""
    return sys._getframe(1).f_lineno + offset
