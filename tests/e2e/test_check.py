# SPDX-License-Identifier: Apache-2.0
"""check and ps: one line of a process, for monitoring and for the eye."""
import contextlib
import json
import os
import re
import subprocess
import sys
import time

import pytest

import schema
from conftest import ORDINARY, PROGRAM, Target, run, settle

# As the guidelines for plug-ins have it: text, then figures 'label'=value[unit];warn;crit;min;max
FIGURE = r" '[^'=]+'=-?[0-9.]+(?:s|%|B|c)?(?:;[^; ]*){0,4}"
LINE = re.compile(r"STALLSCOPE (OK|WARNING|CRITICAL|UNKNOWN): ([^|\n]*?)( \|(?:%s)+)?\n" % FIGURE)
STATES = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]


def check(*args):
    result = run("check", *args)
    word, text, figures = LINE.fullmatch(result.stdout).groups()
    assert STATES[result.returncode] == word and not result.stderr
    return word, text, dict(re.findall(r"'([^']+)'=([0-9.]+)", figures or ""))


def test_states():
    with Target(ORDINARY, "states.py", "blocked") as stalled, Target(ORDINARY, "states.py", "idle") as idle:
        settle()
        word, text, figures = check(stalled.pid)
        assert word == "CRITICAL" and re.match(r"pid %d STALLED blocked\.sleep lag .* in hold .*states\.py:\d+" % stalled.pid, text)
        assert float(figures["lag_%d" % stalled.pid]) > 0.2 and int(figures["tasks_%d" % stalled.pid]) > 50
        word, text, figures = check(idle.pid)
        assert word == "OK" and text.startswith("pid %d HEALTHY lag 0.0 ms" % idle.pid)
        word, text, figures = check(idle.pid, stalled.pid)
        assert word == "CRITICAL" and "; pid %d STALLED" % stalled.pid in text and len(figures) == 4
        assert check(idle.pid, 999999999)[0] == "UNKNOWN"
        assert check(stalled.pid, 999999999)[0] == "CRITICAL"
        assert check("--threshold", "100s", stalled.pid)[0] != "CRITICAL"


def test_unknown():
    for args in ((999999999,), (1,) if os.getuid() else (os.getpid() + 10 ** 7,)):
        assert check(*args)[0] == "UNKNOWN"
    no_loop = subprocess.Popen([*ORDINARY.command, "-c", "import time; print(1, flush=True); time.sleep(60)"],
                               stdout=subprocess.PIPE)
    with no_loop:
        no_loop.stdout.readline()
        word, text, _ = check(no_loop.pid)
        assert word == "UNKNOWN" and "NO-LOOP" in text
        no_loop.kill()
    assert run("check").returncode == 3  # a plug-in's "unknown", not 2
    assert run("check", "--nonsense", 1).returncode == 3


# ---- ps ----------------------------------------------------------------------------------------------

def ps(**options):
    result = run("ps", "-f", "json", **options)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    for row in rows:
        schema.PS.validate(row)
    return {row["pid"]: row for row in rows}


def test_ps(interpreter):
    with Target(interpreter, "states.py", "blocked") as stalled:
        time.sleep(0.2)
        rows = ps()
    row = rows[stalled.pid]
    assert (row["verdict"], row["kind"], row["loops"]) == ("STALLED", "blocked.sleep", 1)
    assert row["who"]["qualname"] == "hold" and row["python"] == interpreter.version[:len(row["python"])]
    assert row["error"] is None and list(rows) == sorted(rows)


def test_ps_text():
    """One line each where there is room; otherwise who holds a loop stands below its row."""
    with Target(ORDINARY, "states.py", "idle") as idle, Target(ORDINARY, "states.py", "blocked") as stalled:
        settle()
        narrow = run("ps").stdout.splitlines()
        wide = run("ps", env={**os.environ, "COLUMNS": "1000"}).stdout.splitlines()
    assert wide[0].split() == ["PID", "VERDICT", "KIND", "LAG", "TASKS", "WHO", "COMMAND"]
    for lines in narrow, wide:
        row, = [line for line in lines if line.split()[0] == str(idle.pid)]
        assert row.split()[1] == "HEALTHY" and row.endswith("states.py idle")
    at, = [i for i, line in enumerate(narrow) if line.split()[0] == str(stalled.pid)]
    assert "STALLED" in narrow[at] and "blocked.sleep" in narrow[at] and max(map(len, narrow)) <= 80
    assert re.search(r"hold \S+states\.py:\d+", " ".join(narrow[at:at + 2]))
    assert run("ps", 1).returncode == 2


@pytest.mark.skipif(os.getuid() != 0, reason="root only: looks at a process as somebody else")
def test_ps_without_rights():
    """Those that may not be read are there, with the reason."""
    with Target(ORDINARY, "states.py", "idle") as idle:
        with open(PROGRAM, "rb") as program:  # whose folder may not be open to all
            result = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--",
                                     "/proc/self/fd/%d" % program.fileno(), "ps", "-f", "json"],
                                    pass_fds=[program.fileno()], stdout=subprocess.PIPE, text=True, timeout=20, check=True)
        rows = {row["pid"]: row for row in map(json.loads, result.stdout.splitlines())}
    schema.PS.validate(rows[idle.pid])
    assert rows[idle.pid]["verdict"] is None and rows[idle.pid]["error"]


def test_ps_of_many():
    """Twenty at once: all are there."""
    code = "import asyncio; asyncio.run(asyncio.sleep(60))"
    with contextlib.ExitStack() as stack:
        many = [subprocess.Popen([sys.executable, "-S", "-c", code]) for _ in range(20)]
        for process in many:
            stack.callback(process.wait)
            stack.callback(process.kill)
        for _ in range(100):
            rows = ps(timeout=60)
            if all(rows.get(process.pid, {}).get("loops") for process in many):
                break
            time.sleep(0.2)
        assert {rows[process.pid]["loops"] for process in many} == {1}
