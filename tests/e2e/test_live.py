# SPDX-License-Identifier: Apache-2.0
"""The live view on a real pseudo-terminal: what the screen shows, and how it leaves the terminal."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

import recordings
from conftest import ORDINARY, PROGRAM, Target, run, settle

pyte = pytest.importorskip("pyte")
KEYS = {"Enter": "\r", "Esc": "\x1b", "Tab": "\t", "Up": "\x1b[A", "Down": "\x1b[B"}


class Live:
    """The program on a terminal of a given size, whose screen pyte keeps."""

    # pyte does all that curses asks of the Linux console, and not all that it asks of others
    def __init__(self, *args, cols=80, rows=24, term="linux", **environment):
        self.screen = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self.slave = pty.openpty()
        self.resize(cols, rows, tell=False)
        self.before = termios.tcgetattr(self.slave)
        env = {"PATH": "/usr/bin:/bin", "TERM": term, "LANG": "C.UTF-8", "XDG_CONFIG_HOME": "/nonexistent",
               **environment}
        self.started = time.monotonic()
        self.process = subprocess.Popen([PROGRAM, *map(str, args)], stdin=self.slave, stdout=self.slave,
                                        stderr=self.slave, env=env, cwd="/tmp", start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def read(self, seconds=0.05):
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            with contextlib.suppress(OSError):
                data = os.read(self.master, 65536)
                if data:
                    self.raw += data
                    self.stream.feed(data)
                    continue
            break

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, pattern, seconds=20):
        """Until the screen matches; the time that it took since the start."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.M):
            assert time.monotonic() < end, "no %r on the screen:\n%s" % (pattern, self.text)
            assert self.process.poll() is None or self.read() or re.search(pattern, self.text, re.M), self.text
            self.read()
        return time.monotonic() - self.started

    def press(self, *keys):
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())
            if key == "Esc":  # alone, it is no beginning of another key
                self.read(0.1)

    def resize(self, cols, rows, tell=True):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        if tell:
            self.screen.resize(rows, cols)

    def end(self, seconds=10):
        """Its status; the terminal must be as it was."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, "it does not end:\n" + self.text
            self.read()
        self.read()
        assert termios.tcgetattr(self.slave) == self.before
        assert self.raw.rfind(b"\x1b[?1049l") >= self.raw.rfind(b"\x1b[?1049h")  # the screen of before
        assert self.raw.rfind(b"\x1b[?25l") < self.raw.rfind(b"\x1b[?25h")  # the cursor
        assert self.raw.rfind(b"\x1b[?1000h") <= self.raw.rfind(b"\x1b[?1000l")  # the mouse
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture(scope="module")
def blocked():
    with Target(ORDINARY, "states.py", "blocked", 300) as target:
        settle()
        yield target


def test_first_screen(blocked):
    """Within lines 2 to 7, without a key: verdict, time, own line, library, what it is in, who suffers, advice."""
    with Live(blocked.pid) as live:
        live.wait(r"STALLED")
        head = live.text.split("\n")[:7]
        assert re.match(r"!! STALLED [0-9.]+ m?s   blocked\.sleep: .* certain$", head[1]), head
        assert re.match(r" held by  hold\(\)  \S*states\.py:%d " % blocked.truth["line"], head[2]), head
        assert "time.sleep" in head[3] and "left" in head[4] and "tasks" in head[5], head
        assert head[6].startswith(" do this  await asyncio.sleep()"), head
        live.wait(r"STALLED [0-9.]+ s ")
        held = [float(re.search(r"STALLED ([0-9.]+) s", live.text)[1])]
        time.sleep(0.6)
        live.read()
        held.append(float(re.search(r"STALLED ([0-9.]+) s", live.text)[1]))
        assert 0.2 < held[1] - held[0] < 5  # it goes on
        live.press("q")
        assert live.end() == 0


def test_keys(blocked):
    with Live(blocked.pid) as live:
        live.wait(r"STALLED")
        live.press("2")
        live.wait(r"state +age +task")
        live.press("/", "p", "a", "r", "k", "e", "d", "-", "7", "Enter")
        live.wait(r"^> .*parked-7 ")
        live.press("Enter")
        live.wait(r"what would wake it")
        live.press("Esc", "3")
        live.wait(r"N oldest")
        live.press("4")
        live.wait(r"ranking")
        live.press("5")
        live.wait(r"system call")
        live.press("?")
        live.wait(r"stallscope help")
        live.press("q", "1", " ")
        live.wait(r"PAUSED")
        live.press("w")
        live.wait(r"written: stallscope-%d-.*\.json" % blocked.pid)
        name = re.search(r"written: (\S+)", live.text)[1]
        os.unlink("/tmp/" + name)
        live.press("y")
        live.wait(r"copied: ")
        assert b"\x1b]52;c;" in live.raw
        live.press("Q")
        assert live.end() == 0


def test_resize(blocked):
    with Live(blocked.pid) as live:
        live.wait(r"STALLED")
        live.resize(120, 40)
        live.wait(r"\[Evidence\]")
        for i in range(60):
            live.resize(60 + i, 15 + i // 3)
        live.resize(60, 15)
        live.read(0.3)
        live.wait(r"\?Help")
        assert "STALLED" in live.text.split("\n")[1]
        live.press("q")
        assert live.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ended_by_signal(blocked, number):
    with Live(blocked.pid, term="xterm-256color") as live:
        live.wait(r"STALLED")
        live.process.send_signal(number)
        assert live.end() == 128 + number


def test_crash(blocked):
    """A fault of its own: the terminal is put back, and the signal is what ended it."""
    with Live(blocked.pid, term="xterm-256color") as live:
        live.wait(r"STALLED")
        live.process.send_signal(signal.SIGSEGV)
        assert live.end() == -signal.SIGSEGV


def test_suspended(blocked):
    with Live(blocked.pid) as live:
        live.wait(r"STALLED")
        live.process.send_signal(signal.SIGTSTP)
        for _ in range(100):
            live.read(0.02)
            with open("/proc/%d/stat" % live.process.pid) as stat:
                if stat.read().rpartition(")")[2].split()[0] == "T":
                    break
        else:
            pytest.fail("it was not suspended")
        assert termios.tcgetattr(live.slave) == live.before
        live.screen.reset()
        live.process.send_signal(signal.SIGCONT)
        live.wait(r"STALLED")
        live.press("q")
        assert live.end() == 0


def test_target_ends():
    with Target(ORDINARY, "states.py", "blocked", 300) as target:
        settle()
        with Live(target.pid) as live:
            live.wait(r"STALLED")
            target.process.kill()
            target.process.wait()
            live.wait(r"GONE")
            live.wait(r"the process has ended")
            assert "hold()" in live.text  # the last picture stays
            live.press("q")
            assert live.end() == 0


def test_picker_and_group(blocked):
    with Target(ORDINARY, "states.py", "idle", 300) as idle, Live(rows=200) as live:
        live.wait(r"%d .*STALLED" % blocked.pid)
        live.wait(r"%d .*HEALTHY" % idle.pid)
        live.press("q")
        assert live.end() == 0
        with Live(blocked.pid, idle.pid, cols=120) as live:
            live.wait(r"1 of 2 in trouble")
            live.press("Enter")
            live.wait(r"held by  hold\(\)")
            live.press("q")
            live.wait(r"group of 2")
            live.press("q")
            assert live.end() == 0


def test_mouse(blocked):
    """A click on a tab, one on a line, and a second one that opens it."""
    with Live(blocked.pid, term="xterm-256color") as live:
        live.wait(r"STALLED")
        live.press("\x1b[<0;13;9M", "\x1b[<0;13;9m")
        live.wait(r"waits on")
        for _ in range(2):
            live.press("\x1b[<0;5;10M")
            live.read(0.05)
            live.press("\x1b[<0;5;10m")
            live.read(0.1)
        live.wait(r"await chain")
        live.press("Q")
        assert live.end() == 0
    with Live(blocked.pid, "--no-mouse", term="xterm-256color") as live:
        live.wait(r"STALLED")
        live.press("q")
        assert live.end() == 0
        assert b"1000h" not in live.raw


def worker_pids(parent):
    with open("/proc/%d/task/%d/children" % (parent, parent)) as file:
        return [int(pid) for pid in file.read().split()]


@pytest.mark.parametrize("named", [False, True], ids=["children", "pids"])
def test_workers_are_followed(named):
    """A worker that its parent starts in the place of one that ended is watched in its place."""
    with Target(ORDINARY, "workers.py", 300) as target:
        first = worker_pids(target.pid)
        args = first if named else ["--children", target.pid]
        with Live(*args, cols=120) as live:
            live.wait(r"%d .*HEALTHY" % first[0])
            live.wait(r"%d .*HEALTHY" % first[1])
            os.kill(first[0], signal.SIGKILL)
            for _ in range(100):
                live.read(0.05)
                new = set(worker_pids(target.pid)) - set(first)
                if new:
                    break
            live.wait(r"%d .*HEALTHY" % new.pop())
            live.wait(r"%d .*HEALTHY" % first[1])
            live.press("Q")
            assert live.end() == 0


def test_exec():
    """The process became another program: said so, and that one is watched."""
    with Target(ORDINARY, "workers.py", 300, "exec") as target:
        with Live(target.pid) as live:
            live.wait(r"HEALTHY")
            target.process.send_signal(signal.SIGUSR1)
            live.wait(r"the process became another program")
            live.wait(r"STALLED")
            live.press("q")
            assert live.end() == 0


def test_native():
    """Functions of C only where they were asked for, and then the process runs on."""
    with Target(ORDINARY, "states.py", "json", 300) as target, Live(target.pid) as live:
        live.wait(r"STALLED")
        assert "native" not in live.text
        live.press("n")
        live.wait(r"functions of C: ")
        live.wait(r"^ native \(n\)")
        live.press("n")
        live.wait(r"nothing is stopped")
        with open("/proc/%d/status" % target.pid) as status:
            assert re.search(r"TracerPid:\t0$", status.read(), re.M)
        live.press("q")
        assert live.end() == 0


def test_core(blocked, tmp_path):
    core = tmp_path / "stall.core"
    assert run("dump", "--save", core, blocked.pid).returncode == 0
    for args in ([core], ["view", core]):
        with Live(*args) as live:
            live.wait(r"STALLED")
            assert "recorded" in live.text.split("\n")[0]
            assert "hold()" in live.text
            live.press("q")
            assert live.end() == 0


def test_recording(tmp_path):
    """Its stalls, and no key that looks; a file that is none is told before the screen is taken."""
    file = recordings.write(tmp_path / "day.jsonl", recordings.hello(),
                            recordings.snapshot(0, groups=[recordings.group(7, line=15)], tasks={"total": 7}),
                            recordings.stall(2, 0.5), recordings.stall(4, 2.0, "load", fingerprint="bb"),
                            recordings.bye(9))
    for args in ([file], ["view", file]):
        with Live(*args) as live:
            live.wait(r"^>.* load  srv/app.py:10")
            lines = live.text.split("\n")
            assert "pid 42 on web-1" in lines[0] and lines[0].endswith("py3.12.1  recorded"), lines
            assert lines[1].startswith("!! STALLED 2.00 s to 2.01 s   blocked.sleep: time.sleep"), lines
            assert lines[2].startswith(" held by  load()  srv/app.py:10   x = 1"), lines
            assert lines[6].startswith(" file     2 stalls, 1 look, 2026-09-"), lines
            assert "pause" not in lines[-1], lines
            live.press(" ", "Down")
            live.wait(r"^!! STALLED 500 ms to 510 ms")
            assert "PAUSED" not in live.text
            live.press("Enter")
            live.wait(r"stack \(newest last\)\n +main .*\n +price ")
            live.press("Esc", "3")
            live.wait(r"^> +7 1.5 s +Queue.get +main +srv/app.py:15")
            live.press("q")
            assert live.end() == 0
    for text, why in (("no\n", "is no recording that can be read: line 1: it is no JSON"), ("", "is empty")):
        (tmp_path / "bad").write_text(text)
        with Live("view", tmp_path / "bad", cols=200) as live:
            live.wait(why)
            assert live.process.wait(10) == 69 and b"\x1b[?1049h" not in live.raw


def test_who_held_it_the_last_time():
    """Of a loop that is held again and again, also while it is not."""
    with Target(ORDINARY, "stalling_workers.py", stdin=subprocess.PIPE) as target:
        with Live(target.truth["workers"][0]) as live:
            live.wait(r"^~~ CHOPPY")
            live.wait(r"^ held by  the last time  stall_of_worker  \S*stalling_workers\.py:13  time")
            live.press("q")
            assert live.end() == 0


SPINS = """
import asyncio, time
def spin():
    end = time.monotonic() + 0.25
    while time.monotonic() < end:
        pass
