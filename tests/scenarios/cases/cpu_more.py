# SPDX-License-Identifier: Apache-2.0
"""Computing, with libraries of the distribution."""
import gc
import io
import random

from stage import FOREVER, begin, kept, settled

gc.disable()  # as in cpu.py


def rows(count=30000):
    return [{"id": i, "name": "tea %d" % i, "price": i / 7} for i in range(count)]


MARKUP = "<rows>" + "<row><name>tea</name><price>7</price></row>" * 20000 + "</rows>"


def noise(size):
    return random.Random(7).getrandbits(8 * size).to_bytes(size, "big")


async def msgpack_packb():
    import msgpack
    data = rows(200000)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        msgpack.packb(data)


async def ujson_dumps():
    import ujson
    data = rows(200000)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        ujson.dumps(data)


async def simplejson_dumps():
    import simplejson
    data = rows()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        simplejson.dumps(data, indent=1)


async def yaml_load():
    import yaml
    text = "\n".join("- {id: %d, name: tea, price: 7}" % i for i in range(5000))
    await settled()
    begin(span=2)
    for _ in range(20):
        kept(yaml.safe_load(text))


async def yaml_dump():
    import yaml
    data = rows(5000)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        yaml.safe_dump(data)


async def lxml_parse():
    import lxml.etree
    text = "<rows>" + MARKUP * 5 + "</rows>"
    await settled()
    begin(span=2)
    for _ in range(100):
        kept(lxml.etree.fromstring(text))


async def soup():
    import bs4
    await settled()
    begin(span=2)
    for _ in range(15):
        kept(bs4.BeautifulSoup(MARKUP, "html.parser"))


async def xmltodict_parse():
    import xmltodict
    await settled()
    begin(span=2)
    for _ in range(60):
        kept(xmltodict.parse(MARKUP))


async def dateutil_parse():
    import dateutil.parser
    await settled()
    begin(span=2)
    for _ in FOREVER:
        dateutil.parser.parse("Thu, 26 Nov 2026 14:00:00 +0100")


async def bcrypt_hash():
    import bcrypt
    await settled()
    begin()
    bcrypt.hashpw(b"secret", bcrypt.gensalt(20))


async def argon2_hash():
    import argon2
    hasher = argon2.PasswordHasher(time_cost=3000, memory_cost=65536, parallelism=1)
    await settled()
    begin()
    hasher.hash("secret")


async def argon2_threads():
    """The library's own threads compute, ours waits for them: it is computing all the same."""
    import argon2
    hasher = argon2.PasswordHasher(time_cost=3000, memory_cost=65536, parallelism=2)
    await settled()
    begin()
    hasher.hash("secret")


async def rsa_key():
    from cryptography.hazmat.primitives.asymmetric import rsa
    await settled()
    begin(span=2)
    for _ in FOREVER:
        rsa.generate_private_key(public_exponent=65537, key_size=8192)


async def jwt_encode():
    import jwt
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        jwt.encode({"id": 1}, key, algorithm="RS256")


async def brotli_compress():
    import brotli
    data = noise(1 << 16) * 512
    await settled()
    begin(span=2)
    for _ in FOREVER:
        brotli.compress(data)


async def zstd_compress():
    import zstandard
    data, packer = noise(1 << 23), zstandard.ZstdCompressor(level=19)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        packer.compress(data)


async def pil_resize():
    from PIL import Image
    image = Image.new("RGB", (4000, 4000))
    await settled()
    begin(span=2)
    for _ in FOREVER:
        image.resize((3000, 3000), Image.LANCZOS)


async def pil_save():
    from PIL import Image
    image = Image.frombytes("RGB", (1500, 1500), noise(1500 * 1500 * 3))
    await settled()
    begin(span=2)
    for _ in FOREVER:
        image.save(io.BytesIO(), "PNG")


async def numpy_dot():
    import numpy
    data = numpy.ones((1500, 1500))
    await settled()
    begin(span=2)
    for _ in FOREVER:
        data.dot(data)


async def numpy_sort():
    import numpy
    data = numpy.random.random(5000000)
    await settled()
    begin(span=2)
    for _ in FOREVER:
        numpy.sort(data)


async def pandas_apply():
    import pandas
    data = pandas.DataFrame({"a": range(50000)})
    await settled()
    begin(span=2)
    for _ in FOREVER:
        data.apply(lambda row: row.a * 2, axis=1)


async def pandas_csv():
    import pandas
    text = "a,b,c\n" + "1,2.5,tea\n" * 500000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        pandas.read_csv(io.StringIO(text))


async def jinja_render():
    import jinja2
    template = jinja2.Template("{% for r in rows %}<td>{{ r.id }} {{ r.name }}</td>{% endfor %}")
    data = rows()
    await settled()
    begin(span=2)
    for _ in FOREVER:
        template.render(rows=data)


async def markdown_convert():
    import markdown
    text = "# Tea\n\n* green *tea*\n* black [tea](https://tea)\n\n" * 2000
    await settled()
    begin(span=2)
    for _ in FOREVER:
        markdown.markdown(text)


async def pydantic_models():
    import pydantic

    class Row(pydantic.BaseModel):
        id: int
        name: str
        price: float

    class Rows(pydantic.BaseModel):
        rows: list[Row]

    data = rows()
    await settled()
    begin(span=2)
    for _ in range(60):
        kept(Rows(rows=data))


async def protobuf_dict():
    from google.protobuf import json_format, struct_pb2
    data = {"rows": rows(5000)}
    await settled()
    begin(span=2)
    for _ in range(60):
        kept(json_format.ParseDict(data, struct_pb2.Struct()))


async def spreadsheet():
    import openpyxl
    book = openpyxl.Workbook()
    for i in range(20000):
        book.active.append([i, "tea", i / 7])
    await settled()
    begin(span=2)
    for _ in FOREVER:
        book.save(io.BytesIO())
