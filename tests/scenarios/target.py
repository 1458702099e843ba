# SPDX-License-Identifier: Apache-2.0
"""One target: started, its truth read, left alone until the look, ended with all its children."""
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from interpreters import environment

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.environ.get("STALLSCOPE") or os.path.join(HERE, "..", "..", "build", "stallscope")
UNSURE = 75  # the status of a look that came to no consistent picture; it prints what it has
START = 45  # seconds that a target may take to tell the truth

numbers = iter(range(1, 1 << 20))
numbers_lock = threading.Lock()


class Failure(Exception):
    """Of the target or of the program, not of a verdict."""


@contextlib.contextmanager
def nothing():
    yield


def tail(file):
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-3:])[-300:]


class Target:
    def __init__(self, interpreter, state, services):
        self.interpreter, self.state = interpreter, state
        root = interpreter.root.rstrip("/")
        self.scratch = tempfile.mkdtemp(prefix="stallscope-", dir=root + "/tmp")
        os.chmod(self.scratch, 0o777)
        self.errors = tempfile.TemporaryFile()
        variables = environment(TMPDIR=self.scratch[len(root):], **services.addresses())
        command = interpreter.command + [interpreter.files() + "/stage.py", state.file, state.function]
        if "resolver" in state.needs:
            command = self.with_resolver(command, variables)
        if state.cpu:
            variables["SCENARIO_GATE"] = "1"
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE if state.cpu else subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors, env=variables, cwd="/",
                                        start_new_session=True)
        self.truth, self.pid = {}, None

    def begin(self):
        """The turn of this target has come: lets it through its gate, and waits for the truth."""
        if self.state.cpu:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.write(b"go\n")
                self.process.stdin.flush()
        self.truth = self.read_truth()
        self.pid = self.truth["pid"]
        wait = self.truth["started"] + self.state.settle - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def with_resolver(self, command, variables):
        """In a mount namespace of its own, where resolv.conf names nobody but one of us."""
        with numbers_lock:
            number = next(numbers)
        address = "127.77.%d.%d" % (os.getpid() % 250 + 1, number % 250 + 1)
        variables["SCENARIO_RESOLVER"] = address
        file = os.path.join(self.scratch, "resolv.conf")
        with open(file, "w", encoding="utf-8") as out:
            out.write("nameserver %s\noptions timeout:30 attempts:2\n" % address)
        return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', file,
                self.interpreter.resolv_conf()] + command

    def read_truth(self):
        ready = select.select([self.process.stdout], [], [], START)[0]
        line = self.process.stdout.readline() if ready else b""
        if not line:
            raise Failure("the target told nothing: %s" % tail(self.errors))
        return json.loads(line)

    def cpu_times(self):
        """On a CPU, waiting for one, and whether it wants one now. The wait is counted when it
        ends: one that gets no CPU at all waits for nothing, by that count."""
        try:
            with open("/proc/%d/schedstat" % self.pid, encoding="ascii") as file:
                ran, waited = map(int, file.read().split()[:2])
            with open("/proc/%d/stat" % self.pid, "rb") as file:
                return ran / 1e9, waited / 1e9, file.read().rpartition(b")")[2].split()[0] == b"R"
        except (OSError, IndexError, ValueError):
            return 0, 0, False

    def crowded(self, before, seconds):
        """Whether others took the CPUs from it."""
        after = self.cpu_times()
        return after[1] - before[1] > 0.25 * seconds or (
            before[2] and after[2] and after[0] - before[0] < 0.5 * seconds)

    def look(self, *options):
        """The document of one look, whether others took the CPUs meanwhile, and how much of one
        the loop's thread had."""
        before, began = self.cpu_times(), time.monotonic()
        command = [PROGRAM, "dump", "-f", "json", *options, str(self.pid)]
        try:
            result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20,
                                    check=False)
        except subprocess.TimeoutExpired:
            raise Failure("stallscope did not end within 20 s")
        seconds = time.monotonic() - began
        crowded, ran = self.crowded(before, seconds), self.cpu_times()[0] - before[0]
        if result.returncode not in (0, UNSURE) or not result.stdout:
            raise Failure("stallscope: status %d: %s" % (result.returncode, result.stderr.strip()[-200:]))
        return json.loads(result.stdout), crowded, ran / seconds

    def close(self):
        for path, value in self.truth.get("undo", []):
            with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as file:
                file.write(value)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        for path in self.truth.get("rmdir", []):
            self.remove_group(path)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.errors.close()

    @staticmethod
    def remove_group(path):
        """A control group is busy until the last of its processes is reaped."""
        for _ in range(50):
            try:
                os.rmdir(path)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
