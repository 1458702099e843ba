# SPDX-License-Identifier: Apache-2.0
"""Databases and caches: real ones where the runner has started them, silent ones else."""
import asyncio
import sqlite3

from stage import background, begin, kept, peer, say, service, settled, silent_server, temporary

SLEEP = "select pg_sleep(40)"


def pg():
    host, port = service("postgres")
    return "host=%s port=%d user=postgres dbname=postgres" % (host, port)


def pg_url(driver):
    return "postgresql+%s://postgres@%s:%d/postgres" % ((driver,) + service("postgres"))


def of(name):
    return peer(service(name)[1])


# ---- PostgreSQL ----------------------------------------------------------------------------------------

async def psycopg2_connect():
    import psycopg2
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    psycopg2.connect("host=127.0.0.1 port=%d user=a dbname=b sslmode=disable gssencmode=disable" % port)


async def psycopg2_execute():
    import psycopg2
    cursor = kept(psycopg2.connect(pg())).cursor()
    await settled()
    begin(peer=of("postgres"))
    cursor.execute(SLEEP)


async def psycopg2_lock():
    """Another transaction has the row."""
    import psycopg2
    first, second = kept(psycopg2.connect(pg())), kept(psycopg2.connect(pg()))
    keeper, cursor = first.cursor(), second.cursor()
    keeper.execute("select pg_advisory_lock(77)")
    await settled()
    begin(peer=of("postgres"))
    cursor.execute("select pg_advisory_lock(77)")


async def psycopg_connect():
    import psycopg
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    psycopg.connect("host=127.0.0.1 port=%d user=a dbname=b sslmode=disable gssencmode=disable" % port)


async def psycopg_execute():
    import psycopg
    cursor = kept(psycopg.connect(pg())).cursor()
    await settled()
    begin(peer=of("postgres"))
    cursor.execute(SLEEP)


async def psycopg_pool():
    """The pool has one connection, and a thread has it."""
    import psycopg_pool
    pool = kept(psycopg_pool.ConnectionPool(pg(), min_size=1, max_size=1, timeout=40))

    def use():
        with pool.connection() as connection:
            connection.execute(SLEEP)

    background(use)
    await settled(0.3)
    begin()
    pool.getconn()


async def sqlalchemy_execute():
    import sqlalchemy
    connection = kept(sqlalchemy.create_engine(pg_url("psycopg2"))).connect()
    await settled()
    begin(peer=of("postgres"))
    connection.execute(sqlalchemy.text(SLEEP))


async def sqlalchemy_session():
    import sqlalchemy.orm
    session = sqlalchemy.orm.Session(kept(sqlalchemy.create_engine(pg_url("psycopg2"))))
    session.connection()
    await settled()
    begin(peer=of("postgres"))
    session.execute(sqlalchemy.text(SLEEP))


def queue_pool(size):
    """Connections to sqlite, but as many as said."""
    import sqlalchemy
    from sqlalchemy.pool import QueuePool
    return kept(sqlalchemy.create_engine("sqlite:///" + temporary("db"), poolclass=QueuePool, pool_size=size,
                                         max_overflow=0, pool_timeout=40))


async def sqlalchemy_pool():
    """Threads have the connections: they will come back."""
    import threading
    engine, both = queue_pool(2), threading.Barrier(3)

    def use():
        with engine.connect():
            both.wait()
            threading.Event().wait(40)

    background(use)
    background(use)
    await asyncio.get_running_loop().run_in_executor(None, both.wait)
    await settled()
    begin()
    engine.connect()


async def deadlock_pool():
    """Tasks of this loop have all connections; they cannot give them back while the loop is held."""
    engine = queue_pool(2)

    async def use():
        with engine.connect():
            await asyncio.sleep(0.3)

    kept([asyncio.ensure_future(use()) for _ in range(2)])
    await settled()
    begin()
    engine.connect()


async def peewee_execute():
    import peewee
    host, port = service("postgres")
    database = kept(peewee.PostgresqlDatabase("postgres", user="postgres", host=host, port=port))
    database.connect()
    await settled()
    begin(peer=of("postgres"))
    database.execute_sql(SLEEP)


async def django_execute():
    import os
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    from django.conf import settings
    host, port = service("postgres")
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres",
                                              "USER": "postgres", "HOST": host, "PORT": port}})
    from django.db import connection
    cursor = connection.cursor()
    await settled()
    begin(peer=of("postgres"))
    cursor.execute(SLEEP)


# ---- MariaDB -------------------------------------------------------------------------------------------

async def pymysql_connect():
    import pymysql
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    pymysql.connect(host="127.0.0.1", port=port, user="root")


async def pymysql_query():
    import pymysql
    host, port = service("mariadb")
    cursor = kept(pymysql.connect(host=host, port=port, user="root")).cursor()
    await settled()
    begin(peer=of("mariadb"))
    cursor.execute("select sleep(40)")


async def mysqldb_connect():
    import MySQLdb
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    MySQLdb.connect(host="127.0.0.1", port=port, user="root")


async def mysqldb_query():
    import MySQLdb
    host, port = service("mariadb")
    cursor = kept(MySQLdb.connect(host=host, port=port, user="root")).cursor()
    await settled()
    begin(peer=of("mariadb"))
    cursor.execute("select sleep(40)")


