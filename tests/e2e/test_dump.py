# SPDX-License-Identifier: Apache-2.0
"""The verdict, the held time, the culprit and the tasks, on every interpreter."""
import functools
import os
import re
import signal
import subprocess
import sys
import time
import unicodedata

import pytest

import schema
from conftest import ORDINARY, TARGETS, Target, dump, dump_on_a_cpu, run, settle

sys.path.append(str(TARGETS))
from truth import Stamps  # noqa: E402

HELD_ERROR_S = 0.001


def stack_of(frames):
    """Outermost first, as the truth has it."""
    return [[f["function"], os.path.basename(f["file"]), f["line"]] for f in reversed(frames)]


class BusyMachine(AssertionError):
    """The machine took the CPU away: from the target between select and its callback, where the
    held time begins, or from a callback that computes, which then is starved indeed."""


def unless_busy(test):
    """A fresh target for a busy machine, twice; the third time it is a failure."""
    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        for _ in range(2):
            try:
                return test(*args, **kwargs)
            except BusyMachine:
                time.sleep(2)
        return test(*args, **kwargs)
    return wrapper


def check_held(document, loop, started):
    """Read a little too long, never too short: the hold begins after select has returned."""
    error = loop["held_s"] - (document["monotonic_s"] - started)
    assert -0.00005 <= error < 0.1, "held_s is off by %.6f s" % error
    if error > HELD_ERROR_S:
        raise BusyMachine("held_s is over by %.6f s" % error)


def check_culprit(loop, truth):
    if loop["verdict"] == "STARVED" and loop["kind"].startswith("cpu."):
        raise BusyMachine("the target gets no CPU")
    assert loop["verdict"] == truth["verdict"] == "STALLED"
    assert loop["class"] == truth["loop_class"]
    assert loop["who"]["function"] == truth["function"]
    assert truth["lines"][0] <= loop["who"]["line"] <= truth["lines"][1]
    assert os.path.basename(loop["who"]["file"]) == "states.py"
    if truth["function"] == "hold":
        assert loop["who"]["source"] == "how(SECONDS)"
    assert loop["who"]["task"] == truth["task"]


def check_tasks(document, truth):
    ours = {t["name"]: t for t in document["tasks"]}
    assert set(ours) == {t["name"] for t in truth["tasks"]}
    assert len(document["tasks"]) == len(truth["tasks"])
    for expected in truth["tasks"]:
        task = ours[expected["name"]]
        assert task["coroutine"] == expected["coroutine"]
        assert not task["torn"]
        if expected["running"]:
            continue
        stack = stack_of(task["stack"])
        assert stack[:len(expected["stack"])] == expected["stack"]
        if expected["complete"]:
            assert stack == expected["stack"]


def check_running(document, truth):
    running = [t for t in document["tasks"] if t["state"] == "running"]
    assert [t["name"] for t in running] == [truth["task"]]
    expected = truth["running"]
    assert expected[-1][0] == "hold"
    expected[-1][2] = truth["line"]
    assert stack_of(running[0]["stack"])[:len(expected)] == expected
    if truth["function"] == "burn":
        assert running[0]["stack"][0]["function"] == "burn"


@pytest.mark.parametrize("state", ["blocked", "cpu"])
@unless_busy
def test_held_four_awaits_deep(interpreter, state):
    with Target(interpreter, "states.py", state) as target:
        settle()
        document = dump(target.pid)
        loop = document["loops"][0]
        check_culprit(loop, target.truth)
        check_held(document, loop, target.truth["started"])
        check_tasks(document, target.truth)
        check_running(document, target.truth)
        assert len(document["tasks"]) == 52 and loop["tasks"]["total"] == 52
        assert document["verdict"] == "STALLED"
        assert loop["kind"].split(".")[0] == {"blocked": "blocked", "cpu": "cpu"}[state]
        assert loop["confidence"] == "certain" and loop["same_callback"] is True
        assert document["process"]["python"]["version"] == target.truth["version"]
        assert document["tool"]["freeze"] is None
        assert document["tool"]["consistency"] == "consistent" and not document["problems"]
        assert document["threads"][0]["name"] == "MainThread"
        assert (loop["timers"], loop["timers_late"], loop["ready"]) == (11, 0, 0)
        states = [t["state"] for t in document["tasks"]]
        assert states.count("running") == 1 and states.count("pending") == 51
        # one look says the same
        once = dump(target.pid, "--for", "0")
        check_culprit(once["loops"][0], target.truth)
        check_held(once, once["loops"][0], target.truth["started"])
        # a runnable thread is looked at once more: does it compute, or get no CPU?
        assert once["tool"]["looks"] == 1 or state == "cpu"


