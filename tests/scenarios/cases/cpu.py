# SPDX-License-Identifier: Apache-2.0
"""Computing, with the standard library."""
import ast
import base64
import bz2
import copy
import decimal
import difflib
import email.parser
import gc
import gzip
import hashlib
import html.parser
import inspect
import io
import json
import lzma
import os
import pickle
import random
import re
import statistics
import tarfile
import time
import traceback
import unicodedata
import xml.dom.minidom
import xml.etree.ElementTree
import zipfile
import zlib

from stage import FOREVER, begin, kept, settled, temporary

# To take results apart, and to look for rubbish, is work of its own: the results are kept, and
# nobody collects where that is not the subject.
gc.disable()


def rows(count=60000):
    return [{"id": i, "name": "tea %d" % i, "price": i / 7, "tags": ["a", "b", None]} for i in range(count)]


async def json_dumps():
    data = rows()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        json.dumps(data)


async def json_indent():
    data = rows()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        json.dumps(data, indent=1)


async def json_dump():
    data = rows()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        json.dump(data, io.StringIO())


async def json_loads():
    text = json.dumps(rows())
    await settled()
    begin(span=2)
    for _ in range(40):
        kept(json.loads(text))


async def pickle_dumps():
    data = rows(200000)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        pickle.dumps(data)


async def pickle_loads():
    text = pickle.dumps(rows(200000))
    await settled()
    begin(span=2)
    for _ in range(60):
        kept(pickle.loads(text))


async def deepcopy():
    data = rows()
    await settled()
    begin(span=2)
    for _ in range(15):
        kept(copy.deepcopy(data))


async def b64():
    data = bytes(1 << 27)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        base64.b64encode(data)


# ---- parsing ------------------------------------------------------------------------------------------

MARKUP = "<rows>" + "<row><name>tea</name><price>7</price></row>" * 20000 + "</rows>"


async def element_tree():
    await settled()
    begin(span=2)
    for _ in range(100):
        kept(xml.etree.ElementTree.fromstring(MARKUP))


async def minidom():
    await settled()
    begin(span=2)
    for _ in range(20):
        kept(xml.dom.minidom.parseString(MARKUP))


async def html_parser():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        html.parser.HTMLParser().feed(MARKUP)


async def strptime():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        time.strptime("2026-11-26 14:00:00", "%Y-%m-%d %H:%M:%S")


async def ast_parse():
    text = "x = [1, 2, (3, 4)]\n" * 60000
    await settled()
    begin(span=2)
    for _ in range(25):
        kept(ast.parse(text))


async def email_parse():
    text = "".join("Header-%d: value of it\r\n" % i for i in range(20000)) + "\r\nbody"
    await settled()
    begin(span=2)
    for _ in range(60):
        kept(email.parser.Parser().parsestr(text))


# ---- regular expressions ------------------------------------------------------------------------------

async def regex_match():
    pattern = re.compile(r"(a+)+$")
    await settled()
    begin()
    pattern.match("a" * 60 + "b")


async def regex_module():
    await settled()
    begin()
    re.match(r"(a+)+$", "a" * 60 + "b")


async def regex_findall():
    pattern, text = re.compile(r"\w+@\w+\.\w+"), "tea@price.example " * 200000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        pattern.findall(text)


async def regex_sub():
    pattern, text = re.compile(r"\s+"), "tea  price " * 300000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        pattern.sub(" ", text)


async def regex_search():
    pattern = re.compile(r"x(a|aa)+$")
    await settled()
    begin()
    pattern.search("x" + "a" * 80 + "b")


# ---- keys, sums and packing ---------------------------------------------------------------------------

async def pbkdf2():
    await settled()
    begin()
    hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 200000000)


async def scrypt():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        hashlib.scrypt(b"secret", salt=b"salt", n=1 << 16, r=8, p=4, maxmem=1 << 27)


async def sha256():
    data = bytes(1 << 27)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        hashlib.sha256(data)


