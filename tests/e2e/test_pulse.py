# SPDX-License-Identifier: Apache-2.0
"""The light look: that it sees what is there, in a few reads, wherever the loop goes."""
import json
import os
import pathlib
import subprocess
import time

import pytest

from conftest import INTERPRETERS, ORDINARY, PROGRAM, Target

PULSECHECK = str(pathlib.Path(PROGRAM).resolve().parent / "tests" / "e2e" / "pulsecheck")


@pytest.fixture(autouse=True)
def built():
    if not os.path.exists(PULSECHECK):
        pytest.skip("pulsecheck is not built: make check-e2e")


def start(pid, seconds, every_us=2000):
    return subprocess.Popen([PULSECHECK, str(pid), str(seconds), str(every_us)], stdout=subprocess.PIPE, text=True)


def finish(pulse):
    *holds, total = [json.loads(line) for line in pulse.communicate(timeout=60)[0].splitlines()]
    return holds, total


def stalls(target):
    return [json.loads(line) for line in target.process.stdout.read().splitlines()]


def go(target):
    target.process.stdin.write(b"\n")
    target.process.stdin.flush()


def check(holds, log, unit):
    """Each stall was seen, and lasted as long as it did: a machine that takes the CPU away from us
    widens what we know, and what we know has to hold."""
    before = 0
    for stall in log:
        earliest = max(stall["begin"] - 0.1 - unit, before)
        near = [h for h in holds if earliest < h["hold"] <= stall["begin"] + 0.0005]
        before = stall["end"] - unit
        assert near, "not seen: %s" % stall
        hold = near[-1]
        assert hold["hold"] + hold["least_s"] <= stall["end"] + 0.1
        assert hold["hold"] + hold["most_s"] >= stall["end"] - 0.001


def of_staller(interpreter, *options):
    with Target(interpreter, "staller.py", *options, 1.5, 0.02, 0.2, 0.1, 7, stdin=subprocess.PIPE) as target:
        pulse = start(target.pid, 2.2)
        time.sleep(0.1)
        go(target)
        log = stalls(target)
        return (log, *finish(pulse))


def test_stalls():
    """On all versions: test_watch.py."""
    log, holds, total = of_staller(ORDINARY)
    assert len(log) >= 4
    check(holds, log, 0)
    assert total["reads_per_look"] < 5


def test_uvloop():
    python = next((i for i in INTERPRETERS if i.id == "3.11-debian"), ORDINARY)
    if subprocess.run(python.command + ["-c", "import uvloop"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no uvloop here")
    log, holds, _ = of_staller(python, "--uvloop")
    assert len(log) >= 4
    check(holds, log, 0.001)


def test_a_loop_at_many_depths(interpreter):
    with Target(interpreter, "mover.py", "deeper") as target:
        holds, total = finish(start(target.pid, 0.7))
    assert not [h for h in holds if h["least_s"] > 0.5]
    if interpreter.minor >= 11:  # before, a frame does not lie on a stack
        assert total["walks"] > 10, "it was found again"
    assert total["lost"] < total["looks"] / 2


@pytest.mark.parametrize("python", [i for i in INTERPRETERS if i.minor % 2 == 0], ids=lambda i: i.id)
def test_a_loop_that_ends(python):
    """What is left of its frame in memory is no hold that goes on for ever."""
    with Target(python, "mover.py", "holds") as target:
        holds, total = finish(start(target.pid, 2.2))
    assert total["lost"], "it was noticed"
    assert not [h for h in holds if h["least_s"] > 2]


def test_exec():
    with Target(ORDINARY, "mover.py", "execs") as target:
        _, total = finish(start(target.pid, 2))
        assert total["lost"]


def test_a_loop_that_does_not_get_the_gil():
    """It is in select longer than it asked for."""
    with Target(ORDINARY, "mover.py", "late") as target:
        holds, _ = finish(start(target.pid, 4))
    assert [h for h in holds if h["late"] and h["least_s"] > 0.1]
