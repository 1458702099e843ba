# SPDX-License-Identifier: Apache-2.0
"""What tasks wait on, who awaits them, who will wake them, on every interpreter."""
import re

import pytest

from conftest import INTERPRETERS, ORDINARY, Target, dump, run, settle
from test_core import without_own


def by_name(document):
    return {task["name"]: task for task in document["tasks"]}


def resources_of(document):
    return {resource["id"]: resource for resource in document["loops"][0]["resources"]}


def consistent(document):
    assert document["tool"]["consistency"] == "consistent", document["problems"]
    assert not any(task["torn"] for task in document["tasks"])


def test_resources(interpreter):
    with Target(interpreter, "waits.py", "resources") as target:
        truth = target.truth
        settle()
        document = dump(target.pid)
        tasks, resources = by_name(document), resources_of(document)
        consistent(document)
        for name, (what, resource, waker) in truth["waits"].items():
            waits = tasks[name]["waits_on"]
            assert (waits["resource"], waits["waker"]) == (resource, waker), name
            assert waits["what"] == what
            assert [f for f in tasks[name]["stack"] if f["qualname"] == what], "qualified names"
        lock, semaphore = resources[truth["lock"]], resources[truth["semaphore"]]
        assert lock["type"] == "Lock" and lock["locked"] is True and lock["waiters"] == 3
        assert lock["likely_holders"] == [tasks["lock-holder"]["id"]]
        assert semaphore["type"] == "BoundedSemaphore" and semaphore["value"] == 0 and semaphore["waiters"] == 3
        assert sorted(semaphore["likely_holders"]) == sorted(tasks["semaphore-holder-%d" % i]["id"] for i in range(2))
        full, empty = resources[truth["full"]], resources[truth["empty"]]
        assert (full["type"], full["size"], full["maxsize"], full["waiters"]) == ("Queue", 2, 2, 3)
        assert (empty["size"], empty["maxsize"], empty["waiters"], empty["locked"]) == (0, 0, 3, None)
        assert not any(resource["lost_wakeup"] for resource in resources.values())
        assert document["loops"][0]["tasks"]["orphans"] == 0


def test_lost_wakeup(interpreter):
    with Target(interpreter, "waits.py", "lost") as target:
        settle()
        document = dump(target.pid)
        resources = resources_of(document)
        assert resources[target.truth["lost"]]["lost_wakeup"] is True
        assert resources[target.truth["lost"]]["locked"] is False
        assert resources[target.truth["fine"]]["lost_wakeup"] is False
        assert resources[target.truth["fine"]]["likely_holders"] == []
        for name, task in by_name(document).items():
            if "-" in name and name.split("-")[0] in ("lost", "fine"):
                assert task["waits_on"]["waker"] == {"lost": "nobody", "fine": "sync"}[name.split("-")[0]]
        assert document["loops"][0]["tasks"]["orphans"] == 3


def test_wakers(interpreter):
    with Target(interpreter, "waits.py", "orphan") as target:
        settle()
        document = dump(target.pid)
        tasks = by_name(document)
        got = {name: tasks[name]["waits_on"]["waker"] for name in target.truth["wakers"]}
        wrong = {name: got[name] for name, right in target.truth["wakers"].items() if got[name] not in right}
        assert not wrong
        assert document["loops"][0]["tasks"]["orphans"] == 1
        assert tasks["execute"]["waits_on"]["kind"] == "executor"


def test_owners(interpreter):
    with Target(interpreter, "waits.py", "owners") as target:
        truth = target.truth
        settle()
        document = dump(target.pid)
        consistent(document)
        tasks = by_name(document)
        for child, parent in truth["children"].items():
            assert tasks[child]["awaited_by"] == [tasks[parent]["id"]], child
            assert tasks[child]["owner"] == ("group" if parent == "group" else "task")
        for name in truth["nobody"]:
            assert tasks[name]["awaited_by"] == [] and tasks[name]["owner"] == "nobody", name
        assert tasks[truth["main"]]["owner"] == "runner"
        assert tasks["callback"]["owner"] == "callback"
        named = set(truth["children"]) | set(truth["nobody"]) | {truth["main"], "callback"}
        others = [task for name, task in tasks.items() if name not in named]
        assert "thread" in [task["owner"] for task in others]
        # wait_for, before it awaits inline, and as_completed make no tasks of their own here
        unowned = sum(task["owner"] == "nobody" for task in document["tasks"])
        assert document["loops"][0]["tasks"]["unowned"] == unowned == len(truth["nobody"])


