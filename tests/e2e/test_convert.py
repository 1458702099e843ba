# SPDX-License-Identifier: Apache-2.0
"""convert: each format by the rules that its readers have, and nothing lost on the way.

What the readers themselves make of it is tests/consumers; they are not here everywhere.
"""
import json
import re

import pytest

import recordings as rec
from conftest import ORDINARY, Target, run
from test_report import Page


@pytest.fixture
def recording(tmp_path):
    lines = [rec.hello()] + [rec.light(i * 0.1, held=0.001 if i % 4 == 0 else None, lag=i / 1000) for i in range(40)]
    lines += [rec.stall(1 + i, 0.25) for i in range(4)]
    lines += [rec.stall(6, 0.5, 'evil"\\;name\n', fingerprint="00000000000000bb", kind="cpu.json",
                        stack=['evil"\\;name\n', "render", "main"]), rec.bye(7)]
    second = [rec.hello(host="web-2", pid=7), rec.light(0, pid=7), rec.stall(1, 0.75, host="web-2", pid=7), rec.bye(9, pid=7)]
    rec.write(tmp_path / "2", *second)
    return rec.write(tmp_path / "1", *lines), tmp_path / "2"


def convert(kind, *args):
    result = run("convert", "--to", kind, *args)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_collapsed(recording):
    rows = [re.fullmatch(r"(\S.*\S) (\d+)", line).groups() for line in convert("collapsed", *recording).splitlines()]
    weights = {}
    for stack, weight in rows:
        names = tuple(re.sub(r" \(.*", "", frame) for frame in stack.split(";"))
        weights[names] = weights.get(names, 0) + int(weight)
    assert weights == {("main", "price"): 1750000, ("main", "render", 'evil"\\:name\\n'): 500000}


def test_collapsed_of_tasks(tmp_path):
    """Where there was no stall: tasks by their await path."""
    file = rec.write(tmp_path / "d", rec.snapshot(0, groups=[rec.group(7), rec.group(2, "write", 9)]))
    assert convert("collapsed", file) == "main;read (srv/app.py:5) 7\nmain;write (srv/app.py:9) 2\n"


def test_speedscope(recording):
    document = json.loads(convert("speedscope", *recording))
    frames = document["shared"]["frames"]
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert len({json.dumps(frame) for frame in frames}) == len(frames)
    assert all(set(frame) <= {"name", "file", "line", "col"} and isinstance(frame["name"], str) for frame in frames)
    assert [profile["name"] for profile in document["profiles"]] == ["web-1 pid 42", "web-2 pid 7"]
    for profile in document["profiles"]:
        assert profile["type"] == "sampled" and profile["unit"] == "microseconds" and profile["startValue"] == 0
        assert len(profile["samples"]) == len(profile["weights"]) and sum(profile["weights"]) == profile["endValue"]
        assert all(0 <= index < len(frames) for sample in profile["samples"] for index in sample)
    assert [profile["endValue"] for profile in document["profiles"]] == [1500000, 750000]
    first = [[frames[i]["name"] for i in sample] for sample in document["profiles"][0]["samples"]]
    assert ["main", "price"] in first  # the outermost first


def test_chrome(recording):
    events = json.loads(convert("chrome", *recording))["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert [name.split(" python3")[0] for name in names.values()] == ["web-1 pid 42", "web-2 pid 7"]
    slices = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"M", "X", "C"} and set(names) == {42, 7}
    assert all(event["ts"] >= 0 and event["dur"] > 0 and event["pid"] == event["tid"] for event in slices)
    # viewers cut what is less than a nanosecond, and may then find an overlap
    assert all(isinstance(event[key], int) for event in slices for key in ("ts", "dur"))
    stalls = [event for event in slices if "fingerprint" in event["args"]]
    assert sum(event["dur"] for event in stalls) == pytest.approx(2.25e6) and len(stalls) == 6
    ends = {}
    for event in slices:  # each in the one before it, or after it
        inside = [end for end in ends.get(event["pid"], []) if end > event["ts"]]
        assert all(event["ts"] + event["dur"] <= end for end in inside)
        ends[event["pid"]] = inside + [event["ts"] + event["dur"]]
    lags = [(event["ts"], event["args"]["ms"]) for event in events if event["name"] == "lag" and event["pid"] == 42]
    assert lags == [(i * 100000, i) for i in range(40)]


