# SPDX-License-Identifier: Apache-2.0
"""Variables of frames, the part of a line that runs, and what --redact takes out."""
import json
import os
import re
import time
import unicodedata

import pytest

import schema
from conftest import ORDINARY, Target, dump, run, settle

UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
CHANGED = "<changed while it was read>"


def python(thread):
    """Its frames that are of Python: functions of C have no variables here."""
    return [frame for frame in thread["frames"] if frame["kind"] == "python"]


def frames(document):
    """Of the loop's thread, and of the task that waits."""
    loop, = document["loops"]
    thread, = schema.threads_of(document, loop)
    task, = [t for t in document["tasks"] if t["coroutine"] == "waits"]
    return python(thread), task["stack"]


def variables(document):
    """By function."""
    stack, waiting = frames(document)
    return {frame["function"]: frame["locals"] for frame in waiting + stack}


def wrong(found, rules):
    for function, expected in rules.items():
        for name, rule in expected.items():
            got = found[function][name]
            if not (re.fullmatch(r"<[\w.]+ at 0x[0-9a-f]+>", got) if rule is None else got == rule):
                yield "%s: %s is %s and not %s" % (function, name, got, rule)


def positions(stack):
    return [[frame[key] for key in ("line", "end_line", "column", "end_column")] for frame in stack]


def test_values_and_columns(interpreter):
    with Target(interpreter, "values.py") as target:
        document = dump(target.pid, "--locals")
        thread, = schema.threads_of(document, document["loops"][0])
        assert thread["locals_of_one_moment"] is True
        found = variables(document)
        assert not list(wrong(found, target.truth["rules"]))
        assert set(found["holder"]) == set(target.truth["rules"]["holder"])
        assert set(found["hold"]) == {"captured", "late", "count", "inner", "tag"}  # unbound is not there
        stack = frames(document)[0]
        assert [f["function"] for f in stack] == [f["function"] for f in target.truth["frames"]]
        exact = [f["position"] for f in target.truth["frames"]]
        if exact[0]:
            assert positions(stack) == exact
        else:
            assert all(row[1:] in ([row[0], None, None], [None, None, None]) for row in positions(stack))
        off = variables(dump(target.pid))
        assert all(value is None for value in off.values())


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_text(interpreter):
    with Target(interpreter, "values.py") as target:
        lines = run("dump", "--locals", target.pid, env=dict(os.environ, LC_ALL="C.UTF-8")).stdout.split("\n")
        assert all(columns(line) <= 80 and not UNSAFE.search(line) for line in lines)
        at = next(i for i, line in enumerate(lines) if "<- yours" in line)
        assert {"      captured = 'kept'", "      late = None", "      tag = 'é中'"} < set(lines[at + 1:at + 6])
        at = next(i for i, line in enumerate(lines) if 'tag = "é中"; inner()' in line)
        before = lines[at].index("time.sleep(120)")
        if interpreter.minor >= 11:
            assert lines[at + 1] == " " * columns(lines[at][:before]) + "^" * len("time.sleep(120)")
        else:
            assert "^" not in lines[at + 1]
        text = run("dump", "--locals", "--tasks", "all", target.pid).stdout
        assert re.search(r"\n.*values.py:\d+ +waits +async\n      mine = 1\n", text)
        assert "\n      others = (2, 3)\n" in text and "\n      key = 'k'\n" in text
        tree = run("dump", "--locals", "--tasks", "tree", target.pid).stdout
        assert re.search(r"\n +mine = 1\n", tree)
        assert "mine = " not in run("dump", "--tasks", "all", target.pid).stdout


def test_recorded(interpreter, tmp_path):
    """Of a look with variables they are in the recording; of one without, it is said of each."""
    with Target(interpreter, "values.py") as target:
        for args in ("--locals",), ():
            core = tmp_path / ("values%d.core" % len(args))
            live = dump(target.pid, "--save", core, *args)
            again = dump(core, "--locals")
            if args:
                assert variables(again) == variables(live)
            else:
                assert again["verdict"] == live["verdict"]
                assert variables(again)["hold"] is None or "<not in the recording>" in str(variables(again))


def test_variables_that_move():
    """A value that is another one by now is said to have changed. What took the place of an object and
    was gone again is not noticed, but never is a thread said to have stood then."""
    with Target(ORDINARY, "values.py", "move") as target:
        seen = odd = 0
        for _ in range(40):
            document = dump(target.pid, "--locals", "--for", "0")
            thread, = schema.threads_of(document, document["loops"][0])
            assert thread["locals_of_one_moment"] is False
            for frame in python(thread):
                if frame["function"] != "churn" or not frame["locals"]:
                    continue
                seen += 1
                for name, value in frame["locals"].items():
                    assert not UNSAFE.search(value)
                    kind = {"end": r"\d+\.\d+", "text": r"(str of \d+ )?'x*…?'", "number": r"int of \d+ bits 0x\w+…|\d+",
                            "items": r"(list of \d+ )?\[.*", "table": r"(dict of \d+ )?\{.*"}[name]
                    odd += not re.fullmatch(kind, value) and value != CHANGED
        assert seen > 20 and odd <= 2


