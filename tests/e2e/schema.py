# SPDX-License-Identifier: Apache-2.0
"""A JSON document of `dump`, checked: strict JSON, the installed JSON Schema, and what no schema can
say but must be true of any document, whatever was looked at."""
import json
import pathlib

import jsonschema

INSTALLED = pathlib.Path(__file__).resolve().parents[2] / "data" / "stallscope-1.schema.json"
SCHEMA = json.loads(INSTALLED.read_text())
VALIDATOR = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
EXPLAIN = jsonschema.validators.validator_for(SCHEMA)(SCHEMA["$defs"]["explain"])
LINE = VALIDATOR.evolve(schema={"$ref": "#/$defs/line"})
REPORT = VALIDATOR.evolve(schema={"$ref": "#/$defs/report"})
DIFF = VALIDATOR.evolve(schema={"$ref": "#/$defs/diff"})
PS = VALIDATOR.evolve(schema={"$ref": "#/$defs/ps"})
VERDICTS = SCHEMA["properties"]["verdict"]["enum"]


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def is_control(char):
    """Not to be printed: C0, DEL, C1, surrogates, bidirectional controls, tags."""
    code = ord(char)
    return (code < 0x20 or 0x7f <= code < 0xa0 or 0xd800 <= code < 0xe000 or 0x202a <= code <= 0x202e
            or 0x2066 <= code <= 0x2069 or 0xe0000 <= code < 0xe1000)


def threads_of(document, loop):
    return [thread for thread in document["threads"] if thread["id"] == loop["thread"]]


def contradictions(document):
    """What cannot be true at the same time, one line each."""
    loops = {loop["id"] for loop in document["loops"]}
    tasks = {task["id"]: task for task in document["tasks"]}
    threads = {(thread["id"], thread["interpreter"]) for thread in document["threads"]}
    for what, one, many in (("loop", loops, document["loops"]), ("task", tasks, document["tasks"]),
                            ("thread", threads, document["threads"])):
        if len(one) != len(many):
            yield "a %s is listed twice" % what
    for task in document["tasks"]:
        if task["loop"] is not None and task["loop"] not in loops:
            yield "task %s belongs to a loop that is not listed" % task["id"]
    for thread in document["threads"]:
        if thread["id"] <= 0:
            yield "a thread has no id"
        for frame in thread["frames"]:
            if not {"file", "line"} <= set(frame):
                yield "a frame leaves out what is unknown: %r" % frame
    for loop in document["loops"]:
        yield from contradictions_of_loop(document, loop, tasks)
    for string in strings(document):
        if any(map(is_control, string)):
            yield "control characters in %r" % string
    if document["problems"] and not all(problem["count"] for problem in document["problems"]):
        yield "a problem that never happened"


def contradictions_of_loop(document, loop, tasks):
    counts, batch, threads = loop["tasks"], loop["batch"], threads_of(document, loop)
    if not any(thread["loop"] == loop["id"] for thread in threads):
        yield "no thread runs loop %s" % loop["id"]
    if counts["read"] > counts["total"] or counts["torn"] > counts["total"]:
        yield "more tasks read or torn than there are: %r" % counts
    task = tasks.get(loop["current_task"])
    if task and task["state"] != "running":
        yield "the current task is %s" % task["state"]
    if batch and not 0 <= batch["index"] < batch["of"]:
        yield "callback %d of %d" % (batch["index"], batch["of"])
    if loop["phase"] == "select" and (loop["held_s"] is not None or loop["verdict"] == "STALLED"):
        yield "held while it waits in select"
    if loop["verdict"] == "STALLED":
        if loop["held_s"] is None or loop["held_s"] < loop["threshold_s"]:
            yield "STALLED, but held for %r" % loop["held_s"]
        if not loop["kind"] or not loop["evidence"] or not loop["advice"]:
            yield "STALLED without kind, evidence or advice"
    if loop["timers"] is not None and (loop["timers_late"] or 0) > loop["timers"]:
        yield "more timers late than there are"
    for group in loop["groups"]:
        if group["where"] and not {"function", "qualname", "file", "line"} <= set(group["where"]):
            yield "a group leaves out what is unknown: %r" % group["where"]


def once(pairs):
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), "a key is there twice: %r" % keys
    return dict(pairs)


def no_constant(constant):
    raise AssertionError("%s is not JSON" % constant)


def parse(line):
    """One document, checked."""
    document = json.loads(line, object_pairs_hook=once, parse_constant=no_constant)
    VALIDATOR.validate(document)
    wrong = list(contradictions(document))
    assert not wrong, "\n".join(wrong[:20])
    return document


def parse_line(line):
    """One line of a recording, checked."""
    document = json.loads(line, object_pairs_hook=once, parse_constant=no_constant)
    if document.get("type") == "snapshot" and "detail" not in document:
        return parse(line)
    LINE.validate(document)
    wrong = [string for string in strings(document) if any(map(is_control, string))]
    assert not wrong, wrong
    return document
