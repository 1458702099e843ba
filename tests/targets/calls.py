# SPDX-License-Identifier: Apache-2.0
"""calls.py FOLDER PART: threads, each held in one call of a C function, and what that call is: the
name in the catalogue's form and the expression as it is written. FOLDER is for their files; PART 0
or 1 of the cases.

calls.py NAME: a call that keeps the GIL, in the main thread.
"""
import asyncio
import functools
import hashlib
import itertools
import os
import pickle
import queue
import random
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import truth

LONG = 1000
HELD = threading.Lock()
HELD.acquire()
RLOCK = threading.RLock()
alias = time.sleep
CASES, ALONE = {}, {}
MORE = []  # what is to stay open


def case(name, text, alone=False, implied=False, since=8):
    """A function that is held in a call of `name`, written as `text`."""
    def add(function):
        if sys.version_info[1] >= since:
            (ALONE if alone else CASES)[function.__name__] = {
                "function": function, "name": name, "text": text, "implied": implied}
        return function
    return add


def silent():
    """A socket whose other end says nothing."""
    ours, theirs = socket.socketpair()
    MORE.extend((ours, theirs))
    return ours


class Holder:
    """So that there are attributes to go through."""

    def __init__(self):
        self._sock = silent()
        self.inner = self
        self.table = {"lock": HELD}

    def receive(self):
        self.inner._sock.recv_into(bytearray(10))

    __slots__ = ("_sock", "inner", "table")


class OwnSocket(socket.socket):
    pass


# ---- in system calls ------------------------------------------------------------------------------

@case("time!sleep", "time.sleep")
def sleep():
    time.sleep(LONG)


@case("time!sleep", "alias")
def global_alias():
    alias(LONG)


@case("time!sleep", "nap")
def closure():
    nap = time.sleep

    def inner():
        nap(LONG)
    inner()


@case("time!sleep", "time.sleep")
def with_arguments():
    args, kwargs = (LONG,), {}
    time.sleep(*args, **kwargs)


@case("time!sleep", "time.sleep")
def with_star():
    args = (LONG,)
    time.sleep(*args)


@case("time!sleep", "time.sleep")
def conditional_argument():
    time.sleep(LONG if HELD.locked() else 0)


@case("time!sleep", "time.sleep")
def nested_arguments():
    time.sleep(max(int(str(LONG)), min(1, len("x"))))


@case("time!sleep", "time.sleep")
def formatted_argument():
    time.sleep(float(f"{LONG}.{len('ab')}{'x'!r:.0}"))


@case("time!sleep", "time.sleep")
def several_lines():
    (time
     .sleep)(
        LONG
        + 1)


@case("time!sleep", "time.sleep")
def comprehension():
    return [time.sleep(x) for x in [LONG]]


@case("time!sleep", "time.sleep")
def comprehension_of_a_comprehension():
    return {x: [time.sleep(y) for y in range(LONG, LONG + 1) if y] for x in [1]}


@case("time!sleep", "time.sleep")
def generator():
    def inner():
        yield 1
        yield time.sleep(LONG)
    return list(inner())


@case("time!sleep", "time.sleep")
def except_block():
    try:
        raise ValueError
    except ValueError:
        time.sleep(LONG)


@case("time!sleep", "time.sleep")
def finally_block():
    for _ in [1]:
        try:
            pass
        finally:
            time.sleep(LONG)


@case("time!sleep", "time.sleep")
def finally_after_return():
    for _ in [1]:
        try:
            return
        finally:
            time.sleep(LONG)


@case("time!sleep", "time.sleep")
def finally_after_exception():
    try:
        try:
            raise ValueError
        finally:
            time.sleep(LONG)
    except ValueError:
        pass


@case("time!sleep", "time.sleep")
def inside_with():
    with open(os.devnull) as a, open(os.devnull) as b:
        for _ in range(3):
            for _ in "abc":
                time.sleep(LONG)


@case("time!sleep", "sleepers[\u2026].sleep")
def subscript():
    sleepers = [time]
    sleepers[0].sleep(LONG)


@case("time!sleep", "get().sleep")
def through_a_call():
    def get():
        return time
    get().sleep(LONG)


@case("time!sleep", "sleep")
def conditional_callable():
    (time.sleep if HELD.locked() else alias)(LONG)


@case("time!sleep", "getattr(\u2026)")
def computed_name():
    getattr(time, "sleep")(LONG)


@case("time!sleep", "later")
def partial():
    later = functools.partial(time.sleep, LONG)
    later()


@case("time!sleep", "time.sleep")
def deep_stack():
    return [1, 2, {3: (4, [5, time.sleep(LONG)])}]


@case("_thread!lock.acquire", "HELD.acquire")
def lock():
    HELD.acquire()


@case("_thread!lock.acquire", "acquire")
def bound_method():
    acquire = HELD.acquire
    acquire()


