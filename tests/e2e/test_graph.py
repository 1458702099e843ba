# SPDX-License-Identifier: Apache-2.0
"""The whole await graph against the target's own view of it: a zoo with each construct of asyncio."""
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import INTERPRETERS, Target, dump, run, settle
from test_core import without_own

DEBIAN = [i for i in INTERPRETERS if i.name == "debian"]


def check_zoo(document, truth):
    """Every task, with all that was told of it. All that is wrong at once."""
    tasks = {task["id"]: task for task in document["tasks"]}
    rows, wrong = truth["rows"], []
    names = {row["id"]: name for name, row in rows.items()}
    resources = {resource["id"]: resource for resource in document["loops"][0]["resources"]}

    def compare(name, what, got, right):
        if got != right:
            wrong.append("%s: %s is %r, not %r" % (name, what, got, right))

    compare("all tasks", "without", {names.get(i, i) for i in set(truth["listed"]) - set(tasks)}, set())
    for name, row in rows.items():
        task = tasks.get(row["id"])
        if not task:
            wrong.append(name + " is missing")
            continue
        waits = task["waits_on"] or {}
        compare(name, "name", task["name"], name)
        compare(name, "kind", waits.get("kind"), row["on"])
        compare(name, "what", waits.get("what"), row["what"])
        compare(name, "resource", waits.get("resource"), row["resource"])
        compare(name, "state", task["state"], row.get("state", "pending"))
        compare(name, "stack", [frame["function"] for frame in task["stack"]][::-1], row["stack"])
        compare(name, "coroutine", task["coroutine"].rpartition(".")[2], row["coroutine"].rpartition(".")[2])
        if row["waiter"]:
            compare(name, "id", waits.get("id"), row["waiter"])
        awaiters = sorted(names.get(i, i) for i in task["awaited_by"])
        compare(name, "awaited_by_cut", task["awaited_by_cut"], row.get("cut", False))
        if row.get("cut"):
            compare(name, "some awaited_by", (len(set(awaiters)), set(awaiters) <= set(row["by"])), (16, True))
        else:
            compare(name, "awaited_by", awaiters, row["by"])
        if row["books"] is not None and not row.get("cut"):  # what this Python says itself
            compare(name, "books without", sorted(set(row["books"]) - set(awaiters)), [])
        for key in ("owner", "callbacks"):
            if key in row:
                compare(name, key, (task if key == "owner" else waits).get(key), row[key])
        if "waker" in row:
            compare(name, "waker", waits.get("waker"), row["waker"])
        elif waits.get("waker") == "nobody":
            wrong.append(name + " is called an orphan")
        for key, given in (("left_s", row.get("left")), ("timeout_left_s", row.get("timeout"))):
            seconds = truth["seconds"] if given is True else given
            if given and not (waits.get(key) and seconds - 20 < waits[key] <= seconds):
                wrong.append("%s: %s is %r, not about %r" % (name, key, waits.get(key), seconds))
            if not given:
                compare(name, key, waits.get(key), None)
        if "waiters" in row:
            compare(name, "waiters", resources[row["resource"]]["waiters"], row["waiters"])
            holders = sorted(names[i] for i in resources[row["resource"]]["likely_holders"])
            compare(name, "holders", holders, row.get("holders", []))
    assert not wrong, "\n".join(wrong)


def tree_of(text):
    """(parent or None, name, rest of the line) of each line of the tree."""
    lines = text.rstrip("\n").split("\n")
    above, found = [], []
    for line in lines[len(lines) - lines[::-1].index(""):]:
        depth, columns = divmod(len(line) - len(line.lstrip(" ")) - 1, 2)
        number = re.match(r" *\((\d+)\) ", line)  # below the last level that is indented
        depth = int(number[1]) if number else depth
        assert not columns and depth <= len(above) and len(line) <= 80, line
        name, _, rest = (line[number.end():] if number else line).strip().partition("  ")
        above = above[:depth] + [name]
        found.append((above[-2] if depth else None, name, rest))
    return found