def spans(file):
    events = json.loads(convert("chrome", file))["traceEvents"]
    return [(e["ts"], e["dur"], e["args"]["held_s"]) for e in events if "held_s" in e.get("args", ())]


def test_chrome_never_overlaps(tmp_path):
    """Viewers drop a slice that begins in another one and ends after it. Times of a recording are cut to
    milliseconds; and two recorders of one process may disagree."""
    close = [rec.stall(1.0006, 0.5), rec.stall(1.5010, 0.25), rec.stall(1.7515, 0.1)]
    assert spans(rec.write(tmp_path / "close", rec.hello(), rec.light(0), *close, rec.bye(2))) == [
        (1000000, 500000, 0.5), (1501000, 250000, 0.25), (1751000, 100000, 0.1)]
    cut = [rec.stall(1, 0.5009), rec.stall(1.5, 0.25)]
    assert spans(rec.write(tmp_path / "cut", rec.hello(), rec.light(0), *cut, rec.bye(2))) == [
        (1000000, 500900, 0.5009), (1500900, 250000, 0.25)]
    other = [rec.stall(1, 1.0), rec.stall(1.5, 0.75), rec.stall(1.6, 0.5, "render")]
    assert spans(rec.write(tmp_path / "other", rec.hello(), rec.light(0), *other, rec.bye(3))) == [
        (1000000, 1000000, 1), (2000000, 250000, 0.75), (1600000, 0, 0.5)]


def test_chrome_names_as_they_are(tmp_path):
    """Perfetto shows an escape of a name as it stands."""
    file = rec.write(tmp_path / "r", rec.hello(), rec.stall(1, 0.25, "caf\u00e9"), rec.bye(2))
    assert "caf\u00e9" in convert("chrome", file)


def test_chrome_numbers(tmp_path):
    """The real pid where it tells apart; another number for the same pid of another host."""
    for host in ("a", "b"):
        rec.write(tmp_path / host, rec.hello(host=host), rec.light(0), rec.light(1), rec.bye(2))
    events = json.loads(convert("chrome", tmp_path / "a", tmp_path / "b"))["traceEvents"]
    names = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    assert {e["pid"] for e in events} == set(names)
    assert names.pop(42) == "a pid 42 python3 app.py" and set(names.values()) == {"b pid 42 loop 0x10 python3 app.py"}
    assert sum(e["ph"] == "C" for e in events) == 4


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r"(%s)\{(%s(?:,%s)*)\} ([-+0-9.e]+)" % (NAME, LABEL, LABEL))


