# SPDX-License-Identifier: Apache-2.0
"""The commands that are compared: how each is called, and whether what it says is right."""
import glob
import os
import re
import subprocess
import sys

CACHE = os.environ.get("STALLSCOPE_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "stallscope")
VENV = os.path.join(CACHE, "bench")
INSIDE = "/mnt"  # where a system in a chroot has the venv
PACKAGES = ("py-spy", "py-spy-asyncio", "pystack", "austin-dist")
BASE = "stallscope dump --for 0"
JSON = "stallscope dump --for 0 -f json"


class Command:
    """One row. `says` is what it has to say: "groups" (of tasks, with their number), "tasks" (each of
    them by name), "threads" (the stack of the main thread), or None. `root` is where it runs."""

    def __init__(self, label, says, arguments, reason=None, root="/"):
        self.label, self.says, self.arguments, self.reason, self.root = label, says, arguments, reason, root


# ---- what is to be had -----------------------------------------------------------------------------

def install(refresh):
    """Those that are not in the venv yet are fetched; {package: why it is not there}."""
    missing = {}
    if not os.path.exists(VENV + "/bin/pip"):
        made = subprocess.run([sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if made.returncode:
            return {package: "no venv: " + first_line(made.stdout) for package in PACKAGES}
    for package in PACKAGES:
        if not refresh and os.path.exists("%s/.%s" % (VENV, package)):
            continue
        print("bench: installing %s" % package, file=sys.stderr)
        done = subprocess.run([VENV + "/bin/pip", "install", "-q", "-U", "--no-deps", "--disable-pip-version-check",
                               package], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            missing[package] = first_line(done.stderr) or "pip failed"
        else:
            with open("%s/.%s" % (VENV, package), "wb"):
                pass
    return missing


def austin(roots):
    """Its wheel may need a newer libc than ours: then that of a system in a chroot is taken."""
    program = VENV + "/bin/austin"
    loaders = [[]]
    for root in roots:
        for loader in sorted(glob.glob(root + "/lib*/ld-linux-*.so.*")):
            loaders.append([loader, "--library-path", ":".join(glob.glob(root + "/usr/lib/*-linux-gnu*"))])
    for loader in loaders:
        if answer(loader + [program, "--version"]):
            return loader + [program]
    return [program]


def answer(command):
    """What it prints when it works, as one line; "" when it does not."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ""
    return plain(done.stdout) if done.returncode == 0 else ""


class Peers:
    def __init__(self, roots, refresh):
        missing = install(refresh)
        self.reasons = {package: "not here: " + why for package, why in missing.items()}
        self.austin = austin(roots)

    def versions(self):
        for package in ("py-spy", "py-spy-asyncio", "pystack", "austin-dist"):
            command = self.austin if package == "austin-dist" else [VENV + "/bin/" + package]
            version = re.search(r"\d+(\.\d+)+", answer(command + ["--version"]))
            yield "%s %s" % (package, version.group() if version else self.reasons.get(package, "does not run here"))

    def commands(self, interpreter, pid):
        """Those of PyPI, which read many versions. Some find files of the target by their names only,
        so those that are programs by themselves run in the target's root."""
        root = interpreter.root

        def row(package, says, *arguments, root=root):
            program = ["%s/bin/%s" % (VENV if root == "/" else INSIDE, arguments[0])]
            if arguments[0] == "austin" and root == "/":
                program = self.austin
            return Command(" ".join(arguments), says, program + [*arguments[1:], pid], self.reasons.get(package), root)

        yield row("py-spy", "threads", "py-spy", "dump", "--pid")
        yield row("py-spy", "threads", "py-spy", "dump", "--nonblocking", "--pid")
        yield row("py-spy-asyncio", "tasks", "py-spy-asyncio", "dump", "--asyncio", "--pid")
        yield row("pystack", "threads", "pystack", "remote", "--no-color", root="/")
        yield row("pystack", "threads", "pystack", "remote", "--no-color", "--no-block", root="/")
        yield row("austin-dist", "threads", "austin", "--where")


def own(interpreter, pid):
    """CPython's own tools read their own version only: they run where the target runs."""
    def row(says, *arguments):
        return Command("python%s -m %s" % (interpreter.version, " ".join(arguments)), says,
                       interpreter.command[-1:] + ["-m", *arguments, pid], root=interpreter.root)

    if interpreter.minor >= 14:
        yield row("tasks", "asyncio", "ps")
        yield row("tasks", "asyncio", "pstree")
    if interpreter.minor >= 15:
        yield row("threads", "profiling.sampling", "dump")
        yield row("tasks", "profiling.sampling", "dump", "--async-aware")
        yield row("tasks", "profiling.sampling", "dump", "--async-aware", "--blocking")


def ours(program, pid, held):
    """One look; one look in full; and as many looks as the verdict needs."""
    yield Command(BASE, "groups", [program, "dump", "--for", "0", pid])
    yield Command(JSON, "tasks", [program, "dump", "--for", "0", "-f", "json", pid])
    yield Command("stallscope dump", "groups", [program, "dump", pid])
    if held:
        yield Command("stallscope --version", None, [program, "--version"])


# ---- what they say ---------------------------------------------------------------------------------

COLOURS = rb"\x1b\[[0-9;]*m"


def plain(text):
    """Without colours, fit for a cell of a table."""
    text = re.sub(COLOURS.decode(), "", text)
    return re.sub(r"^[^!-~]+|\s+$", "", re.sub(r"\s+", " ", text).replace("|", "/"))[:90]


def first_line(text):
    """The line that says what is wrong: of a traceback of Python it is the last one, and a logo
    drawn of characters says nothing."""
    lines = [line for line in map(plain, text.splitlines()) if re.search(r"[A-Za-z]{3}", line) and "\\_" not in line]
    if lines and lines[0].startswith("Traceback"):
        return lines[-1]
    return lines[0] if lines else ""


def count_tasks(says, output, parked):
    """How many parked tasks the output has: by their names, or in the rows of their groups."""
    if says == "tasks":
        return len({match.group(1) for match in re.finditer(rb"\bparked-(\d+)", output)})
    rows = re.findall(rb"^ *(\d[\d,]*) .*\b(?:%s)\b" % parked, output, re.MULTILINE)
    return sum(int(row.replace(b",", b"")) for row in rows)


def judge(command, output, target):
    """(right, what was said). The line that holds the loop is reported, not demanded."""
    if command.says is None:
        return True, "its version"
    right, said = True, "the main thread"
    if command.says == "threads":
        output = re.sub(COLOURS, b"", output)
        right = b"<module>" in output
        said = said if right else "said no whole stack"
    else:
        found = count_tasks(command.says, output, target.parked)
        right = found == target.count
        said = ("%s tasks" if right else "said %s tasks") % format(found, ",")
    if right and target.culprit:
        seen = re.search(rb"\b%s\b(?!\(how)" % target.culprit, output)
        said += ", and the line that holds" if seen else ", not the line that holds"
    return right, said
