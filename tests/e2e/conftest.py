# SPDX-License-Identifier: Apache-2.0
"""Real interpreters, real targets: what the program says is compared with what they know.

STALLSCOPE names the program under test (default build/stallscope).
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

import jsonschema
import pytest

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = HERE.parent / "targets"
PROGRAM = os.environ.get("STALLSCOPE") or str(HERE.parent.parent / "build" / "stallscope")
VERSIONS = ["3.%d" % minor for minor in range(8, 16)]


SCHEMA = json.loads((HERE.parent.parent / "data" / "stallscope-1.schema.json").read_text())


class Interpreter:
    def __init__(self, line):
        version, name, self.root, *self.command = line.split()
        self.version = version
        self.minor = int(version.split(".")[1])
        self.id = "%s-%s" % (version, name)
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

    def path(self, name):
        """A scratch file: its name inside, and its name for us."""
        inside = "/tmp/stallscope-%d-%s" % (os.getpid(), name)
        return inside, (self.root.rstrip("/") + inside)


def find_interpreters():
    found = subprocess.run([str(HERE.parent / "interpreters")], stdout=subprocess.PIPE, text=True,
                           check=False, timeout=1200)
    if found.returncode:
        pytest.exit("tests/interpreters failed: a version that this machine offers does not run", 1)
    return [Interpreter(line) for line in found.stdout.splitlines()]


INTERPRETERS = find_interpreters()
# One for tests that are not about versions: Debian's own, always there.
ORDINARY = next(i for i in INTERPRETERS if i.id.endswith("-debian"))


def pytest_generate_tests(metafunc):
    if "interpreter" in metafunc.fixturenames:
        metafunc.parametrize("interpreter", INTERPRETERS, ids=lambda i: i.id)


def pytest_terminal_summary(terminalreporter):
    covered = " ".join(i.id for i in INTERPRETERS)
    missing = [v for v in VERSIONS if v not in {i.version for i in INTERPRETERS}]
    terminalreporter.write_line("interpreters covered: %s" % covered)
    terminalreporter.write_line("interpreters missing: %s" % (" ".join(missing) or "none"))


def pytest_sessionfinish():
    for interpreter in INTERPRETERS:
        if interpreter.folder:
            shutil.rmtree(interpreter.folder, ignore_errors=True)


class Target:
    """A running target and its truth."""

    def __init__(self, interpreter, script, *args):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            interpreter.command + ["%s/%s" % (interpreter.targets(), script)] + [str(a) for a in args],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd="/")
        self.truth = self.read_truth()
        self.pid = self.process.pid

    def read_truth(self, seconds=60):
        ready = select.select([self.process.stdout], [], [], seconds)[0]
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.close()
            raise AssertionError("the target told nothing")
        return json.loads(line)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def run(*args, timeout=20, **options):
    """The program, to its end; never longer than timeout."""
    return subprocess.run([PROGRAM] + [str(a) for a in args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False, **options)


def dump(pid, *args):
    """The JSON document of one dump."""
    result = run("dump", "-f", "json", *args, pid)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    document = json.loads(lines[0])
    jsonschema.validate(document, SCHEMA)
    return document


def settle():
    """Lets a target get past printing its truth and into the hold."""
    time.sleep(0.25)