@case("_thread!lock.acquire", "type(\u2026).acquire")
def unbound_method():
    type(HELD).acquire(HELD)


@case("_thread!lock.acquire", "HELD.acquire")
def keyword_argument():
    HELD.acquire(timeout=LONG)


@case("_thread!lock.acquire", "Holder().table[\u2026].acquire")
def attribute_of_an_item():
    Holder().table["lock"].acquire()


@case("_thread!lock.__enter__", "HELD.__enter__", implied=True)
def with_lock():
    with HELD:
        pass


@case("_thread!lock.__enter__", "holder.inner.table[\u2026].__enter__", implied=True)
def with_lock_of_something():
    holder = Holder()
    with holder.inner.table["lock"]:
        pass


@case("_thread!RLock.acquire", "RLOCK.acquire")
def rlock():
    RLOCK.acquire()


@case("_thread!RLock.__enter__", "RLOCK.__enter__", implied=True)
def with_rlock():
    with RLOCK:
        pass


@case("socket!socket.recv", "sock.recv")
def recv():
    sock = silent()
    sock.recv(1)


@case("socket!socket.recv_into", "self.inner._sock.recv_into")
def recv_into():
    Holder().receive()


@case("__main__!OwnSocket.recv", "own.recv")
def recv_of_a_subclass():
    own = OwnSocket(fileno=silent().detach())
    own.recv(1, 0)


@case("socket!socket._accept", "self._accept")
def accept():
    server = socket.create_server(("127.0.0.1", 0))
    server.accept()


@case("socket!socket.connect", "client.connect")
def connect():
    server = socket.create_server(("127.0.0.1", 0), backlog=0)
    MORE.append(server)
    for _ in range(20):  # until the backlog is full
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        MORE.append(one)
    client = socket.socket()
    client.connect(server.getsockname())


@case("socket!socket.sendall", "sock.sendall")
def sendall():
    sock = silent()
    sock.sendall(b"x" * 10000000)


@case("select!select", "select.select")
def select_select():
    select.select([silent()], [], [])


@case("select!poll.poll", "poll.poll")
def poll():
    poll = select.poll()
    poll.register(silent(), select.POLLIN)
    poll.poll()


@case("select!epoll.poll", "epoll.poll")
def epoll():
    epoll = select.epoll()
    epoll.poll(LONG)


@case("posix!read", "os.read")
def read():
    os.read(os.pipe()[0], 1)


@case(open.__module__ + "!open", "open")
def fifo():
    folder = tempfile.TemporaryDirectory()
    os.mkfifo(folder.name + "/fifo")
    open(folder.name + "/fifo")


@case("_io!BufferedReader.read", "os.fdopen(\u2026).read")
def buffered():
    os.fdopen(os.pipe()[0], "rb").read(1)


@case("_io!TextIOWrapper.__next__", "next(file)", implied=True)
def lines_of_a_file():
    file = os.fdopen(os.pipe()[0])
    for _ in file:
        pass


@case("posix!waitpid", "os.waitpid")
def waitpid():
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # ends with us
    MORE.append(child)
    os.waitpid(child.pid, 0)


@case("_queue!SimpleQueue.get", "queue.SimpleQueue().get")
def simple_queue():
    queue.SimpleQueue().get()


@case("sqlite3!Connection.execute", "connection.execute")
def sqlite():
    folder = tempfile.TemporaryDirectory()
    path = folder.name + "/db"
    one = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    MORE.append(one)
    one.execute("create table t (x)")
    one.execute("begin exclusive")
    connection = sqlite3.connect(path, timeout=LONG)
    connection.execute("insert into t values (1)")


@case("_hashlib!pbkdf2_hmac", "hashlib.pbkdf2_hmac")
def pbkdf2():
    hashlib.pbkdf2_hmac("sha256", b"x", b"y", 1 << 30)


@case("zlib!compress", "zlib.compress")
def compress():
    block = random.Random(1).getrandbits(8 << 20).to_bytes(1 << 20, "little")
    zlib.compress(block * 400, 9)


@case("_signal!sigwait", "_signal.sigwait")
def sigwait():
    signal.sigwait([signal.SIGUSR1])


@case("builtins!sorted", "sorted")
def sort_of_a_map():
    sorted(map(time.sleep, [LONG]))


@case("builtins!map.__next__", "next(map(\u2026))", implied=True)
def loop_over_a_map():
    for _ in map(time.sleep, [LONG]):
        pass


@case("builtins!list.extend", "[*map]", implied=True, since=9)
def unpacked_map():
    return [0, *map(time.sleep, [LONG])]


@case("builtins!list", "list")
def list_of_a_map():
    list(map(time.sleep, [LONG]))


@case("builtins!str.join", "(\u2026).join")
def join_of_a_map():
    "".join(map(time.sleep, [LONG]))


@case("collections!deque", "collections.deque")
def deque():
    import collections
    collections.deque(map(time.sleep, [LONG]))