@pytest.mark.parametrize("state", ["idle", "parked"])
def test_healthy(interpreter, state):
    with Target(interpreter, "states.py", state) as target:
        settle()
        document = dump(target.pid)
        loop = document["loops"][0]
        assert loop["verdict"] == target.truth["verdict"] == "HEALTHY" and loop["phase"] == "select"
        assert loop["class"] == target.truth["loop_class"]
        assert {t["state"] for t in document["tasks"]} == {"pending"}
        assert loop["current_task"] is None and loop["who"] is None
        assert loop["tasks"]["total"] == target.truth["count"]
        assert loop["timers_next_s"] > 0
        assert loop["select"]["timeout_s"] > 0
        now = document["monotonic_s"] - target.truth["now"]
        assert 0 <= loop["select"]["entered_s_ago"] <= now + 0.2
        check_tasks(document, target.truth)


@pytest.mark.parametrize("state, least", [("flood", 10000), ("burst", 400)])
def test_many_callbacks_are_overload(interpreter, state, least):
    with Target(interpreter, "states.py", state) as target:
        time.sleep(0.5)
        loop = dump_on_a_cpu(target.pid, "--max-tasks", "1000000", "--tasks", "none")["loops"][0]
        assert loop["verdict"] == target.truth["verdict"] == "OVERLOADED"
        assert loop["batch"] is None or loop["batch"]["of"] > least
        if state == "burst":
            # numbers that are freed and taken again while they are read must not be believed
            for _ in range(25):
                dump(target.pid, "--for", "0", "--tasks", "none")


@unless_busy
def test_position_in_a_moving_batch(interpreter):
    """500 callbacks of about 1 ms a turn: where it is, and since when, while it moves on."""
    sure = 0
    with interpreter.path("stamps") as (inside, outside), \
            Target(interpreter, "states.py", "burst", 60, inside) as target:
        while Stamps.read(outside)[0] < 2:
            time.sleep(0.01)
        for _ in range(25):
            turn, first, starts = Stamps.read(outside)
            document = dump(target.pid, "--for", "0", "--tasks", "none")
            turn_after, last, _ = Stamps.read(outside)
            if turn == turn_after and first > 2:
                sure += 1
                loop, = document["loops"]
                assert loop["phase"] == "callbacks"
                assert loop["batch"]["of"] == target.truth["count"]
                assert first <= loop["batch"]["index"] <= last + 1
                check_held(document, loop, starts[-1])
            time.sleep(0.02)
    assert sure >= 5


@unless_busy
def test_every_hold_has_its_own_start(interpreter):
    """A loop held 150 ms again and again: each single look tells the hold of its own moment."""
    in_hold = between = 0
    with interpreter.path("stamps") as (inside, outside), \
            Target(interpreter, "states.py", "again", 60, inside) as target:
        while Stamps.read(outside)[0] < 2:
            time.sleep(0.01)
        for _ in range(40):
            document = dump(target.pid, "--for", "0")
            loop, = document["loops"]
            began = [s for s in Stamps.read(outside)[2] if s <= document["monotonic_s"]][-1]
            since = document["monotonic_s"] - began
            if 0.005 < since < target.truth["hold"] - 0.005:
                in_hold += 1
                assert loop["phase"] == "callbacks"
                check_held(document, loop, began)
                assert loop["verdict"] == ("STALLED" if loop["held_s"] >= 0.1 else "HEALTHY")
                if loop["verdict"] == "STALLED":
                    assert loop["who"]["function"] == target.truth["function"]
                    assert loop["who"]["line"] == target.truth["line"]
            elif since > target.truth["hold"] + 0.01:
                between += 1
                assert loop["verdict"] == "HEALTHY"
            time.sleep(0.017)
    assert in_hold >= 5 and between >= 1


