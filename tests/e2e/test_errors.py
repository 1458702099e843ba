# SPDX-License-Identifier: Apache-2.0
"""Errors name the cause and the fix, on standard error, with the promised status, at once."""
import os
import shutil
import stat
import subprocess
import sys
import threading
import time

import pytest

from conftest import ORDINARY, PROGRAM, Target, dump, run, settle

AT_ONCE = 3


def fails(status, *args, says=(), **options):
    result = run(*args, timeout=AT_ONCE, **options)
    assert result.returncode == status, result.stderr
    assert result.stderr.startswith("stallscope: ")
    for words in says:
        assert words in result.stderr
    assert not result.stdout
    return result


def test_no_such_process():
    fails(66, "dump", "99999999", says=["no process with pid 99999999"])
    fails(66, "dump", "0")
    fails(66, "dump", "999999999999999999999")


def test_no_such_file(tmp_path):
    fails(66, "dump", tmp_path / "nothing", says=["No such file"])


def test_not_a_core(tmp_path):
    garbage = tmp_path / "garbage"
    garbage.write_bytes(os.urandom(10000))
    fails(69, "dump", garbage, says=["not a core"])
    fails(69, "dump", "/bin/true", says=["not a core"])
    fails(69, "dump", tmp_path, says=["not a regular file"])
    os.mkfifo(tmp_path / "fifo")
    fails(69, "dump", tmp_path / "fifo")


def test_not_python():
    child = subprocess.Popen(["sleep", "60"])
    try:
        time.sleep(0.1)
        fails(69, "dump", child.pid, says=["is not CPython"])
    finally:
        child.kill()
        child.wait()


def test_zombie():
    child = subprocess.Popen(["true"])
    time.sleep(0.3)
    fails(69, "dump", child.pid, says=["zombie", "its parent, process %d" % os.getpid()])
    child.wait()


def test_kernel_thread():
    if os.path.exists("/proc/2/exe") or not os.path.exists("/proc/2/stat"):
        pytest.skip("no kernel threads are visible here")
    fails(69, "dump", "2", says=["kernel"])


@pytest.mark.parametrize("args", [["--no-such-option", "1"], ["dump"], [], ["dump", "--for", "soon", "1"],
                                  ["dump", "-f", "xml", "1"], ["dump", "--threshold", "0", "1"],
                                  ["dump", "--tasks", "some", "1"], ["dump", "--label", "x", "1"],
                                  ["dump", "--dump-layout", "x", "1"], ["dump", "--save", "/tmp/x", "1", "2"], ["dump", "--max-tasks", "-1", "1"]])
def test_usage(args):
    result = run(*args, timeout=AT_ONCE)
    assert result.returncode == 2 and not result.stdout
    assert "stallscope" in result.stderr


@pytest.mark.parametrize("args, meant", [
    (["dmup", "1"], "'dump'"), (["wtch", "1"], "'watch'"), (["REPORT"], "'report'"), (["sp"], "'ps'"), (["chek"], "'check'"),
    (["dump", "--formt", "json", "1"], "--format"), (["dump", "--treshold=1s", "1"], "--threshold"), (["ps", "--ascci"], "--ascii"),
    (["foo"], None), (["p"], "'ps'"), (["/dmup"], "'dump'"), (["12"], None), (["dump", "--xyz"], None),
    (["ps", "--nativ", "x"], None), (["dump", "--format"], None)])
def test_misspelled(args, meant, tmp_path):
    """What was likely meant is told; a file of that name is a file."""
    result = run(*args, timeout=AT_ONCE, cwd=tmp_path)
    assert ("did you mean" in result.stderr) == bool(meant)
    if not meant:
        return
    assert result.returncode == 2 and "did you mean %s?" % meant in result.stderr
    if meant.startswith("'") and "/" not in args[0]:
        (tmp_path / args[0]).write_text("a file")
        assert "did you mean" not in run(*args[:1], timeout=AT_ONCE, cwd=tmp_path).stderr


def test_help_and_version():
    for args in (["--help"], ["dump", "--help"], ["doctor", "--help"]):
        result = run(*args)
        assert result.returncode == 0 and result.stdout.startswith("usage: stallscope")
        assert max(map(len, result.stdout.splitlines())) <= 80
    assert run("--version").stdout.startswith("stallscope ")


def test_unsupported_python():
    old = [p for p in ("/usr/bin/python2.7", os.path.expanduser("~/.pyenv/versions/2.7.18/bin/python2.7"),
                       os.path.expanduser("~/.pyenv/versions/3.7.16/bin/python3.7")) if os.path.exists(p)]
    if not old:
        pytest.skip("no Python older than 3.8 on this machine")
    for python in old:
        child = subprocess.Popen([python, "-c", "import time; time.sleep(60)"])
        try:
            time.sleep(0.3)
            fails(69, "dump", child.pid, says=["3.8 to 3.15"])
        finally:
            child.kill()
            child.wait()


