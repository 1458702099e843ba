# SPDX-License-Identifier: Apache-2.0
"""Sockets, TLS, DNS, HTTP and mail of the standard library, against peers that say nothing."""
import select
import socket
import ssl
import threading

from stage import (begin, dead_resolver, full_server, kept, peer, settled, silent_server, talking_server)


def connected(port):
    return kept(socket.create_connection(("127.0.0.1", port)))


async def recv():
    port = silent_server()
    connection = connected(port)
    await settled()
    begin(peer=peer(port))
    connection.recv(100)


async def recv_into():
    port = silent_server()
    connection, buffer = connected(port), bytearray(100)
    await settled()
    begin(peer=peer(port))
    connection.recv_into(buffer)


async def recv_timeout():
    """With a timeout the socket does not block inside: the system call is poll."""
    port = silent_server()
    connection = connected(port)
    connection.settimeout(40)
    await settled()
    begin(peer=peer(port))
    connection.recv(100)


async def recvfrom_udp():
    server = kept(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))
    await settled()
    begin()
    server.recvfrom(100)


async def recv_unix():
    ours, theirs = socket.socketpair()
    kept(theirs)
    await settled()
    begin()
    ours.recv(100)


async def makefile():
    port = silent_server()
    lines = connected(port).makefile("rb")
    await settled()
    begin(peer=peer(port))
    lines.readline()


async def accept():
    server = kept(socket.socket())
    server.bind(("127.0.0.1", 0))
    server.listen(5)
    await settled()
    begin()
    server.accept()


async def connect():
    port = full_server()
    client = socket.socket()
    await settled()
    begin(peer=peer(port))
    client.connect(("127.0.0.1", port))


async def create_connection():
    port = full_server()
    await settled()
    begin(peer=peer(port))
    socket.create_connection(("127.0.0.1", port))


async def create_connection_timeout():
    port = full_server()
    await settled()
    begin(peer=peer(port))
    socket.create_connection(("127.0.0.1", port), timeout=40)


async def sendall():
    port = silent_server()
    connection = connected(port)
    await settled()
    begin(peer=peer(port))
    connection.sendall(bytes(1 << 26))


async def select_one():
    port = silent_server()
    connection = connected(port)
    await settled()
    begin(peer=peer(port))
    select.select([connection], [], [])


async def poll_one():
    port = silent_server()
    poller = select.poll()
    poller.register(connected(port), select.POLLIN)
    await settled()
    begin(peer=peer(port))
    poller.poll()


async def socketserver_request():
    import socketserver
    server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
    server.timeout = 40
    await settled()
    begin()
    server.handle_request()


async def telnet():
    import telnetlib
    port = silent_server()
    client = telnetlib.Telnet("127.0.0.1", port)
    await settled()
    begin(peer=peer(port))
    client.read_until(b"login:")


# ---- TLS -------------------------------------------------------------------------------------------

def careless():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def handshake():
    port = silent_server()
    context, connection = careless(), connected(port)
    await settled()
    begin(peer=peer(port))
    context.wrap_socket(connection, server_hostname="localhost")


async def handshake_timeout():
    port = silent_server()
    context, connection = careless(), connected(port)
    connection.settimeout(40)
    await settled()
    begin(peer=peer(port))
    context.wrap_socket(connection, server_hostname="localhost")


async def https():
    import urllib.request
    port = silent_server()
    context = careless()
    await settled()
    begin(peer=peer(port))
    urllib.request.urlopen("https://127.0.0.1:%d/" % port, context=context)


# ---- names -----------------------------------------------------------------------------------------

async def getaddrinfo():
    server = dead_resolver()
    await settled()
    begin(peer=server)
    socket.getaddrinfo("price.example", 80)


async def gethostbyname():
    server = dead_resolver()
    await settled()
    begin(peer=server)
    socket.gethostbyname("price.example")


async def gethostbyaddr():
    server = dead_resolver()
    await settled()
    begin(peer=server)
    socket.gethostbyaddr("127.77.77.77")


async def getfqdn():
    server = dead_resolver()
    await settled()
    begin(peer=server)
    socket.getfqdn("127.77.77.77")


async def urlopen_by_name():
    import urllib.request
    server = dead_resolver()
    await settled()
    begin(peer=server)
    urllib.request.urlopen("http://price.example/")


# ---- HTTP and others -------------------------------------------------------------------------------

async def http_client():
    import http.client
    port = silent_server()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    await settled()
    begin(peer=peer(port))
    connection.getresponse()


async def http_client_connect():
    import http.client
    port = full_server()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    await settled()
    begin(peer=peer(port))
    connection.request("GET", "/")


async def http_client_body():
    """The head came, the body does not."""
    import http.client
    port = talking_server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    response = connection.getresponse()
    await settled()
    begin(peer=peer(port))
    response.read()


async def urlopen():
    import urllib.request
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    urllib.request.urlopen("http://127.0.0.1:%d/" % port)


async def urlopen_timeout():
    import urllib.request
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    urllib.request.urlopen("http://127.0.0.1:%d/" % port, timeout=40)


def get_rate(url):
    """A helper between the coroutine and the library: the line to change is here."""
    import urllib.request
    begin(peer=url.split("/")[2])
    return urllib.request.urlopen(url).read()


class Rates:
    def __init__(self, port):
        self.port = port

    def euro(self):
        return get_rate("http://127.0.0.1:%d/eur" % self.port)


async def urlopen_in_helpers():
    __import__("urllib.request")
    rates = Rates(silent_server())
    await settled()
    return rates.euro()


async def xmlrpc_call():
    import xmlrpc.client
    port = silent_server()
    proxy = xmlrpc.client.ServerProxy("http://127.0.0.1:%d/" % port)
    await settled()
    begin(peer=peer(port))
    proxy.price("tea")


async def smtp():
    import smtplib
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    smtplib.SMTP("127.0.0.1", port)


async def smtp_ehlo():
    import smtplib
    port = talking_server(b"220 mail\r\n")
    client = smtplib.SMTP("127.0.0.1", port)
    await settled()
    begin(peer=peer(port))
    client.ehlo()


async def imap():
    import imaplib
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    imaplib.IMAP4("127.0.0.1", port)


async def pop():
    import poplib
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    poplib.POP3("127.0.0.1", port)


async def ftp():
    import ftplib
    port = silent_server()
    await settled()
    begin(peer=peer(port))
    ftplib.FTP().connect("127.0.0.1", port)


async def manager():
    """multiprocessing's manager whose server thread is busy with our earlier call."""
    from multiprocessing.managers import BaseManager

    class Prices(BaseManager):
        pass

    class Store:
        def slow(self):
            threading.Event().wait(40)

    Prices.register("Store", Store)
    import multiprocessing
    server = kept(Prices(ctx=multiprocessing.get_context("fork")))
    server.start()
    store = server.Store()
    await settled()
    begin()
    store.slow()