@unless_busy
def test_the_loop_goes_on(interpreter):
    """A hold that ended is no hold: the same process is healthy afterwards, without its task."""
    with Target(interpreter, "states.py", "blocked", 0.8) as target:
        settle()
        check_culprit(dump(target.pid, "--for", "0")["loops"][0], target.truth)
        time.sleep(max(0, target.truth["started"] + 1.1 - time.monotonic()))
        document = dump(target.pid)
        loop, = document["loops"]
        assert loop["verdict"] == "HEALTHY" and loop["held_s"] is None and loop["who"] is None
        assert sorted(t["name"] for t in document["tasks"]) == sorted(
            t["name"] for t in target.truth["tasks"] if t["name"] != "handle-quote")


@unless_busy
def test_position_in_the_batch(interpreter):
    with Target(interpreter, "states.py", "callback") as target:
        settle()
        document = dump(target.pid)
        loop = document["loops"][0]
        check_culprit(loop, target.truth)
        assert (loop["batch"]["index"], loop["batch"]["of"]) == (5, 15)
        assert loop["batch"]["callback"] == "held_callback"
        assert loop["ready"] == 9
        assert loop["current_task"] is None
        check_held(document, loop, target.truth["started"])


def test_library_and_peer_are_named(interpreter):
    with Target(interpreter, "states.py", "http") as target:
        settle()
        loop = dump(target.pid)["loops"][0]
        assert loop["verdict"] == "STALLED" and loop["kind"] == "blocked.io.http"
        assert loop["who"]["function"] == "fetch"
        what = loop["what"]
        assert what["library"] == "http.client" and what["rule"] == "py http.client:getresponse"
        assert what["system_call"] == "recvfrom" and what["fd"] > 2
        assert what["peer"] == "127.0.0.1:%d" % target.truth["port"]
        assert what["tcp_state"] == "ESTABLISHED"
        text = run("dump", target.pid).stdout
        assert "127.0.0.1:%d, ESTABLISHED, nothing received" % target.truth["port"] in text


def test_library_that_burns_cpu(interpreter):
    with Target(interpreter, "states.py", "json") as target:
        settle()
        loop = dump_on_a_cpu(target.pid)["loops"][0]
        assert loop["verdict"] == "STALLED" and loop["kind"] == "cpu.json"
        assert loop["who"]["function"] == "main_json" and loop["what"]["library"] == "json"


@unless_busy
def test_late_timers(interpreter):
    with Target(interpreter, "states.py", "timers") as target:
        time.sleep(1)
        document = dump(target.pid)
        loop = document["loops"][0]
        check_culprit(loop, target.truth)
        check_held(document, loop, target.truth["started"])
        assert loop["timers"] == 101 and loop["timers_late"] == 100
        expected = document["monotonic_s"] - target.truth["started"] - 0.5
        assert abs(loop["timers_worst_late_s"] - expected) < 0.02


def test_executor_backlog(interpreter):
    with Target(interpreter, "states.py", "executor") as target:
        settle()
        loop = dump(target.pid)["loops"][0]
        assert loop["verdict"] == "HEALTHY"
        executor = {key: loop["executor"][key] for key in ("max", "threads", "queued")}
        assert executor == {key: target.truth[key] for key in executor}
        assert loop["executor"]["idle"] == 0 and "EXEC-FULL" in loop["flags"]


def test_await_chains(interpreter):
    with Target(interpreter, "states.py", "gather") as target:
        settle()
        assert all(task["complete"] for task in target.truth["tasks"])
        check_tasks(dump(target.pid), target.truth)


def test_task_subclasses(interpreter):
    with Target(interpreter, "states.py", "subclass") as target:
        settle()
        tasks = [[t["name"], t["coroutine"], stack_of(t["stack"])] for t in dump(target.pid)["tasks"]]
        expected = [[t["name"], t["coroutine"], t["stack"]] for t in target.truth["tasks"]]
        assert len(expected) == 6
        assert sorted(t for t in tasks if t[1] != "main_subclass") == sorted(expected)


@unless_busy
def test_eager_task(interpreter):
    if interpreter.minor < 12:
        pytest.skip("eager tasks are new in 3.12")
    with Target(interpreter, "states.py", "eager") as target:
        settle()
        document = dump(target.pid)
        loop, = document["loops"]
        check_culprit(loop, target.truth)
        check_running(document, target.truth)
        check_held(document, loop, target.truth["started"])


@unless_busy
def test_debug_mode(interpreter):
    with Target(interpreter, "states.py", "debug") as target:
        settle()
        document = dump(target.pid)
        check_culprit(document["loops"][0], target.truth)
        check_held(document, document["loops"][0], target.truth["started"])
        assert "DEBUG-MODE" in document["loops"][0]["flags"]