def as_nobody(tmp_path):
    """A copy of the program that uid 1000 can run."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    os.chmod(tmp_path, 0o755)
    for folder in list(tmp_path.parents)[:3]:
        if str(folder).startswith("/tmp/"):
            os.chmod(folder, 0o755)
    program = shutil.copy(PROGRAM, tmp_path / "stallscope")
    return ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", str(program)]


def test_permission(tmp_path):
    command = as_nobody(tmp_path)
    with Target(ORDINARY, "states.py", "idle") as target:
        result = subprocess.run(command + ["dump", str(target.pid)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=AT_ONCE, check=False)
        assert result.returncode == 77, result.stderr
        assert "belongs to uid 0" in result.stderr and "sudo" in result.stderr


def test_not_dumpable(tmp_path):
    command = as_nobody(tmp_path)
    code = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print(1, flush=True); time.sleep(60)"
    child = subprocess.Popen(command[:-1] + ["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        result = subprocess.run(command + ["dump", str(child.pid)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, timeout=AT_ONCE, check=False)
        assert result.returncode == 77 and "not dumpable" in result.stderr
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_output_errors(tmp_path):
    with Target(ORDINARY, "states.py", "idle") as target:
        fails(73, "dump", "--for", "0", "-o", tmp_path / "no" / "file", target.pid)
        fails(74, "dump", "--for", "0", "-o", "/dev/full", target.pid)
        fails(73, "dump", "--for", "0", "--save", tmp_path / "no" / "file", target.pid)
        with open("/dev/full", "w") as full:
            result = subprocess.run([PROGRAM, "dump", "--for", "0", str(target.pid)], stdout=full,
                                    stderr=subprocess.PIPE, text=True, timeout=AT_ONCE, check=False)
        assert result.returncode == 74
        out = tmp_path / "out.json"
        out.write_text("old")
        assert run("dump", "-f", "json", "-o", out, target.pid).returncode == 0
        assert out.read_text().startswith("{")
        assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_mode_of_an_output(tmp_path):
    """A dump may have secrets in it: no one else may read it whom the user would not let."""
    for umask, mode in ((0o077, 0o600), (0o022, 0o644)):
        file = tmp_path / ("output-%o" % umask)
        assert run("ps", "-o", file, umask=umask).returncode == 0
        assert stat.S_IMODE(file.stat().st_mode) == mode
    file.chmod(0o640)
    assert run("ps", "-o", file).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_output_of_a_failed_dump_leaves_the_file(tmp_path):
    out = tmp_path / "out.json"
    out.write_text("old")
    fails(66, "dump", "-o", out, "99999999")
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_closed_pipe():
    with Target(ORDINARY, "states.py", "parked") as target:
        child = subprocess.Popen([PROGRAM, "dump", "-f", "json", str(target.pid)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        child.stdout.close()
        assert child.wait(timeout=AT_ONCE) == 74
        child.stderr.close()


def test_traced_by_another():
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    with Target(ORDINARY, "states.py", "blocked") as target:
        settle()
        tracer = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", str(target.pid)],
                                  stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            assert dump(target.pid)["verdict"] == "STALLED"
            assert "traces it" in run("doctor", target.pid).stdout
        finally:
            tracer.terminate()
            tracer.wait()


def test_ends_in_the_middle():
    for delay in (0.01, 0.05, 0.1):
        with Target(ORDINARY, "states.py", "idle") as target:
            timer = threading.Timer(delay, target.process.kill)
            timer.start()
            result = run("dump", target.pid, timeout=AT_ONCE)
            timer.join()
            assert result.returncode in (0, 66, 69), result.stderr


def test_exec_in_the_middle():
    code = "import os, sys, time; time.sleep(0.4); os.execv('/bin/sleep', ['sleep', '5'])"
    child = subprocess.Popen([sys.executable, "-c", code])
    try:
        time.sleep(0.2)
        result = run("dump", "--for", "1s", child.pid, timeout=AT_ONCE)
        assert result.returncode in (0, 66)
        time.sleep(0.4)
        fails(69, "dump", child.pid)
    finally:
        child.kill()
        child.wait()


def test_doctor():
    assert "CAP_SYS_PTRACE" in run("doctor").stdout
    with Target(ORDINARY, "states.py", "idle") as target:
        result = run("doctor", target.pid)
        assert result.returncode == 0 and "ok: CPython 3.11" in result.stdout
    result = run("doctor", "99999999")
    assert result.returncode == 66 and "FAILS: no process" in result.stdout


def test_dump_layout_equals_the_table(interpreter, tmp_path):
    """The table of the layouts is what the program makes from the interpreter's own DWARF."""
    if not interpreter.id.endswith("-pyenv"):
        pytest.skip("this build has no debug information")
    out = tmp_path / "layout.def"
    with Target(interpreter, "states.py", "idle") as target:
        result = run("doctor", "--dump-layout", out, target.pid, timeout=60)
        assert result.returncode == 0, result.stdout
    table = os.path.join(os.path.dirname(__file__), "../../src/cpython/layout_x86_64.def")
    with open(table) as file:
        known = {line.strip() for line in file if line.startswith(("F(", "BIT("))}
    rows = [line.strip() for line in out.read_text().splitlines() if line.startswith(("F(", "BIT("))]
    assert len(rows) > 80 and not set(rows) - known
