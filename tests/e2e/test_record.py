# SPDX-License-Identifier: Apache-2.0
"""record: what is written is whole, true and there in time, whatever happens to either side."""
import json
import os
import signal
import subprocess
import time

import pytest

import schema
from conftest import ORDINARY, PROGRAM, Target, run


def lines_of(path):
    text = path.read_text()
    assert text.endswith("\n")
    return [schema.parse_line(line) for line in text.splitlines()]


def of(lines, kind):
    return [line for line in lines if line["type"] == kind]


def test_stalls(tmp_path, interpreter):
    """Begin, length and culprit of each hold, as the service itself tells them."""
    with Target(interpreter, "overtime.py", "price", 0.3, "render", 0.3, "price", 0.4) as target:
        result = run("record", target.pid, "-o", tmp_path / "r", "--interval", "50ms", "--for", "3s",
                     "--label", "env=test")
        assert result.returncode == 0, result.stderr
        truths = [json.loads(target.process.stdout.readline()) for _ in range(3)]
    lines = lines_of(tmp_path / "r")
    stalls = of(lines, "stall")
    assert lines[0]["type"] == "hello" and lines[0]["labels"] == {"env": "test"}
    assert lines[-1]["type"] == "bye" and lines[-1]["reason"] == "time"
    assert lines[-1]["stalls"] == len(stalls) and lines[-1]["looks"] == len(of(lines, "snapshot"))
    blamed = [min(stalls, key=lambda s: abs(s["monotonic_s"] - true["began"])) for true in truths]
    assert [s["who"]["function"] for s in blamed] == [t["handler"] for t in truths]
    for stall, true in zip(blamed, truths):
        assert abs(stall["monotonic_s"] - true["began"]) < 0.01
        assert stall["held_s"] <= true["held"] + 0.01 and stall["over"]
        assert stall["held_at_most_s"] >= true["held"] - 0.01
        assert stall["stack"][0]["function"] == stall["who"]["function"]
        assert stall["process"]["pid"] == target.pid
    kinds = [s["kind"] for s in blamed]
    if kinds == ["blocked.sleep", "cpu.python", "blocked.sleep"]:  # the machine had a CPU for it
        assert blamed[0]["fingerprint"] == blamed[2]["fingerprint"] != blamed[1]["fingerprint"]
    assert [b["stall"] for b in of(lines, "stall_begin")] == [s["stall"] for s in stalls]
    assert of(lines, "stall_end")
    light = [line for line in of(lines, "snapshot") if "detail" in line]
    assert len(light) > len(of(lines, "snapshot")) / 2
    assert all(len(json.dumps(line)) < 600 for line in light)


@pytest.mark.parametrize("tasks", [0, 12000])
def test_no_stall_is_missed(tmp_path, tasks):
    """Stalls that are shorter than the interval, and may be shorter than it takes to look at all tasks."""
    with Target(ORDINARY, "staller.py", 7, 0.15, 0.15, 0.15, 7, tasks, stdin=subprocess.PIPE) as target:
        recorder = subprocess.Popen([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / "r")])
        while not (tmp_path / "r").exists() or '"hello"' not in (tmp_path / "r").read_text():
            time.sleep(0.05)
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        log = [json.loads(line) for line in target.process.stdout.read().splitlines()]
        assert recorder.wait(timeout=20) == 0
    lines = lines_of(tmp_path / "r")
    bye, stalls = lines[-1], of(lines, "stall")
    assert len(log) >= 20 and bye["looks"] == len(of(lines, "snapshot")) <= 12
    if bye["longest_gap_s"] < 0.05:  # we had a CPU
        assert len(stalls) == len(log) and bye["maybe"] == 0
    for true in log:
        near = [s for s in stalls if true["begin"] - 0.05 < s["monotonic_s"] <= true["begin"] + 0.0005]
        if not near:
            assert bye["longest_gap_s"] > 0.1, "not seen: %s" % true
            continue
        stall = near[-1]
        over, error = stall["monotonic_s"] + stall["held_s"], max(0.005, stall["held_at_most_s"] - stall["held_s"])
        assert stall["over"] and true["end"] - error <= over <= true["next"] + error, (stall, true)
        assert stall["who"]["function"] == true["function"], (stall, true)
        assert true["first"] <= stall["who"]["line"] <= true["first"] + 3
    report = json.loads(run("report", "-f", "json", tmp_path / "r").stdout)
    assert report["stalls_total"] == len(stalls)
    assert abs(report["held_s"] - sum(s["held_s"] for s in stalls)) < 1e-6


def test_another_program(tmp_path):
    """What is run in the same process by execve() is not what was to be recorded."""
    with Target(ORDINARY, "mover.py", "execs") as target:
        result = run("record", target.pid, "-o", tmp_path / "r", "--interval", "50ms", "--for", "20s", timeout=30)
    assert result.returncode == 0 and "ended" in result.stderr
    assert [line["type"] for line in lines_of(tmp_path / "r")[-2:]] == ["lost", "bye"]


