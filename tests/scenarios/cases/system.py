# SPDX-License-Identifier: Apache-2.0
"""What the system does to a process: stopped, traced, frozen, throttled, starved."""
import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time

from stage import FOREVER, LONGEST, begin, bounded, child, forked, kept, say, settled

PTRACE_ATTACH, PTRACE_CONT, PTRACE_SEIZE = 16, 7, 0x4206
PR_SET_PTRACER = 0x59616D61


async def rest():
    await asyncio.sleep(50)


# ---- stopped, traced ----------------------------------------------------------------------------------

async def stopped():
    await settled()
    say()
    os.kill(os.getpid(), signal.SIGSTOP)
    await rest()


async def stopped_in_stall():
    await settled()
    forked(stop_parent, 0.2)
    begin()
    time.sleep(40)


def stop_parent(after, begun):
    begun()
    time.sleep(after)
    os.kill(os.getppid(), signal.SIGSTOP)


def trace_parent(begun):
    """Attaches and does not let it go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    parent = os.getppid()
    begun()
    time.sleep(0.2)
    if libc.ptrace(PTRACE_ATTACH, parent, None, None) == 0:
        os.waitpid(parent, 0)
    time.sleep(40)


async def traced():
    """A debugger holds it, written with ptrace alone."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, -1, 0, 0, 0)
    await settled()
    forked(trace_parent)
    say()
    await rest()


def tell_when_traced(begun):
    """From outside, as the one who is held cannot."""
    begun()
    while True:
        with open("/proc/%d/status" % os.getppid()) as file:
            if "TracerPid:\t0\n" not in file.read():
                break
        time.sleep(0.01)
    say(pid=os.getppid())
    time.sleep(40)


async def traced_by_gdb():
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, -1, 0, 0, 0)
    await settled()
    forked(tell_when_traced)
    child("gdb", "-nx", "-q", "-batch", "-iex", "set auto-solib-add off", "-p", str(os.getpid()), "-ex",
          "shell sleep 40", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    await rest()


def strace():
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, -1, 0, 0, 0)
    child("strace", "-f", "-q", "-o", "/dev/null", "-e", "trace=none", "-p", str(os.getpid()), stdin=subprocess.DEVNULL,
          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def straced_idle():
    """A tracer that lets it run hides nothing."""
    strace()
    await settled(0.3)
    say()
    await rest()


async def straced_sleep():
    strace()
    await settled(0.3)
    begin()
    time.sleep(40)


# ---- control groups -----------------------------------------------------------------------------------

def own_group(controller):
    """The folder of our group: of the old kind when the controller has a hierarchy of its own."""
    with open("/proc/self/cgroup") as file:
        groups = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in groups:
        if controller in controllers.split(","):
            return os.path.join("/sys/fs/cgroup", controller, path.lstrip("/")), 1
    path = next(path for number, _, path in groups if number == "0")
    top = "/sys/fs/cgroup/unified" if os.path.isdir("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    return os.path.join(top, path.lstrip("/")), 2


def write(path, value):
    with open(path, "w") as file:
        file.write(value)


def enter_group(controller):
    """A new group with us in it."""
    parent, version = own_group(controller)
    group = os.path.join(parent, "stallscope-scenario-%d" % os.getpid())
    os.mkdir(group)
    write(group + "/cgroup.procs", str(os.getpid()))
    return group, version


def freeze_soon(group, version, begun):
    begun()
    write(os.path.dirname(group) + "/cgroup.procs", str(os.getpid()))
    time.sleep(0.2)
    if version == 1:
        write(group + "/freezer.state", "FROZEN")
    else:
        write(group + "/cgroup.freeze", "1")
    time.sleep(LONGEST - 5)


def freezing(controller):
    group, version = enter_group(controller)
    forked(freeze_soon, group, version)
    thaw = [group + "/freezer.state", "THAWED"] if version == 1 else [group + "/cgroup.freeze", "0"]
    return {"undo": [thaw], "rmdir": [group]}


async def frozen():
    facts = freezing("freezer")
    say(**facts)
    await rest()


async def frozen_unified():
    """In the unified hierarchy, also where the old one is there."""
    path, _ = own_group("none of them")
    group = os.path.join(path, "stallscope-scenario-%d" % os.getpid())
    os.mkdir(group)
    write(group + "/cgroup.procs", str(os.getpid()))
    forked(freeze_soon, group, 2)
    say(undo=[[group + "/cgroup.freeze", "0"]], rmdir=[group])
    await rest()


async def frozen_in_stall():
    facts = freezing("freezer")
    begin(**facts)
    time.sleep(40)


async def compute():
    while True:
        for _ in range(20000):
            pass
        await asyncio.sleep(0)


async def throttled():
    """A quota of a tenth of a CPU, and work for a whole one."""
    await settled()
    group, version = enter_group("cpu")
    if version == 1:
        write(group + "/cpu.cfs_period_us", "100000")
        write(group + "/cpu.cfs_quota_us", "10000")
    else:
        write(group + "/cpu.max", "10000 100000")
    say(rmdir=[group])
    await compute()


async def throttled_in_cpu():
    """The same in one long computation: it is held, but it would end ten times as soon."""
    await settled()
    group, version = enter_group("cpu")
    if version == 1:
        write(group + "/cpu.cfs_period_us", "100000")
        write(group + "/cpu.cfs_quota_us", "10000")
    else:
        write(group + "/cpu.max", "10000 100000")
    begin(span=2, rmdir=[group])
    for _ in FOREVER:
        pass


def burner(seconds, begun):
    begun()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def starved():
    """Nice, and four others on the same CPU."""
    await settled()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for _ in range(4):
        forked(burner, 8)
    say()
    os.nice(19)
    await compute()


async def niced_idle():
    """The same crowd, but nothing to do: well enough, its few wake-ups come late."""
    await settled()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for _ in range(2):
        forked(burner, 4)
    await settled(0)
    say()
    await rest()


# ---- memory -------------------------------------------------------------------------------------------

async def child_burns():
    """A child that computes is another process's affair."""
    await settled()
    forked(burner, 4)
    say()
    await rest()
