# SPDX-License-Identifier: Apache-2.0
"""What exactly a blocked loop thread waits for: peers, pipes, files, processes, locks, timeouts."""
import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest

from conftest import INTERPRETERS, ORDINARY, TARGETS, Target, dump, run, settle

# Where the system calls differ: Debian's, the oldest outside a chroot, and one with PyMutex inside.
SOME = [i for i in INTERPRETERS if i.root == "/" and (i is ORDINARY or i.minor in (8, 13))]
some = pytest.mark.parametrize("python", SOME, ids=lambda i: i.id)
each = pytest.mark.parametrize("python", INTERPRETERS, ids=lambda i: i.id)


@contextlib.contextmanager
def blocked(python, state, verdict="STALLED"):
    """The target, what its loop waits for, and the text."""
    with Target(python, "peers.py", state) as target:
        try:
            settle()
            # a stop has the kernel write what is left of a timeout into the arguments of select()
            document = dump(target.pid, "--native", "never")
            assert document["verdict"] == verdict
            text = run("dump", "--tasks", "none", target.pid).stdout
            assert max(map(len, text.splitlines())) <= 80
            yield target.truth, document["loops"][0]["what"], " ".join(text.split())
        finally:
            clean_up(python, target)


def clean_up(python, target):
    """What outlives the target: its children and its folders."""
    for child in children(target.pid):
        os.kill(child, signal.SIGKILL)
    for folder in target.truth["folders"]:
        shutil.rmtree(python.root.rstrip("/") + folder, ignore_errors=True)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(word) for word in file.read().split()]


def check_fd(truth, what):
    assert what["fd"] == truth["fd"]
    assert [d["fd"] for d in what["descriptors"]] == [truth["fd"]] and what["descriptors_total"] == 1


# ---- connections -----------------------------------------------------------------------------------

@each
def test_silent_server_without_timeout(python):
    with blocked(python, "silent") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["tcp_state"] == "ESTABLISHED"
        assert (what["unread_bytes"], what["unsent_bytes"], what["retransmits"]) == (0, 0, 0)
        assert what["timeout"] == "none" and what["timeout_s"] is None
        assert "peer %s, ESTABLISHED, nothing received, no timeout is set" % truth["peer"] in text


@each
def test_silent_server_with_timeout(python):
    with blocked(python, "silent-timeout") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["system_call"] == "poll"
        assert what["timeout"] == "set" and what["timeout_s"] == truth["timeout"]
        assert "nothing received, timeout 43.50 s" in text


@some
def test_ipv6_through_a_file(python):
    """makefile().readline(): the socket is two Python frames away from the user's."""
    with blocked(python, "silent6") as (truth, what, _):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["timeout"] == "none"


@some
def test_connect_that_is_not_answered(python):
    with blocked(python, "no-answer") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["tcp_state"] == "SYN_SENT"
        assert "the connection is not answered" in text


@some
def test_peer_that_does_not_read(python):
    with blocked(python, "full-window") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["unsent_bytes"] > 10000
        assert "does not take what was sent" in text


@some
def test_accept(python):
    with blocked(python, "accept") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] is None and what["tcp_state"] == "LISTEN"
        assert what["descriptors"][0]["local"] == truth["local"]
        assert "waits on a client of %s" % truth["local"] in text


@pytest.mark.skipif(os.geteuid() != 0, reason="binds port 53")
@some
def test_dead_dns_server(python):
    with blocked(python, "dns") as (truth, what, text):
        check_fd(truth, what)
        assert what["peer"] == truth["peer"] and what["descriptors"][0]["kind"] == "udp"
        assert what["timeout_s"] == 60
        assert "peer %s (a DNS server), UDP, nothing received, timeout 60.00 s" % truth["peer"] in text


