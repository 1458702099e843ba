# SPDX-License-Identifier: Apache-2.0
"""Snapshots of tests/targets/churn.py against its truth.

A snapshot is wrong when it shows as sound (not torn) what cannot have been: a permanent task that
is not there, or there twice, a name with another task's coroutine, a stack that no such task has,
a short task that had not begun when the look was over or had ended before it began. It is complete
when it says that it is not torn and has all permanent tasks.
"""
import collections
import json
import mmap
import os
import subprocess
import time

MAGIC = 0x6e72756863
HEAD = 4
TICKING = 16

SLEEP = ["sleep"]
WAITS = (["wait", "wait_for"], ["wait_for"], ["sleep", "wait_for"])  # Event, Future, sleep
OUTER = (["permanent0"], ["second", "permanent1"], ["second", "third", "permanent2"])
CHURN = (["rest", "churn0"], ["rest", "deeper", "churn1"], ["churn2"])


def permanent_stack(i):
    """Functions, innermost first."""
    return SLEEP + ["ticking"] if i < TICKING else WAITS[i // 3 % 3] + OUTER[i % 3]


class Words:
    """The truth file: read by copying, while the target writes it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self.words = memoryview(self.map).cast("Q")
        assert self.words[0] == MAGIC
        self.permanents, self.slots = self.words[1], self.words[2]
        self.stacks = [permanent_stack(i) for i in range(self.permanents)]

    def changes(self):
        return self.words[3]

    def begun(self):
        return self.words[HEAD:HEAD + self.slots].tolist()

    def ended(self):
        return self.words[HEAD + self.slots:HEAD + 2 * self.slots].tolist()

    def close(self):
        self.words.release()
        self.map.close()


def stack_of(task):
    return [frame["function"] for frame in task["stack"]]


def fits(task, stack):
    """A task that waits shows all of its stack; one that is to run or runs may be anywhere in it."""
    seen = stack_of(task)
    if seen == stack:
        return True
    if task["state"] in ("ready", "running"):
        # not begun, between two awaits; __sleep0 is the body of sleep(0); running: what it calls
        while task["state"] == "running" and seen and seen[0] not in stack:
            seen = seen[1:]
        if seen[:2] == ["__sleep0", "sleep"]:
            seen = seen[1:]
        return stack[len(stack) - len(seen):] == seen
    return False


def wrong_with_churn(task, ended, begun):
    _, slot, number = task["name"].split("-")[:3]
    slot, number = int(slot), int(number)
    if not ended[slot] < number <= begun[slot]:
        return "%s cannot be: it has %d to %d" % (task["name"], ended[slot] + 1, begun[slot])
    kind = (slot + number) % 7 % 3
    if task["coroutine"] != CHURN[kind][-1]:
        return "%s is called %s" % (task["name"], task["coroutine"])
    seconds = (slot + number) % 7 % 4
    if not fits(task, CHURN[kind] if kind == 2 else SLEEP + CHURN[kind]):
        return "%s (%s, sleeps %d) stands in %s" % (task["name"], task["state"], seconds, stack_of(task))
    return None


def check(document, words, ended, begun):
    """What is wrong with a document, and whether it is complete. ended: before, begun: after."""
    faults, seen = [], bytearray(words.permanents)
    for task in document["tasks"]:
        if task["torn"]:
            continue
        kind, _, rest = task["name"].partition("-")
        if kind == "permanent":
            i = int(rest)
            if seen[i]:
                faults.append("%s is there twice" % task["name"])
            seen[i] = 1
            stack = words.stacks[i]
            if task["coroutine"] != stack[-1] or not fits(task, stack):
                faults.append("%s (%s) is called %s and stands in %s" % (
                    task["name"], task["state"], task["coroutine"], stack_of(task)))
        elif kind == "churn":
            fault = wrong_with_churn(task, ended, begun)
            if fault:
                faults.append(fault)
        elif task["name"] != "Task-1":
            faults.append("a task called %s" % task["name"])
    missing = seen.count(0)
    torn = document["tool"]["consistency"] == "torn"
    if missing and not torn:
        faults.append("%d permanent tasks are not there" % missing)
    return faults, not missing and not torn


class Count:
    def __init__(self):
        self.snapshots = self.failed = self.wrong = self.complete = 0
        self.words = collections.Counter()
        self.examples = []
        self.problems = collections.Counter()
        self.changes = self.seconds = 0
        self.read_s = 0.0

    def row(self):
        return {"snapshots": self.snapshots, "failures": self.failed, "wrong": self.wrong,
                "complete": self.complete, "rate": round(self.changes / self.seconds),
                "read_ms": round(self.read_s / max(self.snapshots - self.failed, 1) * 1e3, 2), **self.words}


def snapshot(program, pid, words, count):
    ended = words.ended()
    result = subprocess.run([program, "dump", "--for", "0", "-f", "json", str(pid)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=60, check=False)
    begun = words.begun()
    count.snapshots += 1
    try:
        if result.returncode not in (0, 75):
            raise ValueError("status %d" % result.returncode)
        document = json.loads(result.stdout)
    except ValueError as fault:
        count.failed += 1
        count.examples.append("%s: %s" % (fault, result.stderr.decode(errors="replace")))
        return
    faults, complete = check(document, words, ended, begun)
    count.wrong += bool(faults)
    count.complete += complete
    count.examples += ["%s: %s" % (document["tool"]["consistency"], fault) for fault in faults[:2]]
    count.words[document["tool"]["consistency"]] += 1
    count.read_s += document["tool"]["read_s"]
    for problem in document["problems"]:
        count.problems[problem["what"]] += 1


def watch(program, pid, path, snapshots, seconds=3600):
    words, count = Words(path), Count()
    begin, before = time.monotonic(), words.changes()
    for _ in range(snapshots):
        if time.monotonic() - begin > seconds:
            break
        snapshot(program, pid, words, count)
    count.seconds = time.monotonic() - begin
    count.changes = words.changes() - before
    words.close()
    assert os.path.exists("/proc/%d" % pid)
    return count
