# SPDX-License-Identifier: Apache-2.0
"""Tasks that come and go while they are read: what is shown as sound is so. (tests/bench/churn takes
as many snapshots as are asked for.)"""
import churn
from conftest import ORDINARY, PROGRAM, Target, dump, settle


def test_nothing_wrong_is_sound(interpreter):
    with interpreter.path("churn") as (inside, outside), \
            Target(interpreter, "churn.py", inside, 500, 10000) as target:
        settle()
        count = churn.watch(PROGRAM, target.pid, outside, 40)
    assert not count.failed and not count.wrong, count.examples
    # on a machine with nothing else to do it is 99 of 100
    assert count.complete >= 0.8 * count.snapshots, (count.row(), count.problems)
    assert count.words["repaired"], "the target has not moved"


def test_each_task_counts_once():
    """Not twice in the answer, and not against the limit, however often the list of them is read."""
    with Target(ORDINARY, "waits.py", "own-beside") as target:
        settle()
        for _ in range(4):
            document = dump(target.pid, "--max-tasks", 400, "--for", "0")
            ids = {task["id"] for task in document["tasks"]}
            assert len(ids) == len(document["tasks"]) > 300
            assert not any("limit" in problem["what"] for problem in document["problems"])


def test_one_that_holds_still_is_read_once(interpreter):
    with Target(interpreter, "states.py", "blocked") as target:
        settle()
        tool = dump(target.pid)["tool"]
    assert (tool["consistency"], tool["retries"]) == ("consistent", 0)
