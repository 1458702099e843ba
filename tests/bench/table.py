# SPDX-License-Identifier: Apache-2.0
"""What was measured, in Markdown."""
import collections
import statistics

import peers

MIB = 1 << 20
MARKER = "<!-- figures: all below is written by tests/bench/compare -->\n"


def number(value):
    """Two or three digits that mean something."""
    if value is None:
        return "-"
    if value >= 100:
        return format(value, ",.0f")
    return "%.1f" % value if value >= 10 else "%.2f" % value if value >= 0.1 else "%.2g" % value


def lines(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def over(value, base, scale=1):
    return value / base * scale if value is not None and base else None


class Row:
    """All runs of one command on one target. A run is (ms, KiB, ending, said), and ending is one
    of "right", "wrong", "failed", "late"."""

    def __init__(self, command):
        self.command, self.runs = command, []

    def right(self):
        return [run for run in self.runs if run[2] == "right"]

    def wall(self):
        return median(run[0] for run in self.right())

    def peak(self):
        return median(run[1] / 1024 for run in self.runs if run[2] != "late")

    def said(self):
        """What right answers said, and how many others there were."""
        if self.command.reason:
            return self.command.reason
        parts = []
        for ending in ("right", "wrong", "failed", "late"):
            found = [run for run in self.runs if run[2] == ending]
            if not found:
                continue
            said = collections.Counter(run[3] for run in found).most_common(1)[0][0]
            if ending == "right":
                parts.append(said)
            elif len(found) == len(self.runs):
                after = "" if ending == "late" else " (after %s ms)" % number(median(run[0] for run in found))
                parts.append("**%s**%s" % (said, after))
            else:
                parts.append("**%d of %d %s**" % (len(found), len(self.runs), said))
        return "; ".join(parts)

    def cells(self, base, tasks):
        right = self.right()
        each = over(self.wall(), tasks, 1e3) if self.command.says in ("groups", "tasks") and tasks > 100 else None
        return [self.command.label, str(len(self.runs)), number(min(run[0] for run in right) if right else None),
                number(self.wall()), number(over(self.wall(), base)), number(each), number(self.peak()), self.said()]


class Block:
    """One target: its rows, what stallscope says of its own work, and the floors."""

    def __init__(self, target, interpreter):
        self.target, self.interpreter = target, interpreter
        self.rows, self.tools, self.load = {}, [], ""
        self.floors = {"pages": [], "heap": []}  # (ms, bytes, reads)
        self.calls = None
        self.notes = []

    def markdown(self):
        base = self.rows[peers.BASE].wall()
        yield "#### %s, CPython %s" % (self.target.title, self.interpreter.id)
        yield ""
        yield "Load %s. %s" % (self.load, " ".join(self.notes))
        yield ""
        yield from lines(("command", "runs", "best ms", "median ms", "ratio", "us/task", "peak MiB",
                          "what it said"), (row.cells(base, self.target.tasks) for row in self.rows.values()))

    def tool(self, name, scale=1):
        return over(median(tool[name] for tool in self.tools), 1, scale)

    def floor(self, name, column):
        return median(floor[column] for floor in self.floors[name])

    def work(self):
        """Cells of the table of our own work."""
        text, full, read = self.rows[peers.BASE], self.rows[peers.JSON], self.tool("read_s", 1e3)
        tasks = self.target.tasks
        return [self.target.title, number(text.wall()), number(over(text.wall(), tasks, 1e3)), number(full.wall()),
                number(over(full.wall(), tasks, 1e3)), number(read), number(over(read, tasks, 1e3)),
                number(self.tool("system_calls")), number(self.calls), number(self.tool("bytes_read", 1 / MIB)),
                number(text.peak()), number(full.peak())]

    def compared(self):
        """Cells of the table of floors."""
        wall, read = self.rows[peers.BASE].wall(), self.tool("read_s", 1e3)
        cells = [self.target.title, number(read), number(wall)]
        for name in ("pages", "heap"):
            floor = self.floor(name, 0)
            cells += [number(over(self.floor(name, 1), MIB)), number(self.floor(name, 2)), number(floor),
                      number(over(read, floor)), number(over(wall, floor))]
        return cells


WORK = ("target", "text ms", "us/task", "JSON ms", "us/task", "read_s ms", "us/task", "calls for the target",
        "calls in all (strace)", "MiB read", "peak MiB text", "peak MiB JSON")
FLOORS = ("target", "read_s ms", "wall ms", "same pages MiB", "preads", "floor ms", "read / floor", "wall / floor",
          "heap MiB", "preads", "floor ms", "read / heap", "wall / heap")


def document(about, blocks):
    yield from about
    yield ""
    by_interpreter = {}
    for block in blocks:
        by_interpreter.setdefault(block.interpreter.id, []).append(block)
    for name, some in by_interpreter.items():
        yield "### stallscope's own work, CPython %s" % name
        yield ""
        yield from lines(WORK, (block.work() for block in some))
        yield from lines(FLOORS, (block.compared() for block in some))
    yield "### Side by side"
    yield ""
    for block in blocks:
        yield from block.markdown()


def write(path, about, blocks):
    """A file that has the marker keeps what is above it."""
    above = ""
    try:
        with open(path, encoding="utf-8") as file:
            before, marker, _ = file.read().partition(MARKER)
            above = before + marker + "\n" if marker else ""
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as file:
        file.write(above + "\n".join(document(about, blocks)).rstrip() + "\n")