@unless_busy
def test_loop_in_another_thread(interpreter):
    with Target(interpreter, "states.py", "thread") as target:
        settle()
        document = dump(target.pid)
        loop, = document["loops"]
        check_culprit(loop, target.truth)
        assert loop["thread"] != target.pid
        thread, = [t for t in document["threads"] if t["id"] == loop["thread"]]
        assert thread["name"] == "loop-thread" and thread["loop"] == loop["id"]


@unless_busy
def test_two_loops(interpreter):
    with Target(interpreter, "states.py", "twoloops") as target:
        settle()
        document = dump(target.pid)
        verdicts = sorted(loop["verdict"] for loop in document["loops"])
        assert verdicts == ["HEALTHY", "STALLED"] and document["verdict"] == "STALLED"
        held = next(loop for loop in document["loops"] if loop["verdict"] == "STALLED")
        check_culprit(held, target.truth)
        check_held(document, held, target.truth["started"])
        check_tasks({"tasks": [t for t in document["tasks"] if t["loop"] == held["id"]]}, target.truth)
        assert len(document["tasks"]) == 53
        assert all("MULTI-LOOP" in loop["flags"] for loop in document["loops"])


def test_subinterpreter(interpreter):
    if interpreter.minor < 12:
        pytest.skip("asyncio does not run in subinterpreters before 3.12")
    with Target(interpreter, "states.py", "subinterpreter") as target:
        time.sleep(1)
        document = dump(target.pid)
        held, idle = sorted(document["loops"], key=lambda loop: loop["verdict"], reverse=True)
        assert (held["verdict"], idle["verdict"]) == ("STALLED", "HEALTHY")
        assert held["who"]["function"] == "hold" and held["tasks"]["total"] == 1
        assert held["thread"] != target.pid == idle["thread"]
        assert len({t["interpreter"] for t in document["threads"]}) == 2
        assert all(t["id"] > 0 and t["state"] for t in document["threads"])


@unless_busy
def test_subinterpreter_on_the_main_thread(interpreter):
    """One native thread in two interpreters: the loop is in the inner one, 52 tasks and all."""
    if interpreter.minor < 12:
        pytest.skip("asyncio does not run in subinterpreters before 3.12")
    with Target(interpreter, "states.py", "inner") as target:
        settle()
        document = dump(target.pid)
        loop, = document["loops"]
        check_culprit(loop, target.truth)
        check_held(document, loop, target.truth["started"])
        check_tasks(document, target.truth)
        check_running(document, target.truth)
        assert loop["thread"] == target.pid
        stacks = {t["interpreter"]: [f["function"] for f in t["frames"] if f["kind"] == "python"]
                  for t in document["threads"] if t["id"] == target.pid}
        # 0 is the main interpreter, as the target counts them
        assert set(stacks) == {0, 1} and stacks[1][0] == "hold"
        assert "run_in_subinterpreter" in stacks[0] and "hold" not in stacks[0]


def test_no_loop(interpreter):
    with Target(interpreter, "states.py", "sync") as target:
        settle()
        document = dump(target.pid)
        assert document["verdict"] == "NO-LOOP" and document["loops"] == []
        assert document["threads"][0]["frames"][0]["function"] == "main_sync"


def test_hostile_names(interpreter):
    with Target(interpreter, "states.py", "unicode") as target:
        result = run("dump", "--tasks", "all", "-v", target.pid)
        assert result.returncode == 0
        assert not [c for c in result.stdout if schema.is_control(c) and c != "\n" or c in "\u200b\u2028"]
        assert "gr\u00fc\u00dfe" in result.stdout and "\\x1b[31mred" in result.stdout
        assert "two\\nlines" in result.stdout
        document = dump(target.pid)
        assert len(document["tasks"]) == target.truth["count"]
        names = {t["name"] for t in document["tasks"]}
        assert "lone \\ud800 surrogate" in names and "\u65e5\u672c\u8a9e" in names
        assert "long " + "x" * 251 + "\u2026" in names
        task, = [t for t in document["tasks"] if t["coroutine"] == "gr\u00fc\u00df"]
        assert task["stack"][-1]["function"] == "gr\u00fc\u00df" and task["stack"][-1]["line"] == 2
        assert task["stack"][-1]["file"] == "/tmp/\\x1b[2Jev\\nil.py"


# ---- one interpreter is enough for these ----------------------------------------------------------

