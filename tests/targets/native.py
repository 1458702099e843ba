# SPDX-License-Identifier: Apache-2.0
"""native.py NAME SECONDS [FILE]: holds the loop in a function of C, in `hold_NAME` that `inner` calls
that `handle` awaits. It ends by itself after SECONDS."""
import asyncio
import ctypes
import hashlib
import json
import os
import re
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import zlib

import truth

LONG = 1000
KEPT = []


def silent():
    """A socket whose other end says nothing."""
    KEPT.extend(socket.socketpair())
    return KEPT[-1]


def hold_sleep():
    time.sleep(LONG)


def hold_json():
    json.dumps([[{"a": 1.5}] * 100] * 400000)


def hold_re():
    re.match(r"(a+)+$", "a" * 60 + "b")


def hold_pbkdf2():
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 1 << 30)


def hold_zlib():
    data = os.urandom(1 << 20) * 500
    truth.tell("native", None, **FACTS)
    zlib.compress(data, 9)


def hold_sqlite():
    KEPT.append(sqlite3.connect(":memory:"))
    KEPT[-1].execute("with recursive n(i) as (select 1 union all select i + 1 from n) "
                     "select count(*) from n").fetchone()


def hold_busy():
    """A locked database: sqlite sleeps, and tries again."""
    path = os.path.join(tempfile.mkdtemp(), "db")
    one, two = (sqlite3.connect(path, timeout=LONG, isolation_level=None) for _ in range(2))
    one.execute("create table t(a)")
    one.execute("begin exclusive")
    two.execute("insert into t values (1)")


def hold_ctypes():
    ctypes.CDLL(None).usleep(LONG * 1000000)


def hold_row():
    """Nothing but its functions of C tells what this is."""
    crypto = ctypes.CDLL("libcrypto.so.3")
    crypto.EVP_sha256.restype = ctypes.c_void_p
    crypto.PKCS5_PBKDF2_HMAC(b"password", 8, b"salt", 4, 1 << 30, ctypes.c_void_p(crypto.EVP_sha256()), 32,
                             ctypes.create_string_buffer(32))


def hold_forged():
    """A function of which the unwind table is a trap, calls one that sleeps."""
    ctypes.CDLL(sys.argv[3]).trap()


def hold_callback():
    """From Python to C to Python to C."""
    sorted([3, 2, 1], key=lambda _: time.sleep(LONG))


def hold_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def hold_recv():
    silent().recv(10)


def hold_timeout():
    """A socket with a timeout of its own: EINTR would be seen by it."""
    ours = silent()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, (LONG).to_bytes(8, "little") + bytes(8))
    ours.recv(10)


def hold_epoll():
    """A loop of C's own, as a library may have one."""
    libc = ctypes.CDLL(None)
    libc.epoll_wait(libc.epoll_create1(0), ctypes.create_string_buffer(100), 1, -1)


def hold_deep():
    def down(n):
        return down(n - 1) if n else time.sleep(LONG)
    sys.setrecursionlimit(5000)
    down(1500)


def hold_generators():
    def outer():
        yield from inner_generator()

    def inner_generator():
        yield list(map(lambda _: time.sleep(LONG), [1]))
    max(outer())


def hold_requests():
    import requests
    server = socket.create_server(("127.0.0.1", 0))
    KEPT.append(server)
    requests.get("http://127.0.0.1:%d/" % server.getsockname()[1])


def hold_psycopg2():
    import psycopg2
    server = socket.create_server(("127.0.0.1", 0))
    KEPT.append(server)
    psycopg2.connect("host=127.0.0.1 port=%d dbname=x user=y sslmode=disable gssencmode=disable"
                     % server.getsockname()[1])


def hold_numpy():
    import numpy
    numpy.linalg.svd(numpy.random.rand(4000, 4000))


def hold_lxml():
    import lxml.etree
    text = b"<a>" + b"<b c='d'>e</b>" * 20000000 + b"</a>"
    truth.tell("native", None, **FACTS)
    lxml.etree.fromstring(text, lxml.etree.XMLParser(huge_tree=True))


FACTS = {}
TELLS = ("zlib", "lxml")


async def inner(how):
    how()


async def handle(how):
    loop = asyncio.get_running_loop()
    FACTS.update(loop_class=type(loop).__name__)
    if sys.argv[1] not in TELLS:
        truth.tell("native", None, **FACTS)
    await inner(how)


if __name__ == "__main__":
    threading.Timer(float(sys.argv[2]), os._exit, [0]).start()
    if sys.argv[1] == "cython":
        sys.path.insert(0, sys.argv[3])
        import native_cython
        asyncio.run(handle(native_cython.hold))
    asyncio.run(handle(globals()["hold_" + sys.argv[1]]))