def metrics(text):
    """The samples, checked as the exposition format wants them."""
    assert text.endswith("\n")
    types, helps, found, last = {}, set(), {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helps.add(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            _, _, last, kind = line.split(" ")
            assert last not in types and kind in ("gauge", "counter") and (kind == "counter") == last.endswith("_total")
            types[last] = kind
        else:
            name, labels, value = SAMPLE.fullmatch(line).groups()
            assert name == last and name in helps, "samples stand below their TYPE"
            assert (name, labels) not in found, "the same series twice"
            found[name, labels] = float(value)
    return found


def value(samples, name, *labels):
    one, = [v for (n, text), v in samples.items() if n == name and all(label in text for label in labels)]
    return one


def test_prom(recording):
    text = convert("prom", *recording)
    samples = metrics(text)
    assert value(samples, "stallscope_loop_stalls_total", 'host="web-1"') == 5
    assert value(samples, "stallscope_loop_lag_seconds", 'host="web-1"', 'pid="42"') == pytest.approx(0.039)
    assert value(samples, "stallscope_loop_utilization_ratio") == pytest.approx(0.25)
    assert value(samples, "stallscope_loop_verdict", 'host="web-2"', 'verdict="HEALTHY"', 'kind=""') == 1
    assert value(samples, "stallscope_loop_held_seconds_total", 'host="web-1"', 'holder="price"') == pytest.approx(1)
    assert value(samples, "stallscope_loop_held_seconds_total", 'host="web-2"', 'holder="price"') == pytest.approx(0.75)
    assert value(samples, "stallscope_loop_tasks", 'pid="7"') == 3
    assert not [name for name, _ in samples if "queued" in name]  # not known of any


def test_prom_has_few_series(tmp_path):
    lines = [rec.hello()] + [rec.stall(i, 0.1 + i / 100, "f%d" % i, fingerprint="%016x" % i) for i in range(30)] + [rec.bye(31)]
    samples = metrics(convert("prom", rec.write(tmp_path / "r", *lines)))
    held = [v for (name, _), v in samples.items() if name == "stallscope_loop_held_seconds_total"]
    assert len(held) == 11 and sum(held) == pytest.approx(30 * 0.1 + sum(range(30)) / 100)


def test_prom_of_two_processes(tmp_path):
    """Each in a file of its own, as the textfile collector has them: no series is in both."""
    both = [metrics(convert("prom", rec.write(tmp_path / str(pid), rec.hello(pid=pid), rec.light(0, pid=pid), rec.stall(1, 0.25, pid=pid),
                                              rec.bye(2, pid=pid)))) for pid in (1, 2)]
    assert len(both[0]) == len(both[1]) > 5 and not set(both[0]) & set(both[1])


KEYS = {"resourceLogs": {"resource", "scopeLogs"}, "resource": {"attributes"}, "scopeLogs": {"scope", "logRecords"},
        "scope": {"name", "version"}, "attributes": {"key", "value"},
        "value": {"stringValue", "boolValue", "intValue", "doubleValue"}, "body": {"stringValue"},
        "logRecords": {"timeUnixNano", "observedTimeUnixNano", "severityNumber", "severityText", "body", "attributes"}}


def check_otlp(value, name):
    """Members by the protobuf definition; its JSON has whole numbers of 64 bits as strings."""
    if isinstance(value, list):
        for element in value:
            check_otlp(element, name)
    elif isinstance(value, dict):
        assert set(value) <= KEYS[name], (name, set(value))
        for key, part in value.items():
            check_otlp(part, key)
    elif name in ("timeUnixNano", "observedTimeUnixNano", "intValue"):
        assert re.fullmatch(r"\d+", value)


def test_otlp(recording):
    document = json.loads(convert("otlp-json", *recording))
    assert set(document) == {"resourceLogs"}
    check_otlp(document["resourceLogs"], "resourceLogs")
    first, second = document["resourceLogs"]
    assert {a["key"]: a["value"] for a in first["resource"]["attributes"]}["host.name"] == {"stringValue": "web-1"}
    records = first["scopeLogs"][0]["logRecords"]
    assert len(records) == 5 and len(second["scopeLogs"][0]["logRecords"]) == 1
    assert records[0]["timeUnixNano"] == str(int(rec.START + 1) * 10 ** 9)
    assert records[0]["body"]["stringValue"] == "event loop held for 250 ms by price: blocked.sleep: time.sleep"
    attributes = {a["key"]: a["value"] for a in records[0]["attributes"]}
    assert attributes["stallscope.held_s"] == {"doubleValue": 0.25} and attributes["code.line.number"] == {"intValue": "10"}


@pytest.mark.parametrize("kind", ["collapsed", "speedscope", "chrome", "prom", "otlp-json", "html"])
def test_nothing_to_say(tmp_path, kind):
    """A recording without a look is still a document of that format."""
    text = convert(kind, rec.write(tmp_path / "r", rec.hello(), rec.bye(1)))
    if kind == "html":
        Page(text)
    elif kind in ("collapsed", "prom"):
        assert text == ""
    else:
        json.loads(text)


def test_otlp_time(tmp_path):
    """Nanoseconds of our days are more than a double can tell."""
    lines = [rec.stall(i * 1.013, 0.01) for i in range(50)]
    document = json.loads(convert("otlp-json", rec.write(tmp_path / "r", rec.hello(), *lines, rec.bye(2))))
    records = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [r["timeUnixNano"][-9:] for r in records] == [line["time"][-4:-1] + "000000" for line in lines]


def test_process_and_output(tmp_path):
    with Target(ORDINARY, "states.py", "blocked") as target:
        text = convert("collapsed", target.pid)
        assert run("convert", "--to", "prom", target.pid, "-o", "/dev/full").returncode == 74
        assert run("convert", "--to", "prom", target.pid, "-o", tmp_path / "x.prom").returncode == 0
    assert re.search(r";hold \(.*states.py:\d+\) \d+$", text, re.M)
    assert value(metrics((tmp_path / "x.prom").read_text()), "stallscope_loop_stalls_total") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["x.prom"]  # nothing half written beside it


def test_usage(recording):
    for args in (["convert"], ["convert", *recording], ["convert", "--to", "xml", *recording], ["convert", "--to", "prom"]):
        assert run(*args).returncode == 2
    assert run("convert", "--to", "prom", "/nonexistent").returncode == 66
