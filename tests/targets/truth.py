# SPDX-License-Identifier: Apache-2.0
"""What a target knows about itself, as one JSON line: the tests compare it with the program.

Python 3.8 to 3.15, standard library only.
"""
import asyncio
import gc
import json
import mmap
import os
import struct
import sys
import time
import types

# An object between an await and the generator that it resumes: it has no frame of its own.
THROUGH = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")


def row(frame, line=None):
    """Function, base name of the file, line."""
    return [frame.f_code.co_name, os.path.basename(frame.f_code.co_filename), line or frame.f_lineno]


def has_frame(thing):
    return any(hasattr(thing, prefix + "_frame") for prefix in ("cr", "gi", "ag"))


def through(thing):
    """What is resumed behind a wrapper (which may stand before another), or the thing itself."""
    while type(thing).__name__ in THROUGH:
        behind = gc.get_referents(thing)
        thing = next((other for other in behind if has_frame(other) or type(other).__name__ in THROUGH), None)
    return thing


def chain(coro):
    """Frames of a suspended coroutine, outermost first, and whether the end was seen."""
    stack = []
    while coro is not None:
        coro = through(coro)
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(coro, prefix + "_frame", None)
            compiled = "coroutine" in type(coro).__name__ and prefix == "cr" and not isinstance(coro, types.CoroutineType)
            if frame is not None or compiled and hasattr(coro, "cr_await"):
                stack.append([coro.__name__, "<cython>", None] if compiled else row(frame))
                coro = getattr(coro, prefix + ("_yieldfrom" if prefix == "gi" else "_await"), None)
                break
        else:
            return stack, isinstance(coro, asyncio.Future) or "FutureIter" in type(coro).__name__
    return stack, True


def frames_to(function):
    """The synchronous and coroutine frames from the caller out to `function`, outermost first."""
    frame, stack = sys._getframe(1), []
    while frame is not None:
        stack.append(row(frame))
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


def loop_class():
    """Of the loop that runs in this thread; None when none does."""
    try:
        kind = type(asyncio.get_running_loop())
    except RuntimeError:
        return None
    return "%s.%s" % (kind.__module__, kind.__qualname__)


def tell(state, verdict=None, **facts):
    """One line. `verdict` is the word that the program must say of this process, where it is one."""
    facts.update(state=state, verdict=verdict, pid=os.getpid(), loop_class=loop_class(),
                 version="%d.%d.%d" % sys.version_info[:3], now=time.monotonic())
    print(json.dumps(facts), flush=True)


def here(offset):
    """The caller's line plus offset."""
    return sys._getframe(1).f_lineno + offset


class Stamps:
    """When each hold began, in a file that others read while it lasts: how many there were, which
    callback of its turn the current one is in, then the last SLOTS starts. A start is there before
    it is counted."""
    SLOTS = 1024

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(8 * (2 + self.SLOTS))
            self.map = mmap.mmap(file.fileno(), 0)
        self.count = 0

    def begin(self):
        now = time.monotonic()
        struct.pack_into("=d", self.map, 8 * (2 + self.count % self.SLOTS), now)
        self.count += 1
        struct.pack_into("=QQ", self.map, 0, self.count, 0)
        return now

    def at(self, position):
        """The caller keeps its numbers: new ones would take the place of the loop's own in memory,
        with nearly its values, and hide that somebody reads a number that is gone."""
        struct.pack_into("=Q", self.map, 8, position)

    @classmethod
    def read(cls, path):
        """(count, position, starts so far, oldest first)"""
        try:
            with open(path, "rb") as file:
                count, position, *slots = struct.unpack("=QQ%dd" % cls.SLOTS, file.read())
        except (FileNotFoundError, struct.error):
            return 0, 0, []
        first = max(0, count - cls.SLOTS)
        return count, position, [slots[i % cls.SLOTS] for i in range(first, count)]
