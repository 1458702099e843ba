# SPDX-License-Identifier: Apache-2.0
"""diff: what got worse comes first, noise is no change, and the exit status says which it is."""
import json
import subprocess

import pytest

import recordings as rec
import schema
from conftest import ORDINARY, PROGRAM, Target, run


def diff(*args):
    """Its exit status and its changes."""
    result = run("diff", "-f", "json", *args)
    assert result.returncode in (0, 1), result.stderr
    document = json.loads(result.stdout)
    schema.DIFF.validate(document)
    assert document["worse"] == (result.returncode == 1)
    return result.returncode, document["changes"]


def recording(path, lag=0.001, price=0.2, render=0.2, tasks=3, groups=(), more=()):
    lines = [rec.hello()] + [rec.light(i * 0.1, lag=lag, tasks=tasks + int(i * tasks / 100)) for i in range(100)]
    lines += [rec.stall(1 + i, price) for i in range(3) if price]
    lines += [rec.stall(5 + i, render, "render", fingerprint="00000000000000bb", kind="cpu.json") for i in range(3)]
    lines += [{**rec.snapshot(9.9, groups=groups, tasks={"total": 2 * tasks}), "type": "snapshot"}] if groups else []
    return rec.write(path, *lines, *more, rec.bye(10))


def changes(rows, of, sense=None):
    return [row for row in rows if row["of"] == of and sense in (None, row["sense"])]


def test_same(tmp_path):
    before = recording(tmp_path / "a")
    assert diff(before, before)[0] == 0
    status, rows = diff(before, recording(tmp_path / "b", price=0.21, render=0.19, lag=0.0012))
    assert status == 0 and all(row["sense"] == "same" for row in rows)
    assert run("diff", before, before).stdout.startswith("stallscope: diff same or better\n")


def test_worse_holder_is_first(tmp_path):
    before, after = recording(tmp_path / "a"), recording(tmp_path / "b", price=0.8, render=0.1)
    status, rows = diff(before, after)
    assert status == 1
    assert rows[0]["of"] == "holder" and rows[0]["sense"] == "worse" and rows[0]["what"].startswith("price ")
    assert rows[0]["before_value"] == pytest.approx(0.6 / 9.9) and rows[0]["after_value"] == pytest.approx(2.4 / 9.9)
    better, = [row for row in rows if row["sense"] == "better"]
    assert better["what"].startswith("render ")
    text = run("diff", before, after).stdout
    assert text.startswith("stallscope: diff WORSE: price srv/app.py:10, blocked.sleep: time.sleep: 24.2 % of the time")
    status, rows = diff(after, before)
    assert status == 1 and rows[0]["what"].startswith("render ")  # the other way round


def test_new_and_gone(tmp_path):
    before, after = recording(tmp_path / "a", price=0), recording(tmp_path / "b")
    status, rows = diff(before, after)
    assert status == 1 and rows[0]["what"].startswith("price ") and rows[0]["before"] == "-"
    status, rows = diff(after, before)
    assert status == 0 and rows[0]["sense"] == "better" and rows[0]["after"] == "-"


def test_lag_growth_places(tmp_path):
    before = recording(tmp_path / "a", groups=[rec.group(5), rec.group(100, "write", 7, "Lock.acquire")])
    after = recording(tmp_path / "b", lag=0.08, tasks=1000, groups=[rec.group(500, line=6), rec.group(1, "new", 9, "x")])
    rows = diff(before, after)[1]
    assert {row["what"] for row in changes(rows, "lag", "worse")} == {"lag p50", "lag p90", "lag p99"}
    assert changes(rows, "growth", "worse")[0]["what"] == "tasks more each second"
    places = {row["what"].split(" in ")[0]: (row["sense"], row["before_value"], row["after_value"])
              for row in changes(rows, "place")}
    assert places == {"Queue.get": ("worse", 5, 500), "Lock.acquire": ("better", 100, 0), "x": ("same", 0, 1)}


def test_looks(tmp_path):
    """One look each: the verdict is compared."""
    healthy = rec.write(tmp_path / "a", rec.snapshot(0))
    stalled = rec.write(tmp_path / "b", rec.snapshot(
        1, verdict="STALLED", kind="blocked.sleep", held_s=2.0, lag_s=2.0,
        who={"qualname": "price", "file": "/srv/app.py", "line": 3}, what={"library": "time", "rule": "x"}))
    status, rows = diff(healthy, stalled)
    assert status == 1 and rows[0]["of"] == "holder" and rows[0]["after"] == "held 2.00 s"
    verdict, = changes(rows, "verdict")
    assert (verdict["sense"], verdict["before"], verdict["after"]) == ("worse", "HEALTHY", "STALLED blocked.sleep")
    assert diff(stalled, healthy)[0] == 0


def test_what_runs(tmp_path):
    before = rec.write(tmp_path / "a", rec.hello(), rec.light(0), rec.light(10), rec.stall(1, 0.2), rec.bye(10))
    edited = rec.stall(1, 0.2, stack=["price", "main"])
    edited["who"]["source_newer"] = True
    edited["stack"][0]["file"] = "/srv/new.py"
    edited["process"] = {**edited["process"], "command": ["python3", "other.py"]}
    hello = {**rec.hello(), "process": {**rec.process(42), "python": {"version": "3.13.0"}}}
    status, rows = diff(before, rec.write(tmp_path / "b", hello, rec.light(0), rec.light(10), edited, rec.bye(10)))
    assert status == 0
    assert {(row["of"], row["what"], row["before"], row["after"]) for row in rows if row["before_value"] is None
            and row["of"] not in ("verdict", "growth")} >= {
        ("python", "Python", "3.12.1", "3.13.0"), ("file", "not seen before", "-", "srv/new.py"),
        ("file", "changed since the process began", "-", "srv/app.py")}


def test_process_and_core(tmp_path):
    with Target(ORDINARY, "states.py", "blocked") as target:
        assert run("dump", "--save", tmp_path / "c.core", target.pid).returncode == 0
        healthy = rec.write(tmp_path / "a", rec.snapshot(0))
        for after in (target.pid, tmp_path / "c.core"):
            status, rows = diff(healthy, after)
            assert status == 1 and rows[0]["of"] == "holder"
            assert changes(rows, "python")[0]["after"] == ORDINARY.version or ORDINARY.version in changes(rows, "python")[0]["after"]


def test_a_handler_made_worse(tmp_path):
    """The same service before and after one of its handlers was made worse, as recorded."""
    for name, seconds in (("before", 0.12), ("after", 0.5)):
        with Target(ORDINARY, "overtime.py", "price", seconds, "render", 0.2, "price", seconds) as target:
            subprocess.run([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / name), "--interval", "40ms",
                            "--for", "3s"], check=True, timeout=20)
    status, rows = diff(tmp_path / "before", tmp_path / "after")
    assert status == 1 and rows[0]["of"] == "holder" and rows[0]["what"].startswith("price ")


def test_bad_input(tmp_path):
    good = recording(tmp_path / "a")
    assert run("diff", good).returncode == 2
    assert run("diff", good, good, good).returncode == 2
    assert run("diff", good, tmp_path / "none").returncode == 66
    assert run("diff", good, 999999999).returncode == 66
    assert run("diff", good, rec.write(tmp_path / "f", "foreign")).returncode == 69
    assert run("diff", "-f", "html", good, good).returncode == 2
    assert run("diff", "-f", "md", good, good).stdout.startswith("# stallscope diff\n")