def test_forged(interpreter):
    """Objects that lie about themselves cost little and spoil nothing else."""
    with Target(interpreter, "values.py", "forged") as target:
        before = os.times().children_user
        document = dump(target.pid, "--locals", "--for", "0")
        assert os.times().children_user - before < 1
        found = variables(document)
        assert not list(wrong(found, target.truth["rules"]))
        forged = {name: value for name, value in found["holder"].items() if name.startswith("f_")}
        assert len(forged) == 19
        for name, value in forged.items():
            assert columns(value) <= 200 and not UNSAFE.search(value), name
        told = {"f_kind": "<str at 0x", "f_set": "set of 2 {1, 2, " + CHANGED, "f_own": "[" + CHANGED}
        for name, value in forged.items():
            assert value.startswith(told.get(name, CHANGED)), (name, value)
        assert forged["f_own"] == "[%s]" % ", ".join([CHANGED] * 5)


REDACTED = "/tmp/secret-argument"


def test_redacted():
    """Nothing that a process was given or named while it ran is left, and the verdict is the same."""
    with Target(ORDINARY, "peers.py", "silent", REDACTED) as target:
        settle()
        plain = dump(target.pid, "--locals", "-v")
        document = dump(target.pid, "--redact", "--locals", "-v")
        texts = [json.dumps(document)] + [run("dump", "--redact", "--locals", "--tasks", tasks, *more, target.pid).stdout
                                          for tasks in ("groups", "tree", "all") for more in ((), ("-v",))]
        names = [task["name"] for task in plain["tasks"]] + [plain["loops"][0]["who"]["source"]]
        assert plain["loops"][0]["what"]["peer"] == target.truth["peer"] and REDACTED in str(plain)
        for text in texts:
            for secret in [REDACTED, target.truth["peer"], "127.0.0.1", "--port"] + names:
                assert secret not in text, secret
        loop, = document["loops"]
        for key in "verdict", "kind", "confidence":
            assert loop[key] == plain["loops"][0][key]
        assert document["tool"]["redacted"] and not plain["tool"]["redacted"]
        assert document["process"]["command"] == [os.path.basename(plain["process"]["executable"])]
        assert loop["what"]["peer"] is None and loop["what"]["tcp_state"] == "ESTABLISHED"
        assert [task["name"] for task in document["tasks"]] == [task["id"] for task in document["tasks"]]
        assert loop["who"]["task"] in [task["id"] for task in document["tasks"]] and loop["who"]["source"] is None
        for stack in [python(thread) for thread in document["threads"]] + [task["stack"] for task in document["tasks"]]:
            for frame in stack:
                assert all(re.fullmatch(r"<[\w.]+>", value) for value in (frame["locals"] or {}).values())
        assert "(left out), ESTABLISHED, nothing received, no timeout is set" in texts[1]
        result = run("dump", "--redact", "--save", "/nonexistent/x.core", target.pid)
        assert result.returncode == 2 and "--redact" in result.stderr


def test_filter_before_redaction():
    with Target(ORDINARY, "values.py") as target:
        document = dump(target.pid, "--redact", "--filter", "name=Task-2")
        assert [task["coroutine"] for task in document["tasks"]] == ["waits"]


SCRIPT = """
import asyncio, json, os, time
def own():
    time.sleep(60)
async def main():
    print(json.dumps({"pid": os.getpid()}), flush=True); own()
asyncio.run(main())
"""


class Folder(type(ORDINARY)):
    """The ordinary interpreter with scripts of our own."""

    def __init__(self, folder):
        self.root, self.command, self.minor, self.own = ORDINARY.root, ORDINARY.command, ORDINARY.minor, folder

    def targets(self):
        return str(self.own)


def test_source_lines(tmp_path):
    """Of all own frames with -v, and marked when the file is newer than the process."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with Target(Folder(tmp_path), "script.py") as target:
        settle()
        def own(*args):
            document = dump(target.pid, *args)
            return {frame["function"]: (frame["source"], frame["source_newer"]) for thread in document["threads"]
                    for frame in python(thread)}, document["loops"][0]["who"]
        sources, who = own()
        assert sources["own"] == ("time.sleep(60)", False) == (who["source"], who["source_newer"])
        assert sources["main"] == sources["<module>"] == (None, None)
        sources, who = own("-v")
        assert sources["main"] == ('print(json.dumps({"pid": os.getpid()}), flush=True); own()', False)
        assert sources["<module>"] == ("asyncio.run(main())", False)
        assert sources["_run_once"] == (None, None)
        text = run("dump", "-v", target.pid).stdout
        line = "      " + sources["main"][0]
        marked = "%s\n%s^^^^^\n" % (line, " " * line.index("own()"))
        assert (marked in text) == (ORDINARY.minor >= 11) and "[file changed" not in text
        long = "x" * 100
        script.write_text(SCRIPT.replace("sleep(60)", "sleep(60) #" + long))
        os.utime(script, (time.time() + 100, time.time() + 100))
        text = run("dump", target.pid).stdout
        assert re.search(r"\n      time\.sleep\(60\) #x+\S   \[file changed since start\]\n\n", text)
        assert own()[1]["source_newer"] is True
