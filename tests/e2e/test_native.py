# SPDX-License-Identifier: Apache-2.0
"""dump --native: stacks of C merged with those of Python, who is stopped for them, and who is not."""
import ctypes
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

import pytest

from conftest import INTERPRETERS, ORDINARY, PROGRAM, Target, dump, run, settle

MATRIX = str(pathlib.Path(PROGRAM).resolve().parent / "tests" / "e2e" / "callmatrix")
BUSY = "did not stop within|took too long"  # may always happen where others take the CPU
LASTS = 90
WITH_DWARF = next((i for i in INTERPRETERS if i.name == "pyenv" and i.minor == 12), None)


class Held(Target):
    def __init__(self, interpreter, name, *args):
        super().__init__(interpreter, "native.py", name, LASTS, *args)
        time.sleep(0.15)


def thread_of(document):
    thread, = [t for t in document["threads"] if t["loop"]]
    return thread


def look(pid, *args):
    """A dump of a loop that is held long enough, with a stop that came in time: (document, thread)."""
    for _ in range(30):
        document = dump(pid, "--tasks", "none", *args)
        thread = thread_of(document)
        if thread["native"] and not thread["native"]["moved"]:
            break
        error = document["tool"]["native"]["error"]
        assert error is None or re.search(BUSY, error), error
        time.sleep(0.1)
    assert thread["native"], document["tool"]
    assert document["tool"]["paused_us"] > 0 and document["tool"]["native"]["threads"] == 1
    return document, thread


def names(frames, kind):
    return [frame["function"] for frame in frames if frame["kind"] == kind]


def below(frames):
    """The functions of C below the innermost frame of Python."""
    kinds = [frame["kind"] for frame in frames]
    return frames[:kinds.index("python")]


def check_merged(pid, thread):
    """C first and last, and Python's frames as they are without."""
    frames = thread["frames"]
    assert thread["native"] == {"merged": True, "whole": True, "moved": False, "error": None}
    plain = thread_of(dump(pid, "--tasks", "none", "--native", "never"))
    assert plain["native"] is None
    assert names(frames, "python") == names(plain["frames"], "python")
    assert frames[0]["kind"] == "native" and frames[-1]["function"] == "_start"
    assert not [f for f in frames if f["kind"] == "native" and f["function"]
                and f["function"].startswith("_PyEval_EvalFrameDefault")]


# ---- merged --------------------------------------------------------------------------------------

# What must be below Python: in every build, and where the interpreter was not stripped.
FIRST = {
    "sleep": ("nanosleep|select", "time_sleep"),
    "json": ("", "encoder_|json"),
    "re": ("", "sre_"),
    "pbkdf2": ("PKCS5_PBKDF2_HMAC", "pbkdf2_hmac"),
    "zlib": ("deflate", "zlib_compress"),
    "sqlite": ("sqlite3_step", "pysqlite|_sqlite"),
}


def test_every_interpreter(interpreter):
    for name, (exported, static) in FIRST.items():
        with Held(interpreter, name) as target:
            document, thread = look(target.pid)
            check_merged(target.pid, thread)
            python = names(thread["frames"], "python")
            assert python[python.index("hold_" + name):][:3] == ["hold_" + name, "inner", "handle"]
            inner = " ".join(f["function"] or "?" for f in below(thread["frames"]))
            assert re.search(exported, inner), inner
            if interpreter.name == "pyenv":
                assert re.search(static, inner) and "?" not in inner.split()[-3:], inner
            for frame in thread["frames"]:
                assert frame["kind"] == "python" or frame["object"] and int(frame["address"], 16)


MORE = {
    "busy": ("sqlite3_prepare|sqlite3_step", []),
    "ctypes": ("usleep .*ffi_call", []),
    "callback": ("nanosleep", ["<lambda>", "hold_callback"]),
    "lock": ("PyThread_acquire_lock_timed", []),
    "recv": ("^recv ", []),
    "generators": ("nanosleep", ["<lambda>", "inner_generator", "outer", "hold_generators"]),
    "requests": ("^recv ", ["readinto", "_read_status", "begin", "getresponse"]),
    "psycopg2": ("^poll .*PQconnect", ["connect", "hold_psycopg2"]),
    "numpy": ("", []),
    "lxml": ("xmlParse", []),
}


