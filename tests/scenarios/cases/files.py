# SPDX-License-Identifier: Apache-2.0
"""Files, pipes, locks of files, trees of files, and child processes."""
import fcntl
import glob
import logging
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from stage import FOREVER, background, begin, child, forked, kept, settled, temporary


def pipe():
    reading, writing = os.pipe()
    return reading, writing


def full_pipe():
    """The end to write to of a pipe that nobody reads from."""
    reading, writing = pipe()
    kept(reading)
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writing, True)
    return writing


def fifo():
    name = temporary("fifo")
    os.mkfifo(name)
    return name


# ---- reading ---------------------------------------------------------------------------------------

async def open_fifo():
    name = fifo()
    await settled()
    begin()
    open(name)


async def read_pipe():
    reading, writing = pipe()
    await settled()
    begin(other=writing)
    os.read(reading, 100)


async def buffered_read():
    reading, writing = pipe()
    file = open(reading, "rb")
    await settled()
    begin(other=writing)
    file.read(100)


async def text_readline():
    reading, writing = pipe()
    file = open(reading)
    await settled()
    begin(other=writing)
    file.readline()


async def text_read():
    """One that writes a byte a second: every system call is short, the call is not."""
    name = fifo()
    slow = ("import sys, time\nf = open(sys.argv[1], 'wb', 0)\n"
            "for _ in range(50): f.write(b'x'); time.sleep(0.2)\n")
    child(sys.executable, "-c", slow, name)
    file = open(name)
    await settled()
    begin()
    file.read()


async def path_read_text():
    name = pathlib.Path(fifo())
    background(lambda: kept(open(str(name), "w")))
    await settled()
    begin()
    name.read_text()


async def ask():
    reading, writing = pipe()
    os.dup2(reading, 0)
    sys.stdin = open(0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    await settled()
    begin(other=writing)
    input("sure? ")


# ---- writing ---------------------------------------------------------------------------------------

async def write_pipe():
    writing = full_pipe()
    await settled()
    begin()
    os.write(writing, bytes(100))


async def write_file_object():
    file = open(full_pipe(), "wb", 0)
    await settled()
    begin()
    file.write(bytes(100))


async def print_pipe():
    writing = full_pipe()
    await settled()
    begin(span=2)
    os.dup2(writing, 1)
    print("one more line", flush=True)


async def log_pipe():
    log = logging.getLogger("prices")
    log.addHandler(logging.StreamHandler(open(full_pipe(), "w", 1)))
    await settled()
    begin()
    log.warning("one more line")


async def log_lock():
    """Another thread is inside the handler, with its lock."""
    log = logging.getLogger("prices")
    log.addHandler(logging.StreamHandler(open(full_pipe(), "w", 1)))
    background(log.warning, "from the other thread")
    await settled(0.2)
    begin()
    log.warning("one more line")


async def fsync_often():
    file = open(temporary(), "wb", 0)
    await settled()
    begin(span=3)
    for _ in FOREVER:
        file.write(b"x")
        os.fsync(file)


# ---- locks of files --------------------------------------------------------------------------------

def hold_flock(name, begun):
    file = open(name, "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    begun()
    time.sleep(40)


def hold_lockf(name, begun):
    file = open(name, "w")
    fcntl.lockf(file, fcntl.LOCK_EX)
    begun()
    time.sleep(40)


async def flock():
    name = temporary("lock")
    holder = forked(hold_flock, name)
    file = open(name, "w")
    await settled()
    begin(path=name, holder=holder)
    fcntl.flock(file, fcntl.LOCK_EX)


async def lockf():
    name = temporary("lock")
    holder = forked(hold_lockf, name)
    file = open(name, "w")
    await settled()
    begin(path=name, holder=holder)
    fcntl.lockf(file, fcntl.LOCK_EX)


async def file_lock():
    import filelock
    name = temporary("lock")
    forked(hold_flock, name)
    lock = filelock.FileLock(name)
    await settled()
    begin()
    lock.acquire()


# ---- trees -----------------------------------------------------------------------------------------

def tree(width=40, files=25):
    top = temporary("tree")
    for i in range(width):
        folder = os.path.join(top, "d%d" % i, "e")
        os.makedirs(folder)
        for j in range(files):
            with open(os.path.join(folder, "f%d" % j), "wb") as file:
                file.write(b"x" * 100)
    return top


async def walk():
    top = tree()
    await settled()
    begin(span=3)
    for _ in FOREVER:
        for _folder in os.walk(top):
            pass


async def glob_all():
    top = tree()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        glob.glob(top + "/**/*", recursive=True)


async def rglob():
    top = pathlib.Path(tree())
    await settled()
    begin(span=2)
    for _ in range(1000):
        kept(list(top.rglob("f*")))


async def copytree():
    top = tree()
    await settled()
    begin(span=2)
    for _ in range(100):
        shutil.copytree(top, temporary("copy"))


async def copy_slowly():
    """copyfileobj from a pipe that gives nothing more."""
    reading, writing = pipe()
    source, target = open(reading, "rb"), open(temporary(), "wb")
    await settled()
    begin(other=writing)
    shutil.copyfileobj(source, target)


# ---- children --------------------------------------------------------------------------------------

async def subprocess_run():
    await settled()
    begin()
    subprocess.run(["sleep", "40"])


async def subprocess_wait():
    process = child("sleep", "40")
    await settled()
    begin()
    process.wait()


async def subprocess_wait_timeout():
    process = child("sleep", "40")
    await settled()
    begin()
    process.wait(timeout=40)


async def communicate():
    process = child("sleep", "40", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    await settled()
    begin()
    process.communicate()


async def check_output():
    await settled()
    begin()
    subprocess.check_output(["sleep", "40"])


async def system():
    await settled()
    begin()
    os.system("exec sleep 40")


async def popen_read():
    """The pipe of a child is read by hand."""
    process = child("sleep", "40", stdout=subprocess.PIPE)
    await settled()
    begin()
    process.stdout.read()


async def waitpid():
    process = child("sleep", "40")
    await settled()
    begin()
    os.waitpid(process.pid, 0)


async def process_join():
    import multiprocessing
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(40,), daemon=True)
    process.start()
    await settled()
    begin()
    process.join()


async def expect():
    import pexpect
    process = kept(pexpect.spawn("cat", timeout=40, preexec_fn=lambda: signal.alarm(40)))
    await settled()
    begin()
    process.expect("password:")
