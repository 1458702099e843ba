# SPDX-License-Identifier: Apache-2.0
"""lines.py FILE: writes, for every instruction of several standard modules, the line and columns
that this interpreter gives it, and stays alive so that the code objects can be read."""
import argparse
import ast
import asyncio
import dis
import inspect
import json
import subprocess
import sys
import tarfile
import time
import types
import typing

import truth

MODULES = (asyncio.base_events, argparse, ast, inspect, json.decoder, subprocess, tarfile, typing)


def all_codes(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from all_codes(const)


def positions(code):
    if hasattr(code, "co_positions"):
        for i, (line, end_line, col, end_col) in enumerate(code.co_positions()):
            yield (i * 2, line, end_line, col, end_col)
    elif hasattr(code, "co_lines"):
        for start, end, line in code.co_lines():
            for offset in range(start, end, 2):
                yield (offset, line)
    else:
        starts, line = dict(dis.findlinestarts(code)), code.co_firstlineno
        for offset in range(0, len(code.co_code), 2):
            line = starts.get(offset, line)
            yield (offset, line)


def source(module):
    with open(module.__file__, encoding="utf-8") as file:
        return file.read()


CODES = [code for module in MODULES
         for code in all_codes(compile(source(module), module.__file__, "exec"))]

count = 0
with open(sys.argv[1], "w") as out:
    for code in CODES:
        for row in positions(code):
            out.write("%x %s\n" % (id(code), " ".join("-" if v is None else str(v) for v in row)))
            count += 1
truth.tell("lines", "NO-LOOP", instructions=count)
time.sleep(60)