@pytest.mark.parametrize("name", MORE)
def test_more_calls(name):
    native, python = MORE[name]
    if name in ("requests", "psycopg2", "numpy", "lxml") and ORDINARY.name == "debian" and subprocess.run(
            ORDINARY.command + ["-c", "import " + name], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("python3-%s is not installed" % name)
    with Held(ORDINARY, name) as target:
        document, thread = look(target.pid)
        check_merged(target.pid, thread)
        inner = " ".join(f["function"] or "?" for f in below(thread["frames"])) + " "
        assert re.search(native, inner), inner
        assert names(thread["frames"], "python")[:len(python)] == python
        if name == "callback":  # from Python through C to Python
            frames = thread["frames"]
            first = [f["function"] for f in frames].index("<lambda>")
            assert frames[first + 1]["kind"] == "native"


def test_compiled_by_cython(tmp_path):
    """Its functions are C: only there do they appear."""
    if not shutil.which("cython3") or ORDINARY.name != "debian":
        pytest.skip("cython3 is not installed")
    (tmp_path / "native_cython.pyx").write_text("import time\ndef hold():\n    time.sleep(90)\n")
    subprocess.run(["cython3", "-3", "native_cython.pyx"], cwd=str(tmp_path), check=True)
    flags = subprocess.run(["python3-config", "--includes"], stdout=subprocess.PIPE, text=True)
    if flags.returncode:
        pytest.skip("python3-dev is not installed")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", *flags.stdout.split(), "native_cython.c", "-o",
                    "native_cython.so"], cwd=str(tmp_path), check=True)
    with Held(ORDINARY, "cython", tmp_path) as target:
        document, thread = look(target.pid)
        check_merged(target.pid, thread)
        assert names(thread["frames"], "python")[:2] == ["inner", "handle"]
        assert any(f["function"] and "hold" in f["function"] and f["object"].endswith("native_cython.so")
                   for f in below(thread["frames"]))


@pytest.mark.parametrize("minor", [8, 11])
def test_deeper_than_is_copied(minor):
    """More stack than a stop takes along: the rest is read of the thread as it sleeps."""
    interpreter = next((i for i in INTERPRETERS if i.minor == minor and i.root == "/"), ORDINARY)
    with Held(interpreter, "deep") as target:
        document, thread = look(target.pid)
        assert thread["native"]["merged"]
        plain = thread_of(dump(target.pid, "--tasks", "none", "--native", "never"))
        assert names(thread["frames"], "python") == names(plain["frames"], "python")
        assert len(names(thread["frames"], "python")) > 1500


def test_lines_and_inlined_functions():
    if not WITH_DWARF:
        pytest.skip("no build with debug information")
    with Held(WITH_DWARF, "sleep") as target:
        document, thread = look(target.pid, "--native", "always")
        check_merged(target.pid, thread)
        inner = below(thread["frames"])
        sleep, = [f for f in inner if f["function"] == "time_sleep"]
        assert sleep["file"].endswith("timemodule.c") and sleep["line"] > 0 and not sleep["inlined"]
        pysleep, = [f for f in inner if f["function"] == "pysleep"]
        assert pysleep["inlined"] and inner.index(pysleep) == inner.index(sleep) - 1
        assert pysleep["address"] == sleep["address"]
        text = run("dump", "-v", target.pid).stdout
        assert re.search(r"time_sleep +timemodule\.c:%d$" % sleep["line"], text, re.M), text
        assert re.search(r"pysleep +timemodule\.c:\d+ +\(inlined\)$", text, re.M), text


def test_text():
    with Held(ORDINARY, "sleep") as target:
        look(target.pid)
        for _ in range(10):
            text = run("dump", target.pid).stdout
            if "--- native" in text:
                break
        stack = text[text.index("Stack"):]
        assert re.search(r"hold_sleep.*\n  --- native \(paused for [\d.]+ ms\)\n(  .*\n)*"
                         r"  libc\S* +clock_nanosleep\n  \[system call\]", stack), stack
        assert "in C it is in clock_nanosleep" in text
        assert max(map(len, text.splitlines())) <= 80


def test_catalogue_row():
    """A row `native` names what no row of Python's names does."""
    with Held(ORDINARY, "row") as target:
        document, thread = look(target.pid)
        what = document["loops"][0]["what"]
        assert what["rule"] == "native libcrypto.so*!PKCS5_PBKDF2_HMAC"
        assert re.fullmatch(r"native libcrypto\S*!PKCS5_PBKDF2_HMAC", what["leaf"])
        assert document["loops"][0]["kind"] == "cpu.crypto"


# ---- recorded ------------------------------------------------------------------------------------

