# SPDX-License-Identifier: Apache-2.0
"""dump --freeze: the picture of one instant, what is said of it, and what is done for it."""
import re
import shutil
import subprocess
import time

import pytest

from conftest import ORDINARY, PROGRAM, Target, dump, run, settle, states

# What may always happen where others take the CPU, or where the target changes all the time.
BUSY = "did not stop within|took too long|stood for 40 ms already|in the middle of a change"


# ---- what it says --------------------------------------------------------------------------------

def frozen(pid, *args):
    """A dump with a stop that came in time: on a busy machine one may be too late."""
    for _ in range(10):
        document = dump(pid, "--freeze", *args)
        if document["tool"]["freeze"]["one_instant"]:
            return document
        error = document["tool"]["freeze"]["error"]
        assert error is None or re.search(BUSY, error)
    raise AssertionError(document["tool"])


def test_every_interpreter(interpreter):
    with Target(interpreter, "states.py", "blocked") as target:
        settle()
        plain, document = dump(target.pid, "--native", "never"), frozen(target.pid, "--native", "never")
        freeze = document["tool"]["freeze"]
        assert 0 < document["tool"]["paused_us"]
        assert freeze["threads"] >= 1 and freeze["copied_bytes"] > 100000 and freeze["late_bytes"] == 0
        assert document["tool"]["consistency"] == "consistent" and not document["problems"]
        assert plain["tool"]["freeze"] is None and plain["tool"]["paused_us"] == 0
        for key in "verdict", "kind", "who", "phase", "ready":
            assert document["loops"][0][key] == plain["loops"][0][key], key
        for key in "total", "read", "torn", "pending", "running":
            assert document["loops"][0]["tasks"][key] == plain["loops"][0]["tasks"][key], key
        for key in "rule", "leaf", "system_call":
            assert document["loops"][0]["what"][key] == plain["loops"][0]["what"][key], key
        assert len(document["tasks"]) == len(plain["tasks"])
        assert not {"t", "T"} & set(states(target.pid))


@pytest.mark.parametrize("state", ["idle", "executor", "cpu", "burst"])
def test_verdict_is_that_of_a_look_without(state):
    with Target(ORDINARY, "states.py", state) as target:
        settle()
        verdicts = {dump(target.pid)["verdict"] for _ in range(3)}
        assert frozen(target.pid)["verdict"] in verdicts | {"STARVED"}


def test_text_tells_for_how_long():
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        result = run("dump", "--freeze", target.pid)
        assert result.returncode == 0
        assert re.search(r"^Freeze: paused the process for [\d.]+ ms", result.stdout, re.M), result.stdout
        assert "Freeze" not in run("dump", target.pid).stdout


def test_saved_picture_gives_the_same(tmp_path):
    core = tmp_path / "frozen.core"
    with Target(ORDINARY, "states.py", "again") as target:
        settle()
        document = frozen(target.pid, "--save", core)
    again = dump(core)
    assert again["verdict"] == document["verdict"]
    for key in "threads", "tasks":
        assert again[key] == document[key]
    assert again["loops"][0]["held_s"] == document["loops"][0]["held_s"]


def test_files_are_refused(tmp_path):
    result = run("dump", "--freeze", tmp_path / "x.core")
    assert result.returncode == 2 and "is a file" in result.stderr


def test_another_tracer_is_named_and_the_look_goes_on():
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    with Target(ORDINARY, "states.py", "blocked") as target:
        tracer = subprocess.Popen(["strace", "-o", "/dev/null", "-p", str(target.pid)], stderr=subprocess.DEVNULL)
        try:
            settle()
            for _ in range(5):  # the child may not even come to ask, where others have the CPU
                began = time.monotonic()
                result = run("dump", "--freeze", target.pid)
                assert time.monotonic() - began < 3
                text = " ".join(result.stdout.split())
                if not re.search(BUSY, text):
                    break
            assert "did not pause the process: process %d is traced by process %d (strace)" % (
                target.pid, tracer.pid) in text
            assert result.returncode == 0 and "picture was taken while it ran" in text
        finally:
            tracer.terminate()
            tracer.wait()


def test_ancestors_are_refused():
    """A service that starts us on itself waits for us."""
    code = ("import os, subprocess, sys\n"
            "print(subprocess.run(sys.argv[1:] + [str(os.getpid())], stdout=-1, text=True).stdout)\n")
    out = subprocess.run(["/usr/bin/python3", "-c", code, PROGRAM, "dump", "--freeze"], timeout=20,
                         stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "did not pause the process" in out and "would stop us" in " ".join(out.split())


# ---- what it does --------------------------------------------------------------------------------

def test_audit(tmp_path):
    """Of ptrace nothing but what a bounded stop needs, by the child alone; no signal, no write."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    log = tmp_path / "strace"
    with Target(ORDINARY, "states.py", "executor") as target:
        settle()
        subprocess.run(["strace", "-f", "-o", str(log), PROGRAM, "dump", "--freeze", str(target.pid)],
                       check=True, stdout=subprocess.DEVNULL, timeout=60)
        assert not {"t", "T"} & set(states(target.pid))
    lines = log.read_text().splitlines()
    parent = lines[0].split()[0]
    requests = [re.search(r"ptrace\((\w+), (\d+)", line) for line in lines if "ptrace(" in line]
    assert {m[1] for m in requests} <= {"PTRACE_SEIZE", "PTRACE_INTERRUPT", "PTRACE_DETACH"}
    assert {m[1] for m in requests} >= {"PTRACE_SEIZE", "PTRACE_INTERRUPT"}
    assert not [line for line in lines if line.split()[0] == parent and "ptrace(" in line]
    calls = "\n".join(lines)
    for call in "tkill", "tgkill", "process_vm_writev", "pidfd_send_signal", "rt_sigqueueinfo", "setns":
        assert not re.search(r"\b%s\(" % call, calls), call
    killed = {m[1] for m in re.finditer(r"\bkill\((\d+)", calls)}
    assert killed <= {line.split()[0] for line in lines} - {parent}  # the watchdog, of a child
