# SPDX-License-Identifier: Apache-2.0
"""`watch`: stalls are caught while they last, with the right one to blame; processes come and go."""
import contextlib
import fcntl
import json
import os
import re
import pty
import signal
import stat
import struct
import subprocess
import sys
import termios
import time

import pytest

import schema
from conftest import INTERPRETERS, ORDINARY, PROGRAM, Target, dump, run

CHILD = """
import asyncio, os, sys, time
def hold(seconds):
    time.sleep(seconds)
async def main():
    for _ in range(int(sys.argv[1])):
        await asyncio.sleep(0.25)
        hold(float(sys.argv[2]))
asyncio.run(main())
print("output of the program", flush=True)
if len(sys.argv) > 4:
    os.kill(os.getpid(), int(sys.argv[4]))
sys.exit(int(sys.argv[3]))
"""


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(CHILD)
    return str(file)


class Watch:
    """A running watch, its lines in a file: a pipe that nobody reads would hold it up."""

    def __init__(self, tmp_path, *args):
        self.file = tmp_path / "lines"
        with open(self.file, "wb") as out:
            self.process = subprocess.Popen([PROGRAM, "watch", "-f", "jsonl", *map(str, args)], stdout=out,
                                            stderr=subprocess.PIPE, text=True)

    def events(self, *types):
        lines = self.file.read_text().split("\n")[:-1]
        return [e for e in map(schema.parse_line, lines) if not types or e["type"] in types]

    def wait(self, condition, seconds=20):
        until = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < until, self.file.read_text()
            time.sleep(0.02)

    def greeted(self, pid):
        self.wait(lambda: [e for e in self.events("hello") if e["pid"] == pid])

    def end(self, signum=None, seconds=30):
        if signum:
            self.process.send_signal(signum)
        self.errors = self.process.communicate(timeout=seconds)[1]
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def text(*args, **options):
    return run("watch", *args, timeout=60, **options)


# ---- what is caught -----------------------------------------------------------------------------

def check(events, log, unit=0):
    """On a busy machine we are kept from looking; how long that was at most is said in the end, and
    what was told must be true all the same."""
    bye, = [e for e in events if e["type"] == "bye"]
    stalls = [e for e in events if e["type"] == "stall"]
    right, before = 0, 0
    for stall in log:
        earliest = max(stall["begin"] - 0.1 - unit, before)
        near = [e for e in stalls if earliest < e["monotonic_s"] <= stall["begin"] + 0.0005]
        before = stall["end"] - unit
        if not near:
            assert bye["longest_gap_s"] > stall["end"] - stall["begin"] - 0.015, "not seen: %s" % stall
            continue
        event = near[-1]
        assert event["over"]
        assert event["monotonic_s"] + event["held_at_most_s"] >= stall["end"] - 0.001, (event, stall)
        assert event["monotonic_s"] + event["held_s"] <= stall["end"] + 0.1
        if event["who"]:
            assert event["verdict"] in ("STALLED", "STARVED") and event["stack"] and event["fingerprint"]
            right += event["who"]["function"] == stall["function"]
            # where it got no CPU it was met before it came to the function, or when it was through
            assert event["who"]["function"] in (stall["function"], "main", "handle")
            if event["who"]["function"] == stall["function"]:
                assert stall["first"] <= event["who"]["line"] <= stall["first"] + 3
    assert right > len(log) / 2
    return stalls


def stalling(tmp_path, python, *words):
    with Target(python, "staller.py", *words, 1.5, 0.03, 0.2, 0.1, 7, stdin=subprocess.PIPE) as target, \
            Watch(tmp_path, "--threshold", "10ms", target.pid) as watch:
        watch.greeted(target.pid)
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        log = [json.loads(line) for line in target.process.stdout.read().splitlines()]
        assert watch.end() == 0
        events = watch.events()
    assert len(log) >= 4
    assert [e["type"] for e in events[-2:]] == ["lost", "bye"]
    return events, log


def test_stalls(tmp_path, interpreter):
    check(*stalling(tmp_path, interpreter))


