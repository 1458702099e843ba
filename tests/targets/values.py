# SPDX-License-Identifier: Apache-2.0
"""values.py [move | forged]: variables of every kind in the frames of a held loop, and in a task that
waits.

A thread tells the truth while the loop is held: what each variable must be shown as, and where in
its line each frame stands. With "move" the loop is held by a loop that makes and drops objects; with
"forged" there are more variables, which are spoilt.
"""
import asyncio
import collections
import ctypes
import enum
import gc
import os
import sys
import threading
import time

import truth

SECRET = "s3cret-\u00e9\u4e2d\U0001f600"
MAIN = threading.get_ident()
RULES = {}


class Plain:
    def __init__(self):
        self.id = 7
        self.tags = ["a", "b"]


class Slotted:
    __slots__ = ("id", "total", "unset")

    def __init__(self):
        self.id, self.total = 8, 2.5


class Both(Slotted):
    def __init__(self):
        super().__init__()
        self.extra = "more"


class Empty:
    pass


class Holds:
    def __init__(self, inner):
        self.inner = inner
        self.itself = self
        self.many = [inner]


class Words(str):
    pass


class Table(dict):
    pass


class Level(enum.IntEnum):
    HIGH = 3


Point = collections.namedtuple("Point", "x y")


def at(thing, name=None):
    return "<%s at 0x%x>" % (name or "__main__." + type(thing).__qualname__, id(thing))


def simple():
    """Shown as repr() has them."""
    return {
        "none": None, "yes": True, "no": False, "zero": 0, "one": 1, "minus": -1, "big": 2 ** 61, "bigger": -(2 ** 62),
        "wide": 10 ** 80, "edge": 2 ** 300 - 1, "digit": 2 ** 30, "nine": 10 ** 9, "half": 0.5, "third": 1 / 3, "tiny": 1e-300,
        "e15": 1e15, "e16": 1e16, "e22": 1e22, "small": 0.0001, "smaller": 0.00001, "whole": -3.0,
        "infinite": float("inf"), "nothing": float("nan"), "minus_zero": -0.0, "most": sys.float_info.max,
        "empty": "", "text": "plain", "both": "it's \"so\"", "quoted": "it's", "back": "C:\\dir", "lines": "a\nb\tc\r\0\x1b[31m",
        "latin": "caf\u00e9", "wide_text": "\u4e2d\u6587", "astral": "\U0001f600", "lone": "\ud800", "turned": "a\u202eb",
        "secret": SECRET, "raw": b"a'b\"\\\0\xff\n~", "no_raw": b"", "items": [1, "two", None], "no_items": [], "pair": (1, 2),
        "single": (1,), "no_pair": (), "number_set": {5}, "no_set": set(), "frozen": frozenset({"x"}), "no_frozen": frozenset(),
        "table": {"a": 1, 2: [3.5]}, "no_table": {}, "nested": [{"k": (1, 2)}],
    }


def special():
    """Values, and what they must be shown as."""
    plain, both, empty = Plain(), Both(), Empty()
    holds = Holds(plain)
    ring, loop = [], {"self": None}
    ring.append(ring)
    loop["self"] = loop
    deep = []
    for _ in range(100000):
        deep = [deep]
    holes = dict.fromkeys(range(3000))
    for i in range(2990):
        del holes[i]
    orphan = type("Gone", (), {})()
    return {
        "plain": (plain, "__main__.Plain(id=7, tags=['a', 'b'])"),
        "slotted": (Slotted(), "__main__.Slotted(id=8, total=2.5)"),
        "both_kinds": (both, "__main__.Both(extra='more', id=8, total=2.5)"),
        "no_attributes": (empty, at(empty)),
        "some": ([plain], "[__main__.Plain(id=7, tags=['a', 'b'])]"),
        "holds": (holds, "__main__.Holds(inner=%s, itself=<__main__.Holds that this is in>, many=[%s])" % (
            at(plain), at(plain))),
        "words": (Words("hi"), "__main__.Words 'hi'"),
        "sub_table": (Table(a=1), "__main__.Table {'a': 1}"),
        "ordered": (collections.OrderedDict(a=1), "collections.OrderedDict {'a': 1}"),
        "counted": (collections.Counter("aa"), "collections.Counter {'a': 2}"),
        "point": (Point(1, 2), "__main__.Point (1, 2)"),
        "level": (Level.HIGH, "__main__.Level 3"),
        "kind": (Plain, "<class __main__.Plain>"),
        "meta": (Level, "<class __main__.Level>"),
        "ring": (ring, "[<list that this is in>]"),
        "loop": (loop, "{'self': <dict that this is in>}"),
        "deep": (deep, "[[[<list of 1>]]]"),
        "long_list": (list(range(600000)), "list of 600000 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, \u2026]"),
        "long_tuple": (tuple(range(50)), "tuple of 50 (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, \u2026)"),
        "long_text": ("\x1b" * 65536, "str of 65536 '" + ("\\x1b" * 50)[:185] + "\u2026"),
        "long_raw": (b"\xff" * 100000, "bytes of 100000 b'" + ("\\xff" * 50)[:181] + "\u2026"),
        "huge": (3 ** 100000, "int of %d bits 0x%015x\u2026" % ((3 ** 100000).bit_length(),
                                                              3 ** 100000 >> (3 ** 100000).bit_length() - 60)),
        "minus_huge": (-(2 ** 330), "int of 331 bits -0x800000000000000\u2026"),
        "long_set": (set(range(100)), "set of 100 {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, \u2026}"),
        "holes": (holes, "dict of 10 {\u2026}"),
        "orphan": (orphan, at(orphan, "__main__.Gone")),
        "too_deep": ([{"k": (1, [2])}], "[{'k': (1, <list of 1>)}]"),
        "made": (complex(1, 2), None),
        "function": (at, None),
        "module": (os, None),
    }