@some
def test_unix_sockets(python):
    with blocked(python, "unix-named") as (truth, what, text):
        check_fd(truth, what)
        assert what["path"] == truth["path"] and what["descriptors"][0]["kind"] == "unix"
        assert "unix socket %s" % truth["path"] in text
    with blocked(python, "unix-connect") as (truth, what, text):
        check_fd(truth, what)
        assert what["path"] == truth["path"] and what["system_call"] == "connect"
        assert what["descriptors"][0]["path"] == truth["path"]
    with blocked(python, "unix-unnamed") as (truth, what, text):
        check_fd(truth, what)
        assert what["path"] is None and what["descriptors"][0]["kind"] == "unix" and what["timeout"] == "none"
        assert "unix socket, unnamed" in text


@pytest.mark.parametrize("state", ["poll3", "select3", "epoll3"])
@some
def test_three_descriptors(python, state):
    with blocked(python, state) as (truth, what, text):
        assert sorted(d["fd"] for d in what["descriptors"]) == sorted(truth["fds"])
        assert what["descriptors_total"] == 3
        assert sorted(d["kind"] for d in what["descriptors"]) == ["pipe", "pipe", "tcp"]
        assert what["fd"] == truth["fds"][2] and what["peer"] == truth["peer"]
        assert what["timeout"] == "set" and what["timeout_s"] == 45.5
        assert "one of 3 descriptors" in text


@some
def test_poll_without_timeout(python):
    with blocked(python, "poll-none") as (truth, what, _):
        assert what["peer"] == truth["peer"]
        assert what["timeout"] == "none" and what["timeout_s"] is None


def test_more_descriptors_than_are_shown():
    with blocked(ORDINARY, "poll-many") as (truth, what, text):
        assert what["descriptors_total"] == 100 and len(what["descriptors"]) == 16
        assert {d["fd"] for d in what["descriptors"]} <= set(truth["fds"])
        assert "one of 100 descriptors" in text


def test_descriptors_that_cannot_be_read():
    """None is made up; how many there are is known by the call."""
    with Target(ORDINARY, "peers.py", "poll-gone") as target:
        settle()
        what = dump(target.pid, "--native", "never")["loops"][0]["what"]
        assert what["waits_for"] == "descriptors" and what["fd"] is None
        assert what["descriptors"] == [] and what["descriptors_total"] == 1


@some
def test_a_thread_that_moves_on(python):
    """Descriptor, peer and timeout are of the same wait, or nothing is said."""
    seen = set()
    with Target(python, "peers.py", "moving") as target:
        waits = {wait["fd"]: wait for wait in target.truth["waits"]}
        for _ in range(40):
            loop, = dump(target.pid, "--for", "0")["loops"]
            what = loop["what"]
            if what is None or what["fd"] is None:
                assert what is None or (what["peer"], what["timeout"]) == (None, None)
                continue
            wait = waits[what["fd"]]
            assert what["peer"] == wait["peer"] and what["timeout"] == "set"
            assert abs(what["timeout_s"] - wait["timeout"]) < 1e-9
            seen.add(what["fd"])
    assert seen == set(waits)


def test_a_thread_that_moves_on_recorded(tmp_path):
    """Also that nothing can be said is in the recording."""
    core, said = tmp_path / "core", []
    with Target(ORDINARY, "peers.py", "moving") as target:
        for _ in range(30):
            live = json.loads(run("dump", "-f", "json", "--for", "0", "--save", core, target.pid).stdout)
            what = live["loops"][0]["what"]
            assert json.loads(run("dump", "-f", "json", core).stdout)["loops"][0]["what"] == what
            said.append(what is not None and what["fd"] is not None)
    assert any(said) and not all(said)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="makes a network namespace")
def test_network_namespace():
    """The tables of its own network namespace, not of ours."""
    script = "ip link set lo up 2>/dev/null || ifconfig lo up; exec %s %s/peers.py silent" % (
        ORDINARY.command[0], TARGETS)
    with subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            line = process.stdout.readline()
            if not line:
                pytest.skip("no loopback in a new network namespace: " + process.stderr.read().decode())
            truth = json.loads(line)
            settle()
            what = dump(truth["pid"])["loops"][0]["what"]
            assert what["peer"] == truth["peer"] and what["tcp_state"] == "ESTABLISHED"
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="makes a pid namespace")
@pytest.mark.parametrize("state", ["child", "flock"])
def test_pid_namespace(state):
    """Arguments of its system calls have pids as the target counts them; what we say has ours."""
    command = ["unshare", "-p", "-f", "--mount-proc", "--kill-child", *ORDINARY.command,
               "%s/peers.py" % TARGETS, state]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            truth = json.loads(process.stdout.readline())
            pid, = children(process.pid)
            child, = children(pid)
            assert truth["pid"] == 1 and truth["child"] != child
            settle()
            assert dump(pid)["loops"][0]["what"]["holder_pid"] == child
            for folder in truth["folders"]:
                shutil.rmtree(folder)
        finally:
            process.kill()