def test_ready(interpreter):
    with Target(interpreter, "waits.py", "ready") as target:
        truth = target.truth
        settle()
        document = dump(target.pid)
        loop = document["loops"][0]
        ready, total = loop["ready_sample"], loop["ready"]
        assert total >= truth["quick"] + truth["giving_way"] + truth["retry"] + truth["threadsafe"]
        assert total / 2 <= ready["sampled"] <= 512
        scale = total / ready["sampled"]
        names = {top["name"]: top["count"] * scale for top in ready["top"]}
        assert ready["top"][0]["name"] == "quick"
        for name, count in (("quick", truth["quick"]), ("giving_way", truth["giving_way"]),
                            ("retry_fetch", truth["retry"])):
            assert names[name] == pytest.approx(count, abs=2 * scale), name
        assert ready["threadsafe_callbacks"] * scale == pytest.approx(truth["threadsafe"], abs=2 * scale)
        assert ready["sleep0"] * scale == pytest.approx(truth["giving_way"] + truth["retry"], abs=2 * scale)
        assert ready["under_retry"] * scale == pytest.approx(truth["retry"], abs=2 * scale)
        assert loop["tasks"]["under_retry"] == truth["retry"]
        assert loop["timers_cancelled"] == truth["cancelled"]
        assert loop["timers_late"] == 100 and loop["timers_worst_callback"] == "late_callback"
        assert loop["timers_worst_late_s"] > 0.1


def test_executor(interpreter):
    with Target(interpreter, "waits.py", "executor") as target:
        settle()
        document = dump(target.pid)
        tasks = by_name(document)
        for name in target.truth["jobs"]:
            assert tasks[name]["waits_on"]["kind"] == "executor", name
            assert tasks[name]["waits_on"]["waker"] == "executor"
        assert "EXEC-FULL" in document["loops"][0]["flags"]


def test_growth(interpreter, tmp_path):
    core = tmp_path / "look.core"
    with Target(interpreter, "waits.py", "growth") as target:
        settle()
        for _ in range(10):
            document = dump(target.pid, "--for", "1s", "--save", core)
            if document["tool"]["window_s"] > 0.9:  # it ends early when it is certain, of a busy machine
                break
    tasks = document["loops"][0]["tasks"]
    assert tasks["growth_per_s"] == pytest.approx(target.truth["growth"], rel=0.3)
    if interpreter.minor < 12:
        assert tasks["created_per_s"] is None  # a static variable of a module
    else:
        assert tasks["created_per_s"] == pytest.approx(target.truth["created"], rel=0.3)
    recorded = dump(core)["loops"][0]["tasks"]
    assert (recorded["growth_per_s"], recorded["created_per_s"]) == (tasks["growth_per_s"], tasks["created_per_s"])


@pytest.mark.parametrize("state,kind,threads", [
    ("own", "own-future", 1), ("own-later", "own-future", 1), ("own-timeout", "own-future", 1),
    ("threads", "threads", 2), ("worker", "threads", 2), ("join", "threads", 2)])
def test_deadlock(interpreter, state, kind, threads):
    with Target(interpreter, "waits.py", state) as target:
        settle()
        document = dump(target.pid)
        loops = {loop["id"]: loop for loop in document["loops"]}
        assert len(loops) == (2 if state == "threads" else 1)
        for loop in document["loops"]:
            deadlock = loop["deadlock"]
            assert deadlock["kind"] == kind and deadlock["pool"] is None
            assert deadlock["forever"] == (state != "own-timeout")
            waits = deadlock["waits"]
            assert len(waits) == threads and waits[0]["thread"] == loop["thread"]
            # a ring
            assert [w["for"] for w in waits] == [w["thread"] for w in waits[1:] + waits[:1]]
            assert waits[-1]["loop"] == loop["id"] and all(w["proof"] for w in waits)
            assert bool(deadlock["future"]) == (state != "join")
        waiting = {t["id"]: t["waits_for_loop"] for t in document["threads"] if t["waits_for_loop"]}
        assert set(waiting.values()) == set(loops)
        if threads == 1:
            assert waiting == {document["loops"][0]["thread"]: document["loops"][0]["id"]}
        # a second look says the same
        again = dump(target.pid, "--for", "0")
        assert [loop["deadlock"]["kind"] for loop in again["loops"]] == [kind] * len(loops)


def test_deadlock_beside_tasks_that_move():
    """Tasks are put in order after they were read: the proof still is of the right one."""
    with Target(ORDINARY, "waits.py", "own-beside") as target:
        settle()
        for _ in range(4):
            document = dump(target.pid, "--for", "0")
            deadlocks = [loop["deadlock"] for loop in document["loops"] if loop["deadlock"]]
            assert [d["kind"] for d in deadlocks] == ["own-future"]
            assert deadlocks[0]["waits"][0]["proof"].startswith("task chained of that loop ")


def test_no_deadlock(interpreter):
    """A wait that others end."""
    with Target(interpreter, "waits.py", "helped") as target:
        settle()
        document = dump(target.pid)
        assert document["loops"][0]["deadlock"] is None
        assert [t["waits_for_loop"] for t in document["threads"] if t["waits_for_loop"]] == \
            [document["loops"][0]["id"]]


@pytest.mark.parametrize("state,verdict", [("locked", "DEADLOCK"), ("locked-timeout", "STALLED")])
def test_lock_whose_holder_waits_for_the_loop(interpreter, state, verdict):
    """Only one that waits without a timeout keeps it for good."""
    with Target(interpreter, "waits.py", state) as target:
        settle()
        assert dump(target.pid)["verdict"] == verdict


