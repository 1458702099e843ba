# SPDX-License-Identifier: Apache-2.0
"""Names of modules, made from the file names that real interpreters give to their code."""
import functools
import os
import pathlib
import subprocess

import pytest

from conftest import INTERPRETERS, PROGRAM

MODULECHECK = os.environ.get("STALLSCOPE_MODULECHECK") or os.path.join(
    os.path.dirname(PROGRAM), "tests/e2e/modulecheck")
CATALOGUE = pathlib.Path(__file__).resolve().parents[2] / "data" / "culprits.tsv"
ROWS = [row.split("\t")[:2] for row in CATALOGUE.read_text().splitlines()[1:]]
PATTERNS = [pattern for kind, pattern in ROWS if kind == "py"]
NAMES = [pattern for kind, pattern in ROWS if kind in ("ccall", "await")]

# What the catalogue calls otherwise than the interpreter does: parts that moved, and frozen code.
MOVED = {"pathlib._abc": "pathlib", "pathlib._local": "pathlib",
         "_frozen_importlib": "importlib._bootstrap",
         "_frozen_importlib_external": "importlib._bootstrap_external"}

# Imports what the standard library has, and prints module, file and name of each code object.
LIST = r"""
import sys, types, importlib, pkgutil, os, warnings
warnings.simplefilter("ignore")
root = os.path.dirname(os.__file__)
leave = ("antigravity", "this", "idlelib", "turtle", "tkinter", "test", "lib2to3", "__main__", "_android",
         "_ios", "site-packages", "dist-packages", "config", "_sysconfigdata", "ensurepip")
def names(code):
    yield code.co_name
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from names(inner)
def report(name, code):
    for function in sorted(set(names(code))):
        print(name, code.co_filename, function, sep="\t")
todo = [m.name for m in pkgutil.iter_modules([root])] + ["importlib._bootstrap", "zipimport"]
for name in todo:
    if name.startswith(leave):
        continue
    try:
        module = importlib.import_module(name)
    except BaseException:
        continue
    for inner in pkgutil.iter_modules(getattr(module, "__path__", [])):
        if not inner.name.startswith(("__main__", "windows_", "test")) and len(name) + len(inner.name) < 60:
            todo.append(name + "." + inner.name)
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    try:
        code = loader.get_code(module.__spec__.name)
    except BaseException:
        continue
    if code is not None:
        report(module.__spec__.name, code)
"""


@functools.lru_cache(maxsize=None)
def listed(interpreter):
    """(module, file, function) of the standard library, as the interpreter itself names them."""
    result = subprocess.run(interpreter.command + ["-S", "-c", LIST], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=300,
                            check=False, cwd="/")
    lines = result.stdout.decode(errors="replace").splitlines()
    return [line.split("\t") for line in lines if line.count("\t") == 2]


def looked_up(functions):
    if not os.access(MODULECHECK, os.X_OK):
        pytest.fail("tests/e2e/modulecheck is not built: make check builds it")
    text = "".join("%s\t%s\n" % (file, function) for _, file, function in functions)
    result = subprocess.run([MODULECHECK], input=text, stdout=subprocess.PIPE, text=True, timeout=120,
                            check=True)
    return [line.split("\t") for line in result.stdout.splitlines()]


FOUND = {}


def test_modules_of_the_standard_library(interpreter):
    functions = listed(interpreter)
    assert len({module for module, _, _ in functions}) > 150
    answers = looked_up(functions)
    assert len(answers) == len(functions)
    wrong = {(module, file, answer) for (module, file, _), (answer, _) in zip(functions, answers)
             if answer != MOVED.get(module, module)}
    assert not wrong, sorted(wrong)[:10]
    FOUND[interpreter.id] = {pattern for _, pattern in answers}


def test_rows_of_the_standard_library():
    """No row is dead: some version that was looked at has the function."""
    if len(FOUND) < len(INTERPRETERS):
        pytest.skip("not all interpreters were looked at")
    modules = {module.split(".")[0] for interpreter in INTERPRETERS for module, _, _ in listed(interpreter)}
    mine = {p for p in PATTERNS if p.split(":")[0].split(".")[0] in modules}
    assert len(mine) > 60
    assert not mine - set().union(*FOUND.values())


# Prints those of its arguments that name something.
RESOLVE = r"""
import sys, importlib, select
select.poll = type(select.poll())  # the type has no name of its own
for pattern in sys.argv[1:]:
    module, names = pattern.replace("!", ":").split(":")
    try:
        found = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError):
        continue
    print(pattern)
"""

RESOLVED = {}


def test_names_of_the_standard_library(interpreter):
    """C callables and coroutines are there by the names that the rows have for them."""
    result = subprocess.run(interpreter.command + ["-S", "-c", RESOLVE] + NAMES, stdout=subprocess.PIPE,
                            stdin=subprocess.DEVNULL, text=True, timeout=60, check=True, cwd="/")
    RESOLVED[interpreter.id] = set(result.stdout.split())
    assert len(RESOLVED[interpreter.id]) > 60


def test_all_names_of_the_standard_library():
    if len(RESOLVED) < len(INTERPRETERS):
        pytest.skip("not all interpreters were looked at")
    top = {module.split(".")[0] for interpreter in INTERPRETERS for module, _, _ in listed(interpreter)}
    builtin = {"_socket", "socket", "select", "posix", "builtins", "time", "fcntl", "_signal", "gc", "zlib",
               "_thread", "_queue", "_pickle", "_io", "_hashlib", "binascii", "unicodedata", "_multiprocessing"}
    mine = {n for n in NAMES if n.replace("!", ":").split(":")[0].split(".")[0] in top | builtin}
    assert len(mine) > 60
    assert not mine - set().union(*RESOLVED.values())