def in_a_coroutine(*body):
    async def main():
        await asyncio.sleep(0)
        await body[0]()
    asyncio.new_event_loop().run_until_complete(main())


@case("time!sleep", "time.sleep")
def coroutine():
    async def work():
        time.sleep(LONG)
    in_a_coroutine(work)


@case("time!sleep", "time.sleep")
def async_generator():
    async def items():
        yield 1
        time.sleep(LONG)
        yield 2

    async def work():
        async for _ in items():
            await asyncio.sleep(0)
    in_a_coroutine(work)


@case("time!sleep", "time.sleep")
def coroutine_with():
    async def work():
        async with asyncio.Lock():
            for x in [LONG]:
                time.sleep(x)
    in_a_coroutine(work)


# ---- run often before, so that the interpreter has specialised them -------------------------------

OFTEN = 500


@case("time!sleep", "time.sleep")
def warm_function():
    for x in [0] * OFTEN + [LONG]:
        time.sleep(x)


@case("_thread!lock.acquire", "HELD.acquire")
def warm_method():
    for x in [0] * OFTEN + [LONG]:
        HELD.acquire(True, x)


@case("_thread!lock.acquire", "HELD.acquire")
def warm_keyword():
    for x in [0] * OFTEN + [LONG]:
        HELD.acquire(timeout=x)


@case("_thread!lock.acquire", "lock.acquire")
def warm_noargs():
    for lock in [threading.Lock() for _ in range(OFTEN)] + [HELD]:
        lock.acquire()


@case("_thread!lock.__enter__", "lock.__enter__", implied=True)
def warm_with():
    for lock in [threading.Lock() for _ in range(OFTEN)] + [HELD]:
        with lock:
            pass


@case("builtins!map.__next__", "next(map(\u2026))", implied=True)
def warm_loop():
    for _ in map(time.sleep, [0] * OFTEN + [LONG]):
        pass


@case("socket!socket.recv", "self.inner._sock.recv")
def warm_attributes():
    class Warm:
        def __init__(self):
            self.inner = self
            self._sock, self.other = socket.socketpair()

        def receive(self):
            self.inner._sock.recv(1)
    warm = Warm()
    for _ in range(OFTEN):
        warm.other.send(b"x")
        warm.receive()
    warm.receive()


@case("builtins!list", "list")
def warm_class():
    for x in [0] * OFTEN + [LONG]:
        list(map(time.sleep, [x]))


@case("builtins!list.extend", "items.extend")
def warm_method_of_a_list():
    items = []
    for x in [0] * OFTEN + [LONG]:
        items.extend(map(time.sleep, [x]))


@case("builtins!max", "max")
def warm_generator_argument():
    for x in [0] * OFTEN + [LONG]:
        max(map(HELD.acquire, [True], [x]), default=0)


# ---- that keep the GIL: one a process -----------------------------------------------------------------

@case("re!Pattern.match", "re.compile(\u2026).match", alone=True)
def regex():
    re.compile(r"(a+)+$").match("a" * 60 + "b")


@case("_pickle!dumps", "pickle.dumps", alone=True)
def pickled():
    pickle.dumps(Endless(), 5)


@case("builtins!sum", "sum", alone=True)
def summed():
    sum(itertools.repeat(1))


@case("builtins!pow", "pow", alone=True)
def power():
    pow(3, 1 << 27)


@case("builtins!int.__pow__", "int ** int", alone=True, implied=True)
def power_operator():
    three = 3
    return three ** (1 << 27)


@case("builtins!sorted", "sorted", alone=True)
def sort():
    sorted(filter(None, itertools.repeat(0)))


@case("builtins!range.__contains__", "\u2026 in numbers", alone=True, implied=True)
def contains():
    numbers = range(1 << 60)
    return 0.5 in numbers


@case("builtins!range.index", "numbers.index", alone=True)
def index():
    numbers = range(1 << 60)
    numbers.index(0.5)


class Endless:
    """Pickled as a list of what an iterator gives that never comes to its first item."""

    def __reduce__(self):
        return list, (), None, filter(None, itertools.repeat(0))


def facts(cases):
    return {name: {key: one[key] for key in ("name", "text", "implied")} for name, one in cases.items()}


def main():
    if sys.argv[1] in ALONE:
        truth.tell("calls", cases=facts({"MainThread": ALONE[sys.argv[1]]}))
        ALONE[sys.argv[1]]["function"]()
        return
    tempfile.tempdir = sys.argv[1]
    RLOCK.acquire()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    chosen = {name: one for i, (name, one) in enumerate(CASES.items()) if i % 2 == int(sys.argv[2])}
    for name, one in chosen.items():
        threading.Thread(target=one["function"], name=name, daemon=True).start()
    time.sleep(1)
    truth.tell("calls", cases=facts(chosen))
    time.sleep(LONG)


if __name__ == "__main__":
    main()