def test_stopped():
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        os.kill(target.pid, signal.SIGSTOP)
        time.sleep(0.1)
        try:
            assert dump(target.pid)["verdict"] == "STOPPED"
            assert run("dump", "--exit-code", target.pid).returncode == 1
        finally:
            os.kill(target.pid, signal.SIGCONT)


def columns(line):
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line)
    return len(line) + wide - sum(unicodedata.combining(c) != 0 for c in line)


@pytest.mark.parametrize("state", ["again", "blocked", "burst", "callback", "cpu", "debug", "executor", "gather",
                                   "idle", "parked", "subclass", "sync", "thread", "timers", "twoloops", "unicode"])
def test_text_of_every_state(state):
    """Whatever it looks like inside: one first line, 80 columns, nothing but printable text."""
    with Target(ORDINARY, "states.py", state) as target:
        settle()
        dump_on_a_cpu(target.pid)
        result = run("dump", target.pid)
        assert result.returncode == 0 and not result.stderr
        first, *rest = result.stdout.splitlines()
        found = re.match(r"stallscope: pid %d (%s)( |$)" % (target.pid, "|".join(schema.VERDICTS)), first)
        assert found
        if target.truth["verdict"] and found.group(1) != "STARVED":
            assert found.group(1) == target.truth["verdict"]
        assert max(map(columns, [first] + rest)) <= 80
        assert not [c for c in result.stdout if schema.is_control(c) and c != "\n"]


def test_text_first_line_and_width():
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        result = run("dump", target.pid)
        lines = result.stdout.splitlines()
        assert re.match(r"stallscope: pid %d STALLED blocked\.\S+ \d+\.\d\ds$" % target.pid, lines[0])
        assert max(map(len, lines)) <= 80
        assert "how(SECONDS)" in result.stdout and "\x1b" not in result.stdout
        assert any("hold()" in line and "states.py:%d" % target.truth["line"] in line for line in lines)
        assert "\x1b[" in run("dump", "--color", "always", target.pid).stdout
        assert run("dump", target.pid, env={"LC_ALL": "C"}).stdout.isascii()


def test_exit_code_and_several():
    with Target(ORDINARY, "states.py", "blocked") as held, Target(ORDINARY, "states.py", "idle") as idle:
        settle()
        assert run("dump", "--exit-code", held.pid).returncode == 1
        assert run("dump", "--exit-code", idle.pid).returncode == 0
        result = run("dump", "-f", "json", "--label", "host=a", held.pid, idle.pid)
        documents = [schema.parse(line) for line in result.stdout.splitlines()]
        assert [d["process"]["pid"] for d in documents] == [held.pid, idle.pid]
        assert [d["verdict"] for d in documents] == ["STALLED", "HEALTHY"]
        assert documents[0]["labels"] == {"host": "a"}


def test_one_of_several_is_gone():
    with Target(ORDINARY, "states.py", "blocked") as held:
        settle()
        result = run("dump", "-f", "json", held.pid, "99999999")
        assert result.returncode == 66
        document, = [schema.parse(line) for line in result.stdout.splitlines()]
        assert document["verdict"] == "STALLED" and "99999999" in result.stderr


def test_threshold():
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        assert dump(target.pid, "--threshold", "1h", "--for", "50ms")["verdict"] == "HEALTHY"
        assert dump(target.pid, "--threshold", "10ms")["verdict"] == "STALLED"


def test_looks_do_not_end_within_a_hold():
    """Held for 0.3 s again and again: a look that says healthy has met no hold, not the begin of one."""
    with Target(ORDINARY, "staller.py", 8, 0.3, 0.3, 0.3, 7, stdin=subprocess.PIPE) as target:
        target.process.stdin.write(b"\n")
        target.process.stdin.flush()
        words = []
        for _ in range(20):
            document = dump(target.pid, "--native", "never")
            words.append(document["verdict"])
            facts = " ".join(e["fact"] for e in document["loops"][0]["evidence"])
            worst = re.search(r"worst hold in \d+ looks over \d+ ms: ([\d.]+) ms", facts)
            assert document["verdict"] != "HEALTHY" or not worst or float(worst.group(1)) < 20, facts
        assert "STALLED" in words, words


def test_default_dump_of_a_stall_is_quick():
    """Not a benchmark: a stall that is certain must not use up the 200 ms."""
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        assert dump(target.pid)["tool"]["window_s"] < 0.15
