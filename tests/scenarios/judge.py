# SPDX-License-Identifier: Apache-2.0
"""What was said against what is true, dimension by dimension."""
import csv
import fnmatch
import os
import time

from manifest import ANY

HERE = os.path.dirname(os.path.abspath(__file__))
DIMENSIONS = ("verdict", "kind", "who", "library", "rule", "peer", "path", "holder", "flags", "loops")
FED = 0.5  # of the time on a CPU, by the kernel's count
FALSE_ALARMS = ("STALLED", "DEADLOCK")


def glob(name, pattern):
    return fnmatch.fnmatchcase(name, pattern)


def catalogue():
    path = os.path.join(HERE, "..", "..", "data", "culprits.tsv")
    with open(path, encoding="utf-8", newline="") as file:
        rows = csv.reader((line for line in file if not line.startswith("#")), delimiter="\t",
                          quoting=csv.QUOTE_NONE)
        return {"%s %s" % tuple(row[:2]): row[2] for row in rows if len(row) > 2}


CATEGORIES = catalogue()


class Outcome:
    def __init__(self, interpreter, state):
        self.interpreter, self.state = interpreter, state
        self.skipped = self.error = None
        self.results = {}  # dimension: (right, expected, got)
        self.evidence = ""
        self.rows = set()  # of the catalogue, that were named
        self.held_error = None
        self.again = 0  # looks that were not counted, as the kernel says it was another state
        self.second = None  # the outcome of a second try
        self.later = []  # verdicts of the looks after the first
        self.got = None

    # ---- judging ------------------------------------------------------------------------------------

    def judge(self, target, looks):
        """The first look counts, but one of another state: others had the CPUs, or a loop that is
        to starve did not. Which of the threads that want the GIL gets it is the kernel's choice."""
        while True:
            document, crowded, ran = target.look(*self.state.options)
            self.results = {}
            self.compare(document, target.truth)
            fed = self.state.verdicts == ["STARVED"] and ran > FED
            if not ((crowded or fed) and self.failed and self.again < 5):
                break
            self.again += 1
            time.sleep(0.3)
        if crowded and self.failed and self.got == "STARVED":
            self.skipped = "others had the CPUs in %d looks" % (self.again + 1)
        elif fed and self.failed:
            self.skipped = "a loop that was to starve had most of a CPU in %d looks" % (self.again + 1)
        self.later = [target.look(*self.state.options)[0]["verdict"] for _ in range(looks - 1)]

    def compare(self, document, truth):
        state = self.state
        self.got = document["verdict"]
        self.put("verdict", document["verdict"] in state.verdicts, "/".join(state.verdicts), document["verdict"])
        loop = next((p for p in document["loops"] if p["verdict"] == document["verdict"]), None)
        self.evidence = first_evidence(loop)
        self.rows = rows_named(document)
        if state.loops:
            words = sorted(p["verdict"] for p in document["loops"])
            self.put("loops", words == state.loops, state.loops, words)
        if document["verdict"] not in state.verdicts:
            return
        loop = loop or {}
        self.kind(loop)
        self.who(loop, truth)
        what = loop.get("what") or {}
        if state.library is not ANY:
            self.put("library", what.get("library") in state.library, state.library, what.get("library"))
        self.rule(what)
        for name in ("peer", "path"):
            if getattr(state, name):
                got = what.get(name)
                # A path may be told as the target or as we would write it.
                right = got == truth[name] or name == "path" and got == self.interpreter.root.rstrip("/") + truth[name]
                self.put(name, right, truth[name], got)
        if state.holder:
            self.put("holder", what.get("holder_thread") == truth["thread"], truth["thread"],
                     what.get("holder_thread"))
        if state.flags:
            flags = loop.get("flags") or []
            self.put("flags", set(state.flags) <= set(flags), list(state.flags), flags)
        if loop.get("held_s") is not None and truth.get("held", document["verdict"] == "STALLED"):
            self.held_error = loop["held_s"] - (document["monotonic_s"] - truth["started"])

    def put(self, name, right, expected, got):
        self.results[name] = (bool(right), expected, got)

    def kind(self, loop):
        # HEALTHY has no kind, also where WAITING with one would be as right.
        if self.state.kinds is None or loop.get("verdict") == "HEALTHY":
            return
        kind = loop.get("kind") or ""
        self.put("kind", any(glob(kind, k) for k in self.state.kinds), "/".join(self.state.kinds), kind)

    def who(self, loop, truth):
        who = loop.get("who")
        if self.state.who is None:
            self.put("who", who is None, None, said(who))
        elif self.state.who is True and loop:
            right = who is not None and (
                who["function"] in self.state.also
                or (who["function"] == truth["function"] and os.path.basename(who["file"] or "") == truth["file"]
                    and truth["lines"][0] <= (who["line"] or 0) <= truth["lines"][1]))
            lines = sorted(set(truth["lines"]))
            self.put("who", right, "%s() %s:%s" % (truth["function"], truth["file"], "-".join(map(str, lines))),
                     said(who))

    def rule(self, what):
        """The row named has to be of one of the categories that the kinds allow."""
        rule = what.get("rule")
        if not rule or not self.state.kinds or rule not in CATEGORIES:
            return
        category = CATEGORIES[rule]
        kinds = [k for k in self.state.kinds if k.startswith(("blocked.", "cpu.", "*."))]
        if kinds:
            right = any(glob("blocked." + category, k) or glob(category, k) for k in kinds)
            self.put("rule", right, "/".join(kinds), "%s (%s)" % (rule, category))

    # ---- telling --------------------------------------------------------------------------------------

    @property
    def failed(self):
        return bool(self.error) or not all(right for right, _, _ in self.results.values())

    def status(self):
        return "skipped" if self.skipped else "failed" if self.failed else "passed"

    def fatal(self):
        """No verdict, the wrong one, or a false alarm in a later look."""
        if self.skipped:
            return False
        false = [word for word in self.later if word in FALSE_ALARMS and word not in self.state.verdicts]
        return bool(self.error) or not self.results["verdict"][0] or bool(false)

    def misses(self):
        if self.error:
            return [("error", "", self.error)]
        return [(name, expected, got) for name, (right, expected, got) in self.results.items() if not right]

    def line(self):
        words = ["%-7s" % self.status(), "%-12s" % self.interpreter.id, "%-32s" % self.state.name]
        if self.skipped:
            return " ".join(words + [self.skipped])
        return " ".join(words + ["; ".join("%s: expected %s, got %s" % miss for miss in self.misses())])


def rows_named(document):
    """Of the calls that hold loops, and of the places that tasks wait in."""
    rows = set()
    for loop in document["loops"]:
        what = loop.get("what") or {}
        rows.update([what.get("rule"), what.get("leaf"), "syscall %s" % what.get("system_call")])
        rows.update("await " + e["fact"].rpartition(" ")[2] for e in loop["evidence"] if e["source"] == "await chains")
    return rows & set(CATEGORIES)


def said(who):
    if who is None:
        return None
    return "%s() %s:%s" % (who["function"], os.path.basename(who["file"] or "?"), who["line"])


def first_evidence(loop):
    evidence = (loop or {}).get("evidence") or [{}]
    return evidence[0].get("fact", "")