@pytest.mark.parametrize("state,verdict", [("own-clock", "HEALTHY"), ("own-clock-stalled", "STALLED")])
def test_loop_with_a_clock_of_its_own(interpreter, state, verdict, tmp_path):
    """Its times are not the kernel's: nothing is late by them, and a hold lasts as long as the looks."""
    core = tmp_path / "look.core"
    with Target(interpreter, "waits.py", state) as target:
        settle()
        document = dump(target.pid, "--save", core)
        assert document["verdict"] == verdict
        assert document["loops"][0]["timers_late"] is None and document["loops"][0]["timers_worst_late_s"] in (0, None)
        assert any("clock of its own" in problem["what"] for problem in document["problems"])
        if verdict == "STALLED":
            assert document["loops"][0]["held_bound"] == "lower"
            assert 0.1 <= document["loops"][0]["held_s"] < 1
            assert " UNSURE" in run("dump", "--for", "0", target.pid).stdout
    assert dump(core)["verdict"] == verdict


@pytest.mark.parametrize("state,kind,holders", [
    ("pool", "pool", 3), ("pool-wait", "pool-wait", 2), ("pool-sessions", "pool", 3),
    ("pool-closed", "pool-wait", 0), ("pool-idle", "pool-wait", 0)])
def test_pool(state, kind, holders):
    """Whose connections are out: one that was given back, and a session without one, are nobody's."""
    pytest.importorskip("sqlalchemy")
    with Target(ORDINARY, "waits.py", state) as target:
        settle()
        deadlock = dump(target.pid)["loops"][0]["deadlock"]
        assert deadlock["kind"] == kind
        pool = deadlock["pool"]
        assert (pool["checked_out"], pool["limit"]) == (target.truth["checked_out"], target.truth["limit"])
        assert pool["holders"] == holders


@pytest.mark.parametrize("state", ["resources", "lost", "orphan", "owners", "ready", "executor", "own", "threads"])
def test_saved_look_is_the_live_look(interpreter, state, tmp_path):
    core = tmp_path / "look.core"
    with Target(interpreter, "waits.py", state) as target:
        settle()
        live = dump(target.pid, "--save", core)
    assert without_own(dump(core)) == without_own(live)


# ---- asyncio locks --------------------------------------------------------------------------------

def ring_of(interpreter, state):
    """The loop's verdict, when its turns leave time for a look; the names in the evidence."""
    with Target(interpreter, "rings.py", state) as target:
        loop = dump(target.pid)["loops"][0]
        for _ in range(20):  # a look that meets a turn proves nothing
            if loop["kind"] == "wait.deadlock":
                break
            loop = dump(target.pid)["loops"][0]
        text = run("dump", target.pid).stdout
    return loop, " ".join(e["fact"] for e in loop["evidence"]), text


def check_lock_ring(interpreter, state, names):
    loop, facts, text = ring_of(interpreter, state)
    assert (loop["verdict"], loop["kind"], loop["confidence"]) == ("WAITING", "wait.deadlock", "high")
    assert all("ring-%d is inside of async with of the Lock at " % i in facts for i in range(names))
    holders = [r["holder"] for r in loop["resources"] if r["type"] == "Lock"]
    assert len(set(holders)) == names and None not in holders
    assert re.search(r"ring-0, \S+ \S+rings\.py:\d+,\s+waits\s+for\s+ring-%d" % (1 % names), text)


def test_lock_ring(interpreter):
    """Tasks that never go on although the loop does: seen inside of `async with`, so it is said."""
    check_lock_ring(interpreter, "two", 2)


@pytest.mark.parametrize("which", [ORDINARY, INTERPRETERS[-1]], ids=["ordinary", "newest"])
@pytest.mark.parametrize("state, names", [("three", 3), ("self", 1)])
def test_other_lock_rings(which, state, names):
    check_lock_ring(which, state, names)


@pytest.mark.parametrize("state, note", [("timeout", False), ("timeout-above", False), ("by-hand", False), ("chain", False),
                                         ("known", True)])
def test_no_lock_ring(state, note):
    """A timeout ends it; who has a lock that was taken by hand, or only knows one, is not known."""
    with Target(ORDINARY, "rings.py", state) as target:
        for _ in range(3):
            loop = dump(target.pid)["loops"][0]
            assert loop["verdict"] == "HEALTHY"
            assert any("locks that each other likely has" in e["fact"] for e in loop["evidence"]) == note
            assert all(r["holder"] is None for r in loop["resources"]) or state not in ("by-hand", "known")


def test_more_loops_than_are_shown():
    """A thread whose loop is left out has none, and not that of another thread."""
    with Target(ORDINARY, "many.py", 1030) as target:
        document = dump(target.pid, "--for", "0")
    loops = [thread["loop"] for thread in document["threads"] if thread["loop"]]
    assert len(document["loops"]) == len(loops) == len(set(loops)) == 1024
    assert [p["count"] for p in document["problems"] if p["where"] == "loops"] == [6]
