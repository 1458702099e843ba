# SPDX-License-Identifier: Apache-2.0
"""No harm: the program reads, and does nothing else to its target."""
import os
import re
import shutil
import subprocess

import pytest

from conftest import ORDINARY, PROGRAM, Target, run, settle

FORBIDDEN = "ptrace,kill,tkill,tgkill,process_vm_writev,pidfd_send_signal,rt_sigqueueinfo,setns"


@pytest.mark.parametrize("state", ["blocked", "cpu", "idle", "flood"])
def test_stops_nothing_and_writes_nothing(state, tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    log = tmp_path / "strace"
    with Target(ORDINARY, "states.py", state) as target:
        settle()
        subprocess.run(["strace", "-f", "-o", str(log), PROGRAM, "dump", "--native", "never", str(target.pid)], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
    calls = log.read_text()
    assert "pread64" in calls
    for call in FORBIDDEN.split(","):
        assert not re.search(r"\b%s\(" % call, calls), call
    for opened in re.findall(r"open(?:at|at2)?\(.*", calls):
        if "/proc" in opened or '"mem"' in opened:
            assert "O_RDWR" not in opened and "O_WRONLY" not in opened
    processes = {line.split()[0] for line in calls.splitlines()}
    assert len(processes) == 1


def switches(pid):
    """How often the kernel has switched this process on and off a CPU."""
    with open("/proc/%d/status" % pid) as file:
        return {line.split(":")[0]: int(line.split()[1]) for line in file if "ctxt_switches" in line}


@pytest.mark.parametrize("state", ["blocked", "sync", "thread"])
def test_target_is_not_even_woken(state):
    """It sleeps in one system call: whoever stops, signals or interrupts it makes it run."""
    with Target(ORDINARY, "states.py", state) as target:
        settle()
        before = switches(target.pid)
        for _ in range(10):
            assert run("dump", "--native", "never", "--for", "50ms", target.pid).returncode == 0
        assert len(before) == 2 and switches(target.pid) == before


def test_waiting_in_epoll_is_not_disturbed():
    """A stop would end this epoll_wait early with EINTR: it must last as long as it was asked."""
    code = ("import ctypes, time\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "fd = libc.epoll_create1(0)\n"
            "buffer = ctypes.create_string_buffer(12)\n"
            "print('ready', flush=True)\n"
            "began = time.monotonic()\n"
            "n = libc.epoll_wait(fd, buffer, 1, 1500)\n"
            "print(n, ctypes.get_errno(), time.monotonic() - began, flush=True)\n")
    child = subprocess.Popen(["/usr/bin/python3", "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        for _ in range(10):
            assert run("dump", "--for", "50ms", child.pid).returncode == 0
        n, errno, lasted = child.stdout.readline().split()
        assert (n, errno) == ("0", "0") and float(lasted) >= 1.49
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def test_environment_is_not_trusted(tmp_path):
    """A target that lies about its files: a link out of its root is not followed."""
    assert os.access(PROGRAM, os.X_OK)
    secret = tmp_path / "secret"
    secret.write_text("top secret line\n" * 100)
    link = tmp_path / "app.py"
    code = "import time, asyncio\nasync def main():\n    time.sleep(30)\nasyncio.run(main())\n"
    link.write_text(code)
    child = subprocess.Popen(["/usr/bin/python3", str(link)])
    try:
        import time
        time.sleep(0.6)
        link.unlink()
        os.mkfifo(link)
        result = run("dump", child.pid, timeout=3)
        assert result.returncode == 0 and "main()" in result.stdout
    finally:
        child.kill()
        child.wait()