def test_dump_has_the_same_fingerprint(tmp_path):
    with Target(ORDINARY, "states.py", "blocked") as target:
        time.sleep(0.3)
        document = schema.parse(run("dump", "-f", "json", target.pid).stdout)
        run("record", target.pid, "-o", tmp_path / "r", "--count", 1)
    stall, = of(lines_of(tmp_path / "r"), "stall")
    assert stall["fingerprint"] == document["loops"][0]["fingerprint"]
    assert not stall["over"] and stall["held_at_most_s"] is None


def test_redacted(tmp_path):
    """No argument, no name of a task and no source in any line, nor in what is made of it."""
    with Target(ORDINARY, "states.py", "blocked") as target:
        assert run("record", target.pid, "-o", tmp_path / "r", "--count", 2, "--interval", "50ms", "--redact").returncode == 0
    stall, = of(lines_of(tmp_path / "r"), "stall")
    assert stall["who"]["function"] == "hold" and stall["who"]["source"] is None
    text = (tmp_path / "r").read_text() + run("report", "-f", "json", tmp_path / "r").stdout
    assert '"blocked"' not in text and "states.py blocked" not in text and "handle-quote" not in text


def test_target_ends(tmp_path):
    with Target(ORDINARY, "overtime.py") as target:
        recorder = subprocess.Popen([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / "r"),
                                     "--interval", "50ms"], stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
    errors = recorder.communicate(timeout=10)[1]
    assert recorder.returncode == 0 and "ended" in errors
    lines = lines_of(tmp_path / "r")
    assert [line["type"] for line in lines[-2:]] == ["lost", "bye"] and lines[-1]["reason"] == "lost"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path, number):
    with Target(ORDINARY, "states.py", "blocked") as target:
        recorder = subprocess.Popen([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / "r")])
        while not (tmp_path / "r").exists() or "stall_begin" not in (tmp_path / "r").read_text():
            time.sleep(0.05)
        recorder.send_signal(number)
        assert recorder.wait(timeout=10) == 128 + number
    lines = lines_of(tmp_path / "r")
    assert lines[-2]["type"] == "stall" and lines[-1]["reason"] == "interrupted"


def test_killed_leaves_whole_lines(tmp_path):
    with Target(ORDINARY, "overtime.py") as target:
        recorder = subprocess.Popen([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / "r"),
                                     "--interval", "2ms"])
        time.sleep(0.6)
        recorder.kill()
        recorder.wait()
    assert len(lines_of(tmp_path / "r")) > 10


def test_outputs(tmp_path):
    """Existing files, links, pipes, devices, disks that are full."""
    with Target(ORDINARY, "overtime.py") as target:
        once = ("record", target.pid, "--count", 1, "-o")
        (tmp_path / "there").write_text("mine")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        for name in ("there", "link"):
            result = run(*once, tmp_path / name)
            assert result.returncode == 73 and "another name" in result.stderr
        assert (tmp_path / "there").read_text() == "mine" and not (tmp_path / "nowhere").exists()
        assert run(*once, tmp_path / "no" / "folder").returncode == 73
        result = run(*once, "/dev/full")
        assert result.returncode == 74 and "No space left" in result.stderr
        result = run(*once, "-")
        assert [schema.parse_line(line)["type"] for line in result.stdout.splitlines()] == ["hello", "snapshot", "bye"]
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run([PROGRAM] + [str(a) for a in once] + ["-"], stdout=writer, stderr=subprocess.PIPE,
                                text=True, timeout=20, check=False)
        os.close(writer)
        assert result.returncode == 74 and "Broken pipe" in result.stderr


def test_disk_full_takes_a_line_back(tmp_path):
    """A limit of the size of a file is like a disk that is full: the line that did not fit is gone."""
    with Target(ORDINARY, "overtime.py") as target:
        result = subprocess.run(["sh", "-c", 'trap "" XFSZ; ulimit -f 64; exec "$0" "$@"', PROGRAM, "record",
                                 str(target.pid), "-o", str(tmp_path / "r"), "--interval", "2ms", "--for", "10s"],
                                stderr=subprocess.PIPE, text=True, timeout=20, check=False)
    assert result.returncode == 74 and "File too large" in result.stderr
    assert len(lines_of(tmp_path / "r")) > 5


def test_usage(tmp_path):
    for args in (["record"], ["record", "1"], ["record", "1", "2", "-o", tmp_path / "r"],
                 ["record", "1", "-o", tmp_path / "r", "--count", "0"],
                 ["record", "1", "-o", tmp_path / "r", "--interval", "0"]):
        assert run(*args).returncode == 2
    assert run("record", 999999999, "-o", tmp_path / "r").returncode == 66
    assert not (tmp_path / "r").exists()