# ---- others --------------------------------------------------------------------------------------------

COUNT = "with recursive c(n) as (select 1 union all select n + 1 from c) select count(*) from c"


async def sqlite_query():
    connection = sqlite3.connect(":memory:")
    await settled()
    begin()
    connection.execute(COUNT)


async def sqlite_fetch():
    """The first row came with execute(), the next one never comes."""
    cursor = sqlite3.connect(":memory:").execute(COUNT.replace("count(*)", "n") + " where n < 2 or n > 1e15")
    await settled()
    begin()
    cursor.fetchone()


async def sqlite_locked():
    name = temporary("db")
    keeper = kept(sqlite3.connect(name))
    keeper.execute("create table t (a)")
    keeper.execute("begin exclusive")
    connection = sqlite3.connect(name, timeout=40)
    await settled()
    begin()
    connection.execute("insert into t values (1)")


async def mongo_find():
    import pymongo
    import socket
    closed = kept(socket.socket())
    closed.bind(("127.0.0.1", 0))
    client = pymongo.MongoClient("127.0.0.1", closed.getsockname()[1], serverSelectionTimeoutMS=40000)
    await settled()
    begin()
    client.tea.prices.find_one()


async def redis_blpop():
    import redis
    host, port = service("redis")
    client = kept(redis.Redis(host, port))
    client.ping()
    await settled()
    begin(peer=of("redis"))
    client.blpop("nothing", 40)


async def redis_get():
    import redis
    port = silent_server()
    client = redis.Redis("127.0.0.1", port)
    await settled()
    begin(peer=peer(port))
    client.get("tea")


async def redis_lock():
    import redis
    host, port = service("redis")
    client = kept(redis.Redis(host, port))
    client.set("held", "by another", ex=50)
    lock = client.lock("held")
    await settled()
    begin()
    lock.acquire()


async def memcache_get():
    import memcache
    port = silent_server()
    client = memcache.Client(["127.0.0.1:%d" % port], socket_timeout=40)
    await settled()
    begin(peer=peer(port))
    client.get("tea")


async def pymemcache_get():
    from pymemcache.client.base import Client
    port = silent_server()
    client = Client(("127.0.0.1", port))
    await settled()
    begin(peer=peer(port))
    client.get("tea")


# ---- asynchronous clients: tasks wait, the loop is well ---------------------------------------------

async def crowd(count, function, *args):
    kept([asyncio.ensure_future(function(*args)) for _ in range(count)])
    await settled(0.7)
    say()
    await asyncio.sleep(50)


async def asyncpg_pool():
    import asyncpg
    host, port = service("postgres")
    pool = kept(await asyncpg.create_pool(host=host, port=port, user="postgres", database="postgres", min_size=3,
                                          max_size=3))

    async def use():
        async with pool.acquire() as connection:
            await connection.execute(SLEEP)
    await crowd(200, use)


async def asyncpg_execute():
    import asyncpg
    host, port = service("postgres")

    async def use():
        connection = kept(await asyncpg.connect(host=host, port=port, user="postgres", database="postgres"))
        await connection.execute(SLEEP)
    await crowd(60, use)


async def psycopg_async_pool():
    import psycopg_pool
    pool = kept(psycopg_pool.AsyncConnectionPool(pg(), min_size=2, max_size=2, timeout=50))

    async def use():
        async with pool.connection() as connection:
            await connection.execute(SLEEP)
    await crowd(200, use)


async def sqlalchemy_async_pool():
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine
    engine = kept(create_async_engine(pg_url("asyncpg"), pool_size=2, max_overflow=0, pool_timeout=50))

    async def use():
        async with engine.connect() as connection:
            await connection.execute(text(SLEEP))
    await crowd(200, use)


async def redis_async_pool():
    import redis.asyncio
    host, port = service("redis")
    pool = redis.asyncio.BlockingConnectionPool(host=host, port=port, max_connections=3, timeout=50)
    client = kept(redis.asyncio.Redis(connection_pool=pool))
    await crowd(200, client.blpop, "nothing", 40)


async def redis_async_read():
    import redis.asyncio
    host, port = service("redis")
    client = kept(redis.asyncio.Redis(host=host, port=port))
    await crowd(100, client.blpop, "nothing", 40)


async def aiohttp_pool():
    import aiohttp
    port = silent_server(500)
    session = kept(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=3)))

    async def fetch():
        async with session.get("http://127.0.0.1:%d/" % port) as response:
            await response.read()
    await crowd(200, fetch)


async def aiohttp_get():
    import aiohttp
    port = silent_server(500)
    session = kept(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def fetch():
        async with session.get("http://127.0.0.1:%d/" % port) as response:
            await response.read()
    await crowd(150, fetch)


async def httpx_pool():
    import httpx
    port = silent_server(500)
    client = kept(httpx.AsyncClient(limits=httpx.Limits(max_connections=3), timeout=None))
    await crowd(200, client.get, "http://127.0.0.1:%d/" % port)


async def httpx_get():
    import httpx
    port = silent_server(500)
    client = kept(httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=None))
    await crowd(100, client.get, "http://127.0.0.1:%d/" % port)


async def anyio_threads():
    import time
    import anyio
    await crowd(200, anyio.to_thread.run_sync, time.sleep, 40)
