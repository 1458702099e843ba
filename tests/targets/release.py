# SPDX-License-Identifier: Apache-2.0
"""release.py FOLDER [next]: a service that handles with handlers.py of that folder, again and again.
The next release imports more: extra.py of the folder and an extension module of the standard library
that is a file of its own, and tells which one.
"""
import asyncio
import importlib.util
import json
import sys

import truth

sys.path.insert(0, sys.argv[1])
import handlers  # pylint: disable=wrong-import-position

EXTENSIONS = ["_lzma", "_sqlite3", "_curses", "_decimal", "_zoneinfo", "_elementtree", "mmap", "audioop", "_crypt"]


def extension():
    """Its name and its file; it is there in each build, under one name or another."""
    for name in EXTENSIONS:
        spec = importlib.util.find_spec(name) if name not in sys.modules else None
        if spec and spec.origin and spec.origin.endswith(".so"):
            try:
                importlib.import_module(name)
            except ImportError:  # of a library that is not installed
                continue
            return name, spec.origin
    return None, None


async def main():
    name = path = None
    if sys.argv[2:] == ["next"]:
        importlib.import_module("extra.part")
        name, path = extension()
    truth.tell("release", extension=name, file=path, json=vars(json).get("__version__"))
    while True:
        handlers.price()
        await asyncio.sleep(0.1)


asyncio.run(main())
