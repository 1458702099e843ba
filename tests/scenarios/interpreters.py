# SPDX-License-Identifier: Apache-2.0
"""The interpreters of tests/interpreters, what they can import, and our files where they see them."""
import fnmatch
import glob
import json
import os
import shutil
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

NOT_MODULES = ("root", "resolver", "host")

PROBE = """
import importlib.util, json, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
print(json.dumps({"minor": sys.version_info[1], "version": sys.version.split()[0],
                  "modules": [name for name in sys.argv[1:] if there(name)]}))
"""


class Interpreter:
    def __init__(self, line):
        self.version, self.name, self.root, *self.command = line.split()
        self.id = "%s-%s" % (self.version, self.name)
        self.folder = None
        self.minor, self.modules = 0, set()

    def probe(self, states):
        names = sorted({need for state in states for need in state.needs if ":" not in need and need not in NOT_MODULES})
        found = subprocess.run(self.command + ["-c", PROBE] + names, stdout=subprocess.PIPE, cwd="/",
                               env=environment(), check=True, timeout=60)
        facts = json.loads(found.stdout)
        self.minor, self.modules = facts["minor"], set(facts["modules"])
        self.files()

    def lacks(self, state):
        """Why this interpreter cannot play the state; None when it can."""
        if self.minor < state.minor:
            return "needs 3.%d" % state.minor
        for need in state.needs:
            if need == "root":
                if os.geteuid() != 0:
                    return "needs root"
            elif need == "host":
                if self.root != "/":
                    return "not in a chroot"
            elif need == "resolver":
                if os.geteuid() != 0 or not shutil.which("unshare"):
                    return "a resolver of its own needs root and unshare"
                if not self.resolv_conf():
                    return "no resolv.conf to be covered"
            elif need.startswith("cgroup:"):
                if self.root != "/" or not has_controller(need[7:]):
                    return "no control group of %s here" % need[7:]
            elif need.startswith("tool:"):
                if not os.path.exists(self.root.rstrip("/") + "/usr/bin/" + need[5:]):
                    return "no %s" % need[5:]
            elif ":" not in need and need not in self.modules:
                return "no module %s" % need
        return None

    def resolv_conf(self):
        path = self.root.rstrip("/") + "/etc/resolv.conf"
        real = os.path.realpath(path)
        return real if os.path.isfile(real) and (self.root == "/" or real.startswith(self.root)) else None

    def files(self):
        """Our folder as the interpreter sees it."""
        if self.root == "/":
            return HERE
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="stallscope-", dir=self.root + "/tmp")
            os.chmod(self.folder, 0o755)
            shutil.copy(os.path.join(HERE, "stage.py"), self.folder)
            os.mkdir(self.folder + "/cases")
            for file in glob.glob(os.path.join(HERE, "cases", "*.py")):
                shutil.copy(file, self.folder + "/cases")
        return "/tmp/" + os.path.basename(self.folder)

    def clean(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def has_controller(name):
    """Whether groups can be made there; the unified hierarchy freezes without a controller."""
    top = "/sys/fs/cgroup"
    if os.path.isdir(os.path.join(top, name)):
        return os.access(os.path.join(top, name), os.W_OK)
    try:
        with open(top + "/cgroup.subtree_control", encoding="ascii") as file:
            return (name in ("freezer", "unified") or name in file.read().split()) and os.access(top, os.W_OK)
    except OSError:
        return False


def environment(**more):
    return dict({"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONUTF8": "1",
                 "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}, **more)


def find(names):
    """Those named (by comma, globs); all of them for `all` or None."""
    lines = subprocess.run([os.path.join(HERE, "..", "interpreters")], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True, check=False, timeout=1200).stdout.splitlines()
    found = sorted((Interpreter(line) for line in lines), key=lambda i: int(i.version.split(".")[1]))
    if names in ("all", None):
        return found
    return [i for i in found if any(fnmatch.fnmatchcase(i.id, n) for n in names.split(","))]