# ---- pipes, files, terminals -------------------------------------------------------------------------

@pytest.mark.parametrize("state, end, command, words", [
    ("pipe-read", "read", "sleep 61", "pipe, read end; written by pid %d (sleep 61)"),
    ("pipe-write", "write", "sleep 62", "pipe, write end; read by pid %d (sleep 62)"),
    ("fifo-read", "read", "sleep 63", "read end; written by pid %d (sleep 63)")])
@some
def test_other_end_of_a_pipe(python, state, end, command, words):
    with blocked(python, state) as (truth, what, text):
        check_fd(truth, what)
        assert what["descriptors"][0]["end"] == end
        assert what["descriptors"][0]["kind"] == state.split("-")[0]
        assert what["holder_pid"] == truth["child"] and what["holder_command"] == command
        assert what["timeout"] == "none"
        assert words % truth["child"] in text


def test_pipe_of_our_own():
    with blocked(ORDINARY, "pipe-self") as (truth, what, text):
        check_fd(truth, what)
        assert what["holder_pid"] == truth["pid"]
        assert what["holder_search"]["looked_at"] <= what["holder_search"]["processes"]
        assert "only this process itself has its write end" in text


@some
def test_open_of_a_fifo(python):
    with blocked(python, "fifo-open") as (truth, what, text):
        assert what["waits_for"] == "open" and what["path"] == truth["path"] and what["fd"] is None
        assert "open of %s, a FIFO that nobody has opened at its other end" % truth["path"] in text


@pytest.mark.parametrize("state", ["flock", "lockf"])
@some
def test_file_lock_of_another_process(python, state):
    with blocked(python, state) as (truth, what, text):
        check_fd(truth, what)
        assert what["path"] == truth["path"] and what["waits_for"] == "file lock"
        assert what["holder_pid"] == truth["child"] and "python" in what["holder_command"]
        assert len(what["holder_command"]) <= 64 and what["timeout"] == "none"
        assert "lock on %s, held by pid %d (" % (truth["path"], truth["child"]) in text


def test_lock_of_an_open_file():
    """No process has it as far as /proc/locks goes: found by the descriptor that took it."""
    with blocked(ORDINARY, "ofd") as (truth, what, text):
        check_fd(truth, what)
        assert what["holder_pid"] == truth["child"] and what["holder_search"]["looked_at"] > 0
        assert "held by pid %d (" % truth["child"] in text and "[/proc/PID/fdinfo]" in text


@some
def test_terminal(python):
    with blocked(python, "tty") as (truth, what, text):
        check_fd(truth, what)
        assert what["path"] == truth["path"] and what["descriptors"][0]["kind"] == "tty"
        assert "waits on terminal %s" % truth["path"] in text


# ---- processes and sleeps ----------------------------------------------------------------------------

@pytest.mark.parametrize("state, command", [("child", "sleep 65"), ("any-child", "sleep 66")])
@some
def test_child(python, state, command):
    with blocked(python, state) as (truth, what, text):
        assert what["waits_for"] == "child" and what["holder_pid"] == truth["child"]
        assert what["holder_command"] == command and what["holder_state"] == "S"
        assert 0.1 < what["holder_age_s"] < 60
        assert "child pid %d (%s), state S, began" % (truth["child"], command) in text


@each
def test_length_of_a_sleep(python):
    with blocked(python, "sleep") as (_, what, text):
        assert what["waits_for"] == "sleep" and what["timeout"] == "set" and what["timeout_s"] == 47.5
        assert what["timeout_left_s"] is None or 20 < what["timeout_left_s"] < 47.5
        assert "sleep 47.50 s" in text


