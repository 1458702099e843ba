# SPDX-License-Identifier: Apache-2.0
"""diff: what got worse comes first, noise is no change, and the exit status says which it is."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

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


# ---- what it is made of ------------------------------------------------------------------------


def library(path, build_id="aa", modified="2026-01-01T00:00:00.000Z", size=100, deleted=False):
    return {"path": path, "build_id": build_id, "modified": modified, "bytes": size, "deleted": deleted}


def file(path, content=None, modified=-60.0, size=100, newer=False, own=True):
    return {"path": path, "own": own, "modified": rec.stamp(modified), "bytes": size, "content": content, "newer": newer}


def made_of(path, libraries=(), files=(), imports=(), total=None, command="app.py", held=0.2, at=0):
    """A look at a process of which that is told; None: it is not."""
    parts = {"libraries": libraries, "files": files, "imports": imports}
    look = rec.snapshot(at, verdict="STALLED", kind="blocked.sleep", held_s=held, lag_s=held,
                        who={"qualname": "price", "file": "/srv/app.py", "line": 3},
                        what={"library": "requests", "rule": "x"})
    look["process"].update(command=[command], started=rec.stamp(at - 10), modules={
        key: None if part is None else {"total": total or len(part),
                                        "list": dict(part) if key == "imports" else list(part)}
        for key, part in parts.items()})
    return rec.write(path, look)


def fates(rows):
    return [(row["fate"], row["of"], row["what"]) for row in rows if row["fate"]]


def fates_of(tmp_path, before, after):
    """Both ways: what is new the one way is gone the other."""
    a, b = made_of(tmp_path / "a", **before), made_of(tmp_path / "b", at=100, **after)
    return sorted(fates(diff(a, b)[1])), sorted(fates(diff(b, a)[1]))


def test_libraries(tmp_path):
    before = [library("/usr/lib/libssl.so.1.1", "11"), library("/usr/lib/libz.so.1", "22"), library("/usr/lib/old.so"),
              library("/opt/1/x.so", "44"), library("/opt/n.so", None, size=1), library("/usr/lib/d.so", "55")]
    after = [library("/usr/lib/libssl.so.3", "33"), library("/usr/lib/libz.so.1", "22", "2026-02-02T00:00:00.000Z"),
             library("/usr/lib/new.so"), library("/opt/2/x.so", "44"), library("/opt/n.so", None, size=2),
             library("/usr/lib/d.so", "55", None, None, True)]
    there, back = fates_of(tmp_path, {"libraries": before}, {"libraries": after})
    assert there == [("changed", "library", "lib/libssl.so.3"), ("changed", "library", "opt/n.so"),
                     ("gone", "library", "lib/old.so"), ("new", "library", "lib/new.so"),
                     ("stale", "library", "lib/d.so")]
    assert back == [("changed", "library", "lib/libssl.so.1.1"), ("changed", "library", "opt/n.so"),
                    ("gone", "library", "lib/new.so"), ("new", "library", "lib/old.so")]
    ssl, = [row for row in diff(tmp_path / "a", tmp_path / "b")[1] if "libssl" in row["what"]]
    assert ssl["before"].startswith("libssl.so.1.1, id 11, ") and ssl["path"] == "/usr/lib/libssl.so.3"
    assert not fates_of(tmp_path, {"libraries": before, "total": 7}, {"libraries": before[1:], "total": 6})[1]


def test_files(tmp_path):
    """Content decides where it is known: another host has other times."""
    before = [file("/srv/1/same.py", "11"), file("/srv/1/content.py", "22"), file("/srv/app.py", "33"),
              file("/x/site-packages/p/a.py", own=False), file("/x/site-packages/p/b.py", own=False),
              file("/srv/1/ran.py", "44", newer=True)]
    after = [file("/srv/1/same.py", "11", 50), file("/srv/1/content.py", "23", 50), file("/srv/app.py", "34", 95, newer=True),
             file("/y/site-packages/p/a.py", modified=50, own=False), file("/y/site-packages/p/b.py", size=7, own=False),
             file("/srv/1/ran.py", "44"), file("/srv/1/later.py", "55", 50)]
    there, _ = fates_of(tmp_path, {"files": before}, {"files": after})
    assert there == [("changed", "file", "1/content.py"), ("changed", "file", "1/ran.py"), ("changed", "file", "p/b.py"),
                     ("new", "file", "1/later.py"), ("stale", "file", "srv/app.py")]
    rows = {row["what"]: row for row in diff(tmp_path / "a", tmp_path / "b")[1] if row["of"] == "file"}
    assert rows["1/content.py"]["after"].endswith(", 100 bytes, 40.00 s before the start")
    assert rows["srv/app.py"]["after"].endswith(", 5.00 s after the start")
    assert rows["1/ran.py"]["before"].startswith("of before ")


def test_imports(tmp_path):
    before = {"json": None, "requests": "2.1", "gone": None, "gone.a": None, "gone.a.b": None, "pkg": None}
    after = {"json": None, "requests": "2.2", "pkg": None, "pkg.new": None, "_c": None, "fresh": "1.0", "fresh.a": None}
    there, back = fates_of(tmp_path, {"imports": before}, {"imports": after})
    assert there == [("changed", "module", "requests"), ("gone", "module", "gone"), ("new", "module", "_c"),
                     ("new", "module", "fresh"), ("new", "module", "pkg.new")]
    other_way = {"new": "gone", "gone": "new", "changed": "changed"}
    assert there == sorted((other_way[fate], *rest) for fate, *rest in back)
    rows = {row["what"]: (row["before"], row["after"]) for row in diff(tmp_path / "a", tmp_path / "b")[1] if row["fate"]}
    assert rows["requests"] == ("2.1", "2.2") and rows["fresh"] == ("-", "1.0, with 1 inside of it")
    assert rows["gone"] == ("imported, with 2 inside of it", "-")


def test_below_its_holder(tmp_path):
    """What may explain a holder stands below it, and by itself makes nothing worse."""
    parts = {"files": [file("/srv/app.py", "1"), file("/srv/b.py", "1")], "imports": {"requests": "1", "new": None}}
    others = {"files": [file("/srv/app.py", "2"), file("/srv/b.py", "2")], "imports": {"requests": "2", "new": "3"}}
    before = made_of(tmp_path / "a", **parts)
    status, rows = diff(before, made_of(tmp_path / "b", at=100, held=0.9, **others))
    assert status == 1 and [(row["of"], row["fate"]) for row in rows[:3]] == [
        ("holder", None), ("file", "changed"), ("module", "changed")]
    assert len({row["fingerprint"] for row in rows[:3]}) == 1 and rows[1]["path"] == "/srv/app.py"
    assert [row["what"] for row in rows[3:] if row["fate"]] == ["srv/b.py"]
    text = run("diff", before, tmp_path / "b").stdout
    first, last = text.split("\nFiles, libraries and modules\n")
    row = r"(?m)^  changed +file +%s(?: |$)"
    assert re.search(row % "srv/app.py", first) and "srv/b.py" not in first and re.search(row % "srv/b.py", last)
    assert "## Files, libraries and modules\n" in run("diff", "-f", "md", before, tmp_path / "b").stdout
    status, rows = diff(before, made_of(tmp_path / "c", at=100, **others))
    assert status == 0 and {row["sense"] for row in rows} == {"same"} and len(fates(rows)) == 3


def test_bounded_and_unknown(tmp_path):
    many = {"m%04d" % i: None for i in range(3000)}
    before, after = made_of(tmp_path / "a"), made_of(tmp_path / "b", imports=many)
    text = run("diff", before, after).stdout
    assert text.count("  new  module  m") == 10 and "(2990 more: --verbose)" in text and "Not compared" not in text
    assert run("diff", "-v", before, after).stdout.count("  new  module  m") == 3000
    cut = made_of(tmp_path / "c", total=9, imports={"x": None})
    assert not fates(diff(cut, after)[1]) or {fate for fate, *_ in fates(diff(cut, after)[1])} == {"gone"}
    unknown = made_of(tmp_path / "d", imports=None)
    document = json.loads(run("diff", "-f", "json", unknown, after).stdout)
    assert document["compared"] == {"libraries": True, "files": True, "modules": False} and not fates(document["changes"])
    assert "Not compared, as one of the two does not tell them: imported modules." in run("diff", unknown, after).stdout
    hostile = made_of(tmp_path / "e", imports={"a\x1b[31m": "\x1b", "": "y" * 5000}, files=[file("/\u202e.py")])
    for form in "text", "md", "json":
        assert not any(map(schema.is_control, run("diff", "-f", form, before, hostile).stdout.replace("\n", "")))


@contextlib.contextmanager
def release(interpreter):
    """A folder for release.py: its name inside, its name for us."""
    inside = tempfile.mkdtemp(prefix="stallscope-release-", dir=interpreter.root.rstrip("/") + "/tmp")
    os.chmod(inside, 0o755)
    os.mkdir(inside + "/extra")
    for name, text in (("handlers.py", HANDLER % 0.12), ("extra/__init__.py", '__version__ = "1.5"\n'), ("extra/part.py", "")):
        pathlib.Path(inside, name).write_text(text)
    try:
        yield "/tmp/" + os.path.basename(inside), pathlib.Path(inside)
    finally:
        shutil.rmtree(inside)


HANDLER = "import time\n\n\ndef price():\n    time.sleep(%s)\n"


def look(pid, path, *more):
    """A look that meets the handler: that file is told when it is in a stack."""
    for _ in range(50):
        assert run("dump", "-f", "json", "-o", path, *more, pid).returncode == 0
        document = schema.parse(path.read_text())
        if any(item["path"].endswith("/handlers.py") for item in document["process"]["modules"]["files"]["list"]):
            return document
    raise AssertionError("the handler was never met")


def test_a_release(interpreter, tmp_path):
    """Every interpreter: the handler was edited, a package and an extension module are new."""
    with release(interpreter) as (inside, folder):
        with Target(interpreter, "release.py", inside) as target:
            before = look(target.pid, tmp_path / "a")
        (folder / "handlers.py").write_text(HANDLER % 0.25)
        with Target(interpreter, "release.py", inside, "next") as target:
            after = look(target.pid, tmp_path / "b", "--save", tmp_path / "b.core")
            run("dump", "-f", "json", "-o", tmp_path / "b2", tmp_path / "b.core")
            os.utime(folder / "handlers.py", (time.time() + 5,) * 2)
            look(target.pid, tmp_path / "c")
            redacted = json.loads(run("dump", "-f", "json", "--redact", target.pid).stdout)["process"]["modules"]
        names, found = before["process"]["modules"]["imports"]["list"], fates(diff(tmp_path / "a", tmp_path / "b")[1])
        assert {"sys", "json", "asyncio", "asyncio.events", "handlers"} <= set(names) and names["json"] == target.truth["json"]
        assert [what for fate, of, what in found if of == "file"] == [os.path.basename(inside) + "/handlers.py"]
        assert ("new", "module", "extra") in found and {fate for fate, *_ in found} == {"changed", "new"}
        name, path = target.truth["extension"], target.truth["file"]
        assert name and ("new", "module", name) in found
        assert [row for row in diff(tmp_path / "a", tmp_path / "b")[1]
                if row["of"] == "library" and os.path.basename(path) == os.path.basename(row["path"])][0]["fate"] == "new"
        back = fates(diff(tmp_path / "b", tmp_path / "a")[1])
        assert ("gone", "module", "extra") in back and {fate for fate, *_ in back} == {"gone", "changed"}
        libraries = after["process"]["modules"]["libraries"]["list"]
        assert all(item["modified"] and item["bytes"] and not item["deleted"] for item in libraries)
        assert any(item["build_id"] for item in libraries)
        assert json.loads((tmp_path / "b2").read_text())["process"]["modules"] == after["process"]["modules"]
        stale, = fates(diff(tmp_path / "b", tmp_path / "c")[1])
        assert stale[:2] == ("stale", "file")
        assert redacted["imports"] is None and not any(item["content"] for item in redacted["files"]["list"])


def test_an_edited_handler(tmp_path):
    """As recorded: the handler that got worse first, its file below it, what is new after."""
    with release(ORDINARY) as (inside, folder):
        for name, seconds, more in (("before", 0.12, ()), ("after", 0.4, ("next",))):
            (folder / "handlers.py").write_text(HANDLER % seconds)
            with Target(ORDINARY, "release.py", inside, *more) as target:
                subprocess.run([PROGRAM, "record", str(target.pid), "-o", str(tmp_path / name), "--interval", "40ms",
                                "--for", "2s"], check=True, timeout=20)
                if more:
                    live = diff(tmp_path / "before", target.pid)[1]
        told = [json.loads(line)["process"]["modules"] for line in (tmp_path / "after").read_text().splitlines()
                if '"imports":{' in line]
        assert len(told) == 1  # it did not change, and is told once
        for rows in diff(tmp_path / "before", tmp_path / "after")[1], live:
            file_row, = [row for row in rows if row["of"] == "file"]
            assert file_row["fate"] == "changed" and file_row["path"] == inside + "/handlers.py"
            assert ("new", "module", "extra") in fates(rows)
        status, rows = diff(tmp_path / "before", tmp_path / "after")
        assert status == 1 and [(row["of"], row["fate"]) for row in rows[:2]] == [("holder", None), ("file", "changed")]
        assert rows[0]["what"].startswith("price ")


def test_a_library_is_replaced(tmp_path):
    """A library that was unlinked while it is mapped: what runs is not on disk any more."""
    with release(ORDINARY) as (inside, folder):
        with Target(ORDINARY, "release.py", inside, "next") as target:
            path = target.truth["file"]
        shutil.copy(path, folder)
        with Target(ORDINARY, "release.py", inside, "next") as target:
            assert target.truth["file"] == inside + "/" + os.path.basename(path)
            before = look(target.pid, tmp_path / "a")
            os.unlink(target.truth["file"])
            look(target.pid, tmp_path / "b")
        assert ("stale", "library", os.path.basename(inside) + "/" + os.path.basename(path)) in fates(
            diff(tmp_path / "a", tmp_path / "b")[1])
        assert before["process"]["modules"]["libraries"]["total"] == len(before["process"]["modules"]["libraries"]["list"])
