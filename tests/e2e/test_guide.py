# SPDX-License-Identifier: Apache-2.0
"""stallscope-guide(7), row by row: the situation is staged, the very command of the page is run, and
the line that is said to be the answer is there and true. The excerpts on the page are what the
program prints, but for numbers.

The situations are scenarios of tests/scenarios. Each is staged once, for all rows that need it.
"""
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import ORDINARY, PROGRAM

HERE = pathlib.Path(__file__).resolve().parent
SCENARIOS = HERE.parent / "scenarios"
sys.path.append(str(SCENARIOS))
import interpreters  # noqa: E402
import manifest  # noqa: E402
import target as scenario_target  # noqa: E402

PAGE = HERE.parent.parent / "man" / "stallscope-guide.7"
STATES = {state.name: state for state in manifest.STATES}
ROWS = {}  # title -> the scenarios it is tested with
BUSY_TRIES = 20
# 2,000 tasks, each with a short sleep: a fan-out, and at moments more timers than can be served.
MEANT = {"loops.flood_working": "fanout"}


# ---- the page ----------------------------------------------------------------------------------------

def plain(line):
    """mdoc's text as a reader sees it."""
    return line.replace("\\(dq", '"').replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")


@functools.lru_cache(None)
def page():
    """{title: (commands, lines of excerpts)}, in the order of the page."""
    rows, title, excerpt = {}, None, False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(".Sh "):
            title = None
        elif line.startswith(".Ss "):
            title = plain(line[4:])
            rows[title] = ([], [])
        elif line.startswith((".Bd", ".Ed")):
            excerpt = line.startswith(".Bd")
        elif title and line.startswith(".Dl "):
            rows[title][0].append(plain(line[4:]))
        elif title and excerpt:
            rows[title][1].append(plain(line))
    return rows


# ---- the stage ----------------------------------------------------------------------------------------

class Nothing:
    """No database and no broker is needed."""

    @staticmethod
    def addresses():
        return {}


class Copied(interpreters.Interpreter):
    """Its files are a copy, which may be changed."""

    def __init__(self, folder):
        super().__init__(" ".join([ORDINARY.version, ORDINARY.name, ORDINARY.root, *ORDINARY.command]))
        self.copy = os.path.join(folder, "scenarios")
        shutil.copytree(SCENARIOS, self.copy, ignore=shutil.ignore_patterns("__pycache__"))

    def files(self):
        return self.copy


def shell(command, pid, folder):
    """What the command says; its first word is found where the program under test is."""
    environment = dict(os.environ, PATH=folder + "/bin:" + os.environ["PATH"], LC_ALL="C.UTF-8")
    return subprocess.run(["sh", "-c", command.replace("4242", str(pid))], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False).stdout


def look(command, pid, folder, state):
    """Of one that burns a CPU: where it gets none it is starved indeed, so until it had some, and is
    seen in the state that is meant."""
    for _ in range(BUSY_TRIES):
        text = shell(command, pid, folder)
        if not state.cpu or ("STARVED" not in text and MEANT.get(state.name, "") in text):
            break
        time.sleep(0.3)
    return text


def without_jq(command):
    """jq is a convenience: the JSON in front of it is the answer."""
    return command if shutil.which("jq") else command.split(" | jq")[0]


@functools.lru_cache(None)
def stage(name):
    """{command: what it said} of all commands that a row has for this scenario."""
    state = STATES[name]
    commands = [c for title, names in ROWS.items() if name in names for c in page()[title][0]]
    with tempfile.TemporaryDirectory(prefix="stallscope-guide-") as folder:
        os.mkdir(folder + "/bin")
        os.symlink(os.path.abspath(PROGRAM), folder + "/bin/stallscope")
        interpreter = Copied(folder)
        os.chmod(folder, 0o755)
        interpreter.probe([state])
        with scenario_target.Target(interpreter, state, Nothing) as played:
            played.begin()
            if name == "threads.sleep_in_helper":
                edited = time.time() + 60  # the process is too young for an edit that it would believe
                os.utime(interpreter.copy + "/cases/threads.py", (edited, edited))
            return {c: look(without_jq(c), played.pid, folder, state) for c in commands}


