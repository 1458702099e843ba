# SPDX-License-Identifier: Apache-2.0
"""The stop: that it is short, that no signal is lost, and that the target goes on, whatever state it
is in and whatever happens to us. tests/e2e/stopcheck stops tests/e2e/heartbeat."""
import contextlib
import ctypes
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import time

import pytest

from conftest import PROGRAM, states

PROGRAMS = pathlib.Path(PROGRAM).resolve().parent / "tests" / "e2e"
HEARTBEAT, STOPCHECK = str(PROGRAMS / "heartbeat"), str(PROGRAMS / "stopcheck")
MOST_US = 20000  # of one stop
BUSY = r"did not stop within|took too long"  # may always happen where others take the CPU


class Heart:
    """A process with a heartbeat."""

    def __init__(self, folder, threads=4, interval_us=1000, mode=""):
        self.file = str(folder / "beat")
        self.process = subprocess.Popen([HEARTBEAT, self.file, str(threads), str(interval_us), mode])
        self.pid = self.process.pid
        until = time.monotonic() + 20
        while not self.beats() and time.monotonic() < until:
            time.sleep(0.01)
        assert self.beats()

    def numbers(self):
        """last_ns, longest_ns, beats, signals, execs, pid"""
        try:
            with open(self.file, "rb") as file:
                return struct.unpack("6Q", file.read(48))
        except (OSError, struct.error):
            return (0,) * 6

    def beats(self):
        return self.numbers()[2]

    def stands_for(self):
        """Seconds until nothing of it is stopped any more; at most 3."""
        began = time.monotonic()
        while {"t", "T"} & set(states(self.pid)) and time.monotonic() - began < 3:
            time.sleep(0.001)
        return time.monotonic() - began

    def assert_goes_on(self):
        """Nothing of it is stopped, and its heart beats."""
        assert self.stands_for() < 3, states(self.pid)
        before, until = self.beats(), time.monotonic() + 5
        while self.beats() == before:
            assert time.monotonic() < until, states(self.pid)
            time.sleep(0.002)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()