def check_tree(text, truth):
    """Each task under all who await it, in full once; what nobody awaits and what nothing wakes is said."""
    lines, rows = tree_of(text), truth["rows"]
    named = [(parent, name) for parent, name, _ in lines if name in rows]
    right = {(parent, name) for name, row in rows.items() for parent in row["by"]}
    right |= {(None, name) for name, row in rows.items() if not row["by"]}
    assert len(set(named)) == len(named)
    tops = set(named) - right
    # a ring has no top: one of each stands there
    assert {name.partition(".")[0] for _, name in tops} <= {"ring"} and len(tops) <= 1
    assert right <= set(named)
    again = [name for _, name, rest in lines if rest in ("(shown above)", "(a ring: it is awaited from here)")]
    full = [name for _, name, rest in lines if not rest.startswith("(") and name in rows]
    assert sorted(full) == sorted(rows)
    assert len(named) == len(full) + len([name for name in again if name in rows])
    rings = [rest for _, name, rest in lines if name in ("ring.1", "ring.2", "ring.3") and rest.startswith("(")]
    assert rings == ["(a ring: it is awaited from here)"]
    for _, name, rest in lines:
        if name in rows and not rest.startswith("("):
            row = rows[name]
            unowned = not row["by"] and row.get("owner", "nobody") == "nobody"
            assert (" UNOWNED " in "  " + rest) == unowned, (name, rest)
            assert (" ORPHAN " in "  " + rest) == (row.get("waker") == "nobody"), (name, rest)


@pytest.mark.parametrize("mode", ["asyncio", "python"])
def test_zoo(interpreter, mode, tmp_path):
    core = tmp_path / "look.core"
    with Target(interpreter, "zoo.py", mode) as target:
        settle()
        document = dump(target.pid, "--save", core)
        check_zoo(document, target.truth)
        check_tree(run("dump", "--tasks", "tree", target.pid).stdout, target.truth)
    assert without_own(dump(core)) == without_own(document)


@pytest.mark.parametrize("python", DEBIAN, ids=lambda i: i.id)
def test_zoo_of_uvloop(python):
    if subprocess.run(python.command + ["-c", "import uvloop"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no uvloop here")
    with Target(python, "zoo.py", "uvloop") as target:
        settle()
        check_zoo(dump(target.pid), target.truth)


CYTHON = """# cython: language_level=3
async def inner(awaitable):
    return await awaitable


async def outer(awaitable):
    return await inner(awaitable)
"""


@pytest.mark.parametrize("python", DEBIAN, ids=lambda i: i.id)
def test_zoo_of_cython(python, tmp_path):
    """Coroutines that Cython compiled have no frame, but names, a file, and what they await."""
    cython, include = shutil.which("cython3"), pathlib.Path("/usr/include/python" + python.version)
    if not cython or not (include / "Python.h").exists():
        pytest.skip("cython3 or the headers of Python %s are not installed" % python.version)
    (tmp_path / "compiled.pyx").write_text(CYTHON)
    subprocess.run([cython, "compiled.pyx"], cwd=tmp_path, check=True)
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-I%s" % include, "compiled.c", "-o", "compiled.so"],
                   cwd=tmp_path, check=True)
    with Target(python, "zoo.py", "cython", tmp_path) as target:
        settle()
        document = dump(target.pid)
        check_zoo(document, target.truth)
    task, = [task for task in document["tasks"] if task["name"] == "cython"]
    assert [(f["file"], f["line"], f["own"]) for f in task["stack"][1:]] == [("compiled.pyx", None, True)] * 2


@pytest.mark.parametrize("python", DEBIAN, ids=lambda i: i.id)
def test_libraries(python):
    """What the catalogue says of waits in libraries, for each task, for its group, and in the tree."""
    with Target(python, "pools.py") as target:
        truth = target.truth
        if not truth["waits"]:
            pytest.skip("none is installed: " + "; ".join(truth["missing"]))
        settle()
        document = dump(target.pid)
        tree = run("dump", "--tasks", "tree", target.pid).stdout
    tasks = {task["name"]: task for task in document["tasks"]}
    titles = [group["title"] for group in document["loops"][0]["groups"]]
    for name, (library, title, limited) in truth["waits"].items():
        waits = tasks[name]["waits_on"]
        assert (waits["library"], waits["title"]) == (library, title), name
        assert waits["rule"].startswith("await %s." % library)
        assert title in titles
        assert re.search(r"^ %s  .*%s" % (re.escape(name), re.escape(title[:20])), tree, re.M), name
        left = waits["timeout_left_s"]
        assert truth["seconds"] - 30 < left <= truth["seconds"] if limited else left is None, name
    if truth["missing"]:
        pytest.skip("not installed: " + "; ".join(truth["missing"]))
