# SPDX-License-Identifier: Apache-2.0
"""Recordings made by hand, small and of known content, for what reads them."""
import datetime
import json

START = 1790000000.0


def stamp(at):
    text = datetime.datetime.fromtimestamp(START + at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text[:-3] + "Z"


def head(kind, at, pid):
    return {"schema": "stallscope/1", "type": kind, "time": stamp(at), "monotonic_s": 1000 + at, "pid": pid}


def process(pid):
    return {"pid": pid, "command": ["python3", "app.py"], "python": {"version": "3.12.1"}, "container": None}


def hello(at=0, pid=42, host="web-1"):
    return {**head("hello", at, pid), "host": host, "labels": {"env": "test"}, "process": process(pid),
            "tool": {"version": "0.1.0"}, "interval_s": 1.0, "threshold_s": 0.1}


def light(at, pid=42, lag=0.0, verdict="HEALTHY", kind=None, held=None, tasks=3):
    return {**head("snapshot", at, pid), "detail": "light", "verdict": verdict,
            "loops": [{"id": "0x10", "verdict": verdict, "kind": kind, "held_s": held, "lag_s": lag, "ready": 0,
                       "timers_late": 0, "queued": None, "tasks": {"total": tasks}, "fingerprint": None}]}


def group(count, function="read", line=5, title="Queue.get"):
    return {"count": count, "where": {"function": function, "qualname": function, "file": "/srv/app.py", "line": line},
            "via": ["main", function], "waits_on": title, "title": title, "oldest_s": 1.5, "oldest_is_lower_bound": False,
            "coroutine": "main", "state": "pending"}


def snapshot(at, pid=42, groups=(), host="web-1", **loop):
    """As `dump` has it, with what is read back."""
    line = {**light(at, pid), "host": host, "labels": {}, "process": process(pid), "tasks": [], "threads": [],
            "problems": []}
    del line["detail"], line["pid"], line["type"]
    line["loops"][0].update({"thread": pid, "groups": list(groups), "threshold_s": 0.1, **loop})
    return line


def frames(*names):
    return [{"kind": "python", "function": name, "qualname": name, "file": "/srv/app.py", "line": 10 + i, "own": True}
            for i, name in enumerate(names)]


def stall(at, held, function="price", pid=42, fingerprint="00000000000000aa", kind="blocked.sleep", host="web-1",
          stack=None):
    return {**head("stall", at, pid), "stall": 1, "loop": "0x10", "held_s": held, "held_at_most_s": held + 0.01,
            "over": True, "fingerprint": fingerprint, "thread": pid, "verdict": "STALLED", "kind": kind,
            "who": {"function": function, "qualname": function, "file": "/srv/app.py", "line": 10, "source": "x = 1"},
            "what": {"library": "time", "title": "time.sleep", "rule": "ccall time!sleep"}, "advice": "do not",
            "stack": frames(*(stack or [function, "main"])), "host": host, "labels": {}, "process": process(pid)}


def bye(at, pid=42, missed=0):
    return {**head("bye", at, pid), "reason": "time", "looks": 1, "stalls": 1, "missed": missed}


def write(path, *lines, end="\n"):
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end)
    return path
