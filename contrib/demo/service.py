#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A small price service on asyncio with a common mistake in it.

usage: service.py PRICING_URL

It serves HTTP on the loopback and looks healthy: 20 clients are connected, timers tick.
One request for a quote then makes it call requests.get(), a synchronous client, inside a
coroutine. PRICING_URL does not answer, and everything stands still, not only that request.
"""
import asyncio
import itertools
import os
import sys

try:
    import requests
except ImportError:
    requests = None
    import http.client
    from urllib.parse import urlsplit

CLIENTS = 20
SECONDS = 60  # then it ends by itself

counters = {"ticks": 0, "requests": 0}
serial = itertools.count(1)


class Pricing:
    """The client of the pricing server."""

    def __init__(self, url):
        self.url = url

    def get_price(self, symbol):
        url = f"{self.url}/price/{symbol}"
        if requests is None:
            return self.get_price_plainly(url)
        answer = requests.get(url)  # the mistake: no await
        answer.raise_for_status()
        return float(answer.text)

    def get_price_plainly(self, url):
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.request("GET", parts.path)
        return float(connection.getresponse().read())


class Service:
    def __init__(self, pricing):
        self.pricing = pricing
        self.cache = {}

    async def quote(self, symbol):
        if symbol not in self.cache:
            self.cache[symbol] = self.pricing.get_price(symbol)
        return f"{symbol} {self.cache[symbol]:.2f}"

    async def status(self):
        return " ".join(f"{name}={value}" for name, value in counters.items())

    async def handle(self, path):
        if path.startswith("/quote/"):
            return await self.quote(path.split("/")[2])
        return await self.status()

    async def connection(self, reader, writer):
        """One client; start_server() makes a task of it."""
        asyncio.current_task().set_name(f"conn-{next(serial)}")
        try:
            while True:
                line = await reader.readline()
                if not line:
                    break
                counters["requests"] += 1
                body = (await self.handle(line.split()[1].decode())).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await writer.drain()
        finally:
            writer.close()


async def ticker(interval):
    while True:
        await asyncio.sleep(interval)
        counters["ticks"] += 1


async def client(port, requests_of):
    """Connects, sends what it is told to send, reads what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        path = await requests_of.get()
        writer.write(f"GET {path} HTTP/1.1\r\n".encode())
        await writer.drain()
        await reader.readline()


async def main(url):
    service = Service(Pricing(url))
    server = await asyncio.start_server(service.connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    tasks = [asyncio.create_task(ticker(interval), name=f"ticker-{interval}")
             for interval in (0.05, 0.1, 0.25, 0.5, 1.0)]
    queues = [asyncio.Queue() for _ in range(CLIENTS)]
    tasks += [asyncio.create_task(client(port, queue), name=f"client-{number}")
              for number, queue in enumerate(queues, 1)]
    await asyncio.sleep(0.5)
    print(f"service: pid {os.getpid()}, {len(asyncio.all_tasks())} tasks, all is well", flush=True)
    queues[17].put_nowait("/quote/ACME")
    print("service: about to freeze: a client asks for a quote", flush=True)
    try:
        await asyncio.sleep(SECONDS)
    finally:
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1]))
