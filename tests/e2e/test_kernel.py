# SPDX-License-Identifier: Apache-2.0
"""What the kernel does to a process, for real: stopped, traced, frozen, throttled, starved, out of
descriptors, reading pages; and the collector, which looks like it.

A machine that does not offer one of these skips it with the reason: the parsers have their unit
tests over texts of both versions of cgroups.
"""
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import ORDINARY, PROGRAM, Target, dump, run, settle


def kernel_of(target, *args):
    return dump(target.pid, *args)["process"]["kernel"]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def state_of(pid):
    with open("/proc/%d/stat" % pid) as file:
        return file.read().rsplit(")", 1)[1].split()[0]


# ---- cgroups of our own --------------------------------------------------------------------------

def mounted(kind, controller=None):
    """Where a hierarchy is mounted below /sys/fs/cgroup; None when it is not."""
    with open("/proc/self/mountinfo") as file:
        for line in file:
            head, tail = line.split(" - ")
            point, (found, _, options) = head.split()[4], tail.split()[:3]
            if found == kind and point.startswith("/sys/fs/cgroup") and \
                    (controller is None or controller in options.split(",")):
                return point
    return None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


@contextlib.contextmanager
def cgroups(top, *names):
    """Cgroups one in the other, below `top`; skips when none can be made."""
    made = []
    try:
        path = top
        for name in names:
            path = "%s/%s" % (path, name)
            try:
                os.mkdir(path)
            except OSError as why:
                pytest.skip("no cgroup can be made: %s" % why)
            made.append(path)
        yield made
    finally:
        for path in reversed(made):
            for _ in range(100): # what was killed leaves late
                try:
                    os.rmdir(path)
                    break
                except OSError:
                    time.sleep(0.05)


def put(pid, cgroup):
    try:
        write(cgroup + "/cgroup.procs", str(pid))
    except OSError as why:
        pytest.skip("no process can be put into a cgroup: %s" % why)


NAMES = ("stallscope-%d" % os.getpid(), "box")


# ---- frozen --------------------------------------------------------------------------------------

FREEZERS = {"v1": ("cgroup", "freezer", "freezer.state", "FROZEN", "THAWED"),
            "v2": ("cgroup2", None, "cgroup.freeze", "1", "0")}


@contextlib.contextmanager
def freezer(version):
    kind, controller, file, frozen, thawed = FREEZERS[version]
    top = mounted(kind, controller)
    if not top:
        pytest.skip("the freezer of cgroup %s is not mounted here" % version)
    with cgroups(top, *NAMES) as made:
        if not os.path.exists("%s/%s" % (made[0], file)):
            pytest.skip("a cgroup has no %s" % file)
        yield made, file, frozen, thawed


