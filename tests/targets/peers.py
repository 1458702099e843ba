# SPDX-License-Identifier: Apache-2.0
"""peers.py STATE [ARGUMENT...]: an asyncio program whose loop thread is blocked in a known wait, and
that tells what it waits for. Python 3.8 to 3.15, standard library only.
"""
import asyncio
import ctypes
import fcntl
import mmap
import os
import queue
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

import truth

STATE, ARGS = sys.argv[1], sys.argv[2:]
FOLDERS = []
KEPT = []  # what must not be closed while the loop is held


def keep(*things):
    KEPT.extend(things)
    return things[0]


def folder():
    """A new one; the test removes it."""
    FOLDERS.append(tempfile.mkdtemp(prefix="stallscope-"))
    return FOLDERS[-1]


def tell(**facts):
    truth.tell(STATE, "STALLED", folders=FOLDERS, **facts)


def listener(backlog=5):
    server = keep(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(backlog)
    return server, server.getsockname()[1]


# ---- connections -----------------------------------------------------------------------------------

def silent(timeout=None):
    """A server that accepts by its backlog and says nothing."""
    _, port = listener()
    client = keep(socket.create_connection(("127.0.0.1", port)))
    client.settimeout(timeout)
    tell(peer="127.0.0.1:%d" % port, fd=client.fileno(), timeout=timeout)
    client.recv(10)


def silent6():
    server = keep(socket.socket(socket.AF_INET6))
    server.bind(("::1", 0))
    server.listen(5)
    client = keep(socket.create_connection(server.getsockname()[:2]))
    tell(peer="[::1]:%d" % server.getsockname()[1], fd=client.fileno())
    client.makefile("rb").readline()


def no_answer():
    """The queue of the listener is full, so the next SYN is dropped."""
    _, port = listener(0)
    for _ in range(4):
        client = keep(socket.socket())
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    time.sleep(0.1)
    client = keep(socket.socket())
    tell(peer="127.0.0.1:%d" % port, fd=client.fileno())
    client.connect(("127.0.0.1", port))


def full_window():
    """A peer that does not read."""
    server, port = listener()
    client = keep(socket.create_connection(("127.0.0.1", port)))
    keep(server.accept())
    tell(peer="127.0.0.1:%d" % port, fd=client.fileno())
    client.sendall(b"x" * (64 << 20))


def accept():
    server, port = listener()
    tell(local="127.0.0.1:%d" % port, fd=server.fileno())
    server.accept()


def dns():
    """A resolver that does not answer: what the resolver library does, on a socket of ours."""
    server = keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.53" if os.geteuid() else "127.0.0.77", 53))
    client = keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.connect(server.getsockname())
    client.send(b"query")
    poll = select.poll()
    poll.register(client, select.POLLIN)
    tell(peer="%s:53" % server.getsockname()[0], fd=client.fileno())
    poll.poll(60000)


def unix_named():
    path = folder() + "/sock"
    server = keep(socket.socket(socket.AF_UNIX))
    server.bind(path)
    server.listen(5)
    client = keep(socket.socket(socket.AF_UNIX))
    client.connect(path)
    accepted = keep(server.accept()[0])
    tell(path=path, fd=accepted.fileno())
    accepted.recv(1)


def unix_connect():
    """To a server whose backlog is full."""
    path = folder() + "/full"
    server = keep(socket.socket(socket.AF_UNIX))
    server.bind(path)
    server.listen(0)
    keep(socket.socket(socket.AF_UNIX)).connect(path)
    client = keep(socket.socket(socket.AF_UNIX))
    tell(path=path, fd=client.fileno())
    client.connect(path)


def unix_unnamed():
    one, other = socket.socketpair()
    keep(one, other)
    tell(fd=one.fileno())
    one.recv(1)


# ---- many descriptors ------------------------------------------------------------------------------

def three():
    """An eventfd or a pipe, a pipe, and a connection: the last is what tells most."""
    _, port = listener()
    client = keep(socket.create_connection(("127.0.0.1", port)))
    pipes = [os.pipe()[0], os.pipe()[0]]
    return pipes + [client.fileno()], "127.0.0.1:%d" % port


def poll3():
    fds, peer = three()
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    tell(fds=fds, peer=peer)
    poll.poll(45500)


def select3():
    fds, peer = three()
    tell(fds=fds, peer=peer)
    select.select(fds, [], [], 45.5)


def epoll3():
    fds, peer = three()
    epoll = keep(select.epoll())
    for fd in fds:
        epoll.register(fd, select.EPOLLIN)
    tell(fds=fds, peer=peer)
    epoll.poll(45.5)


def poll_many():
    poll = select.poll()
    fds = [os.pipe()[0] for _ in range(100)]
    for fd in fds:
        poll.register(fd, select.POLLIN)
    tell(fds=fds)
    poll.poll()


def poll_gone():
    """The array of the call is gone: the kernel has a copy."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    array = ctypes.c_void_p(libc.mmap(None, mmap.PAGESIZE, 3, 0x22, -1, 0))  # private and anonymous
    (ctypes.c_int * 2).from_address(array.value)[0:2] = [os.pipe()[0], select.POLLIN]
    tell(fds=[])
    threading.Timer(0.1, lambda: libc.munmap(array, ctypes.c_size_t(mmap.PAGESIZE))).start()
    libc.poll(array, 1, -1)


def poll_none():
    fds, peer = three()
    poll = select.poll()
    poll.register(fds[2], select.POLLIN)
    tell(fds=fds[2:], peer=peer)
    poll.poll()


def moving():
    """Turns from one wait to the next, ever so often: what is said must be of one of them."""
    waits = []
    for timeout in (0.012, 0.015):
        _, port = listener()
        client = keep(socket.create_connection(("127.0.0.1", port)))
        client.settimeout(timeout)
        waits.append({"fd": client.fileno(), "peer": "127.0.0.1:%d" % port, "timeout": timeout, "socket": client})
    tell(waits=[{key: wait[key] for key in ("fd", "peer", "timeout")} for wait in waits])
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for wait in waits:
            try:
                wait["socket"].recv(1)
            except socket.timeout:
                pass


# ---- pipes, files, terminals -------------------------------------------------------------------------

def pipe_read():
    child = keep(subprocess.Popen(["sleep", "61"], stdout=subprocess.PIPE))
    tell(fd=child.stdout.fileno(), child=child.pid)
    child.stdout.read()


def pipe_write():
    child = keep(subprocess.Popen(["sleep", "62"], stdin=subprocess.PIPE))
    tell(fd=child.stdin.fileno(), child=child.pid)
    child.stdin.write(b"x" * (1 << 20))
    child.stdin.flush()


def pipe_self():
    reader, writer = os.pipe()
    keep(writer)
    tell(fd=reader)
    os.read(reader, 1)


def fifo_open():
    path = folder() + "/fifo"
    os.mkfifo(path)
    tell(path=path)
    open(path)


def fifo_read():
    path = folder() + "/fifo"
    os.mkfifo(path)
    child = keep(subprocess.Popen(["sh", "-c", "exec sleep 63 >%s" % path]))
    reader = os.open(path, os.O_RDONLY)
    tell(path=path, fd=reader, child=child.pid)
    os.read(reader, 1)


LOCKER = """
import fcntl, struct, sys, time
file = open(sys.argv[1], "w")
if sys.argv[2] == "ofd":
    fcntl.fcntl(file, 38, struct.pack("=hhxxxxqqixxxx", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLKW
else:
    getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(64)
"""


def file_lock(how):
    path = folder() + "/lock"
    child = keep(subprocess.Popen([sys.executable, "-c", LOCKER, path, how], stdout=subprocess.PIPE))
    child.stdout.readline()
    file = keep(open(path, "w"))
    tell(path=path, fd=file.fileno(), child=child.pid)
    getattr(fcntl, "flock" if how == "flock" else "lockf")(file, fcntl.LOCK_EX)


def tty():
    master, slave = os.openpty()
    keep(master)
    tell(fd=slave, path=os.ttyname(slave))
    os.read(slave, 1)


# ---- processes and sleeps ----------------------------------------------------------------------------

def child():
    process = keep(subprocess.Popen(["sleep", "65"]))
    tell(child=process.pid)
    process.wait()


def any_child():
    process = keep(subprocess.Popen(["sleep", "66"]))
    tell(child=process.pid)
    os.wait()


def sleep():
    tell()
    time.sleep(47.5)


# ---- locks -------------------------------------------------------------------------------------------

class Shared:
    lock = None


def hold_with(lock, ready):
    with lock:
        ready.set()
        time.sleep(70)


def hold_acquire(lock, ready):
    lock.acquire()
    ready.set()
    time.sleep(70)


def bystander(lock):
    """Uses the lock too, and is not in it now."""
    with lock:
        pass
    time.sleep(70)


def waiter(lock):
    with lock:
        pass


def start(name, function, *args):
    thread = threading.Thread(target=function, args=args, name=name, daemon=True)
    thread.start()
    return keep(thread)


def native(thread):
    return getattr(thread, "native_id", None)


def held_by(lock, function, *others):
    """Another thread holds the lock, others use it or wait for it, the loop thread wants it."""
    ready = threading.Event()
    for other in others:
        if other is bystander:
            start("bystander", other, lock)
            time.sleep(0.1)
    thread = start("holder", function, lock, ready)
    ready.wait()
    for other in others:
        if other is waiter:
            start("waiter", other, lock)
            time.sleep(0.1)
    return native(thread)


def lock_with():
    Shared.lock = threading.Lock()
    holder = held_by(Shared.lock, hold_with, bystander, waiter)
    tell(holder=holder, function="hold_with")
    with Shared.lock:
        pass


def lock_with_timeout():
    Shared.lock = threading.Lock()
    holder = held_by(Shared.lock, hold_with)
    tell(holder=holder, function="hold_with")
    Shared.lock.acquire(timeout=50)


def lock_acquire():
    Shared.lock = threading.Lock()
    holder = held_by(Shared.lock, hold_acquire)
    tell(holder=holder, function="hold_acquire")
    Shared.lock.acquire()


def rlock_with():
    Shared.lock = threading.RLock()
    holder = held_by(Shared.lock, hold_with, bystander, waiter)
    tell(holder=holder, function="hold_with")
    with Shared.lock:
        pass


def rlock_acquire():
    Shared.lock = threading.RLock()
    holder = held_by(Shared.lock, hold_acquire, bystander)
    tell(holder=holder, function="hold_acquire")
    Shared.lock.acquire()


def condition():
    Shared.lock = threading.Condition(threading.Lock())
    holder = held_by(Shared.lock, hold_with)
    tell(holder=holder, function="hold_with")
    with Shared.lock:
        pass


def lock_self():
    """Wants what it has."""
    Shared.lock = threading.Lock()

    def inner():
        tell(holder=os.getpid(), function="lock_self")
        with Shared.lock:
            pass

    with Shared.lock:
        inner()


def visitor():
    """Was in the lock, and left on its stack what it had there."""
    with Shared.lock:
        pass
    time.sleep(70)


def lock_nobody():
    """A lock that was left locked by a thread that is gone."""
    Shared.lock = threading.Lock()
    start("visitor", visitor)
    time.sleep(0.1)
    start("gone", Shared.lock.acquire).join()
    tell()
    Shared.lock.acquire()


def consumer(condition):
    """Has given the lock up until it is notified."""
    with condition:
        condition.wait()


def condition_left():
    """The lock of a condition that one thread waits for, and another one that is gone left locked."""
    lock = threading.Lock()
    Shared.lock = threading.Condition(lock)
    start("consumer", consumer, Shared.lock)
    time.sleep(0.1)
    start("gone", lock.acquire).join()
    tell()
    with Shared.lock:
        pass


def queue_get():
    waited = keep(queue.Queue())
    tell()
    waited.get()


def event_wait():
    tell()
    threading.Event().wait(51.5)


def importing():
    """Another thread is within the import of a module."""
    place = folder()
    with open(place + "/slow_to_import.py", "w") as file:
        file.write("import time\ntime.sleep(70)\n")
    sys.path.insert(0, place)
    thread = start("importer", __import__, "slow_to_import")
    time.sleep(0.3)
    tell(holder=native(thread))
    __import__("slow_to_import")


def join():
    thread = start("worker", time.sleep, 70)
    tell(holder=native(thread))
    thread.join()


async def lock_task():
    """Another coroutine awaits inside `with lock:`."""
    lock = threading.Lock()

    async def careless():
        with lock:
            await asyncio.sleep(0)
            await asyncio.sleep(70)

    task = asyncio.ensure_future(careless())
    task.set_name("careless")
    await asyncio.sleep(0.05)
    tell()
    with lock:
        pass
    await task


STATES = {
    "silent": silent, "silent-timeout": lambda: silent(43.5), "silent6": silent6, "no-answer": no_answer,
    "full-window": full_window, "accept": accept, "dns": dns, "unix-named": unix_named,
    "unix-connect": unix_connect, "unix-unnamed": unix_unnamed, "poll3": poll3, "select3": select3, "epoll3": epoll3, "poll-none": poll_none, "poll-gone": poll_gone, "poll-many": poll_many, "moving": moving,
    "pipe-read": pipe_read, "pipe-write": pipe_write, "pipe-self": pipe_self, "fifo-open": fifo_open,
    "fifo-read": fifo_read, "flock": lambda: file_lock("flock"), "lockf": lambda: file_lock("lockf"),
    "ofd": lambda: file_lock("ofd"), "tty": tty,
    "child": child, "any-child": any_child, "sleep": sleep, "lock-with": lock_with,
    "lock-with-timeout": lock_with_timeout, "lock-acquire": lock_acquire, "rlock-with": rlock_with,
    "rlock-acquire": rlock_acquire, "condition": condition, "lock-self": lock_self, "lock-nobody": lock_nobody,
    "condition-left": condition_left,
    "queue": queue_get, "event": event_wait, "join": join, "import": importing, "lock-task": lock_task,
}


async def main():
    await asyncio.sleep(0.05)
    blocked = STATES[STATE]()
    if asyncio.iscoroutine(blocked):
        await blocked


if __name__ == "__main__":
    asyncio.run(main())