def noise(size):
    return random.Random(7).getrandbits(8 * size).to_bytes(size, "big")


async def zlib_compress():
    data = noise(1 << 23) * 8
    await settled()
    begin(span=2)
    for _ in FOREVER:
        zlib.compress(data, 9)


async def gzip_compress():
    data = noise(1 << 23) * 8
    await settled()
    begin(span=2)
    for _ in FOREVER:
        gzip.compress(data)


async def bz2_compress():
    data = noise(1 << 24)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        bz2.compress(data)


async def lzma_compress():
    data = noise(1 << 24)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        lzma.compress(data)


async def zip_write():
    data = noise(1 << 23) * 8
    await settled()
    begin(span=3)
    for _ in FOREVER:
        with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a", data)


async def tar_add():
    name = temporary("data")
    with open(name, "wb") as file:
        file.write(noise(1 << 23) * 4)
    await settled()
    begin(span=3)
    for _ in FOREVER:
        with tarfile.open(fileobj=io.BytesIO(), mode="w:gz") as file:
            file.add(name)


async def file_digest():
    name = temporary("data")
    with open(name, "wb") as file:
        file.write(bytes(1 << 26))
    await settled()
    begin(span=3)
    for _ in FOREVER:
        with open(name, "rb") as file:
            hashlib.file_digest(file, "sha512")


# ---- computing ----------------------------------------------------------------------------------------

async def loop():
    total = 0
    await settled()
    begin(span=2)
    for _ in FOREVER:
        total += 1


def total_of(items):
    total = 0
    begin(span=3)
    while True:
        for item in items:
            total += item


async def loop_in_helper():
    await settled()
    total_of(range(100))


async def comprehension():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        [i * i for i in range(1000000)]


async def recursion():
    def fib(n):
        return n if n < 2 else fib(n - 1) + fib(n - 2)
    await settled()
    begin()
    fib(60)


async def sort():
    data = [random.random() for _ in range(2000000)]
    await settled()
    begin(span=2)
    for _ in FOREVER:
        sorted(data)


async def summing():
    data = range(1 << 40)
    await settled()
    begin()
    sum(data)


async def power():
    await settled()
    begin()
    pow(3, 1 << 27)


async def parse_int():
    import sys
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    text = "7" * 3000000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        int(text)


async def square_root():
    context = decimal.Context(prec=3000000)
    number = decimal.Decimal(2)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        number.sqrt(context)


async def diff():
    one = ["line %d" % (i % 97) for i in range(4000)]
    two = ["line %d" % (i % 89) for i in range(4000)]
    await settled()
    begin(span=2)
    for _ in FOREVER:
        list(difflib.unified_diff(one, two))


async def deviation():
    data = [i / 7 for i in range(200000)]
    await settled()
    begin(span=2)
    for _ in FOREVER:
        statistics.stdev(data)


async def normalise():
    text = "\u00e9\u1e9b\u0323" * 3000000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        unicodedata.normalize("NFKD", text)


async def stacks():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        traceback.format_stack()


async def inspect_stack():
    await settled()
    begin(span=2)
    for _ in FOREVER:
        inspect.stack()


async def sorting_with_key():
    """The key is ours, the sorting is not: the line is the key's or the call's."""
    data = list(range(300000))
    await settled()
    begin(span=2)
    for _ in FOREVER:
        sorted(data, key=lambda item: -item)


# ---- rubbish ------------------------------------------------------------------------------------------

def heap(count=1500000):
    return kept([[] for _ in range(count)])


async def gc_collect():
    heap()
    gc.enable()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        gc.collect()


async def gc_automatic():
    """Objects that stay come faster than anything else happens: most of it is collecting."""
    heap(300000)
    gc.enable()
    gc.set_threshold(500, 1, 1)
    await settled()
    begin(span=3)
    data = []
    for _ in range(1 << 23):
        data.append([])


async def urandom():
    """Time in the kernel counts as computing."""
    await settled()
    begin(span=2)
    for _ in FOREVER:
        os.urandom(1 << 24)
