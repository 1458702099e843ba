# SPDX-License-Identifier: Apache-2.0
"""For how long tasks have waited, against targets that know it; groups and the filter of tasks."""
import pytest

from conftest import ORDINARY, Target, dump, run, settle
from test_core import without_own

EXACT = 0.005


def ages(document, truth):
    """{name: (age, is it a bound, true age)} of the tasks that told when they began."""
    now, found = document["monotonic_s"], {}
    for task in document["tasks"]:
        if task["name"] in truth["began"]:
            true = now - truth["began"][task["name"]]
            if task["age_s"] is not None:
                if task["age_is_lower_bound"]:
                    assert task["age_s"] <= true + 1e-4, (task["name"], task["age_s"], true)
                else:
                    least = now - truth["latest"].get(task["name"], truth["began"][task["name"]])
                    assert least - EXACT < task["age_s"] < true + EXACT, (task["name"], task["age_s"], least, true)
            found[task["name"]] = task["age_s"], task["age_is_lower_bound"], true
    return found


def check_groups(document):
    loop, = document["loops"]
    assert sum(group["count"] for group in loop["groups"]) == loop["tasks"]["total"]
    for group in loop["groups"]:
        alike = [task for task in document["tasks"] if [f["line"] for f in task["stack"]]
                 == [f["line"] for f in group_stack(document, group)] and task["state"] == group["state"]]
        known = [task["age_s"] for task in alike if task["age_s"] is not None]
        assert group["count"] == len(alike)
        assert group["oldest_s"] == (max(known) if known else None)
        assert group["oldest_is_lower_bound"] == any(task["age_is_lower_bound"] for task in alike)


def group_stack(document, group):
    return next(task["stack"] for task in document["tasks"] if task["coroutine"] == group["coroutine"]
                and [f["qualname"] for f in reversed(task["stack"])] == group["via"]
                and group["where"] in [{k: f[k] for k in group["where"]} for f in task["stack"]])


def number(name):
    return int(name[5:]) if name.startswith("Task-") else -1


def known(found, word=""):
    return {name for name, (age, _, _) in found.items() if age is not None and word in name}


def test_held(interpreter):
    with Target(interpreter, "ages.py", "held") as target:
        settle()
        document = dump(target.pid)
        held, found = document["loops"][0]["held_s"], ages(document, target.truth)
        check_groups(document)
        sleeping = {name for name, (age, lower, _) in found.items() if age is not None and not lower}
        assert len(sleeping) == 4
        assert all(age == held for age, lower, _ in found.values() if lower and age is not None)
        if interpreter.minor < 12:
            assert known(found) == set(found)
        else:  # two began inside the callback: only what is older than a sleep is known to be older than it
            newest = max(number(name) for name in sleeping)
            assert newest > 5 and found["eager"][0] is None
            assert known(found) == sleeping | {name for name in found if 0 <= number(name) <= newest}


@pytest.mark.parametrize("state", ["second", "second-debug"])
def test_not_the_first(interpreter, state):
    """The callbacks before have begun waits: only debug mode knows when this one began."""
    with Target(interpreter, "ages.py", state) as target:
        settle()
        found = ages(dump(target.pid), target.truth)
        bounds = {name for name in known(found) if found[name][1]}
        assert len(known(found)) >= 4 and bool(bounds) == (state == "second-debug")


def test_idle(interpreter):
    with Target(interpreter, "ages.py", "idle") as target:
        settle()
        document = dump(target.pid)
        found = ages(document, target.truth)
        assert known(found) == set(found), "all of them"
        assert all(age >= 0.2 for age, _, _ in found.values())
        check_groups(document)


def test_turning(interpreter):
    """Only of sleeps, whatever the moment."""
    with Target(interpreter, "ages.py", "turning") as target:
        for _ in range(5):
            document = dump(target.pid, "--for", "60ms")
            began = {k: v for k, v in target.truth["began"].items() if not k.startswith("reader")}
            found = ages(document, {"began": began, "latest": target.truth["latest"]})
            assert len([n for n in known(found) if not found[n][1]]) == 4
            # a bound is given where it was caught asleep all the time: never more than one sleep of it
            assert all(age < 0.05 for age, lower, _ in found.values() if lower and age is not None)
            for task in document["tasks"]:
                if task["name"].startswith("reader"):
                    assert task["age_s"] is None or task["age_s"] < 0.05


def test_recording(tmp_path):
    """What was known is known of the recording."""
    core = tmp_path / "held.core"
    with Target(ORDINARY, "ages.py", "idle") as target:
        settle()
        live = dump(target.pid, "--save", core)
        assert without_own(dump(core)) == without_own(live)
        assert known(ages(live, target.truth))


def test_filter():
    with Target(ORDINARY, "ages.py", "held") as target:
        settle()
        everything = dump(target.pid)
        named = dump(target.pid, "--filter", "name=^named", "--filter", "waits=sleep")
        assert everything["filter"] is None
        assert named["filter"] == {"shown": 2, "of": len(everything["tasks"]), "terms": ["name=^named", "waits=sleep"]}
        assert {task["name"].split()[1] for task in named["tasks"]} == {"sleeper"}
        assert named["verdict"] == "STALLED"
        assert named["loops"][0]["tasks"]["total"] == len(everything["tasks"])
        assert sum(group["count"] for group in named["loops"][0]["groups"]) == 2
        assert dump(target.pid, "--filter", "state=running")["loops"][0]["groups"][0]["coroutine"] == "held"
        for how in "groups", "all", "tree":
            text = run("--tasks", how, "--filter", "place=ages.py:[0-9]+$", "--filter", "coroutine=gather", target.pid).stdout
            assert "2 of %d tasks match place=ages.py:[0-9]+$ and coroutine=gather" % len(everything["tasks"]) in text
            assert "gather" in text and "sleeper" not in text and "STALLED" in text
        nothing = run("--filter", "name=^$", target.pid).stdout
        assert "0 of %d tasks match" % len(everything["tasks"]) in nothing
        for wrong in "name", "task=x", "name=(", "state=done":
            result = run("--filter", wrong, target.pid)
            assert result.returncode == 2 and not result.stdout and "--filter" in result.stderr
