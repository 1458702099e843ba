# SPDX-License-Identifier: Apache-2.0
"""stage.py FILE FUNCTION [ARG...]: one function of cases/FILE.py on the stage of an asyncio service.

The service has twenty parked tasks and three tickers, so that there is somebody to suffer. The
function is a coroutine function: it prepares, lets the loop turn (`await settled()`), prints the
truth (`begin()`) and then does what its name says, in the line after that. A function marked
`@alone` gets no service and no loop.

CPython 3.8 to 3.15, standard library only. Nothing leaves the loopback. A target ends with its
parent, and after a minute at the latest.
"""
import asyncio
import ctypes
import importlib.util
import itertools
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LONGEST = 55  # seconds that anything may last
FOREVER = itertools.repeat(None)
PR_SET_PDEATHSIG, PR_SET_PTRACER = 1, 0x59616D61


# ---- the truth -------------------------------------------------------------------------------------

def begin(span=1, **facts):
    """The truth, from the code that is about to hold the loop in its next `span` lines."""
    frame = sys._getframe(1)
    first = frame.f_lineno + 1
    facts.setdefault("function", frame.f_code.co_name)
    facts.setdefault("file", os.path.basename(frame.f_code.co_filename))
    facts.setdefault("lines", [first, first + span - 1])
    say(**facts)


def say(**facts):
    facts.setdefault("started", time.monotonic())
    facts.setdefault("thread", threading.get_native_id())
    facts.setdefault("pid", os.getpid())
    facts.update(version="%d.%d.%d" % sys.version_info[:3])
    os.write(1, (json.dumps(facts) + "\n").encode())


async def settled(seconds=0.05):
    """Lets the loop turn, so that what was prepared does not count as held. One that is going to
    burn a CPU also waits for its turn, which the runner gives by a line."""
    await asyncio.sleep(seconds)
    while "SCENARIO_GATE" in os.environ and not select.select([0], [], [], 0)[0]:
        await asyncio.sleep(0.01)


# ---- ends ------------------------------------------------------------------------------------------

def end_with_parent():
    """Also for preexec_fn= of children: kept through exec, not through fork."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def bounded():
    end_with_parent()
    signal.alarm(LONGEST)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def child(*command, **options):
    """A child process that does not outlive us."""
    return subprocess.Popen(command, preexec_fn=end_with_parent, **options)


def forked(function, *args):
    """The same without a new program; returns its pid when function has begun."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            bounded()
            os.close(reading)
            function(*args, lambda: os.write(writing, b"x"))
        finally:
            os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return pid


# ---- peers that do not answer ----------------------------------------------------------------------

KEPT = []  # sockets, files and threads that have to live as long as we do


def kept(thing):
    KEPT.append(thing)
    return thing


def silent_server(backlog=50):
    """Port of a server that takes connections and says nothing."""
    server = kept(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(backlog)
    return server.getsockname()[1]


def full_server():
    """Port of a server whose backlog is full: connecting hangs."""
    server = kept(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    for _ in range(4):
        client = kept(socket.socket())
        client.setblocking(False)
        client.connect_ex(server.getsockname())
    return server.getsockname()[1]


def talking_server(*answers):
    """Port of a server that sends the answers, one per connection step, and then is silent."""
    server = kept(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(50)

    def serve():
        while True:
            connection = kept(server.accept()[0])
            for answer in answers:
                connection.sendall(answer)
                connection.recv(65536)

    background(serve)
    return server.getsockname()[1]


def dead_resolver():
    """The runner gave us a resolv.conf with this address only (its option `resolver`)."""
    server = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind((os.environ["SCENARIO_RESOLVER"], 53))
    return "%s:53" % os.environ["SCENARIO_RESOLVER"]


def service(name):
    """(host, port) of a server that the runner started."""
    host, _, port = os.environ["SCENARIO_" + name.upper()].rpartition(":")
    return host, int(port)


def peer(port, host="127.0.0.1"):
    return "%s:%d" % (host, port)


def background(function, *args):
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return kept(thread)


def temporary(name="file"):
    """A name in a folder of our own; the runner removes the folder of TMPDIR."""
    return os.path.join(tempfile.mkdtemp(prefix="case-"), name)


# ---- the service -----------------------------------------------------------------------------------

async def ticker(period):
    while True:
        await asyncio.sleep(period)


async def parked(number, event, queue):
    if number % 4 == 0:
        await event.wait()
    elif number % 4 == 1:
        await queue.get()
    elif number % 4 == 2:
        await asyncio.sleep(3600)
    else:
        await asyncio.StreamReader().readline()


def suffer(count=20):
    """The parked tasks and the tickers."""
    event, queue = asyncio.Event(), asyncio.Queue()
    tasks = [asyncio.ensure_future(parked(i, event, queue)) for i in range(count)]
    tasks += [asyncio.ensure_future(ticker(period)) for period in (0.02, 0.05, 0.1)]
    for i, task in enumerate(tasks):
        task.set_name("%s-%d" % (task.get_coro().__name__, i))
    return kept(tasks)


async def handle_request(function, args):
    await function(*args)


async def serve(function, args):
    suffer()
    await settled()
    task = asyncio.ensure_future(handle_request(function, args))
    task.set_name("handle-request-1")
    await task
    await asyncio.sleep(3600)


def alone(function):
    function.alone = True
    return function


def load(name):
    """A file of cases by its path: its name must hide no module of the library."""
    spec = importlib.util.spec_from_file_location("cases_" + name, os.path.join(HERE, "cases", name + ".py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main():
    bounded()
    if sys.path[0] == HERE:
        sys.path[0] = os.path.join(HERE, "lib")  # ours only: no case file is importable by chance
    sys.modules["stage"] = sys.modules["__main__"]
    function = getattr(load(sys.argv[1]), sys.argv[2])
    if getattr(function, "alone", False):
        function(*sys.argv[3:])
    else:
        asyncio.run(serve(function, sys.argv[3:]))


if __name__ == "__main__":
    main()