def word(address):
    return ctypes.c_uint64.from_address(address)


SPOIL = []


def forge(thing, offset, value):
    """This word of it will be another one: later, as the interpreter must not come across it."""
    SPOIL.append((id(thing) + offset, value))
    return thing


def spoil():
    gc.disable()
    for address, value in SPOIL:
        word(address).value = value


def forged():
    many, all_ones = 1 << 39, (1 << 64) - 1
    table = {str(i): i for i in range(20)}
    SPOIL.append((word(id(table) + 32).value + 8, all_ones))
    gone, cycle, null, odd = (type(name, (), {})() for name in ("Gone", "Cycle", "Null", "Odd"))
    return {
        "f_list": forge([1, 2], 16, many), "f_list_items": forge([1, 2], 24, 8),
        "f_list_below": forge([1], 16, all_ones), "f_tuple": forge(tuple("ab"), 16, many),
        "f_text": forge("".join(["te", "xt"]), 16, many), "f_kind": forge("".join(["ki", "nd"]), 32, 0),
        "f_raw": forge(bytes([1, 2, 3]), 16, many), "f_int": forge(int("9" * 50), 16, many << 3),
        "f_set": forge({1, 2}, 32, (1 << 21) - 1), "f_set_mask": forge({1, 2}, 32, all_ones),
        "f_set_table": forge({1, 2}, 40, 16), "f_dict": forge({"a": 1}, 16, many),
        "f_dict_keys": forge({"b": 1}, 32, 24), "f_keys": table, "f_gone": forge(gone, 8, id("no type")),
        "f_self": forge(cycle, 8, id(cycle)), "f_null": forge(null, 8, 0), "f_odd": forge(odd, 8, 12345),
        "f_own": [gone] * 5,
    }


def frame_of(frame):
    """Where it stands, by its own tables; None before 3.11."""
    position = None
    if hasattr(frame.f_code, "co_positions"):
        position = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    return {"function": frame.f_code.co_name, "position": position}


def tell(pause):
    time.sleep(pause)
    frame, frames = sys._current_frames()[MAIN], []
    while frame is not None:
        frames.append(frame_of(frame))
        frame = frame.f_back
    truth.tell("values", "STALLED", frames=frames, rules=RULES)
    time.sleep(120)


def hold(captured, late=None):
    unbound = 1
    del unbound
    count = captured

    def inner():
        return count

    tag = "é中"; inner(); time.sleep(len(tag) / 1000); time.sleep(120)  # the last call of the line


def churn():
    """Objects that go as soon as they came."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        text = "x" * (hash(object()) % 5000)
        items = [Plain() for _ in range(20)]
        table = {str(item): item for item in items}
        number = 3 ** len(text)
        del items, table, number, text


def function_with(names, body):
    """A coroutine function whose parameters are these variables."""
    space = dict(globals())
    exec("async def holder(%s):\n    %s" % (", ".join(names), body), space)
    return space["holder"]


async def waits(mine, *others, key="k", **rest):
    await asyncio.sleep(3600)


async def main():
    values, rules = dict(simple()), {name: repr(value) for name, value in simple().items()}
    for name, (value, rule) in special().items():
        values[name] = value
        rules[name] = rule
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "forged":
        values.update(forged())
    RULES.update(holder=rules, hold={"captured": "'kept'", "late": "None", "count": "'kept'", "tag": "'é中'"},
                 waits={"mine": "1", "others": "(2, 3)", "key": "'k'", "rest": "{'more': 4}"})
    task = asyncio.ensure_future(waits(1, 2, 3, more=4))
    await asyncio.sleep(0)
    threading.Thread(target=tell, args=(0.3,), daemon=True).start()
    body = {"": "hold('kept')", "move": "churn()", "forged": "spoil(); hold('kept')"}[mode]
    await function_with(values, body)(**values)
    task.cancel()


asyncio.run(main())
