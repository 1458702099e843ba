# SPDX-License-Identifier: Apache-2.0
"""explain, and rows of the user's own in the catalogue: no target is needed but for the last."""
import json
import pathlib
import re

import pytest

import schema
from conftest import ORDINARY, Target, dump, run, settle

CATALOGUE = pathlib.Path(__file__).resolve().parents[2] / "data" / "culprits.tsv"
CATEGORIES = sorted({line.split("\t")[2] for line in CATALOGUE.read_text().splitlines()[1:]})


def explain(*words, status=0):
    result = run("explain", *words)
    assert result.returncode == status, result.stderr
    return result.stdout if not status else result.stderr


def document(*words):
    text = explain("-f", "json", *words)
    assert text.count("\n") == 1
    parsed = json.loads(text)
    schema.EXPLAIN.validate(parsed)
    return parsed


@pytest.mark.parametrize("words, heading", [
    (["STALLED"], "STALLED: one callback"),
    (["stalled"], "STALLED: one callback"),
    (["STALLED", "blocked.io.http"], "STALLED blocked.io.http: waits for an HTTP"),
    (["blocked.io.http"], "STALLED blocked.io.http: waits for an HTTP"),
    (["stalled.io.http"], "STALLED blocked.io.http: waits for an HTTP"),
    (["blocked.unknown"], "STALLED blocked: "),
    (["io.dns"], "STALLED blocked.io.dns: "),
    (["Cpu.Json"], "STALLED cpu.json: "),
    (["starved.gil"], "STARVED gil: "),
    (["STARVED", "cpu.host"], "STARVED cpu.host: "),
    (["DEADLOCK", "future"], "DEADLOCK future: "),
    (["DEADLOCK future"], "DEADLOCK future: "),
    (["no loop"], "NO-LOOP: "),
    (["NO-LOOP", "sync-server"], "NO-LOOP sync-server: "),
    (["EXEC-FULL"], "EXEC-FULL (a flag): "),
    (["wait.pool.db"], "WAITING wait.pool.db: "),
    (["WAITING", "wait.db"], "WAITING wait.db: "),
    (["loop.nested"], "STALLED nested: "),
    (["requests"], "requests: a call"),
])
def test_names(words, heading):
    text = explain(*words)
    assert text.startswith(heading), text
    assert all(len(line) <= 80 for line in text.splitlines())
    if not heading.endswith("a call"):
        assert "How stallscope knows:" in text and "What to do:" in text


@pytest.mark.parametrize("name, patterns", [
    ("requests", {"requests.sessions:request", "requests.api:request", "requests.models:content",
                  "requests.models:generate"}),
    ("requests.api:request", {"requests.api:request"}),
    ("py requests.api:request", {"requests.api:request"}),
    ("time.sleep", {"time!sleep"}),
    ("libpq", {"libpq.so*!PQgetResult", "libpq.so*!PQconnectdb"}),
    ("libpq.so*!PQgetResult", {"libpq.so*!PQgetResult"}),
    ("recvfrom", {"recvfrom"}),
    ("boto3", {"botocore.client:_make_api_call"}),
])
def test_calls(name, patterns):
    assert {row["pattern"] for row in document(name)["rows"]} >= patterns


def test_every_category():
    for category in CATEGORIES:
        parsed = document(category)
        assert parsed["entries"], category
        assert {row["category"] for row in parsed["rows"]} >= {category}


def test_list():
    text = explain()
    for word in schema.VERDICTS + ["EXEC-FULL", "ORPHAN", "cpu.throttled", "io.db", "wait.pool.db"]:
        assert re.search(r"^ +%s " % re.escape(word), text, re.M), word
    parsed = document()
    assert parsed["name"] is None
    assert len(parsed["rows"]) == len(CATALOGUE.read_text().splitlines()) - 1
    assert [c["name"] for c in parsed["categories"]] == CATEGORIES


def test_sources_are_shown_on_demand():
    assert "source:" not in explain("time.sleep")
    assert "source: run: CPython 3.11" in explain("-v", "time.sleep")


@pytest.mark.parametrize("name, near", [
    ("stald", "STALLED"), ("requets", "requests"), ("cpu.jsn", "cpu.json"),
    ("blokced.io.dns", "blocked.io.dns"), ("", "lists them"), ("xyzzyxyzzy", "lists them"),
    ("x" * 5000, "lists them"),
])
def test_unknown_names(name, near):
    text = explain(name, status=66)
    assert near in text and len(text) < 400


def test_unknown_names_are_made_safe():
    assert "\x1b" not in explain("a\x1b[2J\n", status=66)


def test_options():
    explain("--for", "1s", "STALLED", status=2)
    explain("-p", "1", status=2)


def test_own_rows(tmp_path):
    own = tmp_path / "own.tsv"
    own.write_text("py\tmine.client:call\tio.rpc\tour client\tuse the async one\n"
                   "py\trequests.api:request\tio.rpc\tour requests\tdo not\n")
    assert "our client [--culprits]" in explain("--culprits", own, "mine")
    assert "our requests" in explain("--culprits", own, "requests")
    rows = document("--culprits", own)["rows"]
    assert rows[0]["origin"] == "option" and rows[0]["source"] is None
    assert len([row for row in rows if row["pattern"] == "requests.api:request"]) == 1


def test_broken_rows(tmp_path):
    own = tmp_path / "own.tsv"
    own.write_text("# ours\npy\tmine.client\tio.rpc\tT\tA\n")
    text = explain("--culprits", own, "STALLED", status=69)
    assert "own.tsv:2:4:" in text and "write it like" in text
    assert "No such file" in explain("--culprits", tmp_path / "none", "STALLED", status=66)


def test_rows_of_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "stallscope" / "culprits.tsv"
    own.parent.mkdir()
    own.write_text("py\tmine.client:call\tio.rpc\tour client\tuse the async one\n")
    assert "our client [your culprits.tsv]" in explain("mine")
    own.write_text("py\tmine.client:call\tio.rpc\tour client\tuse it\npy\tx\tio.rpc\tT\tA\n")
    result = run("explain", "time.sleep")
    assert result.returncode == 0 and "time!sleep" in result.stdout
    assert "culprits.tsv:2:4:" in result.stderr and "none of its rows is used" in result.stderr
    assert not run("explain", "-q", "time.sleep").stderr
    explain("mine", status=66)


def test_own_row_names_a_stall(tmp_path):
    own = tmp_path / "own.tsv"
    own.write_text("py\thttp.client:getresponse\tio.rpc\tour gateway\task it asynchronously\n")
    with Target(ORDINARY, "states.py", "http") as target:
        settle()
        loop = dump(target.pid, "--culprits", own)["loops"][0]
        assert loop["verdict"] == "STALLED" and loop["kind"] == "blocked.io.rpc"
        assert loop["what"]["title"] == "our gateway"
        assert loop["advice"] == "ask it asynchronously"
        own.write_text("py\thttp.client:getresponse\tio.rcp\tT\tA\n")
        result = run("dump", "--culprits", own, target.pid)
        assert result.returncode == 69 and not result.stdout
        assert "own.tsv:1:28:" in result.stderr and "did you mean io.rpc?" in result.stderr