def stopcheck(pid, times, *args, timeout=60):
    result = subprocess.run([STOPCHECK, str(pid), str(times)] + [str(a) for a in args], timeout=timeout,
                            stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(result.stdout)


# ---- what it does --------------------------------------------------------------------------------

def test_signals_are_not_lost(tmp_path):
    """5,000 queued signals while the process is stopped all the time."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Heart(tmp_path) as heart:
        checker = subprocess.Popen([STOPCHECK, str(heart.pid), "1000000"], stdout=subprocess.DEVNULL)
        try:
            for number in range(5000):
                while libc.sigqueue(heart.pid, signal.SIGRTMIN, ctypes.c_void_p(number)):
                    time.sleep(0.001)  # the queue is full
                time.sleep(0.0002)
        finally:
            checker.kill()
            checker.wait()
        until = time.monotonic() + 10
        while heart.numbers()[3] < 5000 and time.monotonic() < until:
            time.sleep(0.01)
        assert heart.numbers()[3] == 5000
        heart.assert_goes_on()


@pytest.mark.parametrize("threads", [2, 20, 200])
def test_stops_are_short(tmp_path, threads):
    with Heart(tmp_path, threads) as heart:
        one, everything = stopcheck(heart.pid, 50, 65536), stopcheck(heart.pid, 50)
        for result in one, everything:
            assert result["stopped"] + sum(result["errors"].values()) == 50
            assert result["longest_us"] <= MOST_US
            assert not [text for text in result["errors"] if not re.search(BUSY, text)]
        assert one["stopped"] and everything["stopped"]
        heart.assert_goes_on()


# ---- whatever happens to us ----------------------------------------------------------------------

def child_of(pid):
    """The child that holds the target; it lives for a millisecond only."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            children = file.read().split()
        if children:
            return int(children[0])
    raise AssertionError("no child was seen")


def send(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end_at_random(checker, how):
    """Kills or suspends what is ours, at a moment nobody planned."""
    time.sleep(random.random() * 0.01)
    if how == "kill the parent":
        return send(checker.pid, signal.SIGKILL)
    child = child_of(checker.pid)
    if how == "kill the child":
        return send(child, signal.SIGKILL)
    send(child, signal.SIGSTOP)
    if how == "suspend both":
        send(checker.pid, signal.SIGSTOP)
    return None


def death_takes():
    """Seconds for an idle process to die when it is killed: what this machine makes of it now."""
    with subprocess.Popen(["sleep", "60"]) as child:
        time.sleep(0.002)
        began = time.monotonic()
        child.kill()
        child.wait()
        return time.monotonic() - began


@pytest.mark.parametrize("how", ["kill the parent", "kill the child", "suspend the child", "suspend both"])
def test_target_goes_on(tmp_path, how):
    stood, died = [], []
    with Heart(tmp_path, 20) as heart:
        for _ in range(int(os.environ.get("FREEZE_KILLS", "13"))):
            checker = subprocess.Popen([STOPCHECK, str(heart.pid), "1000000"], stdout=subprocess.DEVNULL)
            try:
                end_at_random(checker, how)
                if how not in ("kill the parent", "suspend both"):
                    time.sleep(random.random() * 0.06)  # it goes on stopping, until it is ended too
                    send(checker.pid, signal.SIGKILL)
                stood.append(heart.stands_for())
            finally:
                checker.kill()
                checker.wait()
            died.append(death_takes())
            heart.assert_goes_on()
    assert max(stood) < 0.1 + 2 * max(died), (sorted(stood), sorted(died))


# ---- awkward states ------------------------------------------------------------------------------

def only_busy(result):
    return [text for text in result["errors"] if not re.search(BUSY, text)] == []


def test_suspended_stays_suspended(tmp_path):
    with Heart(tmp_path) as heart:
        os.kill(heart.pid, signal.SIGSTOP)
        until = time.monotonic() + 5
        while set(states(heart.pid)) != {"T"} and time.monotonic() < until:
            time.sleep(0.01)
        result = stopcheck(heart.pid, 20)
        until = time.monotonic() + 5
        while set(states(heart.pid)) != {"T"} and time.monotonic() < until:
            time.sleep(0.01)  # on its way back
        time.sleep(0.1)
        assert result["stopped"] and only_busy(result)
        assert set(states(heart.pid)) == {"T"}
        os.kill(heart.pid, signal.SIGCONT)
        heart.assert_goes_on()


def test_first_thread_has_ended(tmp_path):
    with Heart(tmp_path, mode="leader") as heart:
        time.sleep(0.1)
        assert "Z" in states(heart.pid)
        result = stopcheck(heart.pid, 20)
        assert result["stopped"] and only_busy(result)
        heart.assert_goes_on()


def test_sleep_that_nothing_interrupts(tmp_path):
    """The parent of a vforked child: no stop, and it is let go by the exit of the child of ours."""
    with Heart(tmp_path, mode="vfork") as heart:
        until = time.monotonic() + 5
        while "D" not in states(heart.pid) and time.monotonic() < until:
            time.sleep(0.01)
        began = time.monotonic()
        result = stopcheck(heart.pid, 3)
        assert time.monotonic() - began < 3
        assert not result["stopped"] and any("state D" in text for text in result["errors"])
        heart.assert_goes_on()


def test_traced_by_its_own_child(tmp_path):
    with Heart(tmp_path, mode="traced") as heart:
        time.sleep(0.1)
        began = time.monotonic()
        result = stopcheck(heart.pid, 3)
        assert time.monotonic() - began < 3
        assert not result["stopped"] and result["paused_us"] == 0
        assert all(re.search(r"is traced by process \d+ \(heartbeat\)", text) for text in result["errors"])
        heart.assert_goes_on()


def test_ends_meanwhile(tmp_path):
    """The status of its end is its own."""
    for _ in range(10):
        with Heart(tmp_path, interval_us=100, mode="exit") as heart:
            result = stopcheck(heart.pid, 100)
            assert all("ended" in text or re.search(BUSY, text) for text in result["errors"])
            assert heart.process.wait(timeout=3) == 7


def test_runs_another_program_all_the_time(tmp_path):
    with Heart(tmp_path, interval_us=100, mode="exec") as heart:
        before = heart.numbers()[4]
        result = stopcheck(heart.pid, 200)
        assert all("ended" in text or re.search(BUSY, text) for text in result["errors"]), result
        assert result["stopped"]
        time.sleep(0.1)
        assert heart.numbers()[4] > before and heart.process.poll() is None
        assert not {"T"} & set(states(heart.pid))