def said(title, name):
    """What the commands of the row say in that scenario."""
    return [stage(name)[command] for command in page()[title][0]]


def row(title, *scenarios):
    """A test of one row: it gets what the row's first command said in each scenario."""
    ROWS[title] = scenarios

    def decorate(check):
        def test():
            check(*(said(title, name)[0] for name in scenarios))
        test.__name__ = check.__name__
        test.__doc__ = title
        return test
    return decorate


def there(text, *patterns):
    """Each pattern in its order, somewhere; blanks and line ends are equal."""
    flat, at = re.sub(r"\s+", " ", text), 0
    for pattern in patterns:
        match = re.compile(pattern).search(flat, at)
        assert match, "no %r in\n%s" % (pattern, text)
        at = match.end()
    return match


def documents(text):
    """JSON values, one after the other, of jq or of the program."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found


HTTP = "web.requests_get" if subprocess.run([*ORDINARY.command, "-c", "import requests"], check=False, cwd="/",
                                            stderr=subprocess.DEVNULL).returncode == 0 else "net.urlopen"


# ---- first signs --------------------------------------------------------------------------------------

@row("Something holds the loop", "threads.sleep")
def test_holds(text):
    there(text, r"STALLED blocked\.sleep", r"has not run for \d+ ms\. (One|Now this) callback holds it: sleep\(\) "
          r"cases/threads\.py:\d+ time\.sleep\(40\)", r"library time: time\.sleep")


@row("What holds it longest", "loops.choppy")
def test_longest(text):
    match = there(text, r"(\d+) holds while we looked, the worst of at least (\d+) ms", r"choppy\(\) cases/loops\.py",
                  r"time\.sleep\(0\.15\)") and re.search(r"(\d+)\s+holds.*?least\s+(\d+)\s+ms", text, re.S)
    assert int(match[1]) >= 2 and 50 <= int(match[2]) <= 300


@row("Tasks that have nothing to do with it stand still too", "loops.stalled_with_ready")
def test_stand_still(text):
    match = there(text, r"suffering (\d+) callbacks ready, (\d+) timers? late \(worst (\d+) ms.*?\), (\d+) tasks")
    assert int(match[1]) >= 1000 and int(match[2]) >= 1 and int(match[3]) >= 300 and int(match[4]) == 25


@row("Starved, or waiting on its own", "threads.sleep", "loops.wait_lock", "loops.idle")
def test_starved_or_waiting(stalled, waiting, idle):
    there(stalled, r"^stallscope: pid \d+ STALLED blocked\.sleep \d\.\d\ds")
    there(waiting, r"^stallscope: pid \d+ WAITING wait\.lock lag=0\.0")
    there(idle, r"^stallscope: pid \d+ HEALTHY lag=0\.0")


@row("Requests time out together", "threads.sleep")
def test_together(text):
    held = there(text, r"has not run for (\d+) ms")
    late = there(text, r"(\d) timers late \(worst (\d+) ms")
    assert int(late[1]) >= 2 and int(late[2]) <= int(held[1])


@row("Busy, and little gets done", "loops.flood_working")
def test_busy(text):
    match = there(text, r"OVERLOADED", r"one turn takes [\d.]+ m?s: (\d+) callbacks were ready at once",
                  r"(\d+) % are flood_working\.<locals>\.working")
    assert int(match[1]) > 50


@row("Heartbeats and scheduled jobs come late", "loops.late_timers")
def test_heartbeats(text):
    match = there(text, r"suffering .*? (\d+) timers late \(worst [\d.]+ m?s: late_timers\.<locals>\.job\)")
    assert int(match[1]) > 100


@row("Is it asyncio's fault", "threads.sleep_in_helper")
def test_fault(text):
    there(text, r"(?:One|Now this) callback holds it: (\S+)\(\) cases/threads\.py:\d+", r"Stack", r"<- yours")
    marked, = [line for line in text.splitlines() if line.endswith("<- yours")]
    assert "cases/threads.py" in marked and "asyncio/" not in marked


@row("Many unrelated tasks are slow at once", "threads.sleep", "loops.wait_lock")
def test_unrelated(stalled, waiting):
    for text, held in ((stalled, True), (waiting, False)):
        loop, = documents(text)
        loop = loop["loops"][0] if "loops" in loop else loop
        assert (loop["lag_s"] >= 0.1) is held and loop["threshold_s"] == 0.1


# ---- suspects ------------------------------------------------------------------------------------------

@row("Synchronous I/O in a coroutine", "net.urlopen")
def test_sync_io(text):
    there(text, r"STALLED blocked\.io\.http", r"It waits for an HTTP response \(recvfrom, fd \d+\)\.",
          r"library urllib\.request", r"peer 127\.0\.0\.1:\d+, ESTABLISHED, nothing received")


@row("Computing in a coroutine", "cpu.loop")
def test_computing(text):
    there(text, r"STALLED cpu\.python", r"loop\(\) cases/cpu\.py:\d+", r"It burns CPU \(\d+ % on CPU",
          r"on CPU \d+ %, waiting for one \d+ % \[schedstat\]")


@row("It looks asynchronous and blocks", "net.urlopen")
def test_looks_async(text):
    frames = text.split("Stack (loop thread")[1].splitlines()
    own = next(i for i, line in enumerate(frames) if line.endswith("async   <- yours"))
    assert "urllib/request.py" in frames[own + 1] and not frames[own + 1].endswith("async")


@row("An await that is never answered", "loops.orphans")
def test_never_answered(text):
    tasks = documents(text)
    if "tasks" in tasks[0]:
        tasks = [t for t in tasks[0]["tasks"] if (t["waits_on"] or {}).get("waker") == "nobody"]
    assert len(tasks) == 200
    there(said("An await that is never answered", "loops.orphans")[1], r"ORPHAN: 200 tasks that nothing can wake up")


# ---- causes --------------------------------------------------------------------------------------------

@row("Synchronous work on the loop", "files.read_pipe", "net.urlopen", "cpu.loop")
def test_sync_work(file, network, cpu):
    there(file, r"STALLED blocked\.file\.read")
    there(network, r"STALLED blocked\.io\.http")
    there(cpu, r"STALLED cpu\.python")


@row("An example: requests.get() in a coroutine", HTTP)
def test_example(text):
    there(text, r"STALLED blocked\.io\.http", r"library (requests|urllib)", r"peer 127\.0\.0\.1:\d+",
          r"Do this: use httpx\.AsyncClient or aiohttp")


@row("One long await while the loop is on time", "loops.wait_lock")
def test_long_await(text):
    match = there(text, r"WAITING wait\.lock", r"healthy \(lag [\d.]+ ms\), its tasks are not served: (\d+) of (\d+) "
                  "wait in one place")
    assert (match[1], match[2]) == ("299", "325")
    there(text, r"resource Lock at 0x[0-9a-f]+: 299 wait, likely held by task Task-\d+")


@row("Parsing, compressing, serialising", "cpu.zlib_compress")
def test_compressing(text):
    there(text, r"STALLED cpu\.compress", r"library zlib: zlib\.compress",
          r"Do this: await asyncio\.to_thread\(zlib\.compress, \.\.\.\): it releases the GIL")


@row("Too many pending tasks", "loops.flood_working")
def test_too_many(text):
    match = there(text, r"OVERLOADED", r"(\d+) callbacks were ready at once, about (\S+) (us|ms) each on average\.")
    assert int(match[1]) >= 500


@row("A fan-out that is too wide", "loops.flood_working")
def test_fan_out(text):
    loop, = documents(text)
    loop = loop["loops"][0] if "loops" in loop else loop
    assert loop["kind"] == "fanout"
    top = loop["ready_sample"]["top"][0]
    assert top["name"].endswith("working") and 2 * top["count"] > loop["ready_sample"]["sampled"]


@row("Retries that outrun their end", "loops.retry_storm")
def test_retries(text):
    loop, = documents(text)
    loop = loop["loops"][0] if "loops" in loop else loop
    assert loop["tasks"]["total"] > 15000 and loop["tasks"]["under_retry"] > 10000


@row("Background tasks without a limit", "loops.growing")
def test_growing(text):
    there(text, r"GROWING: the number of tasks grows")
    tasks, = documents(said("Background tasks without a limit", "loops.growing")[1])
    tasks = tasks["loops"][0]["tasks"] if "loops" in tasks else tasks
    assert tasks["growth_per_s"] > 100


@row("Queues and back-pressure", "loops.wait_queue_put")
def test_queues(text):
    there(text, r"WAITING wait\.queue\.put", r"where asyncio\.Queue\.put on a full queue",
          r"resource Queue at 0x[0-9a-f]+: 299 wait, 1 of 1 item")


@row("Tasks that nobody owns", "loops.growing")
def test_unowned(text):
    coroutines = documents(text)
    if "tasks" in coroutines[0]:
        coroutines = [t["coroutine"] for t in coroutines[0]["tasks"] if t["owner"] == "nobody"]
    assert coroutines.count("rest") > 100 and "serve" not in coroutines


@row("Loop, tasks and queues together", "loops.wait_queue_put")
def test_together_with_tasks(text):
    there(text, r"^stallscope: pid \d+ WAITING", r"resource Queue", r"N oldest waits on coroutine where",
          r"299 (>= [\d.]+ m?s|-) Queue\.put Queue\.put")


# ---- the order of work --------------------------------------------------------------------------------

@row("1. The longest path: does one handler dominate", "loops.choppy")
def test_dominates(text):
    counts = [line.split(None, 1) for line in text.splitlines()]
    assert int(counts[0][0]) == 3 and counts[0][1].startswith("choppy()  cases/loops.py:"), text


@row("What changed in that path", "threads.sleep_in_helper")
def test_changed(text):
    there(text, r"(One|Now this) callback holds it: \S+\(\) cases/threads\.py:\d+ .*? \[file changed since start\]")


@row("2. Calls to look for", "net.urlopen")
def test_calls(text):
    there(text, r"requests: a call that the catalogue knows", r"STALLED blocked\.io\.http", r"do this: use httpx")
    there(said("2. Calls to look for", "net.urlopen")[1], r"In the catalogue of calls: \d+ rows", r"psycopg2:connect")


@row("3. Blocking, computing, too many", "files.read_pipe", "cpu.zlib_compress", "loops.flood_working")
def test_three_words(blocking, computing, many):
    there(blocking, r"^stallscope: pid \d+ STALLED blocked\.")
    there(computing, r"^stallscope: pid \d+ STALLED cpu\.")
    there(many, r"^stallscope: pid \d+ OVERLOADED ")


@row("4. Long awaits and fan-out", "loops.wait_task_group" if ORDINARY.minor >= 11 else "loops.wait_for")
def test_tree(text):
    lines = text.splitlines()
    if ORDINARY.minor >= 11:
        groups = [i for i, line in enumerate(lines) if re.match(r" Task-\d+  \S+\.group  TaskGroup  UNOWNED  ", line)]
        assert len(groups) == 100
        for i in groups:  # what is in the group hangs below it
            assert all(re.match(r"   Task-\d+  rest  asyncio\.sleep  ", line) for line in lines[i + 1:i + 4])
    there(said("4. Long awaits and fan-out", "loops.wait_task_group" if ORDINARY.minor >= 11 else "loops.wait_for")[1],
          r"N oldest waits on coroutine where")


@row("5. Before and after", "loops.growing")
def test_before_and_after(_):
    texts = said("5. Before and after", "loops.growing")
    grown = re.search(r"^<.*?(\d+) tasks\.$.*^>.*?(\d+) tasks\.$", texts[-1], re.M | re.S)
    assert grown and int(grown[2]) > int(grown[1]), texts[-1]


# ---- fixes ---------------------------------------------------------------------------------------------

@row("Synchronous I/O: an async client, or off the loop", "net.urlopen")
def test_fix_io(text):
    there(text, r"Do this: use httpx\.AsyncClient or aiohttp; quick fix: await asyncio\.to_thread\(urlopen")


@row("Computing: less of it, or elsewhere", "cpu.loop", "cpu.zlib_compress")
def test_fix_cpu(python, zlib):
    there(python, r"Do this: make it shorter, .*? ProcessPoolExecutor; a thread helps only if the call releases")
    there(zlib, r"Do this: await asyncio\.to_thread\(zlib\.compress")


@row("Fan-out: a bound", "loops.flood_working")
def test_fix_fan_out(text):
    there(text, r"(\d+) % are flood_working\.<locals>\.working", r"Do this: bound the concurrency: asyncio\.Semaphore")


@row("A slow dependency: timeouts", "net.recv", "net.recv_timeout")
def test_fix_timeouts(without, with_one):
    there(without, r"peer 127\.0\.0\.1:\d+, ESTABLISHED, nothing received, no timeout is set")
    there(with_one, r"peer 127\.0\.0\.1:\d+, ESTABLISHED, nothing received, timeout 40\.00 s")


@row("Coordination upstream: owners and queues", "loops.wait_lock")
def test_fix_owners(text):
    found = documents(text)
    if "loops" in found[0]:
        found = found[0]["loops"][0]["resources"]
    lock, = [r for r in found if r["type"] == "Lock"]
    assert lock["waiters"] == 299 and len(lock["likely_holders"]) == 1


# ---- questions ------------------------------------------------------------------------------------------

@row("What exactly holds the loop", "net.urlopen")
def test_exactly(text):
    there(text, r"urlopen\(\) \S*/cases/net\.py:\d+ urllib\.request\.urlopen",
          r"Stack \(loop thread, newest last\): task handle-request-1",
          r"\S*/urllib/request\.py:\d+ urlopen", r"SocketIO\.readinto (?:--- native .*?)?\[system call\] recvfrom")


@row("Does async def mean that it cannot block", "threads.sleep")
def test_async_def(text):
    there(text, r"cases/threads\.py:\d+ sleep async <- yours (?:--- native .*?)?\[system call\] clock_nanosleep")


@row("What is the fastest first step", "threads.sleep")
def test_first_step(text):
    assert re.fullmatch(r"stallscope: pid \d+ STALLED blocked\.sleep \d\.\d\ds\n", text)


@row("Is every slow service a blocked loop", "loops.idle", "loops.wait_lock")
def test_every_slow(idle, waiting):
    there(idle, r"HEALTHY", r"The event loop is healthy \(lag 0\.\d ms\) in the \d+ ms looked at\.", r"Do this: the loop is not the problem now")
    there(waiting, r"WAITING", r"The event loop is healthy \(lag \d+\.\d ms\), its tasks are not served")


@row("Can many small tasks block the loop", "loops.flood_working")
def test_many_small(text):
    there(text, r"The loop turns, but one turn takes .*? each on average\.")


# ---- the page itself --------------------------------------------------------------------------------------

def test_every_row_is_tested():
    assert list(page()) == list(ROWS)
    assert all(commands for commands, _ in page().values())


def masked(text):
    """Without what differs from run to run: numbers, how many there are of each, other load."""
    # a loop that stood still while it was looked at tells more of its waits
    text = re.sub(r"(?m)^( *\d+)  (?:-|(?:>= )?\d[\d.]* (?:ms|[smhd]))  +(?=\S)", r"\1 AGE ", text)
    text = re.sub(r"0x[0-9a-f]+|\d[\d.]*", "#", text)
    text = re.sub(r"(# % on CPU), # % waiting for one\)", r"\1)", text)
    text = re.sub(r"\b(callback|timer|task)s?\b", r"\1", text)
    # whether the callback is the first of its turn
    text = re.sub(r"\b(One|Now this) callback holds", "# callback holds", text)
    text = re.sub(r"\b(certain|high): select returned", "#: select returned", text)
    return re.sub(r"\s+", " ", re.sub(r"# (ms|us|s)\b|#s\b", "#", text))


@pytest.mark.skipif(ORDINARY.minor != 11, reason="the excerpts are of 3.11")
@pytest.mark.parametrize("title", page())
def test_excerpts_are_real(title):
    printed = masked(" ".join(text for name in ROWS[title] for text in said(title, name)))
    if not shutil.which("jq") and any("| jq" in command for command in page()[title][0]):
        return  # what jq makes of it has been read field by field
    if HTTP == "net.urlopen" and title.startswith("An example"):
        return  # the same, of another client
    for line in page()[title][1]:
        assert line.strip() == "..." or masked(line).strip() in printed, "not printed: %s\n%s" % (line, printed)