async def main():
    while True:
        await asyncio.sleep(0.1)
        spin()
asyncio.run(main())
"""


def test_a_computing_function_is_one_holder(tmp_path):
    """Whatever it calls when it is looked at, and also when the verdict is CHOPPY, which has no kind."""
    (tmp_path / "spins.py").write_text(SPINS)
    target = subprocess.Popen([sys.executable, tmp_path / "spins.py"])
    try:
        with Live(target.pid, rows=40) as live:
            live.press("4")
            live.wait(r"(?s)(CHOPPY|cpu\.python).*^ ranking .*^ +[0-9]+ % +[6-9] .* spin +\S* *cpu\.python")
            assert len(re.findall(r"(?m)^ +\d+ % .* spin ", live.text)) == 1
            live.press("q")
            assert live.end() == 0
    finally:
        target.kill()
        target.wait()


@pytest.mark.parametrize("environment", [
    {"term": "vt100"}, {"term": "xterm-256color"}, {"term": "screen"}, {"NO_COLOR": "1"},
    {"LANG": "C", "LC_ALL": "C"}, {"LC_ALL": "POSIX"}])
def test_terminals(blocked, environment):
    with Live(blocked.pid, **environment) as live:
        live.wait(r"!! STALLED")
        live.wait(r"hold\(\)  \S+states\.py")
        if "LC_ALL" in environment:
            assert live.text.isascii()
        if "NO_COLOR" in environment or environment.get("term") == "vt100":
            assert not re.search(rb"\x1b\[[0-9;]*(3[0-7]|38;5;\d+)m", live.raw)
        live.press("q")
        live.process.wait(timeout=10)


def test_hostile_text():
    """What a target calls its tasks moves no cursor and shifts no column."""
    with Target(ORDINARY, "states.py", "unicode", 300) as target, Live(target.pid) as live:
        settle()
        live.press("2")
        live.wait(r"state +age")
        live.wait(r"bidi .u202e")
        assert b"\x1b]52" not in live.raw and b"\x9b31m" not in live.raw and b"\xe2\x80\xae" not in live.raw
        assert len(re.findall(r"unicode|states\.py:\d+|evil?\.py", live.text)) > 8
        live.press("q")
        assert live.end() == 0


def test_refusals(blocked):
    result = run("view", blocked.pid)
    assert result.returncode == 2 and "stallscope dump" in result.stderr
    assert run().returncode == 2
    assert run(blocked.pid).stdout.startswith("stallscope: pid %d STALLED" % blocked.pid)
    with Live(blocked.pid, term="dumb") as live:
        live.process.wait(timeout=10)
        live.read()
        assert live.process.returncode == 2 and "dump" in live.text
    with Live(2 ** 22 - 1) as live:
        live.process.wait(timeout=10)
        live.read()
        assert live.process.returncode == 66 and "no process" in live.text