# ---- locks -------------------------------------------------------------------------------------------

def check_holder(truth, what, certain):
    assert what["waits_for"] == "lock"
    if truth["holder"] and what["holder_thread"]:
        assert what["holder_thread"] == truth["holder"]
    assert what["holder_thread"] and what["holder_certain"] is certain and what["holder_task"] is None
    assert what["holder_frame"]["function"] == truth["function"]


@pytest.mark.parametrize("state", ["rlock-with", "rlock-acquire"])
@each
def test_rlock_names_its_owner(python, state):
    with blocked(python, state) as (truth, what, text):
        check_holder(truth, what, True)
        assert what["timeout"] == "none"
        assert "lock held by thread holder/%d" % what["holder_thread"] in text


@pytest.mark.parametrize("state", ["lock-with", "lock-with-timeout", "condition"])
@each
def test_lock_in_a_with(python, state):
    """Others that use the lock, or wait for it, are not its holder."""
    with blocked(python, state) as (truth, what, text):
        check_holder(truth, what, False)
        assert "lock likely held by thread holder/%d" % what["holder_thread"] in text
        if state == "lock-with-timeout":
            assert what["timeout"] == "set" and 20 < what["timeout_left_s"] < 50
        else:
            assert what["timeout"] == "none"


@each
def test_lock_that_was_acquired(python):
    with blocked(python, "lock-acquire") as (truth, what, text):
        check_holder(truth, what, False)
        assert "lock perhaps held by thread holder/%d" % what["holder_thread"] in text


@each
def test_lock_of_the_loop_thread_itself(python):
    with blocked(python, "lock-self") as (truth, what, text):
        check_holder(truth, what, False)
        assert "likely held by this thread itself" in text


@each
def test_lock_of_a_suspended_coroutine(python):
    # The loop would have to run it: it never can.
    with blocked(python, "lock-task", "DEADLOCK") as (_, what, text):
        assert what["waits_for"] == "lock" and what["holder_thread"] is None
        assert what["holder_task"] and what["holder_certain"] is False
        assert what["holder_frame"]["function"] == "careless"
        assert "likely held by task careless" in text


@pytest.mark.parametrize("state, waits_for", [("lock-nobody", "lock"), ("condition-left", "lock"), ("queue", None), ("event", None)])
@each
def test_nobody_is_accused(python, state, waits_for):
    with blocked(python, state) as (_, what, text):
        assert waits_for in (None, what["waits_for"])
        assert what["holder_thread"] is None and what["holder_task"] is None and what["holder_certain"] is None
        assert "held by" not in text
        assert what["timeout"] == ("set" if state == "event" else "none")


@each
def test_join_names_the_thread(python):
    with blocked(python, "join") as (truth, what, text):
        assert what["waits_for"] == "thread" and what["holder_certain"] is True
        assert truth["holder"] in (None, what["holder_thread"])
        assert "joins thread worker/%d" % what["holder_thread"] in text


@each
def test_import_names_the_thread(python):
    with blocked(python, "import") as (truth, what, text):
        assert truth["holder"] in (None, what["holder_thread"])
        assert what["holder_thread"] and what["holder_certain"] is True
        assert "lock held by thread importer/%d" % what["holder_thread"] in text


# ---- recorded ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("state", ["silent-timeout", "pipe-read", "flock", "child", "lock-with", "epoll3"])
def test_recording_says_the_same(state, tmp_path):
    with Target(ORDINARY, "peers.py", state) as target:
        try:
            settle()
            core = tmp_path / "core"
            live = json.loads(run("dump", "-f", "json", "--save", core, target.pid).stdout)
        finally:
            clean_up(ORDINARY, target)
    again = json.loads(run("dump", "-f", "json", core).stdout)
    ours, theirs = again["loops"][0]["what"], live["loops"][0]["what"]
    # a recording does not have the boot clock that ages are counted from
    ages = [what.pop("holder_age_s") for what in (ours, theirs)]
    assert ours == theirs
    assert ages[0] == ages[1] or abs(ages[0] - ages[1]) < 0.05