@pytest.mark.parametrize("level", [0, 1], ids=["above", "own"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_frozen(version, level, tmp_path):
    """The process is in the inner cgroup, and frozen with it or with the one above."""
    core = str(tmp_path / "frozen.core")
    with freezer(version) as (made, file, frozen, thawed), Target(ORDINARY, "kernel.py", "idle") as target:
        put(target.pid, made[1])
        assert kernel_of(target)["frozen"] is False
        try:
            write("%s/%s" % (made[level], file), frozen)
            time.sleep(0.2)
            kernel = kernel_of(target, "--save", core)
        finally:
            write("%s/%s" % (made[level], file), thawed)
        path = "/" + "/".join(NAMES[:level + 1])
        assert kernel["frozen"] is True
        assert kernel["frozen_how"] == {"v1": "freezer.state FROZEN of " + path,
                                        "v2": "cgroup.events frozen 1 of " + path}[version]
        time.sleep(0.1)
        again = kernel_of(target)
        assert again["frozen"] is False and again["frozen_how"] is None
    assert dump(core)["process"]["kernel"] == kernel


def test_frozen_out_of_sight(tmp_path):
    """From a cgroup namespace that does not show its cgroup, it is not known whether it is frozen."""
    if not shutil.which("unshare"):
        pytest.skip("unshare is not installed")
    with freezer("v2") as (made, file, frozen, thawed), Target(ORDINARY, "kernel.py", "idle") as target, \
            cgroups(made[0], "other", "deep") as others:
        put(target.pid, made[1])
        output = str(tmp_path / "json")
        script = "echo $$ > %s/cgroup.procs && exec unshare --cgroup %s dump -f json -o %s %d" % (
            others[1], PROGRAM, output, target.pid)
        try:
            write("%s/%s" % (made[1], file), frozen)
            time.sleep(0.2)
            shell = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        finally:
            write("%s/%s" % (made[1], file), thawed)
    if "unshare" in shell.stderr:
        pytest.skip(shell.stderr)
    assert shell.returncode == 0, shell.stderr
    with open(output) as file:
        text = file.read()
    assert '"frozen":null' in text


def test_stopped():
    with Target(ORDINARY, "kernel.py", "idle") as target:
        target.process.send_signal(signal.SIGSTOP)
        until(lambda: state_of(target.pid) == "T")
        document = dump(target.pid)
    assert document["verdict"] == "STOPPED"
    assert not document["process"]["kernel"]["frozen"]
    assert document["process"]["kernel"]["tracer"] is None


# ---- traced --------------------------------------------------------------------------------------

TRACERS = {"seizes": ["strace", "-o", "/dev/null", "-p"],
           "stops": ["gdb", "-nx", "-batch", "-ex", "shell sleep 20", "-p"]}


def tracer_of(pid):
    with open("/proc/%d/status" % pid) as file:
        return int(re.search(r"TracerPid:\s*(\d+)", file.read()).group(1))


@pytest.mark.parametrize("how", sorted(TRACERS))
def test_tracer(how, tmp_path):
    command = TRACERS[how]
    core = str(tmp_path / "traced.core")
    if not shutil.which(command[0]):
        pytest.skip("%s is not installed" % command[0])
    with Target(ORDINARY, "kernel.py", "idle") as target:
        tracer = subprocess.Popen(command + [str(target.pid)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            until(lambda: tracer_of(target.pid) == tracer.pid, 30)
            if how == "stops":
                until(lambda: state_of(target.pid) == "t", 30)
            kernel = kernel_of(target, "--save", core)
        finally:
            os.killpg(tracer.pid, signal.SIGKILL)
            tracer.wait()
    assert kernel["tracer"] == {"pid": tracer.pid, "command": " ".join(command + [str(target.pid)])}
    assert dump(core)["process"]["kernel"]["tracer"] == kernel["tracer"]


# ---- throttled, starved --------------------------------------------------------------------------

@contextlib.contextmanager
def cpu_cgroups():
    """Two cgroups, and how to give one of them a quota in microseconds of 100,000."""
    top, version = mounted("cgroup", "cpu"), 1
    if not top:
        top, version = mounted("cgroup2"), 2
        if not top or not os.path.exists(top + "/cgroup.subtree_control"):
            pytest.skip("no hierarchy with the cpu controller is mounted here")
        with open(top + "/cgroup.subtree_control") as file:
            if "cpu" not in file.read().split():
                pytest.skip("the cpu controller is not given to cgroups here")
    with cgroups(top, *NAMES) as made:
        if version == 2:
            write(made[0] + "/cgroup.subtree_control", "+cpu")
        if not os.path.exists(made[1] + ("/cpu.cfs_quota_us" if version == 1 else "/cpu.max")):
            pytest.skip("this kernel knows no quotas")
        yield made, (lambda cgroup, us: write(cgroup + "/cpu.cfs_quota_us", str(us)) if version == 1
                     else write(cgroup + "/cpu.max", "%d 100000" % us))


@pytest.mark.parametrize("level", [0, 1], ids=["above", "own"])
def test_throttled(level, tmp_path):
    """The quota is of a cgroup, not of a process: another one in it uses it up. So the loop is idle
    and is looked at for all of the time."""
    core = str(tmp_path / "throttled.core")
    with cpu_cgroups() as (made, limit), Target(ORDINARY, "kernel.py", "idle") as target, \
            Target(ORDINARY, "states.py", "cpu", "20") as other:
        free = kernel_of(target)
        limit(made[level], 10000)
        put(target.pid, made[1])
        put(other.pid, made[1])
        time.sleep(0.3)
        kernel = kernel_of(target, "--for", "1s", "--save", core)
        one = kernel_of(target, "--for", "0")
    if free["cpu_quota_cores"] == 0: # the machine itself is under none
        assert free["throttled_ratio"] == 0 and free["throttled_s"] == 0
    assert kernel["cpu_quota_cores"] == pytest.approx(0.1)
    assert kernel["throttled_ratio"] > 0.5
    assert kernel["throttled_s"] > 0.1
    assert one["cpu_quota_cores"] == pytest.approx(0.1) and one["throttled_ratio"] is None
    assert dump(core)["process"]["kernel"] == kernel


def test_the_smallest_quota_counts():
    with cpu_cgroups() as (made, limit), Target(ORDINARY, "kernel.py", "idle") as target:
        put(target.pid, made[1])
        limit(made[0], 150000)
        assert kernel_of(target)["cpu_quota_cores"] == pytest.approx(1.5)
        limit(made[1], 25000)
        assert kernel_of(target)["cpu_quota_cores"] == pytest.approx(0.25)
        assert kernel_of(target)["throttled_ratio"] in (None, 0) # it sleeps: no period begins


def test_starved():
    """It shares one CPU with one other that is much more important: pressure, but no quota."""
    cpu = min(os.sched_getaffinity(0))
    if not os.path.exists("/proc/pressure/cpu"):
        pytest.skip("this kernel does not tell pressure")
    with Target(ORDINARY, "states.py", "cpu", "20") as target:
        os.setpriority(os.PRIO_PROCESS, target.pid, 19)
        os.sched_setaffinity(target.pid, {cpu})
        burner = subprocess.Popen(
            [sys.executable, "-c", "import os; os.sched_setaffinity(0, {%d})\nwhile True: pass" % cpu])
        try:
            time.sleep(4.5) # the kernel averages every two seconds
            kernel = kernel_of(target)
        finally:
            burner.kill()
            burner.wait()
    assert kernel["cpu_pressure_ratio"] > 0.1
    assert kernel["throttled_ratio"] == 0 or kernel["cpu_quota_cores"] != 0


# ---- descriptors, pages --------------------------------------------------------------------------

def test_descriptors():
    with Target(ORDINARY, "kernel.py", "fds", "62") as target:
        assert target.truth["fds"] == 62
        resource.prlimit(target.pid, resource.RLIMIT_NOFILE, (64, 64))
        kernel = kernel_of(target)
        assert (kernel["fds_open"], kernel["fds_limit"]) == (62, 64)


def major_faults(pid):
    with open("/proc/%d/stat" % pid) as file:
        return int(file.read().rsplit(")", 1)[1].split()[9])


def test_major_faults(tmp_path):
    file = tmp_path / "pages"
    file.write_bytes(os.urandom(1 << 22))
    os.sync()
    with Target(ORDINARY, "kernel.py", "faults", str(file)) as target:
        settle()
        first, began = major_faults(target.pid), time.monotonic()
        kernel = kernel_of(target, "--for", "500ms")
        rate = (major_faults(target.pid) - first) / (time.monotonic() - began)
    if rate < 50:
        pytest.skip("pages of %s do not come from a disk" % tmp_path)
    assert rate / 4 < kernel["major_faults_per_s"] < rate * 4


def test_nothing_wrong():
    with Target(ORDINARY, "kernel.py", "idle") as target:
        kernel = kernel_of(target)
        with open("/proc/%d/limits" % target.pid) as file:
            limit = int(re.search(r"Max open files +(\d+)", file.read()).group(1))
        fds = len(os.listdir("/proc/%d/fd" % target.pid))
    assert kernel["frozen"] is (False if mounted("cgroup2") else None) and kernel["tracer"] is None
    assert (kernel["fds_limit"], kernel["fds_open"]) == (limit, fds if limit <= 1 << 20 else None)
    assert kernel["major_faults_per_s"] == 0
    assert 0 <= kernel["steal_ratio"] <= 1


# ---- the collector -------------------------------------------------------------------------------

def test_collector(interpreter, tmp_path):
    core = str(tmp_path / "gc.core")
    with Target(interpreter, "kernel.py", "gc", "1000000") as target:
        settle()
        loop, = dump(target.pid, "--for", "300ms", "--save", core)["loops"]
    assert loop["gc_ratio"] > 0.5
    assert dump(core)["loops"][0]["gc_ratio"] == loop["gc_ratio"]
    with open(core, "rb") as file:
        looks = re.findall(rb"\n(?:[-0-9a-fpx+.]+ ){19}([01]) (\d+) ([0-9a-f]+)(?=\n)", file.read())
    assert looks and any(gc == b"1" and holder != b"0" for gc, _, holder in looks)


def test_no_collector(interpreter):
    with Target(interpreter, "states.py", "cpu", "20") as target:
        settle()
        loop, = dump(target.pid)["loops"]
    assert loop["gc_ratio"] == 0