def test_saved_look_has_them(tmp_path):
    core = tmp_path / "native.core"
    with Held(ORDINARY, "callback") as target:
        document, thread = look(target.pid, "--save", core)
    again = dump(core, "--tasks", "none")
    assert thread_of(again)["frames"] == thread["frames"] and thread_of(again)["native"] == thread["native"]
    assert again["tool"]["native"] == document["tool"]["native"]
    assert again["loops"] == document["loops"]
    assert thread_of(dump(core, "--native", "never"))["native"] is None
    assert os.stat(core).st_size < 1 << 20
    if not shutil.which("eu-stack"):
        pytest.skip("elfutils is not installed")
    stack = subprocess.run(["eu-stack", "--core", str(core)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True, timeout=60).stdout
    theirs = re.findall(r"^#\d+ +0x([0-9a-f]+)", stack.split("TID ")[1], re.M)
    ours = [f["address"][2:] for f in thread["frames"] if f["kind"] == "native"]
    assert len(ours) > 15 and set(ours) <= {address.lstrip("0") for address in theirs}


GDB = """
import gdb
frame = gdb.newest_frame()
while frame:
    if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
        print("FRAME %x %s" % (frame.pc(), frame.name() or "??"))
    frame = frame.older()
"""


def gdb_names(core, program, folder):
    """Functions of the first thread, innermost first, without those that were inlined or are only guessed at."""
    script = folder / "frames.py"
    script.write_text(GDB)
    text = subprocess.run(["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "thread 1", "-x",
                           str(script), program, str(core)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, timeout=120).stdout
    return re.findall(r"^FRAME [0-9a-f]+ (.+)$", text, re.M)


def plain(name):
    """Aliases (select, __select) and parts (.cold) of one function are one."""
    name = re.sub(r"@.*|\.(?:cold|part|isra|constprop|lto_priv).*|_impl$", "", name).lstrip("_")
    return re.sub(r"^GI_+|^libc_", "", name).lstrip("_")


@pytest.mark.parametrize("which", ["debian", "3.8", "3.10", "3.12"])
def test_names_are_those_of_gdb(which, tmp_path):
    """The same functions in the same order, on one core; an evaluation is where gdb sees one."""
    if not shutil.which("gcore"):
        pytest.skip("gdb is not installed")
    interpreter = next((i for i in INTERPRETERS if i.root == "/" and which in (i.name, i.version)), None)
    if not interpreter:
        pytest.skip("no such interpreter")
    with Held(interpreter, "callback") as target:
        subprocess.run(["gcore", "-o", str(tmp_path / "full"), str(target.pid)], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        core = tmp_path / ("full.%d" % target.pid)
        theirs = gdb_names(core, os.path.realpath(interpreter.command[0]), tmp_path)
        thread = thread_of(json.loads(run("dump", "-f", "json", "--tasks", "none", core).stdout))
    assert thread["native"]["merged"] and thread["native"]["whole"]
    ours, frames = [], thread["frames"]
    for i, frame in enumerate(frames):
        if frame["kind"] == "native":
            ours.append(frame["function"])
        elif interpreter.minor < 11 or i == 0 or frames[i - 1]["kind"] == "native":
            ours.append("_PyEval_EvalFrameDefault")
    assert len(ours) == len(theirs) > 20
    for our, their in zip(ours, theirs):
        assert our is None or their == "??" or plain(our) == plain(their), (ours, theirs)
    assert sum(our is not None and their != "??" for our, their in zip(ours, theirs)) > 12


# ---- who is stopped ------------------------------------------------------------------------------

@pytest.mark.parametrize("name, why", [("timeout", "SO_RCVTIMEO"), ("epoll", "EINTR")])
def test_who_would_notice_is_not_stopped(name, why):
    with Held(ORDINARY, name) as target:
        for _ in range(3):
            document = dump(target.pid, "--tasks", "none")
            assert document["verdict"] == "STALLED"
            assert document["tool"]["paused_us"] == 0 and thread_of(document)["native"] is None
            assert why in document["tool"]["native"]["error"]


def test_healthy_loop_is_not_stopped():
    with Target(ORDINARY, "states.py", "idle") as target:
        settle()
        document = dump(target.pid)
        assert document["tool"]["paused_us"] == 0
        assert document["tool"]["native"] == {"mode": "auto", "threads": 0, "error": None}
        document, thread = look(target.pid, "--native", "always")
        assert document["verdict"] == "HEALTHY" and thread["native"]["merged"]
        assert "epoll_wait" in names(below(thread["frames"]), "native")
        document = dump(target.pid, "--native", "never")
        assert document["tool"]["native"] == {"mode": "never", "threads": 0, "error": None}


def test_traced_by_another():
    """The answer stays, with the reason why there are no native frames."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    with Held(ORDINARY, "sleep") as target:
        tracer = subprocess.Popen(["strace", "-o", "/dev/null", "-p", str(target.pid)], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.3)
            document = dump(target.pid)
            assert document["verdict"] == "STALLED"
            assert re.search(r"traced by process %d \(strace\)" % tracer.pid, document["tool"]["native"]["error"])
            assert "Native frames: none:" in run("dump", target.pid).stdout
        finally:
            tracer.kill()
            tracer.wait()


def matrix(*args):
    """Of calls that this kernel has, that slept, and that were met in time: (row, changed)."""
    result = subprocess.run([MATRIX, *args], stdout=subprocess.PIPE, check=True, text=True, timeout=60)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) >= 60
    for row in rows:
        without, stopped = row["without"], row["with"]
        if without[2] >= 500 and row["why"] != "it ended before":
            yield row, without[:2] != stopped[:2] or abs(without[2] - stopped[2]) > 150


def test_calls_that_notice():
    """Each call that may be stopped gives what it gives without, at the same time; the table calls no
    other one harmless."""
    rows = [(row, changed) for row, changed in matrix() if row["stops"]]
    assert all(row["why"] for row, changed in rows if changed), rows
    assert sum(row["why"] is None for row, _ in rows) >= 30
    assert {"epoll_wait", "recv_option", "semop", "write_half", "recv_all", "send_half"} <= {
        row["case"] for row, changed in rows if changed}


def test_calls_at_ten_hertz():
    rows = list(matrix("auto"))
    assert not [row for row, changed in rows if changed]
    assert sum(row["stops"] >= 5 for row, _ in rows) >= 30


# ---- hostile -------------------------------------------------------------------------------------

# DW_CFA_def_cfa_expression of so many bytes
TRAPS = {
    # const8s INT64_MIN, const1s -1, div
    "division": "0x0f, 12, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x09, 0xff, 0x1b",
    # skip -3: to itself
    "ring": "0x0f, 3, 0x2f, 0xfd, 0xff",
    # an expression that is longer than its entry
    "length": "0x0f, 0xff, 0xff, 0xff, 0x7f",
    # deref of the frame that is looked for, 20 times
    "deref": "0x0f, 22, 0x77, 0" + ", 0x06" * 20,
}


@pytest.mark.parametrize("trap", TRAPS)
def test_forged_unwind_table(trap, tmp_path):
    source, library = tmp_path / "trap.c", tmp_path / "trap.so"
    source.write_text("#include <unistd.h>\nvoid trap(void)\n{\n\tasm volatile(\".cfi_escape %s\");\n"
                      "\tfor (;;)\n\t\tsleep(60);\n}\n" % TRAPS[trap])
    if not shutil.which("gcc") or subprocess.run(
            ["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)]).returncode:
        pytest.skip("no compiler")
    with Held(ORDINARY, "forged", library) as target:
        began = time.monotonic()
        document, thread = look(target.pid)
        assert time.monotonic() - began < 15
        assert thread["native"]["whole"] is False and thread["native"]["error"]
        assert "trap" in names(below(thread["frames"]), "native")
        plain_frames = thread_of(dump(target.pid, "--native", "never"))["frames"]
        assert names(thread["frames"], "python") == names(plain_frames, "python")


# ---- debug information from a server -----------------------------------------------------------

def build_id(library):
    notes = subprocess.run(["readelf", "-n", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", notes).group(1)


class Server:
    """What debuginfod(8) answers, for one file, and what was asked."""

    def __init__(self, ident, content):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                found = self.path == "/buildid/%s/debuginfo" % ident
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(content) if found else 0))
                self.end_headers()
                if found:
                    self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


def test_debuginfod(tmp_path, monkeypatch):
    source, library, separate = tmp_path / "trap.c", tmp_path / "trap.so", tmp_path / "trap.debug"
    source.write_text("#include <unistd.h>\nvoid trap(void)\n{\n\tfor (;;)\n\t\tsleep(60);\n}\n")
    if not shutil.which("gcc") or not shutil.which("objcopy"):
        pytest.skip("no compiler")
    try:
        ctypes.CDLL("libdebuginfod.so.1")
    except OSError:
        pytest.skip("no libdebuginfod")
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-O1", "-Wl,--build-id", "-o", library, source], check=True)
    subprocess.run(["objcopy", "--only-keep-debug", library, separate], check=True)
    subprocess.run(["strip", library], check=True)
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "cache"))
    with Held(ORDINARY, "forged", library) as target, Server(build_id(library), separate.read_bytes()) as server:
        monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
        for args in (("--native", "always"), ("--native", "always", "--debuginfod")):
            _, thread = look(target.pid, *args)
            frame, = [f for f in below(thread["frames"]) if f["function"] == "trap"]
            if "--debuginfod" in args:
                assert (frame["file"], frame["line"]) == (str(source), 5)
                assert any(build_id(library) in path for path in server.asked)
            else:
                assert frame["file"] is None and not server.asked
        monkeypatch.delenv("DEBUGINFOD_URLS")
        result = run("dump", "--debuginfod", target.pid)
        assert result.returncode == 2 and "DEBUGINFOD_URLS, which is not set" in result.stderr
