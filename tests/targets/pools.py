# SPDX-License-Identifier: Apache-2.0
"""pools.py: tasks that wait in third-party libraries, for servers on loopback that do not answer and
for pools that are used up; the truth is what the catalogue must name of each. Libraries that are not
installed are left out, and said.
"""
import asyncio
import importlib
import struct
import time

import truth

SECONDS = 600.0
KEPT = []
WAITS, MISSING = {}, []


def start(name, coroutine, library, title, limited=False):
    """limited: a timeout of SECONDS is around it, which the library keeps."""
    task = asyncio.get_running_loop().create_task(coroutine)
    task.set_name(name)
    KEPT.append(task)
    WAITS[name] = [library, title, limited]


async def silent(reader, writer):
    """Reads, and says nothing."""
    KEPT.append((reader, writer))
    while await reader.read(4096):
        pass


async def of_aiohttp(aiohttp, port):
    async def get(session):
        async with session.get("http://127.0.0.1:%d/" % port):
            pass
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1))
    KEPT.append(session)
    start("aiohttp.headers", get(session), "aiohttp", "aiohttp: waiting for response headers")
    await asyncio.sleep(0.3)
    start("aiohttp.pool", get(session), "aiohttp", "aiohttp connector limit reached (100 default)")


async def of_httpx(httpx, port):
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=1), timeout=SECONDS)
    KEPT.append(client)
    url = "http://127.0.0.1:%d/" % port
    start("httpx.response", client.get(url), "httpcore", "httpx: waiting for the response")
    await asyncio.sleep(0.3)
    start("httpx.pool", client.get(url), "httpcore", "httpx pool limit reached")


async def of_anyio(anyio, _):
    limiter = anyio.CapacityLimiter(1)

    async def thread():
        with anyio.move_on_after(SECONDS):
            await anyio.to_thread.run_sync(time.sleep, SECONDS, limiter=limiter)
    start("anyio.thread", thread(), "anyio", "a sync function runs in an anyio worker thread (FastAPI def endpoint)",
          limited=True)
    await asyncio.sleep(0.3)
    start("anyio.limit", thread(), "anyio",
          "anyio/Starlette thread limiter full (40 by default): sync endpoints queue up", limited=True)


async def of_redis(redis, port):
    import redis.asyncio
    pool = redis.asyncio.BlockingConnectionPool(host="127.0.0.1", port=port, max_connections=1, timeout=SECONDS)
    client = redis.asyncio.Redis(connection_pool=pool)
    KEPT.append(client)
    start("redis.reply", client.ping(), "redis", "redis.asyncio waiting for a reply")
    await asyncio.sleep(0.3)
    start("redis.pool", client.ping(), "redis", "redis.asyncio pool exhausted", limited=True)


async def postgres(reader, writer):
    """Lets everybody in, then is silent (PostgreSQL 16, 55.7: message formats)."""
    def message(kind, body):
        writer.write(kind + struct.pack("!i", 4 + len(body)) + body)
    await reader.read(4096)
    message(b"R", struct.pack("!i", 0))
    for key, value in (b"server_version", b"15.0"), (b"client_encoding", b"UTF8"):
        message(b"S", key + b"\0" + value + b"\0")
    message(b"K", struct.pack("!ii", 1, 1))
    message(b"Z", b"I")
    await silent(reader, writer)


async def postgres_server():
    server = await asyncio.start_server(postgres, "127.0.0.1", 0)
    KEPT.append(server)
    return server.sockets[0].getsockname()[1]


async def of_asyncpg(asyncpg, _):
    port = await postgres_server()
    pool = await asyncpg.create_pool(host="127.0.0.1", port=port, user="u", database="d", password="p",
                                     min_size=1, max_size=1, ssl=False)
    KEPT.append(pool)

    async def query():
        async with pool.acquire() as connection:
            await connection.execute("select 1")
    start("asyncpg.query", query(), "asyncpg", "asyncpg query running")
    await asyncio.sleep(0.3)
    start("asyncpg.pool", query(), "asyncpg", "asyncpg pool exhausted")


async def of_sqlalchemy(sqlalchemy, _):
    import sqlalchemy.ext.asyncio
    importlib.import_module("asyncpg")
    port = await postgres_server()
    engine = sqlalchemy.ext.asyncio.create_async_engine("postgresql+asyncpg://u:p@127.0.0.1:%d/d" % port,
                                                        connect_args={"ssl": False})
    KEPT.append(engine)

    async def query():
        async with engine.connect() as connection:
            await connection.execute(sqlalchemy.text("select 1"))
    start("sqlalchemy.start", query(), "sqlalchemy", "SQLAlchemy async pool (exhausted when it waits for a queue)")


async def main():
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("aiohttp", "httpx", "anyio", "redis", "asyncpg", "sqlalchemy"):
        try:
            module = importlib.import_module(name)
            await globals()["of_" + name](module, port)
        except ImportError as error:
            MISSING.append("%s: %s" % (name, error))
    await asyncio.sleep(0.3)
    truth.tell("pools", waits=WAITS, missing=MISSING, seconds=SECONDS)
    await asyncio.sleep(SECONDS)


if __name__ == "__main__":
    asyncio.run(main())
