# SPDX-License-Identifier: Apache-2.0
"""The recordings that are converted, and what is true of them, read from their lines and by nothing of ours."""
import collections
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "e2e"))
import recordings as rec  # noqa: E402

TARGET = HERE.parent / "targets" / "overtime.py"
EVIL = "</script><b>\"évil\\;'& name</b>"


def record(program, path, *plan):
    """A service that is held as planned, watched from its first task on."""
    service = subprocess.Popen([sys.executable, str(TARGET), *map(str, plan)], stdout=subprocess.PIPE, text=True)
    try:
        service.stdout.readline()
        seconds = 0.8 + sum(plan[1::2]) + 0.4 * len(plan) / 2
        subprocess.run([program, "record", str(service.pid), "-o", str(path), "--interval", "50ms",
                        "--for", "%dms" % (seconds * 1000)], check=True, timeout=60)
    finally:
        service.kill()
        service.wait()
    return path


def make(path):
    """Of another host: names that are markup and separators elsewhere; holds that follow each other at
    once, with times cut to milliseconds as they are in a recording; one that is not over at the end."""
    rec.START = float(int(time.time()))
    lines = [rec.hello(host="web-9", pid=9)] + [rec.light(i / 10, pid=9, lag=abs(i % 20 - 10) / 1000) for i in range(60)]
    at = 1.0
    for i in range(20):
        held = 0.1 + i * 0.00037
        lines.append(rec.stall(at - 0.0005, held, pid=9, host="web-9"))
        at += held + 0.00001
    lines.append(rec.stall(4, 0.5, EVIL, fingerprint="00000000000000bb", kind="cpu.json", pid=9, host="web-9",
                           stack=[EVIL, "Café.render.<locals>.<lambda>", "main"]))
    lines += [rec.stall(5.9, 0.75, "last", fingerprint="00000000000000cc", pid=9, host="web-9"), rec.bye(6, pid=9)]
    return rec.write(path, *lines)


class Stall:
    def __init__(self, line):
        self.host, self.pid, self.held = line["host"], line["process"]["pid"], line["held_s"]
        self.loop = (line["host"], self.pid)  # one loop each
        self.function, self.fingerprint, self.kind = line["who"]["qualname"], line["fingerprint"], line["kind"]
        self.time, self.line = line["time"], line["who"]["line"]
        self.file = line["who"]["file"]
        # the outermost first
        self.stack = [frame["qualname"] for frame in reversed(line["stack"])]


class Truth:
    """stalls; looks: [(monotonic, lag or None)] by loop, last: its last look, threads: of it."""

    def __init__(self, paths):
        self.stalls, self.looks, self.last = [], collections.defaultdict(list), {}
        for path in paths:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            host = lines[0]["host"]
            for line in lines:
                if line["type"] == "stall":
                    self.stalls.append(Stall(line))
                elif line["type"] == "snapshot":
                    loop, = line["loops"]
                    pid = line["process"]["pid"] if "process" in line else line["pid"]
                    self.looks[host, pid].append((line["time"], loop["lag_s"]))
                    self.last[host, pid] = loop

    def held(self, key):
        """Seconds by what the key says of a stall."""
        sums = collections.Counter()
        for stall in self.stalls:
            for name in {key(stall)} if not isinstance(key(stall), list) else set(key(stall)):
                sums[name] += stall.held
        return sums
