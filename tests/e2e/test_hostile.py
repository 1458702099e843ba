# SPDX-License-Identifier: Apache-2.0
"""Targets that lie about themselves: an answer, soon, in bounded memory, without control characters."""
import json
import os
import re
import subprocess

import pytest

import schema
from conftest import ORDINARY, PROGRAM, Target, settle

STATES = ["ready-ring", "waiters-ring", "timers-size", "timers-endless", "gather-ring", "names", "long-names",
          "deep-threads"]
LARGE = ["deep-threads"]  # too much for the schema: 50 MB
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def look(pid, *args):
    """Text, seconds of CPU and MiB of one dump."""
    child = subprocess.Popen([PROGRAM, "dump", *args, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with child.stdout:
        text = child.stdout.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.WEXITSTATUS(status)
    assert os.WIFEXITED(status) and child.returncode == 0, text
    return text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


@pytest.mark.parametrize("state", STATES)
def test_lies_cost_little(state):
    with Target(ORDINARY, "hostile.py", state) as target:
        settle()
        for args in (), ("-v", "--tasks", "all"), ("-f", "json"):
            text, seconds, size = look(target.pid, *args)
            assert not UNSAFE.search(text)
            assert seconds < 3 and size < 300
        document = json.loads(text) if state in LARGE else schema.parse(text.strip())
        assert document["verdict"] == target.truth["verdict"] or not target.truth["verdict"]
