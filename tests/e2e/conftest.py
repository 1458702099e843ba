# SPDX-License-Identifier: Apache-2.0
"""Real interpreters, real targets: what the program says is compared with what they know.

STALLSCOPE names the program under test (default build/stallscope).
"""
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import schema

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = HERE.parent / "targets"
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"  # no rows of the user's own
os.environ.pop("COLUMNS", None)
PROGRAM = os.environ.get("STALLSCOPE") or str(HERE.parent.parent / "build" / "stallscope")
VERSIONS = ["3.%d" % minor for minor in range(8, 16)]


class Interpreter:
    def __init__(self, line):
        self.version, self.name, self.root, *self.command = line.split()
        self.minor = int(self.version.split(".")[1])
        self.id = "%s-%s" % (self.version, self.name)
        self.folder = None

    def targets(self):
        """The folder of the targets as this interpreter sees it."""
        if self.root == "/":
            return str(TARGETS)
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="stallscope-", dir=self.root + "/tmp")
            os.chmod(self.folder, 0o755)
            for file in TARGETS.glob("*.py"):
                shutil.copy(file, self.folder)
        return "/tmp/" + os.path.basename(self.folder)

    @contextlib.contextmanager
    def path(self, name):
        """A scratch file: its name inside, and its name for us."""
        inside = "/tmp/stallscope-%d-%s" % (os.getpid(), name)
        outside = self.root.rstrip("/") + inside
        try:
            yield inside, outside
        finally:
            if os.path.exists(outside):
                os.unlink(outside)


def find_interpreters():
    found = subprocess.run([str(HERE.parent / "interpreters")], stdout=subprocess.PIPE, text=True,
                           check=False, timeout=1200)
    if found.returncode:
        pytest.exit("tests/interpreters failed: a version that this machine offers does not run", 1)
    interpreters = [Interpreter(line) for line in found.stdout.splitlines()]
    if not any(i.root == "/" for i in interpreters):
        pytest.exit("tests/interpreters found no CPython 3.8 to 3.15 outside a chroot", 1)
    return sorted(interpreters, key=lambda i: i.minor)


INTERPRETERS = find_interpreters()
# One for tests that are not about versions: Debian's own where there is one.
ORDINARY = min((i for i in INTERPRETERS if i.root == "/"), key=lambda i: i.name != "debian")


def pytest_generate_tests(metafunc):
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", INTERPRETERS, ids=lambda i: i.id)


def pytest_terminal_summary(terminalreporter):
    """Counts an interpreter as covered when a test passed with it, not when it was found."""
    passed = [report.nodeid for report in terminalreporter.stats.get("passed", [])]
    names = {v: [i.name for i in INTERPRETERS if i.version == v
                 and any(re.search(r"[\[-]%s[\]-]" % re.escape(i.id), node) for node in passed)] for v in VERSIONS}
    covered = ["%s (%s)" % (v, ", ".join(names[v])) for v in VERSIONS if names[v]]
    missing = [v for v in VERSIONS if not names[v]]
    terminalreporter.write_line("interpreters covered: %s" % (", ".join(covered) or "none"))
    terminalreporter.write_line("interpreters missing: %s" % (" ".join(missing) or "none"))


def pytest_sessionfinish():
    for interpreter in INTERPRETERS:
        if interpreter.folder:
            shutil.rmtree(interpreter.folder, ignore_errors=True)


class Target:
    """A running target and its truth."""

    def __init__(self, interpreter, script, *args, stdin=subprocess.DEVNULL):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            interpreter.command + ["%s/%s" % (interpreter.targets(), script)] + [str(a) for a in args],
            stdin=stdin, stdout=subprocess.PIPE, stderr=self.errors, env=environment, cwd="/")
        self.pid = self.process.pid
        self.truth = self.read_truth()
        assert self.truth["pid"] == self.pid

    def read_truth(self, seconds=60):
        ready = select.select([self.process.stdout], [], [], seconds)[0]
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.close(keep_errors=True)
            self.errors.seek(0)
            raise AssertionError("the target told nothing: " + self.errors.read().decode(errors="replace"))
        return json.loads(line)

    def close(self, keep_errors=False):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()
        if not keep_errors:
            self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def run(*args, timeout=20, **options):
    """The program, to its end; never longer than timeout."""
    options.setdefault("env", dict(os.environ))  # readline sets COLUMNS beside os.environ
    return subprocess.run([PROGRAM] + [str(a) for a in args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False, **options)


def dump(pid, *args):
    """The JSON document of one dump, checked against the contract."""
    result = run("dump", "-f", "json", *args, pid)
    assert result.returncode == 0, result.stderr
    line, = result.stdout.split("\n")[:-1]
    return schema.parse(line)


def dump_on_a_cpu(pid, *args):
    """Of a target that burns CPU. Where others take all CPUs from it the verdict is STARVED, and
    rightly so: asks until it had one."""
    for _ in range(20):
        document = dump(pid, *args)
        if document["verdict"] != "STARVED":
            break
        assert all((loop["kind"] or "").startswith("cpu") for loop in document["loops"])
        time.sleep(0.2)
    return document


def states(pid):
    """The state of each thread; of none when it ended."""
    found = []
    with contextlib.suppress(OSError):
        for tid in os.listdir("/proc/%d/task" % pid):
            with contextlib.suppress(OSError), open("/proc/%d/task/%s/stat" % (pid, tid)) as file:
                found.append(file.read().rpartition(")")[2].split()[0])
    return found


def settle():
    """Lets a target get past printing its truth and into the hold."""
    time.sleep(0.25)
