# SPDX-License-Identifier: Apache-2.0
"""A saved look gives the same answer as the live one; cores of other tools are read too."""
import json
import os
import random
import shutil
import subprocess
import time

import pytest

from conftest import ORDINARY, Target, dump, run, settle

# What the tool measures of itself, different by nature: reading a file is not reading a process.
OWN = {"read_s", "system_calls", "bytes_read"}


def without_own(document):
    document = dict(document)
    document["tool"] = {k: v for k, v in document["tool"].items() if k not in OWN}
    return document


@pytest.mark.parametrize("state", ["blocked", "cpu", "idle"])
def test_saved_look_is_the_live_look(interpreter, state, tmp_path):
    core = tmp_path / "look.core"
    with Target(interpreter, "states.py", state) as target:
        settle()
        live = dump(target.pid, "--save", core)
    # the process is gone
    assert without_own(dump(core)) == without_own(live)
    assert os.stat(core).st_mode & 0o777 == 0o600
    if state == "blocked":
        assert os.stat(core).st_size <= 1 << 20
        assert len(live["tasks"]) == 52


@pytest.mark.parametrize("state", ["again", "callback", "gather", "timers", "twoloops", "unicode"])
def test_saved_look_of_any_state(state, tmp_path):
    """Also of a loop that was free at the first look and held at a later one."""
    core = tmp_path / "look.core"
    with Target(ORDINARY, "states.py", state) as target:
        settle()
        for _ in range(8 if state == "again" else 1):
            live = dump(target.pid, "--save", core)
            assert without_own(dump(core)) == without_own(live)
            time.sleep(0.013)


def test_core_of_gcore(interpreter, tmp_path):
    if not shutil.which("gcore"):
        pytest.skip("gcore (gdb) is not installed")
    with Target(interpreter, "states.py", "blocked") as target:
        settle()
        subprocess.run(["gcore", "-o", str(tmp_path / "full"), str(target.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        document = json.loads(run("dump", "-f", "json", tmp_path / ("full.%d" % target.pid)).stdout)
        loop = document["loops"][0]
        # a full core does not tell when it was taken, so for how long is unknown, not guessed
        assert loop["verdict"] == "UNSURE" and loop["held_s"] is None
        assert loop["who"]["line"] == target.truth["line"]
        assert len(document["tasks"]) == len(target.truth["tasks"])


def test_eu_stack_reads_it(tmp_path):
    if not shutil.which("eu-stack"):
        pytest.skip("eu-stack (elfutils) is not installed")
    core = tmp_path / "look.core"
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        executable = dump(target.pid, "--save", core)["process"]["executable"]
    stack = subprocess.run(["eu-stack", "--core", str(core), "-e", executable], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=30, check=False).stdout
    assert "PID %d - core" % target.pid in stack and "TID %d:" % target.pid in stack


def test_eu_readelf_reads_it(tmp_path):
    if not shutil.which("eu-readelf"):
        pytest.skip("eu-readelf (elfutils) is not installed")
    core = tmp_path / "look.core"
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        dump(target.pid, "--save", core)
    notes = subprocess.run(["eu-readelf", "-n", str(core)], stdout=subprocess.PIPE, text=True,
                           check=True, timeout=30).stdout
    assert "PRSTATUS" in notes and "states.py" in notes


def test_damaged_cores(tmp_path):
    core = tmp_path / "look.core"
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        dump(target.pid, "--save", core)
    whole = core.read_bytes()
    for size in (0, 1, 63, 64, 100, 1000, 5000, 100000, len(whole) // 2, len(whole) - 1):
        cut = tmp_path / "cut.core"
        cut.write_bytes(whole[:size])
        result = run("dump", cut, timeout=3)
        assert result.returncode in (0, 69, 75), (size, result.stderr)
        if result.returncode == 69:
            assert result.stderr.startswith("stallscope: ")


def test_changed_cores(tmp_path):
    """Bytes changed at random places, the same each time: an answer or an error, at once, no crash."""
    core = tmp_path / "look.core"
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        dump(target.pid, "--save", core)
    whole = core.read_bytes()
    chance = random.Random(20)
    for round_ in range(60):
        changed = bytearray(whole)
        # the head is what tells where everything is; the rest is mostly the target's memory
        end = 4096 if round_ % 2 else len(whole)
        for _ in range(chance.choice((1, 8, 64, 1000))):
            changed[chance.randrange(end)] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
        core.write_bytes(changed)
        result = run("dump", "-f", "json", core, timeout=3)
        assert result.returncode in (0, 69, 75), (round_, result.returncode, result.stderr)
        if result.returncode == 0:
            json.loads(result.stdout)
