# SPDX-License-Identifier: Apache-2.0
"""Other loops: uvloop, and main loops that are not asyncio's; servers with a handler that blocks."""
import asyncio
import json
import time

from stage import alone, background, begin, kept, load, peer, say, serve, settled, silent_server, suffer


# ---- uvloop --------------------------------------------------------------------------------------------

def with_uvloop(file, function):
    import uvloop
    uvloop.install()
    asyncio.run(serve(getattr(load(file), function), ()))


@alone
def uvloop_sleep():
    with_uvloop("threads", "sleep")


@alone
def uvloop_callback():
    with_uvloop("threads", "callback")


@alone
def uvloop_recv():
    with_uvloop("net", "recv")


@alone
def uvloop_cpu():
    with_uvloop("cpu", "loop")


@alone
def uvloop_idle():
    with_uvloop("loops", "idle")


@alone
def uvloop_echo():
    with_uvloop("loops", "echo_server")


@alone
def uvloop_half_busy():
    with_uvloop("loops", "half_busy")


@alone
def uvloop_wait_lock():
    with_uvloop("loops", "wait_lock")


@alone
def uvloop_flood():
    """Each callback is short: held is the turn, not one of them."""
    with_uvloop("loops", "flood_tasks")


@alone
def uvloop_nested_selector():
    """The thread waits in an epoll, and not in that of the loop."""
    with_uvloop("threads", "nested_selector")


@alone
def uvloop_deadlock():
    with_uvloop("threads", "deadlock_future")


# ---- servers -------------------------------------------------------------------------------------------

@alone
def aiohttp_handler():
    """A request handler that sleeps."""
    from aiohttp import ClientSession, web

    async def price(request):
        begin()
        time.sleep(40)
        return web.Response()

    async def main():
        suffer()
        app = web.Application()
        app.router.add_get("/", price)
        runner = kept(web.AppRunner(app))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        async with ClientSession() as session:
            await session.get("http://127.0.0.1:%d/" % site._server.sockets[0].getsockname()[1])

    asyncio.run(main())


@alone
def aiohttp_idle():
    from aiohttp import web

    async def main():
        runner = kept(web.AppRunner(web.Application()))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        say()
        await asyncio.sleep(50)

    asyncio.run(main())


@alone
def tornado_idle():
    import tornado.ioloop
    loop = tornado.ioloop.IOLoop.current()
    loop.call_later(0.05, say)
    loop.start()


@alone
def tornado_sleep():
    import tornado.ioloop

    def tick():
        begin()
        time.sleep(40)

    loop = tornado.ioloop.IOLoop.current()
    loop.call_later(0.05, tick)
    loop.start()


@alone
def websocket_recv():
    """The synchronous client of a server in another thread's loop, which is well."""
    import websocket
    import websockets
    ready = []

    async def silent(connection, *_):
        await asyncio.sleep(50)

    async def serving():
        server = await websockets.serve(silent, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])
        await asyncio.sleep(50)

    background(lambda: asyncio.run(serving()))
    while not ready:
        time.sleep(0.01)

    async def receive():
        client = websocket.create_connection("ws://127.0.0.1:%d/" % ready[0])
        await settled()
        begin(peer=peer(ready[0]))
        client.recv()

    asyncio.run(serve(receive, ()))


# ---- no asyncio ----------------------------------------------------------------------------------------

@alone
def gevent_idle():
    import gevent
    gevent.spawn_later(0.05, say)
    gevent.sleep(50)


@alone
def gevent_monkey():
    from gevent import monkey
    monkey.patch_all()
    import threading
    threading.Thread(target=time.sleep, args=(40,)).start()
    say()
    time.sleep(40)


@alone
def twisted_idle():
    from twisted.internet import reactor
    reactor.callLater(0.05, say)
    reactor.run()


@alone
def trio_idle():
    import trio

    async def main():
        say()
        await trio.sleep(50)
    trio.run(main)


@alone
def gunicorn_sync():
    """A synchronous worker, as the arbiter forks it."""
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", "127.0.0.1:0")
            self.cfg.set("post_worker_init", lambda worker: say())
            self.cfg.set("loglevel", "critical")

        def load(self):
            return lambda environ, start: [json.dumps({}).encode()]

    Application().run()


async def twisted_on_asyncio():
    """Twisted's reactor on top of asyncio's loop: asyncio's is the one that runs."""
    from twisted.internet import asyncioreactor
    asyncioreactor.install(asyncio.get_running_loop())
    from twisted.internet import reactor
    reactor.startRunning()
    reactor.callLater(0.05, say)
    await asyncio.sleep(50)
    return silent_server
