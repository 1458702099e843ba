# SPDX-License-Identifier: Apache-2.0
"""Runs much of the standard library under a profile hook, which stops at each place where a C
function is called, the first time that it is, says what it is and waits for a byte:

    callsites.py

Or writes for every call instruction of several modules, run or not, how it is written, and waits:

    callsites.py FILE
"""
import ast
import dis
import json
import os
import re
import sys
import types

FILES = {}
SEEN = set()


def write(value):
    os.write(1, (json.dumps(value) + "\n").encode())


def hook_name(function):
    """The name of the catalogue for what a c_call event brings."""
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        module = function.__module__
        if module is None and owner is not None:
            module = owner.__name__
    elif isinstance(owner, type):
        module = owner.__module__
    else:
        module = type(owner).__module__
    return "%s!%s" % (module, function.__qualname__)


def written(node):
    """An expression as the reader shows it."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return written(node.value) + "." + node.attr
    if isinstance(node, ast.Call):
        return written(node.func) + ("(\u2026)" if node.args or node.keywords else "()")
    if isinstance(node, ast.Subscript):
        return written(node.value) + "[\u2026]"
    return "(\u2026)"


def calls_of(file):
    """Calls of a file as (first line, last line, column, end column, text)."""
    if file not in FILES:
        calls = []
        try:
            with open(file, "rb") as source:
                tree = ast.parse(source.read())
        except (OSError, SyntaxError):
            tree = None
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call):
                calls.append((node.lineno, node.end_lineno, node.col_offset, node.end_col_offset, written(node.func)))
        FILES[file] = calls
    return FILES[file]


def texts_at(frame):
    """What may be called at the instruction of a frame, as it is written; by position if it is known."""
    code = frame.f_code
    calls = calls_of(code.co_filename)
    if hasattr(code, "co_positions"):
        position = list(code.co_positions())[frame.f_lasti // 2]
        if None in position:
            return None
        start, end, column, end_column = position
        exact = [t for a, b, c, d, t in calls if (a, b, c, d) == (start, end, column, end_column)]
        if exact:
            return exact
        # Of a method called over several lines: from its name on.
        ends = [((a, c), t) for a, b, c, d, t in calls if (b, d) == (end, end_column) and a < start and "." in t]
        return [max(ends)[1]] if ends else None
    return [t for a, b, c, d, t in calls if a <= frame.f_lineno <= b] or None


def all_codes(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from all_codes(const)


def static_sites(code):
    """Offset and possible texts of each call instruction, one that applies a decorator included."""
    line, positions = code.co_firstlineno, list(code.co_positions()) if hasattr(code, "co_positions") else None
    starts = dict(dis.findlinestarts(code))
    for instr in dis.get_instructions(code):
        line = starts.get(instr.offset) or line
        if not instr.opname.startswith("CALL_") and instr.opname != "CALL" or "INTRINSIC" in instr.opname:
            continue
        if instr.opname == "CALL_FINALLY":
            continue
        if not positions:
            found = [t for a, b, c, d, t in calls_of(code.co_filename) if a <= line <= b]
        else:
            start, end, column, end_column = positions[instr.offset // 2]
            found = [t for a, b, c, d, t in calls_of(code.co_filename) if (a, b, c, d) == (start, end, column, end_column)]
        if found:
            yield instr.offset, found + [t + call for t in found for call in ("()", "(\u2026)")]


def write_static(path):
    import argparse, asyncio.base_events, inspect, subprocess, tarfile, typing, zipfile, logging, threading, shutil
    kept = []
    with open(path, "w", encoding="utf-8") as out:
        for module in (argparse, ast, asyncio.base_events, inspect, subprocess, tarfile, typing, zipfile, logging, threading,
                       shutil):
            with open(module.__file__, encoding="utf-8") as source:
                kept.append(compile(source.read(), module.__file__, "exec"))
            for code in all_codes(kept[-1]):
                for offset, texts in static_sites(code):
                    out.write("%x %d\t%s\n" % (id(code), offset, "\t".join(texts)))
    hook(None, "wait", kept)


def hook(frame, event, arg):
    if event == "wait":
        write({"written": True})
        os.read(0, 1)
    if event != "c_call":
        return
    key = (frame.f_code, frame.f_lasti, hook_name(arg).replace("None!", "builtins!"))
    if key in SEEN or frame.f_code.co_filename == __file__:
        return
    SEEN.add(key)
    special = arg.__name__.startswith("__")  # of a class or a with statement: no call is written there
    write({"name": key[2], "texts": None if special else texts_at(frame), "file": frame.f_code.co_filename, "line": frame.f_lineno,
           "code": frame.f_code.co_name, "instr": frame.f_lasti})
    if not os.read(0, 1):
        os._exit(1)


def work():
    import argparse, asyncio, bisect, calendar, collections, configparser, contextlib, copy, csv, datetime
    import decimal, difflib, dis, email, enum, fnmatch, fractions, functools, glob, gzip, hashlib, heapq, html
    import inspect, io, itertools, logging, operator, pathlib, pickle, pprint, queue, random, shlex, shutil
    import sched, string, statistics, struct, tempfile, textwrap, threading, time, tokenize, traceback
    import typing, unittest, urllib.parse, uuid, weakref, zipfile, zlib
    import email.message, html.parser, json.decoder, json.encoder, logging.handlers, xml.etree.ElementTree as ET
    for name in ("json", "json.decoder", "json.encoder", "textwrap", "difflib", "string", "shlex", "csv",
                 "configparser", "argparse", "statistics", "pprint"):
        sys.modules.pop(name, None)
        __import__(name)
    text = "\n".join("line %d, with some words of it" % i for i in range(30))
    for function in (lambda: json.loads(json.dumps({"a": [1, 2.5, None, "x"], "b": {"c": "d"}}, indent=1)),
                     lambda: textwrap.fill(text, 40),
                     lambda: list(difflib.unified_diff(text.split("\n"), text.upper().split("\n"))),
                     lambda: pprint.pformat({"a": list(range(50)), "b": {"c": ("d",) * 20}}),
                     lambda: dis.Bytecode(work).dis(),
                     lambda: list(tokenize.generate_tokens(io.StringIO("x = [1, 2]\nif x:\n  y(x)\n").readline)),
                     lambda: inspect.signature(shutil.copytree),
                     lambda: inspect.getsource(calls_of),
                     lambda: collections.namedtuple("P", "x y")(1, 2)._replace(x=3),
                     lambda: email.message_from_string("From: a@b\nSubject: x\n\nbody\n").as_string(),
                     lambda: html.parser.HTMLParser().feed("<p class='a'>x &amp; y</p>"),
                     lambda: urllib.parse.urlsplit("http://user@host:80/a?b=c#d").geturl(),
                     lambda: urllib.parse.urlencode({"a": ["b", "c"]}, doseq=True),
                     lambda: re.compile(r"(a|b)*c+(?P<name>x{1,3})[^a-z]\bfoo(?=bar)", re.X).match("abcx"),
                     lambda: statistics.stdev([1, 2, 3, 4.5]), lambda: fractions.Fraction("1.25") ** 2,
                     lambda: shlex.split("a 'b c' d\\ e"), lambda: calendar.TextCalendar().formatyear(2024),
                     lambda: datetime.datetime.strptime("2024-01-02", "%Y-%m-%d").isoformat(),
                     lambda: list(csv.DictReader(io.StringIO("a,b\n1,2\n"))),
                     lambda: traceback.format_exc(), lambda: string.Template("$a").substitute(a=1),
                     lambda: copy.deepcopy({"a": [1, {2, 3}], "b": collections.deque([1])}),
                     lambda: pickle._dumps([1, "a", {"b": (1.5, None)}]), lambda: uuid.uuid4().hex,
                     lambda: random.Random(1).sample(range(100), 10), lambda: ET.fromstring("<a><b/>x</a>").find("b"),
                     lambda: sorted(heapq.merge([1, 3], [2, 4])), lambda: decimal.Decimal("1.1").sqrt(),
                     lambda: typing.get_type_hints(work), lambda: fnmatch.filter(["a.py", "b"], "*.py")):
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", text)
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        with gzip.open(str(path) + ".gz", "wb") as file:
            file.write(b"x" * 1000)
        shutil.copy(path, str(path) + "2")
        list(pathlib.Path(folder).glob("*")), glob.glob(folder + "/*")
    config = configparser.ConfigParser()
    config.read_string("[a]\nb = c\n[d]\ne = %(f)s\nf = g\n")
    config.get("d", "e")
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=int, default=1)
    parser.parse_args(["--x", "3"])
    parser.format_help()
    logger = logging.getLogger("x")
    logger.addHandler(logging.StreamHandler(io.StringIO()))
    logger.warning("a %s", "b")
    todo = queue.Queue()
    todo.put(1)
    todo.get(timeout=1)
    event = threading.Event()
    thread = threading.Thread(target=event.set)
    thread.start()
    event.wait(5)
    thread.join()

    async def main():
        lock = asyncio.Lock()
        async with lock:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001))
        await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.001), 5)

    asyncio.run(main())
    suite = unittest.TestSuite()
    suite.addTest(unittest.FunctionTestCase(lambda: None))
    unittest.TextTestRunner(stream=io.StringIO()).run(suite)


def main():
    write({"pid": os.getpid()})
    os.read(0, 1)
    if len(sys.argv) > 1:
        write_static(sys.argv[1])
        return
    sys.setprofile(hook)
    try:
        work()
    finally:
        sys.setprofile(None)
    write({"done": len(SEEN)})


if __name__ == "__main__":
    main()