def test_uvloop(tmp_path):
    python = next((i for i in INTERPRETERS if i.id == "3.11-debian"), ORDINARY)
    if subprocess.run(python.command + ["-c", "import uvloop"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no uvloop here")
    check(*stalling(tmp_path, python, "--uvloop"), unit=0.001)


def test_flood(tmp_path):
    """A turn with very many callbacks: nobody in it is to blame alone."""
    with Target(ORDINARY, "states.py", "burst", 2) as target, Watch(tmp_path, target.pid) as watch:
        assert watch.end() == 0
        stalls = watch.events("stall")
    assert stalls and {e["verdict"] for e in stalls} <= {"OVERLOADED", "STARVED", "STALLED"}
    assert any(e["verdict"] != "STALLED" for e in stalls)


@pytest.mark.parametrize("way", ["late", "starves"])
def test_a_loop_that_does_not_get_the_gil(tmp_path, way):
    with Target(ORDINARY, "mover.py", way) as target, Watch(tmp_path, "--for", "4", target.pid) as watch:
        assert watch.end() == 0
        stalls = watch.events("stall")
    assert any(e["verdict"] in ("STARVED", "STALLED") and e["kind"] == "gil" for e in stalls)


def test_shorter_holds_are_counted(tmp_path, program):
    with Watch(tmp_path, "--threshold", "5s", "--", sys.executable, program, 4, 0.1, 0) as watch:
        assert watch.end() == 0
    bye, = [e for e in map(json.loads, filter(lambda l: l.startswith("{"), watch.errors.splitlines()))
            if e["type"] == "bye"]
    assert bye["stalls"] == 0 and bye["short_holds"] >= 3


def test_a_long_stall_is_told_while_it_lasts(program):
    lines = text("--", sys.executable, program, 1, 2.2, 0).stderr.splitlines()
    first, second, summary = [line for line in lines if not line.startswith("stallscope:")]
    assert " and lasts  STALLED blocked.sleep  hold (" in first
    assert " 2.2" in second and "lasts" not in second
    assert summary.startswith("1 stall in ")


CHOPPY = """
import asyncio, sys, time
def parse():
    time.sleep(float(sys.argv[1]))
def spin():
    end = time.monotonic() + 1.5 * float(sys.argv[1])
    while time.monotonic() < end:
        pass
async def main():
    end = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < end:
        await asyncio.sleep(0.1)
        parse()
        await asyncio.sleep(0.1)
        spin()
asyncio.run(main())
"""


def choppy(tmp_path, held, seconds, *args):
    file = tmp_path / "choppy.py"
    file.write_text(CHOPPY)
    watch = run("watch", *args, "-o", tmp_path / "out", "--", sys.executable, file, held, seconds, timeout=60)
    assert watch.returncode == 0
    return (tmp_path / "out").read_text()


def test_held_again_and_again(tmp_path):
    events = list(map(schema.parse_line, choppy(tmp_path, 0.15, 12, "-f", "jsonl").splitlines()))
    first, *others = [e for e in events if e["type"] == "choppy"]
    assert first["window_s"] == pytest.approx(10, abs=0.5) and len(others) <= 1
    assert 8 < first["stalls"] == first["looked_at"] < 40
    assert first["held_s"] == pytest.approx(sum(h["held_s"] for h in first["holders"]))
    assert 0.2 < first["longest_s"] <= first["held_s"] < first["window_s"]
    stalls = [e for e in events if e["type"] == "stall" and e["monotonic_s"] < first["monotonic_s"] + first["window_s"]]
    assert abs(len(stalls) - first["stalls"]) <= 1
    for holder in first["holders"][:2]:
        assert holder["who"]["function"] in ("spin", "parse") and holder["advice"]
        same = [e["held_s"] for e in stalls if e["fingerprint"] == holder["fingerprint"]]
        assert abs(len(same) - holder["count"]) <= 1 and holder["longest_s"] in same
    assert [e for e in events if e["type"] == "bye"][0]["choppy"] == 1 + len(others)


def test_short_holds_have_their_holders_named(tmp_path):
    """None reaches the threshold: a few are looked at nevertheless."""
    lines = choppy(tmp_path, 0.035, 6).splitlines()
    line, = [line for line in lines if "  CHOPPY  held for " in line]
    assert " short holds, longest " in line and "stall" not in line and re.search(r"; of [123] looked at: ", line)
    assert "spin (" in line or "parse (" in line


def test_a_single_stall_is_not_choppy(tmp_path, program):
    with Watch(tmp_path, "-o", tmp_path / "out", "--", sys.executable, program, 1, 2.5, 0) as watch:
        assert watch.end() == 0
    assert '"stall"' in (tmp_path / "out").read_text() and '"type":"choppy"' not in (tmp_path / "out").read_text()


HALVES = """
import asyncio, time
def begin():
    time.sleep(0.05)
def go_on():
    time.sleep(0.6)
async def main():
    for _ in range(3):
        await asyncio.sleep(0.3)
        begin()
        go_on()
asyncio.run(main())
"""


def test_the_longer_part_of_a_stall_is_blamed(tmp_path):
    """The first to be met is not the one to blame when it has moved on since."""
    file = tmp_path / "halves.py"
    file.write_text(HALVES)
    with Watch(tmp_path, "--threshold", "20ms", "-o", tmp_path / "out", "--", sys.executable, file) as watch:
        assert watch.end() == 0
    stalls = [e for e in map(json.loads, (tmp_path / "out").read_text().splitlines()) if e["type"] == "stall"]
    assert [e["who"]["function"] for e in stalls if e["held_s"] > 0.5] == ["go_on"] * 3


def test_lines_are_broken_on_a_terminal_only(program):
    """One line for each stall where it is to be found again; words that stay whole where it is read."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    command = [PROGRAM, "watch", "--", sys.executable, program, "1", "0.3", "0"]
    with os.fdopen(master, "rb", buffering=0) as screen:
        with os.fdopen(slave, "wb") as terminal:
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal, timeout=30, check=True, env=dict(os.environ))
            shown = screen.read(100000).decode().splitlines()
    piped = run(*command[1:]).stderr
    assert len(piped.splitlines()) == 2 and len(piped.splitlines()[0]) > 80
    assert len(shown) > 3 and max(map(len, shown)) <= 60
    assert " ".join(" ".join(shown).split()).count("STALLED blocked.sleep") == 1 and shown[1].startswith("  ")


def test_native_and_redact(tmp_path, program):
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target:
        pid = target.truth["workers"][0]
        with Watch(tmp_path, "--native", "always", "--count", 2, pid) as watch:
            assert watch.end() == 0
            assert any(f["kind"] == "native" for e in watch.events("stall") for f in e["stack"])
        with Watch(tmp_path, "--redact", "--count", 2, pid) as watch:
            assert watch.end() == 0
            assert [e["who"]["source"] for e in watch.events("stall") if e["who"]].count(None) >= 1
            assert "time.sleep(0.15)" not in watch.file.read_text()


# ---- processes come and go ----------------------------------------------------------------------

def test_exec_and_exit(tmp_path):
    with Target(ORDINARY, "mover.py", "execs") as target, Watch(tmp_path, target.pid) as watch:
        watch.wait(lambda: len(watch.events("hello")) == 2)
        target.process.kill()
        assert watch.end() == 0
        assert [e["type"] for e in watch.events()] == ["hello", "lost", "hello", "lost", "bye"]
        assert "another program" in watch.events("lost")[0]["reason"]


def test_workers(tmp_path):
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target, \
            Watch(tmp_path, "--children", target.pid) as watch:
        seen = lambda pid: [e for e in watch.events("stall") if e["pid"] == pid]  # noqa: E731
        watch.wait(lambda: all(map(seen, target.truth["workers"])))
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        change = target.read_truth()
        watch.wait(lambda: seen(change["new"]))
        assert change["gone"] in [e["pid"] for e in watch.events("lost")]
        assert {e["who"]["function"] for e in watch.events("stall") if e["who"]} == {"stall_of_worker"}
        target.process.stdin.close()
        target.process.wait()
        target.process.stdin = None
        watch.end(signal.SIGINT)


def test_what_has_no_loop_is_said_to_be_awaited(tmp_path):
    """A shell or a supervisor above workers, and a program without a loop: once each, and not with -q."""
    script = "%s -c 'import asyncio; asyncio.run(asyncio.sleep(60))' & echo $!; wait" % sys.executable
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as shell, \
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as idle:
        worker = int(shell.stdout.readline())
        expected = {("--children", shell.pid): "process %d does not run Python: only its children" % shell.pid,
                    ("--children", idle.pid): "process %d runs no event loop: only its children" % idle.pid,
                    (idle.pid,): "process %d runs no event loop: waiting until it does" % idle.pid,
                    ("-q", idle.pid): None, (worker,): None}
        try:
            watches = [(subprocess.Popen([PROGRAM, "watch", "--for", "3s", *map(str, args)], stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True), says) for args, says in expected.items()]
            for watch, says in watches:
                assert watch.communicate(timeout=30)[1].count("loop" if says is None else says) == (says is not None)
        finally:
            os.kill(worker, signal.SIGKILL)
            shell.kill()
            idle.kill()


def test_all(tmp_path):
    with Target(ORDINARY, "mover.py", "ends") as target, Watch(tmp_path, "--all") as watch:
        watch.greeted(target.pid)
        assert watch.end(signal.SIGTERM) == 143


def test_what_cannot_be_watched():
    assert text(2 ** 22 + 1).returncode == 66
    assert text("--for", "1", 1 if os.getpid() != 1 else 2).returncode in (69, 77)
    assert text().returncode == 2
    result = text(__file__)
    assert result.returncode == 2 and "test_watch.py' is no pid" in result.stderr


# ---- how it ends --------------------------------------------------------------------------------

def test_count_time_and_signals(tmp_path):
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target:
        pid = target.truth["workers"][0]
        with Watch(tmp_path, "--count", 2, pid) as watch:
            assert watch.end() == 0
            assert [e["over"] for e in watch.events("stall")] == [True] * 2 and watch.events("bye")[0]["reason"] == "count"
        with Watch(tmp_path, "--for", "300ms", pid) as watch:
            assert watch.end() == 0 and watch.events("bye")[0]["reason"] == "time"
        with Watch(tmp_path, pid) as watch:
            watch.greeted(pid)
            assert watch.end(signal.SIGINT) == 130
            assert watch.events("bye")[0]["reason"] == "interrupted"
        with Watch(tmp_path, "--exit-code", "--count", 1, pid) as watch:
            assert watch.end() == 1


def test_command(tmp_path, program):
    result = text("--exit-code", "--", sys.executable, program, 1, 0.15, 0)
    assert result.returncode == 1 and result.stdout == "output of the program\n"
    assert " hold (" in result.stderr
    assert text("--", sys.executable, program, 1, 0, 7).returncode == 7
    assert text("--", sys.executable, program, 1, 0, 0, int(signal.SIGKILL)).returncode == 137
    assert text("--", "/nonexistent").returncode == 127
    assert text("--", str(tmp_path)).returncode == 126
    # what ends the watch does not end the command, but its status is waited for
    assert text("--count", 1, "--", sys.executable, program, 3, 0.15, 7).returncode == 7


def gone(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%d/stat" % pid) as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"
    return True


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def descendants(pid):
    below = children(pid)
    return below + [other for child in below for other in descendants(child)]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_command_ends_with_us(tmp_path, program, signum):
    with Watch(tmp_path, "--exec", "sleep 60", "--", sys.executable, program, 1000, 0.15, 0) as watch:
        watch.wait(lambda: len(children(watch.process.pid)) > 1)
        pids = descendants(watch.process.pid)
        watch.end(signum)
        assert watch.process.returncode in (143, -9)
        watch.wait(lambda: all(map(gone, pids)))


# ---- what is done with events -------------------------------------------------------------------

def test_exec_event(tmp_path):
    """Commands that do not end do not hold up the watch, nor are there more and more of them."""
    events = tmp_path / "events"
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target, \
            Watch(tmp_path, "--exec", "cat >>%s; exec sleep 60" % events, target.truth["workers"][0]) as watch:
        watch.wait(lambda: len(watch.events("stall")) == 6)
        assert len(children(watch.process.pid)) == 4
        assert watch.end(signal.SIGTERM) == 143
        told = [schema.parse_line(line) for line in events.read_text().splitlines()]
        assert told == watch.events("stall")[:4]
        assert "left out" in watch.errors


def test_save(tmp_path):
    folder = tmp_path / "cores"
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target, \
            Watch(tmp_path, "--save", folder, "--count", 3, target.truth["workers"][0]) as watch:
        assert watch.end() == 0
        cores = [e["core"] for e in watch.events("stall") if "core" in e]
    assert cores and sorted(cores) == sorted(map(str, folder.iterdir()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for core in cores:
        assert stat.S_IMODE(os.stat(core).st_mode) == 0o600
        document = dump(core)
        assert document["verdict"] in ("STALLED", "STARVED")
        assert document["loops"][0]["who"]["function"] == "stall_of_worker"
    assert text("--save", tmp_path / "lines", 1).returncode == 73
